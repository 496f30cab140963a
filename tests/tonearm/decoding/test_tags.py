"""Tags before and behind the sound: they are neither sound nor damage, whatever is in them."""

import io
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.audio_samples import FORMATS, encode, music
from tests.tonearm.decoding.reading import answer
from tonearm.decoding.tags import after_tags, lead_end, only_tags, tail_start

COVER = np.random.default_rng(0).integers(0, 256, 1_200_000, np.uint8).tobytes()


def syncsafe(n: int) -> bytes:
    return bytes((n >> shift) & 127 for shift in (21, 14, 7, 0))


def id3(content: bytes, *, footer: bool = False) -> bytes:
    facts = b"\4\0" + (b"\x10" if footer else b"\0") + syncsafe(len(content))
    return b"ID3" + facts + content + (b"3DI" + facts if footer else b"")


def ape(content: bytes, *, header: bool) -> bytes:
    size = len(content) + 32
    ends = [struct.pack("<8sIIII8x", b"APETAGEX", 2000, size, 1, (header << 31) | (at << 29)) for at in (1, 0)]
    return (ends[0] if header else b"") + content + ends[1]


BEHIND = {
    "ID3v1": b"TAG" + b"x" * 125,
    "APE with a header": ape(COVER[:300_000], header=True),
    "APE without a header": ape(COVER[:50_000], header=False),
    "ID3v2 with a footer": id3(COVER[:300_000], footer=True),
    "ID3v2": id3(COVER[:300_000]),
    "Lyrics3v2": b"LYRICSBEGIN" + COVER[:500] + b"000511LYRICS200",
    "APE and ID3v1": ape(COVER[:50_000], header=False) + b"TAG" + b"x" * 125,
    "padding": b"\x55" * 9_000,
}
IN_FRONT = {
    "a large cover": id3(COVER),
    "two": id3(COVER[:3_000]) + id3(COVER[:900]),
    "one and zeros": id3(COVER[:3_000]) + bytes(5_000),
    "APE": ape(COVER[:3_000], header=True),
}


def sound(name: str) -> bytes:
    rate_hz = FORMATS[name][2]
    return encode(name, music(4, rate_hz), rate_hz, channels=1 if name == "au" else 2)


@pytest.mark.parametrize("tag", BEHIND)
@pytest.mark.parametrize("name", ["mp3", "aac"])
def test_what_is_behind(name: str, tag: str) -> None:
    code, samples, facts = answer(sound(name) + BEHIND[tag])
    assert not code
    assert samples is not None
    assert facts is not None
    assert facts.damaged is False
    assert facts.duration_s == pytest.approx(4, abs=0.1)


@pytest.mark.parametrize("tag", IN_FRONT)
@pytest.mark.parametrize("name", [name for name in FORMATS if name not in ("webm", "wma")])
def test_what_is_in_front(name: str, tag: str) -> None:
    plain, tagged = answer(sound(name)), answer(IN_FRONT[tag] + sound(name))
    assert tagged[0] == plain[0] == ""
    assert tagged[2] == plain[2]
    np.testing.assert_allclose(tagged[1], plain[1], atol=1e-5)


def test_joined_files_are_whole() -> None:
    tagged = [id3(COVER[:20_000]) + sound("mp3") + BEHIND["APE with a header"] + BEHIND["ID3v1"] for _ in range(2)]
    code, _, facts = answer(b"".join(tagged))
    assert not code
    assert facts is not None
    assert (facts.damaged, facts.duration_s) == (False, pytest.approx(8, abs=0.2))


@pytest.mark.parametrize("name", ["flac", "m4a", "wav", "aiff", "au", "ogg"])
@pytest.mark.parametrize("tag", ["ID3v1", "APE with a header", "APE and ID3v1", "ID3v2 with a footer"])
def test_tags_behind_other_files(name: str, tag: str) -> None:
    plain, tagged = answer(sound(name)), answer(sound(name) + BEHIND[tag])
    assert tagged[0] == plain[0] == ""
    assert tagged[2] == plain[2]


@given(st.binary(max_size=300), st.sampled_from([*BEHIND.values(), b"", b"TAG", b"3DI", b"LYRICS200"]), st.data())
def test_any_bytes_have_a_lead_and_a_tail(content: bytes, tag: bytes, data: st.DataObject) -> None:
    tag = tag[-data.draw(st.integers(0, 200)) :]
    file = io.BytesIO(content + tag)
    size = len(content) + len(tag)
    assert 0 <= lead_end(file) <= size
    assert 0 <= tail_start(file) <= size
    assert after_tags(file, 0) >= 0
    assert only_tags(file, size)
