"""ASF with Windows Media Audio, from its header.

Microsoft's "Advanced Systems Format (ASF) Specification" 01.20.03.  Reads the header object; of the
data object only the first and the last packet, where the header does not tell the duration.  Raises
NotAudio where no stream is audio, Damaged where sizes make no sense.

    object  GUID, u64 size with this header, content
    header  u32 objects, 2 bytes, objects
"""

from __future__ import annotations

import struct
from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple

from audiokit.formats import tags as tagging
from audiokit.formats.info import AudioInfo, Damaged, NotAudio, Picture, Tags
from audiokit.formats.pictures import MAX_PICTURES, mime_of, type_name
from audiokit.formats.source import Source
from audiokit.formats.wave_format import WaveFormat, parse_wave_format


def _guid(text: str) -> bytes:
    """The bytes of a GUID: the first three groups are little-endian numbers."""
    a, b, c, d, e = text.split("-")
    return struct.pack("<IHH", int(a, 16), int(b, 16), int(c, 16)) + bytes.fromhex(d + e)


_HEADER = _guid("75B22630-668E-11CF-A6D9-00AA0062CE6C")
_FILE = _guid("8CABDCA1-A947-11CF-8EE4-00C00C205365")
_STREAM = _guid("B7DC0791-A9B7-11CF-8EE6-00C00C205365")
_AUDIO = _guid("F8699E40-5B4D-11CF-A8FD-00805F5C442B")
_VIDEO = _guid("BC19EFC0-5B4D-11CF-A8FD-00805F5C442B")
_CONTENT = _guid("75B22633-668E-11CF-A6D9-00AA0062CE6C")
_EXTENDED = _guid("D2D0A440-E307-11D2-97F0-00A0C95EA850")
_EXTENSION = _guid("5FBF03B5-A92E-11CF-8EE3-00C00C205365")
_METADATA = _guid("C5F8CBEA-5BAF-4877-8467-AA8C44FA4CCA")
_LIBRARY = _guid("44231C94-9498-49D1-A141-1D134E457054")
_DATA = _guid("75B22636-668E-11CF-A6D9-00AA0062CE6C")
_ENCRYPTED = (
    _guid("2211B3FB-BD23-11D2-B4B7-00A0C955FC6E"),
    _guid("298AE614-2622-4C17-B935-DAE07EE9289C"),
)

_MAX_OBJECTS = 1000
_MAX_ATTRIBUTES = 2000
_BROADCAST = 1  # flag: sizes and durations were not known when the header was written
_FILE_PROPERTIES = struct.Struct("<16sQQQQQQIIII")


class _Object(NamedTuple):
    guid: bytes
    start: int  # offset of the content
    stop: int


class _File(NamedTuple):
    """The file properties object."""

    packets: int
    seconds: float  # as presented, without what is buffered first
    preroll: float  # seconds
    is_broadcast: bool
    packet_bytes: int


def matches(head: bytes) -> bool:
    """The GUID of the header object."""
    return head[:16] == _HEADER


def read(source: Source, start: int = 0) -> AudioInfo:
    """The ASF file at `start`."""
    size = int.from_bytes(source.read(start + 16, 8), "little")
    if size < 30 or start + size > source.size:
        raise Damaged(f"the header object says {size} bytes, the file has {source.size - start}", start + 16)
    reader = _Header(source)
    reader.take(_Object(_HEADER, start + 30, start + size), 0)
    if reader.file is None:
        raise Damaged("an ASF file without file properties", start)
    if reader.audio is None:
        kind = "video without audio" if reader.has_video else "no audio stream"
        raise NotAudio(f"an ASF file with {kind}", start)
    return _describe(source, reader, _Data.of(source, start + size, reader.file))


