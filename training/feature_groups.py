"""The groups that the SVM's features come in, by what they describe: weighed by group, and left out by group."""

from collections import defaultdict

import numpy as np

from tonearm.features import LIBROSA_NAMES, NAMES
from tonearm.types import Floats


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


def weights(of_group: dict[str, float]) -> Floats:
    """What each feature is multiplied by once it is scaled: shape (n_features,).

    Raises:
        ValueError: if a group is missing or unknown.
    """
    groups = groups_of_features()
    if groups.keys() != of_group.keys():
        raise ValueError(f"group_weights must name {sorted(groups)} and no others; it names {sorted(of_group)}")
    weighed = np.empty(len(NAMES), np.float32)
    for group, places in groups.items():
        weighed[places] = of_group[group]
    return weighed
