"""Quantisation: from lines to integers at a given gain, and which gain meets a number of bits.

A line x is coded as q = int(|x / step| ** 0.75 + 0.4054), step = 2 ** (gain / 4) divided by its
scalefactor (C.1.5.4.4).  Everything here works on |x| ** 0.75, scalefactors already multiplied
in, which makes a gain one factor.

Two ways from there to `pairs` (see `entropy`):

`Levels.pairs(gain)`, fast and nearly right, for the search.  Each magnitude is reduced to one
byte, its level, 16 steps an octave over the 16 octaves below the loudest line: four bits of the
exponent and the first four of the mantissa of its 32-bit float.  A gain is a table from such bytes
to integers.

`quantize(magnitudes, gain)`, exact, once at the end.

Gains here are global_gain - 210 for lines of the scale of `analysis`.  Never knows of channels,
frames or what can be heard.
"""

from __future__ import annotations

import math
import struct
from functools import lru_cache
from typing import Callable, NamedTuple, Sequence, Tuple

from .analysis import LINE_SCALE
from .blocks import GRANULE
from .entropy import LARGEST, PAIRS, Split, choose

LOWEST_GAIN, HIGHEST_GAIN = -210, 45  # global_gain is 0 to 255

# A line's integer is LINE_SCALE * 32768 times the value that the decoder will make full scale 1.
_UNIT = (LINE_SCALE * 32768.0) ** -0.75
_ROUNDING = 0.4054  # C.1.5.4.4: nint(v - 0.0946)

# --- The fast way ----------------------------------------------------------------------------

_OCTAVES = 16  # that a byte of exponent and mantissa spans
_SILENT_BELOW = 32  # bytes of the two lowest octaves: what lies below the range falls among them
_PACK_FLOATS = struct.Struct("<%df" % GRANULE).pack
# The low half of a byte's level comes from the float's third byte: last bit of the exponent, four
# bits of mantissa.  The high half comes from its fourth byte, the exponent's other bits.
_LOW_LEVEL = bytes(byte >> 3 for byte in range(256))


@lru_cache(maxsize=None)
def _high_level(base: int) -> bytes:
    """Fourth byte of a float -> high part of its level; `base`: that byte in the lowest octave."""
    return bytes(min(max(byte - base, 0), 7) << 5 for byte in range(256))


@lru_cache(maxsize=1024)
def _tables(key: int) -> Tuple[bytes, bytes]:
    """(byte -> magnitude << 4, byte -> magnitude) for a gain: key is 16 log2 of byte 0's value."""
    scale = 2.0 ** (key / 16)
    magnitudes = bytearray(256)
    at = 256
    for magnitude in range(15, 0, -1):
        low = _first_byte((magnitude - _ROUNDING) / scale)
        magnitudes[low:at] = bytes((magnitude,)) * max(at - low, 0)
        at = min(at, low)
    low_half = bytes(magnitudes)
    return bytes(m << 4 for m in low_half), low_half


def _first_byte(value: float) -> int:
    """The first byte whose interval's middle is at least `value`, in units of byte 0's."""
    if value <= 4:
        return _SILENT_BELOW
    mantissa, exponent = math.frexp(value)  # 0.5 <= mantissa < 1
    return min(16 * (exponent - 1) + math.ceil((2 * mantissa - 1) * 16 - 0.5), 256)


def _value_of(level: int, key: int) -> float:
    return 2.0 ** (key / 16 + (level >> 4)) * (1 + ((level & 15) + 0.5) / 16)


