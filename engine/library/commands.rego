# METADATA
# scope: package
# title: Helpers for policies that judge shell commands
# description: Serves a project whose policies import data.cupcake.system.commands without having it.
package cupcake.system.commands

import rego.v1

# Does the command hold the verb as a word of its own? `verb` may be a regular expression.
has_verb(command, verb) if _has_word(command, verb)

has_verb(command, verb) if {
	not regex.match(`^[A-Za-z0-9_ \-]*$`, verb)
	regex.match(concat("", [`(^|\s)`, verb, `(\s|$)`]), command)
}

_has_word(command, word) if {
	blanks := regex.replace(command, `\s`, " ")
	contains(concat("", [" ", blanks, " "]), concat("", [" ", word, " "]))
}

# Is any of the verbs (a set or an array) there?
has_dangerous_verb(command, verbs) if {
	some verb in verbs
	has_verb(command, verb)
}

creates_symlink(command) if {
	has_verb(command, "ln")
	contains(command, "-s")
}

symlink_involves_path(command, path) if {
	creates_symlink(command)
	contains(command, path)
}

# Redirections and pipes that can write somewhere.
has_output_redirect(command) if regex.match(`\s>\s`, command)

has_output_redirect(command) if regex.match(`\s>>\s`, command)

has_output_redirect(command) if regex.match(`\s\|\s`, command)

has_output_redirect(command) if has_verb(command, "tee")
