# METADATA
# scope: package
# title: Shell commands that nobody wants to run by accident
# custom:
#   severity: HIGH
#   routing:
#     required_events: ["PreToolUse"]
#     required_tools: ["Bash"]
package cupcake.policies.shell

import rego.v1

# `deny` refuses the action and tells the agent why. Every decision needs reason, severity and rule_id.
# The command has its blanks normalised before it gets here: `rm   -rf  /` reads `rm -rf /`.
deny contains {
	"reason": sprintf("`%s` would delete far more than this project", [input.tool_input.command]),
	"severity": "CRITICAL",
	"rule_id": "SHELL-RM-ROOT",
} if {
	input.hook_event_name == "PreToolUse"
	input.tool_name == "Bash"
	regex.match(`(^|[;&|(]\s*|\s)rm\s+(-\S+\s+)*-\S*[rR]\S*\s+(-\S+\s+)*(/|~|\$HOME)/?\*?(\s|;|&|\||\)|$)`, input.tool_input.command)
}

# `ask` puts the question to the person.
ask contains {
	"reason": "Rewriting published history: is that meant?",
	"severity": "MEDIUM",
	"rule_id": "SHELL-FORCE-PUSH",
} if {
	input.hook_event_name == "PreToolUse"
	input.tool_name == "Bash"
	regex.match(`(^|\s)git\s+push\s.*(--force|-f)(\s|$)`, input.tool_input.command)
}
