"""Regions of the waveform of far audio: only what they show comes, whatever it is in, and it is what the whole would show."""

from __future__ import annotations

import struct
from functools import partial

import pytest
from audio_files import aiff, au, caf, noise, wav
from support import ROOT  # noqa: F401  (puts the program on the path)
from test_formats_riff import GUID
from test_storage import upload
from test_waveform import riff

import audiometa
from audiokit import windows
from audiokit.blobs import StoreDown
from audiokit.summarising import bare, summarise
from audiokit.waveform import Kept
from audiokit.wire.problems import Refusal
from storage import Storage

FRAMES = 200_000
CHUNK = b"junk" + struct.pack("<I", 300_000) + bytes(300_000)  # between the head and the audio


@pytest.fixture
def storage(tiny, tmp_path):
    with Storage(tmp_path / "var", blobs=tiny.url("p"), free_space_kept=0) as one:
        yield one


def stored(storage, data):
    upload(storage, data, "a.wav")
    return storage.content(name="a.wav")


def fetched(tiny):
    """Bytes of audio that the store was asked for since the last time, and in how many requests; -1: all there is."""
    asked = [wanted for method, path, wanted in tiny.requests if method == "GET" and "/files/" in path]
    tiny.requests.clear()
    if None in asked:
        return -1, len(asked)
    ends = [wanted[6:].split("-") for wanted in asked]
    return sum(int(last) + 1 - int(first) for first, last in ends), len(asked)


def shown(path, region, pcm=None):
    with open(path, "rb") as file:
        info = bare(file, pcm) if pcm else audiometa.identify(file)
        summarise(file, info, path + ".peaks", region)
    with open(path + ".peaks", "rb") as file:
        return Kept(file).everything()


def rf64(data):
    return (b"RF64" + b"\xff" * 4 + b"WAVE" + b"ds64" + struct.pack("<IQQQI", 28, len(data) + 72, len(data), len(data) // 2, 0)
            + b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16) + b"data" + b"\xff" * 4 + data)


def by_speakers(mask, channels, data):
    """WAVE_FORMAT_EXTENSIBLE of 16 bits."""
    form = struct.pack("<HHIIHHHHI", 0xFFFE, channels, 8000, 16000 * channels, 2 * channels, 16, 22, 16, mask)
    body = b"WAVEfmt " + struct.pack("<I", 40) + form + struct.pack("<H", 1) + GUID
    body += b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


SOUND = noise(2 * FRAMES)
KINDS = [
    (riff(1, 16, 1, SOUND), 2, "plain WAV"), (riff(1, 24, 2, noise(6 * FRAMES)), 6, "24 bits, stereo"),
    (riff(7, 8, 1, noise(FRAMES)), 1, "mu-law"), (riff(1, 16, 6, noise(12 * FRAMES)), 12, "six channels"),
    (wav(frames=FRAMES, extra=CHUNK), 2, "a large chunk before the audio"),
    (riff(1, 16, 1, SOUND) + b"LIST" + struct.pack("<I", 4) + b"INFO", 2, "a chunk behind it"),
    (rf64(SOUND), 2, "RF64"), (aiff(frames=FRAMES), 2, "AIFF"), (au(data=SOUND), 2, "AU"),
    (by_speakers(0xB, 3, noise(6 * FRAMES)), 6, "three channels, the third of which is no centre"),
    (caf(data=noise(4 * FRAMES)), 4, "CAF"), (riff(1, 16, 1, SOUND)[:-50_001], 2, "one that is cut short"),
]


@pytest.mark.parametrize("data, frame, why", KINDS, ids=[why for *_, why in KINDS])
def test_only_what_is_shown_comes_and_it_is_what_the_whole_shows(storage, tiny, tmp_path, data, frame, why):
    content, path, whole = stored(storage, data), str(tmp_path / "part"), str(tmp_path / "whole")
    (tmp_path / "whole").write_bytes(data)
    for first, stop, pixel in ((0, 1000, 10), (100_000, 101_000, 256), (50_176, 60_416, 1024), (170_000, 200_001, 100)):
        fetched(tiny)
        region, pcm = windows.bring(storage, audiometa.identify_source, content, (first, stop, pixel), path)
        size, requests = fetched(tiny)
        assert 0 < size <= (stop - first) * frame + 8 * 65_536 and requests < 10, why
        assert shown(path, region, pcm) == shown(whole, (first, stop, pixel)), why
        (tmp_path / "part").unlink()


def test_a_region_behind_the_end_is_empty_and_asks_for_nothing_more(storage, tmp_path, tiny):
    content, path = stored(storage, riff(1, 16, 1, SOUND)), str(tmp_path / "part")
    region, _ = windows.bring(storage, audiometa.identify_source, content, (FRAMES, FRAMES, 1), path)
    assert region == (0, 0, 1) and (tmp_path / "part").read_bytes() == b""


def test_a_file_whose_head_is_all_over_it_is_fetched_at_once(storage, tiny, tmp_path):
    scattered = (b"note" + struct.pack("<I", 70_000) + bytes(70_000)) * 40
    data = wav(frames=FRAMES, extra=scattered)
    content, path = stored(storage, data), str(tmp_path / "part")
    fetched(tiny)
    assert windows.bring(storage, audiometa.identify_source, content, (0, 1000, 10), path) == ((0, 1000, 10), None)
    assert fetched(tiny)[0] == -1 and (tmp_path / "part").read_bytes() == data


def test_what_is_no_longer_that_audio_is_told_and_so_is_a_store_that_is_away(storage, tiny, tmp_path):
    content, path = stored(storage, riff(1, 16, 1, SOUND)), str(tmp_path / "part")
    bring = partial(windows.bring, storage, audiometa.identify_source, content, (0, 1000, 10), path)
    (name,) = [name for name in tiny.names() if "/files/" in name]
    tiny.objects[name] = (bytes(content.size), 0)
    with pytest.raises(Refusal, match="not what was stored"):
        bring()
    tiny.objects.clear()
    with pytest.raises(FileNotFoundError):
        bring()
    storage.cut()
    with pytest.raises(StoreDown):
        bring()
    assert not (tmp_path / "part").exists()
