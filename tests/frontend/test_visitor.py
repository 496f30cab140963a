"""Whose recordings the page asks for: identities that may be trusted, secrets of browsers, and neither mixed up."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
import streamlit as st
from starlette.applications import Starlette
from streamlit.runtime import context
from streamlit.testing.v1 import AppTest

import frontend
from frontend import api_errors, upload_proxy, visitor
from frontend.api import EVERYBODY, Api, Visitor, service
from frontend.batch import Batch
from frontend.screens import classify_page
from frontend.upload_queue import UploadQueue
from frontend.visitor import visitor_of
from tests.frontend.fakes import NOT_FOUND, Answer, Catalogue, Service, classification, recording, screen, words
from tests.local.conftest import wait_until

MAIN = Path(frontend.__file__).parent / "main.py"
ALICE = {"x-ms-client-principal-id": "00000000-0000-0000-0000-00000000000a", "x-ms-client-principal-idp": "aad"}
BOB = ALICE | {"x-ms-client-principal-id": "00000000-0000-0000-0000-00000000000b"}
SECRET = {"tonearm_session": "s" * 43}


def cloud(monkeypatch: pytest.MonkeyPatch, sign_in: str = "required", history: str = "", auth: str = "True") -> None:
    monkeypatch.setenv("TONEARM_SIGN_IN", sign_in)
    monkeypatch.setenv("TONEARM_HISTORY", history)
    monkeypatch.setenv("WEBSITE_AUTH_ENABLED", auth)


def comes_from(monkeypatch: pytest.MonkeyPatch, headers: Mapping[str, str], cookies: Mapping[str, str] = {}) -> None:
    """What the page's script learns of the visitor's request."""
    client = SimpleNamespace(headers=list(headers.items()), cookies=cookies, remote_ip=None)
    monkeypatch.setattr(context, "_get_client_context", lambda: client)


class TestVisitorOf:
    def test_the_signed_in_see_their_own(self, monkeypatch: pytest.MonkeyPatch) -> None:
        cloud(monkeypatch)
        alice, bob = visitor_of(ALICE, {}), visitor_of(BOB, {})
        assert alice is not None
        assert bob is not None
        assert alice.owner == alice.sees != bob.owner
        assert len(str(alice.owner)) == visitor.OWNER_CHARS
        assert visitor_of(ALICE, SECRET) == alice, "a cookie says nothing where there is an identity"
        assert "0000" not in str(alice.owner)

    def test_the_operator_may_share(self, monkeypatch: pytest.MonkeyPatch) -> None:
        cloud(monkeypatch)
        own = visitor_of(ALICE, {})
        cloud(monkeypatch, history="shared")
        shared = visitor_of(ALICE, {})
        assert own is not None
        assert shared == Visitor(owner=own.owner, sees=None), "what is uploaded meanwhile stays theirs to delete"

    @pytest.mark.parametrize("auth", ["", "False", "0", "true "])
    def test_no_identity_is_believed_while_app_service_lets_headers_through(
        self, monkeypatch: pytest.MonkeyPatch, auth: str
    ) -> None:
        cloud(monkeypatch, auth=auth)
        assert visitor_of(ALICE, SECRET) is None
        assert not visitor.signed_in(ALICE)

    @pytest.mark.parametrize("headers", [{}, ALICE | {"x-ms-client-principal-id": ""}])
    def test_without_an_identity_nobody(self, monkeypatch: pytest.MonkeyPatch, headers: Mapping[str, str]) -> None:
        cloud(monkeypatch)
        assert visitor_of(headers, SECRET) is None
        assert not visitor.signed_in(headers)
        comes_from(monkeypatch, headers, SECRET)
        with pytest.raises(PermissionError):
            visitor.visitor()

    def test_identity_providers_are_kept_apart(self, monkeypatch: pytest.MonkeyPatch) -> None:
        cloud(monkeypatch)
        assert visitor_of(ALICE, {}) != visitor_of(ALICE | {"x-ms-client-principal-idp": "google"}, {})

    def test_without_sign_in_it_is_the_browsers_secret(self, monkeypatch: pytest.MonkeyPatch) -> None:
        cloud(monkeypatch, "off")
        mine = visitor_of({}, SECRET)
        assert mine is not None
        assert mine.owner == mine.sees is not None
        assert visitor_of(ALICE, SECRET) == mine, "headers that anybody can send change nothing"
        assert visitor_of({}, {"tonearm_session": "t" * 43}) != mine
        for cookies in ({}, {"tonearm_session": ""}, {"tonearm_session": "short"}, {"tonearm_contributor": "s" * 43}):
            assert visitor_of(ALICE, cookies) is None

    def test_by_https_a_cookie_of_a_neighbouring_host_is_not_taken(self, monkeypatch: pytest.MonkeyPatch) -> None:
        cloud(monkeypatch, "off")
        https = {"x-forwarded-proto": "https"}
        assert visitor_of(https, SECRET) is None
        assert visitor_of(https, {"__Host-tonearm_session": "s" * 43}) is not None

    def test_without_cookies_it_is_the_session(self, monkeypatch: pytest.MonkeyPatch) -> None:
        cloud(monkeypatch, "off")
        comes_from(monkeypatch, {})
        monkeypatch.setattr(st, "session_state", {})
        first = visitor.visitor()
        assert visitor.visitor() == first
        assert first.sees is not None
        monkeypatch.setattr(st, "session_state", {})
        assert visitor.visitor() != first

    def test_on_this_machine_everybody_sees_everything(self, monkeypatch: pytest.MonkeyPatch) -> None:
        cloud(monkeypatch, "off", "shared")
        assert visitor_of(ALICE, SECRET) == visitor_of({}, {}) == EVERYBODY

    @pytest.mark.parametrize(("name", "text"), [("TONEARM_SIGN_IN", "on"), ("TONEARM_HISTORY", "Shared")])
    def test_a_wrong_setting_opens_nothing(self, monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
        cloud(monkeypatch)
        monkeypatch.setenv(name, text)
        with pytest.raises(ValueError, match=name):
            visitor_of(ALICE, SECRET)


def owners_sent(running: Service, path: str) -> set[str | None]:
    """The owners in requests about recordings."""
    return {asked.headers.get("X-Tonearm-Owner") for asked in running.asked if asked.route.startswith(path)}


class TestPages:
    """Each request about recordings states the visitor, and it is not the browser that says who that is."""

    @pytest.fixture(autouse=True)
    def signed_in(self, monkeypatch: pytest.MonkeyPatch, catalogue: Catalogue) -> None:
        cloud(monkeypatch)
        comes_from(monkeypatch, ALICE)

    @pytest.fixture
    def alice(self) -> str:
        found = visitor_of(ALICE, {})
        assert found is not None
        return str(found.owner)

    def test_history_and_result(self, catalogue: Catalogue, alice: str) -> None:
        screen("history").run()
        page = screen("result", id=classification()["id"], owner="b" * 32).run()
        page.button(key="feedback-right").click().run()
        page.button(key=f"delete-for-good-{classification()['id']}").click().run()
        routes = {asked.route.split("/")[2] for asked in catalogue.asked}
        assert routes == {"results", "pictures", "feedback", "recordings"}
        assert owners_sent(catalogue, "/api/") == {alice}

    def test_shared_history_is_everybodys_and_deleting_is_not(
        self, monkeypatch: pytest.MonkeyPatch, catalogue: Catalogue, alice: str
    ) -> None:
        cloud(monkeypatch, history="shared")
        page = screen("result", id=classification()["id"]).run()
        assert owners_sent(catalogue, "/api/") == {None}
        page.button(key=f"delete-for-good-{classification()['id']}").click().run()
        assert [each.headers.get("X-Tonearm-Owner") for each in catalogue.asked if each.method == "DELETE"] == [alice]

    def test_who_is_not_signed_in_sees_no_page(self, monkeypatch: pytest.MonkeyPatch, catalogue: Catalogue) -> None:
        comes_from(monkeypatch, {}, SECRET)
        for page in (AppTest.from_file(MAIN, default_timeout=60).run(), screen("history").run()):
            assert [error.message for error in page.exception]
        assert not catalogue.asked

    def test_a_session_that_another_visitor_resumes_is_emptied(
        self, monkeypatch: pytest.MonkeyPatch, catalogue: Catalogue
    ) -> None:
        """Streamlit gives a session to whoever reconnects with its id, such as after a change of the account."""
        page = AppTest.from_file(MAIN, default_timeout=60).run()
        visit = page.session_state[classify_page.VISIT]
        page.session_state["of alice"] = True
        page.run()
        assert page.session_state[classify_page.VISIT] is visit
        comes_from(monkeypatch, BOB)
        page.run()
        assert "of alice" not in page.session_state
        assert page.session_state[classify_page.VISIT] is not visit
        bob = visitor_of(BOB, {})
        assert page.session_state[classify_page.VISIT].queue.visitor == bob

    def test_a_result_that_is_open_is_fetched_anew_for_another(
        self, monkeypatch: pytest.MonkeyPatch, catalogue: Catalogue
    ) -> None:
        """A dialog runs without main.py."""
        page = screen("result", id=classification()["id"]).run()
        assert page.header[0].value == "Jazz"
        comes_from(monkeypatch, BOB)
        catalogue.stored.clear()
        page.run()
        assert not page.header
        assert "There is no result at this address." in words(page)

    def test_files_of_another_are_not_moved_forward(
        self, monkeypatch: pytest.MonkeyPatch, catalogue: Catalogue
    ) -> None:
        """A fragment runs without main.py."""
        page = screen("classify").run()
        comes_from(monkeypatch, BOB)
        moved: list[object] = []
        monkeypatch.setattr(UploadQueue, "step", lambda *given: moved.append(given))
        with monkeypatch.context() as patch:
            patch.setattr(classify_page.st, "rerun", st.stop)
            page.run()
        assert moved == []
        comes_from(monkeypatch, ALICE)
        page.run()
        assert len(moved) == 1

    def test_about(self, monkeypatch: pytest.MonkeyPatch, catalogue: Catalogue) -> None:
        assert "Only you see your history" in words(screen("about").run())
        cloud(monkeypatch, "off")
        assert "Only this browser sees what it has uploaded" in words(screen("about").run())
        cloud(monkeypatch, history="shared")
        assert "Everybody who can open this page" in words(screen("about").run())


def test_the_queue_asks_for_its_visitor_in_its_threads(service: Service) -> None:
    queue = UploadQueue(Visitor(owner="alice", sees="alice"), Batch())
    with (MAIN.parent / "icon.svg").open("rb") as source:
        queue.batch.add_recording("microphone.wav", source, None)
        wait_until(lambda: [queue.step(None), queue.batch.only and queue.batch.only.result][1], "the result")
    assert owners_sent(service, "/api/uploads") | owners_sent(service, "/api/results") == {"alice"}


def test_a_client_for_nobody_asks_nothing_about_recordings(service: Service) -> None:
    client = Api(service.url).asking_for(None)
    assert client.limits()
    for ask in (client.result, client.preview_spectrogram, client.recording, client.delete, client.create_upload):
        with pytest.raises(RuntimeError, match="for whom"):
            ask("some/id.wav")
    with pytest.raises(RuntimeError, match="for whom"):
        client.results()
    assert service.paths() == ["/api/limits"]


def test_the_configured_client_is_for_nobody(catalogue: Catalogue) -> None:
    with pytest.raises(RuntimeError, match="for whom"):
        service().results()


class TestAudio:
    """The route that plays recordings is asked by browsers, not by the page."""

    @pytest.fixture
    def owned(self, monkeypatch: pytest.MonkeyPatch, service: Service) -> Service:
        """A service that has a recording of Alice's only."""
        cloud(monkeypatch)
        monkeypatch.setattr(upload_proxy, "_recordings", {})
        alice = visitor_of(ALICE, {})
        assert alice is not None
        answer, found = service.answer, Answer(200, recording("a.mp3", service.url))

        def for_alice(asked: object) -> Answer:
            if getattr(asked, "route", "") == "/api/recordings/a.mp3":
                is_alice = asked.headers.get("X-Tonearm-Owner") == alice.owner  # type: ignore[attr-defined]
                return found if is_alice else NOT_FOUND
            return answer(asked)  # type: ignore[arg-type]

        service.others["/blobs"] = Answer(200, b"audio", {"Content-Type": "audio/mpeg"})
        monkeypatch.setattr(service, "answer", for_alice)
        return service

    def play(self, headers: Mapping[str, str]) -> int:
        server = Starlette(routes=upload_proxy.routes())

        async def ask() -> int:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(server), base_url="http://page") as browser:
                return (await browser.get("/tonearm/audio/a.mp3", headers=headers)).status_code

        return asyncio.run(ask())

    def test_a_url_that_was_fetched_for_its_owner_plays_for_nobody_else(self, owned: Service) -> None:
        assert [self.play(headers) for headers in (BOB, ALICE, BOB, {}, ALICE)] == [404, 200, 404, 404, 200]


def test_a_deletion_that_fails_says_why(catalogue: Catalogue) -> None:
    page = screen("result", id=classification()["id"]).run()
    catalogue.down = True
    page.button(key=f"delete-for-good-{classification()['id']}").click().run()
    assert [error.value for error in page.error] == [api_errors.BUSY]


def test_what_is_not_ones_own_is_not_deleted(catalogue: Catalogue) -> None:
    page = screen("result", id=classification()["id"]).run()
    catalogue.stored.clear()
    page.button(key=f"delete-for-good-{classification()['id']}").click().run()
    assert [error.value for error in page.error] == ["It was deleted before, or is not yours."]
