"""The fragments of an ISO base media file: how long the samples of one track in them last.

ISO/IEC 14496-12 section 8.8 (trex, tfhd, trun).  Of a fragment the headers are read, of its samples
nothing; of the last one, where the file ends inside it, the sizes of the samples as well.  Ticks are
units of the track's timescale.  Raises EOFError where trex was cut; of a fragment that makes no
sense nothing is counted.
"""

from __future__ import annotations

import struct
from typing import Dict, List, NamedTuple, Optional, Tuple

from audiokit.formats.mp4_boxes import Box, boxes
from audiokit.formats.mp4_tables import MAX_ENTRIES
from audiokit.formats.source import Source

_MAX_RUNS = 1024  # of one fragment
_MAX_OUTER = 2_000_000  # boxes, two a fragment: a day of one every 100 ms, some 6 s of CPU time
_MAX_IDLE = 1 << 14  # of them in a row without a sample of the track; of a true file a handful
_MAX_FRAGMENT_BYTES = 1 << 20
_AHEAD = 1 << 12  # bytes read at a fragment: its boxes and the header behind them
_PAIR = struct.Struct(">II")


class Defaults(NamedTuple):
    """What samples of a fragment are where nothing else is said (trex)."""

    duration: int  # ticks
    size: int  # bytes


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


def fragment(data: bytes, moof: int, track: int, defaults: Dict[int, Defaults], is_cut: bool) -> Fragment:
    """The samples of `track` in the movie fragment whose content is `data`.

    `moof` is where its box begins.  `is_cut` asks for every sample's size as well, since not all
    are there.
    """
    runs: List[_Run] = []
    ticks = size = 0
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
                ticks += runs[-1].ticks
                size += runs[-1].bytes
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


# All of them


class Fragments(NamedTuple):
    """What the fragments of a file hold of one track."""

    ticks: int  # of what is there
    promised: int  # ticks of what was promised
    bytes: int  # of coded audio that is there
    is_cut: bool
    source: str  # "samples", or "estimate" where there are more fragments than are looked at


def fragments(source: Source, offset: int, track: int, defaults: Dict[int, Defaults]) -> Fragments:
    """The samples of `track` in the fragments from `offset`, the first moof, to the end of the file."""
    return _Walk(source, offset, track, defaults).run()


class _Walk:
    """Over the outermost boxes from the first moof on: moof, mdat, moof, mdat, …"""

    def __init__(self, source: Source, offset: int, track: int, defaults: Dict[int, Defaults]) -> None:
        self._source = source
        self._first = self._offset = offset  # of the box that is looked at
        self._base, self._data = offset, b""  # what was read, and where it begins
        self._track, self._defaults = track, defaults
        self._ticks = self._bytes = 0
        self._last = Fragment(0, 0, ())
        self._moof = Box(b"moof", 0, 0)  # of the last fragment

    def run(self) -> Fragments:
        idle = 0
        for _ in range(_MAX_OUTER):
            name, length = self._box()
            if not name:
                return self._ended()
            stop = self._offset + length
            if stop > self._source.size:
                return self._cut(name)
            idle += 1
            if name == b"moof" and length <= _MAX_FRAGMENT_BYTES and self._fragment(length):
                idle = 0
            elif idle > _MAX_IDLE:  # the track ended long ago, as far as that can be told
                return Fragments(self._ticks, self._ticks, self._bytes, False, "estimate")
            self._offset = stop
        # There is more than is walked: as long as what was seen, byte by byte.
        share = (self._source.size - self._first) / (self._offset - self._first)
        ticks = round(self._ticks * share)
        return Fragments(ticks, ticks, round(self._bytes * share), False, "estimate")

    def _box(self) -> Tuple[bytes, int]:
        """Type and length of the box; no type where none follows."""
        at = self._offset - self._base
        if at + 16 > len(self._data):
            self._base, at = self._offset, 0
            self._data = self._source.read(self._offset, _AHEAD)
        data = self._data
        length, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if length == 1:
            length = int.from_bytes(data[at + 8 : at + 16], "big")
        elif length == 0:
            length = self._source.size - self._offset
        return (name, length) if len(name) == 4 and length >= 8 else (b"", 0)

    def _fragment(self, length: int) -> bool:
        """Count the moof that is looked at; whether there are samples in it."""
        at = self._offset - self._base
        if at + length > len(self._data):
            self._base, at = self._offset, 0
            self._data = self._source.read(self._offset, length)
        self._moof = Box(b"moof", self._offset + 8, self._offset + length)
        content = self._data[at + 8 : at + length]
        self._last = fragment(content, self._offset, self._track, self._defaults, False)
        self._ticks += self._last.ticks
        self._bytes += self._last.bytes
        return self._last.ticks > 0

    def _ended(self) -> Fragments:
        """No box follows: of a cut inside a header, or behind a moof, something is missing."""
        if self._last.ticks and self._offset == self._moof.stop:
            there = self._ticks - self._last.ticks
            return Fragments(there, self._ticks, self._bytes - self._last.bytes, True, "samples")
        is_cut = 0 < self._source.size - self._offset < 8
        return Fragments(self._ticks, self._ticks, self._bytes, is_cut, "samples")

    def _cut(self, name: bytes) -> Fragments:
        """The file ends inside this box: of its fragment only what is there counts."""
        ticks, size = self._ticks, self._bytes
        if name == b"mdat" and self._last.ticks:
            content = self._source.read(self._moof.start, self._moof.stop - self._moof.start)
            whole = fragment(content, self._moof.start - 8, self._track, self._defaults, True)
            there = part_there(whole, self._source.size)
            ticks, size = ticks - whole.ticks + there.ticks, size - whole.bytes + there.bytes
        return Fragments(ticks, self._ticks, size, name in (b"moof", b"mdat"), "samples")
