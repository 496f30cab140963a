"""Every entrance of the running system, with good and bad input."""

import http.client
import json
from urllib.parse import quote, urlsplit
from uuid import uuid4

import httpx
import pytest

from tests.audio_samples import FORMATS, encode, music
from tests.e2e.conftest import Client
from tests.e2e.sounds import ACCEPTED, REFUSED, long_wav
from tonearm.constants import GENRES


@pytest.fixture(scope="module")
def formats() -> dict[str, bytes]:
    """The same music in every format."""
    return {name: encode(name, music(4.0, rate_hz), rate_hz, channels=2) for name, (_, _, rate_hz) in FORMATS.items()}


class TestSignedUrl:
    def test_from_upload_url_to_history(self, client: Client) -> None:
        sound = encode("flac", music(4.0))
        answer = client.http.post("/uploads", json={"filename": "../../Föhn & Söhne #1.flac"})
        assert answer.status_code == 201
        upload = answer.json()
        assert upload["id"].endswith("/Föhn & Söhne _1.flac")
        assert client.result(upload["id"]).status_code == 404
        put = httpx.put(upload["upload_url"], content=sound, headers=upload["upload_headers"])
        assert put.status_code == 201
        result = client.wait(upload["id"])
        assert httpx.get(upload["result_url"]).json() == result
        assert (result["id"], result["status"]) == (upload["id"], "done")
        assert sum(result["probabilities"].values()) == pytest.approx(1)
        prefix = upload["id"].partition("/")[0]
        (listed,) = client.http.get("/results", params={"prefix": prefix}).json()["results"]
        assert {key: listed[key] for key in ("id", "status", "genre", "confidence", "created_at")} == {
            key: result[key] for key in ("id", "status", "genre", "confidence", "created_at")
        }

    def test_owners_and_erasure(self, client: Client) -> None:
        alice, mallory = ({"X-Tonearm-Owner": name} for name in ("alice", "mallory"))
        upload = client.http.post("/uploads", json={"filename": "Föhn #1.wav"}, headers=alice).json()
        sound = encode("wav", music(4.0))
        assert httpx.put(upload["upload_url"], content=sound, headers=upload["upload_headers"]).status_code == 201
        result = urlsplit(upload["result_url"]).path.removeprefix("/api")
        recording = quote(f"/recordings/{upload['id']}")
        client.wait(upload["id"])
        assert client.http.get(result, headers=mallory).status_code == 404
        assert client.http.delete(recording, headers=mallory).status_code == 404
        assert client.http.get(recording, headers=alice).status_code == 200
        assert [client.http.delete(recording, headers=alice).status_code for _ in range(2)] == [204, 204]
        assert client.http.get(result, headers=alice).status_code == 404
        assert {"DELETE", "GET"} <= set(client.http.put(recording).headers["allow"].split(", "))

    def test_feedback_and_undo(self, client: Client, name: str) -> None:
        client.drop(name, encode("wav", music(3.0)))
        predicted = client.wait(name)["genre"]
        answer = client.http.post("/feedback", json={"result_id": name, "genre": "jazz"})
        assert (answer.status_code, answer.json()["predicted"], answer.json()["verified"]) == (200, predicted, True)
        assert client.http.get(f"/feedback/{name}").json() == answer.json()
        assert client.http.post("/feedback", json={"result_id": name, "genre": None}).status_code == 204
        assert client.http.get(f"/feedback/{name}").status_code == 404


@pytest.fixture(scope="module")
def dropped(client: Client, formats: dict[str, bytes]) -> str:
    """One folder of uploads with all the good, the bad and the awkward files."""
    folder = f"{uuid4().hex}/日本 語/"
    files = {name: content for name, (content, _, _) in REFUSED.items()} | ACCEPTED | formats
    for name, content in files.items():
        client.drop(folder + name, content)
    return folder


