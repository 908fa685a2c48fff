"""The whole encoder: its streams taken apart, and decoded by our decoder and by others."""

from __future__ import annotations

import math
import random
import shutil
import struct
import subprocess
from functools import lru_cache

import pytest

from audiokit.codec.bits import words
from audiokit.codec.blocks import SHORT
from audiokit.codec.decoder import Decoder
from audiokit.codec.encoder import BadParameters, Encoder, segment_samples
from audiokit.codec.info_tag import StreamRecord
from audiokit.codec.parameters import parameters
from audiokit.codec.requantize import region_bounds
from audiokit.codec.side_info import parse_side_info, read_lsf_scalefactors
from audiokit.formats.mpeg_header import (
    BITRATES,
    SAMPLE_RATES,
    parse_header,
    parse_stream_note,
)

RATES = [(version == 1.0, rate) for version, rates in SAMPLE_RATES.items() for rate in rates]


@lru_cache(maxsize=None)
def music(rate, channels, seconds, seed=1):
    """Tones, noise and clicks, a little different in each channel."""
    rng = random.Random(seed)
    out = []
    for n in range(int(seconds * rate)):
        common = 6000 * math.sin(n * 1800 / rate) + 1386 * (2 * rng.random() - 1)
        click = 20000 if n % 5000 == 4000 else 0
        for channel in range(channels):
            value = common + 3000 * math.sin(n * (5000 + 900 * channel) / rate) + click
            out.append(max(-32768, min(32767, round(value))))
    return struct.pack("<%dh" % len(out), *out)


def encoded(pcm, rate, channels, chunk=0, **options):
    """A whole file, the Info frame in its place."""
    encoder = Encoder(rate, channels, **options)
    if chunk:
        out = b"".join(encoder.encode(pcm[at : at + chunk]) for at in range(0, len(pcm), chunk))
    else:
        out = encoder.encode(pcm)
    out += encoder.finish()
    if not options.get("with_info", True):
        return out
    info = encoder.info_frame()
    return info + out[len(info) :]


def decoded(data):
    decoder = Decoder()
    pcm = decoder.feed(data) + decoder.finish()
    assert not decoder.report.frames_muted and not decoder.report.warnings
    return pcm


def take_apart(data):
    """Every frame's header and side information; asserts that all main data lie where they may."""
    at = room = 0
    found = []
    while at < len(data):
        header = parse_header(data[at : at + 4])
        assert header is not None, "no frame at byte %d" % at
        assert at + header.frame_bytes <= len(data)
        side = parse_side_info(data[at + 4 : at + 4 + header.side_info_bytes], header)
        area = header.frame_bytes - 4 - header.side_info_bytes
        assert side.main_data_begin <= min(room, 511 if header.version == 1.0 else 255)
        bits = 0
        for row in side.granules:
            for one in row:
                bits += one.part2_3_length
                assert 2 * one.big_values <= 576
        assert bits <= 8 * (side.main_data_begin + area)
        room = side.main_data_begin + area - (bits + 7) // 8
        found.append((header, side))
        at += header.frame_bytes
    return found


