"""Sample entries of MP4 and QuickTime: which codec a track has, at which rate, in how many
channels.

ISO/IEC 14496-12 section 12.2.3 (audio), 14496-14 section 5.6 (esds), Apple's "QuickTime File
Format" (sound sample descriptions version 0 to 2, wave), the Opus, FLAC and ALAC encapsulations,
ETSI TS 102 366 annex F (dac3, dec3), ISO/IEC 23003-5 (PCM).  Pure functions over the bytes of an
entry.  What is not known raises NotAudio.
"""

from __future__ import annotations

import struct
from typing import Dict, Iterator, NamedTuple, Optional, Tuple

from audiokit.formats import dts_header
from audiokit.formats.aac_config import parse_aac_config
from audiokit.formats.alac import ALAC_CONFIG_BYTES, parse_alac_config
from audiokit.formats.flac_frame import STREAMINFO_BYTES, parse_stream_info
from audiokit.formats.info import NotAudio

_MAX_CHANNELS = 1024
_MAX_RATE = 16_000_000
_MAX_OPUS_INPUT_RATE = 1 << 22  # Hz, in dOps; what says more has its bytes the other way round


class Codec(NamedTuple):
    """What a sample entry says, its own boxes preferred to its old fields."""

    codec: str
    sample_rate: int  # Hz
    channels: int
    codecs: str  # the word for codecs= in a media type
    profile: Optional[str] = None
    bits: Optional[int] = None
    sample_format: Optional[str] = None
    is_encrypted: bool = False
    frame_bytes: int = 0  # PCM: bytes of one sample of all channels
    pre_skip: int = 0  # Opus: samples that are discarded where no edit list says so


# 4 characters -> codec; PCM has its own table
_NAMES: Dict[bytes, str] = {
    b"mp4a": "aac",
    b"alac": "alac",
    b"Opus": "opus",
    b"fLaC": "flac",
    b".mp1": "mp1",
    b".mp2": "mp2",
    b".mp3": "mp3",
    b"ms\0\x55": "mp3",
    b"mp3 ": "mp3",
    b"ac-3": "ac3",
    b"sac3": "ac3",
    b"ec-3": "eac3",
    b"ac-4": "ac4",
    b"samr": "amr_nb",
    b"sawb": "amr_wb",
    b"ulaw": "pcm_mulaw",
    b"alaw": "pcm_alaw",
    b"ima4": "adpcm_ima_qt",
    b"ms\0\x02": "adpcm_ms",
    b"ms\0\x11": "adpcm_ima_wav",
    b"agsm": "gsm",
    b"MAC3": "mace3",
    b"MAC6": "mace6",
    b"QDM2": "qdm2",
    b"QDMC": "qdmc",
    b"Qclp": "qcelp",
    b"sqcp": "qcelp",
    b"sevc": "evrc",
    b"dtsc": "dts",
    b"dtsh": "dts",
    b"dtsl": "dts",
    b"dtse": "dts",
    b"mlpa": "truehd",
    b"spex": "speex",
    b"mha1": "mpegh_3d_audio",
    b"mhm1": "mpegh_3d_audio",
}
_PCM = {
    b"sowt": "s{}le",
    b"twos": "s{}be",
    b"raw ": "u8",
    b"NONE": "s{}be",
    b"in24": "s24be",
    b"in32": "s32be",
    b"fl32": "f32be",
    b"fl64": "f64be",
    b"lpcm": "",
    b"ipcm": "",
    b"fpcm": "",
}
_OBJECT_TYPES = {
    0x40: "aac",
    0x66: "aac",
    0x67: "aac",
    0x68: "aac",
    0x69: "mp3",
    0x6B: "mp3",
    0xA5: "ac3",
    0xA6: "eac3",
    0xA9: "dts",
    0xAA: "dts",
    0xAC: "dts",
    0xAD: "opus",
    0xDD: "vorbis",
    0xE1: "qcelp",
}
_WORDS = {
    "opus": "opus",
    "flac": "flac",
    "alac": "alac",
    "mp3": "mp4a.6B",
    "ac3": "ac-3",
    "eac3": "ec-3",
    "amr_nb": "samr",
    "amr_wb": "sawb",
    "vorbis": "vorbis",
}
_DTS = {
    b"dtsc": "DTS",
    b"dtsh": "DTS-HD",  # a core with any extensions
    b"dtsl": "DTS-HD Master Audio",
    b"dtse": "DTS Express",
}
_AC3_CHANNELS = (2, 1, 2, 3, 3, 4, 4, 5)  # by acmod (TS 102 366 table 4.3)
_LOSSLESS = ("alac", "flac", "truehd")


