"""Joint stereo (2.4.3.4.9; 13818-3 2.4.3.2): middle and side, and intensity.

M/S alone works on whole rows of magic doubles, where adding two rows adds all their lines.
Intensity stereo, which is rare, works on lists of floats in coding order.
"""

from __future__ import annotations

import math
from typing import List, Sequence, Tuple

from audiokit.codec.packed import MAGIC_BITS, ones
from audiokit.codec.requantize import Bands

ILLEGAL_POSITION = 7  # version 1: this band has no position (2.4.3.4.9.3)

_MAGIC_ROW = ones(576, 64) * MAGIC_BITS
MAGIC_BYTES = _MAGIC_ROW.to_bytes(576 * 8, "little")  # a row of zeros

# L and R of a band at position 0..6: is_ratio = tan(position * pi / 12), L = ratio / (1 + ratio).
_TANGENTS = tuple([math.tan(position * math.pi / 12) for position in range(7)])
POSITIONS = tuple([(t / (1 + t), 1 / (1 + t)) if t < 1e9 else (1.0, 0.0) for t in _TANGENTS])


def middle_side(middle: bytes, side: bytes) -> Tuple[bytes, bytes]:
    """Rows of L = M + S and R = M - S; the 1/sqrt(2) is in the rows already (2.4.3.4.9.2)."""
    size = max(len(middle), len(side))
    if not side:
        return middle, middle
    m = int.from_bytes(middle + MAGIC_BYTES[len(middle) : size], "little")
    s = int.from_bytes(side + MAGIC_BYTES[len(side) : size], "little")
    magic = _MAGIC_ROW & ((1 << (8 * size)) - 1)
    # Sums of two magic doubles, one magic too many: still no carry leaves its 64 bits.
    left = (m + s - magic).to_bytes(size, "little")
    right = (m - s + magic).to_bytes(size, "little")
    return left, right


def lsf_position(position: int, intensity_scale: int) -> Tuple[float, float]:
    """The factors of L and R at an intensity position (13818-3 2.4.3.2).

    Odd positions attenuate the left channel and even ones the right, by a power of
    2**-1/4 (intensity_scale 0) or 2**-1/2 (1).
    """
    attenuation = 2.0 ** (-((position + 1) // 2) * (2 if intensity_scale else 1) / 4)
    return (attenuation, 1.0) if position & 1 else (1.0, attenuation)


def intensity_bands(right: Sequence[float], places: Bands) -> List[bool]:
    """Which bands lie in the zero part of the right channel (2.4.3.4.9.3): those above its bound.

    The bound of short blocks is found for each window by itself.  The long bands of a mixed block
    are above it only where no window has anything.
    """
    last_nonzero = [-1, -1, -1]  # index of the last band that is not all zero, by window
    last_long = -1
    first = 0
    for index, end in enumerate(places.ends):
        if any(right[first:end]):
            last_nonzero[places.windows[index]] = index
            if index < places.longs:
                last_long = index
        first = end
    if places.longs == len(places.ends):
        return [index > last_nonzero[0] for index in range(places.longs)]
    longs = places.longs
    short_part = any(last >= longs for last in last_nonzero)
    return [
        (not short_part and index > last_long)
        if index < longs
        else index > last_nonzero[places.windows[index]]
        for index in range(len(places.ends))
    ]


def joint(
    left: List[float],
    right: List[float],
    factors: Sequence[Tuple[float, float]],
    places: Bands,
    is_ms: bool,
) -> Tuple[List[float], List[float]]:
    """L and R of a frame with intensity stereo, lines in coding order, all 576 of each.

    `factors` has the L and R factor of each band; () for a band without a position, which is M/S
    or plain.  Bands below the bound are so by `intensity_bands`.
    """
    lefts: List[float] = []
    rights: List[float] = []
    half = math.sqrt(0.5)
    first = 0
    for end, pair in zip(places.ends, factors):
        a, b = left[first:end], right[first:end]
        if pair:
            lefts += [x * pair[0] for x in a]
            rights += [x * pair[1] for x in a]
        elif is_ms:
            lefts += [(x + y) * half for x, y in zip(a, b)]
            rights += [(x - y) * half for x, y in zip(a, b)]
        else:
            lefts += a
            rights += b
        first = end
    return lefts, rights


def band_factors(
    right: Sequence[float],
    positions: Sequence[int],
    illegal: Sequence[int],
    places: Bands,
    lsf_scale: int,
) -> List[Tuple[float, ...]]:
    """What `joint` takes: the factors of each band, () where intensity does not apply.

    `positions` are the right channel's scalefactors by band, `illegal` the least value of each that
    says "no position" (7, or what fills the bits: 2**slen - 1, 0 of no bits included).  `lsf_scale`
    is intensity_scale, or -1 for version 1.

    The last band of each window has no scalefactor: it takes the position of the band below.  Where
    that one lies below the bound, what it has is no position; version 2 then takes 0 (the
    conformance streams of 13818-4 need it), version 1 the same number, as decoders agree.
    """
    applies = intensity_bands(right, places)
    count = len(places.ends)
    windows = 3 if places.longs < count else 1
    result: List[Tuple[float, ...]] = []
    for index in range(count):
        source = index if index < count - windows else index - windows
        if not applies[index] or source >= len(positions):
            result.append(())
        elif lsf_scale >= 0 and not applies[source]:
            result.append(lsf_position(0, lsf_scale))
        elif positions[source] >= illegal[source]:
            result.append(())
        elif lsf_scale < 0:
            result.append(POSITIONS[positions[source]])
        else:
            result.append(lsf_position(positions[source], lsf_scale))
    return result
