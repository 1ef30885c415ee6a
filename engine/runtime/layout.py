"""Constant values of a policy, laid out in the runtime's own format with hashes, order and hash indexes ready.

`ConstantPool` is what codegen and the linker use: constants go into the module's data segments and cost nothing at
evaluation. The order and the hashes here must equal those of `order.c` and `number.c`; tests compare them through the
runtime itself. This file is a leaf: it imports neither the IR nor the linker. The nodes of constants are recognised by their
fields (`ConstNumber.text`, `ConstArray.items`, `ConstSet.items`, `ConstObject.pairs` of `plan/ir.py`), an array and a set
by the name of their class.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import cmp_to_key
from typing import Protocol, TypeAlias, cast

from cupcake.engine.runtime import abi
from cupcake.engine.runtime.decimal_text import Decimal, parse_number

_MASK64 = (1 << 64) - 1


class NumberNode(Protocol):
    """A number by its literal text."""

    @property
    def text(self) -> str: ...


class ItemsNode(Protocol):
    """An array, or a set (elements unsorted, may repeat)."""

    @property
    def items(self) -> Sequence[ConstantNode]: ...


class ObjectNode(Protocol):
    """An object; of equal keys the last one counts."""

    @property
    def pairs(self) -> Sequence[tuple[ConstantNode, ConstantNode]]: ...


ConstantNode: TypeAlias = bool | str | NumberNode | ItemsNode | ObjectNode | None


class LayoutError(ValueError):
    """A constant that is none of the nodes above, or a number that is not JSON's grammar."""


def _mix(h: int, word: int) -> int:
    h = ((h ^ word) * abi.HASH_MUL) & _MASK64
    return h ^ (h >> 29)


def _fold(h: int) -> int:
    return ((h ^ (h >> 32)) & 0xFFFFFFFF) or 1


def _hash_bytes(h: int, data: bytes) -> int:
    padded = data + b"\0" * (-len(data) % 8)
    mul = abi.HASH_MUL
    for word in struct.unpack(f"<{len(padded) // 8}Q", padded):
        h = ((h ^ word) * mul) & _MASK64
        h ^= h >> 29
    return h


class _Placed:
    """A value that is in the pool: its offset, its hash, and what ordering it needs."""

    __slots__ = ("hash", "offset", "order", "tag")

    def __init__(self, offset: int, tag: int, hashed: int, order: object) -> None:
        self.offset = offset
        self.tag = tag
        self.hash = hashed
        #: bool: bool; number: Decimal; string: its bytes; array, set and object: a tuple of _Placed in Rego order
        #: (key, value, key, value ... for an object)
        self.order = order


def _compare_runs(a: tuple[_Placed, ...], b: tuple[_Placed, ...]) -> int:
    for x, y in zip(a, b, strict=False):
        if order := _compare(x, y):
            return order
    return (len(a) > len(b)) - (len(a) < len(b))


def _compare(a: _Placed, b: _Placed) -> int:
    if a is b:
        return 0
    if a.tag != b.tag:
        return -1 if a.tag < b.tag else 1
    if a.tag in (abi.ARRAY, abi.OBJECT, abi.SET):
        return _compare_runs(cast(tuple[_Placed, ...], a.order), cast(tuple[_Placed, ...], b.order))
    if a.tag == abi.NUMBER:
        return cast(Decimal, a.order).compare(cast(Decimal, b.order))
    x, y = cast(bytes, a.order), cast(bytes, b.order)
    return (x > y) - (x < y)


_sort_key = cmp_to_key(_compare)


class ConstantImages:
    """Strings as they stand in a pool, with their hashes and bytes: the same in every pool, and most of the work."""

    __slots__ = ("_strings",)

    def __init__(self) -> None:
        self._strings: dict[str, tuple[bytes, int, bytes]] = {}

    def string(self, value: str) -> tuple[bytes, int, bytes]:
        """(image, a multiple of 8 bytes; hash; UTF-8 text)."""
        found = self._strings.get(value)
        if found is None:
            found = self._strings[value] = _string_image(value)
        return found


def _string_image(value: str) -> tuple[bytes, int, bytes]:
    # A lone surrogate becomes U+FFFD, as in a string that is read at run time.
    data = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
    hashed = _fold(_hash_bytes(abi.HASH_SEED_STRING ^ len(data), data))
    size = abi.OFF_STR_BYTES + len(data) + 1
    image = bytearray(size + -size % 8)
    struct.pack_into("<BBHI", image, 0, abi.STRING, 0, 0, hashed)
    struct.pack_into("<I", image, abi.OFF_STR_LEN, len(data))
    image[abi.OFF_STR_BYTES : abi.OFF_STR_BYTES + len(data)] = data
    return bytes(image), hashed, data


