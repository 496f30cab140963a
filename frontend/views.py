"""How a result looks. Each function takes what the API said and draws one part of the page."""

import re
from collections.abc import Mapping

import altair as alt
import streamlit as st

from frontend.results import Done, Failed, Result

RUNNERS_UP = 3
BAR_COLOUR = "#5B8C94"  # on light and on dark ground
BAR_HEIGHT_PX = 24
STRIP_HEIGHT_PX = 48
STRIP_AND_LEGEND_HEIGHT_PX = 170
SMALL_SHARE = 0.005
MARKDOWN_SIGNS = re.compile(r"([\\`*_\[\]<>$:~!|#])")


def plain(text: str) -> str:
    """``text`` so that Streamlit's Markdown shows it as it is: file names and codecs are other people's words."""
    return MARKDOWN_SIGNS.sub(r"\\\1", text)


def genre_name(genre: str) -> str:
    """A genre's label as people write it."""
    return "Hip-hop" if genre == "hiphop" else genre.capitalize()


def percent(share: float) -> str:
    """A share of 1 in whole per cents, never claiming certainty that is not there."""
    if share <= SMALL_SHARE:
        return "under 1%"
    if share >= 1 - SMALL_SHARE:
        return "over 99%"
    return f"{share:.0%}"


def clock(seconds: float) -> str:
    """A place in a recording: 1:05, or 1:02:05 from an hour on."""
    minutes, whole_s = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{whole_s:02}" if hours else f"{minutes}:{whole_s:02}"


def result_view(result: Result) -> None:
    """The whole answer, whichever it is."""
    if result["status"] == "failed":
        failure(result)
        return
    verdict(result)
    probabilities(result)
    if len(result["segments"]) > 1:
        segments(result)
    analysed(result)


def failure(result: Failed) -> None:
    """Why there is no genre."""
    problem = result["problem"]
    st.error(f"**{plain(problem['title'])}.** {plain(problem['detail'])}", icon=":material/music_off:")


def verdict(result: Done) -> None:
    """The genre, large; or that the models do not know, with what they would guess."""
    if not result["uncertain"]:
        st.header(genre_name(result["genre"]))
        st.markdown(f"{percent(result['confidence'])} sure")
        return
    st.header("Not sure")
    ranked = sorted(result["probabilities"].items(), key=lambda pair: pair[1], reverse=True)
    *firsts, last = [f"{genre_name(genre)} ({percent(share)})" for genre, share in ranked[:RUNNERS_UP]]
    st.markdown(f"Perhaps {', '.join(firsts)} or {last}.")
    st.caption("The recording may mix genres, be none of the ten known here, or be no music at all.")


def probabilities(result: Done) -> None:
    """All ten probabilities: the ensemble's, then each model's, in the ensemble's order so that they compare."""
    together = result["probabilities"]
    order = sorted(together, key=lambda genre: together[genre], reverse=True)
    st.subheader("All ten genres")
    _bars(together, order, "Probabilities of the ensemble")
    for column, (title, model) in zip(
        st.columns(2), (("SVM", result["models"]["svm"]), ("VGG19", result["models"]["vgg19"])), strict=True
    ):
        with column:
            st.markdown(f"**{title}** alone: {genre_name(model['genre'])}")
            _bars(model["probabilities"], order, f"Probabilities of the {title} alone")


def segments(result: Done) -> None:
    """Genre over time: a strip, and the same as a table. Silent stretches have no segment and stay blank."""
    stretches = result["segments"]
    st.subheader("Over time")
    rows = [
        {
            "from": clock(stretch["start_s"]),
            "to": clock(stretch["end_s"]),
            "genre": genre_name(stretch["genre"]),
            "probability": percent(stretch["probabilities"][stretch["genre"]]),
        }
        for stretch in stretches
    ]
    strip = [
        {**row, "start_s": stretch["start_s"], "end_s": stretch["end_s"]}
        for row, stretch in zip(rows, stretches, strict=True)
    ]
    whole = alt.Scale(domain=[0, result["audio"]["duration_s"]], nice=False)
    time_axis = alt.Axis(
        title=None, grid=False, labelExpr="floor(datum.value / 60) + ':' + format(datum.value % 60, '02d')"
    )
    chart = (
        alt.Chart(alt.InlineData(values=strip))
        .mark_bar(height=STRIP_HEIGHT_PX)
        .encode(
            x=alt.X("start_s:Q", axis=time_axis, scale=whole),
            x2="end_s:Q",
            color=alt.Color(
                "genre:N",
                # All ten, so that a genre has the same colour whichever others occur.
                scale=alt.Scale(domain=[genre_name(genre) for genre in result["probabilities"]], scheme="tableau10"),
                legend=alt.Legend(title=None, orient="bottom", columns=5),
            ),
            tooltip=["from:N", "to:N", "genre:N", "probability:N"],
        )
        .properties(height=STRIP_AND_LEGEND_HEIGHT_PX)
    )
    st.altair_chart(chart, alt="Genre over time; the table below says the same")
    with st.expander("As a table"):
        st.dataframe(rows, hide_index=True)


def analysed(result: Done) -> None:
    """What of the recording the answer rests on, and which model gave it."""
    audio = result["audio"]
    if audio["damaged"]:
        st.warning("Parts of the file could not be decoded. The answer rests on the rest.")
    channels = {1: "mono", 2: "stereo"}.get(audio["channels"], f"{audio['channels']} channels")
    st.caption(
        f"Analysed {clock(audio['analysed_s'])} of {clock(audio['duration_s'])} · {plain(audio['codec'])}, "
        f"{audio['sample_rate_hz'] / 1000:g} kHz, {channels} · model {plain(result['model_version'])}"
    )


def _bars(shares: Mapping[str, float], order: list[str], description: str) -> None:
    # The figures stand in the labels, where they follow the theme's text colour.
    rows = [{"label": f"{genre_name(genre)}  {percent(shares[genre])}", "share": shares[genre]} for genre in order]
    chart = (
        alt.Chart(alt.InlineData(values=rows))
        .mark_bar(color=BAR_COLOUR, cornerRadius=2)
        .encode(
            y=alt.Y("label:N", sort=None, axis=alt.Axis(title=None, ticks=False, domain=False, labelLimit=0)),
            x=alt.X("share:Q", axis=None, scale=alt.Scale(domain=[0, 1])),
            tooltip=alt.value(None),
        )
        .properties(height=BAR_HEIGHT_PX * len(rows))
    )
    spoken = ", ".join(f"{genre_name(genre)} {percent(shares[genre])}" for genre in order)
    st.altair_chart(chart, alt=f"{description}: {spoken}")
