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
import gc
import os
import secrets
import signal
import socket
import socketserver
import sys
import threading
import time
import traceback
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Dict, List, Optional, Tuple

if sys.flags.isolated or getattr(sys.flags, "safe_path", False):  # -I and -P leave a program's own folder out
    sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

import audiometa
from audiokit import account_commands, commands, resample_command, routes
from audiokit.accesslog import AccessLog
from audiokit.accounts import ANYONE, EVERYBODY, NOBODY, Who, not_admitted
from audiokit.authentication import Authenticator
from audiokit.conversions import Conversions
from audiokit.failures import refusal_of
from audiokit.jobs import Jobs
from audiokit.keyfile import BadKey
from audiokit.pages import Pages
from audiokit.peaks import PeakCache
from audiokit.preconditions import applied
from audiokit.settings import HOW_WRITTEN, BadSetting, Settings, add_flags
from audiokit.wire.answers import Answer, Later, Login
from audiokit.wire.bodies import Framing, expects_continue, framing
from audiokit.wire.cors import Sharing
from audiokit.wire.fields import http_date, is_ip_literal, is_loopback, parse_host
from audiokit.wire.heads import Head, parse_head
from audiokit.wire.policies import DATA, private, with_fields
from audiokit.wire.problems import Refusal
from audiokit.wire.proxies import Proxies
from audiokit.wire.reactor import Reactor
from audiokit.wire.responses import Response, encode
from audiokit.wire.workers import Workers, brisk_threads
from storage import CatalogueError, DataFolderBusy, MigrationError, Storage, storage_at

