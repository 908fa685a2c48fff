"""Request heads: what RFC 9112 takes, what it refuses, and that bytes arriving one by one change nothing."""

from __future__ import annotations

import random

import pytest

from audiokit.wire.heads import DEFAULT_LIMITS, Limits, check_partial, parse_head
from audiokit.wire.problems import Refusal
from audiokit.wire.targets import decode_path, split_query

H = b"Host: localhost\r\n"
GET = b"GET / HTTP/1.1\r\n"


def head(block, memo=None, limits=DEFAULT_LIMITS):
    return parse_head(block, {} if memo is None else memo, limits)


def outcome(block):
    """The status that a head is refused with, or 200."""
    try:
        head(block)
    except Refusal as refusal:
        assert refusal.close, "after a malformed head nothing on the connection can be trusted"
        return refusal.status
    return 200


def trickled(block):
    """The same, byte by byte, and how many bytes it took; the middle of a long one goes by the hundred."""
    checked = 0
    counts = [n for n in range(1, len(block) + 1) if n < 2000 or n % 100 == 0 or len(block) - n < 100]
    for count in counts:
        part = block[:count]
        if part.endswith(b"\r\n\r\n"):
            return outcome(part), count
        try:
            checked = check_partial(part, DEFAULT_LIMITS, checked)
            check_partial(part)
        except Refusal as refusal:
            assert refusal.close
            return refusal.status, count
    return None, len(block)


