"""No text makes the parser do anything but return a tree or raise CompileErrors."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from cupcake.engine.errors import CompileErrors
from cupcake.engine.rego import ast
from cupcake.engine.rego.lexer import KEYWORDS_V1
from cupcake.engine.rego.parser import RegoVersion, parse_module, parse_query, parse_term
from cupcake.engine.rego.render import render, render_term

_WORDS = [
    *sorted(KEYWORDS_V1),
    *("data", "input", "rego", "future", "keywords", "v1", "set", "a", "b", "p", "_", "x1"),
    *(":=", "==", "!=", "<=", ">=", *"=<>+-*/%&|[]{}().,;:"),
    *['"s"', '"\\u00e9"', '"\\', "`r", "`", '$"', "$`", '$"{', '}"', "1", "0", "1.5e3", ".5", "07"],
    *["\n", " ", "\t", "#c\n", "# METADATA\n", "# scope: rule\n", "\x00", "\ud800", "é", "\ufeff"],
    "package a\n",
]
_NOISE = st.lists(st.sampled_from(_WORDS), max_size=40).map("".join)
_SPACED = st.lists(st.sampled_from(_WORDS), max_size=40).map(" ".join)


@settings(max_examples=300, deadline=None)
@given(st.one_of(_NOISE, _SPACED, st.text(max_size=60)), st.sampled_from(["v0", "v1"]))
def test_any_text_is_parsed_or_refused(text: str, version: RegoVersion) -> None:
    for attempt in (
        lambda: parse_module(text, "a.rego", rego_version=version),
        lambda: parse_module(f"package a\n{text}", "a.rego", rego_version=version),
        lambda: parse_query(text, rego_version=version),
        lambda: parse_term(text),
    ):
        try:
            attempt()
        except CompileErrors as error:
            assert error.diagnostics
            assert all(found.code == "rego_parse_error" for found in error.diagnostics)
            assert error.diagnostics == tuple(
                sorted(error.diagnostics, key=lambda found: (found.row, found.col))
            )
            str(error)


_names = st.sampled_from(["a", "b", "x_1", "input", "data"])
_leaves: st.SearchStrategy[ast.Term] = st.one_of(
    st.builds(ast.Var, _names),
    st.builds(ast.String, st.text(max_size=8)),
    st.builds(ast.Number, st.integers().map(str)),
    st.builds(ast.Boolean, st.booleans()),
    st.just(ast.Null()),
)
_operators = st.sampled_from(
    [
        *(ast.Ref((ast.Var(name),)) for name in ("plus", "or", "and", "lt", "mul", "f", "equal")),
        ast.Ref((ast.Var("internal"), ast.String("member_2"))),
        ast.Ref((ast.Var("json"), ast.String("is_valid"))),
    ]
)


def _grow(inner: st.SearchStrategy[ast.Term]) -> st.SearchStrategy[ast.Term]:
    items = st.lists(inner, max_size=3).map(tuple)
    body = st.lists(
        st.one_of(
            st.builds(ast.Expr, inner, st.booleans()),
            st.builds(ast.Expr, st.builds(ast.Assign, inner, inner)),
            st.builds(ast.Expr, st.builds(ast.SomeIn, st.none() | inner, inner, inner)),
        ),
        min_size=1,
        max_size=2,
    ).map(tuple)
    return st.one_of(
        st.builds(ast.Array, items),
        st.builds(ast.Set, items),
        st.builds(ast.Object, st.lists(st.tuples(inner, inner), max_size=2).map(tuple)),
        st.builds(ast.Call, _operators, st.tuples(inner, inner)),
        st.builds(ast.ArrayComprehension, inner, body),
        st.builds(ast.SetComprehension, inner, body),
        st.builds(ast.ObjectComprehension, inner, inner, body),
        st.builds(
            lambda name, path: ast.Ref((ast.Var(name), *path)),
            _names,
            st.lists(inner, min_size=1, max_size=3),
        ),
    )


@settings(max_examples=200, deadline=None)
@given(st.recursive(_leaves, _grow, max_leaves=12))
def test_a_rendered_term_parses_to_itself(term: ast.Term) -> None:
    assert parse_term(render_term(term)) == term
    (expr,) = parse_query(render(ast.Expr(term)))
    assert expr.kind == term
