"""Conversions in worker processes: children that take one order after another over their pipes.

The workers, and with them everything of the codec, are begun when the first conversion comes: a
server that only stores pays nothing for them.  What is long is cut into segments, which all idle
workers share; jobs take turns, a segment each.  While every worker is at a long conversion, one
more takes the short ones, so that nobody waits minutes for seconds.  A worker that dies, or cannot
be begun, has its work done once more by a fresh one, then the job has failed.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Set, Tuple

from .job import Conversion, Converter, Outcome, cancelled
from .wire.problems import Refusal

_ROOT = str(Path(__file__).resolve().parent.parent)
# Children are begun by subprocess: multiprocessing would import an embedder's program again, or
# fork its threads.
_PROGRAM = (
    "import sys; sys.path.insert(0, {root!r}); import audiometa; "
    "from audiokit.conversion_worker import work; "
    "work(audiometa.identify)"
)
_TRIES = 2
_SHORT = 30.0  # s of audio that are done in a second or two


class _Task:
    """What a worker does at a time: a whole file, a segment, putting segments together."""

    def __init__(self, job: _Job, length: float, **more: Any) -> None:
        self.job = job
        self.length = length  # in the unit of the job's other segments
        self.order = json.dumps({**job.order, **more}).encode() + b"\n"
        self.share = 0.0
        self.tries = 0
        self.worker: Optional[_Worker] = None


class _Job:
    """One conversion on its way; the lock of `Conversions` guards it."""

    def __init__(
        self, order: Dict[str, Any], seconds: float, on_progress: Callable[[float], None], on_done: Callable[[Outcome], None],
    ) -> None:
        self.order, self.on_progress, self.on_done = order, on_progress, on_done
        self.is_short = seconds <= _SHORT
        self.served = 0  # when a worker last took one of its tasks: the one who waited longest comes first
        self.segments: List[_Task] = []
        self.samples = 0  # of the result
        self.open: Set[_Task] = set()  # tasks that wait or are under way
        self.outcome: Optional[Outcome] = None  # when all that is open has ended

    def progress(self) -> float:
        """How much of it is done, by its segments' lengths."""
        whole = sum(task.length for task in self.segments)
        return sum(task.share * task.length for task in self.segments) / whole if whole else 0.0