# (bytes, status, why); the number is the row of the design's table of malformed requests
ROWS = [
    (b"GET / HTTP/1.1\n" + H + b"\r\n", 400, "1: bare LF after the request line (2.2)"),
    (GET + b"Host: localhost\nA: b\r\n\r\n", 400, "2: bare LF in a field line (2.2)"),
    (GET + H + b"A: b\rc\r\n\r\n", 400, "3: bare CR in a value (2.2)"),
    (GET + H + b"A: b\r\r\n\r\n", 400, "3: bare CR at a value's end (2.2)"),
    (b"GET / HTTP/1.1\rHost: localhost\r\r\n\r\n", 400, "4: CR alone ends no line (2.2)"),
    (GET + H + b"A: b\r\n c\r\n\r\n", 400, "5: obs-fold (5.2)"),
    (GET + H + b"A: b\r\n\tc\r\n\r\n", 400, "5: obs-fold by tab (5.2)"),
    (GET + b"Host : localhost\r\n\r\n", 400, "6: space before the colon (5.1)"),
    (GET + H + b"A\t: b\r\n\r\n", 400, "6: tab before the colon (5.1)"),
    (GET + H + b": b\r\n\r\n", 400, "7: empty name (5)"),
    (GET + H + b"nothing\r\n\r\n", 400, "8: no colon (5)"),
    (GET + H + b"A: b\x00c\r\n\r\n", 400, "9: NUL in a value (9110 5.5)"),
    (GET + H + b"A: \x7f\r\n\r\n", 400, "9: DEL in a value (9110 5.5)"),
    (GET + H + b"A: \x0b\r\n\r\n", 400, "9: VT in a value (9110 5.5)"),
    (GET + H + b"A(b): c\r\n\r\n", 400, "10: a name that is no token (9110 5.6.2)"),
    (GET + H + b"\xc3\xa4: c\r\n\r\n", 400, "10: a name outside ASCII (9110 5.1)"),
    (GET + H + b"A b: c\r\n\r\n", 400, "10: a space in a name (9110 5.1)"),
    (GET + b" " + H + b"\r\n", 400, "11: white space before the first field (2.2)"),
    (GET + b"\t" + H + b"\r\n", 400, "11: tab before the first field (2.2)"),
    (GET + b"\r\n", 400, "12: no Host (3.2)"),
    (GET + b"A: b\r\n\r\n", 400, "12: no Host among others (3.2)"),
    (GET + H + H + b"\r\n", 400, "13: Host twice, equal (3.2)"),
    (GET + H + b"hOST: other\r\n\r\n", 400, "13: Host twice, names in other case (3.2)"),
    (GET + b"Host:\r\n\r\n", 400, "14: empty Host (9110 7.2)"),
    (GET + b"Host: u@localhost\r\n\r\n", 400, "14: user in Host (9110 7.2)"),
    (GET + b"Host: localhost/x\r\n\r\n", 400, "14: path in Host (9110 7.2)"),
    (GET + b"Host: a, b\r\n\r\n", 400, "14: two hosts in Host (9110 7.2)"),
    (GET + b"Host: a,b\r\n\r\n", 400, "14: comma in Host (9110 7.2)"),
    (GET + b"Host: a b\r\n\r\n", 400, "14: space in Host"),
    (GET + b"Host: localhost:80:80\r\n\r\n", 400, "14: two ports"),
    (GET + b"Host: localhost:99999\r\n\r\n", 400, "14: no such port"),
    (GET + b"Host: localhost:+80\r\n\r\n", 400, "14: a port is digits"),
    (GET + b"Host: [::1\r\n\r\n", 400, "14: open bracket"),
    (GET + b"Host: [zz]\r\n\r\n", 400, "14: not an address"),
    (GET + b"Host: a?b\r\n\r\n", 400, "14: query in Host"),
    (GET + b"Host: \xc3\xa4\r\n\r\n", 400, "14: Host outside ASCII"),
    (b"GET /\r\n\r\n", 400, "15: HTTP/0.9 (2.3)"),
    (b"GET\r\n\r\n", 400, "15: a method alone"),
    (b"\r\n\r\n", 400, "an empty request line"),
    (b"GET / HTTP/2.0\r\n" + H + b"\r\n", 505, "16: another major version (9110 15.6.6)"),
    (b"GET / HTTP/3.1\r\n" + H + b"\r\n", 505, "16: another major version"),
    (b"GET / HTTP/0.9\r\n" + H + b"\r\n", 505, "16: another major version"),
    (b"GET / HTTP/1.01\r\n" + H + b"\r\n", 400, "17: two digits (2.3)"),
    (b"GET / HTTP/+1.1\r\n" + H + b"\r\n", 400, "17: a sign (2.3)"),
    (b"GET / http/1.1\r\n" + H + b"\r\n", 400, "17: case-sensitive (2.3)"),
    (b"GET / HTTP/1\r\n" + H + b"\r\n", 400, "17: no minor version"),
    (b"GET / HTTP/1.\r\n" + H + b"\r\n", 400, "17: no minor digit"),
    (b"GET / HTTP/ 1.1\r\n" + H + b"\r\n", 400, "17: space in the version"),
    (b"GET / HTTPS/1.1\r\n" + H + b"\r\n", 400, "17: another protocol"),
    (b"GET / HTTP/1.1x\r\n" + H + b"\r\n", 400, "17: more behind it"),
    (b"GET  / HTTP/1.1\r\n" + H + b"\r\n", 400, "18: two spaces (3)"),
    (b"GET /  HTTP/1.1\r\n" + H + b"\r\n", 400, "18: two spaces (3)"),
    (b"GET\t/ HTTP/1.1\r\n" + H + b"\r\n", 400, "18: tab (3)"),
    (b"GET /\tHTTP/1.1\r\n" + H + b"\r\n", 400, "18: tab (3)"),
    (b" GET / HTTP/1.1\r\n" + H + b"\r\n", 400, "18: a space first"),
    (b"GET / HTTP/1.1 \r\n" + H + b"\r\n", 400, "18: a space last"),
    (b"GET /a b HTTP/1.1\r\n" + H + b"\r\n", 400, "19: space in the target (3.2)"),
    (b"GET /\xc3\xa4 HTTP/1.1\r\n" + H + b"\r\n", 400, "19: raw non-ASCII in the target (3.2)"),
    (b"GET /\x00 HTTP/1.1\r\n" + H + b"\r\n", 400, "19: NUL in the target (3.2)"),
    (b"GET /\x7f HTTP/1.1\r\n" + H + b"\r\n", 400, "19: DEL in the target"),
    (b"GET /#a HTTP/1.1\r\n" + H + b"\r\n", 400, "20: fragment (3.2)"),
    (b"GET * HTTP/1.1\r\n" + H + b"\r\n", 400, "21: only OPTIONS has * (3.2.4)"),
    (b"OPTIONS * HTTP/1.1\r\n" + H + b"\r\n", 200, "21: OPTIONS * (3.2.4)"),
    (b"OPTIONS ** HTTP/1.1\r\n" + H + b"\r\n", 400, "21: not that"),
    (b"GET http://localhost/a HTTP/1.1\r\n" + H + b"\r\n", 200, "22: absolute-form (3.2.2)"),
    (b"GET HTTP://localhost HTTP/1.1\r\n" + H + b"\r\n", 200, "22: schemes know no case"),
    (b"GET http:///a HTTP/1.1\r\n" + H + b"\r\n", 400, "22: no authority (9110 4.2.1)"),
    (b"GET http://u@h/a HTTP/1.1\r\n" + H + b"\r\n", 400, "22: user in the authority (9110 4.2.4)"),
    (b"GET ftp://h/a HTTP/1.1\r\n" + H + b"\r\n", 400, "22: another scheme"),
    (b"GET http://localhost/a HTTP/1.1\r\n\r\n", 400, "22: Host is needed still (3.2)"),
    (b"GET a HTTP/1.1\r\n" + H + b"\r\n", 400, "a target that is no path"),
    (b"GET localhost:80 HTTP/1.1\r\n" + H + b"\r\n", 400, "authority-form is CONNECT's (3.2.3)"),
    (b"CONNECT localhost:80 HTTP/1.1\r\n" + H + b"\r\n", 200, "23: well-formed; refused by its method"),
    (b"CONNECT / HTTP/1.1\r\n" + H + b"\r\n", 400, "23: CONNECT of a path (3.2.3)"),
    (b"GET /" + b"a" * 8192 + b" HTTP/1.1\r\n" + H + b"\r\n", 414, "24: target over 8 KiB (3)"),
    (GET + H + b"A: b\r\n" * 100 + b"\r\n", 431, "25: over 100 fields (RFC 6585 5)"),
    (GET + H + b"A: " + b"b" * 33000 + b"\r\n\r\n", 431, "25: over 32 KiB (RFC 6585 5)"),
    (b"PRI * HTTP/2.0\r\n\r\n", 505, "46: preface of HTTP/2 (9110 7.8)"),
    (b"\r\n" + GET + H + b"\r\n", 200, "47: one line break before (2.2)"),
    (b"\r\n\r\n" + GET + H + b"\r\n", 400, "47: two are too many"),
    (b"GET /%00 HTTP/1.1\r\n" + H + b"\r\n", 400, "53: escaped NUL in the path"),
    (b"GET /%0d%0aA:b HTTP/1.1\r\n" + H + b"\r\n", 400, "53: escaped line break in the path"),
    (b"GET /a%5cb HTTP/1.1\r\n" + H + b"\r\n", 400, "53: escaped backslash in the path"),
    (b"GET /a\\b HTTP/1.1\r\n" + H + b"\r\n", 400, "53: backslash in the path"),
    (b"GET /..%2fa HTTP/1.1\r\n" + H + b"\r\n", 400, "53: escaped slash in the path"),
    (b"GET /../a HTTP/1.1\r\n" + H + b"\r\n", 400, "53: dot segment"),
    (b"GET /%2e%2e/a HTTP/1.1\r\n" + H + b"\r\n", 400, "53: escaped dot segment"),
    (b"GET /a/.. HTTP/1.1\r\n" + H + b"\r\n", 400, "53: dot segment last"),
    (b"GET /%zz HTTP/1.1\r\n" + H + b"\r\n", 400, "53: no hexadecimal digits"),
    (b"GET /% HTTP/1.1\r\n" + H + b"\r\n", 400, "53: nothing behind the %"),
    (b"GET /%ff HTTP/1.1\r\n" + H + b"\r\n", 400, "53: not UTF-8"),
    (b"GET /%c0%af HTTP/1.1\r\n" + H + b"\r\n", 400, "53: overlong slash"),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, "54: TLS hello"),
    (b"\x00\x01\x02\r\n\r\n", 400, "54: random bytes"),
    (b"\xff\xfe\r\n\r\n", 400, "54: random bytes"),
    (GET + H + b"Range: bytes=0-1\r\nRange: bytes=2-3\r\n\r\n", 400, "Range twice (9110 5.3)"),
    (GET + H + b"Content-Type: a/b\r\nContent-Type: a/c\r\n\r\n", 400, "Content-Type twice (9110 5.3)"),
    (GET + H + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\n", 400, "28: Content-Length twice (6.3)"),
    (GET + H + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "35: two lines (6.1)"),
    (GET + H + b"Transfer-Encoding:\r\n chunked\r\n\r\n", 400, "37: obs-folded (5.2)"),
    (GET + H + b"Expect: 100-continue\r\nExpect: 100-continue\r\n\r\n", 400, "Expect twice"),
    (b"A" * 65 + b" / HTTP/1.1\r\n" + H + b"\r\n", 501, "26: no method is that long (9110 9.1)"),
    (b"FOO / HTTP/1.1\r\n" + H + b"\r\n", 200, "26: a token; whether it is known is for others to say"),
    (b"G(T / HTTP/1.1\r\n" + H + b"\r\n", 400, "26: not a token (9110 9.1)"),
    (b"GET / HTTP/1.0\r\n\r\n", 200, "HTTP/1.0 has no Host"),
    (b"GET / HTTP/1.2\r\n" + H + b"\r\n", 200, "a later minor version speaks 1.1 (9110 2.5)"),
    (GET + b"Host:localhost\r\n\r\n", 200, "no white space is needed (5.1)"),
    (GET + b"Host: \t localhost \t\r\n\r\n", 200, "white space around a value (5.1)"),
    (GET + H + b"A:\r\n\r\n", 200, "an empty value (5.5)"),
    (GET + H + b"A: caf\xc3\xa9\r\n\r\n", 200, "obs-text in a value (9110 5.5)"),
    (GET + b"Host: [::1]:8000\r\n\r\n", 200, "an IPv6 literal"),
    (GET + b"Host: a_b.example:\r\n\r\n", 200, "a port may be empty (RFC 3986 3.2.3)"),
    (GET + H + b"A: b\r\nA: c\r\n\r\n", 200, "lists may be repeated (9110 5.3)"),
    (b"GET /list?q=a|b\"{} HTTP/1.1\r\n" + H + b"\r\n", 200, "what curl does not escape"),
]


