"""One result, on its own page or below the files just classified: fetches it, draws it, stores feedback, deletes it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import quote, urlsplit

import streamlit as st
from streamlit.url_util import make_url_path

from frontend import charts, export
from frontend.api import ApiError, Pending, Visitor, service
from frontend.api_types import Classification, PreviewSpectrogram, Result, model_answers, part_genres
from frontend.contributor import contributor
from frontend.model_charts import MODELS
from frontend.screens import RESULT
from frontend.text import clock, file_name, genre_name, listed, mixture, moment, own_path, percent, plain
from frontend.upload_proxy import audio_path, forget
from frontend.views import Kind, chart, downloads, failed, still_trying, swatch, table
from frontend.visitor import visitor

OPENED = "opened-result"

RUNNERS_UP = 3
MAX_DESCRIBED_SEGMENTS = 12
UNPLAYABLE_SUFFIXES = frozenset({".wma", ".aif", ".aiff", ".aifc", ".au", ".snd"})
UNPLAYABLE_CODECS = ("wma", "pcm_s16be", "pcm_s24be", "pcm_s32be", "pcm_f32be", "alac")
STEPS = {
    "decode": "decoding",
    "overview": "preview spectrogram",
    "svm": "SVM",
    "vgg19": "VGG19",
    "log_mel": "log mel spectrogram",
    "audioset": "AudioSet network",
}
REASONS = {
    "low_confidence": "No genre stands out.",
    "unlike_training": "The recording sounds unlike the training data, as speech and noise do.",
    "not_music": "Much of what is heard may be speech or noise rather than music.",
}
UNKNOWN_REASON = "No genre stands out, or the recording sounds unlike the training data, as speech and noise do."
DELETE = "The recording, its result and all feedback on it are deleted for good."
NOT_DELETED = "It was deleted before, or is not yours."
UNKNOWN = "There is no result at this address. It may have been deleted, or the address is incomplete."


@dataclass(slots=True)
class Opened:
    """The result that is open in this session, with what belongs to it and the state of the feedback."""

    id: str
    visitor: Visitor
    result: Result
    spectrogram: PreviewSpectrogram | None = None
    audio: str | None = None
    """The path of its recording on this server."""
    feedback: str | None = None
    error: str | None = None
    """Why something that belongs to it could not be fetched."""
    wrong: bool = False
    """Whether the user said that the answer is wrong."""
    sent: str | None = None
    """The genre that the user gave last, until it is stored."""
    feedback_error: str | None = None


def page() -> None:
    """Draw the page of one result, whose id is in the address."""
    st.title("Result", anchor=False)
    if result_id := st.query_params.get("id"):
        show(result_id)
    else:
        st.info("This address has no result id. Open a result from the history, or classify a recording.")


def show(result_id: str, on_deleted: Callable[[str], None] | None = None) -> None:
    """Fetch a result with all that belongs to it, unless it is open already, and draw it.

    ``on_deleted`` gets the id when the user has deleted it.
    """
    try:
        with st.spinner("Fetching the result"):
            opened = _open(result_id)
    except ApiError as error:
        _failed(error)
        return
    if isinstance(opened, Pending):
        st.fragment(_wait, run_every=max(opened.retry_after_s, 1.0))(result_id)
        return
    result = opened.result
    st.caption(plain(own_path(result["id"])))
    if result["status"] == "failed":
        problem = result["problem"]
        st.error(plain(problem["detail"]), title=plain(problem["title"]), icon=":material/music_off:")
    else:
        left, right = st.columns([2, 3], gap="medium")
        with left:
            _answer(result)
            _feedback(opened, result)
            _player(result, _absolute(opened.audio) if opened.audio else None)
        with right:
            _probabilities(result)
        _over_time(result, opened.spectrogram)
        st.subheader("Save", anchor=False)
        name = PurePosixPath(file_name(result["id"])).stem or "result"
        downloads(name, "Download", export.result_json(result), export.result_csv(result))
    if link := _absolute(f"{RESULT}?id={quote(opened.id)}"):
        st.caption("Link to this result:")
        st.code(link, language=None, wrap_lines=True)
    if result["status"] == "done":
        _details(result)
    if opened.error:
        st.warning(f"A part of this result could not be loaded. {plain(opened.error)}")
    delete_button(opened.id, on_deleted)


def delete_button(result_id: str, on_deleted: Callable[[str], None] | None = None) -> None:
    """Draw a button that deletes a recording when the user confirms it, and what came of it."""
    with st.popover("Delete", type="tertiary", icon=":material/delete:", key=f"delete-{result_id}"):
        st.markdown(DELETE)
        if not st.button("Delete for good", key=f"delete-for-good-{result_id}", type="primary"):
            return
        try:
            deleted = service(visitor()).delete(result_id)
        except ApiError as error:
            st.error(plain(str(error)))
            return
        if not deleted:
            st.error(NOT_DELETED)
            return
    forget(visitor(), result_id)
    st.session_state.pop(OPENED, None)
    if on_deleted is not None:
        on_deleted(result_id)
    st.rerun()


def _open(result_id: str) -> Opened | Pending:
    """The result with all that belongs to it. Raises ApiError."""
    opened: Opened | None = st.session_state.get(OPENED)
    who = visitor()
    if opened is not None and (opened.id, opened.visitor) == (result_id, who):
        return opened
    asking = service(who)
    result = asking.result(result_id)
    if isinstance(result, Pending):
        return result
    opened = Opened(result_id, who, result)
    if result["status"] == "done":
        try:
            opened.spectrogram = asking.preview_spectrogram(result_id)
            opened.feedback = asking.feedback(result_id, contributor())
            opened.audio = audio_path(who, result_id)
        except ApiError as error:  # the rest is shown without it
            opened.error = str(error)
    # Only now: a click meanwhile starts a new run, which would find it incomplete.
    st.session_state[OPENED] = opened
    return opened


def _wait(result_id: str) -> None:
    """Draw that the result is not there yet, and look whether it is."""
    st.status("The recording is being classified. The result appears here.")
    try:
        arrived = not isinstance(service(visitor()).result(result_id), Pending)
    except ApiError as error:
        if error.temporary:
            still_trying(str(error))
        else:
            _failed(error)
        return
    if arrived:
        st.rerun()


def _failed(error: ApiError) -> None:
    if error.status in (400, 404):
        st.warning(UNKNOWN)
    else:
        failed(error, "result-again")


def _absolute(path: str) -> str | None:
    """``path`` on this server as an absolute URL; None where the browser does not give the server's address."""
    parts = urlsplit(st.context.url or "")
    if not parts.netloc:
        return None
    if not path.startswith("/"):
        path = make_url_path(st.get_option("server.baseUrlPath"), path)
    return f"{parts.scheme}://{parts.netloc}{path}"


