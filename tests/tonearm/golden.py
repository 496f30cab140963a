"""``python -m tests.tonearm.golden``: writes down what the default models say of the tests' own sounds.

Run after a new version is made the default, and look at what changed.
"""

import json
from pathlib import Path

from tests.audio_samples import encode, music
from tonearm.classifier import Classifier
from tonearm.manifest import MEMBERS

FILE = Path(__file__).with_name("golden.json")
SEEDS = (0, 1, 2)


def main() -> None:
    """Writes golden.json."""
    classifier = Classifier.load()
    probabilities = {}
    for seed in SEEDS:
        result = classifier.classify(encode("wav", music(30, seed=seed)))
        answers = {name: getattr(result.models, name) for name in MEMBERS} | {"ensemble": result}
        probabilities[seed] = {name: list(answer.probabilities.values()) for name, answer in answers.items() if answer}
    FILE.write_text(
        json.dumps({"model_version": classifier.model_version, "probabilities": probabilities}, indent=1) + "\n"
    )


if __name__ == "__main__":
    main()
