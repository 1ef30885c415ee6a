# METADATA
# scope: package
# custom:
#   routing:
#     required_events: ["PreToolUse"]
package cupcake.policies.guard

import rego.v1

deny contains {"reason": "guarded", "severity": "HIGH", "rule_id": "GUARD"} if {
	input.hook_event_name == "PreToolUse"
	contains(input.tool_input.command, "forbidden")
}
