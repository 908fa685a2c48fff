"""The model of hearing, the scalefactors that follow from it, and the switching of windows."""

from __future__ import annotations

import itertools
import random
import struct

import pytest

from audiokit.codec import psychoacoustics as hearing
from audiokit.codec import scalefactors
from audiokit.codec.analysis import HISTORY
from audiokit.codec.blocks import GRANULE, LONG, SHORT, START, STOP
from audiokit.codec.tables import PRETAB, SFB_LONG, SLEN
from audiokit.codec.transients import BEHIND, BLOCK, LEAK, LOOKAHEAD, MEMORY, WindowSwitch, attacks, block_types

RATES = sorted(SFB_LONG)


class TestModel:
    @pytest.mark.parametrize("rate", RATES)
    @pytest.mark.parametrize("is_short", [False, True])
    def test_nothing_is_asked_for_below_the_threshold_in_quiet(self, rate, is_short):
        bands = hearing.bands_of(rate, is_short)
        silence = [0.0] * len(bands.widths)
        assert hearing.thresholds(silence, bands) == list(bands.quiet)
        assert sum(bands.widths) == (192 if is_short else 576)

    def test_a_masker_hides_less_the_further_away_and_less_below_than_above(self):
        bands = hearing.bands_of(44100, False)
        energy = [0.0] * 22
        energy[10] = 1e8
        hidden = [t / q for t, q in zip(hearing.thresholds(energy, bands), bands.quiet)]
        assert hidden[10] == max(hidden) and hidden[10] < 1e8
        assert hidden[12] <= hidden[11] <= hidden[10] >= hidden[9] >= hidden[8]
        thresholds = hearing.thresholds(energy, bands)
        assert thresholds[11] > thresholds[9]

    def test_a_louder_masker_hides_more(self):
        bands = hearing.bands_of(32000, False)
        quiet, loud = ([level] * 22 for level in (1e3, 1e6))
        for a, b in zip(hearing.thresholds(quiet, bands), hearing.thresholds(loud, bands)):
            assert a <= b

    def test_energies_are_sums_of_squares_by_band(self):
        lines = tuple(range(576))
        got = hearing.energies(hearing.by_band(SFB_LONG[44100])(lines), 2.0)
        assert got[1] == pytest.approx(sum((n / 2) ** 2 for n in range(4, 8)))
        assert sum(got) == pytest.approx(sum((n / 2) ** 2 for n in lines))

    def test_what_is_hidden_needs_no_bits(self):
        assert hearing.perceptual_entropy([1.0, 2.0], [1.0, 5.0], [4, 4]) == 0
        assert hearing.perceptual_entropy([16.0], [1.0], [10]) == pytest.approx(20)


class TestScalefactors:
    @pytest.mark.parametrize("is_lsf", [False, True])
    @pytest.mark.parametrize("is_short", [False, True])
    @pytest.mark.parametrize("seed", range(5))
    def test_they_are_as_wanted_as_far_as_they_reach(self, is_lsf, is_short, seed):
        rng = random.Random(seed)
        count = 36 if is_short else 21
        far = (2, 6, 14, 30, 200)[seed]
        wanted = [rng.uniform(0, far) for _ in range(count)] + [9.0] * (3 if is_short else 1)
        coded = scalefactors.encode(wanted, is_lsf, is_short)
        step = 2 if coded.scalefac_scale else 1
        limits = scalefactors._limits(is_lsf, is_short)
        for n, value in enumerate(coded.values):
            meant = step * (value + (PRETAB[n] if coded.preflag else 0))
            assert abs(meant - wanted[n]) <= step / 2 or value == limits[n]
        assert len(coded.coded()) == coded.bits
        if not is_lsf:
            low, high = SLEN[coded.scalefac_compress]
            assert set(coded.widths) <= {low, high}

    def test_factors_are_what_the_decoder_divides_by(self):
        coded = scalefactors.encode([0, 2, 4] + [0] * 19, False, False)
        assert coded.factors()[:4] == pytest.approx([1, 2, 4, 1])
        assert coded.factors()[21] == 1.0

    def test_preflag_serves_where_the_high_bands_need_more_than_their_bits_say(self):
        wanted = [float(pre) for pre in PRETAB[:11]] + [7.0 + pre for pre in PRETAB[11:]]
        assert scalefactors.encode(wanted, False, False).preflag == 1


