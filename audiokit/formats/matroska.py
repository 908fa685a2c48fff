"""Matroska and WebM: the codec by its track, the length by Duration and by the last blocks.

RFC 9559 (Matroska), RFC 8794 (EBML), the Matroska codec mappings and WebM's guidelines.  Reads the
headers before
the clusters, what the seek head names, and the end; a live recording without Duration is walked
cluster by
cluster.  Raises NotAudio where no track is audio, Damaged where no block of it is there.

    element  ID of 1 to 4 bytes, size of 1 to 8 bytes (leading zeros tell how many; all ones:
    unknown), content
    Segment ( SeekHead  Info ( TimestampScale Duration )  Tracks  Tags  Attachments  Cluster (
    Timestamp Block… ) )
    block    track as a number like a size, i16 timestamp, u8 flags (6: lacing), frames
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple

from audiokit.formats import tags as tagging
from audiokit.formats import xiph
from audiokit.formats.aac_config import parse_aac_config
from audiokit.formats.flac_frame import STREAMINFO_BYTES, parse_frame, parse_stream_info
from audiokit.formats.info import AudioInfo, Damaged, NotAudio, Picture, Tags
from audiokit.formats.mpeg_header import parse_header
from audiokit.formats.pictures import mime_of
from audiokit.formats.source import Source
from audiokit.formats.wave_format import parse_wave_format

_EBML, _SEGMENT, _SEEK_HEAD, _INFO, _TRACKS = (
    0x1A45DFA3,
    0x18538067,
    0x114D9B74,
    0x1549A966,
    0x1654AE6B,
)
_CLUSTER, _TAGS, _ATTACHMENTS, _CUES = 0x1F43B675, 0x1254C367, 0x1941A469, 0x1C53BB6B
_TOP = (_SEEK_HEAD, _INFO, _TRACKS, _CLUSTER, _TAGS, _ATTACHMENTS, _CUES, 0x1043A770, 0xEC, 0xBF)
_TIMESTAMP, _SIMPLE_BLOCK, _BLOCK_GROUP, _BLOCK, _PADDING = 0xE7, 0xA3, 0xA0, 0xA1, 0x75A2
_MAX_ELEMENTS = 1_000_000  # in all, plain blocks apart: a day of blocks of 100 ms
_MAX_PLAIN = 10_000_000  # plain blocks: two days of 20 ms, some 6 s of CPU time
_MAX_IDLE = 1 << 14  # elements in a row that are no block; of a true file a dozen
_MAX_CHILDREN = 10_000  # of one element that is not a cluster
_MAX_VALUE = 1 << 16  # bytes of a value that is read
_VIDEO, _AUDIO = 1, 2  # TrackType


class _Element(NamedTuple):
    id: int
    start: int  # offset of the content
    stop: int  # offset behind it, the parent's end where the size is unknown
    is_unknown: bool


class _Track(NamedTuple):
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
    packet_samples: Optional[Callable[[bytes, int], int]] = (
        None  # by the packet's head and its size
    )


class _Blocks(NamedTuple):
    """What walking the clusters found of a track."""

    samples: int
    first: Optional[float]  # seconds
    end: float  # seconds at which the last block ends
    padding: float  # seconds of the last block that are not presented
    bytes: int
    last_length: float  # seconds of the last block, as far as known
    is_counted: bool  # every packet's length is known
    is_cut: bool


def matches(head: bytes) -> bool:
    """EBML's magic."""
    return head[:4] == b"\x1aE\xdf\xa3"


def read(source: Source, start: int = 0) -> AudioInfo:
    """The Matroska or WebM file at `start`."""
    doc_type, segment = _segment(source, start)
    movie = _Movie(source, segment)
    movie.scan()
    if not movie.tracks:
        kinds = "video without audio" if movie.has_video else "no audio track"
        raise movie.unknown or NotAudio(f"a Matroska file with {kinds}", segment.start)
    if not movie.first_cluster:
        raise Damaged("a Matroska file without a cluster", segment.start)
    track = movie.tracks[0]
    blocks = _walk(source, segment, movie, track)
    if blocks.first is None:
        raise Damaged(f"Matroska with {track.codec}, but no block of it", movie.first_cluster)
    return _describe(doc_type, movie, track, blocks)


