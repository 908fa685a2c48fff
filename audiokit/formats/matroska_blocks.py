"""The blocks of a Matroska track: every one from the first cluster to the last, and what all of them come to.

RFC 9559 sections 10 and 11.  Reads heads of elements and of packets, of the audio nothing; in a live recording
nothing else tells the length.  Bounded in elements, so that no file is walked for ever.  Raises nothing on any content.

    block    track as a number like a size, i16 timestamp, u8 flags (6: lacing), frames
"""

from __future__ import annotations

from typing import List, NamedTuple, Optional, Tuple

from audiokit.formats import ebml, xiph
from audiokit.formats.ebml import Element
from audiokit.formats.matroska_codec import Track
from audiokit.formats.source import Source

CLUSTER = 0x1F43B675
_TIMESTAMP, _SIMPLE_BLOCK, _BLOCK_GROUP, _BLOCK, _PADDING = 0xE7, 0xA3, 0xA0, 0xA1, 0x75A2
_MAX_ELEMENTS = 1_000_000  # in all, plain blocks apart: a day of blocks of 100 ms
_MAX_PLAIN = 10_000_000  # plain blocks: two days of 20 ms, some 6 s of CPU time
_MAX_IDLE = 1 << 14  # elements in a row that are no block; of a true file a dozen


class Blocks(NamedTuple):
    """What walking the clusters found of a track."""

    samples: int
    first: Optional[float]  # seconds
    end: float  # seconds at which the last block ends
    padding: float  # seconds of blocks that are not presented
    bytes: int
    last_length: float  # seconds of the last block, as far as known
    is_counted: bool  # every packet's length is known
    is_cut: bool
    lost: int  # where, amid a segment that tells its size, no element is any more; 0: nowhere
    head: bytes  # what the first packet begins with


def walk(source: Source, start: int, segment: Element, scale: float, track: Track) -> Blocks:
    """Every block of `track` from the cluster at `start` to the end of `segment`; `scale`: seconds a tick."""
    walker = _Walker(source, start, segment.stop, scale, track)
    walker.is_told = not segment.is_unknown
    walker.run()
    return walker.result()


