"""A job as the board of a cluster has it: what a server writes there, and what another one reads.

A status there is what clients are told, and beside it, while the job is not over, what only servers are told: who is at
it, and what it would take to go on.  Servers of two versions may share a board while a cluster is brought up to date: of
a status only the members that this version tells are shown, and those that are missing as if nothing were known yet.  Pure.
`left_by` raises KeyError, TypeError and ValueError for what another version wrote: what it does not know might matter.
"""

from __future__ import annotations

import json
from typing import Any, Dict, NamedTuple, Optional

from . import job_notes
from .catalogue.jobs import GONE, Posted
from .job import DONE, FAILED, Job, Order, Result, cancelled, rfc3339, untold
from .wire.problems import PROBLEMS, Refusal

_OURS = "ours"  # the member that no client is told


class FarJob:
    """A job as the board has it; to a route it looks as `Job` does."""

    is_wanted_later = True

    def __init__(self, row: Posted) -> None:
        self.row, self.id = row, row.id
        said = _shown(row)
        if row.state == GONE:
            said = ended(said, cancelled(), None)
        self.said = said
        self.state, self.is_over = said["status"], row.is_over
        self.order = Order(None, said["name"], row.mime, said["done"] or "")
        self.warnings = tuple(said["warnings"])
        self.file_id = said["file"].rpartition("/")[2] if said["file"] else None
        self.failure = _refusal(said["problem"]) if said["problem"] else None
        is_there = row.state == DONE and row.key is not None  # else it is the key of an input
        self.result = Result(row.size, row.sha256, row.since_ms / 1000) if is_there else None


def _shown(row: Posted) -> Dict[str, Any]:
    """What clients are told of it: the members that `told` has, whoever wrote it."""
    said = json.loads(row.status)
    return {name: said.get(name, value) for name, value in dict(untold(row.id), status=row.state).items()}


class Left(NamedTuple):
    """What a server that fell silent was to do."""

    order: Order
    created: float  # seconds since 1970
    by: Optional[str]  # who asked
    times: int  # that it was taken over


def written(said: Dict[str, Any], job: Job) -> str:
    """What is written of a job that is not over, of which clients are told `said`."""
    ours = {
        "at": job.share.holder, "times": job.share.times, "order": job_notes.order_told(job.order),
        "created": job.created, "by": job.by,
    }
    return json.dumps({**said, _OURS: ours})


def left_by(row: Posted) -> Left:
    """What is written there for whoever takes the job over."""
    ours = json.loads(row.status)[_OURS]
    return Left(job_notes.order_heard(ours["order"]), ours["created"], ours["by"], ours["times"])


def is_held(row: Posted, job: Job) -> bool:
    """Whether the board says that `job`, one of ours, is ours still."""
    return job.share.holder in row.status


def ended(said: Dict[str, Any], failure: Refusal, expires: Optional[float]) -> Dict[str, Any]:
    """The status of a job that has failed, out of what was said of it before."""
    said = {name: value for name, value in said.items() if name != _OURS}
    return dict(
        said, status=FAILED, seconds_left=0.0, position=None, result=None, file=None, done=None, size=None,
        expires=rfc3339(expires) if expires is not None else None, problem=json.loads(failure.body()),
    )


def _refusal(problem: Dict[str, Any]) -> Refusal:
    """A problem that was told as JSON, as the refusal that it was."""
    members = {key: value for key, value in problem.items() if key not in ("type", "title", "status", "detail", "code")}
    code = problem["code"] if problem["code"] in PROBLEMS else "internal"  # other servers may be newer
    headers = [("Retry-After", "5")] if code == "busy" else []
    return Refusal(code, problem["detail"], headers=headers, **members)
