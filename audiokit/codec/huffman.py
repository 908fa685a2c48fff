"""Huffman decoding of a granule's spectrum (2.4.1.7 huffmancodebits, 2.4.3.4.6).

A look at LOOKUP_BITS bits finds as many whole pairs, sign bits included, as fit in them, already as
the signed |x|**(4/3) that requantization wants (2.4.3.4.7.1).  What does not fit (long codes, and
the escapes with linbits) is found bit-exactly on a second path.  A granule that reads past its
part2_3_length is Damaged, but for the last quadruple of the count1 region, which encoders may leave
cut and is then dropped.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Dict, List, NamedTuple, Sequence, Tuple

from audiokit.codec.side_info import Damaged, Granule
from audiokit.codec.tables import COUNT1_TREES, HUFFMAN_LINBITS, huffman_tree, tree_codes

LINES = 576  # of a granule
LOOKUP_BITS = 11  # 16 ms for all tables; 12: 4 % faster, 44 ms; 8: 40 % slower
COUNT1_BITS = 12  # two quadruples of the longest code with its signs
_MAX_VALUES = 16  # of one look-up: more would mostly be thrown away at the end of a region

# Dequantizer: |x| ** (4/3); the largest value is 15 + 2**13 - 1.
POW43 = tuple([n ** (4 / 3) for n in range(15 + 2**13)])

# bits taken, values, how many those are; bits 0: this code is for the second path
Entry = Tuple[int, Tuple[float, ...], int]


class PairTable(NamedTuple):
    """The look-ups of one big_values code."""

    many: List[Entry]  # by LOOKUP_BITS bits: as many pairs as fit
    one: List[Entry]  # the same for a single pair
    # What is longer, by its first LOOKUP_BITS bits: how many more bits there are to look at, and
    # the entry of a single pair by those.
    longer: Dict[int, Tuple[int, List[Entry]]]
    # Codes with linbits behind: their length, x and y, by the first LOOKUP_BITS bits, or where the
    # code is longer, by its bits with a 1 in front
    escapes: Dict[int, Tuple[int, int, int]]


@lru_cache(maxsize=None)
def pair_table(table_select: int) -> PairTable:
    """The look-ups of a big_values table; Damaged for 4 and 14, which do not exist."""
    if table_select in (4, 14):
        raise Damaged("Huffman table %d, which does not exist" % table_select)
    return _pair_table(huffman_tree(table_select), HUFFMAN_LINBITS[table_select] > 0)


@lru_cache(maxsize=None)
def _pair_table(tree: str, has_linbits: bool) -> PairTable:
    signed: List[Tuple[str, Tuple[float, ...]]] = []
    escapes: Dict[int, Tuple[int, int, int]] = {}
    for leaf, code in tree_codes(tree, 2):
        x, y = leaf >> 4, leaf & 15
        if has_linbits and 15 in (x, y):
            room = LOOKUP_BITS - len(code)
            first = int(code, 2) << room if room >= 0 else int("1" + code, 2)
            for key in range(first, first + (1 << max(room, 0))):
                escapes[key] = (len(code), x, y)
        else:
            signed += [(code + bits, values) for bits, values in _signs((x, y))]
    one = _single(signed, LOOKUP_BITS)
    return PairTable(_multiple(one, LOOKUP_BITS), one, _longer(signed), escapes)


def _longer(signed: List[Tuple[str, Tuple[float, ...]]]) -> Dict[int, Tuple[int, List[Entry]]]:
    """The second look-up: what does not fit in LOOKUP_BITS, by those first bits."""
    groups: Dict[str, List[Tuple[str, Tuple[float, ...]]]] = {}
    for bits, values in signed:
        if len(bits) > LOOKUP_BITS:
            groups.setdefault(bits[:LOOKUP_BITS], []).append((bits, values))
    result = {}
    for first, codes in groups.items():
        more = max([len(bits) for bits, _ in codes]) - LOOKUP_BITS
        tails = [(bits[LOOKUP_BITS:], values) for bits, values in codes]
        entries = [
            (LOOKUP_BITS + bits if bits else 0, values, count)
            for bits, values, count in _single(tails, more)
        ]
        result[int(first, 2)] = (more, entries)
    return result


@lru_cache(maxsize=None)
def count1_table(table: str) -> Tuple[List[Entry], List[Entry]]:
    """(many, one) look-ups by COUNT1_BITS bits of count1 table "A" or "B"."""
    signed: List[Tuple[str, Tuple[float, ...]]] = []
    for leaf, code in tree_codes(COUNT1_TREES[table], 1):
        quad = (leaf >> 3, leaf >> 2 & 1, leaf >> 1 & 1, leaf & 1)
        signed += [(code + bits, values) for bits, values in _signs(quad)]
    one = _single(signed, COUNT1_BITS)
    return _multiple(one, COUNT1_BITS), one


def _signs(magnitudes: Sequence[int]) -> List[Tuple[str, Tuple[float, ...]]]:
    """(sign bits, signed dequantized values) in all combinations: 1 is negative, 0 has no sign."""
    found: List[Tuple[str, Tuple[float, ...]]] = [("", ())]
    for magnitude in magnitudes:
        value = POW43[magnitude]
        if magnitude:
            found = [
                (bits + sign, values + (signed,))
                for bits, values in found
                for sign, signed in (("0", value), ("1", -value))
            ]
        else:
            found = [(bits, values + (0.0,)) for bits, values in found]
    return found


def _single(signed: List[Tuple[str, Tuple[float, ...]]], width: int) -> List[Entry]:
    """The entry of the one code at the front of every `width` bits."""
    table: List[Entry] = [(0, (), 0)] * (1 << width)
    for bits, values in signed:
        room = width - len(bits)
        if room >= 0:
            first = int(bits, 2) << room
            table[first : first + (1 << room)] = [(len(bits), values, len(values))] * (1 << room)
    return table


def _multiple(one: List[Entry], width: int) -> List[Entry]:
    """The entries of as many codes as fit whole in every `width` bits."""
    mask = (1 << width) - 1
    table: List[Entry] = []
    for index in range(1 << width):
        taken, values, count = one[index]
        while taken:
            bits, more, _ = one[index << taken & mask]
            if not bits or taken + bits > width or count >= _MAX_VALUES:
                break
            taken += bits
            values += more
            count = len(values)
        table.append((taken, values, count))
    return table


def decode_spectrum(words: List[int], position: int, end: int, granule: Granule, bounds: Sequence[int]) -> List[float]:
    """The signed |x|**(4/3) of a granule's lines, at most 576; all lines behind them are 0.

    `position` and `end` bound the Huffman bits (part3); `bounds` are the first line of region 1,
    the first of region 2, and the end of big_values.
    """
    values: List[float] = []
    for table_select, limit in zip(granule.table_select, bounds):
        if len(values) < limit:
            if table_select:
                position = _decode_pairs(words, position, table_select, values, limit)
            else:  # table 0: zeros that take no bits
                values += [0.0] * (limit - len(values))
    if position > end:
        raise Damaged("%d bits past part2_3_length" % (position - end))
    _decode_count1(words, position, end, "B" if granule.count1table_select else "A", values)
    return values


# In the loops below 21 and 2047 are 32 - LOOKUP_BITS and its mask, 20 and 4095 those of
# COUNT1_BITS: constants are faster than names, and this is a quarter of the decoder's time.


def _decode_pairs(words: List[int], position: int, table_select: int, values: List[float], limit: int) -> int:
    """Decode pairs until `values` has exactly `limit` lines; the position behind them."""
    table = pair_table(table_select)
    many = table.many
    count = len(values)
    bits, some = 0, 0
    while count < limit:
        bits, found, some = many[words[position >> 3] >> 21 - (position & 7) & 2047]
        if bits:
            position += bits
            values += found
            count += some
        else:
            position = _decode_long(words, position, table_select, values)
            count += 2
    if count > limit:  # the last look-up read on into the next region: once more, one by one
        position -= bits
        count -= some
        del values[count:]
        one = table.one
        while count < limit:
            bits, found, _ = one[words[position >> 3] >> 21 - (position & 7) & 2047]
            if bits:
                position += bits
                values += found
            else:
                position = _decode_long(words, position, table_select, values)
            count += 2
    return position


def _decode_long(words: List[int], position: int, table_select: int, values: List[float]) -> int:
    """Decode one pair whose code is long or has linbits; the position behind it."""
    table = pair_table(table_select)
    window = words[position >> 3] << (position & 7) & 0xFFFFFFFF
    first = window >> (32 - LOOKUP_BITS)
    found = table.longer.get(first)
    if found:
        more, entries = found
        bits, pair, _ = entries[window >> (32 - LOOKUP_BITS - more) & ((1 << more) - 1)]
        if bits:
            values += pair
            return position + bits
    code = table.escapes.get(first)
    length = LOOKUP_BITS
    while code is None:  # ends: the codes are complete
        length += 1
        code = table.escapes.get(window >> (32 - length) | 1 << length)
    return _decode_escape(words, position + code[0], HUFFMAN_LINBITS[table_select], code, values)


def _decode_escape(
    words: List[int],
    position: int,
    linbits: int,
    code: Tuple[int, int, int],
    values: List[float],
) -> int:
    """Decode what follows a code with an x or y of 15: linbits and signs, one by one."""
    for magnitude in code[1:]:
        if magnitude == 15:
            extra = words[position >> 3] >> (32 - linbits - (position & 7))
            magnitude += extra & ((1 << linbits) - 1)
            position += linbits
        value = POW43[magnitude]
        if magnitude:
            if words[position >> 3] >> (31 - (position & 7)) & 1:
                value = -value
            position += 1
        values.append(value)
    return position


def _decode_count1(words: List[int], position: int, end: int, table: str, values: List[float]) -> None:
    """Decode quadruples up to `end` or line 576; what passes either is dropped."""
    many, one = count1_table(table)
    count = len(values)
    bits, some = 0, 0
    while position < end and count < LINES:
        bits, found, some = many[words[position >> 3] >> 20 - (position & 7) & 4095]
        position += bits
        values += found
        count += some
    if position > end:
        position -= bits
        del values[count - some :]
        while len(values) < LINES:
            bits, found, _ = one[words[position >> 3] >> 20 - (position & 7) & 4095]
            position += bits
            if position > end:
                break
            values += found
    del values[LINES:]
