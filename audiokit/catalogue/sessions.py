"""The rows of the page's log-ins, behind the catalogue's door; whose each is, people.py finds.

Never sees a cookie, only its digest."""

from __future__ import annotations

from typing import Any

_MOST = 100  # sessions of one account: the oldest end

_END_EXPIRED = "DELETE FROM sessions WHERE expires_ms <= ?"
_END_OLDEST = (
    "DELETE FROM sessions WHERE account = ? AND digest NOT IN (SELECT digest FROM sessions "
    "WHERE account = ? ORDER BY created_ms DESC, digest LIMIT ?)"
)
_BEGIN = (
    "INSERT INTO sessions (digest, account, created_ms, expires_ms) SELECT ?, ?, ?, ? "
    "WHERE EXISTS (SELECT 1 FROM accounts WHERE id = ? AND is_disabled = 0) "
    "AND NOT EXISTS (SELECT 1 FROM sessions WHERE digest = ?)"
)


class Sessions:
    """Log-ins of the page in a catalogue.  Thread-safe, as the catalogue is."""

    def __init__(self, catalogue: Any) -> None:
        self._catalogue = catalogue

    def begin(self, digest: str, account: int, now_ms: int, expires_ms: int) -> bool:
        """A new session, and an end to those that have expired; False when the account is gone
        or disabled."""
        begin = (_BEGIN, (digest, account, now_ms, expires_ms, account, digest))
        return bool(
            self._catalogue.write(
                [
                    (_END_EXPIRED, (now_ms,)),
                    (_END_OLDEST, (account, account, _MOST - 1)),
                    begin,
                ]
            )[2]
        )

    def end(self, digest: str) -> bool:
        """End a session; whether there was one."""
        return bool(self._catalogue.write([("DELETE FROM sessions WHERE digest = ?", (digest,))])[0])
