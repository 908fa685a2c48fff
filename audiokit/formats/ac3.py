"""AC-3 and E-AC-3 (Dolby Digital and Digital Plus) as bare streams of frames.

ETSI TS 102 366 (ATSC A/52): section 4 and annex E.  Every frame is counted, from header to header;
frames of further programmes and of dependent substreams, which add channels, take no time.  Random
bytes hold its short syncword, so three frames must follow one another, or the CRC of all there are
must hold.  Raises NotAudio where that is not so.

    AC-3    0B77, 16 CRC1, 2 fscod, 6 frmsizecod, 5 bsid (at most 10), 3 bsmod, 3 acmod,
            mix levels, 1 lfeon …
    E-AC-3  0B77, 2 strmtyp, 3 substreamid, 11 frmsiz, 2 fscod, 2 numblkscod or fscod2, 3 acmod,
            1 lfeon, 5 bsid (11 to 16) …, 16 chanmap in dependent substreams

Both end with CRC2, which makes the CRC of everything behind the syncword zero.  Bytes of words may
be swapped throughout.
"""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Optional, Tuple

from audiokit.formats import tail
from audiokit.formats.bits import swapped
from audiokit.formats.info import AudioInfo, NotAudio
from audiokit.formats.patterns import is_pattern
from audiokit.formats.source import MAX_READ, Source

MAX_FRAME_BYTES = 4096  # 2048 words of E-AC-3; AC-3 has at most 1920
_HEADER_BYTES = 12  # all that is looked at, but for the channels of dependent substreams
_CONFIRMING = 3  # frames in a row that are believed without their CRC
_MAX_CANDIDATES = 4096  # looks for a syncword in one file, before its rest is called no audio
_SEARCH_BYTES = 1 << 14
_SYNC, _SWAPPED_SYNC = b"\x0b\x77", b"\x77\x0b"
_RATES = (48000, 44100, 32000)
_KBPS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)
_BLOCKS = (1, 2, 3, 6)
_BLOCK_SAMPLES = 256
_DEPENDENT = 1  # strmtyp of a substream that adds channels to the one before

# Where the channels of an acmod stand, as bits of E-AC-3's chanmap (table E.1.4: 0x8000 is left),
# and LFE.
_LEFT, _CENTRE, _RIGHT, _LS, _RS, _CS, _LFE = 0x8000, 0x4000, 0x2000, 0x1000, 0x0800, 0x0100, 0x0001
_LOCATIONS = (
    _LEFT | _RIGHT,  # 1+1: two programmes of one channel
    _CENTRE,
    _LEFT | _RIGHT,
    _LEFT | _CENTRE | _RIGHT,
    _LEFT | _RIGHT | _CS,
    _LEFT | _CENTRE | _RIGHT | _CS,
    _LEFT | _RIGHT | _LS | _RS,
    _LEFT | _CENTRE | _RIGHT | _LS | _RS,
)
_PAIRS = 0x0400 | 0x0200 | 0x0040 | 0x0020 | 0x0010 | 0x0004  # of chanmap: two channels each


class _Frame(NamedTuple):
    codec: str  # ac3 or eac3
    rate: int  # Hz
    size: int  # bytes
    samples: int  # a channel
    locations: int  # of its channels
    is_timed: bool  # an independent substream of the first programme
    stream: int  # strmtyp and substreamid

    @property
    def is_dependent(self) -> bool:
        """Whether it adds channels to the substream before it."""
        return self.stream >> 3 == _DEPENDENT


class _Count(NamedTuple):
    frames: int  # that take time
    samples: int
    locations: int  # of all substreams of the first programme
    audio_bytes: int
    end: int
    lost: int  # bytes between frames
    is_cut: bool
    is_constant: bool  # all frames have one size, give or take a word
    other_rate: int  # Hz of a frame with another rate, or 0


def matches(head: bytes) -> bool:
    """A whole header at the very beginning; frames behind it are asked for in `read`."""
    if head[:2] not in (_SYNC, _SWAPPED_SYNC) or head[:8] == head[:2] * 4:  # a pattern is no stream
        return False
    return _parse(_straight(head[:64])) is not None


