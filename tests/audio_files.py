"""Small true files of every kind, built in pure Python; and what every reader owes.

Each builder follows its standard's layout and says nothing false unless an argument asks for it.
The content of frames is noise: readers count frames and do not decode them.
"""

from __future__ import annotations

import random
import struct
import zlib
from typing import Callable, Dict, Iterator, Optional, Sequence, Tuple

import audiometa
from audiokit.formats.info import AudioInfo, NotAudio
from audiokit.formats.source import Source


def identify(data: bytes) -> AudioInfo:
    """What the program says of these bytes."""
    return audiometa.identify_source(Source.of_bytes(data))


def noise(length: int, seed: int = 1) -> bytes:
    """Bytes that look like coded audio, the same each time."""
    return bytes(random.Random(seed).choices(range(256), k=length))


# Builders
# ------------------------------------------------------------------------------------------


def au(encoding=3, rate=16000, channels=1, data=bytes(32000), size=None, note=b"", magic=b".snd") -> bytes:
    """An AU file; `note` is its annotation."""
    order = "<" if magic == b"dns." else ">"
    header = 24 + len(note)
    declared = len(data) if size is None else size
    return (magic + struct.pack(order + "5I", header, declared, encoding, rate, channels) + note + data)


AMR_BYTES = {
    "amr_nb": (13, 14, 16, 18, 20, 21, 27, 32, 6),
    "amr_wb": (18, 24, 33, 37, 41, 47, 51, 59, 61, 6),
}


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
    form = struct.pack("<4sQIIIIIIQII", b"fmt ", 52, 1, 0, 2, channels, rate, bits, samples, 4096, 0)
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
    parts = (
        _dff_chunk(b"FVER", b"\1\5\0\0")
        + _dff_chunk(b"PROP", properties)
        + _dff_chunk(compression, sound)
    )
    body = b"DSD " + parts + extra
    return struct.pack(">4sQ", b"FRM8", len(body)) + body


def dff_titled(**wanted) -> bytes:
    """A DSDIFF file with artist and title in DIIN."""
    names = _dff_chunk(b"DIAR", struct.pack(">I", 6) + b"Artist")
    return dff(
        extra=_dff_chunk(b"DIIN", names + _dff_chunk(b"DITI", struct.pack(">I", 5) + b"Title")),
        **wanted,
    )


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
    head = struct.pack("<4sHHHHIIIII", b"MAC ", version, level, flags, 2, rate, 44, 0, frames, in_last)
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
    return (
        b"MPCK"
        + _mpc_packet(b"SH", header)
        + _mpc_packet(b"EI", b"\xa0\1\x1e\0")
        + audio
        + _mpc_packet(b"SE", b"")
    )


WV_FINAL, WV_INITIAL, WV_MONO = 1 << 12, 1 << 11, 1 << 2