class ConstantPool:
    """Collects constants; each distinct one is stored once. Offsets count from the pool's start, which is 8-aligned.

    `finish(base)` gives the bytes for a data segment at address `base`, with every address inside relocated. It may be called
    again, also after more was added.
    """

    def __init__(self, images: ConstantImages | None = None) -> None:
        """`images` may be shared between pools, so that strings are made once."""
        self._images = ConstantImages() if images is None else images
        self._data = bytearray()
        self._relocations: list[int] = []
        self._known: dict[object, _Placed] = {}
        self._blobs: dict[tuple[bytes, int], int] = {}

    def add(self, value: ConstantNode) -> int:
        """Offset of a constant. Raises LayoutError for what is no constant. Equal values share one offset, but
        numbers that differ in their text (1 and 1.0) do not."""
        try:
            return self._place(value, 0).offset
        except RecursionError:
            raise LayoutError("a constant is nested too deeply") from None

    def add_bytes(self, data: bytes, align: int = 8) -> int:
        """Offset of raw bytes (tables, programs); `align` is a power of two, at most 8. Deduplicated."""
        known = self._blobs.get((data, align))
        if known is None:
            self._data += b"\0" * (-len(self._data) % align)
            known = self._blobs[data, align] = len(self._data)
            self._data += data
        return known

    def place_block(self, data: bytes) -> None:
        """Start the pool with bytes whose addresses are final: the pool must be empty, and finished at the base that the
        bytes were made for."""
        if self._data:
            raise LayoutError("a block with addresses of its own must come first")
        self._data += data

    def add_table(self, words: Sequence[tuple[int, bool]]) -> int:
        """Offset of a table of u32 words; a pair is (word, is an offset of this pool). Not deduplicated."""
        offset = self._reserve(4 * len(words))
        for i, (word, is_offset) in enumerate(words):
            self._word(offset + 4 * i, word, relocate=is_offset)
        return offset

    @property
    def size(self) -> int:
        """Bytes so far, 8-aligned."""
        return len(self._data) + (-len(self._data) % 8)

    def finish(self, base: int) -> bytes:
        """The bytes for address `base` (8-aligned). Raises LayoutError when they do not fit in 32 bits."""
        if base % 8 or base < 0 or base + self.size > 0xFFFFFFFF:
            raise LayoutError(f"constants of {self.size} bytes cannot be placed at address {base}")
        out = bytearray(self._data)
        out += b"\0" * (-len(out) % 8)
        for at in self._relocations:
            (offset,) = struct.unpack_from("<I", out, at)
            struct.pack_into("<I", out, at, base + offset)
        return bytes(out)

    # -- building blocks --

    def _reserve(self, size: int) -> int:
        self._data += b"\0" * (-len(self._data) % 8)
        offset = len(self._data)
        self._data += bytes(size)
        return offset

    def _word(self, at: int, word: int, *, relocate: bool = False) -> None:
        struct.pack_into("<I", self._data, at, word)
        if relocate:
            self._relocations.append(at)

    def _head(self, at: int, tag: int, kind: int, flags: int, hashed: int) -> None:
        struct.pack_into("<BBHI", self._data, at, tag, kind, flags, hashed)

    # -- values --

    def _place(self, value: ConstantNode, depth: int) -> _Placed:
        if depth > abi.JSON_DEPTH_MAX:
            raise LayoutError(f"a constant is nested more than {abi.JSON_DEPTH_MAX} levels deep")
        if value is None or isinstance(value, bool):
            return self._scalar(value)
        if isinstance(value, str):
            return self._string(value)
        text = getattr(value, "text", None)
        if isinstance(text, str):
            return self._number(text)
        pairs = getattr(value, "pairs", None)
        if pairs is not None:
            entries: list[tuple[_Placed, _Placed]] = []
            for k, v in pairs:
                entries.append((self._place(k, depth + 1), self._place(v, depth + 1)))
            return self._object(entries)
        items = getattr(value, "items", None)
        if items is None or callable(items):
            raise LayoutError(f"{type(value).__name__} is not a constant")
        placed: list[_Placed] = []
        for item in items:  # a loop: a comprehension would take a second Python frame a level
            placed.append(self._place(item, depth + 1))
        return self._set(placed) if "Set" in type(value).__name__ else self._array(placed)

    def _scalar(self, value: bool | None) -> _Placed:
        key = ("scalar", value)
        if known := self._known.get(key):
            return known
        offset = self._reserve(8)
        if value is None:
            hashed, tag = abi.HASH_NULL, abi.NULL
        else:
            hashed, tag = abi.HASH_TRUE if value else abi.HASH_FALSE, abi.BOOLEAN
        self._head(offset, tag, int(bool(value)), 0, hashed)
        self._known[key] = _Placed(offset, tag, hashed, b"\1" if value else b"\0")
        return self._known[key]

    def _string(self, value: str) -> _Placed:
        key = ("string", value)
        if known := self._known.get(key):
            return known
        image, hashed, data = self._images.string(value)
        offset = self._reserve(0)
        self._data += image
        self._known[key] = _Placed(offset, abi.STRING, hashed, data)
        return self._known[key]

    def _number(self, text: str) -> _Placed:
        key = ("number", text)
        if known := self._known.get(key):
            return known
        number = parse_number(text)
        if number is None:
            raise LayoutError(f"{text!r} is not a number")
        whole = number.as_int64()
        if whole is not None:
            hashed = _fold(_mix(abi.HASH_SEED_INT, whole & _MASK64))
        else:
            h = _mix(abi.HASH_SEED_DECIMAL ^ int(number.negative), number.point & _MASK64)
            hashed = _fold(_hash_bytes(h, number.digits.encode()))
        if whole is not None and str(whole) == text:
            offset = self._reserve(abi.SIZE_INT)
            self._head(offset, abi.NUMBER, abi.NUM_INT, 0, hashed)
            struct.pack_into("<q", self._data, offset + abi.OFF_INT, whole)
        else:
            body = text.encode() + number.digits.encode()
            offset = self._reserve(abi.OFF_NUM_TEXT + len(body))
            flags = abi.FLAG_NEGATIVE if number.negative else 0
            self._head(offset, abi.NUMBER, abi.NUM_TEXT, flags, hashed)
            self._word(offset + abi.OFF_NUM_TEXT_LEN, len(text))
            self._word(offset + abi.OFF_NUM_DIGIT_COUNT, len(number.digits))
            struct.pack_into("<q", self._data, offset + abi.OFF_NUM_POINT, number.point)
            start = offset + abi.OFF_NUM_TEXT
            self._data[start : start + len(body)] = body
        self._known[key] = _Placed(offset, abi.NUMBER, hashed, number)
        return self._known[key]

    def _array(self, items: list[_Placed]) -> _Placed:
        key = ("array", *(item.offset for item in items))
        if known := self._known.get(key):
            return known
        h = abi.HASH_SEED_ARRAY
        for item in items:
            h = _mix(h, item.hash)
        hashed = _fold(h)
        offset = self._reserve(abi.SIZE_ARRAY + 4 * len(items))
        self._head(offset, abi.ARRAY, 0, 0, hashed)
        self._items(offset, abi.SIZE_ARRAY, len(items), items)
        self._known[key] = _Placed(offset, abi.ARRAY, hashed, tuple(items))
        return self._known[key]

    def _items(self, offset: int, size: int, count: int, items: Sequence[_Placed]) -> None:
        self._word(offset + abi.OFF_LEN, count)
        self._word(offset + abi.OFF_CAP, count)
        self._word(offset + abi.OFF_ITEMS, offset + size, relocate=True)
        for i, item in enumerate(items):
            self._word(offset + size + 4 * i, item.offset, relocate=True)

    def _index(self, offset: int, keys: Sequence[_Placed]) -> None:
        if len(keys) <= abi.TABLE_SMALL:
            return
        slots = 32
        while slots < 2 * len(keys):
            slots *= 2
        index = [0] * slots
        for number, key in enumerate(keys, 1):
            at = key.hash & (slots - 1)
            while index[at]:
                at = (at + 1) & (slots - 1)
            index[at] = number
        start = self._reserve(4 * slots)
        struct.pack_into(f"<{slots}I", self._data, start, *index)
        self._word(offset + abi.OFF_INDEX, start, relocate=True)
        self._word(offset + abi.OFF_MASK, slots - 1)

    def _set(self, items: list[_Placed]) -> _Placed:
        unique: list[_Placed] = []
        for item in sorted(items, key=_sort_key):
            if not unique or _compare(unique[-1], item) != 0:
                unique.append(item)
        key = ("set", *(item.offset for item in unique))
        if known := self._known.get(key):
            return known
        total = len(unique)
        for item in unique:
            total += _mix(abi.HASH_SEED_SET, item.hash)
        hashed = _fold(_mix(abi.HASH_SEED_SET, total & _MASK64))
        offset = self._reserve(abi.SIZE_TABLE + 4 * len(unique))
        self._head(offset, abi.SET, 0, abi.FLAG_SORTED, hashed)
        self._items(offset, abi.SIZE_TABLE, len(unique), unique)
        self._index(offset, unique)
        self._known[key] = _Placed(offset, abi.SET, hashed, tuple(unique))
        return self._known[key]

    def _object(self, pairs: list[tuple[_Placed, _Placed]]) -> _Placed:
        entries: list[tuple[_Placed, _Placed]] = []
        for pair in sorted(pairs, key=lambda pair: _sort_key(pair[0])):
            if entries and _compare(entries[-1][0], pair[0]) == 0:
                entries[-1] = (entries[-1][0], pair[1])
            else:
                entries.append(pair)
        flat = tuple(item for pair in entries for item in pair)
        key = ("object", *(item.offset for item in flat))
        if known := self._known.get(key):
            return known
        total = len(entries)
        for name, value in entries:
            total += _mix(_mix(abi.HASH_SEED_OBJECT, name.hash), value.hash)
        hashed = _fold(_mix(abi.HASH_SEED_OBJECT, total & _MASK64))
        offset = self._reserve(abi.SIZE_TABLE + 4 * len(flat))
        self._head(offset, abi.OBJECT, 0, abi.FLAG_SORTED, hashed)
        self._items(offset, abi.SIZE_TABLE, len(entries), flat)
        self._index(offset, [name for name, _ in entries])
        self._known[key] = _Placed(offset, abi.OBJECT, hashed, flat)
        return self._known[key]
