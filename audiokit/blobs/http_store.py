"""Speaking to an S3 store: connections that are kept, tries, deadlines, and what its answers mean.

One `HttpStore` a server, for any number of threads.  A request is signed anew for each try.  What another try may
heal (no connection, a reset, silence, 408, 429, 500, 502, 503, 504) is tried again with a growing pause of random
length, a few times and not for long; after some failures in a row nobody waits for a second: then `StoreDown` comes at
once.  A 307 is followed once.  A clock that is wrong is put right by the store's own, once.  All else fails at once, in
words.  Raises `StoreDown`, `StoreRefused`, FileNotFoundError for an object, or an upload in parts, that is not there.

Never buffers a body: it comes from a file and goes out in pieces; what comes in is the caller's to take from the
socket (flow.py), but for answers that are short by nature.
"""

from __future__ import annotations

import email.utils
import errno
import http.client
import os
import random
import re
import select
import socket
import ssl
import threading
import time
from typing import Any, BinaryIO, Callable, Dict, List, Mapping, NamedTuple, Optional, Tuple
from xml.etree import ElementTree

from .errors import StoreDown, StoreError, StoreRefused
from .place import BadPlace, Credentials, Endpoint, Place, addressed, endpoint_of
from .sigv4 import EMPTY_SHA256, Keys, Query, Scope, encoded_query, presigned_query, signed_headers

_STRAIGHT = 5  # failures in a row, then nobody waits
_IDLE_S = 30.0  # a connection unused for longer may be gone: stores close them after 60 s and more
_POOLED = 32
_PIECE = 1 << 18  # bytes sent at once
_SHORT = 4 << 20  # bytes of an answer that is read whole: a list of 1,000 names has 0.4 MB
_SKEW_S = 300.0  # stores allow 900; an error beside a clock that differs so much is about the clock
_DOWN = (408, 429, 500, 502, 503, 504)
_DOWN_CODES = ("RequestTimeout", "SlowDown", "InternalError", "ServiceUnavailable", "OperationAborted",
               "XAmzContentSHA256Mismatch", "BadDigest", "IncompleteBody")
_STALE = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError, ConnectionAbortedError)


class Patience(NamedTuple):
    """How long to wait, in seconds, and how often to try."""

    connect: float = 2.0  # a store is near, or behind a balancer that is
    silence: float = 15.0  # without a byte in either direction; Ceph and Swift answer within one
    answer: float = 60.0  # from a body's last byte to the answer: the store may copy and hash gigabytes meanwhile
    tries: int = 4
    deadline: float = 20.0  # no try begins later than this after the first one
    first_pause: float = 0.4  # at most; what is waited is drawn evenly from nothing to that, and doubles
    longest_pause: float = 3.0
    rest: float = 1.0  # nobody waits for so long after some failures in a row; then one request finds out


PATIENT = Patience()


class Request(NamedTuple):
    """What is asked of the store."""

    method: str
    name: str  # of the object; "" for the bucket itself
    query: Query = []
    headers: Tuple[Tuple[str, str], ...] = ()
    body: Optional[BinaryIO] = None  # a file, sent from its beginning at every try
    size: int = 0  # bytes of it
    sha256: str = EMPTY_SHA256  # of it, hex
    patience: Optional[Patience] = None  # None: the store's


class Answer(NamedTuple):
    """What the store said; the body is whole, or (None) still on the connection."""

    method: str  # that it answers
    status: int
    headers: Dict[str, str]  # by lower-case name
    body: Optional[bytes]
    line: Line  # the connection it came on
    response: http.client.HTTPResponse


class Line:
    """One connection to the store."""

    def __init__(self, endpoint: Endpoint, tls: Optional[ssl.SSLContext], connect_s: float) -> None:
        self.endpoint = endpoint
        self.is_fresh = True
        self.since = 0.0  # when it was last given back
        if tls is not None:
            self.http: Any = http.client.HTTPSConnection(endpoint.host, endpoint.port, timeout=connect_s, context=tls)
        else:
            self.http = http.client.HTTPConnection(endpoint.host, endpoint.port, timeout=connect_s)
        self.http.connect()
        self.sock: socket.socket = self.http.sock  # the response may take it from the connection

    def is_over(self) -> bool:
        """Whether the store has closed it while nobody used it."""
        return time.monotonic() - self.since > _IDLE_S or (not self.endpoint.is_tls and _is_readable(self.sock))

    def close(self) -> None:
        """End it, whoever reads from it."""
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.http.close()
        self.sock.close()


