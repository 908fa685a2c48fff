"""multipart/form-data as it comes in (RFC 7578, RFC 2046 section 5.1).

Bytes in, events out; a part with a file name is passed on piece by piece, any other is a `Field`,
read whole. Keeps at most a part's header, a field or the length of a delimiter.  Raises `Refusal`.
"""

from __future__ import annotations

import re
from typing import Dict, List, NamedTuple, Optional, Union

from .fields import disposition_parameters, parse_extended, parse_media_type
from .problems import Refusal

MAX_PARTS = 256  # a file, its name, and 64 metadata fields with room
MAX_PART_HEAD = 8 << 10  # bytes of a part's header section; browsers send about 200
MAX_FIELD = 64 << 10  # bytes of one field's value
MAX_FIELDS = 256 << 10  # bytes of all fields' values: they are kept in memory
# bytes before the first delimiter, which say nothing (RFC 2046 section 5.1.1)
MAX_PREAMBLE = 8 << 10

_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]", re.ASCII)
_HEAD_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):([\t\x20-\x7e\x80-\xff]*)")
_PADDING = b" \t"
_PADDING_MAX = 64  # bytes of white space after a delimiter


class PartBegin(NamedTuple):
    """A file's part begins."""

    headers: Dict[str, str]  # by lower-case name
    name: str
    filename: Optional[str]


class PartData(NamedTuple):
    """Some of the file's bytes."""

    data: memoryview


class PartEnd(NamedTuple):
    """The file is whole."""


class Field(NamedTuple):
    """A part without a file name."""

    name: str
    value: str


class End(NamedTuple):
    """The closing delimiter was seen; what follows it says nothing."""


Event = Union[PartBegin, PartData, PartEnd, Field, End]


def boundary_of(content_type: str) -> bytes:
    """The boundary of a multipart/form-data Content-Type; Refusal when it has none that will do."""
    kind, parameters = parse_media_type(content_type)
    boundary = parameters.get("boundary", "")
    if kind != "multipart/form-data" or not _BOUNDARY.fullmatch(boundary):
        raise Refusal(
            "bad-request",
            f"Content-Type: {content_type[:200]!r} has no boundary of 1 to 70 characters",
        )
    return boundary.encode("ascii")


def _bad(detail: str) -> Refusal:
    return Refusal("bad-request", "the form: " + detail)


# Where the parser stands.
_PREAMBLE, _DELIMITED, _PART_HEAD, _CONTENT, _EPILOGUE = (
    "preamble",
    "delimited",
    "head",
    "content",
    "epilogue",
)