# Elements -----------------------------------------------------------------------------------------


def _number(data: bytes, at: int, keep_marker: bool) -> Tuple[int, int, bool]:
    """(value, bytes, all ones) of the variable-size integer at `at`; 0 bytes where there is
    none."""
    first = data[at] if at < len(data) else 0
    length = 9 - first.bit_length()
    if not first or at + length > len(data) or keep_marker and length > 4:
        return 0, 0, False
    value = int.from_bytes(data[at : at + length], "big")
    bits = value & ((1 << 7 * length) - 1)
    return value if keep_marker else bits, length, bits == (1 << 7 * length) - 1


def _element(data: bytes, at: int, base: int, stop: int) -> Optional[_Element]:
    """The element at `at` of `data`, which begins at `base` of the file and may not pass `stop`."""
    name, name_bytes, _ = _number(data, at, True)
    size, size_bytes, is_unknown = _number(data, at + name_bytes, False)
    if not name_bytes or not size_bytes:
        return None
    content = base + at + name_bytes + size_bytes
    return _Element(name, content, stop if is_unknown else content + size, is_unknown)


def _children(source: Source, parent: _Element) -> Iterator[_Element]:
    """The elements in one that is not a cluster."""
    position = parent.start
    for _ in range(_MAX_CHILDREN):
        if position >= min(parent.stop, source.size):
            return
        element = _element(source.read(position, 16), 0, position, parent.stop)
        if element is None or element.stop > parent.stop:
            return
        yield element
        position = element.stop


def _unsigned(source: Source, element: _Element) -> int:
    return int.from_bytes(source.read(element.start, min(element.stop - element.start, 8)), "big")


def _float(source: Source, element: _Element) -> float:
    data = source.read(element.start, min(element.stop - element.start, 8))
    value = struct.unpack(">f" if len(data) == 4 else ">d", data)[0] if len(data) in (4, 8) else 0.0
    return value if 0 <= value < 1e18 else 0.0


def _text(source: Source, element: _Element) -> str:
    data = source.read(element.start, min(element.stop - element.start, _MAX_VALUE))
    return tagging.utf8_or_cp1252(data)


def _binary(source: Source, element: _Element) -> bytes:
    return source.read(element.start, min(element.stop - element.start, _MAX_VALUE))


def _segment(source: Source, start: int) -> Tuple[str, _Element]:
    head = _element(source.read(start, 16), 0, start, source.size)
    if head is None or head.id != _EBML or head.stop > source.size:
        raise NotAudio("starts like Matroska, but its head makes no sense", start)
    doc_type = "matroska"
    for element in _children(source, head):
        if element.id == 0x4282:
            doc_type = _text(source, element)
    if doc_type not in ("matroska", "webm"):
        raise NotAudio(f"an EBML file of {doc_type!r}, not Matroska or WebM", head.start)
    position = head.stop
    for _ in range(16):  # Void and CRC may stand between
        element = _element(source.read(position, 16), 0, position, source.size)
        if element is None:
            break
        if element.id == _SEGMENT:
            return doc_type, element
        position = element.stop
    raise NotAudio("a Matroska file without a segment", head.stop)


# Headers ------------------------------------------------------------------------------------------


