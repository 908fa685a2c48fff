"""Conversions as jobs: what was asked for, how far it is, what came of it, and when it goes.

A job has a folder of its own, that only we may enter, below one folder of the data folder:

    input     what is converted: a body that was posted, or a second name of a stored file
    result    what came of it
    job.json  that somebody may ask for it later; without one the next start removes the folder

    QUEUED -> RUNNING -> DONE | FAILED -> gone: delivered whole, removed, cancelled or expired

Who converts is handed in (see `Converter`); nothing here knows sockets or codecs.  A job that
nobody can come back for (the client waits on its connection) has no job.json and goes with the
connection.  A job that is wanted later survives a restart: unfinished it is begun again, finished
it waits until it expires.

Where servers share a catalogue, what is wanted later is posted (see `Elsewhere`) when it is begun
and published when it has ended: from then on nothing of it is here.  Raises `Refusal`.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import threading
import time
from collections import OrderedDict
from functools import partial
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

from . import job_notes
from .digests import pieces_of, sha256_of
from .failures import refusal_of
from .job import DONE, FAILED, QUEUED, RUNNING, Converter, Job, Order, Outcome, Result, Share, cancelled, gone, told, unknown
from .wire.problems import Refusal
from .wire.workers import Workers

_REMEMBERED = 10_000  # ids that are gone and still told from those that never were
_RETRY = 5.0  # s until a folder that could not be removed (Windows: an open file) is tried again
_LOOK = 3600.0  # s between looks at what expires, at most
_CREW = 2  # threads that hash, store and remove: short work, but it waits on the disk


class Elsewhere:
    """Where jobs that are wanted later can be asked for, but for here; `Jobs` may be given one."""

    def share(self, job: Job) -> Share:
        """What others shall know it by, once its input is there.  May wait; raises where they could not have that."""
        raise NotImplementedError

    def post(self, job: Job) -> None:
        """It is about to begin.  May wait; raises where it could not be posted."""
        raise NotImplementedError

    def withdraw(self, job: Job) -> None:
        """It was to be shared or posted, and does not begin after all.  May wait."""
        raise NotImplementedError

    def check(self, job: Job) -> None:
        """It is about to become a file; raises where it is no longer this server's.  May wait."""
        raise NotImplementedError

    def undo(self, job: Job, key: str) -> Any:
        """What takes back the file with the bytes `key` where the job is no longer this server's by then."""
        raise NotImplementedError

    def publish(self, job: Job, state: str, failure: Optional[Refusal]) -> None:
        """It ended so; quick.  Once all can know, and have its result, `Jobs.conclude` is called."""
        raise NotImplementedError


