import hashlib
import io
import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs

import pytest

import frontend
from frontend import api, api_errors
from frontend.api import Api, ApiError, Pending, Upload
from functions.json_http import read_json
from functions.upload_urls import UploadRequest
from tests.frontend.fakes import LIMITS, SECRET, Answer, Service, done, problem

CONTRIBUTOR = "a contributor's secret of many signs"


def upload_to(service: Service, url: str | None = None) -> Upload:
    return Upload(
        id="id",
        url=url or f"{service.url}/uploads/id?sig={SECRET}",
        headers={"x-ms-blob-type": "BlockBlob"},
        max_bytes=10_000_000,
        expires=datetime.now(UTC),
    )


def test_upload_and_result(service: Service) -> None:
    content = bytes(range(256)) * 10_000
    with Api(service.url, "k3y") as client:
        upload = client.create_upload("a song.wav")
        source = io.BytesIO(content)
        source.seek(99)
        client.put(upload, source)
        assert client.result(upload.id) == Pending(api.MIN_RETRY_AFTER_S)
        assert client.result(upload.id) == done()

    assert upload.expires == datetime(2100, 11, 1, 12, 15, tzinfo=UTC)
    assert upload.max_bytes == service.max_bytes
    post, put, first_get, second_get = service.asked
    assert (post.path, post.body) == ("/api/uploads", b'{"filename":"a song.wav"}')
    assert put.body == content
    assert put.headers["x-ms-blob-type"] == "BlockBlob"
    assert put.headers["Content-Type"] == "audio/x-wav"
    assert put.headers["Content-Length"] == str(len(content))
    assert "UploadSession-Encoding" not in put.headers
    assert first_get.path == second_get.path == "/api/results/a%20song.wav"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a.wav", {"filename": "a.wav"}),
        ("live/disc 1/01.mp3", {"filename": "01.mp3", "folder": "live/disc 1"}),
        ("/01.mp3", {"filename": "01.mp3"}),
        (f"{'x' * 5000}/z/01.mp3", {"filename": "01.mp3", "folder": f"{'x' * 1022}/z"}),
    ],
)
def test_the_service_gets_the_files_folders(service: Service, path: str, expected: dict[str, str]) -> None:
    with Api(service.url) as client:
        client.create_upload(path)
    assert json.loads(service.asked[0].body) == expected
    read_json(service.asked[0].body, UploadRequest)


def test_key_goes_to_the_service_and_not_to_the_storage(service: Service) -> None:
    with Api(service.url, "k3y") as client:
        client.put(client.create_upload("a.wav"), io.BytesIO(b"a"))
        client.result("id")
    keys = {asked.method: asked.headers.get("x-functions-key") for asked in service.asked}
    assert keys == {"POST": "k3y", "PUT": None, "GET": "k3y"}


def test_signed_urls_are_in_no_log(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with Api(service.url, "k3y") as client:
        upload = client.create_upload("a.wav")
        client.put(upload, io.BytesIO(b"a"))
    logging.getLogger("tests").debug("a record, so that the test is seen to capture: %r", upload)
    assert "a record" in caplog.text
    assert SECRET not in caplog.text
    assert "k3y" not in caplog.text


def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(
    service: Service, away_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, away_url)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with Api(service.url) as client:
        client.put(client.create_upload("a.wav"), io.BytesIO(b"a"))
    assert service.paths("PUT")


@pytest.mark.parametrize(
    ("header", "expected_s"),
    [
        ({"Retry-After": "7"}, 7),
        ({"Retry-After": "0"}, api.MIN_RETRY_AFTER_S),
        ({"Retry-After": "-5"}, api.MIN_RETRY_AFTER_S),
        ({"Retry-After": "86400"}, api.MAX_RETRY_AFTER_S),
        ({"Retry-After": "nan"}, api.DEFAULT_RETRY_AFTER_S),
        ({"Retry-After": "Sun, 01 Nov 2026 12:00:00 GMT"}, api.DEFAULT_RETRY_AFTER_S),
        ({}, api.DEFAULT_RETRY_AFTER_S),
    ],
)
def test_retry_after(service: Service, header: dict[str, str], expected_s: float) -> None:
    service.results = [Answer(202, {"id": "id", "status": "pending"}, header)]
    with Api(service.url) as client:
        assert client.result("id") == Pending(expected_s)


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (Answer(401), api_errors.BAD_KEY),
        (Answer(403, b"<html>Site stopped</html>", {"Content-Type": "text/html"}), api_errors.REFUSED),
        (Answer(404, b"nginx", {"Content-Type": "text/html"}), api_errors.NOT_TONEARM),
        (Answer(413), api_errors.TOO_LARGE),
        (Answer(429), api_errors.BUSY),
        (problem(503, "storage_unavailable", "Storage does not answer", "internal words"), api_errors.STORAGE_AWAY),
        (problem(500, "internal", "Error", "Traceback in /home/site"), api_errors.INTERNAL),
        (problem(413, "too_large", "The file is too large", "Send less."), "The file is too large. Send less."),
        (problem(400, "bad_filename", "The name is no file name", ""), "The name is no file name."),
        (Answer(400, b"{", {"Content-Type": "application/problem+json"}), api_errors.NOT_TONEARM),
        (Answer(302, b"", {"Location": "https://login.example"}), api_errors.NOT_TONEARM),
        (Answer(201, b"hello"), api_errors.NOT_TONEARM),
        (Answer(201, {"id": "x"}), api_errors.NOT_TONEARM),
        (
            Answer(201, {"id": "x", "upload_url": "y", "upload_headers": {}, "max_bytes": 1, "expires_at": "soon"}),
            api_errors.NOT_TONEARM,
        ),
    ],
)
def test_a_refused_upload_is_a_sentence(service: Service, answer: Answer, sentence: str) -> None:
    service.upload = answer
    with Api(service.url) as client, pytest.raises(ApiError) as caught:
        client.create_upload("a.wav")
    assert str(caught.value) == sentence