def boxes(data: bytes, start: int = 0) -> Iterator[Tuple[bytes, int, int]]:
    """(name, start, stop) of the contents of the boxes in `data`; ends where they make no sense."""
    while start + 8 <= len(data):
        size = int.from_bytes(data[start : start + 4], "big")
        if size == 0:
            size = len(data) - start
        if size < 8:
            return
        yield data[start + 4 : start + 8], start + 8, min(start + size, len(data))
        start += size


def parse_sample_entry(data: bytes, offset: int) -> Codec:
    """The sample entry in `data`, size and name included; `offset`, where it lies, is for the error
    only."""
    name = data[4:8]
    if len(data) < 36:
        raise NotAudio(f"a sound description of {len(data)} bytes", offset)
    version, channels, bits, rate = struct.unpack_from(">H6xHH4xI", data, 16)
    rate = rate if name == b"mlpa" else rate >> 16  # TrueHD, of up to 192 kHz, fills all 32 bits
    behind, flags = 36, None
    if version == 1 and len(data) >= 52 and not _has_box_at(data, 36):
        behind = 52
    elif version == 2 and len(data) >= 72:
        rate, channels, _, bits, flags = struct.unpack_from(">dIIII", data, 40)
        rate, behind = int(rate) if 0 < rate < _MAX_RATE else 0, 72
    children = dict(_children(data, behind))
    is_encrypted = name == b"enca"
    if is_encrypted and b"sinf" in children:
        for inner, start, stop in boxes(children[b"sinf"]):
            name = children[b"sinf"][start:stop][:4] if inner == b"frma" else name
    found = _from_children(name, children, offset) or Codec(_codec_name(name, offset), rate, channels, "")
    if name in _PCM:
        found = _pcm(name, children, rate, channels, bits, flags)
    codec = found._replace(
        sample_rate=found.sample_rate or rate,
        channels=found.channels or channels,
        codecs=found.codecs or _WORDS.get(found.codec) or _word(name),
        is_encrypted=is_encrypted,
        bits=found.bits or (bits if found.codec in _LOSSLESS else None),
    )
    if codec.codec in ("amr_nb", "amr_wb"):
        codec = codec._replace(sample_rate=8000 if codec.codec == "amr_nb" else 16000, channels=1)
    if codec.codec in ("pcm_mulaw", "pcm_alaw"):
        codec = codec._replace(bits=8, sample_format=codec.codec[4:].replace("mulaw", "ulaw"), frame_bytes=channels)
    if not 0 < codec.channels <= _MAX_CHANNELS or not 0 < codec.sample_rate <= _MAX_RATE:
        raise NotAudio(f"{codec.codec} with {codec.channels} channels at {codec.sample_rate} Hz", offset)
    return codec


def _has_box_at(data: bytes, at: int) -> bool:
    """Some ISO files say version 1 but have no QuickTime fields: a known box stands there at
    once."""
    return data[at + 4 : at + 8] in (
        b"esds",
        b"alac",
        b"dOps",
        b"dfLa",
        b"dac3",
        b"dec3",
        b"pcmC",
        b"srat",
        b"chnl",
    )


