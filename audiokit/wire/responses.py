"""Answers as values, and their bytes on the wire (RFC 9112 section 4).

A route makes a `Response`; `encode` makes its head, and its body where that is bytes.  Never sends
anything, and never lets a line break into a field: that would be an answer of someone else's
making.  Raises ValueError for such a field, which is a fault of ours.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any, Callable, Iterable, List, NamedTuple, Optional, Tuple, Union

from .policies import DATA, Headers

REASONS = {
    100: "Continue", 200: "OK", 201: "Created", 202: "Accepted", 204: "No Content",
    206: "Partial Content", 301: "Moved Permanently", 302: "Found", 303: "See Other",
    304: "Not Modified", 307: "Temporary Redirect", 308: "Permanent Redirect", 400: "Bad Request",
    401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
    408: "Request Timeout", 409: "Conflict", 410: "Gone", 411: "Length Required",
    412: "Precondition Failed", 413: "Content Too Large", 414: "URI Too Long",
    415: "Unsupported Media Type", 416: "Range Not Satisfiable", 417: "Expectation Failed",
    421: "Misdirected Request", 422: "Unprocessable Content", 429: "Too Many Requests",
    431: "Request Header Fields Too Large", 500: "Internal Server Error", 501: "Not Implemented",
    503: "Service Unavailable", 505: "HTTP Version Not Supported", 507: "Insufficient Storage",
}  # fmt: skip
_BODILESS = (204, 304)  # RFC 9112 section 6.3: these end with their head, and say no length
# No browser is to guess what an answer is, whatever it is; so it is said here, once for all (Fetch section 3.5).
_START = "HTTP/1.1 {} {}\r\nX-Content-Type-Options: nosniff\r\nDate: "
_STATUS_LINES = {status: _START.format(status, reason).encode() for status, reason in REASONS.items()}
_LINES = re.compile(r"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+: [\x20-\x7e\x80-\xff]*\r\n)*")
JSON: Headers = (
    ("Content-Type", "application/json"),
    ("Cache-Control", "no-cache"),
    ("Content-Security-Policy", DATA),
)


class FileBody(NamedTuple):
    """Content that comes from an open file: for each span a prefix, then bytes `start` to `stop`
    (exclusive)."""

    fd: Any  # descriptor of the open file, or a `Source`; whoever sends the answer closes it.  None for HEAD
    spans: List[Tuple[bytes, int, int]]
    trailer: bytes  # after the last span
    length: int  # bytes of it all
    on_end: Optional[Callable[[bool], None]] = None  # called in the loop: whether all was handed to the kernel


class Response(NamedTuple):
    """One answer.  `body` is sent as it is, unless `file` says where the content is; `close` ends
    the connection."""

    status: int
    headers: Headers = ()
    body: bytes = b""
    file: Optional[FileBody] = None
    close: bool = False
    is_endless: bool = False  # the body is pushed, and ends with the connection (RFC 9112 section 6.3)


def json_response(value: Union[bytes, Any], status: int = 200, headers: Iterable[Tuple[str, str]] = ()) -> Response:
    """JSON (ready bytes, or a value) as an answer that ends in a newline."""
    if not isinstance(value, bytes):
        value = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
    if not value.endswith(b"\n"):
        value += b"\n"
    return Response(status, JSON + tuple(headers) if headers else JSON, value)


@lru_cache(maxsize=256)  # most answers share a few sets of fields
def _field_lines(headers: Headers) -> bytes:
    """Header fields as lines; ValueError for what is not a field of one line."""
    text = "".join([f"{name}: {value}\r\n" for name, value in headers])
    if not _LINES.fullmatch(text) or text.count("\r\n") != len(headers):
        raise ValueError(f"not header fields: {headers!r}")
    return text.encode("latin-1")


def head_bytes(response: Response, *, date: str, keep_alive: bool = True, to_http_1_0: bool = False) -> bytes:
    """The head of an answer, up to and including the empty line; `date` is an HTTP date."""
    status = response.status
    start = _STATUS_LINES.get(status) or _START.format(status, "Status").encode()
    if status in _BODILESS or response.is_endless:
        length = b""
    else:
        size = len(response.body) if response.file is None else response.file.length
        length = b"Content-Length: %d\r\n" % size
    if not keep_alive:
        end = b"Connection: close\r\n\r\n"
    elif to_http_1_0:  # RFC 9112 section 9.3: there it has to be said
        end = b"Connection: keep-alive\r\n\r\n"
    else:
        end = b"\r\n"
    fields = _field_lines(response.headers)
    return b"%b%b\r\n%b%b%b" % (start, date.encode("ascii"), fields, length, end)


def encode(
    response: Response,
    date: str,
    is_head: bool = False,
    closing: bool = False,
    is_old: bool = False,
) -> bytes:
    """The answer's bytes: its head, and its body unless that is a file's or the request was HEAD.

    `closing` ends the connection after it; `is_old` says that the client spoke HTTP/1.0.
    """
    head = head_bytes(response, date=date, keep_alive=not closing, to_http_1_0=is_old)
    if is_head or response.status in _BODILESS:
        return head
    return head + response.body
