"""Pictures of results: from what the API said to plotly figures, and nothing drawn yet.

They leave grounds and text colours to the page's theme, have the height that their data need and no other, cannot be
zoomed (a finger on them scrolls the page), and are readable at the width of a phone.
"""

import base64
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from urllib.parse import quote

import plotly.graph_objects as go
from plotly.colors import sequential
from plotly.subplots import make_subplots

from frontend import palette
from frontend.api_types import Picture, Segment
from frontend.text import clock, genre_name, hertz, percent, short_percent

# For st.plotly_chart: no buttons over the picture.
CONFIG = {"displayModeBar": False, "scrollZoom": False, "doubleClick": False, "showTips": False}

ROW_PX = 27
TITLES_PX = 30
TITLE_FONT_PX = 14
BAR_ROOM = 1.75  # of a bar's full length, for the number behind it
PICTURE_PX = 230
SCALE_PX = 44
TIME_PX = 34
HALF_TIME_PX = 22  # what of the last time stands beyond the end of its axis
GAP_PX = 12
NAMES_PX = 74
TIME_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200)
MAX_TIME_TICKS = 6
FREQUENCY_TICKS_HZ = (100, 500, 1000, 2000, 5000, 10_000)
SMALLEST_GAP_S = 0.5
HOUR_S = 3600
BARS_PX = (100, 26)
MARGINS_PX = (9, 6)
CLEAR = "rgba(0,0,0,0)"
# Its own first colour is one of those that Streamlit takes for a place to put a colour of its theme.
LOUDNESS = ["#010108", *sequential.Magma[1:]]


def layout(
    height_px: int, *, left_px: int = NAMES_PX, right_px: int = 8, top_px: int = 8, bottom_px: int = 8
) -> dict[str, object]:
    """What all pictures have in common, for ``update_layout``."""
    return {
        "height": height_px,
        "margin": {"l": left_px, "r": right_px, "t": top_px, "b": bottom_px, "autoexpand": False},
        "paper_bgcolor": CLEAR,
        "plot_bgcolor": CLEAR,
        "dragmode": False,
        "showlegend": False,
        "hoverlabel": {"align": "left"},
    }


def probabilities(answers: Mapping[str, Mapping[str, float]]) -> go.Figure:
    """The ten probabilities of several answers side by side, all in the order of the first; each one's highest is bold.

    ``answers`` are probabilities of genres by the title of their column.
    """
    first = next(iter(answers.values()))
    order = sorted(first, key=lambda genre: first[genre])  # plotly counts from below
    figure = make_subplots(
        cols=len(answers), shared_yaxes=True, horizontal_spacing=0.03, column_titles=list(answers), rows=1
    )
    for column, (title, shares) in enumerate(answers.items(), start=1):
        highest = max(shares, key=lambda genre: shares[genre])
        figure.add_bar(
            x=[shares[genre] for genre in order],
            y=[genre_name(genre) for genre in order],
            orientation="h",
            marker={"color": [palette.colour(genre) for genre in order], "line": {"width": 0}},
            text=[_bold(short_percent(shares[genre]), genre == highest) for genre in order],
            textposition="outside",
            cliponaxis=False,
            hovertemplate=[f"{title}: {genre_name(genre)} {percent(shares[genre])}<extra></extra>" for genre in order],
            row=1,
            col=column,
        )
    figure.update_annotations(font_size=TITLE_FONT_PX)
    figure.update_xaxes(range=[0, BAR_ROOM], visible=False, fixedrange=True)
    figure.update_yaxes(fixedrange=True, showgrid=False, ticks="", ticklabelstandoff=4)
    figure.update_layout(bargap=0.25, **layout(TITLES_PX + ROW_PX * len(order), top_px=TITLES_PX))
    return figure


