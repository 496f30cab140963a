"""``GET /api/results/{id}``."""

from uuid import uuid4

import pytest
from azure.storage.blob import ContainerClient
from hypothesis import example, given
from hypothesis import settings as budget
from hypothesis import strategies as st

from tests.functions.client import Client, wav


class TestOne:
    def test_unknown(self, client: Client) -> None:
        answer = client.result("no/such.mp3")
        assert (answer.status, answer.code) == (404, "not_found")

    def test_a_direct_answer_is_kept_nowhere(self, client: Client) -> None:
        assert client.result(client.classify(wav()).json["id"]).status == 404

    def test_pending_then_done(self, client: Client, uploads: ContainerClient) -> None:
        name = f"{uuid4().hex}/ü 1#?.wav"
        uploads.upload_blob(name, wav())
        pending = client.result(name)
        assert pending.status == 202
        assert int(pending.headers["retry-after"]) > 0
        assert pending.json == {"id": name, "status": "pending"}
        client.uploaded(name)
        done = client.result(name)
        assert (done.status, done.json["status"], done.json["id"]) == (200, "done", name)
        assert done.headers["content-type"] == "application/json"

    def test_a_result_outlives_its_upload(self, client: Client, uploads: ContainerClient) -> None:
        name = f"{uuid4().hex}/a.wav"
        uploads.upload_blob(name, wav())
        client.uploaded(name)
        uploads.delete_blob(name)
        assert client.result(name).json["status"] == "done"

    def test_the_answer_to_an_older_version_is_not_shown(self, client: Client, uploads: ContainerClient) -> None:
        name = f"{uuid4().hex}/a.wav"
        uploads.upload_blob(name, wav())
        client.uploaded(name)
        uploads.upload_blob(name, wav(), overwrite=True)
        assert client.result(name).status == 202

    @pytest.mark.parametrize("bad", ["", "../results/a", "a/..", "..\\feedback\\a", "a\nb", "x" * 1020, "\x00"])
    def test_bad_ids(self, client: Client, bad: str) -> None:
        answer = client.result(bad)
        assert (answer.status, answer.code) == (400, "bad_id")

    def test_no_id_at_all(self, client: Client) -> None:
        answer = client.call("get_result", "results/")
        assert (answer.status, answer.code) == (400, "bad_id")


@budget(max_examples=80)
@given(st.text(min_size=1, max_size=30))
@example("%2e%2e/feedback/a")
@example("a?restype=container&comp=list")
@example("a\\..")
@example("dot.")
@example("a//b/")
def test_no_id_makes_it_fail(client: Client, text: str) -> None:
    answer = client.result(text)
    assert (answer.status, answer.code) in {(404, "not_found"), (400, "bad_id")}
