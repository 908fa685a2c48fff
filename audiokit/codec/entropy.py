"""Noiseless coding in the encoder: regions, tables, bit counts, bits (11172-3, 2.4.1.7, C.1.5.4.4).

A granule's 576 quantised values come as `pairs`: one byte for each two neighbours, the magnitude
of the first in the high half and that of the second in the low half, 15 for anything from 15 on.
Choosing tables and counting bits are then a few passes of `bytes.translate` and `sum` at C speed.

Never quantises, never knows of gains; raises nothing on any pairs.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Callable, List, NamedTuple, Sequence, Tuple

from .tables import DISPUTED_BANDS, HUFFMAN_LINBITS, SFB_LONG, SFB_SHORT, count1_codes, huffman_codes

PAIRS = 288

# The tables that can code a largest magnitude: the smallest first, by class of magnitude.
_CLASS_LIMITS = (0, 1, 2, 3, 5, 7, 15)
_CANDIDATES: Tuple[Tuple[int, ...], ...] = (
    (0,), (1,), (2, 3), (5, 6), (7, 8, 9), (10, 11, 12), (13, 15),
)  # fmt: skip
# Where magnitudes go past 15: by bits of (largest - 15), the table of each family with enough
# linbits; the families share their codes, so that only these two need comparing.
_ESCAPES: Tuple[Tuple[int, int], ...] = tuple(
    (
        next(t for t in range(16, 24) if HUFFMAN_LINBITS[t] >= bits),
        next(t for t in range(24, 32) if HUFFMAN_LINBITS[t] >= bits),
    )
    for bits in range(14)
)
LARGEST = 15 + (1 << 13) - 1  # the largest magnitude that linbits can code


def _within(limit: int) -> bytes:
    """All pair bytes with both magnitudes at most `limit`."""
    return bytes(x << 4 | y for x in range(limit + 1) for y in range(limit + 1))


_WITHIN = tuple(_within(limit) for limit in _CLASS_LIMITS)
_ABOVE_ONE = bytes(1 if pair not in _within(1) else 0 for pair in range(256))
_ESCAPING = bytes((pair >> 4 == 15) + (pair & 15 == 15) for pair in range(256))
_NONZERO = bytes((pair > 15) + (pair & 15 > 0) for pair in range(256))
# A pair of 0s and 1s as two bits, low for the second pair of a quadruple, high for the first.
_QUAD_LOW = bytes((pair >> 3 & 2) | (pair & 1) for pair in range(256))
_QUAD_HIGH = bytes(code << 2 for code in _QUAD_LOW)


@lru_cache(maxsize=None)
def _lengths(table: int) -> bytes:
    """Bits of each pair byte in a table, signs included, linbits not; 0 for what it cannot code."""
    lengths = bytearray(256)
    for (x, y), code in huffman_codes(table).items():
        lengths[x << 4 | y] = len(code) + (x > 0) + (y > 0)
    return bytes(lengths)


_COUNT1_A = bytearray(16)
for _quad, _code in count1_codes("A").items():
    _COUNT1_A[_quad[0] << 3 | _quad[1] << 2 | _quad[2] << 1 | _quad[3]] = len(_code) + sum(_quad)
_QUAD_LENGTHS = bytes(_COUNT1_A) + bytes(240)


class Split(NamedTuple):
    """Where big_values divides into regions: in pairs, and as the side information says it."""

    first: int  # pairs before region 1
    second: int  # pairs before region 2
    region0_count: int
    region1_count: int


class Coding(NamedTuple):
    """How a granule's pairs are coded, in the standard's names."""

    bits: int  # of huffmancodebits
    big_values: int  # pairs
    quads: int  # quadruples of the count1 region
    split: Split
    table_select: Tuple[int, int, int]
    count1table_select: int


@lru_cache(maxsize=None)
def long_splits(sample_rate: int) -> Tuple[Split, ...]:
    """The split for each number of pairs: about a third of the scalefactor bands a region."""
    edges = SFB_LONG[sample_rate]
    out = []
    for pairs in range(PAIRS + 1):
        bands = next((n for n, edge in enumerate(edges) if edge >= 2 * pairs), len(edges) - 1)
        zero = min(max(round(0.3 * bands), 1), 16)
        one = min(max(round(0.35 * bands), 1), 8)
        if zero + one == DISPUTED_BANDS.get(sample_rate):
            one -= 1
        second = min(zero + one, len(edges) - 1)
        out.append(Split(min(edges[zero] // 2, pairs), min(edges[second] // 2, pairs), zero - 1, one - 1))
    return tuple(out)


@lru_cache(maxsize=None)
def switched_splits(sample_rate: int, is_short: bool) -> Tuple[Split, ...]:
    """The fixed split under window_switching_flag: region 2 is empty (2.4.2.7, region0_count)."""
    end = 3 * SFB_SHORT[sample_rate][3] if is_short else SFB_LONG[sample_rate][8]
    return tuple(Split(min(end // 2, pairs), pairs, 7 + is_short, 36) for pairs in range(PAIRS + 1))


def choose(pairs: bytes, splits: Sequence[Split], largest: Callable[[int, int], int]) -> Coding:
    """The cheapest coding of 288 pairs under the given splits.

    `largest(start, end)` is the largest magnitude among the pairs of a range; asked only where
    some are 15 or more.
    """
    used = len(pairs.rstrip(b"\0"))
    big = len(pairs[:used].translate(_ABOVE_ONE).rstrip(b"\0"))
    quads = (used - big + 1) >> 1
    if big + 2 * quads > PAIRS:  # the last quadruple would end behind the last line
        big += 1
        quads -= 1
    split = splits[big]
    bits, table_b = _count1_bits(pairs[big : big + 2 * quads])
    tables = []
    start = 0
    for end in (split.first, split.second, big):
        table, cost = _best_table(pairs, start, end, largest)
        tables.append(table)
        bits += cost
        start = end
    return Coding(bits, big, quads, split, (tables[0], tables[1], tables[2]), table_b)


def _count1_bits(ones: bytes) -> Tuple[int, int]:
    """Bits of the count1 region and which of its tables is the cheaper (0 is A)."""
    if not ones:
        return 0, 0
    first = int.from_bytes(ones[0::2].translate(_QUAD_HIGH), "little")
    second = int.from_bytes(ones[1::2].translate(_QUAD_LOW), "little")
    quads = len(ones) >> 1
    a = sum((first | second).to_bytes(quads, "little").translate(_QUAD_LENGTHS))
    b = 4 * quads + sum(ones.translate(_NONZERO))  # B codes every quadruple in 4 bits
    return (a, 0) if a <= b else (b, 1)


def _best_table(pairs: bytes, start: int, end: int, largest: Callable[[int, int], int]) -> Tuple[int, int]:
    """(table_select, bits) of one region."""
    region = pairs[start:end]
    reach = 0
    while region.translate(None, _WITHIN[reach]):
        reach += 1
    tables = _CANDIDATES[reach]
    if tables == (0,):
        return 0, 0
    escapes = 0
    if tables == (13, 15):
        escapes = sum(region.translate(_ESCAPING))
        if escapes:
            past = largest(start, end) - 15
            if past > 0:
                tables = _ESCAPES[min(past.bit_length(), 13)]
    best, bits = 0, 1 << 30
    for table in tables:
        cost = sum(region.translate(_lengths(table))) + escapes * HUFFMAN_LINBITS[table]
        if cost < bits:
            best, bits = table, cost
    return best, bits


# --- Writing ---------------------------------------------------------------------------------


@lru_cache(maxsize=None)
def _words(table: int) -> Tuple[str, ...]:
    """Bits of a pair and its signs at index pair | sign of x << 9 | sign of y << 8.

    Right where no linbits follow; "" for pairs that the table cannot code.
    """
    words = [""] * 1024
    for (x, y), code in huffman_codes(table).items():
        for sign_x in (0, 1):
            for sign_y in (0, 1):
                signs = (str(sign_x) if x else "") + (str(sign_y) if y else "")
                words[x << 4 | y | sign_x << 9 | sign_y << 8] = code + signs
    return tuple(words)


@lru_cache(maxsize=None)
def _quad_words(table_b: int) -> Tuple[str, ...]:
    """Bits of a quadruple and its signs, by key(first pair) << 4 | key(second pair).

    A pair's key is its two signs, then its two magnitudes."""
    codes = count1_codes("AB"[table_b])
    words = []
    for key in range(256):
        first, second = key >> 4, key & 15
        ones = (first >> 1 & 1, first & 1, second >> 1 & 1, second & 1)
        signs = (first >> 3, first >> 2 & 1, second >> 3, second >> 2 & 1)
        words.append(codes[ones] + "".join([str(s) for s, one in zip(signs, ones) if one]))
    return tuple(words)


