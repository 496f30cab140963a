"""Decoder processes: they answer as a reader in this process does, and a recording can at worst end its own."""

import contextlib
import gzip
import io
import os
import signal
import struct
import sys
import tempfile
import tracemalloc
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from tests.audio_samples import FORMATS, encode, music
from tests.conftest import REPOSITORY
from tests.tonearm.decoding.reading import Answer, answer, assert_same
from tonearm.decoding import decoder_pool
from tonearm.decoding.audio import AudioSource
from tonearm.decoding.decoder import MEMORY_BYTES
from tonearm.decoding.decoder_pool import POOL, DecoderReader, open_reader
from tonearm.errors import AudioError, DecoderError

pytestmark = pytest.mark.slow  # each test starts a program

MP3 = encode("mp3", music(3), 22_050)


@cache
def long_mp3() -> bytes:
    return encode("mp3", music(100), 22_050)


@pytest.fixture(autouse=True)
def new_decoders(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(POOL, "_least", 1)  # whatever the tests before have asked for
    POOL.close()
    yield
    POOL.close()


def by_process(source: AudioSource, max_duration_s: float | None = None) -> Answer:
    try:
        with open_reader(source, max_duration_s=max_duration_s) as reader:
            samples = np.concatenate([window.samples.copy() for window in reader.windows()])
            return "", samples, reader.facts()
    except AudioError as error:
        return error.code, None, None


def decoders() -> list[psutil.Process]:
    found = []
    for process in psutil.Process().children():
        with contextlib.suppress(psutil.Error):  # it has just ended
            if "tonearm.decoding.decoder" in process.cmdline():
                found.append(process)
    return found


@pytest.mark.parametrize("name", FORMATS)
def test_as_in_this_process(name: str) -> None:
    rate_hz = FORMATS[name][2]
    content = encode(name, music(34 if name == "mp3" else 3, rate_hz), rate_hz, channels=1 if name == "au" else 2)
    assert_same(by_process(content), answer(content))


@pytest.mark.parametrize("content", [b"", b"no sound", MP3[:300], encode("mp3", music(0.5))])
def test_errors_as_in_this_process(content: bytes) -> None:
    assert_same(by_process(content), answer(content))
    assert by_process(MP3)[0] == ""


def test_limits_as_in_this_process() -> None:
    assert by_process(long_mp3(), 90)[0] == answer(long_mp3(), 90)[0] == "too_long"


class Wrapped(io.BytesIO):
    """A file of a kind that the operating system does not know."""


@pytest.mark.parametrize("kind", ["path", "str", "file", "unbuffered", "temporary", "bytesio", "own", "gzip"])
def test_every_source(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp3"
    path.write_bytes(MP3)
    (tmp_path / "clip.gz").write_bytes(gzip.compress(MP3))
    with contextlib.ExitStack() as stack:
        temporary = stack.enter_context(tempfile.TemporaryFile())
        temporary.write(MP3)
        sources: dict[str, Any] = {
            "path": path,
            "str": str(path),
            "file": stack.enter_context(path.open("rb")),
            "unbuffered": stack.enter_context(path.open("rb", buffering=0)),
            "temporary": temporary,
            "bytesio": io.BytesIO(MP3),
            "own": Wrapped(MP3),
            "gzip": stack.enter_context(gzip.open(tmp_path / "clip.gz")),
        }
        assert_same(by_process(sources[kind]), answer(MP3))


def test_plain_wav_and_arrays_need_no_process() -> None:
    assert by_process(encode("wav", music(3)))[0] == by_process((music(3), 22_050))[0] == ""
    assert not decoders()


def test_one_process_decodes_one_recording_after_another() -> None:
    for _ in range(3):
        assert by_process(MP3)[0] == ""
    assert len(decoders()) == 1


def riff_list() -> bytes:
    """The LIST states 2 GB."""
    form = struct.pack("<HHIIHH", 1, 2, 44_100, 176_400, 4, 16)
    chunks = b"fmt " + struct.pack("<I", 16) + form + b"LIST" + struct.pack("<I", 2**31 - 16) + b"INFOINAM"
    return b"RIFF" + struct.pack("<I", 2**31 - 1) + b"WAVE" + chunks + struct.pack("<I", 2**31 - 64) + bytes(2_000)


def sample_table(at: bytes) -> bytes:
    """A kilobyte that states 33 million samples, in a box of this name."""
    whole = encode("m4a", music(3, 44_100), 44_100)
    table = whole.index(b"stsz")
    content = whole[: table + 4] + struct.pack(">III", 0, 1, 1 << 25) + whole[table + 16 :]
    return content.replace(b"moov", at)


@pytest.mark.parametrize("content", [riff_list(), sample_table(b"moov"), sample_table(b"hoov"), sample_table(b"free")])
def test_stated_numbers_do_not_become_memory(content: bytes) -> None:
    assert by_process(MP3)[0] == ""
    before = psutil.Process().memory_info().rss
    assert by_process(content)[0] in ("corrupt", "too_complex", "unsupported_format")
    assert psutil.Process().memory_info().rss < before + 2**25
    assert by_process(MP3)[0] == ""
    (decoder,) = decoders()
    assert decoder.memory_info().rss < MEMORY_BYTES


def test_a_kill_from_outside_changes_no_answer() -> None:
    """Once while it is decoded; and while none is."""
    expected = answer(long_mp3())
    with open_reader(long_mp3()) as reader:
        samples = []
        for window in reader.windows():
            samples.append(window.samples.copy())
            if len(samples) == 1:
                decoders()[0].kill()
        assert expected[1] is not None
        np.testing.assert_array_equal(np.concatenate(samples), expected[1])
        assert reader.facts() == expected[2]
    decoders()[0].kill()
    assert_same(by_process(long_mp3()), expected)


@pytest.mark.parametrize(
    ("number", "error", "code"),
    [
        (signal.SIGKILL, DecoderError, "decoder_unavailable"),
        (signal.SIGSEGV, AudioError, "corrupt"),
        (signal.SIGTERM, DecoderError, "decoder_unavailable"),
        (signal.SIGXCPU, AudioError, "too_complex"),
    ],
)
def test_how_a_decoder_ends_decides(number: int, error: type[Exception], code: str) -> None:
    with open_reader(long_mp3()) as reader, pytest.raises(error) as caught:  # noqa: PT012
        for _ in reader.windows():
            for decoder in decoders():  # none is left where a window had been decoded before
                os.kill(decoder.pid, number)
    assert getattr(caught.value, "code", None) == code
    assert by_process(MP3)[0] == ""


def test_a_decoder_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder_pool, "MESSAGE_TIMEOUT_S", 0.5)
    with open_reader(long_mp3()) as reader, pytest.raises(DecoderError):  # noqa: PT012
        for _ in reader.windows():
            decoders()[0].suspend()
    monkeypatch.undo()
    assert by_process(MP3)[0] == ""


def test_whoever_gives_up_before_decoding_leaves_a_usable_decoder() -> None:
    with open_reader(long_mp3()) as reader:
        assert (reader.open().codec, round(reader.open().duration_s)) == ("mp3", 100)
        (before,) = decoders()
    assert by_process(MP3)[0] == ""
    assert decoders() == [before]


def test_it_imports_nothing_from_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "av.py").write_text("raise SystemExit")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [str(REPOSITORY), *(each for each in sys.path if each)])
    assert by_process(MP3)[0] == ""


