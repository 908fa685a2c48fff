"""WAVEFORMATEX: the description of a codec that WAV, ASF and Matroska share.

Microsoft's "Multiple Channel Audio Data and WAVE Files", mmreg.h and RFC 2361 for the format tags.
A pure function over bytes; raises NotAudio where the fields describe no audio.

    u16 wFormatTag, u16 nChannels, u32 nSamplesPerSec, u32 nAvgBytesPerSec, u16 nBlockAlign,
    u16 wBitsPerSample, u16 cbSize, cbSize bytes; for tag FFFE these are
    u16 wValidBitsPerSample, u32 dwChannelMask, 16 bytes SubFormat, which begins with the tag
"""

from __future__ import annotations

import struct
from typing import Dict, NamedTuple, Optional, Tuple

from audiokit.formats.info import NotAudio

PCM, MS_ADPCM, IEEE_FLOAT, ALAW, MULAW = 0x0001, 0x0002, 0x0003, 0x0006, 0x0007
IMA_ADPCM, GSM610, MPEG_LAYER_2, MPEG_LAYER_3, EXTENSIBLE = 0x0011, 0x0031, 0x0050, 0x0055, 0xFFFE
OKI_ADPCM, YAMAHA_ADPCM, TRUESPEECH, XBOX_ADPCM = 0x0010, 0x0020, 0x0022, 0x0069
G726_TAGS = (
    0x0014,
    0x0040,
    0x0045,
    0x0064,
    0x0085,
    0x00A4,
)  # G.721, G.723 and G.726 by several makers
G722_TAGS = (0x0065, 0x028F)  # of RFC 2361, and of later registrations

MAX_CHANNELS = 1024  # high-order ambisonics and sample libraries stay far below
MAX_RATE = 16_000_000  # Hz; oscilloscopes and sonar write WAV too

# SubFormat's bytes behind the tag, of KSDATAFORMAT_SUBTYPE_* and of ambisonic B-format
_SUBFORMATS = (
    bytes.fromhex("000000001000800000aa00389b71"),
    bytes.fromhex("00002107d3118644c8c1ca000000"),
)

# The SubFormats that Microsoft gave a GUID without a format tag (MEDIASUBTYPE_*) -> codec
_SUBTYPES: Dict[bytes, str] = {
    bytes.fromhex("af87fba7022dfb42a4d405cd93843bdd"): "eac3",
    bytes.fromhex("2c806de046dbcf11b4d100805f6cbbea"): "ac3",
    bytes.fromhex("2b806de046dbcf11b4d100805f6cbbea"): "mp2",
    bytes.fromhex("bfaa23e958cb7144a119fffa01e4ce62"): "atrac3plus",
    bytes.fromhex("d242e147ba368d4d88fc61654f8c836c"): "atrac9",
}

# Format tags of RFC 2361 and later registrations -> codec; PCM and floats are named by their width
# instead
CODECS: Dict[int, str] = {
    0x000A: "wmavoice",
    MS_ADPCM: "adpcm_ms",
    ALAW: "pcm_alaw",
    MULAW: "pcm_mulaw",
    OKI_ADPCM: "adpcm_oki",
    IMA_ADPCM: "adpcm_ima_wav",
    YAMAHA_ADPCM: "adpcm_yamaha",
    TRUESPEECH: "truespeech",
    GSM610: "gsm_ms",
    0x0032: "msnaudio",
    0x0042: "g723_1",
    MPEG_LAYER_2: "mp2",
    MPEG_LAYER_3: "mp3",
    0x0057: "amr_nb",
    0x0058: "amr_wb",
    0x0061: "adpcm_ima_dk4",
    0x0062: "adpcm_ima_dk3",
    XBOX_ADPCM: "adpcm_ima_xbox",
    0x0075: "voxware",
    0x0083: "g729",
    0x00FF: "aac",
    0x0130: "sipro",
    0x0160: "wmav1",
    0x0161: "wmav2",
    0x0162: "wmapro",
    0x0163: "wmalossless",
    0x0180: "aac",
    0x0200: "adpcm_creative",
    0x0270: "atrac3",
    0x1600: "aac",
    0x1602: "aac_latm",
    0x1610: "aac",
    0x2000: "ac3",
    0x2001: "dts",
    0x674F: "vorbis",
    0x6750: "vorbis",
    0x6751: "vorbis",
    0x676F: "vorbis",
    0x6770: "vorbis",
    0x6771: "vorbis",
    0x704F: "opus",
    0x706D: "aac",
    0x4143: "aac",
    0xA106: "aac",
    0xA109: "speex",
    0xF1AC: "flac",
}
CODECS.update((tag, "adpcm_g726") for tag in G726_TAGS)
CODECS.update((tag, "adpcm_g722") for tag in G722_TAGS)


class _Adpcm(NamedTuple):
    """A block codec of 4 bits a sample: blocks of a header and units, of all channels in turn."""

    header: int  # bytes a channel
    first: int  # samples that the header holds
    unit: int  # bytes a channel


# By RFC 2361's IMA (words of 4 bytes a channel in turn; also of 3 bits, then 3 words hold 32 samples) and
# Microsoft's (bytes, whose halves belong to the channels); of the last the header is no sample.
_ADPCM = {IMA_ADPCM: _Adpcm(4, 1, 4), MS_ADPCM: _Adpcm(7, 2, 1), XBOX_ADPCM: _Adpcm(4, 0, 4)}
_FRAMES = {GSM610: (65, 320), TRUESPEECH: (32, 240)}  # bytes, and samples in them
_PLAIN_ADPCM = G726_TAGS + (OKI_ADPCM, YAMAHA_ADPCM)  # so many bits a sample, and nothing else

