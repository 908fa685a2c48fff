"""The loop: it owns every connection that is idle, slow or reading a head, and its clock.

One thread runs it.  It accepts, reads heads, answers what is quick, and lends connections to workers for what
is not; no thread ever waits on a client's socket, so a slow client costs memory and no thread, and back-pressure
is TCP's own.  It never reads files or SQL itself: that is the handler's.

It goes in *turns*.  Connections that wait for a request come first, all that have sent something.  Then come at most
sixteen of each other kind: newcomers, connections in the middle of something (a head, a body, an answer that is read
slowly), those that call, what workers gave back, what was pipelined, deadlines.  So neither the number nor the slowness of others
makes a request wait longer than a turn, which is about a millisecond.

Deadlines are kept in *wheels*: one insertion-ordered dict for each kind of waiting, whose entries all last
equally long, so that the oldest is always the first and every operation costs the same.

Raises only what `serve` is told by its listener; everything else ends one connection, in words where it can.
"""

from __future__ import annotations

import errno
import os
import socket
import time
from collections import deque
from typing import Any, Callable, Deque, Dict, List, Optional, Tuple

from . import errands
from .company import together
from .connection import HEAD, LINGERING, Connection
from .poller import BEHIND, NEW, READ, best_poller
from .workers import Crowds, Lane, Workers

_CROWDS = 2  # on their way to the disk at once: one works while the other waits
_CROWD = 32  # small uploads of one: the first waits for the last, some 5 ms
_SWEEP_S = 0.25  # s between looks at the clocks; what a deadline may be late
INLINE = 1 << 20  # bytes of files that leave from the loop in a turn: under 0.2 ms, less than two hand-offs cost
_REST_S = 4.0  # s between looks at a body that lags
_STALLED_S = 2.0  # s without progress after which a transfer makes room for a newcomer, if nobody else does
_SHARE = 16  # of each kind that comes behind waiting requests, a turn: some 20 us each
_OUT_OF_DESCRIPTORS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_PAUSE_S = 0.1  # s without accepting after the system ran out of descriptors


class Wheel(Dict[Connection, float]):
    """The connections that wait for one thing, oldest first; how long they may (s), and what is done then."""

    def __init__(self, seconds: float, act: Callable[[Connection], None] = Connection.on_timeout) -> None:
        super().__init__()
        self.seconds = seconds
        self.act = act

    def expired(self, now: float, most: int, seconds: Optional[float] = None) -> List[Connection]:
        """Those whose time is over, or who have waited for `seconds`; at most `most`."""
        limit = now - (self.seconds if seconds is None else seconds)
        out: List[Connection] = []
        for connection, since in self.items():
            if since > limit or len(out) == most:
                break
            out.append(connection)
        return out


