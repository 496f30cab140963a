"""Charts of results: plotly figures from the API's data. :mod:`frontend.views` shows them.

All charts leave background and text colours to the theme, have a fixed height, cannot be zoomed (so that a finger on
one scrolls the page), and fit a phone.
"""

import base64
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from frontend import palette, workarounds
from frontend.api_types import PreviewSpectrogram, Segment
from frontend.text import clock, genre_name, hertz, percent

# For st.plotly_chart: no buttons over the chart.
CONFIG = {"displayModeBar": False, "scrollZoom": False, "doubleClick": False, "showTips": False}

ROW_PX = 27
NAMES_PX = 74
TITLES_PX = 30
TITLE_LINE_PX = 18
BAR_RANGE = 1.9  # of a full bar's length, with room for the number behind it
NARROW_BAR_RANGE = 2.3
MAX_WIDE_COLUMNS = 3
SPECTROGRAM_PX = 230
COLOUR_BAR_PX = 44
TIME_AXIS_PX = 34
GAP_PX = 12
TIME_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200)
MAX_TIME_TICKS = 6
FREQUENCY_TICKS_HZ = (100, 500, 1000, 2000, 5000, 10_000)
MIN_BLANK_S = 0.5
CLEAR = "rgba(0,0,0,0)"


def styled(
    figure: go.Figure,
    height_px: int,
    *,
    left_px: int = NAMES_PX,
    right_px: int = 8,
    top_px: int = 8,
    bottom_px: int = 8,
) -> go.Figure:
    """``figure`` with the height, margins and axes that all charts share."""
    figure.update_layout(
        height=height_px,
        margin={"l": left_px, "r": right_px, "t": top_px, "b": bottom_px, "autoexpand": False},
        paper_bgcolor=CLEAR,
        plot_bgcolor=CLEAR,
        dragmode=False,
        showlegend=False,
        hoverlabel={"align": "left"},
        bargap=0.25,
    )
    figure.update_xaxes(fixedrange=True, zeroline=False, ticks="")
    figure.update_yaxes(fixedrange=True, zeroline=False, showgrid=False, ticks="", ticklabelstandoff=4)
    return figure


def probabilities(answers: Mapping[str, Mapping[str, float]]) -> go.Figure:
    """Bars of the probabilities of several answers side by side, in the order of the first.

    Args:
        answers: Probabilities by genre, by the title of their column.
    """
    first = next(iter(answers.values()))
    genres = sorted(first, key=lambda genre: first[genre])  # plotly counts from below
    # Four columns fit a phone with longer titles in two lines and shorter texts behind the bars.
    titles = [title.replace(" ", "<br>") for title in answers]
    narrow = len(answers) > MAX_WIDE_COLUMNS
    figure = make_subplots(cols=len(answers), shared_yaxes=True, horizontal_spacing=0.03, column_titles=titles)
    for column, shares in enumerate(answers.values(), start=1):
        figure.add_trace(_bars(shares, genres, _short_percent if narrow else percent), row=1, col=column)
    figure.update_xaxes(range=[0, NARROW_BAR_RANGE if narrow else BAR_RANGE], visible=False)
    figure.update_annotations(font_size=14)
    titles_px = TITLES_PX + (TITLE_LINE_PX if any("<br>" in title for title in titles) else 0)
    return styled(figure, titles_px + ROW_PX * len(genres), top_px=titles_px)


def _short_percent(share: float) -> str:
    return percent(share).replace("under ", "<").replace("over ", ">")


def over_time(segments: Sequence[Segment], duration_s: float, spectrogram: PreviewSpectrogram | None) -> go.Figure:
    """The mel spectrogram, where there is one, and below it the genre over time, on one time axis.

    Each genre has a row, the one that lasts longest on top. Time without a segment stays blank.
    """
    lengths_s: dict[str, float] = defaultdict(float)
    for each in segments:
        lengths_s[genre_name(each["genre"])] += each["end_s"] - each["start_s"]
    rows = sorted(lengths_s, key=lambda name: -lengths_s[name])[::-1]  # plotly counts from below
    genres_px = ROW_PX * len(rows)
    inner_px = genres_px + (SPECTROGRAM_PX + GAP_PX if spectrogram else 0)
    top_px = COLOUR_BAR_PX if spectrogram else 4
    figure = go.Figure()
    if spectrogram:
        figure.add_trace(_spectrogram(spectrogram))
    spans = merged(segments)
    figure.add_bar(
        base=[_date(each["start_s"]) for each in spans],
        x=[1000 * (each["end_s"] - each["start_s"]) for each in spans],
        y=[genre_name(each["genre"]) for each in spans],
        orientation="h",
        marker={"color": [palette.colour(each["genre"]) for each in spans], "line": {"width": 0}},
        hovertemplate=[f"{span_words(each)}<extra></extra>" for each in spans],
    )
    styled(figure, top_px + inner_px + TIME_AXIS_PX, right_px=22, top_px=top_px, bottom_px=TIME_AXIS_PX)
    step_s = next((step for step in TIME_STEPS_S if duration_s / step <= MAX_TIME_TICKS), duration_s)
    ticks_s = [step_s * number for number in range(int(duration_s / step_s) + 1)]
    figure.update_layout(
        bargap=0.15,
        xaxis={
            "type": "date",
            "range": [_date(0), _date(duration_s)],
            "tickvals": [_date(tick_s) for tick_s in ticks_s],
            "ticktext": [clock(tick_s) for tick_s in ticks_s],
            "ticks": "outside",
            "showgrid": False,
            "anchor": "y",
        },
        yaxis={
            "domain": [0, genres_px / inner_px],
            "categoryorder": "array",
            "categoryarray": rows,
            "range": [-0.5, len(rows) - 0.5],
        },
    )
    if spectrogram:
        bands_hz = spectrogram["bands_hz"]
        ticks_hz = [hz for hz in FREQUENCY_TICKS_HZ if bands_hz[0] < hz < bands_hz[-1]]
        figure.update_layout(
            yaxis2={
                "domain": [(genres_px + GAP_PX) / inner_px, 1],
                "range": [-0.5, spectrogram["n_bands"] - 0.5],
                "tickvals": [_band_index(hz, bands_hz) for hz in ticks_hz],
                "ticktext": [hertz(hz) for hz in ticks_hz],
                "ticks": "outside",
                "showgrid": False,
                "fixedrange": True,
            }
        )
    return figure


