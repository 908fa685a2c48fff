"""The hybrid filterbank's second half: alias reduction and IMDCT (2.4.3.4.10, Table B.9).

Everything is packed: a vector's slots are (channel, granule), its number is the line or the time
slot.  Lines come with FRACTION_BITS (7) below the last place of 16-bit PCM, subband samples leave
with SAMPLE_BITS (6).

IMDCT-36.  With u the DCT-IV of the 18 lines, the 36 outputs are u with signs, twice; and
u[n] = 2 cos(pi (2n+1) / 72) v[n], where v is the DCT-III of z, z[k] = X[k] - z[k+1].  The cosine
goes into the window, so a granule costs one DCT-III-18 and 36 products.  Its first half is added to
the second half of the granule before: that is the slot below, one shift left.

Windows.  Lanes of block type 0, 1 and 3 share the transform.  Type 3 differs from 0 in the first
half only and type 1 in the second, so each of those costs a masked correction in the batches that
have such lanes.  Short blocks are rare: they are gathered, (granule, subband) in one vector, and
their output is scattered back into the lanes.
"""

from __future__ import annotations

import math
from array import array
from functools import lru_cache
from operator import mul
from typing import List, NamedTuple, Sequence, Tuple

from audiokit.codec.blocks import LONG, SHORT, START, STOP, window_of
from audiokit.codec.packed import MAGIC_BITS, Slots, slots
from audiokit.codec.requantize import FRACTION_BITS
from audiokit.codec.stereo import MAGIC_BYTES
from audiokit.codec.tables import ALIAS_C

WIDTH = 64  # bits of a slot
ALIAS_BITS = 20  # of the butterflies' coefficients
COSINE_BITS = 22  # of the transform's
DROPPED_BITS = 8  # after the transform, to make room for the window
WINDOW_BITS = 18
SAMPLE_BITS = 6  # fraction of the subband samples that leave
# What comes in is limited to 8 times full scale (2**22), or the window's product could overflow:
# 25 + 4.2 (18 terms) + 22 - 8 + 18 + 1 < 63.
LIMIT_BITS = 25

# cs and ca of Table B.9, by the distance from the edge
_CS = tuple([round((1 << ALIAS_BITS) / math.sqrt(1 + c * c)) for c in ALIAS_C])
_CA = tuple([round((1 << ALIAS_BITS) * c / math.sqrt(1 + c * c)) for c in ALIAS_C])


class Block(NamedTuple):
    """One granule of one channel, requantized: what the filterbank takes."""

    row: bytes  # its lines as magic doubles, up to the last that is not 0; b"" is silence
    block_type: int
    mixed_block_flag: int


SILENCE = Block(b"", LONG, 0)


def hybrid(blocks: Sequence[Block], arithmetic: Slots) -> Tuple[List[List[int]], int]:
    """(time slots [18][subband] of packed subband samples, how many subbands there are).

    `blocks` are the lanes in order: for each channel its granules.  A granule overlaps with the
    lane before its own, so the first lane of each channel has a wrong first half.  Subbands above
    the last one with anything in it are left out.  Odd time slots of odd subbands have their sign
    turned (2.4.3.4.10.5).
    """
    subbands = _subbands(blocks)
    lines = gather(blocks, subbands, arithmetic)
    reduce_alias(lines, blocks, arithmetic)
    time = [[0] * subbands for _ in range(18)]
    windows = LaneWindows.of(blocks, arithmetic)
    mixed_windows = LaneWindows.of(blocks, arithmetic, below_mixed=True)
    for subband in range(subbands):
        lanes = mixed_windows if subband < 2 else windows
        samples = imdct36(lines[18 * subband : 18 * subband + 18], subband & 1, lanes, arithmetic)
        for slot in range(18):
            time[slot][subband] = samples[slot]
    shorts = [lane for lane, block in enumerate(blocks) if block.block_type == SHORT and block.row]
    if shorts:
        _add_short_blocks(time, blocks, shorts, subbands, arithmetic)
    return time, subbands


