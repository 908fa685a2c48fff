"""PCM in and out: every PCM word of WAV, AIFF, AU and CAF to 16-bit interleaved PCM, channels mixed, a WAV head.

What the words mean is in the name that the readers of `formats` give them: `pcm_s24le`, `pcm_f32be`,
`pcm_mulaw`, ….  16 bits and less pass unchanged; more are rounded, or dithered first.  Bytes in, bytes out;
no files.  Raises ValueError for a word that is not PCM.
"""

from __future__ import annotations

import io
import math
import re
import struct
import wave
from array import array
from functools import lru_cache
from random import Random
from typing import List, Sequence, Tuple

from .packed import flip_signs, slots

_WIDTH = 40  # bits of a slot here: 32 of a sample and room for a sum
_GAIN = 15  # fraction bits of a mixing gain
_WORD = re.compile(r"pcm_(u(?=8)|s|f(?=16|32|64))(8|16|24|32|64)(le|be)?")
_FLOATS = {"16": "e", "32": "f", "64": "d"}  # as `struct` calls them
_KEPT_BYTES = 4  # of an integer of 64 bits: what is below is far from all that 16 can tell
_HALF = math.sqrt(0.5)  # -3 dB, the gain of centre and surround (ITU-R BS.775-3, annex 4)
# Gains to left and right of what is meant for a speaker (`formats.speakers`).  The low-frequency channel is
# left out, as BS.775 has it; of what it does not know, tops are taken for surrounds, what is beside the front
# ones for these, and a channel for no speaker for the centre.
_LEFT, _RIGHT, _CENTRE, _NONE, _BACK = (1.0, 0.0), (0.0, 1.0), (_HALF, _HALF), (0.0, 0.0), (0.5, 0.5)
_SIDE_LEFT, _SIDE_RIGHT = (_HALF, 0.0), (0.0, _HALF)
_SHARES = {
    "FL": _LEFT, "FR": _RIGHT, "FC": _CENTRE, "LFE": _NONE, "FLC": _LEFT, "FRC": _RIGHT, "BC": _BACK,
    "BL": _SIDE_LEFT, "BR": _SIDE_RIGHT, "SL": _SIDE_LEFT, "SR": _SIDE_RIGHT, "TC": _BACK, "TFC": _BACK, "TBC": _BACK,
    "TFL": _SIDE_LEFT, "TFR": _SIDE_RIGHT, "TBL": _SIDE_LEFT, "TBR": _SIDE_RIGHT, "": _CENTRE,
}
# Of so many channels that say nothing: the usual order, that of WAVE_FORMAT_EXTENSIBLE
_USUAL = {
    2: "FL FR",
    3: "FL FR FC",
    4: "FL FR BL BR",
    5: "FL FR FC BL BR",
    6: "FL FR FC LFE BL BR",
    7: "FL FR FC LFE BC SL SR",
    8: "FL FR FC LFE BL BR SL SR",
}


def is_pcm(codec: str) -> bool:
    """Whether `PcmReader` understands this codec's name."""
    return codec in ("pcm_alaw", "pcm_mulaw") or _WORD.fullmatch(codec) is not None


