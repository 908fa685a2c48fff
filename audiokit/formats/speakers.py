"""Which loudspeaker each channel of PCM is meant for, in the order of the channels.

Microsoft's "Multiple Channel Audio Data and WAVE Files" (dwChannelMask) and the Channel Layout chunk
of "Apple Core Audio Format Specification 1.0", which AIFF-C carries as CHAN.  A tuple of the names
below, one a channel, "" for a channel that is meant for none of them; empty where nothing is told.
Pure functions over bytes and numbers; raises nothing.
"""

from __future__ import annotations

import struct
from typing import Dict, Tuple

Speakers = Tuple[str, ...]

# By the bits of a mask from the lowest on, and by Apple's labels from 1 on: front left and right, front
# centre, low frequencies, back left and right, between front and centre, back centre, sides, and the tops
NAMES = (
    "FL", "FR", "FC", "LFE", "BL", "BR", "FLC", "FRC", "BC", "SL", "SR",
    "TC", "TFL", "TFC", "TFR", "TBL", "TBC", "TBR",
)  # fmt: skip
# Apple's other labels: rear surround, wide, more low frequencies, matrix stereo, mono, headphones
_LABELS = {
    33: "BL", 34: "BR", 35: "FL", 36: "FR", 37: "LFE", 38: "FL", 39: "FR", 42: "FC", 43: "FC", 301: "FL", 302: "FR",
    **{number + 1: name for number, name in enumerate(NAMES)},
}  # fmt: skip
_BY_DESCRIPTIONS, _BY_BITMAP = 0, 1 << 16
_HEAD = struct.Struct(">III")  # tag, bitmap, descriptions: u32 label, u32 flags, 3 x f32 of place
_DESCRIPTION_BYTES = 20
_MAX_CHANNELS = 64

# Apple's layouts by the upper half of their tag; the lower half is how many channels there are.  Surrounds
# are at the sides or at the back as there is but one pair of them, or two.
_LAYOUTS: Dict[int, str] = {
    101: "FL FR",
    108: "FL FR BL BR",
    109: "FL FR BL BR FC",
    110: "FL FR BL BR FC BC",
    111: "FL FR BL BR FC BC SL SR",
    113: "FL FR FC",
    114: "FC FL FR",
    115: "FL FR FC BC",
    116: "FC FL FR BC",
    117: "FL FR FC BL BR",
    118: "FL FR BL BR FC",
    119: "FL FC FR BL BR",
    120: "FC FL FR BL BR",
    121: "FL FR FC LFE BL BR",
    122: "FL FR BL BR FC LFE",
    123: "FL FC FR BL BR LFE",
    124: "FC FL FR BL BR LFE",
    125: "FL FR FC LFE SL SR BC",
    126: "FL FR FC LFE BL BR FLC FRC",
    127: "FC FLC FRC FL FR BL BR LFE",
    128: "FL FR FC LFE SL SR BL BR",
    129: "FL FR BL BR FC LFE FLC FRC",
    131: "FL FR BC",
    132: "FL FR BL BR",
    133: "FL FR LFE",
    134: "FL FR LFE BC",
    135: "FL FR LFE BL BR",
    136: "FL FR FC LFE",
    137: "FL FR FC LFE BC",
    138: "FL FR BL BR LFE",
    139: "FL FR BL BR FC BC",
    140: "FL FR SL SR FC BL BR",
    141: "FC FL FR BL BR BC",
    142: "FC FL FR BL BR BC LFE",
    143: "FC FL FR SL SR BL BR",
    144: "FC FL FR SL SR BL BR BC",
    148: "FL FR BL BR FC FLC FRC",
    149: "FC LFE",
    150: "FL FC FR",
    151: "FL FC FR BC",
    152: "FL FC FR LFE",
    153: "FL FR BC LFE",
    154: "FL FC FR BC LFE",
}


def of_mask(mask: int, channels: int) -> Speakers:
    """The speakers of a mask, in the order of its bits; channels beyond them are meant for none."""
    if not mask & (1 << len(NAMES)) - 1:
        return ()  # "direct out": which channel is which is not told
    names = [name for bit, name in enumerate(NAMES) if mask >> bit & 1]
    return _of_so_many(names, channels)


def of_layout(data: bytes, channels: int) -> Speakers:
    """The speakers of Apple's channel layout in `data`."""
    if len(data) < _HEAD.size:
        return ()
    tag, bitmap, count = _HEAD.unpack_from(data)
    if tag == _BY_BITMAP:
        return of_mask(bitmap, channels)
    if tag != _BY_DESCRIPTIONS:
        names = _LAYOUTS.get(tag >> 16, "").split()
        return _of_so_many(names, channels) if names and len(names) == channels else ()
    labels = [
        int.from_bytes(data[at : at + 4], "big")
        for at in range(_HEAD.size, min(_HEAD.size + _DESCRIPTION_BYTES * count, len(data) - 3), _DESCRIPTION_BYTES)
    ]
    names = [_LABELS.get(label, "") for label in labels]
    return _of_so_many(names, channels) if any(names) else ()


def _of_so_many(names: list, channels: int) -> Speakers:
    if channels > _MAX_CHANNELS:
        return ()
    return tuple(names[:channels]) + ("",) * (channels - len(names))
