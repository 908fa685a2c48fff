"""Request bodies: how long they are, and chunks into bytes (RFC 9112 sections 6 and 7).

Where a body ends decides where the next request begins, so nothing here guesses: whatever two
readers could read in two ways is refused, and ends the connection.  No sockets: bytes in, pieces
out.  Raises `Refusal`.
"""

from __future__ import annotations

import re
from typing import Dict, List, NamedTuple, Optional, Union

from .fields import TOKEN
from .heads import Head
from .problems import Refusal

# of Content-Length: an exabyte, and far from what no reader can hold (RFC 9110 section 8.6)
_LENGTH_DIGITS = 18
_CHUNK_LINE_MAX = 1 << 10  # bytes of a chunk's size and extensions, of which no client sends any
# bytes of all extensions of a body: work for nothing (RFC 9112 section 7.1.1)
_EXTENSIONS_MAX = 64 << 10
_TRAILERS_MAX = 8 << 10  # bytes of the trailer section

# section 7.1: at most 12 digits, so that no size is near any integer's edge
_TOKEN = TOKEN.encode("ascii")
_QUOTED = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*"'
_CHUNK_LINE = re.compile(
    rb"([0-9A-Fa-f]{1,12})((?:[ \t]*;[ \t]*"
    + _TOKEN
    + rb"(?:[ \t]*=[ \t]*(?:"
    + _TOKEN
    + rb"|"
    + _QUOTED
    + rb"))?)*)\r\n"
)
_PARTIAL_CHUNK_LINE = re.compile(rb"(?:[0-9A-Fa-f]{1,12}(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*|[ \t]*))?\r?")
_TRAILER_LINE = re.compile(rb"(" + _TOKEN + rb"):([\t\x20-\x7e\x80-\xff]*)\r\n")
_PARTIAL_TRAILER = re.compile(rb"(?:" + _TOKEN + rb"(?::[\t\x20-\x7e\x80-\xff]*)?)?\r?")
# section 7: a coding with parameters, of which chunked has none; and those that are registered, besides it
_CODING = re.compile(rf"(?!chunked[ \t]*;){TOKEN}(?:[ \t]*;[ \t]*{TOKEN}[ \t]*=[ \t]*(?:{TOKEN}|\"[^\"\\]*\"))*")
_OTHER_CODINGS = ("compress", "deflate", "gzip", "identity", "x-compress", "x-gzip")
# RFC 9110 section 6.5.1: what frames, routes, authenticates or modifies a request cannot come
# behind it.
_NOT_IN_TRAILERS = frozenset(
    b"authorization cache-control connection content-encoding content-length content-range "
    b"content-type cookie expect host if-match if-modified-since if-none-match if-range "
    b"if-unmodified-since max-forwards "
    b"proxy-authorization range te trailer transfer-encoding upgrade".split()
)


class Framing(NamedTuple):
    """How a request's body is delimited."""

    length: Optional[int]  # bytes; None when it comes in chunks, or when there is none
    is_given: bool  # whether the head says anything of a body

    @property
    def has_body(self) -> bool:
        """Whether bytes of a body may follow the head."""
        return self.is_given and self.length != 0

    def check_fits(self, most: int) -> None:
        """Refusal `too-large` where the body is known to have more bytes than these."""
        if (self.length or 0) > most:
            raise Refusal("too-large", f"the body has {self.length} bytes, {most} are taken", limit=most)


_NONE, _CHUNKED = Framing(None, False), Framing(None, True)


def _bad(detail: str) -> Refusal:
    return Refusal("bad-request", detail, close=True)


def framing(head: Head) -> Framing:
    """How the body of `head` is delimited (RFC 9112 section 6.3)."""
    length, coding = head.fields.get("content-length"), head.fields.get("transfer-encoding")
    if coding is None:
        return _NONE if length is None else Framing(_length(length), True)
    if head.version == (1, 0):
        raise _bad("Transfer-Encoding in an HTTP/1.0 request")  # section 6.1
    if length is not None:
        raise _bad("both Content-Length and Transfer-Encoding")  # section 6.1: a sign of smuggling
    _check_coding(coding)
    return _CHUNKED


def _length(value: str) -> int:
    # isdigit() alone would take digits of other scripts; a leading zero is octal to some (RFC 9110
    # section 8.6)
    if not (value.isascii() and value.isdigit()) or (value[0] == "0" and len(value) > 1):
        raise _bad(f"Content-Length: {value[:40]!r} is not a length")
    if len(value) > _LENGTH_DIGITS:
        raise _bad(f"Content-Length: {value[:40]!r} has more than {_LENGTH_DIGITS} digits")
    return int(value)


def _check_coding(value: str) -> None:
    """Only `chunked`, once: sections 6.1 and 6.3."""
    codings = [coding.strip(" \t").lower() for coding in value.split(",")]
    if codings == ["chunked"]:
        return
    if (
        "chunked" in codings[:-1]
        or not all(_CODING.fullmatch(coding) for coding in codings)
        or codings[-1] in _OTHER_CODINGS  # nobody could say where such a body ends
    ):
        raise _bad(f"Transfer-Encoding: {value[:80]!r} does not end with chunked, once")
    raise Refusal(
        "not-implemented",
        f"Transfer-Encoding: {value[:80]!r} is not understood, chunked is",
        close=True,
    )