def _children(data: bytes, start: int) -> Iterator[Tuple[bytes, bytes]]:
    """The boxes of an entry, and those in QuickTime's wave box."""
    for name, begin, stop in boxes(data, start):
        yield name, data[begin:stop]
        if name == b"wave":
            for inner, at, end in boxes(data[:stop], begin):
                yield inner, data[at:end]


def _word(name: bytes) -> str:
    """A sample entry's name as the word of RFC 6381; "" for QuickTime's "ms" and a number: no media
    type can say that."""
    word = name.decode("latin-1").strip()
    return word if word.isascii() and word.replace("-", "").isalnum() else ""


def _codec_name(name: bytes, offset: int) -> str:
    if name in _NAMES or name in _PCM:
        return _NAMES.get(name, "")
    raise NotAudio(f"MP4 with the unknown codec {name.decode('latin-1')!r}", offset)


def _from_children(name: bytes, children: Dict[bytes, bytes], offset: int) -> Optional[Codec]:
    """What the codec's own box says."""
    if b"esds" in children and name in (b"mp4a", b"mp4s", b"owma"):
        return _elementary_stream(children[b"esds"][4:])
    if name == b"alac" and len(children.get(b"alac", b"")) >= 4 + ALAC_CONFIG_BYTES:
        alac = parse_alac_config(children[b"alac"][4:])
        return Codec("alac", alac.sample_rate, alac.channels, "", bits=alac.bits, sample_format="int")
    if name == b"Opus" and len(children.get(b"dOps", b"")) >= 11:
        _, channels, pre_skip, rate = struct.unpack_from(">BBHI", children[b"dOps"])
        if rate > _MAX_OPUS_INPUT_RATE:  # a copy of OpusHead, whose fields are little endian
            pre_skip = pre_skip >> 8 | (pre_skip & 0xFF) << 8
        return Codec("opus", 48000, channels, "", pre_skip=pre_skip)
    if name == b"fLaC" and len(children.get(b"dfLa", b"")) >= 8 + STREAMINFO_BYTES:
        info = parse_stream_info(children[b"dfLa"][8:], offset)
        return Codec("flac", info.sample_rate, info.channels, "", bits=info.bits, sample_format="int")
    if len(children.get(b"dac3", b"")) >= 3:
        packed = int.from_bytes(children[b"dac3"][:3], "big")
        return Codec("ac3", _ac3_rate(packed >> 22), _AC3_CHANNELS[packed >> 11 & 7] + (packed >> 10 & 1), "")
    if len(children.get(b"dec3", b"")) >= 5:
        return _enhanced_ac3(children[b"dec3"])
    if name in _DTS:
        return _dts(name, children.get(b"ddts", b""))
    return None


def _dts(name: bytes, data: bytes) -> Optional[Codec]:
    """"ddts" (TS 102 114 annex E): the largest rate, the speakers, and of lossless sound the bits."""
    found = dts_header.specific_box(data)
    if found is None or not found.sample_rate:
        return None
    is_lossless = name == b"dtsl" or name == b"dtsh" and found.is_lossless
    profile, bits = (_DTS[b"dtsl"], found.bits) if is_lossless else (_DTS[name], None)
    return Codec("dts", found.sample_rate, found.channels, "", profile, bits, "int" if bits else None)


def _ac3_rate(code: int) -> int:
    return (48000, 44100, 32000, 0)[code & 3]


def _enhanced_ac3(data: bytes) -> Codec:
    """13 bits data rate, 3 substreams - 1; each 2 rate, 5 bsid, 1, 1, 3 bsmod, 3 acmod, 1 lfe, 3, 4
    dependent substreams and, if any, 9 bits of where their channels are (annex F.6)."""
    packed = int.from_bytes(data[2:6].ljust(4, b"\0"), "big")
    channels = _AC3_CHANNELS[packed >> 17 & 7] + (packed >> 16 & 1)
    if packed >> 9 & 15:  # pairs Lc/Rc, Lrs/Rrs, Lsd/Rsd, Lw/Rw, Lvh/Rvh; singles Cs, Ts, Cvh, LFE2
        places = packed & 0x1FF
        channels += sum((2, 2, 1, 1, 2, 2, 2, 1, 1)[bit] for bit in range(9) if places >> bit & 1)
    return Codec("eac3", _ac3_rate(packed >> 30), channels, "")


