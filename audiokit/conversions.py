"""The bridge between jobs and the worker processes: the one place that knows both.

The workers, and with them everything of the codec, are begun when the first conversion comes: a server that only
stores pays nothing for them.
"""

from __future__ import annotations

import threading
from typing import Any, Callable

from .jobs import Conversion, Converter, Outcome
from .wire.problems import Refusal


class Conversions(Converter):
    """Conversions in `workers` processes."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._pool: Any = None
        self._lock = threading.Lock()

    def begin(
        self, source: str, target: str, conversion: Conversion, on_progress: Callable[[float], None],
        on_done: Callable[[Outcome], None],
    ) -> Callable[[], None]:
        """See `Converter`."""
        on_done(Outcome(failure=Refusal("unsupported-conversion", "nothing is converted here yet")))
        return lambda: None
