"""Where conversions are cut: no sample twice, none left out, and no worker has less than it needs."""

from __future__ import annotations

import pytest

from audiokit.resampling import Grid, edges, reach, samples_out


@pytest.mark.parametrize(
    "samples, least, frame",
    [(0, 10, 1), (1, 10, 1), (19, 10, 1), (20, 10, 1), (1153, 10, 1152), (10**6 + 7, 64000, 1152)],
)
def test_edges_cover_every_sample_once_in_whole_frames(samples, least, frame):
    places = edges(samples, least, frame)
    assert places[0] == 0 and places[-1] == samples
    assert places == sorted(places) and all(place % frame == 0 for place in places[:-1])
    assert all(a < b for a, b in zip(places, places[1:])) or samples == 0


def test_pieces_are_nearly_equal_so_that_no_worker_waits_for_another():
    places = edges(180 * 32000, 20 * 32000, 1152)
    lengths = [b - a for a, b in zip(places, places[1:])]
    assert len(lengths) == 9 and max(lengths) - min(lengths) <= 1152


@pytest.mark.parametrize("grid", [Grid(1, 1), Grid(3, 2), Grid(441, 320), Grid(176400, 128000)])
@pytest.mark.parametrize("first, end", [(0, 1152), (1152, 64000), (128000, 640000)])
def test_a_reach_holds_the_segment_and_what_is_looked_at_around_it(grid, first, end):
    before, ahead, frames = 1000, 1700, 10**7
    need = reach(first, end, frames, grid, before, ahead, False)
    made_from = need.begin // grid.frames_in * grid.frames_out
    made_to = need.stop // grid.frames_in * grid.frames_out
    assert need.begin % grid.frames_in == need.stop % grid.frames_in == 0
    assert made_from + need.skip == first and need.skip >= min(before, first)
    assert end + ahead <= made_to < end + ahead + grid.frames_out


def test_the_last_reach_ends_with_the_source():
    assert reach(0, 5, 7, Grid(3, 2), 0, 0, True).stop == 7


@pytest.mark.parametrize(
    "frames, rate_in, rate_out, expected",
    [(0, 44100, 32000, 0), (1, 2, 1, 1), (1, 3, 1, 0), (44100, 44100, 32000, 32000), (3, 2, 1, 2)],
)
def test_the_result_has_the_nearest_number_of_samples(frames, rate_in, rate_out, expected):
    assert samples_out(frames, rate_in, rate_out) == expected
