"""The command `resample`, as its users run it; as a process where pipes and signals are the story."""

from __future__ import annotations

import argparse
import io
import os
import signal
import stat
import struct
import subprocess
import wave

import command_line
import pytest
from processes import until
from support import PROGRAM, long_wav, wav
from test_offers import PCM_IN_MATROSKA

import audiometa
from audiokit.resample_command import Progress, add_arguments
from audiokit.settings import Settings

SOUND = wav(0.2, rate=44100, channels=2)
FRAMES = 8820


def run(*arguments):
    return command_line.run("resample", *arguments)


def run_apart(*arguments, data=b""):
    """The command as a process."""
    return subprocess.run([*PROGRAM, "resample", *map(str, arguments)], input=data, capture_output=True, timeout=60)


@pytest.fixture
def sound(tmp_path):
    path = tmp_path / "in.wav"
    path.write_bytes(SOUND)
    return path


def test_a_wav_becomes_a_32_khz_mp3_of_the_same_length(sound, tmp_path):
    found = run_apart(sound, tmp_path / "out.mp3")
    assert (found.returncode, found.stdout, found.stderr) == (0, b"", b"")
    info = audiometa.identify_path(str(tmp_path / "out.mp3"))
    assert (info.codec, info.sample_rate, info.channels, info.bitrate_mode) == ("mp3", 32000, 2, "CBR")
    assert info.samples == 6400 and info.duration_exact


def test_mp3_at_its_own_rate_to_wav_is_a_plain_decode(sound, tmp_path):
    assert run(sound, tmp_path / "a.mp3", "--rate", "source", "--bitrate", "192").returncode == 0
    assert run(tmp_path / "a.mp3", tmp_path / "b.wav", "--rate", "source").returncode == 0
    with wave.open(str(tmp_path / "b.wav")) as back, wave.open(io.BytesIO(SOUND)) as true:
        assert back.getparams()[:4] == true.getparams()[:4]
        now, then = (struct.unpack(f"<{2 * FRAMES}h", file.readframes(FRAMES)) for file in (back, true))
    error = sum((a - b) ** 2 for a, b in zip(now, then)) / len(now)
    assert error < 16000**2 / 2 / 10**4, "40 dB below the tone"


def test_a_wav_at_its_own_rate_is_the_very_samples(sound, tmp_path):
    assert run(sound, tmp_path / "b.wav", "--rate", "source").returncode == 0
    assert (tmp_path / "b.wav").read_bytes() == SOUND


@pytest.mark.parametrize("rate, options, words", [(999, [], "999 Hz is not converted"), (384000, ["--rate", "source"], "")])
def test_sampling_rates_are_converted_or_refused_in_words(tmp_path, rate, options, words):
    (tmp_path / "in.wav").write_bytes(wav(0.01, rate))
    found = run(tmp_path / "in.wav", tmp_path / "out.wav", *options)
    assert found.returncode == (1 if words else 0)
    assert words in found.stderr and found.stderr.count("\n") == found.returncode


@pytest.mark.parametrize("options, wanted", [
    (["--channels", "1"], (32000, 1, "CBR")),
    (["--rate", "16000", "--quality", "4"], (16000, 2, "VBR")),
    (["--rate", "48000", "--bitrate", "320"], (48000, 2, "CBR")),
])
def test_options_say_what_comes_out(sound, tmp_path, options, wanted):
    assert run(sound, tmp_path / "out.mp3", *options).returncode == 0
    info = audiometa.identify_path(str(tmp_path / "out.mp3"))
    assert (info.sample_rate, info.channels, info.bitrate_mode) == wanted


def test_standard_input_and_output(sound, tmp_path):
    found = run_apart("-", "-", data=SOUND)
    assert found.returncode == 0
    assert run(sound, tmp_path / "out.mp3").returncode == 0
    assert found.stdout == (tmp_path / "out.mp3").read_bytes(), "the pipe has the Info header too"
    streamed = run_apart("-", "-", "--stream", data=SOUND)
    assert streamed.returncode == 0 and b"Info" not in streamed.stdout[:300]
    as_wav = run_apart("-", "-", "--stream", "--format", "wav", "--rate", "source", data=SOUND)
    assert as_wav.stdout[44:] == SOUND[44:]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="skipped: no named pipes here")
@pytest.mark.parametrize("options", [[], ["--stream"]])
def test_a_pipe_is_written_to_and_not_replaced(sound, tmp_path, options):
    assert run(sound, tmp_path / "out.mp3").returncode == 0
    os.mkfifo(str(tmp_path / "pipe.mp3"))
    reader = os.open(str(tmp_path / "pipe.mp3"), os.O_RDONLY | os.O_NONBLOCK)  # its buffer has room for all of it
    try:
        assert run(sound, tmp_path / "pipe.mp3", *options).returncode == 0
        written = os.read(reader, 1 << 16)
    finally:
        os.close(reader)
    assert written == (tmp_path / "out.mp3").read_bytes() or options == ["--stream"] and b"Info" not in written[:300]
    assert written and stat.S_ISFIFO(os.stat(str(tmp_path / "pipe.mp3")).st_mode)
    assert sorted(os.listdir(tmp_path)) == ["in.wav", "out.mp3", "pipe.mp3"]


