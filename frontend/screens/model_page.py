"""How good the models were found to be: the figures of the model card, drawn."""

import re
from collections.abc import Mapping
from typing import Any

import streamlit as st

from frontend import model_charts
from frontend.api import ApiError
from frontend.api_types import Model
from frontend.model_charts import MODELS, interval
from frontend.settings import open_api
from frontend.text import exact_percent, genre_name, listed, percent, plain
from frontend.views import chart, try_again

VERSION = "model-version"
# The honest one first. A protocol of another name is called by it.
PROTOCOLS = {"artist10": "By artist", "random10": "At random", "filtered": "Faults taken out"}
WHY = (
    "They differ because a recording is easier to name if others by the same artist were learnt from. *By artist* "
    "rules that out, and is what to expect of artists the models have not heard; *at random* does not, and is what "
    "most published figures are; *faults taken out* is a split without GTZAN's known copies and wrong labels, with "
    "fewer tracks to learn from."
)
# Its tables are wider than a phone: they scroll, and not the page.
CARD_STYLE = "<style>.st-key-card table { display: block; overflow-x: auto; }</style>"
HEADING = re.compile(r"^(#+) ", re.MULTILINE)
PICTURE = re.compile(r"!\[([^\]]*)\]\([^)]*\)")
FILE_LINK = re.compile(r"\[([^\]]*)\]\((?!https?://)[^)]*\)")
MEBIBYTE_BYTES = 1024 * 1024


def page() -> None:
    """Draw the page, as Streamlit does after each thing the reader does."""
    st.title("Model", anchor=False)
    try:
        with st.spinner("Fetching the figures"), open_api() as api:
            model = api.model(st.session_state.get(VERSION))
    except ApiError as error:
        st.error(plain(str(error)))
        try_again("model-again")
        return
    _versions(model)
    metrics = model["metrics"]
    protocols = {name: metrics["protocols"][name] for name in _in_order(metrics.get("protocols", {}))}
    if protocols:
        _accuracy(protocols)
        _closer(protocols, model["labels"])
        _certain(protocols)
    if "robustness" in metrics:
        _robustness(metrics["robustness"])
    if "nonmusic" in metrics:
        _nonmusic(metrics["nonmusic"])
    if cost := metrics.get("export", {}).get("cost"):
        _cost(cost)
    _card(model)


def _in_order(protocols: Mapping[str, Any]) -> list[str]:
    """The names of those that are there, the known ones first."""
    return [*(name for name in PROTOCOLS if name in protocols), *(name for name in protocols if name not in PROTOCOLS)]


def _name(protocol: str) -> str:
    return PROTOCOLS.get(protocol, protocol)


def _versions(model: Model) -> None:
    if len(model["versions"]) > 1:
        st.selectbox(
            "Version",
            model["versions"],
            index=model["versions"].index(model["version"]),
            format_func=lambda version: f"{version} (in service)" if version == model["serving"] else version,
            key=VERSION,
            width=300,
        )
    serves = "It answers here." if model["version"] == model["serving"] else "It does not answer here now."
    st.markdown(
        f"Version **{plain(model['version'])}**: a support vector machine (SVM) on measured features of the sound, and "
        f"a VGG19, a network for pictures, on its spectrogram. They decide together. {serves}"
    )


def _accuracy(protocols: Mapping[str, Any]) -> None:
    st.subheader("How often it is right", anchor=False)
    names = {name: _name(name) for name in protocols}
    spoken = [
        f"{names[name]}, {found['n']} tracks: "
        + ", ".join(f"{title} {interval(found[model])}" for model, title in MODELS.items() if model in found)
        for name, found in protocols.items()
    ]
    st.markdown(
        "The share of tracks whose genre was named right, with 95 % intervals. Every track was judged by models that "
        "had never seen it."
    )
    chart(model_charts.protocols(protocols, names), f"Accuracy with 95 % intervals. {'; '.join(spoken)}.")
    if len(protocols) > 1:
        st.markdown(WHY)
    with st.expander("As a table"):
        st.table(
            [
                {
                    "tracks split": names[name],
                    "tracks": str(found["n"]),
                    **{title: interval(found[model]) for model, title in MODELS.items() if model in found},
                }
                for name, found in protocols.items()
            ],
            border="horizontal",
            hide_index=True,
        )


def _closer(protocols: Mapping[str, Any], labels: list[str]) -> None:
    """Confusions, genres and calibration by one protocol and model of the reader's choice."""
    st.subheader("Genre by genre", anchor=False)
    with st.container(horizontal=True, gap="medium"):
        protocol = st.segmented_control(
            "Tracks split",
            list(protocols),
            format_func=_name,
            default=next(iter(protocols)),
            required=True,
            key="model-protocol",
        )
        models = [model for model in MODELS if model in protocols[protocol or next(iter(protocols))]]
        model = st.segmented_control(
            "Whose answers", models, format_func=MODELS.__getitem__, default=models[0], required=True, key="model-whose"
        )
    found = protocols[protocol or next(iter(protocols))][model or models[0]]
    left, right = st.columns(2, gap="medium")
    if matrix := found.get("confusion"):
        with left:
            st.markdown(
                "**What was taken for what** (confusion matrix). A row is what tracks are, a column what they were "
                "called."
            )
            chart(model_charts.confusion(matrix, labels), _spoken_confusion(matrix, labels))
        with right:
            st.markdown(
                "**Precision** (of those called so, how many are so) and **recall** (of those that are so, how many "
                "were called so)."
            )
            chart(model_charts.per_genre(matrix, labels), _spoken_genres(matrix, labels))
    if points := found.get("reliability"):
        error = found.get("expected_calibration_error")
        off = (
            f" On average they are {exact_percent(error)} apart (expected calibration error)."
            if error is not None
            else ""
        )
        st.markdown(
            "**Is it as sure as it should be?** (calibration). On the dotted line, answers given with 70 % are right "
            f"in 70 of 100 cases; below it they are too sure, above it too modest.{off}"
        )
        chart(model_charts.reliability(points, MODELS[model or models[0]]), _spoken_reliability(points))


