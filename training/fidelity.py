"""``python -m training.fidelity --data GTZAN``: compares what serving computes from audio with the public tables.

The folder holds ``mels.npz`` and ``features_30_sec.csv``, and audio of some of the tracks. Prints the mean difference
of the mel spectrograms as a share of their range, that of each librosa column in standard deviations over all tracks,
and how many answers of the models that ship are the same for both.
"""

import argparse
from pathlib import Path

import numpy as np

from tonearm.classifier import Classifier
from tonearm.constants import GENRES
from tonearm.decoding.audio import AudioReader
from tonearm.features import svm_features
from tonearm.features.spectrum import spectrum
from tonearm.features.tiles import tiles
from tonearm.types import Floats
from training.data import dataset
from training.evaluation.calibration import Calibration


def main() -> None:
    """Prints the comparison."""
    parser = argparse.ArgumentParser(prog="python -m training.fidelity", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the tables and of audio")
    folder: Path = parser.parse_args().data
    published = dataset.load(folder)
    deviation = published.statistics.std(axis=0)
    vectors, classifier = published.vectors(), Classifier.load()
    mel_errors, column_errors, same = [], [], []
    for file in dataset.audio_files(folder):
        row = published.tracks.index(file.stem)
        computed = spectrum(next(AudioReader(file).windows()).samples, classifier.banks)
        mel_errors.append(np.abs(computed.mel - published.mels[row]).mean() / 255)
        column_errors.append(np.abs(svm_features.librosa_statistics(computed) - published.statistics[row]) / deviation)
        of_audio = answer(classifier, svm_features.vector(computed, computed.mel), computed.mel)
        same.append(of_audio == answer(classifier, vectors[row], published.mels[row]))
    print(f"{len(same)} tracks; mels: mean {np.mean(mel_errors):.2%} of range, worst track {np.max(mel_errors):.2%}")
    print(f"{sum(same)} of {len(same)} answers are the same ({classifier.model_version}, {classifier.mode})")
    print(f"{'column':28} {'mean':>6} {'median':>6} {'worst':>6}  tracks beyond 0.1")
    for name, errors in zip(svm_features.LIBROSA_NAMES, np.transpose(column_errors), strict=True):
        far = int((errors > 0.1).sum())
        print(f"{name:28} {errors.mean():6.3f} {np.median(errors):6.3f} {errors.max():6.3f}  {far or ''}")


def answer(classifier: Classifier, vector: Floats, mel: np.ndarray) -> str:
    """The genre of a row of the tables: feature vector (1246,), float32; mel spectrogram (128, n_columns), uint8."""
    margins, _ = classifier.svm.scores_and_similarity(vector[None])
    logits = classifier.vgg19.scores(tiles(mel.astype(np.float32), classifier.numbers.tiles))
    numbers = Calibration.of_mode(classifier.numbers)
    both = {"svm": 0.5, "vgg19": 0.5}  # the tables hold no input of the AudioSet network
    probabilities = Calibration(numbers.scales, both).apply({"svm": margins[None], "vgg19": logits[None]})
    return GENRES[int(probabilities["ensemble"].argmax())]


if __name__ == "__main__":
    main()
