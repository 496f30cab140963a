"""MODEL_CARD.md from metrics.json, so that no figure is typed by hand.

Parts that a version's metrics lack are left out.
"""

from collections.abc import Callable, Mapping
from typing import Any

from tonearm.constants import GENRES

NAMES = {"svm": "SVM", "vgg19": "VGG19", "audioset": "AudioSet network", "ensemble": "Ensemble"}
WORLD = "world"
Row = list[str]
Figures = Mapping[str, Any]


def card(version: str, metrics: Figures) -> str:
    """The card's Markdown."""
    names = {model: name for model, name in NAMES.items() if any(model in f for f in metrics["protocols"].values())}
    world = [name for name in metrics["protocols"] if name.startswith(WORLD)]
    gtzan = [name for name in metrics["protocols"] if name not in world]
    parts = [
        f"# Tonearm {version}",
        _INTENDED_USE,
        *(_world(metrics, world, names) if world else ()),
        "## The published comparison: GTZAN" if world else "## Accuracy",
        _ACCURACY.format(version=version, **metrics["dataset"]),
        *((_GTZAN_BESIDE_WORLD.format(judged=_judged(metrics, gtzan)),) if world else ()),
        _table(
            ["protocol", "mode", "n", *names.values()],
            _by_mode(metrics, gtzan, lambda f: [str(f["n"]), *(_accuracy(f.get(model)) for model in names)]),
        ),
        *_subsets(metrics, gtzan, names),
        "## Confusion, ensemble, accurate mode",
        "Rows are the true genre, columns the answer.",
        *(_confusion(name, metrics["protocols"][name]) for name in (*world, *gtzan)),
        "## Calibration",
        "Expected calibration error: the mean distance of confidence and accuracy over 15 bins.",
        _table(
            ["protocol", "mode", *names.values()],
            _by_mode(metrics, [*world, *gtzan], lambda f: [_calibration_error(f.get(model)) for model in names]),
        ),
        "## Uncertain answers",
        *_uncertain(metrics, [*world, *gtzan], "world" if world else "artist"),
        *_no_music(metrics),
        "## Training",
        *_sets(metrics.get("sets")),
        _TRAINING.format(**metrics["settings"]["svm"])
        + (_UP_TO_2026_11_6 if "vgg19" in metrics["settings"] else "")
        + (_HEAD.format(**audioset) if (audioset := _audioset(metrics)) else ""),
        "## Robustness",
        *_robustness(metrics["robustness"], names),
        *(_robustness(metrics["robustness_world"], names) if "robustness_world" in metrics else ()),
        "## Export",
        _table(["", "figure"], _export(metrics["export"])),
        _LIMITS,
        _CREDITS + (_AUDIOSET_CREDITS if "audioset" in names else ""),
    ]
    return "\n\n".join(parts) + "\n"


def _world(metrics: Figures, world: list[str], names: Mapping[str, str]) -> list[str]:
    """What to expect of recordings from elsewhere: each model's figures, and what is certain."""
    rows = [
        [
            *(name, mode, str(figures[model]["n"]), _accuracy(figures[model])),
            *(_accuracy(figures[model], "balanced"), _calibration_error(figures[model])),
        ]
        for protocol in world
        for mode, of_mode in _modes(metrics)
        for model, name in names.items()
        if model in (figures := of_mode[protocol])
    ]
    certain = _by_mode(metrics, world, lambda f: [_percent(f["certain"]["coverage"]), _accuracy(f["certain"])])
    n, groups = (metrics["protocols"][world[0]][key] for key in ("n", "groups"))
    return [
        "## What to expect",
        _WORLD.format(protocol=world[0], n=n, groups=groups),
        _table(["model", "mode", "n", "right", "balanced over genres", "calibration error"], rows),
        _table(["protocol", "mode", "certain", "right among these"], certain),
        *_subsets(metrics, world, names),
    ]


def _judged(metrics: Figures, protocols: list[str]) -> str:
    """How many tracks of each protocol the AudioSet network judges, where it does."""
    found = {name: metrics["protocols"][name].get("audioset") for name in protocols}
    return ", ".join(f"{figures['n']} by `{name}`" for name, figures in found.items() if figures) or "none"


def _modes(metrics: Figures) -> list[tuple[str, Figures]]:
    return [("accurate", metrics["protocols"]), ("fast", metrics["fast"]["protocols"])]


def _by_mode(metrics: Figures, protocols: list[str], cells: Callable[[Figures], Row]) -> list[Row]:
    """A row per protocol and mode: both names, then what ``cells`` makes of the figures."""
    return [[f"`{name}`", mode, *cells(of_mode[name])] for name in protocols for mode, of_mode in _modes(metrics)]


