"""Rego text to tokens: one compiled pattern, one pass, parallel lists instead of token objects.

It knows spelling (which characters form a word, a number, a string) and nothing of grammar; it never
raises on bad text but leaves an `illegal` token with its reason, so that the parser can go on and
report everything at once.
"""

from __future__ import annotations

import json
import re
from typing import Final

KEYWORDS_V0: Final = frozenset(
    ("package", "import", "as", "default", "else", "not", "some", "with", "null", "true", "false")
)
KEYWORDS_FUTURE: Final = frozenset(("in", "every", "contains", "if"))
KEYWORDS_V1: Final = KEYWORDS_V0 | KEYWORDS_FUTURE
# Keywords only where a module imports them.
KEYWORDS_LOGICAL: Final = frozenset(("and", "or"))
KEYWORDS_ALL: Final = KEYWORDS_V1 | KEYWORDS_LOGICAL

TIGHT: Final = 0  # no whitespace stands before the token
SPACED: Final = 1
NEWLINE: Final = 2

_WORD, _MARK, _STRING, _NUMBER, _COMMENT, _RAW, _ESCAPED, _TEMPLATE, _BAD, _END = range(1, 11)

_MASTER: Final = re.compile(
    r"""[ \t\r\n]*+(?:
      ([A-Za-z_][A-Za-z0-9_]*+)
    | (:=|==|!=|<=|>=|[][{}().,;:=<>+\-*/%&|])
    | ("[^"\\\n]*+")
    | ([0-9]++(?:\.[0-9]*+)?+(?:[eE][+-]?+[0-9]*+)?+[A-Za-z0-9_]*+)
    | (\#[^\n]*+)
    | (`[^`]*+`)
    | ("(?:[^"\\\n]|\\[^\n])*+")
    | (\$["`])
    | ("[^\n]*+|`[^`]*+|.)
    | (\Z)
    )""",
    re.VERBOSE | re.DOTALL,
)
_CHUNK: Final = re.compile(r'(?:[^"\\{\n]|\\[^\n])*+')
_RAW_CHUNK: Final = re.compile(r"(?:[^`\\{]|\\\{?+)*+")
_NUMBER_SHAPE: Final = re.compile(r"(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][+-]?+[0-9]++)?+")
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_FORBIDDEN: Final = re.compile("[\x00\ud800-\udfff]")
_SURROGATES: Final = re.compile("[\ud800-\udfff]")

# The largest binary exponent of a number literal, as OPA has it: larger ones cost time without use.
_MAX_EXPONENT: Final = 100_000
# More bad characters than this are no Rego text; reading on would only cost memory.
_MAX_PROBLEMS: Final = 100
_MAX_LINE: Final = 500


class Tokens:
    """The tokens of one text, as parallel lists; the last one is always `eof`.

    `kinds[i]` is a mark or keyword itself, or one of ident, number, string, template, chunk, open,
    close, end, illegal, eof. `texts[i]` is the text as written, for string and chunk its value.
    `gaps[i]` says what stands before the token: TIGHT, SPACED or NEWLINE (a comment is a space).
    `problems` maps the index of an illegal token to (message, hint). `comments` holds
    (row, col, offset, text without `#`) in order.
    """

    __slots__ = (
        "cols",
        "comments",
        "ends",
        "gaps",
        "kinds",
        "problems",
        "rows",
        "source",
        "starts",
        "texts",
    )

    def __init__(self, source: str) -> None:
        self.source = source
        self.kinds: list[str] = []
        self.texts: list[str] = []
        self.starts: list[int] = []
        self.ends: list[int] = []
        self.rows: list[int] = []
        self.cols: list[int] = []
        self.gaps: list[int] = []
        self.problems: dict[int, tuple[str, str]] = {}
        self.comments: list[tuple[int, int, int, str]] = []

    def line_at(self, offset: int) -> str:
        """The line that holds `offset`, without its line end; empty when it is too long to show."""
        begin = self.source.rfind("\n", 0, offset) + 1
        end = self.source.find("\n", offset)
        line = self.source[begin : end if end >= 0 else len(self.source)].rstrip("\r")
        return line if len(line) <= _MAX_LINE else ""

    def promote(self, words: frozenset[str], start: int) -> None:
        """Make `words` keywords from token `start` on (a future keyword has been imported)."""
        kinds, texts = self.kinds, self.texts
        for i in range(start, len(kinds)):
            if kinds[i] == "ident" and texts[i] in words:
                kinds[i] = texts[i]


