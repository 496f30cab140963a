"""``POST /api/feedback`` and reading it back."""

import json
import secrets
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from azure.storage.blob import BlobServiceClient, ContainerClient
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st

from functions.json_http import MAX_JSON_BYTES
from tests.functions.client import JSON as JSON_TYPE
from tests.functions.client import Client, wav

DIRECT = "direct-" + "0" * 32


@pytest.fixture
def answered(client: Client, uploads: ContainerClient) -> dict[str, Any]:
    """The result of an upload."""
    name = f"{uuid4().hex}/ü 1.wav"
    uploads.upload_blob(name, wav())
    client.uploaded(name)
    return dict(client.result(name).json)


def other_than(genre: str) -> str:
    return "jazz" if genre != "jazz" else "rock"


class TestOnAStoredResult:
    def test_it_is_stored_with_the_prediction(
        self, client: Client, blob_service: BlobServiceClient, answered: dict[str, Any]
    ) -> None:
        genre = other_than(answered["genre"])
        answer = client.give_feedback(result_id=answered["id"], genre=genre)
        assert answer.status == 200
        assert answer.json == {
            "schema": "tonearm.feedback/1",
            "result_id": answered["id"],
            "model_version": answered["model_version"],
            "predicted": answered["genre"],
            "genre": genre,
            "verified": True,
            "created_at": answer.json["created_at"],
        }
        assert client.feedback(answered["id"]).json == answer.json
        blob = blob_service.get_blob_client("feedback", f"{answered['id']}.json")
        assert json.loads(blob.download_blob().readall()) == answer.json
        assert blob.get_blob_properties().content_settings.content_type == "application/json"

    def test_the_clients_prediction_is_ignored(self, client: Client, answered: dict[str, Any]) -> None:
        claimed = other_than(answered["genre"])
        answer = client.give_feedback(result_id=answered["id"], genre="pop", predicted=claimed, model_version="mine")
        assert answer.json["predicted"] == answered["genre"]
        assert answer.json["model_version"] == answered["model_version"]

    def test_newer_feedback_replaces_older(self, client: Client, answered: dict[str, Any]) -> None:
        for genre in ("jazz", "metal"):
            client.give_feedback(result_id=answered["id"], genre=genre)
        assert client.feedback(answered["id"]).json["genre"] == "metal"

    def test_delete(self, client: Client, answered: dict[str, Any]) -> None:
        client.give_feedback(result_id=answered["id"], genre="jazz")
        for _ in range(2):
            answer = client.give_feedback(result_id=answered["id"], genre=None)
            assert (answer.status, answer.body) == (204, b"")
            assert client.feedback(answered["id"]).code == "not_found"

    def test_delete_when_the_result_is_gone(
        self, client: Client, answered: dict[str, Any], uploads: ContainerClient, results: ContainerClient
    ) -> None:
        client.give_feedback(result_id=answered["id"], genre="jazz")
        uploads.delete_blob(answered["id"])
        results.delete_blob(f"{answered['id']}.json")
        assert client.give_feedback(result_id=answered["id"], genre="jazz").status == 404
        assert client.give_feedback(result_id=answered["id"], genre=None).status == 204
        assert client.feedback(answered["id"]).status == 404

    def test_unknown(self, client: Client) -> None:
        answer = client.give_feedback(result_id="no/such.wav", genre="jazz")
        assert (answer.status, answer.code) == (404, "not_found")

    def test_pending_and_failed(self, client: Client, uploads: ContainerClient) -> None:
        name = f"{uuid4().hex}/a.wav"
        uploads.upload_blob(name, wav(0.3))
        pending = client.give_feedback(result_id=name, genre="jazz")
        assert (pending.status, pending.code) == (409, "not_done")
        client.uploaded(name)
        failed = client.give_feedback(result_id=name, genre="jazz")
        assert (failed.status, failed.code) == (409, "not_done")
        assert client.feedback(name).status == 404


