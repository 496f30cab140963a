"""How one result looks. Each function takes what is known and draws one part of the page; none of them asks anybody."""

from collections.abc import Callable, Mapping
from pathlib import PurePosixPath

import plotly.graph_objects as go
import streamlit as st

from frontend import charts, export, palette
from frontend.api_types import Done, Failed, Picture, Result
from frontend.text import SMALL_SHARE, clock, file_name, genre_name, listed, moment, percent, plain

RUNNERS_UP = 3
ALMOST_CERTAIN = 0.95
VERY_LIKELY = 0.85
MAX_SPOKEN_STRETCHES = 12
UNPLAYABLE_SUFFIXES = frozenset({".wma", ".aif", ".aiff", ".aifc", ".au", ".snd"})
UNPLAYABLE_CODECS = ("wma", "pcm_s16be", "pcm_s24be", "pcm_s32be", "pcm_f32be", "alac")

# Streamlit writes a picture's words in a grey that is too faint on light ground. What stands on a colour keeps its own.
TEXT_STYLE = """<style>
[data-testid="stPlotlyChart"] .main-svg :not(.hovertext):not(.heatmap-label) > text { fill: currentColor !important; }
</style>"""

# What to do, where what the service says of it does not already.
ADVICE = {
    "unsupported_format": "Convert it, to MP3 or FLAC for example, then choose it again.",
    "no_audio_stream": "Choose a file that has sound in it.",
    "too_short": "Choose a longer recording: at least a second is needed, and half a minute is better.",
    "too_long": "Cut it into shorter pieces, then choose these.",
    "too_large": "Choose a shorter recording, or a compressed form such as MP3.",
    "silent": "Check that the right input was recorded, too.",
    "processing_failed": "The fault was not the file's. Upload it again later.",
}
TIMINGS = {
    "decode": "decoding",
    "spectrum": "spectrum",
    "overview": "picture",
    "features": "features",
    "svm": "SVM",
    "vgg19": "VGG19",
    "ensemble": "combining",
    "total": "total",
}


def result_view(
    result: Result,
    *,
    picture: Picture | None,
    audio_url: str | None,
    feedback: Callable[[], object],
    link: str | None,
    timezone: str | None = None,
) -> None:
    """The whole of one result.

    ``audio_url`` None: the recording is no longer kept. ``feedback`` draws what the listener says of it, ``link`` opens
    this result again, and ``timezone`` is the reader's.
    """
    st.caption(plain(file_name(result["id"])))
    if result["status"] == "failed":
        failure(result)
        _link(link)
        return
    left, right = st.columns([2, 3], gap="medium")
    with left:
        verdict(result)
        feedback()
        player(result, audio_url)
    with right:
        probabilities(result)
    over_time(result, picture)
    st.subheader("Keep it", anchor=False)
    _downloads(result)
    _link(link)
    details(result, timezone)


def still_trying(trouble: str) -> None:
    """What keeps something from going on, while it is being tried."""
    st.warning(f"{plain(trouble)} Still trying.")


def try_again(key: str, on_click: Callable[[], None] | None = None) -> None:
    """The button under what went wrong; the page asks anew when it is drawn anew. A vain try would look like none."""
    if st.button("Try again", key=key, on_click=on_click):
        st.toast("Tried again, in vain.", icon=":material/sync_problem:")


def failure(result: Failed) -> None:
    """Why there is no genre, and what to do."""
    problem = result["problem"]
    what_to_do = ADVICE.get(problem["code"], "")
    st.error(f"{plain(problem['detail'])} {what_to_do}", title=plain(problem["title"]), icon=":material/music_off:")