def test_a_result_of_another_version_is_refused(service: Service) -> None:
    service.results = [Answer(200, done(schema="tonearm.result/2"))]
    with Api(service.url) as client, pytest.raises(ApiError) as caught:
        client.result("id")
    assert str(caught.value) == api_errors.NOT_TONEARM


def test_limits(service: Service) -> None:
    with Api(service.url) as client:
        assert client.limits() == LIMITS


def test_history_filters(service: Service) -> None:
    summary = {"id": "a/b.wav", "status": "done", "genre": "jazz"}
    service.others["/api/results"] = Answer(200, {"results": [summary], "next_cursor": "more"})
    with Api(service.url) as client:
        page = client.results()
        client.results(cursor="x=y", limit=7, search="früh & spät", genre="jazz", uncertain=False, status="done")
    assert page == ([summary], "more")
    bare, full = (parse_qs(path.partition("?")[2]) for path in service.paths("GET"))
    assert bare == {"limit": ["50"]}
    assert full == {
        "cursor": ["x=y"],
        "limit": ["7"],
        "search": ["früh & spät"],
        "genre": ["jazz"],
        "uncertain": ["false"],
        "status": ["done"],
    }


def test_spectrogram_feedback_and_recording(service: Service) -> None:
    spectrogram = {"schema": "tonearm.picture/1", "id": "a b.wav", "levels": "AAAA"}
    feedback = {"result_id": "a b.wav", "genre": "blues"}
    recording = {"id": "a b.wav", "url": f"http://storage/a?sig={SECRET}", "expires_at": "2100-01-01T00:00:00Z"}
    service.others |= {
        "/api/pictures/a b.wav": Answer(200, spectrogram),
        "/api/feedback/a b.wav": Answer(200, feedback),
        "/api/recordings/a b.wav": Answer(200, recording | {"size_bytes": 7, "content_type": "audio/wav"}),
    }
    with Api(service.url) as client:
        assert client.preview_spectrogram("a b.wav") == spectrogram
        assert client.feedback("a b.wav", CONTRIBUTOR) == "blues"
        assert service.asked[-1].query == {"contributor": hashlib.sha256(CONTRIBUTOR.encode()).hexdigest()[:32]}
        found = client.recording("a b.wav")
    assert found is not None
    assert found.id == "a b.wav"
    assert found.url == recording["url"]
    assert (found.expires, found.size_bytes) == (datetime(2100, 1, 1, tzinfo=UTC), 7)
    assert SECRET not in repr(found)


def feedback(client: Api, result_id: str) -> str | None:
    return client.feedback(result_id, CONTRIBUTOR)


@pytest.mark.parametrize("ask", [Api.preview_spectrogram, feedback, Api.recording])
class TestWhatMayNotBeThere:
    def test_none(self, service: Service, ask: Callable[[Api, str], object]) -> None:
        with Api(service.url) as client:
            assert ask(client, "a") is None

    def test_another_404_is_no_answer(self, service: Service, ask: Callable[[Api, str], object]) -> None:
        service.others = dict.fromkeys(
            ("/api/pictures/a", "/api/feedback/a", "/api/recordings/a"), Answer(404, b"nginx")
        )
        with Api(service.url) as client, pytest.raises(ApiError) as caught:
            ask(client, "a")
        assert str(caught.value) == api_errors.NOT_TONEARM

    def test_away(self, away_url: str, ask: Callable[[Api, str], object]) -> None:
        with Api(away_url) as client, pytest.raises(ApiError, match="does not answer"):
            ask(client, "a")