class TestOnADirectResult:
    def test_the_client_sends_the_prediction(self, client: Client) -> None:
        result = client.classify(wav()).json
        answer = client.give_feedback(
            result_id=result["id"], genre="jazz", predicted=result["genre"], model_version=result["model_version"]
        )
        assert answer.status == 200
        assert answer.json["verified"] is False
        assert client.feedback(result["id"]).json == answer.json

    @pytest.mark.parametrize("given_facts", [{}, {"predicted": "jazz"}, {"model_version": "1"}])
    def test_and_must_send_it(self, client: Client, given_facts: dict[str, str]) -> None:
        result_id = client.classify(wav()).json["id"]
        answer = client.give_feedback(result_id=result_id, genre="jazz", **given_facts)
        assert (answer.status, answer.code) == (400, "bad_request")
        assert "predicted" in answer.json["detail"]

    def test_an_id_that_is_not_ours(self, client: Client, blob_service: BlobServiceClient) -> None:
        ours = client.classify(wav()).json["id"]
        last = "0" if ours[-1] != "0" else "1"
        for result_id in (DIRECT, ours[:-1] + last, ours.upper(), ours + "0"):
            answer = client.give_feedback(result_id=result_id, genre="jazz", predicted="pop", model_version="1")
            assert (answer.status, answer.code) == (404, "not_found")
            assert not blob_service.get_blob_client("feedback", f"{result_id}.json").exists()

    def test_an_upload_may_have_such_a_name(self, client: Client, uploads: ContainerClient) -> None:
        uploads.upload_blob(DIRECT, wav(), overwrite=True)
        client.uploaded(DIRECT)
        assert client.give_feedback(result_id=DIRECT, genre="jazz").json["verified"] is True
        uploads.delete_blob(DIRECT)


class TestContributors:
    def test_each_has_one_feedback_which_only_they_change(
        self, client: Client, blob_service: BlobServiceClient, answered: dict[str, Any]
    ) -> None:
        one, other = ({"contributor": secrets.token_urlsafe(16)} for _ in range(2))
        give = partial(client.give_feedback, result_id=answered["id"])
        answers = [give(genre=genre, **who).json for genre, who in (("jazz", one), ("pop", other), ("metal", {}))]
        ids = [answer.get("contributor") for answer in answers]
        assert len(set(ids)) == 3
        assert ids[2] is None
        assert give(genre="rock", **one).json["contributor"] == ids[0], "the same contributor again"
        assert give(genre=None, **other).status == 204

        def read(contributor: str) -> Any:
            query = {"contributor": contributor}
            return client.call("get_feedback", "feedback/…", params={"id": answered["id"]}, query=query)

        assert read(ids[0]).json["genre"] == "rock"
        assert read(ids[1]).code == "not_found"
        assert client.feedback(answered["id"]).json["genre"] == "metal"

        container = blob_service.get_container_client("feedback")
        blobs = [container.download_blob(name).readall() for name in container.list_blob_names()]
        counted = [json.loads(blob) for blob in blobs if answered["id"] in json.loads(blob)["result_id"]]
        assert sorted((each["genre"], each.get("contributor")) for each in counted) == [
            ("metal", None),
            ("rock", ids[0]),
        ]
        assert not any(one["contributor"].encode() in blob for blob in blobs), "secrets are not stored"

    def test_the_longest_id(self, client: Client, results: ContainerClient, answered: dict[str, Any]) -> None:
        longest = "a" * 1019
        blob = results.get_blob_client(f"{answered['id']}.json").download_blob()
        metadata = blob.properties.metadata
        results.upload_blob(f"{longest}.json", blob.readall(), metadata=metadata, overwrite=True)
        answer = client.give_feedback(result_id=longest, genre="jazz", contributor="x" * 22)
        assert (answer.status, answer.json["result_id"]) == (200, longest)

    @pytest.mark.parametrize("contributor", ["", "alice", "x" * 21, "x" * 129])
    def test_a_secret_that_can_be_guessed_is_refused(self, client: Client, contributor: str) -> None:
        answer = client.give_feedback(result_id="a", genre="jazz", contributor=contributor)
        assert (answer.status, answer.code) == (400, "bad_request")
        assert answer.json["detail"].startswith("contributor: ")

    @pytest.mark.parametrize("contributor", ["", "0" * 31, "0" * 33, "../" + "0" * 29, "A" * 32])
    def test_what_is_no_contributor(self, client: Client, contributor: str) -> None:
        answer = client.call("get_feedback", "feedback/…", params={"id": "a"}, query={"contributor": contributor})
        assert (answer.status, answer.code) == (400, "bad_parameter")

    def test_delete(self, client: Client) -> None:
        client.give_feedback(result_id=DIRECT, genre="jazz", predicted="pop", model_version="1")
        assert client.give_feedback(result_id=DIRECT, genre=None).status == 204
        assert client.feedback(DIRECT).status == 404

    def test_similar_ids_are_not_direct(self, client: Client) -> None:
        for similar in (DIRECT + "0", DIRECT[:-1], DIRECT + "/a"):
            answer = client.give_feedback(result_id=similar, genre="jazz", predicted="pop", model_version="1")
            assert answer.status == 404


