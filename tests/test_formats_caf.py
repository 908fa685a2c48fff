"""CAF: every PCM, coded formats by their packet table, every truncation, garbage."""

from __future__ import annotations

import pytest

from audiokit.formats.info import Damaged, NotAudio
from tests import audio_files as files
from tests.audio_files import caf, identify

PCM = [
    # flags, bytes of a sample, bits, codec
    (0, 1, 8, "pcm_s8"),
    (0, 2, 16, "pcm_s16be"),
    (2, 2, 16, "pcm_s16le"),
    (0, 3, 24, "pcm_s24be"),
    (2, 3, 20, "pcm_s24le"),
    (2, 4, 32, "pcm_s32le"),
    (1, 4, 32, "pcm_f32be"),
    (3, 8, 64, "pcm_f64le"),
]


@pytest.mark.parametrize("flags, width, bits, codec", PCM)
def test_linear_pcm_is_named_by_its_flags(flags, width, bits, codec):
    info = identify(caf(flags=flags, packet_bytes=2 * width, bits=bits, data=bytes(2 * width * 4800)))
    assert (info.container, info.codec, info.bits_per_sample) == ("caf", codec, bits)
    assert (info.samples, info.duration, info.channels, info.sample_rate) == (4800, 0.1, 2, 48000)
    assert (
        info.sample_format == ("float" if flags & 1 else "int")
        and info.lossless
        and not info.warnings
    )


def test_a_size_of_minus_one_goes_to_the_end():
    info = identify(caf(size=-1))
    assert (info.samples, info.truncated, info.warnings) == (12000, False, ())


@pytest.mark.parametrize("size", [0, 4], ids=["nothing", "the edit count"])
@pytest.mark.parametrize("data", [bytes(48000), bytes(range(1, 241)) * 200], ids=["silence", "sound"])
def test_a_size_that_was_never_filled_in_goes_to_the_end(size, data):
    info = identify(caf(size=size, data=data))
    assert (info.samples, info.truncated, info.audio_bytes) == (12000, False, 48000)


def test_headers_that_were_to_be_filled_in_are_no_sound():
    """As libsndfile leaves them in a pipe: the same header twice in front, and filled in behind."""
    sound = bytes(range(1, 241)) * 200
    empty, whole = caf(data=b""), caf(data=sound)[: -len(sound)]
    info = identify(empty + empty + sound + whole)
    assert (info.samples, info.audio_offset, info.audio_bytes) == (12000, 2 * len(empty), len(sound))
    assert identify(empty + empty).samples == 0


@pytest.mark.parametrize("behind", [b"", b"free" + bytes(7) + b"\4" + bytes(4)], ids=["the end", "a chunk"])
def test_data_of_nothing_may_be_meant(behind):
    info = identify(caf(data=b"") + behind)
    assert (info.samples, info.warnings) == (0, ("there are no samples",))


def test_companded_samples_are_eight_bits():
    info = identify(caf(b"ulaw", packet_bytes=1, channels=1, bits=8, data=bytes(800), rate=8000.0))
    assert (info.codec, info.sample_format, info.bits_per_sample, info.duration) == (
        "pcm_mulaw",
        "ulaw",
        8,
        0.1,
    )
    assert not info.lossless


def _opus(valid, priming=0, remainder=0, count=50, **changed) -> bytes:
    given = dict(
        form=b"opus", packet_bytes=0, packet_frames=960, bits=0, data=bytes(200 * count),
        table=(valid, priming, remainder, [(200,)] * count),
    )  # fmt: skip
    return caf(**{**given, **changed})


TABLES = [
    (47000, 312, 688, 47000, "the valid frames are those presented"),
    (0, 312, 688, 47000, "else all packets without priming and remainder"),
    (48000, 0, 0, 48000, "nothing to take off"),
    (99999, 0, 0, 48000, "more than the packets hold is a lie"),
]


@pytest.mark.parametrize("valid, priming, remainder, frames, why", TABLES)
def test_the_packet_table_says_what_is_presented(valid, priming, remainder, frames, why):
    info = identify(_opus(valid, priming, remainder))
    assert (info.samples, info.mime) == (frames, "audio/x-caf; codecs=opus"), why
    assert bool(info.warnings) == (valid > 48000), why


def test_packets_of_varying_length_in_time_are_added_up():
    table = (0, 100, 0, [(100, 500), (300, 700)] * 10)
    info = identify(_opus(0, packet_frames=0, table=table, data=bytes(4000)))
    assert info.samples == 12000 - 100


def test_packets_of_constant_size_need_no_table():
    info = identify(caf(b"ima4", 16000.0, 0, 34, 64, 1, 0, bytes(34 * 193)))
    assert (info.codec, info.samples, info.bits_per_sample) == ("adpcm_ima_qt", 193 * 64, None)
    table = (12345, 0, 7, [])
    assert (
        identify(caf(b"ima4", 16000.0, 0, 34, 64, 1, 0, bytes(34 * 193), table=table)).samples
        == 12345
    )


