"""A few threads that run what must not run in the loop.

Never waits for a client: what is submitted here may wait on a disk, a lock or another machine, no longer.  A task that
raises is a bug of the task's: it is handed to `on_bug`, and the thread goes on.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import deque
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any, Callable, Deque, Iterator, List, Sequence, Tuple

_SWITCH_S = 0.0005  # after which a thread that waits asks the running one for its turn
_NICE = 10  # of threads that give way: they run when the loop does not want to


class Workers:
    """`threads` daemon threads that take tasks in the order they came.  They begin with the first task.

    With `gives_way` they have a lower priority than the loop, where threads have one of their own (Linux): on a
    busy machine whoever moves gigabytes would else run for milliseconds before a request of 30 us gets its turn.

    `concurrent.futures` would do, at four times the cost a task: its futures carry a lock each, and nobody
    here waits for a result.
    """

    def __init__(
        self, threads: int, name: str, on_bug: Callable[[BaseException], None], gives_way: bool = False,
    ) -> None:
        self._tasks: SimpleQueue = SimpleQueue()
        self._on_bug = on_bug
        self._gives_way = gives_way and sys.platform.startswith("linux")
        self._closed = False
        self._names = [f"{name}-{number}" for number in range(threads)]
        self._threads: List[threading.Thread] = []
        self._lock = threading.Lock()

    def submit(self, task: Callable[..., Any], *arguments: Any) -> None:
        """Have `task(*arguments)` run soon; at once, here, when the threads have ended."""
        if self._closed:
            task(*arguments)
        else:
            if not self._threads:
                self._begin()
            self._tasks.put((task, arguments))

    def _begin(self) -> None:
        with self._lock:
            if self._threads or self._closed:
                return
            for name in self._names:
                thread = threading.Thread(target=self._run, name=name, daemon=True)
                thread.start()
                self._threads.append(thread)

    @property
    def is_pressed(self) -> bool:
        """Whether somebody waits for a thread, if only to have it end."""
        return self._closed or not self._tasks.empty()

    def close(self, timeout: float = 5.0) -> None:
        """Finish what was submitted, then end the threads; wait for that no longer than `timeout` s."""
        until = time.monotonic() + timeout
        with self._lock:
            self._closed = not self._threads  # nobody is there, and nobody will be
        for _ in self._threads:
            self._tasks.put(None)
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        self._closed = True

    def _run(self) -> None:
        if self._gives_way:
            _lower_priority()
        while True:
            item = self._tasks.get()
            if item is None:
                return
            task, arguments = item
            try:
                task(*arguments)
            except BaseException as bug:  # the edge of a thread: nobody is above to catch it
                self._on_bug(bug)
            del item, task, arguments  # an idle thread must not keep the last upload alive


class _Interval:
    """The interpreter's switch interval, which all servers of a process share."""

    lock = threading.Lock()
    users = 0
    before = 0.0


@contextmanager
def brisk_threads() -> Iterator[None]:
    """Threads give way to each other soon, as long as anyone is in here; then all is as it was before the first.

    5 ms of a hashing or walking thread is a long time for a request of 30 us.
    """
    with _Interval.lock:
        if not _Interval.users:
            _Interval.before = sys.getswitchinterval()
            sys.setswitchinterval(_SWITCH_S)
        _Interval.users += 1
    try:
        yield
    finally:
        with _Interval.lock:
            _Interval.users -= 1
            if not _Interval.users:
                sys.setswitchinterval(_Interval.before)


class Lane:
    """A way to the threads of a crew on which at most `most` tasks are at once, so that others find a thread too."""

    def __init__(self, crew: Workers, most: int) -> None:
        self._crew, self._free = crew, most
        self._waiting: Deque[Tuple[Callable[..., Any], tuple]] = deque()
        self._lock = threading.Lock()

    def submit(self, task: Callable[..., Any], *arguments: Any) -> None:
        """Have `task(*arguments)` run when there is room on the lane."""
        with self._lock:
            if not self._free:
                self._waiting.append((task, arguments))
                return
            self._free -= 1
        self._crew.submit(self._run, task, arguments)

    def _run(self, task: Callable[..., Any], arguments: tuple) -> None:
        try:
            task(*arguments)
        finally:
            with self._lock:
                following = self._waiting.popleft() if self._waiting else None
                if following is None:
                    self._free += 1
            if following is not None:
                self._crew.submit(self._run, *following)


class Crowds:
    """A way to the threads of a crew on which all that waits is taken at once, up to `most`, and handed to `act`.

    At most `threads` of them do so at a time: while one crowd waits for the disk the next one gathers.
    """

    def __init__(self, crew: Workers, threads: int, most: int, act: Callable[[List[Any]], None]) -> None:
        self._crew, self._free, self._most, self._act = crew, threads, most, act
        self._waiting: List[Any] = []
        self._lock = threading.Lock()

    def submit(self, items: Sequence[Any]) -> None:
        """Have `act` called soon with these items, among others."""
        with self._lock:
            self._waiting.extend(items)
            begun = min(self._free, -(-len(self._waiting) // self._most))  # as many as there are crowds
            self._free -= begun
        for _ in range(begun):
            self._crew.submit(self._run)

    def _run(self) -> None:
        while True:
            with self._lock:
                crowd, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
                if not crowd:
                    self._free += 1
                    return
            self._act(crowd)


def raised(bug: BaseException) -> None:
    """What a crew does about a bug whose tasks keep for others what goes wrong: it ends the thread, and is seen."""
    raise bug


def _lower_priority() -> None:
    try:  # Linux takes a thread's number where POSIX means a process
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
    except OSError:
        pass  # it works as well, only less politely