def _subbands(blocks: Sequence[Block]) -> int:
    """How many subbands have anything, one more for what the alias butterflies spread."""
    lines = max([len(block.row) for block in blocks]) // 8
    if not lines:
        return 1
    return min((lines - 1) // 18 + 2, 32)


def gather(blocks: Sequence[Block], subbands: int, arithmetic: Slots) -> List[int]:
    """The vector of each line, lanes of short blocks zero but for the long part of mixed ones."""
    stride = 18 * subbands
    size = 8 * stride
    rows = []
    for block in blocks:
        row = block.row
        if block.block_type == SHORT:
            row = row[: 36 * 8] if block.mixed_block_flag else b""
        rows.append(row if len(row) >= size else row + MAGIC_BYTES[len(row) : size])
    doubles = array("q", b"".join(rows))
    magic = arithmetic.splat(MAGIC_BITS)
    clamp = arithmetic.clamp
    return [
        clamp(int.from_bytes(doubles[line::stride].tobytes(), "little") - magic, LIMIT_BITS)
        for line in range(stride)
    ]


def reduce_alias(lines: List[int], blocks: Sequence[Block], arithmetic: Slots) -> None:
    """The butterflies across each subband's lower edge, in place (2.4.3.4.10.1).

    Not for short blocks, whose lanes are zero here; a mixed block has them at the first edge only.
    """
    rescale = arithmetic.rescale
    mixed = [block.block_type == SHORT and block.mixed_block_flag for block in blocks]
    for edge in range(18, len(lines), 18):
        # Only the second edge has something from mixed lanes on one side that must stay.
        if edge == 36 and all(mixed):
            continue
        others = arithmetic.lanes([not it for it in mixed]) if edge == 36 and any(mixed) else 0
        for i, (cs, ca) in enumerate(zip(_CS, _CA)):
            below, above = lines[edge - 1 - i], lines[edge + i]
            if not below and not above:
                continue
            new_below = rescale(below * cs - above * ca, ALIAS_BITS)
            new_above = rescale(above * cs + below * ca, ALIAS_BITS)
            if others:
                new_below = below + arithmetic.select(new_below - below, others)
                new_above = above + arithmetic.select(new_above - above, others)
            lines[edge - 1 - i], lines[edge + i] = new_below, new_above


# --- Long blocks -----------------------------------------------------------------------------


def _unfolded(block_type: int, odd_subband: int) -> List[int]:
    """The factor of each output, fixed point: window, the fold's sign, 2 cos, and the inversion.

    Output i of the IMDCT is u[9 + i] (i < 9), -u[26 - i] (i < 27), -u[i - 27].
    """
    factors = []
    for i, weight in enumerate(window_of(block_type)):
        n = _unfold_index(i)
        sign = 1 if i < 9 else -1
        if odd_subband and i & 1:
            sign = -sign
        cosine = 2 * math.cos(math.pi * (2 * n + 1) / 72)
        factors.append(round(sign * weight * cosine * (1 << WINDOW_BITS)))
    return factors


def _unfold_index(i: int) -> int:
    return 9 + i if i < 9 else 26 - i if i < 27 else i - 27


_FACTORS = {t: [_unfolded(t, odd) for odd in (0, 1)] for t in (LONG, START, STOP)}
# The first half of a granule takes u[9..17], the second u[0..8].
_FIRST = [_unfold_index(i) - 9 for i in range(18)]
_SECOND = [_unfold_index(i) for i in range(18, 36)]
# What a masked lane of another type needs on top: the difference of its factors.
_STOP_EXTRA = [[s - n for s, n in zip(_FACTORS[STOP][o], _FACTORS[LONG][o])] for o in (0, 1)]
_START_EXTRA = [[s - n for s, n in zip(_FACTORS[START][o], _FACTORS[LONG][o])] for o in (0, 1)]


class LaneWindows(NamedTuple):
    """The masks of a batch: which lanes have a window that is not the normal one."""

    stop: int  # lanes of type 3: another first half
    start: int  # lanes *behind* one of type 1: it brings another second half

    @classmethod
    def of(cls, blocks: Sequence[Block], arithmetic: Slots, below_mixed: bool = False) -> "LaneWindows":
        """The masks; `below_mixed`: of subbands 0 and 1, normal where mixed_block_flag is set."""
        types = [LONG if below_mixed and b.mixed_block_flag else b.block_type for b in blocks]
        stop = arithmetic.lanes([t == STOP for t in types])
        start = arithmetic.lanes([False] + [t == START for t in types[:-1]])
        return cls(stop, start)


@lru_cache(maxsize=None)
def cosines_iii(size: int, bits: int) -> Tuple[Tuple[int, ...], ...]:
    """Rows of the DCT-III: cos(pi (2n+1) k / (2 size)), k = 0 halved, times 2**bits."""
    return tuple(
        [
            tuple(
                [
                    round((1 << bits) * math.cos(math.pi * (2 * n + 1) * k / (2 * size)) * weight)
                    for k, weight in enumerate([0.5] + [1.0] * (size - 1))
                ]
            )
            for n in range(size)
        ]
    )


def _cos36(k: int) -> int:
    """cos(pi k / 36) with COSINE_BITS."""
    return round(math.cos(math.pi * k / 36) * (1 << COSINE_BITS))


# cos of all products of the odd numbers coprime to 3 that `_dct_iv_9` is left with, row by row,
# and of those with a factor 3.
_COPRIME = {row: tuple([_cos36(row * k) for k in (11, 13, 7, 17)]) for row in (11, 13, 7, 17)}
_THIRDS = {row: tuple([_cos36(row * k) for k in (1, 3, 5)]) for row in (3, 9, 15)}
_EVEN_ROWS = {row: (_cos36(8 * row), _cos36(16 * row)) for row in (5, 7)}
_ODD_ROWS = {row: (_cos36(10 * row), _cos36(14 * row)) for row in (5, 7)}
_SIN60 = _cos36(6)


def dct_iii_18(z: Sequence[int]) -> List[int]:
    """The DCT-III of 18 vectors, times 2**COSINE_BITS; the first counts half.

    Even k make a DCT-III of 9, symmetric in n; odd k a DCT-IV of 9, antisymmetric.  With
    c(j) = cos(pi j / 36) and 2n+1 coprime to 3, c(j) + c(j + 24) + c(j + 48) = 0 for the multiples
    j of 2n+1, so a third of the columns are sums of the others, and by symmetry a third of the
    rows: 41 products in all, where the two parts multiplied out have 122.
    """
    even, odd = _dct_iii_9(z[0::2]), _dct_iv_9(z[1::2])
    result = [e + o for e, o in zip(even, odd)]
    return result + [e - o for e, o in zip(even[::-1], odd[::-1])]


def _dct_iv_9(y: Sequence[int]) -> List[int]:
    """sum over m of y[m] c((2n+1)(2m+1)), n = 0..8."""
    y0, y1, y2, y3, y4, y5, y6, y7, y8 = y
    # Rows 3, 9, 15 see the columns in threes.
    thirds = (y0 - y5 - y6, y1 - y4 - y7, y2 - y3 - y8)
    row3, row9, row15 = [sum(map(mul, thirds, _THIRDS[row])) for row in (3, 9, 15)]
    # Columns 3, 9, 15 of the other rows: two sums, with signs.
    c3, c9, c15 = _THIRDS[3][0], _THIRDS[9][0], _THIRDS[15][0]
    one = y1 * c3 + y4 * c9 + y7 * c15
    five = y1 * c15 - y4 * c9 + y7 * c3
    # Columns 1 = 11 + 13 and 5 = 7 + 17; rows likewise.
    rest = (y0 + y5, y0 + y6, y2 + y3, y2 + y8)
    row11, row13, row7, row17 = [sum(map(mul, rest, _COPRIME[row])) for row in (11, 13, 7, 17)]
    return [
        row11 + row13 + one,
        row3,
        row7 + row17 + five,
        row7 - five,
        row9,
        row11 - one,
        row13 - one,
        row15,
        row17 - five,
    ]


def _dct_iii_9(w: Sequence[int]) -> List[int]:
    """w[0] / 2 + sum over m of w[m] c(2 (2n+1) m), n = 0..8: even m symmetric, odd m not."""
    w0, w1, w2, w3, w4, w5, w6, w7, w8 = w
    half = COSINE_BITS - 1
    # Even m, rows 1, 3, 5, 7, 9: 1/2 and 1 are the cosines where 3 divides row or column.
    base = (w0 + w6) << half
    a, b = w2 + w4, w2 + w8
    row5, row7 = [a * _EVEN_ROWS[row][0] + b * _EVEN_ROWS[row][1] for row in (5, 7)]
    symmetric = (
        base - row5 - row7,
        (w0 + w2 - w4 - w8 - 2 * w6) << half,
        base + row5,
        base + row7,
        (w0 + 2 * (w4 + w8 - w2 - w6)) << half,
    )
    # Odd m, rows 1, 3, 5, 7.
    third = w3 * _SIN60
    a, b = w1 + w5, w1 + w7
    row5, row7 = [a * _ODD_ROWS[row][0] + b * _ODD_ROWS[row][1] for row in (5, 7)]
    antisymmetric = (
        row5 + row7 + third,
        (w1 - w5 - w7) * _SIN60,
        row5 - third,
        row7 - third,
    )
    front = [s + t for s, t in zip(symmetric, antisymmetric)]
    back = [s - t for s, t in zip(symmetric, antisymmetric)]
    return front + [symmetric[4]] + back[::-1]


def imdct36(lines: Sequence[int], odd: int, lanes: LaneWindows, arithmetic: Slots) -> List[int]:
    """The 18 overlapped time slots of one subband of long blocks."""
    if not any(lines):
        return [0] * 18
    z = list(lines)
    for k in range(16, -1, -1):
        z[k] -= z[k + 1]
    v = dct_iii_18(z)

    # Rescale; the second half moves to the next lane in the same shift.
    bias, mask, after, moved_mask, moved_after = _rescale_constants(arithmetic.count)
    up = WIDTH - DROPPED_BITS
    stop, start = lanes
    firsts, seconds = [], []
    stop_parts, start_parts = [], []
    stop_after, start_after = stop & after, start & moved_after
    for n in range(9):
        biased = (v[9 + n] + bias) >> DROPPED_BITS
        firsts.append((biased & mask) - after)
        if stop:
            stop_parts.append((biased & mask & stop) - stop_after)
        biased = (v[n] + bias) << up
        seconds.append((biased & moved_mask) - moved_after)
        if start:
            start_parts.append((biased & moved_mask & start) - start_after)

    factors = _FACTORS[LONG][odd]
    stop_extra, start_extra = _STOP_EXTRA[odd], _START_EXTRA[odd]
    out_bias, out_mask, out_after = _output_constants(arithmetic.count)
    samples = []
    for t in range(18):
        total = firsts[_FIRST[t]] * factors[t] + seconds[_SECOND[t]] * factors[18 + t]
        if stop and stop_extra[t]:
            total += stop_parts[_FIRST[t]] * stop_extra[t]
        if start and start_extra[18 + t]:
            total += start_parts[_SECOND[t]] * start_extra[18 + t]
        samples.append((((total + out_bias) >> _OUT_BITS) & out_mask) - out_after)
    return samples


_OUT_BITS = COSINE_BITS - DROPPED_BITS + WINDOW_BITS + FRACTION_BITS - SAMPLE_BITS


@lru_cache(maxsize=8)
def _rescale_constants(count: int) -> Tuple[int, int, int, int, int]:
    """What `imdct36` adds, masks and takes away around DROPPED_BITS, in place and one lane on."""
    one = slots(count, WIDTH).ones
    every = (1 << (count * WIDTH)) - 1
    bias = one * ((1 << (WIDTH - 2)) + (1 << (DROPPED_BITS - 1)))
    mask = one * ((1 << (WIDTH - DROPPED_BITS)) - 1)
    after = one << (WIDTH - 2 - DROPPED_BITS)
    return bias, mask, after, (mask << WIDTH) & every, (after << WIDTH) & every


@lru_cache(maxsize=8)
def _output_constants(count: int) -> Tuple[int, int, int]:
    one = slots(count, WIDTH).ones
    bias = one * ((1 << (WIDTH - 2)) + (1 << (_OUT_BITS - 1)))
    return bias, one * ((1 << (WIDTH - _OUT_BITS)) - 1), one << (WIDTH - 2 - _OUT_BITS)


# --- Short blocks ----------------------------------------------------------------------------

# Output i of a window of 12 from its 6 lines (2.4.3.4.10.2), with the window (2.4.3.4.10.3).
_SHORT = tuple(
    [
        tuple(
            [
                round(
                    (1 << COSINE_BITS)
                    * math.sin(math.pi / 12 * (i + 0.5))
                    * math.cos(math.pi / 24 * (2 * i + 7) * (2 * k + 1))
                )
                for k in range(6)
            ]
        )
        for i in range(12)
    ]
)


def short_blocks(rows: Sequence[bytes]) -> Tuple[bytes, ...]:
    """For each row of 576 magic doubles its 36 x 32 outputs: bytes of signed 64-bit integers.

    Output i of subband sb is number 32 * i + sb: the three windows of 12, each placed 6 after the
    one before it from 6 on, before overlapping (2.4.3.4.10.3).
    """
    count = len(rows)
    lanes = slots(32 * count, WIDTH)
    doubles = array("q", b"".join(rows))
    magic = lanes.splat(MAGIC_BITS)
    lines = [
        lanes.clamp(int.from_bytes(doubles[line::18].tobytes(), "little") - magic, LIMIT_BITS)
        for line in range(18)
    ]
    outputs = [0] * 36
    for window in range(3):
        for i in range(12):
            outputs[6 + 6 * window + i] += sum(map(mul, lines[window::3], _SHORT[i]))
    odd = lanes.lanes([subband & 1 for subband in range(32)] * count)
    planes = []
    for i, output in enumerate(outputs):
        sample = lanes.rescale(output, COSINE_BITS + FRACTION_BITS - SAMPLE_BITS)
        if i & 1:
            sample -= 2 * lanes.select(sample, odd)
        planes.append(lanes.to_bytes(sample))
    step = 32 * 8
    return tuple([b"".join([p[at : at + step] for p in planes]) for at in range(0, count * step, step)])


def _add_short_blocks(
    time: List[List[int]],
    blocks: Sequence[Block],
    shorts: Sequence[int],
    subbands: int,
    arithmetic: Slots,
) -> None:
    """Add what the short blocks of these lanes sound like, and leave in the next lane."""
    rows = []
    for lane in shorts:
        row = blocks[lane].row
        if blocks[lane].mixed_block_flag:
            row = MAGIC_BYTES[: 36 * 8] + row[36 * 8 :]
        rows.append(row + MAGIC_BYTES[len(row) :])
    half = 18 * 32
    size = 8 * half
    adder = slots(half, WIDTH)
    sums = [bytes(size)] * (arithmetic.count + 1)
    is_empty = [True] * len(sums)
    for lane, outputs in zip(shorts, short_blocks(rows)):
        for target, part in ((lane, outputs[:size]), (lane + 1, outputs[size:])):
            if not is_empty[target]:
                total = adder.from_bytes(sums[target]) + adder.from_bytes(part)
                part = adder.to_bytes(total)
            sums[target], is_empty[target] = part, False
    table = array("q", b"".join(sums[:-1]))
    for slot in range(18):
        for subband in range(subbands):
            plane = table[32 * slot + subband :: half].tobytes()
            time[slot][subband] += arithmetic.from_bytes(plane)
