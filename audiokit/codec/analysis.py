"""The encoder's filterbanks: PCM in, MDCT lines out (11172-3, C.1.3 and C.1.5.3.3).

Everything here is linear and runs on packed integers (`packed`), a slot a (channel, granule): one
call transforms a whole run of granules.  The first HISTORY granules of a run are only there to
be looked back at; their lines are not valid, and so a run needs nothing but its own PCM.

Fixed point, in bits of fraction below one step of 16-bit PCM: planes 0, subbands 8, lines 7 in
32-bit integers.  The lines are 9 times those of the standard's scale (the factor of its inverse,
N / 4 for N = 36), those of short blocks too.  All bounds of the 48-bit slots hold for any PCM.

Never decides anything: which granule gets which block type is handed in.
"""

from __future__ import annotations

import math
from array import array
from functools import lru_cache
from operator import itemgetter, mul
from typing import Dict, List, NamedTuple, Sequence, Tuple

from .blocks import GRANULE, LONG, SHORT, START, STOP, window_of
from .packed import Slots, slots
from .tables import ALIAS_C, ANALYSIS_WINDOW, SFB_SHORT

SUBBANDS = 32
SLOTS = 18  # subband samples of a granule in one subband
HISTORY = 2  # granules: the MDCT overlaps one, whose polyphase window reaches into another
WIDTH = 48  # bits of a packed slot

SUBBAND_FRACTION = 8  # bits below one step of PCM
LINE_FRACTION = 7
LINE_SCALE = 9 << LINE_FRACTION  # a line's integer is LINE_SCALE times that of the standard

_WINDOW_BITS = 21  # ANALYSIS_WINDOW is C * 2**21
_MATRIX_BITS = 18
_FOLD_BITS = 16
_COSINE_BITS = 15

Vectors = List[int]


# --- Planes ----------------------------------------------------------------------------------


def planes_of(pcm: bytes, channels: int, slot: Slots) -> Vectors:
    """576 vectors, sample n of every granule: `pcm` is interleaved 16-bit, whole granules."""
    samples = array("H", pcm)
    step = GRANULE * channels
    planes = []
    for n in range(0, step, channels):
        plane = b"".join([samples[n + c :: step].tobytes() for c in range(channels)])
        planes.append(slot.pack_int16(plane))
    return planes


# --- Polyphase filterbank (C.1.3) ------------------------------------------------------------


@lru_cache(maxsize=None)
def _matrix(size: int) -> Tuple[Tuple[int, ...], ...]:
    """cos(pi (2i+1)(2p+1) / (4 size)) * 2**_MATRIX_BITS: rows i, columns p, `size` of each."""
    unit = math.pi / (4 * size)
    return tuple(
        tuple(
            round(math.cos(unit * (2 * i + 1) * (2 * p + 1)) * (1 << _MATRIX_BITS))
            for p in range(size)
        )
        for i in range(size)
    )


