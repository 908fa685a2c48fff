"""Under attack and under fault: a right answer or a clean close, nothing lost, nothing left, service goes on."""

from __future__ import annotations

import contextlib
import errno
import gc
import json
import os
import random
import selectors
import socket
import struct
import subprocess
import sys
import threading
import time
import weakref

import pytest
from support import ROOT, begun_since, eventually, long_wav, raw, request, wav

from audiokit import routes
from audiokit.digests import FollowingDigest
from audiokit.wire import pace, reactor
from audiokit.wire.pace import GOES, LAGS, LOST, Pace
from audiokit.wire.responses import Response

SOUND = wav(0.5)
HEAD = b"POST /post?name=%s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
HERE = b"GET /here?%s HTTP/1.1\r\nHost: localhost\r\n\r\n"
ASK = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"


def on_disk(data):
    return [path for folder in (data / "files", data / "uploads") for path in folder.rglob("*") if path.is_file()]


def connect(address):
    return socket.create_connection(address, timeout=60)


def ended(sock):
    """Whether the server has ended this connection; waits for it, up to the socket's timeout."""
    try:
        while sock.recv(65536):
            pass
    except ConnectionError:
        pass
    except OSError:
        return False
    return True


def reset(sock):
    """Leave as a crashed client does."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


class TestTrickles:
    def test_heads_a_byte_at_a_time_end_at_the_deadline_and_use_no_thread(self, server, pass_time):
        assert request(server.address, "GET", "/health")[0] == 200  # whoever looks at that has begun
        before = threading.enumerate()
        trickles = [connect(server.address) for _ in range(300)]
        try:
            for byte in b"GET /health HT":
                for sock in trickles:
                    try:
                        sock.sendall(bytes([byte]))
                    except ConnectionError:
                        pass
                assert request(server.address, "GET", "/health")[0] == 200
                pass_time(1.0)  # 14 s in all, and never long since the last byte
            assert not begun_since(before)
            assert all(ended(sock) for sock in trickles)
        finally:
            for sock in trickles:
                sock.close()

    def test_connections_that_say_nothing_end_too(self, server, pass_time):
        with connect(server.address) as sock:
            assert request(server.address, "GET", "/health")[0] == 200
            pass_time(10.1)
            assert ended(sock)

    def test_idle_connections_end_after_their_time(self, server, pass_time):
        with connect(server.address) as sock:
            for seconds in (70, 75.1):  # the second time from the second answer on, and longer than its 75 s
                sock.sendall(ASK)
                assert sock.recv(1000).startswith(b"HTTP/1.1 200")
                assert request(server.address, "GET", "/health")[0] == 200  # the loop is done with that answer by now
                pass_time(seconds)
            assert ended(sock)

    def test_a_connection_is_idle_from_its_last_answer_on_however_long_that_took(self, server):
        with connect(server.address) as sock:
            sock.sendall(HEAD % (b"a.wav", len(SOUND)) + SOUND[:-1])
            began = time.monotonic()
            sock.sendall(SOUND[-1:])
            assert sock.recv(1000).startswith(b"HTTP/1.1 201")
            assert request(server.address, "GET", "/health")[0] == 200
            (since,) = [since for one, since in list(server.server.reactor.idle.items()) if one.peer == sock.getsockname()]
            assert since >= began

    def test_a_body_that_nobody_wants_moves_no_deadline(self, server):
        """Else who trickles one would always be behind those that came later, and live on."""
        with connect(server.address) as trickle, connect(server.address) as later:
            trickle.sendall(ASK.replace(b"\r\n\r\n", b"\r\nContent-Length: 1000\r\n\r\n"))
            assert trickle.recv(1000).startswith(b"HTTP/1.1 200")
            later.sendall(ASK)
            assert later.recv(1000).startswith(b"HTTP/1.1 200")
            (one,) = [one for one in list(server.server.reactor.idle) if one.peer == trickle.getsockname()]
            left = one.unwanted._left
            trickle.sendall(b"a")
            while one.unwanted._left == left:
                assert request(server.address, "GET", "/health")[0] == 200
            assert [one.peer for one in list(server.server.reactor.idle)][:2] == [trickle.getsockname(), later.getsockname()]

    def test_a_reader_that_does_not_read_is_given_up(self, server, pass_time):
        large = long_wav(300)
        assert request(server.address, "POST", "/post?name=large.wav", large)[0] == 201
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.settimeout(60)
            sock.connect(server.address)
            sock.sendall(b"GET /download?name=large.wav HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert request(server.address, "GET", "/health")[0] == 200

            def is_given_up():
                pass_time(20.1)  # again and again: until the buffers are full it gets on
                return not server.server.reactor._connections

            eventually(is_given_up)

    def test_who_waits_keeps_no_large_head_in_memory(self, server):
        """Ten thousand connections may wait, a minute each."""
        large = ASK.replace(b"\r\n\r\n", b"\r\nA: " + b"b" * 30_000 + b"\r\n\r\n")
        with connect(server.address) as sock:
            for ask in (large, large, ASK):
                sock.sendall(ask)
                assert sock.recv(1000).startswith(b"HTTP/1.1 200")
                assert request(server.address, "GET", "/health")[0] == 200  # the loop is done with that answer by now
                (one,) = [one for one in list(server.server.reactor.idle) if one.peer == sock.getsockname()]
                kept = [one.handler.headers, one.handler.head, one.handler._memo, one.buffer]
                assert len(repr(kept)) < 1000

    def test_pipelining_without_reading_fills_no_memory(self, running):
        server = running(body_timeout=0.5)
        with connect(server.address) as sock:
            sock.setblocking(False)
            sent = 0
            try:
                while sent < 200_000_000:
                    sent += sock.send(ASK * 1000)
            except (BlockingIOError, ConnectionError):
                pass
            assert sent < 100_000_000, "back-pressure holds the sender"
            assert request(server.address, "GET", "/health")[0] == 200


class TestPace:
    # least bytes a minute, then what has come so far at which second, and what is thought of it
    PACES = [
        (600, [(0.5, 0, GOES), (0.9, 1, GOES)], "the first second says nothing"),
        (600, [(2, 30, GOES), (40, 500, GOES), (60, 600, GOES)], "quick enough"),
        (600, [(2, 1, LAGS), (6, 2, LAGS), (60, 16, LOST)], "a trickle rests, and is lost when the minute is over"),
        (600, [(2, 1, LAGS), (6, 1, GOES)], "what does not come at all has a deadline of its own"),
        (600, [(2, 1, LAGS), (50, 700, GOES), (60, 701, GOES)], "a pause is made up for"),
        (600, [(60, 9000, GOES), (62, 9001, LAGS), (120, 9599, LOST)], "each minute counts for itself"),
        (600, [(75, 599, LOST)], "a look may come late"),
        (0, [(2, 1, GOES), (60, 2, GOES), (600, 2, GOES)], "0 wants nothing"),
    ]

    @pytest.mark.parametrize("least, looks, why", PACES)
    def test_some_bytes_have_to_come_in_each_minute(self, least, looks, why):
        body = Pace(least, 100.0)
        assert [body.look(received, 100.0 + at) for at, received, _ in looks] == [verdict for _, _, verdict in looks], why

    @pytest.mark.parametrize("framing", [b"Content-Length: 1000000", b"Transfer-Encoding: chunked"])
    def test_a_trickled_upload_is_refused_in_words_and_leaves_nothing(self, server, pass_time, framing):
        with connect(server.address) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.sendall(b"POST /post HTTP/1.1\r\nHost: localhost\r\n" + framing + b"\r\n\r\n")
            sock.settimeout(0.02)
            answer = b""
            while not answer:
                sock.sendall(b"R" if b"Length" in framing else b"1\r\nR\r\n")
                assert request(server.address, "GET", "/health")[0] == 200
                pass_time(7.0)
                with contextlib.suppress(socket.timeout):
                    answer = sock.recv(1000)
        assert answer.startswith(b"HTTP/1.1 408 ") and b"bytes of the body came in a minute, 15360 have to" in answer
        server.__exit__()
        assert on_disk(server.data) == []

    @pytest.fixture
    def lagging(self, running, monkeypatch):
        """A function that gives a server with a body that lags and rests for so many seconds, and its connection."""
        monkeypatch.setattr(pace, "_BEGINNING", 0.0)
        with contextlib.ExitStack() as stack:
            def begin(rest_s):
                monkeypatch.setattr(reactor, "_REST_S", rest_s)
                server = running(max_connections=2, body_rate=1 << 20, body_timeout=600.0)  # or it would rest for less
                sock = stack.enter_context(connect(server.address))
                sock.sendall(HEAD % (b"slow.wav", len(SOUND)))
                sent = 0
                while not server.server.reactor.resting:
                    sock.sendall(SOUND[sent : sent + 1])
                    sent += 1
                    assert request(server.address, "GET", "/health")[0] == 200
                return server, sock, sent

            yield begin

    def test_a_body_that_lags_is_taken_all_the_same(self, lagging):
        _, sock, sent = lagging(0.1)
        sock.sendall(SOUND[sent:])
        assert sock.recv(1000).startswith(b"HTTP/1.1 201 ")

    def test_where_there_is_no_room_for_a_newcomer_a_body_that_lags_goes(self, lagging):
        server, sock, _ = lagging(100.0)
        with connect(server.address) as second:
            second.sendall(HEAD % (b"quick.wav", len(SOUND)))
            eventually(lambda: server.server.reactor.transfers)
            assert request(server.address, "GET", "/health")[0] == 200, "it found room"
            assert ended(sock)
            second.sendall(SOUND)
            assert second.recv(1000).startswith(b"HTTP/1.1 201 ")

    def test_a_transfer_that_stands_still_goes_when_there_is_no_other_room(self, running, monkeypatch):
        monkeypatch.setattr(reactor, "_STALLED_S", 0.0)
        server = running(max_connections=1)
        with connect(server.address) as sock:
            sock.sendall(HEAD % (b"still.wav", len(SOUND)) + SOUND[:-1])
            eventually(lambda: server.server.reactor.transfers)
            assert request(server.address, "GET", "/health")[0] == 200
            assert ended(sock)

    def test_a_transfer_under_way_does_not_make_room_for_others(self, running, monkeypatch):
        monkeypatch.setattr(reactor, "_STALLED_S", 600.0)
        server = running(max_connections=1)
        with connect(server.address) as sock:
            sock.sendall(HEAD % (b"a.wav", len(SOUND)) + SOUND[:-1])
            eventually(lambda: server.server.reactor.transfers)
            with connect(server.address) as other:
                assert ended(other)
            sock.sendall(SOUND[-1:])
            assert sock.recv(1000).startswith(b"HTTP/1.1 201 ")


def arrived(server, sock):
    """Wait until what `sock` sent lies at the server's end, whose loop is held meanwhile."""
    (one,) = [one for one in list(server.server.reactor._connections.values()) if one.peer == sock.getsockname()]
    with selectors.DefaultSelector() as selector:
        selector.register(one.fd, selectors.EVENT_READ)
        assert selector.select(60)


