"""Pictures of how good the models were found to be: from metrics.json to plotly figures, as :mod:`frontend.charts`."""

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from frontend import palette
from frontend.charts import CLEAR, ROW_PX, layout
from frontend.text import exact_percent, genre_name, percent

MODELS = {"ensemble": "Together", "svm": "SVM", "vgg19": "VGG19"}
SYMBOLS = {"ensemble": "circle", "svm": "square", "vgg19": "diamond"}
MARKER_PX = 11
MODEL_ROW_PX = 26
LEGEND_PX = 34
AXIS_PX = 46
SHARE_TICKS = (0, 0.25, 0.5, 0.75, 1)
CURVE_PX = 260
COUNTS_PX = 70
CELL_PX = 30
COLUMN_NAMES_PX = 84
SHARE_MARGIN = 0.03
# Dark up to a half and light from there on: the count in each cell is readable, and what is mostly right stands out.
SHARES = [[0, "#14254A"], [0.5, "#2F6088"], [0.5, "#DCC764"], [1, "#FFF3B0"]]
COUNTS_SHARE = 0.2


def protocols(figures: Mapping[str, Mapping[str, Any]], names: Mapping[str, str]) -> go.Figure:
    """The accuracy of each model by each protocol, with its 95 % interval.

    ``figures`` are those of metrics.json by protocol, ``names`` how the protocols are called here.
    """
    figure = go.Figure()
    step = 1 / (len(MODELS) + 1)
    for number, (model, title) in enumerate(MODELS.items()):
        places = {place: figures[name][model] for place, name in enumerate(names) if model in figures[name]}
        figure.add_scatter(
            x=[found["accuracy"] for found in places.values()],
            y=[place + (number - 1) * step for place in places],
            name=title,
            mode="markers",
            marker={
                "symbol": SYMBOLS[model],
                "size": MARKER_PX,
                "color": palette.ACCENT if model == "ensemble" else palette.NEUTRAL,
            },
            error_x={
                "type": "data",
                "array": [found["interval_95"][1] - found["accuracy"] for found in places.values()],
                "arrayminus": [found["accuracy"] - found["interval_95"][0] for found in places.values()],
                "thickness": 2,
                "width": 4,
            },
            hovertemplate=[f"{title}: {interval(found)}<extra></extra>" for found in places.values()],
        )
    figure.update_xaxes(
        range=[_floor(figures), 1], tickformat=".0%", fixedrange=True, ticks="", zeroline=False, nticks=6
    )
    figure.update_yaxes(
        range=[len(names) - 0.5, -0.5],
        tickvals=list(range(len(names))),
        ticktext=[f"{name}<br>{figures[key]['n']} tracks" for key, name in names.items()],
        showgrid=False,
        zeroline=False,
        ticks="",
        ticklabelstandoff=6,
        fixedrange=True,
    )
    height_px = LEGEND_PX + AXIS_PX + len(names) * len(MODELS) * MODEL_ROW_PX
    figure.update_layout(
        **layout(height_px, left_px=104, top_px=LEGEND_PX, bottom_px=AXIS_PX),
        **_legend(height_px - LEGEND_PX - AXIS_PX),
    )
    figure.update_layout(showlegend=True)
    return figure


def confusion(matrix: Sequence[Sequence[int]], labels: Sequence[str]) -> go.Figure:
    """What tracks of each genre (rows) were called (columns), in tracks; brighter is a larger share of the row."""
    names = [genre_name(label) for label in labels]
    shares = [[count / max(sum(row), 1) if count else None for count in row] for row in matrix]
    figure = go.Figure(
        go.Heatmap(
            z=shares,
            x=names,
            y=names,
            text=[[str(count) if count else "" for count in row] for row in matrix],
            texttemplate="%{text}",
            hovertext=[
                [
                    f"{count} of {sum(row)} {truth} tracks were called {said}"
                    for said, count in zip(names, row, strict=True)
                ]
                for truth, row in zip(names, matrix, strict=True)
            ],
            hovertemplate="%{hovertext}<extra></extra>",
            colorscale=SHARES,
            zmin=0,
            zmax=1,
            showscale=False,
            xgap=1,
            ygap=1,
        )
    )
    figure.update_xaxes(side="top", tickangle=-90, showgrid=False, ticks="", fixedrange=True, title="called")
    figure.update_yaxes(autorange="reversed", showgrid=False, ticks="", fixedrange=True, ticklabelstandoff=4)
    figure.update_layout(**layout(COLUMN_NAMES_PX + CELL_PX * len(labels), left_px=78, top_px=COLUMN_NAMES_PX))
    return figure


