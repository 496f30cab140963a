"""The workarounds do what they are for, and are still needed."""

import ctypes
import gc
import pkgutil
import weakref
from concurrent.futures import ThreadPoolExecutor

import av
import numpy as np
import pytest
from av.filter import Graph
from hypothesis import given
from hypothesis import strategies as st

from tests.audio_samples import music
from tests.tonearm.shipped import BANKS
from tonearm.constants import FRAME_LENGTH_SAMPLES, SPECTRUM_BINS
from tonearm.features.spectrum import spectrum
from tonearm.types import Floats
from tonearm.workarounds import FRAMES_AT_ONCE, FrameTransform, frame_transform, free_graph


def frames(seed: int, n: int, level: float = 1.0) -> Floats:
    return (level * np.random.default_rng(seed).normal(size=(n, FRAME_LENGTH_SAMPLES))).astype(np.float32)


def transformed(some: Floats) -> np.ndarray:
    transform = frame_transform()
    transform.frames[: len(some)] = some
    return transform.spectra(len(some)).copy()


def test_it_is_ffmpegs() -> None:
    assert frame_transform().by_ffmpeg
    assert frame_transform() is frame_transform()


@given(st.integers(0, 2**32 - 1), st.integers(1, FRAMES_AT_ONCE), st.floats(1e-6, 1e4))
def test_it_is_the_fourier_transform(seed: int, n: int, level: float) -> None:
    some = frames(seed, n, level)
    found = transformed(some)
    exact = np.fft.rfft(some.astype(np.float64), axis=1)
    assert found.shape == (n, SPECTRUM_BINS)
    # A few of float32's last digits, of the longest frame's length as a vector, which no bin exceeds by much.
    assert np.abs(found - exact).max() < 2**-19 * np.linalg.norm(some.astype(np.float64), axis=1).max()


def test_single_tones_stand_in_their_bins() -> None:
    bins = np.linspace(1, SPECTRUM_BINS - 2, FRAMES_AT_ONCE).astype(int)
    tones = np.cos(2 * np.pi * bins[:, None] * np.arange(FRAME_LENGTH_SAMPLES) / FRAME_LENGTH_SAMPLES)
    found = transformed(tones.astype(np.float32))
    expected = np.zeros((len(bins), SPECTRUM_BINS))
    expected[np.arange(len(bins)), bins] = FRAME_LENGTH_SAMPLES / 2
    assert np.abs(found - expected).max() < 1e-3
    assert not transformed(np.zeros((2, FRAME_LENGTH_SAMPLES), np.float32)).any()


def test_threads_do_not_disturb_each_other() -> None:
    inputs = [frames(seed, FRAMES_AT_ONCE) for seed in range(8)]
    alone = [transformed(each) for each in inputs]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(20):
            assert all(map(np.array_equal, pool.map(transformed, inputs), alone))


def test_numpy_replaces_it_where_it_is_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = music(10)
    by_ffmpeg = spectrum(samples, BANKS)
    monkeypatch.setattr(ctypes, "CDLL", lambda _: None)
    monkeypatch.setattr("tonearm.features.spectrum.frame_transform", FrameTransform)
    by_numpy = spectrum(samples, BANKS)
    assert not FrameTransform().by_ffmpeg
    np.testing.assert_allclose(by_ffmpeg.magnitude, by_numpy.magnitude, atol=1e-6 * by_numpy.magnitude.max())
    np.testing.assert_allclose(by_ffmpeg.mel, by_numpy.mel, atol=0.05)


def test_pyav_still_offers_no_transform() -> None:
    """If it does, call that instead of going through ctypes."""
    modules = {module.name.rpartition(".")[2] for module in pkgutil.walk_packages(av.__path__, "av.")}
    assert not modules & {"tx", "fft", "rdft", "transform"}


@pytest.mark.parametrize("freed", [True, False])
def test_pyavs_graph_still_needs_to_be_freed(freed: bool) -> None:
    """If the graph goes without `free_graph`, that can go."""
    gc.disable()
    try:
        graph = Graph()
        source = graph.add("anullsrc")
        graph.link_nodes(source, graph.add("abuffersink"))
        graph.configure()
        alive = weakref.ref(graph)
        if freed:
            free_graph(graph)
        del graph, source
        assert (alive() is None) == freed
    finally:
        gc.enable()