class _Movie:
    """What stands around the clusters."""

    def __init__(self, source: Source, segment: _Element) -> None:
        self.tracks: List[_Track] = []
        self.has_video = False
        self.unknown: Optional[NotAudio] = None
        self.scale = 1e-6  # seconds a tick
        self.duration = 0.0  # seconds, 0 where not told
        self.first_cluster = 0
        self.tags: Tags = {}
        self.pictures: List[Picture] = []
        self._source = source
        self._segment = segment
        self._seen: set = set()

    def scan(self) -> None:
        """Read what stands before the first cluster, and what the seek head says stands behind."""
        position, elsewhere = self._segment.start, []
        for _ in range(_MAX_CHILDREN):
            element = _element(self._source.read(position, 16), 0, position, self._segment.stop)
            if element is None:
                break
            if element.id == _CLUSTER:
                self.first_cluster = position
                break
            if element.id == _SEEK_HEAD:
                elsewhere += self._seek(element)
            self._take(element)
            if element.is_unknown:
                break
            position = element.stop
        for position in elsewhere[:64]:
            element = _element(self._source.read(position, 16), 0, position, self._segment.stop)
            if element is not None and element.stop <= self._source.size:
                self._take(element)

    def _seek(self, element: _Element) -> List[int]:
        found = []
        for seek in _children(self._source, element):
            for part in _children(self._source, seek):
                if part.id == 0x53AC:
                    found.append(self._segment.start + _unsigned(self._source, part))
        return found

    def _take(self, element: _Element) -> None:
        if element.start in self._seen:
            return
        self._seen.add(element.start)
        if element.id == _INFO:
            self._take_info(element)
        elif element.id == _TRACKS:
            for entry in _children(self._source, element):
                if entry.id == 0xAE and len(self.tracks) < 64:
                    self._take_track(entry)
        elif element.id == _TAGS:
            self._take_tags(element)
        elif element.id == _ATTACHMENTS:
            self._take_attachments(element)

    def _take_info(self, info: _Element) -> None:
        duration = 0.0
        for element in _children(self._source, info):
            if element.id == 0x2AD7B1:
                self.scale = (_unsigned(self._source, element) or 1_000_000) / 1e9
            elif element.id == 0x4489:
                duration = _float(self._source, element)
            elif element.id == 0x7BA9:
                tagging.add(self.tags, "title", _text(self._source, element))
        self.duration = duration * self.scale

    def _take_track(self, entry: _Element) -> None:
        values: Dict[int, _Element] = {}
        for element in _children(self._source, entry):
            values[element.id] = element
            if element.id == 0xE1:
                values.update((inner.id, inner) for inner in _children(self._source, element))
        kind = _unsigned(self._source, values[0x83]) if 0x83 in values else 0
        self.has_video = self.has_video or kind == _VIDEO
        if kind != _AUDIO:
            return
        try:
            self.tracks.append(_audio_track(self._source, values, entry.start))
        except NotAudio as error:
            self.unknown = self.unknown or error

    def _take_tags(self, tags: _Element) -> None:
        """Tag ( Targets ( TargetTypeValue TrackUID )  SimpleTag ( TagName TagString ) ): 50 is the
        album, 30 the song."""
        found: List[Tuple[int, str, str]] = []
        for tag in _children(self._source, tags):
            level = 50
            for element in _children(self._source, tag):
                if element.id == 0x63C0:
                    for target in _children(self._source, element):
                        level = _unsigned(self._source, target) if target.id == 0x68CA else level
                        level = (
                            30 if target.id == 0x63C5 and _unsigned(self._source, target) else level
                        )
                elif element.id == 0x67C8:
                    parts = {part.id: part for part in _children(self._source, element)}
                    if 0x45A3 in parts and 0x4487 in parts:
                        name, value = (
                            _text(self._source, parts[0x45A3]),
                            _text(self._source, parts[0x4487]),
                        )
                        found.append((level, name, value))
        for level, name, value in sorted(found, key=lambda row: row[0]):
            word = tagging.canonical("matroska", name)
            if level == 50 and any(row[0] < 50 for row in found):
                word = {
                    "title": "album",
                    "artist": "albumartist",
                    "track": None,
                    "tracktotal": None,
                }.get(word or "", word)
                word = "tracktotal" if name.upper() == "TOTAL_PARTS" else word
            if (
                word
                and not word.startswith(("duration", "_statistics", "bps"))
                and word not in self.tags
            ):
                tagging.add(self.tags, word, value)

    def _take_attachments(self, attachments: _Element) -> None:
        for file in _children(self._source, attachments):
            parts = {part.id: part for part in _children(self._source, file)}
            if (
                0x465C in parts
                and 0x4660 in parts
                and _text(self._source, parts[0x4660]).startswith("image/")
            ):
                data = parts[0x465C]
                mime = mime_of(
                    self._source.read(data.start, 16), _text(self._source, parts[0x4660])
                )
                if data.stop <= self._source.size and len(self.pictures) < 64:
                    self.pictures.append(
                        Picture(mime, "front cover", data.start, data.stop - data.start)
                    )


