"""How much an account, or a drop, may hold, and what of an upload can be told before its body has
come.  Pure.

What is decided here only saves a body on its way: the limits themselves are held by the catalogue
(schema.sql), in the transaction that adds the file, because two uploads at once could each fit
alone.  Raises `Refusal` `over-quota`.
"""

from __future__ import annotations

from typing import Any, Dict, NamedTuple, Optional

from .wire.problems import Refusal

# What the catalogue's triggers say, and the words for it.
_OF_ACCOUNT, _OF_DROP = "over quota: ", "over drop: "
GONE = _OF_DROP + "gone"


class Limits(NamedTuple):
    """The most there may be; None: no limit."""

    files: Optional[int]
    bytes: Optional[int]
    ms: Optional[int]  # milliseconds of audio

    @classmethod
    def of(cls, whose: Any) -> Limits:
        """Those of an account or a drop."""
        return cls(whose.most_files, whose.most_bytes, whose.most_ms)

    def as_json(self) -> Dict[str, Any]:
        """For callers: whole seconds stay whole."""
        return {
            "files": self.files,
            "bytes": self.bytes,
            "seconds": None if self.ms is None else seconds(self.ms),
        }

    def __str__(self) -> str:
        """For the log."""
        return ", ".join(f"{what} {'unlimited' if most is None else most}" for what, most in self.as_json().items())


class Usage(NamedTuple):
    """What is there."""

    files: int
    bytes: int
    ms: int

    def as_json(self) -> Dict[str, Any]:
        """For callers."""
        return {"files": self.files, "bytes": self.bytes, "seconds": seconds(self.ms)}


def seconds(milliseconds: int) -> Any:
    """Seconds as a number that is whole where it can be."""
    return milliseconds // 1000 if milliseconds % 1000 == 0 else milliseconds / 1000


def room(limits: Limits, usage: Usage, size: Optional[int], replaced: Optional[int] = None) -> Optional[int]:
    """How many bytes an upload may have (None: any number); Refusal when it cannot fit.

    `size`: bytes that it is known to have, or None.  `replaced`: bytes of the file that it
    replaces, None for a new one.  A file of the same size or smaller always fits: what shrinks is
    let through.
    """
    if replaced is None:
        if limits.files is not None and usage.files >= limits.files:
            raise over("files", limits)
        if limits.ms is not None and usage.ms >= limits.ms:
            raise over("seconds", limits)
    if limits.bytes is None:
        return None
    left = max(0, limits.bytes - usage.bytes)
    if replaced is not None:
        left = max(replaced, limits.bytes - usage.bytes + replaced)
    if left == 0 or (size or 0) > left:
        raise over("bytes", limits)
    return left


def over(kind: str, limits: Optional[Limits] = None) -> Refusal:
    """What is said when an account's quota of files, bytes or seconds would be passed."""
    limit = None if limits is None else limits.as_json().get(kind)
    if limit is None:
        return Refusal("over-quota", f"the account's quota of {kind} would be passed")
    what = "of audio" if kind == "seconds" else ""
    detail = (
        f"the account may have {limit} {kind} {what}".rstrip()
        + "; with this upload it would have more"
    )
    return Refusal("over-quota", detail, limit=limit, quota=kind)


def drop_is_full() -> Refusal:
    """What is said to whoever uploads through a drop: nothing of its owner, nor which limit it
    was."""
    return Refusal("over-quota", "the drop takes no more, or not as much as this")


def refusal_of(message: str, limits: Optional[Limits], is_drop: bool) -> Optional[Refusal]:
    """What a catalogue's refusal means; None for a message that is not about quotas."""
    if message == GONE:
        return Refusal("not-found", "the drop is gone")
    if message.startswith(_OF_DROP) or (is_drop and message.startswith(_OF_ACCOUNT)):
        return drop_is_full()
    if message.startswith(_OF_ACCOUNT):
        return over(message[len(_OF_ACCOUNT) :], limits)
    return None