__version__ = "0.1.0"
_MORE = "Without a command it serves, and takes the flags of serve: see serve --help. COMMAND --help tells all of any other."
_INTERRUPTED = 130  # as a shell says that SIGINT ended a program
_ABOUT = "Post raw audio, have it validated, stored, listed, served; one command, standard library only."
_KNOWN_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "QUERY")
_NO_BODY = Framing(None, False)
_AUDITED = (401, 403, 429)
_LARGE_HEAD = 4096  # bytes of a head, which takes thrice as many when read; browsers send about 1000


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
        self.is_head = False  # the client takes no content in the answer
        self.is_private = False  # the answer is for the one whose credential came with the request
        self._is_proxied = server.proxies.trust(client_address[0]) if client_address else False
        self.who = NOBODY
        self._asked: Any = None  # the rule and the id of a request whose log-in is looked at
        self._memo: dict = {}  # the last header block and its parse: most requests repeat it
        self._checked: Any = None  # the fields whose Host was found good
        self._is_large = False  # the head
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

    def resume(self, outcome: Any) -> Answer:
        """The answer to a request once it is known who asks; `outcome` is a `Who`, or a Refusal instead."""
        if not isinstance(outcome, (Refusal, Who)):  # found elsewhere, with all that it took
            return outcome
        try:
            if isinstance(outcome, Refusal):
                raise outcome
            self.who = outcome
            if self.server.storage.asks_far:
                return self._elsewhere(self._admitted, *self._asked)
            return self._admitted(*self._asked)
        except Refusal as refusal:
            return self.problem(refusal)
        except Exception as bug:
            return self.bug(bug)

    def refuse(self, refusal: Refusal, block: bytes) -> Response:
        """The answer to a head of which `block` has come and no more will: of the request before it nothing holds."""
        self._forget(block)
        return self.problem(refusal)

    def problem(self, refusal: Refusal) -> Response:
        """A refusal as an answer; one that is about who asks is written down."""
        if refusal.code == "bad-parameter" and self.head is not None and routes.has_credential(self.head.query):
            refusal = routes.credential_in_url()
        headers = refusal.headers
        if refusal.status == 401 and self.headers.get("sec-fetch-mode", "navigate") != "navigate":
            # A page asks on its own: its browser must not open a window for a password because of that.
            headers = tuple(pair for pair in headers if not pair[1].startswith("Basic"))
        if refusal.status in _AUDITED:
            self.server.audit(
                f"refused: {self.command} {routes.without_secret(self.path)} by {self.who.label} from "
                f"{self.client_host}: {refusal.status} {refusal.detail}"
            )
        return Response(
            refusal.status,
            (("Content-Type", "application/problem+json"), ("Cache-Control", "no-store"),
             ("Content-Security-Policy", DATA), *headers),
            refusal.body(),
            close=refusal.close,
        )

    def bug(self, error: BaseException) -> Response:
        """A fault of ours as an answer: an id for both sides, the inside for the log alone."""
        refusal = refusal_of(error)
        if isinstance(refusal, Refusal):  # no descriptors are left, an engine elsewhere is away, or all is being moved
            return self.problem(refusal)
        number = secrets.token_hex(6)
        self.server.report(error, number)
        return self.problem(Refusal("internal", f"internal error {number}", close=True, id=number))

    def rest(self) -> None:
        """Nothing is asked just now: thousands of connections that wait must not each keep a large head."""
        if self._is_large:
            self._is_large = False
            self._memo.clear()
            self._forget(b"")
            self.headers, self._checked, self._asked = {}, None, None

    def note(self) -> Tuple[str, str, str]:
        """Method, path and who asks of the request under way, for the log."""
        return self.command, routes.without_secret(self.path), self.who.label

    @property
    def client_host(self) -> str:
        """The address of whoever sent the request under way: behind a trusted proxy, of whom it speaks for."""
        peer = self.client_address[0] if self.client_address else "-"
        return self.server.proxies.client(peer, self.headers) if self._is_proxied and self.head else peer

    @property
    def is_secure(self) -> bool:
        """Whether the client speaks TLS, with us or with a trusted proxy."""
        return self.server.scheme == "https" or self._proxy_scheme() == "https"

    def _proxy_scheme(self) -> Optional[str]:
        return self.server.proxies.scheme(self.headers) if self._is_proxied and self.head else None

    # -- the request -----------------------------------------------------------------------------------

    def parse_request(self, block: bytes) -> bool:  # type: ignore[override]
        """Read a whole head strictly by RFC 9112; raises Refusal instead of answering False."""
        self._forget(block)
        self._is_large = len(block) > _LARGE_HEAD
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

    def _forget(self, block: bytes) -> None:
        """Until a head has been read, nobody knows what it asks, and a body may be behind it.

        That it is HEAD shows at once, and holds however malformed the rest is (RFC 9112 section 6.3).
        """
        self.is_head = block.startswith((b"HEAD ", b"\r\nHEAD "))
        self.head, self.command, self.path, self.who = None, "", "", NOBODY
        self.is_private = False
        self.keep_alive, self.framing, self.expects_continue, self.had_body = False, _NO_BODY, False, True

    def _check_host(self, head: Head) -> None:
        """Any page in a user's browser may reach a loopback server by a name it controls; not under ours."""
        if head.absolute is not None and head.target[:6].lower() == "https:" and not self.is_secure:
            raise Refusal("misdirected-host", "an https URL was asked for, and this connection is not secured")
        if head.host is None:  # HTTP/1.0 knows no Host, and browsers do not speak it
            return
        name = parse_host(head.host)[0].lower()
        if name == "localhost" or is_ip_literal(name) or name in self.server.settings.allowed_host:
            return
        detail = f"this server does not answer for the host {name!r} unless --allowed-host names it"
        raise Refusal("misdirected-host", detail, close=True)

    def _check_site(self) -> None:
        """A change that another site's page asks for is refused, unless --cors-origin names the site.

        curl sends neither field.
        """
        fields = self.head.fields
        origin = fields.get("origin")
        if self.server.sharing.lets_change(origin):
            return
        site = fields.get("sec-fetch-site")
        if site is not None and site not in ("same-origin", "none"):
            raise Refusal("forbidden", f"a change asked for by another site (Sec-Fetch-Site: {site})")
        if origin is not None and origin.lower() not in self._own_origins():
            raise Refusal("forbidden", f"a change asked for by another site (Origin: {origin})")

    def _own_origins(self) -> List[str]:
        """Where the page of this server may be from; who speaks plain HTTP may be behind a proxy that does not."""
        if self.server.scheme == "https":
            schemes = ["https"]
        else:
            scheme = self._proxy_scheme()
            schemes = ["http", "https"] if scheme is None else [scheme]
        return [f"{scheme}://{self.head.host}".lower() for scheme in schemes]

    def _no_method(self) -> Refusal:
        if self.command in _KNOWN_METHODS:
            if self.command == "CONNECT":  # of no path
                return self._not_allowed({"GET": None})
            methods, _ = routes.find(self.head.path)
            return self._nothing_there() if methods is None else self._not_allowed(methods)
        return Refusal("not-implemented", f"the method {self.command!r} is not known here")

    def _nothing_there(self) -> Refusal:
        hint = "; audio is taken by POST /post" if self.command in ("PUT", "POST") else ""
        return Refusal("not-found", f"there is nothing at {self.head.path}{hint}")

    def _not_allowed(self, methods: Dict[str, Any]) -> Refusal:
        allowed = _allowed(methods)
        return Refusal(
            "method-not-allowed", f"{self.command} does not apply to {self.head.path or self.head.target}; {allowed} do",
            headers=[("Allow", allowed)],
        )

    def _route(self, as_method: str) -> Answer:
        """The answer; where the catalogue is on another machine it is found off the loop, and the body waits."""
        if not self.server.storage.asks_far or self.head.path == "/health/live":
            return self._routed(as_method)
        return self._elsewhere(self._routed, as_method)

    def _elsewhere(self, find: Any, *arguments: Any) -> Login:
        """The answer that `find(*arguments)` gives, found in a thread that may wait for another machine."""
        def work(reply: Any) -> None:
            try:
                answer = find(*arguments)
                while type(answer) is Later:
                    answer = answer.work()
            except Refusal as refusal:
                answer = self.problem(refusal)
            except Exception as bug:
                answer = self.bug(bug)
            reply(answer)

        return Login(lambda reply: self.server.reactor.far.submit(work, reply))

    def _routed(self, as_method: str) -> Answer:
        head = self.head
        methods, id = routes.find(head.path)
        if methods is None:
            raise self._nothing_there()
        rule = methods.get(as_method)
        if rule is None:
            raise self._not_allowed(methods)
        if rule.scope == ANYONE:
            return self._run(rule, id, NOBODY)
        authenticator = self.server.authenticator
        if authenticator.is_open and time.monotonic() < authenticator.look_again:
            who: Any = EVERYBODY
        else:
            self.is_private = True
            who = authenticator.who(head.fields, rule.scope, self.client_host, self.is_secure)
            if type(who) is Login:
                self._asked = rule, id
                return who
        self.who = who
        return self._admitted(rule, id)

    def _admitted(self, rule: routes.Rule, id: str) -> Answer:
        who = self.who
        self.is_private = who is not EVERYBODY  # others, and who sends no credential, get another answer
        if rule.scope not in who.scopes and not who.may(rule.scope):
            if routes.has_credential(self.head.query):
                raise routes.credential_in_url()
            raise not_admitted(who, rule.scope)
        return self._run(rule, id, who)

    def _run(self, rule: routes.Rule, id: str, who: Who) -> Answer:
        answer = rule.run(self._request(id, who))
        return applied(answer, self.headers, self.command) if self.command in ("GET", "HEAD") else answer

    def _request(self, id: str, who: Who) -> routes.Request:
        return routes.Request(self.head, self.framing, self.server.services, id, who, self.client_host, self.is_secure)

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
            raise self._nothing_there()
        allowed = _allowed(methods)
        preflight = self.server.sharing.preflight(self.head.fields, allowed.split(", "))
        return Response(204, (("Allow", allowed), *preflight))