def dct3(values: Vectors) -> Vectors:
    """sum over m of values[m] cos(pi (2i+1) m / 2N) for i < N, times 2**_MATRIX_BITS.

    The even m are a DCT of half the size; the odd ones, a plain matrix, are added for i < N/2 and
    subtracted for their mirror images.  No product is ever multiplied again, so nothing is rounded.
    """
    size = len(values)
    if size == 1:
        return [values[0] << _MATRIX_BITS]
    even, odd = dct3(values[0::2]), values[1::2]
    odd = [sum(map(mul, odd, row)) for row in _matrix(size // 2)]
    return [g + h for g, h in zip(even, odd)] + [g - h for g, h in zip(reversed(even), reversed(odd))]


# y[q] = sum over j of C[q + 64j] x[newest - q - 64j]
_WINDOW_ROWS = tuple(ANALYSIS_WINDOW[q::64] for q in range(64))


def polyphase(planes: Vectors, slot: Slots) -> List[Vectors]:
    """18 time slots of 32 subbands each, from the 576 planes."""
    history = [plane << WIDTH for plane in planes]  # of the granule before
    line = history + planes
    shift = _WINDOW_BITS - SUBBAND_FRACTION
    out = []
    for newest in range(GRANULE + 31, 2 * GRANULE, SUBBANDS):
        y = [sum(map(mul, line[newest - q :: -64], row)) for q, row in enumerate(_WINDOW_ROWS)]
        # C.1.3 matrixes y[0..63] with cos((2i+1)(q-16) pi/64): even in q - 16, odd about 32.
        folded = [y[16]]
        folded += [y[16 + m] + y[16 - m] for m in range(1, 17)]
        folded += [y[16 + m] - y[80 - m] for m in range(17, 32)]
        bands = dct3([slot.rescale(value, shift) for value in folded])
        out.append([slot.rescale(value, _MATRIX_BITS) for value in bands])
    return out


# --- MDCT (C.1.5.3.3) ------------------------------------------------------------------------


@lru_cache(maxsize=None)
def _fold_table(block_type: int, inverted: int) -> Tuple[Tuple[int, int, int, int], ...]:
    """(sample, factor, sample, factor) of each of the 18 inputs of the DCT, from 36 samples.

    The MDCT of quarters (a, b, c, d) is the DCT-IV of (-c_r - d, a - b_r), r for reversed.  The
    factor 2 cos(pi (2n+1) / 72) turns a DCT-IV into a DCT-II, of which each output is the sum of
    two neighbouring lines.  `inverted`: odd samples of odd subbands are negative (C.1.5.3.3).
    """
    weights = window_of(block_type)
    rows = []
    for n in range(18):
        first, second, sign = (26 - n, 27 + n, -1) if n < 9 else (n - 9, 26 - n, 1)
        cosine = 2 * math.cos(math.pi / 72 * (2 * n + 1)) * (1 << _FOLD_BITS)
        a = sign * weights[first] * cosine
        b = -weights[second] * cosine
        if inverted:
            a, b = (-a if first & 1 else a), (-b if second & 1 else b)
        rows.append((first, round(a), second, round(b)))
    return tuple(rows)


@lru_cache(maxsize=None)
def _fold_change(block_type: int, inverted: int) -> Tuple[Tuple[int, int, int, int], ...]:
    """What the factors of a block type are more than those of LONG."""
    rows = zip(_fold_table(block_type, inverted), _fold_table(LONG, inverted))
    return tuple([(a, p - normal[1], b, q - normal[3]) for (a, p, b, q), normal in rows])


def _cosines(size: int, columns: int, rows: Sequence[float]) -> Tuple[Tuple[int, ...], ...]:
    """cos(pi (2n+1) k / 2 size) * 2**_COSINE_BITS for each k in rows, n < columns."""
    unit = math.pi / (2 * size)
    return tuple(
        tuple(round(math.cos(unit * (2 * n + 1) * k) * (1 << _COSINE_BITS)) for n in range(columns))
        for k in rows
    )


_ODD_18 = _cosines(18, 9, range(1, 18, 2))
_EVEN_9 = _cosines(9, 5, range(0, 9, 2))
_ODD_9 = _cosines(9, 4, range(1, 9, 2))
_SHORT_6 = tuple(tuple(3 * c for c in row) for row in _cosines(6, 6, [k + 0.5 for k in range(6)]))


def _dct2_18(v: Vectors) -> Vectors:
    """sum over n of v[n] cos(pi (2n+1) k / 36), times 2**_COSINE_BITS, for k < 18."""
    back = v[:8:-1]  # v[17] ... v[9]
    difference = [a - b for a, b in zip(v, back)]
    total = [a + b for a, b in zip(v, back)]
    back = total[:4:-1]  # total[8] ... total[5]
    odd = [a - b for a, b in zip(total, back)]
    even = [a + b for a, b in zip(total, back)] + [total[4]]
    out = [0] * 18
    out[1::2] = [sum(map(mul, difference, row)) for row in _ODD_18]
    out[0::4] = [sum(map(mul, even, row)) for row in _EVEN_9]
    out[2::4] = [sum(map(mul, odd, row)) for row in _ODD_9]
    return out


class Switched(NamedTuple):
    """The lanes whose window is not the normal one, as masks for `Slots.select`."""

    start: int
    stop: int

    @classmethod
    def of(cls, block_types: Sequence[int], channels: int, slot: Slots) -> Switched:
        """Those of block_types[granule], for all channels alike."""
        start, stop = [
            slot.lanes([block_type == wanted for block_type in block_types] * channels)
            for wanted in (START, STOP)
        ]
        return cls(start, stop)


def mdct_long(subbands: List[Vectors], switched: Switched, slot: Slots) -> Vectors:
    """576 lines of LONG, START or STOP blocks, aliasing reduced; `lines_of` reads them.

    What a switched window does otherwise is added in its lanes before the transform, which is the
    same for all: a start block differs where the fold takes its second granule, a stop block where
    it takes its first.
    """
    rescale, select = slot.rescale, slot.select
    normal = [_fold_table(LONG, inverted) for inverted in (0, 1)]
    halves = (
        (switched.start, range(9), [_fold_change(START, inverted) for inverted in (0, 1)]),
        (switched.stop, range(9, 18), [_fold_change(STOP, inverted) for inverted in (0, 1)]),
    )
    out: List[int] = []
    for band in range(SUBBANDS):
        now = [row[band] for row in subbands]
        z = [v << WIDTH for v in now] + now  # each granule with the one before it
        folded = [z[a] * p + z[b] * q for a, p, b, q in normal[band & 1]]
        for lanes, places, changes in halves:
            if lanes:
                for n in places:
                    a, p, b, q = changes[band & 1][n]
                    folded[n] += select(z[a] * p + z[b] * q, lanes)
        c = _dct2_18([rescale(value, _FOLD_BITS) for value in folded])
        line = c[0] >> 1  # one slot's half bit: far below anything heard
        lines = [line]
        for k in range(1, 18):
            line = c[k] - line
            lines.append(line)
        out += [rescale(line, _COSINE_BITS) for line in lines]
    return _reduce_aliasing(out)


_ALIAS = tuple(
    (
        round((1 << _COSINE_BITS) / math.sqrt(1 + c * c)),
        round(c * (1 << _COSINE_BITS) / math.sqrt(1 + c * c)),
    )
    for c in ALIAS_C
)


def _reduce_aliasing(lines: Vectors) -> Vectors:
    """Butterflies between neighbouring subbands (2.4.3.4.10.1), times 2**_COSINE_BITS."""
    out = [line << _COSINE_BITS for line in lines]
    for edge in range(SLOTS, GRANULE, SLOTS):
        for i, (cs, ca) in enumerate(_ALIAS):
            below, above = lines[edge - 1 - i], lines[edge + i]
            out[edge - 1 - i] = below * cs + above * ca
            out[edge + i] = above * cs - below * ca
    return out


def gather(subbands: List[Vectors], lanes: Sequence[int], slot: Slots) -> List[Vectors]:
    """The samples that short windows see of the granules in some lanes (slot numbers > 0).

    [subband][24]: the last twelve of the granule before and the first twelve of their own."""
    few = slots(len(lanes), WIDTH)
    half = 1 << (WIDTH - 1)
    bias, few_bias = slot.splat(half), few.splat(half)

    def cut(places: Sequence[int], rows: List[Vectors]) -> List[Vectors]:
        # The first is there twice: of one item alone itemgetter makes no tuple.
        pick = itemgetter(*[slice(few.slot_bytes * n, few.slot_bytes * (n + 1)) for n in [places[0], *places]])
        out = []
        for row in rows:
            data = [(vector + bias).to_bytes(slot.size, "little") for vector in row]
            parts = [b"".join(pick(one)[1:]) for one in data]
            out.append([int.from_bytes(part, "little") - few_bias for part in parts])
        return out

    rows = cut([n - 1 for n in lanes], subbands[6:]) + cut(lanes, subbands[:12])
    return [list(samples) for samples in zip(*rows)]


def mdct_short(subbands: List[Vectors], slot: Slots) -> List[Vectors]:
    """[window][192 lines] of short blocks, in order of frequency; `subbands` as gathered."""
    rescale = slot.rescale
    factors = [round(w * (1 << _FOLD_BITS)) for w in window_of(SHORT)]
    out: List[Vectors] = [[], [], []]
    for band, z in enumerate(subbands):
        if band & 1:
            z[1::2] = [-value for value in z[1::2]]
        for number in range(3):
            w = [a * b for a, b in zip(z[6 * number : 12 + 6 * number], factors)]
            folded = [-w[8 - n] - w[9 + n] for n in range(3)]
            folded += [w[n - 3] - w[8 - n] for n in range(3, 6)]
            folded = [rescale(value, _FOLD_BITS) for value in folded]
            out[number] += [sum(map(mul, folded, row)) for row in _SHORT_6]
    return out


@lru_cache(maxsize=None)
def short_order(sample_rate: int) -> Tuple[Tuple[int, int], ...]:
    """(window, line) of each of the 576 coded lines of a short block: band, window, line."""
    edges = SFB_SHORT[sample_rate]
    return tuple(
        (window, line)
        for low, high in zip(edges, edges[1:])
        for window in range(3)
        for line in range(low, high)
    )


# --- Lines out -------------------------------------------------------------------------------


def lines_of(vectors: Vectors, slot: Slots) -> array:
    """All lines, [line][slot], in items of 32 bits: little-endian with LINE_FRACTION bits."""
    data = b"".join([slot.to_bytes(vector) for vector in vectors])
    out = bytearray(4 * slot.count * len(vectors))
    for n in range(4):  # the fraction has 8 + 15 bits: 16 fall off
        out[n::4] = data[n + 2 :: 6]
    return array("I", bytes(out))


class Spectra:
    """The lines of a run of granules, each transformed by its own block type."""

    def __init__(self, pcm: bytes, channels: int, sample_rate: int) -> None:
        """`pcm` holds HISTORY granules and those to transform."""
        self.channels = channels
        self.granules = len(pcm) // (2 * channels * GRANULE)
        self._order = short_order(sample_rate)
        self._slot = slots(self.granules * channels, WIDTH)
        self._subbands = polyphase(planes_of(pcm, channels, self._slot), self._slot)
        self._short: Dict[int, bytes] = {}
        self._long = array("I")

    def transform(self, block_types: Sequence[int]) -> None:
        """Fills the spectra: block_types[granule] for every granule, history included."""
        slot = self._slot
        switched = Switched.of(block_types, self.channels, slot)
        self._long = lines_of(mdct_long(self._subbands, switched, slot), slot)
        lanes = [
            channel * self.granules + granule
            for channel in range(self.channels)
            for granule in range(HISTORY, self.granules)
            if block_types[granule] == SHORT
        ]
        if lanes:
            few = slots(len(lanes), WIDTH)
            windows = mdct_short(gather(self._subbands, lanes, slot), few)
            lines = lines_of([windows[window][line] for window, line in self._order], few)
            self._short = {lane: lines[n :: len(lanes)].tobytes() for n, lane in enumerate(lanes)}

    def lines(self, channel: int, granule: int) -> bytes:
        """The 576 lines of one granule in coded order: 32-bit little-endian signed integers."""
        lane = channel * self.granules + granule
        return self._short.get(lane) or self._long[lane :: self._slot.count].tobytes()


_LINES = slots(GRANULE, 32)


def mid_side(left: bytes, right: bytes) -> Tuple[bytes, bytes]:
    """Sum and difference of two granules' lines: sqrt(2) times the standard's (2.4.3.4.9.2)."""
    a, b = _LINES.from_bytes(left), _LINES.from_bytes(right)
    return _LINES.to_bytes(a + b), _LINES.to_bytes(a - b)
