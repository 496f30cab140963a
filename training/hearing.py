"""``python -m training.hearing FOLDER``: how often a recording's genre stays what it is when it is recorded badly.

FOLDER holds recordings in a folder for each genre, as GTZAN's. The first 30 s of some of each are heard as they are and
in other conditions: with channels that cancel each other, pauses, noise before and after, too quiet, with a constant.
"""

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from tonearm import manifest
from tonearm.classifier import Classifier
from tonearm.constants import SAMPLE_RATE_HZ, WINDOW_S
from tonearm.decoding.audio import AudioReader
from tonearm.errors import AudioError
from tonearm.types import Floats

SHORT_S = 5
MAINS_HZ = 50
REFERENCE = "as it is"


def noise(duration_s: float, level_db: float) -> Floats:
    """White noise, shape (n,), float32, of this level (RMS) below full scale."""
    made = np.random.default_rng(0).normal(0, 10 ** (level_db / 20), round(duration_s * SAMPLE_RATE_HZ))
    return made.astype(np.float32)


def hum(duration_s: float, level_db: float) -> Floats:
    """A mains hum of three harmonics, shape (n,), float32, of this level (RMS) below full scale."""
    time_s = np.arange(round(duration_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    made = sum(np.sin(2 * np.pi * MAINS_HZ * order * time_s) / order for order in (1, 2, 3))
    return np.asarray(made / np.sqrt(np.mean(np.square(made))) * 10 ** (level_db / 20), np.float32)


def silence(duration_s: float) -> Floats:
    """Shape (n,), float32."""
    return np.zeros(round(duration_s * SAMPLE_RATE_HZ), np.float32)


def quiet(samples: Floats, level_db: float) -> Floats:
    """Samples (n,), float32, with this peak."""
    return samples / max(float(np.abs(samples).max()), 1e-9) * np.float32(10 ** (level_db / 20))


def inverted(samples: Floats, common: Floats | float = 0, own_db: float | None = None) -> Floats:
    """Samples (n,), float32, as two channels that cancel each other, and what both hear; shape (n, 2)."""
    channels = np.stack([samples + common, common - samples], axis=1).astype(np.float32)
    if own_db is not None:  # each channel's own noise
        channels += noise(2 * len(samples) / SAMPLE_RATE_HZ, own_db).reshape(channels.shape)
    return channels


def rears_inverted(samples: Floats) -> Floats:
    """Samples (n,), float32, in the rear channels of 5.1 only, one turned; shape (n, 6)."""
    return np.stack([0 * samples] * 4 + [samples, -samples], axis=1)


def halves(samples: Floats, pause_s: float) -> Floats:
    """Samples (n,), float32, with a pause in the middle."""
    middle = len(samples) // 2
    return np.concatenate([samples[:middle], silence(pause_s), samples[middle:]])


CONDITIONS: dict[str, tuple[Callable[[Floats], Floats], Callable[[Floats], Floats]]] = {
    REFERENCE: (lambda x: x, lambda x: x),
    "one channel turned": (lambda x: x, inverted),
    "one channel turned, noise at -60 dB": (lambda x: x, lambda x: inverted(x, own_db=-60)),
    "one channel turned, noise at -70 dB": (lambda x: x, lambda x: inverted(x, own_db=-70)),
    "one channel turned, hum at -50 dB in both": (
        lambda x: x,
        lambda x: inverted(x, hum(len(x) / SAMPLE_RATE_HZ, -50)),
    ),
    "in the rear channels of 5.1, one turned": (lambda x: x, rears_inverted),
    "5 s, then 25 s of silence": (
        lambda x: x[: SHORT_S * SAMPLE_RATE_HZ],
        lambda x: np.concatenate([x[: SHORT_S * SAMPLE_RATE_HZ], silence(WINDOW_S - SHORT_S)]),
    ),
    "15 s, 30 s of silence, 15 s": (lambda x: x, lambda x: halves(x, 30)),
    "after 60 s of hiss at -65 dB": (lambda x: x, lambda x: np.concatenate([noise(60, -65), x])),
    "after 60 s of hum at -50 dB": (lambda x: x, lambda x: np.concatenate([hum(60, -50), x])),
    "three times, then 150 s of hiss at -70 dB": (
        lambda x: np.tile(x, 3),
        lambda x: np.concatenate([np.tile(x, 3), noise(150, -70)]),
    ),
    "peak at -40 dB": (lambda x: x, lambda x: quiet(x, -40)),
    "peak at -60 dB": (lambda x: x, lambda x: quiet(x, -60)),
    "peak at -75 dB": (lambda x: x, lambda x: quiet(x, -75)),
    "a constant of 0.3 added": (lambda x: x, lambda x: quiet(x, -6) + np.float32(0.3)),
    "peak at -40 dB, a constant of 0.3 added": (lambda x: x, lambda x: quiet(x, -40) + np.float32(0.3)),
}
"""Each names two ways to hear samples of shape (n,), float32: what it is to be answered as, and the condition."""


def main(arguments: list[str] | None = None) -> None:
    """Prints a table; see ``--help``."""
    parser = argparse.ArgumentParser(prog="python -m training.hearing", description=__doc__)
    parser.add_argument("folder", type=Path, help="recordings in a folder for each genre")
    parser.add_argument("--version", help="a folder below models/ (default: the default version)")
    parser.add_argument("--each", type=int, default=2, help="how many of each genre (default: %(default)s)")
    options = parser.parse_args(arguments)
    folder = manifest.MODELS_FOLDER / options.version if options.version else manifest.default_folder()
    accurate = Classifier.load(folder)
    classifiers = [accurate, replace(accurate, mode="fast")]
    clips = []
    for of_genre in sorted(path for path in options.folder.iterdir() if path.is_dir()):
        clips += [next(AudioReader(file).windows()).samples for file in sorted(of_genre.iterdir())[: options.each]]
    print(f"{accurate.model_version}, {len(clips)} clips\n")
    print("| condition | the same genre, accurate | fast |\n|---|---|---|")
    for name, (reference, condition) in tqdm(CONDITIONS.items(), unit="condition", leave=False):
        same = [sum(_genre(each, reference(x)) == _genre(each, condition(x)) for x in clips) for each in classifiers]
        print(f"| {name} | {same[0]} | {same[1]} |", flush=True)


def _genre(classifier: Classifier, samples: Floats) -> str:
    """The genre, or the code of the refusal."""
    try:
        return classifier.classify((samples, SAMPLE_RATE_HZ)).genre
    except AudioError as error:
        return error.code


if __name__ == "__main__":
    main()
