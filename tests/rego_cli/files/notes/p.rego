# METADATA
# title: The package
# description: What it does
# authors:
# - Jane Doe <jane@example.com>
# organizations: [ACME]
# related_resources:
# - ref: https://example.com
#   description: more
# custom:
#   x: {a: 1}
package p.q

# METADATA
# title: allow it
# entrypoint: true
allow if {
	input.x == 1
	startswith(input.y, "a")
}
