"""``python -m training.fidelity --data GTZAN``: what serving computes from audio against the public tables.

The folder holds ``mels.npz`` and ``features_30_sec.csv``, and audio of some of the tracks. Prints the pictures' mean
difference in parts of their range, and each column's in parts of its standard deviation over all tracks; and how many
answers about audio are those about its row of the tables, by the models that are served.
"""

import argparse
from pathlib import Path

import numpy as np

from tonearm import ensemble
from tonearm.classifier import Classifier
from tonearm.constants import GENRES
from tonearm.decoding.audio import AudioReader
from tonearm.features import svm_features
from tonearm.features.spectrum import spectrum
from tonearm.features.tiles import tiles
from tonearm.types import Floats
from training.data import dataset
from training.evaluation import calibration


def main() -> None:
    """Prints the comparison."""
    parser = argparse.ArgumentParser(prog="python -m training.fidelity", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the tables and of audio")
    folder: Path = parser.parse_args().data
    published = dataset.load(folder)
    deviation = published.table.std(axis=0)
    vectors, classifier = published.vectors(), Classifier.load()
    pictures, columns, same = [], [], []
    for file in dataset.audio_files(folder):
        row = published.tracks.index(file.stem)
        computed = spectrum(next(AudioReader(file).windows()).samples, classifier.banks)
        pictures.append(np.abs(computed.mel - published.pictures[row]).mean() / 255)
        columns.append(np.abs(svm_features.librosa_statistics(computed) - published.table[row]) / deviation)
        same.append(classifier.classify(file).genre == answer(classifier, vectors[row], published.pictures[row]))
    print(
        f"{len(pictures)} tracks; pictures: mean {np.mean(pictures):.2%} of range, worst track {np.max(pictures):.2%}"
    )
    print(f"{sum(same)} of {len(same)} answers are the same ({classifier.model_version}, {classifier.mode})")
    print(f"{'column':28} {'mean':>6} {'median':>6} {'worst':>6}  tracks beyond 0.1")
    for name, errors in zip(svm_features.LIBROSA_NAMES, np.transpose(columns), strict=True):
        beyond = int((errors > 0.1).sum())
        print(f"{name:28} {errors.mean():6.3f} {np.median(errors):6.3f} {errors.max():6.3f}  {beyond or ''}")


def answer(classifier: Classifier, vector: Floats, picture: np.ndarray) -> str:
    """The genre of a row of the tables."""
    numbers = classifier.numbers
    margins, _ = classifier.svm.judge(vector[None])
    logits = classifier.vgg19.scores(tiles(picture.astype(np.float32), numbers.tiles))
    svm = ensemble.calibrated(margins, numbers.scales["svm"])
    vgg19 = calibration.tile_mean(logits[None], numbers.scales["vgg19"])
    return GENRES[int(np.argmax(ensemble.pooled(svm, vgg19, numbers.weights)))]


if __name__ == "__main__":
    main()
