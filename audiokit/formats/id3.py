"""ID3 tags: version 1 and 1.1 behind the audio, versions 2.2, 2.3 and 2.4 before it, in chunks or
appended.

id3.org's "ID3 tag version 2.2.0", "2.3.0", "2.4.0 - Main Structure" and "2.4.0 - Native Frames".
Reads frame headers and texts, of pictures only where they lie.  Raises nothing on any content: a
broken tag ends early.

    tag    "ID3", u8 version, u8 revision, u8 flags, 4 x 7 bits size; frames; zeros as padding
    frame  2.2: 3 characters, u24 size             2.3: 4 characters, u32 size, 2 bytes of flags
           2.4: the same with 4 x 7 bits of size, which iTunes wrote as plain u32
"""

from __future__ import annotations

import re
import zlib
from bisect import bisect_right
from dataclasses import replace
from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple

from audiokit.formats import tags as tagging
from audiokit.formats.info import AudioInfo, Picture, Tags
from audiokit.formats.pictures import MAX_PICTURES, mime_of, type_name
from audiokit.formats.source import Source

HEADER_BYTES = 10
V1_BYTES = 128
MAX_TAGS = 16  # tags one behind the other; three were seen
MAX_FRAMES = 2000  # of one tag; podcasts with chapters have a few hundred
MAX_TEXT_BYTES = 4 * tagging.MAX_CHARACTERS  # read of one text frame, at up to four bytes a character
MAX_ZEROS = 1 << 16  # bytes of zeros behind a tag whose size leaves its padding out
MAX_UNSYNCHRONISED = 1 << 26  # bytes of a wholly unsynchronised tag that are looked at, in a second at most
# What ID3v1 or APEv2 says behind these bare streams, if anything does, is often cut short or older.
_UNTAGGED = frozenset(("mp3", "adts", "latm", "ac3", "dts", "amr", "tta"))
_STEP = 1 << 16  # bytes in which what was unsynchronised is read
_PICTURE_HEAD_BYTES = 1024  # media type, type and description of a picture

_UNSYNCHRONISED, _EXTENDED, _FOOTER = 0x80, 0x40, 0x10  # flags of the header (2.3 3.1, 2.4 3.1)


class Id3(NamedTuple):
    """What ID3v2 tags say, and where the bytes behind them begin."""

    end: int  # first byte behind the tags and their padding
    found: bool
    tags: Tags
    pictures: Tuple[Picture, ...]
    warnings: Tuple[str, ...]


class _Header(NamedTuple):
    version: int  # 2, 3 or 4
    flags: int
    size: int  # bytes between header and footer
    end: int  # offset behind it all, footer included


class _Frame(NamedTuple):
    name: str
    offset: int  # of the content, behind the frame's header and what its flags add
    length: int
    is_unsynchronised: bool
    is_compressed: bool


def leading_tags(source: Source) -> Id3:
    """The ID3v2 tags at the start of `source`, one or several, and the first byte behind them."""
    end = 0
    tags: Tags = {}
    pictures: List[Picture] = []
    warnings: List[str] = []
    for _ in range(MAX_TAGS):
        header = _header(source, end)
        if header is None:
            break
        one = read_tag(source, end)
        tagging.fill(tags, one.tags)
        pictures += one.pictures
        warnings += one.warnings
        end = header.end
    if end:
        end = _behind_zeros(source, end)
    return Id3(end, end > 0, tags, tuple(pictures[:MAX_PICTURES]), tuple(warnings))


def merge(info: AudioInfo, id3: Id3) -> AudioInfo:
    """`info` with what the ID3v2 tags before it say; where a container has no tags of its own they win,
    elsewhere they fill gaps."""
    first, second = (id3.tags, info.tags) if info.container in _UNTAGGED else (info.tags, id3.tags)
    tags = dict(first)
    tagging.fill(tags, second)
    return replace(
        info,
        tags=tags,
        pictures=(id3.pictures + info.pictures)[:MAX_PICTURES],
        warnings=id3.warnings + info.warnings,
    )


def read_tag(source: Source, offset: int) -> Id3:
    """The one ID3v2 tag at `offset` (also in a chunk of WAV, AIFF or DSF); empty where there is
    none."""
    header = _header(source, offset)
    if header is None:
        return Id3(offset, False, {}, (), ())
    start = offset + HEADER_BYTES
    stop = min(start + header.size, source.size)
    body = source
    if header.flags & _UNSYNCHRONISED and header.version < 4:
        stop = min(stop, start + MAX_UNSYNCHRONISED)
        plain = _Synchronised(source.part(start, stop)).plain
        if plain.size < stop - start:  # else nothing was stuffed, and all is where it is
            body, start, stop = plain, 0, plain.size
    start = _behind_extended_header(body, start, header)
    collector = _Collector(body, header.version, is_whole_file=body is source)
    if header.version > 2 or not header.flags & _EXTENDED:  # in 2.2 that flag means compression of a kind unknown
        for frame in _frames(body, start, stop, header):
            collector.take(frame)
    return Id3(header.end, True, collector.finished(), tuple(collector.pictures), tuple(collector.warnings))


