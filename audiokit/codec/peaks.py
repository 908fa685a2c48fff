"""The lowest and the highest sample of every 256: what a waveform is drawn from.

PCM of 16 bits in, pairs of (lowest, highest) out, a pair a channel for each pixel.  `min()` over a
slice makes a Python int of every sample.  Here eight bytes at a time are moved so that samples of
many pixels lie side by side in one huge int, and two such vectors give the lower and the higher
of each slot in eight operations: about five times as quick.

    slots    32 bits, a sample as an unsigned number in the low 16
    guard    bit 16 of a slot; with it set, `a - b` keeps it exactly where a >= b

Bytes in, arrays out; no files, nothing kept but an unfinished pixel.  Raises nothing.
"""

from __future__ import annotations

import sys
from array import array
from functools import lru_cache
from typing import List, NamedTuple, Tuple

PIXEL = 256  # samples a pair stands for at the finest
_WORD = 8  # bytes moved at a time
_BLOCK = 256  # pixels at a time: more would leave the processor's nearest caches


class _Constants(NamedTuple):
    """For vectors of so many slots of 32 bits."""

    low: int  # ones in the low half of each slot
    guard: int  # bit 16
    signs: int  # bit 15 and bit 31: makes signed samples unsigned, both halves of a slot


@lru_cache(maxsize=8)
def _constants(slots: int) -> _Constants:
    ones = int.from_bytes(b"\1\0\0\0" * slots, "little")
    return _Constants(ones * 0xFFFF, ones << 16, ones * 0x80008000)


def _lower_higher(a: int, b: int, guard: int) -> Tuple[int, int]:
    """Of two vectors, slot by slot."""
    over = (a | guard) - b
    where = over & guard
    over &= where - (where >> 16)  # a - b where that is not negative, else 0
    return a - over, b + over


def _lower(a: int, b: int, guard: int) -> int:
    over = (a | guard) - b
    where = over & guard
    return a - (over & (where - (where >> 16)))


def _higher(a: int, b: int, guard: int) -> int:
    over = (a | guard) - b
    where = over & guard
    return b + (over & (where - (where >> 16)))


def _extremes(vectors: List[int], guard: int) -> Tuple[int, int]:
    """The lowest and the highest of an even number of vectors, slot by slot."""
    low, high = _lower_higher(vectors[0], vectors[1], guard)
    for a, b in zip(vectors[2::2], vectors[3::2]):
        lower, higher = _lower_higher(a, b, guard)
        low, high = _lower(low, lower, guard), _higher(high, higher, guard)
    return low, high


def _folded(vector: int, pixels: int, choose) -> List[int]:
    """A vector has two slots a pixel: one signed number of them."""
    halves = array("H", vector.to_bytes(8 * pixels, "little"))
    if sys.byteorder == "big":
        halves.byteswap()
    return [choose(a, b) - 32768 for a, b in zip(halves[0::4], halves[2::4])]


def _whole_pixels(pcm: bytes, channels: int) -> array:
    """Pairs of PCM that is whole pixels of one or two channels."""
    words = array("Q", pcm)
    columns = PIXEL * 2 * channels // _WORD
    pixels = len(words) // columns
    low_half, guard, signs = _constants(2 * pixels)
    even, odd = [], []
    for column in range(columns):
        vector = int.from_bytes(words[column::columns].tobytes(), "little") ^ signs
        even.append(vector & low_half)
        odd.append(vector >> 16 & low_half)
    # Of stereo the even samples are the left ones; of mono all are alike.
    groups = [even, odd] if channels == 2 else [even + odd]
    out = array("h", bytes(4 * channels * pixels))
    for channel, vectors in enumerate(groups):
        low, high = _extremes(vectors, guard)
        out[2 * channel :: 2 * channels] = array("h", _folded(low, pixels, min))
        out[2 * channel + 1 :: 2 * channels] = array("h", _folded(high, pixels, max))
    return out


class Summary:
    """PCM (16 bits, little-endian, interleaved) in any pieces of whole frames, as pairs.

    `channels` is 1 or 2.  `add` and `finish` give an array of signed 16-bit numbers: for each pixel
    and each channel the lowest and the highest sample.
    """

    def __init__(self, channels: int) -> None:
        self._channels = channels
        self._pixel_bytes = PIXEL * 2 * channels
        self._rest = b""
        self.frames = 0  # samples a channel that were seen

    def add(self, pcm: bytes) -> array:
        """The pairs that are complete with this."""
        self.frames += len(pcm) // (2 * self._channels)
        pcm = self._rest + pcm if self._rest else pcm
        whole = len(pcm) - len(pcm) % self._pixel_bytes
        out = array("h")
        size = self._pixel_bytes * _BLOCK
        for start in range(0, whole, size):
            out += _whole_pixels(pcm[start : min(start + size, whole)], self._channels)
        self._rest = pcm[whole:]
        return out

    def finish(self) -> array:
        """The pairs of a last pixel that is not full; none where there is none."""
        out = pairs(self._rest, self._channels, PIXEL)
        self._rest = b""
        return out


def pairs(pcm: bytes, channels: int, pixel: int) -> array:
    """The same for pixels of any number of samples, one by one: for little PCM."""
    samples = array("h", pcm)
    if sys.byteorder == "big":
        samples.byteswap()
    planes = []
    for channel in range(channels):
        plane = samples[channel::channels]
        cuts = [plane[at : at + pixel] for at in range(0, len(plane), pixel)]
        planes += [list(map(min, cuts)), list(map(max, cuts))]
    return array("h", [value for column in zip(*planes) for value in column])