def per_genre(matrix: Sequence[Sequence[int]], labels: Sequence[str]) -> go.Figure:
    """Precision and recall of each genre, joined by a line, the best recall on top."""
    found = precision_recall(matrix, labels)
    order = sorted(labels, key=lambda label: found[label][1])
    names = [genre_name(label) for label in order]
    colours = [palette.colour(label) for label in order]
    figure = go.Figure()
    for label, name in zip(order, names, strict=True):
        figure.add_scatter(
            x=found[label],
            y=[name, name],
            mode="lines",
            line={"color": palette.colour(label), "width": 2},
            hoverinfo="skip",
            showlegend=False,
        )
    for number, (title, symbol) in enumerate((("precision", "circle"), ("recall", "diamond-open"))):
        figure.add_scatter(
            x=[found[label][number] for label in order],
            y=names,
            name=title,
            mode="markers",
            marker={"symbol": symbol, "size": MARKER_PX, "color": colours, "line": {"width": 2, "color": colours}},
            hovertemplate=[
                f"{name}, {title}: {percent(found[label][number])}<extra></extra>"
                for label, name in zip(order, names, strict=True)
            ],
            showlegend=False,
        )
        # Of no genre's colour, and so in the legend in its stead.
        figure.add_scatter(
            x=[None],
            y=[names[0]],
            name=title,
            mode="markers",
            marker={"symbol": symbol, "size": MARKER_PX, "color": palette.NEUTRAL, "line": {"width": 2}},
        )
    least = min(min(pair) for pair in found.values())
    figure.update_xaxes(
        range=[max(0, least - SHARE_MARGIN), 1 + SHARE_MARGIN],
        tickformat=".0%",
        fixedrange=True,
        zeroline=False,
        ticks="",
        nticks=6,
    )
    figure.update_yaxes(showgrid=False, ticks="", ticklabelstandoff=4, fixedrange=True, range=[-0.6, len(names) - 0.4])
    inner_px = ROW_PX * len(names)
    figure.update_layout(
        **layout(LEGEND_PX + AXIS_PX + inner_px, top_px=LEGEND_PX, bottom_px=AXIS_PX), **_legend(inner_px)
    )
    figure.update_layout(showlegend=True)
    return figure


def reliability(points: Sequence[Mapping[str, float]], title: str) -> go.Figure:
    """How often answers of each confidence were right, above, and how many there were of them, below."""
    confidences = [point["confidence"] for point in points]
    figure = make_subplots(
        rows=2, shared_xaxes=True, row_heights=[1 - COUNTS_SHARE, COUNTS_SHARE], vertical_spacing=0.06, cols=1
    )
    figure.add_scatter(
        x=[0, 1],
        y=[0, 1],
        mode="lines",
        line={"dash": "dot", "color": palette.NEUTRAL, "width": 2},
        hoverinfo="skip",
        row=1,
        col=1,
    )
    figure.add_scatter(
        x=confidences,
        y=[point["accuracy"] for point in points],
        mode="lines+markers",
        line={"color": palette.ACCENT, "width": 2},
        marker={"size": MARKER_PX - 2, "color": palette.ACCENT, "symbol": "circle"},
        hovertemplate=[
            f"{title}: of {point['n']} answers given with about {percent(point['confidence'])}, "
            f"{percent(point['accuracy'])} were right<extra></extra>"
            for point in points
        ],
        row=1,
        col=1,
    )
    figure.add_bar(
        x=confidences,
        y=[point["n"] for point in points],
        width=0.04,
        marker={"color": palette.NEUTRAL, "line": {"width": 0}},
        hovertemplate=[f"{point['n']} answers<extra></extra>" for point in points],
        row=2,
        col=1,
    )
    figure.update_xaxes(
        range=[0, 1.03], tickformat=".0%", tickvals=SHARE_TICKS, fixedrange=True, zeroline=False, ticks=""
    )
    figure.update_xaxes(title="confidence", row=2, col=1)
    figure.update_yaxes(fixedrange=True, zeroline=False, ticks="")
    figure.update_yaxes(
        title="right", range=[-SHARE_MARGIN, 1.03], tickformat=".0%", tickvals=SHARE_TICKS, row=1, col=1
    )
    figure.update_yaxes(title="answers", nticks=3, row=2, col=1)
    figure.update_layout(**layout(CURVE_PX + COUNTS_PX + AXIS_PX, left_px=64, bottom_px=AXIS_PX))
    return figure


def precision_recall(matrix: Sequence[Sequence[int]], labels: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Of each genre: the share of those called so that are so, and of those that are so that were called so."""
    called = [sum(column) for column in zip(*matrix, strict=True)]
    return {
        label: (matrix[place][place] / max(called[place], 1), matrix[place][place] / max(sum(matrix[place]), 1))
        for place, label in enumerate(labels)
    }


def interval(found: Mapping[str, Any]) -> str:
    """A measured accuracy with its 95 % interval: 76.4 % (73.6 to 79.0)."""
    low, high = found["interval_95"]
    return f"{exact_percent(found['accuracy'])} ({100 * low:.1f} to {100 * high:.1f})"


def _legend(inner_px: int) -> dict[str, Any]:
    """Above the picture, whose inside has this height."""
    return {
        "legend": {
            "orientation": "h",
            "x": 0,
            "y": 1 + 6 / inner_px,
            "yanchor": "bottom",
            "bgcolor": CLEAR,
            "itemclick": False,
            "itemdoubleclick": False,
        }
    }


def _floor(figures: Mapping[str, Mapping[str, Any]]) -> float:
    """Where the axis of accuracies begins: a little below the lowest interval, on a tenth."""
    lowest = min(found[model]["interval_95"][0] for found in figures.values() for model in MODELS if model in found)
    return max(0.0, int(10 * (lowest - SHARE_MARGIN)) / 10)
