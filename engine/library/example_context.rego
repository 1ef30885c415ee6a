# METADATA
# scope: package
# title: What the agent should know with every prompt
# custom:
#   routing:
#     required_events: ["UserPromptSubmit"]
package cupcake.policies.context

import rego.v1

# `add_context` gives the agent text to read; it decides nothing.
add_context contains "Cupcake guards this project: .cupcake/ and .env are off limits, destructive commands are refused." if {
	input.hook_event_name == "UserPromptSubmit"
}
