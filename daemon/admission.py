"""Who waits, in which order, and who is refused: the fair queue and the quarantine. Pure; the clock is passed in.

It must not know frames, sockets or engines."""

from __future__ import annotations

import hashlib
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar


class Queued(Protocol):
    """What the queue needs to know of a request."""

    identity: bytes
    deadline: float


T = TypeVar("T", bound=Queued)


class FairQueue(Generic[T]):
    """At most `bound` waiting requests, taken in turn from the clients that have any.

    When it is full, a client that has fewer waiting than the greediest displaces that one's newest:
    so no client can keep the others out by filling the queue.
    """

    __slots__ = ("_bound", "_lines", "_size")

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._lines: OrderedDict[bytes, deque[T]] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[T]:
        for line in self._lines.values():
            yield from line

    def push(self, item: T) -> T | None:
        """The request that must be refused for it: None, another client's, or `item` itself."""
        refused: T | None = None
        line = self._lines.get(item.identity)
        if self._size >= self._bound:
            greedy = max(self._lines.values(), key=len)
            if len(greedy) <= (len(line) + 1 if line is not None else 1):
                return item
            refused = greedy.pop()
            self._size -= 1
        if line is None:
            line = self._lines[item.identity] = deque()
        line.append(item)
        self._size += 1
        return refused

    def pop(self) -> T:
        """The next one in turn; the queue must not be empty."""
        identity, line = next(iter(self._lines.items()))
        item = line.popleft()
        self._size -= 1
        if line:
            self._lines.move_to_end(identity)
        else:
            del self._lines[identity]
        return item

    def remove_if(self, condition: Callable[[T], bool]) -> list[T]:
        """Take out and return those that fulfil the condition."""
        gone: list[T] = []
        for identity in list(self._lines):
            line = self._lines[identity]
            kept: deque[T] = deque()
            for item in line:
                (gone if condition(item) else kept).append(item)
            if kept:
                self._lines[identity] = kept
            else:
                del self._lines[identity]
        self._size -= len(gone)
        return gone


@dataclass(slots=True)
class Quarantine:
    """Digests of request bodies that killed two engines; bounded and forgetting."""

    lasts: float
    bound: int = 256
    _until: OrderedDict[bytes, float] = field(default_factory=OrderedDict)

    def __bool__(self) -> bool:
        return bool(self._until)

    def add(self, body: bytes, now: float) -> None:
        digest = _digest(body)
        self._until[digest] = now + self.lasts
        self._until.move_to_end(digest)
        while len(self._until) > self.bound:
            self._until.popitem(last=False)

    def holds(self, body: bytes, now: float) -> bool:
        digest = _digest(body)
        until = self._until.get(digest)
        if until is None:
            return False
        if until <= now:
            del self._until[digest]
            return False
        return True

    def clear(self) -> None:
        """New policies may judge the same event without harm."""
        self._until.clear()


def _digest(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=16).digest()
