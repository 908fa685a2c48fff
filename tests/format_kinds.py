"""What the tests of all readers share: small files made here, and the ways of breaking them.

Every reader is tried with whole files, broken files, every truncation, seeded mutations, and a
bound on what it reads.  Whatever the bytes, the answer is an `AudioInfo` that makes sense, or
`NotAudio`.
"""

from __future__ import annotations

import io
import random
import struct
from typing import Iterator, Optional

import audiometa
from audiokit.formats.flac_frame import crc8
from audiokit.formats.info import AudioInfo, NotAudio
from audiokit.formats.source import Source


def identify(data: bytes) -> AudioInfo:
    """What `data` is, as if it were a file."""
    return audiometa.identify(io.BytesIO(data), len(data))


def refusal(data: bytes) -> NotAudio:
    """The refusal of `data`, which must be one."""
    try:
        info = identify(data)
    except NotAudio as error:
        assert error.reason and (error.offset is None or error.offset >= 0)
        return error
    raise AssertionError(f"taken for {info}")


def check(data: bytes) -> Optional[AudioInfo]:
    """The invariant: an AudioInfo that makes sense, or None for NotAudio; nothing else gets out."""
    source = Source.of_bytes(data)
    try:
        info = audiometa.identify_source(source)
    except NotAudio as error:
        assert error.reason, data[:64]
        return None
    assert info.channels > 0 and info.sample_rate > 0 and info.duration >= 0, info
    assert info.duration < 1e12 and info.codec and info.container in audiometa.FAMILY, info
    assert info.duration_source in ("samples", "frames", "header", "estimate"), info
    assert info.bitrate is None or info.bitrate >= 0, info
    for picture in info.pictures:
        assert 0 <= picture.offset <= len(data) and picture.offset + picture.length <= len(data), (picture)
    return info


def truncations(data: bytes, head: int = 600, every: int = 97) -> Iterator[bytes]:
    """All beginnings of `data` up to `head` bytes and each `every`-th beyond, and those that lack a
    little."""
    lengths = set(range(min(head, len(data)))) | set(range(head, len(data), every))
    lengths |= set(range(max(len(data) - 40, 0), len(data)))
    for length in sorted(lengths):
        yield data[:length]


def mutations(data: bytes, count: int, seed: int, head: int = 400) -> Iterator[bytes]:
    """`count` seeded ways of damaging `data`: bytes changed, mostly in the head, pieces cut out or
    doubled."""
    rng = random.Random(seed)
    telling = b"\x00\x01\x7f\x80\xfe\xff"
    for _ in range(count):
        broken = bytearray(data)
        for _ in range(rng.choice((1, 1, 2, 4, 16))):
            at = rng.randrange(min(head, len(broken)) if rng.random() < 0.8 else len(broken))
            action = rng.random()
            if action < 0.4:
                broken[at] = rng.randrange(256)
            elif action < 0.8:
                width = rng.choice((1, 2, 4, 8))
                broken[at : at + width] = bytes([rng.choice(telling)]) * width
            elif action < 0.9:
                del broken[at : at + rng.randrange(1, 16)]
            else:
                broken[at:at] = broken[at : at + rng.randrange(1, 64)]
            if not broken:
                break
        yield bytes(broken)


def syncsafe(number: int) -> bytes:
    """Four bytes of seven bits."""
    return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))


def id3v2(frames: bytes, version: int = 4, flags: int = 0, padding: int = 0) -> bytes:
    """An ID3v2 tag around `frames`."""
    return (
        b"ID3"
        + bytes([version, 0, flags])
        + syncsafe(len(frames) + padding)
        + frames
        + bytes(padding)
    )


def id3_frame(name: str, content: bytes, version: int = 4) -> bytes:
    """One frame of ID3v2.2, 2.3 or 2.4."""
    if version == 2:
        return name.encode() + len(content).to_bytes(3, "big") + content
    size = syncsafe(len(content)) if version == 4 else len(content).to_bytes(4, "big")
    return name.encode() + size + b"\0\0" + content


def mpeg_frame(word: int = 0xFFFB90C4, content: bytes = b"") -> bytes:
    """A frame with that header word; its content is of no interest to readers, but never a
    syncword."""
    from audiokit.formats.mpeg_header import parse_header

    size = parse_header(word).frame_bytes
    return (word.to_bytes(4, "big") + content).ljust(size, b"\x11")


def crc16(data: bytes) -> int:
    """CRC-16 by its definition (RFC 9639 section 9.3): x^16 + x^15 + x^2 + 1, from zero."""
    crc = 0
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = crc << 1 ^ (0x18005 if crc & 0x8000 else 0)
    return crc


def flac_frame(number: int, block: int = 192, bits: int = 16) -> bytes:
    """A mono frame of `block` equal samples, at 44.1 kHz."""
    sizes = {192: 1, 576: 2, 4096: 12}
    code = sizes.get(block, 7)
    head = bytes([0xFF, 0xF8, code << 4 | 9, {8: 1, 16: 4, 24: 6}[bits] << 1, number])
    head += (block - 1).to_bytes(2, "big") if code == 7 else b""
    head += bytes([crc8(head)])
    body = head + b"\0" + b"\x01" * (bits // 8)
    return body + crc16(body).to_bytes(2, "big")


def flac(
    frames: int = 10,
    block: int = 192,
    samples: Optional[int] = None,
    last: int = 0,
    blocks: bytes = b"",
    bits: int = 16,
) -> bytes:
    """A FLAC file of mono frames at 44.1 kHz; `last` samples in one more frame; `blocks` of more
    metadata."""
    total = frames * block + last if samples is None else samples
    packed = 44100 << 44 | 0 << 41 | (bits - 1) << 36 | total
    info = struct.pack(">HH", block, block) + bytes(6) + packed.to_bytes(8, "big") + bytes(16)
    first = bytes([0 if blocks else 0x80]) + len(info).to_bytes(3, "big") + info
    data = b"".join(flac_frame(number, block, bits) for number in range(frames))
    return b"fLaC" + first + blocks + data + (flac_frame(frames, last, bits) if last else b"")


def riff(*chunks: bytes, magic: bytes = b"RIFF", size: Optional[int] = None) -> bytes:
    """A WAVE file of ready chunks."""
    body = b"WAVE" + b"".join(chunks)
    order = ">" if magic == b"RIFX" else "<"
    return magic + struct.pack(order + "I", len(body) if size is None else size) + body


def chunk(name: bytes, content: bytes, size: Optional[int] = None, order: str = "<") -> bytes:
    """A chunk, padded."""
    return (
        name
        + struct.pack(order + "I", len(content) if size is None else size)
        + content
        + bytes(len(content) % 2)
    )


def fmt(
    tag: int = 1,
    channels: int = 1,
    rate: int = 8000,
    bits: int = 16,
    block: Optional[int] = None,
    byte_rate: Optional[int] = None,
    extra: Optional[bytes] = None,
    order: str = "<",
) -> bytes:
    """A WAV format chunk."""
    block = channels * bits // 8 if block is None else block
    fields = struct.pack(
        order + "HHIIHH",
        tag,
        channels,
        rate,
        rate * block if byte_rate is None else byte_rate,
        block,
        bits,
    )
    if extra is not None:
        fields += struct.pack(order + "H", len(extra)) + extra
    return chunk(b"fmt ", fields, order=order)
