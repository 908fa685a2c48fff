"""Damaged files of every kind end as AudioInfo or NotAudio, quickly and in little memory; 2,000 of
`make fuzz`."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from bench import fuzz
from tests import audio_files

_READERS = {"mp4": "mp4", "opus": "ogg", "chained": "ogg", "webm": "matroska", "wma": "asf"}


@pytest.mark.parametrize("name", sorted(audio_files.every_kind()))
def test_the_seeds_are_true_files(name):
    reason, info = audio_files.outcome(audio_files.every_kind()[name])
    if find_spec("audiokit.formats." + _READERS.get(name, "mpeg")) is None:
        pytest.skip("its reader is not there")
    assert info is not None, reason
    assert not info.truncated and not info.warnings and info.duration > 0


def test_damaged_files_are_audio_or_not_and_nothing_else():
    assert fuzz.run(2000, 7, fuzz.seeds(), memory_every=50) == []


def test_a_crowd_is_a_megabyte_of_one_part():
    assert all(0 <= fuzz.CROWD_BYTES - len(data) < 1000 for data in fuzz.crowds().values())


def test_a_mutation_is_the_same_each_time():
    files = fuzz.seeds()
    assert fuzz.numbered(11, 3, files) == fuzz.numbered(11, 3, files)
    assert fuzz.numbered(11, 3, files) != fuzz.numbered(12, 3, files)


def test_every_kind_of_failure_is_found(monkeypatch):
    def fails(source):
        raise IndexError("a bug")

    monkeypatch.setattr(fuzz.audiometa, "identify_source", fails)
    assert "a bug" in fuzz.attempt(b"data")
    monkeypatch.setattr(fuzz.audiometa, "identify_source", lambda source: bytearray(30 << 20))
    assert fuzz.memory(b"data") > fuzz.MAX_BYTES
