"""Chained Ogg: every link is decoded by its own head."""

import io

import numpy as np
import pytest
import soxr
from hypothesis import given
from hypothesis import strategies as st

from tests.audio_samples import encode, music
from tests.tonearm.decoding.reading import answer, likeness
from tonearm.constants import SAMPLE_RATE_HZ
from tonearm.decoding.ogg_links import links

# Format, rate and channels of a link.
VORBIS, MONO_OPUS, OPUS, FLAC = ("ogg", 44_100, 2), ("opus", 48_000, 1), ("opus", 48_000, 2), ("ogg", 22_050, 2)


def link(form: tuple[str, int, int], seed: int, duration_s: float = 4) -> bytes:
    name, rate_hz, channels = form
    return encode(name, music(duration_s, rate_hz, seed=seed), rate_hz, channels=channels)


@pytest.mark.parametrize("forms", [(VORBIS, VORBIS), (VORBIS, OPUS), (OPUS, MONO_OPUS), (VORBIS, FLAC, MONO_OPUS)])
def test_all_links_are_decoded(forms: tuple[tuple[str, int, int], ...]) -> None:
    code, samples, facts = answer(b"".join(link(form, seed) for seed, form in enumerate(forms)))
    assert not code
    assert samples is not None
    assert facts is not None
    assert (facts.damaged, facts.duration_s) == (False, pytest.approx(4 * len(forms), abs=0.1))
    n = 4 * SAMPLE_RATE_HZ
    for seed, (_, rate_hz, _) in enumerate(forms):
        part = samples[seed * n : (seed + 1) * n]
        assert likeness(part, soxr.resample(music(4, rate_hz, seed=seed), rate_hz, SAMPLE_RATE_HZ)) > 0.95


def test_what_begins_in_the_middle_of_a_stream_is_read_from_the_next() -> None:
    whole = link(VORBIS, 1)
    code, samples, facts = answer(whole[whole.index(b"OggS", len(whole) // 2) :] + link(VORBIS, 0))
    assert not code
    assert samples is not None
    assert facts is not None
    assert (facts.damaged, facts.duration_s) == (True, pytest.approx(4, abs=0.1))
    assert likeness(samples, soxr.resample(music(4, 44_100), 44_100, SAMPLE_RATE_HZ)) > 0.95


def test_a_broken_link_is_damage() -> None:
    broken = bytearray(link(VORBIS, 1))
    broken[28:200] = bytes(172)
    _, samples, facts = answer(link(VORBIS, 0) + bytes(broken) + link(VORBIS, 2))
    assert samples is not None
    assert facts is not None
    assert facts.damaged
    assert len(samples) >= 7.8 * SAMPLE_RATE_HZ


def test_links_of_one_and_of_other_files() -> None:
    one = link(VORBIS, 0)
    assert links(io.BytesIO(one)) == [(0, len(one))]
    assert links(io.BytesIO(one + one + b"junk")) == [(0, len(one)), (len(one), 2 * len(one) + 4)]
    assert links(io.BytesIO(encode("flac", music(1)))) == links(io.BytesIO(b"")) == []


@given(st.binary(max_size=400), st.integers(0, 3_000))
def test_any_bytes_have_links_in_order(noise: bytes, at: int) -> None:
    content = bytearray(link(OPUS, 0, 0.5))
    content[at : at + len(noise)] = noise
    found = links(io.BytesIO(bytes(content)))
    assert np.array_equal(found, sorted(found))
    assert all(start < end <= len(content) for start, end in found)
