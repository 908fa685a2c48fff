"""Small true files of the kinds that are told by their headers, built in pure Python; and what every reader owes.

Each builder follows its standard's layout and says nothing false unless an argument asks for it.  The content of
frames is noise: readers count frames and do not decode them.
"""

from __future__ import annotations

import random
import struct
import zlib
from typing import Callable, Iterator, Optional, Sequence, Tuple

import audiometa
from audiokit.formats.info import AudioInfo, Damaged, NotAudio
from audiokit.formats.source import Source


def identify(data: bytes) -> AudioInfo:
    """What the program says of these bytes."""
    return audiometa.identify_source(Source.of_bytes(data))


def noise(length: int, seed: int = 1) -> bytes:
    """Bytes that look like coded audio, the same each time."""
    return bytes(random.Random(seed).choices(range(256), k=length))


# Builders ------------------------------------------------------------------------------------------


def au(encoding=3, rate=16000, channels=1, data=bytes(32000), size=None, note=b"", magic=b".snd") -> bytes:
    """An AU file; `note` is its annotation."""
    order = "<" if magic == b"dns." else ">"
    header = 24 + len(note)
    declared = len(data) if size is None else size
    return magic + struct.pack(order + "5I", header, declared, encoding, rate, channels) + note + data


AMR_BYTES = {"amr_nb": (13, 14, 16, 18, 20, 21, 27, 32, 6), "amr_wb": (18, 24, 33, 37, 41, 47, 51, 59, 61, 6)}


def amr(frames=50, mode=7, codec="amr_nb", channels=None) -> bytes:
    """An AMR file with frames of one mode."""
    wide = "-WB" if codec == "amr_wb" else ""
    magic = f"#!AMR{wide}\n".encode() if channels is None else f"#!AMR{wide}_MC1.0\n".encode()
    head = magic + (b"" if channels is None else struct.pack(">I", channels))
    return head + (bytes([mode << 3 | 4]) + bytes(AMR_BYTES[codec][mode] - 1)) * frames


