"""AAC in ADTS, the transport of radio streams and recorders: every frame counted.

ISO/IEC 13818-7 section 6.2 and ISO/IEC 14496-3 annex 1.A.2.  Reads from the first frame to the
last in steps of 1 MiB.  Raises NotAudio where frames do not follow one another, Damaged where less
than half of the bytes do.  HE-AAC in ADTS looks like LC of half the rate: that it is more shows
only inside the coded audio, so LC is said.

    12 bits syncword, 1 ID, 2 layer (0), 1 no CRC, 2 profile, 4 sampling frequency, 1 private,
    3 channels, 4 of copyright, 13 frame length, 11 buffer fullness, 2 raw data blocks - 1
"""

from __future__ import annotations

import struct
from typing import List, NamedTuple, Optional, Tuple

from audiokit.formats import tail as tail_tags
from audiokit.formats.aac_config import SAMPLE_RATES, parse_raw_channels
from audiokit.formats.info import AudioInfo, Damaged, NotAudio
from audiokit.formats.patterns import is_pattern
from audiokit.formats.source import MAX_READ, Source

HEADER_BYTES = 7
MAX_FRAME_BYTES = 1 << 13
SAMPLES_PER_BLOCK = 1024
# by channel_configuration (14496-3 table 1.19); 0 stands for a program config element
CHANNELS = (0, 1, 2, 3, 4, 5, 6, 8)
_PROFILES = ("Main", "LC", "SSR", "LTP")  # the audio object types 1 to 4
_CONFIRMING = 3  # frames that must follow one another, fewer only where the file ends
_RESYNC_WINDOW = 1 << 16
_MAX_GAPS = 1000
_WORD = struct.Struct(">Q")  # a header and a byte behind it
# Of it what stays the same: but for the private bit and the CRC, all up to the channels.
_SAME = 0xFFFEFD << 40
_SAME_AND_ONE_BLOCK = _SAME | 3 << 8


class AdtsHeader(NamedTuple):
    """What does not change within a stream, and the length of this frame."""

    profile: str
    sample_rate: int  # Hz
    channels: int  # 0: told elsewhere
    frame_bytes: int
    samples: int  # a channel
    is_variable: bool  # the buffer's fullness is not told
    header_bytes: int  # where the first raw data block begins


class _Frames(NamedTuple):
    """What counting found."""

    runs: Tuple[Tuple[int, int], ...]  # (samples, rate) of frames of one kind
    bytes: int
    end: int  # offset behind the last whole frame
    gaps: Tuple[Tuple[int, int], ...]  # (offset, bytes)
    changes: Tuple[int, ...]  # offsets at which frames of another kind follow
    is_cut: bool

    @property
    def samples(self) -> int:
        return sum(samples for samples, _ in self.runs)

    @property
    def seconds(self) -> float:
        """Each kind at its own rate."""
        rates = sorted({rate for _, rate in self.runs})
        return sum(sum(samples for samples, other in self.runs if other == rate) / rate for rate in rates)


def parse_header(head: bytes, at: int = 0) -> Optional[AdtsHeader]:
    """The header at `at`, or None where there is none."""
    if len(head) - at < HEADER_BYTES or head[at] != 0xFF or head[at + 1] & 0xF6 != 0xF0:
        return None
    rate = head[at + 2] >> 2 & 15
    length = (head[at + 3] & 3) << 11 | head[at + 4] << 3 | head[at + 5] >> 5
    if rate >= len(SAMPLE_RATES) or length <= HEADER_BYTES + (0 if head[at + 1] & 1 else 2):
        return None
    blocks = (head[at + 6] & 3) + 1
    has_crc = not head[at + 1] & 1  # and, of several blocks, where all but the first are
    return AdtsHeader(
        profile=_PROFILES[head[at + 2] >> 6],
        sample_rate=SAMPLE_RATES[rate],
        channels=CHANNELS[(head[at + 2] & 1) << 2 | head[at + 3] >> 6],
        frame_bytes=length,
        samples=blocks * SAMPLES_PER_BLOCK,
        is_variable=head[at + 5] & 0x1F == 0x1F and head[at + 6] >> 2 == 0x3F,
        header_bytes=HEADER_BYTES + (2 * blocks if has_crc else 0),
    )


def matches(head: bytes) -> bool:
    """A header at the very beginning; that frames follow shows in `read`."""
    return parse_header(head) is not None