# Codecs -------------------------------------------------------------------------------------------

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


def _audio_track(source: Source, values: Dict[int, _Element], offset: int) -> _Track:
    def unsigned(name: int, default: int) -> int:
        return _unsigned(source, values[name]) if name in values else default

    name = _text(source, values[0x86]) if 0x86 in values else ""
    private = _binary(source, values[0x63A2]) if 0x63A2 in values else b""
    rate = round(_float(source, values[0xB5])) if 0xB5 in values else 8000
    presented = round(_float(source, values[0x78B5])) if 0x78B5 in values else 0
    track = _Track(
        number=unsigned(0xD7, 0),
        codec=_PLAIN.get(
            name.split("/")[0] if name.startswith(("A_AAC", "A_AC3", "A_DTS")) else name, ""
        ),
        sample_rate=presented or rate,
        channels=unsigned(0x9F, 1),
        word="",
        bits=unsigned(0x6264, 0) or None,
        delay=unsigned(0x56AA, 0) / 1e9,
        default_duration=unsigned(0x23E383, 0) / 1e9,
    )
    track = _with_codec(track, name, private, offset)
    if not 0 < track.sample_rate <= 16_000_000 or not 0 < track.channels <= 1024:
        raise NotAudio(f"Matroska with {track.channels} channels at {track.sample_rate} Hz", offset)
    lossless = (
        track.codec in ("flac", "alac", "tta", "wavpack", "truehd", "mlp") or track.sample_format
    )
    return track._replace(word=track.word or track.codec, bits=track.bits if lossless else None)


def _with_codec(track: _Track, name: str, private: bytes, offset: int) -> _Track:
    """The track with what its codec's own header says, and a way to measure its packets."""
    if name.startswith("A_PCM/"):
        kind = {
            "A_PCM/INT/LIT": "s{}le",
            "A_PCM/INT/BIG": "s{}be",
            "A_PCM/FLOAT/IEEE": "f{}le",
        }.get(name)
        if kind is None or track.bits not in (8, 16, 24, 32, 64):
            raise NotAudio(f"Matroska with {name} of {track.bits} bits", offset)
        codec = "pcm_u8" if track.bits == 8 else "pcm_" + kind.format(track.bits)
        style, unit = "float" if "FLOAT" in name else "int", track.bits // 8 * track.channels
        return track._replace(
            codec=codec, sample_format=style, packet_samples=lambda head, size: size // max(unit, 1)
        )
    if name == "A_MS/ACM":
        wave = parse_wave_format(private, offset)
        return track._replace(
            codec=wave.codec,
            bits=wave.valid_bits,
            sample_format=wave.sample_format,
            byte_rate=wave.byte_rate,
        )
    if not track.codec:
        raise NotAudio(f"Matroska with the unknown codec {name!r}", offset)
    if track.codec == "opus":
        head = xiph.parse_opus_head(private)
        delay = (
            head.pre_skip / 48000 if head else track.delay
        )  # CodecDelay says the same, or is wrong
        return track._replace(
            sample_rate=48000,
            channels=head.channels if head else track.channels,
            delay=delay,
            packet_samples=lambda packet, size: _opus_samples(packet[:2]),
        )
    if track.codec == "vorbis":
        return _with_vorbis(track, private)
    if track.codec == "flac" and len(private) >= 8 + STREAMINFO_BYTES:
        info = parse_stream_info(private[8:], offset)

        def flac_samples(packet: bytes, size: int) -> int:
            frame = parse_frame(packet, 0, info)
            return frame.block_size if frame else 0

        return track._replace(
            sample_rate=info.sample_rate,
            channels=info.channels,
            bits=info.bits,
            sample_format="int",
            packet_samples=flac_samples,
        )
    if track.codec == "aac":
        config = parse_aac_config(private)
        if config is None:
            return track._replace(word="mp4a.40.2", packet_samples=lambda packet, size: 1024)
        scale = config.sample_rate // config.core_rate  # 2 with SBR
        return track._replace(
            profile=config.profile,
            word=f"mp4a.40.{config.object_type}",
            sample_rate=config.sample_rate,
            channels=config.channels or track.channels,
            packet_samples=lambda packet, size: 1024 * scale,
        )
    if track.codec in ("mp1", "mp2", "mp3"):

        def mpeg_samples(packet: bytes, size: int) -> int:
            header = parse_header(packet)
            return header.samples_per_frame if header else 0

        return track._replace(packet_samples=mpeg_samples)
    if track.codec in ("ac3", "eac3"):
        return track._replace(packet_samples=lambda packet, size: _ac3_samples(packet))
    if (
        track.codec == "wavpack"
    ):  # a block's header without what Matroska tells: u32 samples, flags, checksum
        return track._replace(
            packet_samples=lambda packet, size: int.from_bytes(packet[:4], "little") % (1 << 20)
        )
    return track


