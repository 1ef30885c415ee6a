"""strings.render_template: Go's text/template over an object of the policy."""

from __future__ import annotations

import re
from collections.abc import Callable

from cupcake.engine.builtins.host.documents import number_text, one_line
from cupcake.engine.builtins.host.go_format import Data, JsonNumber, quoted
from cupcake.engine.builtins.host.operands import failed, mapping, string
from cupcake.engine.builtins.host.template_parser import TemplateError, parse
from cupcake.engine.builtins.host.template_run import run
from cupcake.engine.builtins.values import RegoObject, RegoSet, Value, pairs

_NAME = "strings.render_template"


def _text(text: str) -> str:
    """A text that OPA can hand on: it prints the data with Go's escapes and reads them as JSON, which knows few of them."""
    if not text.isprintable():
        for escape in re.finditer(r"\\(.)", quoted(text)):
            if escape[1] not in '"\\bfnrtu':
                raise failed(_NAME, f"invalid character '{escape[1]}' in string escape code")
    return text


def _data(value: Value) -> Data:
    """The value as decoded JSON."""
    match value:
        case str():
            return _text(value)
        case bool() | None:
            return value
        case list() | RegoSet():
            return [_data(item) for item in value]
        case dict():
            return {_text(k): _data(v) for k, v in value.items()}
        case RegoObject():
            key = next(k for k, _ in pairs(value) if not isinstance(k, str))
            raise failed(_NAME, f"the key {one_line(key)} of an object is no string")
    return JsonNumber(number_text(value))


def _render(template: Value, variables: Value) -> Value:
    text = string(_NAME, 1, template)
    data = _data(mapping(_NAME, 2, variables))
    try:
        return run(parse(text), data).replace("<no value>", "<undefined>")
    except TemplateError as error:
        raise failed(_NAME, str(error)) from None
    except RecursionError:
        raise failed(_NAME, "template: nested too deeply") from None


FUNCTIONS: tuple[tuple[str, Callable[..., Value]], ...] = ((_NAME, _render),)
