"""Whose recordings a request may see, change and list: every operation that takes an id, and the history."""

import base64
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from uuid import uuid4

import pytest
from azure.storage.blob import ContainerClient, ContentSettings

from functions import history, owners
from functions.json_http import OPERATIONS
from functions.openapi import document
from tests.functions.client import Answer, Client, fetch, wav
from tests.functions.conftest import Upload

ALICE, MALLORY = "a" * 32, "m" * 32
SECRET = "s" * 43


@dataclass(frozen=True)
class Owned:
    """An upload of Alice's with a result and feedback."""

    id: str
    genre: str


def put(client: Client, name: str = "song.wav", content: bytes | None = None) -> str:
    """Upload as the page does; the id."""
    ticket = client.create_upload(json.dumps({"filename": name}).encode()).json
    assert fetch("PUT", ticket["upload_url"], content or wav(), ticket["upload_headers"]).status == 201
    return str(ticket["id"])


@pytest.fixture(scope="module")
def owned(client: Client) -> Owned:
    alice = client.of(ALICE)
    result_id = put(alice)
    client.uploaded(result_id)
    genre = alice.result(result_id).json["genre"]
    assert alice.give_feedback(result_id=result_id, genre="jazz", contributor=SECRET).status == 200
    assert alice.give_feedback(result_id=result_id, genre="pop").status == 200
    return Owned(result_id, genre)


ASKING: list[Callable[[Client, str], Answer]] = [
    lambda client, result_id: client.result(result_id),
    lambda client, result_id: client.preview(result_id),
    lambda client, result_id: client.recording(result_id),
    lambda client, result_id: client.feedback(result_id),
    lambda client, result_id: client.give_feedback(result_id=result_id, genre="rock"),
    lambda client, result_id: client.give_feedback(result_id=result_id, genre=None),
    lambda client, result_id: client.give_feedback(result_id=result_id, genre=None, contributor=SECRET),
    lambda client, result_id: client.delete(result_id),
]


@pytest.mark.parametrize("ask", ASKING)
def test_anothers_recording_answers_like_one_that_never_was(
    client: Client, owned: Owned, ask: Callable[[Client, str], Answer]
) -> None:
    foreign, unknown = ask(client.of(MALLORY), owned.id), ask(client.of(MALLORY), f"{uuid4().hex}/song.wav")
    assert (foreign.status, foreign.code) == (404, "not_found")
    assert (foreign.headers, foreign.body) == (unknown.headers, unknown.body)
    # and has changed nothing
    for reader in (client.of(ALICE), client):
        assert reader.result(owned.id).json["genre"] == owned.genre
        assert reader.preview(owned.id).status == reader.recording(owned.id).status == 200
        assert reader.feedback(owned.id).json["genre"] == "pop"


def test_every_operation_on_recordings_takes_the_owner(owned: Owned) -> None:
    """A new one must say whose recordings it answers about; those that are not listed know of none."""
    of_no_recording = {"classify", "limits", "model", "health", "openapi"}
    assert {name for name, facts in OPERATIONS.items() if not facts.owned} == of_no_recording
    described = [
        operation["operationId"]
        for methods in document()["paths"].values()
        for operation in methods.values()
        if any(parameter["name"] == owners.HEADER for parameter in operation["parameters"])
    ]
    assert set(described) == OPERATIONS.keys() - of_no_recording


@pytest.mark.parametrize("bad", ["", " ", "a b", f"{ALICE},{MALLORY}", "*", "ü", "a" * 65, f"{ALICE}\n"])
def test_a_malformed_owner_opens_nothing(client: Client, owned: Owned, bad: str) -> None:
    asking = client.of(bad)
    answers = [ask(asking, owned.id) for ask in ASKING]
    answers += [asking.history(), asking.create_upload()]
    assert {(answer.status, answer.code) for answer in answers} == {(400, "bad_parameter")}


def test_a_pending_upload_is_its_owners(client: Client) -> None:
    result_id = put(client.of(ALICE))
    assert client.of(ALICE).result(result_id).status == 202
    assert client.of(MALLORY).result(result_id).status == 404


