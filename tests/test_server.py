"""The server as its callers meet it: life stories over real sockets, on native and on plain paths."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from support import long_wav, raw, request, wav

from audiokit.wire.fields import parse_http_date

SOUND = wav(0.5)
OTHER = wav(0.25, pitch_hz=300.0)
RECORD = (
    "id name size sha256 uploaded uploaded_by shared container codec codec_profile mime duration duration_exact "
    "duration_source duration_declared truncated sample_rate channels bits_per_sample sample_format bitrate "
    "bitrate_mode lossless tags pictures metadata warnings"
).split()


def post(address, body, target="/post", **headers):
    status, fields, answer = request(address, "POST", target, body, headers)
    return status, fields, json.loads(answer)


def digest(data, algorithm=hashlib.sha256):
    return "sha-256=:" + base64.b64encode(algorithm(data).digest()).decode() + ":"


def on_disk(data):
    """The audio files, finished or not, that are in a data folder."""
    folders = (data / "files", data / "uploads")
    assert all(folder.is_dir() for folder in folders)
    return sorted(path for folder in folders for path in folder.rglob("*") if path.is_file())


class TestTheFourPromises:
    def test_post_list_info_download(self, both_ways):
        address = both_ways.address
        status, fields, record = post(address, SOUND, "/post?name=myfile.wav", **{
            "Content-Type": "application/x-www-form-urlencoded"})
        assert status == 201 and fields["location"] == "/files/" + record["id"]
        assert (record["name"], record["duration"], record["size"]) == ("myfile.wav", 0.5, len(SOUND))
        status, _, body = request(address, "GET", "/list?maxduration=300")
        assert status == 200 and record in json.loads(body)["files"]
        status, _, body = request(address, "GET", "/info?name=myfile.wav")
        assert status == 200 and json.loads(body) == record
        status, fields, body = request(address, "GET", "/download?name=myfile.wav")
        assert status == 200 and body == SOUND
        assert fields["content-type"] == "audio/wav"
        assert fields["content-disposition"].startswith('attachment; filename="myfile.wav"')

    def test_a_post_without_a_name_gets_one(self, server):
        status, _, record = post(server.address, SOUND)
        assert status == 201
        assert record["name"] == hashlib.sha256(SOUND).hexdigest()[:12] + ".wav"

    def test_the_record_has_every_field_in_its_order(self, server):
        _, _, record = post(server.address, SOUND)
        assert list(record) == RECORD


class TestUploading:
    def test_same_name_and_bytes_again_is_the_same_file(self, server):
        first = post(server.address, SOUND, "/post?name=a.wav")
        again = post(server.address, SOUND, "/post?name=a.wav")
        assert (first[0], again[0]) == (201, 200) and first[2] == again[2]

    def test_same_name_other_bytes_is_a_conflict_until_told_to_overwrite(self, server):
        _, _, first = post(server.address, SOUND, "/post?name=a.wav")
        status, _, problem = post(server.address, OTHER, "/post?name=a.wav")
        assert (status, problem["code"]) == (409, "name-taken")
        status, _, replaced = post(server.address, OTHER, "/post?name=a.wav&overwrite=true")
        assert status == 200 and replaced["id"] == first["id"] and replaced["size"] == len(OTHER)
        _, fields, body = request(server.address, "GET", "/files/%s/content" % first["id"])
        assert body == OTHER and fields["etag"] == '"%s"' % replaced["sha256"]
        assert len(on_disk(server.data)) == 1

    def test_chunked_and_multipart_carry_the_same_bytes(self, both_ways):
        address = both_ways.address
        connection_body = iter([SOUND[:10], SOUND[10:5000], SOUND[5000:]])
        status, _, chunked = post(address, connection_body, "/post?name=chunked.wav")
        assert (status, chunked["sha256"]) == (201, hashlib.sha256(SOUND).hexdigest())
        form = (
            b'--XX\r\nContent-Disposition: form-data; name="meta.place"\r\n\r\nhall,\r\nupstairs\r\n'
            b'--XX\r\nContent-Disposition: form-data; name="file"; filename="form.wav"\r\n'
            b"Content-Type: audio/wav\r\n\r\n" + SOUND + b"\r\n--XX--\r\n"
        )
        status, _, record = post(address, form, **{"Content-Type": "multipart/form-data; boundary=XX"})
        assert (status, record["name"], record["sha256"]) == (201, "form.wav", chunked["sha256"])
        assert record["metadata"] == {"place": "hall,\nupstairs"}, "lines, as a form's text has them"

    def test_digests_must_match_or_nothing_is_kept(self, server):
        for field in ("Repr-Digest", "Content-Digest"):
            status, _, problem = post(server.address, SOUND, **{field: digest(OTHER)})
            assert (status, problem["code"]) == (400, "digest-mismatch"), field
        assert on_disk(server.data) == []
        assert post(server.address, SOUND, **{"Repr-Digest": digest(SOUND), "Content-Digest": digest(SOUND)})[0] == 201

    FORM = (b'--XX\r\nContent-Disposition: form-data; name="f"; filename="a.wav"\r\n\r\n' + SOUND + b"\r\n--XX--\r\n")
    AUDIO, MESSAGE, OTHERS = digest(SOUND), digest(FORM), digest(OTHER)
    # Fields before the body, fields behind it, whether it is a form, the status, and the code of a refusal.
    TRAILED = [
        ("", f"Repr-Digest: {AUDIO}", False, 201, "the digest comes when it is known: RFC 9530 section 3"),
        ("", f"Content-Digest: {AUDIO}\r\nRepr-Digest: {AUDIO}", False, 201, "both, and of a raw body they are one"),
        ("", f"Repr-Digest: {OTHERS}", False, "digest-mismatch", "when sent it must match, wherever it was sent"),
        ("", f"content-digest: {OTHERS}", False, "digest-mismatch", "names have no case"),
        (f"Repr-Digest: {AUDIO}", f"Repr-Digest: {OTHERS}", False, "digest-mismatch", "each must match"),
        (f"Repr-Digest: {OTHERS}", f"Repr-Digest: {AUDIO}", False, "digest-mismatch", "one does not make up for another"),
        ("", "Repr-Digest: x", False, "bad-request", "what is no digest promises nothing that could be kept"),
        ("", "X-Other: y", False, 201, "other trailers mean nothing here"),
        ("", f"Repr-Digest: {AUDIO}", True, 201, "of a form the audio"),
        ("", f"Repr-Digest: {MESSAGE}", True, "digest-mismatch", "and not all of it"),
        ("Trailer: X, content-digest", f"Content-Digest: {MESSAGE}", True, 201, "all of a form, where it was announced"),
        ("Trailer: Content-Digest", f"Content-Digest: {AUDIO}", True, "digest-mismatch", "and not its audio"),
        ("", f"Content-Digest: {MESSAGE}", True, "bad-request", "it was not announced: nobody counted from the beginning"),
    ]

    @pytest.mark.parametrize("before, behind, is_form, outcome, why", TRAILED, ids=[row[4] for row in TRAILED])
    def test_digests_may_come_behind_a_body_in_chunks(self, both_ways, before, behind, is_form, outcome, why):
        body = self.FORM if is_form else SOUND
        head = "POST /post?name=a.wav HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n" + (before and before + "\r\n")
        head += "Content-Type: multipart/form-data; boundary=XX\r\n\r\n" if is_form else "\r\n"
        chunks = b"%x\r\n%b\r\n0\r\n%b\r\n\r\n" % (len(body), body, behind.encode())
        answer = raw(both_ways.address, head.encode() + chunks + b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        status = outcome if isinstance(outcome, int) else 400
        assert answer.startswith(b"HTTP/1.1 %d " % status) and answer.count(b"HTTP/1.1 200 ") == 1, "and what follows is answered"
        if status == 400:
            assert b'"code": "%b"' % outcome.encode() in answer, why
            assert request(both_ways.address, "GET", "/info?name=a.wav")[0] == 404, "nothing is kept"
        else:
            record = json.loads(request(both_ways.address, "GET", "/info?name=a.wav")[2])
            assert request(both_ways.address, "DELETE", "/files/" + record["id"])[0] == 204

    def test_an_answer_has_the_digest_of_what_it_carries_or_none(self, server):
        """A client that verifies Repr-Digest verifies what came with it (RFC 9530 section 3.1)."""
        drop = json.loads(request(server.address, "POST", "/drops", b"{}")[2])["url"]
        for target in ("/post?name=a.wav", "/post?name=a.wav", drop, "/resample?format=wav&rate=8000", "/resample?save_as=b.mp3"):
            status, fields, body = request(server.address, "POST", target, SOUND)
            assert status in (200, 201) and fields.get("repr-digest") in (None, digest(body)), target
        for headers, status in (({}, 200), ({"Range": "bytes=0-9"}, 206)):
            found, fields, _ = request(server.address, "GET", "/download?name=a.wav", headers=headers)
            assert (found, fields["repr-digest"]) == (status, digest(SOUND)), "of the whole, whatever part is sent"

    def test_names_come_from_the_parameter_then_the_disposition(self, server):
        disposition = {"Content-Disposition": "attachment; filename=\"b.wav\"; filename*=UTF-8''%C3%A4.wav"}
        assert post(server.address, SOUND, "/post?name=a.wav", **disposition)[2]["name"] == "a.wav"
        assert post(server.address, SOUND, **disposition)[2]["name"] == "\u00e4.wav"

    def test_metadata_is_kept_and_changed(self, server):
        _, _, record = post(server.address, SOUND, "/post?name=a.wav&meta.room=3&meta.who=Ann%20B")
        assert record["metadata"] == {"room": "3", "who": "Ann B"}
        target = "/files/" + record["id"]
        change = json.dumps({"name": "b.wav", "metadata": {"room": "4"}})
        status, _, body = request(server.address, "PATCH", target, change)
        assert status == 200
        assert (json.loads(body)["name"], json.loads(body)["metadata"]) == ("b.wav", {"room": "4"})
        assert request(server.address, "GET", "/info?name=a.wav")[0] == 404

    def test_text_is_refused_in_words_and_leaves_nothing(self, server):
        status, fields, problem = post(server.address, b"Dear diary, today I recorded nothing.\n" * 40)
        assert (status, problem["code"]) == (415, "not-audio")
        assert "text" in problem["detail"]
        assert fields["content-type"] == "application/problem+json"
        assert on_disk(server.data) == []
        assert json.loads(request(server.address, "GET", "/list")[2])["files"] == []

    def test_100_continue_comes_only_when_the_head_will_do(self, running):
        server = running(max_upload=100_000)
        head = b"POST /post?name=%s HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"
        assert raw(server.address, head % (b"a.wav", 200_000)).startswith(b"HTTP/1.1 413 ")
        assert raw(server.address, head % (b"a%2Fb.wav", 100)).startswith(b"HTTP/1.1 400 ")
        with socket.create_connection(server.address, timeout=60) as sock:
            sock.sendall(head % (b"a.wav", len(SOUND)))
            assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
            sock.sendall(SOUND)
            assert sock.recv(100).startswith(b"HTTP/1.1 201 ")

    # Fields of a body that is not the audio itself, and what is said; None: it is that.
    NOT_ITSELF = [
        ("Content-Encoding: gzip", 415, "a coding would be kept as if it were the audio (RFC 9110 section 8.4)"),
        ("Content-Encoding: identity, BR", 415, "one of several codings is one"),
        ("Content-Encoding: identity", None, "no coding at all (section 12.5.3)"),
        ("Content-Encoding: , ", None, "an empty list is none (section 5.6.1.2)"),
        ("Content-Range: bytes 100-199/8044", 400, "a part would be kept as the file: curl -C, section 14.5"),
        ("Content-Range: x", 400, "what is no range is no whole either"),
    ]

    @pytest.mark.parametrize("line, status, why", NOT_ITSELF, ids=[line for line, _, _ in NOT_ITSELF])
    @pytest.mark.parametrize("target", ["/post?name=a.wav", "/resample", "drop"])
    def test_a_body_that_is_not_the_audio_itself_is_refused_by_its_head(self, both_ways, target, line, status, why):
        if target == "drop":
            target = json.loads(request(both_ways.address, "POST", "/drops", b"{}")[2])["url"]
        head = f"POST {target} HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 9\r\n{line}\r\n\r\n"
        answer = raw(both_ways.address, head.encode())
        if status is None:
            assert answer.startswith(b"HTTP/1.1 100 "), why
        else:
            assert answer.startswith(b"HTTP/1.1 %d " % status), why
            assert (b"Accept-Encoding: identity\r\n" in answer) == (status == 415), "what would do (section 15.5.16)"

    def test_a_refused_upload_reads_its_answer_three_megabytes_into_the_body(self, running):
        server = running(max_upload=1000)
        chunk = b"10000\r\n" + bytes(65536) + b"\r\n"
        for head in (b"Content-Length: 4000000", b"Transfer-Encoding: chunked"):
            body = bytes(4_000_000) if b"Length" in head else chunk * 60
            answer = raw(server.address, b"POST /post HTTP/1.1\r\nHost: localhost\r\n" + head + b"\r\n\r\n" + body, end=False)
            assert answer.startswith(b"HTTP/1.1 413 "), head
            assert answer.count(b"HTTP/1.1") == 1, "nothing of the body was taken for a request"

    def test_a_body_that_breaks_off_leaves_nothing(self, server):
        head = b"POST /post HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n"
        answer = raw(server.address, head + SOUND[:4000])
        assert answer.startswith(b"HTTP/1.1 400 ") and b"incomplete-body" in answer
        assert request(server.address, "GET", "/list")[0] == 200
        server.__exit__()  # all that was begun has ended
        assert on_disk(server.data) == []

    def test_two_of_one_name_at_once_one_wins(self, server):
        bodies = [wav(0.1, pitch_hz=200.0 + n) for n in range(8)]
        with ThreadPoolExecutor(8) as crew:
            answers = list(crew.map(lambda body: post(server.address, body, "/post?name=one.wav"), bodies))
        assert sorted(status for status, _, _ in answers) == [201] + [409] * 7
        assert len(on_disk(server.data)) == 1


@pytest.fixture(scope="module")
def stored(both_ways):
    status, _, record = post(both_ways.address, SOUND, "/post?name=stored.wav&overwrite=true")
    assert status in (200, 201)
    return both_ways.address, "/files/%s/content" % record["id"], record


class TestDownloading:
    RANGES = [
        ("bytes=0-3", 206, slice(0, 4), "first bytes"),
        ("bytes=-4", 206, slice(-4, None), "a suffix"),
        ("bytes=8000-", 206, slice(8000, None), "to the end"),
        ("bytes=0-99999999", 206, slice(None), "past the end means to the end"),
        ("bytes=99999999-", 416, None, "nothing of it is there"),
        ("bytes=5-2", 200, slice(None), "an invalid range is ignored"),
        ("lines=1-2", 200, slice(None), "another unit is ignored"),
    ]

    @pytest.mark.parametrize("value, status, part, why", RANGES)
    def test_ranges(self, stored, value, status, part, why):
        address, target, _ = stored
        found, fields, body = request(address, "GET", target, headers={"Range": value})
        assert found == status, why
        if status == 416:
            assert fields["content-range"] == "bytes */%d" % len(SOUND)
        else:
            assert body == SOUND[part]

    def test_several_ranges_come_as_parts(self, stored):
        address, target, _ = stored
        status, fields, body = request(address, "GET", target, headers={"Range": "bytes=0-3,100-103"})
        assert status == 206 and fields["content-type"].startswith("multipart/byteranges; boundary=")
        assert len(body) == int(fields["content-length"])
        assert b"\r\n\r\nRIFF\r\n" in body and SOUND[100:104] in body

    def test_conditions(self, stored):
        address, target, record = stored
        etag = '"%s"' % record["sha256"]
        assert request(address, "GET", target, headers={"If-None-Match": etag})[0] == 304
        assert request(address, "GET", target, headers={"If-Match": '"other"'})[0] == 412
        status, _, body = request(address, "GET", target, headers={"Range": "bytes=0-3", "If-Range": '"other"'})
        assert (status, body) == (200, SOUND)

    def test_a_clock_that_was_ahead_gives_no_date_that_is_yet_to_come(self, running):
        server = running()
        _, _, record = post(server.address, SOUND)
        target = "/files/%s/content" % record["id"]
        then = request(server.address, "GET", target)[1]["last-modified"]
        services = server.server.services
        hour_ago = services.now_ms() - 3_600_000
        server.server.services = services._replace(now_ms=lambda: hour_ago)
        status, fields, body = request(server.address, "GET", target)
        assert (status, body) == (200, SOUND)
        assert parse_http_date(fields["last-modified"]) == hour_ago // 1000
        for date in (then, fields["last-modified"]):
            assert request(server.address, "GET", target, headers={"If-Modified-Since": date})[0] == 304
            status, _, body = request(server.address, "GET", target, headers={"Range": "bytes=0-3", "If-Range": date})
            assert (status, body) == (200, SOUND), "such a date is no strong validator"

    def test_head_says_what_get_would(self, stored):
        address, target, _ = stored
        get, head = request(address, "GET", target), request(address, "HEAD", target)
        assert head[0] == 200 and head[2] == b""
        differing = {k for k in {**get[1], **head[1]} if get[1].get(k) != head[1].get(k)}
        assert differing <= {"date"}

    def test_a_file_removed_while_it_is_sent_arrives_whole(self, running, tmp_path):
        server = running()
        large = long_wav(120)
        _, _, record = post(server.address, large)
        with socket.create_connection(server.address, timeout=60) as sock:
            sock.sendall(b"GET /files/%s/content HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" % record["id"].encode())
            first = sock.recv(1000)
            assert request(server.address, "DELETE", "/files/" + record["id"])[0] == 204
            rest = bytearray(first)
            while True:
                piece = sock.recv(1 << 16)
                if not piece:
                    break
                rest += piece
        assert bytes(rest).partition(b"\r\n\r\n")[2] == large
        assert request(server.address, "GET", "/files/" + record["id"])[0] == 404


class TestManners:
    STEPS = [
        ("GET", "/nowhere", 404, "not-found"),
        ("GET", "/info?name=none.wav", 404, "not-found"),
        ("GET", "/info?id=none", 404, "not-found"),
        ("GET", "/info", 400, "bad-parameter"),
        ("GET", "/info?name=a&id=b", 400, "bad-parameter"),
        ("GET", "/info?name=a&colour=blue", 400, "bad-parameter"),
        ("GET", "/list?maxduration=abc", 400, "bad-parameter"),
        ("GET", "/list?limit=0", 400, "bad-parameter"),
        ("PUT", "/post", 405, "method-not-allowed"),
        ("DELETE", "/list", 405, "method-not-allowed"),
        ("GET", "/post", 405, "method-not-allowed"),
        ("BREW", "/list", 501, "not-implemented"),
        ("PUT", "/nowhere", 404, "not-found"),
        ("TRACE", "/nowhere", 404, "not-found"),
        ("TRACE", "/list", 405, "method-not-allowed"),
        ("CONNECT", "localhost:80", 405, "method-not-allowed"),
        ("POST", "/post", 411, "length-required"),
    ]

    @pytest.mark.parametrize("method, target, status, code", STEPS)
    def test_refusals_have_their_status_and_code(self, both_ways, method, target, status, code):
        data = f"{method} {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        head, _, body = raw(both_ways.address, data).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 %d " % status)
        problem = json.loads(body)
        assert problem["code"] == code and problem["type"] == "/problems/" + code
        assert problem["status"] == status and body.endswith(b"\n")

    @pytest.mark.parametrize("method, is_told", [("PUT", True), ("POST", True), ("GET", False), ("DELETE", False)])
    def test_who_sends_audio_to_the_wrong_place_is_told_the_right_one(self, server, method, is_told):
        _, _, body = request(server.address, method, "/myfile.wav", SOUND if is_told else None)
        assert ("POST /post" in json.loads(body)["detail"]) == is_told

    def test_405_names_what_is_allowed_and_options_too(self, server):
        assert request(server.address, "PUT", "/post")[1]["allow"] == "POST, OPTIONS"
        status, fields, _ = request(server.address, "OPTIONS", "/list")
        assert (status, fields["allow"]) == (204, "GET, HEAD, OPTIONS")

    HOSTS = [
        ("localhost", 200), ("localhost:8000", 200), ("127.0.0.1:80", 200), ("[::1]:8000", 200),
        ("evil.example", 421), ("localhost.evil.example", 421), ("127.0.0.1.evil.example", 421),
    ]

    @pytest.mark.parametrize("host, status", HOSTS)
    def test_only_hosts_of_ours_are_answered_for(self, server, host, status):
        assert request(server.address, "GET", "/health", headers={"Host": host})[0] == status

    def test_an_allowed_host_is_answered_for(self, running):
        server = running(allowed_host=("audio.lan",))
        assert request(server.address, "GET", "/health", headers={"Host": "audio.lan:8000"})[0] == 200

    SITES = [
        ({"Origin": "http://evil.example"}, 403), ({"Origin": "null"}, 403), ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403), ({"Sec-Fetch-Site": "same-origin"}, 201), ({}, 201),
        ({"Origin": "http://localhost:8000", "Host": "localhost:8000"}, 201),
    ]

    @pytest.mark.parametrize("fields, status", SITES)
    def test_changes_asked_for_by_other_sites_are_refused(self, server, fields, status):
        assert request(server.address, "POST", "/post", SOUND, fields)[0] == status

    def test_pipelined_requests_are_answered_in_order(self, both_ways):
        targets = [b"/health", b"/list?limit=1", b"/nowhere", b"/info?name=none"] * 40
        data = b"".join(b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % t for t in targets)
        answer = raw(both_ways.address, data)
        statuses = re.findall(rb"HTTP/1.1 (\d+) ", answer)
        assert statuses == [b"200", b"200", b"404", b"404"] * 40

    def test_a_thousand_pipelined_downloads_are_answered_in_order(self, both_ways):
        _, _, record = post(both_ways.address, SOUND)
        target = b"/files/%b/content" % record["id"].encode()
        ask = b"GET %b HTTP/1.1\r\nHost: localhost\r\n" % target
        ask += b"Range: bytes=0-%d\r\n"
        data = b"".join(ask % n + b"\r\n" for n in range(999)) + ask % 999 + b"Connection: close\r\n\r\n"
        lengths = re.findall(rb"Content-Length: (\d+)\r\n", raw(both_ways.address, data, end=False))
        assert lengths == [b"%d" % (n + 1) for n in range(1000)]

    def test_requests_behind_an_upload_are_answered_after_it(self, both_ways):
        first = b"POST /post?name=pipe.wav&overwrite=true HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(OTHER)
        then = b"GET /info?name=pipe.wav HTTP/1.1\r\nHost: localhost\r\n\r\n"
        answer = raw(both_ways.address, first + OTHER + then)
        assert answer.count(b"HTTP/1.1 20") == 2 and answer.count(b'"name": "pipe.wav"') == 2

    @pytest.mark.parametrize("framing", ["length", "chunked"])
    def test_requests_behind_a_body_refused_in_its_middle_are_answered(self, both_ways, framing):
        form = b"--X\r\nno header line\r\n\r\nx\r\n--X--\r\n"
        length, body = b"Content-Length: %d" % len(form), form
        if framing == "chunked":
            length, body = b"Transfer-Encoding: chunked", b"%x\r\n%b\r\n0\r\n\r\n" % (len(form), form)
        first = b"POST /post HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=X\r\n"
        then = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        answer = raw(both_ways.address, first + length + b"\r\n\r\n" + body + then, end=False)
        assert re.findall(rb"HTTP/1.1 (\d+) ", answer) == [b"400", b"200"]

    def test_a_small_unwanted_body_is_dropped_and_a_large_one_ends_the_connection(self, both_ways):
        small = b"GET /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 30\r\n\r\n" + b"GET /list HTTP/1.1\r\nHost: x\r\n\r\n"[:30]
        then = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
        assert raw(both_ways.address, small + then).count(b"HTTP/1.1 200") == 2
        large = b"GET /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 70000\r\n\r\n" + bytes(70000)
        answer = raw(both_ways.address, large + then)
        assert answer.count(b"HTTP/1.1 ") == 1 and b"Connection: close" in answer

    def test_a_request_fed_byte_by_byte_is_the_same_request(self, server):
        with socket.create_connection(server.address, timeout=60) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n":
                sock.sendall(bytes([byte]))
            assert sock.recv(1000).startswith(b"HTTP/1.1 200 ")

    def test_a_malformed_head_behind_a_head_request_gets_the_body_of_its_answer(self, server):
        """Of the request before it, whose answer had no body, nothing holds."""
        first = b"HEAD /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
        for then in (b"G@T /", b"GET / HTTP/1.1\r\nHost : x\r\n", b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", b"GET /cut"):
            *_, head, body = raw(server.address, first + then).split(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 400 ") and json.loads(body)["code"] == "bad-request", then

    def test_who_asks_with_HEAD_gets_no_content_however_malformed_the_rest_is(self, server, pass_time):
        """RFC 9110 section 9.3.2, RFC 9112 section 6.3: whatever the status is, such an answer ends with its head."""
        for ask in (b"HEAD / HTTP/1.1\r\nHost : x\r\n\r\n", b"HEAD / HTTP/1.1\r\n\r\n", b"\r\nHEAD  /", b"HEAD / HTTP/2.0\r\n\r\n",
                    b"HEAD / HTTP/1.1\r\nA: b\n", b"HEAD /%zz HTTP/1.1\r\nHost: localhost\r\n\r\n", b"HEAD / HTTP/1.1\r\nHost: x"):
            head, end, content = raw(server.address, ask).partition(b"\r\n\r\n")
            assert head.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 505 ")) and end and not content, ask
            assert b"\r\nContent-Length: 0" not in head, "the length of what GET would have been told"
        late = raw(server.address, b"HEAD /hea", end=False, then=lambda: pass_time(10.1))
        assert late.startswith(b"HTTP/1.1 408 ") and late.endswith(b"\r\n\r\n")

    def test_a_head_that_takes_too_long_is_told_and_ended(self, server, pass_time):
        answer = raw(server.address, b"GET /hea", end=False, then=lambda: pass_time(10.1))
        assert answer.startswith(b"HTTP/1.1 408 ")

    def test_a_body_without_progress_is_told_and_ended(self, server, pass_time):
        head = b"POST /post HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nRIFF"
        assert raw(server.address, head, end=False, then=lambda: pass_time(20.1)).startswith(b"HTTP/1.1 408 ")
        server.__exit__()  # all that was begun has ended
        assert on_disk(server.data) == []

    def test_the_longest_idle_connection_makes_room(self, running):
        server = running(max_connections=3)
        socks = [socket.create_connection(server.address, timeout=60) for _ in range(3)]
        try:
            for sock in socks:
                sock.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert sock.recv(1000).startswith(b"HTTP/1.1 200 ")
            assert request(server.address, "GET", "/health")[0] == 200
            assert socks[0].recv(10) == b""
        finally:
            for sock in socks:
                sock.close()


class TestListing:
    def test_a_link_to_the_next_page_can_be_followed_or_is_refused_in_words(self, server):
        for name in ("a.wav", "b.wav", "c.wav"):
            post(server.address, SOUND, "/post?name=" + name)
        most = server.server.settings.max_target
        seen = set()
        for length in range(most - 300, most + 1, 7):
            target = "/list?limit=2&name=*&name=".ljust(length, "x")
            status, fields, body = request(server.address, "GET", target)
            seen.add(status)
            answer = json.loads(body)
            if status == 200:
                assert len(answer["next"]) <= most and answer["next"] in fields["link"]
                assert len(json.loads(request(server.address, "GET", answer["next"])[2])["files"]) == 1
            else:
                assert (status, answer["code"], answer["limit"]) == (414, "target-too-long", most)
        assert seen == {200, 414}

    def test_a_long_question_with_one_page_of_answers_needs_no_link(self, server):
        post(server.address, SOUND, "/post?name=a.wav")
        most = server.server.settings.max_target
        status, _, body = request(server.address, "GET", ("/list?name=a.wav&name=").ljust(most, "x"))
        assert (status, json.loads(body)["total"], json.loads(body)["next"]) == (200, 1, None)


class TestEmbedding:
    def test_a_server_in_a_thread_of_another_program(self, tmp_path):
        from audioserver import AudioServer

        with AudioServer(("127.0.0.1", 0), data=tmp_path / "var") as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            assert post(server.server_address, SOUND)[0] == 201
            server.shutdown()
            thread.join()

    def test_leaving_the_context_ends_the_loop_that_another_thread_runs(self, tmp_path):
        from audioserver import AudioServer

        with pytest.raises(ZeroDivisionError):
            with AudioServer(("127.0.0.1", 0), data=tmp_path / "var") as server:
                thread = threading.Thread(target=server.serve_forever)
                thread.start()
                assert post(server.server_address, SOUND)[0] == 201
                raise ZeroDivisionError
        thread.join(60)
        assert not thread.is_alive()
        server.serve_forever()  # over is over, also for a thread that comes late
        server.server_close()

    def test_shutdown_in_the_thread_that_serves_does_not_wait_for_itself(self, tmp_path):
        from audioserver import AudioServer, Handler

        class Ending(Handler):
            def do_GET(self):
                self.server.shutdown()
                return super().do_GET()

        with AudioServer(("127.0.0.1", 0), Ending, data=tmp_path / "var") as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            assert request(server.server_address, "GET", "/list")[0] == 200
            thread.join(60)
            assert not thread.is_alive()

    def test_shutdown_lets_a_running_upload_finish(self, running):
        server = running()
        with socket.create_connection(server.address, timeout=60) as sock:
            sock.sendall(b"POST /post?name=late.wav HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
                         b"Content-Length: %d\r\n\r\n" % len(SOUND))
            assert sock.recv(100).startswith(b"HTTP/1.1 100")
            server.server.stop()
            sock.sendall(SOUND)
            answer = sock.recv(1000)
            assert answer.startswith(b"HTTP/1.1 201 ") and b"\r\nConnection: close\r\n" in answer

    def test_a_second_server_on_the_same_data_is_refused(self, server):
        from audioserver import AudioServer
        from storage import DataFolderBusy

        with pytest.raises(DataFolderBusy):
            AudioServer(("127.0.0.1", 0), data=str(server.data))


def test_many_clients_at_once_lose_nothing(server):
    """64 clients post, list, fetch and delete; nothing is lost, nothing answers 5xx."""
    sounds = [wav(0.05, pitch_hz=100.0 + n) for n in range(8)]

    def life(number):
        for turn in range(2):
            body = sounds[(number + turn) % 8]
            name = f"client-{number}-{turn}.wav"
            status, _, record = post(server.address, body, "/post?name=" + name)
            assert status == 201
            assert request(server.address, "GET", "/list?limit=5&name=" + name)[0] == 200
            assert request(server.address, "GET", "/files/%s/content" % record["id"])[2] == body
            if turn:
                assert request(server.address, "DELETE", "/files/" + record["id"])[0] == 204
        return True

    with ThreadPoolExecutor(64) as crew:
        assert all(crew.map(life, range(64)))
    listed = json.loads(request(server.address, "GET", "/list?limit=1000")[2])
    assert listed["total"] == 64 and len(on_disk(server.data)) == 64