def test_it_gets_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AzureWebJobsStorage", "AccountKey=secret")
    assert by_process(MP3)[0] == ""
    (decoder,) = decoders()
    assert set(decoder.environ()) <= {*decoder_pool.INHERITED, "PYTHONPATH", "OPENBLAS_NUM_THREADS", "LC_CTYPE"}


def test_whoever_waits_is_told_so() -> None:
    waits: list[int] = []

    def give_up() -> None:
        waits.append(1)
        if len(waits) == 2:
            raise TimeoutError

    with open_reader(long_mp3(), on_wait=give_up) as reader, pytest.raises(TimeoutError):  # noqa: PT012
        for _ in reader.windows():
            decoders()[0].suspend()
    assert by_process(MP3)[0] == ""


def test_decoders_that_are_too_many_end_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(open_reader(MP3)).open()
    assert len(decoders()) == 3
    assert by_process(MP3)[0] == ""
    assert len(decoders()) == 3
    monkeypatch.setattr(decoder_pool, "IDLE_S", 0)
    assert by_process(MP3)[0] == by_process(MP3)[0] == ""
    assert len(decoders()) == 1


def test_one_that_ends_is_replaced_at_once() -> None:
    POOL.start(2)
    before = decoders()
    with open_reader(long_mp3()) as reader:
        next(reader.windows())
    assert len(decoders()) == 2
    assert len({*before, *decoders()}) == 3


def test_a_broken_installation_is_no_fault_of_the_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(broken))
    with pytest.raises(DecoderError), open_reader(MP3) as reader:
        reader.open()
    monkeypatch.setattr("sys.executable", str(tmp_path / "missing"))
    with pytest.raises(DecoderError), open_reader(MP3) as reader:
        reader.open()


def test_a_file_that_cannot_be_read_is_no_fault_of_the_recording(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp3"
    path.write_bytes(MP3)
    with (
        path.open("ab") as file,
        contextlib.closing(DecoderReader(file)) as reader,  # type: ignore[arg-type]
        pytest.raises(OSError, match="read"),
    ):
        reader.open()


def test_only_so_many_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[int] = []

    def give_up() -> None:
        waits.append(1)
        raise TimeoutError

    with contextlib.ExitStack() as stack:
        for _ in range(decoder_pool.MOST_DECODERS):
            stack.enter_context(open_reader(MP3)).open()
        with pytest.raises(TimeoutError), open_reader(MP3, on_wait=give_up) as reader:
            reader.open()
    assert by_process(MP3)[0] == ""


def test_a_low_rate_takes_no_more_memory() -> None:
    """A window of it is few bytes, which become many samples."""
    form = struct.pack("<HHIIHH", 1, 1, 1_000, 2_000, 2, 16)
    samples = np.random.default_rng(0).integers(-9_999, 9_999, 400_000, np.int16).tobytes()
    content = b"RIFF" + struct.pack("<I", 36 + len(samples)) + b"WAVEfmt " + struct.pack("<I", 16) + form
    content += b"data" + struct.pack("<I", len(samples)) + samples
    tracemalloc.start()
    try:
        with open_reader(content) as reader:
            assert sum(1 for _ in reader.windows()) == 14
        assert tracemalloc.get_traced_memory()[1] < 2**25
    finally:
        tracemalloc.stop()
    assert not decoders()