class PcmReader:
    """Frames of one kind of PCM as 16-bit little-endian interleaved PCM of `channels_out` channels.

    `dither` "tpdf" adds triangular noise of two places' width where more than 16 bits come in, and only there.
    """

    def __init__(
        self, codec: str, channels: int, channels_out: int = 0, *, speakers: Sequence[str] = (),
        dither: str = "none", seed: int = 0,
    ) -> None:
        """`speakers`: which one each channel is meant for, where that is known."""
        if not is_pcm(codec):
            raise ValueError(f"{codec} is not PCM")
        self.channels = channels
        self.channels_out = channels_out or min(channels, 2)
        self._speakers = tuple(speakers)
        word = _WORD.fullmatch(codec)
        self._kind, self._bits, order = word.groups() if word else (codec, "8", "")
        self._is_big = order == "be"
        self.sample_bytes = int(self._bits) // 8
        self.frame_bytes = self.sample_bytes * channels
        self._random = Random(seed) if dither == "tpdf" else None

    def convert(self, data: bytes) -> bytes:
        """`data` holds whole frames; bytes past the last whole one are left out."""
        data = data[: len(data) // self.frame_bytes * self.frame_bytes]
        if not data:
            return b""
        return mixed(self._to_16_bits(data), self.channels, self.channels_out, self._speakers)

    def _to_16_bits(self, data: bytes) -> bytes:
        if self._kind in _COMPANDED:
            low, high = _COMPANDED[self._kind]()
            return _interleave(data.translate(low), data.translate(high))
        if self._bits == "8":
            return _interleave(bytes(len(data)), data.translate(_FLIP) if self._kind == "u" else data)
        if self._is_big:
            data = _swapped(data, self.sample_bytes)
        if self._kind == "f":
            return self._from_floats(data)
        return data if self._bits == "16" else self._from_long(data)

    def _from_long(self, data: bytes) -> bytes:
        """24, 32 or 64 bits, little-endian."""
        size = min(self.sample_bytes, _KEPT_BYTES)
        packed = slots(len(data) // self.sample_bytes, _WIDTH)
        spread = bytearray(packed.size)
        for place in range(size):
            spread[place :: packed.slot_bytes] = data[self.sample_bytes - size + place :: self.sample_bytes]
        top = 1 << (8 * size - 1)
        # Flipping the sign bit makes the value offset by it: a vector of positive slots.
        vector = (int.from_bytes(spread, "little") ^ packed.splat(top)) - packed.splat(top)
        return self._rounded(packed, vector, 8 * size - 16)

    def _rounded(self, packed, vector: int, fraction: int) -> bytes:
        if self._random is not None:
            mask = packed.splat((1 << fraction) - 1)
            one, two = (self._random.getrandbits(packed.count * packed.width) & mask for _ in range(2))
            vector += one + two - mask
        return flip_signs(bytes(packed.int16(vector, fraction)))

    def _from_floats(self, data: bytes) -> bytes:
        """IEEE 754, full scale 1.0; what is beyond it, or no number, is clipped or silent."""
        count = len(data) // self.sample_bytes
        values: Sequence[float] = struct.unpack("<%d%s" % (count, _FLOATS[self._bits]), data)
        if not math.isfinite(sum(values)) or max(values) > 2 or min(values) < -2:
            values = [min(max(v, -2.0), 2.0) if v == v else 0.0 for v in values]
        packed = slots(count, 64)
        return self._rounded(packed, packed.pack_floats([v * 8388608.0 for v in values]), 8)


# -- words ----------------------------------------------------------------------------------------------------

_FLIP = bytes(value ^ 0x80 for value in range(256))


def _interleave(low: bytes, high: bytes) -> bytes:
    out = bytearray(2 * len(low))
    out[0::2], out[1::2] = low, high
    return bytes(out)


def _swapped(data: bytes, size: int) -> bytes:
    """Samples of `size` bytes from big-endian to little-endian."""
    out = bytearray(len(data))
    for place in range(size):
        out[place::size] = data[size - 1 - place :: size]
    return bytes(out)


def _planes(values: List[int]) -> Tuple[bytes, bytes]:
    return bytes(v & 255 for v in values), bytes(v >> 8 & 255 for v in values)


@lru_cache(maxsize=None)
def _a_law() -> Tuple[bytes, bytes]:
    """ITU-T G.711 table 1: 13 bits, here at the top of 16."""
    out = []
    for code in range(256):
        code ^= 0x55
        exponent, mantissa = code >> 4 & 7, code & 15
        value = (mantissa << 4) + 8
        if exponent:
            value = (value + 0x100) << (exponent - 1)
        out.append(value if code & 0x80 else -value)
    return _planes(out)


@lru_cache(maxsize=None)
def _mu_law() -> Tuple[bytes, bytes]:
    """ITU-T G.711 table 2: 14 bits, here at the top of 16."""
    out = []
    for code in range(256):
        code ^= 0xFF
        value = (((code & 15) << 3) + 0x84 << (code >> 4 & 7)) - 0x84
        out.append(-value if code & 0x80 else value)
    return _planes(out)


_COMPANDED = {"pcm_alaw": _a_law, "pcm_mulaw": _mu_law}


# -- channels -------------------------------------------------------------------------------------------------


def gains(channels: int, channels_out: int, speakers: Sequence[str] = ()) -> List[List[float]]:
    """The share of each channel in each output: BS.775's, made so much smaller that nothing can clip."""
    if channels == channels_out:
        return [[float(i == j) for i in range(channels)] for j in range(channels)]
    if channels == 1:
        return [[1.0] for _ in range(channels_out)]
    names = list(speakers) if len(speakers) == channels else _USUAL.get(channels, "").split()
    # Where no order is known, evens go to the left, odds to the right.
    pairs = [_SHARES.get(name, _CENTRE) for name in names] or [(_LEFT, _RIGHT)[n % 2] for n in range(channels)]
    rows = [[pair[side] for pair in pairs] for side in (0, 1)]
    if channels_out == 1:
        rows = [[left + right for left, right in zip(*rows)]]
    sums = [sum(row) for row in rows]
    if names:  # both sides alike, so that what is louder stays so
        sums = [max(sums)] * len(sums)
    return [[value / total if total else 0.0 for value in row] for row, total in zip(rows, sums)]


def mixed(pcm: bytes, channels: int, channels_out: int, speakers: Sequence[str] = ()) -> bytes:
    """16-bit interleaved PCM of `channels` as `channels_out` (1 or 2, or as many) channels."""
    if channels == channels_out:
        return pcm
    samples = array("H", pcm)
    out = array("H", bytes(2 * (len(samples) // channels) * channels_out))
    if channels == 1:
        for side in range(channels_out):
            out[side::channels_out] = samples
        return out.tobytes()
    packed = slots(len(samples) // channels, _WIDTH)
    vectors = [packed.pack_int16(samples[c::channels].tobytes()) for c in range(channels)]
    for side, row in enumerate(gains(channels, channels_out, speakers)):
        total = sum(v * round(gain * (1 << _GAIN)) for v, gain in zip(vectors, row) if gain)
        out[side::channels_out] = array("H", flip_signs(bytes(packed.int16(total, _GAIN))))
    return out.tobytes()


# -- out ------------------------------------------------------------------------------------------------------


def is_large(channels: int, frames: int) -> bool:
    """Whether a WAV of so many frames of 16 bits is too large for the 32 bits of RIFF."""
    return frames * channels * 2 + 36 >= 1 << 32


def wav_header(sample_rate: int, channels: int, frames: int, as_rf64: bool = False) -> bytes:
    """The head of a WAV of 16-bit PCM; RF64 (EBU Tech 3306) where it is large, or where that is wished."""
    size = frames * channels * 2
    if not as_rf64 and not is_large(channels, frames):
        file = io.BytesIO()
        with wave.open(file, "wb") as writer:
            writer.setparams((channels, 2, sample_rate, frames, "NONE", "not compressed"))
            writer.writeframesraw(b"")
            head = file.getvalue()  # before closing it would correct the length to what it saw
        return head
    form = struct.pack("<HHIIHH", 1, channels, sample_rate, sample_rate * channels * 2, channels * 2, 16)
    sizes = struct.pack("<QQQI", size + 72, size, frames, 0)
    return (b"RF64\xff\xff\xff\xffWAVEds64" + struct.pack("<I", len(sizes)) + sizes
            + b"fmt " + struct.pack("<I", len(form)) + form + b"data\xff\xff\xff\xff")
