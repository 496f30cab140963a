"""How good the models are: the figures of a version's metrics.json as charts and tables, and its model card."""

import re
from collections.abc import Mapping
from functools import partial
from typing import Any

import streamlit as st

from frontend import model_charts
from frontend.api import ApiError, service
from frontend.api_errors import MEBIBYTE_BYTES
from frontend.api_types import Model
from frontend.model_charts import MODELS, interval
from frontend.text import exact_percent, genre_name, listed, percent, plain
from frontend.views import chart, failed, table

VERSION = "model-version"
AUDIOSET_FILE = "audioset.onnx"
# What the page calls the protocols, and what they tell. An unknown protocol has its own name.
PROTOCOLS = {
    "world5": ("World", "recordings that are not GTZAN's, by artists that training has not heard. Expect this."),
    "artist10": ("By artist", "GTZAN, learnt from GTZAN alone; no artist is in both training and test data."),
    "random10": ("Random", "the same, with artists in both. Most published figures are of this kind."),
    "filtered": ("Fault-filtered", "a published split without GTZAN's known copies and wrong labels."),
    "gtzan5": ("GTZAN, all sets", "GTZAN by artist, learnt from all sets; the AudioSet network on tracks with sound."),
}
# The card's tables are wider than a phone. They scroll instead of the page.
CARD_STYLE = "<style>.st-key-card table { display: block; overflow-x: auto; }</style>"
HEADING = re.compile(r"^(#+) ", re.MULTILINE)
IMAGE = re.compile(r"!\[([^\]]*)\]\([^)]*\)")
FILE_LINK = re.compile(r"\[([^\]]*)\]\((?!https?://)[^)]*\)")


def page() -> None:
    """Draw the page. Metrics that a version does not have are left out."""
    st.title("Model", anchor=False)
    try:
        with st.spinner("Fetching the figures"):
            model = service().model(st.session_state.get(VERSION))
    except ApiError as error:
        failed(error, "model-again")
        return
    _version(model)
    metrics = model["metrics"]
    found: Mapping[str, Any] = metrics.get("protocols", {})
    names = PROTOCOLS | {name: (name, "") for name in sorted(found.keys() - PROTOCOLS)}
    protocols = {title: found[name] for name, (title, _) in names.items() if name in found}
    if protocols:
        _accuracy(protocols, {title: tells for name, (title, tells) in names.items() if name in found and tells})
        _by_genre(protocols, model["labels"])
        _certain(protocols)
    _card(model)


def _version(model: Model) -> None:
    if len(model["versions"]) > 1:
        st.selectbox(
            "Version",
            model["versions"],
            index=model["versions"].index(model["version"]),
            format_func=lambda version: f"{version} (in use)" if version == model["serving"] else version,
            key=VERSION,
            width=300,
        )
    use = "This version is in use." if model["version"] == model["serving"] else "This version is not in use."
    members = [
        "a support vector machine (SVM) on audio features",
        "VGG19, a neural network for images, on the mel spectrogram",
    ]
    if any(file["name"] == AUDIOSET_FILE for file in model["files"]):
        members.append("the AudioSet network, which has learnt many kinds of sounds")
    st.markdown(f"Version **{plain(model['version'])}**: an ensemble of {listed(members)}. {use}")


def _accuracy(protocols: Mapping[str, Any], tells: Mapping[str, str]) -> None:
    st.subheader("Accuracy", anchor=False)
    st.markdown("The share of tracks with the right genre, with 95 % intervals. Training never used a tested track.")
    models = {model: title for model, title in MODELS.items() if any(model in found for found in protocols.values())}
    rows = [
        {
            "protocol (tracks)": f"{name} ({found['n']})",
            **{title: interval(found[model]) if model in found else "–" for model, title in models.items()},
        }
        for name, found in protocols.items()
    ]
    described = "; ".join(", ".join(f"{name} {value}" for name, value in row.items()) for row in rows)
    chart(model_charts.protocols(protocols), f"Accuracy with 95 % intervals. {described}.")
    if len(protocols) > 1:
        st.markdown("\n".join(f"- *{title}*: {text}" for title, text in tells.items()))
    table(rows)


