"""EBML, the binary cousin of XML that Matroska and WebM are written in (RFC 8794).

    element  ID of 1 to 4 bytes, size of 1 to 8 bytes (leading zeros tell how many; all ones:
             unknown), content

Reads heads of elements and short values, never a long one whole.  Raises nothing on any content:
what makes no sense is no element, and no value is 0, 0.0 or "".
"""

from __future__ import annotations

import struct
from typing import Iterator, NamedTuple, Optional, Tuple

from audiokit.formats import tags as tagging
from audiokit.formats.source import Source

MAX_CHILDREN = 10_000  # of one element
_MAX_VALUE = 1 << 16  # bytes of a value that is read
_HEAD_BYTES = 16  # the longest head has 12


class Element(NamedTuple):
    """An element by the place of its content."""

    id: int
    start: int  # offset of the content
    stop: int  # offset behind it, the parent's end where the size is unknown
    is_unknown: bool  # its size


def number(data: bytes, at: int, keep_marker: bool = False) -> Tuple[int, int, bool]:
    """(value, bytes, all ones) of the variable-size integer at `at`; 0 bytes where there is none.

    `keep_marker`: the bit that tells the length belongs to the value, as it does in IDs.
    """
    first = data[at] if at < len(data) else 0
    length = 9 - first.bit_length()
    if not first or at + length > len(data) or keep_marker and length > 4:
        return 0, 0, False
    value = int.from_bytes(data[at : at + length], "big")
    bits = value & ((1 << 7 * length) - 1)
    return value if keep_marker else bits, length, bits == (1 << 7 * length) - 1


def parse(data: bytes, at: int, base: int, stop: int) -> Optional[Element]:
    """The element at `at` of `data`, which begins at `base` of the file; `stop` is its parent's."""
    name, name_bytes, _ = number(data, at, True)
    size, size_bytes, is_unknown = number(data, at + name_bytes)
    if not name_bytes or not size_bytes:
        return None
    content = base + at + name_bytes + size_bytes
    return Element(name, content, stop if is_unknown else content + size, is_unknown)


def element_at(source: Source, position: int, stop: int) -> Optional[Element]:
    """The element whose head is at `position`; `stop` is its parent's."""
    return parse(source.read(position, _HEAD_BYTES), 0, position, stop)


def children(source: Source, parent: Element) -> Iterator[Element]:
    """The elements in one, as far as they fit into it."""
    position = parent.start
    for _ in range(MAX_CHILDREN):
        if position >= min(parent.stop, source.size):
            return
        element = element_at(source, position, parent.stop)
        if element is None or element.stop > parent.stop:
            return
        yield element
        position = element.stop


def unsigned(source: Source, element: Element) -> int:
    """A whole number."""
    return int.from_bytes(source.read(element.start, min(element.stop - element.start, 8)), "big")


def real(source: Source, element: Element) -> float:
    """A float of 4 or 8 bytes; 0.0 for one that is negative, too large or no number."""
    data = source.read(element.start, min(element.stop - element.start, 8))
    value = struct.unpack(">f" if len(data) == 4 else ">d", data)[0] if len(data) in (4, 8) else 0.0
    return value if 0 <= value < 1e18 else 0.0


def text(source: Source, element: Element) -> str:
    """A string."""
    return tagging.utf8_or_cp1252(binary(source, element))


def binary(source: Source, element: Element) -> bytes:
    """The content, as much of it as a value may have."""
    return source.read(element.start, min(element.stop - element.start, _MAX_VALUE))
