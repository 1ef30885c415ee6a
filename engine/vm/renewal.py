"""What a program's memory holds before anything runs in it, and how a used one is brought back to that.

A memory is renewed as a whole: the processor keeps the module from writing its constants, and everything else is
overwritten, whatever the module said that it used. It must not know wasmtime.
"""

from __future__ import annotations

import ctypes as c
import functools
import mmap
import sys
from collections.abc import Callable

# So much of a heap is zeroed by writing; what lies behind goes back to the system, as its pages may never be needed again.
# A page fault costs as much as writing 8 KB.
RESIDENT_BYTES = 512 << 10
_READ, _WRITE = 1, 2
_DONTNEED = 4


class Baseline:
    """The first state of the memories of one program, taken from one in which nothing has run yet.

    All addresses are those of the host; `constants` are start and end in linear memory of what no instruction writes.
    Behind them memory is zero."""

    __slots__ = ("_end", "_head", "_pages", "_tail", "_zeros")

    def __init__(self, base: int, constants: tuple[int, int]) -> None:
        start, self._end = constants
        page = mmap.PAGESIZE
        first, last = -(-start // page) * page, self._end // page * page
        # Only whole pages can be kept from being written.
        self._pages = (first, last) if first < last else (self._end, self._end)
        head = c.string_at(base, self._pages[0])
        # The shadow stack is first in memory.
        self._head = head.lstrip(b"\0")
        self._zeros = len(head) - len(self._head)
        self._tail = c.string_at(base + self._pages[1], self._end - self._pages[1])

    def seal(self, base: int) -> bool:
        """Let the constants of a memory be read only. False where the system does not: it cannot be renewed then."""
        return self._protect(base, _READ)

    def unseal(self, base: int) -> bool:
        """Undo `seal`, as whoever gave the memory expects of it."""
        return self._protect(base, _READ | _WRITE)

    def restore(self, base: int, size: int) -> None:
        """Make a sealed memory of `size` bytes what one is in which nothing has run, and which was grown to that size."""
        c.memset(base, 0, self._zeros)
        c.memmove(base + self._zeros, self._head, len(self._head))
        if self._tail:
            c.memmove(base + self._pages[1], self._tail, len(self._tail))
        room = size - self._end
        if room > RESIDENT_BYTES:
            room = -(-(self._end + RESIDENT_BYTES) // mmap.PAGESIZE) * mmap.PAGESIZE - self._end
            if _madvise()(base + self._end + room, size - self._end - room, _DONTNEED):
                room = size - self._end
        c.memset(base + self._end, 0, room)

    def _protect(self, base: int, access: int) -> bool:
        first, last = self._pages
        return first == last or not _mprotect()(base + first, last - first, access)


def is_possible() -> bool:
    """Whether this system's pages can be protected the way that `Baseline` does."""
    return sys.platform == "linux"


@functools.cache
def _mprotect() -> Callable[[int, int, int], int]:
    return _of_libc("mprotect")


@functools.cache
def _madvise() -> Callable[[int, int, int], int]:
    return _of_libc("madvise")


def _of_libc(name: str) -> Callable[[int, int, int], int]:
    prototype = c.CFUNCTYPE(c.c_int, c.c_void_p, c.c_size_t, c.c_int)
    return prototype((name, c.CDLL(None)))