def _by_genre(protocols: Mapping[str, Any], labels: list[str]) -> None:
    """Draw confusions, precision, recall and calibration of one protocol and model, which the user chooses."""
    st.subheader("By genre", anchor=False)
    # One below the other: side by side they are wider than a phone, at times.
    first = next(iter(protocols))
    protocol = st.segmented_control("Protocol", list(protocols), default=first, required=True, key="model-protocol")
    models = [model for model in MODELS if model in protocols[protocol or first]]
    model = st.segmented_control(
        "Model", models, format_func=MODELS.__getitem__, default=models[0], required=True, key="model-model"
    )
    found = protocols[protocol or first][model or models[0]]
    left, right = st.columns(2, gap="medium")
    if matrix := found.get("confusion"):
        with left:
            st.markdown("**Confusion matrix**: rows = true genre, columns = answer.")
            correct, tracks = sum(row[index] for index, row in enumerate(matrix)), sum(map(sum, matrix))
            chart(model_charts.confusion(matrix, labels), f"Confusion matrix: {correct} of {tracks} tracks are right.")
        with right:
            st.markdown("**Precision**: share of the answers that are right. **Recall**: share of the tracks found.")
            _precision_recall(matrix, labels)
    if points := found.get("reliability"):
        error = found.get("expected_calibration_error")
        average = "" if error is None else f" The expected calibration error is {exact_percent(error)}."
        st.markdown(
            "**Calibration**: on the dotted line, 70 % of the answers with confidence 70 % are right. Below it the "
            f"confidence is too high, above it too low.{average}"
        )
        described = [f"{percent(each['confidence'])}: {percent(each['accuracy'])} of {each['n']}" for each in points]
        chart(model_charts.reliability(points), f"Confidence and share of right answers: {', '.join(described)}.")


def _precision_recall(matrix: list[list[int]], labels: list[str]) -> None:
    share = partial(st.column_config.ProgressColumn, format="percent", min_value=0, max_value=1, width=135)
    st.dataframe(
        [
            {"genre": genre_name(label), "precision": round(precision, 2), "recall": round(recall, 2)}
            for label, (precision, recall) in model_charts.precision_recall(matrix, labels).items()
        ],
        hide_index=True,
        height="content",
        column_config={"precision": share("precision"), "recall": share("recall")},
        alt="Precision and recall by genre",
    )


def _certain(protocols: Mapping[str, Any]) -> None:
    rows = [
        {
            "protocol": name,
            "certain": exact_percent(found["certain"]["coverage"]),
            "of these right": interval(found["certain"]),
        }
        for name, found in protocols.items()
        if "certain" in found
    ]
    if rows:
        st.subheader("Certain answers", anchor=False)
        st.markdown("The share of answers that are not marked *Not sure*, and their accuracy with 95 % intervals.")
        table(rows)


def _card(model: Model) -> None:
    with (
        st.expander("Model card, with damaged recordings, sounds that are not music, and speed"),
        st.container(key="card"),
    ):
        st.html(CARD_STYLE)
        st.markdown(card_markdown(model["card"]))
    with st.expander("Files"):
        table(
            [
                {
                    "file": plain(file["name"]),
                    "size": f"{file['size_bytes'] / MEBIBYTE_BYTES:.1f} MB",
                    "SHA-256": f"`{file['sha256'][:16]}…`",
                }
                for file in model["files"]
            ]
        )


def card_markdown(card: str) -> str:
    """The card for reading inside a page: lower headings, no images, and no links to files, which are not here."""
    lower = HEADING.sub(lambda found: f"{'#' * min(len(found[1]) + 2, 6)} ", card)
    without_images = IMAGE.sub(r"*\1: see the charts above.*", lower)
    return FILE_LINK.sub(r"\1", without_images).replace("$", r"\$")
