"""The preview spectrogram of a whole recording: right in time and frequency, whatever the length, and bounded."""

import tracemalloc
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.audio_samples import RATE_HZ, encode, music
from tests.tonearm.shipped import BANKS, SHIPPED
from tonearm.constants import WINDOW_S, WINDOW_SAMPLES
from tonearm.decoding.audio import AudioReader, Window
from tonearm.features.preview_spectrogram import BANDS, MAX_COLUMNS, PreviewBuilder, PreviewSpectrogram
from tonearm.features.spectrum import spectrum

Sound = NDArray[np.float32]
# A level of 255 is the loudest value; this one is 30 dB below.
LOUD = round(255 * (80 - 30) / 80)


def gather(windows: Iterable[Window]) -> PreviewSpectrogram:
    gathered = PreviewBuilder()
    for window in windows:
        gathered.add(window, None if window.silent else spectrum(window.samples, BANKS))
    return gathered.spectrogram()


def preview(samples: Sound) -> PreviewSpectrogram:
    return gather(AudioReader((samples, RATE_HZ)).windows())


def tone(duration_s: float, *, at_s: float, for_s: float, hz: float = 1_000.0) -> Sound:
    """Silence but for a tone."""
    time_s = np.arange(round(duration_s * RATE_HZ)) / RATE_HZ
    sounding = (time_s >= at_s) & (time_s < at_s + for_s)
    return (0.5 * np.sin(2 * np.pi * hz * time_s) * sounding).astype(np.float32)


def loud_parts(found: PreviewSpectrogram) -> list[tuple[float, float]]:
    """When anything is loud, as stretches of seconds."""
    n_columns = found.levels.shape[1]
    loud = np.concatenate([[False], found.levels.max(axis=0) >= LOUD, [False]])
    (turns,) = np.nonzero(loud[1:] != loud[:-1])
    column_s = found.end_s / n_columns
    return [(float(a) * column_s, float(b) * column_s) for a, b in zip(turns[::2], turns[1::2], strict=True)]


def slack_s(found: PreviewSpectrogram) -> float:
    """How far off a time may be: a column, one more for what slots share, and a frame."""
    return 2 * found.end_s / found.levels.shape[1] + 0.1


class TestTime:
    def test_a_tone_shows_when_it_sounds(self) -> None:
        found = preview(tone(30, at_s=10, for_s=2))
        assert found.levels.shape == (BANDS, 387)
        assert found.end_s == 30
        ((start_s, end_s),) = loud_parts(found)
        assert (start_s, end_s) == (pytest.approx(10, abs=0.1), pytest.approx(12, abs=0.1))
        assert found.levels[:, :100].max() == 0

    def test_windows_that_overlap_show_once(self) -> None:
        """The last of 70 s reaches back to 40 s."""
        found = preview(tone(70, at_s=50, for_s=2) + tone(70, at_s=65, for_s=2))
        (first, second) = loud_parts(found)
        assert first == (pytest.approx(50, abs=0.2), pytest.approx(52, abs=0.2))
        assert second == (pytest.approx(65, abs=0.2), pytest.approx(67, abs=0.2))

    def test_silent_windows_stay_silent_and_shift_nothing(self) -> None:
        sound, quiet = music(30), np.zeros(60 * RATE_HZ, np.float32)
        found = preview(np.concatenate([sound, quiet, sound, quiet]))
        assert found.end_s == 180
        (first, second) = loud_parts(found)
        assert first == (0, pytest.approx(30, abs=0.5))
        assert second == (pytest.approx(90, abs=0.5), pytest.approx(120, abs=0.5))
        assert found.levels[:, 110:290].max() == 0

    def test_the_shortest(self) -> None:
        found = preview(music(1.0))
        assert found.levels.shape == (BANDS, 13)
        assert found.end_s == 1
        assert found.levels.max() == 255

    def test_an_hour(self) -> None:
        """As it would come from a decoder, a window at a time: beeps at known times, and memory that does not grow."""
        beeps_s = (5.0, 1_234.0, 1_785.0, 1_815.0, 3_590.0)

        def windows() -> Iterable[Window]:
            for start_s in range(0, 3_600, 30):
                samples = np.zeros(WINDOW_SAMPLES, np.float32)
                for beep_s in beeps_s:
                    if start_s <= beep_s < start_s + WINDOW_S:
                        samples = tone(WINDOW_S, at_s=beep_s - start_s, for_s=3)
                yield Window(float(start_s), start_s + WINDOW_S, samples)

        tracemalloc.start()
        found = gather(windows())
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert found.levels.shape == (BANDS, MAX_COLUMNS)
        assert found.end_s == 3_600
        assert [start_s for start_s, _ in loud_parts(found)] == pytest.approx(beeps_s, abs=6)
        power = (10 ** (found.levels * (8 / 255))).sum(axis=0)
        for beep_s in beeps_s:  # slots merged, and nothing lost
            near = int(beep_s / 6)
            assert power[max(near - 1, 0) : near + 3].sum() == pytest.approx(power.sum() / len(beeps_s), rel=0.05)
        assert peak < 32 * 2**20  # of which a window's spectrum is most

    @pytest.mark.slow
    @settings(max_examples=12, deadline=None)
    @given(st.floats(1, 150), st.floats(0, 0.9), st.floats(80, 10_000))
    @example(30.0, 0.5, 440.0)
    @example(33.0, 0.95, 440.0)
    @example(37.5, 0.5, 440.0)
    @example(37.51, 0.5, 440.0)
    @example(93.0, 0.0, 440.0)
    def test_any_length(self, duration_s: float, share: float, hz: float) -> None:
        at_s, for_s = share * duration_s, max(0.1 * duration_s, 0.3)
        found = preview(tone(duration_s, at_s=at_s, for_s=for_s, hz=hz))
        n_columns = found.levels.shape[1]
        assert found.levels.dtype == np.uint8
        assert n_columns == min(MAX_COLUMNS, round(found.end_s * 12.9))
        assert found.end_s == pytest.approx(duration_s, abs=1e-4)
        ((start_s, end_s),) = loud_parts(found)
        assert start_s == pytest.approx(at_s, abs=slack_s(found))
        assert end_s == pytest.approx(min(at_s + for_s, duration_s), abs=slack_s(found))
        assert found.bands_hz[found.levels.max(axis=1).argmax()] == pytest.approx(hz, abs=max(40, 0.04 * hz))


