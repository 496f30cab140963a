"""Many results: a table that can be sorted and filtered, how many are of each genre, and all of it as a file."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

import streamlit as st

from frontend import charts, export
from frontend.batch import Action, Entry, State
from frontend.results import Done
from frontend.text import clock, genre_name, plain
from frontend.views import chart

ROW_HEIGHT_PX = 38
MAX_ROWS_SHOWN = 15
# The first three are what is seen on a phone.
ACTION_COLUMN_PX = 72
NAME_COLUMN_PX = 150
STATE_COLUMN_PX = 105
GENRE_COLUMN_PX = 90
CONFIDENCE_COLUMN_PX = 110
PICTURE_COLUMN_PX = 120
MODELS_COLUMN_PX = 175
LENGTH_COLUMN_PX = 65
REASON_COLUMN_PX = 200
MOST_PERCENT = 99
MAX_REASONS = 10
# Before a name that a spreadsheet would take for a formula, in case the grid's own menu saves it: not to be seen.
NOTHING = "\N{ZERO WIDTH SPACE}"

ACT = "table-act"
DRAWN = "table-drawn"
PICK = "table-pick"
PICKED = "table-picked"


class Show(StrEnum):
    """Which files the table has."""

    ALL = "All"
    CERTAIN = "Certain"
    UNSURE = "Not sure"
    FAILED = "Failed"


def chosen() -> Entry | None:
    """The file about which its reader just asked to do what can be done; None where that is none.

    What was clicked is a row of the table as it was drawn last, so this is for before it is drawn anew.
    """
    return pressed(st.session_state.get(ACT), st.session_state.get(DRAWN, [])) or st.session_state.pop(PICKED, None)


def results_table(entries: Sequence[Entry]) -> None:
    """The files of a visit with what is known of each, what can be done about it, and what they come to."""
    shown = _filtered(entries)
    st.session_state[DRAWN] = shown
    if shown:
        _table(shown)
        _reasons(shown)
        _picker(shown)
    else:
        st.caption("None of the files is of this kind.")
    _summary(shown)
    _exports(entries)


def pressed(click: Mapping[str, Any] | None, drawn: Sequence[Entry]) -> Entry | None:
    """The file whose button was pressed, of those that were drawn; None if no button was, or if it has another now."""
    if not click or click["row"] >= len(drawn):
        return None
    entry = drawn[click["row"]]
    return entry if entry.action == click["label"] else None


def state_words(entry: Entry) -> str:
    """The state of a file, in a word or two."""
    if entry.result and entry.result["status"] == "done" and entry.result["uncertain"]:
        return Show.UNSURE.value
    if entry.state is State.UPLOADING:
        return f"Uploading {entry.share:.0%}"
    return entry.state.value.capitalize()


def models_words(result: Done) -> str:
    """Whether the two models agree; if not, what each says."""
    svm, vgg19 = result["models"]["svm"]["genre"], result["models"]["vgg19"]["genre"]
    return "agree" if svm == vgg19 else f"SVM {genre_name(svm)}, VGG19 {genre_name(vgg19)}"


def _filtered(entries: Sequence[Entry]) -> list[Entry]:
    """Those of the kind and genres that the reader chose, where there are several."""
    kind = st.segmented_control(
        "Show",
        list(Show),
        default=Show.ALL,
        required=True,
        key="table-show",
        label_visibility="collapsed",
    )
    kept = [entry for entry in entries if _is(entry, Show(kind or Show.ALL))]
    genres = sorted({result["genre"] for entry in entries if (result := _done(entry))})
    if len(genres) < 2:
        return kept
    wanted = st.pills(
        "Genres",
        genres,
        selection_mode="multi",
        format_func=genre_name,
        key="table-genres",
        label_visibility="collapsed",
    )
    return [entry for entry in kept if not wanted or ((result := _done(entry)) and result["genre"] in wanted)]


def _is(entry: Entry, show: Show) -> bool:
    result = _done(entry)
    match show:
        case Show.ALL:
            return True
        case Show.CERTAIN:
            return result is not None and not result["uncertain"]
        case Show.UNSURE:
            return result is not None and result["uncertain"]
        case Show.FAILED:
            return entry.state is State.FAILED


def _table(entries: Sequence[Entry]) -> None:
    columns = st.column_config
    # Without answers there is room for the whole of the reasons.
    only_failed = all(entry.state is State.FAILED for entry in entries)
    st.dataframe(
        [_row(entry) for entry in entries],
        hide_index=True,
        row_height=ROW_HEIGHT_PX,
        height="content" if len(entries) <= MAX_ROWS_SHOWN else ROW_HEIGHT_PX * MAX_ROWS_SHOWN,
        placeholder="",
        column_order=("action", "file", "reason") if only_failed else None,
        column_config={
            "action": columns.ButtonColumn("", key=ACT, type="tertiary", width=ACTION_COLUMN_PX),
            "file": columns.TextColumn("File", width=NAME_COLUMN_PX),
            "state": columns.TextColumn("State", width=STATE_COLUMN_PX),
            "genre": columns.TextColumn("Genre", width=GENRE_COLUMN_PX),
            "confidence": columns.ProgressColumn(
                "Confidence", format="%d %%", min_value=0, max_value=100, width=CONFIDENCE_COLUMN_PX
            ),
            "probabilities": columns.ImageColumn(
                "All ten",
                width=PICTURE_COLUMN_PX,
                help="Blues, classical, country, disco, hip-hop, jazz, metal, pop, reggae, rock, from left to right.",
            ),
            "models": columns.TextColumn("The two models", width=MODELS_COLUMN_PX),
            "length": columns.TextColumn("Length", width=LENGTH_COLUMN_PX),
            "reason": columns.TextColumn("Reason", width=None if only_failed else REASON_COLUMN_PX),
        },
        alt=f"{len(entries)} files with state, genre, confidence, length and reason. The same is in the CSV below.",
    )


def _reasons(entries: Sequence[Entry]) -> None:
    """Why files have no genre that trying again will not give them, in full: the table has not the room."""
    final = [entry for entry in entries if entry.reason and not entry.retryable]
    told = [f"**{plain(entry.name)}**: {plain(entry.reason or '')}" for entry in final]
    if len(told) > MAX_REASONS:
        told[MAX_REASONS:] = [f"And {len(told) - MAX_REASONS} more; the table has each, and so have the files below."]
    if told:
        st.caption("  \n".join(told))


def _picker(entries: Sequence[Entry]) -> None:
    """Another way to open one: the grid's own buttons cannot be pressed from a keyboard."""
    openable = {number: entry for number, entry in enumerate(entries, start=1) if entry.action is Action.OPEN}

    def pick() -> None:
        number = st.session_state[PICK]
        st.session_state[PICKED], st.session_state[PICK] = openable.get(number), None

    st.selectbox(
        "Open a result",
        list(openable),
        index=None,
        format_func=lambda number: f"{number}. {openable[number].name}" if number in openable else "",
        placeholder="Choose a file",
        key=PICK,
        on_change=pick,
        disabled=not openable,
    )


