"""A waveform: lowest and highest samples, kept at every zoom, read at any, and written as others do.

The kept file is ours alone:

    head      b"peaks1\0\0", sampling rate (Hz), channels, samples a channel, samples a pixel: "<8sIIQI"
    level 0   a pair (lowest, highest; "<hh") a channel for every pixel of so many samples
    level 1   the same for every four of those, and so on, while one has more than 1024 pixels

Any zoom is then a few numbers of one level a pixel, however long the audio is: memory and time go
by the pixels that are asked for.

What goes out is audiowaveform's format, version 2, binary or JSON, by its document "Waveform data
file format"; its field `samples_per_pixel` says what `width` came to.

Pure but for the open file that is handed in.  Raises `Torn` for a file that is not whole.
"""

from __future__ import annotations

import json
import struct
import sys
from array import array
from typing import BinaryIO, Iterator, List, NamedTuple, Optional, Tuple

FINEST = 256  # samples a pixel of level 0, where it is of the whole audio
_STEP = 4  # pixels of a level in one of the next
_TOP = 1024  # pixels that need no further level
_HEAD = struct.Struct("<8sIIQI")
_MAGIC = b"peaks1\0\0"
_VERSION = 2  # of audiowaveform's format
_DAT = struct.Struct("<iIiiIi")  # version, flags, sampling rate, samples a pixel, length, channels
_EIGHT_BITS = 1  # flag bit 0
_PIECE = 1 << 14  # pixels read at a time


class Torn(Exception):
    """The kept file is not whole."""


class Waveform(NamedTuple):
    """Part of a waveform, at one zoom."""

    sample_rate: int  # Hz
    channels: int
    samples_per_pixel: int
    values: array  # "h": for each pixel and channel the lowest and the highest sample

    @property
    def length(self) -> int:
        """Pixels."""
        return len(self.values) // (2 * self.channels)


