"""Frames out of a byte stream: finding, following, losing and finding again the syncword.

Takes any chunking.  A frame counts only where the next header stands behind it, or the data ends
there; so neither tags nor chance syncwords are taken for audio.  ID3v2 tags, in front or between,
and ID3v1 and APE tags behind a frame are skipped by their size without being kept.
Memory: at most a few frames, whatever comes.  Raises Undecodable where Layer I or II begins at once;
what looks like it further on is damage, until nothing else comes (`absence`).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Iterator, NamedTuple, Optional

from audiokit.formats.mpeg_header import (
    HEADER_BYTES,
    MAX_FRAME_BYTES,
    MAX_FREE_FORMAT_BYTES,
    FrameHeader,
    free_format_bytes,
    parse_header,
    same_stream,
)

_ID3_BYTES = 10  # of an ID3v2 header
_ID3V1_BYTES = 128
_BEHIND_BYTES = 8  # behind a frame: a header, or the longest name of a tag
_APE_BYTES = 32  # of an APE header or footer: the longest head that is looked at
_SEARCH_BYTES = MAX_FRAME_BYTES + HEADER_BYTES  # behind a frame that nothing confirms
# Looking for a free-format frame's length costs a search of 8 KiB: so in garbage only one a KiB.
_FREE_FORMAT_TRIES_BYTES = 1024


class Undecodable(Exception):
    """What was handed in holds no Layer III audio; the message says what, and where."""


class Frame(NamedTuple):
    """One frame and what happened in front of it."""

    header: FrameHeader
    data: bytes  # from the header on; short where the frame is cut
    offset: int  # bytes from the start of the stream to the header
    is_continuous: bool  # the frame before it ended right here: the bit reservoir holds


# What `parse_header` takes, or the beginning of a tag: a layer and version that exist, a bitrate
# that is not 15, a sampling frequency that is not 3.
_THIRD = b"".join([re.escape(bytes([b])) for b in range(256) if b >> 4 != 15 and b >> 2 & 3 != 3])
_CANDIDATE = re.compile(rb"\xff[\xe2-\xe7\xf2-\xf7\xfa-\xff][" + _THIRD + rb"]|ID3", re.DOTALL)

_header_of = lru_cache(maxsize=1024)(parse_header)


class FrameReader:
    """Bytes in, frames out."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._start = 0  # of what is not yet read, in the buffer
        self._offset = 0  # of the buffer in the stream
        self._skip = 0  # bytes of a tag still to come
        self._stream: Optional[FrameHeader] = None  # the first header of the stream we follow
        self._free_bytes = 0  # of an unpadded frame, in free format
        self._free_tried = -_FREE_FORMAT_TRIES_BYTES  # offset of the last search for it
        self._is_continuous = False
        self.skipped_bytes = 0  # that were neither frames nor tags
        self.is_cut = False  # the last frame was incomplete
        self._other = ""  # what was there of other layers

    @property
    def absence(self) -> str:
        """Why there was no frame, where there was none."""
        return self._other or "no MPEG Layer III frame in the data"

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that are complete with this data."""
        return self._read(data, False)

    def finish(self) -> Iterator[Frame]:
        """The frames that only the end of the data completes."""
        return self._read(b"", True)

    def _read(self, data: bytes, is_end: bool) -> Iterator[Frame]:
        self._buffer += data
        while True:
            frame = self._next(is_end)
            if frame is None:
                break
            yield frame
        self._drop()

    def _drop(self) -> None:
        del self._buffer[: self._start]
        self._offset += self._start
        self._start = 0

    def _next(self, is_end: bool) -> Optional[Frame]:
        """The next frame, or None if more data is needed or the end is reached."""
        while True:
            if self._skip:
                some = min(self._skip, len(self._buffer) - self._start)
                self._start += some
                self._skip -= some
            left = len(self._buffer) - self._start
            if self._skip or left < 4 or (left < _APE_BYTES and not is_end):
                if is_end:
                    self._at_end(left)
                return None
            if self._start > 65536:
                self._drop()
            at = self._start
            head = bytes(self._buffer[at : at + 4])
            if head[:3] == b"ID3" and self._skip_id3(at):
                continue
            if self._is_continuous:
                self._skip = self._tag_bytes(at)
                if self._skip:
                    continue
            header = _header_of(head)
            size = self._frame_bytes(header, at, is_end) if header else 0
            if size < 0 or size + _BEHIND_BYTES > left and not is_end:
                return None
            if size > 0:
                behind = at + size
                ahead = max(_SEARCH_BYTES, size + _BEHIND_BYTES)  # free-format frames may be longer than any other
                if left < size + ahead and not is_end and not self._is_confirmed(header, behind):
                    return None  # a nearer header is looked for, which takes what is behind it
                frame = self._accept(header, at, size, is_end)
                if frame is not None:
                    return frame
            self._lose(at)

    def _at_end(self, left: int) -> None:
        if self._is_continuous and left and self._buffer[self._start] == 0xFF:
            self.is_cut = True
        self.skipped_bytes += left
        self._start += left

    def _skip_id3(self, at: int) -> bool:
        """Begin to skip an ID3v2 tag, whose size is four times 7 bits; False if it is none."""
        head = self._buffer[at : at + _ID3_BYTES]
        if len(head) < _ID3_BYTES or head[3] not in (2, 3, 4) or max(head[6:10]) > 127:
            return False
        size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
        footer = _ID3_BYTES if head[5] & 0x10 else 0
        self._skip = _ID3_BYTES + size + footer
        return True

    def _tag_bytes(self, at: int) -> int:
        """Bytes of the ID3v1 or APE tag behind a frame; 0 if there is none."""
        head = bytes(self._buffer[at : at + _APE_BYTES])
        if head[:3] == b"TAG":
            return _ID3V1_BYTES
        if head[:8] != b"APETAGEX" or len(head) < _APE_BYTES:
            return 0
        # bytes behind the header, u32 at 12; bit 29 of the flags at 20: this is a header
        is_header = int.from_bytes(head[20:24], "little") >> 29 & 1
        return _APE_BYTES + (int.from_bytes(head[12:16], "little") if is_header else 0)

    def _frame_bytes(self, header: FrameHeader, at: int, is_end: bool) -> int:
        """Bytes of the frame at `at`; 0 if it cannot be told, -1 if it can with more data."""
        if not header.is_free_format:
            return header.frame_bytes
        if header.layer != 3:
            return 0
        followed = self._stream
        if followed is not None and not followed.is_free_format and same_stream(header, followed):
            return 0  # its bit rate is damaged: free format is for all of a stream
        if not self._free_bytes:
            if len(self._buffer) - at < 2 * MAX_FREE_FORMAT_BYTES and not is_end:
                return -1
            offset = self._offset + at
            if offset - self._free_tried < _FREE_FORMAT_TRIES_BYTES:
                return 0
            self._free_tried = offset
            window = bytes(self._buffer[at : at + 2 * MAX_FREE_FORMAT_BYTES + 8])
            self._free_bytes = free_format_bytes(window)
            if not self._free_bytes:
                return 0
        return self._free_bytes + header.padding * header.slot_bytes

    def _accept(self, header: FrameHeader, at: int, size: int, is_end: bool) -> Optional[Frame]:
        """The frame at `at` if what follows it confirms it, cut short if it must be."""
        end = at + size
        buffer = self._buffer
        follows = self._stream is not None and same_stream(header, self._stream)
        confirmed = end == len(buffer) or self._is_confirmed(header, end)
        # An ID3v1 tag is told from audio by its place alone.
        is_tagged = is_end and buffer[-_ID3V1_BYTES:].startswith(b"TAG")
        stop = len(buffer) - (_ID3V1_BYTES if is_tagged else 0)
        if not confirmed and end > stop:  # cut by the end of the audio: said, not decoded
            self.is_cut |= follows
            return None
        if not confirmed and not (follows and self._is_continuous):
            return None
        if header.layer != 3:
            return self._refuse(header, at)
        if not confirmed:
            # In step, but no header behind: either junk follows or bytes are missing here.
            nearer = self._next_header(header, at + 4, end, is_end)
            if nearer:
                end = nearer
        frame = Frame(header, bytes(buffer[at:end]), self._offset + at, self._is_continuous)
        if not follows:
            self._stream = header
        self._is_continuous = True
        self._start = end
        return frame

    def _refuse(self, header: FrameHeader, at: int) -> None:
        """Note a frame of Layer I or II; Undecodable where it is the first thing there is."""
        if self._stream is None and not self._other:
            self._other = "MPEG Layer %s at byte %d: only Layer III is decoded" % (
                "I" * header.layer,
                self._offset + at,
            )
            if not self.skipped_bytes:
                raise Undecodable(self._other)

    def _next_header(self, header: FrameHeader, first: int, end: int, is_end: bool) -> int:
        """Where between `first` and `end` a confirmed frame of this stream begins; 0: nowhere."""
        at = self._buffer.find(b"\xff", first, end)
        while at >= 0:
            other = _header_of(bytes(self._buffer[at : at + 4]))
            if other is not None and same_stream(header, other):
                size = other.frame_bytes or self._free_bytes + other.padding * other.slot_bytes
                behind = at + size
                if self._is_confirmed(header, behind) or is_end and behind == len(self._buffer):
                    return at
            at = self._buffer.find(b"\xff", at + 1, end)
        return 0

    def _is_confirmed(self, header: FrameHeader, end: int) -> bool:
        """Whether what stands at `end` shows that a frame of `header` ends there."""
        return self._is_header(header, end) or self._is_tag(end)

    def _is_header(self, header: FrameHeader, at: int) -> bool:
        """Whether a header that can follow `header` stands at `at`."""
        other = _header_of(bytes(self._buffer[at : at + 4]))
        return other is not None and same_stream(header, other)

    def _is_tag(self, at: int) -> bool:
        """Whether a tag that follows audio begins at `at`."""
        head = bytes(self._buffer[at : at + 8])
        return head[:3] in (b"TAG", b"ID3") or head in (b"APETAGEX", b"LYRICSBE")

    def _lose(self, at: int) -> None:
        """Out of step at `at`: go on at the next byte that can begin a header or a tag."""
        self._is_continuous = False
        if self._stream is None or not self._stream.is_free_format:
            self._free_bytes = 0
        found = _CANDIDATE.search(self._buffer, at + 1)
        # What begins in the last two bytes may still be growing.
        self._start = found.start() if found else max(at + 1, len(self._buffer) - 2)
        self.skipped_bytes += self._start - at