def read(source: Source, start: int = 0) -> AudioInfo:
    """The stream of AC-3 or E-AC-3 at `start`."""
    behind = tail.read(source, start)
    is_swapped = source.read(start, 2) == _SWAPPED_SYNC
    frames = _Reader(source, start, behind.end, is_swapped)
    first = frames.at(start)
    if first is None:
        raise NotAudio("starts like AC-3, but its first frame header does not hold", start)
    _confirm(frames, first, start)
    count = _count(frames, first)
    if not count.samples:
        raise NotAudio("AC-3 without one whole frame of the first programme", start)
    duration = count.samples / first.rate
    return AudioInfo(
        container="ac3",
        codec=first.codec,
        mime="audio/eac3" if first.codec == "eac3" else "audio/ac3",
        sample_rate=first.rate,
        channels=_channels(count.locations),
        duration=duration,
        duration_exact=not count.lost and not count.other_rate,
        duration_source="frames",
        truncated=count.is_cut,
        bitrate=round(count.audio_bytes * 8 / duration),
        bitrate_mode="CBR" if count.is_constant else "VBR",
        tags=behind.tags,
        pictures=behind.pictures,
        warnings=tuple(_warnings(count, first, behind.end, duration)),
        samples=count.samples,
        audio_offset=start,
        audio_bytes=count.audio_bytes,
    )


def _warnings(count: _Count, first: _Frame, end: int, duration: float) -> List[str]:
    warnings = []
    if count.is_cut:
        warnings.append(f"the file ends inside a frame, at byte {end}")
    elif count.end < end:
        warnings.append(f"frame sync lost at byte {count.end}: {duration:g} s are playable")
    if count.lost:
        warnings.append(f"{count.lost} bytes between the frames are no audio")
    if count.other_rate:
        warnings.append(f"the rate changes from {first.rate} to {count.other_rate} Hz")
    return warnings


def _straight(data: bytes) -> bytes:
    """The bytes in the order of the standard."""
    if data[:2] != _SWAPPED_SYNC:
        return data
    return swapped(data)


# The header
# ----------------------------------------------------------------------------------------


def _parse(data: bytes, at: int = 0) -> Optional[_Frame]:
    """The frame whose header is at `at`, or None; needs 12 bytes, of dependent substreams 24."""
    if len(data) < at + _HEADER_BYTES or data[at : at + 2] != _SYNC:
        return None
    bsid = data[at + 5] >> 3
    if bsid <= 10:
        return _parse_ac3(data, at, bsid)
    return _parse_eac3(data, at) if bsid <= 16 else None


def _parse_ac3(data: bytes, at: int, bsid: int) -> Optional[_Frame]:
    code, size_code = data[at + 4] >> 6, data[at + 4] & 0x3F
    if code == 3 or size_code >= 2 * len(_KBPS):
        return None
    kbps = _KBPS[size_code >> 1]
    # table 4.13: 1536 samples of so many kbit/s in words of 16 bits; at 44.1 kHz an odd code pads
    words = kbps * 96000 // _RATES[code] + (size_code & 1 if code == 1 else 0)
    mode = data[at + 6] >> 5
    bits = (data[at + 6] << 8 | data[at + 7]) << 3 & 0xFFFF  # behind acmod
    skipped = 2 * (mode & 1 and mode != 1) + 2 * bool(mode & 4) + 2 * (mode == 2)
    has_lfe = bits << skipped & 0x8000
    rate = _RATES[code] >> max(bsid - 8, 0)  # bsid 9 and 10: half and a quarter of the rate
    return _Frame(
        "ac3",
        rate,
        2 * words,
        6 * _BLOCK_SAMPLES,
        _LOCATIONS[mode] | (_LFE if has_lfe else 0),
        True,
        0,
    )


def _parse_eac3(data: bytes, at: int) -> Optional[_Frame]:
    kind, substream = data[at + 2] >> 6, data[at + 2] >> 3 & 7
    size = 2 * (((data[at + 2] & 7) << 8 | data[at + 3]) + 1)
    code, blocks = data[at + 4] >> 6, _BLOCKS[data[at + 4] >> 4 & 3]
    if kind == 3 or size < 12:
        return None
    if code < 3:
        rate = _RATES[code]
    else:  # fscod2 takes the place of numblkscod, and there are six blocks
        half = data[at + 4] >> 4 & 3
        if half == 3:
            return None
        rate, blocks = _RATES[half] // 2, 6
    mode = data[at + 4] >> 1 & 7
    locations = _LOCATIONS[mode] | (_LFE if data[at + 4] & 1 else 0)
    if kind == _DEPENDENT:
        locations = _channel_map(data[at + 5 : at + 24], mode) or locations
    return _Frame(
        "eac3", rate, size, blocks * _BLOCK_SAMPLES, locations,
        kind != _DEPENDENT and not substream, kind << 3 | substream,
    )  # fmt: skip


def _channel_map(data: bytes, mode: int) -> int:
    """chanmap of a dependent substream, 0 where it has none.

    `data` begins with bsid (section E.1.2.2).
    """
    bits = int.from_bytes(data.ljust(19, b"\0"), "big")
    at = 5  # behind bsid
    for _ in range(2 if mode == 0 else 1):
        at += 5  # dialnorm
        at += 9 if bits >> (151 - at) & 1 else 1  # compre, compr
    if not bits >> (151 - at) & 1:
        return 0
    return bits >> (151 - at - 16) & 0xFFFF


