"""TLS as callers meet it: over real sockets, on native and on plain paths, with a certificate of our own.

`tests/tls` holds two self-signed certificates for localhost with their keys, made for these tests and good until 2126:
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 36524 -subj /CN=localhost
-addext subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1 -addext basicConstraints=critical,CA:TRUE
"""

from __future__ import annotations

import http.client
import json
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
from contextlib import closing, suppress

import pytest
from people import QUICK, Person
from support import ROOT, Running, begun_since, eventually, long_wav, raw, request, wav

from audiokit.settings import networks

ssl = pytest.importorskip("ssl")

FOLDER = ROOT / "tests" / "tls"
ONE = {"tls_cert": str(FOLDER / "one.pem"), "tls_key": str(FOLDER / "one.key")}
ASK = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /post?name=%s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
SOUND = wav(0.5)


def client(trusted="one.pem", **versions):
    context = ssl.create_default_context(cafile=str(FOLDER / trusted))
    for name, value in versions.items():
        setattr(context, name, value)
    return context


TRUSTING = client()


def connect(address, context=TRUSTING, **options):
    sock = socket.create_connection(address, timeout=60)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        return context.wrap_socket(sock, server_hostname="localhost", **options)
    except BaseException:
        sock.close()
        raise


def ask(address, method, target, body=None, headers=None, context=TRUSTING):
    """One request on a connection of its own: (status, fields by lower-case name, body)."""
    with closing(http.client.HTTPSConnection(*address, timeout=60, context=context)) as connection:
        connection.request(method, target, body, headers or {})
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()


def until_end(sock):
    """All that comes until the other side says that it ends; an end without close_notify raises."""
    out = bytearray()
    while True:
        piece = sock.recv(65536)
        if not piece:
            return bytes(out)
        out += piece


class ByHand:
    """A client whose encrypted bytes pass through the test's hands."""

    def __init__(self, address, context=TRUSTING):
        self.sock = socket.create_connection(address, timeout=60)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")

    def until_done(self, act, *arguments, one_by_one=False):
        while True:
            try:
                result = act(*arguments)
                self.send(self.outgoing.read(), one_by_one)
                return result
            except ssl.SSLWantReadError:
                self.send(self.outgoing.read(), one_by_one)
                data = self.sock.recv(65536)
                if data:
                    self.incoming.write(data)
                else:
                    self.incoming.write_eof()

    def send(self, data, one_by_one=False):
        step = 1 if one_by_one else len(data) or 1
        for at in range(0, len(data), step):
            self.sock.sendall(data[at : at + step])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()


@pytest.fixture(scope="module", params=["native", "portable"])
def sealed(request, tmp_path_factory):
    """A server with TLS, on this platform's own paths, then on the plain ones."""
    with Running(tmp_path_factory.mktemp("data"), portable=request.param == "portable", **ONE) as one:
        yield one


def hello(context=TRUSTING):
    """The first bytes of a client."""
    outgoing = ssl.MemoryBIO()
    tls = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


