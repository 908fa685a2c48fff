"""Answers on the wire: one status line, one head, and no field that breaks out of its line."""

from __future__ import annotations

import pytest

from audiokit.wire.fields import content_disposition
from audiokit.wire.responses import REASONS, FileBody, Response, encode, head_bytes, json_response

DATE = "Sun, 06 Nov 1994 08:49:37 GMT"


def test_the_bytes_of_an_answer():
    assert encode(Response(200, (("A", "b"), ("C", "")), b"body"), DATE) == (
        b"HTTP/1.1 200 OK\r\nX-Content-Type-Options: nosniff\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
        b"A: b\r\nC: \r\nContent-Length: 4\r\n\r\nbody"
    )


def test_head_has_the_same_fields_and_no_body():  # RFC 9110 9.3.2
    answer = Response(200, (("A", "b"),), b"body")
    assert encode(answer, DATE, is_head=True) == encode(answer, DATE)[:-4]


@pytest.mark.parametrize("status", [204, 304])
def test_what_has_no_body_says_no_length(status):  # RFC 9110 8.6
    data = encode(Response(status, (("ETag", '"a"'),), b"never"), DATE)
    assert b"Content-Length" not in data and data.endswith(b"\r\n\r\n")


def test_a_file_gives_its_length_and_no_bytes():
    data = encode(Response(206, (), file=FileBody(3, [(b"", 5, 12)], b"", 7)), DATE)
    assert b"\r\nContent-Length: 7\r\n" in data and data.endswith(b"\r\n\r\n")


CONNECTIONS = [(True, False, None), (False, False, b"close"), (False, True, b"close"), (True, True, b"keep-alive")]


@pytest.mark.parametrize("keep_alive, old, said", CONNECTIONS)
def test_the_connection_is_said_only_where_it_is_not_the_default(keep_alive, old, said):  # RFC 9112 9.3
    data = head_bytes(Response(200), date=DATE, keep_alive=keep_alive, to_http_1_0=old)
    found = [line[12:] for line in data.split(b"\r\n") if line.startswith(b"Connection: ")]
    assert found == ([said] if said else [])


BAD = [("A", "b\r\nC: d"), ("A", "b\nc"), ("A", "b\rc"), ("A", "b\x00"), ("A", "b\x7f"), ("A", "\u20ac"), ("A\r\nB", "c"),
       ("", "b"), ("A ", "b"), ("\xe4", "b"), ("A", "b\r\n"), ("A", "b\r\n\r\n<html>")]  # fmt: skip


@pytest.mark.parametrize("field", BAD)
def test_a_field_that_is_not_one_line_is_never_sent(field):
    with pytest.raises(ValueError):
        encode(Response(200, (("Good", "x"), field)), DATE)


@pytest.mark.parametrize("name", ["a\r\nSet-Cookie: b", "\x00", "\x85\u2028", "\ud800", '"', "\xff" * 255])
def test_a_file_of_any_name_can_be_sent(name):
    data = encode(Response(200, (("Content-Disposition", content_disposition("attachment", name)),)), DATE)
    assert data.count(b"\r\n") == 6 and b"\x00" not in data and b"\nSet-Cookie" not in data


def test_json_ends_in_one_newline_and_says_what_it_is():
    answer = json_response({"a": "\xe4\ud800"}, 201, [("Location", "/x")])
    assert (answer.status, answer.body) == (201, '{"a": "\xe4?"}\n'.encode())
    assert answer.headers[0] == ("Content-Type", "application/json") and answer.headers[-1] == ("Location", "/x")
    assert json_response(b"{}\n").body == json_response(b"{}").body == b"{}\n"


def test_every_status_has_a_line_even_one_without_a_phrase():
    for status, reason in REASONS.items():
        assert head_bytes(Response(status), date=DATE).startswith(b"HTTP/1.1 %d %b\r\n" % (status, reason.encode()))
    assert head_bytes(Response(299), date=DATE).startswith(b"HTTP/1.1 299 ")
