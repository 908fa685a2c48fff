"""Which sockets are ready: raw epoll where there is one, `selectors` everywhere else, behind one face.

Never owns a socket.  `EpollPoller` leaves out what `selectors` adds to each event (a key lookup and two named
tuples, about 2 us); the plain one is what macOS, Windows and `--portable` run.
"""

from __future__ import annotations

import select
import selectors
from typing import List, Tuple

READ, WRITE = 1, 2


class EpollPoller:
    """Level-triggered epoll.  An error or hang-up counts as ready for whatever was asked."""

    capacity = 1 << 30

    def __init__(self) -> None:
        self._epoll = select.epoll()

    def register(self, fd: int, events: int) -> None:
        """Watch `fd` for READ or WRITE."""
        self._epoll.register(fd, select.EPOLLIN if events == READ else select.EPOLLOUT)

    def unregister(self, fd: int) -> None:
        """Forget `fd`; must be called before it is closed or handed to another thread."""
        self._epoll.unregister(fd)

    def wait(self, timeout: float) -> List[Tuple[int, int]]:
        """(descriptor, event mask) of what is ready, at most 512 of them, after at most `timeout` s."""
        return self._epoll.poll(timeout, 512)

    def close(self) -> None:
        """Give the descriptor back."""
        self._epoll.close()


class PlainPoller:
    """The same through `selectors`."""

    def __init__(self, force_select: bool = False) -> None:
        self._selector = selectors.SelectSelector() if force_select else selectors.DefaultSelector()
        # select() cannot see descriptors of 1024 and more on POSIX, nor more than 512 on Windows.
        self.capacity = 480 if isinstance(self._selector, selectors.SelectSelector) else 1 << 30

    def register(self, fd: int, events: int) -> None:
        """Watch `fd` for READ or WRITE."""
        wanted = selectors.EVENT_READ if events == READ else selectors.EVENT_WRITE
        self._selector.register(fd, wanted)

    def unregister(self, fd: int) -> None:
        """Forget `fd`."""
        self._selector.unregister(fd)

    def wait(self, timeout: float) -> List[Tuple[int, int]]:
        """(descriptor, event mask) of what is ready."""
        return [(key.fd, mask) for key, mask in self._selector.select(timeout)]

    def close(self) -> None:
        """Give the descriptor back."""
        self._selector.close()


def best_poller(portable: bool = False):  # -> EpollPoller | PlainPoller
    """The fastest poller of this platform; with `portable`, the one that every platform has."""
    if portable or not hasattr(select, "epoll"):
        return PlainPoller(force_select=portable)
    return EpollPoller()
