import io
import logging
from pathlib import Path

import pytest

import frontend
from frontend import api
from frontend.api import Api, ApiError, Pending, Upload
from tests.frontend.conftest import PENDING, SECRET, Answer, Service, done, problem


class Stream(io.BytesIO):
    """A file that cannot be read whole."""

    def read(self, size: int | None = -1, /) -> bytes:
        assert size is not None
        assert 0 < size <= api.CHUNK_BYTES, "read at once"
        return super().read(size)

    def getvalue(self) -> bytes:
        pytest.fail("copied whole")


def upload_to(service: Service, url: str | None = None) -> Upload:
    return Upload("id", url or f"{service.url}/uploads/id?sig={SECRET}", {"x-ms-blob-type": "BlockBlob"}, 10_000_000)


def test_upload_wait_result(service: Service) -> None:
    shares: list[float] = []
    content = bytes(range(256)) * 10_000
    with Api(service.url, "k3y") as client:
        upload = client.create_upload("a song.wav")
        source = Stream(content)
        source.seek(99)
        client.put(upload, source, shares.append)
        result = client.wait(upload.id, limit_s=60, on_wait=lambda _: None)

    assert result == done()
    post, put, first_get, second_get = service.asked
    assert (post.path, post.body) == ("/api/uploads", b'{"filename":"a song.wav"}')
    assert put.body == content
    assert put.headers["x-ms-blob-type"] == "BlockBlob"
    assert put.headers["Content-Type"] == "audio/x-wav"
    assert put.headers["Content-Length"] == str(len(content))
    assert "Transfer-Encoding" not in put.headers
    assert first_get.path == second_get.path == "/api/results/some/id.wav"
    assert shares == sorted(shares)
    assert len(shares) == 3
    assert shares[-1] == 1.0


def test_key_goes_to_the_service_and_not_to_the_storage(service: Service) -> None:
    with Api(service.url, "k3y") as client:
        client.put(client.create_upload("a.wav"), io.BytesIO(b"a"), lambda _: None)
        client.result("id")
    keys = {asked.method: asked.headers.get("x-functions-key") for asked in service.asked}
    assert keys == {"POST": "k3y", "PUT": None, "GET": "k3y"}


def test_no_key_no_header(service: Service) -> None:
    with Api(service.url) as client:
        client.result("id")
    assert "x-functions-key" not in service.asked[0].headers


def test_a_trailing_slash_in_the_address_does_no_harm(service: Service) -> None:
    with Api(service.url + "/") as client:
        client.create_upload("a.wav")
    assert service.paths("POST") == ["/api/uploads"]


def test_result_ids_are_quoted(service: Service) -> None:
    with Api(service.url) as client:
        client.result("früh/a b?#%.wav")
    assert service.paths("GET") == ["/api/results/fr%C3%BCh/a%20b%3F%23%25.wav"]


