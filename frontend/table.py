"""The table of the files of a visit, with filters, reasons of failures, downloads and the number of files by genre."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import streamlit as st

from frontend import charts, export, palette
from frontend.api_types import model_answers, part_genres
from frontend.batch import Action, Entry, State
from frontend.model_charts import MODELS
from frontend.text import clock, genre_name, mixture, plain, plural
from frontend.views import Kind, chart, downloads, kind_filter
from frontend.workarounds import button_label

ROW_PX = 38
MAX_ROWS = 15
MAX_REASONS = 5
MAX_SHOWN_CONFIDENCE = 0.99  # rounded it would be 100 %

DAMAGED = "Damaged: classified by what could be decoded"

CLICK = "table-click"
SELECT = "table-select"
SELECTED = "table-selected"


def acted_on(entries: Iterable[Entry]) -> Entry | None:
    """The file whose button was clicked just now, or that was selected to be opened; None without either."""
    return clicked(st.session_state.get(CLICK), entries) or st.session_state.pop(SELECTED, None)


def clicked(click: Mapping[str, Any] | None, entries: Iterable[Entry]) -> Entry | None:
    """The file whose button was clicked; None if none was, or if the file has another button by now."""
    return next((entry for entry in entries if click and click["label"] == button(entry)), None)


def button(entry: Entry) -> str | None:
    """The label of a file's button; None where it has none."""
    return button_label(entry.action, entry.number) if entry.action else None


def results_table(entries: Sequence[Entry]) -> None:
    """Draw the table and what belongs to it."""
    kind = kind_filter("table-kind")
    genres = st.pills(
        "Genres",
        list(palette.COLOURS),
        selection_mode="multi",
        format_func=genre_name,
        key="table-genres",
        label_visibility="collapsed",
    )
    shown = [entry for entry in entries if _matches(entry, kind, genres)]
    if shown:
        _table(shown)
        _reasons(shown)
        _select(entries, shown)
    else:
        st.caption("No file matches.")
    finished = not any(entry.unfinished for entry in entries)
    downloads(
        "tonearm",
        "All as",
        export.results_json(entries) if finished else None,
        export.results_csv(entries) if finished else None,
    )
    _genre_counts(shown)


def answer_words(entry: Entry) -> str:
    """The genre of a file, or else how far it is."""
    if result := entry.classification:
        name = genre_name(result["genre"])
        return mixture(part_genres(result)) or (f"{Kind.NOT_SURE} ({name})" if result["uncertain"] else name)
    return f"Uploading {entry.share:.0%}" if entry.state is State.UPLOADING else entry.state.value.capitalize()


def models_words(entry: Entry) -> str | None:
    """Whether the models agree; if not, or if there is one only, the answer of each."""
    if not (result := entry.classification):
        return None
    genres = {MODELS.get(name, name): genre_name(each["genre"]) for name, each in model_answers(result).items()}
    if len(genres) > 1 and len(set(genres.values())) == 1:
        return "Both agree" if len(genres) == 2 else "All agree"
    return ", ".join(f"{title} {genre}" for title, genre in genres.items())


def _matches(entry: Entry, kind: Kind, genres: Sequence[str]) -> bool:
    result = entry.classification
    if genres and not (result and result["genre"] in genres):
        return False
    if kind in (Kind.ALL, Kind.FAILED):
        return kind is Kind.ALL or entry.state is State.FAILED
    return result is not None and result["uncertain"] == (kind is Kind.NOT_SURE)


def _table(entries: Sequence[Entry]) -> None:
    columns = st.column_config
    only_failed = all(entry.state is State.FAILED for entry in entries)
    st.dataframe(
        [_row(entry) for entry in entries],
        hide_index=True,
        row_height=ROW_PX,
        height=ROW_PX * (1 + min(len(entries), MAX_ROWS)) + 2,
        placeholder="",
        column_order=("action", "answer", "file", "reason") if only_failed else None,
        column_config={
            "action": columns.ButtonColumn("", key=CLICK, type="tertiary", width=72),
            "answer": columns.TextColumn("Answer", width=135),
            "file": columns.TextColumn("File", width=235),
            "confidence": columns.ProgressColumn("Confidence", format="percent", min_value=0, max_value=1, width=115),
            "probabilities": columns.BarChartColumn(
                "All genres",
                y_min=0,
                y_max=1,
                width=120,
                help=f"From left to right: {', '.join(map(genre_name, palette.COLOURS))}.",
            ),
            "models": columns.TextColumn("Models", width=175),
            "length": columns.TextColumn("Length", width=65),
            "reason": columns.TextColumn("Reason", width=600 if only_failed else 190),
        },
        alt=f"{plural(len(entries), 'file')} with genre, confidence, length and reason. The CSV below has the same.",
    )


def _row(entry: Entry) -> dict[str, Any]:
    result = entry.classification
    damage = DAMAGED if result and result["audio"]["damaged"] else None
    return {
        "action": button(entry),
        "answer": answer_words(entry),
        "file": export.safe_cell(entry.name),  # the grid has its own CSV download
        "confidence": min(round(result["confidence"], 2), MAX_SHOWN_CONFIDENCE) if result else None,
        "probabilities": list(result["probabilities"].values()) if result else None,
        "models": models_words(entry),
        "length": clock(result["audio"]["duration_s"]) if result else None,
        "reason": "; ".join(filter(None, [entry.explanation, damage])) or None,
    }


def _reasons(entries: Sequence[Entry]) -> None:
    """Draw why files failed, for which the table has no room: each reason with its files, the most frequent first."""
    names: dict[str, list[str]] = {}
    for entry in entries:
        if entry.reason:
            names.setdefault(entry.reason, []).append(entry.name)
    lines = [
        f"**{plain(files[0]) if len(files) == 1 else plural(len(files), 'file')}**: {plain(reason)}"
        for reason, files in sorted(names.items(), key=lambda pair: -len(pair[1]))
    ]
    if len(lines) > MAX_REASONS:
        lines[MAX_REASONS:] = ["The table and the CSV have the other reasons."]
    if lines:
        st.error("  \n".join(lines))


def _select(entries: Sequence[Entry], shown: Sequence[Entry]) -> None:
    """Draw another way to open a result: the buttons in the table cannot be reached with the keyboard."""
    # Numbered among all files, so that a filter does not change a number.
    openable = {
        number: entry for number, entry in enumerate(entries, start=1) if entry.action is Action.OPEN and entry in shown
    }

    def select() -> None:
        number = st.session_state[SELECT]
        st.session_state[SELECTED], st.session_state[SELECT] = openable.get(number), None

    st.selectbox(
        "Open a result",
        list(openable),
        index=None,
        format_func=lambda number: f"{number}. {openable[number].name}" if number in openable else "",
        placeholder="Choose a file",
        key=SELECT,
        on_change=select,
        disabled=not openable,
    )


def _genre_counts(entries: Sequence[Entry]) -> None:
    results = [result for entry in entries if (result := entry.classification)]
    counts = Counter("not sure" if result["uncertain"] else result["genre"] for result in results)
    if counts.total() > 1:
        st.subheader("Genres in this batch", anchor=False)
        described = ", ".join(f"{genre_name(genre)} {count}" for genre, count in counts.most_common())
        chart(charts.genre_counts(counts), f"Recordings by genre: {described}.", key="table-genre-counts")
