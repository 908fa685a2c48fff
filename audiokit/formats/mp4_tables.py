"""The samples of an ISO base media track: how long they last, and which of them are there.

ISO/IEC 14496-12 sections 8.6.1 (stts), 8.7 (stsz, stsc, stco) and 8.8 (trex, tfhd, trun).  The
times of the samples are the truth; what headers say of the whole is only compared with them.
Tables are read in steps; of a whole file only the times of its samples are, of a file that was cut
also where they lie.  Ticks are units of the track's timescale.  Raises EOFError where a table was
cut.
"""

from __future__ import annotations

import struct
from typing import Dict, List, NamedTuple, Optional, Tuple

from audiokit.formats.mp4_boxes import Box, boxes
from audiokit.formats.source import MAX_READ, Source

MAX_ENTRIES = 1 << 22  # of one table: a day of AAC, each of its frames with a length of its own
_MAX_RUNS = 1024  # of one fragment
_U32 = struct.Struct(">I")
_PAIR = struct.Struct(">II")


class Times(NamedTuple):
    """The sum of a time-to-sample table."""

    samples: int
    ticks: int


class Defaults(NamedTuple):
    """What samples of a fragment are where nothing else is said (trex)."""

    duration: int  # ticks
    size: int  # bytes


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
    """The sizes of samples: stsz, or one size for all."""

    def __init__(self, source: Source, stsz: Box, frame_bytes: int = 0) -> None:
        self._source = source
        self.constant, self.count = source.unpack(_PAIR, stsz.start + 4)
        if frame_bytes and self.constant <= 1:  # QuickTime says 1 for PCM of any width
            self.constant = frame_bytes
        self._first = stsz.start + 12

    def fitting(self, first: int, count: int, room: int) -> int:
        """How many of `count` samples from `first` on fit into `room` bytes."""
        if self.constant:
            return min(max(room, 0) // self.constant, count)
        number = 0
        while number < count:
            step = min(count - number, MAX_READ // 4)
            data = self._source.read(self._first + 4 * (first + number), 4 * step)
            for (size,) in struct.iter_unpack(">I", data[: len(data) & ~3]):
                room -= size
                if room < 0:
                    return number
                number += 1
            if len(data) < 4 * step:
                return number
        return number


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
    if not (b"stsc" in table and b"stsz" in table and (b"stco" in table or b"co64" in table)):
        return None
    chunks, sizes = Chunks(source, table), Sizes(source, table[b"stsz"], frame_bytes)
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


# Fragments


class _Run(NamedTuple):
    """Samples one behind the other (trun)."""

    ticks: int
    bytes: int
    samples: int
    offset: int  # where the first of them lies
    sizes: Tuple[int, ...]  # of each, or one for all; as is their length
    durations: Tuple[int, ...]


class Fragment(NamedTuple):
    """What a movie fragment holds of one track."""

    ticks: int
    bytes: int
    runs: Tuple[_Run, ...]  # for a cut only


_TFHD_FIELDS = ((0x1, 8), (0x2, 4), (0x8, 4), (0x10, 4), (0x20, 4))  # flag, bytes, in their order


def fragment(
    data: bytes, moof: int, track: int, defaults: Dict[int, Defaults], is_cut: bool
) -> Fragment:
    """The samples of `track` in the movie fragment whose content is `data`.

    `moof` is where its box begins.  `is_cut` asks for every sample's size as well, since not all
    are there.
    """
    runs: List[_Run] = []
    for kind, body, end in _flat(data, 0, len(data)):
        if kind != b"traf":
            continue
        header = (moof, 0, 0)
        for inner, at, stop in _flat(data, body, end):
            if inner == b"tfhd" and stop - at >= 8:
                flags, number = _PAIR.unpack_from(data, at)
                if number != track:
                    break
                header = _header(data, at, stop, flags, moof, defaults.get(number))
            elif inner == b"trun" and stop - at >= 8 and len(runs) < _MAX_RUNS:
                runs.append(_run(data, at, stop, header, is_cut))
    ticks, size = sum(run.ticks for run in runs), sum(run.bytes for run in runs)
    return Fragment(ticks, size, tuple(runs) if is_cut else ())


def _flat(data: bytes, at: int, end: int) -> List[Tuple[bytes, int, int]]:
    """The boxes of a piece in memory: type, start and end of content."""
    found: List[Tuple[bytes, int, int]] = []
    while end - at >= 8:
        size, kind = struct.unpack_from(">I4s", data, at)
        if size < 8 or at + size > end:
            break
        found.append((kind, at + 8, at + size))
        at += size
    return found


def _header(
    data: bytes, at: int, stop: int, flags: int, moof: int, defaults: Optional[Defaults]
) -> Tuple[int, int, int]:
    """tfhd: u32 flags, u32 track, then what its flags announce.

    Where data begins, duration, size.
    """
    base, duration, size = moof, *(defaults or Defaults(0, 0))
    position = at + 8
    for flag, width in _TFHD_FIELDS:
        if not flags & flag or position + width > stop:
            continue
        value = int.from_bytes(data[position : position + width], "big")
        base = value if flag == 0x1 else base
        duration = value if flag == 0x8 else duration
        size = value if flag == 0x10 else size
        position += width
    return base, duration, size


def _run(data: bytes, at: int, stop: int, header: Tuple[int, int, int], is_cut: bool) -> _Run:
    """trun: u32 flags, u32 samples, [i32 data offset], [u32 first flags]; for each sample
    [u32 duration], [u32 size], [u32 flags], [u32 time]."""
    flags, count = _PAIR.unpack_from(data, at)
    offset, duration, size = header
    position = at + 8
    if flags & 0x1:
        offset += int.from_bytes(data[position : position + 4], "big", signed=True)
        position += 4
    position += 4 if flags & 0x4 else 0
    width = bin(flags & 0xF00).count("1")
    table: Tuple[int, ...] = ()
    if width:
        count = min(count, max(stop - position, 0) // (4 * width))
        table = struct.unpack_from(f">{count * width}I", data, position)
    count = min(count, MAX_ENTRIES)
    second = 1 if flags & 0x100 else 0
    ticks = sum(table[::width]) if flags & 0x100 else count * duration
    total = sum(table[second::width]) if flags & 0x200 else count * size
    ticks = ticks if total else 0  # samples of no bytes are none
    sizes = table[second::width] if flags & 0x200 and is_cut else (size,)
    durations = table[::width] if flags & 0x100 and is_cut else (duration,)
    return _Run(ticks, total, count, offset, sizes, durations)


def part_there(found: Fragment, size: int) -> Fragment:
    """What of a fragment lies within the first `size` bytes of the file."""
    ticks = there = 0
    for run in found.runs:
        room, fitting, used = size - run.offset, 0, 0
        if len(run.sizes) == 1:  # of all samples
            each = run.sizes[0]
            fitting = min(max(room, 0) // each, run.samples) if each else run.samples
            used = fitting * each
        else:
            while fitting < run.samples and used + run.sizes[fitting] <= room:
                used += run.sizes[fitting]
                fitting += 1
        if len(run.durations) == 1:
            ticks += fitting * run.durations[0]
        else:
            ticks += sum(run.durations[:fitting])
        there += used
        if fitting < run.samples:
            break
    return Fragment(ticks, there, ())


def fragment_defaults(source: Source, mvex: Box) -> Dict[int, Defaults]:
    """trex for each track: u32 version, track, description, duration, size, flags."""
    found = {}
    for box in boxes(source, mvex.start, mvex.stop):
        if box.name == b"trex":
            track, _, duration, size = source.unpack(struct.Struct(">4xIIII"), box.start)
            found[track] = Defaults(duration, size)
    return found
