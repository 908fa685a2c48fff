"""A server whose audio is in a store on another machine: nobody can tell, until that machine fails."""

from __future__ import annotations

import contextlib
import gc
import http.client
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.parse

import pytest
from support import ROOT, eventually, long_wav, raw, request, wav
from tiny_s3 import ENVIRONMENT, TinyS3, cuts_after, says, serves

from audiokit.blobs.parts import LARGEST
from audioserver import main
from storage import Storage

pytestmark = pytest.mark.slow  # servers and stores come and go: a quarter of the quick suite's minute

WAV = wav(0.1)


@pytest.fixture
def server(running, tiny):
    return running(blobs=tiny.url("p"))


def post(server, name, data, **more):
    query = urllib.parse.urlencode({"name": name, **more})
    status, fields, body = request(server.address, "POST", "/post?" + query, data)
    return status, fields, json.loads(body)


def get(server, target, **headers):
    return request(server.address, "GET", target, headers=headers)


def kept(tiny):
    """The store's objects that are audio."""
    return [name for name in tiny.names() if name.startswith("p/files/")]


# -- nobody can tell -----------------------------------------------------------------------------------------------


def test_a_life_in_a_store_is_as_any_other(server, tiny):
    status, fields, record = post(server, "a.wav", WAV)
    assert status == 201 and fields["location"] == "/files/" + record["id"]
    assert [tiny.objects[name][0] for name in kept(tiny)] == [WAV]
    assert post(server, "a.wav", WAV)[0] == 200 and len(kept(tiny)) == 1
    assert json.loads(get(server, "/list")[2])["total"] == 1

    status, fields, body = get(server, "/download?name=a.wav")
    assert (status, body) == (200, WAV)
    etag = fields["etag"]
    assert get(server, "/download?name=a.wav", **{"If-None-Match": etag})[0] == 304
    status, fields, body = get(server, "/download?name=a.wav", Range="bytes=5-99")
    assert (status, body, fields["content-range"]) == (206, WAV[5:100], f"bytes 5-99/{len(WAV)}")
    assert get(server, "/download?name=a.wav", Range="bytes=-7")[2] == WAV[-7:]
    assert get(server, "/download?name=a.wav", Range=f"bytes={len(WAV)}-")[0] == 416
    status, _, body = get(server, "/download?name=a.wav", Range="bytes=0-9,20-29,90-")
    assert status == 206 and body.count(b"Content-Range:") == 3
    assert all(part in body for part in (WAV[:10], WAV[20:30], WAV[90:]))
    asked = len(tiny.requests)
    status, fields, body = request(server.address, "HEAD", "/download?name=a.wav")
    assert (status, body, fields["content-length"]) == (200, b"", str(len(WAV)))
    assert len(tiny.requests) == asked, "HEAD is answered from the row"

    status, _, second = post(server, "a.wav", wav(0.2), overwrite="true")
    assert (status, second["id"]) == (200, record["id"])
    assert [tiny.objects[name][0] for name in kept(tiny)] == [wav(0.2)]
    assert request(server.address, "DELETE", "/files/" + record["id"])[0] == 204
    assert not kept(tiny) and get(server, "/download?name=a.wav")[0] == 404
    assert os.listdir(str(server.data / "uploads")) == []


def test_what_is_refused_never_reaches_the_store(server, tiny):
    puts = len(tiny.requests)
    assert post(server, "a.wav", b"this is not audio")[0] == 415
    assert post(server, "..", WAV)[0] == 400
    assert len(tiny.requests) == puts


def test_pipelined_downloads_come_in_order(server):
    post(server, "a.wav", WAV)
    post(server, "b.wav", wav(0.2))
    asked = b"".join(
        b"GET /download?name=%b HTTP/1.1\r\nHost: localhost\r\n%b\r\n" % (name, more)
        for name, more in ((b"a.wav", b""), (b"b.wav", b""), (b"a.wav", b"Connection: close\r\n"))
    )
    answer = raw(server.address, asked)
    assert answer.count(b"HTTP/1.1 200") == 3
    assert [len(part) for part in answer.split(b"RIFF")[1:]][2] == len(WAV) - 4
    assert answer.endswith(WAV)


