"""Policies as projects have them, made by number: some fifty lines each, with metadata, several rules, and helpers that they
import. Equal numbers give equal text."""

from __future__ import annotations

from collections.abc import Mapping

ENTRYPOINT = "cupcake/system/evaluate"

_TOOLS = ("Bash", "Edit", "Write", "WebFetch", "Read", "mcp__db__query")
_WORDS = ("deploy", "migrate", "release", "publish", "rotate", "purge", "restore", "sync")

_EVALUATE = """package cupcake.system

import rego.v1

evaluate := {
	"halts": collect("halt"),
	"denials": collect("deny"),
	"blocks": collect("block"),
	"asks": collect("ask"),
	"allow_overrides": collect("allow_override"),
	"add_context": collect("add_context"),
}

default collect(_) := []

collect(verb) := result if {
	verb_sets := [value | walk(data.cupcake.policies, [path, value]); path[count(path) - 1] == verb]
	all_decisions := [decision | some verb_set in verb_sets; some decision in verb_set]
	result := all_decisions
}
"""

_HELPERS = """package cupcake.helpers.commands

import rego.v1

words(command) := [word | some word in split(command, " "); word != ""]

has_word(command, word) if word in words(command)

has_any(command, wanted) if {
	some word in wanted
	has_word(command, word)
}

is_forced(command) if regex.match(`(^|\\s)(--force|-f)(\\s|$)`, command)

writes(command) if contains(command, ">")

writes(command) if has_word(command, "tee")
"""

_PATHS = """package cupcake.helpers.paths

import rego.v1

parts(path) := split(trim_prefix(path, "/"), "/")

inside(path, folder) if startswith(path, concat("", [folder, "/"]))

extension(path) := ending if {
	found := parts(path)
	pieces := split(found[count(found) - 1], ".")
	count(pieces) > 1
	ending := pieces[count(pieces) - 1]
}
"""

_POLICY = """# METADATA
# scope: package
# title: Team rule {number}
# description: Guards what team {number} answers for.
# custom:
#   severity: HIGH
#   id: TEAM-{number}
#   routing:
#     required_events: ["PreToolUse"]
#     required_tools: ["{tool}"]
package cupcake.policies.team{number}

import rego.v1

import data.cupcake.helpers.commands
import data.cupcake.helpers.paths

protected := {{"/srv/team{number}", "/etc/{word}", "/var/lib/{word}{number}"}}

limits := {{"files": {small}, "size": {large}, "owners": ["ann{number}", "bob", "{word}"]}}

default is_owner := false

is_owner if input.user in limits.owners

deny contains decision if {{
	input.hook_event_name == "PreToolUse"
	input.tool_name == "{tool}"
	commands.has_any(input.tool_input.command, {{"{word}", "{word}-{number}"}})
	not is_owner
	decision := {{
		"rule_id": "TEAM-{number}-1",
		"reason": sprintf("%s is for the owners of team {number}: %s", ["{word}", concat(", ", limits.owners)]),
		"severity": "HIGH",
	}}
}}

deny contains {{"rule_id": "TEAM-{number}-2", "reason": reason, "severity": "MEDIUM"}} if {{
	input.hook_event_name == "PreToolUse"
	input.tool_name in {{"Edit", "Write"}}
	some folder in protected
	paths.inside(input.resolved_file_path, folder)
	paths.extension(input.resolved_file_path) in {{"conf", "service", "t{number}"}}
	reason := sprintf("%s is protected by team {number}", [folder])
}}

ask contains {{"rule_id": "TEAM-{number}-3", "reason": "forced {word}?", "severity": "LOW", "question": "Go on?"}} if {{
	input.hook_event_name == "PreToolUse"
	input.tool_name == "{tool}"
	commands.is_forced(input.tool_input.command)
	regex.match(`\\b{word}[-_]?{number}\\b`, input.tool_input.command)
}}

add_context contains sprintf("Team {number} allows %d files.", [limits.files]) if {{
	input.hook_event_name == "UserPromptSubmit"
	every owner in limits.owners {{ owner != input.user }}
	object.get(input, ["session", "size"], 0) > limits.size
}}
"""


def policy(number: int, edit: int = 0) -> str:
    """One policy; `edit` other than 0 changes a constant and adds a rule, as somebody at work would."""
    text = _POLICY.format(
        number=number,
        tool=_TOOLS[number % len(_TOOLS)],
        word=_WORDS[number % len(_WORDS)],
        small=5 + number % 7 + edit,
        large=1000 * (1 + number % 11),
    )
    if edit:
        text += f'\nhalt contains {{"rule_id": "EDIT-{edit}", "reason": "edited", "severity": "HIGH"}} if input.edit == {edit}\n'
    return text


def helpers(edit: int) -> str:
    """The helpers after an edit that changes what one of them does."""
    return _HELPERS.replace('word != ""]', f'word != "{edit}"]')


def modules(count: int) -> Mapping[str, str]:
    """`count` policies with their helpers and the aggregation, by file name."""
    found = {
        "system/evaluate.rego": _EVALUATE,
        "helpers/commands.rego": _HELPERS,
        "helpers/paths.rego": _PATHS,
    }
    return found | {file_name(number): policy(number) for number in range(count)}


def file_name(number: int) -> str:
    return f"policies/claude/team{number:04}.rego"
