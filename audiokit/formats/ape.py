"""Monkey's Audio (.ape), the header of version 3.98 and later and the one before.

By the layouts in the Monkey's Audio SDK (MACLib, APEInfo).  Reads the header, the table of frames
and the tags at the end.  Raises Damaged where the header contradicts itself or no frame is there.

    since 3.98  "MAC " ("MACF" holds floats), u16 version, u16 0; u32 bytes of: this descriptor,
                header, seek table, WAV header, frames, their upper half, WAV tail; 16 bytes MD5
                header: u16 level, u16 flags, u32 samples a frame, u32 samples of the last,
                u32 frames, u16 bits, u16 channels, u32 Hz
    before      "MAC ", u16 version, u16 level, u16 flags, u16 channels, u32 Hz, u32 bytes of
                WAV header, u32 of WAV tail, u32 frames, u32 samples of the last; u32 peak if
                flag 4, u32 seek elements if flag 16; the WAV header unless flag 32
    both        the seek table: u32 offset of each frame, from "MAC "
"""

from __future__ import annotations

import struct
from typing import List, NamedTuple, Optional

from audiokit.formats import tail
from audiokit.formats.info import AudioInfo, Damaged, NotAudio
from audiokit.formats.source import MAX_READ, Source

MAX_CHANNELS = 64
MAX_RATE = 16_000_000  # Hz
MAX_FRAMES = 1 << 18  # of seconds each; more is a lie that would have us read a long table
_DESCRIPTOR = struct.Struct("<4sHHIIIIIII")
_DESCRIPTOR_BYTES = 52  # with the MD5
_HEADER = struct.Struct("<HHIIIHHI")
_OLD_HEADER = struct.Struct("<4sHHHHIIIII")
_NEW_LAYOUT_VERSION = 3980
_8_BIT, _HAS_PEAK, _24_BIT, _HAS_SEEK_ELEMENTS, _NO_WAV_HEADER = 1, 4, 8, 16, 32
_LEVELS = {1000: "fast", 2000: "normal", 3000: "high", 4000: "extra high", 5000: "insane"}


class _Header(NamedTuple):
    version: int
    level: int
    rate: int  # Hz
    channels: int
    bits: int
    frames: int
    per_frame: int  # samples a channel
    in_last: int
    seek_table: int  # offset
    seek_elements: int
    first: int  # offset of the first frame
    end: Optional[int]  # where the frames end, None where only the seek table can tell
    is_float: bool

    @property
    def samples(self) -> int:
        """Samples a channel."""
        return (self.frames - 1) * self.per_frame + self.in_last if self.frames else 0


def matches(head: bytes) -> bool:
    """The magic."""
    return head[:4] in (b"MAC ", b"MACF")


def read(source: Source, start: int = 0) -> AudioInfo:
    """The Monkey's Audio file at `start`."""
    head = source.read(start, 6)
    if len(head) < 6:
        raise EOFError(start + len(head))
    version = int.from_bytes(head[4:], "little")
    is_new = version >= _NEW_LAYOUT_VERSION
    header = _header(source, start) if is_new else _old_header(source, start)
    if not 0 < header.channels <= MAX_CHANNELS or not 0 < header.rate <= MAX_RATE:
        raise NotAudio(f"Monkey's Audio with {header.channels} channels at {header.rate} Hz", start)
    if header.bits not in (8, 16, 24, 32) or not 0 < header.per_frame <= 1 << 24:
        raise NotAudio(f"Monkey's Audio with {header.bits} bits, {header.per_frame} samples a frame", start)
    if header.frames > MAX_FRAMES or header.in_last > header.per_frame:
        raise Damaged(f"the header says {header.frames} frames, the last of {header.in_last} samples", start)
    behind = tail.read(source, start)
    warnings: List[str] = []
    samples = _present(source, start, header, behind.end, warnings)
    if header.samples and not samples:
        raise Damaged("frames are promised, the file ends before them", header.first)
    is_cut = samples < header.samples
    audio_bytes = max(min(behind.end, header.end or behind.end) - header.first, 0)
    return AudioInfo(
        container="ape",
        codec="ape",
        codec_profile=_LEVELS.get(header.level),
        mime="audio/x-ape",
        sample_rate=header.rate,
        channels=header.channels,
        duration=samples / header.rate,
        duration_exact=True,
        duration_source="frames" if is_cut else "header",
        duration_declared=header.samples / header.rate if is_cut else None,
        truncated=is_cut,
        bits_per_sample=header.bits,
        sample_format="float" if header.is_float else "int",
        bitrate=round(audio_bytes * 8 * header.rate / samples) if samples else None,
        bitrate_mode="VBR",
        lossless=True,
        tags=behind.tags,
        pictures=behind.pictures,
        warnings=tuple(warnings),
        samples=samples,
        audio_offset=header.first,
        audio_bytes=audio_bytes,
    )