@pytest.mark.parametrize("portable", [False, True])
def test_a_large_file_comes_and_goes_whole_on_every_path(running, tiny, portable):
    server = running(blobs=tiny.url("p"), portable=portable)
    data = long_wav(200, 16000)
    assert post(server, "long.wav", data)[0] == 201
    for _ in range(2):
        assert get(server, "/download?name=long.wav")[2] == data
    assert get(server, "/download?name=long.wav", Range="bytes=1000000-6000000")[2] == data[1000000:6000001]


def test_clients_that_do_not_read_hold_neither_threads_nor_memory(running, tiny):
    server = running(blobs=tiny.url("p"), far_threads=1, bulk_threads=1, work_threads=1)
    data = long_wav(600, 16000)
    assert post(server, "long.wav", data)[0] == 201 and post(server, "short.wav", WAV)[0] == 201
    lazy = []
    try:
        for _ in range(8):
            sock = socket.create_connection(server.address)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.sendall(b"GET /download?name=long.wav HTTP/1.1\r\nHost: localhost\r\n\r\n")
            lazy.append(sock)
        for sock in lazy:
            assert sock.recv(12) == b"HTTP/1.1 200"
        assert get(server, "/download?name=short.wav")[2] == WAV
        assert get(server, "/info?name=short.wav")[0] == 200
        held = [c.sending.left_here for c in list(server.server.reactor._connections.values()) if c.sending]
        assert len(held) == 8 and sum(held) <= 8 * ((1 << 17) + 1024)
    finally:
        for sock in lazy:
            sock.close()


def test_a_stored_file_is_converted_from_the_store(server):
    _, _, record = post(server, "a.wav", long_wav(1))
    status, fields, body = request(server.address, "POST", f"/resample?id={record['id']}&format=wav&rate=8000")
    assert status == 200 and len(body) == 44 + 16000
    status, _, saved = request(server.address, "POST", f"/resample?id={record['id']}&format=wav&rate=8000&save_as=b.wav")
    assert status == 201 and get(server, "/download?name=b.wav")[2] == body


