"""One client's connection: bytes in, requests out to the handler, answers back, in order.

A connection belongs to the loop, which alone calls it, except while it is *away*: then one worker has its
transfer (errands.py), and the loop neither watches its socket nor closes it.  Nothing here ever waits.

    HEAD       idle, or part of a head is there            watched for reading
    LOGGING_IN who asks is being found out; a body stays unread     away
    RECEIVING  a body goes to its sink, step by step       watched for reading, or away
    WORKING    a route runs in a worker thread             away
    PENDING    the answer will come from elsewhere         watched for reading
    SENDING    an answer is on its way out                 watched for writing, or away
    STREAMING  pieces are sent as they are pushed          watched for reading, or for writing
    LINGERING  all is said; what still comes is dropped    watched for reading
    CLOSED
"""

from __future__ import annotations

import os
import socket
import time
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Optional

from . import errands
from .answers import Later, Login, Pending, Receive, Stream
from .bodies import Unwanted
from .heads import check_partial
from .pace import LAGS, LOST, Pace
from .poller import BEHIND, READ, WRITE
from .problems import Refusal
from .responses import Response
from .transfers import AGAIN, DONE, SEEK, SOURCE, WAIT, Drawn, PeerGone, Receiving, Sending, Span

if TYPE_CHECKING:  # the loop makes connections; they only call back
    from .reactor import Reactor

HEAD, LOGGING_IN, RECEIVING, WORKING, PENDING, SENDING, STREAMING, LINGERING, CLOSED = (
    "head logging-in receiving working pending sending streaming lingering closed".split()
)
_RECV = errands.SMALL  # bytes a read of the loop takes: a small body, a head, or a thousand pipelined ones
_TURN = 16  # requests a connection may have answered before others get their turn
_TURN_BYTES = 1 << 18  # bytes of answers after which they do as well: a list of a thousand files takes milliseconds to make
_INLINE = 1 << 20  # bytes of an answer in memory that leave from the loop at once
_LINGER_MAX = 30.0  # s a refused upload may go on sending, as long as it makes progress (nginx's value)
_BEHIND = 1 << 18  # bytes that a reader of a stream may be behind
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class _Said(NamedTuple):
    """What an answer's source elsewhere gave: a response, or a piece of a stream."""

    source: object  # whose word it is: a connection hears the one that it waits for, and nobody before
    what: Any


