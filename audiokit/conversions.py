"""Conversions in worker processes: children that take one order after another over their pipes.

The workers, and with them everything of the codec, are begun when the first conversion comes: a server that only
stores pays nothing for them.  A worker that dies has its work done once more by a fresh one, then it has failed.
Raises OSError when no process can be begun.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path
from typing import Any, Callable, Deque, Dict, List, Optional

from .jobs import Conversion, Converter, Outcome
from .wire.problems import Refusal

_ROOT = str(Path(__file__).resolve().parent.parent)
# Children are begun by subprocess: multiprocessing would import an embedder's program again, or fork its threads.
_PROGRAM = (
    "import sys; sys.path.insert(0, {root!r}); import audiometa; from audiokit.conversion_worker import work; "
    "work(audiometa.identify)"
)
_TRIES = 2


class _Task:
    """One conversion on its way."""

    def __init__(self, order: bytes, on_progress: Callable[[float], None], on_done: Callable[[Outcome], None]) -> None:
        self.order, self.on_progress, self.on_done = order, on_progress, on_done
        self.tries = 0
        self.is_cancelled = False
        self.child: Optional[subprocess.Popen] = None


class Conversions(Converter):
    """Conversions in `workers` processes."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._tasks: Deque[_Task] = deque()
        self._changed = threading.Condition()
        self._threads: List[threading.Thread] = []
        self._is_closed = False
        self._children: Dict[int, subprocess.Popen] = {}

    def warm_up(self) -> None:
        """See `Converter`."""
        with self._changed:
            if self._threads or self._is_closed:
                return
            self._threads = [
                threading.Thread(target=self._run, args=(number,), name=f"convert-{number}", daemon=True)
                for number in range(self._workers)
            ]
        for thread in self._threads:
            thread.start()

    def begin(
        self, source: str, target: str, conversion: Conversion, on_progress: Callable[[float], None],
        on_done: Callable[[Outcome], None],
    ) -> Callable[[], None]:
        """See `Converter`."""
        self.warm_up()
        order = {"source": source, "target": target, "conversion": conversion._asdict()}
        task = _Task(json.dumps(order).encode() + b"\n", on_progress, on_done)
        with self._changed:
            self._tasks.append(task)
            self._changed.notify()
        return lambda: self._cancel(task)

    def close(self) -> None:
        """See `Converter`."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
            for child in self._children.values():
                child.kill()
        for thread in self._threads:
            thread.join()
        while self._tasks:
            self._tasks.popleft().on_done(_ENDED)

    def _cancel(self, task: _Task) -> None:
        with self._changed:
            task.is_cancelled = True
            if task in self._tasks:
                self._tasks.remove(task)
            elif task.child is not None:
                task.child.kill()  # its thread says that it is done, and begins another
                return
            else:
                return
        task.on_done(_ENDED)

    def _run(self, number: int) -> None:
        """A worker's thread: begins a child, hands it orders, reads what it says."""
        while True:
            child = self._child(number)
            if child is None:
                return
            self._feed(child)
            child.stdin.close()
            child.stdout.close()
            child.wait()
            with self._changed:
                self._children.pop(number, None)

    def _child(self, number: int) -> Optional[subprocess.Popen]:
        with self._changed:
            if self._is_closed:
                return None
            child = subprocess.Popen(
                [sys.executable, "-S", "-c", _PROGRAM.format(root=_ROOT)], stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, bufsize=0,
            )
            self._children[number] = child
            return child

    def _feed(self, child: subprocess.Popen) -> None:
        lines = _Lines(child.stdout)
        while True:
            with self._changed:
                while not self._tasks and not self._is_closed:
                    self._changed.wait()
                if self._is_closed:
                    return
                task = self._tasks.popleft()
                task.child, task.tries = child, task.tries + 1
            outcome = _outcome_of(child, lines, task)
            with self._changed:
                task.child = None
                again = outcome is None and not task.is_cancelled and not self._is_closed and task.tries < _TRIES
                if again:
                    self._tasks.appendleft(task)
            if not again:
                task.on_done(outcome or (_ENDED if task.is_cancelled or self._is_closed else _DIED))
            if outcome is None:
                return


class _Lines:
    """What a child says, a line at a time; None when it has ended."""

    def __init__(self, stream: Any) -> None:
        self._stream, self._rest = stream, b""

    def next(self) -> Optional[bytes]:
        while b"\n" not in self._rest:
            data = self._stream.read(65536)
            if not data:
                return None
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        return line


_ENDED = Outcome(failure=Refusal("gone", "the conversion was cancelled"))
_DIED = Outcome(failure=Refusal("internal", "the process that converted it died, and so did the next one"))


def _outcome_of(child: subprocess.Popen, lines: _Lines, task: _Task) -> Optional[Outcome]:
    """Have a child carry out a task; None when it died over it."""
    try:
        child.stdin.write(task.order)
    except OSError:
        return None
    while True:
        line = lines.next()
        if line is None:
            return None
        said = json.loads(line)
        if "progress" in said:
            task.on_progress(said["progress"])
        elif "failure" in said:
            return Outcome(failure=Refusal(said["failure"], said["words"]))
        else:
            return Outcome(tuple(said["warnings"]))
