"""AAC in LATM as a bare stream (LOAS, .latm, .loas), the transport of broadcast: every frame counted.

ISO/IEC 14496-3 section 1.7: AudioSyncStream, AudioMuxElement, StreamMuxConfig.  The first element must
hold the configuration; of the others only their lengths are read.  Raises NotAudio where elements do
not follow one another, or the configuration cannot be read.

    11 bits syncword (2B7), 13 bits bytes of the element; in it a bit that is 0 where a configuration
    follows: 1 version, 1 same framing, 6 frames - 1, 4 programmes - 1, 3 layers - 1, an AudioSpecificConfig …
"""

from __future__ import annotations

import re
from typing import List, NamedTuple, Optional, Tuple

from audiokit.formats import tail
from audiokit.formats.aac_config import AacConfig, parse_aac_config
from audiokit.formats.bits import Bits
from audiokit.formats.info import AudioInfo, Damaged, NotAudio
from audiokit.formats.patterns import is_pattern
from audiokit.formats.source import MAX_READ, Source

_HEADER_BYTES = 3
_CONFIRMING = 3  # elements that must follow one another, fewer only where the file ends
_AHEAD_BYTES = (_CONFIRMING + 1) << 13
_FIRST_READ = 1 << 12  # bytes; reads grow from here on, so that short runs of elements cost little
_RESYNC_WINDOW = 1 << 16  # bytes in which elements must go on after a gap
_MAX_GAPS = 10_000
_MAX_TRIES = 4096  # syncwords that begin no element, looked at in a whole file
_CANDIDATE = re.compile(rb"\x56(?=[\xe0-\xff])")
_MAX_TOLD = 5  # places of damage in the warnings
_AAC_TYPES = (1, 2, 3, 4, 5, 6, 17, 19, 20, 23, 29, 39, 42)  # audio object types (table 1.17)
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
    warnings: List[str] = []
    truncated = _damage(source, count, behind.end, seconds, warnings)
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
        truncated=truncated,
        bitrate=round(count.bytes * 8 / seconds),
        bitrate_mode="VBR",
        tags=behind.tags,
        pictures=behind.pictures,
        warnings=tuple(warnings),
        samples=samples,
        audio_offset=start,
        audio_bytes=count.bytes,
    )


def _damage(source: Source, count: _Count, end: int, seconds: float, warnings: List[str]) -> bool:
    """Say what is no frame between and behind the frames; whether the end is missing."""
    warnings += [f"{size} bytes at byte {offset} are not frames" for offset, size in count.gaps[:_MAX_TOLD]]
    if len(count.gaps) > _MAX_TOLD:
        warnings.append(f"{len(count.gaps)} places in all are not frames")
    lost = end - count.end
    if count.is_cut:
        warnings.append(f"the file ends inside the frame at byte {count.end}: {seconds:.3f} s are playable")
        return True
    if not lost:
        return False
    is_zeros = source.is_zeros(count.end, end)
    if is_zeros or lost < _RESYNC_WINDOW and len(count.gaps) < _MAX_GAPS:
        kind = "are zeros" if is_zeros else "are not audio"
        warnings.append(f"{lost} bytes behind the last frame, at byte {count.end}, {kind}")
        return False
    warnings.append(f"frame sync lost at byte {count.end}: {seconds:.3f} s are playable")
    return True


# Elements -----------------------------------------------------------------------------------------


def _element_bytes(data: bytes, at: int) -> int:
    """Bytes of the element at `at`, its header included; 0 where there is none."""
    if len(data) - at < _HEADER_BYTES or data[at] != 0x56 or data[at + 1] & 0xE0 != 0xE0:
        return 0
    size = (data[at + 1] & 0x1F) << 8 | data[at + 2]
    return size + _HEADER_BYTES if size else 0


def _chained(data: bytes, at: int, is_all: bool) -> bool:
    """Whether elements follow one another; fewer are enough where they are the whole file."""
    if is_pattern(data[at : at + _element_bytes(data, at)], _HEADER_BYTES):
        return False
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
    search = _Search(source, end)
    while True:
        begun = offset
        offset, counted, is_cut = _run(source, offset, end)
        elements += counted
        total += offset - begun
        again = search.next(offset + 1) if offset < end and len(gaps) < _MAX_GAPS else None
        if again is None:
            return _Count(elements, total, offset, tuple(gaps), is_cut)
        gaps.append((offset, again - offset))
        offset = again


def _run(source: Source, offset: int, end: int) -> Tuple[int, int, bool]:
    """Count elements until none follows: where, how many, and whether the end cuts one."""
    count, step = 0, _FIRST_READ
    while offset < end:
        data = source.read(offset, min(step, end - offset))
        at, size, limit = 0, 0, len(data) - _HEADER_BYTES
        while at <= limit:  # the header is read in place: this is the loop that all bytes cost
            high = data[at + 1]
            size = (high & 0x1F) << 8 | data[at + 2]
            if data[at] != 0x56 or high < 0xE0 or not size:
                return offset + at, count, False
            size += _HEADER_BYTES
            if at + size > len(data):
                break
            at += size
            count += 1
        offset += at
        if len(data) < step:
            is_begun = at <= limit or data[at : at + 1] == b"\x56"
            return offset, count, offset < end and is_begun
        step = min(4 * step, MAX_READ)
    return offset, count, False


class _Search:
    """For elements that follow one another again; what it tries in one file is bounded."""

    def __init__(self, source: Source, end: int) -> None:
        self._source, self._end = source, end
        self._tries = _MAX_TRIES

    def next(self, offset: int) -> Optional[int]:
        """Where elements go on at or behind `offset`, or None."""
        for window in (_FIRST_READ, _RESYNC_WINDOW):
            data = self._source.read(offset, min(window + (_CONFIRMING << 13), max(self._end - offset, 0)))
            for candidate in _CANDIDATE.finditer(data, 0, window):
                if _chained(data, candidate.start(), offset + len(data) == self._end):
                    return offset + candidate.start()
                self._tries -= 1
                if self._tries < 0:
                    return None
        return None


# The configuration --------------------------------------------------------------------------------


def parse_mux(element: bytes) -> Optional[_Mux]:
    """The StreamMuxConfig (table 1.42) that an AudioMuxElement begins with, or None where there is none."""
    bits = Bits(element[:_CONFIG_BYTES])
    try:
        if bits.read(1):  # useSameStreamMux, of which there is none yet
            return None
        version = bits.read(1)
        if version and bits.read(1):  # audioMuxVersionA is reserved
            return None
        if version:
            _value(bits)  # taraBufferFullness
        bits.read(1)  # allStreamsSameTimeFraming
        frames = bits.read(6) + 1
        if bits.read(4) or bits.read(3):  # several programmes or layers: which one sounds is the player's choice
            return None
        size = _value(bits) if version else bits.left
    except EOFError:
        return None
    left = bits.left
    config = (bits.read(left) << -left % 8).to_bytes((left + 7) // 8, "big")
    aac = parse_aac_config(config[: (size + 7) // 8])
    if aac is None or aac.object_type not in _AAC_TYPES or not aac.channels:
        return None
    return _Mux(aac, frames)


def _value(bits: Bits) -> int:
    """LatmGetValue (table 1.43)."""
    return bits.read(8 * (bits.read(2) + 1))