def test_signed_urls_are_in_no_log(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with Api(service.url, "k3y") as client:
        upload = client.create_upload("a.wav")
        client.put(upload, io.BytesIO(b"a"), lambda _: None)
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
        client.put(client.create_upload("a.wav"), io.BytesIO(b"a"), lambda _: None)
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


def test_wait_pauses_as_long_as_asked(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses_s: list[float] = []
    monkeypatch.setattr("time.sleep", pauses_s.append)
    service.results = [Answer(202, {}, {"Retry-After": "7"}), Answer(202, {}, {"Retry-After": "3"}), *service.results]
    with Api(service.url) as client:
        assert client.wait("id", limit_s=1000, on_wait=lambda _: None) == done()
    assert pauses_s == [7, 3, api.MIN_RETRY_AFTER_S]


def test_wait_ends_at_its_limit(service: Service) -> None:
    service.results = [Answer(202, {}, {"Retry-After": "30"})]
    waited_s: list[float] = []
    with Api(service.url) as client:
        assert client.wait("id", limit_s=0.2, on_wait=waited_s.append) is None
    assert len(service.asked) == 2
    assert len(waited_s) == 1


def test_wait_rides_out_passing_faults(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "DEFAULT_RETRY_AFTER_S", 0.01)
    many = [Answer(503)] * api.MAX_FAULTS_IN_A_ROW
    service.results = [Answer(500), PENDING, *many, PENDING, *many, Answer(200, done())]
    with Api(service.url) as client:
        assert client.wait("id", limit_s=60, on_wait=lambda _: None) == done()


def test_wait_gives_up_on_faults_that_stay(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "DEFAULT_RETRY_AFTER_S", 0.01)
    service.results = [Answer(503)]
    with Api(service.url) as client, pytest.raises(ApiError) as caught:
        client.wait("id", limit_s=60, on_wait=lambda _: None)
    assert str(caught.value) == api.BUSY
    assert len(service.asked) == api.MAX_FAULTS_IN_A_ROW + 1


def test_wait_does_not_repeat_what_cannot_pass(service: Service) -> None:
    service.results = [Answer(404)]
    with Api(service.url) as client, pytest.raises(ApiError) as caught:
        client.wait("id", limit_s=60, on_wait=lambda _: None)
    assert str(caught.value) == api.UNKNOWN_RESULT
    assert caught.value.status == 404
    assert len(service.asked) == 1


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (Answer(401), api.BAD_KEY),
        (problem(401, "unauthorized", "No key", "internal words"), api.BAD_KEY),
        (Answer(403, b"<html>Site stopped</html>", {"Content-Type": "text/html"}), api.REFUSED),
        (Answer(404, b"nginx", {"Content-Type": "text/html"}), api.NOT_TONEARM),
        (Answer(413), api.TOO_LARGE),
        (Answer(429), api.BUSY),
        (problem(503, "busy", "Busy", "internal words"), api.BUSY),
        (problem(500, "internal", "Fault", "Traceback in /home/site"), api.FAULT),
        (problem(413, "too_large", "The file is too large", "Send less."), "The file is too large. Send less."),
        (problem(400, "bad_filename", "The name is no file name", ""), "The name is no file name."),
        (Answer(400, b"{", {"Content-Type": "application/problem+json"}), api.NOT_TONEARM),
        (Answer(400, b"{}", {"Content-Type": "application/problem+json"}), api.NOT_TONEARM),
        (Answer(200, b"hello"), api.NOT_TONEARM),
        (Answer(302, b"", {"Location": "https://login.example"}), api.NOT_TONEARM),
        (Answer(201, b"hello"), api.NOT_TONEARM),
        (Answer(201, b"[]"), api.NOT_TONEARM),
        (Answer(201, {"id": "x"}), api.NOT_TONEARM),
        (
            Answer(201, {"id": "x", "upload_url": "y", "upload_headers": 7, "max_bytes": 1}),
            api.NOT_TONEARM,
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
    assert str(caught.value) == api.NOT_TONEARM


def test_service_away(away_url: str) -> None:
    with Api(away_url) as client, pytest.raises(ApiError) as caught:
        client.create_upload("a.wav")
    assert str(caught.value) == api.AWAY
    assert caught.value.passing


@pytest.mark.parametrize("address", ["", "tonearm", "ftp://127.0.0.1", "http://[::1", "http://127.0.0.1:port"])
def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(ApiError) as caught, Api(address) as client:
        client.create_upload("a.wav")
    assert str(caught.value) == api.BAD_ADDRESS


def test_a_key_that_no_header_can_hold(service: Service) -> None:
    with pytest.raises(ApiError) as caught, Api(service.url, "k€y") as client:
        client.create_upload("a.wav")
    assert str(caught.value) == api.BAD_KEY


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (Answer(403, b"<Error><Code>AuthenticationFailed</Code></Error>"), api.LINK_EXPIRED),
        (Answer(401), api.LINK_EXPIRED),
        (Answer(413), api.TOO_LARGE),
        (Answer(409), api.STORAGE_FAULT),
        (Answer(500), api.STORAGE_FAULT),
        (Answer(302, b"", {"Location": "https://login.example"}), api.STORAGE_FAULT),
    ],
)
def test_what_the_storage_refuses(service: Service, answer: Answer, sentence: str) -> None:
    service.put = answer
    with Api(service.url) as client, pytest.raises(ApiError) as caught:
        client.put(upload_to(service), io.BytesIO(b"a"), lambda _: None)
    assert str(caught.value) == sentence
    assert caught.value.status == answer.status


@pytest.mark.parametrize("path", ["/uploads/id?sig=" + SECRET, ":port/uploads"])
def test_storage_away(service: Service, away_url: str, path: str) -> None:
    with Api(service.url) as client, pytest.raises(ApiError) as caught:
        client.put(upload_to(service, away_url + path), io.BytesIO(b"a"), lambda _: None)
    assert str(caught.value) == api.STORAGE_AWAY
    assert caught.value.__cause__ is None


def test_a_file_over_the_limit_is_not_sent(service: Service) -> None:
    service.max_bytes = 2 * 1024 * 1024
    with Api(service.url) as client:
        upload = client.create_upload("a.wav")
        with pytest.raises(ApiError) as caught:
            client.put(upload, io.BytesIO(bytes(service.max_bytes + 1)), lambda _: None)
    assert str(caught.value).startswith("The file has 3 MB, and the service takes up to 2 MB. Send")
    assert not service.paths("PUT")


def test_a_file_of_exactly_the_limit_and_an_empty_one_are_sent(service: Service) -> None:
    service.max_bytes = 3
    with Api(service.url) as client:
        client.put(client.create_upload("a.wav"), io.BytesIO(b"abc"), lambda _: None)
        client.put(client.create_upload("b.wav"), io.BytesIO(b""), lambda _: None)
    assert [asked.body for asked in service.asked if asked.method == "PUT"] == [b"abc", b""]


def test_what_the_progress_raises_ends_the_upload(service: Service) -> None:
    def stop(_: float) -> None:
        raise KeyboardInterrupt

    with Api(service.url) as client:
        upload = client.create_upload("a.wav")
        with pytest.raises(KeyboardInterrupt):
            client.put(upload, io.BytesIO(bytes(3_000_000)), stop)


def test_the_page_knows_nothing_behind_the_api() -> None:
    modules = list(Path(frontend.__file__).parent.glob("*.py"))
    assert len(modules) >= 4
    for module in modules:
        text = module.read_text()
        for package in ("tonearm", "functions", "local", "training"):
            assert f"import {package}" not in text, module
            assert f"from {package}" not in text, module