def test_no_more_is_taken_than_a_store_takes_in_parts(running, tiny):
    server = running(blobs=tiny.url("p"), max_upload=1 << 60)
    status, fields, body = request(
        server.address, "POST", "/post", headers={"Content-Length": str(LARGEST + 1), "Expect": "100-continue"}
    )
    assert status == 413 and json.loads(body)["limit"] == LARGEST == 5000 << 30


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A file with a fresh key and its certificate for 127.0.0.1; skipped aloud where there is no openssl."""
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
               "-subj", "/CN=tiny", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"]
    try:
        done = subprocess.run(command, cwd=str(path.parent), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    except FileNotFoundError:
        pytest.skip("skipped: openssl is not here to make a certificate")
    if done.returncode:
        pytest.skip("skipped: this openssl makes no certificate for an address")
    path.write_bytes((path.parent / "key.pem").read_bytes() + (path.parent / "cert.pem").read_bytes())
    return path


def test_a_store_behind_tls_is_as_any_other(running, monkeypatch, certificate):
    for name, value in {**ENVIRONMENT, "AWS_CA_BUNDLE": str(certificate.parent / "cert.pem")}.items():
        monkeypatch.setenv(name, value)
    data = long_wav(100)
    with TinyS3(certificate=certificate) as tiny:
        server = running(blobs=tiny.url("p"))
        assert post(server, "a.wav", data)[0] == 201
        for _ in range(2):
            assert get(server, "/download?name=a.wav")[2] == data
        assert get(server, "/download?name=a.wav", Range="bytes=100000-2900000")[2] == data[100000:2900001]
        tiny.faults += [cuts_after(300_000), cuts_after(200_000)]
        assert get(server, "/download?name=a.wav")[2] == data
        assert tiny.requests[-1][2] == f"bytes=500000-{len(data) - 1}"


def test_a_certificate_that_nobody_vouches_for_is_told(tmp_path, monkeypatch, certificate):
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    with TinyS3(certificate=certificate) as tiny:
        with pytest.raises(OSError, match="self.signed certificate"):
            Storage(tmp_path / "var", blobs=tiny.url("p"))


# -- the store fails -----------------------------------------------------------------------------------------------


def test_a_download_goes_on_where_the_store_cut_it(server, tiny):
    data = long_wav(30)
    post(server, "a.wav", data)
    tiny.requests.clear()
    tiny.faults += [cuts_after(300_000), says(503), cuts_after(100), serves]
    assert get(server, "/download?name=a.wav")[2] == data
    assert [wanted for _, _, wanted in tiny.requests] == [
        None, *[f"bytes=300000-{len(data) - 1}"] * 2, f"bytes=300100-{len(data) - 1}",
    ]


def test_a_store_that_falls_silent_in_the_middle_is_asked_again(server, tiny, pass_time):
    data = long_wav(30)
    post(server, "a.wav", data)
    let_go = threading.Event()

    def falls_silent(handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(data) + data[:500_000])
        handler.wfile.flush()
        let_go.wait(60)
        handler.close_connection = True

    tiny.faults.append(falls_silent)
    with contextlib.closing(http.client.HTTPConnection(*server.address, timeout=60)) as connection:
        connection.request("GET", "/download?name=a.wav")
        answer = connection.getresponse()
        assert answer.read(500_000) == data[:500_000]
        pass_time(20.1)
        assert answer.read() == data[500_000:]
    let_go.set()
    assert tiny.requests[-1][2] == f"bytes=500000-{len(data) - 1}"


def test_a_download_that_cannot_be_gone_on_with_ends_short_and_never_wrong(server, tiny):
    data = long_wav(30)
    post(server, "a.wav", data)
    tiny.faults += [cuts_after(300_000)] + [says(403, "AccessDenied")]
    connection = http.client.HTTPConnection(*server.address, timeout=60)
    connection.request("GET", "/download?name=a.wav")
    with pytest.raises(http.client.IncompleteRead) as told:
        connection.getresponse().read()
    connection.close()
    assert told.value.partial == data[:300_000]
    assert get(server, "/download?name=a.wav")[2] == data


def test_a_client_that_leaves_leaves_no_connection_to_the_store_behind(server, tiny):
    post(server, "a.wav", long_wav(600))
    with socket.create_connection(server.address) as sock:
        sock.sendall(b"GET /download?name=a.wav HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert sock.recv(1000)
        store = server.server.storage._blobs._store
        assert store._busy
    eventually(lambda: not store._busy)
    eventually(lambda: not server.server.reactor._upstreams)


def test_an_upload_that_the_store_refuses_leaves_nothing(server, tiny):
    post(server, "first.wav", WAV)
    before = kept(tiny)
    tiny.faults += [says(403, "AccessDenied"), serves]
    status, fields, problem = post(server, "a.wav", wav(0.2))
    assert (status, problem["code"], fields["retry-after"]) == (503, "busy", "5")
    assert "AKID" not in json.dumps(problem)
    assert json.loads(get(server, "/list")[2])["total"] == 1 and kept(tiny) == before
    assert os.listdir(str(server.data / "uploads")) == []
    assert post(server, "a.wav", wav(0.2))[0] == 201


def test_while_the_store_is_away_rows_are_answered_and_bytes_are_busy(running, monkeypatch):
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    with TinyS3() as tiny:
        server = running(blobs=tiny.url("p"))
        post(server, "a.wav", WAV)
    assert get(server, "/info?name=a.wav")[0] == 200 and json.loads(get(server, "/list")[2])["total"] == 1
    for method, target, body in (("GET", "/download?name=a.wav", None), ("POST", "/post?name=b.wav", wav(0.2))):
        status, fields, _ = request(server.address, method, target, body)
        assert (status, fields["retry-after"]) == (503, "5")
    assert request(server.address, "HEAD", "/download?name=a.wav")[0] == 200
    status, _, body = get(server, "/health")
    told = json.loads(body)
    assert status == 503 and list(told["engines"]) == ["blobs"] and f"127.0.0.1:{tiny.port}" in told["detail"]
    assert get(server, "/health/live")[0] == 200
    assert json.loads(get(server, "/list")[2])["total"] == 1


def test_an_upload_to_a_store_that_is_known_to_be_away_is_refused_before_its_body(running, tiny):
    server = running(blobs=tiny.url("p"))
    tiny.faults += [says(503, "SlowDown")] * 8
    for name in "ab":
        assert post(server, name + ".wav", WAV)[0] == 503
    head = b"POST /post HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n"
    assert raw(server.address, head).startswith(b"HTTP/1.1 503 ")


def test_a_store_that_fails_is_in_the_log_once_and_so_is_its_return(running, tiny, capfd):
    server = running(blobs=tiny.url("p"))
    tiny.faults += [says(403, "AccessDenied")]
    assert post(server, "a.wav", WAV)[0] == 503
    assert post(server, "a.wav", WAV)[0] == 201
    server.__exit__()
    told = capfd.readouterr().err
    assert told.count("403 AccessDenied") == 1 and told.count("is well again") == 1
    assert ENVIRONMENT["AWS_SECRET_ACCESS_KEY"] not in told


def test_bytes_that_are_missing_though_their_row_is_there_are_a_fault(server, tiny, capfd):
    post(server, "a.wav", WAV)
    tiny.objects.pop(kept(tiny)[0])
    assert get(server, "/download?name=a.wav")[0] == 500


def test_a_removal_that_the_store_refused_is_made_up_for(server, tiny):
    _, _, record = post(server, "a.wav", WAV)
    tiny.faults += [says(403, "AccessDenied")]
    assert request(server.address, "DELETE", "/files/" + record["id"])[0] == 204
    assert len(kept(tiny)) == 1 and get(server, "/info?name=a.wav")[0] == 404
    assert server.server.storage.collect(3600) == []
    assert not kept(tiny)


# -- downloads elsewhere -------------------------------------------------------------------------------------------


def test_a_download_may_be_sent_to_the_store(running, tiny):
    server = running(blobs=tiny.url("p"), redirect_downloads=True, redirect_ttl=60.0)
    post(server, "ä b.wav", WAV)
    target = "/download?" + urllib.parse.urlencode({"name": "ä b.wav", "disposition": "inline"})
    status, fields, body = get(server, target)
    assert (status, body, fields["cache-control"]) == (307, b"", "no-store")
    parts = urllib.parse.urlsplit(fields["location"])
    assert "X-Amz-Expires=60&" in parts.query
    status, there, body = request((parts.hostname, parts.port), "GET", f"{parts.path}?{parts.query}",
                                  headers={"Range": "bytes=4-9"})
    assert (status, body, there["content-type"]) == (206, WAV[4:10], "audio/wav")
    assert there["content-disposition"].startswith("inline;")
    forged = parts.query.replace("inline", "attachment")
    assert request((parts.hostname, parts.port), "GET", f"{parts.path}?{forged}")[0] == 403


@pytest.mark.parametrize("method, headers, status, why", [
    ("HEAD", {}, 200, "an address for GET is none for HEAD"),
    ("GET", {"Range": "bytes=0-1,4-5"}, 206, "stores send one range"),
    ("GET", {"Range": "bytes=99999999-"}, 416, "the row knows that"),
    ("GET", {"If-None-Match": "*"}, 304, "there is nothing to send"),
    ("GET", {"If-None-Match": '"other"'}, 200, "the store has other entity tags, and the client would show it ours"),
    ("GET", {"If-Range": '"other"', "Range": "bytes=0-1"}, 200, "some stores send the range whatever If-Range says"),
    ("GET", {"Authorization": "Bearer x"}, 200, "the store refuses two proofs"),
    ("GET", {"Range": "bytes=0-1"}, 307, "the store sends a range as well"),
])
def test_what_the_store_would_answer_otherwise_is_answered_here(running, tiny, method, headers, status, why):
    server = running(blobs=tiny.url("p"), redirect_downloads=True)
    post(server, "a.wav", WAV)
    assert request(server.address, method, "/download?name=a.wav", headers=headers)[0] == status, why


# -- whose store it is ---------------------------------------------------------------------------------------------


def test_a_store_belongs_to_one_catalogue(tiny, tmp_path):
    with Storage(tmp_path / "one", blobs=tiny.url("p")):
        pass
    with pytest.raises(OSError, match="belongs to another catalogue"):
        Storage(tmp_path / "two", blobs=tiny.url("p"))
    with Storage(tmp_path / "two", blobs=tiny.url("q")):
        pass
    with pytest.raises(OSError, match="belongs to another catalogue; the audio of this one is in s3://tiny/q/ at"):
        Storage(tmp_path / "two", blobs=tiny.url("p"))
    with pytest.raises(OSError, match="is in s3://tiny/p/ at .*: say where with --blobs"):
        Storage(tmp_path / "one")
    with Storage(tmp_path / "one", create=False, exclusive=False) as rows:
        assert list(rows.dump()), "whoever only reads rows need not know where the bytes are"
        with pytest.raises(OSError, match="say where with --blobs"):
            rows.backup(tmp_path / "copy")
        with pytest.raises(OSError, match="say where with --blobs"):
            rows.check()
    with Storage(tmp_path / "one", blobs=tiny.url("p")):
        pass


def test_a_catalogue_whose_audio_is_in_its_folder_does_not_begin_with_a_store(running, tiny, tmp_path):
    with running(tmp_path / "home") as home:
        post(home, "a.wav", WAV)
    with pytest.raises(OSError, match="db move"):
        Storage(tmp_path / "home", blobs=tiny.url("p"))
    assert not tiny.names()


def test_an_emptied_store_is_not_taken_for_ours(running, tiny, tmp_path):
    with running(tmp_path / "var", blobs=tiny.url("p")) as server:
        post(server, "a.wav", WAV)
    tiny.objects.clear()
    with pytest.raises(OSError, match="not the store of this catalogue"):
        Storage(tmp_path / "var", blobs=tiny.url("p"))


@pytest.mark.parametrize("fault, words", [
    (says(404, "NoSuchBucket"), "has no bucket 'tiny'"), (says(403, "AccessDenied"), "our keys"),
])
def test_a_store_that_will_never_do_ends_the_start_in_one_line(tiny, tmp_path, capsys, fault, words):
    tiny.faults += [fault]
    assert main(["serve", "--data", str(tmp_path / "var"), "--port", "0", "--blobs", tiny.url("p")]) == 1
    told = capsys.readouterr().err
    assert words in told and told.count("\n") == 1


def test_a_server_begins_while_its_store_is_away_and_is_well_when_that_is_back(running, tiny, tmp_path):
    with running(tmp_path / "var", blobs=tiny.url("p")) as server:
        post(server, "a.wav", WAV)
    tiny.faults += [says(503, "SlowDown")]
    server = running(tmp_path / "var", blobs=tiny.url("p"))
    assert not tiny.faults
    assert get(server, "/info?name=a.wav")[0] == 200
    assert get(server, "/download?name=a.wav")[2] == WAV


# -- collecting ----------------------------------------------------------------------------------------------------

ORPHAN = "p/files/ab/" + "ab" * 16


def test_only_bytes_that_no_row_names_and_that_are_old_enough_are_collected(server, tiny):
    for n in range(3):
        post(server, f"{n}.wav", wav(0.1 + n / 10))
    files = kept(tiny)
    for name in files:
        tiny.objects[name] = (tiny.objects[name][0], time.time() - 10 ** 6)
    tiny.objects[ORPHAN] = (b"x", time.time() - 3000)
    tiny.objects["p/files/notes.txt"] = tiny.objects["other"] = (b"mine", 0)
    assert server.server.storage.collect(3600) == []
    assert server.server.storage.collect(2900) == ["ab" * 16]
    assert kept(tiny) == sorted([*files, "p/files/notes.txt"]) and "other" in tiny.objects


@pytest.mark.parametrize("faults, why", [
    ([says(404, "NoSuchBucket")], "the bucket is gone, or another engine behind it is ill"),
    ([lambda h: h.reply(200, b"cd" * 16)], "the mark is another catalogue's"),
    ([says(404, "NoSuchKey")], "the mark is gone"),
    ([serves, says(403, "AccessDenied")], "the list cannot be read"),
    ([serves, lambda h: h.reply(200, b"<ListBucketResult>")], "the list is cut short"),
    ([serves, says(404, "NoSuchBucket")], "another answers the list"),
])
def test_nothing_is_collected_when_anything_cannot_be_read(server, tiny, faults, why):
    post(server, "a.wav", WAV)
    tiny.objects[ORPHAN] = (b"x", 0)
    storage = server.server.storage
    for one in faults:
        tiny.faults.append(one)
    if len(faults) == 2 and "cut short" in why:
        tiny.faults += [faults[1]]  # asked once: a list that is none is no outage of a moment
    before = dict(tiny.objects)
    with pytest.raises(OSError):
        storage.collect(0)
    tiny.faults.clear()
    assert tiny.objects == before, why


def test_a_catalogue_that_cannot_be_read_collects_nothing(server, tiny):
    post(server, "a.wav", WAV)
    storage = server.server.storage
    storage._catalogue.close()
    with pytest.raises((OSError, sqlite3.Error, ValueError)):
        storage.collect(0)
    assert len(kept(tiny)) == 1


def test_the_server_collects_by_itself(running, tiny):
    running(blobs=tiny.url("p"), orphan_grace=0.4)
    tiny.objects[ORPHAN] = (b"x", 0)
    eventually(lambda: ORPHAN not in tiny.objects)


def test_a_server_killed_between_the_bytes_and_the_row_leaves_an_orphan_for_the_collector(tiny, tmp_path):
    command = [sys.executable, str(ROOT / "audioserver.py"), "--port", "0", "--data", str(tmp_path / "var"),
               "--blobs", tiny.url("p"), "--log", "none"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **ENVIRONMENT})
    with process.stdout:
        address = ("127.0.0.1", int(process.stdout.readline().rsplit(":", 1)[1]))

    def keeps_and_kills(handler):
        handler.reply = lambda *_: (process.send_signal(signal.SIGTERM if os.name == "nt" else signal.SIGKILL),
                                    process.wait(60))
        handler.serve()
        handler.close_connection = True
        del handler.reply

    tiny.faults.append(keeps_and_kills)
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        request(address, "POST", "/post?name=a.wav", WAV)
    process.wait(60)
    orphan = kept(tiny)
    assert len(orphan) == 1
    with Storage(tmp_path / "var", blobs=tiny.url("p")) as storage:
        assert kept(tiny) == orphan, "a start removes nothing: another server's upload looks the same"
        assert os.listdir(str(tmp_path / "var" / "uploads")) == []
        assert storage.collect(3600) == [] and kept(tiny) == orphan
        assert len(storage.collect(0)) == 1 and not kept(tiny)


# -- commands ------------------------------------------------------------------------------------------------------


def test_the_commands_work_on_a_store(running, tiny, tmp_path, capsys):
    data, blobs = str(tmp_path / "var"), tiny.url("p")
    where = ["--data", data, "--blobs", blobs]
    assert main(["db", "create", *where]) == 0
    with running(tmp_path / "var", blobs=blobs) as server:
        for n in range(3):
            post(server, f"{n}.wav", wav(0.1 + n / 10))
        assert main(["db", "check", "--deep", *where]) == 0
        assert main(["db", "backup", str(tmp_path / "copy"), *where]) == 0
    with running(tmp_path / "copy") as copy:
        assert get(copy, "/download?name=1.wav")[2] == wav(0.2)
    lost = kept(tiny)[1]
    tiny.objects[lost] = (b"x" * len(tiny.objects[lost][0]), 0)
    assert main(["db", "check", *where]) == 0
    assert main(["db", "check", "--deep", *where]) == 1
    assert "has the sha256" in capsys.readouterr().out
    tiny.objects["other"] = (b"mine", 0)
    assert main(["db", "destroy", "--yes", *where]) == 0
    assert tiny.names() == ["other"]


def test_a_check_never_fixes_by_another_catalogues_store(running, tiny, tmp_path, capsys):
    with running(tmp_path / "var", blobs=tiny.url("p")) as server:
        post(server, "a.wav", WAV)
    where = ["--data", str(tmp_path / "var"), "--blobs"]
    assert main(["db", "check", "--fix", *where, tiny.url("empty")]) == 1
    assert main(["db", "check", *where, tiny.url("p")]) == 0
    gc.collect()


# -- moving --------------------------------------------------------------------------------------------------------


def test_audio_is_moved_out_and_back_and_is_the_same(running, tiny, tmp_path, capsys):
    data, there, further = str(tmp_path / "var"), tiny.url("p"), tiny.url("q")
    with running(tmp_path / "var") as home:
        for n in range(3):
            post(home, f"{n}.wav", wav(0.1 + n / 10))
        before = get(home, "/list?sort=name")[2]
    steps = [
        (["--blobs", there], {"blobs": there}),
        (["--blobs", further, "--from-blobs", there], {"blobs": further}),
        (["--home", "--from-blobs", further], {}),
        (["--blobs", there], {"blobs": there}),
    ]
    for arguments, settings in steps:
        assert main(["db", "move", "--data", data, *arguments]) == 0, capsys.readouterr().err
        with running(tmp_path / "var", **settings) as server:
            assert get(server, "/list?sort=name")[2] == before
            for n in range(3):
                assert get(server, f"/download?name={n}.wav")[2] == wav(0.1 + n / 10)
            record = post(server, "new.wav", wav(0.05))[2]
            assert request(server.address, "DELETE", "/files/" + record["id"])[0] == 204, "it may be changed again"
            assert main(["db", "check", "--data", data, *(["--blobs", settings["blobs"]] if settings else [])]) == 0


def test_while_audio_is_moved_a_server_reads_and_refuses_changes(running, tiny, tmp_path, capsys):
    server = running(tmp_path / "var")
    _, _, record = post(server, "a.wav", WAV)
    tiny.faults += [serves, serves, says(403, "AccessDenied")]  # the mark, twice; then the first file
    assert main(["db", "move", "--data", str(tmp_path / "var"), "--blobs", tiny.url("p")]) == 1
    assert "answers 403" in capsys.readouterr().err
    assert get(server, "/download?name=a.wav")[2] == WAV
    id = record["id"]
    for method, target, body in (
        ("POST", "/post?name=b.wav", wav(0.2)), ("POST", "/post?name=a.wav&overwrite=true", wav(0.2)),
        ("PATCH", f"/files/{id}", b'{"name": "c.wav"}'), ("DELETE", f"/files/{id}", None),
    ):
        status, fields, problem = request(server.address, method, target, body)
        assert (status, fields["retry-after"]) == (503, "60"), (method, target)
        assert "is being moved" in json.loads(problem)["detail"]
    assert os.listdir(str(tmp_path / "var" / "uploads")) == []
    assert json.loads(get(server, "/list")[2])["total"] == 1
    assert main(["db", "move", "--data", str(tmp_path / "var"), "--cancel"]) == 0
    assert post(server, "b.wav", wav(0.2))[0] == 201
    assert main(["db", "check", "--data", str(tmp_path / "var")]) == 0


def test_an_interrupted_move_goes_on_where_it_was_and_begins_nowhere_else(running, tiny, tmp_path, capsys):
    data = str(tmp_path / "var")
    with running(tmp_path / "var") as server:
        for n in range(4):
            post(server, f"{n}.wav", wav(0.1 + n / 10))

    def refuses_the_third(handler):
        if handler.command == "PUT" and len(kept(tiny)) == 2:
            return handler.error(403, "AccessDenied")
        tiny.faults.append(refuses_the_third)
        return False

    tiny.faults.append(refuses_the_third)
    assert main(["db", "move", "--data", data, "--blobs", tiny.url("p")]) == 1
    assert main(["db", "move", "--data", data, "--blobs", tiny.url("q")]) == 1
    assert "finish it" in capsys.readouterr().err
    with pytest.raises(OSError, match="not all of the audio has been moved from the data folder"):
        Storage(data, blobs=tiny.url("p"))
    damaged = kept(tiny)[0]
    tiny.objects[damaged] = (b"x" * len(tiny.objects[damaged][0]), 0)
    assert main(["db", "move", "--data", data, "--blobs", tiny.url("p")]) == 0
    assert "moved 4 files" in capsys.readouterr().out
    with running(tmp_path / "var", blobs=tiny.url("p")) as server:
        for n in range(4):
            assert get(server, f"/download?name={n}.wav")[2] == wav(0.1 + n / 10)


def test_bytes_that_are_not_what_their_row_says_are_not_moved(running, tiny, tmp_path, capsys):
    data = tmp_path / "var"
    with running(data) as server:
        post(server, "a.wav", WAV)
    (blob,) = (data / "files").glob("*/*")
    blob.write_bytes(bytes(len(WAV)))
    assert main(["db", "move", "--data", str(data), "--blobs", tiny.url("p")]) == 1
    assert "have the sha256" in capsys.readouterr().err
    with pytest.raises(OSError):
        Storage(data, blobs=tiny.url("p"))
