"""The MPEG audio frame header, and the frames that only describe (Xing, Info, LAME, VBRI).

ISO/IEC 11172-3 section 2.4.2.3 (version 1), ISO/IEC 13818-3 section 2.4.2.3 (version 2, lower
sampling frequencies) and Fraunhofer's unofficial "2.5".  Pure functions over bytes, shared by the
reader that counts frames and by the decoder.  Nothing here raises on what a file holds: what is not
a header is None.
"""

from __future__ import annotations

import re
import struct
from functools import lru_cache
from typing import Dict, NamedTuple, Optional, Tuple, Union

HEADER_BYTES = 4
CRC_BYTES = 2  # follow the header where protection_bit is 0 (2.4.3.1)
MAX_FRAME_BYTES = 2881  # layer II, version 2, 160 kbit/s at 8 kHz with a padding byte; layer III: 1441
MAX_FREE_FORMAT_BYTES = 8192  # layer III allows 640 kbit/s at 32 kHz (2880); more serves layer II masters

# "mode" (2.4.2.3): the two bits above mode_extension
STEREO, JOINT_STEREO, DUAL_CHANNEL, SINGLE_CHANNEL = range(4)

_VERSION = {0: 2.5, 2: 2.0, 3: 1.0}  # "ID" and the bit before it; 1 is reserved
_LAYER = {1: 3, 2: 2, 3: 1}  # 0 is reserved (ADTS has it)

