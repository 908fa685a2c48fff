"""Who goes on with the jobs of a server that is silent.

Every server renews the rows of its unfinished jobs, with a time that is later than all before it (`Stamps`).  Whoever sees
the same time for a minute by its own monotonic clock, and has room, takes the job over and begins it anew; what nobody takes
has failed.  No two clocks are compared.  A word on the board says who has a job: each heir writes another one, and what the
silent server says when it wakes changes nothing.  Takes nothing where the store is one server's own: there is no input then.
Raises nothing that the board or the store raises: what cannot be done now is found again.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from functools import partial
from typing import Any, Callable, Dict, Iterable, List, Mapping, Set, Tuple

from .catalogue.jobs import Posted
from .failures import AWAY
from .far_job import ended, left_by, written
from .job import FAILED, Job, Share
from .jobs import Jobs
from .wire.problems import Refusal

_UNTAKEN = 10  # times as long as it takes to be silent; then a job that nobody takes has failed
_TAKEN_MOST = 3  # times that a job is taken over: perhaps it is what its servers die of


class Stamps:
    """The times that this server writes beside its jobs, in ms since 1970: they never go back.  Thread-safe."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock, self._latest_ms = clock, 0
        self._lock = threading.Lock()

    def next_ms(self) -> int:
        """Now, or later: after all that were given."""
        with self._lock:
            self._latest_ms = max(int(1000 * self._clock()), self._latest_ms + 1)
            return self._latest_ms

    def go_on_from(self, renewed_ms: Iterable[int]) -> None:
        """What is given next is later than these, whatever the clocks say, and said before they were set."""
        with self._lock:
            self._latest_ms = max(self._latest_ms, *renewed_ms, 0)


