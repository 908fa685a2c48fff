"""Musepack, stream versions 7 and 8.

"Musepack SV7 bitstream" and "SV8 specification" of trac.musepack.net.  SV8 is packets, whose
headers are read; SV7 is one run of bits, in which every frame tells its length, so that all are
counted.  Raises NotAudio for other versions, Damaged where no frame is there.

    SV7  "MP+", u8 version, then words of 32 bits, little-endian, bits from the highest on:
         1: frames; 2: flags, bits 16 and 17 the rate; 3, 4: gains; 5: 1 bit gapless, 11 bits
         samples in the last frame, …; 6: 8 bits the encoder; then the frames, without
         alignment: 20 bits length, as many bits
    SV8  "MPCK", packets: 2 letters, size (7 bits a byte, highest first, all of it), content
         SH: u32 CRC, u8 8, samples, silence at the start (both as sizes are written), 3 bits
         rate, 5 bands, 4 channels - 1, 1, 3 log4 of the frames in an AP;  AP: frames;  SE: the end
"""

from __future__ import annotations

import struct
import sys
from array import array
from typing import List, NamedTuple, Tuple

from audiokit.formats import tail
from audiokit.formats.info import AudioInfo, Damaged, NotAudio
from audiokit.formats.source import MAX_READ, Source
from audiokit.formats.tail import Tail

FRAME_SAMPLES = 1152
MAX_PACKETS = 1 << 17  # of SV8, two days and a half as encoders write them
MAX_COUNTED = 1 << 19  # frames of SV7, nearly four hours; beyond them the header is believed
_RATES = (44100, 48000, 37800, 32000)
_DECODER_DELAY = 481  # samples that the decoder makes to warm up and takes off in front
_SV7_HEADER = struct.Struct("<4s6I")
_SV7_FIRST_BIT = 6 * 32 + 8
_LENGTH_BITS = 20
_MAX_FRAME_BITS = 1 << 16  # of SV7: 1152 samples of two channels with 17 bits each are 39,168
_FEW = 4  # frames of SV7, which any bytes may look like: where the header promises more they are none


def matches(head: bytes) -> bool:
    """The magic of SV8 or SV7; other versions behind "MP+" are refused in `read`."""
    return head[:4] == b"MPCK" or head[:3] == b"MP+"


def read(source: Source, start: int = 0) -> AudioInfo:
    """The Musepack file at `start`."""
    return (_read_sv8(source, start) if source.read(start, 4) == b"MPCK" else _read_sv7(source, start))


class _Stream(NamedTuple):
    codec: str
    rate: int  # Hz
    channels: int
    present: int  # samples a channel, that are there
    promised: int
    offset: int
    size: int  # bytes


def _describe(stream: _Stream, behind: Tail, warnings: List[str]) -> AudioInfo:
    if stream.promised and not stream.present:
        raise Damaged("frames are promised, the file ends before them", stream.offset)
    if not stream.present:
        warnings.append("there are no samples")
    is_cut = stream.present < stream.promised
    return AudioInfo(
        container="mpc",
        codec=stream.codec,
        mime="audio/x-musepack",
        sample_rate=stream.rate,
        channels=stream.channels,
        duration=stream.present / stream.rate,
        duration_exact=True,
        duration_source="frames",
        duration_declared=stream.promised / stream.rate if is_cut else None,
        truncated=is_cut,
        bitrate=round(stream.size * 8 * stream.rate / stream.present) if stream.present else None,
        bitrate_mode="VBR",
        tags=behind.tags,
        pictures=behind.pictures,
        warnings=tuple(warnings),
        samples=stream.present,
        audio_offset=stream.offset,
        audio_bytes=stream.size,
    )


# Stream version 7
# ----------------------------------------------------------------------------------


def _read_sv7(source: Source, start: int) -> AudioInfo:
    magic, frames, flags, _, _, gapless, _ = source.unpack(_SV7_HEADER, start)
    if magic[3] & 0x0F != 7:
        raise NotAudio(f"Musepack of stream version {magic[3] & 0x0F}, which is not read", start + 3)
    behind = tail.read(source, start)
    whole = _count_sv7(source.part(start, behind.end), frames)
    if not frames or whole < min(frames, _FEW):
        raise Damaged(f"Musepack whose header says {frames} frames, the file has {whole}", start)
    in_last = gapless >> 20 & 0x7FF or FRAME_SAMPLES
    if gapless >> 31:
        promised = max(frames - 1, 0) * FRAME_SAMPLES + min(in_last, FRAME_SAMPLES)
    else:
        promised = max(frames * FRAME_SAMPLES - _DECODER_DELAY, 0)
    warnings: List[str] = []
    present = promised
    if whole < frames:
        present = min(max(whole * FRAME_SAMPLES - _DECODER_DELAY, 0), promised)
        warnings.append(f"the header says {frames} frames, the file has {whole}")
    first = start + _SV7_FIRST_BIT // 8
    stream = _Stream(
        "musepack7", _RATES[flags >> 16 & 3], 2, present, promised,
        first, max(behind.end - first, 0),
    )  # fmt: skip
    return _describe(stream, behind, warnings)


