"""How one result looks, and parts that several pages share. These functions draw what they get and fetch nothing."""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import PurePosixPath

import plotly.graph_objects as go
import streamlit as st

from frontend import charts, export, palette, workarounds
from frontend.api_types import Classification, PreviewSpectrogram, Result
from frontend.text import clock, file_name, genre_name, listed, moment, percent, plain

RUNNERS_UP = 3
MAX_SPOKEN_SEGMENTS = 12
UNPLAYABLE_SUFFIXES = frozenset({".wma", ".aif", ".aiff", ".aifc", ".au", ".snd"})
UNPLAYABLE_CODECS = ("wma", "pcm_s16be", "pcm_s24be", "pcm_s32be", "pcm_f32be", "alac")

STEPS = {"decode": "decoding", "overview": "preview spectrogram", "svm": "SVM", "vgg19": "VGG19"}


class Kind(StrEnum):
    """Which results a list shows."""

    ALL = "All"
    CERTAIN = "Certain"
    NOT_SURE = "Not sure"
    FAILED = "Failed"


def kind_filter(key: str) -> Kind:
    """Draw the choice of which results a list shows, and return it."""
    kind = st.segmented_control(
        "Show",
        list(Kind),
        default=Kind.ALL,
        required=True,
        key=key,
        label_visibility="collapsed",
        persist_state="session",
    )
    return Kind(kind or Kind.ALL)


def chart(figure: go.Figure, alt: str, key: str | None = None) -> None:
    """Draw a chart. ``alt`` describes it for screen readers."""
    st.html(workarounds.CHART_TEXT_STYLE)
    st.plotly_chart(figure, config=charts.CONFIG, alt=alt, key=key)


def table(rows: Sequence[Mapping[str, str]], *, header: bool = True) -> None:
    """Draw a small table. Its cells are Markdown."""
    st.table(rows, border="horizontal", hide_header=not header, hide_index=True)


def still_trying(trouble: str) -> None:
    """Draw what delays a request that goes on."""
    st.warning(f"{plain(trouble)} Still trying.")


def failed(error: Exception | str, key: str, on_retry: Callable[[], None] | None = None) -> None:
    """Draw an error with a button to try again. A click reruns the page; a toast says if that failed too."""
    st.error(plain(str(error)))
    if st.button("Try again", key=key, on_click=on_retry):
        st.toast("Tried again without success.", icon=":material/sync_problem:")


def downloads(name: str, label: str, json: bytes | None, csv: bytes | None) -> None:
    """Draw two download buttons; they are disabled without content.

    The content is made beforehand. A download made by a callback gets a new URL at each rerun, and a click on the old
    one does nothing.
    """
    with st.container(horizontal=True, gap="small"):
        for form, content, mime in (("CSV", csv, "text/csv"), ("JSON", json, "application/json")):
            title, file, icon = f"{label} {form}", f"{name}.{form.lower()}", ":material/download:"
            if content is None:
                st.button(title, key=f"disabled-{file}", icon=icon, disabled=True)
            else:
                st.download_button(title, content, file, mime, key=f"download-{file}", on_click="ignore", icon=icon)


def swatch(genre: str | None, height_rem: float) -> None:
    """Draw a strip of a genre's colour beside its name; hollow for None."""
    look = f"border:2px solid {palette.NEUTRAL}" if genre is None else f"background:{palette.colour(genre)}"
    style = f"width:.5rem;height:{height_rem}rem;border-radius:.2rem;box-sizing:border-box;{look}"
    st.html(f'<div style="{style}"></div>', width="content")


def result_view(
    result: Result,
    *,
    spectrogram: PreviewSpectrogram | None,
    audio_url: str | None,
    feedback: Callable[[Classification], object],
    link: str | None,
    timezone: str | None = None,
) -> None:
    """Draw one result.

    Args:
        result: The result.
        spectrogram: Its preview spectrogram, where there is one.
        audio_url: Where its recording is played; None once that is deleted.
        feedback: Draws the question for feedback.
        link: The address of the result.
        timezone: The user's.
    """
    st.caption(plain(file_name(result["id"])))
    if result["status"] == "failed":
        problem = result["problem"]
        st.error(plain(problem["detail"]), title=plain(problem["title"]), icon=":material/music_off:")
    else:
        left, right = st.columns([2, 3], gap="medium")
        with left:
            answer(result)
            feedback(result)
            player(result, audio_url)
        with right:
            probabilities(result)
        over_time(result, spectrogram)
        st.subheader("Save", anchor=False)
        name = PurePosixPath(file_name(result["id"])).stem or "result"
        downloads(name, "Download", export.result_json(result), export.result_csv(result))
    if link:
        st.caption("Link to this result:")
        st.code(link, language=None, wrap_lines=True)
    if result["status"] == "done":
        details(result, timezone)