class Connection:
    """A client's socket and where the conversation stands."""

    __slots__ = (
        "reactor", "sock", "fd", "peer", "handler", "state", "watched", "buffer", "checked", "timer",
        "receiving", "is_untouched", "sink", "sending", "files", "unwanted", "closing", "request", "started",
        "linger_until", "source", "cancel", "on_end", "upstream", "pace",
    )

    def __init__(self, reactor: Reactor, sock: socket.socket, peer: Any) -> None:
        self.reactor = reactor
        self.sock = sock
        self.fd = sock.fileno()
        self.peer = peer
        self.state = HEAD
        self.watched = 0  # READ or WRITE, perhaps NEW or BEHIND; or nothing
        self.upstream: Optional[int] = None  # the descriptor that is watched for reading instead of ours
        self.buffer = b""  # read, not yet understood
        self.checked = 0  # bytes of an unfinished head that were found good
        self.timer: Any = None  # the wheel that holds us
        self.receiving: Optional[Receiving] = None
        self.is_untouched = False  # the body: no worker has begun with it
        self.sink: Any = None
        self.pace: Optional[Pace] = None  # of the body
        self.sending: Optional[Sending] = None
        self.files: tuple = ()  # descriptors to close when the answer is out
        self.unwanted: Optional[Unwanted] = None
        self.closing = False  # no request after this answer
        self.request: Any = None  # the handler's note of the request being answered, for the log
        self.started = 0.0
        self.linger_until = 0.0
        self.source: Any = None  # stands for where a pending answer or a stream comes from
        self.cancel: Any = None  # ends what a pending answer or a stream comes from
        self.on_end: Any = None  # is told how a file's sending ended
        self.handler = reactor.new_handler(self)

    # -- events, in the loop ---------------------------------------------------------------------------

    def on_ready(self) -> None:
        """The socket is ready for what it was watched for."""
        state = self.state
        if state is HEAD:
            self._read()
        elif state is SENDING:
            if self.upstream is not None:
                self._watch(0)  # it may be given to another connection before we look again
            self._continue_sending()
        elif state is RECEIVING:
            self._continue_body()
        elif state is LINGERING:
            self._linger_read()
        elif state is PENDING:
            self._listen()
        elif state is STREAMING:
            if self.watched & WRITE:
                self._flush()
            else:
                self._listen()

    def on_timeout(self) -> None:
        """No progress for as long as this state may last."""
        if self.state is HEAD and self.buffer:
            self._refuse_and_close(Refusal("timeout", "the request's head took too long", close=True))
            self.close()  # no lingering: a trickle would only use it to live on
        elif self.state is RECEIVING:
            self._give_up_body(f"the body made no progress after {self.receiving.received} bytes")
        elif self.upstream is not None:
            self._hand_off(self.reactor.far, errands.seek)
        else:
            self.close()

    def on_rested(self) -> None:
        """A body that lags is looked at again."""
        self._continue_body()

    def close(self) -> None:
        """End it now; what a request had begun is undone."""
        if self.state is CLOSED:
            return
        if self.state in (LOGGING_IN, RECEIVING, WORKING, PENDING):
            self._log_unanswered()
        self._watch(0)
        self.reactor.forget(self)
        self.state = CLOSED
        self._drop_sink()
        self._cancel()
        self._sent(whole=False)
        self.handler.connection = None  # each knows the other: thousands that end at once would wait for a collection
        try:
            self.sock.close()
        except OSError:
            pass

    def _log_unanswered(self) -> None:
        if self.reactor.log_entry is not None:
            self.reactor.log_entry(self, self.handler.note(), None, 0, False)

    # -- requests --------------------------------------------------------------------------------------

    def _read(self) -> None:
        try:
            data = self.sock.recv(_RECV)
        except (BlockingIOError, InterruptedError):
            return self._watch(READ | BEHIND)  # part of a TLS record has come
        except OSError:
            return self.close()
        except Refusal as refusal:  # plain HTTP where TLS is spoken
            return self._refuse_and_close(refusal)
        if not data:
            return self._on_end()
        self.buffer = self.buffer + data if self.buffer else data
        self.advance()

    def _on_end(self) -> None:
        """The client will send nothing more; half a request is refused in words, nothing needs none."""
        if self.unwanted is None and self.buffer.strip(b"\r\n"):
            self._refuse_and_close(Refusal("bad-request", "the request ended inside its head", close=True))
        else:
            self.close()

    def advance(self) -> None:
        """Answer the requests that are whole in the buffer."""
        out = []  # answers to pipelined requests leave in one send
        turns = size = 0
        waits_its_turn = False
        while self.state is HEAD and (self.buffer or (self.unwanted is not None and self.unwanted.done)):
            if self.unwanted is not None:
                if not self._skip(out):
                    break
                continue
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                self._check_partial(out)
                break
            if turns >= _TURN or size >= _TURN_BYTES:
                waits_its_turn = True
                break
            turns += 1
            self.checked = 0
            if end + 4 == len(self.buffer):
                block, self.buffer = self.buffer, b""
            else:
                block, self.buffer = self.buffer[: end + 4], self.buffer[end + 4 :]
            self.started = time.monotonic()
            answer = self.handler.answer(block)
            if type(answer) is Response and answer.file is None:
                self._settle_body(answer)
                out.append(self._encoded(answer))
                size += len(answer.body)  # made, also where HEAD asks for it
                if self.closing:
                    self._send(b"".join(out))
                    return
                continue
            if out:
                self._push(b"".join(out))
                out = []
                if self.state is not HEAD:  # the client reads slowly: this request waits its turn
                    self.buffer = block + self.buffer
                    self._close_files_of(answer)
                    return
            self._carry_out(answer)
        if out:
            self._push(b"".join(out))
        if self.state is HEAD:
            if waits_its_turn:
                self._watch(0)  # what is here comes first: the kernel holds the rest, and the sender
                self.reactor.later(self)
            else:
                self._watch(READ | BEHIND if self.buffer or self.unwanted else READ)
            if not self.buffer:
                self.handler.rest()
            elif turns:
                self.reactor.untime(self)  # what is there now is a new head, with a time of its own
            self.reactor.await_head(self)

    def _carry_out(self, answer: Any) -> None:
        if type(answer) is Response:
            self._answer(answer)
        elif type(answer) is Receive:
            self._receive(answer)
        elif type(answer) is Login:
            self._log_in(answer)
        else:
            self._settle_body(None)
            self._wait_for(answer)

    def _log_in(self, login: Login) -> None:
        self.state = LOGGING_IN
        self._lend()
        login.begin(lambda outcome: self.reactor.post(self, outcome))

    def _logged_in(self, outcome: Any) -> None:
        self._carry_out(self.handler.resume(outcome))
        if self.state is HEAD:  # answered already: what is behind it in the buffer is next
            self.advance()

    def _wait_for(self, answer: Any) -> None:
        if type(answer) is Later:
            self.state = WORKING
            reactor = self.reactor
            crew = reactor.far if answer.is_far else reactor.scans if answer.is_slow else reactor.work
            self._hand_off(crew, errands.work, answer.work)
        elif type(answer) is Pending:
            self.state = PENDING
            self.reactor.untime(self)
            self._watch(READ | BEHIND)
            self.cancel = answer.begin(self._hearing())
        elif type(answer) is Stream:
            self._stream(answer)

    def _check_partial(self, out: list) -> None:
        try:
            self.checked = check_partial(self.buffer, self.reactor.limits, self.checked)
        except Refusal as refusal:
            self.closing = True
            self.started = time.monotonic()
            out.append(self._encoded(self.handler.refuse(refusal, self.buffer)))
            data = b"".join(out)
            out.clear()
            self._send(data)

    def _skip(self, out: list) -> bool:
        """Drop what has come of an unwanted body; False when more of it is to come."""
        try:
            self.buffer = self.unwanted.feed(self.buffer)
        except Refusal:  # answered already: there is nothing to say, and nothing here can be trusted
            self.closing = True
            self.buffer = b""
            self._send(b"".join(out))
            out.clear()
            return False
        if self.unwanted.done:
            self.unwanted = None
            return True
        return False

    def _settle_body(self, answer: Optional[Response]) -> None:
        """A body that nobody wants is dropped when short; else the connection ends with the answer."""
        handler = self.handler
        if not handler.keep_alive or (answer is not None and answer.close):
            self.closing = True
        framing = handler.framing
        if not framing.is_given or not framing.has_body:
            return
        limit = self.reactor.limits.drain_limit
        if handler.expects_continue or (framing.length or 0) > limit:
            self.closing = True
        elif not self.closing:
            self.unwanted = Unwanted(framing.length, limit)

    # -- bodies in -------------------------------------------------------------------------------------

    def _receive(self, receive: Receive) -> None:
        framing = self.handler.framing
        first, self.buffer = self.buffer, b""
        self.sink = receive.sink
        self.receiving = Receiving(self.sock, receive.sink, framing.length, first, receive.limit)
        if not self.handler.keep_alive:
            self.closing = True
        if self.handler.expects_continue and not first:
            try:
                self.sock.send(_CONTINUE)
            except OSError:
                return self.close()
        self.state = RECEIVING
        self.pace = Pace(self.reactor.limits.body_rate, time.monotonic())
        self.is_untouched = True
        if first or framing.length is None or not 0 < framing.length <= _RECV:
            self._begin_body()
        else:
            self._read_body()

    def _read_body(self) -> None:
        """In the loop: what one read gives of a small body.  Most often that is all of it, and saves a hand-over."""
        try:
            data = self.sock.recv(_RECV)
        except (BlockingIOError, InterruptedError):
            return self._await_body()
        except OSError:
            return self.close()
        self.receiving.first += data
        self._begin_body()

    def _begin_body(self) -> None:
        if self.receiving.is_here and self.sink.likes_company:
            self._lend()
            return self.reactor.gather(self)
        self.is_untouched = False
        if not self.receiving.is_here:
            self._hand_off(self.reactor.bulk, errands.receive, True)
        else:
            self._hand_off(self.reactor.work, errands.receive, True)

    def _continue_body(self) -> None:
        if self.is_untouched:
            self._read_body()
        else:
            self._hand_off(self.reactor.bulk, errands.receive)

    def _await_body(self) -> None:
        pace = self.pace
        verdict = pace.look(self.receiving.received, time.monotonic())
        if verdict is LOST:
            self._give_up_body(f"{pace.came} bytes of the body came in a minute, {pace.least} have to")
        elif verdict is LAGS:
            self.reactor.await_rest(self)
        else:
            self._watch(READ | BEHIND)
            self.reactor.await_transfer(self)

    def _give_up_body(self, why: str) -> None:
        self._drop_sink()
        self._answer(self.handler.problem(Refusal("timeout", why, close=True)))

    def on_outcome(self, outcome: Any) -> None:
        """A worker gives the connection back, or an answer comes from elsewhere; in the loop."""
        if type(outcome) is _Said:
            return self._heard(outcome)
        if self.state is CLOSED:
            return self._close_files_of(outcome)
        if self.state is LOGGING_IN:
            return self._logged_in(outcome)
        if outcome is WAIT and self.state is RECEIVING:
            self._await_body()
        elif outcome is WAIT:
            self._watch(WRITE | BEHIND)
            self.reactor.await_transfer(self)
        elif outcome is AGAIN:
            if self.state is RECEIVING:
                self._hand_off(self.reactor.bulk, errands.receive)
            else:
                self._hand_off(self.reactor.bulk, errands.send)
        elif isinstance(outcome, PeerGone):
            self.close()
        elif outcome is SOURCE or outcome is SEEK:
            self._draw(outcome)
        elif self.state is SENDING:
            self._sending_done()
        else:
            self._body_done(outcome)

    def _body_done(self, outcome: Any) -> None:
        self.cancel = None
        receiving, self.receiving = self.receiving, None
        if receiving is not None:
            if receiving.is_complete:
                self.buffer = receiving.leftover
            else:
                self.closing = True
        if isinstance(outcome, Refusal):
            outcome = self.handler.problem(outcome)
        if type(outcome) is not Response:
            return self._wait_for(outcome)
        if outcome.close or self.reactor.draining:
            self.closing = True
        self._answer(outcome, settled=True)

    def _drop_sink(self) -> None:
        self.receiving = None
        sink, self.sink = self.sink, None
        if sink is not None:
            self.reactor.work.submit(sink.abandon)  # removing a large file is not the loop's work

    # -- answers from elsewhere ------------------------------------------------------------------------

    def _stream(self, stream: Stream) -> None:
        self.closing = True
        self.state = STREAMING
        self.reactor.untime(self)
        self.sending = Sending(self.sock, self.reactor.limits.portable)
        head = stream.head._replace(is_endless=True)
        self.request = (self.handler.note(), head.status)
        self.sending.add(self.reactor.encode(head, self.handler, self.closing))
        self._watch(READ | BEHIND)
        self._flush()
        if self.state is STREAMING:
            self.cancel = stream.begin(self._hearing())

    def _hearing(self) -> Callable[[Any], None]:
        """What the source of an answer calls, from any thread, once or for each piece."""
        source = self.source = object()
        return lambda what: self.reactor.post(self, _Said(source, what))

    def _heard(self, said: _Said) -> None:
        """In the loop.  A word too many finds a connection that is elsewhere by now, perhaps at a worker's."""
        if said.source is not self.source:
            self._close_files_of(said.what)
        elif self.state is STREAMING:
            self._pushed(said.what)
        else:
            self.source = None
            self._body_done(said.what)

    def _pushed(self, data: Optional[bytes]) -> None:
        if data is None:
            self.source = None
            self.state = SENDING
            return self._continue_sending()
        self.sending.add(data)
        if self.sending.left > _BEHIND:
            self.close()
        elif self.watched & READ:
            self._flush()

    def _flush(self) -> None:
        try:
            outcome = self.sending.step(_INLINE)
        except PeerGone:
            return self.close()
        self._watch(BEHIND | (READ if outcome is DONE else WRITE))

    def _listen(self) -> None:
        """While the client waits it may send its next request; that it ends its side means that it is gone."""
        try:
            data = self.sock.recv(_RECV)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            return self.close()
        if not data:
            return self.close()
        self.buffer += data
        if len(self.buffer) > self.reactor.limits.max_head:
            self._watch(0)  # the kernel may hold the rest

    def _cancel(self) -> None:
        self.source = None
        cancel, self.cancel = self.cancel, None
        if cancel is not None:
            cancel()

    # -- answers out -----------------------------------------------------------------------------------

    def _encoded(self, response: Response) -> bytes:
        reactor = self.reactor
        data = reactor.encode(response, self.handler, self.closing)
        if reactor.log_entry is not None:
            reactor.log_entry(self, self.handler.note(), response.status, len(data), True)
        return data

    def _answer(self, response: Response, settled: bool = False) -> None:
        """Send one answer, which may carry a file."""
        if not settled:
            self._settle_body(response)
        self.sending = sending = Sending(self.sock, self.reactor.limits.portable)
        if response.file is None:
            sending.add(self._encoded(response))
        else:
            self._add_file(sending, response)
        self.state = SENDING
        self._continue_sending(goes_on=settled)  # else `advance` is who called, and goes on by itself

    def _add_file(self, sending: Sending, response: Response) -> None:
        is_head = self.handler.is_head
        body = response.file
        if not is_head:  # first of all, so that whatever happens it is closed
            self.files = (body.fd,)
            self.on_end = body.on_end
        sending.add(self.reactor.encode(response, self.handler, self.closing))
        self.request = (self.handler.note(), response.status)
        if is_head:
            return
        piece = Span if type(body.fd) is int else Drawn
        for prefix, start, stop in body.spans:
            sending.add(prefix)
            sending.add(piece(body.fd, start, stop))
        sending.add(body.trailer)

    def _push(self, data: bytes) -> None:
        """Send now what the socket takes; the rest makes the state SENDING."""
        try:
            sent = self.sock.send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            return self.close()
        if sent == len(data):
            return
        self.sending = Sending(self.sock, self.reactor.limits.portable)
        self.sending.add(memoryview(data)[sent:])
        self.state = SENDING
        self._watch(WRITE | BEHIND)
        self.reactor.await_transfer(self)

    def _send(self, data: bytes) -> None:
        """Send the last answer of this connection."""
        self._push(data)
        if self.state is HEAD:
            self._finish_connection()

    def _continue_sending(self, goes_on: bool = True) -> None:
        sending, before = self.sending, self.sending.sent
        try:
            outcome = sending.step(self.reactor.inline_left if self.files else _INLINE)
        except PeerGone:
            return self.close()
        self.reactor.inline_left -= sending.sent - before
        if outcome is DONE:
            self._sending_done(goes_on)
        elif outcome is AGAIN:
            self._hand_off(self.reactor.bulk, errands.send)
        elif outcome is WAIT:
            self._watch(WRITE | BEHIND)
            self.reactor.await_transfer(self)
        else:
            self._draw(outcome)

    def _draw(self, outcome: str) -> None:
        """The source is not ready, or has to be asked again, which may take its time."""
        if outcome is SEEK:
            return self._hand_off(self.reactor.far, errands.seek)
        self.reactor.watch_upstream(self, self.files[0].fileno())
        self.reactor.await_upstream(self)

    def _sending_done(self, goes_on: bool = True) -> None:
        self._cancel()
        self._sent(whole=True)
        if self.closing:
            return self._finish_connection()
        self.started = time.monotonic()  # it is idle from now on, however long the answer took
        self.state = HEAD
        if goes_on:
            self._watch(READ)
            self.advance()

    def _sent(self, whole: bool) -> None:
        """The answer is out, or never will be: close its files, write its line."""
        sending, self.sending = self.sending, None
        files, self.files = self.files, ()
        for fd in files:
            _close(fd)
        on_end, self.on_end = self.on_end, None
        if on_end is not None:
            on_end(whole)
        request, self.request = self.request, None
        if request is not None and self.reactor.log_entry is not None:
            note, status = request
            self.reactor.log_entry(self, note, status, sending.sent, whole)

    def _close_files_of(self, answer: Any) -> None:
        """An answer that will not be sent gives back what it holds."""
        if type(answer) is Pending:
            answer.begin(self._close_files_of)()  # whoever made it ready can only clear up what was begun
        if type(answer) is Response and answer.file is not None and answer.file.fd is not None:
            _close(answer.file.fd)
            if answer.file.on_end is not None:
                answer.file.on_end(False)

    # -- the end ---------------------------------------------------------------------------------------

    def _refuse_and_close(self, refusal: Refusal) -> None:
        self.closing = True
        block, self.buffer = self.buffer, b""
        self.started = time.monotonic()
        self._send(self._encoded(self.handler.refuse(refusal, block)))

    def _finish_connection(self) -> None:
        """Say that nothing more will come; then let the client read before the socket closes.

        Closing while input is unread resets the connection, and the answer is lost with it.
        """
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except BlockingIOError:  # TLS has a last word, which does not fit now
            self.sending = Sending(self.sock, self.reactor.limits.portable)
            self.state = SENDING
            self._watch(WRITE | BEHIND)
            return self.reactor.await_transfer(self)
        except OSError:
            return self.close()
        self.buffer = b""
        self.state = LINGERING
        self.linger_until = time.monotonic() + _LINGER_MAX
        self._watch(READ | BEHIND)
        self.reactor.await_linger(self)

    def _linger_read(self) -> None:
        try:
            for _ in range(16):
                if not self.sock.recv(_RECV):
                    return self.close()
        except (BlockingIOError, InterruptedError):
            pass
        except OSError:
            return self.close()
        if time.monotonic() > self.linger_until:
            self.close()
        elif self.handler.had_body:
            self.reactor.await_linger(self)

    # -- the loop's bookkeeping ------------------------------------------------------------------------

    def _watch(self, events: int) -> None:
        if self.watched != events:
            self.reactor.watch(self, events)

    def _hand_off(self, crew: Any, task: Any, *arguments: Any) -> None:
        """Give the connection to a worker."""
        self._lend()
        crew.submit(task, self, *arguments)

    def _lend(self) -> None:
        """Somebody else has it now.  Unwatched first: a hang-up is reported even for no event."""
        self._watch(0)
        self.reactor.untime(self)


def _close(file: Any) -> None:
    if type(file) is int:
        os.close(file)
    elif file is not None:
        file.close()