def _count_sv7(part: Source, frames: int) -> int:
    """How many of `frames` are whole in `part`, which begins with the magic."""
    bit, stop = _SV7_FIRST_BIT, 8 * part.size
    words, first, last = array("I"), 0, -1  # the words of `part` from the first that is here
    for whole in range(min(frames, MAX_COUNTED)):
        if bit + _LENGTH_BITS > stop:
            return whole
        at = (bit >> 5) - first
        if not 0 <= at < last:
            first, at = bit >> 5, 0
            words = _little_words(part.read(4 * first, MAX_READ))
            is_all = 4 * first + MAX_READ >= part.size
            last = len(words) - 1 if is_all else len(words) - 2  # the pair of the last one is behind
        pair = words[at] << 32 | words[at + 1]
        length = pair >> (64 - _LENGTH_BITS - (bit & 31)) & 0xFFFFF
        bit += _LENGTH_BITS + length
        if bit > stop or not 0 < length <= _MAX_FRAME_BITS:  # zeros are what a download left empty
            return whole
    return frames


def _little_words(data: bytes) -> array[int]:
    """The 32-bit words of `data`, with a zero word behind it for whoever reads in pairs."""
    words = array("I", data + bytes(-len(data) % 4 + 4))
    if sys.byteorder == "big":
        words.byteswap()
    return words


# Stream version 8
# ----------------------------------------------------------------------------------


class _Packets(NamedTuple):
    audio: int  # whole ones
    first: int  # offset of the first
    end: int  # behind the last
    is_ended: bool  # by SE


def _read_sv8(source: Source, start: int) -> AudioInfo:
    behind = tail.read(source, start)
    position = start + 4
    for _ in range(64):  # SH is among the first
        name, header, size = _packet(source, position)
        if name == b"SH":
            break
        if name in (b"AP", b"SE"):
            raise Damaged("a Musepack file without its SH packet", position)
        position += size
    else:
        raise Damaged("a Musepack file without its SH packet", position)
    content = source.read(position + header, min(size - header, 64))
    if len(content) < 9 or content[4] != 8:
        raise NotAudio(f"Musepack of stream version {content[4:5].hex()}", position + header + 4)
    promised, at = _number(content, 5)
    silence, at = _number(content, at)
    if len(content) < at + 2:
        raise Damaged("the SH packet ends early", position)
    rate_index, layout = content[at] >> 5, content[at + 1]
    if rate_index >= len(_RATES):
        raise NotAudio(f"Musepack with the reserved rate {rate_index}", position + header + at)
    packets = _count_sv8(source, position + size, behind.end)
    held = packets.audio * FRAME_SAMPLES << 2 * (layout & 7)
    warnings: List[str] = []
    if not packets.is_ended:
        warnings.append(f"the file ends before the end of the stream, at byte {source.size}")
    present = max(held - _DECODER_DELAY, 0)
    present = min(present, promised) if promised else present
    stream = _Stream(
        "musepack8", _RATES[rate_index], (layout >> 4) + 1, max(present - silence, 0),
        max(promised - silence, 0), packets.first, packets.end - packets.first,
    )  # fmt: skip
    return _describe(stream, behind, warnings)


def _packet(source: Source, position: int) -> Tuple[bytes, int, int]:
    """Name, bytes of the header, bytes of the whole packet at `position`.

    Raises where there is none.
    """
    head = source.read(position, 12)
    name = head[:2]
    if len(head) < 3:
        raise EOFError(position + len(head))
    if not (name.isalpha() and name.isupper()):
        raise Damaged(f"no Musepack packet at byte {position}", position)
    size, header = _number(head, 2)
    if size < header:
        raise Damaged(f"a Musepack packet of {size} bytes at byte {position}", position)
    return name, header, size


def _number(data: bytes, at: int) -> Tuple[int, int]:
    """The number at `at`, seven bits a byte, and where the next thing is."""
    number = 0
    for byte in data[at : at + 9]:
        number = number << 7 | byte & 0x7F
        at += 1
        if byte < 0x80:
            return number, at
    raise Damaged("a number without an end")


def _count_sv8(source: Source, position: int, end: int) -> _Packets:
    audio, first, reached = 0, position, position
    for _ in range(MAX_PACKETS):
        try:
            name, _, size = _packet(source, position)
        except (EOFError, Damaged):
            return _Packets(audio, first, reached, False)
        if name == b"SE":
            return _Packets(audio, first, reached, True)
        if position + size > end:
            return _Packets(audio, first, reached, False)
        if name == b"AP":
            first = first if audio else position
            audio, reached = audio + 1, position + size
        position += size
    raise Damaged(f"more than {MAX_PACKETS} Musepack packets", position)
