"""Codecs of Matroska: what a track's header says of its audio, and how long its packets sound.

RFC 9559 section 5.1.4 (tracks) and the Matroska codec mappings.  Looks at the header of a track, never at
blocks: a `Track` knows how a packet is measured by its first bytes.  Raises NotAudio where the codec is not
known, or the track makes no sense.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Callable, Dict, NamedTuple, Optional

from audiokit.formats import ebml, xiph
from audiokit.formats.aac_config import parse_aac_config
from audiokit.formats.alac import ALAC_CONFIG_BYTES, alac_packet_samples, parse_alac_config, unwrapped
from audiokit.formats.dts_header import parse_core
from audiokit.formats.ebml import Element
from audiokit.formats.flac_frame import STREAMINFO_BYTES, parse_frame, parse_stream_info
from audiokit.formats.info import NotAudio
from audiokit.formats.mpeg_header import parse_header
from audiokit.formats.source import Source
from audiokit.formats.wave_format import parse_wave_format
from audiokit.formats.wavpack import is_float, is_hybrid, valid_bits

# IDs of a track's header
_NUMBER, _CODEC_ID, _CODEC_PRIVATE, _CODEC_DELAY, _DEFAULT_DURATION = 0xD7, 0x86, 0x63A2, 0x56AA, 0x23E383
_RATE, _OUTPUT_RATE, _CHANNELS, _BIT_DEPTH = 0xB5, 0x78B5, 0x9F, 0x6264
# How packets are stored (RFC 9559 section 5.1.4.1.31): ContentEncodings ( ContentEncoding (
# ContentEncodingScope ContentEncodingType ContentCompression ( ContentCompAlgo ContentCompSettings ) ) )
_ENCODINGS, _SCOPE, _TYPE, _COMPRESSION, _ALGORITHM, _SETTINGS = 0x6D80, 0x5032, 0x5033, 0x5034, 0x4254, 0x4255
_OF_PACKETS, _ENCRYPTED, _HEADER_STRIPPING = 1, 1, 3  # a bit of the scope, a type, an algorithm
_MAX_CHANNELS = 1024
_MAX_RATE = 16_000_000  # Hz

_LOSSLESS = ("flac", "alac", "tta", "wavpack", "truehd", "mlp")
_PLAIN = {
    "A_MPEG/L1": "mp1",
    "A_MPEG/L2": "mp2",
    "A_MPEG/L3": "mp3",
    "A_AC3": "ac3",
    "A_EAC3": "eac3",
    "A_DTS": "dts",
    "A_TRUEHD": "truehd",
    "A_MLP": "mlp",
    "A_TTA1": "tta",
    "A_WAVPACK4": "wavpack",
    "A_ALAC": "alac",
    "A_VORBIS": "vorbis",
    "A_OPUS": "opus",
    "A_FLAC": "flac",
    "A_AAC": "aac",
    "A_QUICKTIME/QDM2": "qdm2",
    "A_REAL/COOK": "cook",
    "A_ATRAC/AT1": "atrac1",
}


class Track(NamedTuple):
    """An audio track, as its header says."""

    number: int
    codec: str
    sample_rate: int
    channels: int
    word: str  # for codecs=
    profile: Optional[str] = None
    bits: Optional[int] = None
    sample_format: Optional[str] = None
    delay: float = 0.0  # seconds that the decoder makes to warm up and nobody hears
    default_duration: float = 0.0  # seconds a frame, 0 where not told
    byte_rate: int = 0  # bytes a second on average, 0 where not told
    packet_samples: Optional[Callable[[bytes, int], int]] = None  # by a packet's head and its size
    is_encrypted: bool = False
    is_lossless: bool = False


def audio_track(source: Source, values: Dict[int, Element], offset: int) -> Track:
    """The track whose header holds these elements, by ID; `offset`, where it lies, is for the error only."""

    def unsigned(name: int, default: int) -> int:
        return ebml.unsigned(source, values[name]) if name in values else default

    def real(name: int, default: float) -> float:
        return ebml.real(source, values[name]) if name in values else default

    name = ebml.text(source, values[_CODEC_ID]) if _CODEC_ID in values else ""
    private = ebml.binary(source, values[_CODEC_PRIVATE]) if _CODEC_PRIVATE in values else b""
    family = name.split("/")[0] if name.startswith(("A_AAC", "A_AC3", "A_DTS")) else name
    track = Track(
        number=unsigned(_NUMBER, 0),
        codec=_PLAIN.get(family, ""),
        sample_rate=round(real(_OUTPUT_RATE, 0.0)) or round(real(_RATE, 8000.0)),  # as presented, as coded
        channels=unsigned(_CHANNELS, 1),
        word="",
        bits=unsigned(_BIT_DEPTH, 0) or None,
        delay=unsigned(_CODEC_DELAY, 0) / 1e9,
        default_duration=unsigned(_DEFAULT_DURATION, 0) / 1e9,
    )
    track = _with_codec(track, name, private, offset)
    if _ENCODINGS in values:
        for encoding in ebml.children(source, values[_ENCODINGS]):
            track = _with_encoding(source, track, encoding)
    if not 0 < track.sample_rate <= _MAX_RATE or not 0 < track.channels <= _MAX_CHANNELS:
        raise NotAudio(f"Matroska with {track.channels} channels at {track.sample_rate} Hz", offset)
    is_lossless = track.codec in _LOSSLESS or track.sample_format in ("int", "float")
    return track._replace(
        word=track.word or track.codec,
        bits=track.bits if is_lossless or track.sample_format else None,
        is_lossless=is_lossless,
    )


def with_first_packet(track: Track, packet: bytes) -> Track:
    """The track with what only a packet tells: of WavPack whether it is hybrid, and of which samples."""
    if track.codec != "wavpack" or track.packet_samples is None or len(packet) < 8:
        return track
    flags = int.from_bytes(packet[4:8], "little")
    return track._replace(
        profile="hybrid" if is_hybrid(flags) else "lossless",
        bits=valid_bits(flags),
        sample_format="float" if is_float(flags) else "int",
        is_lossless=not is_hybrid(flags),
    )


def _with_codec(track: Track, name: str, private: bytes, offset: int) -> Track:
    """The track with what its codec's own header says, and a way to measure its packets."""
    if name.startswith("A_PCM/"):
        return _with_pcm(track, name, offset)
    if name == "A_MS/ACM":
        wave = parse_wave_format(private, offset)
        is_told = wave.is_linear or wave.samples_per_block > 0
        return track._replace(
            codec=wave.codec,
            bits=wave.valid_bits,
            sample_format=wave.sample_format,
            byte_rate=wave.byte_rate,
            packet_samples=(lambda packet, size: wave.samples_in(size)) if is_told else None,
        )
    if not track.codec:
        raise NotAudio(f"Matroska with the unknown codec {name!r}", offset)
    if track.codec == "opus":
        return _with_opus(track, private)
    if track.codec == "vorbis":
        return _with_vorbis(track, private)
    if track.codec == "flac" and len(private) >= 8 + STREAMINFO_BYTES:
        return _with_flac(track, private, offset)
    if track.codec == "aac":
        return _with_aac(track, name, private)
    if track.codec == "alac" and len(unwrapped(private)) >= ALAC_CONFIG_BYTES:
        return _with_alac(track, unwrapped(private))
    style = "int" if track.codec in ("alac", "truehd", "mlp") else None
    return track._replace(packet_samples=_BY_HEAD.get(track.codec), sample_format=style)