def _spoken_confusion(matrix: list[list[int]], labels: list[str]) -> str:
    mistakes = sorted(
        (
            (count, truth, said)
            for truth, row in zip(labels, matrix, strict=True)
            for said, count in zip(labels, row, strict=True)
            if truth != said and count
        ),
        reverse=True,
    )
    worst = [f"{genre_name(truth)} taken for {genre_name(said)} {count} times" for count, truth, said in mistakes[:5]]
    return f"Confusion matrix. Most frequent mistakes: {', '.join(worst) or 'none'}."


def _spoken_genres(matrix: list[list[int]], labels: list[str]) -> str:
    found = model_charts.precision_recall(matrix, labels)
    said = [f"{genre_name(label)} {percent(both[0])} and {percent(both[1])}" for label, both in found.items()]
    return f"Precision and recall: {', '.join(said)}."


def _spoken_reliability(points: list[dict[str, float]]) -> str:
    said = [f"{percent(each['confidence'])} sure, {percent(each['accuracy'])} right ({each['n']})" for each in points]
    return f"Confidence and how often it was right, with the number of answers: {', '.join(said)}."


def _certain(protocols: Mapping[str, Any]) -> None:
    rows = [
        {
            "tracks split": _name(name),
            "answered without doubt": exact_percent(found["certain"]["coverage"]),
            "of these right": interval(found["certain"]),
        }
        for name, found in protocols.items()
        if "certain" in found
    ]
    if not rows:
        return
    st.subheader("When it is sure", anchor=False)
    st.markdown("How many answers were not marked *not sure*, and how often these were right, with 95 % intervals.")
    st.table(rows, border="horizontal", hide_index=True)


def _robustness(robustness: Mapping[str, Any]) -> None:
    damages: Mapping[str, Any] = robustness.get("damages", {})
    if not damages:
        return
    st.subheader("With bad recordings", anchor=False)
    st.markdown(
        f"{robustness.get('clips', 'Some')} clips, damaged in one way at a time: how many got the same answer as the "
        "clean clip, and how many the right one."
    )
    st.table(
        [
            {
                "damage": plain(name),
                "same answer": percent_whole(found["same_answer"]),
                **{
                    f"{title} right": percent_whole(found["right"][model])
                    for model, title in MODELS.items()
                    if model in found["right"]
                },
            }
            for name, found in damages.items()
        ],
        border="horizontal",
        hide_index=True,
    )


def percent_whole(share: float) -> str:
    """A share of so few that it is a whole number of per cents."""
    return f"{100 * share:.0f} %"


def _nonmusic(kinds: Mapping[str, Any]) -> None:
    st.subheader("With what is no music", anchor=False)
    st.markdown("The share of such sounds that were refused or marked *not sure*. The others passed for music.")
    st.table(
        [
            {
                "sounds": plain(name),
                "how many": str(found["n"]),
                "not taken for music": exact_percent(found["uncertain_or_refused"]),
            }
            for name, found in kinds.items()
        ],
        border="horizontal",
        hide_index=True,
    )


def _cost(cost: Mapping[str, Any]) -> None:
    spent_ms: Mapping[str, float] = cost.get("milliseconds", {})
    if "total" not in spent_ms:
        return
    parts = [f"{plain(name)} {ms:.0f}" for name, ms in spent_ms.items() if name != "total" and ms >= 1]
    machine = f" ({plain(cost['machine'])})" if "machine" in cost else ""
    st.subheader("What it takes", anchor=False)
    st.markdown(f"Half a minute of music takes **{spent_ms['total']:.0f} ms** on one core{machine}: {listed(parts)}.")


def _card(model: Model) -> None:
    with st.expander("The model card, whole"), st.container(key="card"):
        st.html(CARD_STYLE)
        st.markdown(card_markdown(model["card"]))
    with st.expander("The files it is made of"):
        st.table(
            [
                {
                    "file": plain(file["name"]),
                    "size": f"{file['size_bytes'] / MEBIBYTE_BYTES:.1f} MB",
                    "SHA-256": f"`{file['sha256'][:16]}…`",
                }
                for file in model["files"]
            ],
            border="horizontal",
            hide_index=True,
        )


def card_markdown(card: str) -> str:
    """The card for reading inside a page: lower headings, no pictures and no links to files, which are not here."""
    lower = HEADING.sub(lambda found: f"{'#' * min(len(found[1]) + 2, 6)} ", card)
    drawn = PICTURE.sub(r"*\1: drawn above.*", lower)
    return FILE_LINK.sub(r"\1", drawn).replace("$", r"\$")
