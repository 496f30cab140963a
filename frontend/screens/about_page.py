"""What Tonearm can and cannot do, how it works, and what happens to the audio."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from frontend.api import ApiError, service
from frontend.api_types import Model
from frontend.model_charts import precision_recall
from frontend.text import accepted, genre_name, listed, percent, retention
from frontend.views import failed
from frontend.visitor import shared, sign_in_required

WEAKEST = 3
# The protocol that says what to expect of artists the models have not heard.
PROTOCOL = "artist10"

CAN = """
Tonearm names the genre of a recording, and how the genre changes within it.{accepts}

{accuracy}The Model page has all figures.
"""

CANNOT = """
- Ten genres are coarse, and the training data is mostly Western music before 2002 (GTZAN, 1,000 clips). A recording of
  another genre still gets one of the ten; at best it is marked *Not sure*.
- Genres overlap, and people disagree about them too.{weakest}
- Speech, noise and silence are mostly refused or marked *Not sure*, but not always.
- Bad recordings change answers. The model card, on the Model page, shows how much.
- It says nothing about the artist, the lyrics, the year or the quality.
"""

WORKS = """
1. The recording is decoded and split into windows of up to 30 seconds.
2. Each window becomes a spectrogram: the loudness of each frequency at each time.
3. A support vector machine (SVM) classifies about 1,200 features of the sound. VGG19, a neural network for images,
   classifies the spectrogram. Newer versions also have the AudioSet network, which knows many kinds of sounds.
4. They are combined in an ensemble. Its confidence is calibrated: of answers given with 80 %, about 80 % are right.
5. Where no genre stands out, or the sound is unlike the training data, the answer is *Not sure*. Newer versions leave
   out what is no music.
"""

PRIVACY = """
- Recordings go through this page's server to the storage of this installation, and nowhere else. This page's server
  stores nothing.
- {stored}
- {seen}
- *Delete*, in the history and below each result, deletes the recording, its result and the feedback on it.
- There are no advertisements and no third parties. The cookies are those that Streamlit needs, and random secrets.
"""
SHARED = (
    "**Everybody who can open this page can see the history and play the recordings that are still stored.** Do not"
    " upload what others must not hear."
)
OWN = "Only you see your history and play your recordings. The service knows a hash of your account, not your name."
OWN_SESSION = (
    "Only this browser sees what it has uploaded, until it is closed. After that nobody can open it from this page,"
    " nor delete it."
)


def seen() -> str:
    """Who sees what a visitor uploads."""
    if shared():
        return SHARED
    return OWN if sign_in_required() else OWN_SESSION


def page() -> None:
    """Draw the page. Figures and limits come from the service; without it, the text goes without them."""
    st.title("About", anchor=False)
    accepts = accuracy = weakest = ""
    stored = "The operator decides how long recordings are stored."
    try:
        with st.spinner("Fetching the figures"):
            model, limits = service().model(), service().limits()
    except ApiError as error:
        failed(f"The figures are missing here. {error}", "about-again")
    else:
        accepts, stored = f" It accepts {accepted(limits)}.", retention(limits)
        accuracy, weakest = _accuracy(model)
    st.subheader("What it can do", anchor=False)
    st.markdown(CAN.format(accepts=accepts, accuracy=accuracy))
    st.subheader("What it cannot do", anchor=False)
    st.markdown(CANNOT.format(weakest=weakest))
    st.subheader("How it works", anchor=False)
    st.markdown(WORKS)
    st.subheader("Where your audio goes", anchor=False)
    st.markdown(PRIVACY.format(stored=stored, seen=seen()))


def _accuracy(model: Model) -> tuple[str, str]:
    """The overall accuracy, and the genres with the lowest recall, in sentences."""
    names = {label: genre_name(label).lower() for label in model["labels"]}
    sentences, weakest = [f"The genres are {listed(list(names.values()))}."], ""
    found: Mapping[str, Any] = model["metrics"].get("protocols", {}).get(PROTOCOL, {})
    if ensemble := found.get("ensemble"):
        accuracy = percent(ensemble["accuracy"])
        sentences.append(f"Of {found['n']:,} clips by artists not in its training data, **{accuracy}** were right.")
        recall = {label: pair[1] for label, pair in precision_recall(ensemble["confusion"], model["labels"]).items()}
        lowest = sorted(recall, key=lambda label: recall[label])[:WEAKEST]
        weakest = listed([f"{names[label]} ({percent(recall[label])})" for label in lowest])
        weakest = f" It finds these least often: {weakest}."
    if certain := found.get("certain"):
        coverage, accuracy = percent(certain["coverage"]), percent(certain["accuracy"])
        sentences.append(f"It was certain of {coverage} of them; of these, **{accuracy}** were right.")
    return " ".join([*sentences, ""]), weakest
