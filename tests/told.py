"""What tests saw that is worth reading: rows of a table, printed below the summary of the run (conftest.py)."""

from __future__ import annotations

HEAD = "| event | acknowledged | refused | longest gap | lost |\n|---|---|---|---|---|"
rows = []


def tell(event, acknowledged, refused="", gap_s=None, lost=0, more=""):
    """A row: how many uploads were acknowledged and refused, the longest time without one, how many were lost."""
    gap = "" if gap_s is None else f"{gap_s:.1f} s"
    rows.append(f"| {event} | {acknowledged} | {refused} | {gap} | {lost}{more} |")
