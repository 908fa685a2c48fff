"""The collector: a thread that now and then removes what a store keeps for nobody.

What it does is handed in; here is only when.  The first round comes at a random time, so that many servers that
began together do not list the same bucket at once; they may all collect, since removing twice is as good as once.
A round that fails is over: the next one begins anew.
"""

from __future__ import annotations

import random
import threading
from typing import Callable

LONGEST_S = 3600.0  # between two rounds
_ROUNDS = 4  # in one grace, so that nothing outlives it by much more than a quarter


class Collector:
    """Calls `collect` every now and then until `close`; what it raises goes to `on_error`."""

    def __init__(self, collect: Callable[[], object], grace_s: float, on_error: Callable[[Exception], None]) -> None:
        self._collect, self._on_error = collect, on_error
        self._period = max(0.1, min(LONGEST_S, grace_s / _ROUNDS))
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="collector", daemon=True)
        self._thread.start()

    def close(self, timeout: float = 5.0) -> None:
        """End it; a round that waits for the store is left behind after `timeout` s."""
        self._ended.set()
        self._thread.join(timeout)

    def _run(self) -> None:
        wait = random.random() * self._period
        while not self._ended.wait(wait):
            try:
                self._collect()
            except Exception as error:  # the edge of a thread: the next round may go better
                if not self._ended.is_set():
                    self._on_error(error)
            wait = self._period
