import pytest

from frontend import errors
from tests.frontend.conftest import GENRES
from tests.frontend.fakes import VERSION, Catalogue, a_catalogue, model, screen, words

catalogue = a_catalogue


def test_it_says_what_it_can_do_in_the_models_own_figures(catalogue: Catalogue) -> None:
    text = words(screen("about").run())
    found = model()["metrics"]["protocols"]["artist10"]
    assert f"had not heard it named **{100 * found['ensemble']['accuracy']:.0f} %** right" in text
    assert f"sure of {100 * found['certain']['coverage']:.0f} % of them" in text
    assert "blues, classical, country, disco, hip-hop, jazz, metal, pop, reggae or rock" in text
    matrix = found["ensemble"]["confusion"]
    recalls = {GENRES[i]: row[i] / sum(row) for i, row in enumerate(matrix)}
    weakest = min(recalls, key=lambda genre: recalls[genre])
    assert f"named these right least often: {weakest} ({100 * recalls[weakest]:.0f} %)" in text
    assert "It takes WAV, MP3, FLAC, OGG, OPUS, M4A, AAC, WEBM, WMA, AU and AIFF of up to 512 MB and 4 hours." in text


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        (7, "Recordings are deleted after 7 days."),
        (1, "Recordings are deleted after 1 day."),
        (None, "Recordings stay until whoever runs it deletes them."),
    ],
)
def test_it_says_how_long_recordings_stay(catalogue: Catalogue, days: int | None, expected: str) -> None:
    catalogue.retention_days = days
    assert expected in words(screen("about").run())


def test_it_says_where_audio_goes(catalogue: Catalogue) -> None:
    text = words(screen("about").run())
    assert "keeps nothing" in text
    assert "Whoever can open this page can see the history and play the recordings" in text
    assert "no third parties" in text


def test_without_the_service_it_says_the_rest(catalogue: Catalogue) -> None:
    catalogue.down = True
    page = screen("about").run()
    text = words(page)
    assert errors.BUSY in page.warning[0].value
    assert "How long recordings are kept is up to whoever runs it." in text
    assert "The Model page has all the figures." in text
    assert "{" not in text


def test_a_version_without_figures(catalogue: Catalogue) -> None:
    catalogue.models = {VERSION: model(metrics={})}
    text = words(screen("about").run())
    assert "The genre is one of ten" in text
    assert "least often" not in text