ALAC = [
    (1, b"", 16),
    (4, b"", 32),
    (0, b"\0\0\x10\0\0\x18" + bytes(18), 24),
    (0, b"\0\0\0\x0cfrmaalac\0\0\0\x24alac" + bytes(4) + b"\0\0\x10\0\0\x14" + bytes(18), 20),
    (0, b"", None),
]


@pytest.mark.parametrize("flags, kuki, bits", ALAC)
def test_alac_tells_its_bits_in_flags_or_cookie(flags, kuki, bits):
    info = identify(_opus(48000, form=b"alac", flags=flags, kuki=kuki))
    assert (info.codec, info.bits_per_sample, info.lossless) == ("alac", bits, True)


def test_a_last_packet_of_alac_that_is_partial_tells_its_frames():
    partial = int(f"{1:03b}{0:016b}1{0:03b}{700:032b}0", 2).to_bytes(7, "big")
    data = bytes(200 * 49) + partial + bytes(193)
    assert identify(_opus(48000, form=b"alac", data=data)).samples == 49 * 960 + 700
    assert identify(_opus(47000, 0, 1000, form=b"alac", data=data)).samples == 47000


def test_a_table_that_ends_early_or_asks_for_more_than_there_is_is_said():
    early = identify(_opus(0, table=(0, 0, 0, [(200,)] * 50))[:-10])
    assert "ends early" in early.warnings[0] and early.samples == 45 * 960
    assert early.truncated and early.duration_declared == 1.0
    told = identify(_opus(47000, 312, 688)[:-10])
    assert told.truncated and told.samples == 45 * 960 - 312
    assert told.duration_declared == 47000 / 48000
    alac = identify(_opus(48000, form=b"alac")[:-10])
    assert alac.truncated and alac.samples == 45 * 960, "without sizes packets cannot be told apart"
    with pytest.raises(Damaged, match="how long packets are"):
        identify(_opus(0, packet_frames=0))
    more = identify(_opus(0, data=bytes(4000)))
    assert more.warnings and more.samples == 20 * 960


def test_information_strings_are_tags():
    info = identify(caf(info=[("title", "Tïtle"), ("artist", "A"), ("track number", "7")]))
    assert info.tags == {"title": "Tïtle", "artist": "A", "track": "7"}


@pytest.mark.parametrize("table_first", (False, True))
def test_coded_data_that_is_cut_has_its_whole_packets_where_the_table_is_there(table_first):
    data = _opus(47000, 312, 688, table_first=table_first)
    reason, info = files.outcome(data[: len(data) - (1000 if table_first else 1500)])
    if table_first:
        assert info.truncated and info.samples == 45 * 960 - 312
        assert info.duration_declared == 47000 / 48000
    else:
        assert "packet table is missing" in reason


BAD = [
    (b"caff\0\1\0\0", Damaged, "desc"),
    (caf()[:52], Damaged, "data chunk"),
    (caf(rate=0.0), NotAudio, "0 Hz"),
    (caf(rate=float("nan")), NotAudio, "nan Hz"),
    (caf(rate=float("inf")), NotAudio, "inf Hz"),
    (caf(channels=0), NotAudio, "0 channels"),
    (caf(packet_bytes=5), NotAudio, "packets of 5"),
    (caf(packet_bytes=0), NotAudio, "packets of 0"),
    (caf(bits=99), NotAudio, "99 bits"),
    (caf(b"what"), NotAudio, "unknown format 'what'"),
    (caf(b"flac", 44100.0, 0, 0, 0x55555556, table=(9, 0, 0, [(300,)])), Damaged, "1431655766 frames"),
    (_opus(0, table=None), Damaged, "packet table is missing"),
]


@pytest.mark.parametrize("data, kind, words", BAD, ids=[words for _, _, words in BAD])
def test_what_is_no_caf_is_refused_with_its_reason(data, kind, words):
    with pytest.raises(kind, match=words):
        identify(data)


def test_every_truncation_is_refused_or_marked():
    files.check_every_truncation(caf(data=bytes(2000)))
    files.check_every_truncation(_opus(47000, 312, 688, table_first=True), 13)


def test_garbage_is_caf_that_makes_sense_or_no_audio():
    files.check_garbage([caf(data=bytes(400)), _opus(47000, 312, 688), _opus(0, table_first=True)])


def test_a_table_without_end_is_not_counted_for_ever():
    head = _opus(0, count=0, data=bytes(64), packet_frames=0)
    pakt = head.index(b"pakt")
    data = (
        head[: pakt + 4]
        + (1 << 40).to_bytes(8, "big")
        + (1 << 39).to_bytes(8, "big")
        + bytes(1 << 22)
    )
    assert "packets were counted" in identify(data).warnings[0]


def test_strings_without_end_are_given_up():
    info = identify(caf(info=[(f"key {n}", "x") for n in range(3000)]))
    assert 0 < len(info.tags) <= 100


def test_a_large_file_costs_its_headers():
    assert files.check_reads_little(caf()).samples == 12000
