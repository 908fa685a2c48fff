"""Bodies: where they end, and that nothing else is taken for the end (RFC 9112 sections 6 and 7)."""

from __future__ import annotations

import random

import pytest

from audiokit.wire.bodies import ChunkedDecoder, Framing, expects_continue, framing
from audiokit.wire.heads import parse_head
from audiokit.wire.problems import Refusal


def head(*lines, version=b"1.1", method=b"POST"):
    block = b"%b / HTTP/%b\r\nHost: h\r\n" % (method, version)
    return parse_head(block + b"".join(line + b"\r\n" for line in lines) + b"\r\n", {})


CL, TE = b"Content-Length: ", b"Transfer-Encoding: "
FRAMINGS = [
    ([], Framing(None, False), "nothing is said: no body (6.3)"),
    ([CL + b"0"], Framing(0, True), "said, and empty"),
    ([CL + b" 12\t"], Framing(12, True), "white space around a value"),
    ([CL + b"9" * 18], Framing(10**18 - 1, True), "large, for others to refuse"),
    ([TE + b"chunked"], Framing(None, True), "chunks"),
    ([TE + b"CHUNKED"], Framing(None, True), "codings know no case (9110 16.6.1)"),
    ([CL + b"5", TE + b"chunked"], 400, "27: both (6.1)"),
    ([CL + b"5, 5"], 400, "29: a list (9110 8.6)"),
    ([CL + b"-1"], 400, "30"), ([CL + b"+5"], 400, "30"), ([CL + b"0x5"], 400, "30"),
    ([CL + b"5_0"], 400, "30"), ([CL + b"1e3"], 400, "30"), ([CL], 400, "30: empty"),
    ([CL + b"5 0"], 400, "30"), ([CL + b"5;"], 400, "30"), ([CL + b"\xb2"], 400, "30: a digit of latin-1"),
    ([CL + b"1" * 20], 400, "31: 20 digits (9110 8.6)"), ([CL + b"1" * 5000], 400, "31: 5,000 digits"),
    ([CL + b"005"], 400, "32: leading zeros"), ([CL + b"00"], 400, "32"),
    ([TE + b"xchunked"], 501, "34: unknown coding (6.1)"), ([TE + b"gzip, chunked"], 501, "34"),
    ([TE + b'gzip;q=1;r="s", chunked'], 501, "34: codings may have parameters (7)"),
    ([TE + b"identity"], 400, "34: known, and no chunked behind it (6.3)"), ([TE + b"gzip"], 400, "34"),
    ([TE + b"chunked, gzip"], 400, "35: chunked is not last (6.3)"),
    ([TE + b"chunked, chunked"], 400, "35: chunked twice (6.1)"), ([TE], 400, "35: empty"),
    ([TE + b", chunked"], 400, "35: an empty element"), ([TE + b"chunked,"], 400, "35: an empty element"),
    ([TE + b"chunked;a=b"], 400, "35: chunked has no parameters (7.1)"), ([TE + b'"chunked"'], 400, "35: quoted"),
    ([TE + b"chunked chunked"], 400, "35: no comma"), ([TE + b"\xa0chunked"], 400, "35: not white space"),
]  # fmt: skip


@pytest.mark.parametrize("lines, expected, why", FRAMINGS, ids=["%s %s" % (why, n) for n, (_, _, why) in enumerate(FRAMINGS)])
def test_framing(lines, expected, why):
    for method in (b"POST", b"GET"):  # 45: a GET with a body is framed as any other
        if isinstance(expected, Framing):
            assert framing(head(*lines, method=method)) == expected, why
            continue
        with pytest.raises(Refusal) as caught:
            framing(head(*lines, method=method))
        assert (caught.value.status, caught.value.close) == (expected, True), why


def test_http_1_0_knows_no_transfer_coding():  # row 36
    with pytest.raises(Refusal) as caught:
        framing(head(TE + b"chunked", version=b"1.0"))
    assert (caught.value.status, caught.value.close) == (400, True)


def test_a_body_may_follow_only_what_says_so():
    assert [framing(head(*lines)).has_body for lines in ([], [CL + b"0"], [CL + b"1"], [TE + b"chunked"])] == [
        False, False, True, True]  # fmt: skip


