"""ALAC's configuration and packets, as MP4, CAF and Matroska carry them.

Apple's "Apple Lossless Format Magic Cookie Description" and the syntax of a frame.  Pure functions
over bytes.

    u32 samples a packet, u8 version, u8 bits, 3 x u8, u8 channels, u16, 2 x u32, u32 Hz
    packet  3 bits element, 4 instance, 12 unused, 1 that it is partial, 2 shift, 1 escape;
            if partial, 32 bits of samples
"""

from __future__ import annotations

import struct
from typing import NamedTuple

ALAC_CONFIG_BYTES = 24
_CONFIG = struct.Struct(">IBBBBBBHIII")


class AlacConfig(NamedTuple):
    """The fields that tell of the sound."""

    frame_samples: int  # a channel, of a packet that is not partial
    bits: int
    channels: int
    sample_rate: int  # Hz


def unwrapped(cookie: bytes) -> bytes:
    """The configuration in a magic cookie, without the atoms "frma" and "alac" that older programs put
    around it; of the former some leave out the size."""
    at = cookie.rfind(b"alac", 0, ALAC_CONFIG_BYTES)
    return cookie[at + 8 :] if at >= 0 else cookie


def parse_alac_config(data: bytes) -> AlacConfig:
    """The configuration in the first 24 bytes of `data`, which must be there."""
    samples, _, bits, _, _, _, channels, _, _, _, rate = _CONFIG.unpack_from(data)
    return AlacConfig(samples, bits, channels, rate)


def alac_packet_samples(packet: bytes, frame_samples: int) -> int:
    """Samples a channel of the packet that begins with `packet`, 7 bytes or fewer."""
    head = int.from_bytes(packet[:7].ljust(7, b"\0"), "big")
    samples = head >> 1 & 0xFFFFFFFF
    return samples if head >> 36 & 1 and 0 < samples < frame_samples else frame_samples