def wv_block(index=0, samples=22050, total=44100, flags=0x1 | 9 << 23, parts=b"", size=600) -> bytes:
    """One WavPack block."""
    content = parts + b"\x8a" + (size // 2).to_bytes(3, "little") + noise(size // 2 * 2)
    head = struct.pack(
        "<4sIHBBIIIII",
        b"wvpk",
        24 + len(content),
        0x410,
        0,
        0,
        total & 0xFFFFFFFF,
        index,
        samples,
        flags,
        0,
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
    bits = f"{kind:02b}{substream:03b}{size // 2 - 1:011b}{code:02b}{blocks:02b}{mode:03b}"
    bits += f"{has_lfe:b}{16:05b}"
    bits += f"{31:05b}0" + (f"{31:05b}0" if mode == 0 else "")
    if kind == 1:
        bits += "0" if chanmap is None else f"1{chanmap:016b}"
    bits += "0" * (-len(bits) % 8)
    head = b"\x0b\x77" + int(bits, 2).to_bytes(len(bits) // 8, "big")
    return _with_crc2(head + noise(size - len(head)).replace(b"\x0b\x77", b"\0\0"))


def _caf_chunk(name: bytes, content: bytes, size: Optional[int] = None) -> bytes:
    return struct.pack(">4sq", name, len(content) if size is None else size) + content


def caf(
    form=b"lpcm", rate=48000.0, flags=0, packet_bytes=4, packet_frames=1, channels=2, bits=16,
    data=bytes(48000), size=None, table=None, info=(), kuki=b"", table_first=False,
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


# Files of the larger containers, as small as they can be
# ---------------------------------------------


def wav(rate=8000, channels=1, frames=800, extra=b"") -> bytes:
    """A WAV file of 16-bit PCM; `extra` are chunks between format and data."""
    data = noise(frames * channels * 2)
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, channels, rate, rate * channels * 2, channels * 2, 16)
    body = b"WAVE" + form + extra + struct.pack("<4sI", b"data", len(data)) + data
    return struct.pack("<4sI", b"RIFF", len(body)) + body


def aiff(rate=8000, channels=1, frames=800) -> bytes:
    """An AIFF file of 16-bit PCM with a name."""
    exponent = 16383 + rate.bit_length() - 1
    mantissa = rate << 64 - rate.bit_length()
    comm = struct.pack(">4sIhIhHQ", b"COMM", 18, channels, frames, 16, exponent, mantissa)
    data = noise(frames * channels * 2)
    body = (
        b"AIFF"
        + comm
        + b"NAME\0\0\0\4Name"
        + struct.pack(">4sIII", b"SSND", 8 + len(data), 0, 0)
        + data
    )
    return struct.pack(">4sI", b"FORM", len(body)) + body


def mp3(frames=12, word=0xFFFB9064, size=417, tag=True) -> bytes:
    """MPEG audio, silent, behind an ID3v2 tag."""
    title = b"TIT2\0\0\0\6\0\0\0Title"
    head = b"ID3\3\0\0\0\0\0" + bytes([len(title) + 10]) + title + bytes(10) if tag else b""
    return head + (struct.pack(">I", word) + bytes(size - 4)) * frames


def adts(frames=12, size=200) -> bytes:
    """AAC LC of 44.1 kHz stereo in ADTS (ISO/IEC 13818-7, section 6.2), of no sense inside."""
    word = 0xFFF << 44 | 1 << 40 | 1 << 38 | 4 << 34 | 2 << 30 | size << 13 | 0x7FF << 2
    return (word.to_bytes(7, "big") + bytes([0x21, 0x10]) + bytes(size - 9)) * frames


def _box(name: bytes, *content: bytes) -> bytes:
    body = b"".join(content)
    return struct.pack(">I4s", 8 + len(body), name) + body


def mp4(frames=40, rate=44100, channels=2, size=200) -> bytes:
    """AAC LC in MP4 (ISO/IEC 14496-12 and -14), with a title."""
    config = (2 << 11 | 4 << 7 | channels << 3).to_bytes(2, "big")
    decoder = b"\x04\x11\x40\x15" + bytes(11) + b"\x05\x02" + config
    esds = _box(
        b"esds",
        bytes(4),
        b"\x03",
        bytes([3 + len(decoder) + 3]),
        b"\0\1\0",
        decoder,
        b"\x06\x01\x02",
    )
    entry = _box(b"mp4a", bytes(6), b"\0\1", bytes(8), struct.pack(">HHIHH", channels, 16, 0, rate, 0), esds)
    ftyp = _box(b"ftyp", b"M4A \0\0\0\0M4A mp42isom")
    mdat = _box(b"mdat", noise(size * frames))
    table = _box(
        b"stbl",
        _box(b"stsd", bytes(4), struct.pack(">I", 1), entry),
        _box(b"stts", bytes(4), struct.pack(">III", 1, frames, 1024)),
        _box(b"stsc", bytes(4), struct.pack(">IIII", 1, 1, frames, 1)),
        _box(b"stsz", bytes(4), struct.pack(">II", size, frames)),
        _box(b"stco", bytes(4), struct.pack(">II", 1, len(ftyp) + 8)),
    )
    media = _box(
        b"mdia",
        _box(b"mdhd", bytes(12), struct.pack(">IIHH", rate, frames * 1024, 0x55C4, 0)),
        _box(b"hdlr", bytes(8), b"soun", bytes(13)),
        _box(b"minf", _box(b"smhd", bytes(8)), table),
    )
    tkhd = _box(
        b"tkhd",
        b"\0\0\0\7",
        bytes(8),
        struct.pack(">II", 1, 0),
        struct.pack(">I", frames * 1024),
        bytes(60),
    )
    title = _box(b"\xa9nam", _box(b"data", b"\0\0\0\1\0\0\0\0Title"))
    hdlr = _box(b"hdlr", bytes(8), b"mdirappl", bytes(9))
    moov = _box(
        b"moov",
        _box(b"mvhd", bytes(12), struct.pack(">II", rate, frames * 1024), bytes(80)),
        _box(b"trak", tkhd, media),
        _box(b"udta", _box(b"meta", bytes(4), hdlr, _box(b"ilst", title))),
    )
    return ftyp + mdat + moov


def ogg_page(flags: int, granule: int, serial: int, number: int, packets: Sequence[bytes]) -> bytes:
    """One Ogg page (RFC 3533, section 6) with these packets, all of them whole."""
    lacing = b"".join(b"\xff" * (len(packet) // 255) + bytes([len(packet) % 255]) for packet in packets)
    head = (
        struct.pack("<4sBBqIII", b"OggS", 0, flags, granule, serial, number, 0)
        + bytes([len(lacing)])
        + lacing
    )
    page = head + b"".join(packets)
    crc = 0
    for byte in page:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ 0x04C11DB7 if crc & 0x80000000 else crc << 1) & 0xFFFFFFFF
    return page[:22] + struct.pack("<I", crc) + page[26:]


def opus(packets=50, preskip=312, channels=2, serial=7) -> bytes:
    """Opus in Ogg (RFC 7845): packets of 20 ms."""
    head = b"OpusHead\x01" + struct.pack("<BHIhB", channels, preskip, 48000, 0, 0)
    comment = b"OpusTags" + struct.pack("<I4sII11s", 4, b"test", 1, 11, b"TITLE=Title")
    pages = [ogg_page(2, 0, serial, 0, [head]), ogg_page(0, 0, serial, 1, [comment])]
    for first in range(0, packets, 25):
        count = min(25, packets - first)
        end = first + count
        flags = 4 if end == packets else 0
        body = [b"\xfc" + bytes(29)] * count  # CELT, 20 ms, one frame
        pages.append(ogg_page(flags, end * 960, serial, len(pages), body))
    return b"".join(pages)


def flac(samples=4608, rate=44100, channels=2) -> bytes:
    """FLAC (RFC 9639) of constant frames: silence."""
    bits = (f"{1152:016b}{1152:016b}{0:024b}{0:024b}{rate:020b}{channels - 1:03b}{15:05b}{samples:036b}")
    info = int(bits, 2).to_bytes(18, "big") + bytes(16)
    comment = struct.pack("<I4sII11s", 4, b"test", 1, 11, b"TITLE=Title")
    out = (
        b"fLaC"
        + b"\0"
        + len(info).to_bytes(3, "big")
        + info
        + b"\x84"
        + len(comment).to_bytes(3, "big")
        + comment
    )
    for number in range(samples // 1152):
        head = b"\xff\xf8\x39" + bytes([channels - 1 << 4 | 8]) + bytes([number])
        frame = head + bytes([_crc8(head)]) + bytes(3 * channels)
        out += frame + _crc16(frame).to_bytes(2, "big")
    return out


def _crc8(data: bytes) -> int:
    register = 0
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = (register << 1 ^ 0x07 if register & 0x80 else register << 1) & 0xFF
    return register


def _ebml(name: int, *content: bytes) -> bytes:
    body = b"".join(content)
    return (
        name.to_bytes((name.bit_length() + 7) // 8, "big")
        + (1 << 28 | len(body)).to_bytes(4, "big")
        + body
    )


def matroska(blocks=50, channels=2) -> bytes:
    """Opus in WebM (RFC 9559): blocks of 20 ms in one cluster."""
    head = _ebml(0x1A45DFA3, _ebml(0x4282, b"webm"), _ebml(0x4287, b"\4"), _ebml(0x4285, b"\2"))
    info = _ebml(
        0x1549A966,
        _ebml(0x2AD7B1, (10**6).to_bytes(3, "big")),
        _ebml(0x4489, struct.pack(">d", 20.0 * blocks)),
    )
    private = b"OpusHead\x01" + struct.pack("<BHIhB", channels, 312, 48000, 0, 0)
    audio = _ebml(0xE1, _ebml(0xB5, struct.pack(">d", 48000.0)), _ebml(0x9F, bytes([channels])))
    track = _ebml(0xAE, _ebml(0xD7, b"\1"), _ebml(0x73C5, b"\1"), _ebml(0x83, b"\2"),
                  _ebml(0x86, b"A_OPUS"),
                  _ebml(0x63A2, private), audio)  # fmt: skip
    body = b"".join(
        _ebml(0xA3, b"\x81", struct.pack(">hB", 20 * n, 0x80), b"\xfc" + bytes(29))
        for n in range(blocks)
    )
    return head + _ebml(0x18538067, info, _ebml(0x1654AE6B, track), _ebml(0x1F43B675, _ebml(0xE7, b"\0"), body))


def _guid(text: str) -> bytes:
    a, b, c, d, e = text.split("-")
    return struct.pack("<IHH", int(a, 16), int(b, 16), int(c, 16)) + bytes.fromhex(d + e)


def asf(seconds=1.0, packets=10, packet_bytes=400) -> bytes:
    """WMA 2 in ASF (Microsoft's ASF specification 1.2), of no sense inside."""
    ticks = round(seconds * 10**7)

    def thing(guid: str, content: bytes) -> bytes:
        return _guid(guid) + struct.pack("<Q", 24 + len(content)) + content

    data_size = 50 + packets * packet_bytes
    wave = struct.pack("<HHIIHHH", 0x161, 2, 44100, 8000, 371, 16, 10) + bytes(10)
    stream = thing(
        "B7DC0791-A9B7-11CF-8EE6-00C00C205365",
        _guid("F8699E40-5B4D-11CF-A8FD-00805F5C442B")
        + _guid("20FB5700-5B55-11CF-A8FD-00805F5C442B")
        + struct.pack("<QIIHI", 0, len(wave), 0, 1, 0) + wave,
    )  # fmt: skip
    text = "Title\0".encode("utf-16-le")
    content = thing("75B22633-668E-11CF-A6D9-00AA0062CE6C", struct.pack("<5H", len(text), 0, 0, 0, 0) + text)

    def properties(total: int) -> bytes:
        return thing(
            "8CABDCA1-A947-11CF-8EE4-00C00C205365",
            bytes(16)
            + struct.pack(
                "<QQQQQQIIII",
                total,
                0,
                packets,
                ticks,
                ticks,
                0,
                2,
                packet_bytes,
                packet_bytes,
                64000,
            ),
        )

    extension = thing(
        "5FBF03B5-A92E-11CF-8EE3-00C00C205365",
        _guid("ABD3D211-A9BA-11CF-8EE6-00C00C205365") + b"\6\0" + bytes(4),
    )
    size = 30 + len(properties(0)) + len(extension) + len(stream) + len(content)
    objects = properties(size + data_size) + extension + stream + content
    head = (
        _guid("75B22630-668E-11CF-A6D9-00AA0062CE6C")
        + struct.pack("<QIBB", size, 4, 1, 2)
        + objects
    )
    data = _guid("75B22636-668E-11CF-A6D9-00AA0062CE6C") + struct.pack("<Q16xQH", data_size, packets, 0x101)
    packet = b"\x82\0\0\x08\0" + struct.pack("<HIH", packet_bytes - 20, 0, 100)
    return (head + data + b"".join(packet + bytes(packet_bytes - len(packet)) for _ in range(packets)))


def dts_frame(mode=2, rate=13, blocks=16, size=512, lfe=0, more=None) -> bytes:
    """A core frame of DTS (ETSI TS 102 114 section 5.3.1); `rate` is SFREQ, `mode` AMODE, `more` EXT_AUDIO_ID."""
    kinds = "0000" if more is None else f"{more:03b}1"
    bits = f"1{31:05b}0{blocks - 1:07b}{size - 1:014b}{mode:06b}{rate:04b}{15:05b}{0:05b}{kinds}0{lfe:02b}"
    bits += "0" * (-len(bits) % 8)
    head = b"\x7f\xfe\x80\x01" + int(bits, 2).to_bytes(len(bits) // 8, "big")
    return head + noise(size - len(head), 3).replace(b"\x7f", b"\x7e")


def latm_element(config="", frames=1, version=0, layers=0, size=60) -> bytes:
    """AAC in LATM, one AudioMuxElement (ISO/IEC 14496-3 section 1.7.2); with `config`, the bits of an
    AudioSpecificConfig, the one that holds the StreamMuxConfig."""
    bits = "1"
    if config:
        told = f"00{len(config):08b}" if version else ""
        bits = "0" + ("10" + "00" + "0" * 8 if version else "0") + f"1{frames - 1:06b}{0:04b}{layers:03b}"
        bits += told + config + "000" + "1" * 8 + "00"
    bits += "0" * (-len(bits) % 8)
    body = int("1" + bits, 2).to_bytes(len(bits) // 8 + 1, "big")[1:]
    body += noise(size, 4).replace(b"\x56", b"\x57")
    return (0x2B7 << 13 | len(body)).to_bytes(3, "big") + body


def every_kind() -> Dict[str, bytes]:
    """One small true file, or a few, of every kind that is read."""
    return {
        "wav": wav(), "aiff": aiff(), "mp3": mp3(), "mp2": mp3(8, 0xFFFD8004, 417, False),
        "adts": adts(), "mp4": mp4(), "opus": opus(), "flac": flac(), "webm": matroska(),
        "wma": asf(), "chained": opus(25) + opus(25, serial=8), "au": au(data=bytes(600)),
        "amr": amr(20), "amr_wb": amr(20, 3, "amr_wb"), "tta": tta(), "dsf": dsf(),
        "dff": dff_titled(size=900), "dst": dff(compression=b"DST ", dst_frames=20),
        "ape": ape(), "old_ape": old_ape(), "mpc7": mpc7(), "mpc8": mpc8(30_000), "wv": wv(),
        "wv_piped": wv(total=-1), "ac3": ac3(4, size_code=4), "eac3": eac3_frame(size=100) * 8,
        "caf": caf(data=bytes(600)), "dts": dts_frame() * 6,
        "latm": latm_element(f"{2:05b}{4:04b}{2:04b}000") + latm_element() * 5,
        "caf_opus": caf(b"opus", 48000.0, 0, 0, 960, 2, 0, bytes(2000), table=(9000, 300, 300, [(200,)] * 10)),
    }  # fmt: skip


# What every reader owes
# ----------------------------------------------------------------------------


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
    """Every beginning is refused, or shorter and marked.

    `may_end(n)` says where nothing shows that it was cut.
    """
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
        assert (info.sample_rate, info.channels, info.codec) == (
            whole.sample_rate,
            whole.channels,
            whole.codec,
        )
        assert info.truncated or may_end(length), length
        assert info.warnings or may_end(length), length
        if info.duration_declared is not None:
            assert info.duration_declared == whole.duration, length
    assert accepted


def check_garbage(seeds: Sequence[bytes], count: int = 300) -> None:
    """Seeded mutations of true files give an AudioInfo that makes sense, or NotAudio.

    Nothing else.
    """
    rng = random.Random(7)
    for _ in range(count):
        data = bytearray(rng.choice(seeds))
        for _ in range(rng.choice((1, 2, 4, 16))):
            data[rng.randrange(min(len(data), rng.choice((48, 400, len(data)))))] = rng.choice(
                (0, 255, rng.randrange(256))
            )
        info = outcome(bytes(data))[1]
        if info is not None:
            assert info.sample_rate > 0 and info.channels > 0 and 0 <= info.duration < 1e13


def check_reads_little(data: bytes, declared_size: int = 1 << 32, most: int = 1 << 18) -> AudioInfo:
    """A file that goes on with zeros to `declared_size` costs no more than `most` bytes read."""

    def read_at(offset: int, length: int) -> bytes:
        piece = data[offset : offset + length]
        return piece + bytes(min(length, declared_size - offset) - len(piece))

    source = Source(read_at, declared_size)
    try:
        return audiometa.identify_source(source)
    finally:
        assert source.bytes_read <= most, source.bytes_read
