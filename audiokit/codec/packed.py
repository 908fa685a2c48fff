"""Packed integers: one huge int as a vector of fixed-point numbers.

The idea.  CPython adds two ints of a thousand 30-bit digits in a C loop, at about half a
nanosecond a digit; adding a thousand small ints one by one costs fifty times that.  So the codec
writes many numbers into one int, at a fixed distance of `width` bits:

    X  =  v[0]  +  v[1] * 2**W  +  v[2] * 2**(2W)  +  ...

That is a polynomial in 2**W, and its arithmetic is that of vectors:

    X + Y           adds slot by slot
    X * 11585       multiplies every slot by a constant (one digit: up to 2**30 costs the same)
    X << W          moves every value one slot on: the delay of a filter
    sum(map(int.__mul__, vectors, coefficients))    is a matrix row times a block of vectors

The v[i] are *algebraic*: a negative value is simply subtracted, so it borrows from the slot above
it.  Nothing has to be masked between operations, as long as |v[i]| < 2**(W-1) for every result; a
slot that passes this bound spoils itself and, by its carry, the last place of its neighbour: never
more.  Because the borrow is consistent, slots read back right after adding a bias that makes them
all positive, and this is the one trick behind every function here that looks into the slots:

    bytes out   (X + bias).to_bytes(): slot i lies in bytes i*W/8 and on, two's complement when
                the bias is 2**(W-1) and is taken away by xor
    rescale     add a bias, shift right, mask off what came down from the slot above, take the
                shifted bias away
    select      add a bias, and with ones in the chosen lanes, take the bias of those lanes away

What goes in one vector?  Numbers that are treated alike by every stage: the codec's slot index is
(channel, granule), and everything a transform mixes (line, subband, time slot, phase) is a Python
list of vectors.  No transform then ever moves data between slots, and the only shift is the delay
by one granule.  Below some 200 slots the interpreter's own 50 ns an operation shows; above 8 KB a
vector leaves the processor's nearest cache.

A fixed-point value is an int with a number of fraction bits that the reader of the code has to
know; each stage states its own in its docstring.  Nothing here rounds except `rescale`, `int16`
and `pack_floats`, and those round to nearest.

No tables of the standard, no files, no state beyond constants; ValueError for a width that is not
a whole number of bytes, OverflowError where a value handed in cannot be packed.
"""

from __future__ import annotations

import re
import struct
from functools import lru_cache
from typing import Dict, Iterable, List, Pattern, Sequence, Tuple

# A double of this size has its last fraction bit worth exactly 1: adding it to a smaller number
# rounds that number to an integer, left as two's complement in the low 52 bits.
MAGIC = 1.5 * 2.0**52
MAGIC_BITS = struct.unpack("<Q", struct.pack("<d", MAGIC))[0]


@lru_cache(maxsize=None)
def ones(count: int, width: int) -> int:
    """The vector of `count` slots that holds 1 in every slot: the factor that makes constants."""
    return ((1 << (count * width)) - 1) // ((1 << width) - 1)


@lru_cache(maxsize=64)
def slots(count: int, width: int) -> Slots:
    """The (shared, unchanging) arithmetic of vectors of `count` slots of `width` bits."""
    return Slots(count, width)


@lru_cache(maxsize=None)
def _low_bits(bits: int) -> bytes:
    """A translation table that keeps the low `bits` bits of a byte."""
    return bytes(value & ((1 << bits) - 1) for value in range(256))


@lru_cache(maxsize=None)
def _other_bytes(byte: bytes) -> Pattern[bytes]:
    """A pattern that finds every byte but this one."""
    return re.compile(b"[^" + re.escape(byte) + b"]", re.DOTALL)


