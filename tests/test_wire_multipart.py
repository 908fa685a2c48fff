"""Forms: RFC 7578 as browsers and curl send them, in pieces of any size."""

from __future__ import annotations

import random

import pytest

from audiokit.wire import multipart
from audiokit.wire.multipart import (
    End,
    Field,
    MultipartParser,
    PartBegin,
    PartData,
    PartEnd,
    boundary_of,
)
from audiokit.wire.problems import Refusal

FILE = b'Content-Disposition: form-data; name="file"; filename="a.wav"\r\nContent-Type: audio/wav\r\n'


def parse(data, step=None, boundary=b"XX"):
    """Events with a file's data joined."""
    parser, out = MultipartParser(boundary), []
    step = step or max(1, len(data))
    for at in range(0, len(data), step):
        for event in parser.feed(memoryview(data)[at : at + step]):
            if isinstance(event, PartData):
                assert len(event.data)
                if isinstance(out[-1], bytes):
                    out[-1] += bytes(event.data)
                else:
                    out.append(bytes(event.data))
            else:
                out.append(event)
    parser.close()
    return out


def part(content, head=FILE):
    return b"--XX\r\n" + head + b"\r\n" + content + b"\r\n"


BEGIN = PartBegin(
    {"content-disposition": 'form-data; name="file"; filename="a.wav"', "content-type": "audio/wav"}, "file", "a.wav"
)
NAME = b'Content-Disposition: form-data; name="name"\r\n'
GOOD = [
    (part(b"RIFF") + b"--XX--\r\n", [BEGIN, b"RIFF", PartEnd(), End()], "one file"),
    (part(b"RIFF") + b"--XX--", [BEGIN, b"RIFF", PartEnd(), End()], "the last line break may be missing"),
    (b"hello\r\n" + part(b"a") + b"--XX--\r\nbye\r\n--XX\r\n", [BEGIN, b"a", PartEnd(), End()],
     "preamble and epilogue say nothing (RFC 2046 5.1.1)"),
    (part(b"") + b"--XX--", [BEGIN, PartEnd(), End()], "an empty file"),
    (b"--XX\r\n" + FILE + b"\r\n--XX--", [BEGIN, PartEnd(), End()],
     "one line break ends the header and begins the delimiter"),
    (part(b"\r\n") + b"--XX--", [BEGIN, b"\r\n", PartEnd(), End()], "a file that is a line break"),
    (part(b"\r\n--X\r\n-\r--XX\n--XX ") + b"--XX--", [BEGIN, b"\r\n--X\r\n-\r--XX\n--XX ", PartEnd(), End()],
     "what only looks like a delimiter is data"),
    (part(b"n\xc3\xa4me", NAME) + part(b"a") + b"--XX--", [Field("name", "n\xe4me"), BEGIN, b"a", PartEnd(), End()],
     "fields are UTF-8 (RFC 7578 5.1.2)"),
    (part(b"", NAME) + b"--XX--", [Field("name", ""), End()], "an empty field"),
    (part(b"one\r\ntwo\nthree\r\n", NAME) + b"--XX--", [Field("name", "one\ntwo\nthree\n"), End()],
     "browsers send each line of a text with CRLF, whatever it was (RFC 2046 4.1.1)"),
    (b"--XX \t\r\n" + FILE + b"\r\na\r\n--XX--  ", [BEGIN, b"a", PartEnd(), End()], "white space behind a delimiter"),
    (b"--XX--", [End()], "no part at all"),
]


@pytest.mark.parametrize("data, events, why", GOOD, ids=[row[2] for row in GOOD])
def test_forms_whole_and_in_pieces(data, events, why):
    for step in (None, 1, 2, 3, 5, 11):
        assert parse(data, step) == events, why


def test_every_truncation_is_incomplete():
    data = part(b"v", NAME) + part(b"RIFF\r\n-") + b"--XX--"
    for count in range(len(data)):
        for step in (None, 1):
            with pytest.raises(Refusal) as caught:
                parse(data[:count], step)
            assert caught.value.code == "incomplete-body", count


BAD = [
    (b"--XXY\r\n" + FILE + b"\r\na\r\n--XX--", "a delimiter that runs on"),
    (b"--XX\n" + FILE, "bare LF behind a delimiter"),
    (b"--XX-\r\n", "half an end"),
    (part(b"a", b""), "no header at all"),
    (part(b"a", b"Content-Type: a/b\r\n"), "no Content-Disposition"),
    (part(b"a", b"Content-Disposition: form-data\r\n"), "no name"),
    (part(b"a", b'Content-Disposition: attachment; name="a"\r\n'), "not form-data"),
    (part(b"a", NAME + NAME), "Content-Disposition twice"),
    (part(b"a", b'Content-Disposition: form-data; name="a\r\n'), "open quote"),
    (part(b"a", b'Content-Disposition: form-data; name="a"; name="b"\r\n'), "name twice"),
    (part(b"a", b'Content-Disposition: form-data; name="\xff"\r\n'), "a name that is not UTF-8"),
    (part(b"a", b'Content-Disposition: form-data;\r\n name="a"\r\n'), "a folded header"),
    (part(b"a", NAME + b"A\r\n"), "a header without colon"),
    (part(b"a", NAME + b"A: \x00\r\n"), "NUL in a header"),
    (part(b"a", NAME + b"Content-Transfer-Encoding: base64\r\n"), "an encoding of old (RFC 7578 4.7)"),
    (part(b"\xff", NAME) + b"--XX--", "a field that is not UTF-8"),
    (part(b"a", NAME + b"A: " + b"b" * 9000 + b"\r\n"), "a header over 8 KiB"),
    (b"--XX\r\n" + b"A" * 9000, "a header over 8 KiB, still coming"),
    (b"--XX" + b" " * 100, "white space without end"),
    (b"x" * 10000, "a preamble without end"),
    (part(b"", NAME) * (multipart.MAX_PARTS + 1) + b"--XX--", "too many parts"),
]