EXPECT = b"Expect: 100-Continue"
EXPECTATIONS = [
    ([], b"1.1", False, "none"), ([EXPECT, CL + b"1"], b"1.1", True, "44: asked, and a body comes"),
    ([EXPECT, TE + b"chunked"], b"1.1", True, "44: asked, and chunks come"),
    ([EXPECT, CL + b"0"], b"1.1", False, "44: nothing to wait for"), ([EXPECT], b"1.1", False, "44: no body"),
    ([EXPECT, CL + b"1"], b"1.0", False, "44: HTTP/1.0 knows it not"),
    ([b"Expect: foo", CL + b"1"], b"1.1", 417, "43: another"), ([b"Expect:"], b"1.1", 417, "43: empty"),
    ([b"Expect: 100-continue, foo"], b"1.1", 417, "43: one more"),
    ([b"Expect: foo", CL + b"1"], b"1.0", False, "43: HTTP/1.0 knows none"),
]  # fmt: skip


@pytest.mark.parametrize("lines, version, expected, why", EXPECTATIONS, ids=[row[3] for row in EXPECTATIONS])
def test_expectations(lines, version, expected, why):
    if expected != 417:
        assert expects_continue(head(*lines, version=version)) is expected, why
        return
    with pytest.raises(Refusal) as caught:
        expects_continue(head(*lines, version=version))
    assert caught.value.status == 417


def decode(data, step=None):
    """(payload, what follows the body or None) of chunks fed in steps."""
    decoder, out = ChunkedDecoder(), b""
    step = step or max(1, len(data))
    for at in range(0, len(data), step):
        out += b"".join(map(bytes, decoder.feed(memoryview(data)[at : at + step])))
    return out, bytes(decoder.leftover) if decoder.done else None


GOOD = [
    (b"0\r\n\r\n", b"", "an empty body"),
    (b"5\r\nhello\r\n0\r\n\r\n", b"hello", "one chunk"),
    (b"5\r\nhello\r\n1\r\n!\r\n000\r\n\r\n", b"hello!", "the last chunk is any number of zeros"),
    (b"00000000000a\r\n0123456789\r\n0\r\n\r\n", b"0123456789", "twelve digits"),
    (b"A\r\n0123456789\r\n0\r\n\r\n", b"0123456789", "hexadecimal in either case"),
    (b'2;a;b=c ; d = "e\\";"\r\nhi\r\n0;x=y\r\n\r\n', b"hi", "extensions are skipped (7.1.1)"),
    (b"2\r\n\r\n\r\n0\r\n\r\n", b"\r\n", "data may be line breaks"),
    (b"0\r\nA: b\r\nDigest: c\r\n\r\n", b"", "trailers are no data (7.1.2)"),
]


TRAILERS = [
    (b"0\r\n\r\n", {}, "none"), (b"0\r\nA: b\r\n\r\n", {"a": "b"}, "one"),
    (b"0\r\nA:\r\nRepr-Digest:\t x=:y: \r\na: c\r\n\r\n", {"a": ", c", "repr-digest": "x=:y:"}, "a list in two lines (9110 5.3)"),
    (b"0\r\nA: b\r\n\r\nC: d\r\n\r\n", {"a": "b"}, "what follows is the next request's"),
]  # fmt: skip


@pytest.mark.parametrize("data, trailers, why", TRAILERS, ids=[row[2] for row in TRAILERS])
def test_trailers_are_told_when_they_are_whole(data, trailers, why):
    for step in (1, 2, 5, len(data)):
        decoder = ChunkedDecoder()
        for at in range(0, len(data), step):
            decoder.feed(data[at : at + step])
        assert decoder.done and decoder.trailers == trailers, why


@pytest.mark.parametrize("data, payload, why", GOOD, ids=[row[2] for row in GOOD])
def test_chunks(data, payload, why):
    following = b"GET / HTTP/1.1\r\n"
    for step in (None, 1, 2, 3, 7):
        assert decode(data, step) == (payload, b""), why
        assert decode(data + following, step) == (payload, following), "what follows is the next request"
    for count in range(len(data)):
        assert decode(data[:count])[1] is None, "a truncation is never the end"
        assert payload.startswith(decode(data[:count])[0])