class TestTurns:
    """The loop is held while a crowd and then a polite client send; who is answered when it goes on?"""

    CROWD = 100  # fewer than wait to be accepted on the meanest system, which has room for 128

    @pytest.fixture
    def held(self, running):
        """A server whose loop waits in /hold until told; what is asked of /here is noted in order."""
        at, go, order = running(), threading.Event(), []
        begun = threading.Event()

        def hold(_):
            begun.set()
            assert go.wait(60)
            return Response(204)

        routes.ROUTES["/hold"] = {"GET": routes.Rule(hold, "read")}
        routes.ROUTES["/here"] = {"GET": routes.Rule(lambda ask: order.append(ask.head.query) or Response(204), "read")}
        crowd = []
        with connect(at.address) as polite, connect(at.address) as holder:
            polite.sendall(ASK)  # it is known as one that waits for a request
            assert polite.recv(1000).startswith(b"HTTP/1.1 200")

            def race(first, then):
                crowd.extend(connect(at.address) for _ in range(self.CROWD if first else 0))
                for sock in crowd:
                    sock.sendall(first)
                while sum(bool(one.buffer) for one in list(at.server.reactor._connections.values())) < len(crowd):
                    assert request(at.address, "GET", "/health")[0] == 200
                holder.sendall(HERE.replace(b"/here?%s", b"/hold"))
                assert begun.wait(60)
                crowd.extend(connect(at.address) for _ in range(0 if first else self.CROWD))
                for sock in crowd:
                    sock.sendall(then)
                polite.sendall(HERE % b"polite")
                arrived(at, polite)
                go.set()
                for sock in (polite, *crowd):
                    assert sock.recv(1000).startswith(b"HTTP/1.1 204")
                return order

            yield race
        for sock in crowd:
            sock.close()
        for path in ("/hold", "/here"):
            routes.ROUTES.pop(path)

    def test_who_waits_for_a_request_comes_before_a_crowd_in_the_middle_of_its_heads(self, held):
        begin = (HERE % b"crowd")[:20]
        assert "polite" in held(begin, (HERE % b"crowd")[20:])[:17]

    def test_who_waits_for_a_request_comes_before_a_crowd_of_newcomers(self, held):
        assert "polite" in held(b"", HERE % b"crowd")[:17]

    def test_one_long_answer_is_a_turn(self, running):
        """Else sixteen of them would be made for one who reads slowly: the others would wait, and all be kept in memory."""
        at, go, begun, order = running(), threading.Event(), threading.Event(), []
        routes.ROUTES["/hold"] = {"GET": routes.Rule(lambda _: begun.set() or go.wait(60) and Response(204), "read")}
        routes.ROUTES["/long"] = {
            "GET": routes.Rule(lambda ask: order.append(ask.head.query) or Response(200, (), bytes(300_000)), "read")
        }
        try:
            with connect(at.address) as greedy, connect(at.address) as polite, connect(at.address) as holder:
                for sock in (greedy, polite):  # they are known as those that wait for a request
                    sock.sendall(ASK)
                    assert sock.recv(1000).startswith(b"HTTP/1.1 200")
                holder.sendall(HERE.replace(b"/here?%s", b"/hold"))
                assert begun.wait(60)
                greedy.sendall((HERE % b"greedy").replace(b"/here", b"/long") * 16)
                polite.sendall((HERE % b"polite").replace(b"/here", b"/long"))
                for sock in (greedy, polite):
                    arrived(at, sock)
                go.set()
                assert polite.recv(1000).startswith(b"HTTP/1.1 200")
                assert order.index("polite") < 8
        finally:
            for path in ("/hold", "/long"):
                routes.ROUTES.pop(path)

    def test_pipelining_leaves_the_others_their_turn(self, held):
        begin = (HERE % b"crowd")[:20]
        order = held(begin, (HERE % b"crowd")[20:] + HERE % b"more" * 100)
        assert order.index("polite") < 17 * 16


