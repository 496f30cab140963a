"""What each group of the SVM's features brings: the accuracy without it, and the share of the damaged copies."""

from collections import defaultdict
from typing import Any

import numpy as np
from tqdm import tqdm

from tonearm.features.svm_features import LIBROSA_NAMES, NAMES
from training.evaluation.protocols import Protocol
from training.experiment import Work
from training.models import svm
from training.models.svm import Searched


def groups_of_features() -> dict[str, list[int]]:
    """Places in the vector, by group."""
    of_group = defaultdict(list)
    for place, name in enumerate(NAMES):
        librosa = name in LIBROSA_NAMES or name == "rms_variation"
        stem = name.split("_")[0].rstrip("0123456789")
        label = ("MFCC" if stem == "mfcc" else "other librosa") if librosa else _LABELS[stem]
        of_group[label].append(place)
    return dict(of_group)


_LABELS = {
    "cepstrum": "changes of 40 cepstra",
    "correlation": "correlations of cepstra",
    "band": "band means and changes",
    "level": "quantiles of levels",
    "rise": "falls and rises",
    "together": "correlations of changes",
    "modulation": "modulation spectrum",
    "contrast": "mel contrast",
    "curvature": "curvature over bands",
    "sustain": "sustain of detail",
    "detail": "sustain of detail",
}


def measure(ready: Work, protocol: Protocol, found: Searched) -> list[dict[str, Any]]:
    """The SVM's accuracy on a protocol with all, without each group, and without damaged copies; C and γ held."""
    everything = list(range(len(NAMES)))
    cases = [("nothing", everything, ready.copies)]
    for label, left_out in groups_of_features().items():
        cases.append((f"{label} ({len(left_out)})", sorted(set(everything) - set(left_out)), ready.copies))
    cases.append(("damaged copies", everything, ready.copies[:, :0]))
    return [
        {"without": label, "accuracy": round(_accuracy(ready, protocol, found, kept, copies), 4)}
        for label, kept, copies in tqdm(cases, desc="Ablation", unit="training")
    ]


def _accuracy(ready: Work, protocol: Protocol, found: Searched, kept: list[int], copies: np.ndarray) -> float:
    truth, vectors = ready.data.truth, ready.vectors[:, kept]
    right = 0
    for fold in protocol.folds:
        of_fold = copies[fold.train][:, :, kept]
        machine = svm.train_svm(vectors[fold.train], of_fold, truth[fold.train], ready.config.svm, found)
        right += int((svm.scores(machine, vectors[fold.test]).argmax(axis=1) == truth[fold.test]).sum())
    return right / len(protocol.tested)