FOLLOWS = {LONG: {LONG, START}, START: {SHORT}, SHORT: {SHORT, STOP}, STOP: {LONG, START}}


class TestWindows:
    def test_any_attacks_give_a_sequence_of_windows_that_overlap(self):
        for attacked in itertools.product((False, True), repeat=7):
            types = block_types(attacked, LONG)
            assert len(types) == 6
            for n, (before, after) in enumerate(zip(types, types[1:])):
                assert after in FOLLOWS[before], (attacked, types)
                assert types[n + 1] == SHORT or not attacked[n + 1]

    @pytest.mark.parametrize("at", [0, 1, 47, 48, 100, 143, 144, 480, 575])
    def test_a_click_makes_the_granule_short_whose_windows_can_hold_it(self, at):
        granules = HISTORY + 8 + LOOKAHEAD
        samples = [0] * (granules * GRANULE)
        where = (HISTORY + 4) * GRANULE + at
        samples[where] = 20000
        types = WindowSwitch(1).types(struct.pack("<%dh" % len(samples), *samples))
        granule, block = divmod(where // BLOCK + BEHIND, GRANULE // BLOCK)
        assert types[granule : granule + 2] == [SHORT, STOP]
        before = [START, SHORT] if block < LEAK else [LONG, START]
        assert types[granule - 2 : granule] == before

    def test_a_steady_tone_and_noise_stay_long(self):
        rng = random.Random(1)
        samples = [round(rng.gauss(0, 3000)) for _ in range(20 * GRANULE)]
        assert set(WindowSwitch(1).types(struct.pack("<%dh" % len(samples), *samples))) == {LONG}

    def test_amid_attacks_a_smaller_one_counts(self):
        energies = [1e6] * 40
        energies[20] = 12e6
        assert attacks(energies) == []
        energies[2], energies[8] = 40e6, 100e6
        assert attacks(energies) == [2, 8, 20]
        energies[20], energies[39] = 1e6, 12e6  # long after them
        assert attacks(energies) == [2, 8]

    def test_run_by_run_is_as_in_one(self):
        rng = random.Random(2)
        samples = [0] * (60 * GRANULE)
        for _ in range(25):
            samples[rng.randrange(len(samples))] = 30000
        pcm = struct.pack("<%dh" % len(samples), *samples)
        whole = WindowSwitch(1).types(pcm)
        switch, parts = WindowSwitch(1), []
        for first in range(0, 60 - HISTORY - LOOKAHEAD, 8):
            end = min(first + HISTORY + 8 + LOOKAHEAD, 60)
            parts += switch.types(pcm[2 * GRANULE * first : 2 * GRANULE * end])[HISTORY:]
        assert whole[HISTORY:] == parts
        assert SHORT in parts

    @pytest.mark.parametrize("claps, why", [(30, "each by itself"), (300, "they crowd"), (900, "where they crowd one calls for the next")])
    def test_who_goes_on_in_applause_sees_what_the_stream_sees_that_comes_from_far(self, claps, why):
        rng = random.Random(claps)
        samples = [rng.randrange(-200, 200) for _ in range(150 * GRANULE)]
        for at in rng.choices(range(len(samples) - 64), k=claps):
            loud = rng.choice((1000, 3000, 9000))
            for n in range(64):
                samples[at + n] += round(rng.uniform(-loud, loud) * (64 - n) / 64)
        pcm, size, run = struct.pack("<%dh" % len(samples), *samples), 2 * GRANULE, 12
        far, all_types = WindowSwitch(1), []
        for first in range(0, 150 - HISTORY - LOOKAHEAD, run):
            part = pcm[first * size : (first + HISTORY + run + LOOKAHEAD) * size]
            types = far.types(part)[HISTORY:]
            assert WindowSwitch(1, pcm[max(first - MEMORY, 0) * size : first * size]).types(part)[HISTORY:] == types, why
            all_types += types
        assert all(after in FOLLOWS[before] for before, after in zip(all_types, all_types[1:])), why
