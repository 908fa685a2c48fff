"""TTA, the True Audio lossless codec.

"TTA1 lossless audio format", en.true-audio.com.  Reads the header and the table of frames.  Raises
NotAudio for TTA2 and encrypted files, Damaged where the header's CRC is wrong or no whole frame is
there.

    "TTA1", u16 format (1 PCM, 2 encrypted, 3 float), u16 channels, u16 bits, u32 Hz, u32 samples
    a channel, u32 CRC of what came before; u32 bytes of each frame, u32 CRC of these; the frames,
    each of 256/245 s
"""

from __future__ import annotations

import struct
import zlib
from typing import List, NamedTuple

from audiokit.formats import tail
from audiokit.formats.info import AudioInfo, Damaged, NotAudio
from audiokit.formats.source import MAX_READ, Source

MAX_CHANNELS = 64
MAX_RATE = 16_000_000  # Hz
MAX_FRAMES = 1 << 20  # twelve days of audio; more is a lie that would have us read a long table
_HEADER = struct.Struct("<4sHHHIII")
_FORMATS = {1: "int", 3: "float"}


class _Frames(NamedTuple):
    offset: int  # of the first
    count: int  # that the header promises
    whole: int  # of which all bytes are there
    end: int  # behind the last whole one
    promised_end: int


def matches(head: bytes) -> bool:
    """The magic of version 1 or 2; 2 is refused by name in `read`."""
    return head[:4] in (b"TTA1", b"TTA2")


def read(source: Source, start: int = 0) -> AudioInfo:
    """The TTA file at `start`."""
    magic, form, channels, bits, rate, samples, checksum = source.unpack(_HEADER, start)
    if magic == b"TTA2":
        raise NotAudio("TTA of version 2, which is not read", start)
    if zlib.crc32(source.read(start, _HEADER.size - 4)) != checksum:
        raise Damaged("the CRC of the TTA header is wrong", start + _HEADER.size - 4)
    if form not in _FORMATS:
        raise NotAudio("an encrypted TTA file" if form == 2 else f"TTA of the unknown format {form}", start + 4)
    if not 0 < channels <= MAX_CHANNELS or not 0 < rate <= MAX_RATE or not 0 < bits <= 64:
        raise NotAudio(f"TTA with {channels} channels of {bits} bits at {rate} Hz", start + 6)
    behind = tail.read(source, start)
    per_frame = 256 * rate // 245
    count = -(-samples // per_frame)
    if count > MAX_FRAMES:
        raise Damaged(f"the header says {samples} samples at {rate} Hz", start + 10)
    frames = _frames(source, start + _HEADER.size, count, behind.end)
    if samples and not frames.whole:
        raise Damaged(f"the header says {samples} samples, no whole frame is there", frames.offset)
    present = min(frames.whole * per_frame, samples)
    is_cut = frames.whole < frames.count
    return AudioInfo(
        container="tta",
        codec="tta",
        mime="audio/x-tta",
        sample_rate=rate,
        channels=channels,
        duration=present / rate,
        duration_exact=True,
        duration_source="header" if not is_cut else "frames",
        duration_declared=samples / rate if is_cut else None,
        truncated=is_cut,
        bits_per_sample=bits,
        sample_format=_FORMATS[form],
        bitrate=round((frames.end - frames.offset) * 8 * rate / present) if present else None,
        bitrate_mode="VBR",
        lossless=True,
        tags=behind.tags,
        pictures=behind.pictures,
        warnings=tuple(_warnings(source, frames)),
        samples=present,
        audio_offset=frames.offset,
        audio_bytes=frames.end - frames.offset,
    )


def _frames(source: Source, table: int, count: int, end: int) -> _Frames:
    """The frames that the table lists, against where the audio ends.

    The table is 4 bytes a second of audio.
    """
    first = position = table + 4 * count + 4
    whole, reached = 0, first
    for at in range(table, table + 4 * count, MAX_READ):
        data = source.read(at, min(MAX_READ, table + 4 * count - at))
        sizes = struct.unpack(f"<{len(data) // 4}I", data[: len(data) & ~3])
        if position + sum(sizes) <= end:
            whole += len(sizes)
            position = reached = position + sum(sizes)
        else:
            for size in sizes:
                position += size
                if position <= end:
                    whole, reached = whole + 1, position
        if len(data) < 4:
            break  # the file ends inside the table
    return _Frames(first, count, whole, reached, position)


def _warnings(source: Source, frames: _Frames) -> List[str]:
    warnings = []
    if not frames.count:
        warnings.append("there are no samples")
    if frames.whole < frames.count:
        warnings.append(
            f"the header says {frames.count} frames of {frames.promised_end} bytes in all, "
            f"the file has {source.size}: {frames.whole} frames are playable"
        )
    return warnings