@lru_cache(maxsize=1024)
def _opus_samples(start: bytes) -> int:
    """Samples of an Opus packet, which its first two bytes tell (RFC 6716 section 3)."""
    return xiph.opus_packet_samples(start)


def _ac3_samples(packet: bytes) -> int:
    """Samples of an AC-3 frame, or of an E-AC-3 frame by its number of blocks (TS 102 366
    E.1.3.1)."""
    if len(packet) < 6 or packet[:2] != b"\x0b\x77":
        return 0
    if packet[5] >> 3 <= 10:
        return 1536
    blocks = packet[4] >> 4 & 3 if packet[4] >> 6 != 3 else 3
    return (256, 512, 768, 1536)[blocks]


def _with_vorbis(track: _Track, private: bytes) -> _Track:
    """CodecPrivate: u8 packets - 1, their sizes in Xiph's lacing, the three header packets."""
    sizes, position = [], 1
    for _ in range(2):
        size = 0
        while position < len(private) and private[position] == 255:
            size, position = size + 255, position + 1
        size, position = size + (private[position] if position < len(private) else 0), position + 1
        sizes.append(size)
    head = xiph.parse_vorbis_head(private[position : position + sizes[0]])
    if head is None:
        return track
    modes = xiph.parse_vorbis_modes(private[position + sum(sizes) :])
    clock = xiph.VorbisClock(head, modes)
    return track._replace(
        sample_rate=head.sample_rate,
        channels=head.channels,
        packet_samples=(lambda packet, size: clock.samples(packet)) if modes else None,
    )


# Clusters -----------------------------------------------------------------------------------------


def _walk(source: Source, segment: _Element, movie: _Movie, track: _Track) -> _Blocks:
    """Every block of the track, from the first cluster to the last."""
    walker = _Walker(source, segment, movie, track)
    walker.run()
    return walker.result()