def verdict(result: Done) -> None:
    """The genre, large; or that the models do not know, with what they would guess."""
    confidence, genre = result["confidence"], result["genre"]
    with st.container(horizontal=True, vertical_alignment="center", gap="small", wrap=False):
        swatch(None if result["uncertain"] else genre, height_rem=2.6)
        st.header("Not sure" if result["uncertain"] else genre_name(genre), anchor=False)
    if result["uncertain"]:
        ranked = sorted(result["probabilities"].items(), key=lambda pair: pair[1], reverse=True)
        guesses = [f"{genre_name(guess).lower()} ({percent(share)})" for guess, share in ranked[:RUNNERS_UP]]
        st.markdown(f"Perhaps {listed(guesses, 'or')}.")
        st.caption(
            "Either no genre stands out, or it sounds unlike all the music that the models learnt from, as speech and "
            "noise do. Do not rely on this one."
        )
    else:
        st.markdown(f"**{likelihood(confidence)} {genre_name(genre).lower()} · {percent(confidence)}**")
        st.caption(
            f"That is, of a hundred answers that sound as sure as this one, {_of_a_hundred(confidence)} are right, on "
            "recordings like those that the models learnt from."
        )
    if said := disagreement(result):
        st.markdown(f":material/alt_route: {said}")
    if result["audio"]["damaged"]:
        st.warning("Parts of the file could not be decoded. The answer rests on the rest.", icon=":material/healing:")


def swatch(genre: str | None, height_rem: float) -> None:
    """A strip of a genre's colour, beside words that say which; hollow for none, as greys there are of genres too."""
    look = f"border:2px solid {palette.NEUTRAL}" if genre is None else f"background:{palette.colour(genre)}"
    style = f"width:.5rem;height:{height_rem}rem;border-radius:.2rem;box-sizing:border-box;{look}"
    st.html(f'<div style="{style}"></div>', width="content")


def likelihood(confidence: float) -> str:
    """A confidence that is not called uncertain, in words."""
    if confidence >= ALMOST_CERTAIN:
        return "Almost certainly"
    return "Very likely" if confidence >= VERY_LIKELY else "Probably"


def _of_a_hundred(confidence: float) -> str:
    return "more than 99" if confidence >= 1 - SMALL_SHARE else f"about {100 * confidence:.0f}"


def disagreement(result: Done) -> str | None:
    """A sentence where the two models name different genres, None where they agree."""
    svm, vgg19 = result["models"]["svm"], result["models"]["vgg19"]
    if svm["genre"] == vgg19["genre"]:
        return None
    said = [
        f"{title} alone says {genre_name(model['genre']).lower()} ({percent(model['probabilities'][model['genre']])})"
        for title, model in (("the SVM", svm), ("the VGG19", vgg19))
    ]
    return f"The two models disagree: {listed(said)}."


def probabilities(result: Done) -> None:
    """All ten probabilities: of both models together, and each one's own, in one order so that they compare."""
    answers = {
        "Together": result["probabilities"],
        "SVM": result["models"]["svm"]["probabilities"],
        "VGG19": result["models"]["vgg19"]["probabilities"],
    }
    st.subheader("All ten genres", anchor=False)
    spoken = "; ".join(f"{title}: {_spoken(shares)}" for title, shares in answers.items())
    chart(charts.probabilities(answers), f"Probabilities. {spoken}.")


def player(result: Done, audio_url: str | None) -> None:
    """The recording to listen to, or why that cannot be."""
    if audio_url is None:
        st.caption("The recording itself is no longer kept, so it cannot be played here.")
    elif not playable(result):
        st.caption(
            f"Browsers do not play this kind of file ({plain(result['audio']['codec'])}), so there is no player."
        )
    else:
        st.audio(audio_url, alt=f"The recording {file_name(result['id'])}")


def playable(result: Done) -> bool:
    """Whether browsers play such a recording; by its name and its codec, as either may be missing or untrue."""
    suffix = PurePosixPath(result["id"]).suffix.lower()
    return suffix not in UNPLAYABLE_SUFFIXES and not result["audio"]["codec"].startswith(UNPLAYABLE_CODECS)