BAD = [
    (b"0x5\r\nhello\r\n", "38: 0x"), (b"+5\r\nhello\r\n", "38: a sign"), (b"-1\r\n", "38: a sign"),
    (b"5_0\r\n", "38: underscore"), (b" 5\r\nhello", "38: space before"), (b"5 \r\nhello", "38: space behind"),
    (b"5\t\r\nhello", "38: tab behind"), (b"\r\nhello", "38: empty"), (b"g\r\n", "38: no digit"),
    (b"0000000000005\r\nhello", "38: thirteen digits"), (b"f" * 17 + b"\r\n", "38: past any integer"),
    (b"5\r\nhelloX\r\n0\r\n\r\n", "39: data runs on"), (b"5\r\nhell\r\n0\r\n\r\n", "39: data too short"),
    (b"5\r\nhello\n0\r\n\r\n", "39: bare LF behind data"), (b"5\r\nhello\r0\r\n\r\n", "39: bare CR behind data"),
    (b"5\r\nhello0\r\n\r\n", "39: nothing behind data"), (b"5\nhello\r\n", "40: bare LF"),
    (b"5\rhello\r\n", "40: bare CR"), (b"5;a\nhello", "40: bare LF in an extension"),
    (b"5;a\rb\r\n", "40: bare CR in an extension"), (b"5;\r\nhello", "40: bare ;"), (b"5;a=\r\n", "40: no value"),
    (b"5;=a\r\n", "40: no name"), (b"5;a b\r\n", "40: two words"), (b'5;a="b\r\nhello', "40: open quote"),
    (b"5;a\x00\r\n", "40: NUL"), (b"5,a\r\n", "40: comma"), (b"5;" + b"a" * 1100 + b"\r\n", "40: over 1 KiB"),
    (b"0\r\nContent-Length: 5\r\n\r\n", "41: framing in trailers (9110 6.5.1)"),
    (b"0\r\ntransfer-encoding: chunked\r\n\r\n", "41"), (b"0\r\nHost: a\r\n\r\n", "41"),
    (b"0\r\nAuthorization: a\r\n\r\n", "41"), (b"0\r\nTrailer: a\r\n\r\n", "41"), (b"0\r\n: a\r\n\r\n", "41: no name"),
    (b"0\r\n a: b\r\n\r\n", "41: folded"), (b"0\r\na : b\r\n\r\n", "41: space before the colon"),
    (b"0\r\na\r\n\r\n", "41: no colon"), (b"0\r\na: b\n\r\n", "41: bare LF"), (b"0\r\n\n", "41: bare LF"),
    (b"0\r\nGET / HTTP/1.1\r\n\r\n", "41: a request is no trailer"),
]  # fmt: skip


@pytest.mark.parametrize("data, why", BAD, ids=["%s %s" % (why, n) for n, (_, why) in enumerate(BAD)])
def test_what_is_no_chunk_is_refused_and_ends_the_connection(data, why):
    for step in (None, 1, 2, 5):
        with pytest.raises(Refusal) as caught:
            decode(data, step)
        assert (caught.value.status, caught.value.close) == (400, True), why


def test_trailers_and_extensions_are_bounded():
    with pytest.raises(Refusal) as caught:
        decode(b"0\r\n" + b"A: b\r\n" * 2000 + b"\r\n", 1000)
    assert caught.value.status == 431
    with pytest.raises(Refusal):
        decode((b"1;" + b"a" * 1000 + b"\r\nx\r\n") * 100 + b"0\r\n\r\n")
    with pytest.raises(Refusal):  # without an end in sight, too
        decode(b"0\r\nA:" + b" " * 9000)


def test_large_chunks_pass_without_being_copied():
    data = memoryview(b"100000\r\n" + bytes(1 << 20))
    (piece,) = ChunkedDecoder().feed(data)
    assert len(piece) == 1 << 20 and piece.obj is data.obj


def test_any_partition_of_any_body_is_the_same():
    rng = random.Random(7)
    for _ in range(300):
        payload = [bytes(rng.randrange(256) for _ in range(rng.randrange(1, 40))) for _ in range(rng.randrange(6))]
        data = b"".join(b"%x%b\r\n%b\r\n" % (len(p), rng.choice([b"", b";a", b' ; a="b;"']), p) for p in payload)
        data += b"0\r\n" + rng.choice([b"", b"A: b\r\n"]) + b"\r\nNEXT"
        assert decode(data, rng.randrange(1, 30)) == (b"".join(payload), b"NEXT")


def test_changed_bytes_are_refused_or_read_alike_in_any_partition():
    """Any byte replaced by each that means something, and each put before it."""
    whole = b"5;a=b\r\nhello\r\n3\r\nabc\r\n0\r\nA: b\r\n\r\nNEXT"

    def result(data, step):
        try:
            return decode(data, step)
        except Refusal as refusal:
            return refusal.status

    for place in range(len(whole)):
        for byte in (b"\r", b"\n", b" ", b"0", b"5", b";", b":", b"a", b"f", b"\x00", b"\xff"):
            for behind in (whole[place + 1 :], whole[place:]):
                data = whole[:place] + byte + behind
                assert result(data, None) == result(data, 1), data
