"""The graphql builtins: documents as JSON, and whether they are valid.

Imported only when one of them is called. Documents are bounded in tokens and in fields of the same
name (whose comparison takes quadratic time); what is nested too deeply is an error.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from graphql import (
    GraphQLError,
    GraphQLSchema,
    GraphQLSyntaxError,
    build_ast_schema,
    parse,
    validate,
    validate_schema,
)
from graphql.language import ast
from graphql.validation.validate import validate_sdl

from cupcake.engine.builtins.gate import Gate
from cupcake.engine.builtins.host.graphql_json import (
    Json,
    ShapeError,
    as_before_v1,
    as_definition,
    query_from_json,
    query_to_json,
    schema_from_json,
    schema_to_json,
)
from cupcake.engine.builtins.host.operands import failed, string
from cupcake.engine.builtins.texts import readable
from cupcake.engine.builtins.values import BuiltinError, RegoObject, Value, pairs, type_name

TOKENS_MAX = 20_000
SAME_NAME_MAX = 1_000_000  # pairs of fields with the same name

_PUNCTUATION = re.compile(r"'([!$&()\[\]{}.:=@|]+)'")
_WITHOUT_TEXT = re.compile(r"(Expected [^\"].*, found [A-Za-z]+) \".*", re.DOTALL)
_LEXICAL = (
    *("Cannot parse", "Expected a valid", "Invalid ", "Name '", "Unexpected character"),
    *("Unexpected single quote", "Unterminated "),
)
_EMPTY_BLOCK = re.compile(r"[({][\s,]*\Z")

# Known to OPA's library and not to ours.
_DEFER = "directive @defer(if: Boolean = true, label: String) on FRAGMENT_SPREAD | INLINE_FRAGMENT"
_BUILT_IN = frozenset({"Int", "Float", "String", "Boolean", "ID"})


@contextmanager
def _bounded(name: str) -> Iterator[None]:
    try:
        yield
    except RecursionError:
        raise failed(name, "GraphQL document is nested too deeply") from None


# ---- documents ----


def _located(error: GraphQLError, message: str) -> str:
    if not error.locations:
        return f"GraphQL parse error: {message}"
    place = error.locations[0]
    column = place.column
    if re.match("(?:Unexpected|Expected .*, found) (?:Block)?String", message):
        column += 3 if "BlockString" in message else 1  # texts begin behind the quotation mark
    return _at(message, place.line, column)


def _at(message: str, line: int, column: int) -> str:
    return f"{message} in GraphQL string at location {line}:{column}"


def _syntax_message(error: GraphQLSyntaxError, text: str) -> str:
    """The words that OPA's parser has for it."""
    message = error.message.removeprefix("Syntax Error: ").removesuffix(".")
    if message.startswith(_LEXICAL):
        return "Unexpected <Invalid>"
    if message.endswith(("found '}'", "found ')'")) and error.positions:
        at = next(iter(error.positions))
        if _EMPTY_BLOCK.search(text[:at]):
            return f"expected at least one definition, found {text[at]}"
    if message.startswith("Unexpected variable"):
        return "Unexpected $"
    message = _PUNCTUATION.sub(r"\1", message)
    message = re.sub(r"'([^']*)'", r'"\1"', message)
    return _WITHOUT_TEXT.sub(r"\1", message)


def _parsed(name: str, text: str, *, schema: bool) -> ast.DocumentNode:
    if not text.strip("\ufeff \t\r\n,"):
        return ast.DocumentNode(definitions=())
    try:
        document = parse(text, max_tokens=TOKENS_MAX)
    except GraphQLSyntaxError as error:
        if error.message.endswith("found <EOF>.") or "Unexpected <EOF>" in error.message:
            rest = re.sub(r"#[^\r\n]*|[\s,\ufeff]", "", text)
            if not rest:
                return ast.DocumentNode(definitions=())
        raise failed(name, _located(error, _syntax_message(error, text))) from None
    wanted = ast.TypeSystemDefinitionNode | ast.TypeSystemExtensionNode
    for node in document.definitions:
        if isinstance(node, wanted) != schema:
            assert node.loc is not None
            token = node.loc.start_token
            shown = f'Name "{token.value}"' if token.value is not None else token.kind.value
            raise failed(name, _at(f"Unexpected {shown}", token.line, token.column))
    _refuse_empty_selections(name, document)
    return document


def _refuse_empty_selections(name: str, document: ast.DocumentNode) -> None:
    """`{ }` is no selection; versions of the library differ on that."""
    pending: list[Any] = list(document.definitions)
    while pending:
        selections = getattr(pending.pop(), "selection_set", None)
        if selections is None:
            continue
        if not selections.selections:
            token = selections.loc.end_token
            message = "expected at least one definition, found }"
            raise failed(name, _at(message, token.line, token.column))
        pending += selections.selections


def _document(name: str, at: int, value: Value, *, schema: bool) -> ast.DocumentNode:
    """The document of an operand that is text or JSON."""
    match value:
        case str():
            return _parsed(name, readable(value), schema=schema)
        case dict():
            try:
                return schema_from_json(value) if schema else query_from_json(value)
            except ShapeError as error:
                raise failed(name, f"operand {at} is no GraphQL document: {error}") from None
        case RegoObject():
            named: dict[str, Value] = {k: v for k, v in pairs(value) if isinstance(k, str)}
            return _document(name, at, named, schema=schema)
    message = (
        f"{name}: operand {at - 1} must be one of {{string, object}} but got {type_name(value)}"
    )
    raise BuiltinError("type", message)


# ---- validity ----


