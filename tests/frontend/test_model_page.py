import copy
import re

import pytest
from streamlit.testing.v1 import AppTest

from frontend import errors
from frontend.screens.model_page import card_markdown
from tests.frontend.fakes import VERSION, Catalogue, a_catalogue, charts_told, model, screen, words

catalogue = a_catalogue
METRICS = model()["metrics"]


def drawn() -> AppTest:
    return screen("model").run()


def test_the_figures_are_those_of_the_metrics(catalogue: Catalogue) -> None:
    page = drawn()
    text = words(page)
    accuracy, confusion, genres, reliability = charts_told(page)
    honest = METRICS["protocols"]["artist10"]["ensemble"]
    low, high = (100 * bound for bound in honest["interval_95"])
    assert f"By artist, 999 tracks: Together {100 * honest['accuracy']:.1f} % ({low:.1f} to {high:.1f})" in accuracy
    assert accuracy.count("tracks:") == len(METRICS["protocols"])
    assert confusion.startswith("Confusion matrix. Most frequent mistakes: ")
    assert genres.count("%") == 2 * 10
    assert reliability.count("right (") == len(honest["reliability"])
    assert "They differ because" in text
    certain = METRICS["protocols"]["artist10"]["certain"]
    assert f"{100 * certain['coverage']:.1f} %" in text
    for damage in METRICS["robustness"]["damages"]:
        assert damage in text
    for kind in METRICS["nonmusic"]:
        assert kind in text
    assert f"**{METRICS['export']['cost']['milliseconds']['total']:.0f} ms** on one core" in text
    assert "It answers here." in text


def test_protocol_and_model_can_be_chosen(catalogue: Catalogue) -> None:
    page = drawn()
    before = len(catalogue.asked)
    first = charts_told(page)[1:]
    page.segmented_control(key="model-protocol").set_value("random10").run()
    second = charts_told(page)[1:]
    page.segmented_control(key="model-whose").set_value("svm").run()
    third = charts_told(page)[1:]
    assert not page.exception
    assert len({*first, *second, *third}) == 9
    error = METRICS["protocols"]["random10"]["svm"]["expected_calibration_error"]
    assert f"On average they are {100 * error:.1f} % apart" in words(page)
    assert before


def test_one_version_needs_no_switch(catalogue: Catalogue) -> None:
    assert not drawn().selectbox


def test_other_versions_can_be_looked_at(catalogue: Catalogue) -> None:
    older = copy.deepcopy(METRICS)
    older["robustness"]["clips"] = 77
    versions = (VERSION, "2026.10.1")
    catalogue.models = {
        VERSION: model(versions=versions),
        "2026.10.1": model("2026.10.1", versions, metrics=older, serving=VERSION),
    }
    page = drawn()
    (switch,) = page.selectbox
    assert switch.options == [f"{VERSION} (in service)", "2026.10.1"]
    switch.set_value("2026.10.1").run()
    text = words(page)
    assert "Version **2026.10.1**" in text
    assert "It does not answer here now." in text
    assert "77 clips" in text
    assert page.selectbox[0].value == "2026.10.1"


@pytest.mark.parametrize(
    "metrics",
    [
        {},
        {"protocols": {}},
        {"protocols": {"random10": METRICS["protocols"]["random10"]}},
        {"protocols": {"new way": {"n": 10, "svm": METRICS["protocols"]["random10"]["svm"]}}},
        {"protocols": {"artist10": {"n": 9, "ensemble": {"n": 9, "accuracy": 0.5, "interval_95": [0.2, 0.8]}}}},
        {"robustness": {}, "export": {"cost": {}}, "nonmusic": {}},
        {name: METRICS[name] for name in METRICS if name != "nonmusic"},
    ],
    ids=["nothing", "no protocol", "one protocol", "an unknown one", "accuracy only", "empty parts", "no sounds"],
)
def test_a_version_whose_metrics_lack_parts(catalogue: Catalogue, metrics: dict[str, object]) -> None:
    catalogue.models = {VERSION: model(metrics=metrics)}
    page = drawn()
    assert f"Version **{VERSION}**" in words(page)
    assert "The model card, whole" in [expander.label for expander in page.expander]


def test_the_service_away_then_back(catalogue: Catalogue) -> None:
    catalogue.down = True
    page = drawn()
    assert page.error[0].value == errors.BUSY
    assert not page.toast
    page.button(key="model-again").click().run()
    assert [toast.value for toast in page.toast] == ["Tried again, in vain."], "a click is seen to have been one"
    catalogue.down = False
    page.button(key="model-again").click().run()
    assert not page.toast
    assert "How often it is right" in words(page)


def test_the_card_fits_into_the_page() -> None:
    card = card_markdown(model()["card"])
    assert re.search(r"^### Tonearm", card, re.MULTILINE)
    assert "![" not in card
    assert not re.findall(r"^#{1,2} ", card, re.MULTILINE)
    given = "# A\n![Curve](c.svg) [file](a.csv) [site](https://example.org) costs $5\n###### deep"
    assert card_markdown(given) == (
        "### A\n*Curve: drawn above.* file [site](https://example.org) costs \\$5\n###### deep"
    )