def _subsets(metrics: Figures, protocols: list[str], names: Mapping[str, str]) -> list[str]:
    """The parts of these protocols with figures of their own, in the accurate mode; tracks of small parts by name."""
    found = [
        (protocol, subset, figures)
        for protocol in protocols
        for subset, figures in metrics["protocols"][protocol].get("subsets", {}).items()
    ]
    if not found:
        return []
    rows = [
        [f"`{protocol}`", subset, str(f["n"]), *(_accuracy(f.get(model)) for model in names), _accuracy(f["certain"])]
        for protocol, subset, f in found
    ]
    small = [f"{subset.capitalize()}: {', '.join(f['tracks'])}." for _, subset, f in found if "tracks" in f]
    return [
        "Parts of these, in the accurate mode. A repeat is a song that another track has, by Sturm's index or its mel:"
        if any(subset == "without repeats" for _, subset, _ in found)
        else "Parts of these, in the accurate mode:",
        _table(["protocol", "part", "n", *names.values(), "right among the certain"], rows),
        *small,
    ]


def _table(head: Row, rows: list[Row]) -> str:
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, ["---"] * len(head), *rows))


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def _accuracy(figures: Figures | None, kind: str = "accuracy") -> str:
    """A share, right or ``balanced``, with its interval."""
    interval = figures and figures["interval_95" if kind == "accuracy" else f"{kind}_interval_95"]
    if not figures or interval is None:
        return "–"
    low, high = interval
    return f"{_percent(figures[kind])} ({100 * low:.1f} to {100 * high:.1f})"


def _calibration_error(figures: Figures | None) -> str:
    return f"{figures['expected_calibration_error']:.3f}" if figures else "–"


def _confusion(name: str, figures: Figures) -> str:
    confusion = figures["ensemble"]["confusion"]
    rows = []
    for i, genre in enumerate(GENRES):
        right, true, answered = confusion[i][i], sum(confusion[i]), sum(row[i] for row in confusion)
        shares = [f"{100 * right / n:.0f} %" if n else "–" for n in (true, answered)]
        rows.append([genre, *map(str, confusion[i]), *shares])
    return _table([f"`{name}`", *GENRES, "recall", "precision"], rows)


def _uncertain(metrics: Figures, protocols: list[str], fitted_on: str) -> list[str]:
    def cells(figures: Figures) -> Row:
        cross_fitted = figures.get("certain_cross_fitted")
        return [
            *(_percent(figures["certain"]["coverage"]), _accuracy(figures["certain"])),
            *(_percent(cross_fitted and cross_fitted["coverage"]), _accuracy(cross_fitted)),
        ]

    promised = f"{100 * metrics.get('least_accuracy', 0.9):.0f} %"
    return [
        _UNCERTAIN.format(
            **metrics, fast_below=metrics["fast"]["uncertain_below"], promised=promised, fitted_on=fitted_on
        ),
        _table(
            [
                *("protocol", "mode", "certain (by confidence)", "right among these"),
                *("certain, cross-fitted", "right among these"),
            ],
            _by_mode(metrics, protocols, cells),
        ),
    ]


def _no_music(metrics: Figures) -> list[str]:
    parts = []
    if nonmusic := metrics["nonmusic"]:
        apart = "refused" in nonmusic["all"]  # up to 2026.11.6 only the sum of both is known
        shares = ("refused", "uncertain", "uncertain_or_refused") if apart else ("uncertain_or_refused",)
        rows = [[kind, str(f["n"]), *(_percent(f[share]) for share in shares)] for kind, f in nonmusic.items()]
        parts += [
            "Sounds that are no music (`training/data/nonmusic.py`):",
            _table(["kind", "sounds", *(share.replace("_", " ") for share in shares)], rows),
        ]
    if music := metrics.get("music_refused"):
        rows = [[name, str(f["n"]), str(f["refused"]), _percent(f["share"])] for name, f in music.items()]
        parts += [
            (_THRESHOLDS.format(**audioset) if (audioset := _audioset(metrics)) else "")
            + "Music that is refused as no music:",
            _table(["recordings", "n", "refused", "share"], rows),
        ]
    return parts


def _audioset(metrics: Figures) -> Figures | None:
    """The settings of the AudioSet network, if the version has it."""
    found: Figures | None = metrics["settings"].get("config", {}).get("audioset")
    return found


def _sets(sets: list[Figures] | None) -> list[str]:
    """The sets that the version learns from: name, recordings, those with audio, weight."""
    if not sets:
        return []
    rows = [[each["name"], str(each["recordings"]), str(each["with_audio"]), f"{each['weight']:g}"] for each in sets]
    head = ["set", "recordings", "with audio", "weight of a recording"]
    return ["The shipped models learn from all of these. The AudioSet network needs audio:", _table(head, rows)]