class _Breaker:
    """Counts failures in a row; after some, nobody waits for a while, and then one at a time."""

    def __init__(self, probe_s: float, rest_s: float) -> None:
        self._probe_s, self._rest_s = probe_s, rest_s
        self._failures = 0
        self._rests_until = 0.0
        self._last = ""

    def check(self) -> None:
        if self._failures < _STRAIGHT:
            return
        now = time.monotonic()
        if now < self._rests_until:
            raise StoreDown(self._last)
        self._rests_until = now + self._probe_s  # whoever comes now finds out; the others need not wait with it

    @property
    def is_resting(self) -> bool:
        return self._failures >= _STRAIGHT and time.monotonic() < self._rests_until

    def failed(self, error: StoreDown) -> None:
        self._last = error.strerror or str(error)
        self._failures += 1
        self._rests_until = time.monotonic() + self._rest_s

    def worked(self) -> None:
        self._failures = 0


class _Sayer:
    """Tells of faults as they begin, change and end; not of each."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._said = ""

    def fault(self, error: StoreError) -> None:
        if str(error) != self._said:
            self._said = str(error)
            self._say(self._said)

    def worked(self, who: str) -> None:
        if self._said:
            self._said = ""
            self._say(f"{who} is well again")


class HttpStore:
    """The store of a settled `Place`.  Thread-safe.  `say` is told of faults as they begin and end."""

    def __init__(
        self, place: Place, credentials: Credentials, environment: Mapping[str, str] = os.environ,
        clock: Callable[[], float] = time.time, patience: Patience = PATIENT,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.place = place
        self._sayer = _Sayer(say)
        self._patience = patience
        self._credentials = credentials
        self._environment = environment
        self._clock = clock
        self._ahead = 0.0  # s, the store's clock before ours
        self._breaker = _Breaker(patience.silence, patience.rest)
        self._lock = threading.Lock()
        self._idle: List[Line] = []
        self._busy: Dict[int, Line] = {}
        self._tls: Optional[ssl.SSLContext] = None
        self._ended = threading.Event()

    def close(self) -> None:
        """End every connection; who waits for one fails now, and later calls do too."""
        self._ended.set()
        with self._lock:
            lines = [*self._idle, *self._busy.values()]
            self._idle = []
        for line in lines:
            line.close()

    @property
    def is_resting(self) -> bool:
        """Whether it failed so often just now that nobody waits for it."""
        return self._breaker.is_resting

    def now(self) -> float:
        """Seconds since 1970 by the store's clock, as far as it told."""
        return self._clock() + self._ahead

    # -- asking ----------------------------------------------------------------------------------------

    def ask(self, request: Request) -> Answer:
        """The answer, whole, to a request whose answer is short.  Tries again as said above."""
        answer = self.begin(request, self._whole)
        self.give_back(answer.line, answer)
        return answer

    def begin(self, request: Request, take: Callable[[Answer], Answer] = lambda answer: answer) -> Answer:
        """The answer with its body still on the connection, which the caller gives back or closes."""
        try:
            answer = self._tried(request, take)
        except StoreError as error:
            if not self._ended.is_set():
                self._sayer.fault(error)
            raise
        self._sayer.worked(self._who(answer.line.endpoint))
        return answer

    def _tried(self, request: Request, take: Callable[[Answer], Answer]) -> Answer:
        began, failures, is_corrected = time.monotonic(), 0, False
        patience = request.patience or self._patience
        endpoint, path = addressed(self.place, request.name)
        redirects = 1
        while True:
            self._breaker.check()
            try:
                answer = take(self._once(request, endpoint, path))
                fault = None if answer.status < 300 else self._fault(request, answer)
            except (OSError, http.client.HTTPException) as error:
                if isinstance(error, StoreError):
                    raise
                if isinstance(error, ssl.SSLCertVerificationError):
                    raise StoreRefused(f"{self._who(endpoint)}: {error.verify_message}") from error
                fault = StoreDown(f"{self._who(endpoint)}: {_words(error)}")
            if fault is None:
                self._breaker.worked()
                return answer
            if isinstance(fault, _Elsewhere) and redirects:
                redirects -= 1
                endpoint, path = fault.endpoint, fault.path
                continue
            if isinstance(fault, _Clock) and not is_corrected:
                is_corrected, self._ahead = True, fault.ahead
                continue
            if not isinstance(fault, StoreDown):
                self._breaker.worked()
                raise fault
            self._breaker.failed(fault)
            failures += 1
            pause = random.random() * min(patience.first_pause * 2 ** (failures - 1), patience.longest_pause)
            is_late = time.monotonic() + pause - began > patience.deadline
            if failures >= patience.tries or is_late or self._ended.wait(pause):
                raise fault

    def presigned(self, name: str, seconds: int, query: Query) -> str:
        """An address of the object that whoever has it may GET for so long."""
        endpoint, path = addressed(self.place, name, self.place.public)
        text = presigned_query("GET", path, query, endpoint.authority, seconds, self._keys(), self._scope())
        return f"{endpoint.url}{path}?{text}"

    # -- one try ---------------------------------------------------------------------------------------

    def _once(self, request: Request, endpoint: Endpoint, path: str) -> Answer:
        patience = request.patience or self._patience
        while True:
            line = self._line(endpoint, patience)
            try:
                return self._exchange(line, request, path, patience)
            except _STALE:
                self.drop(line)
                if line.is_fresh:
                    raise
                # It was kept for too long, and the store closed it: that is no failure of the store's.
            except BaseException:
                self.drop(line)
                raise

    def _exchange(self, line: Line, request: Request, path: str, patience: Patience) -> Answer:
        headers = {"Host": line.endpoint.authority, **dict(request.headers)}
        if request.body is not None:
            headers["Content-Length"] = str(request.size)
        fields = signed_headers(
            request.method, path, request.query, headers, request.sha256, self._keys(), self._scope()
        )
        query = "?" + encoded_query(request.query) if request.query else ""
        line.http.putrequest(request.method, path + query, skip_host=True, skip_accept_encoding=True)
        for name, value in fields:
            line.http.putheader(name, value)
        line.sock.settimeout(patience.silence)
        line.http.endheaders()
        is_sent = request.body is None or _send(line, request.body, request.size)
        if request.body is not None:
            line.sock.settimeout(patience.answer)
        response = line.http.getresponse()
        line.sock.settimeout(patience.silence)
        found = {name.lower(): value for name, value in response.getheaders()}
        line.is_fresh = False
        answer = Answer(request.method, response.status, found, None, line, response)
        if not is_sent:  # what is left of the body would be read as the next request
            found["connection"] = "close"
        return answer

    def _keys(self) -> Keys:
        try:
            return self._credentials.current()
        except BadPlace as error:
            raise StoreRefused(str(error)) from None

    def _scope(self) -> Scope:
        return Scope(self.place.region or "", time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self.now())))

    # -- connections -----------------------------------------------------------------------------------

    def _line(self, endpoint: Endpoint, patience: Patience) -> Line:
        while True:
            with self._lock:
                found = next((line for line in reversed(self._idle) if line.endpoint == endpoint), None)
                if found is None:
                    break
                self._idle.remove(found)
                self._busy[id(found)] = found
            if not found.is_over():
                return found
            self.drop(found)
        if self._ended.is_set():
            raise StoreDown("the server is shutting down")
        line = Line(endpoint, self._context() if endpoint.is_tls else None, patience.connect)
        with self._lock:
            self._busy[id(line)] = line
        return line

    def give_back(self, line: Line, answer: Answer) -> None:
        """The answer's body has been read to its end: the connection may serve again, if the store lets it."""
        answer.response.close()
        says_close = "close" in answer.headers.get("connection", "").lower()
        if says_close or line.http.sock is None or answer.response.version < 11 or self._ended.is_set():
            return self.drop(line)
        line.since = time.monotonic()
        with self._lock:
            self._busy.pop(id(line), None)
            if len(self._idle) < _POOLED:
                self._idle.append(line)
                return
        line.close()

    def _whole(self, answer: Answer) -> Answer:
        """The answer with its body, which is short; a connection that breaks under it is closed."""
        try:
            return _read_whole(answer)
        except BaseException:
            self.drop(answer.line)
            raise

    def drop(self, line: Line) -> None:
        """Close a connection whose state nobody knows."""
        with self._lock:
            self._busy.pop(id(line), None)
        line.close()

    def _context(self) -> ssl.SSLContext:
        with self._lock:
            if self._tls is None:
                self._tls = ssl.create_default_context(cafile=self._environment.get("AWS_CA_BUNDLE") or None)
            return self._tls

    # -- what an answer means --------------------------------------------------------------------------

    def _fault(self, request: Request, answer: Answer) -> Exception:
        """Why an answer is not what was asked for; its connection is given back."""
        answer = self._whole(answer)
        self.give_back(answer.line, answer)
        status, code, members = answer.status, *_error_of(answer.body or b"")
        bucket, who = self.place.bucket, self._who(answer.line.endpoint)
        said = f"{who} answers {status}" + (f" {code}" if code else "")
        region = members.get("Region") or answer.headers.get("x-amz-bucket-region")
        if status == 307:
            return self._elsewhere(answer, said)
        if status == 404:
            if code in ("NoSuchKey", "NoSuchUpload") or request.method == "HEAD" and request.name:
                return FileNotFoundError(errno.ENOENT, "the store has no such object", request.name)
            if code == "NoSuchBucket":
                return StoreRefused(f"{who} has no bucket {bucket!r}")
        if status in _DOWN or code in _DOWN_CODES:
            return StoreDown(said)
        if status in (400, 403):
            ahead = self._clock_of(answer)
            if code == "RequestTimeTooSkewed" or ahead is not None and abs(ahead - self._ahead) > _SKEW_S:
                return _Clock(said, ahead or 0.0, self._clock())
        if region and region != self.place.region and status in (301, 400, 403):
            return StoreRefused(f"the bucket {bucket!r} is in the region {region}, not {self.place.region}")
        if status in (401, 403) or code in ("AccessDenied", "ExpiredToken", "InvalidToken"):
            return StoreRefused(f"{said}: it does not take our keys for {request.method} in {bucket!r}")
        return StoreRefused(f"{said} to {request.method}")

    def _clock_of(self, answer: Answer) -> Optional[float]:
        told = email.utils.parsedate_tz(answer.headers.get("date", ""))
        return None if told is None else email.utils.mktime_tz(told) - self._clock()

    def _elsewhere(self, answer: Answer, said: str) -> StoreError:
        found = re.fullmatch(r"(https?://[^/?#]+)(/[^?#]*)?(\?.*)?", answer.headers.get("location", ""))
        try:
            endpoint = endpoint_of(found.group(1)) if found else None
        except ValueError:
            endpoint = None
        if endpoint is None or answer.line.endpoint.is_tls and not endpoint.is_tls:
            return StoreRefused(f"{said}, and a place that cannot be gone to")
        return _Elsewhere(f"{said} again and again", endpoint, found.group(2) or "/")

    def _who(self, endpoint: Endpoint) -> str:
        return f"the store at {endpoint.authority}"