class _Walker:
    """Goes over the elements of clusters without regard to where a cluster ends, which some do not
    tell."""

    def __init__(self, source: Source, start: int, stop: int, scale: float, track: Track) -> None:
        self._source, self._track, self._scale = source, track, scale
        self._position = start
        self._stop = stop
        self._base, self._data = 0, b""
        self._cluster_time = 0
        self._samples = self._bytes = 0
        self._first: Optional[float] = None
        self._end = self._last = self._last_length = self._padding = 0.0
        self._is_counted = track.packet_samples is not None
        self._is_cut = False
        self.is_told = False  # where the segment ends
        self._lost = 0
        self._plain = 0  # blocks
        self._is_ours = False  # the block of the group that is looked at
        self._group_padding = 0.0  # seconds that it says are not presented
        self._head = b""

    def run(self) -> None:
        """Visit every element, stepping into clusters and groups of blocks."""
        idle = 0
        for _ in range(_MAX_ELEMENTS):
            data, at = self._window(self._position)
            if data[at : at + 1] == b"\xa3":
                idle = 0
                at = self._plain_blocks(data, at)
                self._position = self._base + at
                if at + 48 > len(data):
                    data, at = self._window(self._position)
            if self._plain > _MAX_PLAIN:
                break
            idle += 1
            if idle > _MAX_IDLE:
                self._is_cut = True
                return
            element = ebml.parse(data, at, self._base, self._stop)
            if element is None:
                is_inside = self._position < min(self._source.size, self._stop)
                self._is_cut = is_inside and len(data) - at < 12
                if is_inside and not self._is_cut and self.is_told:
                    self._lost = self._position
                return
            if element.stop <= self._position:
                return  # behind the segment, where a size that is not known means nothing
            is_cut = element.stop > self._source.size and self._position < self._stop
            if element.id in (CLUSTER, _BLOCK_GROUP):
                self._is_cut = not element.is_unknown and is_cut
                self._position = element.start
                self._end_group()
                continue
            if element.stop > self._source.size:
                self._is_cut = is_cut  # what is behind the segment is something else
                return
            if element.id == _TIMESTAMP:
                self._cluster_time = ebml.unsigned(self._source, element)
            elif element.id in (_SIMPLE_BLOCK, _BLOCK):
                idle = 0
                is_ours = self._block(element)
                if element.id == _BLOCK:
                    self._is_ours = is_ours
            elif element.id == _PADDING:
                raw = self._source.read(element.start, min(element.stop - element.start, 8))
                # of a block's end, or of its beginning where negative (RFC 9559 section 5.1.3.5.7)
                self._group_padding += abs(int.from_bytes(raw, "big", signed=True)) / 1e9
            self._position = element.stop
        self._is_counted = False  # there is more than is walked

    def _end_group(self) -> None:
        """Padding stands before or behind the block that it is of, which may be another track's."""
        if self._is_ours:
            self._padding += self._group_padding
        self._is_ours, self._group_padding = False, 0.0

    def _window(self, position: int) -> Tuple[bytes, int]:
        """Bytes at `position`, some 40 at least where the file has them."""
        at = position - self._base
        if not 0 <= at <= len(self._data) - 48:
            self._base, self._data = position, self._source.read(position, 1 << 12)
            at = 0
        return self._data, at

    def _plain_blocks(self, data: bytes, at: int) -> int:
        """Go over the blocks from `at` on that most files are made of, where that is quick.

        They are simple, of this track, without lacing, with sizes of one or two bytes, and of
        packets that tell their length.  Returns where something else stands.
        """
        samples_of = self._track.packet_samples
        number, rate = 0x80 | self._track.number, self._track.sample_rate
        if samples_of is None or number > 0xFE or self._first is None:
            return at  # of the first packet, which may be of no length, is asked but once
        room = self._source.size - self._base
        last = len(data) - 48
        while at <= last and data[at] == _SIMPLE_BLOCK:
            size, content = data[at + 1], at + 2
            if size > 0x80:
                size &= 0x7F
            elif 0x40 <= size < 0x80:
                size, content = (size & 0x3F) << 8 | data[content], content + 1
            else:
                break
            stop = content + size
            is_odd = size in (0x7F, 0x3FFF) or size < 5 or data[content + 3] & 6
            if is_odd or data[content] != number or stop > room:
                break
            packet = data[content + 4 : content + 28]
            length = samples_of(packet, size - 4)
            if not length:
                break
            time = data[content + 1] << 8 | data[content + 2]
            time -= (time & 0x8000) << 1
            seconds = (self._cluster_time + time) * self._scale
            self._plain += 1
            self._samples += length
            self._bytes += size - 4
            self._last_length = length / rate
            if self._first is None:
                self._first, self._head = seconds, packet
            if seconds > self._last:
                self._last = seconds
            if seconds + self._last_length > self._end:
                self._end = seconds + self._last_length
            at = stop
        return at

    def _block(self, element: Element) -> bool:
        """Count a block; whether it is of the track."""
        head, at = self._window(element.start)
        number, size, _ = ebml.number(head, at)
        if number != self._track.number or not size or len(head) - at < size + 3:
            return False
        time = int.from_bytes(head[at + size : at + size + 2], "big", signed=True)
        seconds = (self._cluster_time + time) * self._scale
        lacing = head[at + size + 2] >> 1 & 3
        content = element.start + size + 3
        length = 0
        for start, stop in _frames(self._source, content, element.stop, lacing):
            self._bytes += stop - start
            if self._track.packet_samples:
                window, place = self._window(start)
                packet = window[place : place + 24]
                self._head = self._head or packet
                length += self._track.packet_samples(packet, stop - start)
        self._samples += length
        self._last_length = length / self._track.sample_rate or self._track.default_duration
        if not self._last_length and self._first is not None and seconds > self._last:
            self._last_length = seconds - self._last  # as long as the one before
        self._first = seconds if self._first is None else self._first
        self._last = max(self._last, seconds)
        self._end = max(self._end, seconds + self._last_length)
        return True

    def result(self) -> Blocks:
        """What was found."""
        self._end_group()
        return Blocks(
            self._samples,
            self._first,
            self._end,
            self._padding,
            self._bytes,
            self._last_length,
            self._is_counted and self._samples > 0,
            self._is_cut,
            self._lost,
            self._head,
        )


def _frames(source: Source, start: int, stop: int, lacing: int) -> List[Tuple[int, int]]:
    """Where the frames of a block lie (RFC 9559 section 10.3)."""
    if lacing == 0:
        return [(start, stop)]
    head = source.read(start, min(stop - start, 4096))
    if not head:
        return []
    count, at, sizes = head[0] + 1, 1, []
    if lacing == 2:
        sizes = [(stop - start - 1) // count] * (count - 1)
    elif lacing == 1:  # Xiph's
        while len(sizes) < count - 1 and at < len(head):
            size, at = xiph.laced_size(head, at)
            sizes.append(size)
    else:  # EBML's: the first size, then differences
        while len(sizes) < count - 1:
            value, length, _ = ebml.number(head, at)
            if not length:
                break
            size = value if not sizes else sizes[-1] + value - ((1 << (7 * length - 1)) - 1)
            sizes.append(max(size, 0))
            at += length
    frames, position = [], start + at
    for size in sizes:
        frames.append((min(position, stop), min(position + size, stop)))
        position += size
    return frames + [(min(position, stop), stop)]