class TestFrequency:
    def test_bands_rise_to_the_highest_frequency(self) -> None:
        bands_hz = preview(music(1.0)).bands_hz
        assert bands_hz.shape == (BANDS,)
        assert (np.diff(bands_hz) > 0).all()
        assert 0 < bands_hz[0] < 60
        assert 10_000 < bands_hz[-1] < RATE_HZ / 2

    @pytest.mark.parametrize("hz", [200.0, 440.0, 1_000.0, 3_500.0, 9_000.0])
    def test_a_tone_shows_at_its_own_frequency(self, hz: float) -> None:
        found = preview(tone(5, at_s=0, for_s=5, hz=hz))
        loudest = int(found.levels.sum(axis=1).argmax())
        assert loudest == np.abs(found.bands_hz - hz).argmin()


class TestLevel:
    def test_decibels_below_the_loudest(self) -> None:
        """A tenth of the amplitude is 20 dB less: a quarter of the scale."""
        samples = tone(30, at_s=3, for_s=5) + tone(30, at_s=15, for_s=5) / 10
        levels = preview(samples).levels.max(axis=0)
        assert levels[65:95].min() >= 253
        assert levels[200:250] == pytest.approx(255 * 0.75, abs=3)

    @pytest.mark.parametrize("duration_s", [30, 47, 61, 3_633, 3_635])
    def test_what_does_not_change_looks_so(self, duration_s: int) -> None:
        """No column is favoured: neither at the edges of windows, nor where they overlap, nor the last."""
        whole = tone(WINDOW_S, at_s=0, for_s=WINDOW_S)
        columns, gathered = spectrum(whole, BANKS), PreviewBuilder()
        for start_s in range(0, duration_s, 30):
            gathered.add(Window(float(start_s), float(min(start_s + 30, duration_s)), whole), columns)
        levels = gathered.spectrogram().levels.max(axis=0)
        assert levels.min() >= 254

    def test_each_band_is_the_mean_of_two_in_power(self) -> None:
        samples = music(30)
        mel_power = 10 ** (spectrum(samples, BANKS).mel_db.astype(np.float64) / 10)
        expected = (mel_power[:, 0::2] + mel_power[:, 1::2]).mean(axis=0)
        found = (10 ** (preview(samples).levels * (8 / 255))).mean(axis=1)
        difference_db = 10 * np.log10(found / expected)
        assert np.ptp(difference_db) < 0.6

    def test_how_loud_it_was_recorded_does_not_matter(self) -> None:
        loud, soft = (preview(music(5, level=level)) for level in (0.8, 0.08))
        assert np.abs(loud.levels.astype(int) - soft.levels).max() <= 1

    def test_silence_in_a_soft_recording_is_silence(self) -> None:
        levels = preview(tone(10, at_s=0, for_s=5) / 2_000).levels
        assert levels[:, :60].max(axis=0).min() >= 254
        assert levels[:, 70:].max() == 0

    @pytest.mark.slow
    def test_merged_columns_are_averaged_in_power(self) -> None:
        """Half of each column sounds: 3 dB less than a tone that goes on, and not half of the level."""
        time_s = np.arange(600 * RATE_HZ) / RATE_HZ
        samples = 0.5 * np.sin(2 * np.pi * 1_000 * time_s)
        samples[time_s < 300] *= (time_s[time_s < 300] % 1) < 0.5
        levels = preview(samples.astype(np.float32)).levels.max(axis=0)
        assert levels.shape == (MAX_COLUMNS,)
        assert levels[350:550].min() >= 254
        assert levels[10:290].mean() == pytest.approx(255 * (1 - 3.01 / 80), abs=3)

    def test_nothing_but_silence(self) -> None:
        with pytest.raises(ValueError, match="no window that is not silent"):
            preview(np.zeros(40 * RATE_HZ, np.float32))


def test_the_classifier_gathers_it_and_answers_the_same() -> None:
    content = encode("wav", np.concatenate([music(40), np.zeros(60 * RATE_HZ, np.float32)]))
    classifier, gathered = SHIPPED, PreviewBuilder()
    plain = classifier.classify(content)
    with_preview = classifier.classify(content, preview=gathered)
    assert with_preview.probabilities == plain.probabilities
    assert with_preview.segments == plain.segments
    assert set(with_preview.timings_ms) == {*plain.timings_ms, "overview"}
    found = gathered.spectrogram()
    assert found.end_s == pytest.approx(plain.audio.duration_s)
    ((start_s, end_s),) = loud_parts(found)
    assert (start_s, end_s) == (0, pytest.approx(40, abs=0.5))
