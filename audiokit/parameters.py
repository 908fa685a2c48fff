"""Parameters of a query or of a form, held against what a route knows.

Every one is known, is given once and says something; what is wrong is the Refusal `bad-parameter`, which names it.
Pure.
"""

from __future__ import annotations

from typing import Collection, Dict, Iterable, Mapping, Optional, Tuple

from .wire.problems import Refusal


def bad(name: str, why: str) -> Refusal:
    """The refusal that blames the parameter, or the member, of that name."""
    return Refusal("bad-parameter", why, parameter=name)


def twice(name: str) -> Refusal:
    """The refusal of one that is given again."""
    return bad(name, f"{name} is given twice")


def once(pairs: Iterable[Tuple[str, str]], known: Collection[str]) -> Dict[str, str]:
    """The parameters by name; refuses one that is unknown, given twice or empty."""
    found: Dict[str, str] = {}
    for name, value in pairs:
        if name not in known:
            there_are = f"; there are {', '.join(known)}" if known else ""
            raise bad(name, f"there is no parameter {name[:40]!r} here{there_are}")
        if name in found:
            raise twice(name)
        if not value:
            raise bad(name, f"{name} is empty")
        found[name] = value
    return found


def one_of(given: Mapping[str, str], name: str, allowed: Collection[str]) -> Optional[str]:
    """The value of a parameter that has but these; None where it is not given."""
    value = given.get(name)
    if value is not None and value not in allowed:
        raise bad(name, f"{name} is {value[:20]!r}; there are {', '.join(allowed)}")
    return value
