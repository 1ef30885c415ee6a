"""GraphQL documents between the nodes of `graphql-core` and the JSON form that OPA shows to policies.

Only shapes: what is valid is decided in `graphql_rules.py`. In the JSON form empty lists are left
out, and texts are there even when they are empty.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from graphql.language import ast

from cupcake.engine.builtins.values import RegoSet, Value

Json = dict[str, Value]
_T = TypeVar("_T")

_DEFINITIONS: tuple[tuple[str, type[Any], type[Any]], ...] = (
    ("SCALAR", ast.ScalarTypeDefinitionNode, ast.ScalarTypeExtensionNode),
    ("OBJECT", ast.ObjectTypeDefinitionNode, ast.ObjectTypeExtensionNode),
    ("INTERFACE", ast.InterfaceTypeDefinitionNode, ast.InterfaceTypeExtensionNode),
    ("UNION", ast.UnionTypeDefinitionNode, ast.UnionTypeExtensionNode),
    ("ENUM", ast.EnumTypeDefinitionNode, ast.EnumTypeExtensionNode),
    ("INPUT_OBJECT", ast.InputObjectTypeDefinitionNode, ast.InputObjectTypeExtensionNode),
)
_TEXT_VALUES: tuple[tuple[int, type[Any]], ...] = (
    (1, ast.IntValueNode),
    (2, ast.FloatValueNode),
    (7, ast.EnumValueNode),
)


class ShapeError(ValueError):
    """A JSON form is not one of a GraphQL document."""


# ---- nodes to JSON ----


def as_before_v1(shown: Json) -> Json:
    """The form that OPA showed before 1.0."""
    return {k: _before_v1(v) for k, v in shown.items() if k != "ExpectedTypeHasDefault"}


def _before_v1(value: Value) -> Value:
    match value:
        case dict():
            return dict(as_before_v1(value))
        case list():
            return [_before_v1(item) for item in value]
    return value


def _json(**members: Value) -> Json:
    """An object without the members that hold nothing."""
    return {k: v for k, v in members.items() if v is not None and v not in ([], {})}


def _each(nodes: Iterable[_T] | None, convert: Callable[[_T], Json]) -> list[Value]:
    return [convert(node) for node in nodes or ()]


def _description(node: Any) -> str:
    return node.description.value if node.description else ""


def query_to_json(document: ast.DocumentNode) -> Json:
    operations: list[Value] = []
    fragments: list[Value] = []
    for node in document.definitions:
        if isinstance(node, ast.OperationDefinitionNode):
            operations.append(
                _json(
                    Operation=node.operation.value,
                    Name=node.name.value if node.name else "",
                    VariableDefinitions=_each(node.variable_definitions, _variable_definition),
                    Directives=_each(node.directives, _directive),
                    SelectionSet=_selections(node.selection_set),
                )
            )
        elif isinstance(node, ast.FragmentDefinitionNode):
            fragments.append(
                _json(
                    Name=node.name.value,
                    VariableDefinition=_each(node.variable_definitions, _variable_definition),
                    TypeCondition=node.type_condition.name.value,
                    Directives=_each(node.directives, _directive),
                    SelectionSet=_selections(node.selection_set),
                )
            )
    return _json(Operations=operations, Fragments=fragments)


def _variable_definition(node: ast.VariableDefinitionNode) -> Json:
    return _json(
        Variable=node.variable.name.value,
        Type=_type(node.type),
        DefaultValue=_value(node.default_value) if node.default_value else None,
        Directives=_each(node.directives, _directive),
        Used=False,
    )


def _type(node: ast.TypeNode) -> Json:
    match node:
        case ast.NonNullTypeNode():
            return {**_type(node.type), "NonNull": True}
        case ast.ListTypeNode():
            return {"NamedType": "", "Elem": _type(node.type), "NonNull": False}
        case ast.NamedTypeNode():
            return {"NamedType": node.name.value, "NonNull": False}
    raise ShapeError(f"no type: {node.kind}")


def _directive(node: ast.DirectiveNode) -> Json:
    return _json(Name=node.name.value, Arguments=_each(node.arguments, _argument), Location="")


def _argument(node: ast.ArgumentNode) -> Json:
    return {"Name": node.name.value, "Value": _value(node.value)}


def _value(node: ast.ValueNode) -> Json:
    match node:
        case ast.VariableNode():
            return _leaf(0, node.name.value)
        case ast.StringValueNode():
            return _leaf(4 if node.block else 3, node.value)
        case ast.BooleanValueNode():
            return _leaf(5, "true" if node.value else "false")
        case ast.NullValueNode():
            return _leaf(6, "null")
        case ast.ListValueNode():
            items: list[Value] = [{"Name": "", "Value": _value(v)} for v in node.values]
            return _json(**_leaf(8, ""), Children=items)
        case ast.ObjectValueNode():
            fields: list[Value] = [
                {"Name": f.name.value, "Value": _value(f.value)} for f in node.fields
            ]
            return _json(**_leaf(9, ""), Children=fields)
        case ast.IntValueNode():
            return _leaf(1, node.value)
        case ast.FloatValueNode():
            return _leaf(2, node.value)
        case ast.EnumValueNode():
            return _leaf(7, node.value)
    raise ShapeError(f"no value: {node.kind}")


def _leaf(kind: int, raw: str) -> Json:
    return {"Kind": kind, "Raw": raw, "ExpectedTypeHasDefault": False}


def _selections(node: ast.SelectionSetNode | None) -> list[Value]:
    return _each(node.selections if node else (), _selection)


def _selection(node: ast.SelectionNode) -> Json:
    match node:
        case ast.FieldNode():
            return _json(
                Alias=(node.alias or node.name).value,
                Name=node.name.value,
                Arguments=_each(node.arguments, _argument),
                Directives=_each(node.directives, _directive),
                SelectionSet=_selections(node.selection_set),
            )
        case ast.FragmentSpreadNode():
            return _json(Name=node.name.value, Directives=_each(node.directives, _directive))
        case ast.InlineFragmentNode():
            return _json(
                TypeCondition=node.type_condition.name.value if node.type_condition else "",
                Directives=_each(node.directives, _directive),
                SelectionSet=_selections(node.selection_set),
            )
    raise ShapeError(f"no selection: {node.kind}")


def schema_to_json(document: ast.DocumentNode) -> Json:
    found: dict[str, list[Value]] = {}
    for node in document.definitions:
        if isinstance(node, ast.SchemaDefinitionNode):
            found.setdefault("Schema", []).append(_schema(node, _description(node)))
        elif isinstance(node, ast.SchemaExtensionNode):
            found.setdefault("SchemaExtension", []).append(_schema(node, ""))
        elif isinstance(node, ast.DirectiveDefinitionNode):
            found.setdefault("Directives", []).append(_directive_definition(node))
        else:
            for kind, definition, extension in _DEFINITIONS:
                if isinstance(node, definition):
                    shown = _definition(kind, node, _description(node))
                    found.setdefault("Definitions", []).append(shown)
                elif isinstance(node, extension):
                    found.setdefault("Extensions", []).append(_definition(kind, node, ""))
    return {key: value for key, value in found.items() if value}


def _schema(node: Any, description: str) -> Json:
    return _json(
        Description=description,
        Directives=_each(node.directives, _directive),
        OperationTypes=[
            {"Operation": t.operation.value, "Type": t.type.name.value}
            for t in node.operation_types or ()
        ],
    )


def _directive_definition(node: ast.DirectiveDefinitionNode) -> Json:
    return _json(
        Name=node.name.value,
        Description=_description(node),
        Arguments=_each(node.arguments, _input_value),
        Locations=[location.value for location in node.locations],
        IsRepeatable=node.repeatable,
    )


def _definition(kind: str, node: Any, description: str) -> Json:
    fields = getattr(node, "fields", None)
    return _json(
        Kind=kind,
        Name=node.name.value,
        Description=description,
        Directives=_each(node.directives, _directive),
        Interfaces=[named.name.value for named in getattr(node, "interfaces", None) or ()],
        Fields=_each(fields, _input_value if kind == "INPUT_OBJECT" else _field_definition),
        Types=[named.name.value for named in getattr(node, "types", None) or ()],
        EnumValues=_each(getattr(node, "values", None), _enum_value),
        BuiltIn=False,
    )


def _field_definition(node: ast.FieldDefinitionNode) -> Json:
    return _json(
        Name=node.name.value,
        Description=_description(node),
        Arguments=_each(node.arguments, _input_value),
        Type=_type(node.type),
        Directives=_each(node.directives, _directive),
    )


def _input_value(node: ast.InputValueDefinitionNode) -> Json:
    return _json(
        Name=node.name.value,
        Description=_description(node),
        DefaultValue=_value(node.default_value) if node.default_value else None,
        Type=_type(node.type),
        Directives=_each(node.directives, _directive),
    )


def _enum_value(node: ast.EnumValueDefinitionNode) -> Json:
    return _json(
        Name=node.name.value,
        Description=_description(node),
        Directives=_each(node.directives, _directive),
    )


# ---- JSON to nodes ----


def _text(item: Json, member: str) -> str:
    value = item.get(member, "")
    if value is not None and not isinstance(value, str):
        raise ShapeError(f"{member} must be a string")
    return value or ""


def _objects(item: Json, member: str, convert: Callable[[Json], _T]) -> tuple[_T, ...]:
    listed = item.get(member)
    if listed is None:
        return ()
    if not isinstance(listed, list | RegoSet):
        raise ShapeError(f"{member} must be an array")
    found: list[_T] = []
    for one in listed:
        if not isinstance(one, dict):
            raise ShapeError(f"{member} must be an array of objects")
        found.append(convert(one))
    return tuple(found)


def _texts(item: Json, member: str) -> tuple[str, ...]:
    listed = item.get(member)
    if listed is None:
        return ()
    if not isinstance(listed, list):
        raise ShapeError(f"{member} must be an array of strings")
    texts = tuple(one for one in listed if isinstance(one, str))
    if len(texts) != len(listed):
        raise ShapeError(f"{member} must be an array of strings")
    return texts


def _object(item: Json, member: str) -> Json | None:
    value = item.get(member)
    if value is not None and not isinstance(value, dict):
        raise ShapeError(f"{member} must be an object")
    return value


def _name(item: Json, member: str = "Name") -> ast.NameNode:
    return ast.NameNode(value=_text(item, member))


def _description_node(item: Json) -> ast.StringValueNode | None:
    text = _text(item, "Description")
    return ast.StringValueNode(value=text) if text else None


def _named(text: str) -> ast.NamedTypeNode:
    return ast.NamedTypeNode(name=ast.NameNode(value=text))


def _directives(item: Json) -> tuple[Any, ...]:
    return _objects(item, "Directives", _directive_node)


def _directive_node(item: Json) -> ast.DirectiveNode:
    return ast.DirectiveNode(name=_name(item), arguments=_arguments(item))


def _arguments(item: Json) -> tuple[Any, ...]:
    return _objects(item, "Arguments", _argument_node)


def _argument_node(item: Json) -> ast.ArgumentNode:
    return ast.ArgumentNode(name=_name(item), value=_value_node(_object(item, "Value")))


def _value_node(item: Json | None) -> ast.ValueNode:
    if item is None:
        raise ShapeError("Value is missing")
    kind, raw = item.get("Kind", 0), _text(item, "Raw")
    match kind:
        case 0:
            return ast.VariableNode(name=ast.NameNode(value=raw))
        case 3 | 4:
            return ast.StringValueNode(value=raw, block=kind == 4)
        case 5:
            return ast.BooleanValueNode(value=raw == "true")
        case 6:
            return ast.NullValueNode()
        case 8:
            return ast.ListValueNode(
                values=_objects(item, "Children", lambda c: _value_node(_object(c, "Value")))
            )
        case 9:
            return ast.ObjectValueNode(fields=_objects(item, "Children", _object_field))
    for number, leaf in _TEXT_VALUES:
        if kind == number:
            node: ast.ValueNode = leaf(value=raw)
            return node
    raise ShapeError("Kind of a value must be a number from 0 to 9")


def _object_field(item: Json) -> ast.ObjectFieldNode:
    return ast.ObjectFieldNode(name=_name(item), value=_value_node(_object(item, "Value")))


def _default(item: Json) -> Any:
    value = _object(item, "DefaultValue")
    return None if value is None else _value_node(value)


def _type_node(item: Json | None) -> Any:
    if item is None:
        raise ShapeError("Type is missing")
    element = _object(item, "Elem")
    node: Any = _named(_text(item, "NamedType"))
    if not node.name.value:
        node = ast.ListTypeNode(type=_type_node(element))
    return ast.NonNullTypeNode(type=node) if item.get("NonNull") is True else node


def _selection_set(item: Json) -> ast.SelectionSetNode | None:
    selections = _objects(item, "SelectionSet", _selection_node)
    return ast.SelectionSetNode(selections=selections) if selections else None


def _selection_node(item: Json) -> Any:
    if "Alias" in item:
        alias, name = _name(item, "Alias"), _name(item)
        return ast.FieldNode(
            alias=None if alias.value in ("", name.value) else alias,
            name=name,
            arguments=_arguments(item),
            directives=_directives(item),
            selection_set=_selection_set(item),
        )
    if "Name" in item:
        return ast.FragmentSpreadNode(name=_name(item), directives=_directives(item))
    condition = _text(item, "TypeCondition")
    return ast.InlineFragmentNode(
        type_condition=_named(condition) if condition else None,
        directives=_directives(item),
        selection_set=_selection_set(item) or ast.SelectionSetNode(selections=()),
    )


def _variable_node(item: Json) -> ast.VariableDefinitionNode:
    return ast.VariableDefinitionNode(
        variable=ast.VariableNode(name=_name(item, "Variable")),
        type=_type_node(_object(item, "Type")),
        default_value=_default(item),
        directives=_directives(item),
    )


def query_from_json(document: Json) -> ast.DocumentNode:
    """ShapeError if it is none."""
    operations = _objects(document, "Operations", _operation_node)
    return ast.DocumentNode(
        definitions=(*operations, *_objects(document, "Fragments", _fragment_node))
    )


def _operation(item: Json) -> ast.OperationType:
    try:
        return ast.OperationType(_text(item, "Operation"))
    except ValueError:
        raise ShapeError("Operation must be query, mutation or subscription") from None


def _operation_node(item: Json) -> Any:
    name = _name(item)
    return ast.OperationDefinitionNode(
        operation=_operation(item),
        name=name if name.value else None,
        variable_definitions=_objects(item, "VariableDefinitions", _variable_node),
        directives=_directives(item),
        selection_set=_selection_set(item) or ast.SelectionSetNode(selections=()),
    )


def _fragment_node(item: Json) -> Any:
    return ast.FragmentDefinitionNode(
        name=_name(item),
        variable_definitions=_objects(item, "VariableDefinition", _variable_node),
        type_condition=_named(_text(item, "TypeCondition")),
        directives=_directives(item),
        selection_set=_selection_set(item) or ast.SelectionSetNode(selections=()),
    )


def schema_from_json(document: Json) -> ast.DocumentNode:
    """ShapeError if it is none."""
    definitions: list[Any] = [
        *_objects(document, "Schema", lambda item: _schema_node(item, ast.SchemaDefinitionNode)),
        *_objects(document, "SchemaExtension", lambda i: _schema_node(i, ast.SchemaExtensionNode)),
        *_objects(document, "Directives", _directive_definition_node),
        *_objects(document, "Definitions", lambda item: _definition_node(item, extension=False)),
        *_objects(document, "Extensions", lambda item: _definition_node(item, extension=True)),
    ]
    return ast.DocumentNode(definitions=tuple(definitions))


def _schema_node(item: Json, make: type[Any]) -> Any:
    def operation_type(one: Json) -> ast.OperationTypeDefinitionNode:
        named = _named(_text(one, "Type"))
        return ast.OperationTypeDefinitionNode(operation=_operation(one), type=named)

    extra = {} if make is ast.SchemaExtensionNode else {"description": _description_node(item)}
    return make(
        **extra,
        directives=_directives(item),
        operation_types=_objects(item, "OperationTypes", operation_type),
    )


def _directive_definition_node(item: Json) -> ast.DirectiveDefinitionNode:
    return ast.DirectiveDefinitionNode(
        description=_description_node(item),
        name=_name(item),
        arguments=_objects(item, "Arguments", _input_value_node),
        repeatable=item.get("IsRepeatable") is True,
        locations=tuple(ast.NameNode(value=text) for text in _texts(item, "Locations")),
    )


def _input_value_node(item: Json) -> ast.InputValueDefinitionNode:
    return ast.InputValueDefinitionNode(
        description=_description_node(item),
        name=_name(item),
        type=_type_node(_object(item, "Type")),
        default_value=_default(item),
        directives=_directives(item),
    )


def _field_node(item: Json) -> ast.FieldDefinitionNode:
    return ast.FieldDefinitionNode(
        description=_description_node(item),
        name=_name(item),
        arguments=_objects(item, "Arguments", _input_value_node),
        type=_type_node(_object(item, "Type")),
        directives=_directives(item),
    )


def _enum_value_node(item: Json) -> ast.EnumValueDefinitionNode:
    return ast.EnumValueDefinitionNode(
        description=_description_node(item),
        name=_name(item),
        directives=_directives(item),
    )


def _definition_node(item: Json, *, extension: bool) -> Any:
    kind = _text(item, "Kind")
    members: dict[str, Any] = {"name": _name(item), "directives": _directives(item)}
    if kind in ("OBJECT", "INTERFACE"):
        members["interfaces"] = tuple(_named(text) for text in _texts(item, "Interfaces"))
        members["fields"] = _objects(item, "Fields", _field_node)
    elif kind == "INPUT_OBJECT":
        members["fields"] = _objects(item, "Fields", _input_value_node)
    elif kind == "UNION":
        members["types"] = tuple(_named(text) for text in _texts(item, "Types"))
    elif kind == "ENUM":
        members["values"] = _objects(item, "EnumValues", _enum_value_node)
    for name, definition, extended in _DEFINITIONS:
        if name == kind:
            if extension:
                return extended(**members)
            return definition(**members, description=_description_node(item))
    raise ShapeError(f"unknown Kind {kind!r} of a definition")


def as_definition(extension: ast.Node) -> Any:
    """The definition with the content of an extension."""
    for _kind, definition, extended in _DEFINITIONS:
        if isinstance(extension, extended):
            members = {key: getattr(extension, key, None) for key in definition.keys}
            return definition(**(members | {"description": None}))
    raise ShapeError(f"no extension: {extension.kind}")
