"""Byte ranges (RFC 9110 section 14): what of a representation is asked for.

Three outcomes: a list of ranges (206); None, the field is ignored and the whole is sent (200); or
`Unsatisfiable` (416).  No files: sizes in, positions out.  `stop` is exclusive; the standard's
last-pos is not.
"""

from __future__ import annotations

import re
from typing import List, NamedTuple, Optional, Sequence, Tuple

from .problems import Refusal

# of one request; players ask for one or two, and many small ones are an attack (section 17.15)
MAX_RANGES = 16

_RANGES = re.compile(r"bytes=([0-9, \t-]*)", re.IGNORECASE | re.ASCII)
_SPEC = re.compile(r"([0-9]+)-([0-9]*)|-([0-9]+)", re.ASCII)
_ENDLESS_DIGITS = 19  # no file is that long; longer numbers are not worth converting


class Range(NamedTuple):
    """Bytes `start` to `stop`, exclusive."""

    start: int
    stop: int


class Unsatisfiable(Refusal):
    """None of the ranges has a byte in the representation (section 15.5.17)."""

    def __init__(self, value: str, size: int) -> None:
        super().__init__(
            "range-not-satisfiable",
            f"Range: {value[:80]!r} asks for nothing of {size} bytes",
            headers=[("Content-Range", f"bytes */{size}")],
        )


def parse_ranges(value: str, size: int, max_ranges: int = MAX_RANGES) -> Optional[List[Range]]:
    """The ranges that a Range field asks for, in its order; see above."""
    found = _RANGES.fullmatch(value)
    if found is None:
        return None  # another unit, or malformed: ignored (section 14.2)
    specs = [spec.strip(" \t") for spec in found.group(1).split(",")]
    specs = [spec for spec in specs if spec]  # empty elements mean nothing (section 5.6.1.2)
    if not specs or len(specs) > max_ranges:
        return None
    ranges = []
    for spec in specs:
        match = _SPEC.fullmatch(spec)
        if match is None:
            return None
        first, last, suffix = match.groups()
        if first is not None and last and _number(last) < _number(first):
            return None  # section 14.1.1: such a range makes the whole field invalid
        one = _suffix(_number(suffix), size) if first is None else _from(_number(first), last, size)
        if one is not None:
            ranges.append(one)
    if not ranges:
        raise Unsatisfiable(value, size)
    # Overlaps say that the client is confused or worse (section 14.2); an empty file has no range
    # to name.
    if size == 0 or _overlap(ranges):
        return None
    return ranges


def _number(digits: str) -> int:
    digits = digits.lstrip("0") or "0"
    return int(digits) if len(digits) < _ENDLESS_DIGITS else 10**_ENDLESS_DIGITS


def _suffix(length: int, size: int) -> Optional[Range]:
    """The last `length` bytes; longer than the whole means the whole (section 14.1.2)."""
    return Range(max(0, size - length), size) if length else None


def _from(first: int, last: str, size: int) -> Optional[Range]:
    if first >= size:
        return None
    return Range(first, min(_number(last) + 1, size) if last else size)


def _overlap(ranges: Sequence[Range]) -> bool:
    ordered = sorted(ranges)
    return any(following.start < one.stop for one, following in zip(ordered, ordered[1:]))


def multipart_byteranges(
    ranges: Sequence[Range], size: int, mime: str, boundary: str
) -> Tuple[List[bytes], bytes, int]:
    """(what stands before each range's bytes, what ends it all, bytes of everything): section
    14.6."""
    prefixes = []
    for number, (start, stop) in enumerate(ranges):
        text = (
            f"{'' if number == 0 else chr(13) + chr(10)}--{boundary}\r\nContent-Type: {mime}\r\n"
            f"Content-Range: bytes {start}-{stop - 1}/{size}\r\n\r\n"
        )
        prefixes.append(text.encode("latin-1"))
    trailer = f"\r\n--{boundary}--\r\n".encode("latin-1")
    length = sum(map(len, prefixes)) + sum(stop - start for start, stop in ranges) + len(trailer)
    return prefixes, trailer, length
