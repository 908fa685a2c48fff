"""Quantisation: from lines to integers at a given gain, and which gain meets a number of bits.

A line x is coded as q = int(|x / step| ** 0.75 + 0.4054), step = 2 ** (gain / 4) divided by its
scalefactor (C.1.5.4.4).  Lines come here with their scalefactors multiplied in, which makes a gain
one step for all of them.

Nothing is ever raised to 0.75 but what has linbits.  A line is |x| >= the line at which its q begins,
and those of 1 to 15 span 6.2 octaves.  So the 32-bit float of each line is cut to two bytes, exactly:

    level   four bits of its exponent and the first four of its mantissa: 16 octaves, 16 steps each
    fine    the next seven bits of the mantissa

Where a level ends, the next q is at most one more.  A gain is two translation tables from levels:
the q at the level's begin, and the fine part from which on it is one more; the comparison is one
subtraction of packed bytes.  With q from 15 on clamped to 15 these are the `pairs` of `entropy`, to
1/4096 of a line, at two microseconds a gain: as good for the search as for the result.

Gains here are global_gain - 210 for lines of the scale of `analysis`.  Never knows of channels,
frames or what can be heard.
"""

from __future__ import annotations

import math
import struct
from functools import lru_cache, partial
from typing import Callable, Dict, Sequence, Tuple

from .analysis import LINE_SCALE
from .blocks import GRANULE
from .entropy import LARGEST, PAIRS, Coding, Split, choose
from .packed import ones

LOWEST_GAIN, HIGHEST_GAIN = -210, 45  # global_gain is 0 to 255

# A line's integer is LINE_SCALE * 32768 times the value that the decoder will make full scale 1.
_UNIT = LINE_SCALE * 32768.0
_ROUNDING = 0.4054  # C.1.5.4.4: nint(v - 0.0946)
_CLAMPED = 15  # in a pair's byte: this, or more


def step_factor(gain: int) -> float:
    """What |x| ** 0.75 is multiplied by at a gain."""
    return (_UNIT * 2.0 ** (gain / 4)) ** -0.75


# --- Levels ----------------------------------------------------------------------------------

_PACK_FLOATS = struct.Struct("<%df" % GRANULE).pack

# A float's fourth byte is its sign and the exponent but for its last bit, which begins the third.
# Levels see eight values of the fourth byte, the octaves around the lines whose q is 1 to 15.  16
# gains are four octaves, and so is the move of those eight values: there are 16 pairs of tables.
_PERIOD = 16  # gains
_MOVE = 2  # of the fourth byte in a period
_BASE = 74  # the fourth byte in the lowest octaves, at gains 0 to 15: nothing there reaches 1
_LOW_LEVEL = bytes(byte >> 3 for byte in range(256))
_FINE_HIGH = bytes((byte & 7) << 4 for byte in range(256))
_FINE_LOW = bytes(byte >> 4 for byte in range(256))
_NEVER = 1 << 7  # a fine part that no line has
_ONES = ones(GRANULE, 8)
_FIRSTS = (1 << (8 * PAIRS)) - 1
_SIGN_FIRST = bytes(byte >> 7 << 1 for byte in range(256))
_SIGN_SECOND = bytes(byte >> 7 for byte in range(256))


@lru_cache(maxsize=None)
def _high_level(base: int) -> bytes:
    """Fourth byte of a float -> high part of its level.

    What is below the octaves that are seen falls in the lowest two, what is above in the highest."""
    return bytes(min(max((byte & 127) - base, 0), 7) << 5 for byte in range(256))


@lru_cache(maxsize=None)
def _tables(phase: int) -> Tuple[bytes, bytes]:
    """(level -> q at its begin, level -> fine part from which on q is one more) at gain `phase`."""
    begins = [_UNIT * 2.0 ** (phase / 4) * (q - _ROUNDING) ** (4 / 3) for q in range(1, _CLAMPED + 1)]
    least, more = bytearray(32), bytearray((_NEVER,)) * 256
    for level in range(32, 224):
        octave = 2.0 ** (2 * _BASE - 127 + (level >> 4))
        first, width = octave * (1 + (level & 15) / 16), octave / 16
        q = sum([begin <= first for begin in begins])
        least.append(q)
        if q < _CLAMPED:
            more[level] = min(round((begins[q] - first) / width * _NEVER), _NEVER)
    return bytes(least) + bytes((_CLAMPED,)) * 32, bytes(more)