_BASE = struct.Struct("HHIIHH")


class WaveFormat(NamedTuple):
    """What a WAVEFORMATEX says, EXTENSIBLE resolved."""

    tag: int  # of the codec; EXTENSIBLE's own where the codec has none
    codec: str
    channels: int
    sample_rate: int  # Hz
    byte_rate: int  # bytes a second, on average; 0 where not told
    block_align: int  # bytes of a block: of PCM one sample of every channel
    bits: int  # wBitsPerSample: of the container of a sample
    valid_bits: int  # of them used
    extra: bytes  # what follows cbSize, at most 64 bytes
    channel_mask: int  # dwChannelMask; 0 where not told

    @property
    def is_linear(self) -> bool:
        """Whether every sample stands alone, so that bytes are samples."""
        return self.tag in (PCM, IEEE_FLOAT, ALAW, MULAW)

    @property
    def samples_per_block(self) -> int:
        """Of block codecs, a channel; 0 where there is no such thing."""
        return 0 if self.is_linear or self.tag in _PLAIN_ADPCM else self.samples_in(self.block_align)

    def samples_in(self, size: int) -> int:
        """Samples a channel in `size` bytes, a last short block included; 0 where bytes do not tell."""
        if self.is_linear:
            return size // self.block_align
        if self.tag in G722_TAGS:  # two samples in a byte, whatever the bits that are used of it
            return size * 2 // self.channels
        if self.tag in _PLAIN_ADPCM:
            return size * 8 // (self.bits * self.channels) if 2 <= self.bits <= 5 else 0
        if not self.block_align:
            return 0
        blocks, rest = divmod(size, self.block_align)
        return blocks * self._in_block(self.block_align) + self._in_block(rest)

    def _in_block(self, size: int) -> int:
        """Samples a channel in a block of so many bytes."""
        if self.tag in _FRAMES:
            frame_bytes, samples = _FRAMES[self.tag]
            return size // frame_bytes * samples
        adpcm = _ADPCM.get(self.tag)
        if adpcm is None or size < adpcm.header * self.channels:
            return 0
        unit, samples = (12, 32) if self.bits == 3 and adpcm.unit == 4 else (adpcm.unit, 2 * adpcm.unit)
        return adpcm.first + (size // self.channels - adpcm.header) // unit * samples

    @property
    def sample_format(self) -> Optional[str]:
        """The record's word for how a sample is written; None for coded audio."""
        return {PCM: "int", IEEE_FLOAT: "float", ALAW: "alaw", MULAW: "ulaw"}.get(self.tag)


def parse_wave_format(data: bytes, offset: int, byte_order: str = "<") -> WaveFormat:
    """The WAVEFORMATEX in `data`, at least 14 bytes; `offset`, where it lies, is for the error
    only."""
    if len(data) < 14:
        raise NotAudio(f"a format description of {len(data)} bytes; WAV needs 16", offset)
    fields = struct.unpack_from(byte_order + _BASE.format, data.ljust(16, b"\0"))
    tag, channels, rate, byte_rate, block_align, bits = fields
    extra = data[18 : 18 + 64]
    valid_bits, mask, named = bits, 0, None
    if tag == EXTENSIBLE and len(extra) >= 22:
        valid_bits, mask = struct.unpack_from(byte_order + "HI", extra)
        valid_bits = valid_bits or bits
        named = _SUBTYPES.get(extra[6:22])
        tag = tag if named else _subformat(extra[6:22], offset, byte_order)
    if not 0 < channels <= MAX_CHANNELS or not 0 < rate <= MAX_RATE:
        raise NotAudio(f"WAV format 0x{tag:04x} with {channels} channels at {rate} Hz", offset)
    if named is None:
        named, block_align = _named(tag, channels, block_align, bits, byte_order, offset)
    width = block_align // channels * 8 if tag in (PCM, IEEE_FLOAT, ALAW, MULAW) else bits
    valid_bits = valid_bits or (width if tag in (ALAW, MULAW) else 0)
    valid_bits = min(valid_bits, width) if width else valid_bits
    return WaveFormat(tag, named, channels, rate, byte_rate, block_align, width, valid_bits, extra, mask)


def _subformat(guid: bytes, offset: int, byte_order: str) -> int:
    if guid[2:] not in _SUBFORMATS:
        raise NotAudio(f"WAV with a codec that has no format tag: {guid.hex()}", offset)
    return struct.unpack_from(byte_order + "H", guid)[0]


def _named(tag: int, channels: int, block_align: int, bits: int, byte_order: str, offset: int) -> Tuple[str, int]:
    """The codec's name and the true bytes of a block; `block_align` is wrong in some files."""
    if tag in (PCM, IEEE_FLOAT):
        width, rest = divmod(block_align, channels)
        if rest or not (bits + 7) // 8 <= width <= 8 or not width:
            width = (bits + 7) // 8
        if tag == PCM and width in (1, 2, 3, 4, 8) and bits:
            order = "" if width == 1 else "le" if byte_order == "<" else "be"
            return f"pcm_{'u' if width == 1 else 's'}{8 * width}{order}", width * channels
        if tag == IEEE_FLOAT and width in (2, 4, 8):
            return f"pcm_f{8 * width}{'le' if byte_order == '<' else 'be'}", width * channels
        kind = "PCM" if tag == PCM else "floats"
        raise NotAudio(f"WAV with {kind} of {bits} bits in blocks of {block_align} bytes", offset)
    if tag in (ALAW, MULAW):
        return CODECS[tag], channels
    if tag not in CODECS:
        raise NotAudio(f"WAV with the unknown codec 0x{tag:04x}", offset)
    return CODECS[tag], block_align
