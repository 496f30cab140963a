import copy
import re

import pytest
from streamlit.testing.v1 import AppTest

from frontend.screens.model_page import card_markdown
from tests.frontend.fakes import VERSION, Catalogue, chart_texts, model, screen, words

METRICS = model()["metrics"]


def model_page() -> AppTest:
    return screen("model").run()


def test_the_figures_are_those_of_the_metrics(catalogue: Catalogue) -> None:
    page = model_page()
    text = words(page)
    accuracy, confusion, reliability = chart_texts(page)
    honest = METRICS["protocols"]["artist10"]["ensemble"]
    low, high = (100 * bound for bound in honest["interval_95"])
    assert (
        f"protocol (tracks) By artist (999), Ensemble {100 * honest['accuracy']:.1f} % ({low:.1f} to {high:.1f})"
        in accuracy
    )
    assert accuracy.count("protocol (tracks)") == len(METRICS["protocols"])
    assert confusion.startswith("Confusion matrix: ")
    assert len(page.dataframe[0].value) == 10
    assert reliability.count(" of ") == len(honest["reliability"]) + 1
    assert "no artist is in both" in text
    certain = METRICS["protocols"]["artist10"]["certain"]
    assert f"{100 * certain['coverage']:.1f} %" in text
    assert "This version is in use." in text


def test_protocol_and_model_can_be_chosen(catalogue: Catalogue) -> None:
    page = model_page()
    first = chart_texts(page)[1:]
    page.segmented_control(key="model-protocol").set_value("Random").run()
    second = chart_texts(page)[1:]
    page.segmented_control(key="model-model").set_value("svm").run()
    third = chart_texts(page)[1:]
    assert not page.exception
    assert len({*first, *second, *third}) == 6
    error = METRICS["protocols"]["random10"]["svm"]["expected_calibration_error"]
    assert f"calibration error is {100 * error:.1f} %" in words(page)


def test_a_version_with_two_models(catalogue: Catalogue) -> None:
    metrics = copy.deepcopy(METRICS)
    for protocol in metrics["protocols"].values():
        protocol.pop("audioset", None)
    catalogue.models[VERSION] = model(metrics=metrics)
    page = model_page()
    assert "the AudioSet network, which has learnt many kinds of sounds." not in words(page)
    assert "AudioSet network" not in chart_texts(page)[0]
    assert page.segmented_control(key="model-model").options == ["Ensemble", "SVM", "VGG19"]


def test_a_version_with_three_models(catalogue: Catalogue) -> None:
    files = [{"name": "audioset.onnx", "size_bytes": 1_000_000, "sha256": "cd" * 32}]
    catalogue.models[VERSION] = model(files=files)
    page = model_page()
    assert "the AudioSet network, which has learnt many kinds of sounds. This version is in use." in words(page)
    assert "AudioSet network" in chart_texts(page)[0]
    assert page.segmented_control(key="model-model").options == ["Ensemble", "SVM", "VGG19", "AudioSet network"]


def test_other_versions_can_be_looked_at(catalogue: Catalogue) -> None:
    older = copy.deepcopy(METRICS)
    older["protocols"]["artist10"]["n"] = 77
    versions = (VERSION, "2026.10.1")
    catalogue.models = {
        VERSION: model(versions=versions),
        "2026.10.1": model("2026.10.1", versions, metrics=older, serving=VERSION),
    }
    page = model_page()
    (switch,) = page.selectbox
    assert switch.options == [f"{VERSION} (in use)", "2026.10.1"]
    switch.set_value("2026.10.1").run()
    text = words(page)
    assert "Version **2026.10.1**" in text
    assert "This version is not in use." in text
    assert "77" in text
    assert page.selectbox[0].value == "2026.10.1"


@pytest.mark.parametrize(
    "metrics",
    [
        {},
        {"protocols": {}},
        {"protocols": {"random10": METRICS["protocols"]["random10"]}},
        {"protocols": {"new job": {"n": 10, "svm": METRICS["protocols"]["random10"]["svm"]}}},
        {"protocols": {"artist10": {"n": 9, "ensemble": {"n": 9, "accuracy": 0.5, "interval_95": [0.2, 0.8]}}}},
    ],
    ids=["nothing", "no protocol", "one protocol", "an unknown one", "accuracy only"],
)
def test_a_version_whose_metrics_lack_parts(catalogue: Catalogue, metrics: dict[str, object]) -> None:
    catalogue.models = {VERSION: model(metrics=metrics)}
    page = model_page()
    assert f"Version **{VERSION}**" in words(page)
    assert page.expander[0].label.startswith("Model card")


def test_the_card_fits_into_the_page() -> None:
    card = card_markdown(model()["card"])
    assert re.search(r"^### Tonearm", card, re.MULTILINE)
    assert "![" not in card
    assert not re.findall(r"^#{1,2} ", card, re.MULTILINE)
    given = "# A\n![Curve](c.svg) [file](a.csv) [site](https://example.org) costs $5\n###### deep"
    assert card_markdown(given) == (
        "### A\n*Curve: see the charts above.* file [site](https://example.org) costs \\$5\n###### deep"
    )