class _Header:
    """Collects what the objects of the header say."""

    def __init__(self, source: Source) -> None:
        self.file: Optional[_File] = None
        self.audio: Optional[WaveFormat] = None
        self.has_video = self.is_encrypted = False
        self.streams = 0
        self.pictures: List[Picture] = []
        self._words: Dict[bytes, Tags] = {}  # by the kind of object that says them
        self._source = source

    @property
    def tags(self) -> Tags:
        """What all objects say: values that repeat are spread over several of them."""
        tags: Tags = {}
        for kind in (_CONTENT, _EXTENDED, _METADATA, _LIBRARY):
            for name, values in self._words.get(kind, {}).items():
                for value in [values] if isinstance(values, str) else values:
                    tagging.add(tags, name, value)
        return tags

    def take(self, parent: _Object, depth: int) -> None:
        """Read the objects in one; the header's extension holds further ones."""
        for item in _objects(self._source, parent):
            if item.guid == _FILE:
                self.file = _file(self._source, item)
            elif item.guid == _STREAM:
                self._take_stream(item)
            elif item.guid == _CONTENT:
                self._take_content(item)
            elif item.guid == _EXTENDED:
                self._take_attributes(item, "HH")
            elif item.guid in (_METADATA, _LIBRARY):
                self._take_attributes(item, "HHHHI")
            elif item.guid == _EXTENSION and depth == 0:
                self.take(_Object(item.guid, item.start + 22, item.stop), 1)
            elif item.guid in _ENCRYPTED:
                self.is_encrypted = True

    def _take_stream(self, item: _Object) -> None:
        data = self._source.read(item.start, min(item.stop - item.start, 54 + 128))
        if data[:16] == _VIDEO:
            self.has_video = True
        if data[:16] != _AUDIO:
            return
        self.streams += 1
        if self.audio is None:
            self.audio = parse_wave_format(data[54:], item.start + 54)

    def _take_content(self, item: _Object) -> None:
        """u16 lengths of title, author, copyright, description, rating; the texts in UTF-16."""
        data = self._source.read(item.start, min(item.stop - item.start, 1 << 18))
        if len(data) < 10:
            return
        position = 10
        tags = self._words.setdefault(item.guid, {})
        for name, length in zip(("title", "artist", "copyright", "comment"), struct.unpack_from("<5H", data)):
            tagging.add(tags, name, _text(data[position : position + length]))
            position += length

    def _take_attributes(self, item: _Object, numbers: str) -> None:
        """u16 count; of the extended description: u16 length, name, u16 type, u16 length, value; of
        the metadata: u16 language, u16 stream, u16 name's length, u16 type, u32 length, name,
        value."""
        position = item.start + 2
        is_metadata = len(numbers) > 2
        found: Dict[str, List[str]] = {}
        for _ in range(min(int.from_bytes(self._source.read(item.start, 2), "little"), _MAX_ATTRIBUTES)):
            head = self._source.read(position, 12)
            if len(head) < 6 or position >= item.stop:
                break
            if is_metadata:
                _, _, name_bytes, kind, size = struct.unpack("<HHHHI", head.ljust(12, b"\0"))
                name = _text(self._source.read(position + 12, name_bytes))
                value = position + 12 + name_bytes
            else:
                name_bytes = int.from_bytes(head[:2], "little")
                name = _text(self._source.read(position + 2, name_bytes))
                kind, size = struct.unpack("<HH", self._source.read(position + 2 + name_bytes, 4).ljust(4, b"\0"))
                value = position + 2 + name_bytes + 4
            if value + size > item.stop:
                break
            if name == "WM/Picture":
                self._take_picture(value, size)
            else:
                found.setdefault(name, []).append(_value(self._source, kind, value, size))
            position = value + size
        if "WM/TrackNumber" in found:
            found.pop("WM/Track", None)  # the same, counted from 0
        tags = self._words.setdefault(item.guid, {})
        for name, values in found.items():
            word = tagging.canonical("asf", name)
            fresh: Tags = {}
            for one in values:
                tagging.add(fresh, word, one)
            tagging.fill(tags, fresh)

    def _take_picture(self, offset: int, size: int) -> None:
        """u8 type, u32 length, media type and description in UTF-16 with their terminators,
        data."""
        head = self._source.read(offset, min(size, 2048))
        if len(head) < 5 or len(self.pictures) >= MAX_PICTURES:
            return
        position = 5
        for _ in range(2):
            while position + 1 < len(head) and head[position : position + 2] != b"\0\0":
                position += 2
            position += 2
        length = int.from_bytes(head[1:5], "little")
        if length and position + length <= size:
            mime = mime_of(head[position : position + 16])
            self.pictures.append(Picture(mime, type_name(head[0]), offset + position, length))


def _objects(source: Source, parent: _Object) -> Iterator[_Object]:
    position = parent.start
    for _ in range(_MAX_OBJECTS):
        head = source.read(position, 24)
        if position + 24 > parent.stop or len(head) < 24:
            return
        size = int.from_bytes(head[16:], "little")
        if size < 24 or position + size > parent.stop:
            raise Damaged(f"an ASF object of {size} bytes", position + 16)
        yield _Object(head[:16], position + 24, position + size)
        position += size


def _file(source: Source, item: _Object) -> _File:
    fields = source.unpack(_FILE_PROPERTIES, item.start)
    _, _, _, packets, play, _, preroll, flags, _, packet_bytes, _ = fields
    seconds = max(play / 1e7 - preroll / 1000, 0.0)
    return _File(packets, seconds, preroll / 1000, bool(flags & _BROADCAST), packet_bytes)