@pytest.mark.skipif(os.name == "nt", reason="skipped: links take a right of their own on Windows")
def test_a_link_goes_on_to_name_what_it_named(sound, tmp_path):
    (tmp_path / "there").mkdir()
    os.symlink(tmp_path / "there" / "out.mp3", tmp_path / "link.mp3")
    for why in ("it names nothing yet", "it names a file"):
        assert run(sound, tmp_path / "link.mp3").returncode == 0, why
        assert (tmp_path / "link.mp3").is_symlink() and (tmp_path / "there" / "out.mp3").stat().st_size, why


REFUSED = [
    (["{in}", "{dir}/out.ogg"], 2, ".mp3 or .wav says", "an extension that says nothing"),
    (["{in}", "{dir}/out.mp3", "--bitrate", "1"], 2, "1 kbit/s", "a bitrate that Layer III lacks"),
    (["{in}", "{dir}/out.mp3", "--rate", "12345"], 2, "12345", "a rate that Layer III lacks"),
    (["{in}", "{dir}/out.wav", "--rate", "7999"], 2, "7999", "a rate out of range"),
    (["{in}", "{dir}/out.wav", "--rate", "0080000000"], 2, "0080000000", "one that begins as if it were in range"),
    (["{in}", "{dir}/out.wav", "--bitrate", "128"], 2, "of MP3", "WAV has no bitrate to choose"),
    (["{in}", "{in}"], 2, "the input itself", "the input is never overwritten"),
    (["{text}", "{dir}/out.mp3"], 1, "text", "no audio"),
    (["{mka}", "{dir}/out.mp3"], 1, "pcm_s16le in matroska is not decoded", "PCM, but not in one piece"),
    (["{fast}", "{dir}/out.mp3"], 1, "800000 Hz is not converted", "a rate that no sound has"),
    (["{dir}/none.wav", "{dir}/out.mp3"], 1, "none.wav", "no file"),
    (["{in}", "{dir}/none/out.mp3"], 1, "none/out.mp3: ", "no folder"),
    (["{in}", "{dir}/out.mp3", "--jobs", "0"], 2, "--jobs 0", "nobody to convert"),
]


@pytest.mark.parametrize("words, status, said, why", REFUSED, ids=[why for *_, why in REFUSED])
def test_what_cannot_be_is_said_in_one_line_and_leaves_nothing(sound, tmp_path, words, status, said, why):
    (tmp_path / "notes.txt").write_text("some words that nobody can hear\n" * 9)
    (tmp_path / "in.mka").write_bytes(PCM_IN_MATROSKA)
    (tmp_path / "in.fast").write_bytes(wav(0.001, 800_000))
    names = {"in": sound, "dir": tmp_path, "text": tmp_path / "notes.txt", "mka": tmp_path / "in.mka",
             "fast": tmp_path / "in.fast"}
    found = run(*[word.format(**names) for word in words])
    assert found.returncode == status, found.stderr
    assert said in found.stderr and found.stderr.count("\n") == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.fast", "in.mka", "in.wav", "notes.txt"]
    assert sound.read_bytes() == SOUND


@pytest.mark.skipif(os.name == "nt", reason="skipped: Windows has no SIGINT for other processes")
@pytest.mark.parametrize("number, options", [(signal.SIGINT, []), (signal.SIGTERM, ["--stream"])])
def test_an_interrupted_run_leaves_no_partial_result(tmp_path, number, options):
    long = tmp_path / "long.wav"
    long.write_bytes(long_wav(1200, 8000))  # a minute's work of a core: whoever interrupts it may be held up for seconds
    before = (tmp_path / "out.mp3")
    before.write_bytes(b"what was there")
    process = subprocess.Popen([*PROGRAM, "resample", str(long), str(before), "--jobs", "1", *options], stderr=subprocess.PIPE)
    until(lambda: any(".part" in name for name in os.listdir(tmp_path)), what="a partial result", process=process)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, b"audioserver: interrupted, nothing was written\n")
    assert before.read_bytes() == b"what was there"
    assert sorted(os.listdir(tmp_path)) == ["long.wav", "out.mp3"]


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="skipped: no core can be taken from a process here")
def test_no_more_processes_than_the_cores_that_may_be_used_as_of_the_server():
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        parser = argparse.ArgumentParser()
        add_arguments(parser)
        assert parser.parse_args(["IN", "OUT"]).jobs == Settings().jobs == 1
    finally:
        os.sched_setaffinity(0, before)


def test_a_bar_with_the_time_left_is_for_terminals_alone():
    times = iter([0.0, 10.0, 20.0])
    terminal = Terminal()
    bar = Progress(terminal, lambda: next(times))
    bar.show(0.25)
    assert "25 %" in terminal.getvalue() and "30 s left" in terminal.getvalue()
    bar.clear()
    assert terminal.getvalue().endswith("\r")
    pipe = io.StringIO()
    Progress(pipe).show(0.5)
    assert pipe.getvalue() == ""
