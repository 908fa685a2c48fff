"""Speaking to a cluster: any node of it will do, and another one does when that does not.

The leader is asked first, where it is known.  A node that refuses, is silent for too long, or knows of no leader is
left at once for the next; when none will do, all are asked again after a short pause, until a deadline that is longer
than the election of a new leader.  Who comes after that deadline passed for somebody asks each node once and does not
wait: nobody queues for a cluster that is down.  What is asked may so be done twice, and the first time later than the
second: that is the caller's to bear.

Knows HTTP and JSON, nothing of SQL.  Thread-safe.  Raises `CatalogueDown`, `CatalogueRefused`.
"""

from __future__ import annotations

import http.client
import json
import random
import re
import socket
import ssl
import threading
import time
from base64 import b64encode
from typing import Any, BinaryIO, Callable, Dict, Iterator, List, NamedTuple, Optional
from urllib.parse import urlsplit

from .address import Address, Node
from .errors import CatalogueDown, CatalogueRefused

_IDLE_S = 30.0  # a connection unused for longer is not trusted any more
_POOLED = 32  # a node; more than threads that ask
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 0.5  # between two rounds; drawn evenly from half of it to all
_AVOIDED_S = 10.0  # a node that was silent is asked last for so long
_LEADER_S = 10.0  # between two looks at who leads: what others are asked they ask the leader, at twice the work
_ELECTED_S = 1.0  # after a node failed: by then another one may lead
_PIECE = 1 << 18
_WORDS = 300  # characters of an answer that are repeated in a message
_STALE = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError, ConnectionAbortedError)


_TLS_WORDS = {
    "WRONG_VERSION_NUMBER": "it speaks no TLS",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "it wants a certificate of us: cert=FILE&key=FILE",
    "TLSV1_ALERT_UNKNOWN_CA": "it does not know the authority that signed our certificate",
    "SSLV3_ALERT_BAD_CERTIFICATE": "it does not take our certificate",
}


class Patience(NamedTuple):
    """How long to wait, in seconds."""

    connect: float = 1.0  # a cluster is near
    answer: float = 2.0  # for a node's answer; commits take milliseconds, and a hung leader must not cost more
    deadline: float = 8.0  # for all tries; an election with rqlite's own settings takes some 2.5


class Unfit(Exception):
    """A node's answer says that it could not, and that another one or another time might."""


class _Leads(Exception):
    """A node says who leads: the URL is the argument.  Nothing was done."""


class _Line:
    """One connection to a node."""

    def __init__(self, node: Node, tls: Optional[ssl.SSLContext], connect_s: float) -> None:
        if tls is not None:
            self.http: Any = http.client.HTTPSConnection(node.host, node.port, timeout=connect_s, context=tls)
        else:
            self.http = http.client.HTTPConnection(node.host, node.port, timeout=connect_s)
        self.http.connect()
        # A request's head and body leave in two sends; the second must not wait for the first's acknowledgement.
        self.http.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.is_fresh = True
        self.since = 0.0


