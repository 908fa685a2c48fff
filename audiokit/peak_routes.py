"""GET /files/{id}/peaks: a waveform, of the whole file or of a region, as JSON or binary.

Which zoom is meant and whether the client has it already is settled here; who has the peaks or has
them made is `peaks`.  Never decodes.  Raises `Refusal`.
"""

from __future__ import annotations

import json
import re
from typing import Any, BinaryIO, Callable, Dict, List, NamedTuple, Optional, Union

from . import content, waveform
from .offers import DECODED, is_decoded
from .parameters import bad, one_of
from .peaks import Wanted
from .waveform import Kept, Span, Torn, Waveform
from .wire.answers import Answer, Later, Pending
from .wire.conditions import etag_of, is_current
from .wire.fields import weights
from .wire.policies import DATA
from .wire.problems import Refusal
from .wire.responses import Response

WIDTHS = range(1, 8193)  # pixels: two screens of 4096
DEFAULT_WIDTH = 1024
BITS = ("8", "16")
FORMATS = ("json", "dat")
_MIME = {"json": "application/json", "dat": "application/octet-stream"}
_EDITION = "1"  # of what is made of the same bytes: a change of it changes the entity tags
# How much quicker than a conversion, which decides whether they count as short work.
_QUICKER = {"mp3": 3, "pcm": 80}
_SECONDS = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")


class Asked(NamedTuple):
    """What a request asks for."""

    span: Span
    bits: int
    format: str


def asked_of(given: Dict[str, str], accept: str) -> Asked:
    """From parameters, and from Accept where they do not say the format; Refusal `bad-parameter`."""
    start, stop = _seconds(given, "from") or 0.0, _seconds(given, "to")
    if stop is not None and stop <= start:
        raise bad("to", f"the region ends at {stop:g} s, where it has not begun")
    width = given.get("width", str(DEFAULT_WIDTH))
    if not (width.isascii() and width.isdigit() and len(width) < 5 and int(width) in WIDTHS):
        raise bad("width", f"width is {width[:20]!r}; {WIDTHS[0]} to {WIDTHS[-1]} pixels can be")
    bits = one_of(given, "bits", BITS) or BITS[0]
    kind = one_of(given, "format", FORMATS) or ("dat" if _prefers_binary(accept) else "json")
    return Asked(Span(start, stop, int(width)), int(bits), kind)


def _seconds(given: Dict[str, str], key: str) -> Optional[float]:
    text = given.get(key)
    if text is None:
        return None
    if not _SECONDS.fullmatch(text):
        raise bad(key, f"{key} is {text[:20]!r}, not seconds such as 12.5")
    return float(text)


def _prefers_binary(accept: str) -> bool:
    """Whether Accept names the binary form, and not JSON as well as that."""
    wanted = weights(accept)
    return wanted.get(_MIME["dat"], 0.0) > wanted.get(_MIME["json"], 0.0)


def peaks(request: Any) -> Answer:
    """GET /files/{id}/peaks."""
    given = request.parameters("width", "from", "to", "bits", "format")
    asked = asked_of(given, request.fields.get("accept", ""))
    storage, who = request.services.storage, request.who
    found = storage.described(request.id, who.names, who.reach)
    if found is None:
        raise content.no_file({"id": request.id})
    file, record = found[0], json.loads(found[1])
    if not is_decoded(record["container"], record["codec"]):
        raise Refusal(
            "unsupported-conversion",
            f"{record['codec']} in {record['container']} is not decoded, so there are no peaks of it; "
            f"{DECODED}, are",
            codec=record["codec"],
        )
    etag = _etag(file.sha256, asked)
    headers = (
        ("ETag", etag), ("Cache-Control", "no-cache"), ("Vary", "Accept"), ("Content-Security-Policy", DATA),
    )
    # When the bytes were uploaded says nothing of how this waveform is written: tags alone count.
    if is_current(request.fields, request.head.method, etag):
        return Response(304, headers)
    answer = _Answer(asked, headers)
    cache = request.services.peaks
    ways = _ways(file, record, asked.span, cache.likes_regions)
    return Later(lambda: _kept_or_made(cache, ways, answer))


def _etag(sha256: str, asked: Asked) -> str:
    return etag_of(" ".join(map(str, (_EDITION, sha256, *asked.span, asked.bits, asked.format))))


def _ways(file: Any, record: Dict[str, Any], span: Span, likes_regions: bool) -> List[Wanted]:
    """Which files of peaks serve, the last of which would be made: that of all, or a region of PCM.

    A region is what is finer than the peaks of all; and, where `likes_regions`, what is the lesser part of them.
    """
    rate, seconds = record["sample_rate"], record["duration"]
    channels, region = min(record["channels"], 2), None
    is_mp3 = record["container"] == "mp3"
    total = round(seconds * rate)
    if not is_mp3:
        region = waveform.deep(span.frames(rate, total), span.width)
    if region is not None:
        return [Wanted(file, region, 0.0, span.width * 8 * channels)]
    size = int(seconds * rate) // waveform.FINEST * 6 * channels
    ways = [Wanted(file, None, seconds / _QUICKER["mp3" if is_mp3 else "pcm"], size)]
    if likes_regions and not is_mp3:
        first, stop, samples = waveform.wide(span.frames(rate, total), span.width, total)
        if 2 * (stop - first) < total:
            ways.append(Wanted(file, (first, stop, samples), (stop - first) / rate / _QUICKER["pcm"], span.width * 8 * channels))
    return ways


def _kept_or_made(cache: Any, ways: List[Wanted], answer: _Answer) -> Union[Response, Pending]:
    for wanted in ways:
        file = cache.open(wanted)
        if file is not None:
            with file:
                try:
                    return answer.of(file, wanted)
                except Torn:
                    pass
            cache.distrust(wanted)
    return Pending(lambda reply: cache.follow(ways[-1], answer.waiter(ways[-1], reply)))


class _Answer:
    """How the peaks are said to one client."""

    def __init__(self, asked: Asked, headers: Any) -> None:
        self._asked, self._headers = asked, headers

    def of(self, file: BinaryIO, wanted: Wanted) -> Response:
        """From an open file of the cache; Torn where it is not whole."""
        kept = Kept(file)
        wave = kept.read(self._asked.span) if wanted.region is None else kept.everything()
        return Response(
            200,
            (("Content-Type", _MIME[self._asked.format]), *self._headers),
            self._bytes(wave),
        )

    def _bytes(self, wave: Waveform) -> bytes:
        write = waveform.as_dat if self._asked.format == "dat" else waveform.as_json
        return write(wave, self._asked.bits)

    def waiter(
        self, wanted: Wanted, reply: Callable[[Any], None]
    ) -> Callable[[Optional[BinaryIO], Optional[Refusal]], None]:
        """What the cache calls when there is something to say."""

        def made(file: Optional[BinaryIO], failure: Optional[Refusal]) -> None:
            if file is None:
                reply(failure)
                return
            try:
                reply(self.of(file, wanted))
            except Torn as error:
                reply(Refusal("internal", f"the peaks could not be read: {error}"))

        return made
