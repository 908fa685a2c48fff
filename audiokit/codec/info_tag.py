"""The Info tag: a first frame that decodes to silence and says what follows.

The layout is the one that Xing began and LAME extended; no standard has it, players agree on it.
"Info" marks a constant bitrate, "Xing" a variable one.  After it, big-endian:

    4 flags (all fields are there)   4 frames behind this one   4 bytes, this frame counted
    100 table: byte n is where n percent of the time begins, in 256ths of the bytes
    4 quality, 0 to 100
    9 name of the encoder      1 revision, method          1 lowpass in 100 Hz    4 peak
    2 + 2 replay gains         1 flags                     1 bitrate              3 delay, padding
    1 sort of stereo, rate     1 gain                      2 preset               4 bytes again
    2 CRC of all frames behind this one                    2 CRC of this frame up to here

Delay and padding, 12 bits each, are the samples a decoder leaves out at the beginning (besides its
own delay of 529) and at the end: by them a file has exactly its samples.

Pure functions of what `StreamRecord` collected; never sees PCM.
"""

from __future__ import annotations

import struct
from array import array
from functools import lru_cache
from typing import List

from .parameters import WORST, Parameters

ENCODER_DELAY = 576  # samples that the encoder puts in front

_NAME = b"LAMEstyle"  # ffmpeg and browsers believe delay and padding only behind these four letters
_ALL_FIELDS = 0xF
_TAG_BYTES = 156
_CONSTANT, _VARIABLE = 1, 4  # method
_STEREO_SORT = {1: 0, 2: 3}  # mono, joint
_SEEK_POINTS = 1024  # positions kept: ten for each entry of the table


@lru_cache(maxsize=None)
def _crc_table() -> array:
    """CRC-16 (x^16 + x^15 + x^2 + 1, lowest bit first) of every pair of bytes.

    An array: the objects of a tuple, 2 MB, leave the processor's cache at every step."""
    table = [0]
    for bit in range(16):
        crc = 1 << bit
        for _ in range(16):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
        table += [crc ^ other for other in table]
    return array("H", table)


def crc16(data: bytes, crc: int = 0) -> int:
    """The tag's checksum of `data`, going on from `crc`."""
    table = _crc_table()
    for word in struct.unpack("<%dH" % (len(data) // 2), data[: len(data) & ~1]):
        crc = table[crc ^ word]
    if len(data) & 1:  # one byte is a word whose high byte changes nothing
        low = crc ^ data[-1]
        crc = crc >> 8 ^ table[(low & 0xFF) << 8]
    return crc


class StreamRecord:
    """What the Info tag needs to know of the frames; constant memory at any length."""

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = parameters
        self.frames = 0
        self.bytes = 0
        self._crc = 0
        self._stride = 1  # every so many frames a position is kept
        self._positions: List[int] = []
        layout = parameters.layout
        self._sizes = {
            index << 1 | padding: layout.frame_bytes(bitrate, padding)
            for index, bitrate in enumerate(layout.bitrates)
            for padding in (0, 1)
        }

    def add(self, frames: bytes) -> None:
        """Whole frames, in the order of the stream: of this encoder or of others like it."""
        at = 0
        while at < len(frames):
            if self.frames % self._stride == 0:
                self._positions.append(self.bytes + at)
                if len(self._positions) > _SEEK_POINTS:
                    del self._positions[1::2]
                    self._stride *= 2
            self.frames += 1
            third = frames[at + 2]
            at += self._sizes[third >> 4 << 1 | third >> 1 & 1]
        self.bytes += len(frames)
        self._crc = crc16(frames, self._crc)

    def info_frame(self, samples: int) -> bytes:
        """The Info frame of these frames, which hold `samples` samples a channel."""
        parameters = self.parameters
        layout = parameters.layout
        bitrate = info_bitrate(parameters)
        size = layout.frame_bytes(bitrate)
        total = size + self.bytes
        padding = max(self.frames * layout.frame_samples - ENCODER_DELAY - samples, 0)
        constant = parameters.bitrate_kbps is not None
        quality = 0 if parameters.quality is None else WORST - parameters.quality
        frame = layout.header(bitrate, 0, 0).ljust(layout.overhead, b"\0")
        frame += struct.pack(">4sIII", b"Info" if constant else b"Xing", _ALL_FIELDS, self.frames, total)
        frame += self._table(size, total)
        frame += struct.pack(
            ">I9sBB4xHHBB",
            100 * quality // WORST,
            _NAME,
            _CONSTANT if constant else _VARIABLE,
            min(parameters.lowpass_hertz // 100, 255),
            0,  # replay gains: not measured
            0,
            0,
            min(parameters.bitrate_kbps or layout.bitrates[1], 255),
        )
        frame += (ENCODER_DELAY << 12 | min(padding, 0xFFF)).to_bytes(3, "big")
        rate = sum(layout.sample_rate > limit for limit in (32000, 44100, 48000))
        frame += struct.pack(">BBHIH", rate << 6 | _STEREO_SORT[layout.channels] << 2, 0, 0, total, self._crc)
        return (frame + struct.pack(">H", crc16(frame))).ljust(size, b"\0")

    def _table(self, first: int, total: int) -> bytes:
        """The table of positions; they are taken of the frame at or before each percent."""
        out = []
        for percent in range(100):
            at = percent * self.frames // 100 // self._stride
            position = first + self._positions[at] if at < len(self._positions) else first
            out.append(min(256 * position // total, 255))
        return bytes(out)


def info_bitrate(parameters: Parameters) -> int:
    """The bitrate of the Info frame: the stream's own, or the first in which the tag has room."""
    layout = parameters.layout
    needed = layout.overhead + _TAG_BYTES
    least = parameters.bitrate_kbps or 0
    return next(
        bitrate
        for bitrate in layout.bitrates[1:]
        if bitrate >= least and layout.frame_bytes(bitrate) >= needed
    )
