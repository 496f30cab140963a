"""MODEL_CARD.md from metrics.json, so that no figure is typed by hand."""

from collections.abc import Callable
from typing import Any

from tonearm.constants import GENRES

NAMES = {"svm": "SVM", "vgg19": "VGG19", "ensemble": "Ensemble"}
Row = list[str]


def card(version: str, metrics: dict[str, Any]) -> str:
    """The card's Markdown."""
    parts = [
        f"# Tonearm {version}",
        _INTENDED_USE,
        "## Accuracy",
        _ACCURACY.format(version=version, **metrics["dataset"]),
        _table(
            ["protocol", "mode", "n", *NAMES.values()],
            _by_mode(metrics, lambda f: [str(f["n"]), *(_accuracy(f[model]) for model in NAMES)]),
        ),
        "## Confusion, ensemble, accurate mode",
        "Rows are the true genre, columns the answer.",
        *(_confusion(name, figures) for name, figures in metrics["protocols"].items()),
        "## Calibration",
        "Expected calibration error: the mean distance of confidence and accuracy over 15 bins.",
        _table(
            ["protocol", "mode", *NAMES.values()],
            _by_mode(metrics, lambda f: [f"{f[model]['expected_calibration_error']:.3f}" for model in NAMES]),
        ),
        "## Uncertain answers",
        *_uncertain(metrics),
        "## Training",
        _TRAINING.format(**metrics["settings"]["svm"]) + (_UP_TO_2026_11_6 if "vgg19" in metrics["settings"] else ""),
        "## Robustness",
        *_robustness(metrics["robustness"]),
        "## Export",
        _table(["", "figure"], _export(metrics["export"])),
        _LIMITS,
        _CREDITS,
    ]
    return "\n\n".join(parts) + "\n"


def _by_mode(metrics: dict[str, Any], cells: Callable[[dict[str, Any]], Row]) -> list[Row]:
    """A row per protocol and mode: both names, then what ``cells`` makes of the figures."""
    return [
        [f"`{name}`", mode, *cells(of_mode[name])]
        for name in metrics["protocols"]
        for mode, of_mode in (("accurate", metrics["protocols"]), ("fast", metrics["fast"]["protocols"]))
    ]


def _table(head: Row, rows: list[Row]) -> str:
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, ["---"] * len(head), *rows))


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def _accuracy(figures: dict[str, Any]) -> str:
    if figures["interval_95"] is None:
        return "–"
    low, high = figures["interval_95"]
    return f"{_percent(figures['accuracy'])} ({100 * low:.1f} to {100 * high:.1f})"


def _confusion(name: str, figures: dict[str, Any]) -> str:
    confusion = figures["ensemble"]["confusion"]
    rows = []
    for i, genre in enumerate(GENRES):
        right, true, answered = confusion[i][i], sum(confusion[i]), sum(row[i] for row in confusion)
        shares = [f"{100 * right / n:.0f} %" if n else "–" for n in (true, answered)]
        rows.append([genre, *map(str, confusion[i]), *shares])
    return _table([f"`{name}`", *GENRES, "recall", "precision"], rows)


def _uncertain(metrics: dict[str, Any]) -> list[str]:
    rows = _by_mode(metrics, lambda f: [_percent(f["certain"]["coverage"]), _accuracy(f["certain"])])
    parts = [
        _UNCERTAIN.format(**metrics, fast_below=metrics["fast"]["uncertain_below"]),
        _table(["protocol", "mode", "certain (by confidence)", "right among these"], rows),
    ]
    if nonmusic := metrics["nonmusic"]:
        rows = [[kind, str(f["n"]), _percent(f["uncertain_or_refused"])] for kind, f in nonmusic.items()]
        parts += [
            "Sounds that are no music (`training/data/nonmusic.py`):",
            _table(["kind", "sounds", "uncertain or refused"], rows),
        ]
    return parts


