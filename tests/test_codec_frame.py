"""Frames as bytes: headers and side information read back, main data laid out, the Info tag."""

from __future__ import annotations

import random

import pytest

from audiokit.codec import frame as frames
from audiokit.codec.blocks import LONG, SHORT, START
from audiokit.codec.entropy import Coding, Split
from audiokit.codec.frame import FrameWriter, Granule, main_data, side_info, stream_format
from audiokit.codec.info_tag import StreamRecord, crc16, info_bitrate
from audiokit.codec.parameters import BadParameters, parameters
from audiokit.codec.reservoir import ConstantRate, VariableRate
from audiokit.codec.scalefactors import encode
from audiokit.codec.side_info import parse_side_info
from audiokit.formats.mpeg_header import (
    BITRATES,
    JOINT_STEREO,
    SAMPLE_RATES,
    SINGLE_CHANNEL,
    parse_header,
    parse_stream_note,
)

FORMATS = [
    (rate, channels, kbps)
    for version, rates in SAMPLE_RATES.items()
    for rate in rates
    for channels in (1, 2)
    for kbps in BITRATES[version == 1.0, 3][1:]
]


@pytest.mark.parametrize("padding", [0, 1])
def test_every_header_reads_back_as_what_it_says(padding):
    for rate, channels, kbps in FORMATS:
        layout = stream_format(rate, channels)
        header = parse_header(layout.header(kbps, padding, frames.MID_SIDE if channels == 2 else 0))
        assert (header.sample_rate, header.channels, header.bitrate_kbps) == (rate, channels, kbps)
        assert header.mode == (JOINT_STEREO if channels == 2 else SINGLE_CHANNEL)
        assert header.ms_stereo == (channels == 2) and not header.intensity_stereo
        assert header.frame_bytes == layout.frame_bytes(kbps, padding)
        assert header.samples_per_frame == layout.frame_samples
        assert 4 + header.side_info_bytes == layout.overhead
        assert not header.has_crc


def granule(rng, is_lsf, block_type):
    is_short = block_type == SHORT
    scalefactors = encode(
        [rng.uniform(0, 5) for _ in range(39)],
        is_lsf,
        is_short,
        (1, 0, 7) if is_short else (0, 0, 0),
    )
    split = Split(3, 9, rng.randrange(16), rng.randrange(8))
    tables = (rng.randrange(32), rng.randrange(32), rng.randrange(32))
    coding = Coding(0, rng.randrange(289), 5, split, tables, rng.randrange(2))
    return Granule(0, rng.randrange(256), block_type, coding, scalefactors, "1" * rng.randrange(4096))


@pytest.mark.parametrize("rate", [32000, 16000, 8000])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("block_type", [LONG, START, SHORT])
def test_side_information_reads_back_field_by_field(rate, channels, block_type):
    rng = random.Random(rate + channels)
    layout = stream_format(rate, channels)
    rows = [
        [granule(rng, layout.is_lsf, block_type) for _ in range(channels)]
        for _ in range(layout.granules)
    ]
    begin = layout.largest_begin
    data = side_info(layout, begin, [[0, 0, 0, 0]] * channels, rows)
    header = parse_header(layout.header(64, 0, 0))
    assert len(data) == header.side_info_bytes
    parsed = parse_side_info(data, header)
    assert parsed.main_data_begin == begin
    for wanted_row, row in zip(rows, parsed.granules):
        for want, got in zip(wanted_row, row):
            count = 3 if block_type == LONG else 2
            assert got.part2_3_length == len(want.main)
            assert got.big_values == want.coding.big_values
            assert got.global_gain == want.global_gain
            assert got.block_type == block_type and not got.mixed_block_flag
            assert got.table_select[:count] == want.coding.table_select[:count]
            assert got.scalefac_compress == want.scalefactors.scalefac_compress
            assert got.scalefac_scale == want.scalefactors.scalefac_scale
            assert got.preflag == want.scalefactors.preflag
            assert got.subblock_gain == want.scalefactors.subblock_gain
            assert got.count1table_select == want.coding.count1table_select
            if block_type == LONG:
                split = want.coding.split
                assert (got.region0_count, got.region1_count) == split[2:]


def test_main_data_are_the_granules_bits_up_to_a_whole_byte():
    rows = [
        [granule(random.Random(n), False, LONG)._replace(main=bits) for n, bits in enumerate(row)]
        for row in (("101", ""), ("1111", "00001"))
    ]
    assert main_data(rows) == bytes([0b10111110, 0b00010000])
    assert main_data([[rows[0][1]]]) == b""


def test_main_data_lie_in_the_rooms_of_frames_where_main_data_begin_says():
    rng = random.Random(1)
    writer, out, begins, mains = FrameWriter(), b"", [], []
    for _ in range(300):
        area = rng.randrange(3, 60)
        begins.append(writer.ahead)
        size = min(rng.randrange(80), writer.ahead + area)
        mains.append(bytes(rng.randrange(256) for _ in range(size)))
        head = bytes([0xFF, area])
        out += writer.add(head, area, mains[-1])
    out += writer.finish()
    stream, starts, at = b"", [], 0
    while at < len(out):
        assert out[at] == 0xFF
        area = out[at + 1]
        starts.append(len(stream))
        stream += out[at + 2 : at + 2 + area]
        at += 2 + area
    assert len(starts) == 300
    for start, begin, main in zip(starts, begins, mains):
        assert stream[start - begin : start - begin + len(main)] == main