def tokenize(source: str, keywords: frozenset[str]) -> Tokens:
    """All tokens of `source`. Never raises: bad text becomes `illegal` tokens with a reason."""
    tokens = Tokens(source)
    kinds, texts, problems = tokens.kinds, tokens.texts, tokens.problems
    starts, ends, rows = tokens.starts, tokens.ends, tokens.rows
    cols, gaps = tokens.cols, tokens.gaps
    row, line_start, gap = 1, 0, TIGHT
    at = 1 if source.startswith("\ufeff") else 0
    # For each template expression that is open: its quote and how many braces are open within it.
    templates: list[list[object]] = []
    forbidden = None if source.isascii() and "\x00" not in source else _FORBIDDEN.search(source)
    limit = forbidden.start() if forbidden else len(source)

    def put(kind: str, text: str, start: int, end: int) -> None:
        kinds.append(kind)
        texts.append(text)
        starts.append(start)
        ends.append(end)
        rows.append(row)
        cols.append(start - line_start + 1)
        gaps.append(gap)

    done = False
    while not done:
        resume = -1  # where a template chunk begins, when one does
        quote = '"'
        for match in _MASTER.finditer(source, at, limit):
            group = match.lastindex
            assert group is not None
            before = match.start()
            start, end = match.span(group)
            if before != start:
                space = source[before:start]
                if "\n" in space:
                    row += space.count("\n")
                    line_start = before + space.rfind("\n") + 1
                    gap = NEWLINE
                elif gap == TIGHT:
                    gap = SPACED
            if group == _COMMENT:
                text = source[start + 1 : end].removesuffix("\r")
                tokens.comments.append((row, start - line_start + 1, start, text))
                gap = gap or SPACED
                continue
            if group == _END:
                done = True
                break
            # Written out rather than calling put(): this is the loop that every byte pays for.
            starts.append(start)
            ends.append(end)
            rows.append(row)
            cols.append(start - line_start + 1)
            gaps.append(gap)
            gap = TIGHT
            if group == _WORD:
                text = source[start:end]
                kinds.append(text if text in keywords else "ident")
                texts.append(text)
            elif group == _MARK:
                text = source[start:end]
                texts.append(text)
                if templates and (text in {"{", "}"}):
                    top = templates[-1]
                    depth = top[1]
                    assert isinstance(depth, int)
                    if text == "{":
                        top[1] = depth + 1
                    elif depth:
                        top[1] = depth - 1
                    else:
                        kinds.append("close")
                        quote = str(templates.pop()[0])
                        resume = end
                        break
                kinds.append(text)
            elif group == _STRING:
                kinds.append("string")
                texts.append(source[start + 1 : end - 1])
            elif group == _RAW:
                text = source[start + 1 : end - 1]
                kinds.append("string")
                texts.append(text)
                if "\n" in text:
                    row += text.count("\n")
                    line_start = start + 2 + text.rfind("\n")
            elif group == _NUMBER:
                text = source[start:end]
                problem = _number_problem(text)
                if problem:
                    problems[len(kinds)] = (problem, "")
                kinds.append("illegal" if problem else "number")
                texts.append(text)
            elif group == _ESCAPED:
                text = source[start:end]
                value = _decode(text)
                if value is None:
                    problems[len(kinds)] = _string_problem(text)
                kinds.append("illegal" if value is None else "string")
                texts.append(text if value is None else value)
            elif group == _TEMPLATE:
                kinds.append("template")
                quote = source[start + 1]
                texts.append(quote)
                resume = end
                break
            else:
                text = source[start:end]
                problems[len(kinds)] = _bad(text)
                kinds.append("illegal")
                texts.append(text)
                if len(problems) > _MAX_PROBLEMS:
                    done = True
                    break
                if "\n" in text:
                    row += text.count("\n")
                    line_start = start + 1 + text.rfind("\n")
        else:
            done = True
        if resume < 0:
            continue
        # A piece of template text, up to the next expression or the closing quote.
        raw = quote == "`"
        chunk = (_RAW_CHUNK if raw else _CHUNK).match(source, resume, limit)
        assert chunk is not None
        stop = chunk.end()
        text = source[resume:stop]
        if raw:
            value = text.replace("\\{", "{")
        else:
            value = _decode('"' + _ESCAPE.sub(_unescape_brace, text) + '"')
        if value is None:
            problems[len(kinds)] = _string_problem(f'"{text}"')
            put("illegal", text, resume - 2 if kinds[-1:] == ["template"] else resume, stop)
        elif text:
            put("chunk", value, resume, stop)
        if "\n" in text:
            row += text.count("\n")
            line_start = resume + text.rfind("\n") + 1
        follower = source[stop] if stop < limit else ""
        if follower == "{":
            put("open", "{", stop, stop + 1)
            templates.append([quote, 0])
            at = stop + 1
        elif follower == quote:
            put("end", quote, stop, stop + 1)
            at = stop + 1
        else:
            problems[len(kinds)] = _unterminated(quote)
            opened = kinds[-1] == "template" or kinds[-2:-1] == ["template"]
            put(
                "illegal",
                "",
                starts[-1] if kinds[-1] == "template" else starts[-2] if opened else stop,
                stop,
            )
            at = stop
    if forbidden:
        at = forbidden.start()
        _place_forbidden(tokens, at)
    else:
        put("eof", "", len(source), len(source))
    return tokens


