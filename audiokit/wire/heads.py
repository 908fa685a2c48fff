"""Request heads: the request line and the header fields, strictly by RFC 9112.

`parse_head` reads a whole head, `check_partial` looks at one that is still coming, so that nothing
malformed is waited for.  Both work on bytes alone and raise `Refusal`, always with `close`: after a
head that cannot be trusted nothing on that connection can.  Strict means that what two readers
could take for two different requests is refused; the sections stand beside the lines.

The quick path is one regular expression for the line and one for all fields; who repeats the same
fields, as clients do, has them looked up in `memo`.  Only what fails there is looked at line by
line, to say why.
"""

from __future__ import annotations

import re
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from .fields import parse_host
from .problems import Refusal
from .targets import decode_path


class Limits(NamedTuple):
    """How large a head may be; any object with these attributes serves."""

    max_head: int = 32 << 10  # bytes of the whole head; nginx allows 4 x 8 KiB
    max_fields: int = 100  # header fields; browsers send about 20
    max_target: int = 8 << 10  # bytes of the target; RFC 9112 section 3 wants at least 8,000


DEFAULT_LIMITS = Limits()
_METHOD_MAX = 64  # bytes of a method; the longest registered one has 17 (UPDATEREDIRECTREF)

_TCHAR = rb"!#$%&'*+\-.^_`|~0-9A-Za-z"
_LINE = re.compile(rb"([" + _TCHAR + rb"]+) ([\x21\x22\x24-\x7e]+) HTTP/1\.([0-9])\r\n")
_FIELD_LINES = re.compile(r"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*\r\n)*\r\n")
_FIELD = re.compile(r"([^:\r\n]+):([^\r\n]*)\r\n")
_FIELD_LINE = re.compile(rb"[" + _TCHAR + rb"]+:[\t\x20-\x7e\x80-\xff]*")
_PARTIAL_FIELD = re.compile(rb"(?:[" + _TCHAR + rb"]+(?::[\t\x20-\x7e\x80-\xff]*)?)?\r?")
_NOT_TCHAR = re.compile(rb"[^" + _TCHAR + rb"]")
_NOT_IN_TARGET = re.compile(rb"[^\x21\x22\x24-\x7e]")
_VERSION = re.compile(rb"HTTP/([0-9])\.([0-9])")
_PARTIAL_VERSION = re.compile(rb"(?:H(?:T(?:T(?:P(?:/(?:[0-9](?:\.(?:[0-9]\r?)?)?)?)?)?)?)?)?")
_ABSOLUTE = re.compile(r"https?://([^/?]*)([^?]*)(?:\?(.*))?", re.IGNORECASE)

# Fields that say one thing: a second one would say another (RFC 9110 section 5.3).
_SINGLETONS = frozenset(
    "authorization content-disposition content-length content-location content-range content-type "
    "date expect from host if-modified-since if-range if-unmodified-since max-forwards origin "
    "proxy-authorization range referer sec-fetch-dest sec-fetch-mode sec-fetch-site transfer-encoding user-agent".split()
)


class Head(NamedTuple):
    """One request's head, checked."""

    method: str
    target: str  # as sent
    path: str  # percent-decoded; "*" for OPTIONS of the server, "" for CONNECT
    query: str  # what follows "?", as sent
    version: Tuple[int, int]  # (1, 0) or (1, 1); a later 1.x speaks as 1.1 (RFC 9110 section 2.5)
    # by lower-case name; repeated lists are joined; one character a byte (latin-1)
    fields: Dict[str, str]
    keep_alive: bool  # whether the client wants to go on after this request
    absolute: Optional[str]  # authority of an absolute-form target
    host: Optional[str]  # that, or the Host field's value; None only in HTTP/1.0


