"""DTS Coherent Acoustics as a bare stream of frames (.dts), with its extensions of DTS-HD.

ETSI TS 102 114 section 5.3 (core), 7.4 (extension substreams).  Every frame is counted, from header
to header; extensions, which stand behind the core frames, take no time.  Words of 16 bits in either
order, and words of which 14 bits are used, as CDs carry them, also in either order.  Three frames
must follow one another, or all there are.  Raises NotAudio where that is not so.

    core       7FFE8001, 1 type, 5 deficit, 1 CRC, 7 blocks of 32 samples - 1, 14 bytes - 1, 6 channels,
               4 rate, 5 bit rate, 10 flags and kinds of extensions, 2 LFE …
    extension  64582025, 8 user's, 2 index, 1 long fields, 8 or 12 bytes of header - 1,
               16 or 20 bytes - 1, fields that do not change, assets
"""

from __future__ import annotations

from typing import List, NamedTuple, Optional

from audiokit.formats import tail
from audiokit.formats.info import AudioInfo, NotAudio
from audiokit.formats.patterns import is_pattern
from audiokit.formats.source import MAX_READ, Source

BLOCK_SAMPLES = 32
HEADER_BYTES = 14  # of a core frame, as far as it is looked at
_CORE, _EXTENSION = b"\x7f\xfe\x80\x01", b"\x64\x58\x20\x25"
_RATES = (0, 8000, 16000, 32000, 0, 0, 11025, 22050, 44100, 0, 0, 12000, 24000, 48000, 0, 0)  # table 5-5
_CHANNELS = (1, 2, 2, 2, 2, 3, 3, 4, 4, 5, 6, 6, 6, 7, 8, 8)  # table 5-4
_XCH, _X96 = 0, 2  # EXT_AUDIO_ID: a channel behind, and twice the rate (5.3.1)
_LEAST_BLOCKS, _LEAST_BYTES = 6, 96  # of a frame (5.3.1)
_CONFIRMING = 3
_MAX_FRAME_BYTES = 1 << 15  # of a core frame in words of 14 bits
_MAX_CANDIDATES = 4096  # syncwords that begin no frame, looked at in a whole file
_MAX_EXTENSIONS = 4  # behind one core frame (7.1)
_MAX_ASKED = 64  # extensions that are asked what they hold: any that tells it does so within a few
_SEARCH_BYTES = 1 << 16
# Extensions are told apart by their own syncwords, which stand where an asset begins (table 7-25)
_ASSETS = (
    (b"\x41\xa2\x95\x47", "DTS-HD Master Audio"),
    (b"\x65\x5e\x31\x5e", "DTS-HD High Resolution"),
    (b"\x0a\x80\x19\x21", "DTS Express"),
)
_WITH_XLL = (14, 15, 16, 17, 21)  # StreamConstruction (table E-3): with a core, alone, or its core in the extension
# nuMaxSampleRate (table 7-9)
_MAX_RATES = (
    8000, 16000, 32000, 64000, 128000, 22050, 44100, 88200,
    176400, 352800, 12000, 24000, 48000, 96000, 192000, 384000,
)  # fmt: skip


class _Sound(NamedTuple):
    """What is presented."""

    rate: int  # Hz
    channels: int
    bits: int  # of lossless sound
    profile: str


class CoreHeader(NamedTuple):
    """A core frame."""

    rate: int  # Hz
    channels: int
    samples: int  # a channel
    bytes: int  # of words of 16 bits
    extension: int = -1  # EXT_AUDIO_ID of what is coded behind it in the same frame, -1: nothing

    @property
    def sound(self) -> _Sound:
        """What a decoder of all of it puts out."""
        if self.extension == _X96:
            return _Sound(2 * self.rate, self.channels, 0, "DTS 96/24")
        if self.extension == _XCH:
            return _Sound(self.rate, self.channels + 1, 0, "DTS-ES")
        return _Sound(self.rate, self.channels, 0, "DTS")


class _Packing(NamedTuple):
    """How words are written."""

    sync: bytes  # as the file has it
    is_little: bool
    bits: int  # of a word of 16 that are used


