"""Which sockets are ready: raw epoll where there is one, `selectors` everywhere else, behind one face.

There are two queues.  What is registered with `BEHIND` is never among what `wait` gives: that names `behind`, once,
and `wait_behind` gives some of them, in turn.  So a crowd that is always ready costs the others nothing but its share.

Never owns a socket.  `EpollPoller` leaves out what `selectors` adds to each event (a key lookup and two named
tuples, about 2 us); the plain one is what macOS, Windows and `--portable` run.
"""

from __future__ import annotations

import select
import selectors
from typing import Dict, List, Tuple

READ, WRITE, BEHIND = 1, 2, 4  # one of the first two, with or without the third


class EpollPoller:
    """Level-triggered epoll.  An error or hang-up counts as ready for whatever was asked.

    The queue behind is an epoll of its own, which the first one watches as if it were a socket.
    """

    capacity = 1 << 30

    def __init__(self) -> None:
        self._epoll, self._behind = select.epoll(), select.epoll()
        self.behind = self._behind.fileno()
        self._epoll.register(self.behind, select.EPOLLIN)

    def register(self, fd: int, events: int) -> None:
        """Watch `fd` for READ or WRITE."""
        queue = self._behind if events & BEHIND else self._epoll
        queue.register(fd, select.EPOLLIN if events & READ else select.EPOLLOUT)

    def unregister(self, fd: int, events: int) -> None:
        """Forget `fd`, which was registered so; must be called before it is closed or handed to another thread."""
        (self._behind if events & BEHIND else self._epoll).unregister(fd)

    def wait(self, timeout: float) -> List[Tuple[int, int]]:
        """(descriptor, event mask) of what is ready, at most 512 of them, after at most `timeout` s."""
        return self._epoll.poll(timeout, 512)

    def wait_behind(self, most: int) -> List[Tuple[int, int]]:
        """The same of those behind: at most `most`, at once, who was given longest ago first."""
        return self._behind.poll(0, most)

    def close(self) -> None:
        """Give the descriptors back."""
        self._epoll.close()
        self._behind.close()


class PlainPoller:
    """The same through `selectors`.

    Who is found ready behind is watched no longer until its turn has come, or a crowd would be looked through anew
    each time that anybody is ready.
    """

    behind = -1

    def __init__(self, force_select: bool = False) -> None:
        self._selector = selectors.SelectSelector() if force_select else selectors.DefaultSelector()
        # select() cannot see descriptors of 1024 and more on POSIX, nor more than 512 on Windows.
        self.capacity = 480 if isinstance(self._selector, selectors.SelectSelector) else 1 << 30
        self._waiting: Dict[int, Tuple[int, int]] = {}  # by descriptor: how it was registered, what it is ready for

    def register(self, fd: int, events: int) -> None:
        """Watch `fd` for READ or WRITE."""
        wanted = selectors.EVENT_READ if events & READ else selectors.EVENT_WRITE
        self._selector.register(fd, wanted, events)

    def unregister(self, fd: int, events: int) -> None:
        """Forget `fd`."""
        if self._waiting.pop(fd, None) is None:
            self._selector.unregister(fd)

    def wait(self, timeout: float) -> List[Tuple[int, int]]:
        """(descriptor, event mask) of what is ready."""
        ready = []
        for key, mask in self._selector.select(0 if self._waiting else timeout):
            if key.data & BEHIND:
                self._selector.unregister(key.fd)
                self._waiting[key.fd] = key.data, mask
            else:
                ready.append((key.fd, mask))
        if self._waiting:
            ready.append((self.behind, 0))
        return ready

    def wait_behind(self, most: int) -> List[Tuple[int, int]]:
        """The same of those behind, at most `most`."""
        ready = []
        for fd in [fd for _, fd in zip(range(most), self._waiting)]:
            events, mask = self._waiting.pop(fd)
            self.register(fd, events)
            ready.append((fd, mask))
        return ready

    def close(self) -> None:
        """Give the descriptor back."""
        self._selector.close()


def best_poller(portable: bool = False):  # -> EpollPoller | PlainPoller
    """The fastest poller of this platform; with `portable`, the one that every platform has."""
    if portable or not hasattr(select, "epoll"):
        return PlainPoller(force_select=portable)
    return EpollPoller()
