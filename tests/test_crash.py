"""Kill the server at any moment: after a restart every acknowledged file is there, and nothing else."""

from __future__ import annotations

import pytest
from support import ROOT  # noqa: F401  (puts the program on the path)

from bench import crash


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """A folder whose server was killed five times under uploads, and figures of that."""
    data = tmp_path_factory.mktemp("killed") / "var"
    return data, crash.cycles(data, 5, seed=7, most=25)


def test_five_kills_under_uploads_lose_nothing_and_leave_nothing(killed):
    _, figures = killed
    assert figures["kills"] == 5
    assert figures["acknowledged"] > 0


def test_the_comparison_sees_a_lost_file(killed):
    """A test that cannot fail proves nothing: take one file's bytes away and look again."""
    data, figures = killed
    assert figures["files"] == crash.look_at_the_disk(data) > 0
    next(data.glob("files/*/*")).unlink()
    with pytest.raises(crash.Lost):
        crash.look_at_the_disk(data)
