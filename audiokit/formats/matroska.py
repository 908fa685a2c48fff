"""Matroska and WebM: the codec by its track, the length by Duration and by the last blocks.

RFC 9559 (Matroska) and WebM's guidelines; the syntax is in ebml, codecs in matroska_codec, blocks in
matroska_blocks.  Reads the headers before the clusters, what the seek head names, and the heads of all blocks.
Raises NotAudio where no track is audio, Damaged where no block of it is there.

    Segment ( SeekHead  Info ( TimestampScale Duration )  Tracks  Tags  Attachments  Cluster ( Timestamp Block… ) )
"""

from __future__ import annotations

from typing import Dict, Iterator, List, Optional, Tuple

from audiokit.formats import tags as tagging
from audiokit.formats.ebml import MAX_CHILDREN, Element, children, element_at, real, text, unsigned
from audiokit.formats.info import AudioInfo, Damaged, NotAudio, Picture, Tags
from audiokit.formats.matroska_blocks import CLUSTER, Blocks, walk
from audiokit.formats.matroska_codec import Track, audio_track, with_first_packet
from audiokit.formats.pictures import MAX_PICTURES, mime_of
from audiokit.formats.source import Source

_EBML, _SEGMENT, _SEEK_HEAD, _INFO = 0x1A45DFA3, 0x18538067, 0x114D9B74, 0x1549A966
_TRACKS, _TAGS, _ATTACHMENTS = 0x1654AE6B, 0x1254C367, 0x1941A469
_DOC_TYPE, _SEEK_POSITION, _TRACK_ENTRY, _TRACK_TYPE, _AUDIO_SETTINGS = 0x4282, 0x53AC, 0xAE, 0x83, 0xE1
_TIMESTAMP_SCALE, _DURATION, _TITLE = 0x2AD7B1, 0x4489, 0x7BA9
_TARGETS, _TARGET_TYPE, _TAG_TRACK, _SIMPLE_TAG, _TAG_NAME, _TAG_STRING = 0x63C0, 0x68CA, 0x63C5, 0x67C8, 0x45A3, 0x4487
_FILE_DATA, _FILE_MEDIA_TYPE = 0x465C, 0x4660
_VIDEO, _AUDIO = 1, 2  # TrackType
_ALBUM, _SONG = 50, 30  # TargetTypeValue: what a tag is of
_OF_ALBUM = {"title": "album", "artist": "albumartist", "track": None, "tracktotal": None}
_NEVER = ("duration", "_statistics", "bps")  # what programs count
_MAX_TRACKS = 64
_MAX_SEEKS = 64  # places that the seek head names


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
    blocks = walk(source, movie.first_cluster, segment, movie.scale, track)
    if blocks.first is None:
        raise Damaged(f"Matroska with {track.codec}, but no block of it", movie.first_cluster)
    return _describe(doc_type, movie, with_first_packet(track, blocks.head), blocks)


def _segment(source: Source, start: int) -> Tuple[str, Element]:
    head = element_at(source, start, source.size)
    if head is None or head.id != _EBML or head.stop > source.size:
        raise NotAudio("starts like Matroska, but its head makes no sense", start)
    doc_type = "matroska"
    for element in children(source, head):
        if element.id == _DOC_TYPE:
            doc_type = text(source, element)
    if doc_type not in ("matroska", "webm"):
        raise NotAudio(f"an EBML file of {doc_type!r}, not Matroska or WebM", head.start)
    position = head.stop
    for _ in range(16):  # Void and CRC may stand between
        element = element_at(source, position, source.size)
        if element is None:
            break
        if element.id == _SEGMENT:
            return doc_type, element
        position = element.stop
    raise NotAudio("a Matroska file without a segment", head.stop)


# Headers ------------------------------------------------------------------------------------------


