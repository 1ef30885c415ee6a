# METADATA
# scope: package
# title: Aggregation entrypoint of Cupcake
# description: Serves a project that has no system/evaluate.rego of its own.
package cupcake.system

import rego.v1

# Every value below data.cupcake.policies whose path ends in a verb takes part, whatever package it stands in.
# The compiler knows the shape of `collect`, and evaluates only the rules that can match the event.
evaluate := {
	"halts": collect("halt"),
	"denials": collect("deny"),
	"blocks": collect("block"),
	"asks": collect("ask"),
	"modifications": collect("modify"),
	"allow_overrides": collect("allow_override"),
	"add_context": collect("add_context"),
}

default collect(_) := []

collect(verb) := decisions if {
	found := [value |
		walk(data.cupcake.policies, [path, value])
		path[count(path) - 1] == verb
	]
	decisions := [decision |
		some members in found
		some decision in members
	]
}