def test_the_result_keeps_its_owner_when_the_upload_is_deleted(client: Client, uploads: ContainerClient) -> None:
    result_id = put(client.of(ALICE), content=b"no audio" * 100)
    client.uploaded(result_id)
    uploads.delete_blob(result_id)
    assert client.of(ALICE).result(result_id).json["status"] == "failed"
    assert client.of(MALLORY).result(result_id).status == 404


@pytest.mark.parametrize("how", ["large_uploads", "poison"])
def test_every_way_to_a_result_keeps_the_owner(client: Client, how: str, request: pytest.FixtureRequest) -> None:
    result_id = put(client.of(ALICE))
    if how == "poison":
        client.poisoned(json.dumps({"ContainerName": "uploads", "BlobName": result_id}))
    else:
        request.getfixturevalue(how)
        client.uploaded(result_id)
    assert result_id in listed(client.of(ALICE), limit=200)
    assert client.of(MALLORY).result(result_id).status == 404


def test_what_programs_drop_belongs_to_nobody(client: Client, upload: Upload) -> None:
    upload.blob.upload_blob(wav(), metadata={"owner": "not an owner!"}, content_settings=ContentSettings())
    upload.process()
    assert upload.result().status == 200
    assert client.of(ALICE).result(upload.name).status == 404
    assert client.of(ALICE).delete(upload.name).status == 404


def listed(client: Client, **query: object) -> list[str]:
    return [result["id"] for page in pages(client, **query) for result in page]


def pages(client: Client, **query: object) -> Iterator[list[dict[str, str]]]:
    cursor: str | None = ""
    while cursor is not None:
        answer = client.history(**query, **({"cursor": cursor} if cursor else {})).json
        yield answer["results"]
        cursor = answer["next_cursor"]


BOB, CAROL = uuid4().hex, uuid4().hex
PEOPLE = (BOB, CAROL)


@pytest.fixture(scope="module")
def ids(client: Client) -> dict[str, list[str]]:
    """Ids of failed results of two people, mixed with some of nobody's."""
    bad = b"no audio" * 100
    ids = {owner: [put(client.of(owner), f"{owner[0]} secret {n}.mp3", bad) for n in range(3)] for owner in PEOPLE}
    ids["nobody"] = [put(client, f"dropped {n}.mp3", bad) for n in range(2)]
    for result_id in [each for some in ids.values() for each in some]:
        client.uploaded(result_id)
    return ids


class TestHistory:
    @pytest.mark.parametrize("query", [{}, {"limit": 1}, {"status": "failed"}, {"search": "secret"}])
    def test_it_lists_ones_own_only(self, client: Client, ids: dict[str, list[str]], query: dict[str, object]) -> None:
        for owner in PEOPLE:
            found = listed(client.of(owner), **{"limit": 200, **query})
            assert set(ids[owner]) == set(found)

    def test_no_filter_finds_anothers(self, client: Client, ids: dict[str, list[str]]) -> None:
        (anothers, *_) = ids[BOB]
        assert listed(client.of(CAROL), prefix=anothers[:20]) == listed(client.of(CAROL), search=anothers) == []
        assert anothers in listed(client, search=anothers)

    def test_a_cursor_tells_nothing_of_others(
        self, client: Client, ids: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It has the name of the last result that was looked at, whosever that is."""
        monkeypatch.setattr(history, "_LIST_SIZE", 1)
        monkeypatch.setattr(history, "_MAX_LISTED", 1)
        cursor, found = "", []
        while cursor is not None:
            query = {"cursor": cursor} if cursor else {}
            answer = client.of(BOB).history(limit=200, **query).json
            found += answer["results"]
            cursor = answer["next_cursor"]
            if cursor is not None:
                raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
                assert re.fullmatch(r"[\w-]+", cursor)
                assert b"secret" not in raw
                assert b"song" not in raw
                assert not re.search(rb"\d{13}", raw)
                for other in (client.of(CAROL), client):
                    assert other.history(limit=200, cursor=cursor).code == "bad_parameter"
        assert {result["id"] for result in found} == set(ids[BOB])

    def test_a_cursor_made_elsewhere(self, client: Client) -> None:
        text = json.dumps(["a", history._fingerprint(history.ResultFilter(owner=BOB))])
        forged = base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
        assert client.of(BOB).history(cursor=forged).code == "bad_parameter"
        assert client.of(BOB).history(cursor="ä").code == "bad_parameter"
