"""Field values: dates, hosts, dispositions, digests, media types, preferences."""

from __future__ import annotations

import base64
import hashlib
import random
from email.utils import formatdate

import pytest

from audiokit.wire import fields
from audiokit.wire.fields import (
    content_disposition,
    format_digest,
    http_date,
    is_ip_literal,
    parse_content_disposition,
    parse_digest_field,
    parse_host,
    parse_http_date,
    parse_media_type,
    parse_prefer,
)  # fmt: skip
from audiokit.wire.problems import Refusal


class TestDates:
    def test_the_example_of_the_standard_in_its_three_forms(self):  # RFC 9110 5.6.7
        assert http_date(784111777) == "Sun, 06 Nov 1994 08:49:37 GMT"
        for text in ("Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"):
            assert parse_http_date(text) == 784111777

    def test_what_is_written_is_read_and_is_what_mail_writes(self):
        rng = random.Random(1)
        for _ in range(500):
            when = rng.randrange(0, 1 << 33)
            assert parse_http_date(http_date(when)) == when
            assert http_date(when) == formatdate(when, usegmt=True)

    BAD = [
        "", "now", "0", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 +0000", "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 31 Feb 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:00:00 GMT", "Sun, 06 Nov 1994 08:60:00 GMT",
        "Sun, 06 Nov 0000 08:49:37 GMT", "Sun, 06 nov 1994 08:49:37 GMT", "sun, 06 Nov 1994 08:49:37 GMT",
        " Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 GMT;", "Sun, 06 Nov 94 08:49:37 GMT",
        "Sun, 0\u0666 Nov 1994 08:49:37 GMT", "Sun, 00 Nov 1994 08:49:37 GMT", "784111777",
    ]  # fmt: skip

    @pytest.mark.parametrize("text", BAD)
    def test_what_is_no_date_is_none(self, text):
        assert parse_http_date(text) is None

    def test_two_digit_years_lie_between_1970_and_2069(self):
        assert parse_http_date("Thursday, 01-Jan-70 00:00:00 GMT") == 0
        assert http_date(parse_http_date("Tuesday, 01-Jan-69 00:00:00 GMT")).startswith("Tue, 01 Jan 2069")


class TestHosts:
    GOOD = [
        ("localhost", ("localhost", None)), ("localhost:8000", ("localhost", 8000)), ("a.b:", ("a.b", None)),
        ("127.0.0.1:1", ("127.0.0.1", 1)), ("[::1]", ("::1", None)), ("[2001:db8::1]:65535", ("2001:db8::1", 65535)),
        ("x%41", ("x%41", None)), ("a_b-c.d~e", ("a_b-c.d~e", None)), ("[::ffff:1.2.3.4]", ("::ffff:1.2.3.4", None)),
    ]  # fmt: skip
    BAD = ["", ":80", "a:b", "a b", "a/b", "a@b", "u:p@h", "a,b", "a#", "a?", "a\\b", "[::1", "::1", "[::1]x", "[]", "[1.2.3.4]x",
           "a:80:80", "a:65536", "a:999999", "a:-1", "\xe4", "a%zz", "a%", "[fe80::1%25eth0]", "a\n", "<a>", "[::1]:a"]  # fmt: skip

    @pytest.mark.parametrize("value, expected", GOOD)
    def test_good(self, value, expected):
        assert parse_host(value) == expected

    @pytest.mark.parametrize("value", BAD)
    def test_bad(self, value):
        with pytest.raises(Refusal) as caught:
            parse_host(value)
        assert (caught.value.status, caught.value.close) == (400, True)

    def test_ip_literals(self):
        for host in ("127.0.0.1", "::1", "[::1]", "0.0.0.0", "2001:db8::1"):
            assert is_ip_literal(host)
        for host in ("localhost", "127.1", "1", "0x7f.1", "127.0.0.1.", "a", "", "127.0.0.1.example", "fe80::1%eth0", "[]"):
            assert not is_ip_literal(host)


class TestContentDisposition:
    NAMES = [
        ("myfile.wav", "myfile.wav", "myfile.wav"), ("a b.wav", "a b.wav", "a%20b.wav"),
        ("na\xefve.wav", "na_ve.wav", "na%C3%AFve.wav"), ('a"b\\c/d', "a_b_c_d", "a%22b%5Cc%2Fd"),
        ("a\r\nSet-Cookie: x", "a__Set-Cookie: x", "a%0D%0ASet-Cookie%3A%20x"), ("\x00\x7f", "__", "%00%7F"),
        ("\u20ac'*%;=", "_'*%;=", "%E2%82%AC%27%2A%25%3B%3D"), ("\ud800", "_", "%3F"), ("\U0001f600", "_", "%F0%9F%98%80"),
    ]  # fmt: skip

    @pytest.mark.parametrize("name, plain, extended", NAMES)
    def test_a_plain_name_and_the_true_one(self, name, plain, extended):
        value = content_disposition("attachment", name)
        assert value == f"attachment; filename=\"{plain}\"; filename*=UTF-8''{extended}"

    def test_whatever_the_name_the_value_is_one_line_and_the_name_comes_back(self):
        rng = random.Random(6266)
        for _ in range(1000):
            name = "".join(chr(rng.choice([rng.randrange(128), rng.randrange(0xD800), 0x1F600])) for _ in range(9))
            value = content_disposition("inline", name)
            assert all(" " <= c <= "~" for c in value)
            kind, _, extended = parse_content_disposition(value)
            assert (kind, extended) == ("inline", name)

    GOOD = [
        ("attachment", ("attachment", None, None)), ("ATTACHMENT; FileName=a", ("attachment", "a", None)),
        ('attachment; filename="a\\"b"', ("attachment", 'a"b', None)), ('x;filename="a;b"', ("x", "a;b", None)),
        ("a; filename*=utf-8'en'%e2%82%ac", ("a", None, "\u20ac")), ("a; filename*=ISO-8859-1''%e4", ("a", None, "\xe4")),
        ('a; filename="\xc3\xa4"', ("a", "\xe4", None)), ('a; filename="\xe4"', ("a", "\xe4", None)),
        ("a ; b=c ; filename=d ;", ("a", "d", None)), ('a; filename=""', ("a", "", None)),
    ]  # fmt: skip

    @pytest.mark.parametrize("value, expected", GOOD)
    def test_reading(self, value, expected):
        assert parse_content_disposition(value) == expected

    BAD = ["", ";", 'a; filename="b', "a; filename", "a; filename=", "a b", "a; filename=b c", 'a; filename="b"c', "a; =b",
           "a; filename=b; filename=c", "a; filename=\xe4", "a; filename*=b", "a; filename*=utf-8''%zz",
           "a; filename*=utf-8''%ff", "a; filename*=utf-16''%00a", 'a; filename*="utf-8\'\'b"', "a, b"]  # fmt: skip

    @pytest.mark.parametrize("value", BAD)
    def test_malformed_is_refused(self, value):
        with pytest.raises(Refusal) as caught:
            parse_content_disposition(value)
        assert caught.value.status == 400