class Levels:
    """The magnitudes of a granule as bytes, for counting bits at many gains."""

    def __init__(self, magnitudes: Sequence[float], peak: float) -> None:
        """576 values of |x| ** 0.75, none above `peak`."""
        top = math.frexp(peak)[1]
        top += top & 1  # so that the lowest octave's exponent field is even
        data = _PACK_FLOATS(*magnitudes)
        lowest = top - _OCTAVES + 1
        high = data[3::4].translate(_high_level((127 + lowest) >> 1))
        low = data[2::4].translate(_LOW_LEVEL)
        levels = int.from_bytes(high, "little") | int.from_bytes(low, "little")
        data = levels.to_bytes(GRANULE, "little")
        self._first, self._second = data[0::2], data[1::2]
        self._key = 16 * lowest + round(16 * math.log2(_UNIT))
        # The gain at which the loudest line is still within what can be coded.
        self.lowest_gain = max(
            math.ceil((math.log2(peak * _UNIT / LARGEST)) * 16 / 3) + 1, LOWEST_GAIN
        )

    def pairs(self, gain: int) -> bytes:
        """The pairs at a gain, nearly."""
        high, low = _tables(self._key - 3 * gain)
        first = int.from_bytes(self._first.translate(high), "little")
        second = int.from_bytes(self._second.translate(low), "little")
        return (first | second).to_bytes(PAIRS, "little")

    def used(self, gain: int) -> int:
        """Lines up to the last that is not 0 at a gain, nearly; a whole number of quadruples."""
        pairs = len(self.pairs(gain).rstrip(b"\0"))
        return min(4 * (pairs + 1 >> 1), GRANULE)

    def cost(self, gain: int, splits: Sequence[Split]) -> Tuple[int, int]:
        """(bits, lines that are not 0) at a gain, nearly: what `search_gain` asks for."""

        def largest(start: int, end: int) -> int:
            level = max(max(self._first[start:end]), max(self._second[start:end]))
            return int(_value_of(level, self._key - 3 * gain) + _ROUNDING)

        coding = choose(self.pairs(gain), splits, largest)
        return coding.bits, 2 * coding.big_values + 4 * coding.quads


# --- The exact way ---------------------------------------------------------------------------

# At this size a double's last bit is worth 1/256: adding it leaves the integer part of the sum in
# bytes 1 and 2.  Half a last bit is taken away because the addition rounds to nearest.
_MAGIC = 1.5 * 2.0**44 + (_ROUNDING - 0.5 / 256)
_CLAMP = bytes(min(value, 15) for value in range(256))
_CLAMP_HIGH = bytes(min(value, 15) << 4 for value in range(256))


class Quantized(NamedTuple):
    """A granule's magnitudes."""

    pairs: bytes
    low: bytes  # the magnitudes' low bytes
    high: bytes  # their high bytes

    def magnitude(self, line: int) -> int:
        """The magnitude of one line, 0..8206."""
        return self.low[line] | self.high[line] << 8

    def largest(self, start: int, end: int) -> int:
        """The largest magnitude of a range of pairs."""
        return max(map(self.magnitude, range(2 * start, 2 * end)))


def step_factor(gain: int) -> float:
    """What |x| ** 0.75 is multiplied by at a gain."""
    return _UNIT * 2.0 ** (-0.1875 * gain)


def quantize(magnitudes: Sequence[float], gain: int, used: int = GRANULE) -> Quantized:
    """The first `used` lines quantised at a gain, the others 0."""
    factor = step_factor(gain)
    data = struct.pack("<%dd" % used, *[m * factor + _MAGIC for m in magnitudes[:used]])
    silent = bytes(GRANULE - used)
    low, high = data[1::8] + silent, data[2::8] + silent
    clamped = low
    if high.strip(b"\0"):
        clamped = bytes(15 if h else l for l, h in zip(low, high))
    first = int.from_bytes(clamped[0::2].translate(_CLAMP_HIGH), "little")
    second = int.from_bytes(clamped[1::2].translate(_CLAMP), "little")
    return Quantized((first | second).to_bytes(PAIRS, "little"), low, high)


# --- The search ------------------------------------------------------------------------------


_STEPS_A_BIT = 16 / 3  # gain steps that make a line's magnitude half as large, one bit less
_GOOD_ENOUGH = 0.6  # of the bits that a step of the gain is worth


def search_gain(
    bits_at: Callable[[int], Tuple[int, int]], target: int, start: int, lowest: int
) -> int:
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