class Heirs:
    """What this server does about silent ones.  Thread-safe, but `look`, `hear_anew` and `try_again` are one thread's."""

    def __init__(
        self, jobs: Jobs, results: Any, stamps: Stamps, *, silent_s: float, expiry: Callable[[], float],
        submit: Callable[..., None], stir: Callable[[], None],
    ) -> None:
        """`expiry()` is when what ends now goes; `stir()` has the jobs of `adopting` renewed soon, with this server's own."""
        self._jobs, self._results, self._board, self._stamps = jobs, results, results.board, stamps
        self._silent_s, self._expiry, self._submit, self._stir = silent_s, expiry, submit, stir
        self._seen: Dict[str, Tuple[int, float]] = {}  # of all: what the board said, and since when
        self._silent: Set[str] = set()  # those of them that are about to be taken over or given up here
        self._taking = threading.Lock()  # one at a time, or more would be taken over than there is room for
        self._lock = threading.Lock()
        self._adopting: Dict[str, Job] = {}  # taken over, their input on its way
        self._waiting: List[Job] = []  # those of them whose input could not be had just now

    @property
    def adopting(self) -> Dict[str, Job]:
        """The jobs, by id, that are this server's by now and whose input is on its way."""
        with self._lock:
            return dict(self._adopting)

    def drop(self, id: str) -> None:
        """It is not this server's any more."""
        with self._lock:
            self._adopting.pop(id, None)

    # -- who is silent -----------------------------------------------------------------------------------

    def look(self, unfinished: Mapping[str, int], mine: Mapping[str, Job]) -> None:
        """Take over or give up what is nobody's: when each of `unfinished` was renewed is what the board said just now."""
        now, seen = time.monotonic(), {}
        for id, renewed in unfinished.items():
            before, since = self._seen.get(id, (None, now))
            seen[id] = (renewed, since if before == renewed else now)
        self._seen, known = seen, {*mine, *self._silent}
        silent = [id for id, (_, since) in seen.items() if now - since >= self._silent_s and id not in known]
        for row in self._board.all_named(silent).values():
            renewed, since = seen[row.id]
            if row.renewed_ms == renewed:
                self._silent.add(row.id)
                self._submit(self._settle, row, now - since >= _UNTAKEN * self._silent_s)

    def hear_anew(self) -> None:
        """The catalogue is away: who could not be heard was not silent."""
        self._seen.clear()

    def _settle(self, row: Posted, is_late: bool) -> None:
        """Take it over, where that can be; who hung itself finds it late, and is perhaps the first who has room."""
        try:
            if not self._can_be_taken(row) or not self.take_over(row) and is_late:
                self.give_up(row)
        finally:
            self._silent.discard(row.id)

    def _can_be_taken(self, row: Posted) -> bool:
        """Whether the board says what was to be done, and the store has what it is to be done with."""
        if not self._results.are_shared:
            return False
        try:
            heir = self._heir(row)
        except (KeyError, TypeError, ValueError):  # a server of another version wrote it
            return False
        return heir.share.times <= _TAKEN_MOST and bool(row.key or heir.order.source)

    def give_up(self, row: Posted) -> None:
        """It has failed, unless its server is heard again."""
        why = Refusal("busy", "the server that was at it has not been heard of for some time: begin again")
        expires = self._expiry()
        try:
            status = json.dumps(ended(json.loads(row.status), why, expires))
            if self._board.give_up(row, status, int(1000 * expires)):
                self._results.carry_out(row.key)
        except AWAY:
            pass  # the next round finds it again

    # -- taking over -------------------------------------------------------------------------------------

    def take_over(self, row: Posted) -> bool:
        """Go on with a job whose server is silent, from its beginning, unless another is faster; False where there is no room."""
        try:
            with self._taking:
                self._jobs.check_room(len(self.adopting))
                job = self._heir(row)
                self._stamps.go_on_from([row.renewed_ms])
                if not self._board.take_over(row, written(self._jobs.status(job), job), self._stamps.next_ms()):
                    return True
                with self._lock:
                    self._adopting[job.id] = job
        except Refusal:
            return False
        except AWAY:
            return True  # perhaps there is: it is silent still, and the next round finds it
        self._adopt(job)
        return True

    def _heir(self, row: Posted) -> Job:
        left = left_by(row)
        share = Share(secrets.token_hex(16), row.key, left.times + 1)
        return self._jobs.another(row.id, left.order, left.created, row.owner, left.by, share)

    def try_again(self) -> None:
        """Ask for the inputs that could not be had."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
        for job in waiting:
            self._submit(self._adopt, job)

    def _adopt(self, job: Job) -> None:
        """Fetch its input and begin; meanwhile it is renewed as the others are."""
        self._stir()
        with self._lock:
            if self._adopting.get(job.id) is not job:  # it was removed while it waited
                return
        is_settled = True  # also by a bug: it falls silent then, and another server may do better
        try:
            is_settled = self._is_adopted(job)
        finally:
            with self._lock:
                if is_settled:
                    self._adopting.pop(job.id, None)
                else:
                    self._waiting.append(job)

    def _is_adopted(self, job: Job) -> bool:
        """Whether it has begun, or failed, or is to fall silent; else an engine is away, and it is tried again."""
        try:
            self._jobs.adopt(job, partial(self._results.lend, job.share.key or job.order.source))
            return True
        except FileNotFoundError:
            failure = Refusal("not-found", "the file that was to be converted has been removed, and its server is gone")
        except Refusal as refusal:
            failure = refusal
        if failure.code in ("busy", "no-space"):
            return failure.code == "no-space"  # perhaps another server has some
        try:
            self._fail(job, failure)
        except AWAY:
            return False
        return True

    def _fail(self, job: Job, failure: Refusal) -> None:
        job.expires = self._expiry()
        status, expires_ms = json.dumps(self._jobs.status(job, FAILED, failure)), int(1000 * job.expires)
        if self._board.finish(job.id, FAILED, status, None, expires_ms, job.share.holder, self._stamps.next_ms()):
            self._results.carry_out(job.share.key)