def test_feedback_is_given_and_withdrawn(service: Service) -> None:
    with Api(service.url) as client:
        service.upload = Answer(200, {"result_id": "a", "genre": "blues"})
        client.give_feedback("a", "blues", CONTRIBUTOR)
        service.upload = Answer(204)
        client.give_feedback("a", None, CONTRIBUTOR)
        service.upload = problem(409, "not_done", "No result yet", "Wait.")
        with pytest.raises(ApiError, match=r"^No result yet\. Wait\.$"):
            client.give_feedback("a", "rock", CONTRIBUTOR)
    bodies = [json.loads(asked.body) for asked in service.asked]
    given = {"result_id": "a", "contributor": CONTRIBUTOR}
    assert bodies == [given | {"genre": genre} for genre in ("blues", None, "rock")]


@pytest.mark.parametrize(
    ("path", "body", "ask"),
    [
        ("/api/limits", {"formats": []}, Api.limits),
        ("/api/model", {"version": "1"}, Api.model),
        ("/api/results", {"results": []}, Api.results),
        ("/api/pictures/a", {"schema": "tonearm.picture/2"}, lambda client: client.preview_spectrogram("a")),
        ("/api/recordings/a", {"id": "a"}, lambda client: client.recording("a")),
        ("/api/limits", b"<html>", Api.limits),
    ],
)
def test_answers_of_another_version(
    service: Service, path: str, body: dict[str, object], ask: Callable[[Api], object]
) -> None:
    service.others[path] = Answer(200, body)
    with Api(service.url) as client, pytest.raises(ApiError) as caught:
        ask(client)
    assert str(caught.value) == api_errors.NOT_TONEARM


def test_service_away(away_url: str) -> None:
    with Api(away_url) as client, pytest.raises(ApiError) as caught:
        client.create_upload("a.wav")
    assert str(caught.value) == api_errors.AWAY
    assert caught.value.temporary


@pytest.mark.parametrize("address", ["", "tonearm", "ftp://127.0.0.1", "http://[::1", "http://127.0.0.1:port"])
def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(ApiError) as caught, Api(address) as client:
        client.create_upload("a.wav")
    assert str(caught.value) == api_errors.BAD_ADDRESS


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (Answer(403, b"<Error><Code>AuthenticationFailed</Code></Error>"), api_errors.LINK_EXPIRED),
        (Answer(413), api_errors.TOO_LARGE),
        (Answer(500), api_errors.STORAGE_REFUSED),
        (Answer(302, b"", {"Location": "https://login.example"}), api_errors.STORAGE_REFUSED),
    ],
)
def test_what_the_storage_refuses(service: Service, answer: Answer, sentence: str) -> None:
    service.put = answer
    with Api(service.url) as client, pytest.raises(ApiError) as caught:
        client.put(upload_to(service), io.BytesIO(b"a"))
    assert str(caught.value) == sentence
    assert caught.value.status == answer.status


@pytest.mark.parametrize("path", ["/uploads/id?sig=" + SECRET, ":port/uploads"])
def test_storage_away(service: Service, away_url: str, path: str) -> None:
    with Api(service.url) as client, pytest.raises(ApiError) as caught:
        client.put(upload_to(service, away_url + path), io.BytesIO(b"a"))
    assert str(caught.value) == api_errors.STORAGE_AWAY
    assert caught.value.__cause__ is None


def test_a_file_over_the_limit_is_not_sent(service: Service) -> None:
    service.max_bytes = 2 * 1024 * 1024
    with Api(service.url) as client:
        upload = client.create_upload("a.wav")
        with pytest.raises(ApiError) as caught:
            client.put(upload, io.BytesIO(bytes(service.max_bytes + 1)))
    assert str(caught.value).startswith("The file has 3 MB. The service accepts up to 2 MB.")
    assert not service.paths("PUT")


def test_the_page_knows_nothing_behind_the_api() -> None:
    modules = list(Path(frontend.__file__).parent.rglob("*.py"))
    assert len(modules) >= 20
    for module in modules:
        text = module.read_text()
        for package in ("tonearm", "functions", "local", "training"):
            assert f"import {package}" not in text, module
            assert f"from {package}" not in text, module