def tta(samples=100_000, rate=44100, channels=2, bits=16, form=1, frame_bytes=500) -> bytes:
    """A TTA file."""
    per_frame = 256 * rate // 245
    count = -(-samples // per_frame)
    head = struct.pack("<4sHHHII", b"TTA1", form, channels, bits, rate, samples)
    table = struct.pack(f"<{count}I", *[frame_bytes] * count)
    crcs = [struct.pack("<I", zlib.crc32(part)) for part in (head, table)]
    return head + crcs[0] + table + crcs[1] + noise(frame_bytes * count)


def dsf(samples=50_000, rate=2822400, channels=2, bits=1, tag=b"") -> bytes:
    """A DSF file; `tag` is an ID3v2 tag for its end."""
    groups = -(-samples // (8 * 4096))
    data = b"\x69" * (groups * 4096 * channels)
    size = 28 + 52 + 12 + len(data)
    head = struct.pack("<4sQQQ", b"DSD ", 28, size + len(tag), size if tag else 0)
    form = struct.pack(
        "<4sQIIIIIIQII", b"fmt ", 52, 1, 0, 2, channels, rate, bits, samples, 4096, 0
    )
    return head + form + struct.pack("<4sQ", b"data", 12 + len(data)) + data + tag


def _dff_chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">4sQ", name, len(content)) + content + bytes(len(content) % 2)


def dff(size=40_000, rate=2822400, channels=2, compression=b"DSD ", dst_frames=75, extra=b"") -> bytes:
    """A DSDIFF file with `size` bytes of samples, or `dst_frames` frames of DST."""
    names = b"".join(b"C%03d" % n for n in range(channels))
    properties = b"SND " + _dff_chunk(b"FS  ", struct.pack(">I", rate))
    properties += _dff_chunk(b"CHNL", struct.pack(">H", channels) + names)
    properties += _dff_chunk(b"CMPR", compression + b"\x03abc")
    if compression == b"DST ":
        sound = _dff_chunk(b"FRTE", struct.pack(">IH", dst_frames, 75))
        sound += _dff_chunk(b"DSTF", noise(101)) * dst_frames
    else:
        sound = b"\x69" * size
    parts = _dff_chunk(b"FVER", b"\1\5\0\0") + _dff_chunk(b"PROP", properties) + _dff_chunk(compression, sound)
    body = b"DSD " + parts + extra
    return struct.pack(">4sQ", b"FRM8", len(body)) + body


def dff_titled(**wanted) -> bytes:
    """A DSDIFF file with artist and title in DIIN."""
    names = _dff_chunk(b"DIAR", struct.pack(">I", 6) + b"Artist")
    return dff(extra=_dff_chunk(b"DIIN", names + _dff_chunk(b"DITI", struct.pack(">I", 5) + b"Title")), **wanted)


def ape(frames=3, in_last=1000, per_frame=73728, rate=44100, channels=2, bits=16, frame_bytes=900) -> bytes:
    """A Monkey's Audio file of version 3.99."""
    first = 52 + 24 + 4 * frames + 44
    table = struct.pack(f"<{frames}I", *(first + frame_bytes * n for n in range(frames)))
    sizes = (52, 24, len(table), 44, frame_bytes * frames, 0, 0)
    head = struct.pack("<4sHH7I16x", b"MAC ", 3990, 0, *sizes)
    head += struct.pack("<HHIIIHHI", 2000, 0, per_frame, in_last, frames, bits, channels, rate)
    return head + table + bytes(44) + noise(frame_bytes * frames)


def old_ape(version=3950, level=2000, flags=0, frames=3, in_last=1000, frame_bytes=900, rate=44100) -> bytes:
    """A Monkey's Audio file of before version 3.98."""
    more = (b"\0\0\0\x7f" if flags & 4 else b"") + (struct.pack("<I", frames) if flags & 16 else b"")
    wav = b"" if flags & 32 else bytes(44)
    first = 32 + len(more) + len(wav) + 4 * frames
    head = struct.pack(
        "<4sHHHHIIIII", b"MAC ", version, level, flags, 2, rate, 44, 0, frames, in_last
    )
    table = struct.pack(f"<{frames}I", *(first + frame_bytes * n for n in range(frames)))
    return head + more + wav + table + noise(frame_bytes * frames)


def mpc7(frames=20, in_last=700, rate_index=0, is_gapless=True, bits=1001) -> bytes:
    """A Musepack file of stream version 7 with frames of `bits` bits each."""
    words = [frames, rate_index << 16, 0, 0, is_gapless << 31 | in_last << 20]
    stream = "01110011" + (f"{bits:020b}" + "10" * (bits // 2) + "1" * (bits % 2)) * frames
    stream += "0" * (-len(stream) % 32)
    words += [int(stream[n : n + 32], 2) for n in range(0, len(stream), 32)]
    return b"MP+\x07" + struct.pack(f"<{len(words)}I", *words)


def _mpc_number(value: int, width: int = 1) -> bytes:
    out = [value & 0x7F]
    while value > 0x7F or len(out) < width:
        value >>= 7
        out.insert(0, 0x80 | value & 0x7F)
    return bytes(out)


def _mpc_packet(name: bytes, content: bytes) -> bytes:
    for width in range(1, 9):
        size = len(name) + width + len(content)
        if size < 1 << 7 * width:
            return name + _mpc_number(size, width) + content
    raise ValueError(size)


def mpc8(samples=100_000, silence=0, rate_index=0, channels=2, block_power=2, promised=None) -> bytes:
    """A Musepack file of stream version 8."""
    count = -(-samples // (1152 << 2 * block_power))
    header = bytes(4) + b"\x08" + _mpc_number(samples if promised is None else promised)
    header += _mpc_number(silence) + bytes([rate_index << 5 | 26, channels - 1 << 4 | block_power])
    audio = b"".join(_mpc_packet(b"AP", noise(300, n)) for n in range(count))
    return b"MPCK" + _mpc_packet(b"SH", header) + _mpc_packet(b"EI", b"\xa0\1\x1e\0") + audio + _mpc_packet(b"SE", b"")


WV_FINAL, WV_INITIAL, WV_MONO = 1 << 12, 1 << 11, 1 << 2


def wv_block(index=0, samples=22050, total=44100, flags=0x1 | 9 << 23, parts=b"", size=600) -> bytes:
    """One WavPack block."""
    content = parts + b"\x8a" + (size // 2).to_bytes(3, "little") + noise(size // 2 * 2)
    head = struct.pack(
        "<4sIHBBIIIII", b"wvpk", 24 + len(content), 0x410, 0, 0, total & 0xFFFFFFFF, index, samples, flags, 0
    )
    return head + content


def wv(blocks=2, per_block=22050, total=None, flags=0x1 | 9 << 23, parts=b"") -> bytes:
    """A WavPack file; its length is not known if `total` is -1."""
    total = blocks * per_block if total is None else total
    flags |= WV_INITIAL | WV_FINAL
    return b"".join(wv_block(n * per_block, per_block, total, flags, parts) for n in range(blocks))


def _crc16(data: bytes) -> int:
    register = 0
    for byte in data:
        register ^= byte << 8
        for _ in range(8):
            register = (register << 1 ^ 0x8005 if register & 0x8000 else register << 1) & 0xFFFF
    return register


def _with_crc2(frame: bytes) -> bytes:
    return frame[:-2] + _crc16(frame[2:-2]).to_bytes(2, "big")


def ac3(frames=6, code=0, size_code=20, mode=7, has_lfe=True, bsid=8) -> bytes:
    """AC-3; `code` is fscod, `size_code` frmsizecod."""
    kbps = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)[size_code >> 1]
    size = 2 * (kbps * 96000 // (48000, 44100, 32000)[code] + (size_code & 1 if code == 1 else 0))
    skipped = 2 * (mode & 1 and mode != 1) + 2 * bool(mode & 4) + 2 * (mode == 2)
    bits = mode << 13 | has_lfe << 12 - skipped
    head = b"\x0b\x77\0\0" + bytes([code << 6 | size_code, bsid << 3]) + bits.to_bytes(2, "big")
    return _with_crc2(head + noise(size - 8).replace(b"\x0b\x77", b"\0\0")) * frames


def eac3_frame(kind=0, substream=0, size=400, code=0, blocks=3, mode=7, has_lfe=1, chanmap=None) -> bytes:
    """One frame of E-AC-3; `kind` is strmtyp."""
    bits = f"{kind:02b}{substream:03b}{size // 2 - 1:011b}{code:02b}{blocks:02b}{mode:03b}{has_lfe:b}{16:05b}"
    bits += f"{31:05b}0" + (f"{31:05b}0" if mode == 0 else "")
    if kind == 1:
        bits += "0" if chanmap is None else f"1{chanmap:016b}"
    bits += "0" * (-len(bits) % 8)
    head = b"\x0b\x77" + int(bits, 2).to_bytes(len(bits) // 8, "big")
    return _with_crc2(head + noise(size - len(head)).replace(b"\x0b\x77", b"\0\0"))


def _caf_chunk(name: bytes, content: bytes, size: Optional[int] = None) -> bytes:
    return struct.pack(">4sq", name, len(content) if size is None else size) + content


def caf(
    form=b"lpcm", rate=48000.0, flags=0, packet_bytes=4, packet_frames=1, channels=2, bits=16, data=bytes(48000),
    size=None, table=None, info=(), kuki=b"", table_first=False,
) -> bytes:  # fmt: skip
    """A CAF file; `table` is (valid, priming, remainder, packets), each packet (bytes, frames)."""
    desc = struct.pack(">d4sIIIII", rate, form, flags, packet_bytes, packet_frames, channels, bits)
    out = b"caff\0\1\0\0" + _caf_chunk(b"desc", desc) + (_caf_chunk(b"kuki", kuki) if kuki else b"")
    if info:
        strings = b"".join(text.encode() + b"\0" for pair in info for text in pair)
        out += _caf_chunk(b"info", struct.pack(">I", len(info)) + strings)
    sound = _caf_chunk(b"data", bytes(4) + data, size)
    if table is None:
        return out + sound
    valid, priming, remainder, packets = table
    pakt = struct.pack(">qqii", len(packets), valid, priming, remainder)
    for packet in packets:
        pakt += b"".join(_mpc_number(number) for number in packet)
    packed = _caf_chunk(b"pakt", pakt)
    return out + (packed + sound if table_first else sound + packed)


# What every reader owes ----------------------------------------------------------------------------


def outcome(data: bytes) -> Tuple[str, Optional[AudioInfo]]:
    """("reason", None) or ("", what it is); anything but NotAudio goes through."""
    try:
        return "", identify(data)
    except NotAudio as refusal:
        assert refusal.reason and str(refusal) == refusal.reason
        return refusal.reason, None


def cuts(data: bytes, step: int = 1) -> Iterator[Tuple[int, bytes]]:
    """Every beginning of `data`, closely in the first 300 bytes, then every `step`."""
    for length in [*range(min(300, len(data))), *range(300, len(data), step)]:
        yield length, data[:length]


def check_every_truncation(data: bytes, step: int = 7, may_end: Callable[[int], bool] = lambda n: False) -> None:
    """Every beginning is refused, or shorter and marked; `may_end(n)` says where nothing shows that it was cut."""
    whole = identify(data)
    assert not whole.truncated and not whole.warnings
    accepted = 0
    for length, beginning in cuts(data, step):
        reason, info = outcome(beginning)
        if info is None:
            assert reason
            continue
        accepted += 1
        assert info.duration <= whole.duration, length
        assert (info.sample_rate, info.channels, info.codec) == (whole.sample_rate, whole.channels, whole.codec)
        assert info.truncated or may_end(length), length
        assert info.warnings or may_end(length), length
        if info.duration_declared is not None:
            assert info.duration_declared == whole.duration, length
    assert accepted


def check_garbage(seeds: Sequence[bytes], count: int = 300) -> None:
    """Seeded mutations of true files give an AudioInfo that makes sense, or NotAudio; nothing else."""
    rng = random.Random(7)
    for _ in range(count):
        data = bytearray(rng.choice(seeds))
        for _ in range(rng.choice((1, 2, 4, 16))):
            data[rng.randrange(min(len(data), rng.choice((48, 400, len(data)))))] = rng.choice((0, 255, rng.randrange(256)))
        info = outcome(bytes(data))[1]
        if info is not None:
            assert info.sample_rate > 0 and info.channels > 0 and 0 <= info.duration < 1e13


def check_reads_little(data: bytes, declared_size: int = 1 << 32, most: int = 1 << 18) -> AudioInfo:
    """A file that goes on with zeros for `declared_size` bytes costs no more than `most` bytes read."""

    def read_at(offset: int, length: int) -> bytes:
        piece = data[offset : offset + length]
        return piece + bytes(min(length, declared_size - offset) - len(piece))

    source = Source(read_at, declared_size)
    try:
        return audiometa.identify_source(source)
    finally:
        assert source.bytes_read <= most, source.bytes_read


__all__ = [name for name in dir() if not name.startswith("_")] + ["Damaged"]
