"""Every door of the running system, with good and bad input."""

import http.client
import json
from uuid import uuid4

import httpx
import pytest

from tests.audio_samples import FORMATS, encode, music
from tests.e2e.conftest import Doors
from tests.e2e.sounds import ACCEPTED, REFUSED, long_wav
from tonearm.constants import GENRES


@pytest.fixture(scope="module")
def formats() -> dict[str, bytes]:
    """The same music in every format."""
    return {name: encode(name, music(4.0, rate_hz), rate_hz, channels=2) for name, (_, _, rate_hz) in FORMATS.items()}


class TestSignedUrl:
    def test_from_ticket_to_history(self, doors: Doors) -> None:
        sound = encode("flac", music(4.0))
        answer = doors.http.post("/uploads", json={"filename": "../../Föhn & Söhne #1.flac"})
        assert answer.status_code == 201
        ticket = answer.json()
        assert ticket["id"].endswith("/Föhn & Söhne _1.flac")
        assert doors.result(ticket["id"]).status_code == 404
        put = httpx.put(ticket["upload_url"], content=sound, headers=ticket["upload_headers"])
        assert put.status_code == 201
        result = doors.wait(ticket["id"])
        assert httpx.get(ticket["result_url"]).json() == result
        assert (result["id"], result["status"]) == (ticket["id"], "done")
        assert sum(result["probabilities"].values()) == pytest.approx(1)
        prefix = ticket["id"].partition("/")[0]
        (listed,) = doors.http.get("/results", params={"prefix": prefix}).json()["results"]
        assert {key: listed[key] for key in ("id", "status", "genre", "confidence", "created_at")} == {
            key: result[key] for key in ("id", "status", "genre", "confidence", "created_at")
        }

    def test_feedback_and_undo(self, doors: Doors, name: str) -> None:
        doors.drop(name, encode("wav", music(3.0)))
        predicted = doors.wait(name)["genre"]
        said = doors.http.post("/feedback", json={"result_id": name, "genre": "jazz"})
        assert (said.status_code, said.json()["predicted"], said.json()["verified"]) == (200, predicted, True)
        assert doors.http.get(f"/feedback/{name}").json() == said.json()
        assert doors.http.post("/feedback", json={"result_id": name, "genre": None}).status_code == 204
        assert doors.http.get(f"/feedback/{name}").status_code == 404


@pytest.fixture(scope="module")
def dropped(doors: Doors, formats: dict[str, bytes]) -> str:
    """One folder of uploads with all the good, the bad and the awkward files."""
    folder = f"{uuid4().hex}/日本 語/"
    files = {name: content for name, (content, _, _) in REFUSED.items()} | ACCEPTED | formats
    for name, content in files.items():
        doors.drop(folder + name, content)
    return folder


class TestBothDoors:
    @pytest.mark.parametrize("name", REFUSED)
    def test_bad_files_are_refused_alike(self, doors: Doors, dropped: str, name: str) -> None:
        content, status, code = REFUSED[name]
        for answer in (doors.classify(content), doors.http.post("/classify", files={"file": (name, content)})):
            assert (answer.status_code, answer.json()["code"]) == (status, code)
            assert answer.headers["content-type"] == "application/problem+json"
        result = doors.wait(dropped + name)
        assert (result["status"], result["problem"]["code"]) == ("failed", code)
        assert result["problem"]["detail"] == answer.json()["detail"]

    @pytest.mark.parametrize("name", ACCEPTED)
    def test_awkward_files_are_answered_alike(self, doors: Doors, dropped: str, name: str) -> None:
        direct = doors.classify(ACCEPTED[name])
        assert direct.status_code == 200, direct.text
        result = doors.wait(dropped + name)
        assert result["probabilities"] == direct.json()["probabilities"]
        assert result["audio"] == direct.json()["audio"]
        assert result["audio"]["damaged"] is (name in {"nan.wav", "inf.wav", "cut.flac"})

    @pytest.mark.parametrize("name", FORMATS)
    def test_every_format_gets_the_same_genre(
        self, doors: Doors, dropped: str, formats: dict[str, bytes], name: str
    ) -> None:
        result = doors.wait(dropped + name)
        direct = doors.classify(formats[name], **{"content-type": "application/x-www-form-urlencoded"}).json()
        form = doors.http.post("/classify", files={"anything": ("../x", formats[name], "image/png")}).json()
        assert result["genre"] in GENRES
        assert result["probabilities"] == direct["probabilities"] == form["probabilities"]


class TestSize:
    def test_two_hours(self, doors: Doors, name: str) -> None:
        content = long_wav(music_s=60, silence_s=7140)
        doors.drop(name, content)
        direct = doors.classify(content)
        assert (direct.status_code, direct.json()["code"]) == (422, "too_long")
        result = doors.wait(name)
        assert result["status"] == "done"
        assert result["audio"]["duration_s"] == pytest.approx(7200, abs=1)

    def test_a_body_too_large(self, doors: Doors) -> None:
        answer = doors.classify(b"\0" * (64 * 2**20 + 1))
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
        assert doors.classify(encode("wav", music(3.0))).status_code == 200


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
    def test_paths_that_clients_would_tidy_up(self, doors: Doors, path: str, status: set[int]) -> None:
        connection = http.client.HTTPConnection(doors.system.address, timeout=30)
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
    def test_odd_names(self, doors: Doors, name: str) -> None:
        name = f"{uuid4().hex}{name}"
        doors.drop(name, encode("wav", music(2.0)))
        assert doors.wait(name)["id"] == name


class TestTheRest:
    def test_health(self, doors: Doors) -> None:
        answer = doors.http.get("/health")
        assert (answer.status_code, answer.json()["checks"]) == (200, {"storage": "ok", "models": "ok"})

    def test_model(self, doors: Doors) -> None:
        answer = doors.http.get("/model")
        assert answer.status_code == 200
        assert answer.json()["labels"] == list(GENRES)

    def test_openapi(self, doors: Doors) -> None:
        assert doors.http.get("/openapi.json").json()["openapi"] == "3.1.0"


def test_no_secret_is_in_the_log(doors: Doors) -> None:
    ticket = doors.http.post("/uploads").json()
    httpx.put(ticket["upload_url"], content=b"x", headers=ticket["upload_headers"])
    doors.wait(ticket["id"])
    log = doors.system.log_path.read_text()
    assert ticket["id"] in log
    assert "sig=" not in log
    assert "AccountKey=" not in log
