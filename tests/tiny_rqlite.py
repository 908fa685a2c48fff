"""A tiny rqlite: one SQLite database behind any number of nodes, which can be told to do what a cluster may do.

It carries out writes twice, loses answers, hangs with writes in its hands and wakes.  What a node answers is what
rqlite 8 answered.  Not a cluster: all nodes are one process with one database.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from support import ROOT

from audiokit.catalogue import CatalogueDown
from audiokit.catalogue.address import parse
from audiokit.catalogue.nodes import Patience
from audiokit.catalogue.rqlite import RqliteCatalogue


class TinyRqlite:
    """`count` nodes on free ports of loopback.  A context manager."""

    def __init__(self, count=2):
        self.is_twice = False  # every write is carried out twice, and the second answer is the one that is given
        self.loses = lambda number: False  # whether the answer to the n-th write (from 1) is lost, when it is done
        self.refuses = lambda path: False  # whether what is asked is answered 400, which nobody asks again
        self.writes = 0
        self.told = []  # what was asked of `/db/execute`, in the order in which it came
        self._hung, self._is_read = set(), False
        self._in_hands = []  # writes that came to a node that hangs
        self._awake = threading.Condition()
        self._lock = threading.Lock()
        self._database = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        self._servers = [ThreadingHTTPServer(("127.0.0.1", 0), self._handler(n)) for n in range(count)]
        self._threads = [
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}) for server in self._servers
        ]
        for thread in self._threads:
            thread.start()

    @property
    def names(self):
        return ["127.0.0.1:%d" % server.server_address[1] for server in self._servers]

    @property
    def url(self):
        return "rqlite://" + ",".join(self.names)

    @contextlib.contextmanager
    def hung(self, *numbers, answering_reads=False):
        """While these nodes take what they are asked, and say nothing; then they wake and do all of it, for nobody."""
        self._hung.update(numbers)
        self._is_read = answering_reads
        try:
            yield
        finally:
            with self._awake:
                self._hung.difference_update(numbers)
                self._awake.notify_all()
            for question in self.taken():
                self.execute(question)

    def taken(self):
        """The writes in the hands of nodes that hang, taken away from them."""
        with self._awake:
            taken, self._in_hands = self._in_hands, []
        return taken

    def execute(self, question):
        """Carry out one transaction; its answer."""
        with self._lock:
            return {"results": self._transaction(question)}

    def _transaction(self, question):
        results = []
        self._database.execute("BEGIN")
        for sql, *params in question:
            try:
                touched = self._database.execute(sql, params).rowcount
            except sqlite3.Error as error:
                results.append({"error": str(error)})
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                return results
            results.append({"rows_affected": touched} if touched > 0 else {})
        self._database.execute("COMMIT")
        return results

    def query(self, question):
        """The rows of each query."""
        with self._lock:
            results = []
            for sql, *params in question:
                try:
                    results.append({"values": self._database.execute(sql, params).fetchall()})
                except sqlite3.Error as error:
                    results.append({"error": str(error)})
            return {"results": results}

    def copy(self):
        """The database as a file's bytes."""
        with tempfile.TemporaryDirectory() as folder, self._lock:
            path = Path(folder) / "copy.db"
            with contextlib.closing(sqlite3.connect(str(path))) as target:
                self._database.backup(target)
            return path.read_bytes()

    def _written(self, question, number):
        """What a node does with a write; None: it says nothing."""
        with self._awake:
            if number in self._hung:
                self._in_hands.append(question)
                self._awake.wait_for(lambda: number not in self._hung)
                return None
            self.writes += 1
            turn = self.writes
            self.told.append(question)
        answer = self.execute(question)
        if self.is_twice:
            answer = self.execute(question)
        return None if self.loses(turn) else answer

    def _asked(self, question, number):
        with self._awake:
            if number in self._hung and not self._is_read:
                self._awake.wait_for(lambda: number not in self._hung)
                return None
        return self.query(question)

    def _handler(tiny, number):
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 20

            def do_POST(self):
                question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if tiny.refuses(self.path):
                    return self.say(b"refused", 400)
                work = tiny._written if self.path.startswith("/db/execute") else tiny._asked
                answer = work(question, number)
                if answer is None:
                    self.close_connection = True
                else:
                    self.say(json.dumps(answer).encode())

            def do_GET(self):
                if tiny.refuses(self.path):
                    return self.say(b"refused", 400)
                self.say(tiny.copy())

            def say(self, body, status=200):
                with contextlib.suppress(OSError):  # whoever asked is tired of waiting
                    self.wfile.write(b"HTTP/1.1 %d -\r\nContent-Length: %d\r\n\r\n" % (status, len(body)) + body)

            def log_message(self, *_):
                pass

        return Handler

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with self._awake:
            self._hung.clear()
            self._awake.notify_all()
        for server in self._servers:
            server.shutdown()
            server.server_close()
        for thread in self._threads:
            thread.join()
        self._database.close()


class Watched(RqliteCatalogue):
    """The program's own door to a tiny cluster: counts round trips and who waits for them, and can be shut."""

    is_away = False
    is_mute = False  # it does what it is told, and nobody hears of that

    def __init__(self, tiny):
        self.trips, self.threads = 0, set()
        super().__init__(parse(tiny.url), (ROOT / "schema.sql").read_text("utf-8"), patience=Patience(60.0, 60.0, 60.0))

    def _trip(self):
        self.trips += threading.current_thread().name != "job-board"  # which asks for nobody's answer
        self.threads.add(threading.current_thread().name)
        if self.is_away:
            raise CatalogueDown("nobody answers")

    def read_all(self, queries, deadline_s=None):
        self._trip()
        return super().read_all(queries, deadline_s)

    def tell(self, statements, patience=None):
        self._trip()
        if not self.is_mute:
            return super().tell(statements, patience)
        with contextlib.suppress(sqlite3.IntegrityError):  # as it is answered the second time
            super().tell(statements, patience)
        raise CatalogueDown("nobody answers")