# bitrate_index -> kbit/s by (version is 1, layer); index 0 is free format, 15 is forbidden
BITRATES: Dict[Tuple[bool, int], Tuple[int, ...]] = {
    (True, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}

# sampling_frequency index -> Hz by version; index 3 is reserved
SAMPLE_RATES: Dict[float, Tuple[int, int, int]] = {
    1.0: (44100, 48000, 32000),
    2.0: (22050, 24000, 16000),
    2.5: (11025, 12000, 8000),
}

# side information of layer III in bytes by (version is 1, single channel) (2.4.1.7; 13818-3
# 2.4.1.7)
SIDE_INFO_BYTES: Dict[Tuple[bool, bool], int] = {
    (True, False): 32,
    (True, True): 17,
    (False, False): 17,
    (False, True): 9,
}


class FrameHeader(NamedTuple):
    """One frame header, in the standard's names."""

    version: float  # 1.0, 2.0 or 2.5
    layer: int  # 1, 2 or 3
    has_crc: bool  # protection_bit is 0: two bytes of CRC follow the header
    bitrate_kbps: int  # kbit/s; 0 is free format: the frame's length shows only in the next frame
    sample_rate: int  # Hz
    padding: int  # 1 when the frame has one slot more
    private: int
    mode: int  # STEREO, JOINT_STEREO, DUAL_CHANNEL or SINGLE_CHANNEL
    mode_extension: int  # two bits, meaningful in JOINT_STEREO
    copyright: int
    original: int
    emphasis: int  # 0 none, 1 50/15 microseconds, 2 reserved, 3 CCITT J.17

    @property
    def channels(self) -> int:
        """1 or 2."""
        return 1 if self.mode == SINGLE_CHANNEL else 2

    @property
    def is_free_format(self) -> bool:
        """Whether the frame's length must be found by looking for the next header."""
        return self.bitrate_kbps == 0

    @property
    def ms_stereo(self) -> bool:
        """Layer III: middle and side instead of left and right (2.4.2.3)."""
        return self.mode == JOINT_STEREO and self.layer == 3 and bool(self.mode_extension & 2)

    @property
    def intensity_stereo(self) -> bool:
        """Layer III: intensity stereo above the bound (2.4.2.3)."""
        return self.mode == JOINT_STEREO and self.layer == 3 and bool(self.mode_extension & 1)

    @property
    def granules(self) -> int:
        """Layer III: granules of 576 samples in a frame, 2 in version 1 and 1 in the others."""
        return 2 if self.version == 1.0 else 1

    @property
    def samples_per_frame(self) -> int:
        """Samples a channel: 384 in layer I, 1152 in layer II, 576 a granule in layer III."""
        if self.layer == 1:
            return 384
        if self.layer == 2:
            return 1152
        return 576 * self.granules

    @property
    def slot_bytes(self) -> int:
        """Bytes of a slot, the unit of padding (2.4.3.1): 4 in layer I, else 1."""
        return 4 if self.layer == 1 else 1

    @property
    def frame_bytes(self) -> int:
        """Bytes from this header to the next, header and padding included; 0 in free format."""
        if self.bitrate_kbps == 0:
            return 0
        return frame_bytes(self, self.bitrate_kbps)

    @property
    def side_info_bytes(self) -> int:
        """Layer III: bytes of side information behind the header and its CRC."""
        return SIDE_INFO_BYTES[self.version == 1.0, self.mode == SINGLE_CHANNEL]

    @property
    def side_info_offset(self) -> int:
        """Bytes from the header's first byte to the side information: 4, or 6 with a CRC."""
        return HEADER_BYTES + (CRC_BYTES if self.has_crc else 0)


def frame_bytes(header: FrameHeader, bitrate_kbps: int) -> int:
    """Bytes of a frame like `header` at `bitrate_kbps` (2.4.3.1: whole slots, rounded down, plus
    padding)."""
    slots = header.samples_per_frame // 8 // header.slot_bytes * 1000 * bitrate_kbps
    return (slots // header.sample_rate + header.padding) * header.slot_bytes


def parse_header(head: Union[int, bytes]) -> Optional[FrameHeader]:
    """The header in a 32-bit word or in the first four bytes, or None where there is none.

    None for a missing syncword, for a reserved version, layer or sampling frequency, for the
    forbidden bitrate 15, and for fewer than four bytes.
    """
    if not isinstance(head, int):
        if len(head) < HEADER_BYTES:
            return None
        head = int.from_bytes(head[:HEADER_BYTES], "big")
    version = _VERSION.get(head >> 19 & 3)
    layer = _LAYER.get(head >> 17 & 3)
    bitrate_index, rate_index = head >> 12 & 15, head >> 10 & 3
    if (
        head >> 21 != 0x7FF
        or version is None
        or layer is None
        or bitrate_index == 15
        or rate_index == 3
    ):
        return None
    return FrameHeader(
        version=version,
        layer=layer,
        has_crc=not head >> 16 & 1,
        bitrate_kbps=BITRATES[version == 1.0, layer][bitrate_index],
        sample_rate=SAMPLE_RATES[version][rate_index],
        padding=head >> 9 & 1,
        private=head >> 8 & 1,
        mode=head >> 6 & 3,
        mode_extension=head >> 4 & 3,
        copyright=head >> 3 & 1,
        original=head >> 2 & 1,
        emphasis=head & 3,
    )


def same_stream(a: FrameHeader, b: FrameHeader) -> bool:
    """Whether two headers can belong to one stream: version, layer and rate never change
    (2.4.2.3)."""
    return (a.version, a.layer, a.sample_rate) == (b.version, b.layer, b.sample_rate)


def frame_sizes(header: FrameHeader, free_bytes: int = 0) -> Tuple[int, ...]:
    """Bytes of a frame of this stream by its third header byte (256 entries); 0 where it cannot be.

    The third byte holds bitrate_index, sampling_frequency, padding_bit and private_bit: all that
    the length depends on.  `free_bytes` is the length of an unpadded free-format frame.
    """
    return _frame_sizes(header.version, header.layer, header.sample_rate, free_bytes)


@lru_cache(maxsize=64)  # there are 27 kinds of stream beside free format
def _frame_sizes(version: float, layer: int, sample_rate: int, free_bytes: int) -> Tuple[int, ...]:
    version_bits = next(bits for bits, number in _VERSION.items() if number == version)
    word = 0xFFE00000 | version_bits << 19 | (4 - layer) << 17
    sizes = []
    for third in range(256):
        header = parse_header(word | third << 8)
        if header is None or header.sample_rate != sample_rate:
            sizes.append(0)
        elif header.is_free_format:
            sizes.append(free_bytes + header.padding * header.slot_bytes if free_bytes else 0)
        else:
            sizes.append(header.frame_bytes)
    return tuple(sizes)


def free_format_bytes(data: bytes, start: int = 0) -> int:
    """Bytes of an unpadded frame of the free-format stream whose header is at `start`; 0 if none
    fits.

    The bit rate is constant (2.4.2.3), so the distance to the next header of the same kind is the
    length; a third header must stand where that length says, unless the data ends before it.  Such
    a header within the side information shows that this is no frame at all.
    """
    header = parse_header(data[start : start + HEADER_BYTES])
    if header is None or not header.is_free_format:
        return 0
    smallest = header.side_info_offset + (header.side_info_bytes if header.layer == 3 else 0)
    prefix = bytes((0xFF, data[start + 1]))
    position = start + HEADER_BYTES
    while True:
        position = data.find(prefix, position, start + MAX_FREE_FORMAT_BYTES + HEADER_BYTES)
        if position < 0:
            return 0
        following = parse_header(data[position : position + HEADER_BYTES])
        if following is not None and following.is_free_format and same_stream(header, following):
            if position < start + smallest:
                return 0
            size = position - start - header.padding * header.slot_bytes
            third = position + size + following.padding * following.slot_bytes
            if third + HEADER_BYTES > len(data) or _continues(data, third, header):
                return size
        position += 1


def part2_3_lengths(frame: bytes, header: FrameHeader) -> Optional[Tuple[int, ...]]:
    """The bits that each granule of each channel of a layer III frame takes (2.4.1.7); 0 is silence.

    None where the side information cannot be: more than 288 pairs of 576 lines, a switched window
    of the normal type (2.4.2.7), or more bits than the frame has and main_data_begin lends.
    """
    size, channels, is_1 = header.side_info_bytes, header.channels, header.version == 1.0
    side = frame[header.side_info_offset :][:size]
    bits, left = int.from_bytes(side, "big"), 8 * size
    main_data_begin = bits >> left - (9 if is_1 else 8)
    left -= 9 + (5 if channels == 1 else 3) + 4 * channels if is_1 else 8 + channels
    lengths = []
    for _ in range(header.granules * channels):
        left -= 59 if is_1 else 63
        big_values = bits >> left + (38 if is_1 else 42) & 0x1FF
        switching = bits >> left + (23 if is_1 else 22) & 7  # the flag, and two bits of block_type
        if big_values > 288 or switching == 4:
            return None
        lengths.append(bits >> left + (47 if is_1 else 51) & 0xFFF)
    room = 8 * (len(frame) - header.side_info_offset - size + main_data_begin)
    return tuple(lengths) if len(side) == size and sum(lengths) <= room else None


def _continues(data: bytes, position: int, header: FrameHeader) -> bool:
    other = parse_header(data[position : position + HEADER_BYTES])
    return other is not None and other.is_free_format and same_stream(header, other)


class StreamNote(NamedTuple):
    """What a descriptive first frame (Xing, Info or VBRI) says of the stream behind it."""

    kind: str  # "Xing" (variable bit rate), "Info" (constant) or "VBRI"
    frames: Optional[int]  # audio frames, this one not counted
    bytes: Optional[int]  # bytes of the stream, this frame counted
    encoder: Optional[str]  # "LAME3.100", "Lavc58.13", …
    bitrate_mode: Optional[str]  # "CBR", "ABR", "VBR" as LAME's method says, else by kind
    encoder_delay: int  # samples that the encoder put in front; 0 where not told
    encoder_padding: int  # samples that it put behind; 0 where not told
    has_gapless: bool  # delay and padding are told


# "Xing" or "Info", then u32 flags: 1 frames, 2 bytes, 4 a table of 100 bytes, 8 quality; those
# fields follow in that order, then LAME's extension of 36 bytes: 9 encoder, 1 revision and method,
# 1 lowpass, 4 peak, 2 + 2 gains, 1 flags, 1 bitrate, 3 delay (12 bits) and padding (12 bits), …
_XING_FRAMES, _XING_BYTES, _XING_TOC, _XING_QUALITY = 1, 2, 4, 8
_LAME_METHODS = {1: "CBR", 2: "ABR", 3: "VBR", 4: "VBR", 5: "VBR", 6: "VBR", 8: "CBR", 9: "ABR"}
_LAME_DELAY_OFFSET = 21
_ENCODER = re.compile(rb"[A-Za-z0-9]{4}|L[0-9]\.[0-9]")  # LAME signs "L3.99r1" where room is short
# "VBRI", u16 version, u16 delay, u16 quality, u32 bytes, u32 frames; always 32 bytes behind the
# header
_VBRI_OFFSET = HEADER_BYTES + 32
_VBRI = struct.Struct(">4sHHHII")


def parse_stream_note(frame: bytes, header: FrameHeader) -> Optional[StreamNote]:
    """The Xing, Info or VBRI data in the layer III frame `frame` (header included), or None.

    In CRC-protected streams encoders differ on whether the tag stands behind the CRC's two bytes:
    both places are looked at.
    """
    if header.layer != 3:
        return None
    behind = HEADER_BYTES + header.side_info_bytes
    for offset in (behind, behind + CRC_BYTES) if header.has_crc else (behind,):
        if frame[offset : offset + 4] in (b"Xing", b"Info"):
            return _parse_xing(frame, offset)
    if (
        frame[_VBRI_OFFSET : _VBRI_OFFSET + 4] == b"VBRI"
        and len(frame) >= _VBRI_OFFSET + _VBRI.size
    ):
        _, _, _, _, size, frames = _VBRI.unpack_from(frame, _VBRI_OFFSET)
        return StreamNote("VBRI", frames, size, None, "VBR", 0, 0, False)
    return None


def _parse_xing(frame: bytes, offset: int) -> Optional[StreamNote]:
    kind = frame[offset : offset + 4].decode("ascii")
    flags = int.from_bytes(frame[offset + 4 : offset + 8], "big")
    position = offset + 8
    frames = size = None
    if flags & _XING_FRAMES:
        frames = int.from_bytes(frame[position : position + 4], "big")
        position += 4
    if flags & _XING_BYTES:
        size = int.from_bytes(frame[position : position + 4], "big")
        position += 4
    position += 100 if flags & _XING_TOC else 0
    position += 4 if flags & _XING_QUALITY else 0
    mode = "CBR" if kind == "Info" else "VBR"
    lame = frame[position : position + _LAME_DELAY_OFFSET + 3]
    if len(lame) < _LAME_DELAY_OFFSET + 3 or not _ENCODER.match(lame):
        return StreamNote(kind, frames, size, None, mode, 0, 0, False)
    packed = int.from_bytes(lame[_LAME_DELAY_OFFSET:], "big")
    return StreamNote(
        kind=kind,
        frames=frames,
        bytes=size,
        encoder=lame[:9].decode("ascii", "replace").rstrip("\0 U") or None,
        bitrate_mode=_LAME_METHODS.get(lame[9] & 15, mode),
        encoder_delay=packed >> 12,
        encoder_padding=packed & 0xFFF,
        has_gapless=True,
    )
