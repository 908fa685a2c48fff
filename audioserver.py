#!/usr/bin/env python3
"""audioserver: post raw audio, have it validated, stored, listed, served; one command, standard library only.

This module is the program: `AudioServer` (a ThreadingHTTPServer), `Handler` (a BaseHTTPRequestHandler) and
`main()`.  It puts the rooms together and holds no format, no SQL and no HTTP syntax of its own; the map of the
rooms is in docs/design.md.

    with AudioServer(("127.0.0.1", 0), data="var") as server:
        server.serve_forever()
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import os
import secrets
import signal
import socket
import socketserver
import sys
import threading
import time
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Dict, List, Optional, Tuple

import audiometa
from audiokit import commands, resample_command, routes
from audiokit.accesslog import AccessLog
from audiokit.conversions import Conversions
from audiokit.jobs import Jobs
from audiokit.pages import Pages
from audiokit.peaks import PeakCache
from audiokit.settings import BadSetting, Settings, add_flags
from audiokit.wire.answers import Answer
from audiokit.wire.bodies import Framing, expects_continue, framing
from audiokit.wire.fields import http_date, is_ip_literal, parse_host
from audiokit.wire.heads import Head, parse_head
from audiokit.wire.problems import Refusal
from audiokit.wire.reactor import Reactor
from audiokit.wire.responses import Response, encode
from audiokit.wire.workers import Workers
from storage import DataFolderBusy, MigrationError, Storage, valid_name

__version__ = "0.1.0"
_KNOWN_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT")
_NO_BODY = Framing(None, False)


class Handler(BaseHTTPRequestHandler):
    """One client's requests: a head comes in, an answer goes out; `do_GET` and its like are the seams.

    Unlike the stock handler it never touches the socket: the loop hands it whole heads and sends what it
    answers.  Of the base class it keeps the names (`command`, `path`, `headers`, …) and the `do_*` methods.
    """

    protocol_version = "HTTP/1.1"
    server_version = "audioserver"
    sys_version = ""

    def __init__(self, request: Any, client_address: Any, server: AudioServer) -> None:
        self.connection = request
        self.client_address = client_address
        self.server = server
        self.head: Optional[Head] = None
        self.framing = _NO_BODY
        self.expects_continue = False
        self.had_body = False
        self.keep_alive = True
        self._memo: dict = {}  # the last header block and its parse: most requests repeat it
        self._checked: Any = None  # the fields whose Host was found good
        self.command, self.path, self.headers = "", "", {}

    # -- called by the connection ----------------------------------------------------------------------

    def answer(self, block: bytes) -> Answer:
        """The answer to one whole request head."""
        try:
            self.parse_request(block)
            if self.server.draining:
                raise Refusal("draining", "the server is shutting down", headers=[("Retry-After", "5")], close=True)
            method = getattr(self, "do_" + self.command, None)
            if method is None:
                raise self._no_method()
            return method()
        except Refusal as refusal:
            return self.problem(refusal)
        except Exception as bug:
            return self.bug(bug)

    def refuse(self, refusal: Refusal) -> Response:
        """The answer to a head that never became whole: of the request before it nothing holds."""
        self._forget()
        return self.problem(refusal)

    def problem(self, refusal: Refusal) -> Response:
        """A refusal as an answer."""
        return Response(
            refusal.status,
            (("Content-Type", "application/problem+json"), ("X-Content-Type-Options", "nosniff"),
             ("Cache-Control", "no-store"), *refusal.headers),
            refusal.body(),
            close=refusal.close,
        )

    def bug(self, error: BaseException) -> Response:
        """A fault of ours as an answer: an id for both sides, the inside for the log alone."""
        if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
            busy = Refusal("busy", "too many files are open", headers=[("Retry-After", "1")], close=True)
            return self.problem(busy)
        number = secrets.token_hex(6)
        self.server.report(error, number)
        return self.problem(Refusal("internal", f"internal error {number}", close=True, id=number))

    def note(self) -> Tuple[str, str]:
        """Method and path of the request under way, for the log."""
        return self.command, self.path

    # -- the request -----------------------------------------------------------------------------------

    def parse_request(self, block: bytes) -> bool:  # type: ignore[override]
        """Read a whole head strictly by RFC 9112; raises Refusal instead of answering False."""
        self._forget()
        self.head = head = parse_head(block, self._memo, self.server.limits)
        self.command, self.path, self.headers = head.method, head.target, head.fields
        fields = head.fields
        if "content-length" in fields or "transfer-encoding" in fields:
            self.framing = framing(head)
        self.had_body = self.framing.has_body
        self.expects_continue = "expect" in fields and expects_continue(head)
        self.keep_alive = head.keep_alive
        if self._checked is not fields or head.absolute is not None:
            self._check_host(head)
            self._checked = fields
        return True

    def _forget(self) -> None:
        """Until a head has been read, nobody knows what it asks, and a body may be behind it."""
        self.head, self.command, self.path = None, "", ""
        self.keep_alive, self.framing, self.expects_continue, self.had_body = False, _NO_BODY, False, True

    def _check_host(self, head: Head) -> None:
        """Any page in a user's browser may reach a loopback server by a name it controls; not under ours."""
        if head.host is None:  # HTTP/1.0 knows no Host, and browsers do not speak it
            return
        name = parse_host(head.host)[0].lower()
        if name == "localhost" or is_ip_literal(name) or name in self.server.settings.allowed_host:
            return
        raise Refusal("misdirected-host", f"this server does not answer for the host {name!r}", close=True)

    def _check_site(self) -> None:
        """A change that another site's page asks for is refused; curl sends neither field."""
        fields = self.head.fields
        site = fields.get("sec-fetch-site")
        if site is not None and site not in ("same-origin", "none"):
            raise Refusal("forbidden", f"a change asked for by another site (Sec-Fetch-Site: {site})")
        origin = fields.get("origin")
        if origin is not None and origin.lower() not in (f"http://{self.head.host}".lower(), f"https://{self.head.host}".lower()):
            raise Refusal("forbidden", f"a change asked for by another site (Origin: {origin})")

    def _no_method(self) -> Refusal:
        if self.command in _KNOWN_METHODS:
            methods, _ = routes.find(self.head.path)
            return self._not_allowed(methods or {"GET": None})
        return Refusal("not-implemented", f"the method {self.command!r} is not known here")

    def _not_allowed(self, methods: Dict[str, Any]) -> Refusal:
        allowed = _allowed(methods)
        return Refusal(
            "method-not-allowed", f"{self.command} does not apply to {self.head.path}; {allowed} do",
            headers=[("Allow", allowed)],
        )

    def _route(self, as_method: str) -> Answer:
        head = self.head
        methods, id = routes.find(head.path)
        if methods is None:
            raise Refusal("not-found", f"there is nothing at {head.path}")
        route = methods.get(as_method)
        if route is None:
            raise self._not_allowed(methods)
        return route(routes.Request(head, self.framing, self.server.services, id))

    def do_GET(self) -> Answer:
        """Read something."""
        return self._route("GET")

    def do_HEAD(self) -> Answer:
        """The head that GET would answer with."""
        return self._route("GET")

    def do_POST(self) -> Answer:
        """Store something."""
        self._check_site()
        return self._route("POST")

    def do_PATCH(self) -> Answer:
        """Change something."""
        self._check_site()
        return self._route("PATCH")

    def do_DELETE(self) -> Answer:
        """Remove something."""
        self._check_site()
        return self._route("DELETE")

    def do_OPTIONS(self) -> Answer:
        """What can be done here (RFC 9110 section 9.3.7)."""
        if self.head.path == "*":  # also of an absolute target without a path (RFC 9112 section 3.2.4)
            return Response(200, (("Allow", "GET, HEAD, POST, PATCH, DELETE, OPTIONS"),))
        methods, _ = routes.find(self.head.path)
        if methods is None:
            raise Refusal("not-found", f"there is nothing at {self.head.path}")
        return Response(204, (("Allow", _allowed(methods)),))