class Nodes:
    """The nodes of one cluster."""

    def __init__(self, address: Address, patience: Patience = Patience()) -> None:
        self.address = address
        self._patience = patience
        self._headers = {"Content-Type": "application/json"}
        if address.user is not None:
            proof = b64encode(f"{address.user}:{_password(address)}".encode()).decode("ascii")
            self._headers["Authorization"] = "Basic " + proof
        self._tls = _context(address) if address.is_tls else None
        self._first = 0  # the node that answered last, or leads
        self._look_at = 0.0  # s, monotonic: when to see who leads
        self._avoided: Dict[Node, float] = {}  # until when
        self._idle: Dict[Node, List[_Line]] = {node: [] for node in address.nodes}
        self._is_down = False
        self._ended = threading.Event()
        self._lock = threading.Lock()

    def close(self) -> None:
        """End every idle connection; who waits for another try stops waiting."""
        self._ended.set()
        with self._lock:
            lines = [line for lines in self._idle.values() for line in lines]
            for node in self._idle:
                self._idle[node] = []
        for line in lines:
            line.http.close()

    # -- asking ----------------------------------------------------------------------------------------

    def ask(
        self, path: str, question: Any, judged: Callable[[Any], Any], patience: Optional[Patience] = None,
    ) -> Any:
        """What `judged` makes of the first good answer to `question`, posted as JSON.

        `judged` gets the parsed answer; it raises `Unfit` for one that another node should give.
        """
        body = json.dumps(question, ensure_ascii=False, allow_nan=False).encode("utf-8")

        def once(line: _Line, more: str = "") -> Any:
            line.http.request("POST", path + more, body, self._headers)
            response = line.http.getresponse()
            if more and response.status == 301:
                response.read()
                raise _Leads(response.getheader("Location") or "")
            return judged(_answer_of(response))

        patience, now = patience or self._patience, time.monotonic()
        until = now + patience.deadline
        if now >= self._look_at and len(self.address.nodes) > 1:
            self._look_at = now + _LEADER_S
            try:
                return self._tried(lambda line: once(line, "&redirect"), patience, until)
            except _Leads as told:
                self._follow(str(told))
        return self._tried(once, patience, until)

    def _follow(self, url: str) -> None:
        """Ask the one first that leads, unless it is known by another name here, or was silent lately."""
        try:
            leader = Node(urlsplit(url).hostname or "", urlsplit(url).port or 0)
        except ValueError:
            return
        if leader in self.address.nodes and self._avoided.get(leader, 0.0) <= time.monotonic():
            self._first = self.address.nodes.index(leader)

    def fetch(self, path: str, target: BinaryIO, patience: Patience) -> None:
        """Write the answer to a GET into a file, from its beginning."""

        def once(line: _Line) -> None:
            line.http.request("GET", path, headers=self._headers)
            response = line.http.getresponse()
            if response.status != 200:
                _answer_of(response)
                raise Unfit(f"it answers {response.status}")
            target.seek(0)
            target.truncate()
            while True:
                piece = response.read(_PIECE)
                if not piece:
                    break
                target.write(piece)
            if response.length:  # read(n) does not tell that the connection ended early
                raise http.client.IncompleteRead(b"", response.length)

        self._tried(once, patience, time.monotonic() + patience.deadline)

    def _tried(self, once: Callable[[_Line], Any], patience: Patience, until: float) -> Any:
        pause = _FIRST_PAUSE_S
        was_down, why = self._is_down, ""
        while True:
            unfriendly: List[CatalogueRefused] = []  # those who speak TLS otherwise than we do
            for node in self._in_turn():
                try:
                    found = self._once(node, once, patience)
                except (OSError, http.client.HTTPException, Unfit) as error:
                    if isinstance(error, CatalogueRefused):
                        raise
                    why = f"{node}: {_words(error)}"
                    if _is_about_tls(error):
                        unfriendly.append(CatalogueRefused(f"TLS with {why}"))
                    self._failed(node, error)
                else:
                    self._is_down = False
                    return found
            if len(unfriendly) == len(self.address.nodes):
                raise unfriendly[0]
            wait = pause * (0.5 + random.random() / 2)
            if was_down or time.monotonic() + wait > until or self._ended.wait(wait):
                self._is_down = True
                raise CatalogueDown(f"the catalogue at {self.address.text} does not answer: {why}")
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    def _in_turn(self) -> Iterator[Node]:
        """Every node once: from the last good one on, those that were silent lately at the end."""
        nodes, first, now = self.address.nodes, self._first, time.monotonic()
        order = nodes[first:] + nodes[:first]
        for node in sorted(order, key=lambda node: self._avoided.get(node, 0.0) > now):
            yield node

    def _failed(self, node: Node, error: BaseException) -> None:
        self._look_at = min(self._look_at, time.monotonic() + _ELECTED_S)
        if isinstance(error, socket.timeout):
            self._avoided[node] = time.monotonic() + _AVOIDED_S

    # -- one try ---------------------------------------------------------------------------------------

    def _once(self, node: Node, once: Callable[[_Line], Any], patience: Patience) -> Any:
        while True:
            line = self._line(node, patience)
            line.http.sock.settimeout(patience.answer)
            try:
                found = once(line)
            except _STALE:
                line.http.close()
                if line.is_fresh:
                    raise
                continue  # the node closed it while nobody used it: that is no failure of the node's
            except (Unfit, _Leads):
                self._give_back(node, line)
                raise
            except BaseException:
                line.http.close()
                raise
            self._give_back(node, line)
            self._first = self.address.nodes.index(node)
            if self._avoided:
                self._avoided.pop(node, None)
            return found

    def _line(self, node: Node, patience: Patience) -> _Line:
        if self._ended.is_set():
            raise ValueError("the catalogue is closed")
        oldest = time.monotonic() - _IDLE_S
        while True:
            with self._lock:
                line = self._idle[node].pop() if self._idle[node] else None
            if line is None:
                return _Line(node, self._tls, patience.connect)
            if line.since > oldest:
                return line
            line.http.close()

    def _give_back(self, node: Node, line: _Line) -> None:
        if line.http.sock is None or self._ended.is_set():  # the node wants no more on it
            line.http.close()
            return
        line.is_fresh, line.since = False, time.monotonic()
        with self._lock:
            if len(self._idle[node]) < _POOLED:
                self._idle[node].append(line)
                return
        line.http.close()


