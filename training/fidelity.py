"""``python -m training.fidelity --data GTZAN``: what serving computes from audio against the public tables.

The folder holds ``mels.npz`` and ``features_30_sec.csv``, and audio of some of the tracks. Prints the pictures' mean
difference in parts of their range, and each column's in parts of its standard deviation over all tracks.
"""

import argparse
from pathlib import Path

import numpy as np

from tonearm import features
from tonearm.audio import AudioReader
from tonearm.spectrum import spectrum
from training import dataset


def main() -> None:
    """Prints the comparison."""
    parser = argparse.ArgumentParser(prog="python -m training.fidelity", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the tables and of audio")
    folder: Path = parser.parse_args().data
    published = dataset.load(folder)
    deviation = published.table.std(axis=0)
    pictures, columns = [], []
    for file in dataset.audio_files(folder):
        row = published.tracks.index(file.stem)
        computed = spectrum(next(AudioReader(file).windows()).samples)
        pictures.append(np.abs(computed.image - published.pictures[row]).mean() / 255)
        columns.append(np.abs(features.librosa_group(computed) - published.table[row]) / deviation)
    print(
        f"{len(pictures)} tracks; pictures: mean {np.mean(pictures):.2%} of range, worst track {np.max(pictures):.2%}"
    )
    print(f"{'column':28} {'mean':>6} {'median':>6} {'worst':>6}  tracks beyond 0.1")
    for name, errors in zip(features.LIBROSA_NAMES, np.transpose(columns), strict=True):
        beyond = int((errors > 0.1).sum())
        print(f"{name:28} {errors.mean():6.3f} {np.median(errors):6.3f} {errors.max():6.3f}  {beyond or ''}")


if __name__ == "__main__":
    main()
