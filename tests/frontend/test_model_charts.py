from typing import Any

import plotly.graph_objects as go
import pytest

from frontend import model_charts
from tests.frontend.fakes import GENRES, model

PROTOCOLS: dict[str, Any] = model()["metrics"]["protocols"]
FOUND = PROTOCOLS["artist10"]["ensemble"]
FIGURES = {
    "protocols": model_charts.protocols(PROTOCOLS),
    "confusion": model_charts.confusion(FOUND["confusion"], GENRES),
    "reliability": model_charts.reliability(FOUND["reliability"]),
}


def named(figure: go.Figure) -> dict[str, Any]:
    return {trace.name: trace for trace in figure.data if trace.name}


@pytest.mark.parametrize("name", FIGURES)
def test_charts_do_not_zoom(name: str) -> None:
    layout = FIGURES[name].layout
    assert layout.dragmode is False
    assert layout.height > 0
    axes = [axis for key, axis in layout.to_plotly_json().items() if key.startswith(("xaxis", "yaxis"))]
    assert all(axis["fixedrange"] for axis in axes)


def test_accuracies_have_their_intervals() -> None:
    figure = FIGURES["protocols"]
    for key in ("ensemble", "svm", "vgg19"):
        title = model_charts.MODELS[key]
        trace = named(figure)[title]
        for index, protocol in enumerate(PROTOCOLS):
            found = PROTOCOLS[protocol][key]
            low, high = found["interval_95"]
            assert trace.x[index] == found["accuracy"]
            assert trace.x[index] - trace.error_x.arrayminus[index] == pytest.approx(low)
            assert trace.x[index] + trace.error_x.array[index] == pytest.approx(high)


def test_a_model_that_a_version_lacks_is_left_out() -> None:
    figure = model_charts.protocols({"Random": {"n": 10, "svm": FOUND}})
    assert [(trace.name, len(trace.x)) for trace in figure.data] == [("SVM", 1)]
    four = model_charts.protocols({"Random": {"n": 10, **dict.fromkeys(model_charts.MODELS, FOUND)}})
    assert [trace.name for trace in four.data] == ["Ensemble", "SVM", "VGG19", "AudioSet<br>network"]


def test_confusion_has_labels_as_rows() -> None:
    (heatmap,) = FIGURES["confusion"].data
    blues = FOUND["confusion"][0]
    assert list(heatmap.text[0]) == [str(count) if count else "" for count in blues]
    assert heatmap.z[0][0] == pytest.approx(blues[0] / sum(blues))
    assert heatmap.z[0][1] is None
    assert heatmap.customdata[0][5] == f"{blues[5]} of {sum(blues)}"
    assert FIGURES["confusion"].layout.yaxis.autorange == "reversed"


def test_precision_and_recall() -> None:
    found = model_charts.precision_recall([[3, 1], [2, 4]], ["a", "b"])
    assert found == {"a": (3 / 5, 3 / 4), "b": (4 / 5, 4 / 6)}
    assert model_charts.precision_recall([[0, 0], [0, 4]], ["a", "b"])["a"] == (0, 0)


def test_reliability_has_accuracies_and_counts() -> None:
    _, curve = FIGURES["reliability"].data
    assert list(curve.x) == [point["confidence"] for point in FOUND["reliability"]]
    assert list(curve.y) == [point["accuracy"] for point in FOUND["reliability"]]
    assert sum(curve.customdata) == FOUND["n"]


def test_interval_in_words() -> None:
    text = model_charts.interval({"accuracy": 0.7638, "interval_95": [0.7362, 0.7898]})
    assert text.replace("\N{NO-BREAK SPACE}", " ") == "76.4 % (73.6 to 79.0)"
