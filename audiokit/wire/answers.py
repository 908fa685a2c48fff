"""What a route may answer besides a finished `Response`: "run this elsewhere" and "send me the body".

Values only: the connection carries them out.
"""

from __future__ import annotations

from typing import Callable, NamedTuple, Optional, Union

from .responses import Response


class Later(NamedTuple):
    """An answer that takes more than a millisecond: `work()` gives it, off the loop."""

    work: Callable[[], Response]


class Sink:
    """Where a request's body goes; one thread at a time calls it, never the loop.

    `open` comes first, then any number of `write` and `moved`, then `finish` or `abandon`, once.
    """

    def open(self) -> None:
        """Make ready to take bytes; may raise Refusal."""

    def fileno(self) -> Optional[int]:
        """The descriptor of a file that wants the body just as it is, or None: then `write` is called."""
        return None

    def write(self, piece: memoryview) -> None:
        """Take some bytes; the memory is only lent."""

    def moved(self, count: int) -> None:
        """`count` bytes went straight into the file of `fileno()`."""

    def finish(self) -> Response:
        """All bytes are there: the answer."""
        raise NotImplementedError

    def abandon(self) -> None:
        """The body will not be completed: leave nothing behind."""


class Receive(NamedTuple):
    """The route wants the body: at most `limit` bytes of it into `sink`, whose `finish()` answers."""

    sink: Sink
    limit: int


Answer = Union[Response, Later, Receive]
