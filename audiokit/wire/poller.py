"""Which sockets are ready: raw epoll where there is one, `selectors` everywhere else, behind one face.

There are three queues.  What is registered with `NEW` or `BEHIND` is never among what `wait` gives: that gives one of
`names` instead, and `wait_in` some of those in that queue, in turn.  So a crowd that is always ready costs the others
nothing but its share.

Never owns a socket.  `EpollPoller` leaves out what `selectors` adds to each event (a key lookup and two named
tuples, about 2 us); the plain one is what macOS, Windows and `--portable` run.
"""

from __future__ import annotations

import select
import selectors
from typing import Dict, List, Tuple

READ, WRITE, NEW, BEHIND = 1, 2, 4, 8  # one of the first two, perhaps with one of the others
_QUEUE = NEW | BEHIND


class EpollPoller:
    """Level-triggered epoll.  An error or hang-up counts as ready for whatever was asked.

    The other queues are epolls of their own, which the first one watches as if they were sockets.
    """

    capacity = 1 << 30

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._queues = {0: self._epoll, NEW: select.epoll(), BEHIND: select.epoll()}
        self.names = {self._queues[queue].fileno(): queue for queue in (NEW, BEHIND)}
        for name in self.names:
            self._epoll.register(name, select.EPOLLIN)

    def register(self, fd: int, events: int) -> None:
        """Watch `fd` for READ or WRITE, in the queue that is named with it."""
        self._queues[events & _QUEUE].register(fd, select.EPOLLIN if events & READ else select.EPOLLOUT)

    def unregister(self, fd: int, events: int) -> None:
        """Forget `fd`, which was registered so; must be called before it is closed or handed to another thread."""
        self._queues[events & _QUEUE].unregister(fd)

    def wait(self, timeout: float) -> List[Tuple[int, int]]:
        """(descriptor, event mask) of what is ready, at most 512 of them, after at most `timeout` s."""
        return self._epoll.poll(timeout, 512)

    def wait_in(self, queue: int, most: int) -> List[Tuple[int, int]]:
        """The same in NEW or BEHIND: at most `most`, at once, who was given longest ago first."""
        return self._queues[queue].poll(0, most)

    def close(self) -> None:
        """Give the descriptors back."""
        for epoll in self._queues.values():
            epoll.close()


class PlainPoller:
    """The same through `selectors`.

    Who is found ready in another queue is watched no longer until its turn has come, or a crowd would be looked through
    anew each time that anybody is ready.
    """

    names = {-1: NEW, -2: BEHIND}

    def __init__(self, force_select: bool = False) -> None:
        self._selector = selectors.SelectSelector() if force_select else selectors.DefaultSelector()
        # select() cannot see descriptors of 1024 and more on POSIX, nor more than 512 on Windows.
        self.capacity = 480 if isinstance(self._selector, selectors.SelectSelector) else 1 << 30
        # Those ready, by queue and descriptor: how each was registered, and what it is ready for.
        self._waiting: Dict[int, Dict[int, Tuple[int, int]]] = {NEW: {}, BEHIND: {}}

    def register(self, fd: int, events: int) -> None:
        """Watch `fd` for READ or WRITE, in the queue that is named with it."""
        wanted = selectors.EVENT_READ if events & READ else selectors.EVENT_WRITE
        self._selector.register(fd, wanted, events)

    def unregister(self, fd: int, events: int) -> None:
        """Forget `fd`, which was registered so."""
        queue = events & _QUEUE
        if not queue or self._waiting[queue].pop(fd, None) is None:
            self._selector.unregister(fd)

    def wait(self, timeout: float) -> List[Tuple[int, int]]:
        """(descriptor, event mask) of what is ready."""
        ready, is_anybody = [], any(self._waiting.values())
        for key, mask in self._selector.select(0 if is_anybody else timeout):
            queue = key.data & _QUEUE
            if queue:
                self._selector.unregister(key.fd)
                self._waiting[queue][key.fd] = key.data, mask
            else:
                ready.append((key.fd, mask))
        return ready + [(name, 0) for name, queue in self.names.items() if self._waiting[queue]]

    def wait_in(self, queue: int, most: int) -> List[Tuple[int, int]]:
        """The same in NEW or BEHIND, at most `most`."""
        ready, waiting = [], self._waiting[queue]
        for fd in [fd for _, fd in zip(range(most), waiting)]:
            events, mask = waiting.pop(fd)
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