class TestBrokenClients:
    def test_a_client_gone_at_any_byte_leaves_nothing(self, server):
        whole = HEAD % (b"gone.wav", len(SOUND)) + SOUND
        rng = random.Random(5)
        cuts = sorted({0, 1, 50, len(whole) - len(SOUND), len(whole) - 1} | {rng.randrange(len(whole)) for _ in range(40)})
        for cut in cuts:
            sock = connect(server.address)
            sock.sendall(whole[:cut])
            (reset if cut % 2 else socket.socket.close)(sock)
        assert request(server.address, "GET", "/info?name=gone.wav")[0] == 404
        server.__exit__()  # all that was begun has ended
        assert on_disk(server.data) == []

    def test_an_upload_that_is_given_up_is_hashed_no_further(self, tmp_path):
        """Not read any more, its file would never be caught up with: whoever hashes must not go on trying."""
        tasks = []

        class Crew:
            def submit(self, task):
                tasks.append(task)

        with open(tmp_path / "upload", "w+b") as file:
            file.truncate(50_000_000)
            digest = FollowingDigest(file.fileno(), Crew())
            digest.grew(50_000_000)
            digest.close()
            while tasks:
                tasks.pop()()
                assert not tasks, "it was sent after itself"

    def test_a_client_gone_in_the_middle_of_a_download_harms_nobody(self, server):
        large = long_wav(120)
        assert request(server.address, "POST", "/post?name=large.wav", large)[0] == 201
        for _ in range(10):
            sock = connect(server.address)
            sock.sendall(b"GET /download?name=large.wav HTTP/1.1\r\nHost: localhost\r\n\r\n")
            sock.recv(1000)
            reset(sock)
        assert request(server.address, "GET", "/download?name=large.wav")[2] == large

    def test_a_body_in_pieces_of_one_byte_is_a_body(self, server):
        body = wav(0.02)
        with connect(server.address) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in HEAD % (b"slow.wav", len(body)) + body:
                sock.sendall(bytes([byte]))
            assert sock.recv(1000).startswith(b"HTTP/1.1 201")

    def test_uploads_at_once_beyond_the_threads_all_arrive(self, server):
        """Slow uploaders cost a connection and no thread: forty wait, another one is served between them."""
        waiting = []
        for number in range(40):
            sock = connect(server.address)
            sock.sendall(HEAD % (b"w%d.wav" % number, len(SOUND)) + SOUND[:1000])
            waiting.append(sock)
        assert request(server.address, "POST", "/post?name=quick.wav", SOUND)[0] == 201
        for sock in waiting:
            sock.sendall(SOUND[1000:])
        for sock in waiting:
            assert sock.recv(1000).startswith(b"HTTP/1.1 201")
            sock.close()

    def test_garbage_is_refused_or_ended_and_never_crashes(self, server):
        rng = random.Random(11)
        for _ in range(150):
            data = bytes(rng.randrange(256) for _ in range(rng.randrange(1, 300)))
            answer = raw(server.address, data)
            assert answer == b"" or answer.startswith(b"HTTP/1.1 4") or answer.startswith(b"HTTP/1.1 5")
        assert request(server.address, "GET", "/health")[0] == 200