class _Walker:
    """Goes over the elements of clusters without regard to where a cluster ends, which some do not
    tell."""

    def __init__(self, source: Source, segment: _Element, movie: _Movie, track: _Track) -> None:
        self._source, self._track, self._scale = source, track, movie.scale
        self._position = movie.first_cluster
        self._stop = segment.stop
        self._base, self._data = 0, b""
        self._cluster_time = 0
        self._samples = self._bytes = 0
        self._first: Optional[float] = None
        self._end = self._last = self._last_length = self._padding = 0.0
        self._is_counted = track.packet_samples is not None
        self._is_cut = False
        self._plain = 0  # blocks

    def run(self) -> None:
        """Visit every element, stepping into clusters and groups of blocks."""
        idle = 0
        for _ in range(_MAX_ELEMENTS):
            data, at = self._window(self._position)
            if data[at : at + 1] == b"\xa3":
                idle = 0
                at = self._plain_blocks(data, at)
                self._position = self._base + at
                if at + 48 > len(data):
                    data, at = self._window(self._position)
            if self._plain > _MAX_PLAIN:
                break
            idle += 1
            if idle > _MAX_IDLE:
                self._is_cut = True
                return
            element = _element(data, at, self._base, self._stop)
            if element is None:
                self._is_cut = (
                    self._position < min(self._source.size, self._stop) and len(data) - at < 12
                )
                return
            if element.id in (_CLUSTER, _BLOCK_GROUP):
                self._is_cut = not element.is_unknown and element.stop > self._source.size
                self._position = element.start
                continue
            if element.stop > self._source.size:
                self._is_cut = True
                return
            if element.id == _TIMESTAMP:
                self._cluster_time = _unsigned(self._source, element)
            elif element.id in (_SIMPLE_BLOCK, _BLOCK):
                idle = 0
                self._block(element)
            elif element.id == _PADDING:
                raw = self._source.read(element.start, min(element.stop - element.start, 8))
                self._padding = max(int.from_bytes(raw, "big", signed=True), 0) / 1e9
            self._position = element.stop
        self._is_counted = False  # there is more than is walked

    def _window(self, position: int) -> Tuple[bytes, int]:
        """Bytes at `position`, some 40 at least where the file has them."""
        at = position - self._base
        if not 0 <= at <= len(self._data) - 48:
            self._base, self._data = position, self._source.read(position, 1 << 12)
            at = 0
        return self._data, at

    def _plain_blocks(self, data: bytes, at: int) -> int:
        """Go over the blocks from `at` on that most files are made of, where that is quick.

        They are simple, of this track, without lacing, with sizes of one or two bytes, and of
        packets that tell their length.  Returns where something else stands.
        """
        samples_of = self._track.packet_samples
        number, rate = 0x80 | self._track.number, self._track.sample_rate
        if samples_of is None or number > 0xFE:
            return at
        room = self._source.size - self._base
        last = len(data) - 48
        while at <= last and data[at] == _SIMPLE_BLOCK:
            size, content = data[at + 1], at + 2
            if size > 0x80:
                size &= 0x7F
            elif 0x40 <= size < 0x80:
                size, content = (size & 0x3F) << 8 | data[content], content + 1
            else:
                break
            stop = content + size
            is_odd = size in (0x7F, 0x3FFF) or size < 5 or data[content + 3] & 6
            if is_odd or data[content] != number or stop > room:
                break
            length = samples_of(data[content + 4 : content + 28], size - 4)
            if not length:
                break
            time = data[content + 1] << 8 | data[content + 2]
            time -= (time & 0x8000) << 1
            seconds = (self._cluster_time + time) * self._scale
            self._plain += 1
            self._samples += length
            self._bytes += size - 4
            self._last_length = length / rate
            if self._first is None:
                self._first = seconds
            if seconds > self._last:
                self._last = seconds
            if seconds + self._last_length > self._end:
                self._end = seconds + self._last_length
            self._padding = 0.0
            at = stop
        return at

    def _block(self, element: _Element) -> None:
        head, at = self._window(element.start)
        number, size, _ = _number(head, at, False)
        if number != self._track.number or not size or len(head) - at < size + 3:
            return
        time = int.from_bytes(head[at + size : at + size + 2], "big", signed=True)
        seconds = (self._cluster_time + time) * self._scale
        lacing = head[at + size + 2] >> 1 & 3
        content = element.start + size + 3
        length = 0
        for start, stop in _frames(self._source, content, element.stop, lacing):
            self._bytes += stop - start
            if self._track.packet_samples:
                window, place = self._window(start)
                length += self._track.packet_samples(window[place : place + 24], stop - start)
        self._samples += length
        self._last_length = length / self._track.sample_rate or self._track.default_duration
        if not self._last_length and self._first is not None and seconds > self._last:
            self._last_length = seconds - self._last  # as long as the one before
        self._first = seconds if self._first is None else self._first
        self._last = max(self._last, seconds)
        self._end = max(self._end, seconds + self._last_length)
        self._padding = 0.0

    def result(self) -> _Blocks:
        """What was found."""
        return _Blocks(
            self._samples,
            self._first,
            self._end,
            self._padding,
            self._bytes,
            self._last_length,
            self._is_counted and self._samples > 0,
            self._is_cut,
        )