def over_time(segments: Sequence[Segment], duration_s: float, picture: Picture | None) -> go.Figure:
    """The mel-spectrogram, where there is one, and beneath it the genre over time, on one time axis in seconds.

    A row is a genre, the one that lasts longest on top; stretches without a segment stay blank.
    """
    rows = _by_length(segments)
    strip_px = ROW_PX * len(rows)
    top_px = SCALE_PX if picture else 4
    upper_px = PICTURE_PX + GAP_PX if picture else 0
    inner_px = upper_px + strip_px
    # Dates, from the beginning of 1970: only these can be written as a clock's time in what hovering tells.
    clock_form = "%-H:%M:%S" if duration_s >= HOUR_S else "%-M:%S"
    figure = go.Figure()
    if picture:
        figure.add_trace(_heatmap(picture, clock_form))
        ticks = [hz for hz in FREQUENCY_TICKS_HZ if picture["bands_hz"][0] < hz < picture["bands_hz"][-1]]
        figure.update_layout(
            yaxis2={
                "domain": [(strip_px + GAP_PX) / inner_px, 1],
                "range": [-0.5, picture["n_bands"] - 0.5],
                "tickvals": [_place(hz, picture["bands_hz"]) for hz in ticks],
                "ticktext": [hertz(hz) for hz in ticks],
                "ticks": "outside",
                "ticklen": 4,
                "showgrid": False,
                "zeroline": False,
                "fixedrange": True,
            }
        )
    # Under the stretches what they make up together: between neighbours no seam shows.
    figure.add_trace(_bars(runs(segments), hoverinfo="skip"))
    figure.add_trace(_bars(segments, hovertemplate=[_told(each) for each in segments]))
    figure.add_trace(_blanks(segments, duration_s, rows))
    step_s = next((step for step in TIME_STEPS_S if duration_s / step <= MAX_TIME_TICKS), duration_s)
    ticks_s = [step_s * number for number in range(int(duration_s / step_s) + 1)]
    figure.update_layout(
        barmode="overlay",
        bargap=0.15,
        xaxis={
            "type": "date",
            "range": [_date(0), _date(duration_s)],
            "tickvals": [_date(tick_s) for tick_s in ticks_s],
            "ticktext": [clock(tick_s) for tick_s in ticks_s],
            "ticks": "outside",
            "ticklen": 4,
            "showgrid": False,
            "fixedrange": True,
            "anchor": "y",
        },
        yaxis={
            "domain": [0, strip_px / inner_px],
            "categoryorder": "array",
            "categoryarray": rows[::-1],
            "range": [-0.5, len(rows) - 0.5],
            "showgrid": False,
            "ticks": "",
            "ticklabelstandoff": 4,
            "fixedrange": True,
        },
        **layout(top_px + inner_px + TIME_PX, right_px=HALF_TIME_PX, top_px=top_px, bottom_px=TIME_PX),
    )
    return figure


def runs(segments: Sequence[Segment]) -> list[Segment]:
    """The stretches, neighbours of one genre as one; these have the probabilities of their first."""
    joined: list[Segment] = []
    for each in segments:
        last = joined[-1] if joined else None
        if last and last["genre"] == each["genre"] and each["start_s"] - last["end_s"] < SMALLEST_GAP_S:
            joined[-1] = {**last, "end_s": each["end_s"]}
        else:
            joined.append(each)
    return joined


def blanks(segments: Sequence[Segment], duration_s: float) -> list[tuple[float, float]]:
    """The stretches without a genre, from and to in seconds."""
    edges = [0.0, *(edge for each in segments for edge in (each["start_s"], each["end_s"])), duration_s]
    return [
        (start_s, end_s)
        for start_s, end_s in zip(edges[::2], edges[1::2], strict=True)
        if end_s - start_s > SMALLEST_GAP_S
    ]


def summary(counts: Mapping[str, tuple[int, int]]) -> go.Figure:
    """How many recordings are of each genre: (certain, not sure). The latter are hatched."""
    order = sorted(counts, key=lambda genre: sum(counts[genre]))
    names = [genre_name(genre) for genre in order]
    colours = [palette.colour(genre) for genre in order]
    most = max(map(sum, counts.values()), default=1)
    figure = go.Figure()
    for part, (title, shape) in enumerate((("certain", ""), ("not sure", "/"))):
        figure.add_bar(
            x=[counts[genre][part] for genre in order],
            y=names,
            orientation="h",
            marker={
                "color": colours,
                "line": {"width": 1, "color": colours},
                "pattern": {"shape": shape, "fillmode": "replace", "size": 6, "solidity": 0.35},
            },
            text=[str(sum(counts[genre])) if part else "" for genre in order],
            textposition="outside",
            cliponaxis=False,
            hovertemplate=[
                f"{name}, {title}: {counts[genre][part]}<extra></extra>"
                for genre, name in zip(order, names, strict=True)
            ],
        )
    figure.update_xaxes(range=[0, most * 1.12], visible=False, fixedrange=True)
    figure.update_yaxes(fixedrange=True, showgrid=False, ticks="", ticklabelstandoff=4)
    figure.update_layout(barmode="stack", bargap=0.25, **layout(16 + ROW_PX * len(order)))
    return figure