@pytest.mark.skipif(os.name == "nt", reason="skipped: limits of descriptors and file sizes are POSIX'")
class TestScarcity:
    def start(self, tmp_path, limit, value, held=0):
        code = (
            f"import os, resource, sys; resource.setrlimit(resource.{limit}, ({value}, {value})); "
            f"held = [os.open(os.devnull, os.O_RDONLY) for _ in range({held})]; "
            f"sys.path.insert(0, {str(ROOT)!r}); sys.argv[1:] = ['serve', '--port', '0', '--log', 'none', '--linger-timeout', '60', "
            f"'--data', {str(tmp_path / 'var')!r}]; import audioserver; sys.exit(audioserver.main())"
        )
        process = subprocess.Popen([sys.executable, "-S", "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        port = int(process.stdout.readline().rsplit(":", 1)[1])
        return process, ("127.0.0.1", port)

    def finish(self, process):
        process.terminate()
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0
        return err

    # 0: our own limit of connections holds; 60: someone else in the process took the descriptors.
    @pytest.mark.parametrize("held", [0, 60])
    def test_out_of_descriptors_serves_those_it_has_and_comes_back(self, tmp_path, held):
        process, address = self.start(tmp_path, "RLIMIT_NOFILE", 128, held)
        try:
            crowd = []
            for _ in range(80):
                sock = connect(address)
                sock.sendall(ASK[:20])
                crowd.append(sock)
            with connect(address) as sock:
                sock.sendall(ASK)
                assert sock.recv(1000).startswith(b"HTTP/1.1 200"), "the longest waiting made room"
            for sock in crowd:
                sock.close()
            assert request(address, "POST", "/post?name=a.wav", SOUND)[0] == 201
        finally:
            err = self.finish(process)
        assert err == ""

    # Each needs descriptors that are not there: of a reader of the catalogue, of the file, of an upload.
    SCARCE = [b"GET /info?name=a.wav", b"GET /list?q=a", b"GET /download?name=a.wav", b"POST /post?name=b.wav"]

    @pytest.mark.parametrize("ask", SCARCE)
    def test_who_is_in_and_needs_a_descriptor_is_told_to_come_back(self, running, ask):
        import resource

        server = running()
        assert request(server.address, "POST", "/post?name=a.wav", SOUND)[0] == 201
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        body = wav(0.3) if ask.startswith(b"POST") else b""
        whole = ask + b" HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        with connect(server.address) as sock:
            sock.sendall(ASK)
            assert sock.recv(1000).startswith(b"HTTP/1.1 200")
            for reader in server.server.storage._catalogue._readers:
                reader.close()
            server.server.storage._catalogue._here = threading.local()  # as in a thread that never read
            resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))
            try:
                sock.sendall(whole)
                answer = sock.recv(1000)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, before)
        assert answer.startswith(b"HTTP/1.1 503 ") and b"Retry-After: 1\r\n" in answer and b'"busy"' in answer
        with connect(server.address) as sock:
            sock.sendall(whole)
            assert sock.recv(1000).split()[1] in (b"200", b"201")
        server.__exit__()
        assert len(on_disk(server.data)) == 1 + bool(body)

    def test_a_caller_who_cannot_be_accepted_keeps_nobody_busy(self, running):
        import resource

        server = running()
        loop, turns, has_tried = server.server.reactor, [], threading.Event()
        wait = loop._poller.wait

        def counted(timeout):
            turns.append(loop._accept_again)
            if len(set(turns)) > 2:
                has_tried.set()
            return wait(timeout)

        loop._poller.wait = counted
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        with socket.socket() as sock:
            resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))
            try:
                sock.connect(server.address)
                assert has_tried.wait(60)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, before)
            assert len(turns) < 10 * len(set(turns)), "between two tries it waits"
            sock.settimeout(60)
            sock.sendall(ASK)
            assert sock.recv(1000).startswith(b"HTTP/1.1 200") or ended(sock), "it was let in, or told by closing"
        assert request(server.address, "GET", "/health")[0] == 200

    def test_an_end_while_nobody_can_be_accepted_is_an_end_in_good_order(self, running):
        import resource

        server = running()
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        with socket.socket() as sock:
            resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))  # no descriptor more for anyone
            try:
                sock.connect(server.address)
                eventually(lambda: server.server.reactor._accept_again)
                server.server.shutdown()
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, before)
        server.__exit__()  # a loop that dies of something fails the test: warnings are errors here

    def test_a_full_disk_is_507_and_leaves_nothing(self, tmp_path):
        process, address = self.start(tmp_path, "RLIMIT_FSIZE", 3_000_000)
        try:
            assert request(address, "POST", "/post?name=a.wav", SOUND)[0] == 201
            body = HEAD % (b"large.wav", 5_000_000) + wav(1)[:44] + bytes(5_000_000 - 44)
            answer = raw(address, body, end=False)
            assert answer.startswith(b"HTTP/1.1 507 ") and b"no-space" in answer
            assert request(address, "GET", "/info?name=large.wav")[0] == 404
            assert request(address, "POST", "/post?name=b.wav", wav(0.4))[0] == 201
        finally:
            err = self.finish(process)
        assert err == "" and len(on_disk(tmp_path / "var")) == 2


