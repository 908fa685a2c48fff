"""Main data to blocks: what of decoding works on one granule at a time (2.4.3.4).

The frames of a batch are put behind one another, so that the bit reservoir is only a position that
lies in front of the frame's own main_data.  Each granule then is: scalefactors, Huffman codes,
requantization, stereo.  A granule that cannot be decoded is silent and counted.
"""

from __future__ import annotations

from typing import List, Sequence, Tuple

from audiokit.codec import bits
from audiokit.codec.huffman import decode_spectrum
from audiokit.codec.hybrid import SILENCE, Block
from audiokit.codec.requantize import (
    bands,
    exponents,
    region_bounds,
    requantize,
    row,
    scaled,
)
from audiokit.codec.side_info import (
    Damaged,
    Granule,
    block_kind,
    parse_side_info,
    read_lsf_scalefactors,
    read_scalefactors,
)
from audiokit.codec.stereo import ILLEGAL_POSITION, band_factors, joint, middle_side
from audiokit.codec.sync import Frame
from audiokit.formats.mpeg_header import CRC_BYTES, HEADER_BYTES, FrameHeader

RESERVOIR_BYTES = 511  # the most that main_data_begin reaches back (2.4.2.7: 9 bits)

Blocks = Tuple[Block, ...]  # a granule's, by channel


class Report:
    """What became of the frames so far."""

    def __init__(self) -> None:
        self.frames = 0  # Layer III frames, muted ones among them; descriptive ones are not
        self.frames_muted = 0  # with a granule that could not be decoded and is silent
        self.crc_mismatches = 0  # frames whose CRC is wrong; decoded all the same
        self.skipped_bytes = 0  # that belong to no frame and no known tag
        self.is_cut = False  # the last frame is incomplete, and left out

    @property
    def warnings(self) -> List[str]:
        """What is not as it should be, a sentence each."""
        found = []
        if self.frames_muted:
            found.append(
                "%d of %d frames could not be decoded and are silent"
                % (self.frames_muted, self.frames)
            )
        if self.crc_mismatches:
            found.append("%d frames have a wrong CRC" % self.crc_mismatches)
        if self.skipped_bytes:
            found.append("%d bytes are no part of any frame" % self.skipped_bytes)
        if self.is_cut:
            found.append("the last frame is incomplete and was left out")
        return found


class Unpacker:
    """Frames in, blocks out; keeps the bit reservoir between batches."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self._reservoir = b""

    def reset(self) -> None:
        """Forget the reservoir: another stream begins."""
        self._reservoir = b""

    def unpack(self, frames: Sequence[Frame]) -> List[Blocks]:
        """The blocks of the frames' granules, in order."""
        mains = []
        for frame in frames:
            header = frame.header
            mains.append(frame.data[header.side_info_offset + header.side_info_bytes :])
        data = self._reservoir + b"".join(mains)
        words = bits.words(data)
        start, reach = len(self._reservoir), len(self._reservoir)
        result: List[Blocks] = []
        for frame, main in zip(frames, mains):
            if not frame.is_continuous:
                reach = 0
            blocks = self._frame(frame, words, start, reach, start + len(main))
            result += blocks
            start += len(main)
            reach = min(reach + len(main), RESERVOIR_BYTES)
        self._reservoir = data[len(data) - reach :]
        return result

    def _frame(self, frame: Frame, words: List[int], start: int, reach: int, end: int) -> List[Blocks]:
        """The blocks of one frame whose main_data are bytes `start` to `end`, with `reach` bytes
        of reservoir in front."""
        header, report = frame.header, self.report
        report.frames += 1
        silent = [(SILENCE,) * header.channels] * header.granules
        first = header.side_info_offset
        raw = frame.data[first : first + header.side_info_bytes]
        if len(raw) < header.side_info_bytes:
            report.frames_muted += 1
            return silent
        if header.has_crc and not _is_crc_right(frame, raw):
            report.crc_mismatches += 1
        try:
            side = parse_side_info(raw, header)
            if side.main_data_begin > reach:
                raise Damaged("main_data begins before what there is")
        except Damaged:
            report.frames_muted += 1
            return silent
        position = 8 * (start - side.main_data_begin)
        result: List[Blocks] = []
        factors: List[List[int]] = [[]] * header.channels  # of the granule before, for scfsi
        is_muted = False
        for number, granules in enumerate(side.granules):
            total = sum([granule.part2_3_length for granule in granules])
            try:
                if position + total > 8 * end:
                    raise Damaged("main_data ends past the frame")
                scfsi = side.scfsi if number else (0,) * header.channels
                blocks = _granule(words, position, header, granules, scfsi, factors)
            except Damaged:
                is_muted = True
                blocks = silent[0]
            result.append(blocks)
            position += total
        report.frames_muted += is_muted
        return result


