"""AMR and AMR-WB, the voices of mobile telephones, in their storage format.

RFC 4867 section 5; the lengths of frames from 3GPP TS 26.101 and 26.201, annex A.  A frame is 20 ms
and tells its length in its first byte, so that all are counted.  Raises Damaged where not one whole
frame is there.

    "#!AMR\\n" or "#!AMR-WB\\n"; "#!AMR_MC1.0\\n" or "#!AMR-WB_MC1.0\\n" and u32 channels
    frames: a byte 0 FFFF Q 00 (F the type, Q that it is undamaged), then the bits of that type
"""

from __future__ import annotations

import re
from typing import List, NamedTuple, Tuple

from audiokit.formats.info import AudioInfo, Damaged, NotAudio
from audiokit.formats.source import MAX_READ, Source

MAX_CHANNELS = 6  # RFC 4867 section 4.1 names layouts up to 5.1
FRAMES_PER_SECOND = 50
_FEW = 8  # frames, which text may look like: where more of something else is behind them they are none
_HEAD_BYTES = 19  # the longest magic and the channels

# Bytes of a frame by its type, the first byte included; 0 for types that are reserved
_NARROW = (13, 14, 16, 18, 20, 21, 27, 32, 6, 7, 6, 6, 0, 0, 0, 1)
_WIDE = (18, 24, 33, 37, 41, 47, 51, 59, 61, 6, 0, 0, 0, 0, 1, 1)


class _Kind(NamedTuple):
    magic: bytes
    codec: str
    sample_rate: int  # Hz
    frame_bytes: Tuple[int, ...]
    has_channels: bool


_KINDS = (
    _Kind(b"#!AMR\n", "amr_nb", 8000, _NARROW, False),
    _Kind(b"#!AMR-WB\n", "amr_wb", 16000, _WIDE, False),
    _Kind(b"#!AMR_MC1.0\n", "amr_nb", 8000, _NARROW, True),
    _Kind(b"#!AMR-WB_MC1.0\n", "amr_wb", 16000, _WIDE, True),
)


class _Frames(NamedTuple):
    count: int
    end: int  # behind the last whole frame
    is_cut: bool  # one more begins there and the file ends inside it


def matches(head: bytes) -> bool:
    """What all its magics begin with."""
    return head[:5] == b"#!AMR"


def read(source: Source, start: int = 0) -> AudioInfo:
    """The AMR file at `start`."""
    head = source.read(start, _HEAD_BYTES)
    kind = next((kind for kind in _KINDS if head.startswith(kind.magic)), None)
    if kind is None:
        raise NotAudio(f"AMR of an unknown kind: {head[:15]!r}", start)
    first, channels = start + len(kind.magic), 1
    if kind.has_channels:
        channels = int.from_bytes(head[len(kind.magic) : len(kind.magic) + 4], "big")
        first += 4
        if not 0 < channels <= MAX_CHANNELS:
            raise NotAudio(f"AMR with {channels} channels", first - 4)
    frames = _count(source, first, _lengths(kind.frame_bytes))
    moments = frames.count // channels
    if not moments:
        raise Damaged("AMR without one whole frame", frames.end)
    is_lost = not frames.is_cut and not source.is_zeros(frames.end, source.size)
    if is_lost and frames.count < _FEW and source.size - frames.end > frames.end - first:
        raise Damaged(f"AMR whose frames end at byte {frames.end}, where something else goes on", frames.end)
    duration = moments / FRAMES_PER_SECOND
    return AudioInfo(
        container="amr",
        codec=kind.codec,
        mime="audio/amr" if kind.codec == "amr_nb" else "audio/amr-wb",
        sample_rate=kind.sample_rate,
        channels=channels,
        duration=duration,
        duration_exact=True,
        duration_source="frames",
        truncated=frames.is_cut,
        bitrate=round((frames.end - first) * 8 / duration),
        warnings=tuple(_warnings(source, frames, is_lost, duration)),
        samples=moments * kind.sample_rate // FRAMES_PER_SECOND,
        audio_offset=first,
        audio_bytes=frames.end - first,
    )


def _lengths(frame_bytes: Tuple[int, ...]) -> bytes:
    """The length of a frame by its first byte.

    0 for one that begins no frame (a bit of padding is set).
    """
    return bytes(0 if byte & 0x83 else frame_bytes[byte >> 3] for byte in range(256))


def _count(source: Source, position: int, lengths: bytes) -> _Frames:
    empty = bytes(byte for byte in range(256) if lengths[byte] == 1)
    runs = re.compile(b"[" + re.escape(empty) + b"]+")
    count, content_end = 0, 0
    while position < source.size:
        data = source.read(position, MAX_READ)
        stop, at = len(data), 0
        while at < stop:
            length = lengths[data[at]]
            if length == 1:  # frames without data, maybe millions: counted as a run
                end = runs.match(data, at).end()
                count, at = count + end - at, end
                continue
            if data[at] == 0:  # what a download left empty looks like damaged frames of 4.75 kbit/s
                content_end = content_end or source.content_end()
                if position + at >= content_end:
                    return _Frames(count, position + at, False)
            if not length:
                return _Frames(count, position + at, False)
            at += length
            count += 1
        if at > stop:  # the last one goes on behind what was read
            count -= 1
            at -= length
            if position + stop >= source.size:
                return _Frames(count, position + at, True)
        position += at
    return _Frames(count, position, False)


def _warnings(source: Source, frames: _Frames, is_lost: bool, duration: float) -> List[str]:
    if frames.is_cut:
        return [f"the file ends inside a frame, at byte {source.size}"]
    if is_lost:
        return [f"frame sync lost at byte {frames.end}: {duration:g} s are playable"]
    if frames.end < source.size:
        return [f"{source.size - frames.end} zeros from byte {frames.end} on: {duration:g} s are playable"]
    return []