def write(pairs: bytes, signs: bytes, coding: Coding, values: Callable[[int], int]) -> str:
    """huffmancodebits as a string of 0 and 1.

    `signs` has a byte a pair: 2 where the first value is negative, 1 where the second is;
    `values(line)` is the magnitude of a line, asked only where it is 15 or more.
    """
    interleaved = bytearray(2 * PAIRS)
    interleaved[0::2] = pairs
    interleaved[1::2] = signs
    keys = _UNPACK_KEYS(interleaved)
    out: List[str] = []
    start = 0
    for end, table in zip((coding.split.first, coding.split.second, coding.big_values), coding.table_select):
        if table:
            words = list(map(_words(table).__getitem__, keys[start:end]))
            if HUFFMAN_LINBITS[table]:
                _escape(words, pairs[start:end], signs, start, table, values)
            out += words
        start = end
    end = start + 2 * coding.quads
    quad_keys = int.from_bytes(pairs[start:end].translate(_QUAD_LOW), "little")
    quad_keys |= int.from_bytes(signs[start:end], "little") << 2
    found = quad_keys.to_bytes(end - start, "little")
    first = int.from_bytes(found[0::2], "little") << 4
    quads = (first | int.from_bytes(found[1::2], "little")).to_bytes(coding.quads, "little")
    out += map(_quad_words(coding.count1table_select).__getitem__, quads)
    return "".join(out)


_UNPACK_KEYS = struct.Struct("<%dH" % PAIRS).unpack


def _escape(
    words: List[str],
    region: bytes,
    signs: bytes,
    start: int,
    table: int,
    values: Callable[[int], int],
) -> None:
    """Puts linbits into the words of a region that hold a 15."""
    linbits = HUFFMAN_LINBITS[table]
    codes = huffman_codes(table)
    for n, escapes in enumerate(region.translate(_ESCAPING)):
        if escapes:
            x, y, sign = region[n] >> 4, region[n] & 15, signs[start + n]
            line = 2 * (start + n)
            word = codes[x, y]
            for magnitude, at, is_negative in ((x, line, sign >> 1), (y, line + 1, sign & 1)):
                if magnitude == 15:
                    word += format(values(at) - 15, "0%db" % linbits)
                if magnitude:
                    word += str(is_negative)
            words[n] = word
