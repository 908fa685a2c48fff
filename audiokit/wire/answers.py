"""What a route may answer besides a finished `Response`: "run this elsewhere", "send me the body", "wait".

Values only: the connection carries them out.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, NamedTuple, Optional, Union

from .company import Work
from .responses import Response


class Later(NamedTuple):
    """An answer that takes more than a millisecond: `work()` gives it, or where it will come from, off the loop.

    `is_far`: it may wait for another machine, so that it must not hold up what only waits on the disk.
    """

    work: Callable[[], Union[Response, Pending]]
    is_far: bool = False
    is_slow: bool = False  # it may take seconds: not all threads may be lost to such


class Source:
    """Content that comes from another machine; in `FileBody.fd` it stands for a descriptor.

    One thread at a time; `position` is where the next byte comes from.
    """

    position: int

    def fileno(self) -> int:
        """What to wait for when `read` has nothing yet."""
        raise NotImplementedError

    def read(self, buffer: memoryview) -> memoryview:
        """The next bytes, perhaps in `buffer`; never waits.

        BlockingIOError: none are there yet.  Another OSError: none will come without `seek`.
        """
        raise NotImplementedError

    def seek(self, start: int, stop: int) -> None:
        """Have the bytes `start` to `stop` (exclusive) come.  Waits; OSError when they will not."""
        raise NotImplementedError

    def close(self) -> None:
        """Nobody wants the rest."""


class Sink:
    """Where a request's body goes; one thread at a time calls it, never the loop.

    `open` comes first, then any number of `write` and `lend`, perhaps `trailed`, then `finish` or `abandon`, once.
    Where `likes_company` says so, `finishing` may be carried out instead of `finish`, among others (company.py).
    """

    likes_company = False

    def open(self) -> None:
        """Make ready to take bytes; may raise Refusal."""

    def write(self, piece: memoryview) -> None:
        """Take some bytes; the memory is somebody else's after the call."""

    def lend(self, view: memoryview, piece: Any) -> None:
        """The same, of memory that lasts, after a `piece.keep()`, until `piece.give_back()`."""
        self.write(view)

    def trailed(self, fields: Dict[str, str]) -> None:
        """Take the fields that came behind the body (RFC 9110 section 6.5), by lower-case name; may raise Refusal."""

    def finish(self) -> Union[Response, Pending]:
        """All bytes are there: the answer, or where it will come from."""
        raise NotImplementedError

    def finishing(self) -> Work[Union[Response, Pending]]:
        """What `finish` does, as a work that costs less in company."""
        raise NotImplementedError

    def abandon(self) -> None:
        """The body will not be completed: leave nothing behind."""


class Receive(NamedTuple):
    """The route wants the body: at most `limit` bytes of it into `sink`, whose `finish()` answers."""

    sink: Sink
    limit: int


class Pending(NamedTuple):
    """The answer will come from elsewhere.

    `begin(reply)` starts what makes it and returns how to cancel that; both are called in the loop and must be
    quick.  `reply(response)` may be called once, from any thread.  A client that ends its side is taken to be
    gone: then `cancel()` is called, and a reply after it is dropped (its file closed).
    """

    begin: Callable[[Callable[[Response], None]], Callable[[], None]]


class Login(NamedTuple):
    """Who is asking takes a while to find out; until then the body is left where it is.

    `begin(reply)` is called in the loop and must be quick.  `reply(outcome)` is called once, from any thread; the
    handler's `resume(outcome)` then gives the answer, in the loop.
    """

    begin: Callable[[Callable[[Any], None]], None]


class Stream(NamedTuple):
    """An answer without an end that is known: `head`, then whatever is pushed.

    `begin(push)` starts it and returns how to stop; both are called in the loop.  `push(data)` may be called from
    any thread; `push(None)` ends the answer, and the connection with it.  A reader too slow for it is cut off.
    """

    head: Response
    begin: Callable[[Callable[[Optional[bytes]], None]], Callable[[], None]]


Answer = Union[Response, Later, Receive, Pending, Login, Stream]
