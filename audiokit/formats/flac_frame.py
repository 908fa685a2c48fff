"""FLAC's STREAMINFO and frame headers (RFC 9639 sections 8.2 and 9.1), with their checksums.

Pure functions over bytes.  What is not a frame header is None; a STREAMINFO that describes no audio
raises NotAudio.  Ogg, Matroska and MP4 carry the same STREAMINFO.
"""

from __future__ import annotations

from typing import NamedTuple, Optional, Tuple

from audiokit.formats.info import NotAudio

STREAMINFO_BYTES = 34
MAX_HEADER_BYTES = 16


class StreamInfo(NamedTuple):
    """STREAMINFO: u16 + u16 block sizes, u24 + u24 frame sizes, 20 bits rate, 3 channels - 1,
    5 bits a sample - 1, 36 samples, 128 MD5."""

    min_block: int  # samples a channel
    max_block: int
    max_frame: int  # bytes; 0 where not known
    sample_rate: int  # Hz
    channels: int
    bits: int
    samples: int  # a channel; 0 where not known


def parse_stream_info(data: bytes, offset: int = 0) -> StreamInfo:
    """The STREAMINFO in the first 34 bytes of `data`; `offset`, where it lies, is for the error
    only."""
    if len(data) < STREAMINFO_BYTES:
        raise EOFError(offset + len(data))
    packed = int.from_bytes(data[10:18], "big")
    info = StreamInfo(
        min_block=int.from_bytes(data[0:2], "big"),
        max_block=int.from_bytes(data[2:4], "big"),
        max_frame=int.from_bytes(data[7:10], "big"),
        sample_rate=packed >> 44,
        channels=(packed >> 41 & 7) + 1,
        bits=(packed >> 36 & 31) + 1,
        samples=packed & 0xFFFFFFFFF,
    )
    if info.sample_rate == 0 or info.bits < 4 or info.max_block < 1:
        raise NotAudio(
            f"FLAC of {info.bits} bits at {info.sample_rate} Hz in blocks of {info.max_block}",
            offset,
        )
    return info


class FlacFrame(NamedTuple):
    """A frame header whose checksum is right."""

    first_sample: int
    block_size: int  # samples a channel
    is_fixed: bool  # the stream's blocks are of one size, and numbered; else their samples are
    header_bytes: int  # its checksum included
    assignment: int  # 0 to 7: that many channels and one; 8 to 10: stereo, a side among them (9.1.3)

    @property
    def end_sample(self) -> int:
        return self.first_sample + self.block_size


# Table of block sizes by their four bits (9.1.1); 0 is reserved, 6 and 7 stand behind the number
_BLOCK_SIZES = (0, 192, 576, 1152, 2304, 4608, 0, 0, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768)
# Table of rates by their four bits (9.1.2); 0 means STREAMINFO's, 12 to 14 stand behind, 15 is
# forbidden
_RATES = (0, 88200, 176400, 192000, 8000, 16000, 22050, 24000, 32000, 44100, 48000, 96000)
_BITS = (0, 8, 12, None, 16, 20, 24, 32)  # 9.1.4; 3 is reserved


def _crc8_table() -> Tuple[int, ...]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte << 1 ^ (0x107 if byte & 0x80 else 0)  # 9.1.8: x^8 + x^2 + x + 1
        table.append(byte)
    return tuple(table)


_CRC8 = _crc8_table()


def crc8(data: bytes) -> int:
    """The checksum of a frame header, from zero."""
    crc = 0
    for byte in data:
        crc = _CRC8[crc ^ byte]
    return crc


def is_whole(frame: bytes) -> bool:
    """Whether a frame and the CRC-16 at its end (9.3) agree, as they do when nothing is missing.

    Then the frame, read as one polynomial over GF(2), is a multiple of x^16 + x^15 + x^2 + 1, which
    is (x + 1)(x^15 + x + 1).  The first divides what has an even number of ones.  For the second
    x^15 is x + 1, so by squaring x^(15 * 2^k) is x^(2^k) + 1: what stands above bit 15 * 2^k is
    folded down by two shifts.  A dozen operations on one long integer do the work of a loop over
    its bytes.
    """
    number = int.from_bytes(frame, "big")
    if not _is_even(number):
        return False
    power = 1 << number.bit_length().bit_length()
    while power:
        high = number >> 15 * power
        while high:
            number ^= high << 15 * power ^ high << power ^ high
            high = number >> 15 * power
        power >>= 1
    return number == 0


def _is_even(number: int) -> bool:
    """Whether an even number of bits is set: the same after its halves are laid over one another."""
    while number >> 64:
        half = (number.bit_length() + 1) // 2
        number = number >> half ^ number & (1 << half) - 1
    return bin(number).count("1") % 2 == 0


def parse_frame(data: bytes, position: int, info: StreamInfo) -> Optional[FlacFrame]:
    """The frame header at `position`, if there is one that fits the stream and whose checksum is
    right."""
    head = data[position : position + MAX_HEADER_BYTES]
    if len(head) < 6 or head[0] != 0xFF or head[1] & 0xFE != 0xF8:
        return None
    block, rate, channels, bits = head[2] >> 4, head[2] & 15, head[3] >> 4, _BITS[head[3] >> 1 & 7]
    if block == 0 or rate == 15 or channels > 10 or bits is None or head[3] & 1:
        return None
    if bits not in (0, info.bits) or (channels + 1 if channels < 8 else 2) != info.channels:
        return None
    if 0 < rate < 12 and _RATES[rate] != info.sample_rate:
        return None
    number, at = _coded_number(head, 4)
    if number is None:
        return None
    size = _BLOCK_SIZES[block]
    if block in (6, 7):
        width = block - 5
        size = int.from_bytes(head[at : at + width], "big") + 1
        at += width
    at += {12: 1, 13: 2, 14: 2}.get(rate, 0)
    if at >= len(head) or crc8(head[:at]) != head[at]:
        return None
    is_fixed = not head[1] & 1
    first = number * info.max_block if is_fixed else number
    return FlacFrame(first, size, is_fixed, at + 1, channels)


def _coded_number(head: bytes, at: int) -> Tuple[Optional[int], int]:
    """The number in UTF-8's way, extended to 36 bits (9.1.5), and the offset behind it."""
    first = head[at]
    if first < 0x80:
        return first, at + 1
    length = 0
    while length < 8 and first & 0x80 >> length:
        length += 1
    if not 2 <= length <= 7 or at + length > len(head):
        return None, at
    number = first & (0x7F >> length)
    for byte in head[at + 1 : at + length]:
        if byte & 0xC0 != 0x80:
            return None, at
        number = number << 6 | byte & 0x3F
    return number, at + length
