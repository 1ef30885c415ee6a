"""The strings, constants, file names and builtin names that a policy under construction refers to by index.

Interning is by first use, so that equal input gives equal tables. This file must not know about statements.
"""

from __future__ import annotations

from cupcake.engine.plan import ir


class Pool:
    """Grows while functions are planned; `static()` freezes it."""

    __slots__ = ("_builtins", "_consts", "_files", "_strings")

    def __init__(self) -> None:
        self._strings: dict[str, int] = {}
        self._files: dict[str, int] = {}
        self._consts: dict[ir.Const, int] = {}
        self._builtins: dict[str, None] = {}

    def string(self, text: str) -> int:
        """Index of `text` in `Static.strings`."""
        return self._strings.setdefault(text, len(self._strings))

    def operand(self, text: str) -> ir.StringOperand:
        """`text` as an operand."""
        return ir.StringOperand(self.string(text))

    def text_at(self, index: int) -> str:
        """The string that `index` stands for."""
        return list(self._strings)[index]

    def const(self, value: ir.Const) -> int:
        """Index of `value` in `Static.consts`."""
        return self._consts.setdefault(value, len(self._consts))

    def file(self, name: str) -> int:
        """Index of `name` in `Static.files`."""
        return self._files.setdefault(name, len(self._files))

    def file_name(self, index: int) -> str:
        """The file name at `index`, empty when there is none."""
        return next((name for name, at in self._files.items() if at == index), "")

    def builtin(self, name: str) -> None:
        """Notes that the builtin `name` is called."""
        self._builtins.setdefault(name)

    def static(self) -> ir.Static:
        """The tables as they are now."""
        return ir.Static(
            strings=tuple(self._strings),
            builtins=tuple(ir.BuiltinDecl(name) for name in sorted(self._builtins)),
            files=tuple(self._files),
            consts=tuple(self._consts),
        )