class TestTheSameService:
    def test_a_life_over_tls(self, sealed):
        assert sealed.url == "https://127.0.0.1:%d" % sealed.address[1]
        status, _, body = ask(sealed.address, "POST", "/post?name=life.wav", SOUND)
        record = json.loads(body)
        assert status == 201 and record["size"] == len(SOUND)
        assert json.loads(ask(sealed.address, "GET", "/info?name=life.wav")[2]) == record
        assert ask(sealed.address, "GET", "/download?name=life.wav")[2] == SOUND
        status, fields, body = ask(sealed.address, "GET", "/download?name=life.wav", headers={"Range": "bytes=4-99"})
        assert (status, body) == (206, SOUND[4:100])
        assert ask(sealed.address, "HEAD", "/download?name=life.wav")[1]["content-length"] == str(len(SOUND))
        assert ask(sealed.address, "DELETE", "/files/" + record["id"])[0] == 204

    def test_large_bodies_come_and_go_whole(self, sealed):
        large = long_wav(200)
        assert ask(sealed.address, "POST", "/post?name=large.wav", large)[0] == 201
        assert ask(sealed.address, "POST", "/post?name=chunked.wav", iter([large[:70_000], large[70_000:]]))[0] == 201
        for name in ("large", "chunked"):
            assert ask(sealed.address, "GET", f"/download?name={name}.wav")[2] == large

    def test_a_reader_of_small_steps_gets_every_byte(self, sealed):
        large = long_wav(120)
        assert ask(sealed.address, "POST", "/post?name=steps.wav&overwrite=true", large)[0] in (200, 201)
        with connect(sealed.address) as sock:
            sock.sendall(b"GET /download?name=steps.wav HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            out = bytearray()
            while True:
                piece = sock.recv(7000)
                if not piece:
                    break
                out += piece
                if len(out) < 14_000:  # others have their turn while this one does not read
                    assert ask(sealed.address, "GET", "/health")[0] == 200
        assert bytes(out).partition(b"\r\n\r\n")[2] == large

    def test_requests_behind_each_other_in_one_record_are_all_answered(self, sealed):
        """What is decrypted and not yet read is seen by no poller: 600 requests are more than one reading takes."""
        with connect(sealed.address) as sock:
            sock.sendall(ASK * 599 + ASK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            assert until_end(sock).count(b"HTTP/1.1 200 ") == 600

    def test_a_request_in_the_record_that_ends_a_body_is_answered(self, sealed):
        small = wav(0.01)
        for body in (small, long_wav(10)):
            with connect(sealed.address) as sock:
                sock.sendall(POST % (b"tail.wav", len(body)) + body[:-5])
                sock.sendall(body[-5:] + ASK + ASK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
                assert until_end(sock).count(b"HTTP/1.1 200 ") >= 2

    def test_100_continue_and_an_early_refusal(self, sealed):
        with connect(sealed.address) as sock:
            sock.sendall((POST % (b"cont.wav", len(SOUND))).replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"))
            assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
            sock.sendall(SOUND)
            assert b" 201 " in sock.recv(1000)[:20]
        with connect(sealed.address) as sock:
            sock.sendall(POST % (b"a%2Fb.wav", 3_000_000))
            sent = 0
            try:
                for _ in range(30):
                    sent += sock.send(bytes(100_000))
            except OSError:
                pass
            assert sock.recv(1000).startswith(b"HTTP/1.1 400 "), "the answer is read, whatever was still sent"

    def test_a_stream_of_events_and_a_conversion(self, sealed):
        status, _, body = ask(sealed.address, "POST", "/resample?rate=8000&format=wav&async=true", wav(0.2))
        assert status == 202
        with connect(sealed.address) as sock:
            sock.sendall(b"GET /resample/%s/events HTTP/1.1\r\nHost: localhost\r\n\r\n" % json.loads(body)["id"].encode())
            assert b'"done"' in until_end(sock)


class TestVersions:
    @pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
    def test_both_are_spoken_with_modern_suites(self, sealed, version):
        chosen = getattr(ssl.TLSVersion, version)
        with connect(sealed.address, client(minimum_version=chosen, maximum_version=chosen)) as sock:
            assert sock.version() == version.replace("_", ".")
            name = sock.cipher()[0]
            assert "GCM" in name or "CHACHA20" in name
            sock.sendall(ASK)
            assert sock.recv(1000).startswith(b"HTTP/1.1 200 ")

    @pytest.mark.filterwarnings("ignore:ssl:DeprecationWarning")
    def test_older_ones_and_weak_suites_are_not(self, sealed):
        old = client()
        old.set_ciphers("ALL:@SECLEVEL=0")
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
        weak = client(maximum_version=ssl.TLSVersion.TLSv1_2)
        weak.set_ciphers("AES128-SHA:AES256-GCM-SHA384:ECDHE-ECDSA-AES128-SHA")
        for context in (old, weak):
            with pytest.raises((ssl.SSLError, ConnectionError)):
                connect(sealed.address, context).close()

    def test_http_1_1_is_agreed_on(self, sealed):
        context = client()
        context.set_alpn_protocols(["h2", "http/1.1"])
        with connect(sealed.address, context) as sock:
            assert sock.selected_alpn_protocol() == "http/1.1"


class TestHandshakes:
    def test_a_byte_at_a_time_is_a_handshake_and_a_request(self, sealed):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with ByHand(sealed.address, client(maximum_version=version)) as peer:
                peer.until_done(peer.tls.do_handshake, one_by_one=True)
                peer.until_done(peer.tls.write, ASK, one_by_one=True)
                assert peer.until_done(peer.tls.read, 1000).startswith(b"HTTP/1.1 200 ")

    def test_one_that_breaks_off_at_any_byte_harms_nobody(self, sealed):
        whole = hello()
        for cut in range(len(whole)):
            with socket.create_connection(sealed.address, timeout=60) as sock:
                sock.sendall(whole[:cut])
                if cut % 16 == 0:
                    sock.shutdown(socket.SHUT_WR)
                    assert sock.recv(1000) == b""
        assert ask(sealed.address, "GET", "/health")[0] == 200

    def test_broken_records_end_the_connection_and_nothing_else(self, sealed):
        rng, whole = random.Random(3), hello()
        for _ in range(60):
            data = bytearray(whole)
            for _ in range(rng.randrange(1, 4)):
                data[rng.randrange(len(data))] = rng.randrange(256)
            raw(sealed.address, bytes(data))
        for _ in range(60):
            raw(sealed.address, bytes(rng.randrange(256) for _ in range(rng.randrange(1, 300))))
        for data in (b"\x16\x03\x01\xff\xff", b"\x16\x03\x01\x00\x00", b"\x16\x02", b"\x80\x2e\x01\x03\x01", b"\x00"):
            with socket.create_connection(sealed.address, timeout=60) as sock:
                sock.sendall(data)
                assert sock.recv(100) == b"", "no need to wait for more"
        assert ask(sealed.address, "GET", "/health")[0] == 200

    def test_garbage_after_the_handshake_ends_the_connection(self, sealed):
        with ByHand(sealed.address) as peer:
            peer.until_done(peer.tls.do_handshake)
            peer.until_done(peer.tls.write, ASK[:10])
            peer.sock.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))
            out = b""
            while True:
                try:
                    piece = peer.sock.recv(65536)
                except ConnectionError:
                    break
                if not piece:
                    break
                out += piece
        assert b"HTTP" not in out
        assert ask(sealed.address, "GET", "/health")[0] == 200

    def test_plain_http_is_told_so_in_plain_http(self, sealed):
        for data in (ASK, POST % (b"a.wav", len(SOUND)) + SOUND, b"G"):
            head, _, body = raw(sealed.address, data).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 400 ") and b"X-Content-Type-Options: nosniff" in head
            assert "https://" in json.loads(body)["detail"]

    @pytest.mark.parametrize("portable", [False, True])
    def test_those_that_never_finish_end_at_the_deadline_and_use_no_thread(self, running, pass_time, portable):
        server = running(portable=portable, **ONE)
        assert ask(server.address, "GET", "/health")[0] == 200  # whoever looks at that has begun
        before = threading.enumerate()
        whole = hello()
        crowd = []
        try:
            for number in range(150):  # silent, in the first record, and after it
                sock = socket.create_connection(server.address, timeout=60)
                sock.sendall(whole[: (0, 3, 100, len(whole))[number % 4]])
                crowd.append(sock)
            assert ask(server.address, "GET", "/health")[0] == 200
            assert not begun_since(before)
            pass_time(10.1)
            for sock in crowd:
                with suppress(ConnectionError):  # what it had not read yet makes the end a reset
                    while sock.recv(65536):
                        pass
        finally:
            for sock in crowd:
                sock.close()

    def test_a_deadline_is_not_moved_by_bytes(self, running, pass_time):
        server = running(**ONE)
        with socket.create_connection(server.address, timeout=60) as sock:
            for byte in hello()[:12]:
                with suppress(ConnectionError):  # it has ended: nobody knows whether in the last turn or in this one
                    sock.sendall(bytes([byte]))
                assert ask(server.address, "GET", "/health")[0] == 200
                pass_time(1.0)
            with suppress(ConnectionError):
                assert sock.recv(1) == b""


class TestEnds:
    def test_the_server_says_that_it_ends(self, sealed):
        with connect(sealed.address, suppress_ragged_eofs=False) as sock:
            sock.sendall(ASK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            assert until_end(sock).startswith(b"HTTP/1.1 200 ")

    def test_a_client_that_has_said_all_still_gets_its_answer(self, sealed):
        """close_notify, with or without the end of the connection below, is what the end of input is to plain HTTP."""
        for ends_below in (False, True):
            with ByHand(sealed.address) as peer:
                peer.until_done(peer.tls.do_handshake)
                peer.tls.write(ASK)
                with pytest.raises(ssl.SSLWantReadError):
                    peer.tls.unwrap()
                peer.send(peer.outgoing.read())
                if ends_below:
                    peer.sock.shutdown(socket.SHUT_WR)
                out = b""
                while True:  # and then the server ends it, without waiting for its idle time
                    data = peer.sock.recv(65536)
                    if not data:
                        break
                    out += data
            assert len(out) > 200

    def test_a_body_that_breaks_off_leaves_nothing(self, running):
        for farewell in (True, False):
            server = running(**ONE)
            sock = connect(server.address)
            sock.sendall(POST % (b"gone.wav", len(SOUND)) + SOUND[:5000])
            if farewell:
                with pytest.raises(ssl.SSLError):  # what comes is the refusal, no farewell
                    sock.unwrap()
            sock.close()
            assert ask(server.address, "GET", "/info?name=gone.wav")[0] == 404
            server.__exit__()
            folders = (server.data / "files", server.data / "uploads")
            assert not [path for folder in folders for path in folder.rglob("*") if path.is_file()]

    def test_a_reader_that_does_not_read_is_given_up(self, running, pass_time):
        server = running(**ONE)
        large = long_wav(300)
        assert ask(server.address, "POST", "/post?name=large.wav", large)[0] == 201
        with socket.socket() as below:
            below.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            below.settimeout(60)
            below.connect(server.address)
            with TRUSTING.wrap_socket(below, server_hostname="localhost") as sock:
                sock.sendall(b"GET /download?name=large.wav HTTP/1.1\r\nHost: localhost\r\n\r\n")
                sock.recv(1000)
                assert ask(server.address, "GET", "/health")[0] == 200
                connections = server.server.reactor._connections

                def is_given_up():
                    pass_time(20.1)  # again and again: until the buffers are full it gets on
                    return not any(one.state == "sending" for one in list(connections.values()))

                eventually(is_given_up)
                rest = 0
                try:
                    while rest < len(large):
                        piece = sock.recv(65536)
                        if not piece:
                            break
                        rest += len(piece)
                except (ssl.SSLError, ConnectionError):
                    pass
                assert rest < len(large) - 1000, "given up before it was all sent"

    def test_shutdown_lets_a_running_upload_finish(self, running):
        server = running(**ONE)
        with connect(server.address) as sock:
            sock.sendall((POST % (b"late.wav", len(SOUND))).replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"))
            assert b"100 Continue" in sock.recv(100)
            server.server.stop()
            sock.sendall(SOUND)
            assert sock.recv(1000).startswith(b"HTTP/1.1 201 ")


class TestTheSocketAlone:
    """Without a server: both ends of one connection in the test's hands, with buffers of the smallest size."""

    @pytest.fixture
    def ends(self):
        from audiokit.wire.tls import Certificate

        ours, below = socket.socketpair()
        for sock in (ours, below):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            sock.setblocking(False)
        sealed = Certificate(ONE["tls_cert"], ONE["tls_key"]).wrap(ours)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = TRUSTING.wrap_bio(incoming, outgoing, server_hostname="localhost")
        for _ in range(3):
            for act in (tls.do_handshake, lambda: below.send(outgoing.read()), lambda: sealed.recv(65536),
                        lambda: incoming.write(below.recv(65536))):
                try:
                    act()
                except (ssl.SSLWantReadError, BlockingIOError):
                    pass
        yield sealed, below, incoming, tls
        sealed.close()
        below.close()

    @staticmethod
    def drain(below, incoming, tls):
        out = bytearray()
        try:
            incoming.write(below.recv(65536))
        except BlockingIOError:
            pass
        try:
            while True:
                piece = tls.read(65536)
                if not piece:
                    break
                out += piece
        except ssl.SSLWantReadError:
            pass
        return bytes(out)

    def test_what_was_not_counted_is_given_again_and_arrives_once(self, ends):
        sealed, below, incoming, tls = ends
        rng = random.Random(9)
        data = bytes(rng.randrange(256) for _ in range(50_000)) * 10
        sent, got, waits = 0, b"", 0
        while sent < len(data):
            try:
                sent += sealed.send(memoryview(data)[sent : sent + rng.choice((1, 700, 16_384, 70_000, 200_000))])
            except BlockingIOError:
                waits += 1
                # Whatever was offered before, at least as much is offered again; here, all.
                got += self.drain(below, incoming, tls)
                while True:
                    try:
                        sent += sealed.send(memoryview(data)[sent:])
                        break
                    except BlockingIOError:
                        got += self.drain(below, incoming, tls)
        got += self.drain(below, incoming, tls)
        while len(got) < len(data):
            piece = self.drain(below, incoming, tls)
            assert piece, "all was counted, so all is with the kernel"
            got += piece
        assert got == data and waits

    def test_a_farewell_that_does_not_fit_is_said_later(self, ends):
        sealed, below, incoming, tls = ends
        try:
            while True:
                sealed.send(b"x")
        except BlockingIOError:
            pass
        with pytest.raises(BlockingIOError):
            sealed.shutdown(socket.SHUT_WR)
        while self.drain(below, incoming, tls):
            pass
        sealed.shutdown(socket.SHUT_WR)
        self.drain(below, incoming, tls)
        assert tls.read(1) == b"", "close_notify"
        assert below.recv(1) == b"", "and then the end"


class TestOrigins:
    def test_the_page_of_a_server_with_tls_comes_over_tls(self, sealed):
        for origin, status in (("https://localhost", (200, 201)), ("http://localhost", (403,))):
            fields = {"Origin": origin, "Host": "localhost"}
            assert ask(sealed.address, "POST", "/post?name=origin.wav", SOUND, fields)[0] in status


    @pytest.mark.parametrize("is_behind", [False, True])
    def test_a_session_over_tls_has_a_cookie_for_tls_alone(self, running, is_behind):
        """With us, or with a trusted proxy in front of us."""
        server = running(trusted_proxy=networks("127.0.0.1"), **({} if is_behind else ONE))
        person = Person(server, "ann")
        server.server.authenticator._parameters = QUICK
        server.server.authenticator.changed()
        fields = {"X-Forwarded-Proto": "https"} if is_behind else {}
        asking = request if is_behind else ask
        login = json.dumps({"name": "ann", "password": person.password})
        status, said, _ = asking(server.address, "POST", "/session", login, fields)
        assert status == 201 and said["set-cookie"].startswith("__Host-") and said["set-cookie"].endswith("; Secure")
        fields["Cookie"] = said["set-cookie"].partition(";")[0]
        assert asking(server.address, "GET", "/me", None, fields)[0] == 200
        if is_behind:
            fields["X-Forwarded-Proto"] = "http"
            assert asking(server.address, "GET", "/me", None, fields)[0] == 401


class TestCertificates:
    def test_what_cannot_be_used_is_said_at_the_start(self, tmp_path):
        from audiokit.settings import BadSetting
        from audioserver import AudioServer

        empty = tmp_path / "empty.pem"
        empty.write_text("")
        locked = tmp_path / "locked.key"
        locked.write_text(LOCKED)
        bad = [
            ({"tls_cert": "none.pem"}, "none.pem.*No such file"),
            ({"tls_cert": str(empty)}, "empty.pem.*PEM"),
            ({"tls_cert": ONE["tls_cert"]}, "one.pem with the key .*one.pem"),
            ({"tls_cert": ONE["tls_cert"], "tls_key": str(FOLDER / "other.key")}, "MISMATCH"),
            ({"tls_cert": ONE["tls_cert"], "tls_key": str(locked)}, "locked.key is encrypted"),
            ({"tls_key": ONE["tls_key"]}, "nothing without --tls-cert"),
        ]
        for settings, said in bad:
            with pytest.raises(BadSetting, match=said):
                AudioServer(("127.0.0.1", 0), data=str(tmp_path / "var"), **settings)
        assert not (tmp_path / "var").exists()

    def test_one_file_may_hold_both(self, running, tmp_path):
        both = tmp_path / "both.pem"
        both.write_text((FOLDER / "one.key").read_text() + (FOLDER / "one.pem").read_text())
        assert ask(running(tls_cert=str(both)).address, "GET", "/health")[0] == 200

    @pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="skipped: this platform has no SIGHUP")
    def test_sighup_takes_the_new_certificate_and_keeps_running_connections(self, tmp_path):
        files = tmp_path / "server.pem", tmp_path / "server.key"

        def put(name):
            for path in files:
                shutil.copy(FOLDER / (name + path.suffix), path)

        put("one")
        process = subprocess.Popen(
            [sys.executable, "-X", "dev", str(ROOT / "audioserver.py"), "--port", "0", "--data", str(tmp_path / "var"), "--log", "none",
             "--tls-cert", str(files[0]), "--tls-key", str(files[1])],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            line = process.stdout.readline()
            assert line.startswith("listening on https://127.0.0.1:")
            address = ("127.0.0.1", int(line.rsplit(":", 1)[1]))

            def hang_up():
                process.send_signal(signal.SIGHUP)
                return process.stderr.readline()

            with connect(address) as before:
                put("other")
                assert "was read again" in hang_up()
                with pytest.raises(ssl.SSLError):
                    connect(address).close()
                assert ask(address, "GET", "/health", context=client("other.pem"))[0] == 200
                files[1].write_text("no key at all")
                assert "certificate in use is kept" in hang_up()
                files[0].unlink()
                assert "certificate in use is kept" in hang_up()
                assert ask(address, "GET", "/health", context=client("other.pem"))[0] == 200
                before.sendall(ASK)
                assert before.recv(1000).startswith(b"HTTP/1.1 200 "), "it began with the old one and goes on"
        finally:
            process.terminate()
            _, rest = process.communicate(timeout=60)
        assert (process.returncode, rest) == (0, "")


# A key that wants a password.
LOCKED = """-----BEGIN EC PRIVATE KEY-----
Proc-Type: 4,ENCRYPTED
DEK-Info: AES-128-CBC,BE963365C0538B91CFD913607BAEE93B

IUDCESuWvieAocZoVwgxmFFSYIE0xTFvxrNHtNWJiF7xZteoAFZyqIw2CK5NfPxt
hO+4hr4ro/WPoj0bAvWSRg0jACQt2PL6GrWPLwvDGphU/H0sGSapwDNVhDUJ7SjJ
wUrka1nuaGfx93AwTaJslK5/bZzhU3zM5KUfJnm1qQA=
-----END EC PRIVATE KEY-----
"""
