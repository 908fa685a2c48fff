"""Conversions as jobs: what was asked for, how far it is, what came of it, and when it goes.

A job has a folder of its own, that only we may enter, below one folder of the data folder:

    input     what is converted: a body that was posted, or a second name of a stored file
    result    what came of it
    job.json  that somebody may ask for it later; without one the next start removes the folder

    QUEUED -> RUNNING -> DONE | FAILED -> gone: delivered whole, removed, cancelled or expired

Who converts is handed in (see `Converter`); nothing here knows sockets or codecs.  A job that
nobody can come back for (the client waits on its connection) has no job.json and goes with the
connection.  A job that is wanted later survives a restart: unfinished it is begun again, finished
it waits until it expires. Raises `Refusal`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import threading
import time
from collections import OrderedDict
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from .wire.problems import Refusal, is_full
from .wire.workers import Workers

QUEUED, RUNNING, DONE, FAILED = "queued", "running", "done", "failed"
_UNFINISHED = (QUEUED, RUNNING)
_REMEMBERED = 10_000  # ids that are gone and still told from those that never were
_RETRY = 5.0  # s until a folder that could not be removed (Windows: an open file) is tried again
_LOOK = 3600.0  # s between looks at what expires, at most
_CREW = 2  # threads that hash, store and remove: short work, but it waits on the disk
_PIECE = 1 << 20  # bytes of a result hashed at a time


class Conversion(NamedTuple):
    """What is to be made of the samples."""

    format: str  # "mp3" or "wav"
    rate: int  # Hz
    channels: int
    bitrate: Optional[int] = None  # kbit/s; None for quality or WAV
    quality: Optional[int] = None  # 0 (best) to 9
    dither: str = "none"  # or "tpdf": after resampling, or where more than 16 bits come in


class Outcome(NamedTuple):
    """How a conversion ended."""

    warnings: Tuple[str, ...] = ()  # what was damaged
    failure: Optional[Refusal] = None


class Converter:
    """Who does the work; `Jobs` is given one."""

    def warm_up(self) -> None:
        """A conversion is about to come; quick."""

    def begin(
        self,
        source: str,
        target: str,
        conversion: Conversion,
        seconds: float,
        on_progress: Callable[[float], None],
        on_done: Callable[[Outcome], None],
    ) -> Callable[[], None]:
        """Begin to convert the file `source`, of about `seconds`, to the file `target`.

        Quick; returns how to cancel.

        `on_progress(0..1)` and, exactly once and also after a cancel, `on_done(outcome)` are
        called from any thread; behind `on_done` nobody touches the files any more.
        """
        raise NotImplementedError

    def summarise(
        self,
        source: str,
        target: str,
        region: Optional[Tuple[int, int, int]],
        seconds: float,
        on_done: Callable[[Outcome], None],
    ) -> Callable[[], None]:
        """Begin to make the peaks of the file `source`, or of a region of it; else as `begin`.

        `seconds` of audio would take as long to convert.
        """
        raise NotImplementedError

    def close(self) -> None:
        """End everything, at once."""


class Order(NamedTuple):
    """What was asked for, settled before the job is made."""

    conversion: Optional[Conversion]  # None: the input is the result, byte for byte
    name: str  # of the result
    mime: str
    done: str  # what will have been done, in the words of X-Resample
    warnings: Tuple[str, ...] = ()  # that a look at the input gave
    seconds: float = 0.0  # of audio, as far as is known
    save_as: Optional[str] = None  # name of the catalogue's file that the result becomes


class Result(NamedTuple):
    """What came of a job."""

    size: int
    sha256: str  # lower-case hex
    since: float  # seconds since 1970


class Delivered:
    """Which bytes of a result have reached the kernel: disjoint spans in order."""

    def __init__(self) -> None:
        self._spans: List[Tuple[int, int]] = []

    def add(self, start: int, stop: int) -> None:
        """Bytes `start` to `stop` (exclusive) are out."""
        apart = []
        for one in self._spans:
            if one[1] < start or one[0] > stop:
                apart.append(one)
            else:
                start, stop = min(start, one[0]), max(stop, one[1])
        self._spans = sorted([*apart, (start, stop)])

    def covers(self, size: int) -> bool:
        """Whether that is all of `size` bytes."""
        return size == 0 or self._spans == [(0, size)]


class Job:
    """One conversion; whoever changes it holds the lock of `Jobs`."""

    def __init__(
        self, id: str, folder: Path, order: Order, is_wanted_later: bool, created: float,
        owner: int = 0, by: Optional[str] = None,
    ) -> None:
        self.owner, self.by = owner, by  # the account that began it, and its name
        self.id, self.order, self.is_wanted_later, self.created = (
            id,
            order,
            is_wanted_later,
            created,
        )
        self.folder = folder
        self.state = QUEUED
        self.progress = 0.0
        self.began: Optional[float] = None  # s, monotonic
        self.warnings = order.warnings
        self.result: Optional[Result] = None
        self.failure: Optional[Refusal] = None
        self.record: Optional[str] = None  # of the file that the result became
        self.file_id: Optional[str] = None
        self.is_new_file = False
        self.expires: Optional[float] = None  # seconds since 1970
        self.delivered = Delivered()
        self.watchers: List[Callable[[Job], None]] = []
        self.cancel: Optional[Callable[[], None]] = None

    @property
    def input(self) -> str:
        """The path of what is converted."""
        return str(self.folder / "input")

    @property
    def output(self) -> str:
        """The path of what comes of it."""
        return str(self.folder / "result")

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state not in _UNFINISHED


class Jobs:
    """All jobs of a server.  Thread-safe."""

    def __init__(
        self,
        folder: Path,
        converter: Converter,
        storage: Any,
        identify: Callable[[Any], Any],
        *,
        most: int,
        result_ttl: float,
        on_bug: Callable[[BaseException], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`most`: unfinished jobs at once; `result_ttl`: seconds that a result waits.  Sweeps."""
        self._folder, self._converter, self._storage, self._identify = (
            Path(folder),
            converter,
            storage,
            identify,
        )
        self.warm_up = converter.warm_up
        self._most, self._ttl, self._clock = most, result_ttl, clock
        self._jobs: Dict[str, Job] = {}
        self._gone: OrderedDict = OrderedDict()
        self._stubborn: List[Path] = []
        self._changed = threading.Condition()
        self._is_closed = False
        self._crew = Workers(_CREW, "jobs", on_bug)
        self._keeper = threading.Thread(target=self._keep, name="expiry", daemon=True)
        resumed = self._sweep() if self._folder.is_dir() else []
        self._keeper.start()
        for job in resumed:
            self._crew.submit(self.start, job)

    # -- asking ------------------------------------------------------------------------------------

    def check_room(self) -> None:
        """Refusal `busy` when the queue is full."""
        with self._changed:
            unfinished = sum(not job.is_over for job in self._jobs.values())
        if unfinished >= self._most:
            raise Refusal(
                "busy", f"{unfinished} conversions are waiting", headers=[("Retry-After", "5")]
            )

    def find(self, id: str, owner: Optional[int] = 0) -> Job:
        """The job, if `owner` began it (None: whoever did); Refusal `gone` or `not-found`."""
        with self._changed:
            job = self._jobs.get(id)
            if job is not None and job.is_wanted_later and owner in (None, job.owner):
                return job
            if id in self._gone and owner in (None, self._gone[id]):
                raise Refusal("gone", "the conversion has been delivered, removed or has expired")
        raise Refusal("not-found", "there is no such conversion")

    def status(self, job: Job) -> Dict[str, Any]:
        """What a client is told of it."""
        with self._changed:
            where = f"/resample/{job.id}/result" if job.result else None
            return {
                "id": job.id,
                "status": job.state,
                "progress": round(job.progress, 4),
                "seconds_left": _seconds_left(job),
                "position": self._position(job),
                "result": f"/files/{job.file_id}/content" if job.file_id else where,
                "file": f"/files/{job.file_id}" if job.file_id else None,
                "name": job.order.name,
                "done": job.order.done if job.state == DONE else None,
                "size": job.result.size if job.result else None,
                "warnings": list(job.warnings),
                "expires": _rfc3339(job.expires) if job.expires else None,
                "problem": json.loads(job.failure.body()) if job.failure else None,
            }

    def _position(self, job: Job) -> Optional[int]:
        if job.state != QUEUED:
            return None
        ahead = [
            one.id for one in self._jobs.values() if one.state == QUEUED
        ]  # in the order they came
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
        self.check_room()
        id = secrets.token_urlsafe(18)
        job = Job(id, self._folder / id, order, is_wanted_later, self._clock(), owner, by)
        try:
            os.makedirs(str(self._folder), 0o700, exist_ok=True)
            os.mkdir(str(job.folder), 0o700)
            put(job.input)
            if is_wanted_later:
                self._note(job)
        except BaseException as error:
            shutil.rmtree(str(job.folder), ignore_errors=True)
            raise _in_words(error)
        with self._changed:
            self._jobs[id] = job
        return job

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
                error = _in_words(fault)
        if error is None:
            self._over(job, DONE, None)
        elif isinstance(error, Refusal):
            self._over(job, FAILED, error)
        else:
            self._over(job, FAILED, Refusal("internal", "the result could not be kept"))
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
        if job.is_wanted_later:
            self._note(job)
        with contextlib.suppress(FileNotFoundError):
            os.remove(job.input)

    def _save(self, job: Job, sha256: str, size: int) -> None:
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
                )
        except Refusal as refusal:
            if refusal.members.get("parameter") == "name":  # which is not what it is called here
                refusal.members["parameter"] = "save_as"
            raise
        job.record, job.file_id, job.is_new_file = kept.record, kept.id, kept.outcome == "created"

    def _over(self, job: Job, state: str, failure: Optional[Refusal]) -> None:
        if state == FAILED:
            self._remove_folder(job.folder)  # only what is said of it is kept
        with self._changed:
            job.state, job.failure = state, failure
            job.progress = 1.0 if state == DONE else job.progress
            if job.is_wanted_later:
                job.expires = job.expires or self._clock() + self._ttl
            elif job.result is None:
                self._forget(job)
            self._changed.notify()
        self._tell(job)

    def _tell(self, job: Job) -> None:
        with self._changed:
            watchers = list(job.watchers)
        for watcher in watchers:
            watcher(job)

    # -- the end of a job --------------------------------------------------------------------------

    def open_result(self, job: Job) -> int:
        """A descriptor of the result; Refusal `gone`."""
        try:
            return os.open(job.output, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        except FileNotFoundError:
            raise Refusal("gone", "the result has been delivered, removed or has expired") from None

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
                job.failure = Refusal("gone", "the conversion was cancelled")
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

    def _note(self, job: Job) -> None:
        """Write down what a restart needs to know."""
        order = job.order._asdict()
        order["conversion"] = job.order.conversion and job.order.conversion._asdict()
        text = json.dumps(
            {
                "created": job.created,
                "owner": job.owner,
                "by": job.by,
                "order": order,
                "expires": job.expires,
                "warnings": job.warnings,
                "result": job.result and job.result._asdict(),
            }
        )
        path = job.folder / "job.json"
        fresh = path.with_suffix(".new")
        with open(
            str(fresh),
            "w",
            encoding="utf-8",
            opener=lambda name, flags: os.open(name, flags, 0o600),
        ) as file:
            file.write(text)
        os.replace(str(fresh), str(path))

    def _sweep(self) -> List[Job]:
        """Take up what is wanted still, remove all else; gives the jobs that have to be done."""
        again = []
        for folder in sorted(self._folder.iterdir()):
            job = _noted(folder)
            if job is None or (job.expires is not None and job.expires <= self._clock()):
                _remove_anything(folder)
                continue
            self._jobs[job.id] = job
            if job.result is None:
                again.append(job)
        again.sort(key=lambda job: job.created)
        return again


def _noted(folder: Path) -> Optional[Job]:
    """The job whose folder it is, None where it is none that can be gone on with."""
    try:
        note = json.loads((folder / "job.json").read_text("utf-8"))
        order = dict(note["order"], warnings=tuple(note["order"]["warnings"]))
        if order["conversion"] is not None:
            order["conversion"] = Conversion(**order["conversion"])
        owner, by = note.get("owner", 0), note.get("by")  # not in the notes of a version without accounts
        job = Job(folder.name, folder, Order(**order), True, note["created"], owner, by)
        job.warnings = tuple(note["warnings"])
        job.expires = note["expires"]
        if note["result"] is not None:
            job.result = Result(**note["result"])
            job.state, job.progress = DONE, 1.0
        is_whole = (
            os.stat(job.output).st_size == job.result.size
            if job.result
            else os.path.exists(job.input)
        )
    except (OSError, ValueError, KeyError, TypeError):  # not ours, or cut short by the crash
        return None
    if job.result is None:
        for left in folder.iterdir():
            if left.name not in ("job.json", "input"):
                _remove_anything(left)
    return job if is_whole else None


def _remove_anything(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(str(path), ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def _in_words(error: BaseException) -> BaseException:
    """The refusal that a full disk means; any other error as it is."""
    return Refusal("no-space", "the disk is full") if is_full(error) else error


def _digest_of(path: str) -> Tuple[str, int]:
    """The sha256 of a file, and its size."""
    digest, size = hashlib.sha256(), 0
    with open(path, "rb", buffering=0) as file:
        while True:
            piece = file.read(_PIECE)
            if not piece:
                return digest.hexdigest(), size
            digest.update(piece)
            size += len(piece)


def _seconds_left(job: Job) -> Optional[float]:
    """By how long it took so far; None while nobody can know."""
    if job.is_over:
        return 0.0
    if job.began is None or job.progress <= 0:
        return None
    return round((time.monotonic() - job.began) * (1 - job.progress) / job.progress, 1)


def _rfc3339(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
