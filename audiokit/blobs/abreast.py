"""Calls that wait for the disk, side by side.

A disk that is asked to make many files durable at once does it in about the time of one: what each waits for, the
end of a journal's transaction and an empty cache of the drive, is the same event.  One after the other they wait for as
many.  Never: a call that waits for a free thread, for whoever asks works too.  Raises nothing of its own.
"""

from __future__ import annotations

from collections import deque
from queue import SimpleQueue
from typing import Any, Callable, Deque, List, Sequence, Tuple

from ..wire.company import outcome_of

Call = Callable[[], Any]


class Abreast:
    """Carries calls out here and in the threads of `crew`, `most` of which help at a time."""

    def __init__(self, crew: Any, most: int) -> None:
        self._crew, self._most = crew, most

    def outcomes(self, calls: Sequence[Call]) -> List[Any]:
        """What each call gives, or the exception that it raises, when all have ended."""
        waiting: Deque[Tuple[int, Call]] = deque(enumerate(calls))
        ended: SimpleQueue = SimpleQueue()
        for _ in range(min(self._most, len(calls) // 2)):  # one thread for two calls: to wake it costs about one
            self._crew.submit(_work_off, waiting, ended)
        _work_off(waiting, ended)
        found: List[Any] = [None] * len(calls)
        for _ in calls:
            number, outcome = ended.get()
            found[number] = outcome
        return found


def _work_off(waiting: Deque[Tuple[int, Call]], ended: SimpleQueue) -> None:
    """Carry out the calls that nobody has begun."""
    while True:
        try:
            number, call = waiting.popleft()
        except IndexError:  # others were quicker
            return
        ended.put((number, outcome_of(call)))
