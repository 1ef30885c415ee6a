# METADATA
# scope: package
# title: Paths that the agent must not write
# custom:
#   severity: HIGH
#   routing:
#     required_events: ["PreToolUse"]
#     required_tools: ["Edit", "Write", "MultiEdit", "NotebookEdit"]
package cupcake.policies.files

import rego.v1

# Add to this list what only people should change. Each is looked for as a whole part of the path.
protected := {".cupcake", ".claude", ".git", ".env"}

deny contains {
	"reason": sprintf("%s is protected: %s may only be changed by a person", [input.resolved_file_path, part]),
	"severity": "HIGH",
	"rule_id": "FILES-PROTECTED",
} if {
	input.hook_event_name == "PreToolUse"
	input.tool_name in {"Edit", "Write", "MultiEdit", "NotebookEdit"}

	# `resolved_file_path` has symbolic links followed; the path as the agent wrote it may hide where it leads.
	some part in split(input.resolved_file_path, "/")
	part in protected
}