def _with_encoding(source: Source, track: Track, encoding: Element) -> Track:
    """The track with packets as they are stored: without a beginning that all have in common, or
    compressed or encrypted, so that their heads tell nothing."""
    parts = {part.id: part for part in ebml.children(source, encoding)}
    scope = ebml.unsigned(source, parts[_SCOPE]) if _SCOPE in parts else _OF_PACKETS
    if not scope & _OF_PACKETS:
        return track
    if _TYPE in parts and ebml.unsigned(source, parts[_TYPE]) == _ENCRYPTED:
        return track._replace(packet_samples=None, is_encrypted=True)
    how = {part.id: part for part in ebml.children(source, parts[_COMPRESSION])} if _COMPRESSION in parts else {}
    measure = track.packet_samples
    if measure is None or _ALGORITHM not in how or ebml.unsigned(source, how[_ALGORITHM]) != _HEADER_STRIPPING:
        return track._replace(packet_samples=None)
    common = ebml.binary(source, how[_SETTINGS]) if _SETTINGS in how else b""
    return track._replace(packet_samples=lambda packet, size: measure(common + packet, size + len(common)))


def _with_pcm(track: Track, name: str, offset: int) -> Track:
    kind = {"A_PCM/INT/LIT": "s{}le", "A_PCM/INT/BIG": "s{}be", "A_PCM/FLOAT/IEEE": "f{}le"}.get(name)
    if kind is None or track.bits not in (8, 16, 24, 32, 64):
        raise NotAudio(f"Matroska with {name} of {track.bits} bits", offset)
    unit = max(track.bits // 8 * track.channels, 1)
    return track._replace(
        codec="pcm_u8" if track.bits == 8 else "pcm_" + kind.format(track.bits),
        sample_format="float" if "FLOAT" in name else "int",
        packet_samples=lambda packet, size: size // unit,
    )


def _with_opus(track: Track, private: bytes) -> Track:
    head = xiph.parse_opus_head(private)
    return track._replace(
        sample_rate=xiph.OPUS_RATE,
        channels=head.channels if head else track.channels,
        delay=head.pre_skip / xiph.OPUS_RATE if head else track.delay,  # CodecDelay says the same, or is wrong
        packet_samples=lambda packet, size: _opus_samples(packet[:2]),
    )


def _with_vorbis(track: Track, private: bytes) -> Track:
    """CodecPrivate: u8 packets - 1, their sizes in Xiph's lacing, the three header packets."""
    first, position = xiph.laced_size(private, 1)
    second, position = xiph.laced_size(private, position)
    head = xiph.parse_vorbis_head(private[position : position + first])
    if head is None:
        return track
    modes = xiph.parse_vorbis_modes(private[position + first + second :])
    clock = xiph.VorbisClock(head, modes)
    is_first_packet = round(track.delay * head.sample_rate) in (head.blocks[0] // 2, head.blocks[1] // 2)
    return track._replace(
        delay=0.0 if is_first_packet else track.delay,  # half a block, of which nothing comes out anyway (4.3.8)
        sample_rate=head.sample_rate,
        channels=head.channels,
        packet_samples=(lambda packet, size: clock.samples(packet)) if modes else None,
    )


def _with_flac(track: Track, private: bytes, offset: int) -> Track:
    info = parse_stream_info(private[8:], offset)

    def samples(packet: bytes, size: int) -> int:
        frame = parse_frame(packet, 0, info)
        return frame.block_size if frame else 0

    return track._replace(
        sample_rate=info.sample_rate,
        channels=info.channels,
        bits=info.bits,
        sample_format="int",
        packet_samples=samples,
    )


def _with_alac(track: Track, private: bytes) -> Track:
    config = parse_alac_config(private)
    return track._replace(
        sample_rate=config.sample_rate,
        channels=config.channels,
        bits=config.bits,
        sample_format="int",
        packet_samples=lambda packet, size: alac_packet_samples(packet, config.frame_samples),
    )


def _with_aac(track: Track, name: str, private: bytes) -> Track:
    config = parse_aac_config(private)
    if config is None and name.endswith("/SBR"):  # as was written before there was a CodecPrivate
        return track._replace(profile="HE-AAC", word="mp4a.40.5", packet_samples=lambda packet, size: 2048)
    if config is None:
        return track._replace(word="mp4a.40.2", packet_samples=lambda packet, size: 1024)
    samples = config.frame_samples * (config.sample_rate // config.core_rate)  # twice as many with SBR
    return track._replace(
        profile=config.profile,
        word=f"mp4a.40.{config.object_type}",
        sample_rate=config.sample_rate,
        channels=config.channels or track.channels,
        packet_samples=lambda packet, size: samples,
    )


# -- packets that tell by themselves -------------------------------------------------------------------


@lru_cache(maxsize=1024)
def _opus_samples(start: bytes) -> int:
    """Samples of an Opus packet, which its first two bytes tell (RFC 6716 section 3)."""
    return xiph.opus_packet_samples(start)


def _mpeg_samples(packet: bytes, size: int) -> int:
    header = parse_header(packet)
    return header.samples_per_frame if header else 0


def _ac3_samples(packet: bytes, size: int) -> int:
    """Samples of an AC-3 frame, or of an E-AC-3 frame by its number of blocks (TS 102 366 E.1.3.1)."""
    if len(packet) < 6 or packet[:2] != b"\x0b\x77":
        return 0
    if packet[5] >> 3 <= 10:
        return 1536
    blocks = packet[4] >> 4 & 3 if packet[4] >> 6 != 3 else 3
    return (256, 512, 768, 1536)[blocks]


def _dts_samples(packet: bytes, size: int) -> int:
    """A core frame; a packet of extensions only tells nothing."""
    core = parse_core(packet)
    return core.samples if core else 0


def _wavpack_samples(packet: bytes, size: int) -> int:
    """A block's header without what Matroska tells: u32 samples, flags, checksum."""
    return int.from_bytes(packet[:4], "little") % (1 << 20)


_BY_HEAD: Dict[str, Callable[[bytes, int], int]] = {
    "mp1": _mpeg_samples,
    "mp2": _mpeg_samples,
    "mp3": _mpeg_samples,
    "ac3": _ac3_samples,
    "eac3": _ac3_samples,
    "dts": _dts_samples,
    "wavpack": _wavpack_samples,
}
