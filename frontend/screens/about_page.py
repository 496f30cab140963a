"""What the page can do and cannot, how it works, and what becomes of what is sent to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from frontend.api import ApiError
from frontend.api_types import Limits
from frontend.model_charts import precision_recall
from frontend.settings import open_api
from frontend.text import genre_name, listed, percent, plain
from frontend.views import try_again

MEBIBYTE_BYTES = 1024 * 1024
HOUR_S = 3600
WEAKEST = 3
# Of the ways to measure, that which says what to expect of artists who were not learnt from.
HONEST = "artist10"
ON_MODEL_PAGE = "The Model page has all the figures."


@dataclass(frozen=True, slots=True)
class Facts:
    """What only the service knows, in sentences; these stand for one that cannot be asked."""

    accuracy: str = ON_MODEL_PAGE
    weakest: str = ""
    takes: str = ""
    kept: str = "How long recordings are kept is up to whoever runs it."


def page() -> None:
    """Draw the page. Figures and limits come from the service; without it, the text goes without them."""
    st.title("About", anchor=False)
    facts = _facts()
    st.subheader("What it can do", anchor=False)
    st.markdown(f"Tonearm names the genre of a recording, and how the genre changes within it. {facts.takes}")
    st.markdown(facts.accuracy)
    st.subheader("What it can't", anchor=False)
    st.markdown(CANNOT.format(weakest=facts.weakest))
    st.subheader("How it works", anchor=False)
    st.markdown(WORKS)
    st.subheader("Where your audio goes", anchor=False)
    st.markdown(PRIVACY.format(kept=facts.kept))


CANNOT = """
- Ten genres are a crude map, mostly of Western music before 2002 (GTZAN, a collection of 1,000 clips that researchers
  have used since). A recording of any other kind still gets one of the ten, at best marked *not sure*.
- Where genres meet, people do not agree either.{weakest}
- It is no judge of speech, noise or silence. Most of these are marked *not sure*; some are not.
- Bad recordings change answers. The Model page says how much.
- It says nothing of who plays, what is sung, how old a recording is, or whether it is any good.
"""

WORKS = """
1. The recording is decoded, whatever its format, and heard in pieces of half a minute, all of it.
2. Each piece becomes a spectrogram: how loud each pitch is at each time.
3. A support vector machine (SVM) looks at some 1,200 numbers measured on it, and a VGG19, a neural network made for
   pictures, looks at the spectrogram itself.
4. Both say how probable each genre is, and the two are combined so that 80 % means right in about 80 of 100 cases.
5. Where no genre stands out, or the sound is unlike all that was learnt, the answer is *not sure*.
"""

PRIVACY = """
- What you choose or record goes through this page's server to the storage of whoever runs this installation, and
  nowhere else. This page's server passes it on piece by piece and keeps nothing.
- {kept} Results and feedback stay until whoever runs it deletes them.
- **Whoever can open this page can see the history and play the recordings that are still kept.** Do not send what
  others must not hear.
- There are no accounts, no advertisements and no third parties. The only cookies are those that Streamlit, which this
  page is made with, needs to work.
"""


def _facts() -> Facts:
    """What the service says of itself."""
    try:
        with st.spinner("Fetching the figures"), open_api() as api:
            model, limits = api.model(), api.limits()
    except ApiError as error:
        st.warning(f"The service cannot be asked now, so its figures are missing here. {plain(str(error))}")
        try_again("about-again")
        return Facts()
    found = model["metrics"].get("protocols", {}).get(HONEST, {})
    return Facts(_accuracy(found, model["labels"]), _weakest(found, model["labels"]), _takes(limits), _kept(limits))


def _accuracy(found: Mapping[str, Any], labels: Sequence[str]) -> str:
    sentences = [f"The genre is one of ten: {listed([genre_name(label).lower() for label in labels], 'or')}."]
    if "ensemble" in found:
        share = percent(found["ensemble"]["accuracy"])
        sentences.append(f"Of {found['n']:,} clips by artists that it had not heard it named **{share}** right.")
    if "certain" in found:
        coverage, share = percent(found["certain"]["coverage"]), percent(found["certain"]["accuracy"])
        sentences.append(f"It was sure of {coverage} of them, and of these **{share}** were right.")
    return " ".join([*sentences, ON_MODEL_PAGE])


def _weakest(found: Mapping[str, Any], labels: Sequence[str]) -> str:
    """Which genres are named right least often."""
    matrix = found.get("ensemble", {}).get("confusion")
    if not matrix:
        return ""
    recall = {label: both[1] for label, both in precision_recall(matrix, labels).items()}
    least = sorted(recall, key=lambda label: recall[label])[:WEAKEST]
    said = listed([f"{genre_name(label).lower()} ({percent(recall[label])})" for label in least])
    return f" Of clips by artists that it had not heard, it named these right least often: {said}."


def _takes(limits: Limits) -> str:
    hours = limits["max_duration_s"] / HOUR_S
    return (
        f"It takes {listed([form.upper() for form in limits['formats']])} of up to "
        f"{limits['max_upload_bytes'] // MEBIBYTE_BYTES:,} MB and {hours:g} hours."
    )


def _kept(limits: Limits) -> str:
    days = limits["upload_retention_days"]
    if days is None:
        return "Recordings stay until whoever runs it deletes them."
    return f"Recordings are deleted after {days} day{'s' if days != 1 else ''}."
