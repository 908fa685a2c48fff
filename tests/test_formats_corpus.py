"""The goals of `make corpus` hold, where the corpus is at hand; and the judge itself can fail."""

from __future__ import annotations

import json

import pytest

from bench import corpus
from tests.support import CORPUS, expected, needs_corpus


@needs_corpus
def test_every_goal_is_met_on_the_corpus():
    figures, misses = corpus.measure(expected(), lambda name: corpus.ours(CORPUS / name))
    assert all(figure.is_met for figure in figures), "\n".join(misses)


TRUTH = {
    "expect": "accept",
    "container": "mp3",
    "codec": "mp3",
    "duration": 10.0,
    "sample_rate": 44100,
    "channels": 2,
    "tags": {"title": "Tïtle"},
}
RIGHT = {
    "container": "mp3",
    "codec": "mp3",
    "duration": 10.0,
    "sample_rate": 44100,
    "channels": 2,
    "tags": {"title": ["other", "Tïtle"]},
}
JUDGED = [
    # what is said otherwise, and the figures that it fails
    ({}, []),
    ({"duration": 10.03}, ["duration exact within 1.5 ms"]),
    ({"duration": 10.1}, ["duration right (1 frame or 0.05 s)", "duration exact within 1.5 ms"]),
    ({"duration": None}, ["duration right (1 frame or 0.05 s)", "duration exact within 1.5 ms"]),
    ({"sample_rate": 48000}, ["sample rate right"]),
    ({"channels": 1}, ["channels right"]),
    ({"codec": "mp2"}, ["container, codec, bits right"]),
    ({"tags": {"title": "Title"}}, ["tag values right"]),
]


@pytest.mark.parametrize("change, failed", JUDGED, ids=[str(change) for change, _ in JUDGED])
def test_every_figure_can_fail(change, failed):
    figures, misses = corpus.measure({"a.mp3": TRUTH}, lambda name: ({**RIGHT, **change}, ""))
    assert [figure.name for figure in figures if not figure.is_met] == failed
    assert bool(misses) == bool(failed)


def test_a_refusal_fails_every_figure_and_is_said_once():
    figures, misses = corpus.measure({"a.mp3": TRUTH}, lambda name: (None, "a reason"))
    assert sum(not figure.is_met for figure in figures) == 6
    assert misses == ["a.mp3: refused, a reason"]


def test_impostors_must_be_refused_and_cut_files_marked():
    truths = {"a": {"expect": "reject"}, "b": {"expect": "warn", "sample_rate": 44100}}
    figures, misses = corpus.measure(truths, lambda name: (RIGHT, ""))
    missed = [figure.name for figure in figures if not figure.is_met]
    assert missed == ["truncated or lying files marked", "impostors accepted"] and len(misses) == 2


def test_what_is_arguable_may_be_refused():
    figures, misses = corpus.measure({"a": {**TRUTH, "expect": "accept?"}}, lambda name: (None, "no"))
    assert all(figure.is_met for figure in figures) and not misses


def test_without_a_corpus_nothing_is_measured_and_nothing_fails(tmp_path, capsys):
    assert corpus.main(["--corpus", str(tmp_path)]) == 0
    assert "nothing measured" in capsys.readouterr().out


def test_a_missed_goal_ends_with_1(tmp_path, capsys):
    (tmp_path / "a.mp3").write_bytes(b"no audio")
    (tmp_path / "expected.json").write_text(json.dumps({"a.mp3": TRUTH}), "utf-8")
    assert corpus.main(["--corpus", str(tmp_path)]) == 1
    assert "MISSED" in capsys.readouterr().out