def _is_crc_right(frame: Frame, side_info: bytes) -> bool:
    """Whether the CRC matches the last half of the header and the side information (2.4.3.1)."""
    data = frame.data
    said = data[HEADER_BYTES : HEADER_BYTES + CRC_BYTES]
    return bits.crc16(data[2:HEADER_BYTES] + side_info) == int.from_bytes(said, "big")


def _granule(
    words: List[int],
    position: int,
    header: FrameHeader,
    granules: Sequence[Granule],
    scfsi: Sequence[int],
    factors: List[List[int]],
) -> Blocks:
    """The blocks of one granule, all channels; `factors` are the last scalefactors, updated."""
    rate = header.sample_rate
    spectra, largest = [], []
    found = list(factors)
    for channel, granule in enumerate(granules):
        end = position + granule.part2_3_length
        if header.version == 1.0:
            found[channel], part3 = read_scalefactors(words, position, granule, scfsi[channel], factors[channel])
            largest = [ILLEGAL_POSITION] * len(found[channel])
        else:
            is_position = channel == 1 and header.intensity_stereo
            found[channel], largest, part3 = read_lsf_scalefactors(words, position, granule, is_position)
        factors[:] = found
        if part3 > end:
            raise Damaged("scalefactors past part2_3_length")
        spectra.append(decode_spectrum(words, part3, end, granule, region_bounds(granule, rate)))
        position = end
    if header.intensity_stereo and block_kind(granules[0]) == block_kind(granules[1]):
        rows = _intensity_rows(header, granules, found, spectra, largest)
    else:
        rows = _rows(header, granules, found, spectra)
    return tuple(
        [
            Block(row, granule.block_type, granule.mixed_block_flag)
            for row, granule in zip(rows, granules)
        ]
    )


def _rows(
    header: FrameHeader,
    granules: Sequence[Granule],
    factors: Sequence[Sequence[int]],
    spectra: Sequence[Sequence[float]],
) -> List[bytes]:
    """The rows of a granule without intensity stereo."""
    is_ms = header.ms_stereo
    rows = []
    for granule, own, values in zip(granules, factors, spectra):
        if values:
            places = bands(header.sample_rate, block_kind(granule))
            rows.append(requantize(values, exponents(granule, own, places, is_ms), places))
        else:
            rows.append(b"")
    return list(middle_side(rows[0], rows[1])) if is_ms else rows


def _intensity_rows(
    header: FrameHeader,
    granules: Sequence[Granule],
    factors: Sequence[Sequence[int]],
    spectra: Sequence[Sequence[float]],
    largest: Sequence[int],
) -> List[bytes]:
    """The rows of a granule with intensity stereo; its scalefactors of the right channel are
    positions in the bands above the bound."""
    places = bands(header.sample_rate, block_kind(granules[0]))
    left, right = [
        scaled(values, exponents(granule, own, places, False), places)
        for granule, own, values in zip(granules, factors, spectra)
    ]
    left += [0.0] * (576 - len(left))
    right += [0.0] * (576 - len(right))
    lsf_scale = -1 if header.version == 1.0 else granules[1].scalefac_compress & 1
    pairs = band_factors(right, factors[1], largest, places, lsf_scale)
    left, right = joint(left, right, pairs, places, header.ms_stereo)
    return [row(left, places), row(right, places)]