def signal_to_noise(pcm, other):
    a, b = (struct.unpack("<%dh" % (len(one) // 2), one) for one in (pcm, other))
    assert len(a) == len(b)
    noise = sum((x - y) ** 2 for x, y in zip(a, b))
    return 10 * math.log10(sum(x * x for x in a) / max(noise, 1))


@pytest.mark.parametrize(
    "is_version_1, rate",
    [
        (is_version_1, rate) if rate in (32000, 16000)
        else pytest.param(is_version_1, rate, marks=pytest.mark.slow)
        for is_version_1, rate in RATES
    ],
)
@pytest.mark.parametrize("channels", [1, 2])
def test_every_bitrate_gives_well_formed_frames_of_its_size(is_version_1, rate, channels):
    pcm = music(rate, channels, 1200 / rate)
    for kbps in BITRATES[is_version_1, 3][1:]:
        found = take_apart(encoded(pcm, rate, channels, bitrate_kbps=kbps, with_info=False))
        assert {(h.sample_rate, h.channels, h.bitrate_kbps) for h, _ in found} == {(rate, channels, kbps)}


@pytest.mark.parametrize("rate", [48000, 22050])
@pytest.mark.parametrize("channels", [1, 2])
def test_every_quality_gives_well_formed_frames_and_a_better_one_more_of_them(rate, channels):
    pcm = music(rate, channels, 0.08)
    sizes = []
    for quality in range(10):
        data = encoded(pcm, rate, channels, quality=quality)
        take_apart(data[parse_header(data).frame_bytes :])
        sizes.append(len(data))
    assert sizes == sorted(sizes, reverse=True) and sizes[0] > 1.5 * sizes[9]


EXTREMES = [
    ("nothing at all", b""),
    ("half a sample", b"\1"),
    ("one sample", struct.pack("<2h", 12345, -12345)),
    ("silence", bytes(4 * 2500)),
    ("full-scale square", (struct.pack("<2h", 32767, -32768) * 40 + b"\0\x80\xff\x7f" * 40) * 30),
    ("every sample turned", struct.pack("<4h", 32767, 32767, -32768, -32768) * 1200),
    ("a single impulse", bytes(4 * 600) + struct.pack("<2h", 32767, 0) + bytes(4 * 1800)),
    ("the lowest bit", struct.pack("<4h", 0, 1, 1, 0) * 1200),
    ("constant", struct.pack("<2h", -32768, -32768) * 2400),
    ("noise", bytes(random.Random(1).randrange(256) for _ in range(4 * 2400))),
]  # fmt: skip


@pytest.mark.parametrize("why, sound", EXTREMES, ids=[why for why, _ in EXTREMES])
@pytest.mark.parametrize("options", [{"bitrate_kbps": 128}, {"bitrate_kbps": 32}, {"quality": 0}])
def test_extremes_are_valid_files_of_their_exact_length(why, sound, options):
    for channels in (1, 2):
        pcm = sound[: 4800 * channels]
        data = encoded(pcm, 32000, channels, **options)
        take_apart(data[parse_header(data).frame_bytes :])
        whole = len(pcm) // (2 * channels) * 2 * channels
        assert len(decoded(data)) == whole, why


@pytest.mark.parametrize("samples", [0, 1, 47])
def test_the_shortest_stream_has_two_frames_without_which_ffmpeg_refuses_it(samples):
    data = encoded(bytes(2 * samples), 32000, 1)
    assert len(take_apart(data[parse_header(data).frame_bytes :])) == 2
    assert len(decoded(data)) == 2 * samples


def test_silence_stays_silence():
    pcm = bytes(4 * 4000)
    assert decoded(encoded(pcm, 44100, 2, bitrate_kbps=128)) == pcm


@pytest.mark.parametrize("run", [20, pytest.param(200, marks=pytest.mark.slow)])
def test_how_the_input_is_cut_changes_no_byte(monkeypatch, run):
    monkeypatch.setattr("audiokit.codec.encoder.CHUNK", run)
    pcm = (bytes(2 * 750 * run // 10) + music(8000, 1, 0.009375 * run)) * 10  # more than two runs
    whole = encoded(pcm, 8000, 1, bitrate_kbps=16)
    for chunk in (4095, 2 * 576 * run):
        assert encoded(pcm, 8000, 1, chunk, bitrate_kbps=16) == whole
    short = pcm[:5000]
    assert encoded(short, 32000, 2, 1) == encoded(short, 32000, 2)


@pytest.mark.parametrize(
    "rate, channels, options, least",
    [
        (32000, 2, {"bitrate_kbps": 320}, 40),
        (44100, 2, {"bitrate_kbps": 128}, 12),
        (48000, 1, {"bitrate_kbps": 320}, 35),  # 4095 bits a granule is all that can be said
        (22050, 2, {"bitrate_kbps": 160}, 25),
        (8000, 1, {"bitrate_kbps": 64}, 30),
        (44100, 2, {"quality": 0}, 15),
    ],
)
def test_what_comes_out_is_what_went_in_but_for_noise(rate, channels, options, least):
    pcm = music(rate, channels, 0.3)
    assert signal_to_noise(pcm, decoded(encoded(pcm, rate, channels, **options))) > least


def test_channels_that_are_alike_are_coded_once():
    mono = music(44100, 1, 0.5)
    samples = struct.unpack("<%dh" % (len(mono) // 2), mono)
    pcm = struct.pack("<%dh" % (2 * len(samples)), *[s for s in samples for _ in range(2)])
    found = take_apart(encoded(pcm, 44100, 2, bitrate_kbps=128, with_info=False))
    assert all(header.ms_stereo for header, _ in found[1:-1])
    assert all(row[1].part2_3_length < 200 for _, side in found[1:-1] for row in side.granules)


def test_a_click_is_coded_in_short_blocks():
    pcm = bytes(2 * 8000) + struct.pack("<h", 30000) + bytes(2 * 8000)
    found = take_apart(encoded(pcm, 32000, 1, bitrate_kbps=64, with_info=False))
    types = [row[0].block_type for _, side in found for row in side.granules]
    assert "".join(map(str, types)).strip("0") in ("123", "1223")


@pytest.mark.parametrize("rate, begin", [(48000, 0), (48000, 576), (44100, 300)])
def test_a_tone_behind_its_own_attack_is_not_lost(rate, begin):
    """Attacks want all bits there are; the granule behind one has little entropy, and is heard all the same."""
    values = [0] * (2 * begin)
    for n in range(3 * 576):
        values += [round(16000 * math.sin(n * hertz * 2 * math.pi / rate + 0.5)) for hertz in (1000, 1500)]
    pcm = struct.pack("<%dh" % len(values), *values)
    after = decoded(encoded(pcm, rate, 2, bitrate_kbps=128))
    for first in range(begin, begin + 3 * 576, 192):  # a third of a granule
        part = slice(4 * first, 4 * (first + 192))
        assert signal_to_noise(pcm[part], after[part]) > 20


def test_at_24_khz_nothing_depends_on_the_band_whose_begin_is_disputed():
    """ffmpeg's band 18 begins at line 330, not at 332: no region may end there, nor a step of the scalefactors."""
    pcm = music(24000, 1, 0.3) + bytes(random.Random(2).choices(range(256), k=2 * 3000))
    long_granules = 0
    for options in ({"bitrate_kbps": 160}, {"bitrate_kbps": 48}, {"quality": 2}):
        data = encoded(pcm, 24000, 1, with_info=False, **options)
        main = b""
        for header, side in take_apart(data):
            main, at = main[-255:] + data[4 + header.side_info_bytes : header.frame_bytes], len(main[-255:])
            data = data[header.frame_bytes :]
            (one,), = side.granules
            if one.block_type == SHORT:
                continue
            long_granules += 1
            end = region_bounds(one, 24000)[1]
            assert not 330 <= end <= 332 or end == 2 * one.big_values
            position = 8 * (at - side.main_data_begin)
            factors, _, _ = read_lsf_scalefactors(words(main), position, one, False)
            assert factors[17] == factors[18]
    assert long_granules > 20


class TestInfo:
    @pytest.mark.parametrize("rate, channels", [(44100, 2), (32000, 1), (16000, 2), (8000, 1)])
    def test_the_placeholder_is_as_long_as_what_replaces_it(self, rate, channels):
        pcm = music(rate, channels, 0.2)
        encoder = Encoder(rate, channels)
        out = encoder.encode(pcm) + encoder.finish()
        info = encoder.info_frame()
        placeholder = out[: parse_header(out).frame_bytes]
        assert len(info) == len(placeholder)
        note = parse_stream_note(info, parse_header(info))
        assert note.frames == len(take_apart(out)) - 1
        assert note.bytes == len(out)
        assert encoder.samples == len(pcm) // (2 * channels)

    def test_without_it_the_first_frame_is_audio(self):
        pcm = music(32000, 2, 0.2)
        bare = encoded(pcm, 32000, 2, bitrate_kbps=128, with_info=False)
        whole = encoded(pcm, 32000, 2, bitrate_kbps=128)
        assert whole.endswith(bare) and len(whole) > len(bare)


@pytest.mark.parametrize("rate, options", [(32000, {"bitrate_kbps": 128}), (24000, {"quality": 3})])
def test_segments_put_together_are_one_valid_file_of_the_right_length(rate, options):
    pcm = music(rate, 2, 0.6) + music(rate, 2, 0.6, seed=2)
    asked = parameters(rate, 2, **options)
    step = 4 * segment_samples(asked) * 9
    record, frames = StreamRecord(asked), b""
    for at in range(0, len(pcm), step):
        end = at + step
        encoder = Encoder(rate, 2, with_info=False, lead_in=pcm[:at], **options)
        part = encoder.encode(pcm[at:end])
        part += encoder.finish(lead_out=pcm[end:] if end < len(pcm) else None)
        record.add(part)
        frames += part
    take_apart(frames)
    whole = decoded(record.info_frame(len(pcm) // 4) + frames)
    assert signal_to_noise(pcm, whole) > 10
    # Where segments meet nothing is heard: the noise there is as elsewhere.
    alone = decoded(encoded(pcm, rate, 2, **options))
    assert signal_to_noise(alone, whole) > 8
    for seam in range(step, len(pcm), step):
        near = slice(seam - 4 * 600, seam + 4 * 600)
        assert signal_to_noise(pcm[near], whole[near]) > 6


def test_windows_overlap_where_segments_of_applause_meet():
    rng, rate = random.Random(3), 16000
    values = [rng.randrange(-200, 200) for _ in range(60 * 576)]
    for at in rng.choices(range(len(values) - 64), k=60):
        loud = rng.choice((1000, 3000, 9000))
        for n in range(64):
            values[at + n] += round(rng.uniform(-loud, loud) * (64 - n) / 64)
    pcm, step, types = struct.pack("<%dh" % len(values), *values), 2 * 5 * 576, []
    for at in range(0, len(pcm), step):
        end, encoder = at + step, Encoder(rate, 1, with_info=False, bitrate_kbps=64, lead_in=pcm[:at])
        part = encoder.encode(pcm[at:end]) + encoder.finish(lead_out=pcm[end:] if end < len(pcm) else None)
        types += [row[0].block_type for _, side in take_apart(part) for row in side.granules]
    assert {"".join(map(str, pair)) for pair in zip(types, types[1:])} <= {"00", "01", "12", "22", "23", "30", "31"}
    assert SHORT in types[:-1] and 0 in types


def test_a_segment_that_is_not_last_has_whole_frames():
    encoder = Encoder(32000, 1, with_info=False)
    encoder.encode(bytes(2 * 1153))
    with pytest.raises(ValueError, match="1 samples more than whole frames"):
        encoder.finish(lead_out=b"")


def test_after_the_end_nothing_is_taken():
    encoder = Encoder(32000, 1)
    encoder.finish()
    with pytest.raises(ValueError, match="after finish"):
        encoder.encode(b"")
    with pytest.raises(ValueError, match="twice"):
        encoder.finish()


def test_impossible_parameters_are_refused_when_the_encoder_is_made():
    with pytest.raises(BadParameters, match="kbit/s"):
        Encoder(44100, 2, bitrate_kbps=100)


# --- Other decoders --------------------------------------------------------------------------

KINDS = [
    (44100, 2, {"bitrate_kbps": 128}), (48000, 1, {"bitrate_kbps": 64}), (32000, 2, {"quality": 4}),
    (24000, 2, {"bitrate_kbps": 64}), (22050, 1, {"quality": 9}), (16000, 2, {"bitrate_kbps": 160}),
    (11025, 2, {"bitrate_kbps": 32}), (8000, 1, {"bitrate_kbps": 16}),
    (44100, 2, {"bitrate_kbps": 320}), (44100, 2, {"bitrate_kbps": 32}),
    (24000, 2, {"bitrate_kbps": 8}),
]  # fmt: skip


@lru_cache(maxsize=None)
def one_of_kind(number):
    """A sound and its file, for whoever decodes it."""
    rate, channels, options = KINDS[number]
    pcm = music(rate, channels, 0.25)
    return pcm, encoded(pcm, rate, channels, **options)


def foreign(tool):
    return pytest.mark.skipif(not shutil.which(tool), reason="skipped: no %s here" % tool)


@pytest.fixture(scope="module")
def by_ffmpeg(tmp_path_factory):
    """What ffmpeg makes of every kind, and says; in one go, for to begin takes it longer than to decode."""
    folder = tmp_path_factory.mktemp("ffmpeg")
    files, sounds = [], []
    for number in range(len(KINDS)):
        (folder / f"{number}.mp3").write_bytes(one_of_kind(number)[1])
        files += ["-i", f"{number}.mp3"]
        sounds += ["-map", str(number), "-f", "s16le", f"{number}.pcm"]
    command = ["ffmpeg", "-nostdin", "-v", "warning", *files, *sounds]
    done = subprocess.run(command, cwd=folder, stderr=subprocess.PIPE, timeout=120)
    return [(folder / f"{number}.pcm").read_bytes() for number in range(len(KINDS))], done.stderr


@foreign("ffmpeg")
@pytest.mark.parametrize("number", range(len(KINDS)), ids=map(str, KINDS))
def test_ffmpeg_decodes_it_without_a_word_to_the_right_length(by_ffmpeg, number):
    sounds, words = by_ffmpeg
    assert words == b""
    assert signal_to_noise(one_of_kind(number)[0], sounds[number]) > 2


@foreign("mpg123")
@pytest.mark.parametrize("number", range(len(KINDS)), ids=map(str, KINDS))
def test_mpg123_decodes_it_without_a_word_to_the_right_length(tmp_path, number):
    pcm, data = one_of_kind(number)
    path = tmp_path / "x.mp3"
    path.write_bytes(data)
    command = ["mpg123", "-q", "-s", "--no-resync", str(path)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
    assert done.stderr == b""
    assert signal_to_noise(pcm, done.stdout) > 2
