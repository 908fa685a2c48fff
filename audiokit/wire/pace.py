"""Whether a body comes quickly enough to be waited for.

Who sends a byte now and then makes progress for ever, and holds a connection and a file meanwhile.  So some bytes have
to come in each minute; and who is about to miss them is looked at seldom, because each look costs more than a byte is
worth.  Pure: the clock's values are parameters.
"""

from __future__ import annotations

MINUTE = 60.0  # s in which the bytes have to come: long enough for a pause, or for a train in a tunnel
_BEGINNING = 1.0  # s at the beginning of a minute that say nothing yet

GOES, LAGS, LOST = "goes", "lags", "lost"


class Pace:
    """The pace of one body of which `least` bytes a minute are wanted (0: any number will do)."""

    __slots__ = ("least", "came", "_since", "_before", "_seen")

    def __init__(self, least: int, now: float) -> None:
        self.least = least
        self.came = 0  # bytes, in the minute that was looked at last
        self._since = now
        self._before = self._seen = 0

    def look(self, received: int, now: float) -> str:
        """`received` bytes have come so far: GOES, LAGS (and something came since the last look) or LOST."""
        is_moving, self._seen = received > self._seen, received
        self.came, passed = received - self._before, now - self._since
        if passed >= MINUTE:
            if self.came < self.least:
                return LOST
            self._since, self._before = now, received
        elif is_moving and passed > _BEGINNING and self.came * MINUTE < self.least * passed:
            return LAGS
        return GOES
