"""DTS Coherent Acoustics as a bare stream of frames (.dts), with its extensions of DTS-HD.

ETSI TS 102 114 section 5.3 (core), 7.4 (extension substreams).  Every frame is counted, from header
to header; extensions, which stand behind the core frames, take no time.  Words of 16 bits in either
order, and words of which 14 bits are used, as CDs carry them, also in either order.  Three frames
must follow one another, or all there are.  Raises NotAudio where that is not so.
"""

from __future__ import annotations

from typing import List, NamedTuple, Optional

from audiokit.formats import tail
from audiokit.formats.bits import swapped
from audiokit.formats.dts_header import (
    CORE,
    HEADER_BYTES,
    MAX_EXTENSIONS,
    CoreHeader,
    Sound,
    extension_bytes,
    parse_core,
    parse_extension,
)
from audiokit.formats.info import AudioInfo, NotAudio
from audiokit.formats.patterns import is_pattern
from audiokit.formats.source import MAX_READ, Source

_CONFIRMING = 3
_MAX_CANDIDATES = 4096  # syncwords that begin no frame, looked at in a whole file
_MAX_ASKED = 64  # extensions that are asked what they hold: any that tells it does so within a few
_SEARCH_BYTES = 1 << 16


class _Packing(NamedTuple):
    """How words are written."""

    sync: bytes  # as the file has it
    is_little: bool
    bits: int  # of a word of 16 that are used


_PACKINGS = (
    _Packing(CORE, False, 16),
    _Packing(b"\xfe\x7f\x01\x80", True, 16),
    _Packing(b"\x1f\xff\xe8\x00", False, 14),
    _Packing(b"\xff\x1f\x00\xe8", True, 14),
)


class _Count(NamedTuple):
    samples: int
    bytes: int  # of frames and extensions
    end: int
    lost: int  # bytes between frames
    is_cut: bool
    is_given_up: bool  # frames may go on behind more junk than is looked through
    is_constant: bool
    asset: Optional[Sound]


def matches(head: bytes) -> bool:
    """A core frame header at the very beginning; frames behind it are asked for in `read`."""
    return any(parse_core(_straight(head[:32], packing)) for packing in _PACKINGS)


def read(source: Source, start: int = 0) -> AudioInfo:
    """The stream of DTS at `start`."""
    behind = tail.read(source, start)
    head = source.read(start, 32)
    packing = next((one for one in _PACKINGS if parse_core(_straight(head, one))), None)
    if packing is None:
        raise NotAudio("starts like DTS, but its first frame header does not hold", start)
    frames = _Frames(source, behind.end, packing)
    first = frames.core(start)
    frames.confirm(start)
    count = frames.count(start)
    seconds = count.samples / first.rate
    asset = count.asset
    sound = asset or first.sound
    is_lossless = sound.profile == "DTS-HD Master Audio"
    return AudioInfo(
        container="dts",
        codec="dts",
        codec_profile=sound.profile,
        mime="audio/vnd.dts.hd" if asset else "audio/vnd.dts",
        sample_rate=sound.rate,
        channels=sound.channels,
        duration=seconds,
        duration_exact=not count.lost and not count.is_given_up,
        duration_source="frames",
        truncated=count.is_cut or count.is_given_up,
        bits_per_sample=sound.bits if is_lossless else None,
        sample_format="int" if is_lossless else None,
        bitrate=round(count.bytes * 8 / seconds),
        bitrate_mode="CBR" if count.is_constant else "VBR",
        lossless=is_lossless,
        tags=behind.tags,
        pictures=behind.pictures,
        warnings=tuple(_warnings(count, behind.end, seconds)),
        samples=count.samples * sound.rate // first.rate,
        audio_offset=start,
        audio_bytes=count.bytes,
    )


def _warnings(count: _Count, end: int, seconds: float) -> List[str]:
    warnings = []
    if count.is_cut:
        warnings.append(f"the file ends inside a frame, at byte {end}: {seconds:.3f} s are playable")
    elif count.is_given_up:
        warnings.append(f"frame sync lost at byte {count.end}: {seconds:.3f} s are playable")
    elif count.end < end:
        warnings.append(f"{end - count.end} bytes behind the last frame, at byte {count.end}, are not audio")
    if count.lost:
        warnings.append(f"{count.lost} bytes between the frames are not audio")
    return warnings