class Span(NamedTuple):
    """Which part of the audio, and how many pixels it shall have at most."""

    start: float  # seconds
    stop: Optional[float]  # seconds, None for the end
    width: int  # pixels

    def frames(self, rate: int, total: int) -> Tuple[int, int]:
        """First sample and the one behind the last, of `total`."""
        first = min(int(self.start * rate), total)
        if self.stop is None:
            return first, total
        # Rounded up: a part of a sample is shown whole, and no region is empty.
        return first, max(first, min(-int(-self.stop * rate // 1), total))


# -- zoom ------------------------------------------------------------------------------------------


def zoom(frames: int, width: int) -> Tuple[int, int]:
    """(samples a pixel, of which level) so that `frames` take at most `width` pixels.

    Samples a pixel are a multiple of the level's, of which each pixel has at least four where there
    is one: the answer has four fifths of `width` or more, but for what is finer than level 0.
    """
    wanted = max(-(-frames // width), 1)
    level = 0
    while FINEST * _STEP ** (level + 1) * 4 <= wanted:
        level += 1
    unit = FINEST * _STEP**level
    return -(-wanted // unit) * unit, level


def deep(frames: Tuple[int, int], width: int) -> Optional[Tuple[int, int, int]]:
    """(first, stop, samples a pixel) of the audio itself, where a part is so short that the kept
    pixels are too wide for it; else None.
    """
    first, stop = frames
    samples = max(-(-(stop - first) // width), 1)
    return None if samples >= FINEST else (first // samples * samples, stop, samples)


def wide(frames: Tuple[int, int], width: int, total: int) -> Tuple[int, int, int]:
    """(first, stop, samples a pixel) of the pixels that `Kept.read` shows of the frames, of `total`."""
    first, stop = frames
    samples, _ = zoom(stop - first, width)
    return first // samples * samples, min(-(-stop // samples) * samples, total), samples


def merged(values: array, channels: int, factor: int) -> array:
    """`factor` pixels as one, the last of what is left."""
    if factor == 1:
        return values
    planes: List[List[int]] = []
    for place in range(2 * channels):
        plane = values[place :: 2 * channels]
        choose = max if place % 2 else min
        planes.append([choose(plane[at : at + factor]) for at in range(0, len(plane), factor)])
    out = array("h", bytes(2 * sum(map(len, planes))))
    for place, plane in enumerate(planes):
        out[place :: 2 * channels] = array("h", plane)
    return out


# -- the kept file ---------------------------------------------------------------------------------


def _lengths(frames: int, pixel: int) -> Iterator[int]:
    """Pixels of each level."""
    pixels = -(-frames // pixel)
    yield pixels
    while pixels > _TOP:
        pixels = -(-pixels // _STEP)
        yield pixels


def _bytes_of(values: array) -> bytes:
    if sys.byteorder == "big":
        values = array("h", values)
        values.byteswap()
    return values.tobytes()


def _values_of(data: bytes) -> array:
    values = array("h", data)
    if sys.byteorder == "big":
        values.byteswap()
    return values


class Writer:
    """Writes a kept file into an empty one that can be read too: `add` level 0, then `finish`."""

    def __init__(self, file: BinaryIO, channels: int, pixel: int = FINEST) -> None:
        self._file, self._channels, self._pixel = file, channels, pixel
        file.write(bytes(_HEAD.size))

    def add(self, values: array) -> None:
        """Some pixels of level 0."""
        self._file.write(_bytes_of(values))

    def finish(self, sample_rate: int, frames: int) -> None:
        """The other levels and the head; `frames` are samples a channel, all of which were added."""
        file, pixel_bytes = self._file, 4 * self._channels
        start = _HEAD.size
        for pixels in list(_lengths(frames, self._pixel))[:-1]:
            for at in range(0, pixels, _PIECE):
                file.seek(start + at * pixel_bytes)
                values = _values_of(file.read(min(_PIECE, pixels - at) * pixel_bytes))
                file.seek(0, 2)
                self.add(merged(values, self._channels, _STEP))
            start += pixels * pixel_bytes
        file.seek(0)
        file.write(_HEAD.pack(_MAGIC, sample_rate, self._channels, frames, self._pixel))


class Kept:
    """A kept file, open for reading; Torn where it is not whole."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        head = file.read(_HEAD.size)
        if len(head) < _HEAD.size or not head.startswith(_MAGIC):
            raise Torn("this is no file of peaks")
        _, self.sample_rate, self.channels, self.frames, self._pixel = _HEAD.unpack(head)
        if not (self.sample_rate and self.channels and self._pixel):
            raise Torn("the head of a file of peaks is empty")
        self._pixel_bytes = 4 * self.channels
        self._lengths = list(_lengths(self.frames, self._pixel))
        if file.seek(0, 2) != _HEAD.size + sum(self._lengths) * self._pixel_bytes:
            raise Torn(f"the peaks of {self.frames} samples are not all there")

    def read(self, span: Span) -> Waveform:
        """A part of the whole audio, at the zoom that its width asks for, or at the finest.

        It begins at a whole pixel, at or before the part; so it may have one pixel more than its
        width.
        """
        first, stop = span.frames(self.sample_rate, self.frames)
        samples, level = zoom(stop - first, span.width)
        level = min(level, len(self._lengths) - 1)
        unit = FINEST * _STEP**level
        begin = first // samples * samples // unit
        end = -(-stop // samples) * samples // unit if stop > first else begin
        values = self._values(level, begin, min(end, self._lengths[level]))
        return Waveform(self.sample_rate, self.channels, samples, merged(values, self.channels, samples // unit))

    def everything(self) -> Waveform:
        """All of level 0: where the file is of the part that is asked for."""
        values = self._values(0, 0, self._lengths[0])
        return Waveform(self.sample_rate, self.channels, self._pixel, values)

    def _values(self, level: int, begin: int, end: int) -> array:
        self._file.seek(_HEAD.size + (sum(self._lengths[:level]) + begin) * self._pixel_bytes)
        return _values_of(self._file.read(max(end - begin, 0) * self._pixel_bytes))


# -- out -------------------------------------------------------------------------------------------


def _eight_bits(values: array) -> array:
    """The high bytes, rounded towards silence as audiowaveform has it."""
    return array("b", [value >> 8 if value >= 0 else -(-value >> 8) for value in values])


def as_dat(wave: Waveform, bits: int) -> bytes:
    """The binary form."""
    flags = _EIGHT_BITS if bits == 8 else 0
    head = _DAT.pack(_VERSION, flags, wave.sample_rate, wave.samples_per_pixel, wave.length, wave.channels)
    return head + (_eight_bits(wave.values).tobytes() if bits == 8 else _bytes_of(wave.values))


def as_json(wave: Waveform, bits: int) -> bytes:
    """The JSON form."""
    values = _eight_bits(wave.values) if bits == 8 else wave.values
    said = {
        "version": _VERSION,
        "channels": wave.channels,
        "sample_rate": wave.sample_rate,
        "samples_per_pixel": wave.samples_per_pixel,
        "bits": bits,
        "length": wave.length,
        "data": values.tolist(),
    }
    return json.dumps(said, separators=(",", ":")).encode() + b"\n"