class Levels:
    """A granule's lines, ready to be quantised and counted at any gain."""

    def __init__(self, lines: Sequence[float], splits: Sequence[Split]) -> None:
        """576 lines, scalefactors multiplied in; where big_values may be divided."""
        self._lines = lines
        self._splits = splits
        data = _PACK_FLOATS(*lines)
        # The first lines of all pairs, then the second ones.
        self._tops = data[3::8] + data[7::8]
        thirds = data[2::8] + data[6::8]
        seconds = data[1::8] + data[5::8]
        self._low_level = int.from_bytes(thirds.translate(_LOW_LEVEL), "little")
        fine = int.from_bytes(thirds.translate(_FINE_HIGH), "little")
        fine |= int.from_bytes(seconds.translate(_FINE_LOW), "little")
        self._fine = fine + _ONES * _NEVER
        self._levels: Dict[int, bytes] = {}
        self._codings: Dict[int, Tuple[bytes, Coding]] = {}

    def pairs(self, gain: int) -> bytes:
        """The quantised lines, as `entropy` wants them."""
        period, phase = divmod(gain, _PERIOD)
        levels = self._levels.get(period)
        if levels is None:
            high = self._tops.translate(_high_level(_BASE + _MOVE * period))
            level = int.from_bytes(high, "little") | self._low_level
            levels = self._levels[period] = level.to_bytes(GRANULE, "little")
        least, more = _tables(phase)
        steps = (self._fine - int.from_bytes(levels.translate(more), "little")) >> 7 & _ONES
        q = int.from_bytes(levels.translate(least), "little") + steps
        return ((q & _FIRSTS) << 4 | q >> 8 * PAIRS).to_bytes(PAIRS, "little")

    def coding(self, gain: int) -> Tuple[bytes, Coding]:
        """The pairs at a gain and how to code them."""
        found = self._codings.get(gain)
        if found is None:
            pairs = self.pairs(gain)
            coding = choose(pairs, self._splits, partial(self.largest, gain))
            found = self._codings[gain] = pairs, coding
        return found

    def cost(self, gain: int) -> Tuple[int, int]:
        """(bits, lines that are not 0) at a gain: what `search_gain` asks for."""
        coding = self.coding(gain)[1]
        return coding.bits, 2 * coding.big_values + 4 * coding.quads

    def magnitude(self, gain: int, line: int) -> int:
        """The magnitude of a line whose half of a pair is 15."""
        return _past(self._lines[line], gain)

    def largest(self, gain: int, start: int, end: int) -> int:
        """The largest magnitude of a range of pairs, one of which has a 15."""
        lines = self._lines[2 * start : 2 * end]
        return _past(max(max(lines), -min(lines)), gain)

    def signs(self) -> bytes:
        """A byte a pair: 2 where its first line is negative, 1 where its second is."""
        first = int.from_bytes(self._tops[:PAIRS].translate(_SIGN_FIRST), "little")
        second = int.from_bytes(self._tops[PAIRS:].translate(_SIGN_SECOND), "little")
        return (first | second).to_bytes(PAIRS, "little")


def _past(line: float, gain: int) -> int:
    """The q of a line from where pairs are clamped on, though rounding put it a little below."""
    return max(int(abs(line) ** 0.75 * step_factor(gain) + _ROUNDING), _CLAMPED)


def lowest_gain(loudest: float) -> int:
    """The least gain at which no line up to `loudest` is past what linbits can code."""
    if loudest <= 0.0:
        return LOWEST_GAIN
    octaves = math.log2(loudest / _UNIT) - 4 / 3 * math.log2(LARGEST)
    return max(math.ceil(4 * octaves) + 1, LOWEST_GAIN)


# --- The search ------------------------------------------------------------------------------


_STEPS_A_BIT = 16 / 3  # gain steps that make a line's magnitude half as large, one bit less
_GOOD_ENOUGH = 0.6  # of the bits that a step of the gain is worth


def search_gain(bits_at: Callable[[int], Tuple[int, int]], target: int, start: int, lowest: int) -> int:
    """A gain from `lowest` on whose bits are at most `target`, and nearly that many.

    `bits_at(gain)` gives the bits and the number of lines that are not 0; bits fall as the gain
    grows, by about one a line for each 16/3 steps, which is how far each step of the search jumps.
    HIGHEST_GAIN if none is small enough.
    """
    above, below = lowest - 1, HIGHEST_GAIN  # bits(above) > target >= bits(below), supposedly
    gain = min(max(start, lowest), HIGHEST_GAIN)
    while True:
        bits, lines = bits_at(gain)
        jump = (bits - target) * _STEPS_A_BIT / max(lines, 8)
        if bits > target:
            above = gain
            gain += max(math.ceil(jump), 1)
        elif jump > -_GOOD_ENOUGH:
            return gain
        else:
            below = gain
            gain += min(math.ceil(jump), -1)
        if below - above <= 1:
            return below
        gain = min(max(gain, above + 1), below - 1)
