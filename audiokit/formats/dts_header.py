"""What DTS says of itself: the header of a core frame, an extension substream, MP4's "ddts" box.

ETSI TS 102 114 sections 5.3.1, 7.4 and 7.5, annex E.  Pure functions over bytes; what is no header, or is
cut, is None.

    core       7FFE8001, 1 type, 5 deficit, 1 CRC, 7 blocks of 32 samples - 1, 14 bytes - 1, 6 channels,
               4 rate, 5 bit rate, 5 flags, 3 + 1 extension, 1 flag, 2 LFE …
    extension  64582025, 8 user's, 2 index, 1 long fields, 8 or 12 bytes of header - 1,
               16 or 20 bytes - 1, fields that do not change, assets
"""

from __future__ import annotations

from typing import NamedTuple, Optional

from audiokit.formats.bits import Bits

BLOCK_SAMPLES = 32
HEADER_BYTES = 14  # of a core frame, as far as it is looked at
CORE, _EXTENSION = b"\x7f\xfe\x80\x01", b"\x64\x58\x20\x25"
MAX_EXTENSIONS = 4  # behind one core frame (7.1)
_RATES = (0, 8000, 16000, 32000, 0, 0, 11025, 22050, 44100, 0, 0, 12000, 24000, 48000, 0, 0)  # table 5-5
_CHANNELS = (1, 2, 2, 2, 2, 3, 3, 4, 4, 5, 6, 6, 6, 7, 8, 8)  # table 5-4
_XCH, _X96 = 0, 2  # EXT_AUDIO_ID: a channel behind, and twice the rate (5.3.1)
_LEAST_BLOCKS, _LEAST_BYTES = 6, 96  # of a frame (5.3.1)
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


class Sound(NamedTuple):
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
    def sound(self) -> Sound:
        """What a decoder of all of it puts out."""
        if self.extension == _X96:
            return Sound(2 * self.rate, self.channels, 0, "DTS 96/24")
        if self.extension == _XCH:
            return Sound(self.rate, self.channels + 1, 0, "DTS-ES")
        return Sound(self.rate, self.channels, 0, "DTS")


def parse_core(data: bytes) -> Optional[CoreHeader]:
    """The core frame header that begins `data`, in big-endian words of 16 bits, or None."""
    if len(data) < HEADER_BYTES or data[:4] != CORE:
        return None
    bits = int.from_bytes(data[4:HEADER_BYTES], "big")
    blocks, size = (bits >> 66 & 0x7F) + 1, (bits >> 52 & 0x3FFF) + 1
    mode, rate, lfe = bits >> 46 & 0x3F, _RATES[bits >> 42 & 15], bits >> 25 & 3
    if not rate or mode >= len(_CHANNELS) or lfe == 3 or blocks < _LEAST_BLOCKS or size < _LEAST_BYTES:
        return None
    extension = bits >> 29 & 7 if bits >> 28 & 1 else -1
    return CoreHeader(rate, _CHANNELS[mode] + (lfe > 0), blocks * BLOCK_SAMPLES, size, extension)


def extension_bytes(data: bytes) -> int:
    """Bytes of the extension substream whose first 12 begin `data`, 0 where there is none."""
    if len(data) < 12 or data[:4] != _EXTENSION:
        return 0
    head = int.from_bytes(data[5:12], "big")
    return (head >> 21 & 0xFFFFF if head >> 53 & 1 else head >> 29 & 0xFFFF) + 1


def parse_extension(data: bytes) -> Optional[Sound]:
    """What the extension substream in `data` says of its first asset, or None where it says nothing."""
    try:
        return _first_asset(Bits(data[4:512]), data)
    except EOFError:
        return None


def _first_asset(bits: Bits, data: bytes) -> Optional[Sound]:
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
    return Sound(rate, channels, depth, profile or _of_core(data, header_bytes))


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
