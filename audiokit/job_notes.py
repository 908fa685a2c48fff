"""What a restart needs to know of a job: `job.json` in the job's folder.

A note is there whole or not at all.  Whatever cannot be read is no note, and its folder nobody's.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from pathlib import Path
from typing import Any, Dict, Optional

from .job import DONE, Conversion, Job, Order, Result, Share


def write(job: Job) -> None:
    """Write down what a restart needs to know."""
    text = json.dumps({
        "created": job.created, "owner": job.owner, "by": job.by, "order": order_told(job.order), "expires": job.expires,
        "warnings": job.warnings, "result": job.result and job.result._asdict(), "share": job.share,
    })
    path = job.folder / "job.json"
    fresh = path.with_suffix(".new")
    with open(str(fresh), "w", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(text)
    os.replace(str(fresh), str(path))


def read(folder: Path) -> Optional[Job]:
    """The job whose folder it is, None where it is none that can be gone on with."""
    try:
        note = json.loads((folder / "job.json").read_text("utf-8"))
        order = order_heard(note["order"])
        owner, by = note.get("owner", 0), note.get("by")  # not in the notes of a version without accounts
        share = Share(*note.get("share", ()))  # nor this in those of one whose jobs nobody took over
        job = Job(folder.name, folder, order, True, note["created"], owner, by, share)
        job.warnings = tuple(note["warnings"])
        job.expires = note["expires"]
        if note["result"] is not None:
            job.result = Result(**note["result"])
            job.state, job.progress = DONE, 1.0
        is_whole = os.stat(job.output).st_size == job.result.size if job.result else os.path.exists(job.input)
    except (OSError, ValueError, KeyError, TypeError):  # not ours, or cut short by the crash
        return None
    if job.result is None:
        for left in folder.iterdir():
            if left.name not in ("job.json", "input"):
                remove_anything(left)
    return job if is_whole else None


def order_told(order: Order) -> Dict[str, Any]:
    """An order as JSON has it."""
    return dict(order._asdict(), conversion=order.conversion and order.conversion._asdict())


def order_heard(said: Dict[str, Any]) -> Order:
    """The order that was told so; KeyError, TypeError for what is none."""
    conversion = Conversion(**said["conversion"]) if said["conversion"] is not None else None
    return Order(**dict(said, conversion=conversion, warnings=tuple(said["warnings"])))


def remove_anything(path: Path) -> None:
    """Remove a file or a folder; what cannot be removed stays."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(str(path), ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()
