"""Kill the server at any moment: after a restart every acknowledged file is there, and nothing else."""

from __future__ import annotations

import pytest
from support import ROOT  # noqa: F401  (puts the program on the path)

from bench import crash


def test_five_kills_under_uploads_lose_nothing_and_leave_nothing(tmp_path):
    figures = crash.cycles(tmp_path / "var", 5, seed=7, most=25)
    assert figures["kills"] == 5
    assert figures["acknowledged"] > 0


def test_the_comparison_sees_a_lost_file(tmp_path):
    """A test that cannot fail proves nothing: take one file's bytes away and look again."""
    data = tmp_path / "var"
    figures = crash.cycles(data, 1, seed=3, most=25)
    assert figures["files"] > 0
    next(data.glob("files/*/*")).unlink()
    with pytest.raises(crash.Lost):
        crash.look_at_the_disk(data)
