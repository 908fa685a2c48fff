"""Boxes of ISO base media files (ISO/IEC 14496-12 section 4.2) and QuickTime's atoms.

u32 size with this header, 4 characters; size 1: u64 size behind the name; size 0: to the end
"""

from __future__ import annotations

from typing import Iterator, NamedTuple

from audiokit.formats.source import Source

MAX_BOXES = 10_000  # inside one other: tags have hundreds, all else a handful


class Box(NamedTuple):
    """A box by the place of its content."""

    name: bytes
    start: int  # offset of the content
    stop: int  # offset behind it, as declared; inside its parent


def boxes(source: Source, start: int, stop: int) -> Iterator[Box]:
    """The boxes between two offsets; ends at the first whose size makes no sense."""
    for _ in range(MAX_BOXES):
        head = source.read(start, min(16, stop - start))
        if len(head) < 8:
            return
        size, content = int.from_bytes(head[:4], "big"), start + 8
        if size == 1:
            size, content = int.from_bytes(head[8:16], "big"), start + 16
        elif size == 0:
            size = stop - start
        if size < content - start or start + size > stop:
            return
        yield Box(head[4:8], content, start + size)
        start += size
