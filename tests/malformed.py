"""Requests that are wrong, or easily taken wrongly, as raw bytes, and the right answer to each.

A table for tests over a real socket: `CASES`, each with the statuses that are right in order of arrival, and
`run_case(address, case)`.  The numbers in `why` are rows of the design's table; sections are RFC 9112's unless said.
"""

from __future__ import annotations

import re
import socket
from typing import List, NamedTuple, Tuple, Union

H = b"Host: localhost\r\n"
GET = b"GET /health HTTP/1.1\r\n"
POST = b"POST /post HTTP/1.1\r\n" + H
NEXT = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Case(NamedTuple):
    """Bytes to send, and the statuses that come back; `closes` when the connection must end with the last."""

    name: str
    data: bytes
    statuses: Tuple[Union[int, Tuple[int, ...]], ...]  # one an answer; a tuple allows any of them
    closes: bool
    why: str


def _refused(status: Union[int, Tuple[int, ...]], why: str, *requests: bytes) -> List[Case]:
    """One answer, then the end, though a good request follows."""
    return [Case(f"{why} {n}", data + NEXT, (status,), True, why) for n, data in enumerate(requests)]


def _fields(status: int, why: str, *lines: bytes) -> List[Case]:
    return _refused(status, why, *[GET + H + line + b"\r\n\r\n" for line in lines])


def _bodies(status: Union[int, Tuple[int, ...]], why: str, *lines: bytes) -> List[Case]:
    return _refused(status, why, *[POST + line + b"\r\n\r\n" + SMUGGLED for line in lines])


def _chunks(why: str, *bodies: bytes) -> List[Case]:
    head = POST + b"Transfer-Encoding: chunked\r\n\r\n"
    return _refused(400, why, *[head + body + b"0\r\n\r\n" + SMUGGLED for body in bodies])


def _lines(status: int, why: str, *lines: bytes) -> List[Case]:
    return _refused(status, why, *[line + b"\r\n" + H + b"\r\n" for line in lines])


def _answered(statuses: tuple, why: str, *requests: bytes) -> List[Case]:
    return [Case(f"{why} {n}", data + NEXT, (*statuses, 200), True, why) for n, data in enumerate(requests)]


def _get(target: bytes, *lines: bytes) -> bytes:
    return b"GET " + target + b" HTTP/1.1\r\n" + H + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