def _allowed(methods: Dict[str, Any]) -> str:
    names = list(methods)
    if "GET" in methods:
        names.insert(names.index("GET") + 1, "HEAD")
    return ", ".join(names + ["OPTIONS"])


class AudioServer(ThreadingHTTPServer):
    """The server: a catalogue of audio behind a socket.

    `address` is (host, port), port 0 takes a free one; `data` the folder of catalogue and bytes; `settings` a
    `Settings`, or keyword arguments make one.  A context manager: leaving it ends everything.  Raises OSError
    when the address is taken and `DataFolderBusy` when another process serves the folder.
    """

    daemon_threads = True
    request_queue_size = 4096  # connections that wait to be accepted; the kernel may cap it (somaxconn)
    allow_reuse_address = os.name != "nt"

    def __init__(
        self, address: Tuple[str, int] = ("127.0.0.1", 8000), handler: type = Handler, *,
        data: Optional[str] = None, settings: Optional[Settings] = None, **limits: Any,
    ) -> None:
        if settings is None:
            limits.setdefault("log", "none")
            settings = Settings(host=address[0], port=address[1], **({"data": str(data)} if data else {}), **limits)
        self.settings = settings
        self.limits = settings
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        pages = Pages(settings.ui, is_live=bool(settings.ui))
        super().__init__(address, handler, bind_and_activate=False)
        with contextlib.ExitStack() as undo:
            undo.callback(self.socket.close)
            self.storage = undo.enter_context(Storage(data or settings.data, free_space_kept=settings.free_space))
            self.server_bind()
            self.server_activate()
            undo.pop_all()
        self._log = AccessLog(settings.log, sys.stderr)
        self._stopped = threading.Event()
        self._serving = False
        self._date = (0, "")  # of the second it was made in
        self._begin(pages)

    def _begin(self, pages: Pages) -> None:
        self.hashing = Workers(1, "hash", self.report, gives_way=True)
        settings = self.settings
        converter = Conversions(settings.jobs)
        self.jobs = Jobs(
            self.storage.data / "conversions", converter, self.storage, audiometa.identify,
            most=settings.jobs + settings.queue, result_ttl=settings.result_ttl, on_bug=self.report,
        )
        self.peaks = PeakCache(
            self.storage.data / "peaks", converter, self.storage, most_bytes=settings.peaks_cache,
            most_waiting=settings.jobs + settings.queue, on_bug=self.report,
        )
        self.services = routes.Services(
            self.storage, self.settings, audiometa.identify, audiometa.extension, valid_name, self.hashing,
            lambda: secrets.token_hex(12), self.jobs, self.peaks, pages,
        )
        self.reactor = Reactor(
            self.socket, self.settings, lambda connection: self.RequestHandlerClass(connection, connection.peer, self),
            self._encode, self._log.entry if self._log.is_on else None, self.report,
        )

    def server_bind(self) -> None:
        """Bind without asking the name server who we are: the stock one may wait for it."""
        try:
            socketserver.TCPServer.server_bind(self)
        except OSError as error:
            raise OSError(f"cannot listen on {self.server_address}: {error.strerror or error}") from error
        self.server_name, self.server_port = self.server_address[:2]
        self.socket.setblocking(False)

    @property
    def url(self) -> str:
        """Where the server is to be found."""
        host, port = self.server_address[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    @property
    def draining(self) -> bool:
        """Whether it is on its way out."""
        return self.reactor.draining

    def serve_forever(self, poll_interval: float = 0.5) -> None:
        """Serve until `shutdown` (or `stop`), then let running requests finish within the grace."""
        before = sys.getswitchinterval()
        # 5 ms of a hashing or walking thread is a long time for a request of 30 us.
        sys.setswitchinterval(0.0005)
        self._serving = True
        try:
            self.reactor.serve()
        finally:
            sys.setswitchinterval(before)
            self._stopped.set()

    def stop(self, grace: Optional[float] = None) -> None:
        """Begin to end; does not wait.  For signal handlers."""
        self.reactor.stop(self.settings.grace if grace is None else grace)

    def shutdown(self) -> None:
        """End `serve_forever` and wait until it has returned.  Call it from another thread."""
        self.stop()
        if self._serving:
            self._stopped.wait()

    def server_close(self) -> None:
        """Give everything back: connections, threads, the catalogue, the folder's lock."""
        self.reactor.close()
        self.jobs.close()
        self.peaks.close()
        self.hashing.close()
        super().server_close()
        self.storage.close()
        self._log.close()

    def report(self, error: BaseException, number: str = "-") -> None:
        """A fault of ours, for the log."""
        text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
        self._log.bug(number, text)

    def _encode(self, response: Response, handler: Handler, closing: bool) -> bytes:
        is_old = handler.head is not None and handler.head.version == (1, 0)
        return encode(response, http_date(int(time.time())), handler.command == "HEAD", closing, is_old)


def _serve(settings: Settings) -> int:
    server = AudioServer((settings.host, settings.port), data=settings.data, settings=settings)
    for name in ("SIGTERM", "SIGINT"):
        signal.signal(getattr(signal, name), lambda *_: server.stop())
    with server:
        print(f"listening on {server.url}", flush=True)
        server.serve_forever()
    return 0


def main(arguments: Optional[List[str]] = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="audioserver.py", description=__doc__.splitlines()[0])
    parser.add_argument("--version", action="version", version=f"audioserver {__version__}")
    actions = parser.add_subparsers(dest="command", metavar="COMMAND")
    add_flags(actions.add_parser("serve", help="serve HTTP (the default)"))
    commands.add_db(actions.add_parser("db", help="administer the catalogue and its bytes"))
    commands.add_info(actions.add_parser("info", help="say what local files are"))
    resample_command.add_arguments(actions.add_parser("resample", help="convert a file to MP3 or WAV, any rate"))
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0].startswith("-") and words[0] not in ("-h", "--help", "--version"):
        words.insert(0, "serve")
    given = parser.parse_args(words)
    try:
        return _run(given)
    except BrokenPipeError:  # the reader had enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (BadSetting, DataFolderBusy, MigrationError, OSError, Refusal) as error:
        print(f"audioserver: {error}", file=sys.stderr)
        return 1


def _run(given: argparse.Namespace) -> int:
    if given.command == "info":
        return commands.run_info(given, audiometa.identify_path, audiometa.record_fields, sys.stdout)
    if given.command == "resample":
        return resample_command.run(given, audiometa.identify_path)
    settings = Settings.of(vars(given), os.environ)
    if given.command == "db":
        return commands.run_db(given, settings.data, Storage)
    return _serve(settings)


if __name__ == "__main__":
    sys.exit(main())