class Slots:
    """Vectors of `count` signed slots of `width` bits: making them, reading them, rounding them.

    Sums, differences and products by constants need no method: they are Python's own + - *.
    """

    def __init__(self, count: int, width: int) -> None:
        if width % 8 or width < 24:
            raise ValueError("a slot of %d bits: not a multiple of 8 from 24 on" % width)
        self.count = count
        self.width = width
        self.slot_bytes = width // 8
        self.size = count * self.slot_bytes  # bytes of a whole vector
        self.ones = ones(count, width)
        self.all = (1 << (count * width)) - 1
        self._sign = self.ones << (width - 1)
        self._rescales: Dict[int, Tuple[int, int, int]] = {}
        self._biases: Dict[int, int] = {}
        self._int16s: Dict[int, Tuple[int, List[bytes]]] = {}

    # In: values become a vector.

    def pack(self, values: Iterable[int]) -> int:
        """The vector of these `count` signed integers (the plain way, any width)."""
        size, mask = self.slot_bytes, (1 << self.width) - 1
        data = b"".join([(value & mask).to_bytes(size, "little") for value in values])
        return self.from_bytes(data)

    def from_bytes(self, data: bytes) -> int:
        """The vector whose slots are two's complement little-endian fields of `data`."""
        return (int.from_bytes(data, "little") ^ self._sign) - self._sign

    def pack_int16(self, plane: bytes) -> int:
        """The vector of `count` signed 16-bit little-endian samples."""
        return self.pack_offset16(plane) - self.splat(0x8000)

    def pack_offset16(self, plane: bytes) -> int:
        """The vector of `count` *offset* 16-bit samples of a signed plane: each is value + 32768.

        One operation cheaper than `pack_int16`; the caller takes the offset away where his own
        bias goes anyhow.
        """
        size = self.slot_bytes
        data = bytearray(self.size)
        data[0::size] = plane[0::2]
        data[1::size] = plane[1::2]
        return int.from_bytes(data, "little") ^ self.splat(0x8000)

    def pack_floats(self, values: Iterable[float]) -> int:
        """The vector of `count` floats rounded to integers, |value| < 2**51; slots of 64 bits."""
        data = struct.pack("<%dd" % self.count, *[value + MAGIC for value in values])
        return self.from_magic(data)

    def from_magic(self, data: bytes) -> int:
        """The vector of `count` doubles to which MAGIC was added, given as their bytes."""
        return int.from_bytes(data, "little") - self.splat(MAGIC_BITS)

    def splat(self, value: int) -> int:
        """The vector with `value` in every slot."""
        bias = self._biases.get(value)
        if bias is None:
            if len(self._biases) > 64:
                self._biases.clear()
            bias = self._biases[value] = self.ones * value
        return bias

    # Between: what plain arithmetic does not do.

    def rescale(self, vector: int, shift: int) -> int:
        """Each slot divided by 2**shift, rounded to nearest; needs |v| < 2**(width-2)."""
        constants = self._rescales.get(shift)
        if constants is None:
            constants = self._rescales[shift] = (
                self.ones * ((1 << (self.width - 2)) + ((1 << shift) >> 1)),
                self.ones * ((1 << (self.width - shift)) - 1),
                self.ones << (self.width - 2 - shift),
            )
        bias, mask, shifted_bias = constants
        return (((vector + bias) >> shift) & mask) - shifted_bias

    def lanes(self, chosen: Sequence[object]) -> int:
        """The mask for `select`: all bits of each slot whose entry in `chosen` is true."""
        on, off = b"\xff" * self.slot_bytes, bytes(self.slot_bytes)
        return int.from_bytes(b"".join([on if it else off for it in chosen]), "little")

    def select(self, vector: int, mask: int) -> int:
        """The vector in the lanes of `mask`, 0 elsewhere."""
        sign = self._sign
        return ((vector + sign) & mask) - (sign & mask)

    def delay(self, vector: int) -> int:
        """Every value one slot on; slot 0 becomes 0 and the last value is lost.

        Bare `vector << width` does the same within a sum but leaves a value above the last slot.
        """
        sign = self._sign
        return (((vector + sign) << self.width) & self.all) - ((sign << self.width) & self.all)

    def exceeds(self, vector: int, bits: int) -> bool:
        """Whether any slot lies outside -2**bits <= v < 2**bits."""
        above = self.splat((1 << self.width) - (2 << bits))
        return bool((vector + self.splat(1 << bits)) & above)

    def clamp(self, vector: int, bits: int) -> int:
        """Every slot limited to -2**bits <= v < 2**bits; slow only where one passes the limit."""
        if not self.exceeds(vector, bits):
            return vector
        low, high = -(1 << bits), (1 << bits) - 1
        return self.pack([min(max(value, low), high) for value in self.unpack(vector)])

    # Out: a vector becomes values.

    def to_bytes(self, vector: int) -> bytes:
        """Two's complement little-endian fields of `slot_bytes` bytes a slot."""
        return (((vector + self._sign) & self.all) ^ self._sign).to_bytes(self.size, "little")

    def unpack(self, vector: int) -> List[int]:
        """The `count` signed integers (the plain way, any width)."""
        data, size = self.to_bytes(vector), self.slot_bytes
        return [
            int.from_bytes(data[at : at + size], "little", signed=True)
            for at in range(0, self.size, size)
        ]

    def int16(self, vector: int, fraction: int) -> bytearray:
        """Each slot / 2**fraction, rounded and saturated, as 16-bit little-endian samples.

        The samples come out *offset* (value + 32768), since one xor with 0x8000s over the whole
        interleaved PCM (`flip_signs`) is cheaper than one a plane.  Needs fraction >= 1, at least
        17 bits above the fraction, and |v| < 2**(width-1): beyond that the value wraps.
        """
        size, (at, odd) = self.slot_bytes, divmod(fraction, 8)
        bias, inside = self._int16_constants(fraction)
        try:
            data = ((vector + bias) >> odd).to_bytes(self.size + 1, "little")
        except OverflowError:  # the last slot is past its width
            return self.int16(self.from_bytes(self.to_bytes(vector)), fraction)
        plane = bytearray(2 * self.count)
        plane[0::2] = data[at : self.size : size]
        plane[1::2] = data[at + 1 : self.size : size]
        for place, byte in enumerate(inside, at + 2):
            above = data[place : self.size : size]
            if odd and place + 1 == size:  # the shift brought low bits of the next slot down
                above = above.translate(_low_bits(8 - odd))
            if above != byte * self.count:
                self._saturate(plane, data, above, byte, odd)
        return plane

    def _int16_constants(self, fraction: int) -> Tuple[int, List[bytes]]:
        """The bias of `int16`, and what it makes of the bytes above a sample that does not clip.

        2**(width-1) keeps every slot positive, 0x8000 makes the sample offset, a half rounds, and
        the bit above the last slot keeps the whole positive.
        """
        constants = self._int16s.get(fraction)
        if constants is None:
            slot = (1 << (self.width - 1)) + (0x8000 << fraction) + (1 << (fraction - 1))
            rest = 1 << (self.width - 1 - fraction - 16)
            inside = rest.to_bytes(self.slot_bytes - fraction // 8 - 2, "little")
            constants = self._int16s[fraction] = (
                self.ones * slot + self.all + 1,
                [bytes([byte]) for byte in inside],
            )
        return constants

    def _saturate(self, plane: bytearray, data: bytes, above: bytes, inside: bytes, odd: int) -> None:
        """Set the samples of `plane` that clip: those whose byte in `above` is not `inside`."""
        size, middle = self.slot_bytes, 1 << (self.width - 1 - odd)
        mask = 2 * middle - 1
        for found in _other_bytes(inside).finditer(above):
            lane = found.start()
            slot = int.from_bytes(data[lane * size : lane * size + size], "little") & mask
            plane[2 * lane : 2 * lane + 2] = b"\xff\xff" if slot >= middle else b"\0\0"


def flip_signs(pcm: bytes) -> bytes:
    """Signed 16-bit PCM as offset 16-bit and back: every sample xor 0x8000."""
    count = len(pcm) // 2
    flipped = int.from_bytes(pcm, "little") ^ (ones(count, 16) << 15)
    return flipped.to_bytes(2 * count, "little")
