"""MODEL_CARD.md from metrics.json, so that no figure is typed by hand."""

from typing import Any

from tonearm.constants import GENRES, WINDOW_TILES
from training.evaluation.predictions import MODELS
from training.models.vgg19 import Stopping

NAMES = {"svm": "SVM", "vgg19": "VGG19", "ensemble": "Ensemble"}
CALIBRATION_PLOT = "calibration.svg"


def card(version: str, metrics: dict[str, Any]) -> str:
    """The card's Markdown."""
    protocols = metrics["protocols"]
    parts = [
        f"# Tonearm {version}",
        _INTENDED_USE,
        "## Accuracy",
        _HOW.format(version=version),
        _table(
            ["protocol", "mode", "n", *NAMES.values()],
            [
                [f"`{name}`", mode, str(f["n"]), *(_accuracy(f[model]) for model in NAMES)]
                for name, mode, f in _by_mode(metrics)
            ],
        ),
        _MODES.format(**metrics["export"]["cost"], tiles=WINDOW_TILES),
        _table(*_times(metrics["export"]["cost"])),
        _WHY.format(**metrics["dataset"]),
        *(_protocol(name, figures) for name, figures in protocols.items()),
        "## Calibration",
        _calibration(metrics),
        "## When it says *uncertain*",
        _uncertain(metrics),
        "## Two models, one answer",
        _comparison(metrics),
        "## What each part brings",
        _parts(metrics),
        "## Robustness",
        _robustness(metrics),
        "## Export",
        _export(metrics),
        _LIMITS,
        _CREDITS,
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _by_mode(metrics: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """Name, mode and figures of each protocol in each mode."""
    return [
        (name, mode, of_mode[name])
        for name in metrics["protocols"]
        for mode, of_mode in (("accurate", metrics["protocols"]), ("fast", metrics["fast"]["protocols"]))
    ]


def _times(cost: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """A table of milliseconds, a stage a column and a mode a row."""
    rows = (("accurate", cost["milliseconds"]), ("fast", cost["milliseconds_fast"]))
    return ["mode", *cost["milliseconds"]], [[mode, *(f"{ms:.1f}" for ms in times.values())] for mode, times in rows]


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def _accuracy(figures: dict[str, Any]) -> str:
    if figures["interval_95"] is None:
        return "–"
    low, high = figures["interval_95"]
    return f"{_percent(figures['accuracy'])} ({100 * low:.1f} to {100 * high:.1f})"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _protocol(name: str, figures: dict[str, Any]) -> str:
    confusion = figures["ensemble"]["confusion"]
    rows = []
    for i, genre in enumerate(GENRES):
        of_truth, said = sum(confusion[i]), sum(row[i] for row in confusion)
        recall = f"{100 * confusion[i][i] / of_truth:.0f} %" if of_truth else "–"
        precision = f"{100 * confusion[i][i] / said:.0f} %" if said else "–"
        rows.append([genre, *map(str, confusion[i]), recall, precision])
    return "\n\n".join(
        [
            f"### `{name}`, ensemble",
            "Rows are the truth, columns what was said.",
            _table(["", *GENRES, "recall", "precision"], rows),
        ]
    )


def _calibration(metrics: dict[str, Any]) -> str:
    rows = [
        [f"`{name}`", mode, *(f"{f[model]['expected_calibration_error']:.3f}" for model in NAMES)]
        for name, mode, f in _by_mode(metrics)
    ]
    return "\n\n".join(
        [
            "Expected calibration error (15 bins): how far confidence and accuracy lie apart.",
            _table(["protocol", "mode", *NAMES.values()], rows),
            f"![Confidence against accuracy]({CALIBRATION_PLOT})",
        ]
    )


def _uncertain(metrics: dict[str, Any]) -> str:
    rows = [
        [f"`{name}`", mode, _percent(f["certain"]["coverage"]), _accuracy(f["certain"])]
        for name, mode, f in _by_mode(metrics)
    ]
    parts = [
        _UNCERTAIN.format(**metrics, fast_below=metrics["fast"]["uncertain_below"]),
        _table(["protocol", "mode", "not uncertain (by confidence)", "of these right"], rows),
    ]
    if metrics["nonmusic"]:
        parts += [
            "Sounds that are no music (`training/data/nonmusic.py`): the share refused or called uncertain.",
            _table(
                ["kind", "sounds", "uncertain or refused"],
                [[kind, str(f["n"]), _percent(f["uncertain_or_refused"])] for kind, f in metrics["nonmusic"].items()],
            ),
        ]
    return "\n\n".join(parts)


def _comparison(metrics: dict[str, Any]) -> str:
    parts = [_WAYS]
    for name, ways in metrics["comparison"].items():
        rows = [
            [
                way.replace("_", " "),
                _accuracy(figures),
                f"{figures['negative_log_likelihood']:.3f}",
                f"{figures['expected_calibration_error']:.3f}",
            ]
            for way, figures in ways.items()
        ]
        alone = _percent(ways["cascade"]["answered_by_the_svm_alone"])
        parts += [
            _table([f"`{name}`", "right", "negative log-likelihood", "calibration error"], rows),
            f"In the cascade the SVM answers {alone} of the tracks alone.",
        ]
    return "\n\n".join(parts)


def _parts(metrics: dict[str, Any]) -> str:
    ablation = metrics["ablation"]
    rows = [[row["without"], _percent(row["accuracy"])] for row in ablation["rows"]]
    return "\n\n".join(
        [
            _ABLATION.format(**ablation),
            _table(["without", "right"], rows),
            _SETTINGS.format(**metrics["settings"]["svm"], **_epochs(metrics["settings"], ablation["protocol"])),
        ]
    )


def _epochs(settings: dict[str, Any], protocol: str) -> dict[str, str]:
    """How many epochs of each of VGG19's stages: of the shipped one, and from fewest to most in a protocol's folds."""
    trained = [Stopping(**each) for each in (settings["vgg19"], *settings["vgg19_by_fold"][protocol])]
    stages = {"head": [each.head_epochs for each in trained], "fine": [each.fine_epochs for each in trained]}
    return {stage: f"{shipped} ({min(of_folds)} to {max(of_folds)})" for stage, (shipped, *of_folds) in stages.items()}


def _robustness(metrics: dict[str, Any]) -> str:
    figures = metrics["robustness"]
    if "damages" not in figures:
        return "Not measured: no audio was at hand."
    rows = [
        [name, _percent(f["same_answer"]), *(_percent(f["right"][model]) for model in NAMES)]
        for name, f in figures["damages"].items()
    ]
    same = {model: _percent(share) for model, share in figures["as_from_tables"].items()}
    return "\n\n".join(
        [
            _DAMAGES.format(**figures),
            _table(["damage", "same answer", *(f"{NAMES[model]} right" for model in MODELS)], rows),
            _SAME.format(**same),
        ]
    )


def _export(metrics: dict[str, Any]) -> str:
    export = metrics["export"]
    int8 = [
        [
            f"VGG19 on `{name}` (n = {f['n']}) in float32, and in int8",
            f"{_percent(f['float32'])}, {_percent(f['int8'])}",
        ]
        for name, f in export["int8"].items()
    ]
    rows = [
        ["SVM, ONNX against scikit-learn: largest difference of scores", f"{export['svm_difference']:.1e}"],
        ["the same of similarity", f"{export['similarity_difference']:.1e}"],
        ["VGG19, ONNX float32 against Keras: largest difference of scores", f"{export['vgg19_difference']:.1e}"],
        *int8,
    ]
    return _table(["", "figure"], rows)


_INTENDED_USE = """Names the genre of a recording, one of ten: blues, classical, country, disco, hiphop, jazz, metal,
pop, reggae, rock. Meant for tagging and exploring collections of popular Western music, with a person able to
overrule it. Not meant to decide anything about people, nor to judge speech, noise or music of other traditions."""

_HOW = """Tracks whose genre is named right, with the exact 95 % interval. Every track is judged by models that never
saw it; whole tracks are on one side of a split; C and γ are searched on inner folds and calibration is fitted on
other folds. Accuracy, confusion, calibration, coverage and the comparison of ways to combine are computed from
`predictions.csv` beside this card and, for the fast mode, `predictions_fast.csv`.
`python -m training.evaluate --data GTZAN --version {version}` does that anew; the folds stand beside them, and
`python -m training --data GTZAN --version {version}` makes all of it."""

_MODES = """In the accurate mode, the default, VGG19 looks at {tiles} tiles of 9.9 s in each 30 s; in the fast one
only at the middle one. Each mode has scales, weights and threshold of its own, fitted to what the models say in it;
figures below are of the accurate one where no mode is named. A clip of 30 s (WAV, 22,050 Hz, mono) takes one core of
this machine ({machine}), in milliseconds, median of {runs}:"""

_WHY = """In `random10` tracks of one artist stand on both sides, and so do GTZAN's replicas of one recording. In
`artist10` neither does, as far as artists are known ({tracks_of_unknown_artist} of {tracks} tracks have none): that
is the honest figure for artists whom the models have not heard, since recordings of one artist share their sound.
Most published figures are of the random kind. `filtered` is the split of Kereliuk, Sturm and Larsen (2015), freed of
replicas, wrong labels and distortions and of nearly all artists on two sides, with fewer tracks to learn from."""

_UNCERTAIN = """An answer is uncertain if its confidence is below {uncertain_below}, in the fast mode below {fast_below}
(above it, 90 % of the answers are right on the artist folds), or if its similarity to
the closest training track is below {min_similarity}, which holds for 1 % of the music by unheard artists."""

_WAYS = """Ways to combine the models, each fitted on the other folds. *Weighted* ships: a weighted product of
probabilities, two numbers. The others: the plain mean, two weights a genre, logistic regression on all
log-probabilities (stacked), and the SVM alone where it is 98 % right (cascade)."""

_ABLATION = """The SVM on `{protocol}` without a group of its features (how many in brackets), C and γ held:"""

_SETTINGS = """The shipped SVM has C = {C:g} and γ = {gamma_a_feature:g} over the number of features, searched as in
each fold. VGG19's head was trained for {head} epochs, then block 5 with it for {fine}: as many as were best for tracks
held out of the training side, on all of which it was then trained anew; in brackets the same of the folds. The curves
are in `metrics.json`; `config.toml` beside this card holds every other setting."""

_DAMAGES = """{clips} clips as audio, each judged by the `{protocol}` models of the fold that left it out, damaged in
one way at a time (`training/data/corruptions.py`): the share answered as the clean clip is, and the share answered
right."""

_SAME = """From audio and from the published tables the ensemble names the same genre for {ensemble} of them (SVM {svm},
VGG19 {vgg19})."""

_LIMITS = """## Data and limits

GTZAN (Tzanetakis & Cook, 2002): 1,000 tracks of 30 s, ten genres, 22,050 Hz mono; one track (jazz.00054) is broken and
left out. Its known faults (replicas, wrong labels, distortions: Sturm, 2013) are in the figures of the first two
protocols. Ten genres are a crude map, mostly Western and before 2002; a recording of any other kind still gets one of
the ten, at best marked uncertain."""

_CREDITS = """## Credits

VGG19: K. Simonyan and A. Zisserman, *Very Deep Convolutional Networks for Large-Scale Image Recognition*, 2015; its
ImageNet weights: Visual Geometry Group, Oxford, CC BY 4.0, here changed by training, a new head and 8-bit rounding.
GTZAN: G. Tzanetakis and P. Cook, 2002. Artists: B. L. Sturm, *An Analysis of the GTZAN Music Genre Dataset*, 2012."""
