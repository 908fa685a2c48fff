"""Where the frames of a FLAC file end, whatever stands behind them.

The last whole frame is looked for from the end backwards: one that the CRC-16 of RFC 9639 section
9.3 confirms, up to the end of the file, up to a frame that is cut there, or, where junk follows, up
to the end that its own subframes tell.  Reads the tail, and as much of what is no frame as there is;
where the lengths do not agree, once through the file for another stream behind the first.  Raises
nothing on any content; what it spends on one file is bounded.
"""

from __future__ import annotations

from typing import Iterator, NamedTuple, Optional, Tuple

from audiokit.formats.flac_frame import MAX_HEADER_BYTES, FlacFrame, StreamInfo, is_whole, parse_frame
from audiokit.formats.flac_subframe import end_of
from audiokit.formats.source import MAX_READ, Source

_TAIL_BYTES = 1 << 16  # in which a last frame is looked for first, then in steps of MAX_READ
_MAX_CANDIDATES = 1 << 15  # syncwords tried in a file; chance makes some 32 in a MiB
_MAX_FRAME_BYTES = 3 << 20  # 65535 samples of 8 channels of 32 bits, verbatim, are 2.1 MB
_MAX_MEASURED = 8 * 65535  # samples of all channels whose codes are read in a file: a tenth of a second
_MAX_CHECKED_BYTES = 4 * _MAX_FRAME_BYTES  # under checksums that do not hold
_STREAM_STARTS = (b"fLaC\0\0\0\x22", b"fLaC\x80\0\0\x22")  # the marker and the head of STREAMINFO


class End(NamedTuple):
    """Where the last whole frame ends."""

    sample: int  # behind its last
    offset: int  # of the byte behind it
    is_cut: bool  # the frame that follows is begun and not whole


class _Search:
    """Looks backwards from `end` for the last whole frame of the stream that begins at `begin`."""

    def __init__(self, source: Source, info: StreamInfo, begin: int) -> None:
        self._source, self._info, self._begin = source, info, begin
        # Its last bit, the blocking strategy, does not change in a stream (9.1).
        self._sync = source.read(begin, 2)
        self._candidates = _MAX_CANDIDATES
        self._measured = _MAX_MEASURED
        self._checked = _MAX_CHECKED_BYTES

    def last(self, end: int) -> Optional[End]:
        """The end of the last whole frame before `end`; where none is, the beginning of the last broken one."""
        limit = end
        begun = last = None
        for offset, frame in self._headers(end):
            behind = self._end_of(offset, frame, limit)
            if behind is not None:
                is_cut = begun == (behind, frame.end_sample) or self._begins(behind, end)
                return End(frame.end_sample, behind, is_cut)
            begun, limit = (offset, frame.first_sample), offset
            last = last or End(frame.first_sample, offset, True)
            if self._measured < 0 or self._checked < 0:
                break
        return last

    def _begins(self, offset: int, end: int) -> bool:
        """Whether the file ends inside a frame header at `offset`."""
        rest = self._source.read(offset, min(end - offset, MAX_HEADER_BYTES))
        return 0 < len(rest) < MAX_HEADER_BYTES and rest[:2] == self._sync[: len(rest)]

    def _headers(self, end: int) -> Iterator[Tuple[int, FlacFrame]]:
        """(offset, frame) of every frame header before `end`, the last first."""
        reach = _TAIL_BYTES
        while end > self._begin:
            begin = max(self._begin, end - reach)
            data = self._source.read(begin, min(end - begin + MAX_HEADER_BYTES, MAX_READ))
            position = end - begin
            while True:
                position = data.rfind(self._sync, 0, position + 1)
                if position < 0:
                    break
                self._candidates -= 1
                if self._candidates < 0:
                    return
                frame = parse_frame(data, position, self._info)
                if frame is not None:
                    yield begin + position, frame
                position -= 1
                if position < 0:
                    break
            end, reach = begin, MAX_READ - MAX_HEADER_BYTES

    def _end_of(self, offset: int, frame: FlacFrame, limit: int) -> Optional[int]:
        """Where the frame at `offset` ends, at `limit` or before it; None where it is not whole."""
        data = self._read(offset, min(limit - offset, _longest(frame, self._info)))
        self._checked -= len(data)
        is_right = offset + len(data) == limit and is_whole(data)
        if is_right and data[-1]:
            return limit
        # What is whole is whole with zeros behind it, too, by its checksum: then the subframes decide.
        self._measured -= frame.block_size * self._info.channels
        size = end_of(data, frame, self._info) if self._measured >= 0 else None
        if size is None:
            return limit if is_right else None
        return offset + size

    def _read(self, offset: int, length: int) -> bytes:
        parts = [
            self._source.read(at, min(MAX_READ, offset + length - at))
            for at in range(offset, offset + length, MAX_READ)
        ]
        return b"".join(parts)


def last_frame(source: Source, info: StreamInfo, begin: int, end: int) -> Optional[End]:
    """The last whole frame of the stream whose frames begin at `begin`, in a file that ends at `end`."""
    found = _Search(source, info, begin).last(end)
    if found is not None and found.sample == info.samples and not found.is_cut:
        return found
    second = _next_stream(source, begin, end)
    if second is None:
        return found
    return _Search(source, info, begin).last(second) or found


def _longest(frame: FlacFrame, info: StreamInfo) -> int:
    """Bytes that a frame can have: all its samples as they are, and some for the heads."""
    verbatim = info.channels * (frame.block_size * (info.bits + 1) // 8 + 64) + 64
    return min(max(verbatim, info.max_frame), _MAX_FRAME_BYTES)


def _next_stream(source: Source, begin: int, end: int) -> Optional[int]:
    """Where another FLAC stream begins, which is no part of the first."""
    size = len(_STREAM_STARTS[0])
    for at in range(begin, end, MAX_READ - size):
        data = source.read(at, min(MAX_READ, end - at))
        found = [position for position in map(data.find, _STREAM_STARTS) if position >= 0]
        if found:
            return at + min(found)
    return None