def parse_head(block: bytes, memo: Dict[bytes, tuple], limits: Any = DEFAULT_LIMITS) -> Head:
    """The head in `block`, which ends with its empty line; one line break before it is skipped
    (section 2.2).

    `memo` is the connection's own: it keeps the last header section with what was read from it.
    """
    if block.startswith(b"\r\n"):
        block = block[2:]
    line = _LINE.match(block)
    if (
        line is None
        or len(block) > limits.max_head
        or line.end(1) > _METHOD_MAX
        or line.end(2) - line.start(2) > limits.max_target
    ):
        raise _blame(block, limits)
    method_bytes, target_bytes, minor = line.groups()
    section = block[line.end() :]
    known = memo.get(section)
    if known is None:
        known = _parse_fields(section, limits)
        memo.clear()
        memo[section] = known
    fields, host, wants_close, wants_more = known
    method, target = method_bytes.decode("ascii"), target_bytes.decode("ascii")
    if minor == b"0":
        version, keep_alive = (1, 0), wants_more and not wants_close
    else:
        version, keep_alive = (1, 1), not wants_close
        if host is None:
            raise _bad("an HTTP/1.1 request without a Host field")  # section 3.2
    if target[0] == "/" and method != "CONNECT":
        path, _, query = target.partition("?")
        if "%" in path or "/." in path or "\\" in path:
            path = decode_path(path)
        return Head(method, target, path, query, version, fields, keep_alive, None, host)
    path, query, absolute = _other_form(method, target)
    return Head(method, target, path, query, version, fields, keep_alive, absolute, absolute or host)


def _other_form(method: str, target: str) -> Tuple[str, str, Optional[str]]:
    """(path, query, authority) of a target that is not a path (section 3.2)."""
    if method == "CONNECT":  # section 3.2.3: host and port, and nothing else
        if target.startswith("/") or parse_host(target)[1] is None:
            raise _bad(f"CONNECT {target!r}: the target is not host:port")
        return "", "", None
    if target == "*" and method == "OPTIONS":  # section 3.2.4
        return "*", "", None
    found = _ABSOLUTE.fullmatch(target)
    if found is None:
        raise _bad(f"{method} {target!r}: the target is neither a path nor an absolute URI of http")
    authority, path, query = found.groups()
    parse_host(authority)
    if not path and query is None and method == "OPTIONS":
        return "*", "", authority
    return decode_path(path or "/"), query or "", authority


def _parse_fields(section: bytes, limits: Any) -> tuple:
    """(fields, host, says close, says keep-alive) of a header section with its empty line."""
    text = section.decode("latin-1")
    if _FIELD_LINES.fullmatch(text) is None:
        raise _blame_fields(section.split(b"\r\n")[:-2])
    pairs = _FIELD.findall(text)
    if len(pairs) > limits.max_fields:
        raise _too_many_fields(limits)
    fields: Dict[str, str] = {}
    for name, value in pairs:
        name, value = name.lower(), value.strip(" \t")
        if name in fields:
            if name in _SINGLETONS:
                raise _bad(f"{name} is given twice")
            value = fields[name] + ("; " if name == "cookie" else ", ") + value
        fields[name] = value
    host = fields.get("host")
    if host is not None:
        parse_host(host)
    connection = fields.get("connection")
    if connection is None:
        return fields, host, False, False
    options = [option.strip(" \t").lower() for option in connection.split(",")]
    return fields, host, "close" in options, "keep-alive" in options


# -- saying what is wrong ---------------------------------------------------------------------------------


def _bad(detail: str) -> Refusal:
    return Refusal("bad-request", detail, close=True)


def _long_method(method: bytes) -> Refusal:
    return Refusal("not-implemented", f"the method {_shown(method)} is not known here", close=True)


def _too_many_fields(limits: Any) -> Refusal:
    return Refusal(
        "head-too-large",
        f"more than {limits.max_fields} header fields",
        close=True,
        limit=limits.max_fields,
    )


def _head_too_large(limits: Any) -> Refusal:
    return Refusal(
        "head-too-large",
        f"the head has more than {limits.max_head} bytes",
        close=True,
        limit=limits.max_head,
    )


def _target_too_long(limits: Any) -> Refusal:
    return Refusal(
        "target-too-long",
        f"the target has more than {limits.max_target} bytes",
        close=True,
        limit=limits.max_target,
    )


def _shown(data: bytes) -> str:
    """Bytes of a stranger, in words that a log and a terminal can bear."""
    return ascii(data[:80].decode("latin-1")) + ("…" if len(data) > 80 else "")


def _blame(block: bytes, limits: Any) -> Refusal:
    """What is wrong with a head that the quick path would not take."""
    end = block.find(b"\r\n")
    try:
        _check_line(block[:end], limits)
    except Refusal as refusal:
        return refusal
    return _head_too_large(limits)