def over_time(result: Done, picture: Picture | None) -> None:
    """The spectrogram, and beneath it on the same time axis the genre over time; the latter as a table too."""
    stretches, duration_s = result["segments"], result["audio"]["duration_s"]
    st.subheader("Over time", anchor=False)
    spoken = [
        f"{genre_name(each['genre'])} from {clock(each['start_s'])} to {clock(each['end_s'])}"
        for each in charts.runs(stretches)
    ]
    rest = len(spoken) - MAX_SPOKEN_STRETCHES
    told = ", ".join(spoken[:MAX_SPOKEN_STRETCHES]) + (
        f" and {rest} more, which the table below has" if rest > 0 else ""
    )
    upper = (
        f"Mel-spectrogram of the {clock(duration_s)} of the recording, and beneath it the genre" if picture else "Genre"
    )
    chart(charts.over_time(stretches, duration_s, picture), f"{upper} over time: {told}.")
    notes = []
    if picture:
        notes.append("Above, how loud each pitch is at each time (a mel-spectrogram; brighter is louder).")
    else:
        notes.append("There is no spectrogram of this recording.")
    if empty := charts.blanks(stretches, duration_s):
        silent_s = sum(end_s - start_s for start_s, end_s in empty)
        why = "silent, or could not be decoded" if result["audio"]["damaged"] else "silent"
        notes.append(f"Blank: {clock(silent_s)} in all that was {why}, and was not judged.")
    st.caption(" ".join(notes))
    with st.expander("Genre over time as a table"):
        st.dataframe(
            [
                {
                    "from": clock(each["start_s"]),
                    "to": clock(each["end_s"]),
                    "genre": genre_name(each["genre"]),
                    "probability": percent(each["probabilities"][each["genre"]]),
                }
                for each in stretches
            ],
            hide_index=True,
            alt="Genre over time",
        )


def details(result: Done, timezone: str | None) -> None:
    """What of the recording the answer rests on, which model gave it, and how long that took."""
    audio = result["audio"]
    heard = audio["analysed_s"] / audio["duration_s"] if audio["duration_s"] else 0
    channels = {1: "mono", 2: "stereo"}.get(audio["channels"], f"{audio['channels']} channels")
    facts = {
        "Recording": plain(result["id"]),
        "Length": clock(audio["duration_s"]),
        "Analysed": f"{clock(audio['analysed_s'])} ({percent(heard) if heard < 1 else 'all of it'})",
        "Format": f"{plain(audio['codec'])}, {audio['sample_rate_hz'] / 1000:g} kHz, {channels}",
        "Model": plain(result["model_version"]) + (", fast mode" if result.get("mode") == "fast" else ""),
        "Answered": moment(result["created_at"], timezone),
        "Took": _timings(result["timings_ms"]),
    }
    with st.expander("What was analysed, and how"):
        st.table(
            [{"what": what, "value": value} for what, value in facts.items() if value],
            border="horizontal",
            hide_header=True,
            hide_index=True,
        )


def chart(figure: go.Figure, alt: str, key: str | None = None) -> None:
    """Draw a picture; ``alt`` tells what it shows to those who do not see it."""
    st.html(TEXT_STYLE)
    st.plotly_chart(figure, config=charts.CONFIG, alt=alt, key=key)


def _downloads(result: Done) -> None:
    name = PurePosixPath(file_name(result["id"])).stem or "result"
    with st.container(horizontal=True, gap="small"):
        for form, content, mime in (
            ("JSON", export.result_json(result), "application/json"),
            ("CSV", export.result_csv(result), "text/csv"),
        ):
            st.download_button(
                f"Download {form}",
                content,
                f"{name}.{form.lower()}",
                mime,
                key=f"download-{form}-{result['id']}",
                on_click="ignore",
                icon=":material/download:",
            )


def _link(link: str | None) -> None:
    if link:
        st.caption("This address opens the result again:")
        st.code(link, language=None, wrap_lines=True)


def _spoken(shares: Mapping[str, float]) -> str:
    ranked = sorted(shares.items(), key=lambda pair: pair[1], reverse=True)
    return ", ".join(f"{genre_name(genre)} {percent(share)}" for genre, share in ranked)


def _timings(timings_ms: Mapping[str, float]) -> str:
    return ", ".join(f"{TIMINGS.get(name, plain(name))} {spent_ms:.0f} ms" for name, spent_ms in timings_ms.items())
