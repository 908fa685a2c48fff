"""The cache of peaks: made once by the converting processes, shared by all who ask, evicted by size.

In a folder of its own in the data folder, which only we may enter:

    KEY-all                     the peaks of the bytes KEY, as `waveform` has them
    KEY-FIRST-STOP-SAMPLES      those of a region, finer than that, or of far audio without the rest
    RANDOM.source, RANDOM.part  what one is made of (a second name of the audio), and into

What is kept is a convenience, so nothing is synced: after a crash the cache is emptied.  When the
bytes go, their peaks go with them; those under way are still given to who waits, and not kept.  What
another server removed goes at the next start, or when room is needed: nobody finds it any more.
Backups and checks of the catalogue do not look here.  Never computes anything itself.  Raises
`Refusal` and OSError.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import OrderedDict
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Callable, Dict, List, NamedTuple, Optional, Set, Tuple

from .failures import refusal_of
from .job import Converter, Outcome
from .wire.problems import Refusal
from .wire.workers import Workers

_CREW = 1  # threads that rename, answer and remove
_FETCHERS = 4  # threads that wait for audio from another machine
_AT_ONCE = 500  # keys that the catalogue is asked for at once
_BLOCK = 4096  # bytes that a file takes on the disk at least

# Called once, off the loop, with the open file, or with why there is none.
Waiter = Callable[[Optional[BinaryIO], Optional[Refusal]], None]
Region = Optional[Tuple[int, int, int]]  # first sample, the one behind the last, samples a pixel
# Given content, region and path: what the region is in that file, and what PCM that is, None where it says so itself.
Bring = Callable[[Any, Any, str], Tuple[Region, Optional[Dict[str, Any]]]]


class Wanted(NamedTuple):
    """Which peaks are meant."""

    content: Any  # the storage's, of the audio
    region: Region
    seconds: float  # of audio that would take as long to convert
    size: int  # bytes that they will take, about

    @property
    def name(self) -> str:
        """Of the file in the cache."""
        part = "all" if self.region is None else "-".join(map(str, self.region))
        return f"{self.content.key}-{part}"


class _Making:
    """Peaks on their way; the lock of `PeakCache` guards it."""

    def __init__(self, wanted: Wanted, stem: Path) -> None:
        self.wanted = wanted
        self.source, self.part = f"{stem}.source", f"{stem}.part"
        self.waiters: List[Waiter] = []
        self.cancel: Optional[Callable[[], None]] = None
        self.is_unwanted = False  # nobody waits any more


class PeakCache:
    """The peaks of one data folder.  Thread-safe."""

    def __init__(
        self,
        folder: Path,
        converter: Converter,
        storage: Any,
        *,
        most_bytes: int,
        most_waiting: int,
        on_bug: Callable[[BaseException], None],
        bring: Optional[Bring] = None,
    ) -> None:
        """`most_bytes` are kept; `most_waiting` are made or wait to be made at once.  Sweeps.

        `bring` has the samples of a region come from another machine; None: all of the audio is lent.
        """
        self._folder, self._converter, self._storage = Path(folder), converter, storage
        self._ops = storage.ops
        self._bring, self.likes_regions = bring, bring is not None
        self._most_bytes, self._most_waiting = most_bytes, most_waiting
        self._sizes: OrderedDict = OrderedDict()  # of files by name, the longest unused first
        self._total = 0  # bytes of them
        self._names: Dict[str, List[str]] = {}  # of files by the key of their audio
        self._makings: Dict[str, _Making] = {}
        self._lock = threading.Lock()
        self._is_closed = False
        self._sweep()
        self._crew = Workers(_CREW, "peaks", on_bug)
        # Whoever is answered must not wait behind a store that is silent.
        self._fetchers = Workers(_FETCHERS, "peaks-fetch", on_bug) if storage.is_far else self._crew
        storage.removals.when_removed = self.forget

    def _sweep(self) -> None:
        """What an ended server left: nothing half made stays, nor anything whose audio has gone."""
        if not self._folder.is_dir():
            return
        found = sorted(self._folder.iterdir(), key=lambda path: path.stat().st_mtime)
        keys = [path.name.partition("-")[0] for path in found] if self._storage.was_clean else []
        known: Set[str] = set()
        for at in range(0, len(keys), _AT_ONCE):
            known |= self._storage.with_bytes(keys[at : at + _AT_ONCE])
        for path in found:
            key, dash, _ = path.name.partition("-")
            if dash and key in known:
                self._note(path.name, path.stat().st_size)
            else:
                self._remove(path.name)
        self._evict()

    # -- asking ------------------------------------------------------------------------------------

    def open(self, wanted: Wanted) -> Optional[BinaryIO]:
        """The file of what is kept, None where it must be made."""
        name = wanted.name
        with self._lock:
            if name not in self._sizes:
                return None
            self._sizes.move_to_end(name)
        with contextlib.suppress(FileNotFoundError):  # evicted just now
            return os.fdopen(self._ops.open(str(self._folder / name)), "rb")
        return None

    def distrust(self, wanted: Wanted) -> None:
        """What is kept is not whole: it shall be made again."""
        self._drop(wanted.name)

    def follow(self, wanted: Wanted, waiter: Waiter) -> Callable[[], None]:
        """Have `waiter` called when the peaks are made, which begins now unless it has begun.

        Quick; returns how to stop.  The last who stops ends the work.
        """
        with self._lock:
            making = self._makings.get(wanted.name)
            is_new = making is None
            refusal = self._refusal() if is_new else None
            if refusal is None:
                if making is None:
                    making = _Making(wanted, self._folder / os.urandom(16).hex())
                    self._makings[wanted.name] = making
                making.waiters.append(waiter)
        if refusal is not None:
            waiter(None, refusal)
            return lambda: None
        if is_new:
            self._fetchers.submit(self._begin, making)
        return partial(self._leave, making, waiter)

    def _refusal(self) -> Optional[Refusal]:
        if self._is_closed:
            return Refusal("draining", "the server is shutting down")
        if len(self._makings) < self._most_waiting:
            return None
        words = f"{len(self._makings)} waveforms are waiting"
        return Refusal("busy", words, headers=[("Retry-After", "5")])

    def _leave(self, making: _Making, waiter: Waiter) -> None:
        with self._lock:
            if waiter in making.waiters:
                making.waiters.remove(waiter)
            if making.waiters:
                return
            self._part_with(making)
            cancel = making.cancel
        if cancel is not None:
            cancel()

    def _part_with(self, making: _Making) -> None:
        """Who comes now begins anew."""
        making.is_unwanted = True
        if self._makings.get(making.wanted.name) is making:
            del self._makings[making.wanted.name]

    # -- making, in the crew -----------------------------------------------------------------------

    def _begin(self, making: _Making) -> None:
        wanted = making.wanted
        if making.is_unwanted:  # who asked did not wait until its turn came
            return
        try:
            self._ops.make_directory(str(self._folder))
            self._storage.check_room(wanted.size)
            region, pcm = wanted.region, None
            if region is not None and self._bring is not None:
                region, pcm = self._bring(wanted.content, region, making.source)
            else:
                self._storage.lend(wanted.content, making.source)
        except (Refusal, OSError) as error:
            self._crew.submit(self._made, making, Outcome(failure=_in_words(error)))
            return
        cancel = self._converter.summarise(
            making.source,
            making.part,
            region,
            wanted.seconds,
            lambda outcome: self._crew.submit(self._made, making, outcome),
            pcm,
        )
        with self._lock:
            making.cancel = cancel
            is_unwanted = making.is_unwanted
        if is_unwanted:
            cancel()

    def _made(self, making: _Making, outcome: Outcome) -> None:
        self._remove(os.path.basename(making.source))
        with self._lock:
            self._part_with(making)
            waiters, making.waiters = making.waiters, []
        failure = outcome.failure
        try:
            if failure is None:
                path = self._placed(making)
                with os.fdopen(self._ops.open(path), "rb") as file:
                    while waiters:
                        file.seek(0)
                        waiters.pop()(file, None)
                if path != making.part:
                    self._keep(making.wanted, os.stat(path).st_size)
        except OSError as error:
            failure = _in_words(error)
            self._drop(making.wanted.name)
            self._remove(making.wanted.name)
        finally:
            self._remove(os.path.basename(making.part))
        for waiter in waiters:
            waiter(None, failure or Refusal("internal", "the peaks could not be made"))

    def _placed(self, making: _Making) -> str:
        """Where the peaks are: at their place in the cache, or where they were made.

        Nobody else knows of them before they are noted, so nobody takes them from who is answered.
        """
        path = str(self._folder / making.wanted.name)
        if os.stat(making.part).st_size > self._most_bytes:
            return making.part
        try:
            self._ops.rename(making.part, path)
        except OSError:  # who waits is answered all the same
            return making.part
        return path

    def _keep(self, wanted: Wanted, size: int) -> None:
        with self._lock:
            self._note(wanted.name, size)
        # Removed while it was made: whoever did so found nothing to remove here, or finds it now.
        if not self._storage.with_bytes([wanted.content.key]):
            self.forget(wanted.content.key)
        self._evict()

    # -- the end of it -----------------------------------------------------------------------------

    def forget(self, key: str) -> None:
        """The audio has gone."""
        with self._lock:
            names = list(self._names.get(key, ()))
        for name in names:
            self._drop(name)

    def _note(self, name: str, size: int) -> None:
        if name not in self._sizes:
            self._names.setdefault(name.partition("-")[0], []).append(name)
        self._total -= self._sizes.pop(name, 0)
        self._sizes[name] = max(size, _BLOCK)
        self._total += self._sizes[name]

    def _drop(self, name: str) -> None:
        with self._lock:
            if name not in self._sizes:
                return
            self._total -= self._sizes.pop(name)
            key = name.partition("-")[0]
            self._names[key].remove(name)
            if not self._names[key]:
                del self._names[key]
        self._remove(name)

    def _evict(self) -> None:
        while True:
            with self._lock:
                if self._total <= self._most_bytes:
                    return
                name = next(iter(self._sizes))
            self._drop(name)

    def _remove(self, name: str) -> None:
        try:
            self._ops.remove(str(self._folder / name))
        except FileNotFoundError:
            pass
        except OSError:  # Windows: somebody reads it.  The next start sweeps
            self._storage.leave_for_sweep()

    def close(self) -> None:
        """End it; the converter is closed before."""
        with self._lock:
            self._is_closed = True
            left = list(self._makings.values())
        self._fetchers.close()
        self._crew.close()
        for making in left:
            for path in (making.source, making.part):
                self._remove(os.path.basename(path))


def _in_words(error: BaseException) -> Refusal:
    if isinstance(error, FileNotFoundError):
        return Refusal("not-found", "the file has just been removed or replaced")
    known = refusal_of(error)
    if isinstance(known, Refusal):
        return known
    return Refusal("internal", f"the peaks could not be kept: {getattr(error, 'strerror', error)}")
