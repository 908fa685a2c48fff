"""One order at a time, as a worker carries it out."""

from __future__ import annotations

import os

import pytest
from support import wav
from test_transcoding import wanted

import audiometa
from audiokit import conversion_worker as worker


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
def test_a_full_disk_is_told_as_such(tmp_path):
    source = tmp_path / "in.wav"
    source.write_bytes(wav(0.5))
    order = {"source": str(source), "target": "/dev/full", "conversion": wanted()}
    said = worker._carried_out(order, audiometa.identify)
    assert said["failure"] == "no-space"
