"""Which other sites' pages may use the server: cross-origin sharing by the Fetch standard (section 3.2).

Off unless origins are named.  Then pages of those may do what the user may, with the user's credentials.  `*` lets
the pages of every site read, and only that: without credentials, and without changing anything.  Values only.
"""

from __future__ import annotations

from typing import Dict, List, Optional, Tuple

ANY = "*"
_READING = ("GET", "HEAD")
# Fields of ours that a script could not see otherwise; those that it always sees are left out.
EXPOSED = (
    "Accept-Encoding, Accept-Ranges, Allow, Content-Disposition, Content-Range, Date, ETag, Link, Location, "
    "Preference-Applied, Repr-Digest, Retry-After, WWW-Authenticate, X-Resample, X-Resample-Warnings"
)
ACCEPTED = (
    "Accept, Authorization, Content-Digest, Content-Disposition, Content-Type, If-Match, If-Modified-Since, "
    "If-None-Match, If-Range, If-Unmodified-Since, Last-Event-ID, Prefer, Range, Repr-Digest"
)
_REMEMBERED_S = "600"  # s a browser may rely on a pre-flight; short, so that a changed setting is soon known


class Sharing:
    """The origins (lower case, or `*`) whose pages may use the server."""

    def __init__(self, origins: Tuple[str, ...]) -> None:
        self._named = frozenset(origins) - {ANY}
        self._is_for_all = ANY in origins
        self.is_on = bool(origins)

    def lets_change(self, origin: Optional[str]) -> bool:
        """Whether pages of this origin may change what is kept."""
        return origin is not None and origin.lower() in self._named

    def fields(self, request: Dict[str, str]) -> Tuple[Tuple[str, str], ...]:
        """What every answer says; `request` are the fields of what is answered, none of a broken one."""
        if not self.is_on:
            return ()
        origin = request.get("origin")
        if self.lets_change(origin):
            return (
                ("Access-Control-Allow-Origin", origin),
                ("Access-Control-Allow-Credentials", "true"),
                ("Access-Control-Expose-Headers", EXPOSED),
                ("Vary", "Origin"),
            )
        # Others get the same bytes as who sends no Origin; but who is named does not, so it varies (section 3.2.5).
        varies = (("Vary", "Origin"),) if self._named else ()
        if self._is_for_all:
            return (("Access-Control-Allow-Origin", ANY), ("Access-Control-Expose-Headers", EXPOSED), *varies)
        return varies

    def preflight(self, request: Dict[str, str], methods: List[str]) -> Tuple[Tuple[str, str], ...]:
        """What an answer to OPTIONS adds when a browser asks before it sends the request itself."""
        if "access-control-request-method" not in request:
            return ()
        if not self.lets_change(request.get("origin")):
            if not self._is_for_all:
                return ()
            methods = [method for method in methods if method in _READING]
        return (
            ("Access-Control-Allow-Methods", ", ".join(methods)),
            ("Access-Control-Allow-Headers", ACCEPTED),
            ("Access-Control-Max-Age", _REMEMBERED_S),
        )