class TestBadRequests:
    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"genre": "jazz"}, "result_id"),
            ({"result_id": "a"}, "genre"),
            ({"result_id": "a", "genre": "polka"}, "genre"),
            ({"result_id": "a", "genre": "Jazz"}, "genre"),
            ({"result_id": "a", "genre": 5}, "genre"),
            ({"result_id": 5, "genre": "jazz"}, "result_id"),
            ({"result_id": "a", "genre": "jazz", "predicted": "polka"}, "predicted"),
            ({"result_id": "a", "genre": "jazz", "model_version": ""}, "model_version"),
            ({"result_id": "a", "genre": "jazz", "model_version": "v" * 101}, "model_version"),
            ({"result_id": "a", "genre": "jazz", "comment": "nice"}, "comment"),
        ],
    )
    def test_the_field_is_named(self, client: Client, body: dict[str, object], field: str) -> None:
        answer = client.give_feedback(**body)
        assert (answer.status, answer.code) == (400, "bad_request")
        assert answer.json["detail"].startswith(f"{field}: ")

    @pytest.mark.parametrize("body", [b"", b"no json", b"[]", b"null", b"\xff", b'{"result_id": "a",', b"[" * 9000])
    def test_no_json_object(self, client: Client, body: bytes) -> None:
        answer = client.call("give_feedback", "feedback", method="POST", body=body, headers=JSON_TYPE)
        assert (answer.status, answer.code) == (400, "bad_request")

    def test_too_large(self, client: Client) -> None:
        answer = client.give_feedback(result_id="a", genre="jazz", model_version="v" * MAX_JSON_BYTES)
        assert (answer.status, answer.code) == (413, "too_large")

    @pytest.mark.parametrize("bad", ["", "../results/a", "a\nb", "x" * 1020])
    def test_bad_ids(self, client: Client, bad: str) -> None:
        assert client.give_feedback(result_id=bad, genre="jazz").code == "bad_id"
        assert client.feedback(bad).code == "bad_id"

    def test_no_feedback(self, client: Client) -> None:
        answer = client.feedback("a.wav")
        assert (answer.status, answer.code) == (404, "not_found")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
FIELDS = st.sampled_from(["result_id", "genre", "predicted", "model_version", "x"])


@budget(max_examples=50)
@given(st.dictionaries(FIELDS, JSON | st.sampled_from(["jazz", DIRECT]), max_size=5))
def test_any_body_gets_a_clear_answer(client: Client, body: dict[str, Any]) -> None:
    answer = client.give_feedback(**body)
    assert answer.status in {200, 204} or answer.code in {"bad_request", "bad_id", "not_found"}
