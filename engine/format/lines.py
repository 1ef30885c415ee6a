"""Lines under construction: indentation, and where comments go.

It knows nothing of Rego but that a comment ends its line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment with the row that it stands on; `text` begins with `#`."""

    row: int
    text: str


class Misplaced(Exception):
    """A comment stands where this layout has no place for it."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A state of `Lines` to go back to."""

    count: int
    line: str
    level: int
    taken: int
    waiting: str
    row: int


class Lines:
    """Text line by line. Comments are taken from one list, in their order, as the rows that they stand on pass."""

    def __init__(self, comments: Sequence[Comment]) -> None:
        self._comments = comments
        self._taken = 0
        self._done: list[str] = []
        self._line = ""
        self._waiting = ""  # the comment that is to end the line under construction
        self.level = 0
        self.row = 0  # the row reached last

    def text(self) -> str:
        """All lines, without blank ones at the end."""
        count = len(self._done)
        while count and not self._done[count - 1]:
            count -= 1
        return "\n".join([*self._done[:count], ""])

    # Text

    def put(self, text: str) -> None:
        """Adds to the current line."""
        if not self._line:
            self._line = "\t" * self.level
        self._line += text

    def end(self) -> None:
        """Ends the line, with the comment that waits or stands on the row reached last. Misplaced if there are both."""
        if self.row and self.next_row() == self.row:
            self._hold(self._comments[self._taken])
            self._taken += 1
        if self._waiting:
            self.put(f" {self._waiting}" if self._line else self._waiting)
            self._waiting = ""
        self.turn()

    def turn(self) -> None:
        """Ends the line without a comment; one that waits goes on doing so."""
        self._done.append(self._line)
        self._line = ""

    def blank(self) -> None:
        """An empty line, unless one is there or nothing is."""
        if self._done and self._done[-1]:
            self._done.append("")

    # Comments

    def reach(self, row: int) -> None:
        """Comes to something on `row` in the midst of a statement; what stands nowhere (row 0) is of no matter."""
        if row:
            self.comments_above(row)
            self.row = row

    def begin(self, row: int) -> None:
        """Begins a line with what stands on `row`."""
        self.comments_above(row, afresh=True)
        self.row = row

    def comments_above(self, row: int, *, afresh: bool = False) -> None:
        """Puts the comments above `row`, each on a line; a blank line stays between two of them and after the last one.
        Unless the line begins `afresh`, one on the row reached last waits for the line's end."""
        last = 0
        for comment in self._take(row):
            if comment.row == self.row and not afresh:
                self._hold(comment)
                continue
            if last and comment.row - last > 1:
                self.blank()
            self.put(f"{comment.text} {self._waiting}" if self._waiting else comment.text)
            self._waiting = ""
            self.turn()
            last = comment.row
        if last and row - last > 1:
            self.blank()

    def comments_to_the_end(self) -> None:
        """Puts all comments that are left, without blank lines."""
        for comment in self._take(1 << 62):
            self.put(comment.text)
            self.turn()

    def next_row(self, least: int = 0) -> int:
        """The row of the first comment that is left and stands on row `least` or below; 0 if there is none."""
        at = self._taken
        while at < len(self._comments) and self._comments[at].row < least:
            at += 1
        return self._comments[at].row if at < len(self._comments) else 0

    def refuse_comments(self, first: int, last: int) -> None:
        """Misplaced if a comment that is left stands on one of these rows."""
        if first <= last and first <= self.next_row(first) <= last:
            raise Misplaced

    def take_comments(self, row: int) -> Sequence[Comment]:
        """The comments up to `row`, which the caller puts."""
        return self._take(row + 1)

    def skip_comments(self, row: int) -> None:
        """Leaves out the comments up to `row`: they are part of text that has been put as it was."""
        self._take(row + 1)

    def _take(self, row: int) -> Sequence[Comment]:
        """The comments above `row` that are left."""
        first = self._taken
        while self._taken < len(self._comments) and self._comments[self._taken].row < row:
            self._taken += 1
        return self._comments[first : self._taken]

    def _hold(self, comment: Comment) -> None:
        if self._waiting:
            raise Misplaced
        self._waiting = comment.text

    # Trials

    def mark(self) -> Mark:
        """The state as it is."""
        return Mark(len(self._done), self._line, self.level, self._taken, self._waiting, self.row)

    def back_to(self, mark: Mark) -> None:
        """Forgets all that came after `mark`."""
        del self._done[mark.count :]
        self._line, self.level = mark.line, mark.level
        self._taken, self._waiting, self.row = mark.taken, mark.waiting, mark.row
