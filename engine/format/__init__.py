"""Layout of Rego text: the one way to write a policy that `opa fmt` has, byte for byte.

`printer.format_text` is the entrance. Pure: text in, text out; files, flags and terminals are the command's
business. The shape of a tree says what is written, the places of its nodes which line breaks and comments are kept.
"""