@pytest.mark.parametrize("data, why", BAD, ids=[row[1] for row in BAD])
def test_what_is_no_form_is_refused(data, why):
    for step in (None, 1) if len(data) < 12000 else (None,):
        with pytest.raises(Refusal) as caught:
            parse(data, step)
        assert caught.value.status == 400 and caught.value.code != "incomplete-body", why


def test_fields_are_bounded_one_by_one_and_together():
    for data in (
        part(b"v" * (multipart.MAX_FIELD + 1), NAME), part(b"v" * 60000, NAME) * 5, b"--XX\r\n" + NAME + b"\r\n" + b"v" * 66000
    ):
        with pytest.raises(Refusal) as caught:
            parse(data, 4096)
        assert caught.value.status == 413 and caught.value.members["parameter"] == "name"


NAMES = [
    (b'filename="a.wav"', "a.wav", "plain"),
    (b"filename=a.wav", "a.wav", "a token"),
    (b'filename="n\xc3\xa4.wav"', "n\xe4.wav", "raw UTF-8, as browsers send it"),
    (b'filename="a%22b.wav"', 'a"b.wav', "a quote as browsers escape it"),
    (b'filename="a%20b%C3.wav"', "a%20b%C3.wav", "other percents are themselves"),
    (b'filename="a\\"b.wav"', 'a"b.wav', "a quote as curl escaped it"),
    (b'filename="a\\\\b.wav"', "a\\b.wav", "a backslash as curl escapes it"),
    (b'filename="C:\\dir\\b.wav"', "C:\\dir\\b.wav", "a path of old browsers"),
    (b'filename="a;b=c.wav"', "a;b=c.wav", "separators inside quotes"),
    (b'filename=""', "", "no file chosen"),
    (b"filename=\"x\"; filename*=UTF-8''n%C3%A4.wav", "n\xe4.wav", "extended, forbidden and sent"),
    (b'FILENAME="a.wav"', "a.wav", "parameters know no case"),
]


@pytest.mark.parametrize("parameter, name, why", NAMES, ids=[row[2] for row in NAMES])
def test_file_names(parameter, name, why):
    data = part(b"", b'Content-Disposition: form-data; name="f"; ' + parameter + b"\r\n") + b"--XX--"
    assert parse(data)[0].filename == name, why


def test_boundaries():
    assert boundary_of("multipart/form-data; boundary=abc") == b"abc"
    assert boundary_of('Multipart/Form-Data; charset=utf-8; Boundary="a b:c"') == b"a b:c"
    for bad in (
        "multipart/form-data", "multipart/form-data; boundary=", 'multipart/form-data; boundary=""', "audio/wav",
        "multipart/form-data; boundary=" + "a" * 71, 'multipart/form-data; boundary="a "', "", ";", "a/b; boundary=a",
        'multipart/form-data; boundary="\xe4"', "multipart/form-data; boundary=a; boundary=b",
        "multipart/form-data; boundary=a{b}",
    ):  # fmt: skip
        with pytest.raises(Refusal) as caught:
            boundary_of(bad)
        assert caught.value.status == 400, bad


def test_binary_data_of_every_kind_comes_through_in_any_partition():
    rng = random.Random(2046)
    for _ in range(300):
        content = b"".join(rng.choice([b"\r", b"\n", b"-", b"X", b"\r\n--X", b"\x00"]) for _ in range(rng.randrange(40)))
        if b"\r\n--XX" in b"\r\n" + content:
            continue
        events = parse(b"p\r\n" + part(content) + b"--XX--", rng.randrange(1, 20))
        assert events == [BEGIN, *([content] if content else []), PartEnd(), End()]


def test_garbage_is_refused_and_nothing_else():
    """Any byte of a form replaced by each that means something, and each put before it."""
    whole = part(b"v", NAME) + part(b"RIFF", b'Content-Disposition: form-data; name=a\r\n') + b"--XX--\r\n"

    def result(data, step):
        try:
            return parse(data, step)
        except Refusal as refusal:
            return refusal.code

    for place in range(len(whole)):
        for byte in (b"\r", b"\n", b"-", b":", b'"', b";", b"\xff"):
            for behind in (whole[place + 1 :], whole[place:]):
                data = whole[:place] + byte + behind
                assert result(data, None) == result(data, 1), data