class Conversions(Converter):
    """Conversions in `workers` processes, and sometimes one more for short ones."""

    def __init__(self, workers: int) -> None:
        self._count = workers
        self._tasks: List[_Task] = []
        self._long = 0  # tasks of long conversions under way
        self._turn = 0
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
                threading.Thread(
                    target=self._run,
                    args=(worker, number == self._count),
                    name=f"convert-{number}",
                    daemon=True,
                )
                for number, worker in enumerate(self._workers)
            ]
        for thread in self._threads:
            thread.start()

    def begin(
        self, source: str, target: str, conversion: Conversion, seconds: float,
        on_progress: Callable[[float], None], on_done: Callable[[Outcome], None],
    ) -> Callable[[], None]:
        """See `Converter`."""
        order = {"source": source, "target": target, "conversion": conversion._asdict()}
        return self._begin(_Job(order, seconds, on_progress, on_done))

    def summarise(
        self, source: str, target: str, region: Optional[Tuple[int, int, int]], seconds: float,
        on_done: Callable[[Outcome], None], pcm: Optional[Dict[str, Any]] = None,
    ) -> Callable[[], None]:
        """See `Converter`."""
        order = {"source": source, "target": target, "peaks": region, "pcm": pcm}
        return self._begin(_Job(order, seconds, lambda share: None, on_done))

    def _begin(self, job: _Job) -> Callable[[], None]:
        self.warm_up()
        with self._changed:
            is_late = self._is_closed
            if not is_late:
                job.segments = [_Task(job, 1.0)]
                self._add(job, job.segments)
        if is_late:
            job.on_done(_ENDED)
        return lambda: self._cancel(job)

    def close(self) -> None:
        """See `Converter`."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
            for worker in self._workers:
                worker.end()
        for thread in self._threads:
            thread.join()
        for job in {task.job for task in self._tasks}:
            job.on_done(_ENDED)

    def _add(self, job: _Job, tasks: List[_Task]) -> None:
        job.open.update(tasks)
        self._tasks += tasks
        self._changed.notify_all()

    def _cancel(self, job: _Job) -> None:
        with self._changed:
            if not job.open:
                return
            is_over = self._give_up(job, _ENDED)
        if is_over:
            job.on_done(_ENDED)

    def _give_up(self, job: _Job, outcome: Outcome) -> bool:
        """Nothing more of a job is to be done; whether nobody is at it."""
        job.outcome = job.outcome or outcome
        for task in list(job.open):
            if task.worker is not None:
                task.worker.kill()  # its thread takes notice
            else:
                job.open.remove(task)
                self._tasks.remove(task)
        return not job.open

    def _run(self, worker: _Worker, only_short: bool) -> None:
        """A worker's thread: hands it tasks and hears what it says."""
        while True:
            if not only_short:
                worker.begin()  # so that it is ready when a task comes
            task = self._next(worker, only_short)
            if task is None:
                break
            said = worker.carry_out(task, partial(self._advanced, task))
            with self._changed:
                task.worker = None
                self._long -= not task.job.is_short
                is_over = self._ended(task, said)
                self._changed.notify_all()
            if is_over:
                task.job.on_done(task.job.outcome)
            del task, said
        worker.bury()

    def _next(self, worker: _Worker, only_short: bool) -> Optional[_Task]:
        """Wait for the next task of a worker; None when there will be none."""
        with self._changed:
            while not self._is_closed:
                task = self._fitting(only_short)
                if task is not None:
                    self._tasks.remove(task)
                    self._long += not task.job.is_short
                    self._turn += 1
                    task.job.served = self._turn
                    task.worker = worker
                    task.tries += 1
                    return task
                self._changed.wait()
        return None

    def _fitting(self, only_short: bool) -> Optional[_Task]:
        """Of all jobs in turn; of a job in order."""
        if only_short and self._long < self._count:
            return None
        fitting = [task for task in self._tasks if task.job.is_short or not only_short]
        return min(fitting, key=lambda task: task.job.served, default=None)

    def _advanced(self, task: _Task, share: float) -> None:
        with self._changed:
            task.share = share
            progress = task.job.progress()
        task.job.on_progress(progress)

    def _ended(self, task: _Task, said: Optional[Dict[str, Any]]) -> bool:
        """What a worker said at last, None where it died; whether the whole job is over."""
        job = task.job
        job.open.discard(task)
        if job.outcome is not None or self._is_closed:
            job.outcome = job.outcome or _ENDED
            return not job.open
        if said is None:
            if task.tries < _TRIES:
                self._add(job, [task])
                return False
            return self._give_up(job, _DIED)
        if "failure" in said:
            return self._give_up(job, Outcome(failure=Refusal(said["failure"], said["words"])))
        task.share = 1.0
        if "segments" in said:
            self._split(job, said)
            return False
        if job.open:
            return False
        if len(job.segments) > 1:  # the last segment is done
            count, job.segments = len(job.segments), []
            self._add(job, [_Task(job, 0.0, join=count, samples=job.samples)])
            return False
        job.outcome = Outcome(tuple(said["warnings"]))
        return True

    def _split(self, job: _Job, said: Dict[str, Any]) -> None:
        edges, job.samples = said["segments"], said["samples"]
        job.segments = [
            _Task(job, end - first, segment=(number, len(edges), first, end))
            for number, (first, end) in enumerate(edges)
        ]
        self._add(job, list(job.segments))


class _Worker:
    """A child process that converts, begun when it is needed and again when it has died."""

    def __init__(self) -> None:
        self._child: Optional[subprocess.Popen] = None
        self._rest = b""
        self._lock = threading.Lock()
        self._is_ended = False

    def begin(self) -> Optional[subprocess.Popen]:
        """The child, begun if there is none; None when there shall be none, or can be none."""
        with self._lock:
            if self._child is None and not self._is_ended:
                self._rest = b""
                command = [sys.executable, "-I", "-S", "-c", _PROGRAM.format(root=_ROOT)]
                with contextlib.suppress(OSError):  # no more processes, or descriptors, just now
                    self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
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

    def carry_out(self, task: _Task, on_progress: Callable[[float], None]) -> Optional[Dict[str, Any]]:
        """Have the child do it: what it says at last, None when it died over it."""
        child = self.begin()
        if child is None or task.job.outcome is not None:
            return None
        try:
            child.stdin.write(task.order)
        except OSError:
            self.bury()
            return None
        while True:
            line = self._line(child)
            if line is None:
                self.bury()
                return None
            said = json.loads(line)
            if "progress" not in said:
                return said
            on_progress(said["progress"])

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


_ENDED = Outcome(failure=cancelled())
_DIED = Outcome(failure=Refusal("internal", "the process that converted it died, and so did the next one"))
