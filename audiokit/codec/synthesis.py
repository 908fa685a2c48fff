"""The polyphase synthesis filterbank (2.4.3.2.2 and Figure A.2, applied in 2.4.3.4.10).

Matrixing.  V[i] = sum cos((16 + i)(2k + 1) pi / 64) S[k], i = 0..63, are the 32 values of the
DCT-II C[m] = sum cos(m (2k + 1) pi / 64) S[k], with signs: each is computed once.
Each halving of a DCT-II leaves a DCT-IV, and as in the IMDCT that is a DCT-III of alternating sums
times 2 cos: 120 products for 32 values.  The cosine of each C[m] goes into the window.

Window.  PCM sample j of time slot t is a sum over the last 16 slots: even ones give V[j], odd ones
V[32 + j], each times its D.  Slots of the granule before are the lane below.

All packed, slots (channel, granule) of 64 bits.
"""

from __future__ import annotations

import math
from functools import lru_cache
from operator import mul
from typing import List, Sequence, Tuple

from audiokit.codec.hybrid import SAMPLE_BITS, cosines_iii
from audiokit.codec.packed import Slots
from audiokit.codec.tables import SYNTHESIS_WINDOW

COSINE_BITS = 18
WINDOW_BITS = 19  # D alone is exact in 16, but here it carries a cosine
# 43: 0.08 last places of error for a full-scale sine, 0.05 for music, and the slot holds 16 times
# full scale before it wraps.  (40 would spare a shift and 0.2 ms a second, and cost 0.11.)
OUTPUT_FRACTION = SAMPLE_BITS + COSINE_BITS + WINDOW_BITS
TAPS = 16
_WINDOW_SCALE = 2.0 ** (WINDOW_BITS - 16)  # SYNTHESIS_WINDOW is D * 2**16


def _factors() -> List[float]:
    """What `matrix` leaves out of each C[m]: 2 cos((2n + 1) pi / 2N) for m = (32 / N)(2n + 1)."""
    factors = [1.0] * 32
    step, size = 1, 32
    while size > 2:
        for n in range(size // 2):
            factors[step * (2 * n + 1)] = 2 * math.cos((2 * n + 1) * math.pi / (2 * size))
        step, size = 2 * step, size // 2
    return factors


FACTORS = tuple(_factors())


def dct_iii(z: Sequence[int], bits: int) -> List[int]:
    """The DCT-III of 2**n vectors, times 2**bits; the first counts half.

    Even k are the DCT-III of half the size, symmetric; odd k antisymmetric, multiplied out.
    """
    size = len(z)
    if size == 1:
        return [z[0] << (bits - 1)]
    table = cosines_iii(size, bits)
    half = size // 2
    even, odd = dct_iii(z[0::2], bits), z[1::2]
    result = [0] * size
    for n in range(half):
        o = sum(map(mul, odd, table[n][1::2]))
        result[n] = even[n] + o
        result[size - 1 - n] = even[n] - o
    return result


def matrix(samples: Sequence[int]) -> List[int]:
    """C[m] / FACTORS[m], m = 0..31, of 32 subbands' samples (fewer: the rest are zero),
    times 2**COSINE_BITS."""
    sums = list(samples) + [0] * (32 - len(samples))
    result = [0] * 32
    step, size = 1, 32
    while size > 2:
        half = size // 2
        z = [sums[k] - sums[size - 1 - k] for k in range(half)]
        sums = [sums[k] + sums[size - 1 - k] for k in range(half)]
        for k in range(half - 2, -1, -1):
            z[k] -= z[k + 1]
        result[step :: 2 * step] = dct_iii(z, COSINE_BITS)
        step, size = 2 * step, half
    result[0] = (sums[0] + sums[1]) << COSINE_BITS
    result[16] = (sums[0] - sums[1]) * round(math.sqrt(0.5) * (1 << COSINE_BITS))
    return result


def _place(i: int) -> Tuple[int, int]:
    """(sign, m) such that V[i] = sign * C[m]; sign 0 for V[16], which is 0."""
    if i < 16:
        return 1, 16 + i
    if i == 16:
        return 0, 0
    return (-1, 48 - i) if i <= 48 else (-1, i - 48)


@lru_cache(maxsize=None)
def _taps(j: int) -> Tuple[int, int, Tuple[int, ...]]:
    """(m of the even taps, m of the odd ones, the 16 factors from the oldest slot to the newest).

    Tap 2i is V[j] of slot t - 2i times D[j + 64 i], tap 2i + 1 is V[32 + j] of the slot before it
    times D[j + 64 i + 32] (Figure A.2).
    """
    even_sign, even = _place(j)
    odd_sign, odd = _place(32 + j)
    factors = []
    for tap in range(TAPS):
        sign, m = (odd_sign, odd) if tap & 1 else (even_sign, even)
        factors.append(round(sign * SYNTHESIS_WINDOW[j + 32 * tap] * FACTORS[m] * _WINDOW_SCALE))
    return even, odd, tuple(factors[::-1])


def synthesize(time: Sequence[Sequence[int]], arithmetic: Slots) -> List[List[bytearray]]:
    """Planes [time slot][j] of offset 16-bit samples over the lanes (see `Slots.int16`).

    `time` is [18][subband].  The first two lanes of each channel are wrong: the overlap needs one
    lane before, the window another.
    """
    columns = [matrix(samples) for samples in time]
    delay = arithmetic.delay
    history = TAPS - 1
    # [m][slot], the last 15 slots of the granule before in front
    by_m = [
        [delay(columns[t][m]) for t in range(18 - history, 18)] + [c[m] for c in columns]
        for m in range(32)
    ]
    planes: List[List[bytearray]] = [[] for _ in range(18)]
    to_int16 = arithmetic.int16
    for j in range(32):
        even, odd, factors = _taps(j)
        a, b = by_m[even], by_m[odd]
        # What slots t - 15 .. t give, alternating, so that slot t gives its even tap
        alternating = (
            [a[s] if s & 1 else b[s] for s in range(18 + history)],
            [b[s] if s & 1 else a[s] for s in range(18 + history)],
        )
        for t in range(18):
            vectors = alternating[t & 1][t : t + TAPS]
            planes[t].append(to_int16(sum(map(mul, vectors, factors)), OUTPUT_FRACTION))
    return planes