CASES: List[Case] = [
    *_refused(400, "1: bare LF ends the request line (2.2)", b"GET /health HTTP/1.1\n" + H + b"\r\n",
              b"GET /health HTTP/1.1\n" + H.replace(b"\r", b"") + b"\n"),
    *_refused(400, "2: bare LF in the fields (2.2)", GET + b"Host: localhost\n\r\n", GET + H + b"A: b\nC: d\r\n\r\n",
              GET + H + b"A: b\n\nGET /smuggled HTTP/1.1\r\n\r\n"),
    *_fields(400, "3: bare CR in a value (2.2)", b"A: b\rc", b"A: \r", b"A: b\r\r", b"\rA: b"),
    *_refused(400, "4: CR alone (2.2)", b"GET /health HTTP/1.1\rHost: localhost\r\r"),
    *_fields(400, "5: obs-fold (5.2)", b"A: b\r\n c", b"A: b\r\n\tc", b"A:\r\n  b"),
    *_fields(400, "6: white space before the colon (5.1)", b"A : b", b"A\t: b", b"Content-Length : 5", b"Transfer-Encoding : chunked"),
    *_fields(400, "7: empty name (5)", b": b", b":"),
    *_fields(400, "8: no colon (5)", b"A", b"GET / HTTP/1.1"),
    *_fields(400, "9: control characters in a value (9110 5.5)", *[b"A: b" + bytes([c]) for c in (0, 1, 8, 11, 12, 14, 27, 31, 127)]),
    *_fields(400, "10: names that are no token (9110 5.6.2)", *[b"A" + c + b"b: c" for c in b"( ) , / ; < = > ? @ [ ] { } \\ \"".split()],
             b"\xc3\xa4: b", b"A b: c", b"A\x00: b"),
    *_refused(400, "11: white space before the first field (2.2)", GET + b" " + H + b"\r\n", GET + b"\t" + H + b"\r\n", GET + b" \r\n" + H + b"\r\n"),
    *_refused(400, "12: no Host (3.2)", GET + b"\r\n", GET + b"A: b\r\n\r\n"),
    *_refused(400, "13: Host twice (3.2)", GET + H + H + b"\r\n", GET + H + b"HOST: other\r\n\r\n", GET + b"Host:\r\n" + H + b"\r\n"),
    *_refused(400, "14: no usable Host (9110 7.2)", *[GET + b"Host: " + v + b"\r\n\r\n" for v in (
        b"", b"u@localhost", b"u:p@localhost", b"localhost/a", b"localhost, b", b"a,b", b"a b", b"localhost:a", b"localhost:80:80",
        b"localhost:70000", b"[::1", b"[x]", b"[]", b"[127.0.0.1]", b"[::1]x", b"[::1%eth0]", b"::1]", b"a?b", b"a#b", b"\xc3\xa4", b"a\\b", b"::1", b"http://localhost")]),
    *_answered((200,), "14: a Host as it may be written (9110 7.2, 3986 3.2.2)", *[GET + b"Host:" + v + b"\r\n\r\n" for v in (
        b"localhost", b"\tLocalHost \t", b" localhost:", b" localhost:00080", b" [::1]:8000", b" [::ffff:127.0.0.1]", b" 192.0.2.1:1")]),
    *_refused(421, "Host of nobody here (9110 15.5.20)", GET + b"Host: evil.example\r\n\r\n", GET + b"Host: localhost.\r\n\r\n",
              b"GET http://evil.example/health HTTP/1.1\r\n" + H + b"\r\n"),
    *_refused(400, "15: HTTP/0.9 (2.3)", b"GET /health\r\n", b"GET /health\r\n\r\n", b"GET\r\n\r\n"),
    *_lines(505, "16: another major version (9110 15.6.6)", b"GET /health HTTP/2.0", b"GET /health HTTP/3.0", b"GET /health HTTP/0.9"),
    *_lines(400, "17: no version (2.3)", *[b"GET /health " + v for v in (
        b"HTTP/1.01", b"HTTP/+1.1", b"HTTP/-1.1", b"http/1.1", b"HTTP/1", b"HTTP/1.", b"HTTP/11", b"HTTP/1.1.1", b"HTTP/1,1", b"HTTP1.1",
        b"HTTP /1.1", b"ICAP/1.0", b"HTTP/1_1", b"HTTP/1.\xb9")]),
    *_lines(400, "18: one space, twice (3)", b"GET  /health HTTP/1.1", b"GET /health  HTTP/1.1", b"GET\t/health HTTP/1.1",
            b"GET /health\tHTTP/1.1", b" GET /health HTTP/1.1", b"GET /health HTTP/1.1 ", b"GET /health HTTP/1.1\t", b"GET\x0b/health HTTP/1.1"),
    *_lines(400, "19: bytes that no target has (3.2)", b"GET /a b HTTP/1.1", b"GET /\xc3\xa4 HTTP/1.1", b"GET /\x00 HTTP/1.1", b"GET /\x7f HTTP/1.1",
            b"GET /\x01 HTTP/1.1", b"GET /list?q=\xff HTTP/1.1"),
    *_lines(400, "20: fragment (3.2)", b"GET /health#a HTTP/1.1", b"GET # HTTP/1.1"),
    *_lines(400, "21: not the target of this method (3.2)", b"GET * HTTP/1.1", b"POST * HTTP/1.1", b"GET health HTTP/1.1", b"GET localhost:80 HTTP/1.1",
            b"OPTIONS ** HTTP/1.1", b"CONNECT /health HTTP/1.1", b"GET ? HTTP/1.1"),
    *_answered((200,), "21: OPTIONS * (3.2.4)", b"OPTIONS * HTTP/1.1\r\n" + H + b"\r\n",
               b"OPTIONS http://localhost HTTP/1.1\r\n" + H + b"\r\n"),
    *_answered((204,), "OPTIONS of a route (9110 9.3.7)", b"OPTIONS /list HTTP/1.1\r\n" + H + b"\r\n"),
    *_answered((200,), "22: absolute-form (3.2.2)", b"GET http://localhost/health HTTP/1.1\r\n" + H + b"\r\n",
               b"GET http://127.0.0.1:1/health HTTP/1.1\r\nHost: evil.example\r\n\r\n"),
    *_answered((200,), "22: absolute-form, as schemes and hosts may be written (9110 4.2.3)", *[b"GET " + t + b" HTTP/1.1\r\n" + H + b"\r\n" for t in (
        b"HTTP://LOCALHOST/health", b"http://localhost:/health", b"http://[::1]:80/health", b"http://localhost", b"http://localhost?a=b")]),
    *_answered((421,), "22: https, and the connection is not secured (9110 7.4)", *[b"GET " + t + b" HTTP/1.1\r\n" + H + b"\r\n" for t in (
        b"https://localhost/health", b"HTTPS://localhost/health", b"https://localhost")]),
    *_lines(400, "22: absolute-form of no http (9110 4.2)", b"GET http:///health HTTP/1.1", b"GET http://u@localhost/health HTTP/1.1",
            b"GET ftp://localhost/health HTTP/1.1", b"GET file:///etc/passwd HTTP/1.1", b"GET http://a,b/ HTTP/1.1"),
    *[Case(f"23: CONNECT {n}", b"CONNECT localhost:80 HTTP/1.1\r\n" + H + b"\r\n" + NEXT, ((405, 501), 200), True, "23: CONNECT (9110 9.3.6)") for n in (0,)],
    *_lines(414, "24: target over 8 KiB (3)", b"GET /" + b"a" * 9000 + b" HTTP/1.1", b"GET /list?q=" + b"a" * 9000 + b" HTTP/1.1"),
    *_fields(431, "25: too large a section (RFC 6585 5)", b"A: " + b"b" * 33000, b"\r\n".join([b"A: b"] * 101)),
    *_answered((501,), "26: unknown method (9110 9.1)", b"FOO /health HTTP/1.1\r\n" + H + b"\r\n", b"get /health HTTP/1.1\r\n" + H + b"\r\n"),
    *_answered((405,), "26: known method, not here (9110 15.5.6)", *[m + b" HTTP/1.1\r\n" + H + b"\r\n" for m in (
        b"DELETE /list", b"PUT /post", b"TRACE /health", b"PATCH /list", b"GET /post", b"POST /health")]),
    *_lines(400, "26: no method (9110 9.1)", b"G(T /health HTTP/1.1", b"/health HTTP/1.1", b"\xc3 /health HTTP/1.1", b'"GET" /health HTTP/1.1'),
    *_bodies(400, "27: both lengths (6.1)", b"Content-Length: 5\r\nTransfer-Encoding: chunked", b"Transfer-Encoding: chunked\r\nContent-Length: 5",
             b"Content-Length: 0\r\nTransfer-Encoding: chunked", b"Transfer-Encoding: identity\r\nContent-Length: 5"),
    *_bodies(400, "28: Content-Length twice (6.3)", b"Content-Length: 5\r\nContent-Length: 6", b"Content-Length: 5\r\nContent-Length: 5"),
    *_bodies(400, "29-32: no Content-Length (9110 8.6)", *[b"Content-Length: " + v for v in (
        b"5, 5", b"5,6", b"-1", b"+5", b"0x5", b"5_0", b"1e3", b"", b"5.0", b"5 5", b"a", b"1" * 20, b"9" * 400, b"005", b"00", b"\xb2", b"5;", b"'5'")]),
    *_bodies(413, "33: over the limit (9110 15.5.14)", b"Content-Length: 99999999999999\r\nExpect: 100-continue", b"Content-Length: 99999999999999"),
    *_bodies(501, "34: unknown coding (6.1)", *[b"Transfer-Encoding: " + v for v in (b"xchunked", b"gzip, chunked", b"identity, chunked", b"gzip;q=1, chunked", b"chunkedx",
                                                                                    b'a;b="c", chunked')]),
    *_bodies(400, "34: a known coding, and no chunked behind it (6.3)", *[b"Transfer-Encoding: " + v for v in (
        b"identity", b"gzip", b"GZIP", b"deflate", b"foo, x-gzip", b"chunked;a=b, chunked", b"gzip;, chunked", b"chunked\xa0")]),
    *_bodies(400, "35: no coding that ends (6.3)", *[b"Transfer-Encoding: " + v for v in (
        b"chunked, gzip", b"chunked, chunked", b"", b"\x0bchunked", b"chunked\x0c", b"chunked\x00", b",chunked", b"chunked,", b"chunked;q=1",
        b'"chunked"', b"chunked\r\nTransfer-Encoding: chunked", b"gzip\r\nTransfer-Encoding: chunked")]),
    *_refused(400, "36: coding in HTTP/1.0 (6.1)", b"POST /post HTTP/1.0\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n0\r\n\r\n" + SMUGGLED),
    *_bodies(400, "37: coding folded (5.2)", b"Transfer-Encoding:\r\n chunked", b"Transfer-Encoding\r\n : chunked"),
    *_chunks("38: no chunk size (7.1)", *[size + b"\r\nhello\r\n" for size in (
        b"0x5", b"+5", b"-5", b"5_0", b" 5", b"5 ", b"5\t", b"", b"g", b"0000000000005", b"ffffffffffffffff", b"5,", b"\xb5", b"\x005")]),
    *_chunks("39: data not closed by CRLF (7.1)", b"5\r\nhelloX", b"5\r\nhelloworld\r\n", b"5\r\nhell\r\n", b"5\r\nhello\n", b"5\r\nhello\r"),
    *_chunks("40: no extension (7.1.1)", b"5\nhello\r\n", b"5\rhello\r\n", b"5;\r\nhello\r\n", b"5;a\nhello\r\n", b"5;a\rb\r\nhello\r\n", b"5;a=\r\nhello\r\n",
             b"5;=a\r\nhello\r\n", b"5;a b\r\nhello\r\n", b'5;a="\r\nhello\r\n', b"5;a\x00\r\nhello\r\n", b"5;" + b"a" * 2000 + b"\r\nhello\r\n"),
    *_chunks("41: no trailer (9110 6.5.1)", *[b"0\r\n" + line + b"\r\n\r\n" for line in (
        b"Content-Length: 5", b"Transfer-Encoding: chunked", b"Host: a", b"Authorization: a", b" a: b", b"a : b", b": b", b"a", b"a: b\nc: d", b"a: \x00")]),
    *_bodies(417, "43: unknown expectation (9110 10.1.1)", b"Content-Length: 5\r\nExpect: foo", b"Content-Length: 5\r\nExpect: 100-continue, foo",
             b"Content-Length: 5\r\nExpect:"),
    *_answered((200,), "45: GET with a body (9110 9.3.1)", GET + H + b"Content-Length: %d\r\n\r\n" % len(SMUGGLED) + SMUGGLED,
               GET + H + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(SMUGGLED) + SMUGGLED + b"\r\n0\r\n\r\n"),
    *_refused(505, "46: preface of HTTP/2 (9110 7.8)", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    *_answered((200,), "46: an upgrade is not taken (9110 7.8)", GET + H + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\n\r\n",
               GET + H + b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n"),
    *_answered((200,), "47: one line break before (2.2)", b"\r\n" + GET + H + b"\r\n"),
    *_refused(400, "47: more than one", b"\r\n\r\n" + GET + H + b"\r\n"),
    *_answered((200, 200, 404), "48: pipelined, in order (9.3.2)", _get(b"/health") + _get(b"/health") + _get(b"/nothing")),
    Case("48: nothing after close", NEXT + SMUGGLED, (200,), True, "48: Connection: close is the last (9.6)"),
    Case("48: HTTP/1.0 is the last", b"GET /health HTTP/1.0\r\n\r\n" + SMUGGLED, (200,), True, "48: no keep-alive in 1.0 (9.3)"),
    *_answered((200,), "48: HTTP/1.0 goes on when asked (9.3)", b"GET /health HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
    *_answered((200,), "a later minor version is 1.1 (9110 2.5)", b"GET /health HTTP/1.9\r\n" + H + b"\r\n"),
    *_refused(400, "53: paths of two readings", *[_get(b"/files/" + p) for p in (
        b"%00", b"%0d%0a", b"%5c", b"..%2f", b"%2e%2e/", b"../", b"./a", b"%zz", b"%", b"%4", b"%ff", b"%c0%af", b"a\\b", b"%7f", b"a%2fcontent")]),
    *_answered((400,), "53: parameters that are no text", *[_get(b"/info?name=" + v) for v in (b"%00", b"%0d%0a", b"%zz", b"%", b"%ff", b"%ed%a0%80", b"%c0%80")]),
    *_answered((400,), "parameters that are wrong", _get(b"/info"), _get(b"/info?x=1"), _get(b"/info?name="), _get(b"/info?name=a&name=b"), _get(b"/list?limit=0")),
    *_refused((400,), "54: another protocol", b"EHLO x\r\n", b"*1\r\n$4\r\nPING\r\n", b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n", b"\x04\x01\x00P",
              b"\x03\x00\x00\x13\x0e\xe0", b"\r\n\r\n\x00\r\nQUIT\n", b"\xef\xbb\xbfGET / HTTP/1.1\r\n"),
    *_answered((200,), "fields that are odd and allowed (5)", *[GET + H + line + b"\r\n\r\n" for line in (
        b"A:", b"A:b", b"A: \t b \t", b"A: \x80\xff", b"a!#$%&'*+-.^_`|~9: b", b"A: :", b"1: 2", b'A: "open', b"Cookie: a\r\nCookie: b", b"Accept: ,,,")]),
    *_answered((415,), "38-41: chunks as they may be written (7.1)", *[POST + b"Transfer-Encoding:" + coding + b"\r\n\r\n" + body for coding, body in (
        (b" Chunked", b"5\r\nhello\r\n0\r\n\r\n"), (b"\tCHUNKED\t", b"05\r\nhello\r\n000\r\n\r\n"), (b"chunked", b"A\r\n0123456789\r\n0\r\n\r\n"),
        (b"chunked", b'5;a=b;c="d;e\\""\r\nhello\r\n0;f\r\n\r\n'), (b"chunked", b"5 ; a = b\r\nhello\r\n0\r\n\r\n"),
        (b"chunked", b"2\r\n\r\n\r\n0\r\nA: b\r\nC:\r\n\r\n"), (b"chunked", b"000000000005\r\nhello\r\n0\r\n\r\n"))]),
    *[Case(f"48: what Connection may say {n}", GET + H + b"Connection:" + v + b"\r\n\r\n" + SMUGGLED, (200,), True, "48: close, in whatever list (9.6)")
      for n, v in enumerate((b"Close", b" close ", b"a, close", b",close,", b"close, keep-alive", b"a\r\nConnection: close"))],
    *_answered((200,), "48: what is not close (9.6)", *[GET + H + b"Connection: " + v + b"\r\n\r\n" for v in (b"", b"closed", b"xclose", b"Host", b"keep-alive")]),
    *_refused((400,), "54: not HTTP", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100), b"\x80\x2e\x01\x00\x02", bytes(20), b"\xff" * 20, b"SSH-2.0-x\r\n", b"\x05\x01\x00", b"{}\r\n"),
    *_answered((415,), "44: what is sent though not asked for (9110 10.1.1)", POST + b"Content-Length: 5\r\n\r\nhello",
               POST + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\nhello",
               POST + b"Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nA: b\r\n\r\n"),
    *_answered((415,), "an upload of nothing is not audio", POST + b"Content-Length: 0\r\n\r\n",
               POST + b"Content-Length: 0\r\nExpect: 100-continue\r\n\r\n", POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    *_answered((411,), "an upload without a length (9110 15.5.12)", b"POST /post HTTP/1.1\r\n" + H + b"\r\n"),
    *_refused(400, "fields that are one, twice (9110 5.3)", *[GET + H + line + b": a\r\n" + line.lower() + b": a\r\n\r\n" for line in (
        b"Range", b"Content-Type", b"Expect", b"If-Range", b"Authorization", b"Content-Disposition", b"Origin")]),
]  # fmt: skip

INCOMPLETE = [  # row 42: the client stops in the middle; one refusal or none, and never a stored byte
    (b"POST /post HTTP/1.1\r\n" + H + b"Content-Length: 10\r\n\r\nhello", "42: body cut short (8)"),
    (POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhel", "42: chunk cut short (8)"),
    (POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n", "42: no end of the trailers (8)"),
    (GET + H, "42: head cut short"),
]

_HEAD = re.compile(rb"HTTP/1\.1 (\d{3}) [^\r\n]*\r\n((?:[!#-'*+\-.^_`|~0-9A-Za-z]+: [\t\x20-\x7e\x80-\xff]*\r\n)*)\r\n")


def converse(address, data: bytes, *, step: int = 0, timeout: float = 60.0) -> bytes:
    """All that the server answers to `data`, sent at once or in steps, until it closes."""
    with socket.create_connection(address, timeout=timeout) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            for at in range(0, len(data), step or len(data)):
                sock.sendall(data[at : at + (step or len(data))])
            sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # refused and closed before all was sent: what it said is still to be read
        out = bytearray()
        while True:
            try:
                piece = sock.recv(65536)
            except ConnectionError:
                return bytes(out)
            if not piece:
                return bytes(out)
            out += piece


def answers(data: bytes) -> List[Tuple[int, dict, bytes]]:
    """(status, fields, body) of each answer; AssertionError where the bytes are anything else."""
    found = []
    while data:
        match = _HEAD.match(data)
        assert match, f"no status line and head: {data[:80]!r}"
        lines = match.group(2).decode("latin-1").split("\r\n")[:-1]
        fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        assert len(fields) == len(lines), f"a field twice: {lines}"
        length = int(fields.get("content-length", "0"))
        body = data[match.end() : match.end() + length]
        assert len(body) == length, "an answer cut short"
        found.append((int(match.group(1)), fields, body))
        data = data[match.end() + length :]
    return found


def run_case(address, case: Case, step: int = 0) -> None:
    """AssertionError unless the server answers `case` rightly, sent whole or in steps of so many bytes."""
    # 100 Continue may or may not come, by how much of the body came with the head (RFC 9110 10.1.1).
    got = [answer for answer in answers(converse(address, case.data, step=step)) if answer[0] != 100]
    statuses = [status for status, _, _ in got]
    assert len(statuses) == len(case.statuses), f"{case.why}: answers {statuses}, not {case.statuses}"
    for status, right in zip(statuses, case.statuses):
        assert status in (right if isinstance(right, tuple) else (right,)), f"{case.why}: {statuses}, not {case.statuses}"
    if case.closes:
        assert got[-1][1].get("connection") == "close", f"{case.why}: the end is not announced"
