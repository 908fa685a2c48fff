"""AudioSpecificConfig: what an AAC stream is, as MP4 and Matroska carry it.

ISO/IEC 14496-3 section 1.6.2.1 and 4.4.1; signalling of SBR and PS by section 1.6.5; ELD by section
4.6.20.1, USAC by ISO/IEC 23003-3 section 5.2.  Pure functions over bytes; what cannot be read is None.
"""

from __future__ import annotations

from typing import NamedTuple, Optional, Tuple

from audiokit.formats.bits import Bits

# by sampling_frequency_index (table 1.18); 13 and 14 are reserved, 15 stands for a rate in 24 bits
SAMPLE_RATES = (
    96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350,
)  # fmt: skip
CHANNELS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6, 7: 8, 11: 7, 12: 8, 13: 24, 14: 8}
_SBR, _LD, _PS, _ESCAPE, _ELD, _USAC = 5, 23, 29, 31, 39, 42  # audio object types
_ID_PCE = 5  # id_syn_ele of a program config element (table 4.85)
_MAX_BYTES = 512  # of a configuration: a program config element has up to 255 of comment
# USAC: channelConfigurationIndex means some more (23003-3 table 73), as does usacSamplingFrequencyIndex
# (table 72); samples of a frame, by coreSbrFrameLengthIndex (table 75)
_USAC_CHANNELS = {**CHANNELS, 8: 2, 9: 3, 10: 4}
_USAC_RATES = SAMPLE_RATES + (
    0, 0, 57600, 51200, 40000, 38400, 34150, 28800, 25600, 20000, 19200, 17075, 14400, 12800, 9600,
)  # fmt: skip
_USAC_FRAMES = (768, 1024, 2048, 2048, 4096)
_GENERAL = (1, 2, 3, 4, 6, 7, 17, 19, 20, 21, 22, 23)  # types with a GASpecificConfig
_PROFILES = {
    1: "Main",
    2: "LC",
    3: "SSR",
    4: "LTP",
    5: "HE-AAC",
    17: "LC (error resilient)",
    23: "LD",
    29: "HE-AACv2",
    39: "ELD",
    42: "xHE-AAC",
}


class AacConfig(NamedTuple):
    """A stream as it is presented: with SBR at twice the rate, with PS in stereo."""

    object_type: int  # 2 LC, 5 HE-AAC, 29 HE-AACv2, 42 xHE-AAC, …: the number in "mp4a.40.N"
    profile: str
    sample_rate: int  # Hz; 0 where it cannot be read
    core_rate: int  # Hz of the coded core: half of sample_rate with SBR
    channels: int  # 0 where nothing tells
    frame_samples: int  # of a frame at `core_rate`


def parse_aac_config(data: bytes) -> Optional[AacConfig]:
    """The AudioSpecificConfig in `data`, or None where it makes no sense."""
    bits = Bits(data[:_MAX_BYTES])
    try:
        kind = _object_type(bits)
        core_rate = _rate(bits)
        configuration = bits.read(4)
        rate, told = core_rate, kind
        if kind in (_SBR, _PS):
            rate = _rate(bits)
            kind = _object_type(bits)
    except EOFError:
        return None
    specific = _Specific(CHANNELS.get(configuration, 0), 512 if kind in (_LD, _ELD) else 1024)
    try:
        if kind in _GENERAL:
            specific = _general(bits, kind, configuration)
            if told == kind:
                told, rate = _backward_compatible(bits, kind, rate)
        elif kind == _ELD:
            specific, doubles = _eld(bits, configuration)
            rate = core_rate * 2 if doubles else core_rate
        elif kind == _USAC:
            specific, rate = _usac(bits)
            core_rate = rate
    except EOFError:
        pass  # decoders that need less go on
    if not 0 < core_rate <= 192_000 or not 0 < rate <= 192_000:
        return None
    channels = 2 if told == _PS and specific.channels == 1 else specific.channels
    profile = _PROFILES.get(told, f"object type {told}")
    return AacConfig(told, profile, rate, core_rate, channels, specific.frame_samples)