def _schema(gate: Gate, name: str, document: ast.DocumentNode) -> GraphQLSchema:
    """The schema of a valid document; BuiltinError with the first thing that is wrong."""
    document = _completed(name, document)
    if gate.rego_version == "v0":  # the library of that time did not look at these
        document = _without_schema_directives(document)
    errors = validate_sdl(document)
    if not errors:
        try:
            schema = build_ast_schema(document, assume_valid_sdl=True)
        except (GraphQLError, TypeError, ValueError) as error:
            raise failed(name, _schema_problem(str(error))) from None
        errors = [e for e in validate_schema(schema) if "Query root type must be" not in e.message]
    if errors:
        raise failed(name, _schema_problem(errors[0].message))
    # A schema without queries is fine for OPA; so `validate` must not ask again.
    return build_ast_schema(document, assume_valid=True, assume_valid_sdl=True)


def _without_schema_directives(document: ast.DocumentNode) -> ast.DocumentNode:
    definitions: list[Any] = []
    for node in document.definitions:
        if not isinstance(node, ast.SchemaExtensionNode):
            definitions.append(node)
        elif node.operation_types:
            types = node.operation_types
            definitions.append(ast.SchemaExtensionNode(directives=(), operation_types=types))
    return ast.DocumentNode(definitions=tuple(definitions))


def _schema_problem(message: str) -> str:
    shown = message.removesuffix(".").replace("'", '"')
    return f"Error in gqlparser SchemaDocument to Schema conversion: {shown}"


def _completed(name: str, document: ast.DocumentNode) -> ast.DocumentNode:
    """With `@defer`, and with an extension of nothing as the definition itself."""
    defined: set[str] = set()
    for node in document.definitions:
        if isinstance(node, ast.TypeDefinitionNode):
            if node.name.value in _BUILT_IN:
                raise failed(name, _schema_problem(f"Cannot redeclare type {node.name.value}"))
            defined.add(node.name.value)
    definitions: list[Any] = []
    for node in document.definitions:
        if isinstance(node, ast.TypeExtensionNode) and node.name.value not in defined | _BUILT_IN:
            defined.add(node.name.value)
            definitions.append(as_definition(node))
        else:
            definitions.append(node)
    directives = (n for n in definitions if isinstance(n, ast.DirectiveDefinitionNode))
    if not any(node.name.value == "defer" for node in directives):
        definitions += parse(_DEFER, no_location=True).definitions
    return ast.DocumentNode(definitions=tuple(definitions))


def _check_query(name: str, schema: GraphQLSchema, document: ast.DocumentNode) -> None:
    """BuiltinError with the first thing that is wrong."""
    names: Counter[str] = Counter()
    _count_fields(document.definitions, names)
    if sum(count * count for count in names.values()) > SAME_NAME_MAX:
        raise failed(name, "GraphQL document has too many fields of the same name")
    for node in document.definitions:
        if isinstance(node, ast.OperationDefinitionNode) and not schema.get_root_type(
            node.operation
        ):
            kind = node.operation.value
            raise failed(name, f'Schema does not support operation type "{kind}"')
    errors = validate(schema, document, max_errors=1)
    if errors:
        raise failed(
            name, _located(errors[0], errors[0].message.removesuffix(".").replace("'", '"'))
        )


def _count_fields(nodes: Any, names: Counter[str]) -> None:
    """How often each response name is selected, anywhere."""
    pending = list(nodes)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.FieldNode):
            names[(node.alias or node.name).value] += 1
        selection_set = getattr(node, "selection_set", None)
        if selection_set is not None:
            pending += selection_set.selections


def _shown(gate: Gate, document: Json) -> Json:
    return as_before_v1(document) if gate.rego_version == "v0" else document


def _judged(gate: Gate, name: str, query: Value, schema: Value) -> tuple[Json, Json]:
    """Both documents as JSON if all is valid."""
    with _bounded(name):
        query_document = _document(name, 1, query, schema=False)
        schema_document = _document(name, 2, schema, schema=True)
        _check_query(name, _schema(gate, name, schema_document), query_document)
        documents = query_to_json(query_document), schema_to_json(schema_document)
        return _shown(gate, documents[0]), _shown(gate, documents[1])


# ---- the builtins ----


def _parse(gate: Gate, query: Value, schema: Value) -> Value:
    return list(_judged(gate, "graphql.parse", query, schema))


def _parse_and_verify(gate: Gate, query: Value, schema: Value) -> Value:
    try:
        return [True, *_judged(gate, "graphql.parse_and_verify", query, schema)]
    except BuiltinError:
        return [False, {}, {}]


def _is_valid(gate: Gate, query: Value, schema: Value) -> Value:
    try:
        _judged(gate, "graphql.is_valid", query, schema)
    except BuiltinError:
        return False
    return True


def _schema_is_valid(gate: Gate, schema: Value) -> Value:
    name = "graphql.schema_is_valid"
    try:
        with _bounded(name):
            _schema(gate, name, _document(name, 1, schema, schema=True))
    except BuiltinError:
        return False
    return True


def _parse_query(gate: Gate, query: Value) -> Value:
    name = "graphql.parse_query"
    with _bounded(name):
        document = _parsed(name, string(name, 1, query), schema=False)
        return _shown(gate, query_to_json(document))


def _parse_schema(gate: Gate, schema: Value) -> Value:
    name = "graphql.parse_schema"
    with _bounded(name):
        document = _parsed(name, string(name, 1, schema), schema=True)
        return _shown(gate, schema_to_json(document))


GATED: tuple[tuple[str, Callable[..., Value]], ...] = (
    ("graphql.is_valid", _is_valid),
    ("graphql.parse", _parse),
    ("graphql.parse_and_verify", _parse_and_verify),
    ("graphql.parse_query", _parse_query),
    ("graphql.parse_schema", _parse_schema),
    ("graphql.schema_is_valid", _schema_is_valid),
)