def expects_continue(head: Head) -> bool:
    """Whether the client waits for 100 Continue before its body; 417 for any other expectation."""
    value = head.fields.get("expect")
    # RFC 9110 section 10.1.1: from HTTP/1.0 it means nothing
    if value is None or head.version == (1, 0):
        return False
    if value.lower() != "100-continue":
        raise Refusal("expectation-failed", f"Expect: {value[:80]!r} cannot be met", close=True)
    return framing(head).has_body


class ChunkedDecoder:
    """Takes the chunks of one body apart as they come (RFC 9112 section 7.1).

    `done` says that the last chunk and the trailers were seen; `trailers` has these by lower-case name, repeated
    ones joined, and `leftover` what was fed behind them.  Keeps at most a line of a chunk, and the trailers; data is
    passed on without being copied.
    """

    def __init__(self) -> None:
        self.done = False
        self.leftover = b""
        self.trailers: Dict[str, str] = {}
        self._line = b""  # of a chunk's size or a trailer, as far as it has come
        self._left = 0  # bytes of the chunk still to come
        self._closing = b""  # of the CRLF behind a chunk's data, what is still to come
        self._extensions = 0
        self._trailers: Optional[int] = None  # bytes of them, once they began

    def feed(self, data: Union[bytes, memoryview]) -> List[memoryview]:
        """The pieces of the body in `data`."""
        view = memoryview(data)
        pieces: List[memoryview] = []
        position, end = 0, len(view)
        while position < end:
            if self.done:
                self.leftover += bytes(view[position:])
                break
            if self._left:
                piece = view[position : position + self._left]
                pieces.append(piece)
                position += len(piece)
                self._left -= len(piece)
            elif self._closing:
                position += self._close_chunk(bytes(view[position : position + len(self._closing)]))
            else:
                position += self._take_line(bytes(view[position : position + _CHUNK_LINE_MAX + 2]))
        return pieces

    def _close_chunk(self, found: bytes) -> int:
        if not self._closing.startswith(found):
            raise _bad(f"a chunk's data is not followed by CRLF but {found!r}")
        self._closing = self._closing[len(found) :]
        return len(found)

    def _take_line(self, window: bytes) -> int:
        """Add to the line; understand it when it is whole.  Returns how many bytes of `window` it
        took."""
        taken = window.find(b"\n") + 1 or len(window)
        self._line += window[:taken]
        if self._trailers is None:
            if len(self._line) > _CHUNK_LINE_MAX:
                raise _bad(f"a chunk's size and extensions take more than {_CHUNK_LINE_MAX} bytes")
        elif self._trailers + len(self._line) > _TRAILERS_MAX:
            raise Refusal(
                "head-too-large",
                f"trailers of more than {_TRAILERS_MAX} bytes",
                close=True,
                limit=_TRAILERS_MAX,
            )
        if self._line.endswith(b"\n"):
            line, self._line = self._line, b""
            if self._trailers is None:
                self._begin_chunk(line)
            else:
                self._take_trailer(line)
            return taken
        pattern = _PARTIAL_CHUNK_LINE if self._trailers is None else _PARTIAL_TRAILER
        if not pattern.fullmatch(self._line):
            raise _bad(f"{self._line[:40]!r} begins no chunk and no trailer")
        return taken

    def _begin_chunk(self, line: bytes) -> None:
        found = _CHUNK_LINE.fullmatch(line)
        if found is None:
            raise _bad(f"{line[:40]!r} is not a chunk's size")
        self._extensions += len(found.group(2))
        if self._extensions > _EXTENSIONS_MAX:
            raise _bad(f"chunk extensions of more than {_EXTENSIONS_MAX} bytes")
        self._left = int(found.group(1), 16)
        if self._left:
            self._closing = b"\r\n"
        else:
            self._trailers = 0

    def _take_trailer(self, line: bytes) -> None:
        self._trailers = (self._trailers or 0) + len(line)
        if line == b"\r\n":
            self.done = True
            return
        found = _TRAILER_LINE.fullmatch(line)
        if found is None:
            raise _bad(f"{line[:40]!r} is not a trailer")
        if found.group(1).lower() in _NOT_IN_TRAILERS:
            raise _bad(f"{found.group(1).decode('ascii')} cannot be a trailer")
        name, value = found.group(1).decode("ascii").lower(), found.group(2).decode("latin-1").strip(" \t")
        self.trailers[name] = f"{self.trailers[name]}, {value}" if name in self.trailers else value


class Unwanted:
    """An unread body that is small enough to be read and dropped, so that the connection can go on."""

    def __init__(self, length: Optional[int], limit: int) -> None:
        self._left, self._limit = length, limit
        self._chunks = ChunkedDecoder() if length is None else None
        self.done = length == 0

    def feed(self, data: bytes) -> bytes:
        """Drop the body's part of `data`, give back what follows it."""
        if self._chunks is None:
            rest = data[self._left :]
            self._left -= len(data) - len(rest)
            self.done = not self._left
            return rest
        self._limit -= sum(map(len, self._chunks.feed(data)))
        if self._limit < 0:
            raise Refusal("too-large", "an unwanted body, and a long one", close=True)
        self.done = self._chunks.done
        return bytes(self._chunks.leftover) if self.done else b""