def _frames(source: Source, start: int, stop: int, lacing: int) -> List[Tuple[int, int]]:
    """Where the frames of a block lie (RFC 9559 section 10.3)."""
    if lacing == 0:
        return [(start, stop)]
    head = source.read(start, min(stop - start, 4096))
    if not head:
        return []
    count, at, sizes = head[0] + 1, 1, []
    if lacing == 2:
        sizes = [(stop - start - 1) // count] * (count - 1)
    elif lacing == 1:  # Xiph's
        while len(sizes) < count - 1 and at < len(head):
            size = 0
            while at < len(head) and head[at] == 255:
                size, at = size + 255, at + 1
            size, at = size + (head[at] if at < len(head) else 0), at + 1
            sizes.append(size)
    else:  # EBML's: the first size, then differences
        while len(sizes) < count - 1:
            value, length, _ = _number(head, at, False)
            if not length:
                break
            size = value if not sizes else sizes[-1] + value - ((1 << (7 * length - 1)) - 1)
            sizes.append(max(size, 0))
            at += length
    frames, position = [], start + at
    for size in sizes:
        frames.append((min(position, stop), min(position + size, stop)))
        position += size
    return frames + [(min(position, stop), stop)]


def _describe(doc_type: str, movie: _Movie, track: _Track, blocks: _Blocks) -> AudioInfo:
    is_alone = not movie.has_video and len(movie.tracks) == 1
    if blocks.is_counted:
        seconds = blocks.samples / track.sample_rate
    else:
        seconds = blocks.end - (blocks.first or 0.0)
        told = movie.duration - (blocks.first or 0.0)
        if is_alone and not blocks.is_cut and abs(told - seconds) < max(1.1, blocks.last_length):
            seconds = told  # the writer knows how long the last frame is
    source = "frames" if blocks.is_counted else "header"
    if not seconds and track.byte_rate:
        seconds, source = blocks.bytes / track.byte_rate, "estimate"
    seconds = max(seconds - track.delay - blocks.padding, 0.0)
    warnings: List[str] = []
    declared = None
    if movie.has_video:
        warnings.append("besides the audio there is video")
    if len(movie.tracks) > 1:
        warnings.append(f"{len(movie.tracks)} audio tracks; the first is described")
    if blocks.is_cut:
        warnings.append(f"the file ends inside a cluster: {seconds:.3f} s are playable")
        declared = movie.duration if movie.duration > seconds + 0.1 else None
    elif movie.duration and is_alone and abs(movie.duration - seconds) > 0.25:
        declared = movie.duration
        warnings.append(f"Duration says {movie.duration:.3f} s, the blocks {seconds:.3f} s")
    kind = "audio/webm" if doc_type == "webm" else "audio/x-matroska"
    return AudioInfo(
        container=doc_type,
        codec=track.codec,
        codec_profile=track.profile,
        mime=f'{kind}; codecs="{track.word}"'
        if "." in track.word
        else f"{kind}; codecs={track.word}",
        sample_rate=track.sample_rate,
        channels=track.channels,
        duration=seconds,
        duration_exact=blocks.is_counted,
        duration_source=source,
        duration_declared=declared,
        truncated=blocks.is_cut,
        bits_per_sample=track.bits,
        sample_format=track.sample_format,
        bitrate=round(blocks.bytes * 8 / seconds) if seconds else None,
        lossless=track.bits is not None,
        tags=movie.tags,
        pictures=tuple(movie.pictures),
        warnings=tuple(warnings),
        samples=round(seconds * track.sample_rate) if blocks.is_counted else None,
        audio_offset=movie.first_cluster,
        audio_bytes=blocks.bytes,
    )