def _straight(data: bytes, packing: _Packing) -> bytes:
    """What these words hold, in the standard's order, 16 bits a word."""
    data = swapped(data) if packing.is_little else data[: len(data) & ~1]
    if packing.bits == 16:
        return data
    number = 0
    for at in range(0, len(data), 2):
        number = number << 14 | int.from_bytes(data[at : at + 2], "big") & 0x3FFF
    left = len(data) // 2 * 14
    return (number << -left % 8).to_bytes((left + 7) // 8, "big")


class _Frames:
    """Frames by their offset, from windows of a `Source`."""

    def __init__(self, source: Source, end: int, packing: _Packing) -> None:
        self._source, self._end, self._packing = source, end, packing
        self._base, self._data = 0, b""
        self._candidates = _MAX_CANDIDATES

    def _window(self, offset: int, length: int) -> bytes:
        at = offset - self._base
        if at < 0 or at + length > len(self._data) and self._base + len(self._data) < self._end:
            step = min(MAX_READ, self._end - offset) if offset else min(_SEARCH_BYTES, self._end)
            self._base, self._data, at = offset, self._source.read(offset, step), 0
        return self._data[at : at + length]

    def core(self, offset: int) -> Optional[CoreHeader]:
        """The core frame at `offset`, its bytes as the file counts them."""
        data = self._window(offset, 20)
        if data[:4] != self._packing.sync:
            return None
        found = parse_core(_straight(data, self._packing))
        if found is None or self._packing.bits == 16:
            return found
        return found._replace(bytes=-(-found.bytes * 8 // 14) * 2)

    def extension(self, offset: int) -> int:
        """Bytes of the extension substream at `offset`, 0 where there is none."""
        return extension_bytes(_straight(self._window(offset, 12), self._packing)) if self._packing.bits == 16 else 0

    def confirm(self, start: int) -> None:
        """Raise unless frames follow one another, up to the end where there are few."""
        first = core = self.core(start)
        position = start
        if is_pattern(self._window(start, first.bytes)):
            raise NotAudio("starts like DTS, but its first frame is a pattern that repeats", start)
        for seen in range(_CONFIRMING):
            position += core.bytes
            for _ in range(MAX_EXTENSIONS):
                position += self.extension(position)
            if position == self._end or seen and position > self._end:
                return
            core = self.core(position)
            if core is None or core.rate != first.rate:
                raise NotAudio("starts like DTS, but no frame follows the first", start + first.bytes)

    def count(self, position: int) -> _Count:
        """All frames from `position` on."""
        samples = size = lost = 0
        asset: Optional[Sound] = None
        asked, in_row = 0, 0  # of extensions
        sizes = set()
        reached, is_cut = position, False
        while position < self._end:
            core = self.core(position)
            in_row = 0 if core else in_row + 1
            step = core.bytes if core else 0
            if in_row and in_row <= MAX_EXTENSIONS:
                step = self.extension(position)
            if not step:
                found = self._next(position + 1)
                if found is None:
                    rest = self._window(position, 4)
                    is_cut = self._end - position < HEADER_BYTES and rest == self._packing.sync[: len(rest)]
                    break
                lost += found - position
                position = found
                continue
            if position + step > self._end:
                is_cut = True
                break
            if core:
                samples += core.samples
                sizes.add(step)
            elif asset is None and asked < _MAX_ASKED:
                asked += 1
                asset = parse_extension(_straight(self._window(position, min(step, MAX_READ)), self._packing))
            position += step
            size, reached = size + step, position
        is_constant = len(sizes) == 1 and asset is None
        return _Count(samples, size, reached, lost, is_cut, self._candidates <= 0, is_constant, asset)

    def _next(self, position: int) -> Optional[int]:
        """Where a frame, and another or the end behind it, goes on."""
        charged = 0
        while self._candidates > charged:
            data = self._window(position, _SEARCH_BYTES)
            at = data.find(self._packing.sync)
            if at < 0:
                if len(data) < _SEARCH_BYTES:
                    self._candidates -= charged
                    return None
                position += len(data) - 3
                continue
            position += at
            core = self.core(position)
            if core:
                behind = position + core.bytes
                if behind == self._end or self.core(behind) or self.extension(behind):
                    self._candidates -= charged
                    return position
            charged += 1
            position += 1
        self._candidates = 0
        return None