class _Elsewhere(StoreRefused):
    """Ask there instead."""

    def __init__(self, text: str, endpoint: Endpoint, path: str) -> None:
        super().__init__(text)
        self.endpoint, self.path = endpoint, path


class _Clock(StoreRefused):
    """Our clock and the store's differ."""

    def __init__(self, said: str, ahead: float, ours: float) -> None:
        told = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ours + ahead))
        super().__init__(f"{said}: the clocks differ by {abs(ahead):.0f} s, the store's says {told}")
        self.ahead = ahead


def _send(line: Line, body: BinaryIO, size: int) -> bool:
    """Send a body; False when the store answered before its end, which is then not sent."""
    body.seek(0)
    view, left = memoryview(bytearray(_PIECE)), size
    try:
        while left:
            count = body.readinto(view[: min(left, _PIECE)])  # type: ignore[attr-defined]
            if not count:
                raise EOFError(f"the file ends {left} bytes early")
            # TLS has messages of its own, so that readable does not mean answered there.
            if not line.endpoint.is_tls and _is_readable(line.sock):
                return False
            line.sock.sendall(view[:count])
            left -= count
    except (BrokenPipeError, ConnectionResetError):
        if left == size or not _is_readable(line.sock):
            raise
        return False  # it refused and closed; why may still be there to be read
    return True


