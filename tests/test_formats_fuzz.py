"""Damaged files of every kind end as AudioInfo or NotAudio, quickly and in little memory; 2,000 of
`make fuzz`."""

from __future__ import annotations

import pytest

from bench import fuzz
from tests import audio_files


@pytest.mark.parametrize("name", sorted(audio_files.every_kind()))
def test_the_seeds_are_true_files(name):
    reason, info = audio_files.outcome(audio_files.every_kind()[name])
    assert info is not None, reason
    assert not info.truncated and not info.warnings and info.duration > 0


@pytest.mark.parametrize("name", sorted(audio_files.every_kind()))
def test_every_kind_may_stand_behind_an_id3_tag(name):
    data = audio_files.every_kind()[name]
    title = b"TIT2\0\0\0\7\0\0\0Before"
    tag = b"ID3\3\0\0\0\0\0" + bytes([len(title)]) + title
    alone, behind = audio_files.identify(data), audio_files.identify(tag + data)
    assert behind.duration == alone.duration and behind.warnings == alone.warnings
    assert behind.audio_bytes == alone.audio_bytes
    if alone.audio_offset is not None:
        assert behind.audio_offset == alone.audio_offset + len(tag)
    assert "title" in behind.tags


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
