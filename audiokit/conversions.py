"""Conversions in worker processes: children that take one order after another over their pipes.

The workers, and with them everything of the codec, are begun when the first conversion comes: a server that only
stores pays nothing for them.  A worker that dies has its work done once more by a fresh one, then it has failed.
While every worker is at a long conversion, one more takes the short ones, so that nobody waits minutes for seconds.
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
_SHORT = 30.0  # s of audio that are done in a second or two


class _Task:
    """One conversion on its way."""

    def __init__(
        self, order: Dict[str, Any], seconds: float, on_progress: Callable[[float], None],
        on_done: Callable[[Outcome], None],
    ) -> None:
        self.order = json.dumps(order).encode() + b"\n"
        self.is_short = seconds <= _SHORT
        self.on_progress, self.on_done = on_progress, on_done
        self.tries = 0
        self.is_cancelled = False
        self.worker: Optional[_Worker] = None


class Conversions(Converter):
    """Conversions in `workers` processes, and sometimes one more for short ones."""

    def __init__(self, workers: int) -> None:
        self._count = workers
        self._tasks: Deque[_Task] = deque()
        self._long = 0  # long conversions under way
        self._changed = threading.Condition()
        self._workers: List[_Worker] = []
        self._threads: List[threading.Thread] = []
        self._is_closed = False

    def warm_up(self) -> None:
        """See `Converter`."""
        with self._changed:
            if self._threads or self._is_closed:
                return
            self._workers = [_Worker() for _ in range(self._count + 1)]
            self._threads = [
                threading.Thread(target=self._run, args=(worker, number == self._count), name=f"convert-{number}",
                                 daemon=True)
                for number, worker in enumerate(self._workers)
            ]
        for thread in self._threads:
            thread.start()

    def begin(
        self, source: str, target: str, conversion: Conversion, seconds: float,
        on_progress: Callable[[float], None], on_done: Callable[[Outcome], None],
    ) -> Callable[[], None]:
        """See `Converter`."""
        self.warm_up()
        order = {"source": source, "target": target, "conversion": conversion._asdict()}
        task = _Task(order, seconds, on_progress, on_done)
        with self._changed:
            is_late = self._is_closed
            if not is_late:
                self._tasks.append(task)
                self._changed.notify_all()
        if is_late:
            on_done(_ENDED)
        return lambda: self._cancel(task)

    def close(self) -> None:
        """See `Converter`."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
            for worker in self._workers:
                worker.end()
        for thread in self._threads:
            thread.join()
        while self._tasks:
            self._tasks.popleft().on_done(_ENDED)

    def _cancel(self, task: _Task) -> None:
        with self._changed:
            task.is_cancelled = True
            if task.worker is not None:
                task.worker.kill()  # its thread says that the task is done
            if task not in self._tasks:
                return
            self._tasks.remove(task)
        task.on_done(_ENDED)

    def _run(self, worker: _Worker, only_short: bool) -> None:
        """A worker's thread: hands it tasks and hears what it says."""
        if not only_short:
            worker.begin()  # so that it is ready when the first body is
        while True:
            task = self._next(worker, only_short)
            if task is None:
                break
            outcome = worker.carry_out(task)
            with self._changed:
                task.worker = None
                self._long -= not task.is_short
                is_wanted = not task.is_cancelled and not self._is_closed
                again = outcome is None and is_wanted and task.tries < _TRIES
                if again:
                    self._tasks.appendleft(task)
                self._changed.notify_all()
            if not again:
                task.on_done(outcome or (_DIED if is_wanted else _ENDED))
        worker.bury()

    def _next(self, worker: _Worker, only_short: bool) -> Optional[_Task]:
        """Wait for the next task of a worker; None when there will be none."""
        with self._changed:
            while not self._is_closed:
                task = self._fitting(only_short)
                if task is not None:
                    self._tasks.remove(task)
                    self._long += not task.is_short
                    task.worker = worker
                    task.tries += 1
                    return task
                self._changed.wait()
        return None

    def _fitting(self, only_short: bool) -> Optional[_Task]:
        if not only_short:
            return self._tasks[0] if self._tasks else None
        if self._long < self._count:
            return None
        return next((task for task in self._tasks if task.is_short), None)


class _Worker:
    """A child process that converts, begun when it is needed and again when it has died."""

    def __init__(self) -> None:
        self._child: Optional[subprocess.Popen] = None
        self._rest = b""
        self._lock = threading.Lock()
        self._is_ended = False

    def begin(self) -> Optional[subprocess.Popen]:
        """The child, begun if there is none; None when there shall be none."""
        with self._lock:
            if self._child is None and not self._is_ended:
                self._rest = b""
                self._child = subprocess.Popen(
                    [sys.executable, "-S", "-c", _PROGRAM.format(root=_ROOT)], stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE, bufsize=0,
                )
            return self._child

    def kill(self) -> None:
        """End the child at once; whoever waits for it is told."""
        with self._lock:
            if self._child is not None:
                self._child.kill()

    def end(self) -> None:
        """End the child, and begin no other one."""
        with self._lock:
            self._is_ended = True
            if self._child is not None:
                self._child.kill()

    def carry_out(self, task: _Task) -> Optional[Outcome]:
        """Have the child do it; None when it died over it."""
        child = self.begin()
        if child is None:
            return None
        if task.is_cancelled:
            return _ENDED
        try:
            child.stdin.write(task.order)
        except OSError:
            return self.bury()
        while True:
            line = self._line(child)
            if line is None:
                return self.bury()
            said = json.loads(line)
            if "progress" in said:
                task.on_progress(said["progress"])
            elif "failure" in said:
                return Outcome(failure=Refusal(said["failure"], said["words"]))
            else:
                return Outcome(tuple(said["warnings"]))

    def _line(self, child: subprocess.Popen) -> Optional[bytes]:
        while b"\n" not in self._rest:
            data = child.stdout.read(65536)
            if not data:
                return None
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        return line

    def bury(self) -> None:
        """Take leave of a child that has ended."""
        with self._lock:
            child, self._child = self._child, None
        if child is not None:
            child.stdin.close()
            child.stdout.close()
            child.wait()


_ENDED = Outcome(failure=Refusal("gone", "the conversion was cancelled"))
_DIED = Outcome(failure=Refusal("internal", "the process that converted it died, and so did the next one"))