def _read_whole(answer: Answer) -> Answer:
    if answer.body is not None:
        return answer
    body = answer.response.read(_SHORT + 1)
    wanted = answer.headers.get("content-length")
    if len(body) > _SHORT:
        raise http.client.HTTPException(f"an answer of more than {_SHORT} bytes")
    if wanted is not None and answer.method != "HEAD" and answer.status != 204:
        if wanted.isdigit() and len(body) < int(wanted):  # read(n) does not tell
            raise http.client.IncompleteRead(body, int(wanted) - len(body))
    answer = answer._replace(body=body)
    if answer.method == "POST" and answer.status == 200 and _error_of(body)[0]:
        return answer._replace(status=500)  # whoever makes one object of many parts says 200 first, and then how it went
    return answer


def _error_of(body: bytes) -> Tuple[str, Dict[str, str]]:
    """The code of an error's document and its other members; nothing where it is none."""
    try:
        root = ElementTree.fromstring(body.strip()) if body else None  # blanks before it are signs of life
    except ElementTree.ParseError:
        root = None
    members = {} if root is None else {child.tag.rpartition("}")[2]: (child.text or "").strip() for child in root}
    return members.get("Code", ""), members


def _is_readable(sock: socket.socket) -> bool:
    try:
        if hasattr(select, "poll"):
            poll = select.poll()
            poll.register(sock, select.POLLIN)
            return bool(poll.poll(0))
        return bool(select.select([sock], [], [], 0)[0])
    except ValueError:  # `close` ended it under us: whatever is done with it next says so
        return False


def _words(error: BaseException) -> str:
    if isinstance(error, socket.timeout):
        return "no progress in time"
    if isinstance(error, http.client.IncompleteRead):
        return "the answer ended early"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