def parse_raw_channels(block: bytes) -> int:
    """The channels that a raw_data_block tells by the program config element it begins with, as it
    must where the transport does not tell them (4.5.1.2.1); 0 where it begins with something else.
    """
    bits = Bits(block[:_MAX_BYTES])
    try:
        return _program_config(bits) if bits.read(3) == _ID_PCE else 0
    except EOFError:
        return 0


def _object_type(bits: Bits) -> int:
    kind = bits.read(5)
    return 32 + bits.read(6) if kind == _ESCAPE else kind


def _rate(bits: Bits) -> int:
    index = bits.read(4)
    if index == 15:
        return bits.read(24)
    return SAMPLE_RATES[index] if index < len(SAMPLE_RATES) else 0


class _Specific(NamedTuple):
    """What the configuration of one object type says."""

    channels: int
    frame_samples: int


def _general(bits: Bits, kind: int, configuration: int) -> _Specific:
    """GASpecificConfig (4.4.1), with what follows it in error resilient types."""
    is_short = bits.read(1)  # frameLengthFlag
    if bits.read(1):  # dependsOnCoreCoder
        bits.read(14)
    has_extension = bits.read(1)
    channels = CHANNELS.get(configuration, 0)
    if configuration == 0:
        channels = _program_config(bits)
    found = _Specific(channels, (480 if is_short else 512) if kind == _LD else 960 if is_short else 1024)
    if kind in (6, 20) and bits.left >= 3:
        bits.read(3)  # layerNr
    if has_extension and bits.left >= 4:
        bits.read({17: 3, 19: 3, 20: 3, 22: 16, 23: 3}.get(kind, 0) + 1)
    if kind >= 17 and bits.left >= 2:
        bits.read(2)  # epConfig
    return found


def _backward_compatible(bits: Bits, kind: int, rate: int) -> Tuple[int, int]:
    """The type and the rate with SBR and PS, which old decoders need not see (1.6.5.2)."""
    if bits.left < 16 or bits.read(11) != 0x2B7 or _object_type(bits) != _SBR or not bits.read(1):
        return kind, rate
    rate = _rate(bits)
    has_ps = bits.left >= 12 and bits.read(11) == 0x548 and bits.read(1) == 1
    return (_PS if has_ps else _SBR), rate


def _eld(bits: Bits, configuration: int) -> Tuple[_Specific, bool]:
    """ELDSpecificConfig, as far as SBR, and whether that doubles the rate."""
    samples = 480 if bits.read(1) else 512
    bits.read(3)  # of resilience
    doubles = bits.read(1) == 1 and bits.read(1) == 1
    return _Specific(CHANNELS.get(configuration, 0), samples), doubles


def _usac(bits: Bits) -> Tuple[_Specific, int]:
    """The beginning of UsacConfig, and the rate."""
    index = bits.read(5)
    rate = bits.read(24) if index == 31 else (_USAC_RATES + (0, 0, 0))[index]
    length, configuration = bits.read(3), bits.read(5)
    samples = _USAC_FRAMES[length] if length < len(_USAC_FRAMES) else 1024
    return _Specific(_USAC_CHANNELS.get(configuration, 0), samples), rate


def _program_config(bits: Bits) -> int:
    """The channels of a program_config_element (4.4.1.1)."""
    bits.read(4 + 2 + 4)
    front, side, back = bits.read(4), bits.read(4), bits.read(4)
    lfe, assoc, coupling = bits.read(2), bits.read(3), bits.read(4)
    for width in (4, 4, 3):  # mono mix-down, stereo mix-down, matrix mix-down
        if bits.read(1):
            bits.read(width)
    channels = lfe
    for _ in range(front + side + back):
        channels += 1 + bits.read(1)
        bits.read(4)
    bits.read(4 * lfe + 4 * assoc + 5 * coupling)
    bits.read(bits.left % 8)
    for _ in range(bits.read(8)):
        bits.read(8)
    return channels