def _channels(locations: int) -> int:
    return bin(locations).count("1") + bin(locations & _PAIRS).count("1")


# The frames
# ----------------------------------------------------------------------------------------


class _Reader:
    """Frames by their offset, from windows of a `Source`."""

    def __init__(self, source: Source, start: int, end: int, is_swapped: bool) -> None:
        self.source, self.start, self.end, self.is_swapped = source, start, end, is_swapped
        self.candidates = _MAX_CANDIDATES
        self._base, self._data = start, b""

    def window(self, offset: int, length: int) -> bytes:
        """The `length` bytes from `offset` on, fewer at the end."""
        at = offset - self._base
        if at < 0 or at + length > len(self._data) and self._base + len(self._data) < self.end:
            begin = offset - (offset - self.start) % 2
            step = MAX_READ if offset > self.start else 4 * MAX_FRAME_BYTES
            data = self.source.read(begin, min(step, self.end - begin))
            self._base, self._data = begin, swapped(data) if self.is_swapped else data
        return self._data[offset - self._base : offset - self._base + length]

    def at(self, offset: int) -> Optional[_Frame]:
        """The frame that begins at `offset`, if one does."""
        return _parse(self.window(offset, 24))


def _confirm(frames: _Reader, first: _Frame, start: int) -> None:
    """Raise unless frames follow one another, or the CRC of the few there are holds."""
    position, found = start, []
    while len(found) < _CONFIRMING:
        frame = frames.at(position)
        if frame is None or position + frame.size > frames.end:
            break
        found.append((position, frame))
        position += frame.size
    if found and is_pattern(frames.window(start, first.size)):
        raise NotAudio("starts like AC-3, but its first frame is a pattern that repeats", start)
    if len(found) == _CONFIRMING:
        return
    if found and not any(frames.window(start, first.size)[2:]):  # for which a CRC of zero holds
        raise NotAudio("starts like AC-3, but there are only zeros behind the syncword", start)
    if not found or not all(_crc_holds(frames, at, frame) for at, frame in found):
        raise NotAudio("starts like AC-3, but no frame follows the first", start + first.size)


def _crc_holds(frames: _Reader, offset: int, frame: _Frame) -> bool:
    """The CRC of section 6.1.7, x^16 + x^15 + x^2 + 1, over all behind the syncword, is zero."""
    register = 0
    for byte in frames.window(offset, MAX_FRAME_BYTES)[2 : frame.size]:
        register ^= byte << 8
        for _ in range(8):
            register = (register << 1 ^ 0x8005 if register & 0x8000 else register << 1) & 0xFFFF
    return register == 0


def _count(frames: _Reader, first: _Frame) -> _Count:
    position, end = frames.start, frames.end
    count = samples = audio_bytes = lost = other_rate = locations = 0
    sizes: Dict[int, Tuple[int, int]] = {}  # of each substream, the smallest and the largest
    reached, is_cut, is_first = position, False, True
    while position < end:
        frame = frames.at(position)
        if frame is None:
            found = _resync(frames, position)
            if found is None:
                rest = frames.window(position, _HEADER_BYTES)
                is_cut = len(rest) < _HEADER_BYTES and rest[:2] == _SYNC[: len(rest)]
                break
            lost += found - position
            position = found
            continue
        if position + frame.size > end:
            is_cut = True
            break
        position += frame.size
        audio_bytes += frame.size
        reached = position
        low, high = sizes.get(frame.stream, (frame.size, frame.size))
        sizes[frame.stream] = min(low, frame.size), max(high, frame.size)
        if frame.is_timed:
            count, samples = count + 1, samples + frame.samples
            other_rate = other_rate or (frame.rate if frame.rate != first.rate else 0)
        if not frame.is_dependent:  # dependent ones are of the independent one before (E.1.3.1.2)
            is_first = frame.is_timed
        if is_first:
            locations |= frame.locations
    is_constant = all(high - low <= 2 for low, high in sizes.values())  # 44.1 kHz pads by a word
    return _Count(count, samples, locations, audio_bytes, reached, lost, is_cut, is_constant, other_rate)


def _resync(frames: _Reader, position: int) -> Optional[int]:
    """Where two frames follow one another again, or None."""
    while frames.candidates > 0:
        frames.candidates -= 1
        data = frames.window(position + 1, _SEARCH_BYTES)
        at = data.find(_SYNC)
        if at < 0:
            position += max(len(data) - 1, 1)
            if position + 2 >= frames.end:
                return None
            continue
        position += 1 + at
        frame = frames.at(position)
        if frame and position + frame.size <= frames.end:
            behind = position + frame.size
            if behind == frames.end or frames.at(behind):
                return position
    return None
