"""APEv1 and APEv2 tags, as they stand behind MPEG audio, Monkey's Audio, WavPack and Musepack, and rarely
in front.

Hydrogenaudio's "APEv2 specification": items between an optional header and a footer, both of 32
bytes:

    both  "APETAGEX", u32 version (1000 or 2000), u32 size (items and footer), u32 items, u32 flags,
          8 zeros
    item  u32 size of the value, u32 flags, key in ASCII, a zero, the value

Raises nothing on any content: a broken tag ends early.
"""

from __future__ import annotations

import struct
from typing import List, NamedTuple, Optional, Tuple

from audiokit.formats import tags as tagging
from audiokit.formats.info import Picture, Tags
from audiokit.formats.pictures import mime_of
from audiokit.formats.source import Source

FOOTER_BYTES = 32
MAX_ITEMS = 500  # the specification asks for fewer than 100
_FOOTER = struct.Struct("<8sIIII8x")
_ITEM = struct.Struct("<II")
_HAS_HEADER, _IS_HEADER = 1 << 31, 1 << 29
_MAX_KEY_BYTES = 256  # 255 characters and the zero


class ApeTag(NamedTuple):
    """An APE tag and the bytes that it takes."""

    start: int
    end: int
    tags: Tags
    pictures: Tuple[Picture, ...]


def read_at_end(source: Source, end: int) -> Optional[ApeTag]:
    """The APE tag whose footer ends at `end`, or None."""
    if end < FOOTER_BYTES:
        return None
    footer = source.read(end - FOOTER_BYTES, FOOTER_BYTES)
    if len(footer) < FOOTER_BYTES or footer[:8] != b"APETAGEX":
        return None
    _, version, size, count, flags = _FOOTER.unpack(footer)
    if version not in (1000, 2000) or flags & _IS_HEADER or not FOOTER_BYTES <= size <= end:
        return None
    start = end - size
    tags, pictures = _items(source, start, end - FOOTER_BYTES, count, version)
    if flags & _HAS_HEADER and source.read(start - FOOTER_BYTES, 8) == b"APETAGEX":
        start -= FOOTER_BYTES
    return ApeTag(start, end, tags, pictures)


def read_at_start(source: Source, start: int) -> Optional[ApeTag]:
    """The APEv2 tag whose header is at `start`, or None; the specification allows it and advises against it."""
    header = source.read(start, FOOTER_BYTES)
    if len(header) < FOOTER_BYTES or header[:8] != b"APETAGEX":
        return None
    _, version, size, count, flags = _FOOTER.unpack(header)
    end = start + FOOTER_BYTES + size
    if version != 2000 or not flags & _IS_HEADER or size < FOOTER_BYTES or end > source.size:
        return None
    tags, pictures = _items(source, start + FOOTER_BYTES, end - FOOTER_BYTES, count, version)
    return ApeTag(start, end, tags, pictures)


def _items(source: Source, position: int, stop: int, count: int, version: int) -> Tuple[Tags, Tuple[Picture, ...]]:
    tags: Tags = {}
    pictures: List[Picture] = []
    for _ in range(min(count, MAX_ITEMS)):
        head = source.read(position, min(_ITEM.size + _MAX_KEY_BYTES, stop - position))
        key_end = head.find(b"\0", _ITEM.size)
        if key_end < 0:
            break
        size, flags = _ITEM.unpack_from(head)
        key = head[_ITEM.size : key_end].decode("ascii", "replace")
        value = position + key_end + 1
        if value + size > stop:
            break
        kind = flags >> 1 & 3  # 0 UTF-8, 1 binary, 2 a link
        if kind == 0 or version == 1000:
            _add_texts(tags, key, source.read(value, min(size, 4 * tagging.MAX_CHARACTERS)))
        elif kind == 1 and key.lower().startswith("cover art"):
            picture = _picture(source, key, value, size)
            pictures += [picture] if picture else []
        position = value + size
    return tags, tuple(pictures)


def _add_texts(tags: Tags, key: str, data: bytes) -> None:
    name = tagging.canonical("ape", key)
    for part in data.split(b"\0")[: tagging.MAX_VALUES]:
        tagging.add(tags, name, tagging.utf8_or_cp1252(part))


def _picture(source: Source, key: str, offset: int, size: int) -> Optional[Picture]:
    """ "Cover Art (Front)": a file name, a zero, the picture."""
    head = source.read(offset, min(size, 1024))
    start = head.find(b"\0") + 1
    if size - start <= 0:
        return None
    kind = (
        "back cover"
        if "back" in key.lower()
        else "front cover"
        if "front" in key.lower()
        else "other"
    )
    return Picture(mime_of(head[start : start + 16]), kind, offset + start, size - start)