class TestRates:
    @pytest.mark.parametrize("rate, kbps", [(44100, 128), (22050, 56), (11025, 8), (32000, 128)])
    def test_padding_makes_the_mean_exactly_the_bitrate(self, rate, kbps):
        layout = stream_format(rate, 2)
        constant = ConstantRate(layout, kbps)
        count = 441  # whole seconds of samples at every rate
        size = 0
        for _ in range(count):
            frame = constant.frame(0, 0)
            size += frame.area + layout.overhead
        exact = count * layout.frame_samples * kbps * 125 / rate
        assert exact - 1 < size <= exact

    def test_the_reservoir_never_passes_what_the_decoder_holds(self):
        for rate, channels, kbps in FORMATS:
            layout = stream_format(rate, channels)
            constant = ConstantRate(layout, kbps)
            ahead = 0
            for _ in range(40):
                budget = constant.budget(ahead, 0.0)
                assert 0 <= budget.aim <= budget.at_most
                frame = constant.frame(ahead, 0)
                ahead += frame.area - frame.stuffing
                assert 0 <= ahead <= layout.largest_begin
                assert ahead == 0 or ahead + layout.frame_bytes(kbps) <= 960

    def test_a_variable_rate_takes_the_smallest_frame_that_holds(self):
        layout = stream_format(44100, 2)
        rate = VariableRate(layout)
        assert rate.frame(0, 0).bitrate_kbps == 32
        assert rate.frame(0, 381).bitrate_kbps == 128  # 417 bytes less header and side information
        assert rate.frame(51, 381).bitrate_kbps == 128
        assert rate.frame(52, 381).bitrate_kbps == 112
        assert rate.frame(0, 382).bitrate_kbps == 160
        largest = rate.budget(0, 1e9).at_most // 8
        assert rate.frame(0, largest).bitrate_kbps == 320


def crc_by_definition(data):
    """x^16 + x^15 + x^2 + 1, lowest bit first, begun with 0."""
    crc = 0
    for byte in data:
        for bit in range(8):
            crc = crc >> 1 ^ (0xA001 if (crc ^ byte >> bit) & 1 else 0)
    return crc


class TestInfo:
    def test_the_checksum_is_its_polynomial_in_any_pieces(self):
        data = bytes(range(256)) + b"123456789"
        assert crc16(b"123456789") == 0xBB3D == crc_by_definition(b"123456789")
        for cut in (0, 1, 2, 255, len(data)):
            assert crc16(data[cut:], crc16(data[:cut])) == crc_by_definition(data)

    @pytest.mark.parametrize("rate, channels, kbps", FORMATS[::7])
    def test_the_frame_says_what_was_recorded(self, rate, channels, kbps):
        layout = stream_format(rate, channels)
        record = StreamRecord(parameters(rate, channels, bitrate_kbps=kbps))
        constant = ConstantRate(layout, kbps)
        music = b""
        for _ in range(50):
            frame = constant.frame(0, 0)
            music += layout.header(kbps, frame.padding, 0).ljust(layout.overhead + frame.area, b"\5")
        record.add(music)
        samples = 50 * layout.frame_samples - 576 - 700
        data = record.info_frame(samples)
        header = parse_header(data)
        assert (len(data) == header.frame_bytes == layout.frame_bytes(info_bitrate(record.parameters)))
        note = parse_stream_note(data, header)
        assert (note.kind, note.frames, note.bytes) == ("Info", 50, len(data) + len(music))
        assert (note.encoder_delay, note.encoder_padding, note.bitrate_mode) == (576, 700, "CBR")
        tag = layout.overhead + 120
        assert data[tag + 32 : tag + 34] == crc_by_definition(music).to_bytes(2, "big")
        assert data[tag + 34 : tag + 36] == crc_by_definition(data[: tag + 34]).to_bytes(2, "big")
        table = data[layout.overhead + 16 : layout.overhead + 116]
        assert list(table) == sorted(table)
        assert abs(table[50] - 128) <= 128 * len(data) / note.bytes + 8

    def test_a_long_stream_is_recorded_in_constant_memory(self):
        record = StreamRecord(parameters(44100, 1, quality=9))
        frame = record.parameters.layout.header(32, 0, 0).ljust(104, b"\0")
        for _ in range(50):
            record.add(frame * 100)
        assert record.frames == 5000 and len(record._positions) <= 1025
        header = parse_header(record.info_frame(0))
        note = parse_stream_note(record.info_frame(0), header)
        assert (note.kind, note.bitrate_mode, note.frames) == ("Xing", "VBR", 5000)
        offset = record.parameters.layout.overhead + 16
        table = record.info_frame(0)[offset : offset + 100]
        assert all(abs(byte - 2.56 * n) < 3 for n, byte in enumerate(table))


@pytest.mark.parametrize(
    "arguments, says",
    [
        ((96000, 2), "96000 Hz: Layer III has 8000, 11025"),
        ((44100, 6), "6 channels"),
        ((44100, 0), "0 channels"),
        ((44100, 2, 8), "8 kbit/s: at 44100 Hz Layer III has 32, 40"),
        ((16000, 2, 320), "320 kbit/s"),
        ((44100, 2, 128, 2), "both a bitrate and a quality"),
        ((44100, 2, None, 10), "a quality of 10"),
        ((44100, 2, None, -1), "a quality of -1"),
        ((44100, 2, 0), "a bitrate of 0"),
    ],
)
def test_what_cannot_be_is_refused_by_name_with_what_is_allowed(arguments, says):
    with pytest.raises(BadParameters, match=says.replace("(", "[(]")):
        parameters(*arguments)