SHA = hashlib.sha256(b"").digest()
B64 = base64.b64encode(SHA).decode()


class TestDigests:
    GOOD = [
        ("", {}), (f"sha-256=:{B64}:", {"sha-256": SHA}), (f"sha-256=:{B64.rstrip('=')}:", {"sha-256": SHA}),
        (f"sha-512=:AAAA:,  sha-256=:{B64}:", {"sha-512": bytes(3), "sha-256": SHA}),
        (f"sha-256=:AAAA:, sha-256=:{B64}:", {"sha-256": SHA}), ("md5=::", {"md5": b""}),
        (f'sha-256=:{B64}:;a;b=1;c="x\\"";d=?1;e=tok', {"sha-256": SHA}),
    ]  # fmt: skip

    @pytest.mark.parametrize("value, expected", GOOD)
    def test_good(self, value, expected):
        assert parse_digest_field(value) == expected

    BAD = [B64, f"sha-256={B64}", f"sha-256:{B64}", f"sha-256=:{B64}", f"SHA-256=:{B64}:", f"sha-256=:{B64}:,",
           f",sha-256=:{B64}:", "sha-256=:AAAA:", "sha-256=::", "sha-256=:****:", "sha-256=:A:", "sha-256", "sha-256=1",
           f"sha-256=:{B64}: x", f"sha-256=:{B64}:;", f"sha-256=:{B64}:;A", "sha-256=:AA==AA:", "\xe4", ";"]  # fmt: skip

    @pytest.mark.parametrize("value", BAD)
    def test_bad(self, value):
        with pytest.raises(Refusal) as caught:
            parse_digest_field(value)
        assert caught.value.code == "bad-request"

    def test_what_is_written_is_read(self):
        assert format_digest(SHA) == "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"
        assert parse_digest_field(format_digest(SHA)) == {"sha-256": SHA}


def test_media_types():
    assert parse_media_type("Audio/WAV") == ("audio/wav", {})
    assert parse_media_type('a/b ; C="d\\"e" ;; f=g;') == ("a/b", {"c": 'd"e', "f": "g"})
    for bad in ("", "a", "a/", "/b", "a/b c", "a/b; c", 'a/b; c="', "a/b; c=d; c=e", "a/b, c/d", "a /b"):
        with pytest.raises(Refusal):
            parse_media_type(bad)


def test_preferences():
    assert parse_prefer('respond-async, WAIT=10; x=y , a="b,c";;d, a=e') == {"respond-async": "", "wait": "10", "a": "b,c"}
    assert parse_prefer("") == parse_prefer(",") == parse_prefer("\xe4") == {}
    assert parse_prefer("a, b c, d") == {"a": ""}


def test_weights():
    assert fields.weights("A/b;c=d; q=0.25;e, f ;\tQ=0 , g;q=1.000,h;q=2,i;q=0.1234,j;qq=0") == {
        "a/b": 0.25, "f": 0, "g": 1, "h": 1, "i": 1, "j": 1,
    }
    assert fields.weights(",") == {"": 1}, "nothing that has a name"


def test_garbage_is_refused_and_nothing_else():
    rng = random.Random(9110)
    parsers = (parse_host, parse_content_disposition, parse_digest_field, parse_media_type, parse_prefer, parse_http_date,
               fields.parse_extended)  # fmt: skip
    for _ in range(3000):
        text = "".join(rng.choice("abA1:;,=\"'\\/* []%-\t\x00\xe4") for _ in range(rng.randrange(14)))
        for parse in parsers:
            for value in (text, "a/b;" + text, "sha-256=:" + text):
                try:
                    parse(value)
                except Refusal:
                    pass


@pytest.mark.parametrize("unit", ["a;", " ", ";a=\"", "\\", "a=b,", ",", "a/b;", "=:", "%41", "\t;"])
def test_long_values_take_no_more_than_their_length(unit):
    """A value as long as a head may be is read at once: a pattern that backtracks would not come back."""
    value = unit * (30000 // len(unit)) + "\x00"
    for parse in (parse_host, parse_content_disposition, parse_digest_field, parse_media_type, parse_prefer, parse_http_date):
        for text in (value, "a/b" + value, "a" + value, "a=:" + value):
            try:
                parse(text)
            except Refusal:
                pass