def _row(entry: Entry) -> dict[str, str | float | None]:
    result = _done(entry)
    return {
        "action": entry.action and entry.action.value,
        "file": f"{NOTHING}{entry.name}" if entry.name.startswith(export.FORMULA_SIGNS) else entry.name,
        "state": state_words(entry),
        "genre": genre_name(result["genre"]) if result else None,
        "confidence": min(round(100 * result["confidence"]), MOST_PERCENT) if result else None,
        "probabilities": charts.thumbnail(result["probabilities"]) if result else None,
        "models": models_words(result) if result else None,
        "length": clock(result["audio"]["duration_s"]) if result else None,
        "reason": entry.reason,
    }


def _summary(entries: Sequence[Entry]) -> None:
    counts: dict[str, tuple[int, int]] = {}
    for entry in entries:
        if result := _done(entry):
            certain, unsure = counts.get(result["genre"], (0, 0))
            doubt = result["uncertain"]
            counts[result["genre"]] = (certain + (not doubt), unsure + doubt)
    if sum(map(sum, counts.values())) < 2:
        return
    st.subheader("Genres of these", anchor=False)
    ranked = sorted(counts.items(), key=lambda pair: sum(pair[1]), reverse=True)
    spoken = ", ".join(
        f"{genre_name(genre)} {certain + unsure}" + (f" ({unsure} not sure)" if unsure else "")
        for genre, (certain, unsure) in ranked
    )
    chart(charts.summary(counts), f"Recordings by genre: {spoken}.", key="table-summary")
    if any(unsure for _, unsure in counts.values()):
        st.caption("Hatched: not sure.")


def _exports(entries: Sequence[Entry]) -> None:
    genres = next((list(result["probabilities"]) for entry in entries if (result := _done(entry))), [])
    # Not made when they are asked for: Streamlit forgets at each drawing how, and a click just then would do nothing.
    complete = not any(entry.under_way for entry in entries)
    forms = (
        ("CSV", export.results_csv(entries, genres) if complete else b"", "text/csv"),
        ("JSON", export.results_json(entries) if complete else b"", "application/json"),
    )
    with st.container(horizontal=True, gap="small"):
        for form, content, mime in forms:
            st.download_button(
                f"All as {form}",
                content,
                f"tonearm.{form.lower()}",
                mime,
                key=f"table-{form}",
                on_click="ignore",
                icon=":material/download:",
                disabled=not complete,
            )


def _done(entry: Entry) -> Done | None:
    return entry.result if entry.result is not None and entry.result["status"] == "done" else None