class _Movie:
    """What stands around the clusters."""

    def __init__(self, source: Source, segment: Element) -> None:
        self.tracks: List[Track] = []
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
        for _ in range(MAX_CHILDREN):
            element = element_at(self._source, position, self._segment.stop)
            if element is None:
                break
            if element.id == CLUSTER:
                self.first_cluster = position
                break
            if element.id == _SEEK_HEAD:
                elsewhere += self._seek(element)
            self._take(element)
            if element.is_unknown:
                break
            position = element.stop
        for position in elsewhere[:_MAX_SEEKS]:
            element = element_at(self._source, position, self._segment.stop)
            if element is not None and element.stop <= self._source.size:
                self._take(element)

    def _seek(self, element: Element) -> List[int]:
        found = []
        for seek in children(self._source, element):
            for part in children(self._source, seek):
                if part.id == _SEEK_POSITION:
                    found.append(self._segment.start + unsigned(self._source, part))
        return found

    def _take(self, element: Element) -> None:
        if element.start in self._seen:
            return
        self._seen.add(element.start)
        if element.id == _INFO:
            self._take_info(element)
        elif element.id == _TRACKS:
            for entry in children(self._source, element):
                if entry.id == _TRACK_ENTRY and len(self.tracks) < _MAX_TRACKS:
                    self._take_track(entry)
        elif element.id == _TAGS:
            self._take_tags(element)
        elif element.id == _ATTACHMENTS:
            self._take_attachments(element)

    def _take_info(self, info: Element) -> None:
        duration = 0.0
        for element in children(self._source, info):
            if element.id == _TIMESTAMP_SCALE:
                self.scale = (unsigned(self._source, element) or 1_000_000) / 1e9
            elif element.id == _DURATION:
                duration = real(self._source, element)
            elif element.id == _TITLE:
                tagging.add(self.tags, "title", text(self._source, element))
        self.duration = duration * self.scale

    def _take_track(self, entry: Element) -> None:
        values: Dict[int, Element] = {}
        for element in children(self._source, entry):
            values[element.id] = element
            if element.id == _AUDIO_SETTINGS:
                values.update((inner.id, inner) for inner in children(self._source, element))
        kind = unsigned(self._source, values[_TRACK_TYPE]) if _TRACK_TYPE in values else 0
        self.has_video = self.has_video or kind == _VIDEO
        if kind != _AUDIO:
            return
        try:
            track = audio_track(self._source, values, entry.start)
            if all(track.number != other.number for other in self.tracks):  # Tracks may stand twice (RFC 9559 5.1.4)
                self.tracks.append(track)
        except NotAudio as error:
            self.unknown = self.unknown or error

    def _take_tags(self, tags: Element) -> None:
        found = [row for tag in children(self._source, tags) for row in _words(self._source, tag)]
        has_song = any(level < _ALBUM for level, _, _ in found)
        for level, name, value in sorted(found, key=lambda row: row[0]):
            word = tagging.canonical("matroska", name)
            if level == _ALBUM and has_song:
                word = "tracktotal" if name.upper() == "TOTAL_PARTS" else _OF_ALBUM.get(word or "", word)
            if word and not word.startswith(_NEVER) and word not in self.tags:
                tagging.add(self.tags, word, value)

    def _take_attachments(self, attachments: Element) -> None:
        for file in children(self._source, attachments):
            parts = {part.id: part for part in children(self._source, file)}
            data, kind = parts.get(_FILE_DATA), parts.get(_FILE_MEDIA_TYPE)
            said = text(self._source, kind) if kind else ""
            if data is None or not said.startswith("image/"):
                continue
            mime = mime_of(self._source.read(data.start, 16), said)
            if data.stop <= self._source.size and len(self.pictures) < MAX_PICTURES:
                self.pictures.append(Picture(mime, "front cover", data.start, data.stop - data.start))


def _words(source: Source, tag: Element) -> Iterator[Tuple[int, str, str]]:
    """(level, name, value) of each SimpleTag ( TagName TagString ) behind Targets ( TargetTypeValue TrackUID )."""
    level = _ALBUM
    for element in children(source, tag):
        if element.id == _TARGETS:
            parts = list(children(source, element))
            for part in parts:
                level = unsigned(source, part) if part.id == _TARGET_TYPE else level
            if any(part.id == _TAG_TRACK and unsigned(source, part) for part in parts):
                level = _SONG
        elif element.id == _SIMPLE_TAG:
            said = {part.id: part for part in children(source, element)}
            if _TAG_NAME in said and _TAG_STRING in said:
                yield level, text(source, said[_TAG_NAME]), text(source, said[_TAG_STRING])


def _describe(doc_type: str, movie: _Movie, track: Track, blocks: Blocks) -> AudioInfo:
    is_alone = not movie.has_video and len(movie.tracks) == 1
    if blocks.is_counted:
        seconds = blocks.samples / track.sample_rate
    else:
        seconds = blocks.end - (blocks.first or 0.0)
        told = movie.duration - (blocks.first or 0.0)
        if is_alone and not blocks.is_cut and not blocks.lost and abs(told - seconds) < max(1.1, blocks.last_length):
            seconds = told  # the writer knows how long the last frame is
    source = "frames" if blocks.is_counted else "header"
    if not seconds and track.byte_rate:
        seconds, source = blocks.bytes / track.byte_rate, "estimate"
    seconds = max(seconds - track.delay - blocks.padding, 0.0)
    samples = round(seconds * track.sample_rate) if blocks.is_counted else None
    seconds = seconds if samples is None else samples / track.sample_rate  # delay and padding are rounded to nanoseconds
    warnings: List[str] = []
    declared = None
    if movie.has_video:
        warnings.append("besides the audio there is video")
    if len(movie.tracks) > 1:
        warnings.append(f"{len(movie.tracks)} audio tracks; the first is described")
    if track.is_encrypted:
        warnings.append("the audio is encrypted")
    if blocks.is_cut:
        warnings.append(f"the file ends inside a cluster: {seconds:.3f} s are playable")
        declared = movie.duration if movie.duration > seconds + 0.1 else None
    elif blocks.lost:
        warnings.append(f"what is at byte {blocks.lost} is no element: {seconds:.3f} s are playable")
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
        truncated=blocks.is_cut or blocks.lost > 0,
        bits_per_sample=track.bits,
        sample_format=track.sample_format,
        bitrate=round(blocks.bytes * 8 / seconds) if seconds else None,
        lossless=track.is_lossless,
        tags=movie.tags,
        pictures=tuple(movie.pictures),
        warnings=tuple(warnings),
        samples=samples,
        audio_offset=movie.first_cluster,
        audio_bytes=blocks.bytes,
    )
