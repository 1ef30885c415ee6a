"""Text to text: the entrance of the formatter, and the promise that nothing gets lost on the way."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from cupcake.engine.errors import CompileErrors
from cupcake.engine.format.errors import FormatError
from cupcake.engine.format.lines import Lines
from cupcake.engine.format.modules import ModuleWriter
from cupcake.engine.format.obsolete import refuse_obsolete
from cupcake.engine.format.places import Places
from cupcake.engine.format.same import differing_rules, say_the_same
from cupcake.engine.format.style import Style, Target, style_of
from cupcake.engine.rego import ast
from cupcake.engine.rego.lexer import tokenize
from cupcake.engine.rego.parser import RegoVersion, parse_module


def format_text(
    text: str,
    file: str,
    *,
    rego_version: RegoVersion = "v1",
    target: Target = "v1",
    drop_imports: bool = False,
    check: bool = True,
) -> str:
    """`text`, which is Rego of `rego_version`, laid out as Rego that `target` reads. `drop_imports`: without the imports that
    v1 does not need. `check`: the result is parsed; rules that it would change stay as they were written.

    Raises CompileErrors where the text is no module or not fit for `target`, FormatError where the result would say
    something else than the text.
    """
    module = parse_module(text, file, rego_version=rego_version)
    if target != "v0":
        refuse_obsolete(replace(module, rego_version="v1"))
    style = style_of(module, target, drop_imports=drop_imports)
    places = Places(tokenize(text, frozenset()))
    result = _written(module, places, style)
    if not check:
        return result
    again = _parsed(result, file, target)
    if not say_the_same(module, again):
        result = _written(module, places, style, differing_rules(module, again))
        again = _parsed(result, file, target)
    if not say_the_same(module, again) or not _keeps_comments(text, result):
        raise FormatError(f"{file}: cannot be formatted without a change of what it says")
    return result


def _written(
    module: ast.Module, places: Places, style: Style, as_they_are: Collection[int] = ()
) -> str:
    lines = Lines(places.comments())
    ModuleWriter(lines, places, style, module, as_they_are).module()
    return lines.text()


def _parsed(result: str, file: str, target: Target) -> ast.Module:
    try:
        return parse_module(result, file, rego_version="v0" if target == "v0" else "v1")
    except CompileErrors as errors:
        first = errors.diagnostics[0].message
        raise FormatError(f"{file}: the formatted text would be no Rego: {first}") from None


def _keeps_comments(text: str, result: str) -> bool:
    """Whether all comments are there, alone or with another one on their line."""
    kept = "\n".join(found[3] for found in tokenize(result, frozenset()).comments)
    return all(found[3].strip() in kept for found in tokenize(text, frozenset()).comments)