def thumbnail(shares: Mapping[str, float]) -> str:
    """The ten probabilities as a very small picture, always in the same order of genres: the URL of an SVG."""
    (width_px, height_px), (left_px, top_px) = BARS_PX, MARGINS_PX
    step = width_px / len(shares)
    bars = "".join(
        f'<rect x="{left_px + step * place:.1f}" y="{top_px + height_px - tall:.1f}" width="{step - 2:.1f}" '
        f'height="{tall:.1f}" fill="{palette.colour(genre)}"/>'
        for place, (genre, share) in enumerate(shares.items())
        for tall in [max(1.0, share * height_px)]
    )
    size = f'width="{width_px + 2 * left_px}" height="{height_px + 2 * top_px}"'
    return "data:image/svg+xml;utf8," + quote(f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{bars}</svg>')


def _heatmap(picture: Picture, clock_form: str) -> go.Heatmap:
    """The picture with whole decibels for levels: a byte each, as they came."""
    low_db, high_db = picture["min_db"], picture["max_db"]
    decibels = bytes(round(low_db + (high_db - low_db) * level / 255) & 0xFF for level in range(256))
    column_s = (picture["end_s"] - picture["start_s"]) / picture["n_columns"]
    return go.Heatmap(
        z={
            "dtype": "i1",
            "bdata": base64.b64encode(base64.b64decode(picture["levels"]).translate(decibels)).decode(),
            "shape": f"{picture['n_bands']}, {picture['n_columns']}",
        },
        x0=_date(picture["start_s"] + column_s / 2),
        dx=_ms(column_s),
        y=[hertz(hz) for hz in picture["bands_hz"]],
        zmin=low_db,
        zmax=high_db,
        xaxis="x",
        yaxis="y2",
        colorscale=LOUDNESS,
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
        hovertemplate=f"%{{x|{clock_form}}} · %{{y}} · %{{z}} dB<extra></extra>",
    )


def _bars(segments: Sequence[Segment], **hover: object) -> go.Bar:
    return go.Bar(
        base=[_date(each["start_s"]) for each in segments],
        x=[_ms(each["end_s"] - each["start_s"]) for each in segments],
        y=[genre_name(each["genre"]) for each in segments],
        orientation="h",
        marker={"color": [palette.colour(each["genre"]) for each in segments], "line": {"width": 0}},
        **hover,
    )


def _told(segment: Segment) -> str:
    genre = segment["genre"]
    said = f"{genre_name(genre)} {percent(segment['probabilities'][genre])}"
    return f"{clock(segment['start_s'])} to {clock(segment['end_s'])} · {said}<extra></extra>"


def _blanks(segments: Sequence[Segment], duration_s: float, rows: Sequence[str]) -> go.Bar:
    """Nothing to see, and something to be told when hovering where there is nothing."""
    places = [(start_s, end_s, row) for start_s, end_s in blanks(segments, duration_s) for row in rows]
    return go.Bar(
        base=[_date(start_s) for start_s, _, _ in places],
        x=[_ms(end_s - start_s) for start_s, end_s, _ in places],
        y=[row for _, _, row in places],
        orientation="h",
        marker={"color": CLEAR, "line": {"width": 0}},
        hovertemplate=[
            f"{clock(start_s)} to {clock(end_s)} · not judged<extra></extra>" for start_s, end_s, _ in places
        ],
    )


def _by_length(segments: Sequence[Segment]) -> list[str]:
    """The names of the genres that occur, the one that lasts longest first."""
    lengths_s: dict[str, float] = {}
    for each in segments:
        name = genre_name(each["genre"])
        lengths_s[name] = lengths_s.get(name, 0.0) + each["end_s"] - each["start_s"]
    return sorted(lengths_s, key=lambda name: lengths_s[name], reverse=True)


def _place(frequency_hz: float, bands_hz: Sequence[float]) -> float:
    """Where between the bands, counted from 0, a frequency lies. It lies between the first and the last."""
    above = next(number for number, hz in enumerate(bands_hz) if hz >= frequency_hz)
    below_hz, above_hz = bands_hz[above - 1], bands_hz[above]
    return above - (above_hz - frequency_hz) / (above_hz - below_hz)


def _date(seconds: float) -> str:
    """A place on the time axis. Not a number, as plotly takes 5000 milliseconds for the year 5000."""
    return str(datetime(1970, 1, 1) + timedelta(seconds=seconds))


def _ms(seconds: float) -> float:
    """A length on the time axis."""
    return 1000 * seconds


def _bold(text: str, bold: bool) -> str:
    return f"<b>{text}</b>" if bold else text