@pytest.mark.parametrize("block, status, why", ROWS, ids=[why for _, _, why in ROWS])
def test_each_head_has_its_status_whole_and_byte_by_byte(block, status, why):
    end = block.find(b"\r\n\r\n") + 4
    if not block.startswith(b"\r\n\r\n"):
        assert outcome(block[:end]) == status, why
    found, _ = trickled(block)
    assert found == status, f"byte by byte: {why}"


EARLY = [
    (b"GET / HTTP/1.1\nHost: a\n\n", 15, "the first bare LF"),
    (b"\x16\x03", 1, "a byte no method begins with"),
    (b"GET /\r\n", 7, "a line that is no request line"),
    (b"GET  ", 5, "the second space"),
    (b"GET / HTTX", 10, "what is no version any more"),
    (GET + b"Host : x", len(GET) + 6, "the space after a name begins to be wrong at once"),
    (GET + b" ", len(GET) + 1, "folding"),
    (GET + b"a:b\rc", len(GET) + 5, "a bare CR"),
]


@pytest.mark.parametrize("data, most, why", EARLY, ids=[why for _, _, why in EARLY])
def test_what_is_wrong_already_is_not_waited_for(data, most, why):
    status, count = trickled(data)
    assert status == 400 and count <= most, why


class TestWhatAHeadSays:
    def test_target_path_and_query(self):
        found = head(b"GET /files/a%20b?name=x%20y&z HTTP/1.1\r\n" + H + b"\r\n")
        assert (found.method, found.target) == ("GET", "/files/a%20b?name=x%20y&z")
        assert (found.path, found.query, found.version) == ("/files/a b", "name=x%20y&z", (1, 1))

    def test_fields_are_lower_case_stripped_and_joined(self):
        found = head(GET + H + b"A: 1 \r\na:\t2\r\nCookie: x\r\nCOOKIE: y\r\n\r\n")
        assert found.fields == {"host": "localhost", "a": "1, 2", "cookie": "x; y"}

    ALIVE = [
        (b"HTTP/1.1", b"", True), (b"HTTP/1.1", b"Connection: close\r\n", False),
        (b"HTTP/1.1", b"Connection: Keep-Alive, CLOSE\r\n", False),
        (b"HTTP/1.1", b"Connection: a\r\nConnection: close\r\n", False),
        (b"HTTP/1.1", b"Connection: closed\r\n", True), (b"HTTP/1.0", b"", False),
        (b"HTTP/1.0", b"Connection: keep-alive\r\n", True),
        (b"HTTP/1.0", b"Connection: keep-alive, close\r\n", False),
    ]  # fmt: skip

    @pytest.mark.parametrize("version, fields, alive", ALIVE)
    def test_persistence_is_by_version_and_connection_options(self, version, fields, alive):
        assert head(b"GET / " + version + b"\r\n" + H + fields + b"\r\n").keep_alive is alive  # 9.3

    def test_an_absolute_target_takes_the_place_of_host(self):
        found = head(b"GET http://other:81?x=/?y HTTP/1.1\r\n" + H + b"\r\n")
        assert (found.absolute, found.host, found.path, found.query) == ("other:81", "other:81", "/", "x=/?y")
        assert head(b"OPTIONS http://other HTTP/1.1\r\n" + H + b"\r\n").path == "*"  # 3.2.4

    def test_the_same_section_is_looked_up_and_another_is_not_mixed_with_it(self):
        memo = {}
        first = head(GET + H + b"A: 1\r\n\r\n", memo)
        assert head(b"POST /x HTTP/1.1\r\n" + H + b"A: 1\r\n\r\n", memo).fields is first.fields
        assert head(GET + H + b"A: 2\r\n\r\n", memo).fields["a"] == "2"
        assert len(memo) == 1, "one section a connection is kept, however many come"
        assert head(b"GET / HTTP/1.0\r\n" + H + b"A: 2\r\n\r\n", memo).keep_alive is False

    def test_a_memo_keeps_nothing_of_a_refused_head(self):
        memo = {}
        for _ in range(2):
            with pytest.raises(Refusal):
                head(GET + H + H + b"\r\n", memo)
        assert memo == {}

    def test_limits_are_parameters_and_what_is_at_them_passes(self):
        limits = Limits(max_head=60, max_fields=2, max_target=5)
        at = b"GET /abcd HTTP/1.1\r\nHost: a\r\nB: c\r\n\r\n"
        assert head(at + b"", limits=limits).path == "/abcd"
        for block, status in (
            (at.replace(b"/abcd", b"/abcde"), 414), (at.replace(b"B", b"B: c\r\nC"), 431),
            (at.replace(b"B: c", b"B: " + b"c" * 40), 431),
        ):
            with pytest.raises(Refusal) as caught:
                head(block, limits=limits)
            assert caught.value.status == status


