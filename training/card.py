"""MODEL_CARD.md from metrics.json, so that no figure is typed by hand."""

from typing import Any

from tonearm.constants import GENRES

NAMES = {"svm": "SVM", "vgg19": "VGG19", "ensemble": "Ensemble"}


def card(version: str, metrics: dict[str, Any]) -> str:
    """The card's Markdown."""
    protocols, export = metrics["protocols"], metrics["export"]
    parts = [
        f"# Tonearm {version}",
        _INTENDED_USE,
        "## Accuracy",
        _HOW.format(version=version),
        _table(
            ["protocol", "n", *NAMES.values()],
            [[f"`{name}`", str(f["n"]), *(_accuracy(f[model]) for model in NAMES)] for name, f in protocols.items()],
        ),
        _WHY_TWO.format(unknown=metrics["dataset"]["tracks_of_unknown_artist"]),
        *(_protocol(name, figures) for name, figures in protocols.items()),
        "## Export",
        _table(
            ["", "figure"],
            [
                ["SVM, ONNX against scikit-learn, of the scores' range", f"{export['svm_difference']:.1e}"],
                ["VGG19, ONNX float32 against Keras, of the scores' range", f"{export['vgg19_difference']:.1e}"],
                [
                    f"VGG19, int8 against float32: same genre, of {export['int8_tracks']} tracks",
                    f"{100 * export['int8_agreement']:.1f} %",
                ],
            ],
        ),
        _LIMITS,
        _CREDITS,
    ]
    return "\n\n".join(parts) + "\n"


def _accuracy(figures: dict[str, Any]) -> str:
    low, high = figures["interval_95"]
    return f"{100 * figures['accuracy']:.1f} % ({100 * low:.1f} to {100 * high:.1f})"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _protocol(name: str, figures: dict[str, Any]) -> str:
    ensemble, certain = figures["ensemble"], figures["certain"]
    confusion = ensemble["confusion"]
    rows = []
    for i, genre in enumerate(GENRES):
        said = sum(row[i] for row in confusion)
        precision = f"{100 * confusion[i][i] / said:.0f} %" if said else "–"
        recall = f"{100 * confusion[i][i] / sum(confusion[i]):.0f} %"
        rows.append([genre, *map(str, confusion[i]), recall, precision])
    certain_accuracy = "–" if certain["accuracy"] is None else f"{100 * certain['accuracy']:.1f} %"
    return "\n\n".join(
        [
            f"### `{name}`, ensemble",
            "Rows are the truth, columns what was said.",
            _table(["", *GENRES, "recall", "precision"], rows),
            f"Expected calibration error (15 bins): {ensemble['expected_calibration_error']:.3f}.",
            f"Not uncertain: {100 * certain['coverage']:.1f} % of the tracks, {certain_accuracy} of them right.",
        ]
    )


_INTENDED_USE = """Names the genre of a recording, one of ten: blues, classical, country, disco, hiphop, jazz, metal,
pop, reggae, rock. Meant for tagging and exploring collections of popular Western music, with a person able to overrule
it. Not meant to decide anything about people, nor to judge speech, noise or music of other traditions."""

_HOW = """Tracks whose genre is named right, with the exact 95 % interval. Every track is judged by models that never
saw it; whole tracks are on one side of a split; calibration is fitted on the other folds. VGG19 is judged in float32,
before it is rounded to 8 bits. The figures are printed and written by
`python -m training --data GTZAN --version {version}`; the folds stand beside this card."""

_WHY_TWO = """All folds are stratified by genre. In the *random* ones tracks of one artist may stand on both sides, in
the *artist* ones not, as far as artists are known: {unknown} tracks of unknown artists count as an artist each, and a
joint credit as another artist than those it names. The latter is the honest figure for artists that the models have not
heard: GTZAN holds many tracks of the same artists, and recordings of one artist share their sound. Most published
figures are of the random kind. Confidence is calibrated on the artist folds, and an answer is *uncertain* below the
confidence above which 90 % of their answers are right."""

_LIMITS = """## Data and limits

GTZAN (Tzanetakis & Cook, 2002): 1,000 tracks of 30 s, ten genres, 22,050 Hz mono; one track (jazz.00054) is broken and
left out. Its known faults (replicas, wrong labels, distortions: Sturm, 2013) are in these figures; replicas of a
track can stand on both sides of the random folds. Ten genres are a
crude map, mostly Western and before 2002; a recording of any other kind still gets one of the ten, at best marked
uncertain. Nothing was measured here on noise, speech or bad recordings."""

_CREDITS = """## Credits

VGG19: K. Simonyan and A. Zisserman, *Very Deep Convolutional Networks for Large-Scale Image Recognition*, 2015; its
ImageNet weights: Visual Geometry Group, Oxford, CC BY 4.0, here changed by a new head and 8-bit rounding.
GTZAN: G. Tzanetakis and P. Cook, 2002. Artists: B. L. Sturm, *An Analysis of the GTZAN Music Genre Dataset*, 2012."""
