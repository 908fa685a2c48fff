"""The header packets of Vorbis, Opus and Speex, and how long a packet of theirs sounds.

Xiph's "Vorbis I specification" sections 4.2 and 4.3, RFC 7845 section 5.1 and RFC 6716 section 3.1
for Opus, the Speex manual's "Ogg file format".  Pure functions over bytes, shared by Ogg and
Matroska.  A header that describes no audio is None.
"""

from __future__ import annotations

import struct
from typing import NamedTuple, Optional, Tuple

OPUS_RATE = 48000  # Hz; Opus counts and presents at this rate, whatever was recorded
MAX_RATE = 1_000_000


class OpusHead(NamedTuple):
    """OpusHead: u8 version, u8 channels, u16 pre-skip, u32 input rate, i16 gain, u8 mapping
    family."""

    channels: int
    pre_skip: int  # samples at 48 kHz that the decoder makes and nobody hears
    input_rate: int  # Hz of what was recorded, 0 where not told


class VorbisHead(NamedTuple):
    """The identification header: u32 version, u8 channels, u32 rate, 3 x i32 bit rates, 2 x 4 bits
    blocks."""

    channels: int
    sample_rate: int  # Hz
    blocks: Tuple[int, int]  # samples of a short and of a long block


class SpeexHead(NamedTuple):
    """The Speex header of 80 bytes."""

    channels: int
    sample_rate: int  # Hz
    packet_samples: int  # a channel


def laced_size(data: bytes, at: int) -> Tuple[int, int]:
    """The size at `at` in Xiph's lacing, the sum of bytes up to one below 255, and the place behind it."""
    size = 0
    while at < len(data) and data[at] == 255:
        size, at = size + 255, at + 1
    return size + (data[at] if at < len(data) else 0), at + 1


def parse_opus_head(packet: bytes) -> Optional[OpusHead]:
    """An OpusHead packet of a version that can be read, or None."""
    if packet[:8] != b"OpusHead" or len(packet) < 19 or packet[8] & 0xF0 or not packet[9]:
        return None
    _, channels, pre_skip, input_rate = struct.unpack_from("<BBHI", packet, 8)
    return OpusHead(channels, pre_skip, input_rate)


def opus_packet_samples(head: bytes) -> int:
    """Samples at 48 kHz in the packet that begins with `head`, by its TOC byte (RFC 6716 section
    3.1)."""
    if not head:
        return 0
    configuration, code = head[0] >> 3, head[0] & 3
    if configuration < 12:  # SILK: 10, 20, 40, 60 ms
        frame = (480, 960, 1920, 2880)[configuration & 3]
    elif configuration < 16:  # both: 10, 20 ms
        frame = (480, 960)[configuration & 1]
    else:  # CELT: 2.5, 5, 10, 20 ms
        frame = (120, 240, 480, 960)[configuration & 3]
    if code == 3:
        return frame * (head[1] & 0x3F) if len(head) > 1 else 0
    return frame * (1 if code == 0 else 2)


def parse_vorbis_head(packet: bytes) -> Optional[VorbisHead]:
    """A Vorbis identification header, or None."""
    if packet[:7] != b"\x01vorbis" or len(packet) < 30:
        return None
    version, channels, rate = struct.unpack_from("<IBI", packet, 7)
    short, long = 1 << (packet[28] & 15), 1 << (packet[28] >> 4)
    if version or not channels or not 0 < rate <= MAX_RATE or not 64 <= short <= long <= 8192:
        return None
    return VorbisHead(channels, rate, (short, long))


def parse_vorbis_modes(setup: bytes) -> Tuple[bool, ...]:
    """Whether each mode uses long blocks, from the end of the setup header (4.2.4); empty if
    unclear.

    The modes are its last field: for each a bit for the block, 16 zeros for the window, 16 zeros
    for the transform, 8 bits of mapping; before them 6 bits with their number less one, behind them
    a framing bit.  Bits fill bytes from the lowest.  They are read from the end, since what stands
    before them is long; the number shows where they begin.
    """
    bits = int.from_bytes(setup, "little")
    top = bits.bit_length() - 1  # the framing bit is the highest that is set
    flags = []
    found: Tuple[bool, ...] = ()
    while top >= 41 + 6 and len(flags) < 64:
        top -= 41
        mode = bits >> top & (1 << 41) - 1
        if mode >> 1 & 0xFFFFFFFF or mode >> 33 >= 64:
            break
        flags.insert(0, bool(mode & 1))
        if bits >> (top - 6) & 63 == len(flags) - 1:
            found = tuple(flags)
    return found


class VorbisClock:
    """How long packets of a Vorbis stream sound: half of this block and half of the one before
    (4.3.8)."""

    def __init__(self, head: VorbisHead, modes: Tuple[bool, ...]) -> None:
        self._blocks = head.blocks
        self._modes = modes
        self._mask = (1 << (len(modes) - 1).bit_length()) - 1 if modes else 0
        self._before = 0

    def samples(self, head: bytes) -> int:
        """Samples of the next packet, which begins with `head`; 0 for the first and for headers."""
        if not head or head[0] & 1 or not self._modes:
            return 0
        mode = head[0] >> 1 & self._mask
        block = self._blocks[self._modes[mode] if mode < len(self._modes) else 0]
        samples = (self._before + block) // 4 if self._before else 0
        self._before = block
        return samples


def parse_speex_head(packet: bytes) -> Optional[SpeexHead]:
    """A Speex header, or None: 8 + 20 bytes of names, i32 version, size, rate, mode, bit stream
    version, channels, bit rate, frame size, VBR, frames a packet, …"""
    if packet[:8] != b"Speex   " or len(packet) < 68:
        return None
    _, _, rate, _, _, channels, _, frame, _, frames = struct.unpack_from("<10i", packet, 28)
    if (
        not 0 < rate <= MAX_RATE
        or channels not in (1, 2)
        or not 0 < frame <= 1 << 16
        or not 0 < frames <= 64
    ):
        return None
    return SpeexHead(channels, rate, frame * frames)
