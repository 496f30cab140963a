import pytest

from frontend import api_errors
from tests.frontend.fakes import GENRES, LIMITS, VERSION, Catalogue, model, screen, words


def test_the_figures_are_the_models(catalogue: Catalogue) -> None:
    text = words(screen("about").run())
    found = model()["metrics"]["protocols"]["artist10"]
    assert f"**{100 * found['ensemble']['accuracy']:.0f} %** were right" in text
    assert f"certain of {100 * found['certain']['coverage']:.0f} % of them" in text
    assert "blues, classical, country, disco, hip-hop, jazz, metal, pop, reggae and rock" in text
    matrix = found["ensemble"]["confusion"]
    recalls = {GENRES[i]: row[i] / sum(row) for i, row in enumerate(matrix)}
    weakest = min(recalls, key=lambda genre: recalls[genre])
    assert f"least often: {weakest} ({100 * recalls[weakest]:.0f} %)" in text
    assert "AU or AIFF, 1 second to 4 hours, up to 512 MB each." in text


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        (7, "Recordings are deleted after 7 days."),
        (1, "Recordings are deleted after 1 day."),
        (None, "Recordings stay until someone deletes them."),
    ],
)
def test_how_long_recordings_stay(catalogue: Catalogue, days: int | None, expected: str) -> None:
    catalogue.retention_days = days
    assert expected in words(screen("about").run())


@pytest.mark.parametrize(
    ("days", "expected"), [(30, "are deleted after 30 days."), (None, "stay until someone deletes")]
)
def test_how_long_results_stay(
    monkeypatch: pytest.MonkeyPatch, catalogue: Catalogue, days: int | None, expected: str
) -> None:
    monkeypatch.setitem(LIMITS, "result_retention_days", days)
    assert f"Results and feedback {expected}" in words(screen("about").run())


def test_without_the_service(catalogue: Catalogue) -> None:
    catalogue.down = True
    page = screen("about").run()
    text = words(page)
    assert api_errors.BUSY in page.error[0].value
    assert "The operator decides how long recordings are stored." in text
    assert "The Model page has all figures." in text
    assert "{" not in text


def test_a_version_without_figures(catalogue: Catalogue) -> None:
    catalogue.models = {VERSION: model(metrics={})}
    text = words(screen("about").run())
    assert "The genres are blues" in text
    assert "least often" not in text
