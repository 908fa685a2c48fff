"""The MP3 encoder: 16-bit PCM in, Layer III frames out."""

from __future__ import annotations

from typing import List, Optional, Sequence, Tuple

from . import transients
from .analysis import GRANULE, HISTORY, NORMAL, SHORT, Spectra, mid_side
from .frame import MID_SIDE, FrameWriter, Granule, main_data, side_info, stream_format
from .granule import Spectrum, code_at_bits, wanted_scalefactors
from .reservoir import ConstantRate

DELAY = 576
FRONT = DELAY - 528
CHUNK = 200
LOOKAHEAD = 2
MS=1;SW=1;BETA=.7

class Encoder:
    def __init__(self, sample_rate, channels, *, bitrate_kbps=128):
        self.layout = stream_format(sample_rate, channels)
        self.rate = ConstantRate(self.layout, bitrate_kbps)
        self.writer = FrameWriter()
        self._buffer = bytearray(2 * channels * (HISTORY * GRANULE + FRONT))
        self._gains = [0] * channels
        self._samples = 0
        self._type = NORMAL
        self.stats = [0] * 4
        self.msn = 0

    def encode(self, pcm):
        self._buffer += pcm
        ch = self.layout.channels
        self._samples += len(pcm) // (2 * ch)
        unit = 2 * ch * GRANULE
        out = []
        while len(self._buffer) >= unit * (HISTORY + CHUNK + LOOKAHEAD):
            out.append(self._chunk(bytes(self._buffer[: unit * (HISTORY + CHUNK + LOOKAHEAD)]), CHUNK))
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
            out.append(self._chunk(bytes(self._buffer[: unit * (HISTORY + n + LOOKAHEAD)]), n))
            del self._buffer[: unit * n]
            todo -= n
        return b"".join(out) + self.writer.finish()

    def _chunk(self, pcm, count):
        lay = self.layout
        unit = 2 * lay.channels * GRANULE
        att = transients.attacked_granules(pcm, lay.channels)
        if SW:
            types = [NORMAL] * HISTORY + transients.block_types(att[HISTORY : HISTORY + count + 1], self._type)
        else:
            types = [NORMAL] * (HISTORY + count)
        self._type = types[-1]
        for t in types[2:]: self.stats[t] += 1
        spectra = Spectra(pcm[: unit * (HISTORY + count)], lay.channels, lay.sample_rate)
        spectra.transform(types)
        out = []
        for g in range(HISTORY, HISTORY + count, lay.granules):
            out.append(self._frame(spectra, g, types))
        return b"".join(out)

    def _frame(self, spectra, g, types):
        lay = self.layout
        padding = self.rate.next_padding()
        area = lay.frame_bytes(self.rate.bitrate_kbps, padding) - lay.overhead
        ahead = self.writer.ahead
        datas = [[spectra.lines(c, g + i) for c in range(lay.channels)] for i in range(lay.granules)]
        sp = [[Spectrum(d, types[g + i], lay, 576, False) for d in row] for i, row in enumerate(datas)]
        ms = False
        if MS and lay.channels == 2:
            alt = [[Spectrum(d, types[g + i], lay, 576, True) for d in mid_side(*row)] for i, row in enumerate(datas)]
            for r, q in zip(sp, alt):
                for t in q: t.thresholds = list(map(min, r[0].thresholds, r[1].thresholds))
            if sum(s.entropy for r in alt for s in r) < sum(s.entropy for r in sp for s in r):
                sp = alt
                ms = True
        self.msn += ms
        pe = [s.entropy for r in sp for s in r]
        aim, at_most = self.rate.budget(area, ahead, sum(pe))
        rows = []
        n = len(pe)
        left = at_most
        mpe = sum(pe) / n
        want = [max(aim / n + BETA * (p - mpe), .1 * aim / n) for p in pe]
        k = aim / sum(want)
        want = [int(w * k) for w in want]
        i = 0
        for row in sp:
            r = []
            for c, s in enumerate(row):
                scf = wanted_scalefactors(s)
                one = code_at_bits(s, scf, want[i], left, self._gains[c])
                self._gains[c] = one.global_gain - 210
                left -= len(one.main)
                i += 1
                r.append(one)
            rows.append(r)
        main = main_data(rows)
        over = ahead + area - len(main) - self.rate.largest
        main += bytes(max(over, 0))
        scfsi = [[0] * 4] * lay.channels
        head = lay.header(self.rate.bitrate_kbps, padding, MID_SIDE if ms else 0) + side_info(lay, ahead, scfsi, rows)
        return self.writer.add(head, area, main)