def _place_forbidden(tokens: Tokens, at: int) -> None:
    """End the tokens at a character that no Rego text may hold: nothing after it can be trusted."""
    source = tokens.source
    last = len(tokens.kinds) - 1
    if last in tokens.problems and tokens.ends[last] == at:
        # Unterminated only because this character cut it off.
        del tokens.problems[last]
        for parts in (tokens.kinds, tokens.texts):
            parts.pop()
        for places in (tokens.starts, tokens.ends, tokens.rows, tokens.cols, tokens.gaps):
            places.pop()
    row = source.count("\n", 0, at) + 1
    col = at - source.rfind("\n", 0, at)
    what = "null character" if source[at] == "\x00" else "UTF-8 character"
    tokens.problems[len(tokens.kinds)] = (f"illegal {what}", "policies are UTF-8 text")
    for kind in ("illegal", "eof"):
        tokens.kinds.append(kind)
        tokens.texts.append("")
        tokens.starts.append(at)
        tokens.ends.append(at)
        tokens.rows.append(row)
        tokens.cols.append(col)
        tokens.gaps.append(SPACED)


def _unescape_brace(match: re.Match[str]) -> str:
    return "{" if match[1] == "{" else match[0]


def _decode(literal: str) -> str | None:
    """The value of a quoted string, None when it is no JSON string. A lone surrogate becomes U+FFFD.

    As in OPA, only a string with escapes must be JSON: one without may hold a bare tab.
    """
    if "\\" not in literal:
        return literal[1:-1]
    try:
        value = json.loads(literal)
    except ValueError:
        return None
    if not isinstance(value, str):
        return None
    return value if value.isascii() else _SURROGATES.sub("\ufffd", value)


def _string_problem(literal: str) -> tuple[str, str]:
    for match in _ESCAPE.finditer(literal[1:-1]):
        if match[1] not in '\\"/bfnrtu':
            hint = "write a backslash as \\\\, or use a raw string: `...`"
            return "illegal escape sequence", hint
    return f"illegal string literal: {literal}", ""


def _number_problem(text: str) -> str:
    """Why `text` is no number, empty when it is one."""
    if _NUMBER_SHAPE.fullmatch(text):
        if len(text) < 5:
            return ""
        mantissa, _, exponent = text.lower().partition("e")
        if not exponent and len(text) < 30_000:
            return ""
        whole, _, fraction = mantissa.partition(".")
        digits = (whole + fraction).lstrip("0")
        if not digits:
            return ""
        # Too long an exponent is not converted: its length alone says that it is too large.
        power = (
            int(exponent or "0") if len(exponent) < 9 else (-1 if exponent[0] == "-" else 1) * 10**8
        )
        bits = (power - len(fraction) + len(digits)) * 3.3219281
        return "number too big" if abs(bits) > _MAX_EXPONENT else ""
    if re.fullmatch(r"0[0-9]+(?:\.[0-9]+)?", text):
        return "unexpected number token: expected number without leading zero"
    if re.fullmatch(r"[0-9]+\.", text) or re.match(r"[0-9]+\.(?![0-9])", text):
        return "expected fraction"
    if re.fullmatch(r"[0-9.]+[eE][+-]?", text):
        return "expected exponent"
    return "illegal number format"


def _unterminated(quote: str) -> tuple[str, str]:
    if quote == '"':
        return (
            "non-terminated string",
            'close it with " on the same line, or use a raw string: `...`',
        )
    return "non-terminated string", "a raw string ends with a backquote"


def _bad(text: str) -> tuple[str, str]:
    first = text[0]
    if first in '"`':
        return _unterminated(first)
    if first == "!":
        return "illegal ! character", "negation is written `not`"
    if first == "'":
        return "illegal token", 'strings are written in double quotes: "..."'
    if first == "$":
        return "illegal $ character", 'a template string begins with $" or $`'
    if first == "\ufeff":
        return "illegal byte-order mark", "a byte order mark may only begin a file"
    return f"illegal token: {first!r}", ""