def _elementary_stream(data: bytes) -> Optional[Codec]:
    """ES_Descriptor: tag 3, u16 id, flags; in it tag 4, u8 object type, 12 bytes; in it tag 5, the
    config."""
    object_type, config = 0, b""
    position = 0
    while position + 2 <= len(data):
        tag = data[position]
        size, position = _descriptor_size(data, position + 1)
        if tag == 3 and position + 3 <= len(data):
            flags = data[position + 2]
            position += 3 + (2 if flags & 0x80 else 0) + (2 if flags & 0x20 else 0)
            position += 1 + data[position] if flags & 0x40 and position < len(data) else 0
        elif tag == 4:
            object_type = data[position] if position < len(data) else 0
            position += 13
        else:
            config = data[position : position + size] if tag == 5 else config
            position += size
    codec = _OBJECT_TYPES.get(object_type)
    if codec is None:
        return None
    if codec != "aac":
        return Codec(codec, 0, 0, f"mp4a.{object_type:02X}")
    aac = parse_aac_config(config)
    if object_type != 0x40:
        profile = ("Main", "LC", "SSR")[object_type - 0x66]
        return Codec(
            "aac",
            aac.sample_rate if aac else 0,
            aac.channels if aac else 0,
            f"mp4a.{object_type:02X}",
            profile,
        )
    if aac is None:
        return Codec("aac", 0, 0, "mp4a.40.2")
    if aac.object_type in (32, 33, 34):
        return Codec(f"mp{aac.object_type - 31}", aac.sample_rate, aac.channels, f"mp4a.40.{aac.object_type}")
    if aac.object_type == 36:
        return Codec("als", aac.sample_rate, 0, "mp4a.40.36")
    return Codec("aac", aac.sample_rate, aac.channels, f"mp4a.40.{aac.object_type}", aac.profile)


def _descriptor_size(data: bytes, position: int) -> Tuple[int, int]:
    size = 0
    for _ in range(4):
        byte = data[position] if position < len(data) else 0
        position += 1
        size = size << 7 | byte & 0x7F
        if not byte & 0x80:
            break
    return size, position


def _pcm(
    name: bytes,
    children: Dict[bytes, bytes],
    rate: int,
    channels: int,
    bits: int,
    flags: Optional[int],
) -> Codec:
    """PCM by QuickTime's names, by version 2's flags, or by the box of ISO/IEC 23003-5."""
    kind = _PCM[name].format((bits + 7) // 8 * 8 or 16)
    if name == b"lpcm":
        flags = flags or 0  # 1 float, 2 big endian, 4 signed
        order = "be" if flags & 2 else "le"
        kind = f"{'f' if flags & 1 else 's' if flags & 4 or bits > 8 else 'u'}{bits}{order}"
    elif name in (b"ipcm", b"fpcm"):
        box = children.get(b"pcmC", b"")
        bits = box[5] if len(box) >= 6 else bits
        order = "le" if len(box) >= 6 and box[4] & 1 else "be"
        kind = f"{'s' if name == b'ipcm' else 'f'}{bits}{order}"
    elif children.get(b"enda", b"\0\0")[:2] == b"\0\1":
        kind = kind[:-2] + "le"
    if name in (b"in24", b"in32", b"fl32", b"fl64", b"raw "):
        bits = int(kind[1:3].strip("b")) if kind[1:3].isdigit() else 8
    kind = kind[:2] if kind[1:] in ("8le", "8be") else kind
    style = "float" if kind[0] == "f" else "int"
    return Codec(
        f"pcm_{kind}",
        rate,
        channels,
        "",
        bits=bits,
        sample_format=style,
        frame_bytes=(bits + 7) // 8 * channels,
    )
