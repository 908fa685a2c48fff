"""AAC in LATM as a bare stream (LOAS, .latm, .loas), the transport of broadcast: every frame counted.

ISO/IEC 14496-3 section 1.7: AudioSyncStream, AudioMuxElement, StreamMuxConfig.  The first element must
hold the configuration; of the others only their lengths are read.  Raises NotAudio where elements do
not follow one another, or the configuration cannot be read.

    11 bits syncword (2B7), 13 bits bytes of the element; in it a bit that is 0 where a configuration
    follows: 1 version, 1 same framing, 6 frames - 1, 4 programmes - 1, 3 layers - 1, an AudioSpecificConfig …
"""

from __future__ import annotations

from typing import List, NamedTuple, Optional, Tuple

from audiokit.formats import tail
from audiokit.formats.aac_config import AacConfig, parse_aac_config
from audiokit.formats.info import AudioInfo, Damaged, NotAudio
from audiokit.formats.source import MAX_READ, Source

_HEADER_BYTES = 3
_CONFIRMING = 3  # elements that must follow one another, fewer only where the file ends
_AHEAD_BYTES = (_CONFIRMING + 1) << 13
_RESYNC_WINDOW = 1 << 16
_MAX_GAPS = 1000
_CONFIG_BYTES = 600  # that are looked at


class _Mux(NamedTuple):
    """StreamMuxConfig."""

    aac: AacConfig
    frames: int  # in an element


class _Count(NamedTuple):
    elements: int
    bytes: int
    end: int
    gaps: Tuple[Tuple[int, int], ...]  # (offset, bytes)
    is_cut: bool


def starts_here(source: Source, start: int) -> bool:
    """Whether elements, not only a syncword, are at `start`."""
    ahead = source.read(start, _AHEAD_BYTES)
    return _chained(ahead, 0, start + len(ahead) == source.size)


def read(source: Source, start: int = 0) -> AudioInfo:
    """The stream at `start`."""
    behind = tail.read(source, start)
    ahead = source.read(start, min(_AHEAD_BYTES, behind.end - start))
    if not _chained(ahead, 0, start + len(ahead) == behind.end):
        raise NotAudio("starts like AAC in LATM, but no frames follow one another", start)
    mux = parse_mux(ahead[_HEADER_BYTES : _element_bytes(ahead, 0)])
    if mux is None:
        raise NotAudio("AAC in LATM whose configuration cannot be read", start + _HEADER_BYTES)
    count = _walk(source, start, behind.end)
    aac = mux.aac
    scale = aac.sample_rate // aac.core_rate or 1
    samples = count.elements * mux.frames * aac.frame_samples * scale
    is_little = count.bytes < (behind.end - start) // 2
    if not samples or is_little and not source.is_zeros(count.end, behind.end):
        raise Damaged(f"frame sync lost at byte {count.end}", count.end)
    seconds = samples / aac.sample_rate
    return AudioInfo(
        container="latm",
        codec="aac",
        codec_profile=aac.profile,
        mime="audio/mp4a-latm",
        sample_rate=aac.sample_rate,
        channels=aac.channels,
        duration=seconds,
        duration_exact=True,
        duration_source="frames",
        truncated=count.is_cut,
        bitrate=round(count.bytes * 8 / seconds),
        bitrate_mode="VBR",
        tags=behind.tags,
        pictures=behind.pictures,
        warnings=tuple(_warnings(count, behind.end, seconds)),
        samples=samples,
        audio_offset=start,
        audio_bytes=count.bytes,
    )


def _warnings(count: _Count, end: int, seconds: float) -> List[str]:
    warnings = [f"{size} bytes at byte {offset} are not frames" for offset, size in count.gaps[:5]]
    if count.is_cut:
        warnings.append(f"the file ends inside the frame at byte {count.end}: {seconds:.3f} s are playable")
    elif count.end < end:
        warnings.append(f"{end - count.end} bytes behind the last frame, at byte {count.end}, are not audio")
    return warnings


# Elements -----------------------------------------------------------------------------------------


def _element_bytes(data: bytes, at: int) -> int:
    """Bytes of the element at `at`, its header included; 0 where there is none."""
    if len(data) - at < _HEADER_BYTES or data[at] != 0x56 or data[at + 1] & 0xE0 != 0xE0:
        return 0
    size = (data[at + 1] & 0x1F) << 8 | data[at + 2]
    return size + _HEADER_BYTES if size else 0


def _chained(data: bytes, at: int, is_all: bool) -> bool:
    """Whether elements follow one another; fewer are enough where they are the whole file."""
    for seen in range(_CONFIRMING):
        size = _element_bytes(data, at)
        if not size:
            return False
        at += size
        if at >= len(data):
            return is_all and (at == len(data) or seen > 0)
    return True


def _walk(source: Source, offset: int, end: int) -> _Count:
    elements = total = 0
    gaps: List[Tuple[int, int]] = []
    while True:
        begun = offset
        offset, counted, is_cut = _run(source, offset, end)
        elements += counted
        total += offset - begun
        again = _resync(source, offset + 1, end) if offset < end and len(gaps) < _MAX_GAPS else None
        if again is None:
            return _Count(elements, total, offset, tuple(gaps), is_cut)
        gaps.append((offset, again - offset))
        offset = again


def _run(source: Source, offset: int, end: int) -> Tuple[int, int, bool]:
    """Count elements until none follows: where, how many, and whether the end cuts one."""
    count = 0
    while offset < end:
        data = source.read(offset, min(MAX_READ, end - offset))
        at = 0
        while True:
            size = _element_bytes(data, at)
            if not size or at + size > len(data):
                break
            at += size
            count += 1
        offset += at
        if size == 0 and len(data) - at >= _HEADER_BYTES:
            return offset, count, False
        if len(data) < MAX_READ:
            rest = data[at : at + 2]
            return offset, count, offset < end and (size > 0 or rest[:1] == b"\x56")
    return offset, count, False


def _resync(source: Source, offset: int, end: int) -> Optional[int]:
    data = source.read(offset, min(_RESYNC_WINDOW + (_CONFIRMING << 13), max(end - offset, 0)))
    at = data.find(b"\x56")
    while 0 <= at < _RESYNC_WINDOW:
        if _chained(data, at, offset + len(data) == end):
            return offset + at
        at = data.find(b"\x56", at + 1)
    return None


# The configuration --------------------------------------------------------------------------------


def parse_mux(element: bytes) -> Optional[_Mux]:
    """The StreamMuxConfig (table 1.42) that an AudioMuxElement begins with, or None where there is none."""
    element = element[:_CONFIG_BYTES]
    number, left = int.from_bytes(element, "big"), 8 * len(element)

    def read(count: int) -> int:
        nonlocal left
        left -= count
        return number >> left & (1 << count) - 1 if left >= 0 else 0

    def value() -> int:  # LatmGetValue (table 1.43)
        return read(8 * (read(2) + 1))

    if read(1):  # useSameStreamMux, of which there is none yet
        return None
    version = read(1)
    if version and read(1):  # audioMuxVersionA is reserved
        return None
    if version:
        value()  # taraBufferFullness
    read(1)  # allStreamsSameTimeFraming
    frames = read(6) + 1
    if read(4) or read(3) or left <= 0:  # several programmes or layers: which one sounds is the player's choice
        return None
    size = value() if version else left
    rest = (number & (1 << left) - 1 if left > 0 else 0) << -left % 8
    config = rest.to_bytes((left + 7) // 8, "big") if left > 0 else b""
    aac = parse_aac_config(config[: (size + 7) // 8])
    return _Mux(aac, frames) if aac is not None and aac.channels else None