def _answer(result: Classification) -> None:
    """Draw the genre and the confidence; of an uncertain answer, that it is not sure, and the best guesses."""
    genre, uncertain = result["genre"], result["uncertain"]
    with st.container(horizontal=True, vertical_alignment="center", gap="small", wrap=False):
        swatch(None if uncertain else genre, height_rem=2.6)
        heading = mixture(part_genres(result)) or Kind.NOT_SURE.value
        st.header(heading if uncertain else genre_name(genre), anchor=False)
    if parts := result.get("parts"):
        spans = [
            f"{genre_name(part['genre'])} from {clock(part['start_s'])} to {clock(part['end_s'])}" for part in parts
        ]
        st.markdown(f"{listed(spans)}.")
        st.caption("The recording has clear parts of different genres. As a whole it has no one genre.")
    elif uncertain:
        ranked = sorted(result["probabilities"].items(), key=lambda pair: pair[1], reverse=True)
        guesses = [f"{genre_name(guess).lower()} ({percent(share)})" for guess, share in ranked[:RUNNERS_UP]]
        st.markdown(f"Best guesses: {listed(guesses)}.")
        reasons = [REASONS[reason] for reason in result.get("uncertain_because", []) if reason in REASONS]
        st.caption(" ".join([*(reasons or [UNKNOWN_REASON]), "Do not rely on this answer."]))
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
    models = model_answers(result)
    if len({model["genre"] for model in models.values()}) <= 1:
        return None
    answers = [
        f"{MODELS.get(name, name)} says {genre_name(model['genre']).lower()}"
        f" ({percent(model['probabilities'][model['genre']])})"
        for name, model in models.items()
    ]
    return f"The models disagree: {listed(answers)}."


def _probabilities(result: Classification) -> None:
    """Draw the probabilities of all genres, by the ensemble and by each model."""
    by_model = {MODELS.get(name, name): answer["probabilities"] for name, answer in model_answers(result).items()}
    answers = {MODELS["ensemble"]: result["probabilities"]} | by_model
    st.subheader("All genres", anchor=False)
    described = [
        f"{title}: "
        + ", ".join(
            f"{genre_name(genre)} {percent(share)}"
            for genre, share in sorted(shares.items(), key=lambda pair: -pair[1])
        )
        for title, shares in answers.items()
    ]
    chart(charts.probabilities(answers), f"Probabilities. {'; '.join(described)}.")