def _robustness(figures: Figures, names: Mapping[str, str]) -> list[str]:
    if "damages" not in figures:
        return ["Not measured."]
    damages = figures["damages"]
    names = {model: name for model, name in names.items() if any(model in f["right"] for f in damages.values())}
    wrongly = any("wrongly_certain" in f for f in damages.values())
    rows = [
        [
            *(corruption, _percent(f["same_answer"]), *(_percent(f["right"].get(model)) for model in names)),
            *([_percent(f.get("wrongly_certain"))] if wrongly else ()),
        ]
        for corruption, f in damages.items()
    ]
    head = ["corruption", "same answer", *(f"{name} right" for name in names.values())]
    return [_CORRUPTIONS.format(**figures), _table([*head, *(["certain, but wrong"] if wrongly else ())], rows)]


def _export(export: Figures) -> list[Row]:
    rows = [[text, f"{export[key]:.1e}"] for key, text in _DIFFERENCES.items() if key in export]
    for name, f in export["int8"].items():
        model = NAMES[f.get("model", "vgg19")]
        for number in ("float32", "int8"):
            rows.append([f"{model}, `{name}` (n = {f['n']}), {number}: right", _percent(f[number])])
            if (error := f.get(f"{number}_calibration_error")) is not None:
                rows.append([f"{model}, `{name}` (n = {f['n']}), {number}: calibration error", f"{error:.3f}"])
    return rows


_DIFFERENCES = {
    "svm_difference": "SVM, ONNX against scikit-learn: largest difference of margins",
    "similarity_difference": "SVM, ONNX against scikit-learn: largest difference of similarity",
    "vgg19_difference": "VGG19, ONNX float32 against Keras: largest difference of logits",
    "audioset_difference": "AudioSet network, ONNX float32 against what was trained: largest difference of logits",
}


_INTENDED_USE = """Names the genre of a recording, one of ten: blues, classical, country, disco, hiphop, jazz, metal,
pop, reggae, rock. Meant for tagging and exploring collections of popular Western music, with a person able to
overrule it. Not meant to decide anything about people, nor to judge speech, noise or music of other traditions."""

_WORLD = """Songs from elsewhere: {n} recordings of {groups} groups of artists, in folds by group (`{protocol}`). No
recording is judged by models that learnt from one of its group. This is what to expect of music that the models have
not heard. *Right* counts recordings. *Balanced over genres* is the mean of the ten genres' shares. A *calibration
error* of 0.05 means that confidence and accuracy differ by 5 points. *Certain* are the answers that are not marked
uncertain. The fast mode leaves VGG19 out. At most three windows of 30 s of a recording are judged. Labels are published
(tier A), the genre of a known artist (B), or supported by a file's name only (C); nobody listened to all."""

_GTZAN_BESIDE_WORLD = """The SVM and VGG19 of `random10`, `artist10` and `filtered` learn from GTZAN alone, so that the
figures compare with published ones. They do not tell how good the shipped models are on other music. `gtzan5` is of the
models of `world5`, which learn from all sets. The AudioSet network heard two million clips before. It is judged on the
tracks whose audio is at hand, and the ensemble with it: {judged}."""

_ACCURACY = """Tracks whose genre is named right, with 95 % intervals by 2,000 bootstrap draws of groups of artists: an
artist's tracks are alike, so that they tell less than as many artists would. No track is judged by models that were
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
(above it, {promised} of the answers are right on the {fitted_on} folds). It is also uncertain if the similarity to the
closest training track is below {min_similarity}, which holds for 1 % of the music by unheard artists. *Cross-fitted*:
each fold by the threshold that the other folds give."""

_THRESHOLDS = """A window whose probability of music is below {min_music:g} has no vote; a recording of nothing else is
refused. Below {uncertain_below_music:g} on average an answer is uncertain. Both thresholds were chosen with these
recordings in view, and without the sounds above. """

_HEAD = """
The regularisation of the AudioSet network's head (C = {C:g}) and the balance of genres were chosen on folds of the same
recordings, not on inner folds."""

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

_AUDIOSET_CREDITS = """
AudioSet network: mn04 of EfficientAT, changed here (MIT licence; F. Schmid, K. Koutini and G. Widmer, *Efficient
Large-Scale Audio Tagging via Transformer-to-CNN Knowledge Distillation*, ICASSP 2023). It learnt AudioSet (J. F.
Gemmeke et al., *Audio Set: An Ontology and Human-Labeled Dataset for Audio Events*, ICASSP 2017; labels CC BY 4.0)."""
