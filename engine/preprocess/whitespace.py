"""Normalise the blanks of a shell command, so that `rm  -rf` and `rm\\t-rf` read as `rm -rf`. Pure.

Quoted and escaped text is left alone. Nothing is decoded (`$IFS`, variables, base64): this is no shell parser.
"""

from __future__ import annotations

import re

# Unicode's White_Space property. Python's str.isspace also holds U+001C..1F, which no shell splits at.
_BLANK = "\t\n\v\f\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_BLANKS = re.compile(f"[{_BLANK}]+")
_TRIM = "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
_QUOTING = re.compile(r"['\"\\]")
_PIECES = re.compile(
    # escape | quoted text, closed or running to the end | blanks
    rf"\\.|\\\Z|'[^']*(?:'|\Z)|\"[^\"\\]*+(?:\\.[^\"\\]*+)*+(?:\"|\\?\Z)|([{_BLANK}]+)",
    re.DOTALL,
)


def normalise_whitespace(command: str) -> str:
    """Each run of blanks outside quotes becomes one space; both ends are trimmed."""
    if _QUOTING.search(command) is None:
        return _BLANKS.sub(" ", command).strip(" ")
    return _PIECES.sub(_piece, command).strip(_TRIM)


def _piece(found: re.Match[str]) -> str:
    return " " if found.group(1) else found.group()
