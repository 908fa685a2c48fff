"""Layer III streams that use every tool of the syntax, made from a seed.

Nothing here encodes sound: scalefactors, codes and parameters are random but valid, so that a
decoder meets all tables, block types, partitions and stereo modes within a few frames.
"""

from __future__ import annotations

import random

from audiokit.codec.blocks import SHORT
from audiokit.codec.requantize import region_bounds
from audiokit.codec.side_info import Granule, block_kind, lsf_partition
from audiokit.codec.tables import HUFFMAN_LINBITS, SCFSI_BANDS, SLEN, count1_codes, huffman_codes
from audiokit.formats.mpeg_header import JOINT_STEREO, SINGLE_CHANNEL, parse_header

_RATES = {
    44100: (3, 0), 48000: (3, 1), 32000: (3, 2), 22050: (2, 0), 24000: (2, 1), 16000: (2, 2),
    11025: (0, 0), 12000: (0, 1), 8000: (0, 2),
}  # fmt: skip
_TABLES = [table for table in range(32) if table not in (4, 14)]
_KINDS = ("long", "short", "mixed")


def bits(value, count):
    return format(value, "0%db" % count) if count else ""


def to_bytes(text):
    """A string of 0 and 1 as bytes, zeros behind."""
    text += "0" * (-len(text) % 8)
    return int("1" + text, 2).to_bytes(len(text) // 8 + 1, "big")[1:]


class Maker:
    """One stream of random granules."""

    def __init__(self, seed, rate, mode, types):
        self.random = random.Random(seed)
        self.rate, self.mode, self.types = rate, mode, types
        self.version, self.rate_index = _RATES[rate]
        self.is_v1 = self.version == 3
        self.channels = 1 if mode == SINGLE_CHANNEL else 2
        self.granules = 2 if self.is_v1 else 1

    def signed(self, value):
        return str(self.random.randrange(2)) if value else ""

    def pair(self, table):
        """Code bits of a random pair, small values more often."""
        side = {1: 2, 2: 3, 3: 3, 5: 4, 6: 4, 7: 6, 8: 6, 9: 6, 10: 8, 11: 8, 12: 8}.get(table, 16)
        values = [int(self.random.random() ** 2 * side) for _ in range(2)]
        linbits = HUFFMAN_LINBITS[table]
        text = huffman_codes(table)[tuple(values)]
        for value in values:
            if linbits and value == 15:
                text += bits(self.random.randrange(1 << min(linbits, 4)), linbits)
            text += self.signed(value)
        return text

    def spectrum(self, granule, quads):
        text, line = "", 0
        for table, limit in zip(granule.table_select, region_bounds(granule, self.rate)):
            while line < limit:
                text += self.pair(table) if table else ""
                line += 2
        for _ in range(quads):
            quad = tuple(int(self.random.random() < 0.3) for _ in range(4))
            text += count1_codes("AB"[granule.count1table_select])[quad]
            text += "".join(self.signed(value) for value in quad)
        return text

    def run(self, count, slen):
        return "".join(bits(self.random.randrange(1 << slen), slen) for _ in range(count))

    def scalefactors(self, granule, scfsi, is_intensity):
        kind = block_kind(granule)
        if not self.is_v1:
            index = _KINDS.index(kind)
            parts = lsf_partition(granule.scalefac_compress, is_intensity, index)
            return "".join(self.run(count, slen) for count, slen in zip(*parts))
        slens = SLEN[granule.scalefac_compress]
        if kind != "long":
            counts = (17, 18) if kind == "mixed" else (18, 18)
            return "".join(self.run(count, slen) for count, slen in zip(counts, slens))
        text = ""
        for group, (first, end) in enumerate(SCFSI_BANDS):
            if not scfsi & (8 >> group):
                text += self.run(end - first, slens[group // 2])
        return text

    def granule(self, block_type, mixed, is_right):
        """(fields in the order of the side information as text, main data) is made by `coded`."""
        r = self.random
        if self.is_v1:  # intensity positions of 8 and more say nothing, and decoders differ on them
            compress = r.choice([i for i in range(16) if max(SLEN[i]) < 4 or not is_right])
        else:
            compress = r.randrange(512)
        region0 = r.randrange(16)
        return Granule(
            part2_3_length=0,
            big_values=r.randrange(30 if is_right else 110),
            global_gain=r.randrange(130, 170),
            scalefac_compress=compress,
            block_type=block_type,
            mixed_block_flag=mixed,
            table_select=tuple(r.choice(_TABLES) for _ in range(3)),
            subblock_gain=tuple(r.randrange(8) if r.random() < 0.3 else 0 for _ in range(3)),
            region0_count=region0,
            region1_count=r.randrange(min(8, 21 - region0)),
            window_switching_flag=int(block_type != 0),
            preflag=int(self.is_v1 and block_type != SHORT and r.random() < 0.3),
            scalefac_scale=r.randrange(2),
            count1table_select=r.randrange(2),
        )

    def side(self, granule, length):
        g = granule
        text = bits(length, 12) + bits(g.big_values, 9) + bits(g.global_gain, 8)
        text += bits(g.scalefac_compress, 4 if self.is_v1 else 9) + bits(g.window_switching_flag, 1)
        if g.window_switching_flag:
            text += bits(g.block_type, 2) + bits(g.mixed_block_flag, 1)
            text += "".join(bits(table, 5) for table in g.table_select[:2])
            text += "".join(bits(gain, 3) for gain in g.subblock_gain)
        else:
            text += "".join(bits(table, 5) for table in g.table_select)
            text += bits(g.region0_count, 4) + bits(g.region1_count, 3)
        text += bits(g.preflag, 1) if self.is_v1 else ""
        return text + bits(g.scalefac_scale, 1) + bits(g.count1table_select, 1)

    def frame(self):
        """(mode_extension, scfsi and granules of the side information, main data) as bits."""
        r = self.random
        extension = r.randrange(4) if self.mode == JOINT_STEREO else 0
        scfsi = [0] * self.channels
        was_long = False
        sides = main = ""
        for number in range(self.granules):
            block_type = r.choice(self.types)
            mixed = int(block_type != 0 and r.random() < 0.4)
            for channel in range(self.channels):
                is_right = channel == 1 and bool(extension & 1)
                granule = self.granule(block_type, mixed, is_right)
                if number == 1 and was_long and block_type != SHORT:
                    scfsi[channel] = r.randrange(16)
                text = self.scalefactors(granule, scfsi[channel] if number else 0, is_right)
                text += self.spectrum(granule, r.randrange(4 if is_right else 25))
                sides += self.side(granule, len(text))
                main += text
            was_long = block_type != SHORT
        scfsi_text = "".join(bits(value, 4) for value in scfsi) if self.is_v1 else ""
        return extension, scfsi_text, sides, to_bytes(main)

    def stream(self, frames):
        """Frames of the least bit rates that hold the main data, which begin in the reservoir."""
        limit = 511 if self.is_v1 else 255
        mains, heads, capacity = b"", [], 0
        for _ in range(frames):
            extension, scfsi, sides, main = self.frame()
            mains += bytes(max(capacity - len(mains) - limit, 0))
            back = capacity - len(mains)
            for bitrate in range(1, 15):
                third = bitrate << 4 | self.rate_index << 2
                fourth = self.mode << 6 | extension << 4
                head = bytes((0xFF, 0xE3 | self.version << 3, third, fourth))
                header = parse_header(head)
                room = header.frame_bytes - 4 - header.side_info_bytes
                if room >= len(main) - back and (bitrate == 14 or self.random.random() < 0.7):
                    break
            assert room >= len(main) - back, "a frame of this stream does not fit"
            private = (5 if self.channels == 1 else 3) if self.is_v1 else self.channels
            begin = bits(back, 9 if self.is_v1 else 8) + "0" * private
            heads.append((head + to_bytes(begin + scfsi + sides), room))
            mains += main
            capacity += room
        mains += bytes(max(capacity - len(mains), 0))
        result, at = b"", 0
        for head, room in heads:
            result += head + mains[at : at + room]
            at += room
        return result


def layer3_stream(seed=1, rate=44100, mode=JOINT_STEREO, frames=12, types=(0, 0, 1, 2, 3)):
    """A stream of `frames` frames with the given block types; see the module."""
    return Maker(seed, rate, mode, types).stream(frames)