def read(source: Source, start: int = 0) -> AudioInfo:
    """The ADTS stream at `start`."""
    tail = tail_tags.read(source, start)
    first = parse_header(source.read(start, HEADER_BYTES))
    ahead = source.read(start, (_CONFIRMING + 1) * MAX_FRAME_BYTES)[: tail.end - start]
    if first is None or not _chained(ahead, 0, tail.end - start == len(ahead)):
        raise NotAudio("starts like AAC in ADTS, but no frames follow one another", start)
    frames = _walk(source, start, tail.end)
    seconds = frames.seconds
    is_little = frames.bytes < (tail.end - start) // 2
    if not frames.samples or is_little and not source.is_zeros(frames.end, tail.end):
        raise Damaged(f"frame sync lost at byte {frames.end}: {seconds:.1f} s are playable", frames.end)
    warnings: List[str] = []
    is_cut = _damage(source, frames, tail.end, seconds, warnings)
    channels = first.channels or parse_raw_channels(ahead[first.header_bytes : first.frame_bytes])
    if not channels:
        warnings.append("the number of channels is told in the coded audio only; 2 are assumed")
    return AudioInfo(
        container="adts",
        codec="aac",
        codec_profile=first.profile,
        mime="audio/aac",
        sample_rate=first.sample_rate,
        channels=channels or 2,
        duration=seconds,
        duration_exact=True,
        duration_source="frames",
        truncated=is_cut,
        bitrate=round(frames.bytes * 8 / seconds),
        bitrate_mode="VBR" if first.is_variable else "CBR",
        tags=tail.tags,
        pictures=tail.pictures,
        warnings=tuple(warnings),
        samples=round(seconds * first.sample_rate),
        audio_offset=start,
        audio_bytes=frames.bytes,
    )


def _damage(source: Source, frames: _Frames, end: int, seconds: float, warnings: List[str]) -> bool:
    """Say what is no frame between and behind the frames; whether the end is missing."""
    for offset, size in frames.gaps[:5]:
        warnings.append(f"{size} bytes at byte {offset} are not frames")
    for offset in frames.changes[:5]:
        kind = parse_header(source.read(offset, HEADER_BYTES))
        warnings.append(f"from byte {offset} on the frames are of {kind.sample_rate} Hz, channels: {kind.channels}")
    lost = end - frames.end
    if not lost:
        return False
    rest = source.read(frames.end, min(lost, MAX_READ))
    if frames.is_cut and rest[:1] == b"\xff":
        warnings.append(f"the file ends inside the frame at byte {frames.end}: {seconds:.3f} s are playable")
        return True
    is_zeros = source.is_zeros(frames.end, end)
    if lost < _RESYNC_WINDOW or is_zeros:
        kind = "are zeros" if is_zeros else "are not audio"
        warnings.append(f"{lost} bytes behind the last frame, at byte {frames.end}, {kind}")
        return False
    warnings.append(f"frame sync lost at byte {frames.end}: {seconds:.3f} s are playable")
    return True


def _chained(data: bytes, position: int, is_all: bool) -> bool:
    """Whether frames of one kind follow one another.

    Fewer are enough where they are the whole file.
    """
    first = parse_header(data, position)
    if first is None or is_pattern(data[position : position + first.frame_bytes]):
        return False
    for seen in range(_CONFIRMING):
        other = parse_header(data, position)
        if other is None or other[:3] != first[:3]:
            return False
        position += other.frame_bytes
        if position >= len(data) and is_all:
            return position == len(data) or seen >= 1
    return True


def _walk(source: Source, offset: int, end: int) -> _Frames:
    total = 0
    runs: List[Tuple[int, int]] = []
    gaps: List[Tuple[int, int]] = []
    changes: List[int] = []
    while True:
        begun, head = offset, parse_header(source.read(offset, HEADER_BYTES))
        offset, counted, is_cut = _run(source, offset, end)
        if head is not None:
            runs.append((counted, head.sample_rate))
        total += offset - begun
        again = _resync(source, offset + is_cut, end) if offset < end and len(runs) <= _MAX_GAPS else None
        if again is None:
            return _Frames(tuple(runs), total, offset, tuple(gaps), tuple(changes), is_cut)
        if again == offset:
            changes.append(offset)
        else:
            gaps.append((offset, again - offset))
        offset = again


def _run(source: Source, offset: int, end: int) -> Tuple[int, int, bool]:
    """Count samples until no frame follows: where, how many, and whether the end cuts one."""
    head = source.read(offset, 3)
    if len(head) < 3:
        return offset, 0, False
    wanted = int.from_bytes(head + bytes(5), "big") & _SAME
    unpack, samples = _WORD.unpack_from, 0
    while offset < end:
        data = source.read(offset, min(MAX_READ, end - offset)) + b"\0"
        length = len(data) - 1
        position, limit = 0, length - HEADER_BYTES
        frames = more = 0  # blocks beyond the first of a frame, which encoders hardly write
        while position <= limit:
            word = unpack(data, position)[0]
            size = word >> 21 & 0x1FFF
            if word & _SAME_AND_ONE_BLOCK != wanted or size <= HEADER_BYTES:
                if word & _SAME != wanted or size <= HEADER_BYTES:
                    blocks = frames + more
                    return offset + position, samples + blocks * SAMPLES_PER_BLOCK, False
                if position + size <= length:
                    more += word >> 8 & 3
            position += size
            frames += 1
        if position > length:  # the last one goes on behind what was read
            position -= size
            frames -= 1
        samples += (frames + more) * SAMPLES_PER_BLOCK
        offset += position
        if length < MAX_READ:
            return offset, samples, offset < end
    return offset, samples, False


def _resync(source: Source, offset: int, end: int) -> Optional[int]:
    data = source.read(offset, min(_RESYNC_WINDOW + _CONFIRMING * MAX_FRAME_BYTES, end - offset))
    position = data.find(b"\xff")
    tries = 0
    while 0 <= position < _RESYNC_WINDOW and tries < 2000:
        tries += 1
        if _chained(data, position, False):
            return offset + position
        position = data.find(b"\xff", position + 1)
    return None