def _header(source: Source, offset: int) -> Optional[_Header]:
    head = source.read(offset, HEADER_BYTES)
    if (
        len(head) < HEADER_BYTES
        or head[:3] != b"ID3"
        or head[3] not in (2, 3, 4)
        or head[4] == 0xFF
    ):
        return None
    if max(head[6:10]) >= 0x80:
        return None
    size = syncsafe(head[6:10])
    footer = HEADER_BYTES if head[3] == 4 and head[5] & _FOOTER else 0
    return _Header(head[3], head[5], size, offset + HEADER_BYTES + size + footer)


def syncsafe(data: bytes) -> int:
    """A number of seven bits a byte (2.4 section 6.2)."""
    number = 0
    for byte in data:
        number = number << 7 | byte & 0x7F
    return number


def _synchronised(data: bytes) -> bytes:
    """Undo the unsynchronisation scheme: FF 00 stands for FF (2.3 section 5, 2.4 section 6.1)."""
    return data.replace(b"\xff\x00", b"\xff")


class _Synchronised:
    """A tag that was unsynchronised as a whole, as a source of its plain bytes.

    It is read once to count what was stuffed, and again where it is looked at, step by step: most of
    it may be a picture.
    """

    def __init__(self, raw: Source) -> None:
        self._raw = raw
        self._begins = [0]  # of the steps, among the plain bytes
        self._kept = (-1, b"")  # the step that was looked at last
        for number in range(-(-raw.size // _STEP)):
            self._begins.append(self._begins[-1] + len(self._step(number)))
        self.plain = Source(self._read, self._begins[-1])

    def _step(self, number: int) -> bytes:
        if self._kept[0] != number:
            data = self._raw.read(number * _STEP, _STEP)
            if number and data[:1] == b"\0" and self._raw.read(number * _STEP - 1, 1) == b"\xff":
                data = data[1:]  # its FF is the last byte of the step before
            self._kept = (number, _synchronised(data))
        return self._kept[1]

    def _read(self, offset: int, length: int) -> bytes:
        number = bisect_right(self._begins, offset) - 1
        parts, skip = [], offset - self._begins[number]
        while length > 0 and number < len(self._begins) - 1:
            parts.append(self._step(number)[skip : skip + length])
            length -= len(parts[-1])
            number, skip = number + 1, 0
        return b"".join(parts)


def _behind_zeros(source: Source, end: int) -> int:
    block = source.read(end, MAX_ZEROS) if source.read(end, 4) == bytes(4) else b""
    left = len(block) - len(block.lstrip(b"\0"))
    return end + left if left < len(block) else end


def _behind_extended_header(body: Source, start: int, header: _Header) -> int:
    if header.version == 2 or not header.flags & _EXTENDED:
        return start
    head = body.read(start, 4)
    if head[:4].isalnum() and head[:1].isalpha():
        return start  # the flag is set, but a frame stands here: some writers forget the header
    if header.version == 3:
        return start + 4 + int.from_bytes(head, "big")  # 2.3 section 3.2: the size excludes itself
    return start + max(syncsafe(head), 6)  # 2.4 section 3.2: the size includes itself


def _frames(body: Source, position: int, stop: int, header: _Header) -> Iterator[_Frame]:
    """The frames of a tag, as far as they make sense."""
    head_bytes, name_bytes = (6, 3) if header.version == 2 else (10, 4)
    for _ in range(MAX_FRAMES):
        head = body.read(position, head_bytes)
        name = head[:name_bytes]
        if len(head) < head_bytes or position + head_bytes > stop or not _is_frame_name(name):
            return
        content = position + head_bytes
        length = _frame_length(body, head, content, stop, header.version)
        if content + length > stop:
            return
        flags = int.from_bytes(head[8:10], "big") if header.version > 2 else 0
        frame = _unwrapped(name.decode("ascii"), content, length, flags, header)
        if frame is not None:
            yield frame
        position = content + length


def _is_frame_name(name: bytes) -> bool:
    return name.isalnum() and name.upper() == name and name[:1].isalpha()


def _frame_length(body: Source, head: bytes, content: int, stop: int, version: int) -> int:
    """The frame's size in the notation that leads to another frame, to padding or to the end of the
    tag."""
    if version == 2:
        return int.from_bytes(head[3:6], "big")
    plain, safe = int.from_bytes(head[4:8], "big"), syncsafe(head[4:8])
    if plain < 0x80:
        return plain
    if max(head[4:8]) >= 0x80:
        return plain
    wanted, other = (safe, plain) if version == 4 else (plain, safe)
    if _leads_on(body, content + wanted, stop) or not _leads_on(body, content + other, stop):
        return wanted
    return other


def _leads_on(body: Source, position: int, stop: int) -> bool:
    if position >= stop:
        return position == stop
    following = body.read(position, 4)
    return _is_frame_name(following) or not following.strip(b"\0")


def _unwrapped(name: str, offset: int, length: int, flags: int, header: _Header) -> Optional[_Frame]:
    """The frame without what its flags put before the content; None for an encrypted one."""
    extra = 0
    if header.version == 3:  # 2.3 section 3.3.1: compression, encryption, grouping
        if flags & 0x40:
            return None
        is_compressed = bool(flags & 0x80)
        extra = (4 if is_compressed else 0) + (1 if flags & 0x20 else 0)
        return _Frame(name, offset + extra, max(length - extra, 0), False, is_compressed)
    if (
        header.version == 4
    ):  # 2.4 section 4.1.2: grouping, compression, encryption, unsynchronisation, length
        if flags & 0x04:
            return None
        extra = (1 if flags & 0x40 else 0) + (4 if flags & 0x01 else 0)
        is_unsynchronised = bool(flags & 0x02 or header.flags & _UNSYNCHRONISED)
        return _Frame(name, offset + extra, max(length - extra, 0), is_unsynchronised, bool(flags & 0x08))
    return _Frame(name, offset, length, False, False)


_GENRE_NUMBERS = re.compile(r"\((\d{1,3}|RX|CR)\)")
_GENRE_WORDS = {"RX": "Remix", "CR": "Cover"}


class _Collector:
    """Turns frames into tags and pictures."""

    def __init__(self, body: Source, version: int, is_whole_file: bool) -> None:
        self.tags: Tags = {}
        self.pictures: List[Picture] = []
        self.warnings: List[str] = []
        self._body = body
        self._version = version
        self._is_whole_file = is_whole_file
        self._described_comments: List[str] = []
        self._dates: Dict[str, str] = {}  # TDRC, TYER, TDAT: which one counts shows at the end

    def take(self, frame: _Frame) -> None:
        """Use one frame, or leave it."""
        if frame.name in ("APIC", "PIC"):
            self._take_picture(frame)
        elif frame.name in ("COMM", "COM", "USLT", "ULT"):
            self._take_described(frame)
        elif frame.name in ("TXXX", "TXX"):
            description, *values = self._texts(self._content(frame))
            for value in values:
                tagging.add(self.tags, tagging.canonical("id3", description), value)
        elif frame.name in ("TCON", "TCO"):
            for value in self._texts(self._content(frame)):
                for name in _genres(value):
                    tagging.add(self.tags, "genre", name)
        elif frame.name in ("TDRC", "TYER", "TYE", "TDAT", "TDA"):
            self._dates[frame.name[:3]] = self._texts(self._content(frame))[0]
        elif frame.name[0] == "T":
            for value in self._texts(self._content(frame)):
                tagging.add(self.tags, tagging.canonical("id3", frame.name), value)

    def finished(self) -> Tags:
        """The tags, with what needed all frames to be known."""
        tagging.add(self.tags, "date", self._date())
        if "comment" not in self.tags:
            for comment in self._described_comments:
                tagging.add(self.tags, "comment", comment)
        return self.tags

    def _date(self) -> str:
        if self._dates.get("TDR"):
            return self._dates["TDR"]
        year, day = self._dates.get("TYE", "").strip("\0 "), self._dates.get("TDA", "").strip("\0 ")
        if len(year) == 4 and len(day) == 4 and day.isdigit() and day != "0000":
            return f"{year}-{day[2:]}-{day[:2]}"  # 2.3: TDAT is DDMM
        return year

    def _content(self, frame: _Frame) -> bytes:
        data = self._body.read(frame.offset, min(frame.length, MAX_TEXT_BYTES))
        if frame.is_unsynchronised:
            data = _synchronised(data)
        if frame.is_compressed:
            try:
                data = zlib.decompressobj().decompress(data, MAX_TEXT_BYTES)
            except zlib.error:
                return b""
        return data

    @staticmethod
    def _texts(data: bytes) -> List[str]:
        """The strings of a text frame; at least one, perhaps empty."""
        if not data:
            return [""]
        text = _decode(data[0], data[1:])
        return [part.lstrip("\ufeff") for part in text.rstrip("\0").split("\0")]

    def _take_described(self, frame: _Frame) -> None:
        """COMM and USLT: encoding, three letters of language, a description, the text."""
        data = self._content(frame)
        if len(data) < 5:
            return
        description, end = _terminated(data, 4)
        if description.startswith(("iTun", "Songs-DB")):
            return  # volume and gapless data of players, not words
        value = _decode(data[0], data[end:]).rstrip("\0").lstrip("\ufeff")
        name = tagging.canonical("id3", frame.name)
        if name == "comment" and description:
            self._described_comments.append(value)
        else:
            tagging.add(self.tags, name, value)

    def _take_picture(self, frame: _Frame) -> None:
        """APIC: encoding, media type, type, description, data; PIC has three letters for the media
        type."""
        head = self._body.read(frame.offset, min(frame.length, _PICTURE_HEAD_BYTES))
        if self._version == 2:
            declared, position = "image/" + head[1:4].decode("ascii", "replace"), 4
        else:
            end = head.find(b"\0", 1)
            declared, position = head[1 : max(end, 1)].decode("ascii", "replace"), end + 1
        if (
            len(head) < position + 2
            or position == 0
            or "-->" in declared
            or len(self.pictures) >= MAX_PICTURES
        ):
            return
        _, start = _terminated(head, position + 1)
        data, length = head[start : start + 16], frame.length - start
        if length <= 0:
            return
        if (
            not self._is_whole_file
            or frame.is_compressed
            or (frame.is_unsynchronised and self._holds_stuffing(frame))
        ):
            self.warnings.append("a picture in the ID3 tag is stored encoded and not offered")
            return
        kind = type_name(head[position])
        self.pictures.append(Picture(mime_of(data, declared), kind, frame.offset + start, length))

    def _holds_stuffing(self, frame: _Frame) -> bool:
        """Whether bytes of the frame were stuffed; pairs may lie across the steps it is read in."""
        end = frame.offset + frame.length
        steps = range(frame.offset, end, _STEP)
        return any(b"\xff\x00" in self._body.read(at, min(_STEP + 1, end - at)) for at in steps)


def _decode(encoding: int, data: bytes) -> str:
    """Text in one of the four encodings (2.4 section 4); what claims ISO 8859-1 is often UTF-8."""
    if encoding == 1:
        return tagging.utf16(data)
    if encoding == 2:
        return tagging.utf16(data, "utf-16-be")
    if encoding == 3:
        return data.decode("utf-8", "replace")
    return "\0".join(map(tagging.utf8_or_cp1252, data.split(b"\0")))


def _terminated(data: bytes, start: int) -> Tuple[str, int]:
    """The string at `start` in the encoding that data[0] names, and the offset behind its
    terminator."""
    if data[0] in (1, 2):
        end = start
        while end + 1 < len(data) and data[end : end + 2] != b"\0\0":
            end += 2
        return _decode(data[0], data[start:end]), min(end + 2, len(data))
    end = data.find(b"\0", start)
    if end < 0:
        return _decode(data[0], data[start:]), len(data)
    return _decode(data[0], data[start:end]), end + 1


def _genres(text: str) -> List[str]:
    """The genres of a TCON: "17", "(17)", "(17)(18)", "(4)Eurodisco", "((odd" or plain words."""
    names: List[Optional[str]] = []
    while True:
        match = _GENRE_NUMBERS.match(text)
        if not match:
            break
        word = match.group(1)
        names.append(_GENRE_WORDS.get(word) or tagging.genre(int(word)))
        text = text[match.end() :]
    if text.isdigit() and len(text) <= 3:
        names.append(tagging.genre(int(text)) or text)
    elif text in _GENRE_WORDS:
        names.append(_GENRE_WORDS[text])
    elif text:
        names.append(text[1:] if text.startswith("((") else text)  # a refinement of the number before it
    return [name for name in names if name]


def read_v1(source: Source, end: int) -> Optional[Tags]:
    """The ID3v1 tag whose last byte is before `end`, or None.

    "TAG", title 30, artist 30, album 30, year 4, comment 30 (1.1: 28, a zero, u8 track), u8 genre.
    """
    data = source.read(end - V1_BYTES, V1_BYTES) if end >= V1_BYTES else b""
    if len(data) < V1_BYTES or data[:3] != b"TAG":
        return None
    tags: Tags = {}
    for name, start, stop in (
        ("title", 3, 33),
        ("artist", 33, 63),
        ("album", 63, 93),
        ("date", 93, 97),
    ):
        tagging.add(tags, name, tagging.utf8_or_cp1252(data[start:stop]))
    has_track = data[125] == 0 and data[126] != 0
    tagging.add(tags, "comment", tagging.utf8_or_cp1252(data[97 : 125 if has_track else 127]))
    if has_track:
        tagging.add(tags, "track", str(data[126]))
    tagging.add(tags, "genre", tagging.genre(data[127]) or "")
    return tags