_PACKINGS = (
    _Packing(_CORE, False, 16),
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
    asset: Optional[_Sound]


def parse_core(data: bytes) -> Optional[CoreHeader]:
    """The core frame header that begins `data`, in big-endian words of 16 bits, or None."""
    if len(data) < HEADER_BYTES or data[:4] != _CORE:
        return None
    bits = int.from_bytes(data[4:HEADER_BYTES], "big")
    blocks, size = (bits >> 66 & 0x7F) + 1, (bits >> 52 & 0x3FFF) + 1
    mode, rate, lfe = bits >> 46 & 0x3F, _RATES[bits >> 42 & 15], bits >> 25 & 3
    if not rate or mode >= len(_CHANNELS) or lfe == 3 or blocks < _LEAST_BLOCKS or size < _LEAST_BYTES:
        return None
    extension = bits >> 29 & 7 if bits >> 28 & 1 else -1
    return CoreHeader(rate, _CHANNELS[mode] + (lfe > 0), blocks * BLOCK_SAMPLES, size, extension)


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
    data = data[: len(data) & ~1]
    if packing.is_little:
        swapped = bytearray(data)
        swapped[::2], swapped[1::2] = data[1::2], data[::2]
        data = bytes(swapped)
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
        data = self._window(offset, 12)
        if self._packing.bits != 16 or _straight(data[:4], self._packing) != _EXTENSION:
            return 0
        head = int.from_bytes(_straight(data, self._packing)[5:], "big")
        return (head >> 21 & 0xFFFFF if head >> 53 & 1 else head >> 29 & 0xFFFF) + 1 if len(data) == 12 else 0

    def confirm(self, start: int) -> None:
        """Raise unless frames follow one another, up to the end where there are few."""
        first = core = self.core(start)
        position = start
        if is_pattern(self._window(start, first.bytes)):
            raise NotAudio("starts like DTS, but its first frame is a pattern that repeats", start)
        for seen in range(_CONFIRMING):
            position += core.bytes
            for _ in range(_MAX_EXTENSIONS):
                position += self.extension(position)
            if position == self._end or seen and position > self._end:
                return
            core = self.core(position)
            if core is None or core.rate != first.rate:
                raise NotAudio("starts like DTS, but no frame follows the first", start + first.bytes)

    def count(self, position: int) -> _Count:
        """All frames from `position` on."""
        samples = size = lost = 0
        asset: Optional[_Sound] = None
        asked, in_row = 0, 0  # of extensions
        sizes = set()
        reached, is_cut = position, False
        while position < self._end:
            core = self.core(position)
            in_row = 0 if core else in_row + 1
            step = core.bytes if core else 0
            if in_row and in_row <= _MAX_EXTENSIONS:
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


# Extensions ---------------------------------------------------------------------------------------


class _Bits:
    """Bits from the highest on; raises EOFError at the end."""

    def __init__(self, data: bytes) -> None:
        self._number = int.from_bytes(data, "big")
        self._left = 8 * len(data)

    def read(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            raise EOFError
        return self._number >> self._left & ((1 << count) - 1)


def parse_extension(data: bytes) -> Optional[_Sound]:
    """What the extension substream in `data` says of its first asset, or None where it says nothing."""
    try:
        return _first_asset(_Bits(data[4:512]), data)
    except EOFError:
        return None


def _first_asset(bits: _Bits, data: bytes) -> Optional[_Sound]:
    """Section 7.4.1, and 7.5.1 as far as the channels."""
    bits.read(8)
    index = bits.read(2)
    is_long = bits.read(1)
    header_bytes = bits.read(12 if is_long else 8) + 1
    bits.read(20 if is_long else 16)
    if not bits.read(1):  # bStaticFieldsPresent
        return None
    bits.read(2 + 3)
    if bits.read(1):
        bits.read(36)  # a time
    presentations, assets = bits.read(3) + 1, bits.read(3) + 1
    masks = [bits.read(index + 1) for _ in range(presentations)]
    bits.read(8 * sum(bin(mask).count("1") for mask in masks))
    if bits.read(1):  # bMixMetadataEnbl
        bits.read(2)
        width = 4 * (bits.read(2) + 1)
        bits.read(width * (bits.read(2) + 1))
    bits.read((20 if is_long else 16) * assets)
    bits.read(9 + 3)
    if bits.read(1):
        bits.read(4)  # what it is for
    if bits.read(1):
        bits.read(24)  # its language
    if bits.read(1):
        bits.read(8 * (bits.read(10) + 1))  # a text
    depth, rate, channels = bits.read(5) + 1, _MAX_RATES[bits.read(4)], bits.read(8) + 1
    profile = next((name for sync, name in _ASSETS if sync in data[header_bytes : header_bytes + 4]), "")
    return _Sound(rate, channels, depth, profile or _of_core(data, header_bytes))


def _of_core(data: bytes, header_bytes: int) -> str:
    """The profile of an asset that begins with an extension of the core, and may go on with others."""
    return "DTS-HD Master Audio" if _ASSETS[0][0] in data[header_bytes:] else "DTS-HD"


def layout_channels(mask: int) -> int:
    """The channels of a speaker mask (table 7-10): pairs and singles."""
    pairs = mask & 0b1010111001100110
    return bin(mask & 0xFFFF).count("1") + bin(pairs).count("1")


class SpecificBox(NamedTuple):
    """What MP4 says of DTS."""

    sample_rate: int  # Hz, the largest of the stream
    channels: int
    bits: int  # of PCM
    is_lossless: bool  # by what it is made of


def specific_box(data: bytes) -> Optional[SpecificBox]:
    """MP4's "ddts" box (annex E.2.2.3), or None where it is cut.

    u32 Hz, u32 + u32 bit rates, u8 bits; 2 duration, 5 construction, 1 LFE, 6 layout, 14 bytes,
    1 down-mix, 3 kind, 16 speakers, …
    """
    if len(data) < 19:
        return None
    mask = int.from_bytes(data[13:19], "big") & 0xFFFF
    is_lossless = data[13] >> 1 & 0x1F in _WITH_XLL
    return SpecificBox(int.from_bytes(data[:4], "big"), layout_channels(mask), data[12], is_lossless)