def _player(result: Classification, audio_url: str | None) -> None:
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


def _over_time(result: Classification, spectrogram: PreviewSpectrogram | None) -> None:
    """Draw the spectrogram and the genre over time, and the latter as a table too."""
    segments, duration_s = result["segments"], result["audio"]["duration_s"]
    st.subheader("Over time", anchor=False)
    described = [charts.span_words(each) for each in charts.merged(segments)]
    if (rest := len(described) - MAX_DESCRIBED_SEGMENTS) > 0:
        described[MAX_DESCRIBED_SEGMENTS:] = [f"and {rest} more in the table below"]
    title = f"Mel spectrogram ({clock(duration_s)}) and genre over time" if spectrogram else "Genre over time"
    chart(charts.over_time(segments, duration_s, spectrogram), f"{title}: {', '.join(described)}.")
    notes = ["Top: mel spectrogram; brighter is louder." if spectrogram else "There is no spectrogram."]
    if (blank_s := charts.blank_s(segments, duration_s)) >= charts.MIN_BLANK_S:
        why = ["silent"]
        why += ["no music"] if result.get("music") is not None else []
        why += ["not decodable"] if result["audio"]["damaged"] else []
        notes.append(f"Blank: {clock(blank_s)} in total, {listed(why, 'or')}, not classified.")
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


def _details(result: Classification) -> None:
    """Draw what was analysed, by which model, and how long that took."""
    audio = result["audio"]
    analysed = audio["analysed_s"] / audio["duration_s"] if audio["duration_s"] else 0
    channels = {1: "mono", 2: "stereo"}.get(audio["channels"], f"{audio['channels']} channels")
    rows = {
        "Recording": plain(result["id"]),
        "Length": clock(audio["duration_s"]),
        "Analysed": f"{clock(audio['analysed_s'])} ({percent(analysed) if analysed < 1 else 'all'})",
        "Format": f"{plain(audio['codec'])}, {audio['sample_rate_hz'] / 1000:g} kHz, {channels}",
        **({"Track": f"Track {track} of the file"} if (track := audio.get("track")) is not None else {}),
        **({"Music": percent(music)} if (music := result.get("music")) is not None else {}),
        "Model": plain(result["model_version"]) + (", fast mode" if result.get("mode") == "fast" else ""),
        "Time": moment(result["created_at"], st.context.timezone),
        "Took": ", ".join(f"{STEPS.get(name, plain(name))} {ms:.0f} ms" for name, ms in result["timings_ms"].items()),
    }
    with st.expander("Details"):
        table([{"name": name, "value": value} for name, value in rows.items()], header=False)


def _feedback(opened: Opened, result: Classification) -> None:
    """Draw the question whether the answer is right, or the user's feedback."""
    if opened.feedback is not None:
        with st.container(horizontal=True, vertical_alignment="center"):
            genre = genre_name(opened.feedback)
            st.markdown(f":material/check: Thank you. Your feedback: **{genre}**", width="content")
            if st.button("Undo", key="feedback-undo", icon=":material/undo:"):
                _store(opened, None)
    else:
        _question(opened, result)
    if opened.feedback_error:
        st.error(f"Your feedback was not stored. {plain(opened.feedback_error)}")
        if opened.sent and st.button(f"Send “{genre_name(opened.sent)}” again", key="feedback-again"):
            _store(opened, opened.sent)


def _question(opened: Opened, result: Classification) -> None:
    choices = list(result["probabilities"])
    question = "Do you know the genre?"
    if not result["uncertain"]:
        choices.remove(result["genre"])
        question = "Which genre is it?"
        st.markdown("**Is this right?**")
        with st.container(horizontal=True, gap="small"):
            if st.button("Right", key="feedback-right", icon=":material/thumb_up:"):
                _store(opened, result["genre"])
            if st.button("Wrong", key="feedback-wrong", icon=":material/thumb_down:"):
                opened.wrong = True
        if not opened.wrong:
            return
    genre = st.pills(question, choices, format_func=genre_name, key=f"feedback-genre-{opened.id}", wrap=True)
    if genre is not None and genre != opened.sent:
        _store(opened, genre)


def _store(opened: Opened, genre: str | None) -> None:
    """Store feedback, or withdraw it for None, and draw the page again."""
    opened.sent, opened.feedback_error = genre, None
    try:
        with st.spinner("Storing your feedback"):
            service(visitor()).give_feedback(opened.id, genre, contributor())
    except ApiError as error:
        opened.feedback_error = str(error)
    else:
        opened.feedback, opened.wrong, opened.sent = genre, False, None
    st.rerun()
