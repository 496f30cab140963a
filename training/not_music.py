"""``python -m training.not_music [--music FOLDER …]``: what a version says of sounds that are no music, and of music.

Prints how many sounds of each kind are refused or called uncertain, in both halves of
:mod:`training.data.nonmusic`, and of each folder of music how many recordings are refused as no music. ``--write``
writes the figures of the test half and of music into the version's metrics.json and card.
"""

import argparse
import json
from pathlib import Path
from typing import Any, get_args

from tonearm import manifest
from tonearm.classifier import Classifier
from training.data.nonmusic import Half
from training.evaluation import robustness
from training.evaluation.card import card


def main(arguments: list[str] | None = None) -> None:
    """Prints the tables; see ``--help``."""
    parser = argparse.ArgumentParser(prog="python -m training.not_music", description=__doc__)
    parser.add_argument("--version", help="a folder below models/ (default: the default version)")
    parser.add_argument("--mode", default="accurate", choices=manifest.MODES)
    parser.add_argument("--music", type=Path, nargs="*", default=[], help="folders of recordings of music")
    parser.add_argument("--models", type=Path, default=manifest.MODELS_FOLDER, help="where versions are stored")
    parser.add_argument("--write", action="store_true", help="write the figures into the version's folder")
    options = parser.parse_args(arguments)
    folder: Path = options.models / options.version if options.version else manifest.default_folder()
    classifier = Classifier.load(folder, mode=options.mode)
    print(f"{classifier.model_version}, {classifier.mode}\n\n| half | kind | sounds | refused | uncertain | either |")
    print("|---|---|---|---|---|---|")
    measured: dict[str, Any] = {}
    for half in get_args(Half):  # the last one is the test half
        measured["nonmusic"] = robustness.measure_nonmusic(classifier, half)
        for kind, found in measured["nonmusic"].items():
            shares = (f"{100 * found[key]:.1f} %" for key in ("refused", "uncertain", "uncertain_or_refused"))
            print(f"| {half} | {kind} | {found['n']} | {' | '.join(shares)} |", flush=True)
    for music in options.music:
        files = sorted(path for path in music.rglob("*") if path.is_file())
        found = robustness.measure_music_refused(classifier, files)
        measured.setdefault("music_refused", {})[music.resolve().name] = found
        print(f"{music}: {found['refused']} of {found['n']} recordings are refused as no music")
    if options.write:
        content = json.loads((folder / "metrics.json").read_text()) | measured
        (folder / "metrics.json").write_text(json.dumps(content, indent=1) + "\n")
        (folder / "MODEL_CARD.md").write_text(card(folder.name, content))


if __name__ == "__main__":
    main()