def _text(data: bytes) -> str:
    return tagging.utf16(data, "utf-16-le").split("\0", 1)[0]


def _value(source: Source, kind: int, offset: int, size: int) -> str:
    """An attribute as text: 0 is text, 2 to 5 are numbers; of others nothing."""
    if kind == 0:
        return _text(source.read(offset, min(size, 4 * tagging.MAX_CHARACTERS)))
    if kind in (2, 3, 4, 5):
        return str(int.from_bytes(source.read(offset, min(size, 8)), "little"))
    return ""


# How long it is
# ------------------------------------------------------------------------------------------------


class _Data(NamedTuple):
    """The data object: u128 file, u64 packets, u16, packets of one size."""

    offset: int  # of the first packet
    size: int  # bytes of packets that are there
    promised: int  # packets that the headers tell, 0 where they do not

    @classmethod
    def of(cls, source: Source, offset: int, file: _File) -> _Data:
        """The data object behind the header."""
        head = source.read(offset, 50)
        if head[:16] != _DATA or len(head) < 50:
            raise Damaged("an ASF file without a data object", offset)
        declared = int.from_bytes(head[16:24], "little") - 50
        rest = source.size - offset - 50
        size = min(declared, rest) if declared > 0 and not file.is_broadcast else rest
        promised = (0 if file.is_broadcast else max(int.from_bytes(head[40:48], "little"), file.packets))
        return cls(offset + 50, size, promised)


def _sent(source: Source, offset: int) -> Tuple[float, float]:
    """(send time, duration) in seconds of the packet at `offset` (section 5.2.2)."""
    data = source.read(offset, 64)
    at = 1 + (data[0] & 15) if data and data[0] & 0x80 else 0  # error correction data
    if len(data) < at + 2:
        return 0.0, 0.0
    widths = (0, 1, 2, 4)
    flags = data[at]
    at += 2 + widths[flags >> 5 & 3] + widths[flags >> 1 & 3] + widths[flags >> 3 & 3]
    if len(data) < at + 6:
        return 0.0, 0.0
    send, duration = struct.unpack_from("<IH", data, at)
    return send / 1000, duration / 1000


def _measured(source: Source, data: _Data, file: _File) -> float:
    """Seconds by the times of the first and the last whole packet."""
    packets = data.size // file.packet_bytes if file.packet_bytes else 0
    if not packets:
        return 0.0
    first, _ = _sent(source, data.offset)
    last, duration = _sent(source, data.offset + (packets - 1) * file.packet_bytes)
    return max(last + duration - first, 0.0)


def _describe(source: Source, header: _Header, data: _Data) -> AudioInfo:
    file, wave = header.file, header.audio
    there = data.size // file.packet_bytes if file.packet_bytes else 0
    is_cut = bool(data.promised) and there < data.promised
    seconds, is_measured = file.seconds, False
    warnings: List[str] = []
    measured = _measured(source, data, file)
    is_lie = measured > 0 and seconds > 60 + 10 * measured
    if is_lie:
        warnings.append(f"the header says {seconds:.1f} s, the times of its packets {measured:.1f} s")
    if is_cut or is_lie or file.is_broadcast or not seconds:
        if is_cut and data.promised and seconds:
            measured = min(measured, seconds) or seconds * there / data.promised
        seconds, is_measured = measured, True
    if is_cut:
        warnings.append(f"the header says {data.promised} packets, the file has {there}")
    if not seconds:
        raise Damaged(f"ASF with {wave.codec} whose duration nothing tells", data.offset)
    if header.has_video:
        warnings.append("besides the audio there is video")
    if header.streams > 1:
        warnings.append(f"{header.streams} audio streams; the first is described")
    if header.is_encrypted:
        warnings.append("the audio is encrypted")
    is_lossless = wave.codec == "wmalossless" or wave.sample_format in ("int", "float")
    return AudioInfo(
        container="asf",
        codec=wave.codec,
        mime="audio/x-ms-wma",
        sample_rate=wave.sample_rate,
        channels=wave.channels,
        duration=seconds,
        duration_exact=False,
        duration_source="estimate" if is_measured else "header",
        duration_declared=file.seconds if (is_cut or is_lie) and file.seconds > seconds else None,
        truncated=is_cut,
        bits_per_sample=wave.valid_bits if is_lossless else None,
        sample_format=wave.sample_format,
        bitrate=wave.byte_rate * 8 or round(data.size * 8 / seconds),
        lossless=is_lossless,
        tags=header.tags,
        pictures=tuple(header.pictures),
        warnings=tuple(warnings),
        audio_offset=data.offset,
        audio_bytes=data.size,
    )