def span_words(segment: Segment) -> str:
    """A segment in words: Jazz from 0:00 to 0:30."""
    return f"{genre_name(segment['genre'])} from {clock(segment['start_s'])} to {clock(segment['end_s'])}"


def merged(segments: Sequence[Segment]) -> list[Segment]:
    """The segments, with neighbours of one genre as one. These keep the probabilities of the first."""
    result: list[Segment] = []
    for each in segments:
        last = result[-1] if result else None
        if last and last["genre"] == each["genre"] and each["start_s"] - last["end_s"] < MIN_BLANK_S:
            result[-1] = {**last, "end_s": each["end_s"]}
        else:
            result.append(each)
    return result


def blank_s(segments: Sequence[Segment], duration_s: float) -> float:
    """How much of the recording no segment covers, in seconds."""
    blank = covered_until = 0.0
    for each in segments:
        blank += max(0.0, each["start_s"] - covered_until)
        covered_until = max(covered_until, each["end_s"])
    return blank + max(0.0, duration_s - covered_until)


def genre_counts(counts: Mapping[str, int]) -> go.Figure:
    """How many recordings have each genre, or are "not sure", the most frequent on top."""
    order = sorted(counts, key=lambda genre: counts[genre])
    figure = go.Figure(_bars(counts, order, str))
    figure.update_xaxes(range=[0, max(counts.values()) * 1.12], visible=False)
    return styled(figure, 16 + ROW_PX * len(order))


def _bars[T](values: Mapping[str, T], genres: Sequence[str], text: Callable[[T], str]) -> go.Bar:
    """A bar for each genre with its value behind it."""
    return go.Bar(
        x=[values[genre] for genre in genres],
        y=[genre_name(genre) for genre in genres],
        orientation="h",
        marker_color=[palette.colour(genre) for genre in genres],
        text=[text(values[genre]) for genre in genres],
        textposition="outside",
        cliponaxis=False,
        hovertemplate="%{y} %{text}<extra></extra>",
    )


def _spectrogram(spectrogram: PreviewSpectrogram) -> go.Heatmap:
    """The mel spectrogram in whole decibels, a byte each."""
    low_db, high_db = spectrogram["min_db"], spectrogram["max_db"]
    decibels = bytes(round(low_db + (high_db - low_db) * level / 255) & 0xFF for level in range(256))
    column_s = (spectrogram["end_s"] - spectrogram["start_s"]) / spectrogram["n_columns"]
    return go.Heatmap(
        z={
            "dtype": "i1",
            "bdata": base64.b64encode(base64.b64decode(spectrogram["levels"]).translate(decibels)).decode(),
            "shape": f"{spectrogram['n_bands']}, {spectrogram['n_columns']}",
        },
        x0=_date(spectrogram["start_s"] + column_s / 2),
        dx=1000 * column_s,
        y=[hertz(hz) for hz in spectrogram["bands_hz"]],
        zmin=low_db,
        zmax=high_db,
        yaxis="y2",
        colorscale=workarounds.MAGMA,
        colorbar={
            "orientation": "h",
            "thickness": 8,
            "len": 1,
            "x": 0.5,
            "y": 1,
            "yanchor": "bottom",
            "ypad": 4,
            "ticksuffix": " dB",
            "ticklabelposition": "outside top",
            "outlinewidth": 0,
        },
        hovertemplate="%{x|%-H:%M:%S} · %{y} · %{z} dB<extra></extra>",
    )


def _band_index(frequency_hz: float, bands_hz: Sequence[float]) -> float:
    """The fractional index of a frequency between the first and the last band."""
    above = next(index for index, hz in enumerate(bands_hz) if hz >= frequency_hz)
    below_hz, above_hz = bands_hz[above - 1], bands_hz[above]
    return above - (above_hz - frequency_hz) / (above_hz - below_hz)


def _date(seconds: float) -> str:
    """A time on the axis, counted from the start of 1970: plotly formats only dates as h:mm:ss."""
    return str(datetime(1970, 1, 1) + timedelta(seconds=seconds))
