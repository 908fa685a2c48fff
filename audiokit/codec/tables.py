"""The tables of Layer III: values of ISO/IEC 11172-3:1993 Annex B and of ISO/IEC 13818-3.

Pure data, and the few functions that turn its compact form into codes.  What has a formula (the
alias coefficients, |x|**(4/3), the cosine transforms; the windows: blocks.py) is computed by the
stage that uses it, with the formula above it.  Tables are numbered as in the standard.  Tables 1 to
24 of the Huffman codes are Table B.7 of 11172-3; scalefactor bands are Table B.8 (and 13818-3 Table
B.2 for the lower rates; 8 to 12 kHz, "MPEG 2.5", are those in common use, no standard has them).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Dict, Iterator, Tuple

# --- Huffman codes (Table B.7) ---------------------------------------------------------------

# Each code as its binary tree in preorder: "." is a node, followed by the tree behind a 0 bit and
# the tree behind a 1 bit; anything else is a leaf, two hexadecimal digits, x and y.  A string that
# reads as exactly one tree is by this a complete prefix code.
HUFFMAN_TREES: Dict[int, str] = {
    1: "...11011000",
    2: "......220212.212011.011000",
    3: "......220212.21201011.0100",
    5: "........33233231..1303.3022..1221.022011.011000",
    6: ".......330323.3230.1331..220212..212001.11.1000",
    7: (
        "..........5545.5453.3544..255215..51.0534.50.4333...244214.4140....0423.3203.1331..3"
        "02212..21.022011.011000"
    ),
    8: (
        "...........55544553..354425..520515..51.3443..503324...421441..0440.2332....1331.033"
        "022.0220.122111..011000"
    ),
    9: (
        ".........554535.53.5405..4425.5215..5134.43.5004...2442.3340.1441...233213.31.0330.."
        ".220212.2120..1101.1000"
    ),
    10: (
        "...........7767.7657..756647..7456.6537...7346..555463.2772....640770.62.4535..06.53"
        "4417...71.3626...255215.51.3443..1661.60.0550.....2442.3304.1441..4023.3203..1331.30"
        "22...1221.022011.011000"
    ),
    11: (
        "..........7767.7675..6647.74.5755...566537.7346....4554.355327.72.6407..71.1770..366"
        "3.60.4425.....52051562..260616..61.5134..50.4333.2442.....1441.0440.2332.1331...0330"
        "2221..12.022011..011000"
    ),
    12: (
        "..........776776.5775..6647.7465..5637..735527...7246.6417..71.0770.3663....4554.44."
        "0605.2662..61.1660..3553.2552....1551.3443...500424.4214..3341.2332.....40033013.312"
        "2.1221....02200011.0110"
    ),
    13: (
        "...................fefcfdedff.efdf..eecf.debf...fbce.dc.afe9.ecdd....facdbe.eb9f..f9"
        "ea.bddb....8ff8.cc.ae9e..8e.7f7ef7..da.adbc..cbf66f....e85f.9dd9..f5e7.acbb...4ff4.."
        "cae6f3.3f.8dd8....2ff2..6e9c0f...c95eab..7dd74e....c8d63e.b9.9baa.1ff1....f0.bae5..e"
        "48c.6de3..e2.2e0e.1ee1....e05d.d57c..c74d.8bb8...d49a.a96c.c63d......d37b2d.d21d..b7"
        ".5cc5..997ac3....a7974bd1..0dd0.8aa8....4cc4.6bb6.3c2c..c25b..b5891c.....c1.980c.c0."
        "b46a...a6793b.b3.885a...2b.a569.a4.7887..94.7776b2...1bb1..0bb0.964a...3aa3.5995.2aa"
        "2.....1aa1..0a68a0...864993..3958.8567...2992..577538..83.6647..7456.6573...1991..09"
        "90.4884...72.466428.8218......372717.71.5507...7036.6345..5426.6235..81.0880..1661.0"
        "660.....534425.5205.1551...3443.5024..423314....41.0440..233213..3103.3022..1221.022"
        "0..11011000"
    ),
    15: (
        ".............ffef.fedf.ee.fdcf...fcde.edbf.fb.ceec...ddaf.fabe..ebcd.dc9f....f9ea.bd"
        "db..8ff8.cc9e...e97f.f7ad..dabc.6f.ae0f....cbf6..8ee8.5f9d..f57e.e7ac...cabb..d98d4f"
        "..f43f.f3d8.....e62f.f2.6ef0..1ff1.9cc9...5eab.bae5..7dd7.4ee4....8cc8.3e6d..d6e3.9b"
        "b9...2eaa.e21e..e1.0ee0.5dd5......7cc7.4d8b.d4.b89a...a96c.c63d.d3d2....2d0d1d.7bb7."
        ".d1.5cd0.c58a....a84c.c46b..b6.990c.3cc3...7aa7.a6.c00b.c2.2c5b......b51c.8998..c14b"
        ".b46a...3b79b3..9788.2b5a...b2.a51b.b1.b069...964a.a478..873aa3....5995.2aa2..1aa1.."
        "0aa068...8649.9439..93.7709.5885......2967.7692.91.1990...4884.5775..3883.6647...288"
        "2.1881...7408.8056..6537.7346....2772.6417..5571..077036...6345.5426..6216..066035.."
        "...61.5344.2552..1551..055034...4324.4233.41.1404...2332..400313..313022....1221.022"
        "011..011000"
    ),
    16: (
        "...........effe.dffd..cffc.bffb..af.fa9f..f9f88f...7ff7.6ff6ff....5ff54f.f4f3..f0.3f"
        "......ce.ecddde.e9.ead9.ee.edeb..becd..dcdbae...cc.adda..7eacca...c97d5ebdf2....2f0f"
        "1f.f1.....9e.bccb..8ee8.9de7...bb8d.d86e.e69c....abba.e5d7.4e.e48c..c83e.6d.d69b...."
        ".b9aae1.d4.b8a9..7b.b7d0e3...0ee0.5dd5..7cc7.4d8b.......9a6c.c63d..5cc50d...8aa8.994"
        "c..b67a3c....5b891c.c0.9879.e2.2e1e....d32d.d2d1..3b.97881d...c46b.c3a7.2c.c2b5....."
        "c10c.4bb4..6aa6b3...5aa52b.b21b...b1.0bb0..6996.4aa4...7887a3..3a592a........9568a1."
        ".867794...495767a2..1a.0aa0..3993.5885...2992..760919..91.9048..8475.3883.....662882"
        "..477418..8180..085637...73.6546.2772...64550717....71.7036..6345.5426..6216.61.0660"
        "...53.3544.2552.51.1505......3443.5024..423314..41.0440.2332..1331..033022..1221.022"
        "0..11011000"
    ),
    24: (
        "........effe.dffd..cffc.bffb..fa.af9f.f9f8....8f7ff7.6ff6..5ff5.4ff4....3ff3.2ff2..f"
        "1.1ff0...0f..eede.edce...ecdd.beeb..cddc.aeea....bddb.cc9e..e9ad.dabc...cb8e.e89d..d"
        "97e.e7acff.........cabb.8dd8...0ee00de6...6e9cc9.5eba...e5.ab7d.d7e4..8cc8..4e2e3e.."
        "..6dd6.e39b..b9aa.e21e...e15d.d57c..c74d.8bb8.....d49a.a96c..c63d.d32d...d21d.7bb7.."
        "d15c.c58a....a899.4cc4..6bb6..d00c3c...c37a.a72c..c25b.b51c......8998.c14b...c00b3b."
        ".b00a1a..b4.6aa6..7997..a00990...b388..2b5ab2...a51b.b169.96a4.....4a7887.3aa3..5995"
        ".2aa2...a168.8677..4994.3993......5885.2967..7692.1991...4884.5775..3883.6628....821"
        "8.4774..81.0880.5665...17.077073..372772....4664.5571..3663.4554...2662.1661...06603"
        "5.5344.......2552.15.0550.51.3443..2442.3314...41.0440.2332.1331....03302212.21.0220"
        "..1101.1000"
    ),
}

# Bits that extend an x or y of 15 (B.7).  Tables 16 to 23 share the codes of 16, 24 to 31 those of
# 24; 0 codes only zeros and needs no bits; 4 and 14 do not exist.
HUFFMAN_LINBITS: Tuple[int, ...] = (0,) * 16 + (
    1, 2, 3, 4, 6, 8, 10, 13, 4, 5, 6, 7, 8, 9, 11, 13,
)  # fmt: skip

# The quadruples of the count1 region; a leaf is one hexadecimal digit, 8v + 4w + 2x + y.
COUNT1_TREES: Dict[str, str] = {
    "A": "......bf.de..759..63.ac..21.480",
    "B": "....fe.dc..ba.98...76.54..32.10",
}


def huffman_tree(table_select: int) -> str:
    """The tree of a big_values table 1..31; KeyError for 0, 4 and 14, which have none."""
    shared = 24 if table_select >= 24 else 16 if table_select >= 16 else table_select
    return HUFFMAN_TREES[shared]


def tree_codes(tree: str, digits: int) -> Iterator[Tuple[int, str]]:
    """(leaf, code as a string of 0 and 1) of every leaf, whose names are `digits` digits long."""
    pending, at = [""], 0
    while pending:
        code = pending.pop()
        if tree[at] == ".":
            at += 1
            pending += [code + "1", code + "0"]
        else:
            yield int(tree[at : at + digits], 16), code
            at += digits
    if at != len(tree):
        raise ValueError("a Huffman tree with %d characters left over" % (len(tree) - at))


@lru_cache(maxsize=None)
def huffman_codes(table_select: int) -> Dict[Tuple[int, int], str]:
    """(x, y) -> code bits of a big_values table, without linbits and signs.

    After a code come: linbits of x if x is 15 and the table has some, the sign of x if x is not 0,
    then the same for y (2.4.1.7, huffmancodebits).
    """
    leaves = tree_codes(huffman_tree(table_select), 2)
    return {(leaf >> 4, leaf & 15): code for leaf, code in leaves}


@lru_cache(maxsize=None)
def count1_codes(table: str) -> Dict[Tuple[int, int, int, int], str]:
    """(v, w, x, y) -> code bits of count1 table "A" or "B"; signs of what is not 0 follow."""
    leaves = tree_codes(COUNT1_TREES[table], 1)
    return {(leaf >> 3, leaf >> 2 & 1, leaf >> 1 & 1, leaf & 1): code for leaf, code in leaves}


# --- Scalefactor bands (Table B.8) -----------------------------------------------------------

# Sampling rate in Hz -> first line of each band, then the end: 22 long bands, or 13 short bands of
# each of three windows.  The last band of either has no scalefactor of its own (it is 0).
SFB_LONG: Dict[int, Tuple[int, ...]] = {
    8000: (
        0, 12, 24, 36, 48, 60, 72, 88, 108, 132, 160, 192, 232, 280, 336, 400, 476, 566, 568, 570,
        572, 574, 576,
    ),
    11025: (
        0, 6, 12, 18, 24, 30, 36, 44, 54, 66, 80, 96, 116, 140, 168, 200, 238, 284, 336, 396, 464,
        522, 576,
    ),
    12000: (
        0, 6, 12, 18, 24, 30, 36, 44, 54, 66, 80, 96, 116, 140, 168, 200, 238, 284, 336, 396, 464,
        522, 576,
    ),
    16000: (
        0, 6, 12, 18, 24, 30, 36, 44, 54, 66, 80, 96, 116, 140, 168, 200, 238, 284, 336, 396, 464,
        522, 576,
    ),
    22050: (
        0, 6, 12, 18, 24, 30, 36, 44, 54, 66, 80, 96, 116, 140, 168, 200, 238, 284, 336, 396, 464,
        522, 576,
    ),
    24000: (
        0, 6, 12, 18, 24, 30, 36, 44, 54, 66, 80, 96, 114, 136, 162, 194, 232, 278, 332, 394, 464,
        540, 576,
    ),
    32000: (
        0, 4, 8, 12, 16, 20, 24, 30, 36, 44, 54, 66, 82, 102, 126, 156, 194, 240, 296, 364, 448,
        550, 576,
    ),
    44100: (
        0, 4, 8, 12, 16, 20, 24, 30, 36, 44, 52, 62, 74, 90, 110, 134, 162, 196, 238, 288, 342, 418,
        576,
    ),
    48000: (
        0, 4, 8, 12, 16, 20, 24, 30, 36, 42, 50, 60, 72, 88, 106, 128, 156, 190, 230, 276, 330, 384,
        576,
    ),
}
# Where decoders do not agree on the begin of a long band: at 24 kHz ffmpeg, and the browsers built on it, have 330 for
# the standard's 332.  Who ends no region there, and gives that band and the one below one scalefactor, is understood
# by both.
DISPUTED_BANDS: Dict[int, int] = {24000: 18}
SFB_SHORT: Dict[int, Tuple[int, ...]] = {
    8000: (
        0, 8, 16, 24, 36, 52, 72, 96, 124, 160, 162, 164, 166, 192,
    ),
    11025: (
        0, 4, 8, 12, 18, 26, 36, 48, 62, 80, 104, 134, 174, 192,
    ),
    12000: (
        0, 4, 8, 12, 18, 26, 36, 48, 62, 80, 104, 134, 174, 192,
    ),
    16000: (
        0, 4, 8, 12, 18, 26, 36, 48, 62, 80, 104, 134, 174, 192,
    ),
    22050: (
        0, 4, 8, 12, 18, 24, 32, 42, 56, 74, 100, 132, 174, 192,
    ),
    24000: (
        0, 4, 8, 12, 18, 26, 36, 48, 62, 80, 104, 136, 180, 192,
    ),
    32000: (
        0, 4, 8, 12, 16, 22, 30, 42, 58, 78, 104, 138, 180, 192,
    ),
    44100: (
        0, 4, 8, 12, 16, 22, 30, 40, 52, 66, 84, 106, 136, 192,
    ),
    48000: (
        0, 4, 8, 12, 16, 22, 28, 38, 50, 64, 80, 100, 126, 192,
    ),
}

# --- Scalefactors ----------------------------------------------------------------------------

# scalefac_compress -> bits of a scalefactor in the lower and in the upper bands (2.4.2.7).
SLEN: Tuple[Tuple[int, int], ...] = (
    (0, 0), (0, 1), (0, 2), (0, 3), (3, 0), (1, 1), (1, 2), (1, 3),
    (2, 1), (2, 2), (2, 3), (3, 1), (3, 2), (3, 3), (4, 2), (4, 3),
)  # fmt: skip

# scfsi_band -> its scalefactor bands, first and end (2.4.2.7).
SCFSI_BANDS: Tuple[Tuple[int, int], ...] = ((0, 6), (6, 11), (11, 16), (16, 21))

# preflag adds these to the scalefactors of long blocks (Table B.6).
PRETAB: Tuple[int, ...] = (0,) * 11 + (1, 1, 1, 1, 2, 2, 3, 3, 3, 2, 0)

# 13818-3 2.4.3.2, nr_of_sfb: how many scalefactors each of the four slen serves, by block kind
# (long; short; mixed), for each range of scalefac_compress.
LSF_PARTITIONS: Dict[str, Tuple[Tuple[int, int, int, int], ...]] = {
    "0..399": ((6, 5, 5, 5), (9, 9, 9, 9), (6, 9, 9, 9)),
    "400..499": ((6, 5, 7, 3), (9, 9, 12, 6), (6, 9, 12, 6)),
    "500..511": ((11, 10, 0, 0), (18, 18, 0, 0), (15, 18, 0, 0)),
    "intensity 0..179": ((7, 7, 7, 0), (12, 12, 12, 0), (6, 15, 12, 0)),
    "intensity 180..243": ((6, 6, 6, 3), (12, 9, 9, 6), (6, 12, 9, 6)),
    "intensity 244..255": ((8, 8, 5, 0), (15, 12, 9, 0), (6, 18, 9, 0)),
}

# --- The filterbanks -------------------------------------------------------------------------

# The aliasing butterflies' c_i (Table B.9); cs = 1/sqrt(1+c*c), ca = c/sqrt(1+c*c).
ALIAS_C: Tuple[float, ...] = (-0.6, -0.535, -0.33, -0.185, -0.095, -0.041, -0.0142, -0.0037)

# The first half of the synthesis window D (Table B.3) in units of 1/65536, in which it is exact.
_D_HALF = (
    0, -1, -1, -1, -1, -1, -1, -2, -2, -2, -2, -3, -3, -4, -4, -5, -5, -6, -7, -7, -8, -9, -10, -11,
    -13, -14, -16, -17, -19, -21, -24, -26, -29, -31, -35, -38, -41, -45, -49, -53, -58, -63, -68,
    -73, -79, -85, -91, -97, -104, -111, -117, -125, -132, -139, -147, -154, -161, -169, -176, -183,
    -190, -196, -202, -208, 213, 218, 222, 225, 227, 228, 228, 227, 224, 221, 215, 208, 200, 189,
    177, 163, 146, 127, 106, 83, 57, 29, -2, -36, -72, -111, -153, -197, -244, -294, -347, -401,
    -459, -519, -581, -645, -711, -779, -848, -919, -991, -1064, -1137, -1210, -1283, -1356, -1428,
    -1498, -1567, -1634, -1698, -1759, -1817, -1870, -1919, -1962, -2001, -2032, -2057, -2075,
    -2085, -2087, -2080, -2063, 2037, 2000, 1952, 1893, 1822, 1739, 1644, 1535, 1414, 1280, 1131,
    970, 794, 605, 402, 185, -45, -288, -545, -814, -1095, -1388, -1692, -2006, -2330, -2663, -3004,
    -3351, -3705, -4063, -4425, -4788, -5153, -5517, -5879, -6237, -6589, -6935, -7271, -7597,
    -7910, -8209, -8491, -8755, -8998, -9219, -9416, -9585, -9727, -9838, -9916, -9959, -9966,
    -9935, -9863, -9750, -9592, -9389, -9139, -8840, -8492, -8092, -7640, -7134, 6574, 5959, 5288,
    4561, 3776, 2935, 2037, 1082, 70, -998, -2122, -3300, -4533, -5818, -7154, -8540, -9975, -11455,
    -12980, -14548, -16155, -17799, -19478, -21189, -22929, -24694, -26482, -28289, -30112, -31947,
    -33791, -35640, -37489, -39336, -41176, -43006, -44821, -46617, -48390, -50137, -51853, -53534,
    -55178, -56778, -58333, -59838, -61289, -62684, -64019, -65290, -66494, -67629, -68692, -69679,
    -70590, -71420, -72169, -72835, -73415, -73908, -74313, -74630, -74856, -74992, 75038,
)

# D[i] * 65536, i = 0..511: the second half mirrors the first, its sign turned but at whole 64s.
SYNTHESIS_WINDOW: Tuple[int, ...] = _D_HALF + tuple(
    _D_HALF[i] if i % 64 == 0 else -_D_HALF[i] for i in range(255, 0, -1)
)

# The analysis window C (Table C.1) is D / 32: C[i] * 2**21.
ANALYSIS_WINDOW: Tuple[int, ...] = SYNTHESIS_WINDOW