@pytest.mark.parametrize("what", ["sync", "sync_directory", "commit"])
def test_a_disk_that_cannot_sync_is_never_an_acknowledgement(running, monkeypatch, what):
    server = running()
    monkeypatch.setattr(server.server.storage.ops, what, _ill, raising=False)
    status, _, body = request(server.address, "POST", "/post?name=a.wav", SOUND)
    assert status == 500 and b'"internal"' in body and b"ill" not in body
    assert request(server.address, "GET", "/info?name=a.wav")[0] == 404
    monkeypatch.undo()
    assert request(server.address, "POST", "/post?name=a.wav", SOUND)[0] == 201
    server.__exit__()
    kept = 1 if what != "commit" else 2  # of one commit nobody knows: its bytes stay until the next start
    assert len(on_disk(server.data)) == kept
    running(server.data).__exit__()
    assert len(on_disk(server.data)) == 1


def _ill(*_):
    raise OSError(errno.EIO, "the disk is ill")


@pytest.mark.parametrize("years", [10, -10])
def test_a_clock_that_jumps_ends_nothing_and_loses_nothing(running, monkeypatch, years):
    """Deadlines are by a clock that does not jump; what was uploaded is told as the clock said."""
    server, jump_s = running(), years * 365 * 86400
    real, real_ns = time.time, time.time_ns
    assert request(server.address, "POST", "/post?name=before.wav", SOUND)[0] == 201
    with connect(server.address) as idle, connect(server.address) as upload, connect(server.address) as partial:
        idle.sendall(ASK)
        assert idle.recv(1000).startswith(b"HTTP/1.1 200")
        upload.sendall(HEAD % (b"across.wav", len(SOUND)) + SOUND[:1000])
        partial.sendall(ASK[:20])
        assert request(server.address, "GET", "/health")[0] == 200
        monkeypatch.setattr(time, "time", lambda: real() + jump_s)
        monkeypatch.setattr(time, "time_ns", lambda: real_ns() + jump_s * 10**9)
        for sock, data, status in ((upload, SOUND[1000:], b"201"), (partial, ASK[20:], b"200"), (idle, ASK, b"200")):
            sock.sendall(data)
            assert sock.recv(1000).startswith(b"HTTP/1.1 " + status)
    assert request(server.address, "POST", "/post?name=after.wav", SOUND)[0] == 201
    seen, target = [], "/list?limit=1"
    while target:
        page = json.loads(request(server.address, "GET", target)[2])
        seen += [file["name"] for file in page["files"]]
        target = page["next"]
    assert sorted(seen) == ["across.wav", "after.wav", "before.wav"]
    assert (seen[-1] == "before.wav") is (years > 0)