def test_every_truncation_of_a_good_head_is_waited_for():
    block = b"\r\nPOST /post?name=a%20b HTTP/1.1\r\n" + H + b"A-b: c \t\xe4\r\nX:\r\nContent-Length: 3\r\n\r\n"
    for count in range(len(block)):
        if block[:count].find(b"\r\n\r\n") < 0:
            check_partial(block[:count])


def test_every_byte_in_every_place_gives_a_head_or_a_refusal():
    block = b"GET /a?b=c HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\n"
    for place in range(len(block)):
        for value in range(256):
            changed = block[:place] + bytes([value]) + block[place + 1 :]
            end = changed.find(b"\r\n\r\n")
            try:
                if end >= 0:
                    head(changed[: end + 4])
                else:
                    check_partial(changed)
            except Refusal as refusal:
                assert refusal.close and refusal.body().endswith(b"\n")


def test_garbage_is_refused_and_nothing_else():
    rng = random.Random(9112)
    words = [b"GET", b"POST", b" ", b"  ", b"/", b"*", b"HTTP/1.1", b"HTTP/1.", b"\r\n", b"\r", b"\n", b":", b"Host: h",
             b"Content-Length: 1", b"\x00", b"\xff", b"a", b"%41", b"http://h", b"?", b"#", b"\t", b",", b"Expect: x"]
    for _ in range(5000):
        block = b"".join(rng.choice(words) for _ in range(rng.randrange(1, 24)))
        for data in (block, GET + block, GET + H + block):
            try:
                if b"\r\n\r\n" in data:
                    head(data[: data.find(b"\r\n\r\n") + 4])
                else:
                    check_partial(data)
            except Refusal as refusal:
                assert 400 <= refusal.status < 600


