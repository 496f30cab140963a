"""``python -m training.not_music [--music FOLDER …]``: what a version says of sounds that are no music, and of music.

Prints how many sounds of each kind are refused or called uncertain, in both halves of
:mod:`training.data.nonmusic`, and of each folder of music how many recordings are refused as no music.
"""

import argparse
from pathlib import Path
from typing import get_args

from tonearm import manifest
from tonearm.classifier import Classifier
from training.data.nonmusic import Half
from training.evaluation import robustness


def main(arguments: list[str] | None = None) -> None:
    """Prints the tables; see ``--help``."""
    parser = argparse.ArgumentParser(prog="python -m training.not_music", description=__doc__)
    parser.add_argument("--version", help="a folder below models/ (default: the default version)")
    parser.add_argument("--mode", default="accurate", choices=manifest.MODES)
    parser.add_argument("--music", type=Path, nargs="*", default=[], help="folders of recordings of music")
    options = parser.parse_args(arguments)
    folder = manifest.MODELS_FOLDER / options.version if options.version else None
    classifier = Classifier.load(folder, mode=options.mode)
    print(f"{classifier.model_version}, {classifier.mode}\n\n| half | kind | sounds | refused | uncertain | either |")
    print("|---|---|---|---|---|---|")
    for half in get_args(Half):
        for kind, found in robustness.measure_nonmusic(classifier, half).items():
            shares = (f"{100 * found[key]:.1f} %" for key in ("refused", "uncertain", "uncertain_or_refused"))
            print(f"| {half} | {kind} | {found['n']} | {' | '.join(shares)} |")
    for music in options.music:
        files = sorted(path for path in music.rglob("*") if path.is_file())
        found = robustness.measure_music_refused(classifier, files)
        print(f"{music}: {found['refused']} of {found['n']} recordings are refused as no music")


if __name__ == "__main__":
    main()
