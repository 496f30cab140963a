"""Charts of a model version's metrics: plotly figures from metrics.json, in the style of :mod:`frontend.charts`."""

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from frontend import palette
from frontend.charts import CLEAR, ROW_PX, styled
from frontend.text import exact_percent, genre_name

MODELS = {"ensemble": "Ensemble", "svm": "SVM", "vgg19": "VGG19", "audioset": "AudioSet network"}
SYMBOLS = {"ensemble": "circle", "svm": "square", "vgg19": "diamond", "audioset": "triangle-up"}
LEGEND_PX = 34
LEGEND_LINE_PX = 34
MAX_LEGEND_LINE = 3  # models in a line, on a phone
AXIS_PX = 46
COLUMN_NAMES_PX = 84
CELL_PX = 30
MARGIN = 0.03
CURVE_PX = 320
SHARE_TICKS = (0, 0.25, 0.5, 0.75, 1)
# Dark up to one half and light above: the count in each cell stays readable, and what is mostly right stands out.
SHARE_COLOURS = [[0, "#14254A"], [0.5, "#2F6088"], [0.5, "#DCC764"], [1, "#FFF3B0"]]


def protocols(figures: Mapping[str, Mapping[str, Any]]) -> go.Figure:
    """The accuracy of each model by each protocol, with its 95 % interval. ``figures`` are by the protocol's name."""
    figure = go.Figure()
    models = {name: title for name, title in MODELS.items() if any(name in each for each in figures.values())}
    for model, title in models.items():
        found = {name: each[model] for name, each in figures.items() if model in each}
        accuracies = [each["accuracy"] for each in found.values()]
        low, high = ([abs(each["interval_95"][end] - each["accuracy"]) for each in found.values()] for end in (0, 1))
        colour = palette.ACCENT if model == "ensemble" else palette.NEUTRAL
        figure.add_scatter(
            x=accuracies,
            y=list(found),
            name=title.replace(" ", "<br>"),  # so that two entries fit a line on a phone
            orientation="h",
            mode="markers",
            marker={"symbol": SYMBOLS[model], "size": 11, "color": colour},
            error_x={"array": high, "arrayminus": low, "thickness": 2, "width": 4},
            hovertemplate=[f"{title}: {interval(each)}<extra></extra>" for each in found.values()],
        )
    inner_px = len(figures) * len(models) * (ROW_PX - 1)
    legend_px = LEGEND_PX + (LEGEND_LINE_PX if len(models) > MAX_LEGEND_LINE else 0)
    styled(figure, legend_px + inner_px + AXIS_PX, left_px=112, top_px=legend_px, bottom_px=AXIS_PX)
    lowest = min(each[model]["interval_95"][0] for each in figures.values() for model in MODELS if model in each)
    figure.update_xaxes(range=[lowest - MARGIN, 1], tickformat=".0%")
    figure.update_yaxes(autorange="reversed")
    legend = {"orientation": "h", "x": 0, "y": 1 + 6 / inner_px, "yanchor": "bottom", "bgcolor": CLEAR}
    figure.update_layout(
        scattermode="group", showlegend=True, legend=legend | {"itemclick": False, "itemdoubleclick": False}
    )
    return figure


def confusion(matrix: Sequence[Sequence[int]], labels: Sequence[str]) -> go.Figure:
    """The confusion matrix: rows are true genres, columns answers, both in the order of ``labels``."""
    names = [genre_name(label) for label in labels]
    figure = go.Figure(
        go.Heatmap(
            z=[[count / max(sum(row), 1) if count else None for count in row] for row in matrix],
            x=names,
            y=names,
            text=[[str(count) if count else "" for count in row] for row in matrix],
            texttemplate="%{text}",
            customdata=[[f"{count} of {sum(row)}" for count in row] for row in matrix],
            hovertemplate="%{customdata} %{y} tracks were classified as %{x}<extra></extra>",
            colorscale=SHARE_COLOURS,
            zmin=0,
            zmax=1,
            showscale=False,
            xgap=1,
            ygap=1,
        )
    )
    figure.update_xaxes(side="top", tickangle=-90, showgrid=False, title="answer")
    figure.update_yaxes(autorange="reversed")
    return styled(figure, COLUMN_NAMES_PX + CELL_PX * len(labels), left_px=78, top_px=COLUMN_NAMES_PX)


def reliability(points: Sequence[Mapping[str, float]]) -> go.Figure:
    """The accuracy of answers by their confidence. The area of a marker is the number of answers."""
    most = max(point["n"] for point in points)
    figure = go.Figure()
    dots = {"dash": "dot", "color": palette.NEUTRAL, "width": 2}
    figure.add_scatter(x=[0, 1], y=[0, 1], mode="lines", line=dots, hoverinfo="skip")
    figure.add_scatter(
        x=[point["confidence"] for point in points],
        y=[point["accuracy"] for point in points],
        mode="lines+markers",
        line={"color": palette.ACCENT, "width": 2},
        marker={"size": [6 + 22 * (point["n"] / most) ** 0.5 for point in points], "opacity": 1},
        customdata=[point["n"] for point in points],
        hovertemplate="%{customdata} answers with confidence %{x:.0%}: %{y:.0%} right<extra></extra>",
    )
    styled(figure, CURVE_PX, left_px=64, bottom_px=AXIS_PX)
    figure.update_xaxes(title="confidence", range=[0, 1 + MARGIN], tickformat=".0%", tickvals=SHARE_TICKS)
    figure.update_yaxes(
        title="accuracy", range=[-MARGIN, 1 + MARGIN], tickformat=".0%", tickvals=SHARE_TICKS, showgrid=True
    )
    return figure


def precision_recall(matrix: Sequence[Sequence[int]], labels: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Precision and recall of each genre, 0 to 1. A genre without tracks or answers has 0."""
    answered = [sum(column) for column in zip(*matrix, strict=True)]
    return {
        label: (matrix[index][index] / max(answered[index], 1), matrix[index][index] / max(sum(matrix[index]), 1))
        for index, label in enumerate(labels)
    }


def interval(found: Mapping[str, Any]) -> str:
    """An accuracy with its 95 % interval: 76.4 % (73.6 to 79.0)."""
    low, high = found["interval_95"]
    return f"{exact_percent(found['accuracy'])} ({100 * low:.1f} to {100 * high:.1f})"