def _allowed(methods: Dict[str, Any]) -> str:
    names = list(methods)
    if "GET" in methods:
        names.insert(names.index("GET") + 1, "HEAD")
    return ", ".join(names + ["OPTIONS"])


class AudioServer(ThreadingHTTPServer):
    """The server: a catalogue of audio behind a socket.

    `address` is (host, port), port 0 takes a free one; `data` the folder of catalogue and bytes; `settings` a
    `Settings`, or keyword arguments make one.  A context manager: leaving it ends everything.  Raises OSError
    when the address is taken, `DataFolderBusy` when another process serves the folder, and BadSetting when others
    than this machine could come in and there is no account.
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
        self.certificate = _certificate(settings)
        self.scheme = "http" if self.certificate is None else "https"
        self.proxies = Proxies(settings.trusted_proxy)
        self.sharing = Sharing(settings.cors_origin)
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        pages = Pages(settings.ui, is_live=bool(settings.ui))
        super().__init__(address, handler, bind_and_activate=False)
        self._log = AccessLog(settings.log, sys.stderr)
        with contextlib.ExitStack() as undo:
            undo.callback(self.socket.close)
            undo.callback(self._log.close)
            self.storage = undo.enter_context(self._open_storage(data or settings.data))
            self._link_key = self.storage.link_key()
            self.server_bind()
            self._check_doors()
            self.server_activate()
            undo.pop_all()
        self._stopped = threading.Event()
        self._changing = threading.Lock()
        self._serving: Optional[int] = None  # the thread that `serve_forever` was called in
        self._is_closed = False
        self._begin(pages)

    def _open_storage(self, data: str) -> Storage:
        settings = self.settings
        return Storage(data, free_space_kept=settings.free_space, blobs=settings.blobs, say=self._log.say,
                       catalogue=settings.catalogue)

    def _check_doors(self) -> None:
        """Refuse to let the network in by accident."""
        self._may_be_open = self.settings.open or is_loopback(self.server_address[0])
        if not self._may_be_open and not self.storage.people.are_there():
            raise BadSetting(
                f"{self.server_address[0]} is not loopback and there is no account, so that everybody who reaches it "
                "could come in: make one (`audioserver.py user add NAME --admin`), or say --open"
            )

    def _begin(self, pages: Pages) -> None:
        self.hashing = Workers(1, "hash", self.report, gives_way=True)
        settings = self.settings
        converter = Conversions(settings.jobs)
        self.authenticator = Authenticator(
            self.storage.people, settings, os.urandom, may_be_open=self._may_be_open, sessions=self.storage.sessions,
            on_bug=self.report, audit=self.audit,
        )
        self.jobs = self._open_jobs(converter)
        self.collector: Any = None
        if self.storage.is_far:
            from audiokit.blobs.collector import Collector  # here: where all is in the folder, nothing is collected

            self.collector = Collector(self._collect, settings.orphan_grace, self._on_far_error)
        self.peaks = PeakCache(
            self.storage.data / "peaks", converter, self.storage, most_bytes=settings.peaks_cache,
            most_waiting=settings.jobs + settings.queue, on_bug=self.report, bring=self._bringer(),
        )
        self.services = routes.Services(
            self.storage, self.settings, audiometa.identify, audiometa.extension, self.hashing,
            lambda: secrets.token_hex(12), self.jobs, self.peaks, pages, self.authenticator, self.audit, self._link_key,
            lambda: time.time_ns() // 1_000_000, os.urandom,
        )
        self.reactor = Reactor(
            self.socket, self.settings, lambda connection: self.RequestHandlerClass(connection, connection.peer, self),
            self._encode, self._log.entry if self._log.is_on else None, self.report,
            None if self.certificate is None else self.certificate.wrap,
        )

    def _open_jobs(self, converter: Conversions) -> Any:  # -> Jobs | SharedJobs
        settings = self.settings
        common = {"result_ttl": settings.result_ttl, "on_bug": self.report}
        make = partial(
            Jobs, self.storage.data / "conversions", converter, self.storage, audiometa.identify,
            most=settings.jobs + settings.queue, **common,
        )
        if not self.storage.asks_far:
            return make()
        from audiokit.shared_jobs import SharedJobs

        return SharedJobs(make, self.storage.results, **common)

    def server_bind(self) -> None:
        """Bind without asking the name server who we are: the stock one may wait for it."""
        try:
            socketserver.TCPServer.server_bind(self)
        except OSError as error:
            raise OSError(f"cannot listen on {_place(*self.server_address[:2])}: {error.strerror or error}") from error
        self.server_name, self.server_port = self.server_address[:2]
        self.socket.setblocking(False)

    @property
    def url(self) -> str:
        """Where the server is to be found."""
        return f"{self.scheme}://{_place(*self.server_address[:2])}"

    @property
    def draining(self) -> bool:
        """Whether it is on its way out."""
        return self.reactor.draining

    def serve_forever(self, poll_interval: float = 0.5) -> None:
        """Serve until `shutdown` (or `stop`), then let running requests finish within the grace."""
        with self._changing:
            if self._is_closed:
                return
            self._serving = threading.get_ident()
        try:
            with brisk_threads():
                self.reactor.serve()
        finally:
            self._stopped.set()

    def stop(self, grace: Optional[float] = None) -> None:
        """Begin to end; does not wait.  For signal handlers."""
        self.reactor.stop(self.settings.grace if grace is None else grace)

    def shutdown(self) -> None:
        """End `serve_forever`; wait until it has returned, unless this is the thread that it runs in."""
        self.stop()
        if self._serving not in (None, threading.get_ident()):
            self._stopped.wait()

    def server_close(self) -> None:
        """Give everything back: connections, threads, the catalogue, the folder's lock.

        Ends `serve_forever` first where it still runs in another thread; harmless a second time.
        """
        with self._changing:
            if self._is_closed:
                return
            self._is_closed = True
        self.shutdown()
        self.storage.cut()  # or the threads that wait for another machine would hold up the end
        self.authenticator.close()
        self.reactor.close()
        if self.collector is not None:
            self.collector.close()
        self.jobs.close()
        self.peaks.close()
        self.hashing.close()
        super().server_close()
        self.storage.close()
        self._log.close()

    def _bringer(self) -> Any:
        """What brings the samples of a region from another machine; None where the audio is here."""
        if not self.storage.is_far:
            return None
        from audiokit import windows

        return partial(windows.bring, self.storage, audiometa.identify_source)

    def _collect(self) -> None:
        removed = self.storage.collect(self.settings.orphan_grace)
        if removed:
            self._log.say(f"{len(removed)} uploads that never became files were removed from the store: {removed[:10]}")

    def _on_far_error(self, error: Exception) -> None:
        """What another machine refuses is no fault of ours, and said in one line."""
        if isinstance(error, OSError):
            self._log.say(f"collecting: {error}")
        else:
            self.report(error)

    def report(self, error: BaseException, number: str = "-") -> None:
        """A fault of ours, for the log."""
        text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
        self._log.bug(number, text)

    def reload_certificate(self) -> bool:
        """Read certificate and key again, for connections to come; says in the log how it went.

        False, and all goes on as it was, when they cannot be used.  For signal handlers.
        """
        try:
            self.certificate.reload()
        except ValueError as error:  # BadCertificate, of a module that only TLS loads
            self._log.say(f"the certificate in use is kept: {error}")
            return False
        self._log.say(f"the certificate {self.settings.tls_cert} was read again")
        return True

    def audit(self, text: str) -> None:
        """A line of the log about accounts: what changed, who was refused."""
        self._log.audit(text)

    def _encode(self, response: Response, handler: Handler, closing: bool) -> bytes:
        if handler.is_private:
            response = response._replace(headers=private(response.headers))
        if self.sharing.is_on:
            asked = {} if handler.head is None else handler.head.fields
            response = response._replace(headers=with_fields(response.headers, self.sharing.fields(asked)))
        is_old = handler.head is not None and handler.head.version == (1, 0)
        return encode(response, http_date(int(time.time())), handler.is_head, closing, is_old)


def _place(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _certificate(settings: Settings) -> Any:  # -> Certificate | None
    if not settings.tls_cert:
        if settings.tls_key:
            raise BadSetting(f"--tls-key {settings.tls_key} is nothing without --tls-cert")
        return None
    try:
        from audiokit.wire.tls import BadCertificate, Certificate
    except ImportError as error:  # a Python that was built without OpenSSL
        raise BadSetting(f"--tls-cert: this Python has no TLS ({error})") from error
    try:
        return Certificate(settings.tls_cert, settings.tls_key)
    except BadCertificate as error:
        raise BadSetting(f"--tls-cert: {error}") from error


def _serve(settings: Settings) -> int:
    server = AudioServer((settings.host, settings.port), data=settings.data, settings=settings)
    if server.certificate is not None and hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, lambda *_: server.reload_certificate())
    for name in ("SIGTERM", "SIGINT"):
        signal.signal(getattr(signal, name), lambda *_: server.stop())
    gc.freeze()  # what is here now stays: no collection need look through it again, 10 ms each time
    with server:
        print(f"listening on {server.url}", flush=True)
        server.serve_forever()
    return 0


def main(arguments: Optional[List[str]] = None) -> int:
    """The command line; returns the exit status."""
    _open_standard_streams()
    parser = argparse.ArgumentParser(prog="audioserver.py", description=_ABOUT, epilog=_MORE)
    parser.add_argument("--version", action="version", version=f"audioserver {__version__}")
    actions = parser.add_subparsers(dest="command", metavar="COMMAND")
    add_flags(actions.add_parser("serve", help="serve HTTP (the default)", epilog=HOW_WRITTEN))
    commands.add_db(actions.add_parser("db", help="administer the catalogue and its bytes"))
    account_commands.add_user(actions.add_parser("user", help="administer accounts"))
    account_commands.add_token(actions.add_parser("token", help="make, list and revoke API tokens"))
    about = "say what local files are; exit status 1 when any is not audio"
    commands.add_info(actions.add_parser("info", help="say what local files are", description=about))
    about = "convert a file to MP3 or WAV, any rate"
    resample_command.add_arguments(actions.add_parser("resample", help=about, description=about))
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0].startswith("-") and words[0] not in ("-h", "--help", "--version"):
        words.insert(0, "serve")
    given = parser.parse_args(words)
    try:
        return _run(given)
    except BrokenPipeError:  # the reader had enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("audioserver: interrupted", file=sys.stderr)
        return _INTERRUPTED
    except (BadKey, BadSetting, DataFolderBusy, MigrationError, OSError, Refusal) as error:
        print(f"audioserver: {_said(error)}", file=sys.stderr)
    except CatalogueError as error:
        refusal = refusal_of(error)
        words = str(refusal) if isinstance(refusal, Refusal) else f"the catalogue is broken: {error}"
        print(f"audioserver: {words}", file=sys.stderr)
    return 1


def _open_standard_streams() -> None:
    """One that was closed becomes the null device: else the first file that is opened would get its number."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):  # in the order of their numbers
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))


def _said(error: Exception) -> str:
    """What an error says to whoever typed the command: which file, and what is wrong with it, without a number."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"
    return str(error)


def _run(given: argparse.Namespace) -> int:
    if given.command == "info":
        return commands.run_info(given, audiometa.identify_path, audiometa.record_fields, sys.stdout)
    if given.command == "resample":
        return resample_command.run(given, audiometa.identify_path)
    settings = Settings.of(vars(given), os.environ)
    if given.command == "db":
        return commands.run_db(given, settings.data, storage_at(settings.catalogue), settings.blobs)
    if given.command in ("user", "token"):
        return account_commands.run(given, settings.data, storage_at(settings.catalogue))
    return _serve(settings)


if __name__ == "__main__":
    sys.exit(main())
