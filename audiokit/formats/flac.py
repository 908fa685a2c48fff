"""FLAC: the length by STREAMINFO and by the last frame, so that a cut or a piped file tells the
truth.

RFC 9639.  Reads the metadata blocks, the first frame's header and the end of the file; never the
samples. Raises NotAudio where STREAMINFO describes no audio, Damaged where no frame is.

    "fLaC"; metadata blocks: 1 bit last, 7 bits type, u24 length, content; frames
"""

from __future__ import annotations

from typing import List, NamedTuple, Optional, Tuple

from audiokit.formats import tags as tagging
from audiokit.formats import tail as tail_tags
from audiokit.formats import vorbis_comment
from audiokit.formats.flac_frame import (
    STREAMINFO_BYTES,
    FlacFrame,
    StreamInfo,
    is_whole,
    parse_frame,
    parse_stream_info,
)
from audiokit.formats.info import AudioInfo, Damaged, NotAudio, Picture, Tags
from audiokit.formats.pictures import MAX_PICTURES, flac_picture
from audiokit.formats.source import MAX_READ, Source

_STREAMINFO, _VORBIS_COMMENT, _PICTURE = 0, 4, 6  # block types (8.1)
_MAX_BLOCKS = 1024
_MAX_COMMENT_BYTES = 1 << 20
_TAIL_BYTES = 1 << 16  # in which a last frame is looked for first, then in MAX_READ
_MAX_CANDIDATES = 1 << 15  # syncwords tried in one reach; chance makes some 16 in a MiB


class _Metadata(NamedTuple):
    info: StreamInfo
    tags: Tags
    pictures: Tuple[Picture, ...]
    end: int  # where frames begin


def matches(head: bytes) -> bool:
    """ "fLaC"."""
    return head[:4] == b"fLaC"


def read(source: Source, start: int = 0) -> AudioInfo:
    """The FLAC file at `start`."""
    metadata = _metadata(source, start)
    info = metadata.info
    tail = tail_tags.read(source, metadata.end)
    if parse_frame(source.read(metadata.end, 16), 0, info) is None:
        promised = f"STREAMINFO promises {info.samples} samples, " if info.samples else ""
        raise Damaged(f"{promised}no FLAC frame is at byte {metadata.end}", metadata.end)
    warnings: List[str] = []
    samples, is_cut = _samples(source, metadata, tail.end, warnings)
    declared = info.samples if info.samples and info.samples != samples else None
    tags = dict(metadata.tags)
    tagging.fill(tags, tail.tags)
    seconds = samples / info.sample_rate
    size = tail.end - metadata.end
    return AudioInfo(
        container="flac",
        codec="flac",
        mime="audio/flac",
        sample_rate=info.sample_rate,
        channels=info.channels,
        duration=seconds,
        duration_exact=True,
        duration_source="samples",
        duration_declared=declared / info.sample_rate if declared else None,
        truncated=is_cut,
        bits_per_sample=info.bits,
        sample_format="int",
        bitrate=round(size * 8 / seconds) if seconds else None,
        bitrate_mode="VBR",
        lossless=True,
        tags=tags,
        pictures=metadata.pictures + tail.pictures,
        warnings=tuple(warnings),
        samples=samples,
        audio_offset=metadata.end,
        audio_bytes=size,
    )


def _metadata(source: Source, start: int) -> _Metadata:
    info: Optional[StreamInfo] = None
    tags: Tags = {}
    pictures: List[Picture] = []
    position = start + 4
    for _ in range(_MAX_BLOCKS):
        head = source.read(position, 4)
        if len(head) < 4:
            raise EOFError(position + len(head))
        kind, length = head[0] & 0x7F, int.from_bytes(head[1:], "big")
        content = position + 4
        if info is None and kind != _STREAMINFO:
            raise NotAudio("starts like FLAC, but STREAMINFO does not come first", position)
        if kind == _STREAMINFO and info is None:
            info = parse_stream_info(source.read(content, min(length, STREAMINFO_BYTES)), content)
        elif kind == _VORBIS_COMMENT:
            comment = vorbis_comment.parse(source.read(content, min(length, _MAX_COMMENT_BYTES)))
            tagging.fill(tags, comment)
        elif kind == _PICTURE and len(pictures) < MAX_PICTURES:
            picture = flac_picture(source, content, length)
            pictures += [picture] if picture else []
        position = content + length
        if head[0] & 0x80:
            return _Metadata(info, tags, tuple(pictures), position)
    raise Damaged(f"more than {_MAX_BLOCKS} metadata blocks", position)


def _samples(
    source: Source, metadata: _Metadata, end: int, warnings: List[str]
) -> Tuple[int, bool]:
    """Samples a channel by the last frame, and whether the file ends too early."""
    info = metadata.info
    found = _last_frame(source, metadata, end)
    if found is None:
        warnings.append(
            "no frame was found at the end of the file, its length is as STREAMINFO says"
        )
        if not info.samples:
            raise Damaged("no frame at the end tells the length", end)
        return info.samples, True
    frame, is_whole = found
    samples = frame.end_sample if is_whole else frame.first_sample
    if not is_whole and info.samples == 0 and samples == 0:
        raise Damaged("the file ends inside its first frame", end)
    if not is_whole:
        warnings.append(
            f"the file ends inside a frame: {samples / info.sample_rate:.3f} s are playable"
        )
    elif info.samples and samples != info.samples:
        warnings.append(f"STREAMINFO says {info.samples} samples, the frames hold {samples}")
    return samples, samples < info.samples or not is_whole


def _last_frame(source: Source, metadata: _Metadata, end: int) -> Optional[Tuple[FlacFrame, bool]]:
    """The last frame header before `end`, and whether its frame is all there by its checksum.

    The syncword is that of the first frame: its last bit, the blocking strategy, does not change
    in a stream (RFC 9639 section 9.1).
    """
    sync = source.read(metadata.end, 2)
    for reach in (_TAIL_BYTES, MAX_READ):
        begin = max(metadata.end, end - reach)
        data = source.read(begin, end - begin)
        position = len(data)
        for _ in range(_MAX_CANDIDATES):
            position = data.rfind(sync, 0, position + 1)
            if position < 0:
                break
            frame = parse_frame(data, position, metadata.info)
            if frame is not None:
                return frame, is_whole(data[position:])
        if begin == metadata.end:
            break
    return None