def test_a_disk_without_the_wanted_room_is_507_before_the_body(running):
    server = running(free_space=1 << 60)
    answer = raw(server.address, HEAD.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n") % (b"a.wav", 1000))
    assert answer.startswith(b"HTTP/1.1 507 ") and b"100 Continue" not in answer


def test_nothing_is_left_open_after_a_life(running, tmp_path):
    """Descriptors and threads before and after a server's life are the same."""
    def descriptors():
        return set(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else set()

    threads, before = threading.enumerate(), descriptors()
    server = running()
    for number in range(20):
        request(server.address, "POST", f"/post?name={number}.wav", SOUND)
        request(server.address, "POST", "/post", b"not audio at all, but words")
    long = long_wav(60)
    assert request(server.address, "POST", "/post?name=long.wav", long)[0] == 201
    assert request(server.address, "GET", "/download?name=long.wav")[2] == long
    server.__exit__()
    assert not begun_since(threads) and descriptors() <= before


def test_a_connection_that_has_ended_takes_no_memory_until_a_collection(server):
    gc.disable()
    try:
        handlers = []
        for data in (ASK, ASK[:10], HEAD % (b"a.wav", 1000) + SOUND[:100]):
            with connect(server.address) as sock:
                sock.sendall(data)
                while sock.getsockname() not in [one.peer for one in list(server.server.reactor._connections.values()) if one.timer]:
                    assert request(server.address, "GET", "/health")[0] == 200
                (one,) = [one for one in list(server.server.reactor._connections.values()) if one.peer == sock.getsockname()]
                handlers.append(weakref.ref(one.handler))
                del one
        server.__exit__()
        assert [handler() for handler in handlers] == [None] * 3
    finally:
        gc.enable()


def test_two_servers_in_one_process_leave_the_interpreter_as_it_was(running, tmp_path):
    before = sys.getswitchinterval()
    one, two = running(tmp_path / "one"), running(tmp_path / "two")
    for server in (one, two):
        assert request(server.address, "GET", "/health")[0] == 200
    one.__exit__()
    assert request(two.address, "GET", "/health")[0] == 200 and sys.getswitchinterval() < before
    two.__exit__()
    assert sys.getswitchinterval() == before