def _context(address: Address) -> ssl.SSLContext:
    path = address.ca or ""
    try:
        context = ssl.create_default_context(cafile=address.ca)
        if address.cert is not None:
            path = " and ".join(filter(None, (address.cert, address.key)))
            # Or OpenSSL asks the terminal for a password, and waits.
            context.load_cert_chain(address.cert, address.key, password=lambda: "")
    except (OSError, ValueError) as error:  # ssl's own errors too; ValueError for no password
        raise CatalogueRefused(
            f"the certificates for {address.text}: {path}: {_words(error)}; PEM files are needed, keys without a password"
        ) from error
    return context


def _is_about_tls(error: BaseException) -> bool:
    """Whether the two sides do not agree: certificates, versions, or one of them speaks no TLS."""
    passing = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError, socket.timeout)
    return isinstance(error, ssl.SSLError) and not isinstance(error, passing)


def _password(address: Address) -> str:
    """From the address, or the first line of the file that it names."""
    if address.passfile is None:
        return address.password
    try:
        with open(address.passfile, encoding="utf-8") as file:
            return file.readline().rstrip("\r\n")
    except (OSError, ValueError) as error:  # a file that is no text
        raise CatalogueRefused(f"the password for {address.text}: {address.passfile}: {_words(error)}") from None


def _answer_of(response: http.client.HTTPResponse) -> Any:
    """The parsed answer of a node that took the question."""
    body = response.read()
    if response.status == 200:
        try:
            return json.loads(body)
        except ValueError:
            raise Unfit("it answers 200 without JSON") from None
    said = body[:_WORDS].decode("utf-8", "replace").strip()
    if response.status in (401, 403):
        raise CatalogueRefused(
            f"the catalogue answers {response.status}: user or password are wrong, or it may not do this"
        )
    if 400 <= response.status < 500 and response.status not in (408, 429):
        raise CatalogueRefused(f"the catalogue answers {response.status}: {said}")
    raise Unfit(f"it answers {response.status}: {said}")


def _words(error: BaseException) -> str:
    if isinstance(error, socket.timeout):
        return "no answer in time"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"{error.verify_message}: the certificate of its authority is named by ca=FILE"
    if isinstance(error, ssl.SSLError) and error.reason:
        return _TLS_WORDS.get(error.reason, error.reason.lower().replace("_", " "))
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return re.sub(r" \(_ssl\.c:\d+\)$", "", text)
