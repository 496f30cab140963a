"""The plainest WAV files are read without FFmpeg, and exactly as FFmpeg reads them."""

import io
import struct
from unittest.mock import patch

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.audio_samples import RATE_HZ, encode, music
from tests.tonearm.decoding.reading import answer, assert_same
from tonearm.decoding import audio

Chunks = list[tuple[bytes, bytes]]

FORMAT = struct.pack("<HHIIHH", 1, 1, RATE_HZ, 2 * RATE_HZ, 2, 16)


def riff(chunks: Chunks) -> bytes:
    body = b"".join(
        kind + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2) for kind, content in chunks
    )
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WAVE" + body


def sound(n_samples: int, seed: int = 0) -> bytes:
    return np.random.default_rng(seed).integers(-32_768, 32_767, n_samples, np.int16).tobytes()


def assert_as_ffmpeg(content: bytes, max_duration_s: float | None = None) -> None:
    with patch.object(audio, "plain_wav", lambda _: None):
        by_ffmpeg = answer(content, max_duration_s)
    assert_same(answer(content, max_duration_s), by_ffmpeg)


def is_plain(content: bytes) -> bool:
    return audio.plain_wav(io.BytesIO(content)) is not None


@pytest.mark.parametrize("rate_hz", [900, 8_000, 11_025, 16_000, RATE_HZ, 44_100, 48_000, 800_000])
@pytest.mark.parametrize("length_s", [0.5, 35])
def test_as_ffmpeg(rate_hz: int, length_s: float) -> None:
    n_samples = round(rate_hz * min(length_s, 4 if rate_hz > 100_000 else length_s))
    form = struct.pack("<HHIIHH", 1, 1, rate_hz, 2 * rate_hz, 2, 16)
    content = riff([(b"fmt ", form), (b"data", sound(n_samples))])
    assert is_plain(content) == (900 < rate_hz < 800_000)
    assert_as_ffmpeg(content)


@pytest.mark.parametrize("longest_s", [1.9, 2.05, 5])
def test_too_long_as_ffmpeg(longest_s: float) -> None:
    assert_as_ffmpeg(riff([(b"fmt ", FORMAT), (b"data", sound(2 * RATE_HZ + 4_000))]), longest_s)


def test_ffmpeg_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    content = encode("wav", music(3))
    monkeypatch.setattr(av, "open", None)
    _, samples, facts = answer(content)
    assert samples is not None
    np.testing.assert_allclose(samples, music(3), atol=1e-4)
    assert (facts.codec, facts.channels, facts.damaged) == ("pcm_s16le", 1, False)


DATA = sound(RATE_HZ + 1)
LEFT_TO_FFMPEG: dict[str, bytes] = {
    "no riff": b"RIFX" + riff([(b"fmt ", FORMAT), (b"data", DATA)])[4:],
    "no wave": riff([(b"fmt ", FORMAT), (b"data", DATA)]).replace(b"WAVE", b"WAVX"),
    "cut": riff([(b"fmt ", FORMAT), (b"data", DATA)])[:-2],
    "longer": riff([(b"fmt ", FORMAT), (b"data", DATA)]) + b"tail",
    "more behind": riff([(b"fmt ", FORMAT), (b"data", DATA), (b"smv0", b"abcd")]),
    "odd": riff([(b"fmt ", FORMAT), (b"data", DATA + b"\0")]),
    "twice": riff([(b"fmt ", FORMAT), (b"data", DATA), (b"data", DATA)]),
    "formats": riff([(b"fmt ", FORMAT), (b"fmt ", FORMAT), (b"data", DATA)]),
    "format last": riff([(b"data", DATA), (b"fmt ", FORMAT)]),
    "no format": riff([(b"data", DATA)]),
    "no data": riff([(b"fmt ", FORMAT)]),
    "empty data": riff([(b"fmt ", FORMAT), (b"data", b"")]),
    "stereo": riff([(b"fmt ", struct.pack("<HHIIHH", 1, 2, RATE_HZ, 4 * RATE_HZ, 4, 16)), (b"data", DATA)]),
    "float": riff([(b"fmt ", struct.pack("<HHIIHH", 3, 1, RATE_HZ, 4 * RATE_HZ, 4, 32)), (b"data", DATA)]),
    "8 bits": riff([(b"fmt ", struct.pack("<HHIIHH", 1, 1, RATE_HZ, RATE_HZ, 1, 8)), (b"data", DATA)]),
    "mp3": riff([(b"fmt ", struct.pack("<HHIIHH", 0x55, 1, RATE_HZ, 2 * RATE_HZ, 2, 16)), (b"data", DATA)]),
    "wrong pace": riff([(b"fmt ", struct.pack("<HHIIHH", 1, 1, RATE_HZ, RATE_HZ, 2, 16)), (b"data", DATA)]),
    "no rate": riff([(b"fmt ", struct.pack("<HHIIHH", 1, 1, 0, 0, 2, 16)), (b"data", DATA)]),
    "longer format": riff([(b"fmt ", FORMAT + b"\0\0"), (b"data", DATA)]),
    "many chunks": riff([(b"JUNK", b"")] * 40 + [(b"fmt ", FORMAT), (b"data", DATA)]),
    "short list": riff([(b"fmt ", FORMAT), (b"LIST", b"INF"), (b"data", DATA)]),
    "short broadcast chunk": riff([(b"fmt ", FORMAT), (b"bext", b"abcd"), (b"data", DATA)]),
    "text": b"no sound at all",
    "nothing": b"",
}


@pytest.mark.parametrize("what", LEFT_TO_FFMPEG)
def test_what_is_left_to_ffmpeg(what: str) -> None:
    assert not is_plain(LEFT_TO_FFMPEG[what])


ASIDE = st.sampled_from([b"LIST", b"JUNK", b"bext", b"fact", b"cue ", b"id3 ", b"PEAK", b"what"])
EXTRA = st.lists(st.tuples(ASIDE, st.binary(max_size=40)), max_size=3)


@given(
    st.integers(0, 3 * RATE_HZ),
    st.integers(0, 99),
    st.sampled_from([1_000, 8_000, RATE_HZ]),
    EXTRA,
    EXTRA,
    EXTRA,
    st.integers(-3, 3),
)
def test_any_is_as_ffmpeg_has_it(
    n_samples: int, seed: int, rate_hz: int, before: Chunks, between: Chunks, after: Chunks, more_bytes: int
) -> None:
    form = struct.pack("<HHIIHH", 1, 1, rate_hz, 2 * rate_hz, 2, 16)
    chunks = [*before, (b"fmt ", form), *between, (b"data", sound(n_samples, seed)), *after]
    content = riff(chunks)
    assert_as_ffmpeg(content[:more_bytes] if more_bytes < 0 else content + b"x" * more_bytes)


@given(st.integers(0, 63), st.integers(0, 255))
def test_any_wrong_byte_is_as_ffmpeg_has_it(index: int, value: int) -> None:
    content = bytearray(riff([(b"fmt ", FORMAT), (b"LIST", b"INFO"), (b"data", sound(2 * RATE_HZ))]))
    content[index] = value
    if is_plain(bytes(content)):
        assert_as_ffmpeg(bytes(content))
