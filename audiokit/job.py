"""One conversion as a job: what was asked for, what came of it, and what a client is told of it.

    QUEUED -> RUNNING -> DONE | FAILED

Values, and one object that its keeper changes; no files, no threads.  Raises nothing.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple

from .wire.problems import Refusal

QUEUED, RUNNING, DONE, FAILED = "queued", "running", "done", "failed"
_UNFINISHED = (QUEUED, RUNNING)


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
        self, source: str, target: str, conversion: Conversion, seconds: float,
        on_progress: Callable[[float], None], on_done: Callable[[Outcome], None],
    ) -> Callable[[], None]:
        """Begin to convert the file `source`, of about `seconds`, to the file `target`.

        Quick; returns how to cancel.

        `on_progress(0..1)` and, exactly once and also after a cancel, `on_done(outcome)` are
        called from any thread; behind `on_done` nobody touches the files any more.
        """
        raise NotImplementedError

    def summarise(
        self, source: str, target: str, region: Optional[Tuple[int, int, int]], seconds: float,
        on_done: Callable[[Outcome], None], pcm: Optional[Dict[str, Any]] = None,
    ) -> Callable[[], None]:
        """Begin to make the peaks of the file `source`, or of a region of it; else as `begin`.

        `seconds` of audio would take as long to convert.  `pcm`: that the file has samples alone, and which.
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
    source: Optional[str] = None  # key of the bytes that are converted, where those are a stored file's


class Result(NamedTuple):
    """What came of a job."""

    size: int
    sha256: str  # lower-case hex
    since: float  # seconds since 1970


class Delivered:
    """Which bytes of a result have reached the kernel: disjoint spans in order."""

    def __init__(self, spans: Iterable[Sequence[int]] = ()) -> None:
        self.spans: List[Tuple[int, int]] = [(start, stop) for start, stop in spans]

    def add(self, start: int, stop: int) -> None:
        """Bytes `start` to `stop` (exclusive) are out."""
        apart = []
        for one in self.spans:
            if one[1] < start or one[0] > stop:
                apart.append(one)
            else:
                start, stop = min(start, one[0]), max(stop, one[1])
        self.spans = sorted([*apart, (start, stop)])

    def covers(self, size: int) -> bool:
        """Whether that is all of `size` bytes."""
        return size == 0 or self.spans == [(0, size)]


class Share(NamedTuple):
    """What other servers need of a job, to know whose it is and to go on with it."""

    holder: str = ""  # a word of the server that is at it, another one whenever it is taken over
    key: Optional[str] = None  # of the input in the store, where that is nobody's file
    times: int = 0  # that it was taken over


class Job:
    """One conversion; whoever changes it holds the lock of `Jobs`."""

    def __init__(
        self, id: str, folder: Path, order: Order, is_wanted_later: bool, created: float,
        owner: int = 0, by: Optional[str] = None, share: Share = Share(),
    ) -> None:
        self.id, self.folder, self.order = id, folder, order
        self.is_wanted_later, self.created = is_wanted_later, created
        self.owner, self.by = owner, by  # the account that began it, and its name
        self.share = share
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


def unknown() -> Refusal:
    """There never was a conversion of that id, as far as they may know who ask."""
    return Refusal("not-found", "there is no such conversion")


def gone(what: str = "conversion") -> Refusal:
    """There was one, or its result."""
    return Refusal("gone", f"the {what} has been delivered, removed or has expired")


def cancelled() -> Refusal:
    """How one ends that is not wanted any more."""
    return Refusal("gone", "the conversion was cancelled")


def told(
    job: Job, position: Optional[int], state: Optional[str] = None, failure: Optional[Refusal] = None,
) -> Dict[str, Any]:
    """What a client is told of a job; with `state` as if it had that, and had failed so."""
    if state is None:
        state, failure = job.state, job.failure
    is_over = state not in _UNFINISHED
    result, file = (job.result, job.file_id) if state == DONE else (None, None)
    where = f"/resample/{job.id}/result" if result else None
    return {
        "id": job.id,
        "status": state,
        "progress": 1.0 if state == DONE else round(job.progress, 4),
        "seconds_left": 0.0 if is_over else _seconds_left(job),
        "position": position if state == QUEUED else None,
        "result": f"/files/{file}/content" if file else where,
        "file": f"/files/{file}" if file else None,
        "name": job.order.name,
        "done": job.order.done if state == DONE else None,
        "size": result.size if result else None,
        "warnings": list(job.warnings),
        "expires": rfc3339(job.expires) if is_over and job.expires else None,
        "problem": json.loads(failure.body()) if failure else None,
    }


def untold(id: str) -> Dict[str, Any]:
    """What a client is told of a job of which nothing is known but its id."""
    return told(Job(id, Path(), Order(None, id, "", ""), True, 0.0), None)


def _seconds_left(job: Job) -> Optional[float]:
    """By how long it took so far; None while nobody can know."""
    if job.began is None or job.progress <= 0:
        return None
    return round((time.monotonic() - job.began) * (1 - job.progress) / job.progress, 1)


def rfc3339(seconds: float) -> str:
    """Seconds since 1970 as RFC 3339, UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
