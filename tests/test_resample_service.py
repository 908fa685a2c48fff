"""POST /resample over real sockets: what is converted, what comes back as it was, what is refused, what stays."""

from __future__ import annotations

import base64
import errno
import hashlib
import json
import os
import socket
import struct

import pytest
from support import Running, eventually, raw, request, wav

from audiokit.offers import DECODED

SOUND = wav()  # 0.1 s, 8 kHz, mono
AS_IT_IS = "rate=8000&format=wav"


def resample(server, parameters="", body=SOUND, **headers):
    """POST /resample: (status, fields, body)."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return request(server.address, "POST", "/resample?" + parameters, body, names)


def problem(answer):
    return answer[0], json.loads(answer[2])["code"]


@pytest.fixture(scope="module")
def same_server(tmp_path_factory):
    """A server whose workers are begun once."""
    with Running(tmp_path_factory.mktemp("same") / "var") as one:
        yield one


@pytest.fixture
def server(same_server):
    """It, and afterwards without what the test left."""
    yield same_server
    clean(same_server)


def post(server, name, data=SOUND):
    """Store a file; its record."""
    return json.loads(request(server.address, "POST", "/post?name=" + name, data)[2])


def begun(server, parameters=AS_IT_IS, body=SOUND):
    """The Location of a conversion that goes on without us."""
    status, fields, text = resample(server, parameters, body, Prefer="respond-async")
    assert status == 202, text
    assert fields["preference-applied"] == "respond-async"
    return fields["location"]


def ended(server, where):
    """The last status of a conversion, by its events: the stream ends with it."""
    status, fields, body = request(server.address, "GET", where + "/events")
    assert status == 200 and fields["content-type"] == "text/event-stream"
    events = [json.loads(line[6:]) for line in body.decode().split("\n\n") if line]
    assert events[-1]["status"] in ("done", "failed")
    return events[-1]


def temporary_files(server):
    """What is in the folder of conversions."""
    folder = str(server.server.storage.data / "conversions")
    return [os.path.join(at, name) for at, folders, files in os.walk(folder) for name in folders + files]


def clean(server):
    """Remove every file and every conversion."""
    for record in json.loads(request(server.address, "GET", "/list")[2])["files"]:
        assert request(server.address, "DELETE", "/files/" + record["id"])[0] == 204
    for path in temporary_files(server):
        request(server.address, "DELETE", "/resample/" + os.path.basename(path))
    eventually(lambda: not temporary_files(server))


def form(*parts):
    """A multipart/form-data body: (field, file name or None, content) each."""
    lines = b""
    for field, filename, content in parts:
        file = f'; filename="{filename}"' if filename else ""
        lines += (
            f'--xyz\r\nContent-Disposition: form-data; name="{field}"{file}\r\n\r\n'.encode()
            + content
            + b"\r\n"
        )
    return lines + b"--xyz--\r\n"


# -- what is as wanted --------------------------------------------------------------------------------------


def test_what_is_as_wanted_comes_back_byte_for_byte(server):
    status, fields, body = resample(server, AS_IT_IS)
    assert (status, body) == (200, SOUND)
    digest = hashlib.sha256(SOUND).digest()
    assert fields["x-resample"] == "passthrough"
    assert fields["etag"] == f'"{digest.hex()}"'
    assert fields["repr-digest"] == f"sha-256=:{base64.b64encode(digest).decode()}:"
    assert fields["content-length"] == str(len(SOUND)) and fields["content-type"] == "audio/wav"
    eventually(lambda: not temporary_files(server))


@pytest.mark.parametrize(
    "parameters, headers, name",
    [
        ("", {}, "resampled.wav"),
        ("&name=in.aiff", {}, "in.wav"),
        ("&name=a.b.mp3", {}, "a.b.wav"),
        ("&name=in", {}, "in.wav"),
        ("", {"Content_Disposition": 'attachment; filename="c.wav"'}, "c.wav"),
        ("&name=d.wav", {"Content_Disposition": 'attachment; filename="c.wav"'}, "d.wav"),
        ("&name=.hidden", {}, ".hidden.wav"),
    ],
)
def test_the_result_is_named_after_what_came(server, parameters, headers, name):
    fields = resample(server, AS_IT_IS + parameters, **headers)[1]
    assert f'filename="{name}"' in fields["content-disposition"]


def test_a_form_is_taken_whatever_its_field_is_called_and_carries_parameters(server):
    for field in ("inFile", "file"):
        body = form((field, "C:\\music\\e.wav", SOUND), ("rate", None, b"8000"), ("format", None, b"wav"))
        status, fields, body = resample(server, body=body, Content_Type="multipart/form-data; boundary=xyz")
        assert (status, body) == (200, SOUND)
        assert 'filename="e.wav"' in fields["content-disposition"]


def test_the_querys_parameters_come_before_the_forms(server):
    body = form(("inFile", "e.wav", SOUND), ("rate", None, b"16000"), ("format", None, b"wav"))
    answer = resample(server, "rate=8000", body, Content_Type="multipart/form-data; boundary=xyz")
    assert answer[1]["x-resample"] == "passthrough"


def test_a_form_can_name_a_stored_file(server):
    post(server, "a.wav")
    body = form(("source", None, b"a.wav"), ("rate", None, b"8000"), ("format", None, b"wav"))
    assert resample(server, body=body, Content_Type="multipart/form-data; boundary=xyz")[2] == SOUND


@pytest.mark.parametrize(
    "parts, why",
    [
        ([("rate", None, b"8000")], "neither a file nor a stored one"),
        ([("inFile", "e.wav", SOUND), ("source", None, b"a.wav")], "both"),
    ],
)
def test_a_form_needs_one_source(server, parts, why):
    answer = resample(server, body=form(*parts), Content_Type="multipart/form-data; boundary=xyz")
    assert problem(answer) == (400, "bad-request"), why


def test_a_chunked_body_is_taken(server):
    head = f"POST /resample?{AS_IT_IS} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in (SOUND[:7], SOUND[7:])) + b"0\r\n\r\n"
    with socket.create_connection(server.address, timeout=60) as sock:
        sock.sendall(head + chunks)
        data = b""
        while not data.endswith(SOUND[-50:]):
            piece = sock.recv(65536)
            assert piece, data
            data += piece
    assert data.startswith(b"HTTP/1.1 200 ") and data.endswith(SOUND)


def test_a_promised_digest_is_checked(server):
    wrong = "sha-256=:" + base64.b64encode(bytes(32)).decode() + ":"
    assert problem(resample(server, AS_IT_IS, Repr_Digest=wrong)) == (400, "digest-mismatch")


# -- stored files -------------------------------------------------------------------------------------------


def test_a_stored_file_is_converted_by_id_and_by_name_and_never_touched(server):
    record = post(server, "a.wav")
    before = request(server.address, "GET", "/list")[2]
    for which in ("id=" + record["id"], "source=a.wav"):
        status, fields, body = resample(server, f"{AS_IT_IS}&{which}", None)
        assert (status, body) == (200, SOUND) and 'filename="a.wav"' in fields["content-disposition"]
    eventually(lambda: not temporary_files(server))
    assert request(server.address, "GET", "/list")[2] == before
    assert request(server.address, "GET", "/download?name=a.wav")[2] == SOUND


def test_the_record_of_a_file_that_can_be_converted_offers_it(server):
    import audio_files

    for name, data in (("a.wav", SOUND), ("b.flac", audio_files.flac())):
        id = post(server, name, data)["id"]
        link = request(server.address, "GET", "/files/" + id)[1].get("link", "")
        assert (f"</resample?id={id}>" in link) == (name == "a.wav")


def test_temporary_results_are_never_listed(server):
    ended(server, begun(server))
    assert json.loads(request(server.address, "GET", "/list")[2])["files"] == []


def test_a_result_can_become_a_file_of_the_catalogue(server):
    post(server, "a.wav")
    status, fields, body = resample(server, AS_IT_IS + "&source=a.wav&save_as=b.wav", None)
    record = json.loads(body)
    assert (
        status == 201
        and fields["location"] == "/files/" + record["id"]
        and record["name"] == "b.wav"
    )
    assert request(server.address, "GET", "/download?name=b.wav")[2] == SOUND
    again = resample(server, AS_IT_IS + "&source=a.wav&save_as=b.wav", None)
    assert again[0] == 200 and json.loads(again[2]) == record
    taken = resample(server, AS_IT_IS + "&save_as=b.wav", wav(0.2))
    assert problem(taken) == (409, "name-taken") and json.loads(taken[2])["parameter"] == "save_as"
    eventually(lambda: not temporary_files(server))


def test_a_result_that_became_a_file_says_where(server):
    where = begun(server, AS_IT_IS + "&save_as=b.wav")
    status = ended(server, where)
    assert status["file"].startswith("/files/") and status["result"] == status["file"] + "/content"
    code, fields, _ = request(server.address, "GET", where + "/result")
    assert code == 303 and fields["location"] == status["result"]
    assert request(server.address, "GET", status["result"])[2] == SOUND


# -- refusals -----------------------------------------------------------------------------------------------

# Sampling rates (Hz) that PCM comes in.  What the resampler does not take is refused before a worker is asked.
RATES = [
    (1, 415, "one sample a second"), (999, 415, "below"), (1000, 200, "the lowest"), (768000, 200, "the highest"),
    (768001, 415, "above"),
]


@pytest.mark.parametrize("rate, status, why", RATES, ids=[str(row[0]) for row in RATES])
def test_sampling_rates_are_converted_or_refused_by_name(server, rate, status, why):
    record = post(server, "a.wav", wav(100 / rate, rate))
    found, _, body = resample(server, "source=a.wav&format=wav", None)
    assert found == status, why
    if status == 415:
        refusal = json.loads(body)
        assert refusal["code"] == "unsupported-conversion" and f"{rate} Hz" in refusal["detail"]
    offered = request(server.address, "GET", "/files/" + record["id"])[1]
    assert ("link" in offered) == (status == 200), "nothing is offered that is then refused"


@pytest.mark.parametrize(
    "parameters, parameter, allowed",
    [
        ("rate=32001", "rate", "32000"),
        ("rate=0", "rate", "8000"),
        ("rate=fast", "rate", "8000"),
        ("rate=96000", "rate", "48000"),
        ("rate=-8000", "rate", "8000"),
        ("rate=%EF%BC%98000", "rate", "8000"),
        ("rate=7999&format=wav", "rate", "8000"),
        ("rate=192001&format=wav", "rate", "192000"),
        ("rate=" + "9" * 5000, "rate", "8000"),
        ("bitrate=129", "bitrate", "128"),
        ("bitrate=0", "bitrate", "128"),
        ("bitrate=320&rate=22050", "bitrate", "160"),
        ("bitrate=144", "bitrate", "160"),
        ("bitrate=128&format=wav", "bitrate", "WAV"),
        ("quality=10", "quality", "9"),
        ("quality=-1", "quality", "0"),
        ("quality=2&format=wav", "quality", "WAV"),
        ("quality=2&bitrate=128", "quality", "bitrate"),
        ("channels=3", "channels", "1, 2"),
        ("channels=0", "channels", "1, 2"),
        ("format=ogg", "format", "mp3, wav"),
        ("format=MP3", "format", "mp3, wav"),
        ("async=1", "async", "true, false"),
        ("speed=2", "speed", "rate"),
        ("rate=", "rate", "empty"),
        ("rate=8000&rate=8000", "rate", "twice"),
        ("id=a&source=b", "source", "id"),
        ("file_path=/etc/passwd", "file_path", "rate"),
        ("name=a/b.wav", "name", "U+002F"),
        ("save_as=../b.wav", "save_as", "U+002F"),
    ],
)
def test_a_parameter_that_cannot_be_is_refused_with_what_can(same_server, parameters, parameter, allowed):
    status, _, body = resample(same_server, parameters)
    refusal = json.loads(body)
    assert status == 400 and refusal["parameter"] == parameter and allowed in refusal["detail"]


def test_parameters_are_refused_before_the_body_is_read(server):
    head = "POST /resample?rate=1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n"
    assert raw(server.address, head.encode()).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    "body, status, code",
    [
        (b"just text, nothing more\n" * 10, 415, "not-audio"),
        (b"", 415, "not-audio"),
        (SOUND[:30], 415, "not-audio"),
    ],
    ids=["text", "nothing", "half a head"],
)
def test_what_is_not_audio_is_refused(server, body, status, code):
    assert problem(resample(server, body=body)) == (status, code)
    eventually(lambda: not temporary_files(server))


def test_audio_that_is_not_decoded_is_refused_by_its_name(server):
    import audio_files

    status, _, body = resample(server, body=audio_files.flac())
    refusal = json.loads(body)
    assert (status, refusal["code"], refusal["codec"]) == (415, "unsupported-conversion", "flac")
    assert refusal["detail"] == f"flac in flac is not decoded; {DECODED}, are"


def test_a_body_or_a_stored_file_is_needed_and_not_both(server):
    post(server, "a.wav")
    assert problem(resample(server, "source=a.wav")) == (400, "bad-request")
    assert problem(resample(server, "source=b.wav", None)) == (404, "not-found")
    assert problem(resample(server, "id=b", None)) == (404, "not-found")
    answer = raw(server.address, b"POST /resample HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 411 ")


def test_audio_that_is_too_long_is_refused(running):
    server = running(max_resample_seconds=0.05)
    status, _, body = resample(server, AS_IT_IS)
    assert status == 413 and json.loads(body)["limit"] == 0.05


def test_a_result_that_the_disk_has_no_room_for_is_refused(running):
    server = running(free_space=1 << 60)
    assert problem(resample(server, AS_IT_IS)) == (507, "no-space")


# -- later --------------------------------------------------------------------------------------------------


def test_a_conversion_can_be_left_alone_and_fetched(server):
    where = begun(server, AS_IT_IS + "&name=in.wav")
    status = ended(server, where)
    assert (status["status"] == "done" and status["progress"] == 1 and status["done"] == "passthrough")
    assert status["result"] == where + "/result" and status["size"] == len(SOUND)
    assert json.loads(request(server.address, "GET", where)[2]) == status
    code, fields, body = request(server.address, "GET", where + "/result")
    assert (code, body) == (200, SOUND) and 'filename="in.wav"' in fields["content-disposition"]
    eventually(lambda: not temporary_files(server))
    for path in ("", "/events", "/result"):
        assert problem(request(server.address, "GET", where + path)) == (410, "gone")
    assert problem(request(server.address, "DELETE", where)) == (410, "gone")


def test_async_as_a_parameter_is_the_same(server):
    assert resample(server, AS_IT_IS + "&async=true")[0] == 202
    assert resample(server, AS_IT_IS + "&async=false")[0] == 200


def test_a_head_does_not_count_as_delivered(server):
    where = begun(server)
    ended(server, where)
    code, fields, body = request(server.address, "HEAD", where + "/result")
    assert (code, body, fields["content-length"]) == (200, b"", str(len(SOUND)))
    assert request(server.address, "HEAD", where + "/events")[0] == 200
    assert request(server.address, "GET", where + "/result")[2] == SOUND


def test_ranges_that_cover_it_together_deliver_it(server):
    where = begun(server)
    ended(server, where)
    pieces = b""
    for span in ("0-99", "100-199", "200-"):
        status, fields, body = request(server.address, "GET", where + "/result", headers={"Range": "bytes=" + span})
        assert status == 206 and fields["content-range"].endswith(f"/{len(SOUND)}")
        pieces += body
    assert pieces == SOUND
    eventually(lambda: request(server.address, "GET", where)[0] == 410)
    eventually(lambda: not temporary_files(server))


def test_an_interrupted_download_can_be_resumed(server):
    long = big_wav(24_000_000)
    where = begun(server, AS_IT_IS, long)
    ended(server, where)
    with socket.create_connection(server.address, timeout=60) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        sock.sendall(f"GET {where}/result HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        head = sock.recv(65536)
    etag = head.decode("latin-1").split("ETag: ")[1].split("\r\n")[0]
    assert request(server.address, "GET", where)[0] == 200
    fields = {"Range": "bytes=1000-", "If-Range": etag}
    status, _, rest = request(server.address, "GET", where + "/result", headers=fields)
    assert status == 206 and rest == long[1000:]
    assert request(server.address, "GET", where + "/result")[2] == long
    eventually(lambda: not temporary_files(server))


def big_wav(count):
    """`count` bytes of silence as 8 kHz mono WAV."""
    fmt = struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16)
    return (
        b"RIFF"
        + struct.pack("<I", 36 + count)
        + b"WAVEfmt "
        + fmt
        + b"data"
        + struct.pack("<I", count)
        + bytes(count)
    )


def test_a_waiting_client_that_leaves_during_its_answer_leaves_nothing(server):
    long = big_wav(24_000_000)
    with socket.create_connection(server.address, timeout=60) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        sock.sendall(
            f"POST /resample?{AS_IT_IS} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(long)}\r\n\r\n".encode()
        )
        sock.sendall(long)
        assert sock.recv(1000).startswith(b"HTTP/1.1 200 ")
    eventually(lambda: not temporary_files(server))


def test_a_waiting_client_is_told_that_its_result_cannot_be_read(server, monkeypatch):
    def full(*_):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(server.server.jobs, "open_result", full)
    assert problem(resample(server, AS_IT_IS)) == (503, "busy")
    eventually(lambda: not temporary_files(server))


def test_a_removed_conversion_is_gone(server):
    where = begun(server)
    ended(server, where)
    assert request(server.address, "DELETE", where)[0] == 204
    assert problem(request(server.address, "GET", where)) == (410, "gone")
    assert temporary_files(server) == []


@pytest.mark.parametrize("path", ["", "/events", "/result"])
def test_what_never_was_is_not_found(server, path):
    assert problem(request(server.address, "GET", "/resample/" + "x" * 24 + path)) == (
        404,
        "not-found",
    )


def test_a_waiting_clients_job_has_no_address(server):
    resample(server, AS_IT_IS)
    assert problem(request(server.address, "GET", "/resample/")) == (404, "not-found")


def test_a_result_waits_for_a_restart(running, tmp_path):
    server = running()
    where = begun(server)
    ended(server, where)
    server.__exit__()
    again = running()
    assert request(again.address, "GET", where + "/result")[2] == SOUND


def test_a_path_of_the_server_is_never_in_an_answer(server):
    where = begun(server)
    answers = [
        resample(server, AS_IT_IS),
        resample(server),
        resample(server, "rate=1"),
        resample(server, body=b"text"),
    ]
    answers += [
        request(server.address, "GET", where + path)
        for path in ("", "/events", "/result", "/nothing")
    ]
    folder = str(server.server.storage.data)
    for status, fields, body in answers:
        assert folder not in json.dumps(fields) and folder.encode() not in body
        assert b"conversions" not in body and os.sep.encode() + b"tmp" not in body
