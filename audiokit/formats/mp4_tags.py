"""Tags of MP4 and QuickTime: iTunes' list, QuickTime's keys and texts, 3GPP's boxes.

Apple's "QuickTime File Format" (user data, metadata) and 3GPP TS 26.244 section 8.  Reads texts
only; pictures stay where they are.  Raises nothing on any content.
"""

from __future__ import annotations

from typing import List, NamedTuple, Optional

from audiokit.formats import tags as tagging
from audiokit.formats.info import Picture, Tags
from audiokit.formats.mp4_boxes import Box, boxes
from audiokit.formats.pictures import MAX_PICTURES, mime_of
from audiokit.formats.source import Source

_TEXT_BYTES = 4 * tagging.MAX_CHARACTERS
_UTF8, _UTF16, _INTEGER = 1, 2, 21  # well-known types of a data box


class Mp4Tags(NamedTuple):
    """What the tags say."""

    tags: Tags
    pictures: List[Picture]
    gapless: Optional[str]  # iTunSMPB: samples of delay, padding and sound, in hexadecimal


def read_user_data(source: Source, udta: Box) -> Mp4Tags:
    """The tags in a udta box."""
    found = Mp4Tags({}, [], None)
    for box in boxes(source, udta.start, udta.stop):
        if box.name == b"meta":
            found = merged(found, read_meta(source, box))
        elif box.name[:1] == b"\xa9":
            _add_quicktime_text(source, box, found.tags)
        elif box.name in (b"titl", b"perf", b"albm", b"auth", b"dscp", b"gnre", b"cprt", b"yrrc"):
            _add_3gpp_text(source, box, found.tags)
    return found


def merged(first: Mp4Tags, second: Mp4Tags) -> Mp4Tags:
    """Both; the words of the second win."""
    tags = dict(second.tags)
    tagging.fill(tags, first.tags)
    return Mp4Tags(tags, first.pictures + second.pictures, first.gapless or second.gapless)


def read_meta(source: Source, meta: Box) -> Mp4Tags:
    """The tags in a meta box; QuickTime's has no version and flags before its boxes."""
    start = meta.start if source.read(meta.start + 4, 4) == b"hdlr" else meta.start + 4
    keys: List[str] = []
    tags: Tags = {}
    pictures: List[Picture] = []
    gapless = None
    for box in boxes(source, start, meta.stop):
        if box.name == b"keys":
            keys = _keys(source, box)
        if box.name != b"ilst":
            continue
        for item in boxes(source, box.start, box.stop):
            index = int.from_bytes(item.name, "big")
            if item.name == b"covr":
                pictures += _covers(source, item)[: MAX_PICTURES - len(pictures)]
            elif item.name == b"----":
                gapless = _add_freeform(source, item, tags) or gapless
            elif keys and 0 < index <= len(keys):
                _add_values(source, item, tagging.canonical("mp4", keys[index - 1].rpartition(".")[2]), tags)
            else:
                _add_values(source, item, tagging.canonical("mp4", item.name.decode("latin-1")), tags)
    return Mp4Tags(tags, pictures, gapless)


def _keys(source: Source, box: Box) -> List[str]:
    """keys: version and flags, u32 count; u32 size, 4 characters namespace, name."""
    data = source.read(box.start, min(box.stop - box.start, 1 << 16))
    names, position = [], 8
    while position + 8 <= len(data) and len(names) < 1000:
        size = int.from_bytes(data[position : position + 4], "big")
        if size < 8:
            break
        names.append(data[position + 8 : position + size].decode("utf-8", "replace"))
        position += size
    return names


def _add_values(source: Source, item: Box, name: Optional[str], tags: Tags) -> None:
    """data: u32 type, u32 locale, the value."""
    if name is None:
        return
    for box in boxes(source, item.start, item.stop):
        if box.name != b"data":
            continue
        data = source.read(box.start, min(box.stop - box.start, _TEXT_BYTES))
        kind, value = int.from_bytes(data[:4], "big") & 0xFFFFFF, data[8:]
        if item.name in (b"trkn", b"disk") and len(value) >= 4:
            number, total = int.from_bytes(value[2:4], "big"), int.from_bytes(value[4:6], "big")
            tagging.add(tags, name, f"{number}/{total}" if total else str(number))
        elif item.name == b"gnre":
            tagging.add(tags, name, tagging.genre(int.from_bytes(value[:2], "big") - 1) or "")
        elif kind == _INTEGER or (kind == 0 and item.name in (b"tmpo", b"cpil")):
            tagging.add(tags, name, str(int.from_bytes(value[:8], "big", signed=True)))
        elif kind == _UTF16:
            tagging.add(tags, name, tagging.utf16(value, "utf-16-be"))
        elif kind in (0, _UTF8):
            tagging.add(tags, name, tagging.utf8_or_cp1252(value))


def _covers(source: Source, item: Box) -> List[Picture]:
    found = []
    for box in boxes(source, item.start, item.stop):
        if box.name == b"data" and box.stop - box.start > 8:
            mime = mime_of(source.read(box.start + 8, 16))
            found.append(Picture(mime, "front cover", box.start + 8, box.stop - box.start - 8))
    return found


def _add_freeform(source: Source, item: Box, tags: Tags) -> Optional[str]:
    """mean, name, data: a name of anybody's own.  Returns the value of iTunSMPB, which is not a
    tag."""
    name = ""
    for box in boxes(source, item.start, item.stop):
        if box.name == b"name":
            name = source.read(box.start + 4, min(box.stop - box.start - 4, 256)).decode("utf-8", "replace")
        elif box.name == b"data" and name == "iTunSMPB":
            return source.read(box.start + 8, 256).decode("ascii", "replace")
    _add_values(source, item, tagging.canonical("mp4", name), tags)
    return None


def _add_quicktime_text(source: Source, box: Box, tags: Tags) -> None:
    """u16 size, u16 language, text; several in different languages, of which the first is taken."""
    data = source.read(box.start, min(box.stop - box.start, _TEXT_BYTES))
    size = int.from_bytes(data[:2], "big")
    text = data[4 : 4 + size] if size <= len(data) - 4 else data
    tagging.add(tags, tagging.canonical("mp4", box.name.decode("latin-1")), tagging.utf8_or_cp1252(text))


def _add_3gpp_text(source: Source, box: Box, tags: Tags) -> None:
    """Version and flags, u16 language, text in UTF-8 or, with a mark, in UTF-16; yrrc is u16 a
    year."""
    data = source.read(box.start + 4, min(box.stop - box.start - 4, _TEXT_BYTES))
    name = tagging.canonical("mp4", box.name.decode("latin-1"))
    if box.name == b"yrrc":
        tagging.add(tags, name, str(int.from_bytes(data[:2], "big") or ""))
    elif data[2:4] in (b"\xfe\xff", b"\xff\xfe"):
        tagging.add(tags, name, tagging.utf16(data[2:]).split("\0")[0])
    else:
        tagging.add(tags, name, tagging.utf8_or_cp1252(data[2:]))
