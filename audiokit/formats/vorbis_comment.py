"""Vorbis comments, as FLAC, Ogg and Matroska carry them.

Xiph's "Ogg Vorbis I format specification: comment field and header specification":

    u32 length, vendor; u32 count; for each: u32 length, "NAME=value" in UTF-8; all little-endian

Raises nothing on any content: what does not fit ends early.
"""

from __future__ import annotations

from audiokit.formats import tags as tagging
from audiokit.formats.info import Tags

MAX_COMMENTS = 5000  # of one block; an opera by MusicBrainz has a few hundred


def parse(data: bytes) -> Tags:
    """The tags in a comment block, which begins with the vendor's length."""
    tags: Tags = {}
    position = 4 + int.from_bytes(data[:4], "little")
    count = int.from_bytes(data[position : position + 4], "little")
    position += 4
    for _ in range(min(count, MAX_COMMENTS)):
        size = int.from_bytes(data[position : position + 4], "little")
        position += 4
        if size > len(data) - position:
            break
        name, equals, value = data[position : position + size].partition(b"=")
        position += size
        if equals:
            key = tagging.canonical("vorbis", name.decode("ascii", "replace"))
            tagging.add(tags, key, tagging.utf8_or_cp1252(value))
    return tags
