"""The MP3 encoder: 16-bit PCM in, Layer III frames out."""

from __future__ import annotations

import struct
from typing import List, Optional, Tuple

from .analysis import (
    GRANULE,
    HISTORY,
    LINE_SCALE,
    NORMAL,
    SHORT,
    Spectra,
    mid_side,
)
from .entropy import choose, long_splits, switched_splits, write
from .frame import FrameWriter, Granule, main_data, side_info, stream_format, MAX_PART2_3_LENGTH
from .psychoacoustics import bands_of, energies, perceptual_entropy, thresholds
from .quantize import Levels, quantize, search_gain
from .reservoir import ConstantRate
from . import scalefactors as sf

DELAY = 576
FRONT = DELAY - 528
CHUNK = 200
LOOKAHEAD = 2
_UNPACK = struct.Struct("<%di" % GRANULE)
_S2 = bytes(v >> 7 << 1 for v in range(256))
_S1 = bytes(v >> 7 for v in range(256))


class Encoder:
    def __init__(self, sample_rate, channels, *, bitrate_kbps=128):
        self.layout = stream_format(sample_rate, channels)
        self.rate = ConstantRate(self.layout, bitrate_kbps)
        self.writer = FrameWriter()
        self._buffer = bytearray(2 * channels * (HISTORY * GRANULE + FRONT))
        self._gains = [0] * channels
        self._samples = 0

    def encode(self, pcm):
        self._buffer += pcm
        ch = self.layout.channels
        self._samples += len(pcm) // (2 * ch)
        unit = 2 * ch * GRANULE
        out = []
        while len(self._buffer) >= unit * (HISTORY + CHUNK + LOOKAHEAD):
            out.append(self._chunk(bytes(self._buffer[: unit * (HISTORY + CHUNK)]), CHUNK))
            del self._buffer[: unit * CHUNK]
        return b"".join(out)

    def finish(self):
        ch = self.layout.channels
        unit = 2 * ch * GRANULE
        left = len(self._buffer) - HISTORY * unit + 2 * ch * (528 + 529)
        frames = -(-left // (unit * self.layout.granules))
        self._buffer += bytes(unit * (HISTORY + CHUNK + 4 + frames * 2))
        out = []
        todo = frames * self.layout.granules
        while todo:
            n = min(todo, CHUNK)
            out.append(self._chunk(bytes(self._buffer[: unit * (HISTORY + n)]), n))
            del self._buffer[: unit * n]
            todo -= n
        return b"".join(out) + self.writer.finish()

    def _chunk(self, pcm, count):
        lay = self.layout
        spectra = Spectra(pcm, lay.channels, lay.sample_rate)
        spectra.transform([NORMAL] * (HISTORY + count))
        out = []
        for g in range(HISTORY, HISTORY + count, lay.granules):
            out.append(self._frame(spectra, g))
        return b"".join(out)

    def _frame(self, spectra, g):
        lay = self.layout
        padding = self.rate.next_padding()
        area = lay.frame_bytes(self.rate.bitrate_kbps, padding) - lay.overhead
        ahead = self.writer.ahead
        aim, at_most = self.rate.budget(area, ahead, 1.0)
        rows = []
        parts = lay.granules * lay.channels
        left = aim
        for gr in range(lay.granules):
            row = []
            for c in range(lay.channels):
                one = self._granule(spectra.lines(c, g + gr), c, left // parts)
                left -= len(one.main)
                parts -= 1
                row.append(one)
            rows.append(row)
        main = main_data(rows)
        over = ahead + area - len(main) - self.rate.largest
        main += bytes(max(over, 0))
        scfsi = [[0] * 4] * lay.channels
        head = lay.header(self.rate.bitrate_kbps, padding, 0) + side_info(lay, ahead, scfsi, rows)
        return self.writer.add(head, area, main)

    def _granule(self, data, c, target):
        lay = self.layout
        lines = _UNPACK.unpack(data)
        mags = [v**0.75 for v in map(abs, lines)]
        splits = long_splits(lay.sample_rate)
        scf = sf.encode([0] * 21, lay.is_lsf, NORMAL)
        peak = max(mags)
        target = min(target, MAX_PART2_3_LENGTH)
        if peak == 0:
            gain, used = 0, 0
        else:
            lv = Levels(mags, peak * 1.001)

            def bits_at(gain):
                cod = lv.code(gain, splits)
                return cod.bits, 2 * cod.big_values + 4 * cod.quads

            gain = search_gain(bits_at, target - scf.bits, self._gains[c], lv.lowest_gain)
            self._gains[c] = gain
        while True:
            q = quantize(mags, gain)
            coding = choose(q.pairs, splits, q.largest)
            if coding.bits + scf.bits <= target or gain >= 45:
                break
            gain += 1
        tops = data[3::4]
        signs = (
            int.from_bytes(tops[0::2].translate(_S2), "little")
            | int.from_bytes(tops[1::2].translate(_S1), "little")
        ).to_bytes(GRANULE // 2, "little")
        main = scf.coded() + write(q.pairs, signs, coding, q.magnitude)
        assert len(main) == coding.bits + scf.bits, (len(main), coding.bits, scf.bits)
        return Granule(gain + 210, NORMAL, coding, scf, main)