def test_a_section_that_only_a_lenient_reader_takes_is_never_taken():
    """Whatever this parser takes, it takes as the strictest reading does: one field a line, each a token and a value."""
    rng = random.Random(5)
    for _ in range(4000):
        line = bytes(rng.choice(b"ab:\r\n \t\x00\xe4,;") for _ in range(rng.randrange(1, 12)))
        block = GET + H + line + b"\r\n\r\n"
        block = block[: block.find(b"\r\n\r\n") + 4]
        try:
            fields = head(block).fields
        except Refusal:
            continue
        lines = block.split(b"\r\n")[1:-2]
        assert all(b":" in one and one.split(b":")[0].isalpha() and not set(one) & set(b"\r\n\x00") for one in lines)
        assert set(fields) == {one.split(b":")[0].decode().lower() for one in lines}


class TestTargets:
    QUERIES = [
        ("", []), ("a=b", [("a", "b")]), ("a", [("a", "")]), ("a=", [("a", "")]), ("a=b=c", [("a", "b=c")]),
        ("a=b+c%20d%2Be", [("a", "b c d+e")]), ("&&a=1&", [("a", "1")]), ("a=1&a=2", [("a", "1"), ("a", "2")]),
        ("n=%C3%A4", [("n", "\xe4")]), ("a+b=c", [("a b", "c")]), ("n=\xf0%9F", None), ("a=%zz", None),
        ("a=%", None), ("a=%4", None), ("%zz=1", None), ("a=%00", None), ("a=%0d%0a", None), ("a=%7f", None),
        ("a=%ff", None), ("a=%ed%a0%80", None), ("a=%c0%80", None), ("=v", [("", "v")]),
    ]  # fmt: skip

    @pytest.mark.parametrize("raw, pairs", QUERIES)
    def test_queries(self, raw, pairs):
        if pairs is None:
            with pytest.raises(Refusal) as caught:
                split_query(raw)
            assert caught.value.code == "bad-parameter"
        else:
            assert split_query(raw) == pairs

    def test_a_wrong_parameter_is_named(self):
        with pytest.raises(Refusal) as caught:
            split_query("good=1&name=%ff")
        assert caught.value.members == {"parameter": "name"}

    def test_paths(self):
        assert decode_path("/a%20b/%C3%A4...") == "/a b/\xe4..."
        assert decode_path("/.hidden/..a/...") == "/.hidden/..a/..."