class Reactor:
    """The loop of one listening socket.

    `new_handler(connection)` makes the handler of a connection, `encode(response, handler, closing)` the bytes
    of an answer, `log_entry` takes one answered request (None: no log), `limits` are the settings.
    `wrap` puts TLS around an accepted socket.
    """

    def __init__(
        self, listener: socket.socket, limits: Any, new_handler: Callable[[Connection], Any],
        encode: Callable[..., bytes], log_entry: Optional[Callable[..., None]],
        on_bug: Callable[[BaseException], None], wrap: Optional[Callable[[socket.socket], Any]] = None,
    ) -> None:
        self.listener = listener
        self._wrap = wrap
        self.limits = limits
        self.new_handler = new_handler
        self.encode = encode
        self.draining = False
        self.log_entry = log_entry
        self._on_bug = on_bug
        self._poller = best_poller(limits.portable)
        self._max_connections = min(limits.max_connections, self._poller.capacity, _affordable())
        self._connections: Dict[int, Connection] = {}
        self.heads = Wheel(limits.head_timeout)
        self.idle = Wheel(limits.idle_timeout)
        self.transfers = Wheel(limits.body_timeout)
        self.lingering = Wheel(limits.linger_timeout)
        self.upstreams = Wheel(limits.body_timeout)
        self.resting = Wheel(min(_REST_S, limits.body_timeout / 4), Connection.on_rested)
        self.inline_left = INLINE
        self._upstreams: Dict[int, Connection] = {}  # by the descriptor that is watched on their behalf
        self._posted: Deque[Tuple[Connection, Any]] = deque()
        self._ready: Deque[Connection] = deque()
        self._wake_out, self._wake_in = socket.socketpair()  # not a pipe: select() on Windows wants sockets
        self._wake_out.setblocking(False)
        self._wake_in.setblocking(False)
        self._woken = False
        self._stopping: Optional[float] = None
        self._accept_again = 0.0
        self._spare_fd = _spare_descriptor()
        self.work = Workers(limits.work_threads, "work", on_bug)
        self.scans = Lane(self.work, max(1, limits.work_threads // 2))
        self.small = Workers(_CROWDS, "small", on_bug)  # of their own: what they keep of the catalogue stays with them
        self.crowds = Crowds(self.small, _CROWDS, _CROWD, self._complete)
        self._gathered: List[Connection] = []
        self.bulk = Workers(limits.bulk_threads, "bulk", on_bug, gives_way=True)
        # What waits for another machine must not hold up what only waits on the disk.
        self.far = Workers(limits.far_threads, "far", on_bug) if limits.is_far else self.work

    # -- the loop --------------------------------------------------------------------------------------

    def serve(self) -> None:
        """Run until `stop` was called and the requests under way are done or out of time."""
        poller, connections, names = self._poller, self._connections, self._poller.names
        listener_fd, wake_fd = self.listener.fileno(), self._wake_out.fileno()
        poller.register(listener_fd, READ)
        poller.register(wake_fd, READ)
        next_sweep = 0.0
        while not self._is_drained():
            is_called, crowds = False, 0
            self.inline_left = INLINE
            for fd, _ in poller.wait(0.0 if self._ready or self._posted or not next_sweep else _SWEEP_S):
                connection = connections.get(fd)
                if connection is not None:
                    if connection.watched:
                        try:
                            connection.on_ready()
                        except Exception as bug:
                            self._end(connection, bug)
                elif fd in names:
                    crowds |= names[fd]
                elif fd == wake_fd:
                    self._wake_up()
                elif fd == listener_fd:
                    is_called = True
            if crowds & NEW:
                self._go_on(NEW)
            if crowds & BEHIND:
                self._go_on(BEHIND)
            if is_called:
                self._accept()
            if self._posted:
                self._hear()
            if self._ready:
                self._answer_next()
            if self._gathered:
                gathered, self._gathered = self._gathered, []
                self.crowds.submit(gathered)
            now = time.monotonic()
            if now >= next_sweep:
                is_swept = self._sweep(now)
                next_sweep = now + _SWEEP_S if is_swept else 0.0

    def stop(self, grace: float) -> None:
        """Take no new connections; end `serve` when running requests are done, at most `grace` s from now.

        May be called from any thread and from a signal handler.
        """
        if self._stopping is None:
            self._stopping = time.monotonic() + grace
        self.wake()

    def close(self) -> None:
        """End every connection, the workers and the descriptors.  The loop must have ended."""
        self.bulk.close()  # what a worker holds must come back before it may be undone
        self.small.close()
        self.work.close()
        if self.far is not self.work:
            self.far.close()
        for connection in list(self._connections.values()):
            connection.close()
        while self._posted:  # what came of requests in the last moment: files to close, conversions to end
            connection, outcome = self._posted.popleft()
            self._guarded(connection, connection.on_outcome, outcome)
        self._poller.close()
        self._wake_in.close()
        self._wake_out.close()
        if self._spare_fd is not None:
            os.close(self._spare_fd)
            self._spare_fd = None

    def wake(self) -> None:
        """Have the loop look at what was posted."""
        try:
            self._wake_in.send(b"\0")
        except (BlockingIOError, OSError):
            pass  # a full pair wakes as well as one byte more

    def post(self, connection: Connection, outcome: Any) -> None:
        """From a worker: give the connection back with what came of it."""
        self._post_all([(connection, outcome)])

    def _post_all(self, outcomes: List[Tuple[Connection, Any]]) -> None:
        self._posted.extend(outcomes)
        if not self._woken:
            self._woken = True
            self.wake()

    def gather(self, connection: Connection) -> None:
        """A small body is here whole; it is kept together with all others that this turn finds."""
        self._gathered.append(connection)

    def _complete(self, crowd: List[Connection]) -> None:
        """In a worker: small bodies side by side.  Their connections come back at once, as one call of the loop."""
        outcomes = together([errands.complete(connection) for connection in crowd])
        self._post_all(list(zip(crowd, outcomes)))

    def later(self, connection: Connection) -> None:
        """Go on with the buffer of `connection` after the others had their turn."""
        self._ready.append(connection)

    def _wake_up(self) -> None:
        try:
            self._wake_out.recv(4096)
        except (BlockingIOError, InterruptedError):
            pass
        self._woken = False  # before looking: a post from now on wakes again

    def _go_on(self, queue: int) -> None:
        """Some of the newcomers, or of those in the middle of something."""
        for fd, _ in self._poller.wait_in(queue, _SHARE):
            connection = self._connections.get(fd) or self._upstreams.get(fd)
            if connection is not None and connection.watched:
                self._guarded(connection, connection.on_ready)

    def _hear(self) -> None:
        """Some of what came of requests elsewhere."""
        for _ in range(min(len(self._posted), _SHARE)):
            connection, outcome = self._posted.popleft()
            self._guarded(connection, connection.on_outcome, outcome)

    def _answer_next(self) -> None:
        """Some of those that have sent more than one turn's worth of requests."""
        for _ in range(min(len(self._ready), _SHARE)):
            connection = self._ready.popleft()
            if connection.state is HEAD:
                self._guarded(connection, connection.advance)

    def _guarded(self, connection: Connection, act: Callable[..., None], *arguments: Any) -> None:
        try:
            act(*arguments)
        except Exception as bug:
            self._end(connection, bug)

    def _end(self, connection: Connection, bug: Exception) -> None:
        """A fault of ours ends the connection it showed on, not the loop of all the others."""
        self._on_bug(bug)
        try:
            connection.close()
        except Exception as worse:
            self._on_bug(worse)

    def _is_drained(self) -> bool:
        if self._stopping is None:
            return False
        if not self.draining:
            self.draining = True
            if not self._accept_again:  # else it is not watched just now
                self._poller.unregister(self.listener.fileno(), READ)
            self.listener.close()
            for connection in [*self.idle, *self.heads]:
                connection.close()
        busy = any(c.state not in (HEAD, LINGERING) for c in self._connections.values())
        return not busy or time.monotonic() >= self._stopping

    # -- connections come and go -----------------------------------------------------------------------

    def _accept(self) -> None:
        for _ in range(_SHARE):
            try:
                sock, peer = self.listener.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno in _OUT_OF_DESCRIPTORS:
                    self._out_of_descriptors()
                return
            if len(self._connections) >= self._max_connections and not self._evict():
                sock.close()
                continue
            try:
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError:
                sock.close()
                continue
            connection = Connection(self, sock if self._wrap is None else self._wrap(sock), peer)
            self._connections[connection.fd] = connection
            connection._watch(READ | NEW)
            self.await_head(connection)

    def _out_of_descriptors(self) -> None:
        """Make room rather than spin: a listener that cannot accept stays ready for ever."""
        if self._evict():
            return
        if self._spare_fd is not None:  # let one in, only to tell it by closing
            os.close(self._spare_fd)
            self._spare_fd = None
            try:
                self.listener.accept()[0].close()
            except OSError:
                pass
            self._spare_fd = _spare_descriptor()
        self._poller.unregister(self.listener.fileno(), READ)
        self._accept_again = time.monotonic() + _PAUSE_S

    def _evict(self) -> bool:
        """Close who is idle longest, else who is longest at its head, else a body that lags or a transfer that stands."""
        for wheel in (self.idle, self.heads, self.lingering, self.resting):
            for connection in wheel:
                connection.close()
                return True
        for connection in self.transfers.expired(time.monotonic(), 1, _STALLED_S):
            connection.close()
            return True
        return False

    def watch(self, connection: Connection, events: int) -> None:
        """Watch for READ, WRITE or (0) nothing; nothing is no registration at all."""
        if connection.upstream is not None:
            self._poller.unregister(connection.upstream, connection.watched)
            del self._upstreams[connection.upstream]
            connection.upstream = None
        elif connection.watched:
            self._poller.unregister(connection.fd, connection.watched)
        connection.watched = events
        if events:
            self._poller.register(connection.fd, events)

    def watch_upstream(self, connection: Connection, fd: int) -> None:
        """Watch the socket `fd` for reading, on behalf of a connection that is not watched meanwhile."""
        self.watch(connection, 0)
        self._poller.register(fd, READ | BEHIND)
        self._upstreams[fd] = connection
        connection.upstream, connection.watched = fd, READ | BEHIND

    def forget(self, connection: Connection) -> None:
        """The connection is about to be closed."""
        self.untime(connection)
        if self._connections.get(connection.fd) is connection:
            del self._connections[connection.fd]

    # -- clocks ----------------------------------------------------------------------------------------

    def _sweep(self, now: float) -> bool:
        """See to some of those whose time is over; False when there are more."""
        left = _SHARE
        for wheel in (self.heads, self.idle, self.transfers, self.lingering, self.upstreams, self.resting):
            for connection in wheel.expired(now, left):
                left -= 1
                self.untime(connection)
                self._guarded(connection, wheel.act, connection)
        if self._accept_again and now >= self._accept_again and not self.draining:
            self._accept_again = 0.0
            if self._spare_fd is None:
                self._spare_fd = _spare_descriptor()
            self._poller.register(self.listener.fileno(), READ)
        return left > 0

    def _wait_in(self, wheel: Wheel, connection: Connection) -> None:
        if connection.timer is not None:
            connection.timer.pop(connection, None)
        connection.timer = wheel
        wheel[connection] = time.monotonic()

    def untime(self, connection: Connection) -> None:
        """Stop the clock of `connection`."""
        if connection.timer is not None:
            connection.timer.pop(connection, None)
            connection.timer = None

    def await_head(self, connection: Connection) -> None:
        """A head has 10 s from its first byte, or from connecting: no later byte moves that deadline."""
        if connection.started and not connection.buffer:
            timer, idle = connection.timer, self.idle  # every answered request passes here
            if timer is idle and idle[connection] == connection.started:
                return  # more of a body that nobody wants moves no deadline
            if timer is not None:
                timer.pop(connection, None)
            connection.timer = idle
            idle[connection] = connection.started
        elif connection.timer is not self.heads:
            self._wait_in(self.heads, connection)

    def await_transfer(self, connection: Connection) -> None:
        """A body or an answer: each progress starts the clock anew."""
        self._wait_in(self.transfers, connection)

    def await_rest(self, connection: Connection) -> None:
        """A body that lags: it is not watched meanwhile."""
        self._wait_in(self.resting, connection)

    def await_upstream(self, connection: Connection) -> None:
        """An answer whose next bytes come from another machine."""
        self._wait_in(self.upstreams, connection)

    def await_linger(self, connection: Connection) -> None:
        """All is said."""
        self._wait_in(self.lingering, connection)


def _affordable() -> int:
    """Connections that the process has descriptors for, after raising its own limit as far as it may."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return 1 << 30
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
        except (ValueError, OSError):  # macOS tells of more than it gives
            pass
    if soft == resource.RLIM_INFINITY:
        return 1 << 30
    # A connection may have a file open; the catalogue and its threads take up to 60.
    return max(8, (soft - 64) * 3 // 4)


def _spare_descriptor() -> Optional[int]:
    try:
        return os.open(os.devnull, os.O_RDONLY)
    except OSError:
        return None
