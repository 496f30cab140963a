import pytest

from frontend import views
from frontend.api_types import Classification
from tests.frontend.fakes import classification, shares


def test_models_that_agree_are_not_mentioned() -> None:
    agreeing = {"genre": "jazz", "probabilities": shares(jazz=0.9)}
    assert views.disagreement(classification(models={"svm": agreeing, "vgg19": agreeing})) is None


def test_models_that_disagree_are() -> None:
    said = views.disagreement(classification())
    assert said is not None
    assert said.replace("\N{NO-BREAK SPACE}", " ") == (
        "The models disagree: SVM says blues (55 %) and VGG19 says jazz (over 99 %)."
    )


def of_kind(name: str, codec: str) -> Classification:
    return classification(id=name, audio={**classification()["audio"], "codec": codec})


@pytest.mark.parametrize(
    ("name", "codec", "playable"),
    [
        ("a.mp3", "mp3", True),
        ("a.wav", "pcm_s16le", True),
        ("a.flac", "flac", True),
        ("a.m4a", "aac", True),
        ("no suffix", "opus", True),
        ("a.WMA", "wmav2", False),
        ("no suffix", "wmav2", False),
        ("a.aiff", "pcm_s16be", False),
        ("a.au", "pcm_mulaw", False),
        ("a.m4a", "alac", False),
    ],
)
def test_what_browsers_play(name: str, codec: str, playable: bool) -> None:
    assert views.playable(of_kind(name, codec)) is playable
