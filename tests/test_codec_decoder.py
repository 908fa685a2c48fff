"""The MP3 decoder against the conformance streams, its own chunking, its segments and damage."""

from __future__ import annotations

import hashlib
import io
import math
import random
import struct
from array import array
from functools import lru_cache

import pytest

import audiometa
from audiokit.codec.decoder import Decoder, Planner, Undecodable, decode_segment
from audiokit.formats.mpeg_gapless import DECODER_DELAY
from audiokit.formats.mpeg_header import JOINT_STEREO, SINGLE_CHANNEL, STEREO, parse_header
from tests.layer3_streams import layer3_stream
from tests.support import ROOT, VECTORS, needs_vectors

# Streams whose reference output known decoders agree on, and test46, on which they do not: the
# reference is met with the positions of 13818-3 2.4.3.2 and the highest band's of 13818-4.
AGREED = (
    "M2L3_bitrate_16_all", "M2L3_compl24", "l3-compl", "l3-he_44khz", "l3-he_free",
    "l3-hecommon", "l3-si", "l3-si_block", "l3-test46",
)  # fmt: skip
MAX_RMS = 0.29  # last places of 16 bits
MIN_PSNR_DB = 96
OWN = ROOT / "tests" / "vectors"


def errors(pcm, reference):
    """(rms error in last places, peak signal to noise ratio in dB) over what both have."""
    a, b = array("h", pcm), array("h", reference)
    square = sum((x - y) ** 2 for x, y in zip(a, b)) / min(len(a), len(b))
    return math.sqrt(square), 10 * math.log10(32767**2 / square) if square else math.inf


def decode(data, chunk=0, **options):
    decoder = Decoder(**options)
    step = chunk or max(len(data), 1)
    parts = [decoder.feed(data[at : at + step]) for at in range(0, len(data), step)]
    return b"".join(parts) + decoder.finish(), decoder