class MultipartParser:
    """One form, fed in pieces of any size.  Give it all bytes, then `close`."""

    def __init__(self, boundary: bytes) -> None:
        self._delimiter = b"\r\n--" + boundary
        self._state = _PREAMBLE
        self._buffer = b"\r\n"  # a form may begin with its first delimiter, whose CRLF is then none
        self._parts = 0
        self._preamble = 0
        self._fields = 0  # bytes of all fields so far
        # value of the field under way; None in a file's part
        self._field: Optional[bytearray] = None
        self._name = ""
        self._at_start = False  # the CRLF of the head's empty line is still in the buffer

    def feed(self, data: Union[bytes, memoryview]) -> List[Event]:
        """What `data` brings."""
        if self._state is _EPILOGUE:
            return []
        self._buffer = self._buffer + data if self._buffer else bytes(data)
        events: List[Event] = []
        steps = {
            _PREAMBLE: self._skip_preamble,
            _DELIMITED: self._after_delimiter,
            _PART_HEAD: self._read_head,
            _CONTENT: self._read_content,
        }
        while self._state is not _EPILOGUE and steps[self._state](events):
            pass
        return events

    def close(self) -> None:
        """All bytes were fed: Refusal `incomplete-body` when the form's end was not among them."""
        if self._state is not _EPILOGUE:
            raise Refusal("incomplete-body", "the form ends before its closing delimiter", close=True)

    # Each step takes what it can from the buffer; False: more bytes are needed.

    def _skip_preamble(self, events: List[Event]) -> bool:
        at = self._buffer.find(self._delimiter)
        keep = len(self._delimiter) - 1
        skipped = at if at >= 0 else max(0, len(self._buffer) - keep)
        self._preamble += skipped
        if self._preamble > MAX_PREAMBLE:
            raise _bad(f"no delimiter in its first {MAX_PREAMBLE} bytes")
        self._buffer = (self._buffer[skipped + len(self._delimiter) :] if at >= 0 else self._buffer[skipped:])
        if at >= 0:
            self._state = _DELIMITED
        return at >= 0

    def _after_delimiter(self, events: List[Event]) -> bool:
        """Behind a delimiter: "--" ends the form, a line break begins a part (RFC 2046 section
        5.1.1)."""
        buffer = self._buffer
        if buffer.startswith(b"--"):
            self._state, self._buffer = _EPILOGUE, b""
            events.append(End())
            return True
        rest = buffer.lstrip(_PADDING)
        if len(buffer) - len(rest) > _PADDING_MAX:
            raise _bad("a delimiter is followed by a long run of white space")
        if rest.startswith(b"\r\n"):
            self._parts += 1
            if self._parts > MAX_PARTS:
                raise _bad(f"more than {MAX_PARTS} parts")
            # its CRLF ends the search for an empty head
            self._state, self._buffer = _PART_HEAD, rest
            return True
        if rest in (b"", b"\r") or buffer == b"-":
            return False
        raise _bad(f"a delimiter is followed by {buffer[:20]!r}")

    def _read_head(self, events: List[Event]) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if (end if end >= 0 else len(self._buffer)) > MAX_PART_HEAD:
            raise _bad(f"a part's header section has more than {MAX_PART_HEAD} bytes")
        if end < 0:
            return False
        lines = self._buffer[2:end].split(b"\r\n") if end >= 2 else []
        # The line break before the content may be its delimiter's, too: a part can be empty.
        self._buffer = self._buffer[end + 2 :]
        self._begin(_part_head(lines), events)
        self._state = _CONTENT
        self._at_start = True
        return True

    def _begin(self, headers: Dict[str, str], events: List[Event]) -> None:
        name, filename = _names(headers.get("content-disposition"))
        encoding = headers.get("content-transfer-encoding", "binary").lower()
        if encoding not in ("7bit", "8bit", "binary"):  # RFC 7578 section 4.7: not to be used
            raise _bad(f"a part in Content-Transfer-Encoding {encoding[:40]!r}")
        self._name = name
        if filename is None:
            self._field = bytearray()
        else:
            self._field = None
            events.append(PartBegin(headers, name, filename))

    def _read_content(self, events: List[Event]) -> bool:
        buffer, delimiter = self._buffer, self._delimiter
        at = buffer.find(delimiter)
        # past the CRLF of the empty line, unless the delimiter took it
        start = 2 if self._at_start else 0
        if at < 0:
            stop = len(buffer) - self._possible_start(buffer)
            if stop <= start:
                return False
        else:
            stop = at
        if stop > start:
            self._take(memoryview(buffer)[start:stop], events)
        if stop >= start:
            self._at_start = False
        if at < 0:
            self._buffer = buffer[stop:]
            return False
        self._buffer = buffer[at + len(delimiter) :]
        self._finish(events)
        self._state = _DELIMITED
        return True

    def _possible_start(self, buffer: bytes) -> int:
        """How many bytes at the end of `buffer` could begin a delimiter."""
        tail = buffer[-(len(self._delimiter) - 1) :]
        at = tail.find(b"\r")
        while at >= 0:
            if self._delimiter.startswith(tail[at:]):
                return len(tail) - at
            at = tail.find(b"\r", at + 1)
        return 0

    def _take(self, data: memoryview, events: List[Event]) -> None:
        if self._field is None:
            events.append(PartData(data))
            return
        self._field += data
        self._fields += len(data)
        if len(self._field) > MAX_FIELD or self._fields > MAX_FIELDS:
            raise Refusal(
                "too-large",
                f"the form: the field {self._name!r} is too long; {MAX_FIELD} bytes are taken, "
                f"{MAX_FIELDS} in all",
                parameter=self._name,
                limit=MAX_FIELD,
            )

    def _finish(self, events: List[Event]) -> None:
        if self._field is None:
            events.append(PartEnd())
            return
        try:
            value = bytes(self._field).decode("utf-8")  # RFC 7578 section 5.1.2
        except UnicodeDecodeError:
            raise Refusal(
                "bad-parameter",
                f"the form: the field {self._name!r} is not UTF-8",
                parameter=self._name,
            ) from None
        # Text on its way has its lines end in CRLF, whatever they ended in (RFC 2046 section 4.1.1; browsers see to it).
        events.append(Field(self._name, value.replace("\r\n", "\n")))


def _part_head(lines: List[bytes]) -> Dict[str, str]:
    headers: Dict[str, str] = {}
    for line in lines:
        found = _HEAD_LINE.fullmatch(line)
        if found is None:
            raise _bad(f"{line[:80]!r} is not a header line")
        name = found.group(1).decode("ascii").lower()
        if name in headers:
            raise _bad(f"a part with {name} twice")
        headers[name] = found.group(2).decode("latin-1").strip(" \t")
    return headers


def _names(disposition: Optional[str]) -> tuple:
    """(name, file name or None) of a part's Content-Disposition (RFC 7578 section 4.2)."""
    if disposition is None:
        raise _bad("a part without Content-Disposition")
    kind, parameters = disposition_parameters(disposition)
    if kind != "form-data" or "name" not in parameters:
        raise _bad(f"a part whose Content-Disposition is {disposition[:80]!r}, not form-data with a name")
    name = _as_sent(parameters["name"])
    if "filename*" in parameters:  # forbidden to senders, and some send it
        return name, parse_extended(parameters["filename*"])
    return name, _as_sent(parameters["filename"]) if "filename" in parameters else None


def _as_sent(value: str) -> str:
    """A quoted value as browsers and curl mean it, in UTF-8.

    Browsers write %22, %0D and %0A for a quote and line breaks and nothing else so; curl writes a
    backslash before quotes and backslashes, or does as browsers do.  A lone backslash is itself.
    """
    if value.startswith('"'):
        value = re.sub(r'\\(["\\])', r"\1", value[1:-1])
    try:
        text = value.encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        raise _bad(f"the name {value[:80]!r} is not UTF-8") from None
    return text.replace("%22", '"').replace("%0D", "\r").replace("%0A", "\n")
