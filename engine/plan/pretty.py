"""IR as text, for golden tests and for reading. It must not be parsed back; `json_form` is for that."""

from __future__ import annotations

from dataclasses import fields

from cupcake.engine.builtins.texts import SURROGATES
from cupcake.engine.plan import ir


def pretty(policy: ir.Policy, *, places: bool = False) -> str:
    """All plans and functions of a policy, a statement a line; `places` adds `@file:row:col`."""
    out: list[str] = []
    printer = _Printer(policy.static, places, out)
    for plan in policy.plans:
        out.append(f"plan {plan.name}")
        printer.blocks(plan.blocks, 1)
    for func in policy.funcs:
        params = ", ".join(f"${param}" for param in func.params)
        out.append(f"func {func.name}({params}) -> ${func.result}")
        printer.blocks(func.blocks, 1)
    return "\n".join(out) + "\n"


def const_text(const: ir.Const) -> str:
    """A constant as a Rego term."""
    match const:
        case None:
            return "null"
        case bool():
            return "true" if const else "false"
        case str():
            return _quoted(const)
        case ir.ConstNumber():
            return const.text
        case ir.ConstArray():
            return "[" + ", ".join(const_text(item) for item in const.items) + "]"
        case ir.ConstSet():
            inside = ", ".join(const_text(item) for item in const.items)
            return "{" + inside + "}" if inside else "set()"
        case ir.ConstObject():
            pairs = (f"{const_text(k)}: {const_text(v)}" for k, v in const.pairs)
            return "{" + ", ".join(pairs) + "}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    plain = f'"{escaped}"'.replace("\x00", "\\u0000")
    # A byte that is not UTF-8, in a value that a policy printed.
    return SURROGATES.sub(lambda found: f"\\x{ord(found[0]) & 0xFF:02x}", plain)


class _Printer:
    def __init__(self, static: ir.Static, places: bool, out: list[str]) -> None:
        self._static = static
        self._places = places
        self._out = out

    def blocks(self, blocks: tuple[ir.Block, ...], level: int) -> None:
        """Prints blocks, each under a line of its own."""
        for block in blocks:
            self.block("block", block, level)

    def block(self, label: str, block: ir.Block, level: int) -> None:
        """Prints one block."""
        self._out.append("  " * level + label)
        for stmt in block.stmts:
            self._stmt(stmt, level + 1)

    def _stmt(self, stmt: ir.Stmt, level: int) -> None:
        words = [type(stmt).__name__.removesuffix("Stmt")]
        for field in fields(stmt):
            if field.name in ("place", "block", "blocks", "cases", "default"):
                continue
            words.append(f"{field.name}={self._field(stmt, field.name)}")
        if self._places and stmt.place.row:
            name = self._static.files[stmt.place.file]
            words.append(f"@{name}:{stmt.place.row}:{stmt.place.col}")
        self._out.append("  " * level + " ".join(words))
        match stmt:
            case ir.BlockStmt():
                self.blocks(stmt.blocks, level + 1)
            case ir.NotStmt() | ir.ScanStmt() | ir.WithStmt():
                self.block("block", stmt.block, level + 1)
            case ir.SwitchStmt():
                for strings, block in stmt.cases:
                    texts = ", ".join(_quoted(self._static.strings[index]) for index in strings)
                    self.block(f"case {texts}", block, level + 1)
                self.block("default", stmt.default, level + 1)
            case _:
                pass

    def _field(self, stmt: ir.Stmt, name: str) -> str:
        value = getattr(stmt, name)
        if isinstance(stmt, ir.LoadConstStmt) and name == "index":
            return const_text(self._static.consts[stmt.index])
        if isinstance(stmt, ir.MakeNumberRefStmt) and name == "index":
            return self._static.strings[stmt.index]
        if isinstance(stmt, ir.WithStmt) and name == "path":
            return "[" + ", ".join(_quoted(self._static.strings[i]) for i in stmt.path) + "]"
        if isinstance(value, tuple):
            return "[" + ", ".join(self._operand(item) for item in value) + "]"
        numbers = isinstance(stmt, ir.AssignIntStmt | ir.MakeNumberIntStmt) and name == "value"
        if numbers or name in ("capacity", "counter", "index", "func"):
            return str(value)
        return self._operand(value)

    def _operand(self, value: object) -> str:
        match value:
            case ir.LocalOperand():
                return f"${value.local}"
            case ir.BoolOperand():
                return "true" if value.value else "false"
            case ir.StringOperand():
                return _quoted(self._static.strings[value.index])
            case _:
                return f"${value}"
