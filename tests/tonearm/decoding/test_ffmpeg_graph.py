"""Frames that FFmpeg joins are those that it hands out one by one, and whatever is wrong is reported all the same."""

import gc
import io
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.audio_samples import FORMATS, encode, music
from tests.tonearm.decoding.reading import Answer, answer, assert_same
from tonearm.decoding import audio, packets
from tonearm.decoding.audio import AudioReader
from tonearm.decoding.ffmpeg_graph import GraphError, joined_frames

CHANNELS = {"au": 1}


@cache
def short(name: str) -> bytes:
    _, _, rate_hz = FORMATS[name]
    return encode(name, music(4, rate_hz), rate_hz, channels=CHANNELS.get(name, 2))


@pytest.fixture
def ways(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """How each recording was decoded, in order."""
    taken = []

    def noting(*args: Any) -> Any:
        try:
            yield from joined_frames(*args)
        except GraphError:
            taken.append("by packets")
            raise
        taken.append("joined")

    monkeypatch.setattr(audio, "joined_frames", noting)
    return taken


def by_packets(source: bytes) -> Answer:
    def unjoinable(*_: object) -> Any:
        raise GraphError

    with pytest.MonkeyPatch.context() as patch:
        for module in (audio, packets):
            patch.setattr(module, "joined_frames", unjoinable)
        return answer(source)


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_joined_to_the_same(name: str, ways: list[str]) -> None:
    _, _, rate_hz = FORMATS[name]
    content = encode(name, music(8, rate_hz), rate_hz, channels=CHANNELS.get(name, 2))
    got = answer(content)
    assert ways == ["joined"]
    assert_same(got, by_packets(content))


@pytest.mark.parametrize("codec", ["pcm_u8", "pcm_s24le", "pcm_f32le", "pcm_f64le", "pcm_alaw", "adpcm_ms"])
@pytest.mark.parametrize("channels", [1, 2, 8])
def test_every_sample_form(codec: str, channels: int, ways: list[str]) -> None:
    if codec == "adpcm_ms" and channels == 8:
        channels = 2
    content = encode("wav", music(3), codec=codec, channels=channels)
    got = answer(content)
    assert ways == ["joined"]
    assert_same(got, by_packets(content))


@pytest.mark.parametrize("name", ["mp3", "aac"])
def test_rate_and_channels_that_change_are_left_to_packets(name: str, ways: list[str]) -> None:
    content = encode(name, music(9, 44_100), 44_100, channels=2) + encode(name, music(4, 22_050), 22_050)
    got = answer(content)
    assert ways == ["by packets"]
    assert_same(got, by_packets(content))


def cut(content: bytearray, at: int, length: int) -> None:
    del content[at:]


def drop(content: bytearray, at: int, length: int) -> None:
    del content[at : at + length]


def spoil(content: bytearray, at: int, length: int) -> None:
    for index in range(at, min(at + length, len(content))):
        content[index] = (content[index] * 7 + index) % 256


@pytest.mark.slow
@given(
    st.sampled_from(sorted(FORMATS)),
    st.sampled_from([cut, drop, spoil]),
    st.floats(0, 1),
    st.integers(1, 4_000),
)
def test_any_damage_is_reported_as_by_packets(
    name: str, harm: Callable[[bytearray, int, int], None], where: float, length: int
) -> None:
    content = bytearray(short(name))
    harm(content, int(where * len(content)), length)
    assume(content)
    # Where fewer bytes are left of a frame than its head has, only the packets show it.
    assume((name, harm) != ("aac", cut))
    assert_same(answer(bytes(content)), by_packets(bytes(content)))


def test_files_without_a_descriptor_are_left_to_packets(ways: list[str]) -> None:
    class Own(io.BytesIO):
        pass

    assert_same(answer(Own(short("mp3"))), by_packets(short("mp3")))
    assert ways == ["by packets"]


def test_files_on_disk_are_joined_and_left_open_where_they_were(tmp_path: Path, ways: list[str]) -> None:
    path = tmp_path / "a"
    path.write_bytes(short("ogg"))
    with path.open("rb") as file:
        got = answer(file)
        assert file.seek(0) == 0
        assert file.read() == short("ogg")
    assert ways == ["joined"]
    assert_same(got, by_packets(short("ogg")))


def test_no_descriptor_stays_open(ways: list[str]) -> None:
    def open_ones() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    answer(short("mp3"))
    before = open_ones()
    gc.disable()
    try:
        for _ in range(3):
            answer(short("mp3"))
            answer(short("flac")[:30_000])
            next(AudioReader(short("ogg")).windows())
        assert open_ones() == before
    finally:
        gc.enable()
    assert set(ways) == {"joined", "by packets"}
