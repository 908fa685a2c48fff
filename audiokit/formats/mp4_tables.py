"""The samples of an ISO base media track: how long they last, and which of them are there.

ISO/IEC 14496-12 sections 8.6.1 (stts) and 8.7 (stsz, stsc, stco).  The times of the samples are the
truth; what headers say of the whole is only compared with them.
Tables are read in steps; of a whole file only the times of its samples are, of a file that was cut
also where they lie.  Ticks are units of the track's timescale.  Raises EOFError where a table was
cut.
"""

from __future__ import annotations

import struct
from typing import Dict, NamedTuple, Optional, Sequence, Tuple

from audiokit.formats.mp4_boxes import Box
from audiokit.formats.source import MAX_READ, Source

MAX_ENTRIES = 1 << 22  # of one table: a day of AAC, each of its frames with a length of its own
_U32 = struct.Struct(">I")
_PAIR = struct.Struct(">II")


class Times(NamedTuple):
    """The sum of a time-to-sample table."""

    samples: int
    ticks: int


def _entries(source: Source, box: Box, behind: int, width: int) -> Tuple[int, int]:
    """How many entries of `width` bytes a table has, and where: its count is `behind` its start."""
    count = source.unpack(_U32, box.start + behind)[0]
    first = box.start + behind + 4
    return min(count, max(box.stop - first, 0) // width, MAX_ENTRIES), first


def times(source: Source, stts: Box) -> Times:
    """u32 version and flags, u32 count; for each: u32 samples, u32 ticks of each."""
    count, position = _entries(source, stts, 4, 8)
    samples = ticks = 0
    while count > 0:
        data = source.read(position, min(count * 8, MAX_READ))
        for number, delta in struct.iter_unpack(">II", data[: len(data) & ~7]):
            samples += number
            if delta < 0x80000000:  # written as negative by some, which the standard forbids
                ticks += number * delta
        position += MAX_READ
        count -= MAX_READ // 8
    return Times(samples, ticks)


def ticks_of(source: Source, stts: Box, wanted: int) -> int:
    """The ticks of the first `wanted` samples."""
    count, position = _entries(source, stts, 4, 8)
    ticks = 0
    while count > 0 and wanted > 0:
        data = source.read(position, min(count * 8, MAX_READ))
        for number, delta in struct.iter_unpack(">II", data[: len(data) & ~7]):
            number = min(number, wanted)
            wanted -= number
            ticks += number * delta
        position += MAX_READ
        count -= MAX_READ // 8
    return ticks


# What is left of a file that was cut


class Sizes:
    """The sizes of samples: stsz, or one size for all; stz2, of 4, 8 or 16 bits each."""

    def __init__(self, source: Source, table: Dict[bytes, Box], frame_bytes: int = 0) -> None:
        self._source = source
        box = table.get(b"stsz") or table[b"stz2"]
        self.constant, self.count = source.unpack(_PAIR, box.start + 4)
        self._bits = 32
        if box.name == b"stz2":
            self._bits, self.constant = self.constant & 0xFF, 0
        elif frame_bytes and self.constant <= 1:  # QuickTime says 1 for PCM of any width
            self.constant = frame_bytes
        self._first = box.start + 12
        room = max(box.stop - self._first, 0) * 8 // max(self._bits, 1)
        self._told = min(self.count, room, MAX_ENTRIES)  # of the table

    def fitting(self, first: int, count: int, room: int) -> int:
        """How many of `count` samples from `first` on fit into `room` bytes."""
        if self.constant:
            return min(max(room, 0) // self.constant, count)
        number = 0
        while number < count:
            sizes = self._some(first + number, min(count - number, MAX_READ // 4))
            for size in sizes:
                room -= size
                if room < 0:
                    return number
                number += 1
            if not sizes:
                return number
        return number

    def _some(self, first: int, count: int) -> Sequence[int]:
        """The sizes of at most `count` samples from `first` on; none where the table is cut."""
        count = min(count, max(self._told - first, 0))
        if self._bits == 4:  # two in a byte, the first in its upper half
            data = self._source.read(self._first + first // 2, (count + first % 2 + 1) // 2)
            halves = [half for byte in data for half in (byte >> 4, byte & 15)]
            return halves[first % 2 : first % 2 + count]
        layout = {8: "B", 16: "H", 32: "I"}.get(self._bits, "")
        if not layout:
            return ()
        width = self._bits // 8
        data = self._source.read(self._first + width * first, width * count)
        return struct.unpack(f">{len(data) // width}{layout}", data[: len(data) // width * width])


class Chunks:
    """Where samples lie: chunks by their offsets (stco, co64), and the samples in each (stsc)."""

    def __init__(self, source: Source, table: Dict[bytes, Box]) -> None:
        self._source = source
        self._width = 8 if b"co64" in table else 4
        box = table.get(b"co64") or table[b"stco"]
        self.count, self._first = _entries(source, box, 4, self._width)
        count, first = _entries(source, table[b"stsc"], 4, 12)
        data = source.read(first, min(count * 12, MAX_READ - 4))
        self._runs = list(struct.iter_unpack(">III", data[: len(data) // 12 * 12]))

    def offset(self, chunk: int) -> int:
        """Where a chunk begins; they are counted from 0."""
        place = self._first + chunk * self._width
        return int.from_bytes(self._source.read(place, self._width), "big")

    def samples(self, chunk: int) -> Tuple[int, int]:
        """How many samples come before a chunk, and how many are in it."""
        before = here = 0
        for number, (first, in_each, _) in enumerate(self._runs):
            stop = self._runs[number + 1][0] - 1 if number + 1 < len(self._runs) else chunk + 1
            here = in_each
            before += (min(stop, chunk) - (first - 1)) * in_each
            if stop > chunk:
                break
        return max(before, 0), here


def may_be_cut(source: Source, table: Dict[bytes, Box], end: int) -> bool:
    """Whether samples may be missing: boxes end at `end`, or a place is named, beyond the file."""
    if end > source.size:
        return True
    if b"stsc" not in table or not (b"stco" in table or b"co64" in table):
        return False
    chunks = Chunks(source, table)
    return chunks.count > 0 and chunks.offset(chunks.count - 1) >= source.size


def samples_there(source: Source, table: Dict[bytes, Box], frame_bytes: int = 0) -> Optional[int]:
    """How many samples, from the first on, lie wholly in the file; None where nothing tells.

    Chunks are in the order of time, so the last one that begins in the file is found by halving.
    `frame_bytes` are those of a sample of PCM, 0 for other codecs.
    """
    has_sizes = b"stsz" in table or b"stz2" in table
    if not (b"stsc" in table and has_sizes and (b"stco" in table or b"co64" in table)):
        return None
    chunks, sizes = Chunks(source, table), Sizes(source, table, frame_bytes)
    low, high = 0, chunks.count
    while low < high:
        middle = (low + high) // 2
        if chunks.offset(middle) < source.size:
            low = middle + 1
        else:
            high = middle
    if not low:
        return 0
    before, here = chunks.samples(low - 1)
    return before + sizes.fitting(before, here, source.size - chunks.offset(low - 1))
