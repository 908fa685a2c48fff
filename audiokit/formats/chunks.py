"""Chunks of the IFF kind (EA IFF 85): where the next one begins, though writers disagree on
padding."""

from __future__ import annotations

import re
from typing import NamedTuple

from audiokit.formats.source import Source

NAME = re.compile(rb"[ -~]{4}", re.DOTALL)  # four printable characters
MAX_CHUNKS = 4096  # of one file; sample libraries have dozens
STREAMED = 0x7FFF0000  # sizes from here on, larger than the file, are what programs write to a pipe


class Chunk(NamedTuple):
    """A chunk by the place of its content."""

    name: bytes
    offset: int  # of the content
    size: int  # bytes, as declared

    @property
    def end(self) -> int:
        """Behind the content."""
        return self.offset + self.size


def behind(source: Source, end: int, is_odd: bool) -> int:
    """Where the chunk behind one whose content ends at `end` begins.

    Odd content is followed by a pad byte; where only the unpadded place looks like a chunk, the
    writer forgot it.
    """
    if not is_odd:
        return end
    around = source.read(end, 5)
    fits_padded, fits_unpadded = NAME.match(around, 1), NAME.match(around)
    return end if fits_unpadded and (not fits_padded or around[4:5] < b" ") else end + 1