def segments(data, parts):
    """What all of it gives, and at most so many parts of it, each of which begins with a frame."""
    planner = Planner()
    planner.feed(data)
    whole = planner.finish()
    edges = sorted({planner.frame_edge(whole.samples * part // parts) for part in range(parts)})
    return whole, [planner.span(a, b) for a, b in zip(edges, [*edges[1:], whole.samples])]


@lru_cache(maxsize=None)
def decoded_whole(data):
    """The PCM of a stream in one go, and the report."""
    pcm, decoder = decode(data)
    return pcm, decoder.report


def info_frame(delay, padding, frames, kind=b"Info", bytes_told=None):
    """A mono frame of 44.1 kHz and 64 kbit/s that says what to cut (LAME's tag)."""
    size = b"" if bytes_told is None else struct.pack(">I", bytes_told)
    tag = kind + struct.pack(">II", 3 if size else 1, frames) + size + b"LAME3.100" + bytes(12)
    tag += (delay << 12 | padding).to_bytes(3, "big")
    return (bytes((0xFF, 0xFB, 0x50, 0xC0)) + bytes(17) + tag).ljust(208, b"\0")


STREAM = layer3_stream(3, 44100, JOINT_STEREO, 14)
MONO = layer3_stream(3, 44100, SINGLE_CHANNEL, 14)
SHORT = layer3_stream(3, 44100, JOINT_STEREO, 9)


def frames_of(data):
    """The frames of a stream that is whole."""
    found = []
    while data:
        size = parse_header(data).frame_bytes
        found.append(data[:size])
        data = data[size:]
    return found


def damaged_streams():
    """(why, data, frames that are decoded, whether the last one is cut)."""
    parts = frames_of(MONO)
    free = bytes((0xFF, 0xFB, 0x00, 0xC0)).ljust(500, b"\0")
    joined = b"".join
    with_free = [part[:2] + bytes((part[2] & 15,)) + part[3:] if n in (4, 8) else part for n, part in enumerate(parts)]
    tag = b"TAG".ljust(128, b" ")
    return [
        ("a frame that lacks bytes costs the next nothing", joined(parts[:5]) + parts[5][:-9] + joined(parts[6:]), 14, False),
        ("nor the last", joined(parts[:-2]) + parts[-2][:-1] + parts[-1], 14, False),
        ("nor in free format", 4 * free + free[:-30] + 4 * free, 9, False),
        ("what is put between costs the frame it is in", joined(parts[:4]) + b"junk" * 20 + joined(parts[4:]), 14, False),
        ("two frames between junk are frames", joined(parts[:4] + [b"junk"] + parts[4:6] + [b"junk"] + parts[6:]), 14, False),
        ("a bit rate that became free format is no other stream", joined(with_free), 12, False),
        ("a header of another stream within the cut frame is none", MONO[:-90] + b"\xff\xf3\x90\xc4" + bytes(40), 13, True),
        ("the last frame is not filled up by the tag behind it", MONO[:-40] + tag, 13, True),
        ("not even by most of it", MONO[: -len(parts[-1]) + 30] + tag, 13, True),
    ]


@needs_vectors
class TestConformance:
    @pytest.mark.parametrize("name", AGREED)
    def test_the_front_of_every_agreed_stream_is_right_to_the_last_place(self, name):
        data = (VECTORS / (name + ".bit")).read_bytes()[:16000]
        reference = (VECTORS / (name + ".pcm")).read_bytes()
        pcm, decoder = decode(data, gapless=False)
        assert decoder.report.frames_muted == 0
        rms, psnr = errors(pcm, reference)
        assert rms <= MAX_RMS and psnr >= MIN_PSNR_DB

    @pytest.mark.slow
    @pytest.mark.parametrize("name", AGREED)
    def test_every_agreed_stream_is_right_to_its_end(self, name):
        data = (VECTORS / (name + ".bit")).read_bytes()
        reference = (VECTORS / (name + ".pcm")).read_bytes()
        pcm, decoder = decode(data, gapless=False)
        assert len(pcm) >= len(reference) and decoder.report.frames_muted == 0
        rms, psnr = errors(pcm, reference)
        assert rms <= MAX_RMS and psnr >= MIN_PSNR_DB

    def test_a_stream_that_changes_its_channels_keeps_those_asked_for(self):
        """he_mode: 10 frames of mono, stereo, then mono; the reference has each as it is.  The left
        channel runs on through both changes; the right one comes out of the mono signal."""
        data = (VECTORS / "l3-he_mode.bit").read_bytes()[:9000]
        reference = array("h", (VECTORS / "l3-he_mode.pcm").read_bytes())
        pcm, _ = decode(data, channels=2)
        ours = array("h", pcm)
        mono = reference[: 10 * 1152]
        assert errors(ours[: 2 * len(mono) : 2].tobytes(), mono.tobytes())[0] <= MAX_RMS
        assert ours[: 2 * len(mono) : 2] == ours[1 : 2 * len(mono) : 2]
        left, their_left = ours[2 * len(mono) :: 2], reference[len(mono) :: 2]
        assert errors(left.tobytes(), their_left.tobytes())[0] <= MAX_RMS
        later = 2 * len(mono) + 2 * 1152, len(mono) + 2 * 1152
        right, their_right = ours[later[0] + 1 :: 2], reference[later[1] + 1 :: 2]
        assert errors(right.tobytes(), their_right.tobytes())[0] <= MAX_RMS


@pytest.mark.parametrize("name", ["layer3_44100_joint_all_tools", "layer3_22050_mono_all_tools"])
def test_our_own_vectors_decode_to_the_same_bytes_everywhere(name):
    pcm, decoder = decode((OWN / (name + ".mp3")).read_bytes())
    assert decoder.report.frames == 24 and decoder.report.frames_muted == 0
    digest = (OWN / (name + ".pcm.sha256")).read_text().strip()
    assert hashlib.sha256(pcm).hexdigest() == digest


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_any_chunking_gives_the_same_pcm(chunk):
    assert decode(STREAM, chunk)[0] == decoded_whole(STREAM)[0]


@pytest.mark.parametrize("rate", [44100, 48000, 32000, 22050, 24000, 16000, 11025, 12000, 8000])
def test_every_rate_gives_a_granule_of_576_samples_a_channel(rate):
    for mode, channels in ((STEREO, 2), (SINGLE_CHANNEL, 1)):
        pcm, decoder = decode(layer3_stream(7, rate, mode, 6))
        granules = 2 if rate >= 32000 else 1
        assert len(pcm) == 6 * granules * 576 * channels * 2
        assert (decoder.sample_rate, decoder.channels) == (rate, channels)
        assert decoder.report.frames_muted == 0


class TestSegments:
    @pytest.mark.parametrize("parts", [1, 2, 3, 5, 100])
    @pytest.mark.parametrize(
        "data",
        [SHORT, layer3_stream(3, 44100, SINGLE_CHANNEL, 9), layer3_stream(4, 22050, JOINT_STEREO, 13), SHORT[:1200] + SHORT[1300:]],
        ids=["joint", "mono", "lsf", "damaged"],
    )
    def test_the_pcm_of_all_segments_is_that_of_the_whole(self, data, parts):
        whole, spans = segments(data, parts)
        pcm, report_of_all = decoded_whole(data)
        found = [decode_segment(data[s.start : s.end], s) for s in spans]
        assert b"".join(part for part, _ in found) == pcm
        assert whole.samples == len(pcm) // (2 * whole.channels)
        assert sum(report.frames for _, report in found) == report_of_all.frames
        assert sum(report.frames_muted for _, report in found) == report_of_all.frames_muted

    @pytest.mark.parametrize("delay, padding", [(576, 1000), (1105, 529), (300, 40), (4095, 4095)])
    def test_segments_are_gapless_together(self, delay, padding):
        data = info_frame(delay, padding, 14) + MONO
        whole, spans = segments(data, 4)
        pcm = b"".join(decode_segment(data[s.start : s.end], s)[0] for s in spans)
        assert pcm == decode(data)[0]
        assert whole.samples == len(pcm) // 2 == max(14 * 1152 - delay - padding, 0)

    @pytest.mark.parametrize("delay, padding", [(576, 1000), (1105, 100), (300, 4095)])
    def test_of_any_cut_the_reader_the_plan_and_the_decoder_say_the_same(self, delay, padding):
        size = len(info_frame(delay, padding, 14))
        whole = info_frame(delay, padding, 14, bytes_told=size + len(MONO)) + MONO
        ends = [size]
        while ends[-1] < len(whole):
            ends.append(ends[-1] + parse_header(whole[ends[-1] :]).frame_bytes)
        original = 14 * 1152 - delay - padding
        for frames, end in enumerate(ends):
            for data in (whole[:end], whole[: end + 60]):
                if frames < 2 or len(data) > len(whole):
                    continue
                here = frames * 1152 - delay - DECODER_DELAY
                wanted = original if frames == 14 else max(min(here, original), 0)
                planner = Planner()
                planner.feed(data)
                info = audiometa.identify(io.BytesIO(data), len(data))
                assert info.samples == planner.finish().samples == wanted, (frames, len(data))
                assert info.truncated == (frames < 14), (frames, len(data))
                if frames in (4, 13) and len(data) == end:
                    pcm = decode(data)[0]
                    assert len(pcm) == 2 * wanted, (frames, len(data))
                    _, spans = segments(data, 2)
                    parts = [decode_segment(data[s.start : s.end], s)[0] for s in spans]
                    assert b"".join(parts) == pcm, (frames, len(data))

    def test_a_stream_that_changes_its_rate_has_no_plan(self):
        planner = Planner()
        planner.feed(MONO + layer3_stream(1, 48000, SINGLE_CHANNEL, 4))
        assert planner.finish() is None


class TestGapless:
    def test_what_the_lame_tag_says_is_cut(self):
        whole = decode(MONO)[0]
        cut, decoder = decode(info_frame(576, 1000, 14) + MONO)
        assert decoder.note.encoder_delay == 576
        assert len(cut) == 2 * (14 * 1152 - 576 - 1000)
        start = 2 * (576 + DECODER_DELAY)
        assert cut == whole[start : start + len(cut)]

    def test_the_info_frame_is_never_decoded(self):
        assert decode(info_frame(576, 1000, 14) + MONO, gapless=False)[0] == decode(MONO)[0]

    def test_a_padding_shorter_than_the_decoders_delay_is_filled_by_one_more_granule(self):
        cut, _ = decode(info_frame(576, 100, 14) + MONO)
        assert len(cut) == 2 * (14 * 1152 - 576 - 100)

    def test_an_end_that_is_not_the_announced_one_is_not_cut(self):
        cut, _ = decode(info_frame(576, 1000, 99) + MONO)
        assert len(cut) == 2 * (14 * 1152 - 576 - DECODER_DELAY)

    def test_delay_and_padding_of_0_tell_nothing(self):
        assert decode(info_frame(0, 0, 14) + MONO)[0] == decode(MONO)[0]

    def test_a_stream_of_an_info_frame_alone_is_silence_of_no_length(self):
        pcm, decoder = decode(info_frame(0, 0, 0))
        assert pcm == b"" and decoder.sample_rate == 44100


class TestChanges:
    def test_mono_goes_to_both_channels_and_stereo_to_their_mean(self):
        both, _ = decode(MONO, channels=2)
        samples = array("h", decoded_whole(MONO)[0])
        assert array("h", both)[0::2] == samples and array("h", both)[1::2] == samples
        stereo = array("h", decoded_whole(STREAM)[0])
        mean = [(left + right + 1) >> 1 for left, right in zip(stereo[0::2], stereo[1::2])]
        assert list(array("h", decode(STREAM, channels=1)[0])) == mean

    def test_the_output_keeps_the_channels_of_the_first_frame(self):
        pcm, decoder = decode(MONO + STREAM)
        assert decoder.channels == 1 and len(pcm) == 2 * 28 * 1152

    def test_another_sampling_rate_begins_a_run(self):
        other = layer3_stream(1, 24000, SINGLE_CHANNEL, 8)
        pcm, decoder = decode(MONO + other)
        assert pcm == decoded_whole(MONO)[0] + decoded_whole(other)[0]
        assert [(f.first_sample, f.sample_rate) for f in decoder.formats] == [
            (0, 44100),
            (14 * 1152, 24000),
        ]

    def test_a_run_begins_behind_what_is_held_back_of_the_one_before(self):
        tagged, other = info_frame(576, 1000, 99) + MONO, layer3_stream(1, 24000, SINGLE_CHANNEL, 8)
        pcm, decoder = decode(tagged + other, 100)
        assert pcm == decoded_whole(tagged)[0] + decoded_whole(other)[0]
        assert decoder.formats[1].first_sample == len(decoded_whole(tagged)[0]) // 2

    @pytest.mark.parametrize("chunk", [100, 5000, 100000])
    def test_pcm_is_told_apart_by_its_rate_however_the_stream_is_cut(self, chunk):
        data = MONO + layer3_stream(1, 24000, SINGLE_CHANNEL, 8) + MONO
        decoder, found = Decoder(), {}
        pieces = [decoder.feed(data[at : at + chunk]) for at in range(0, len(data), chunk)]
        first = 0
        for pcm in [*pieces, decoder.finish()]:
            for part, rate in decoder.by_rate(pcm, first):
                found[rate] = found.get(rate, b"") + part
            first += len(pcm) // 2
        assert found == {44100: 2 * decoded_whole(MONO)[0], 24000: decode(data[len(MONO) : -len(MONO)])[0]}


class TestDamage:
    @pytest.mark.parametrize("data", [b"", b"\xff", b"RIFF" * 99, bytes(5000)], ids=repr)
    def test_no_frame_at_all_is_undecodable(self, data):
        with pytest.raises(Undecodable, match="no MPEG Layer III frame"):
            decode(data)

    @pytest.mark.parametrize("head, size", [(b"\xff\xfd\x90\x00", 522), (b"\xff\xff\x90\x00", 312)])
    def test_layers_i_and_ii_are_refused_by_name_and_place(self, head, size):
        with pytest.raises(Undecodable, match="Layer I+ at byte 3: only Layer III is decoded"):
            decode(b"abc" + head.ljust(size, b"\0") * 3)

    @pytest.mark.parametrize("head, size", [(b"\xff\xfd\x90\x00", 522), (b"\xff\xff\x90\x00", 312)])
    def test_what_looks_like_another_layer_amid_damage_is_damage(self, head, size):
        other = head.ljust(size, b"\0") * 3
        pcm, decoder = decode(MONO + b"abc" + other + MONO)
        assert len(pcm) >= 2 * len(decoded_whole(MONO)[0]) and decoder.report.skipped_bytes >= len(other)
        pcm, decoder = decode(b"abc" + other + MONO)
        assert len(pcm) == len(decoded_whole(MONO)[0])
        with pytest.raises(Undecodable, match="Layer I+ at byte 0"):
            decode(other + MONO)

    @pytest.mark.parametrize("seed", range(3))
    def test_how_the_input_is_cut_changes_nothing_in_damaged_streams_either(self, seed):
        rng = random.Random(seed)
        data = bytearray(STREAM * 2)
        for _ in range(4):
            at = rng.randrange(500, len(data) - 500)
            if rng.random() < 0.5:
                del data[at : at + rng.randrange(1, 300)]
            else:
                data[at : at + rng.randrange(1, 60)] = rng.getrandbits(240).to_bytes(30, "big")
        whole = decode(bytes(data))
        for piece in (7, 1000):
            assert decode(bytes(data), piece)[0] == whole[0], piece

    def test_tags_around_the_audio_are_not_audio(self):
        id3 = b"ID3\x04\0\0" + bytes((0, 0, 2, 0)) + b"\xff\xfb\x90\x00" * 64
        fields = struct.pack("<IIII", 2000, 72, 0, 0xA0000000)
        ape = b"APETAGEX" + fields + bytes(8) + b"\xff\xfb" * 20 + b"APETAGEX".ljust(32, b"\0")
        pcm, decoder = decode(id3 + MONO + ape + b"TAG".ljust(128, b"\xff"), 100)
        assert pcm == decoded_whole(MONO)[0]
        assert decoder.report.warnings == []

    def test_junk_between_frames_costs_no_more_than_the_reservoir(self):
        at = segments(MONO, 14)[1][7]
        cut = at.start + at.frames[at.lead_in][0]
        pcm, decoder = decode(MONO[:cut] + b"junk\xff\xfb" * 40 + MONO[cut:])
        assert len(pcm) == len(decoded_whole(MONO)[0])
        assert decoder.report.skipped_bytes == 240
        assert 0 < decoder.report.frames_muted <= 4
        silent, junk = decoder.report.warnings
        assert silent.endswith("of 14 frames could not be decoded and are silent")
        assert junk == "240 bytes are no part of any frame"

    @pytest.mark.parametrize("why, data, frames, cut", damaged_streams(), ids=[row[0] for row in damaged_streams()])
    @pytest.mark.parametrize("chunk", [0, 1000])
    def test_of_a_damaged_stream_the_reader_counts_the_frames_that_are_decoded(self, why, data, frames, cut, chunk):
        pcm, decoder = decode(data, chunk)
        assert decoder.report.frames == frames, why
        assert decoder.report.is_cut == cut, why
        info = audiometa.identify(io.BytesIO(data), len(data))
        assert (info.samples, info.truncated) == (len(pcm) // (2 * decoder.channels), cut), why

    def test_a_wrong_crc_is_counted_and_the_frame_is_decoded(self):
        frame = bytearray(bytes((0xFF, 0xFA, 0x50, 0xC0)).ljust(208, b"\0"))
        pcm, decoder = decode(bytes(frame) * 3)
        assert decoder.report.crc_mismatches == 3
        assert pcm == bytes(3 * 1152 * 2)

    def test_every_truncation_decodes_to_a_part_of_the_whole(self):
        whole = decoded_whole(MONO)[0]
        for size in range(0, 1400, 27):
            try:
                pcm, _ = decode(MONO[:size])
            except Undecodable:
                continue
            assert whole.startswith(pcm)

    @pytest.mark.parametrize("seed", range(30))
    def test_every_mutation_decodes_or_is_undecodable(self, seed):
        rng = random.Random(seed)
        data = bytearray(rng.choice((STREAM, MONO)))
        for _ in range(rng.choice((1, 5, 100))):
            data[rng.randrange(len(data))] = rng.randrange(256)
        if seed % 3 == 0:
            at = rng.randrange(len(data))
            del data[at : at + rng.randrange(700)]
        try:
            pcm, decoder = decode(bytes(data), 512)
        except Undecodable:
            return
        frame = 1152 * 2 * decoder.channels
        assert len(pcm) == decoder.report.frames * frame or len(decoder.formats) > 1
        assert decoder.report.frames <= 16

    def test_garbage_is_searched_in_one_pass(self):
        decoder = Decoder()
        for head in (b"\xff", b"\xff\xfb\x90\x00", b"\xff\xfb\x00\x00", b"ID3"):
            assert decoder.feed(head * (60000 // len(head))) == b""
        assert decoder.report.frames == 0