class Jobs:
    """All jobs of a server.  Thread-safe."""

    def __init__(
        self, folder: Path, converter: Converter, storage: Any, identify: Callable[[Any], Any], *, most: int, result_ttl: float,
        on_bug: Callable[[BaseException], None], clock: Callable[[], float] = time.time, elsewhere: Optional[Elsewhere] = None,
    ) -> None:
        """`most`: unfinished jobs at once; `result_ttl`: seconds that a result waits.  Sweeps.

        Who gives an `elsewhere` calls `resume` when it is ready.
        """
        self._folder, self._converter = Path(folder), converter
        self._storage, self._identify = storage, identify
        self.warm_up = converter.warm_up
        self._most, self._ttl, self._clock = most, result_ttl, clock
        self._elsewhere = elsewhere
        self._jobs: Dict[str, Job] = {}
        self._coming = 0  # jobs whose input is being put
        self._gone: OrderedDict = OrderedDict()
        self._stubborn: List[Path] = []
        self._changed = threading.Condition()
        self._is_closed = False
        self._crew = Workers(_CREW, "jobs", on_bug)
        self._keeper = threading.Thread(target=self._keep, name="expiry", daemon=True)
        self._resumed = self._sweep() if self._folder.is_dir() else []
        self._keeper.start()
        if elsewhere is None:
            self.resume()

    # -- asking ------------------------------------------------------------------------------------

    def check_room(self, others: int = 0) -> None:
        """Refusal `busy` when the queue is full, or would be with so many others."""
        with self._changed:
            unfinished = others + self._coming + sum(not job.is_over for job in self._jobs.values())
        if unfinished >= self._most:
            raise Refusal("busy", f"{unfinished} conversions are waiting", headers=[("Retry-After", "5")])

    def find(self, id: str, owner: Optional[int] = 0) -> Job:
        """The job, if `owner` began it (None: whoever did); Refusal `gone` or `not-found`."""
        with self._changed:
            job = self._jobs.get(id)
            if job is not None and job.is_wanted_later and owner in (None, job.owner):
                return job
            if id in self._gone and owner in (None, self._gone[id]):
                raise gone()
        raise unknown()

    def status(self, job: Job, state: Optional[str] = None, failure: Optional[Refusal] = None) -> Dict[str, Any]:
        """What a client is told of it; with `state` as if it had ended so."""
        with self._changed:
            return told(job, self._position(job), state, failure)

    def unfinished(self) -> Dict[str, Job]:
        """The jobs that are wanted later and are not over, by id."""
        with self._changed:
            return {job.id: job for job in self._jobs.values() if job.is_wanted_later and not job.is_over}

    def _position(self, job: Job) -> Optional[int]:
        if job.state != QUEUED:
            return None
        ahead = [one.id for one in self._jobs.values() if one.state == QUEUED]  # in the order they came
        return ahead.index(job.id) + 1 if job.id in ahead else None

    def follow(self, job: Job, watcher: Callable[[Job], None]) -> Callable[[], None]:
        """Call `watcher(job)` now and at every change, from any thread.

        The last time is when the job is over.  Returns how to stop.
        """
        with self._changed:
            job.watchers.append(watcher)
        watcher(job)

        def stop() -> None:
            with self._changed:
                if watcher in job.watchers:
                    job.watchers.remove(watcher)

        return stop

    # -- from order to result ----------------------------------------------------------------------

    def add(
        self, order: Order, put: Callable[[str], None], is_wanted_later: bool, owner: int = 0, by: Optional[str] = None,
    ) -> Job:
        """A job of `owner`, named `by`, that `start` begins; `put(path)` brings its input there.  May wait on the disk.

        Refusal `busy`, or what `put` raises; then nothing is left.
        """
        with self._changed:
            self.check_room()
            self._coming += 1
        id = secrets.token_urlsafe(18)
        job = Job(id, self._folder / id, order, is_wanted_later, self._clock(), owner, by)
        try:
            elsewhere = self._elsewhere if is_wanted_later else None
            with self._made(job, put, elsewhere):
                if elsewhere is not None:
                    elsewhere.post(job)
        finally:
            with self._changed:
                self._coming -= 1
        return job

    @contextlib.contextmanager
    def _made(self, job: Job, put: Callable[[str], None], elsewhere: Optional[Elsewhere] = None) -> Iterator[None]:
        """The folder of a job, with its input; the job is ours behind this, or nothing is left."""
        try:
            os.makedirs(str(self._folder), 0o700, exist_ok=True)
            os.mkdir(str(job.folder), 0o700)
            put(job.input)
            if elsewhere is not None:
                job.share = elsewhere.share(job)
            if job.is_wanted_later:
                job_notes.write(job)
            yield
        except BaseException as error:
            if elsewhere is not None:
                elsewhere.withdraw(job)
            shutil.rmtree(str(job.folder), ignore_errors=True)
            raise refusal_of(error)
        with self._changed:
            self._jobs[job.id] = job

    def another(self, id: str, order: Order, created: float, owner: int, by: Optional[str], share: Share) -> Job:
        """A job that another server began, as ours would be; `adopt` makes it ours."""
        return Job(id, self._folder / id, order, True, created, owner, by, share)

    def adopt(self, job: Job, put: Callable[[str], None]) -> None:
        """Go on with a job that another server began; `put(path)` brings its input there.  Raises as `add` does."""
        with self._made(job, put):
            pass
        self.start(job)

    def release(self, job: Job) -> List[Callable[[Any], None]]:
        """Another server has it now: stop, in silence; who was told of it here."""
        with self._changed:
            if self._jobs.get(job.id) is not job:
                return []
            del self._jobs[job.id]
            cancel, job.cancel = job.cancel, None
            watchers, job.watchers = job.watchers, []
        if cancel is not None:
            cancel()
        self._remove_folder(job.folder)
        return watchers

    def start(self, job: Job) -> None:
        """Begin the work; quick."""
        with self._changed:
            if self._is_closed or job.is_over or job.id not in self._jobs:
                return
        if job.order.conversion is None:
            self._crew.submit(self._converted, job, Outcome())
            return
        cancel = self._converter.begin(
            job.input,
            job.output,
            job.order.conversion,
            job.order.seconds,
            lambda share: self._advanced(job, share),
            lambda outcome: self._crew.submit(self._converted, job, outcome),
        )
        with self._changed:
            job.cancel = cancel
            is_gone = job.id not in self._jobs
        if is_gone:
            cancel()

    def _advanced(self, job: Job, share: float) -> None:
        with self._changed:
            if job.is_over or job.id not in self._jobs:
                return
            is_news = job.state == QUEUED or int(100 * share) > int(100 * job.progress)
            if job.state == QUEUED:
                job.state, job.began = RUNNING, time.monotonic()
            job.progress = max(job.progress, min(share, 0.999))
        if is_news:
            self._tell(job)

    def _converted(self, job: Job, outcome: Outcome) -> None:
        """In the crew: the files are ours again."""
        with self._changed:
            is_gone = job.id not in self._jobs
            job.cancel = None
            job.warnings += outcome.warnings
        if is_gone or self._is_closed:
            if is_gone or not job.is_wanted_later:
                self._remove_folder(job.folder)
            return
        error: Optional[BaseException] = outcome.failure
        if error is None:
            try:
                self._finish(job)
            except Exception as fault:  # whatever it is, whoever waits must be told
                error = refusal_of(fault)
        if error is None:
            self._end(job, DONE, None)
        elif isinstance(error, Refusal):
            self._end(job, FAILED, error)
        else:
            self._end(job, FAILED, Refusal("internal", "the result could not be kept"))
            raise error

    def _finish(self, job: Job) -> None:
        """Measure the result, or make it a file of the catalogue."""
        if job.order.conversion is None:
            os.replace(job.input, job.output)
        sha256, size = _digest_of(job.output)
        if job.order.save_as is not None:
            self._save(job, sha256, size)
            self._remove_folder(job.folder)
            return
        now = self._clock()
        with self._changed:
            job.result = Result(size, sha256, now)
            if job.is_wanted_later:  # what a client waits for goes with its connection
                job.expires = now + self._ttl
        if job.is_wanted_later and self._elsewhere is not None:
            return  # until it is published, a restart begins again with the input
        if job.is_wanted_later:
            job_notes.write(job)
        with contextlib.suppress(FileNotFoundError):
            os.remove(job.input)

    def _save(self, job: Job, sha256: str, size: int) -> None:
        undo = None
        if job.is_wanted_later and self._elsewhere is not None:
            self._elsewhere.check(job)
            undo = partial(self._elsewhere.undo, job)
        try:
            with self._storage.take_in(job.output) as upload:
                kept = self._storage.keep(
                    upload,
                    name=job.order.save_as,
                    info=self._identify(upload.file),
                    sha256=sha256,
                    size=size,
                    metadata={},
                    owner=job.owner,
                    uploaded_by=job.by,
                    undo=undo,
                )
        except Refusal as refusal:
            if refusal.members.get("parameter") == "name":  # which is not what it is called here
                refusal.members["parameter"] = "save_as"
            raise
        job.record, job.file_id, job.is_new_file = kept.record, kept.id, kept.outcome == "created"

    def _end(self, job: Job, state: str, failure: Optional[Refusal]) -> None:
        if job.is_wanted_later:
            job.expires = job.expires or self._clock() + self._ttl
            if self._elsewhere is not None:
                self._elsewhere.publish(job, state, failure)
                return
        if state == FAILED:
            self._remove_folder(job.folder)  # only what is said of it is kept
        with self._changed:
            self._set(job, state, failure)
            if not job.is_wanted_later and job.result is None:
                self._forget(job)
            self._changed.notify()
        self._tell(job)

    def _set(self, job: Job, state: str, failure: Optional[Refusal]) -> None:
        job.state, job.failure = state, failure
        job.progress = 1.0 if state == DONE else job.progress

    def conclude(self, job: Job, state: str, failure: Optional[Refusal]) -> None:
        """It is published: nothing of it stays here.  Nothing happens when it was removed before."""
        with self._changed:
            if self._jobs.pop(job.id, None) is not job:
                return
            self._set(job, state, failure)
        self._remove_folder(job.folder)
        self._tell(job)

    def _tell(self, job: Job) -> None:
        with self._changed:
            watchers = list(job.watchers)
        for watcher in watchers:
            watcher(job)

    # -- the end of a job --------------------------------------------------------------------------

    def open_result(self, job: Job, start: int = 0, stop: int = 0) -> int:
        """A descriptor of the result, whatever the span that is wanted first; Refusal `gone`."""
        try:
            return os.open(job.output, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        except FileNotFoundError:
            raise gone("result") from None

    def answered(self, job: Job, spans: List[Tuple[int, int]], is_whole: bool) -> None:
        """An answer with these bytes of the result ended; quick.  All delivered, it goes."""
        if job.is_wanted_later and not is_whole:
            return
        with self._changed:
            for start, stop in spans:
                job.delivered.add(start, stop)
            if job.is_wanted_later and not job.delivered.covers(job.result.size):
                return
            if self._jobs.get(job.id) is not job:
                return
            self._forget(job)  # from now on it is gone for everyone
        self._crew.submit(self._remove_folder, job.folder)

    def cancel(self, job: Job) -> None:
        """Nobody waits for it any more; quick, harmless when it is over."""
        if not job.is_over:
            self._crew.submit(self.remove, job)

    def remove(self, job: Job) -> None:
        """Cancel it, or remove what came of it; harmless a second time."""
        with self._changed:
            if self._jobs.get(job.id) is not job:
                return
            self._forget(job)
            cancel, job.cancel = job.cancel, None
            if not job.is_over:
                job.state = FAILED
                job.failure = cancelled()
        if cancel is not None:
            cancel()  # on_done removes the folder again, when nobody writes to it any more
        self._remove_folder(job.folder)
        self._tell(job)

    def _forget(self, job: Job) -> None:
        self._jobs.pop(job.id, None)
        self._gone[job.id] = job.owner
        if len(self._gone) > _REMEMBERED:
            self._gone.popitem(last=False)

    def _remove_folder(self, folder: Path) -> None:
        try:
            shutil.rmtree(str(folder))
        except FileNotFoundError:
            pass
        except OSError:
            with self._changed:
                self._stubborn.append(folder)
                self._changed.notify()

    def _keep(self) -> None:
        """The expiry's thread: sleeps until something is due."""
        while True:
            with self._changed:
                if self._is_closed:
                    return
                now = self._clock()
                due = [
                    job
                    for job in self._jobs.values()
                    if job.expires is not None and job.expires <= now
                ]
                stubborn, self._stubborn = self._stubborn, []
            for job in due:
                self.remove(job)
            for folder in stubborn:
                self._remove_folder(folder)
            with self._changed:
                if self._is_closed:
                    return
                self._changed.wait(self._next_look())

    def _next_look(self) -> Optional[float]:
        """Seconds until something may be due; None when nothing will be."""
        times = [job.expires for job in self._jobs.values() if job.expires is not None]
        # No longer than an hour at a time: clocks are set, and no platform waits for ever.
        wait = min(max(0.0, min(times) - self._clock()), _LOOK) if times else None
        if self._stubborn:
            return min(_RETRY, wait) if wait is not None else _RETRY
        return wait

    def close(self) -> None:
        """End, and whoever converts with it.  What is wanted later stays for the next start."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        self._converter.close()
        with self._changed:
            waited = [job for job in self._jobs.values() if not job.is_wanted_later]
        self._keeper.join()
        self._crew.close()
        for job in waited:
            shutil.rmtree(str(job.folder), ignore_errors=True)

    # -- what a restart finds ----------------------------------------------------------------------

    def resume(self) -> None:
        """Go on with what the last server left unfinished."""
        resumed, self._resumed = self._resumed, []
        for job in resumed:
            self._crew.submit(self.start, job)

    def _sweep(self) -> List[Job]:
        """Take up what is wanted still, remove all else; gives the jobs that have to be done."""
        again = []
        for folder in sorted(self._folder.iterdir()):
            job = job_notes.read(folder)
            if job is None or (job.expires is not None and job.expires <= self._clock()):
                job_notes.remove_anything(folder)
                continue
            self._jobs[job.id] = job
            if job.result is None:
                again.append(job)
        again.sort(key=lambda job: job.created)
        return again


def _digest_of(path: str) -> Tuple[str, int]:
    """The sha256 of a file, and its size."""
    with open(path, "rb", buffering=0) as file:
        return sha256_of(pieces_of(file)), file.tell()
