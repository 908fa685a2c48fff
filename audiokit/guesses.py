"""How often somebody may be wrong: what was guessed of late, counted by account and by address.

Pure: the time is a parameter.
"""

from __future__ import annotations

import ipaddress
from typing import Dict, Tuple

from .wire.problems import Refusal


class Guesses:
    """How often somebody was wrong of late: of one account from one address, and from one address at all.

    A counter that is given the time (s, monotonic).  An attempt counts as wrong from its beginning, so that a
    hundred at once are a hundred; being right takes its own count back.
    """

    def __init__(self, window: float, most: int, most_of_address: int, remembered: int = 20_000) -> None:
        """`window`: s that a failure counts; `most`: of one account from one address; 0 switches a limit off."""
        self._window, self._most, self._most_of_address = window, most, most_of_address
        self._remembered = remembered  # keys kept; beyond it the oldest is forgotten
        self._failures: Dict[Tuple[str, str], Tuple[float, int]] = {}

    @property
    def is_quiet(self) -> bool:
        """Whether nobody was wrong of late: then nothing needs to be asked."""
        return not self._failures

    def wait(self, name: str, address: str, now: float) -> float:
        """Seconds until `name` ("": a token) may be tried from `address` again; 0: now."""
        of_address = self._left(("", address), self._most_of_address, now)
        return max(of_address, self._left((name, address), self._most, now)) if name else of_address

    def attempt(self, name: str, address: str, now: float) -> None:
        """Somebody tries `name` ("": a token), and is wrong until told otherwise."""
        for key in {(name, address), ("", address)}:
            since, count = self._failures.pop(key, (now, 0))
            if now - since >= self._window:
                since, count = now, 0
            self._failures[key] = since, count + 1  # the last touched is last
        while len(self._failures) > self._remembered:
            del self._failures[next(iter(self._failures))]

    def was_right(self, name: str, address: str) -> None:
        """The attempt was no guess: the account is as if it had not been tried from there."""
        self._failures.pop((name, address), None)
        since, count = self._failures.pop(("", address), (0.0, 0))
        if count > 1:
            self._failures["", address] = since, count - 1

    def forget_old(self, now: float) -> None:
        """Drop what does not count any more."""
        for key, (since, _) in list(self._failures.items()):
            if now - since < self._window:
                break  # those behind it were touched later; what is old among them goes the next time
            del self._failures[key]

    def _left(self, key: Tuple[str, str], most: int, now: float) -> float:
        found = self._failures.get(key)
        if found is None or not most:
            return 0.0
        since, count = found
        if now - since >= self._window:
            del self._failures[key]
            return 0.0
        return since + self._window - now if count >= most else 0.0


def network_of(address: str) -> str:
    """What guesses are counted by: the address itself, or of IPv6 its network of 64 bits, which one person has."""
    address = address.partition("%")[0].lower()
    if ":" not in address:
        return address
    try:
        whole = ipaddress.IPv6Address(address)
    except ValueError:
        return address
    if whole.ipv4_mapped is not None:
        return str(whole.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(whole) >> 64 << 64, 64)))


def too_many(wait: float) -> Refusal:
    """429 after too many wrong credentials; `wait` in seconds."""
    seconds = int(wait) + 1
    return Refusal(
        "too-many-requests", f"too many wrong credentials: come again in {seconds} s",
        headers=[("Retry-After", str(seconds))],
    )
