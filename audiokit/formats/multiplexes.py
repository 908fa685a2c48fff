"""What an MPEG transport or programme stream holds, in words: these containers are named, not read.

ISO/IEC 13818-1 sections 2.4.4 (programme association and map) and 2.5.3 (system header), ETSI EN
300 468 for the descriptors.  Looks at the first bytes only.  Raises nothing.
"""

from __future__ import annotations

from typing import Iterator, List, Optional, Tuple

_PACKET_BYTES = 188
_SYNC = 0x47
_VIDEO = "video"
# stream_type (table 2-34, and those registered for ATSC and Blu-ray)
_TYPES = {
    0x01: _VIDEO, 0x02: _VIDEO, 0x10: _VIDEO, 0x1B: _VIDEO, 0x24: _VIDEO, 0x33: _VIDEO, 0xEA: _VIDEO,
    0x03: "MPEG audio", 0x04: "MPEG audio", 0x0F: "AAC", 0x11: "AAC in LATM", 0x1C: "AAC",
    0x80: "PCM", 0x81: "AC-3", 0x82: "DTS", 0x83: "Dolby TrueHD", 0x84: "E-AC-3", 0x85: "DTS-HD",
    0x86: "DTS-HD", 0x87: "E-AC-3",
}  # fmt: skip
_DESCRIPTORS = {0x6A: "AC-3", 0x7A: "E-AC-3", 0x7B: "DTS", 0x7C: "AAC"}  # of private data, stream_type 6
_PRIVATE = 0x06
_PACK, _SYSTEM = b"\0\0\1\xba", b"\0\0\1\xbb"


def looks_like(head: bytes) -> Optional[str]:
    """The words that complete "starts like …"; None where it is neither of the two."""
    if head[:4] == _PACK:
        return _words("an MPEG programme stream", list(_of_system(head)))
    for first, packet in ((0, _PACKET_BYTES), (4, _PACKET_BYTES + 4)):  # discs put a time before each
        syncs = head[first::packet]
        if len(syncs) >= 3 and syncs.count(_SYNC) == len(syncs):
            packets = [head[at : at + _PACKET_BYTES] for at in range(first, len(head), packet)]
            return _words("an MPEG transport stream", list(_of_maps(packets)))
    return None


def _words(container: str, kinds: List[str]) -> str:
    """Audio first, each kind once."""
    named = sorted(dict.fromkeys(kinds), key=lambda kind: kind == _VIDEO)
    held = f" of {' and '.join(named)}" if named else ""
    return f"{container}{held} (a container that is not read here)"


def _of_maps(packets: List[bytes]) -> Iterator[str]:
    """The kinds of the streams that programme maps name, which the association (PID 0) names."""
    maps = set()
    for packet in packets:
        pid, section = _section(packet)
        if pid == 0 and section[:1] == b"\0":
            for at in range(8, len(section) - 3, 4):
                if section[at : at + 2] != b"\0\0":  # else where the network describes itself
                    maps.add(int.from_bytes(section[at + 2 : at + 4], "big") & 0x1FFF)
        elif pid in maps and section[:1] == b"\2" and len(section) >= 12:
            at = 12 + (int.from_bytes(section[10:12], "big") & 0xFFF)
            while at + 5 <= len(section):
                size = int.from_bytes(section[at + 3 : at + 5], "big") & 0xFFF
                yield from _kind(section[at], section[at + 5 : at + 5 + size])
                at += 5 + size


def _section(packet: bytes) -> Tuple[int, bytes]:
    """The PID of a packet and the section that begins in it, without its CRC; b"" where none does."""
    if len(packet) < _PACKET_BYTES or not packet[1] & 0x40:
        return -1, b""
    start = 4 + (1 + packet[4] if packet[3] & 0x20 else 0)
    start += 1 + packet[start] if start < len(packet) else 0
    length = int.from_bytes(packet[start + 1 : start + 3], "big") & 0xFFF
    return int.from_bytes(packet[1:3], "big") & 0x1FFF, packet[start : start + 3 + max(length - 4, 0)]


def _kind(stream_type: int, descriptors: bytes) -> Iterator[str]:
    if stream_type in _TYPES:
        yield _TYPES[stream_type]
    at = 0
    while stream_type == _PRIVATE and at + 2 <= len(descriptors):
        if descriptors[at] in _DESCRIPTORS:
            yield _DESCRIPTORS[descriptors[at]]
        at += 2 + descriptors[at + 1]


def _of_system(head: bytes) -> Iterator[str]:
    """The kinds of the streams that the system header lists."""
    at = head.find(_SYSTEM)
    if at < 0:
        return
    stop = at + 6 + int.from_bytes(head[at + 4 : at + 6], "big")
    for place in range(at + 12, min(stop, len(head)) - 2, 3):
        stream = head[place]
        if 0xC0 <= stream <= 0xDF:
            yield "MPEG audio"
        elif 0xE0 <= stream <= 0xEF:
            yield _VIDEO
        elif stream == 0xBD:
            yield "private data, which may be AC-3, DTS or PCM"