class TestBothEntrances:
    @pytest.mark.parametrize("name", REFUSED)
    def test_bad_files_are_refused_alike(self, client: Client, dropped: str, name: str) -> None:
        content, status, code = REFUSED[name]
        for answer in (client.classify(content), client.http.post("/classify", files={"file": (name, content)})):
            assert (answer.status_code, answer.json()["code"]) == (status, code)
            assert answer.headers["content-type"] == "application/problem+json"
        result = client.wait(dropped + name)
        assert (result["status"], result["problem"]["code"]) == ("failed", code)
        assert result["problem"]["detail"] == answer.json()["detail"]

    @pytest.mark.parametrize("name", ACCEPTED)
    def test_awkward_files_are_answered_alike(self, client: Client, dropped: str, name: str) -> None:
        direct = client.classify(ACCEPTED[name])
        assert direct.status_code == 200, direct.text
        result = client.wait(dropped + name)
        assert result["probabilities"] == direct.json()["probabilities"]
        assert result["audio"] == direct.json()["audio"]
        assert result["audio"]["damaged"] is (name in {"nan.wav", "inf.wav", "cut.flac"})

    @pytest.mark.parametrize("name", FORMATS)
    def test_every_format_gets_the_same_genre(
        self, client: Client, dropped: str, formats: dict[str, bytes], name: str
    ) -> None:
        result = client.wait(dropped + name)
        direct = client.classify(formats[name], **{"content-type": "application/x-www-form-urlencoded"}).json()
        form = client.http.post("/classify", files={"anything": ("../x", formats[name], "image/png")}).json()
        assert result["genre"] in GENRES
        assert result["probabilities"] == direct["probabilities"] == form["probabilities"]


class TestSize:
    def test_two_hours(self, client: Client, name: str) -> None:
        content = long_wav(music_s=60, silence_s=7140)
        client.drop(name, content)
        direct = client.classify(content)
        assert (direct.status_code, direct.json()["code"]) == (422, "too_long")
        result = client.wait(name)
        assert result["status"] == "done"
        assert result["audio"]["duration_s"] == pytest.approx(7200, abs=1)

    def test_a_body_too_large(self, client: Client) -> None:
        answer = client.classify(b"\0" * (64 * 2**20 + 1))
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
        assert client.classify(encode("wav", music(3.0))).status_code == 200


class TestAddresses:
    @pytest.mark.parametrize(
        ("path", "status"),
        [
            ("/results/..%2F..%2Fuploads%2Fa", {400, 404}),
            ("/results/a/../b", {400, 404}),
            ("/results/%2E%2E/feedback/a", {400, 404}),
            ("/results/..%5Cfeedback%5Ca", {400}),
            ("/results/a%00b", {400}),
            ("/results/%FF", {400, 404}),
            ("/results/" + "x" * 1020, {400}),
            ("/results/" + "%C3%BC" * 1019, {404}),
            ("/results/", {200, 400, 404}),
            ("/results?limit=0", {400}),
            ("/results?cursor=%FF", {400}),
            ("/nothing", {404}),
            ("/classify", {405}),
        ],
    )
    def test_paths_that_clients_would_tidy_up(self, client: Client, path: str, status: set[int]) -> None:
        connection = http.client.HTTPConnection(client.system.address, timeout=30)
        try:
            connection.request("GET", f"/api{path}")
            response = connection.getresponse()
            body = response.read()
        finally:
            connection.close()
        assert response.status in status, body
        if response.status != 200:
            assert json.loads(body)["code"] in {"bad_id", "bad_parameter", "not_found", "method_not_allowed"}

    @pytest.mark.parametrize("name", ["a b/ü#?%2F&=+.wav", "..wav", "a..b/...wav", "%2e%2e/x.wav", "'\"<>|.wav"])
    def test_odd_names(self, client: Client, name: str) -> None:
        name = f"{uuid4().hex}{name}"
        client.drop(name, encode("wav", music(2.0)))
        assert client.wait(name)["id"] == name


class TestTheRest:
    def test_health(self, client: Client) -> None:
        answer = client.http.get("/health")
        assert (answer.status_code, answer.json()["checks"]) == (200, {"storage": "ok", "models": "ok"})

    def test_model(self, client: Client) -> None:
        answer = client.http.get("/model")
        assert answer.status_code == 200
        assert answer.json()["labels"] == list(GENRES)

    def test_openapi(self, client: Client) -> None:
        assert client.http.get("/openapi.json").json()["openapi"] == "3.1.0"


def test_no_secret_is_in_the_log(client: Client) -> None:
    upload = client.http.post("/uploads").json()
    httpx.put(upload["upload_url"], content=b"x", headers=upload["upload_headers"])
    client.wait(upload["id"])
    log = client.system.log_path.read_text()
    assert upload["id"] in log
    assert "sig=" not in log
    assert "AccountKey=" not in log