def _check_line(line: bytes, limits: Any) -> None:
    """Raise what is wrong with a whole request line, without its CRLF."""
    _check_partial_line(line + b"\r", limits)
    words = line.split(b" ")
    if len(words) != 3:  # two: HTTP/0.9 (section 2.3), or the end of the line was lost
        raise _bad(f"the request line {_shown(line)} is not a method, a target and a version")
    if not words[1]:
        raise _bad(f"the request line {_shown(line)} has no target")
    version = _VERSION.fullmatch(words[2])
    if version is None:
        raise _bad(f"{_shown(words[2])} is not an HTTP version")
    if version.group(1) != b"1":
        raise Refusal("http-version", f"{_shown(words[2])} is not spoken here, HTTP/1.1 is", close=True)


def _check_partial_line(line: bytes, limits: Any) -> None:
    """Raise what is already wrong with the first bytes of a request line."""
    if line[:1] == b"\x16":  # the record type of a TLS handshake (RFC 8446 section 5.1)
        raise _bad("this looks like TLS, and plain HTTP is spoken here")
    method, space, rest = line.partition(b" ")
    if not space and line.endswith(b"\r"):
        method = line[:-1]
    if (space and not method) or _NOT_TCHAR.search(method):
        raise _bad(f"{_shown(method)} is not a method")
    if len(method) > _METHOD_MAX:
        raise _long_method(method)
    target, space, rest = rest.partition(b" ")
    if not space and target.endswith(b"\r"):
        target = target[:-1]
    if _NOT_IN_TARGET.search(target):
        raise _bad(f"the target {_shown(target)} has a byte that no target may have")
    if len(target) > limits.max_target:
        raise _target_too_long(limits)
    if space and not target:
        raise _bad(f"the request line {_shown(line)} has two spaces together")
    if not _PARTIAL_VERSION.fullmatch(rest):
        raise _bad(f"{_shown(rest)} is not an HTTP version")


def _blame_fields(lines: List[bytes]) -> Refusal:
    """What is wrong with header lines of which one at least is."""
    for line in lines:
        refusal = _wrong_with_field(line)
        if refusal is not None:
            return refusal
    return _bad("the header section is malformed")


def _wrong_with_field(line: bytes) -> Optional[Refusal]:
    if _FIELD_LINE.fullmatch(line):
        return None
    if line[:1] in (b" ", b"\t"):
        # sections 2.2 and 5.2
        return _bad(f"the header line {_shown(line)} begins with white space")
    if b"\r" in line or b"\n" in line:
        return _bad(f"a bare CR or LF in the header line {_shown(line)}")  # section 2.2
    name, colon, _ = line.partition(b":")
    if not colon:
        return _bad(f"the header line {_shown(line)} has no colon")
    if name.rstrip(b" \t") != name:
        return _bad(f"white space before the colon of {_shown(line)}")  # section 5.1
    if not name or _NOT_TCHAR.search(name):
        return _bad(f"{_shown(name)} is not a field name")
    return _bad(f"a control character in the header line {_shown(line)}")  # RFC 9110 section 5.5


# -- heads still on their way -------------------------------------------------------------------------------


def check_partial(block: bytes, limits: Any = DEFAULT_LIMITS, checked: int = 0) -> int:
    """Raise what is already wrong with a head whose empty line has not come.

    Returns how many of its bytes (whole lines) need no second look: give that back as `checked`
    when more has come, and a head that trickles in costs no more than one that comes at once.
    """
    if not checked:
        if block.startswith(b"\r\n"):
            checked = 2
        elif block == b"\r":
            return 0
        start = checked
        end = block.find(b"\n", start)
        if end < 0:
            _check_partial_line(block[start:], limits)
            if len(block) - start > limits.max_head:
                raise _head_too_large(limits)
            return 0
        if block[end - 1 : end] != b"\r" or end == start:
            # section 2.2
            raise _bad(f"the request line {_shown(block[start:end])} ends with a bare LF")
        _check_line(block[start : end - 1], limits)
        checked = end + 1
    *whole, last = block[checked:].split(b"\r\n")
    for line in whole:
        refusal = _wrong_with_field(line)
        if refusal is not None:
            raise refusal
        checked += len(line) + 2
    if not _PARTIAL_FIELD.fullmatch(last):
        raise _wrong_with_field(last.rstrip(b"\r")) or _bad(f"a bare CR in the header line {_shown(last)}")
    if len(block) > limits.max_head:
        raise _head_too_large(limits)
    if block.count(b"\n") - 2 > limits.max_fields:
        raise _too_many_fields(limits)
    return checked
