"""The samples that a region of a waveform shows, brought here from a store on another machine without the rest.

Where in a file a sample of PCM is, its head tells: that is looked at, and then the samples come.  Where a second of an MP3
is, is known only when all frames before it are counted: it is fetched whole.  Raises what the storage raises, and
`Refusal` `damaged-audio` where the bytes are no longer the audio that they were.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, Optional, Tuple

from .codec.pcm import PcmReader
from .formats.info import AudioInfo, Damaged, NotAudio
from .formats.source import Source
from .wire.problems import Refusal

_BLOCK = 1 << 16  # bytes fetched at a look: what lies between the chunks of a head comes along
_MOST_LOOKS = 32  # at one file; a head, a tail and a dozen chunks between take fewer

Region = Tuple[int, int, int]  # first sample, the one behind the last, samples a pixel


class _Scattered(Exception):
    """What is wanted of a file is in too many places."""


def bring(
    storage: Any, identify: Callable[[Source], AudioInfo], content: Any, region: Region, path: str,
) -> Tuple[Region, Optional[Dict[str, Any]]]:
    """The PCM of a region as a new file `path`: what the region is there, and what the PCM is.

    Of a file whose head is all over it everything is brought, and the second is None: it tells by itself.
    """
    first, stop, pixel = region
    try:
        info = identify(Source(_Looks(storage, content).read_at, content.size))
        reader = PcmReader(info.codec, info.channels)
    except _Scattered:
        storage.lend(content, path)
        return region, None
    except (NotAudio, Damaged, ValueError) as error:
        raise Refusal("damaged-audio", f"what the store has is not what was stored: {error}") from error
    begin, size = info.audio_offset or 0, reader.frame_bytes
    there = (info.audio_bytes or 0) // size
    first, stop = min(first, there), min(stop, there)
    storage.fetch(content, path, begin + first * size, begin + stop * size)
    told = {name: getattr(info, name) for name in ("codec", "channels", "sample_rate", "speakers")}
    return (0, stop - first, pixel), told


class _Looks:
    """Reads of a far file, each a request but where the last one brought it along."""

    def __init__(self, storage: Any, content: Any) -> None:
        self._storage, self._content = storage, content
        self._start, self._block, self._count = 0, b"", 0

    def read_at(self, offset: int, length: int) -> bytes:
        """As `Source` wants it."""
        if not self._start <= offset <= offset + length <= self._start + len(self._block):
            self._count += 1
            if self._count > _MOST_LOOKS:
                raise _Scattered(f"more than {_MOST_LOOKS} looks at one file")
            stop = min(offset + max(length, _BLOCK), self._content.size)
            self._block = b"".join(bytes(piece) for piece in self._storage.span(self._content, offset, stop))
            self._start = offset
        return self._block[offset - self._start : offset - self._start + length]