def _robustness(figures: dict[str, Any]) -> list[str]:
    if "damages" not in figures:
        return ["Not measured: the data hold no audio."]
    rows = [
        [name, _percent(f["same_answer"]), *(_percent(f["right"][model]) for model in NAMES)]
        for name, f in figures["damages"].items()
    ]
    return [
        _CORRUPTIONS.format(**figures),
        _table(["corruption", "same answer", *(f"{name} right" for name in NAMES.values())], rows),
    ]


def _export(export: dict[str, Any]) -> list[Row]:
    return [
        ["SVM, ONNX against scikit-learn: largest difference of margins", f"{export['svm_difference']:.1e}"],
        ["SVM, ONNX against scikit-learn: largest difference of similarity", f"{export['similarity_difference']:.1e}"],
        ["VGG19, ONNX float32 against Keras: largest difference of logits", f"{export['vgg19_difference']:.1e}"],
        *(
            [f"VGG19, `{name}` (n = {f['n']}), {number}: right", _percent(f[number])]
            for name, f in export["int8"].items()
            for number in ("float32", "int8")
        ),
    ]


_INTENDED_USE = """Names the genre of a recording, one of ten: blues, classical, country, disco, hiphop, jazz, metal,
pop, reggae, rock. Meant for tagging and exploring collections of popular Western music, with a person able to
overrule it. Not meant to decide anything about people, nor to judge speech, noise or music of other traditions."""

_ACCURACY = """Tracks whose genre is named right, with the exact 95 % interval. No track is judged by models that were
trained on it. C and γ are searched on inner folds; calibration is fitted on other folds. VGG19 is in float32 here and
in int8 in the served file; *Export* has the difference.

- `random10`: ten random folds. An artist's tracks, and GTZAN's replicas of one recording, are on both sides. Most
  published figures are of this kind.
- `artist10`: ten folds by artist, as far as artists are known ({tracks_of_unknown_artist} of {tracks} are not).
  The honest figure for artists that the models have not heard.
- `filtered`: the split of Kereliuk, Sturm and Larsen (2015), without replicas, wrong labels and distortions, and with
  nearly no artist on two sides. It has fewer tracks to learn from.

VGG19 sees 3 tiles of 9.9 s of each 30 s in the accurate mode, and the middle one in the fast mode. Each mode has its
own calibration. `python -m training.evaluate --data GTZAN --version {version}` recomputes these figures from
`predictions.csv` and `predictions_fast.csv`; `python -m training --data GTZAN --version NAME` makes a new version."""

_UNCERTAIN = """An answer is uncertain if its confidence is below {uncertain_below}, in the fast mode below {fast_below}
(above it, 90 % of the answers are right on the artist folds). It is also uncertain if the similarity to the closest
training track is below {min_similarity}, which holds for 1 % of the music by unheard artists."""

_TRAINING = """The shipped SVM has C = {C:g} and γ = {gamma_a_feature:g} / number of features, searched as in each fold.
All other settings are in `config.toml`."""

_UP_TO_2026_11_6 = """
The training of this version also stopped VGG19's heads early, fine-tuned block 5 in some folds, and rounded weights to
int8 by GPTQ."""

_CORRUPTIONS = """{clips} clips as audio, judged by the `{protocol}` models of the fold that left them out, with one
corruption at a time (`training/data/corruptions.py`):"""

_LIMITS = """## Data and limits

GTZAN (Tzanetakis & Cook, 2002): 1,000 tracks of 30 s, ten genres, 22,050 Hz mono; one track (jazz.00054) is broken and
left out. Its known faults (replicas, wrong labels, distortions: Sturm, 2013) are in the figures of the first two
protocols. Ten genres are a crude map, mostly Western and before 2002. A recording of any other kind still gets one of
the ten, at best marked uncertain."""

_CREDITS = """## Credits

VGG19: K. Simonyan and A. Zisserman, *Very Deep Convolutional Networks for Large-Scale Image Recognition*, 2015; its
ImageNet weights: Visual Geometry Group, Oxford, CC BY 4.0, changed here by low rank, a new head and 8-bit rounding.
GTZAN: G. Tzanetakis and P. Cook, 2002. Artists: B. L. Sturm, *An Analysis of the GTZAN Music Genre Dataset*, 2012."""
