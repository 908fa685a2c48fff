"""Kept bytes as an answer: whole, in ranges, or only that they have not changed.

Conditions are those of RFC 9110 section 13, ranges of section 14.

Both stored files and results of conversions go out through here, so that ETag, Range and HEAD mean
the same everywhere.  Never opens what will not be sent.  Raises `Refusal`.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from .wire.answers import Answer, Later
from .wire.conditions import if_range_matches, is_current
from .wire.fields import content_disposition, format_digest, http_date
from .wire.policies import DOWNLOAD
from .wire.problems import Refusal
from .wire.ranges import multipart_byteranges, parse_ranges
from .wire.responses import FileBody, Response

_LOOKS = 10  # at a file that is replaced again and again, before missing bytes count as a fault
Spans = List[Tuple[int, int]]


class Kept(NamedTuple):
    """Bytes that can be sent, and what is said of them."""

    size: int
    sha256: str  # lower-case hex
    mime: str
    name: str  # for whoever saves it
    since: int  # seconds since 1970: Last-Modified
    open: Callable[[int, int], Any]  # the span to come first: a descriptor or a `Source`, which the answer closes
    on_end: Optional[Callable[[Spans, bool], None]] = None  # in the loop: whether these spans went out whole
    headers: Tuple[Tuple[str, str], ...] = ()
    address: Optional[Callable[[], str]] = None  # gives a URL to fetch the bytes from instead


def answer(request: Any, kept: Kept, kind: str = "attachment") -> Response:
    """What a GET or HEAD of it gets; `kind` is for Content-Disposition."""
    etag, now = _etag(kept), request.services.now_ms() / 1000
    if kept.since > now:  # stored while the clock was ahead; section 8.8.2.1 wants no date that is yet to come
        kept = kept._replace(since=int(now))
    if is_current(request.fields, request.head.method, etag, kept.since):
        return Response(304, _validators(kept))
    ranges = None
    # A range is asked of a GET alone (section 14.2), and only while If-Range still holds.
    if request.head.method == "GET" and "range" in request.fields:
        if if_range_matches(request.fields, etag, kept.since, now):
            ranges = parse_ranges(request.fields["range"], kept.size)
    if kept.address is not None and _may_go_elsewhere(request, ranges):
        return Response(307, (("Location", kept.address()), ("Cache-Control", "no-store")))
    if ranges is None:
        return whole(kept, kind, is_head=request.head.method == "HEAD")
    return _in_ranges(kept, kind, [tuple(one) for one in ranges], request.services.boundary())


def _may_go_elsewhere(request: Any, ranges: Any) -> bool:
    """Whether another server, which knows neither our entity tags nor several ranges, would answer the same.

    The client sends its fields there as well, and some stores heed If-Match but not If-Range.
    """
    if request.head.method != "GET" or any(name.startswith("if-") for name in request.fields):
        return False
    return ranges is None or len(ranges) == 1


def no_file(meant: Dict[str, str]) -> Refusal:
    """What is said where there is none of the name or id that is meant, as far as they may know who ask."""
    (key, value), = meant.items()
    return Refusal("not-found", f"no file has the {key} {value!r}")


def stored(request: Any, find: Callable[[], Any], missing: Callable[[], Refusal], kind: str = "attachment") -> Answer:
    """The same for a stored file, which `find` finds (a `storage.Content`); `missing` says that there is none."""
    if request.services.storage.is_far:
        return Later(lambda: _stored(request, find, missing, kind), is_far=True)
    return _stored(request, find, missing, kind)


def _stored(request: Any, find: Callable[[], Any], missing: Callable[[], Refusal], kind: str) -> Response:
    for look in range(1, _LOOKS + 1):
        file = find()
        if file is None:
            break
        try:
            return answer(request, _kept(request, file, kind), kind)
        except FileNotFoundError:  # replaced or removed between the look at its row and at its bytes
            if look == _LOOKS:
                raise
    raise missing()


def _kept(request: Any, file: Any, kind: str) -> Kept:
    storage = request.services.storage
    return Kept(
        file.size, file.sha256, file.mime, file.name, file.uploaded_ms // 1000,
        lambda start, stop: storage.open_content(file, start, stop),
        address=_address(request, file, kind) if storage.is_far else None,
    )


def _address(request: Any, file: Any, kind: str) -> Optional[Callable[[], str]]:
    """What gives the address at the store that a client may be sent to, None where it may not.

    Who proves itself to us with Authorization would send that to the store as well, which refuses two proofs.
    """
    settings, storage = request.services.settings, request.services.storage
    if not settings.redirect_downloads or "authorization" in request.fields:
        return None
    return lambda: storage.address(file, settings.redirect_ttl, content_disposition(kind, file.name))


def whole(kept: Kept, kind: str = "attachment", is_head: bool = False) -> Response:
    """All of it, 200."""
    fd = None if is_head else kept.open(0, kept.size)
    spans = [(0, kept.size)]
    body = FileBody(fd, [(b"", 0, kept.size)], b"", kept.size, _ended(kept, spans))
    return Response(200, (("Content-Type", kept.mime), *_fields(kept, kind)), file=body)


def _in_ranges(kept: Kept, kind: str, ranges: Spans, boundary: str) -> Response:
    on_end = _ended(kept, ranges)
    if len(ranges) == 1:
        start, stop = ranges[0]
        place = ("Content-Range", f"bytes {start}-{stop - 1}/{kept.size}")
        body = FileBody(kept.open(start, stop), [(b"", start, stop)], b"", stop - start, on_end)
        return Response(206, (("Content-Type", kept.mime), place, *_fields(kept, kind)), file=body)
    prefixes, trailer, length = multipart_byteranges(ranges, kept.size, kept.mime, boundary)
    spans = [(prefix, start, stop) for prefix, (start, stop) in zip(prefixes, ranges)]
    mime = ("Content-Type", f"multipart/byteranges; boundary={boundary}")
    body = FileBody(kept.open(*ranges[0]), spans, trailer, length, on_end)
    return Response(206, (mime, *_fields(kept, kind)), file=body)


def _ended(kept: Kept, spans: Spans) -> Optional[Callable[[bool], None]]:
    on_end = kept.on_end
    return None if on_end is None else lambda is_whole: on_end(spans, is_whole)


def _etag(kept: Kept) -> str:
    return f'"{kept.sha256}"'


def _validators(kept: Kept) -> Tuple[Tuple[str, str], ...]:
    return (
        ("ETag", _etag(kept)),
        ("Last-Modified", http_date(kept.since)),
        ("Cache-Control", "no-cache"),
    )


def _fields(kept: Kept, kind: str) -> Tuple[Tuple[str, str], ...]:
    return (
        *_validators(kept),
        ("Accept-Ranges", "bytes"),
        ("Content-Disposition", content_disposition(kind, kept.name)),
        ("Repr-Digest", format_digest(bytes.fromhex(kept.sha256))),
        ("Content-Security-Policy", DOWNLOAD),
        *kept.headers,
    )