def _header(source: Source, start: int) -> _Header:
    fields = source.unpack(_DESCRIPTOR, start)
    magic, version, _, size, header_size, table_size, wav_size, low, high, _ = fields
    if size < _DESCRIPTOR_BYTES or header_size < _HEADER.size:
        raise Damaged(f"a descriptor of {size} bytes and a header of {header_size}", start + 8)
    level, _, per_frame, in_last, frames, bits, channels, rate = source.unpack(_HEADER, start + size)
    table = start + size + header_size
    first = table + table_size + wav_size
    return _Header(
        version, level, rate, channels, bits, frames, per_frame, in_last, table, table_size // 4,
        first, first + (high << 32 | low), magic == b"MACF",
    )  # fmt: skip


def _old_header(source: Source, start: int) -> _Header:
    fields = source.unpack(_OLD_HEADER, start)
    _, version, level, flags, channels, rate, wav_size, _, frames, in_last = fields
    table = start + _OLD_HEADER.size + (4 if flags & _HAS_PEAK else 0)
    elements = frames
    if flags & _HAS_SEEK_ELEMENTS:
        elements = int.from_bytes(source.read(table, 4), "little")
        table += 4
    table += 0 if flags & _NO_WAV_HEADER else wav_size
    if version >= 3950:
        per_frame = 73728 * 4
    else:
        per_frame = 73728 if version >= 3900 or version >= 3800 and level == 4000 else 9216
    bits = 8 if flags & _8_BIT else 24 if flags & _24_BIT else 16
    return _Header(
        version, level, rate, channels, bits, frames, per_frame, in_last, table, elements,
        table + 4 * elements, None, False,
    )  # fmt: skip


def _present(source: Source, start: int, header: _Header, end: int, warnings: List[str]) -> int:
    """Samples a channel that are there: a frame is, when the next one begins before the end."""
    if not header.frames:
        warnings.append("there are no samples")
        return 0
    if header.end is not None and header.end <= end:
        return header.samples
    begun = _frames_begun(source, start, header, end)
    if begun == header.frames and header.end is None:
        return header.samples  # nothing tells where the last frame of an old file ends
    whole = max(begun - 1, 0)  # the last that has begun is not whole
    wanted = f" of {header.end} bytes" if header.end else ""
    warnings.append(
        f"the header says {header.frames} frames{wanted}, the file has {source.size}: "
        f"{whole} frames are playable"
    )
    return whole * header.per_frame


def _frames_begun(source: Source, start: int, header: _Header, end: int) -> int:
    """Frames that begin before `end`, by the seek table, whose offsets wrap beyond 4 GiB."""
    listed = min(header.frames, header.seek_elements)
    begun, previous, wraps = 0, 0, 0
    for at in range(0, 4 * listed, MAX_READ):
        data = source.read(header.seek_table + at, min(MAX_READ, 4 * listed - at))
        for offset in struct.unpack(f"<{len(data) // 4}I", data[: len(data) & ~3]):
            wraps += offset < previous
            previous = offset
            if start + (wraps << 32) + offset >= end:
                return begun
            begun += 1
        if len(data) < 4:
            break
    return begun