def answer(result: Classification) -> None:
    """Draw the genre and the confidence; of an uncertain answer, that it is not sure, and the best guesses."""
    genre, uncertain = result["genre"], result["uncertain"]
    with st.container(horizontal=True, vertical_alignment="center", gap="small", wrap=False):
        swatch(None if uncertain else genre, height_rem=2.6)
        st.header(Kind.NOT_SURE.value if uncertain else genre_name(genre), anchor=False)
    if uncertain:
        ranked = sorted(result["probabilities"].items(), key=lambda pair: pair[1], reverse=True)
        guesses = [f"{genre_name(guess).lower()} ({percent(share)})" for guess, share in ranked[:RUNNERS_UP]]
        st.markdown(f"Best guesses: {listed(guesses)}.")
        st.caption(
            "No genre stands out, or the recording sounds unlike the training data, as speech and noise do. Do not "
            "rely on this answer."
        )
    else:
        st.markdown(f"**Confidence {percent(result['confidence'])}**")
        st.caption(
            "The confidence is calibrated: of answers given with 80 %, about 80 % are right, for recordings like the "
            "training data."
        )
    if text := disagreement(result):
        st.markdown(f":material/alt_route: {text}")
    if result["audio"]["damaged"]:
        st.warning("Parts of the file could not be decoded. The answer uses the rest.", icon=":material/healing:")


def disagreement(result: Classification) -> str | None:
    """A sentence about models that give different genres; None where they agree."""
    svm, vgg19 = result["models"]["svm"], result["models"]["vgg19"]
    if svm["genre"] == vgg19["genre"]:
        return None
    answers = [
        f"{title} says {genre_name(model['genre']).lower()} ({percent(model['probabilities'][model['genre']])})"
        for title, model in (("SVM", svm), ("VGG19", vgg19))
    ]
    return f"The models disagree: {listed(answers)}."


def probabilities(result: Classification) -> None:
    """Draw the probabilities of all genres, by the ensemble and by each model."""
    answers = {
        "Ensemble": result["probabilities"],
        "SVM": result["models"]["svm"]["probabilities"],
        "VGG19": result["models"]["vgg19"]["probabilities"],
    }
    st.subheader("All genres", anchor=False)
    spoken = [
        f"{title}: "
        + ", ".join(
            f"{genre_name(genre)} {percent(share)}"
            for genre, share in sorted(shares.items(), key=lambda pair: -pair[1])
        )
        for title, shares in answers.items()
    ]
    chart(charts.probabilities(answers), f"Probabilities. {'; '.join(spoken)}.")


def player(result: Classification, audio_url: str | None) -> None:
    """Draw the audio player, or why there is none."""
    if audio_url is None:
        st.caption("The recording has been deleted, so it cannot be played.")
    elif not playable(result):
        st.caption(f"Browsers cannot play this format ({plain(result['audio']['codec'])}).")
    else:
        st.audio(audio_url, alt=f"The recording {file_name(result['id'])}")


def playable(result: Classification) -> bool:
    """Whether browsers play the recording, by its name and its codec."""
    suffix = PurePosixPath(result["id"]).suffix.lower()
    return suffix not in UNPLAYABLE_SUFFIXES and not result["audio"]["codec"].startswith(UNPLAYABLE_CODECS)


def over_time(result: Classification, spectrogram: PreviewSpectrogram | None) -> None:
    """Draw the spectrogram and the genre over time, and the latter as a table too."""
    segments, duration_s = result["segments"], result["audio"]["duration_s"]
    st.subheader("Over time", anchor=False)
    spoken = [
        f"{genre_name(each['genre'])} from {clock(each['start_s'])} to {clock(each['end_s'])}"
        for each in charts.merged(segments)
    ]
    if (rest := len(spoken) - MAX_SPOKEN_SEGMENTS) > 0:
        spoken[MAX_SPOKEN_SEGMENTS:] = [f"and {rest} more in the table below"]
    title = f"Mel spectrogram ({clock(duration_s)}) and genre over time" if spectrogram else "Genre over time"
    chart(charts.over_time(segments, duration_s, spectrogram), f"{title}: {', '.join(spoken)}.")
    notes = ["Top: mel spectrogram; brighter is louder." if spectrogram else "There is no spectrogram."]
    if blank := charts.gaps(segments, duration_s):
        blank_s = sum(end_s - start_s for start_s, end_s in blank)
        why = "silent or not decodable" if result["audio"]["damaged"] else "silent"
        notes.append(f"Blank: {clock(blank_s)} in total, {why}, not classified.")
    st.caption(" ".join(notes))
    with st.expander("Genre over time as a table"):
        rows = [
            {
                "from": clock(each["start_s"]),
                "to": clock(each["end_s"]),
                "genre": genre_name(each["genre"]),
                "probability": percent(each["probabilities"][each["genre"]]),
            }
            for each in segments
        ]
        st.dataframe(rows, hide_index=True, alt="Genre over time")


def details(result: Classification, timezone: str | None) -> None:
    """Draw what was analysed, by which model, and how long that took."""
    audio = result["audio"]
    analysed = audio["analysed_s"] / audio["duration_s"] if audio["duration_s"] else 0
    channels = {1: "mono", 2: "stereo"}.get(audio["channels"], f"{audio['channels']} channels")
    rows = {
        "Recording": plain(result["id"]),
        "Length": clock(audio["duration_s"]),
        "Analysed": f"{clock(audio['analysed_s'])} ({percent(analysed) if analysed < 1 else 'all'})",
        "Format": f"{plain(audio['codec'])}, {audio['sample_rate_hz'] / 1000:g} kHz, {channels}",
        "Model": plain(result["model_version"]) + (", fast mode" if result.get("mode") == "fast" else ""),
        "Time": moment(result["created_at"], timezone),
        "Took": ", ".join(f"{STEPS.get(name, plain(name))} {ms:.0f} ms" for name, ms in result["timings_ms"].items()),
    }
    with st.expander("Details"):
        table([{"name": name, "value": value} for name, value in rows.items()], header=False)
