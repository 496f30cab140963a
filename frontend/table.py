"""Many results: a table that can be sorted and filtered, how many are of each genre, and all of it as a file."""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any

import streamlit as st

from frontend import charts, export, palette
from frontend.api_types import Done
from frontend.batch import Action, Entry, State
from frontend.text import clock, genre_name, plain, shortened
from frontend.views import chart

ROW_HEIGHT_PX = 38
MAX_ROWS_SHOWN = 15
# What a page has room for: 1,120 pixels, of which the names get most; and on a phone's 358 names, states and genres.
WIDTHS_PX = {
    "action": 72,
    "file": 245,
    "state": 105,
    "genre": 85,
    "confidence": 110,
    "probabilities": 120,
    "models": 175,
    "length": 65,
    "reason": 140,
}
NARROW_WIDTHS_PX = WIDTHS_PX | {"action": 70, "file": 112, "state": 102, "genre": 72}
NARROW_NAME = 14
# Without answers there is room for the whole of a reason.
WIDE_REASON_PX = 1120 - WIDTHS_PX["action"] - WIDTHS_PX["file"]
MOST_PERCENT = 99
MAX_REASONS = 10
# Before a name that a spreadsheet would take for a formula, in case the grid's own menu saves it: not to be seen.
NOTHING = "\N{ZERO WIDTH SPACE}"
# Of these a button's mark is made, which nobody sees: whose it is, in the binary system.
MARKS = str.maketrans("01-", "\N{ZERO WIDTH SPACE}\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}")

ACT = "table-act"
ROOM = "table-room"
PICK = "table-pick"
PICKED = "table-picked"


class Show(StrEnum):
    """Which files the table has."""

    ALL = "All"
    CERTAIN = "Certain"
    UNSURE = "Not sure"
    FAILED = "Failed"


def chosen(entries: Iterable[Entry]) -> Entry | None:
    """The one of a visit's files about which its reader just asked to do what can be done; None where that is none."""
    return pressed(st.session_state.get(ACT), entries) or st.session_state.pop(PICKED, None)


def results_table(entries: Sequence[Entry], *, narrow: bool = False) -> None:
    """The files of a visit with what is known of each, what can be done about it, and what they come to.

    ``narrow``: for a phone.
    """
    shown = _filtered(entries)
    if shown:
        _table(shown, narrow=narrow)
        _reasons(shown)
        _picker(entries, shown)
    else:
        st.caption("None of the files is of this kind.")
    _exports(entries)
    _summary(shown)


def pressed(click: Mapping[str, Any] | None, entries: Iterable[Entry]) -> Entry | None:
    """The file whose button was pressed; None if no button was, or if it has another now."""
    return next((entry for entry in entries if click and click["label"] == button(entry)), None)


def button(entry: Entry) -> str | None:
    """What stands on a file's button: what it does and, unseen, whose it is; None where it has none.

    A click tells that and the row's number, which may be another file's when it gets here: rows come and go.
    """
    return f"{entry.action}{f'{entry.number:b}'.translate(MARKS)}" if entry.action else None


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
    """Those of the kind and genres that the reader chose."""
    kind = st.segmented_control(
        "Show",
        list(Show),
        default=Show.ALL,
        required=True,
        key="table-show",
        label_visibility="collapsed",
    )
    kept = [entry for entry in entries if _is(entry, Show(kind or Show.ALL))]
    # All of them from the start: what comes in does not move the table.
    wanted = st.pills(
        "Genres",
        list(palette.COLOURS),
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


def _table(entries: Sequence[Entry], *, narrow: bool) -> None:
    columns = st.column_config
    widths_px = NARROW_WIDTHS_PX if narrow else WIDTHS_PX
    only_failed = all(entry.state is State.FAILED for entry in entries)
    room_px = ROW_HEIGHT_PX * (1 + min(len(entries), MAX_ROWS_SHOWN - 1))
    with st.container(key=ROOM):
        # The first of a visit's tables takes a moment to load, and what is below is not to jump then.
        st.html(f"<style>.st-key-{ROOM} {{ min-height: {room_px}px; }}</style>")
        st.dataframe(
            [_row(entry, narrow=narrow) for entry in entries],
            hide_index=True,
            row_height=ROW_HEIGHT_PX,
            height="content" if len(entries) <= MAX_ROWS_SHOWN else ROW_HEIGHT_PX * MAX_ROWS_SHOWN,
            placeholder="",
            column_order=("action", "file", "reason") if only_failed else None,
            column_config={
                "action": columns.ButtonColumn("", key=ACT, type="tertiary", width=widths_px["action"]),
                "file": columns.TextColumn("File", width=widths_px["file"]),
                "state": columns.TextColumn("State", width=widths_px["state"]),
                "genre": columns.TextColumn("Genre", width=widths_px["genre"]),
                "confidence": columns.ProgressColumn(
                    "Confidence", format="%d %%", min_value=0, max_value=100, width=widths_px["confidence"]
                ),
                "probabilities": columns.ImageColumn(
                    "All ten",
                    width=widths_px["probabilities"],
                    help=f"From left to right: {', '.join(map(genre_name, palette.COLOURS))}.",
                ),
                "models": columns.TextColumn("The two models", width=widths_px["models"]),
                "length": columns.TextColumn("Length", width=widths_px["length"]),
                "reason": columns.TextColumn("Reason", width=WIDE_REASON_PX if only_failed else widths_px["reason"]),
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


def _picker(entries: Sequence[Entry], shown: Sequence[Entry]) -> None:
    """Another way to open one: the grid's own buttons cannot be pressed from a keyboard."""
    # By their numbers among all: among those that are shown each may be another at the next drawing.
    kept = {entry for entry in shown if entry.action is Action.OPEN}
    openable = {number: entry for number, entry in enumerate(entries, start=1) if entry in kept}

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


def _row(entry: Entry, *, narrow: bool) -> dict[str, str | float | None]:
    result = _done(entry)
    name = shortened(entry.name, NARROW_NAME) if narrow else entry.name
    return {
        "action": button(entry),
        "file": f"{NOTHING}{name}" if name.startswith(export.FORMULA_SIGNS) else name,
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
    with st.container(horizontal=True, gap="small"):
        if any(entry.under_way for entry in entries):
            # Nothing to download yet, and no file for it either: a browser that looks for one comes too late.
            for form in ("CSV", "JSON"):
                st.button(f"All as {form}", key=f"table-{form}-later", icon=":material/download:", disabled=True)
            return
        genres = next((list(result["probabilities"]) for entry in entries if (result := _done(entry))), [])
        # Not made when they are asked for: Streamlit forgets at each drawing how, and a click then would do nothing.
        for form, content, mime in (
            ("CSV", export.results_csv(entries, genres), "text/csv"),
            ("JSON", export.results_json(entries), "application/json"),
        ):
            st.download_button(
                f"All as {form}",
                content,
                f"tonearm.{form.lower()}",
                mime,
                key=f"table-{form}",
                on_click="ignore",
                icon=":material/download:",
            )


def _done(entry: Entry) -> Done | None:
    return entry.result if entry.result is not None and entry.result["status"] == "done" else None
