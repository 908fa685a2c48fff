"""PCM of every word to 16 bits: against its plain definition, value by value."""

from __future__ import annotations

import io
import math
import random
import struct
import wave

import pytest

from audiokit.codec.pcm import PcmReader, gains, is_pcm, mixed, wav_header


def shorts(data):
    return list(struct.unpack("<%dh" % (len(data) // 2), data))


def one(codec, data, channels=1, **how):
    return shorts(PcmReader(codec, channels, channels, **how).convert(data))


INTEGERS = [
    ("pcm_u8", bytes([0, 1, 128, 255]), [-32768, -32512, 0, 32512], "silence is 128"),
    ("pcm_s8", bytes([0, 1, 128, 255]), [0, 256, -32768, -256], "AIFF's bytes are signed"),
    ("pcm_s16le", b"\x01\x00\xff\x7f", [1, 32767], "as it is"),
    ("pcm_s16be", b"\x00\x01\x7f\xff", [1, 32767], "the other way round"),
    ("pcm_s24le", b"\x00\x01\x00\x80\x00\x00\x7f\x00\x00", [1, 1, 0], "half a place rounds up, less does not"),
    ("pcm_s24le", b"\xff\xff\x7f\x00\x00\x80", [32767, -32768], "rounding up at full scale saturates"),
    ("pcm_s24be", b"\x00\x01\x00\xff\xff\x00", [1, -1], "big-endian"),
    ("pcm_s32le", b"\x00\x80\x00\x00\xff\xff\xff\x7f\x00\x00\x00\x80", [1, 32767, -32768], "32 bits"),
    ("pcm_s32be", b"\x00\x01\x00\x00", [1], "32 bits, big-endian"),
    ("pcm_s64le", struct.pack("<4q", 1 << 47, (1 << 63) - 1, -(1 << 63), -1), [1, 32767, -32768, 0], "64 bits"),
    ("pcm_s64be", struct.pack(">2q", 0x123480000000 << 16, 0x12347FFF << 32), [0x1235, 0x1234], "halves round up"),
    ("pcm_f16le", struct.pack("<3e", 0.5, -1.0, 60000.0), [16384, -32768, 32767], "half a float"),
    ("pcm_f16be", struct.pack(">e", -0.25), [-8192], "half a float, big-endian"),
    ("pcm_f32le", struct.pack("<5f", 0.5, 1.0, -1.0, 2.5, -1e30), [16384, 32767, -32768, 32767, -32768], "clipped"),
    ("pcm_f32be", struct.pack(">2f", float("nan"), float("inf")), [0, 32767], "no number is silence"),
    ("pcm_f64le", struct.pack("<2d", 1 / 65536, -1e300), [1, -32768], "doubles"),
    ("pcm_f64be", struct.pack(">d", -0.25), [-8192], "doubles, big-endian"),
]


@pytest.mark.parametrize("codec, data, wanted, why", INTEGERS)
def test_each_word_becomes_16_bits(codec, data, wanted, why):
    assert one(codec, data) == wanted, why


# ITU-T G.711's own extremes and quantum: (code, value on 16 bits)
@pytest.mark.parametrize("codec, code, value", [
    ("pcm_mulaw", 0xFF, 0), ("pcm_mulaw", 0x7F, 0), ("pcm_mulaw", 0x80, 32124), ("pcm_mulaw", 0x00, -32124),
    ("pcm_mulaw", 0xFE, 8), ("pcm_alaw", 0xD5, 8), ("pcm_alaw", 0x55, -8), ("pcm_alaw", 0xAA, 32256),
    ("pcm_alaw", 0x2A, -32256), ("pcm_alaw", 0xD4, 24),
])
def test_companded_words_are_those_of_g711(codec, code, value):
    assert one(codec, bytes([code])) == [value]


def test_24_bits_agree_with_rounding_by_hand():
    rng = random.Random(1)
    values = [rng.randrange(-(1 << 23), 1 << 23) for _ in range(500)]
    data = b"".join((v & 0xFFFFFF).to_bytes(3, "little") for v in values)
    assert one("pcm_s24le", data) == [min((v + 128) >> 8, 32767) for v in values]


def test_dither_is_noise_of_two_places_and_only_where_bits_are_lost():
    data = (0x123440).to_bytes(3, "little") * 20000
    found = one("pcm_s24le", data, dither="tpdf")
    assert set(found) == {0x1233, 0x1234, 0x1235}
    assert abs(sum(found) / len(found) - 0x123440 / 256) < 0.02, "the mean is the value, not its rounding"
    assert one("pcm_s16le", b"\x01\x00" * 100, dither="tpdf") == [1] * 100


def test_only_pcm_is_pcm():
    assert is_pcm("pcm_f64be") and is_pcm("pcm_alaw") and not is_pcm("adpcm_ms") and not is_pcm("mp3")
    assert not any(map(is_pcm, ("pcm_u16le", "pcm_f8", "pcm_f24le", "pcm_bluray")))
    with pytest.raises(ValueError, match="opus is not PCM"):
        PcmReader("opus", 2)


def test_frames_that_are_not_whole_are_left_out():
    assert PcmReader("pcm_s24le", 2).convert(bytes(11)) == bytes(4)


class TestChannels:
    def test_mono_goes_to_both_sides_and_stereo_to_its_mean(self):
        assert shorts(mixed(struct.pack("<2h", 5, -7), 1, 2)) == [5, 5, -7, -7]
        assert shorts(mixed(struct.pack("<4h", 100, 50, -32768, -32768), 2, 1)) == [75, -32768]

    @pytest.mark.parametrize("channels", range(1, 11))
    @pytest.mark.parametrize("out", [1, 2])
    def test_full_scale_everywhere_does_not_clip_and_does_not_shrink(self, channels, out):
        for row in gains(channels, out):
            assert math.isclose(sum(row), 1.0)
        found = shorts(mixed(struct.pack("<h", 32767) * channels * 3, channels, out))
        assert all(value >= 32760 for value in found)

    def test_surround_is_mixed_as_bs775_has_it(self):
        left, right = gains(6, 2)
        assert left[3] == right[3] == 0, "no low-frequency channel"
        assert math.isclose(left[2] / left[0], math.sqrt(0.5)) and left[1] == 0
        assert math.isclose(left[4] / left[0], math.sqrt(0.5)) and right[4] == 0


    SPEAKERS = [
        # speakers, left, right (before they are made smaller), why
        ("FL FR LFE", (1, 0, 0), (0, 1, 0), "the low frequencies are left out wherever they are"),
        ("FL FR FC BC", (1, 0, math.sqrt(0.5), 0.5), (0, 1, math.sqrt(0.5), 0.5), "BS.775's 3/1"),
        ("FC FL FR BL BR LFE", (math.sqrt(0.5), 1, 0, math.sqrt(0.5), 0, 0), (math.sqrt(0.5), 0, 1, 0, math.sqrt(0.5), 0),
         "films have the centre in front"),
        ("FL FR BL", (1, 0, math.sqrt(0.5)), (0, 1, 0), "one side may have more: both are made smaller alike"),
        ("SL SR LFE", (math.sqrt(0.5), 0, 0), (0, math.sqrt(0.5), 0), "surrounds alone"),
        ("FL FR  ", (1, 0, math.sqrt(0.5), math.sqrt(0.5)), (0, 1, math.sqrt(0.5), math.sqrt(0.5)), "for no speaker"),
        ("FL LFE BL", (1, 0, math.sqrt(0.5)), (0, 0, 0), "nothing for the right"),
    ]

    @pytest.mark.parametrize("speakers, left, right, why", SPEAKERS, ids=[row[-1] for row in SPEAKERS])
    def test_what_is_told_of_speakers_is_obeyed(self, speakers, left, right, why):
        names = speakers.split(" ")
        total = max(sum(left), sum(right))
        for found, wanted in zip(gains(len(names), 2, names), (left, right)):
            assert found == pytest.approx([share / total for share in wanted])
        (mono,) = gains(len(names), 1, names)
        both = [a + b for a, b in zip(left, right)]
        assert mono == pytest.approx([share / sum(both) for share in both])

    def test_the_reader_mixes_by_its_speakers(self):
        frame = struct.pack("<3h", 0, 0, 30000)
        assert shorts(PcmReader("pcm_s16le", 3, 2, speakers=("FL", "FR", "LFE")).convert(frame)) == [0, 0]
        assert shorts(PcmReader("pcm_s16le", 3, 2).convert(frame)) == [12426, 12426]
        assert shorts(PcmReader("pcm_s16le", 3, 3, speakers=("FL", "FR", "LFE")).convert(frame)) == [0, 0, 30000]

    def test_speakers_of_another_number_of_channels_say_nothing(self):
        assert gains(6, 2, ("FL", "FR")) == gains(6, 2)


class TestWavHeader:
    def test_it_is_what_the_wave_module_reads(self):
        head = wav_header(44100, 2, 3)
        with wave.open(io.BytesIO(head + bytes(12))) as reader:
            assert reader.getparams()[:4] == (2, 2, 44100, 3)

    def test_it_can_be_rf64_before_it_is_large(self):
        assert len(wav_header(8000, 1, 0, as_rf64=True)) == len(wav_header(48000, 2, 1 << 31))

    def test_past_4_gib_it_is_rf64(self):
        head = wav_header(48000, 2, 1 << 31)
        assert head[:4] == b"RF64" and head[12:16] == b"ds64"
        riff, data, frames = struct.unpack_from("<QQQ", head, 20)
        assert (data, frames, riff) == (1 << 33, 1 << 31, (1 << 33) + len(head) - 8)
