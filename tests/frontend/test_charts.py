import base64
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import plotly.graph_objects as go
import pytest

from frontend import charts, palette
from frontend.api_types import Classification
from frontend.text import genre_name
from tests.frontend.fakes import classification, segments, shares, spectrogram


def traces(figure: go.Figure, kind: str) -> list[Any]:
    return [trace for trace in figure.data if trace.type == kind]


def seconds(dates: Sequence[str]) -> list[float]:
    """Where on the time axis. Of a number instead of a date plotly would make a year, if it has four digits or two."""
    return [(datetime.fromisoformat(date) - datetime(1970, 1, 1)).total_seconds() for date in dates]


def over_time(result: Classification, *, with_spectrogram: bool = True) -> go.Figure:
    return charts.over_time(
        result["segments"],
        result["audio"]["duration_s"],
        spectrogram(result["audio"]["duration_s"]) if with_spectrogram else None,
    )


FIGURES = {
    "probabilities": charts.probabilities({"Ensemble": shares(jazz=0.9), "SVM": shares(blues=0.5)}),
    "over time": over_time(classification()),
    "without a spectrogram": over_time(classification(), with_spectrogram=False),
    "counts": charts.genre_counts({"jazz": 4, "rock": 2}),
}


@pytest.mark.parametrize("name", FIGURES)
def test_charts_do_not_zoom_and_keep_the_theme(name: str) -> None:
    layout = FIGURES[name].layout
    assert layout.dragmode is False
    assert layout.height > 0
    assert not layout.margin.autoexpand
    assert layout.paper_bgcolor == layout.plot_bgcolor == charts.CLEAR
    axes = [axis for key, axis in layout.to_plotly_json().items() if key.startswith(("xaxis", "yaxis"))]
    assert axes
    assert all(axis["fixedrange"] for axis in axes)
    assert not charts.CONFIG["displayModeBar"]
    assert not charts.CONFIG["scrollZoom"]


def test_probabilities_of_all_answers_are_in_the_order_of_the_first() -> None:
    first, second = shares(jazz=0.9, rock=0.06), shares(blues=0.5)
    figure = charts.probabilities({"Ensemble": first, "SVM": second})
    ensemble, svm = traces(figure, "bar")
    assert list(ensemble.y) == list(svm.y)
    assert ensemble.y[-1] == "Jazz"
    assert ensemble.y[-2] == "Rock"
    assert list(ensemble.x) == sorted(ensemble.x)
    assert dict(zip(svm.y, svm.x, strict=True)) == {genre_name(genre): share for genre, share in second.items()}
    assert list(ensemble.marker.color) == list(svm.marker.color)
    assert ensemble.marker.color[-1] == palette.COLOURS["jazz"]
    assert [annotation.text for annotation in figure.layout.annotations] == ["Ensemble", "SVM"]
    bars = traces(charts.probabilities({str(n): shares(jazz=0.998) for n in range(4)}), "bar")
    assert bars[0].text[-1].replace("\N{NO-BREAK SPACE}", " ") == ">99 %", "shorter, as four columns are narrow"
    wrapped = charts.probabilities({"Ensemble": first, "AudioSet network": second})
    assert [annotation.text for annotation in wrapped.layout.annotations] == ["Ensemble", "AudioSet<br>network"]
    assert wrapped.layout.height - figure.layout.height == wrapped.layout.margin.t - figure.layout.margin.t > 0


def test_the_spectrogram_has_whole_decibels_at_true_times_and_frequencies() -> None:
    given = spectrogram(90.0, columns=300)
    levels = base64.b64decode(given["levels"])
    (heatmap,) = traces(over_time(classification()), "heatmap")
    decibels = memoryview(base64.b64decode(heatmap.z["bdata"])).cast("b").tolist()
    assert heatmap.z["shape"] == "64, 300"
    assert len(decibels) == 64 * 300
    assert decibels == [round(-80 + 80 * level / 255) for level in levels]
    assert (heatmap.zmin, heatmap.zmax) == (-80, 0)
    # The middle of the first column, and the step to the next in milliseconds.
    assert (seconds([heatmap.x0]), heatmap.dx) == ([pytest.approx(0.15)], pytest.approx(300))
    assert len(set(heatmap.y)) == 64, "bands of one name would be one row"
    assert heatmap.y[0].endswith("Hz")
    assert "%{x|%-H:%M:%S}" in heatmap.hovertemplate
    assert "dB" in heatmap.hovertemplate


def test_spectrogram_and_genres_share_one_time_axis() -> None:
    figure = over_time(classification())
    assert {trace.xaxis or "x" for trace in figure.data} == {"x"}
    assert seconds(figure.layout.xaxis.range) == [0, 90]
    assert list(figure.layout.xaxis.ticktext) == ["0:00", "0:15", "0:30", "0:45", "1:00", "1:15", "1:30"]
    assert seconds(figure.layout.xaxis.tickvals) == [15 * number for number in range(7)]


def test_each_span_of_one_genre_is_a_bar() -> None:
    (spans,) = traces(over_time(classification()), "bar")
    assert seconds(spans.base) == [0, 60, 75]
    assert list(spans.x) == [40_000, 15_000, 15_000]
    assert list(spans.y) == ["Jazz", "Rock", "Hip-hop"]
    assert list(spans.marker.color) == [palette.COLOURS[genre] for genre in ("jazz", "rock", "hiphop")]
    assert spans.hovertemplate[-1] == "Hip-hop from 1:15 to 1:30<extra></extra>"


def test_the_rows_are_the_genres_that_occur_the_longest_on_top() -> None:
    figure = over_time(classification())
    assert list(figure.layout.yaxis.categoryarray) == ["Hip-hop", "Rock", "Jazz"]
    fewer = over_time(classification(segments=segments((0, 90, "pop", 0.8))))
    assert figure.layout.height - fewer.layout.height == 2 * charts.ROW_PX


@pytest.mark.parametrize(
    ("spans", "expected_s"),
    [
        ([(0, 40), (60, 90)], 20),
        ([(5, 20)], 75),
        ([(0, 10.004), (10.004, 90)], 0),
        ([(0, 7.5), (8.75, 15), (16.25, 90)], 2.5),  # one window, split at its pauses
        ([(0, 40), (10, 20), (30, 50)], 40),
        ([(0, 90.02)], 0),
        ([], 90),
    ],
)
def test_the_time_that_no_segment_covers(spans: list[tuple[float, float]], expected_s: float) -> None:
    given = segments(*((start_s, end_s, "jazz", 0.9) for start_s, end_s in spans))
    assert charts.blank_s(given, 90.0) == pytest.approx(expected_s)


def test_neighbours_of_one_genre_are_one_run() -> None:
    given = segments((0, 10, "jazz", 0.9), (10, 20, "jazz", 0.5), (25, 30, "jazz", 0.9), (30, 40, "rock", 0.9))
    runs = [(each["start_s"], each["end_s"], each["genre"]) for each in charts.merged(given)]
    assert runs == [(0, 20, "jazz"), (25, 30, "jazz"), (30, 40, "rock")]
    assert given[0]["end_s"] == 10, "the argument is unchanged"


def test_the_most_frequent_genre_is_on_top() -> None:
    (counts,) = traces(FIGURES["counts"], "bar")
    assert list(zip(counts.y, counts.x, strict=True)) == [("Rock", 2), ("Jazz", 4)]
