"""Byte ranges by RFC 9110 section 14: size 18 unless said."""

from __future__ import annotations

import itertools
import random

import pytest

from audiokit.wire.problems import Refusal
from audiokit.wire.ranges import (
    MAX_RANGES,
    Range,
    Unsatisfiable,
    multipart_byteranges,
    parse_ranges,
)

NONE = 416
ROWS = [
    ("bytes=0-0", [(0, 1)], "one byte"), ("bytes=0-17", [(0, 18)], "all of it"), ("bytes=17-17", [(17, 18)], "the last"),
    ("bytes=12-20", [(12, 18)], "past the end means to the end (14.1.2)"), ("bytes=5-", [(5, 18)], "to the end"),
    ("bytes=-5", [(13, 18)], "a suffix"), ("bytes=-100", [(0, 18)], "a suffix longer than the file is the file (14.1.2)"),
    ("bytes=-0", NONE, "a suffix of nothing (14.1.2)"), ("bytes=18-", NONE, "begins at the end"),
    ("bytes=18-20", NONE, "begins at the end"), ("bytes=99999999999999999999999999-", NONE, "far past the end"),
    ("bytes=0-99999999999999999999999999", [(0, 18)], "ends far past the end"),
    ("bytes=-99999999999999999999999999", [(0, 18)], "a long suffix"), ("bytes=" + "0" * 30 + "5-5", [(5, 6)], "zeros"),
    ("bytes=5-4", None, "last before first: invalid, ignored (14.1.1)"), ("bytes=0-1,5-4", None, "one invalid spoils all"),
    ("bytes=", None, "nothing"), ("bytes=,", None, "nothing"), ("bytes=-", None, "nothing"), ("bytes=a-b", None, "no digits"),
    ("bytes=1", None, "no dash"), ("bytes=1-2-3", None, "two dashes"), ("bytes=--1", None, "two dashes"),
    ("bytes= 0-1", [(0, 2)], "white space in a list (5.6.1)"), ("bytes=0 - 1", None, "white space inside"),
    ("bytes 0-1", None, "no ="), ("bytes =0-1", None, "space before ="), ("bits=0-1", None, "another unit (14.2)"),
    ("lines=1-2", None, "another unit"), ("BYTES=0-1", [(0, 2)], "units know no case (14.1)"), ("", None, "empty"),
    ("bytes=0-1,5-6", [(0, 2), (5, 7)], "two"), ("bytes=5-6,0-1", [(5, 7), (0, 2)], "in the order asked (15.3.7.2)"),
    ("bytes=0-1 ,\t-2", [(0, 2), (16, 18)], "a list with white space"), ("bytes=,0-1,,5-5,", [(0, 2), (5, 6)], "empty elements"),
    ("bytes=0-1,50-60", [(0, 2)], "what is not there is left out (14.2)"), ("bytes=50-60,-0", NONE, "nothing is there"),
    ("bytes=0-5,3-8", None, "overlap: the whole (14.2)"), ("bytes=0-17,0-17", None, "the same twice"),
    ("bytes=0-1,1-2", None, "one byte in common"), ("bytes=0-1,2-3", [(0, 2), (2, 4)], "side by side is no overlap"),
    ("bytes=+1-2", None, "a sign"), ("bytes=0x1-2", None, "hexadecimal"), ("bytes=\u0661-2", None, "a digit of another script"),
    ("bytes=0-1\n", None, "a line break"), ("bytes=0-1;2-3", None, "a semicolon"),
]  # fmt: skip


@pytest.mark.parametrize("value, expected, why", ROWS, ids=["%s %s" % (row[2], row[0][:20]) for row in ROWS])
def test_ranges_of_eighteen_bytes(value, expected, why):
    if expected is NONE:
        with pytest.raises(Unsatisfiable) as caught:
            parse_ranges(value, 18)
        assert caught.value.status == 416 and caught.value.headers == (("Content-Range", "bytes */18"),)  # 14.4
        assert not caught.value.close
    else:
        assert parse_ranges(value, 18) == expected, why


def test_too_many_ranges_are_the_whole():
    value = "bytes=" + ",".join("%d-%d" % (2 * n, 2 * n) for n in range(MAX_RANGES))
    assert len(parse_ranges(value, 1000)) == MAX_RANGES
    assert parse_ranges(value + ",500-500", 1000) is None
    assert parse_ranges("bytes=" + "0-,"*10000, 1000) is None


def test_an_empty_file_has_no_range():
    assert parse_ranges("bytes=-5", 0) is None  # satisfiable by 14.1.2, and no Content-Range could name it
    for value in ("bytes=0-", "bytes=0-0", "bytes=-0"):
        with pytest.raises(Unsatisfiable):
            parse_ranges(value, 0)


def test_small_ranges_against_the_definition():
    for size, first, last in itertools.product(range(4), range(5), range(5)):
        value, wanted = f"bytes={first}-{last}", [n for n in range(size) if first <= n <= last]
        if last < first:
            assert parse_ranges(value, size) is None
        elif not wanted:
            with pytest.raises(Unsatisfiable):
                parse_ranges(value, size)
        else:
            assert parse_ranges(value, size) == [(wanted[0], wanted[-1] + 1)]


def test_parts_are_as_long_as_they_say():
    content = bytes(range(18))
    ranges = [Range(0, 2), Range(5, 18)]
    prefixes, trailer, length = multipart_byteranges(ranges, 18, "audio/wav", "BB")
    body = b"".join(prefix + content[start:stop] for prefix, (start, stop) in zip(prefixes, ranges)) + trailer
    assert len(body) == length
    assert body == (
        b"--BB\r\nContent-Type: audio/wav\r\nContent-Range: bytes 0-1/18\r\n\r\n\x00\x01\r\n"
        b"--BB\r\nContent-Type: audio/wav\r\nContent-Range: bytes 5-17/18\r\n\r\n" + content[5:] + b"\r\n--BB--\r\n"
    )


def test_garbage_is_ranges_or_a_refusal_and_always_inside():
    rng = random.Random(14)
    for _ in range(5000):
        value = "bytes=" + "".join(rng.choice("0123456789-, \t") for _ in range(rng.randrange(12)))
        try:
            found = parse_ranges(value, 100)
        except Refusal as refusal:
            assert refusal.status == 416
            continue
        assert found is None or found and all(0 <= start < stop <= 100 for start, stop in found)
