"""AudioSpecificConfig: what an AAC stream is, as MP4 and Matroska carry it.

ISO/IEC 14496-3 section 1.6.2.1 and 4.4.1; signalling of SBR and PS by section 1.6.5.  A pure
function over bytes;
what cannot be read is None.
"""

from __future__ import annotations

from typing import NamedTuple, Optional

# by sampling_frequency_index (table 1.18); 13 and 14 are reserved, 15 stands for a rate in 24 bits
SAMPLE_RATES = (
    96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350,
)  # fmt: skip
CHANNELS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6, 7: 8, 11: 7, 12: 8, 13: 24, 14: 8}
_SBR, _PS, _USAC, _ESCAPE = 5, 29, 42, 31  # audio object types
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
    channels: int  # 0 where a program config element tells, or none


class _Bits:
    """Bits from the highest on; raises EOFError at the end."""

    def __init__(self, data: bytes) -> None:
        self._number = int.from_bytes(data, "big")
        self.left = 8 * len(data)

    def read(self, count: int) -> int:
        self.left -= count
        if self.left < 0:
            raise EOFError
        return self._number >> self.left & ((1 << count) - 1)


def parse_aac_config(data: bytes) -> Optional[AacConfig]:
    """The AudioSpecificConfig in `data`, or None where it makes no sense."""
    bits = _Bits(data[:64])
    try:
        kind = _object_type(bits)
        core_rate = _rate(bits)
        configuration = bits.read(4)
        rate, told, is_stereo = core_rate, kind, False
        if kind in (_SBR, _PS):
            is_stereo = kind == _PS
            rate = _rate(bits)
            kind = _object_type(bits)
        channels = CHANNELS.get(configuration, 0)
    except EOFError:
        return None
    if kind in _GENERAL and told not in (_SBR, _PS):
        told, rate, is_stereo, pce = _backward_compatible(bits, kind, core_rate, configuration)
        channels = channels or pce
    if not 0 < core_rate <= 192_000 or not 0 < rate <= 192_000:
        return None
    if is_stereo and channels == 1:
        channels = 2
    return AacConfig(told, _PROFILES.get(told, f"object type {told}"), rate, core_rate, channels)


def _object_type(bits: _Bits) -> int:
    kind = bits.read(5)
    return 32 + bits.read(6) if kind == _ESCAPE else kind


def _rate(bits: _Bits) -> int:
    index = bits.read(4)
    if index == 15:
        return bits.read(24)
    return SAMPLE_RATES[index] if index < len(SAMPLE_RATES) else 0


def _backward_compatible(bits: _Bits, kind: int, rate: int, configuration: int):
    """What stands behind the core's configuration: channels of a program config element, SBR and PS
    that old decoders need not see (1.6.5.2).  Returns (type, rate, has PS, channels)."""
    channels = 0
    try:
        bits.read(1)  # frameLengthFlag
        if bits.read(1):  # dependsOnCoreCoder
            bits.read(14)
        bits.read(1)  # extensionFlag
        if configuration == 0:
            channels = _program_config(bits)
        if bits.read(11) == 0x2B7 and _object_type(bits) == _SBR and bits.read(1):
            rate = _rate(bits)
            has_ps = bits.left >= 12 and bits.read(11) == 0x548 and bits.read(1) == 1
            return (_PS if has_ps else _SBR), rate, has_ps, channels
    except EOFError:
        pass
    return kind, rate, False, channels


def _program_config(bits: _Bits) -> int:
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
