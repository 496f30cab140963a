"""A fake service for the pages, and an address at which nothing listens."""

from collections.abc import Iterator
from functools import cache

import pytest
from streamlit.components.v2 import manifest_scanner

from tests.frontend.fakes import Catalogue, Service, classification


@pytest.fixture(scope="session", autouse=True)
def components_looked_for_once() -> Iterator[None]:
    """Streamlit reads the metadata of all installed packages for each new `AppTest`; a server does it at its start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest_scanner, "scan_component_manifests", cache(manifest_scanner.scan_component_manifests))
        yield


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """A service with canned answers, to which the pages speak. Uploads have the files' names as ids."""
    running = Service()
    running.id_of = lambda filename: filename
    use(running, monkeypatch)
    yield running
    running.stop()


@pytest.fixture
def catalogue(monkeypatch: pytest.MonkeyPatch) -> Iterator[Catalogue]:
    """A service with one result, to which the pages speak."""
    running = Catalogue()
    running.add(classification())
    use(running, monkeypatch)
    yield running
    running.stop()


def use(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TONEARM_API_URL", service.url)
    monkeypatch.setenv("TONEARM_HISTORY", "shared")
    for name in ("TONEARM_API_KEY", "TONEARM_RESULT_WAIT_S", "TONEARM_SIGN_IN", "WEBSITE_AUTH_ENABLED"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def away_url() -> str:
    """An address at which nothing listens."""
    stopped = Service()
    stopped.stop()
    return stopped.url
