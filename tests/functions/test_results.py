"""``GET /api/results/{id}`` and the history."""

import base64
import json
import re
from typing import Any
from uuid import uuid4

import pytest
from azure.storage.blob import ContainerClient
from hypothesis import example, given
from hypothesis import settings as budget
from hypothesis import strategies as st

from functions import records
from functions import results as module
from functions.problems import ProblemError
from tests.functions.client import Client, wav
from tests.functions.test_records import classification, failure


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


@pytest.fixture(scope="module")
def folder(worker: Any, blob_service: Any) -> str:
    """Five results in a folder of their own, one of them failed, and a blob that is no result."""
    folder = f"{uuid4().hex}/"
    for name in ("a.wav", "b ü#.wav", "c.wav", "e/f.wav"):
        records.write(classification(folder + name), source_etag="1", over=None)
    records.write(failure(folder + "d.wav", "corrupt"), source_etag="1", over=None)
    blob_service.get_blob_client("results", folder + "c.wav.txt").upload_blob(b"{}")
    return folder


class TestHistory:
    def test_a_page(self, client: Client, folder: str) -> None:
        answer = client.history(prefix=folder)
        assert answer.status == 200
        assert answer.json["next_cursor"] is None
        names = [each["id"].removeprefix(folder) for each in answer.json["results"]]
        assert names == ["a.wav", "b ü#.wav", "c.wav", "d.wav", "e/f.wav"]
        done, failed = answer.json["results"][0], answer.json["results"][3]
        assert done == {
            "id": folder + "a.wav",
            "status": "done",
            "genre": "rock",
            "confidence": 0.625,
            "uncertain": True,
            "problem_code": None,
            "created_at": done["created_at"],
        }
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", done["created_at"])
        assert (failed["status"], failed["problem_code"]) == ("failed", "corrupt")
        assert failed["genre"] is failed["confidence"] is failed["uncertain"] is None

    @pytest.mark.parametrize("limit", [1, 2, 3, 5, 6, 200])
    def test_pages_follow_each_other(self, client: Client, folder: str, limit: int) -> None:
        whole = client.history(prefix=folder).json["results"]
        found: list[Any] = []
        query: dict[str, object] = {"prefix": folder, "limit": limit}
        for _ in range(10):
            page = client.history(**query).json
            assert len(page["results"]) <= limit
            found += page["results"]
            if page["next_cursor"] is None:
                break
            query["cursor"] = page["next_cursor"]
        assert found == whole

    def test_without_parameters(self, client: Client, folder: str) -> None:
        answer = client.history()
        assert answer.status == 200
        assert 0 < len(answer.json["results"]) <= module.DEFAULT_LIMIT

    @pytest.mark.parametrize("prefix", ["no such folder/", "../", "x" * 1019])
    def test_nothing_there(self, client: Client, prefix: str) -> None:
        assert client.history(prefix=prefix).json == {"results": [], "next_cursor": None}

    def test_a_prefix_may_end_anywhere(self, client: Client, folder: str) -> None:
        (found,) = client.history(prefix=folder + "b ü#.").json["results"]
        assert found["id"] == folder + "b ü#.wav"

    @pytest.mark.parametrize("limit", ["0", "201", "-1", "", "ten", "1.0", "٣", " 5", "9" * 5000])
    def test_bad_limits(self, client: Client, limit: str) -> None:
        answer = client.history(limit=limit)
        assert (answer.status, answer.code) == (400, "bad_parameter")
        assert "limit" in answer.json["detail"]

    @pytest.mark.parametrize("prefix", ["a\nb", "\ud800", "x" * 1020])
    def test_bad_prefixes(self, client: Client, prefix: str) -> None:
        answer = client.history(prefix=prefix)
        assert (answer.status, answer.code) == (400, "bad_parameter")

    @pytest.mark.parametrize(
        "cursor",
        ["x", "!!", "e30", "W10", "W251bGwsIiJd", "ü", "A" * 20_000]
        + [module.cursor_of(marker, "") for marker in ("", "\x00", "a\n", "\ud800")],
    )
    def test_bad_cursors(self, client: Client, cursor: str) -> None:
        answer = client.history(cursor=cursor)
        assert (answer.status, answer.code) == (400, "bad_parameter")
        assert "cursor" in answer.json["detail"]

    def test_a_cursor_of_another_prefix(self, client: Client, folder: str) -> None:
        cursor = client.history(prefix=folder, limit=1).json["next_cursor"]
        assert client.history(prefix=folder, cursor=cursor).status == 200
        assert client.history(prefix="other", cursor=cursor).code == "bad_parameter"


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1), st.text())
def test_cursors_come_back_and_fit_into_urls(marker: str, prefix: str) -> None:
    cursor = module.cursor_of(marker, prefix)
    assert re.fullmatch(r"[A-Za-z0-9_-]+", cursor)
    assert module.marker_of(cursor, prefix) == marker


BAD_JSON = st.one_of(st.text(), st.lists(st.text() | st.integers()).filter(lambda v: len(v) != 2), st.none())


@given(
    st.text()
    | st.binary().map(lambda raw: base64.urlsafe_b64encode(raw).decode())
    | BAD_JSON.map(lambda value: base64.urlsafe_b64encode(json.dumps(value).encode()).decode())
)
@example(base64.urlsafe_b64encode(b"[" * 9000).decode())
def test_any_other_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(ProblemError) as caught:
        module.marker_of(cursor, "p")
    assert caught.value.code == "bad_parameter"


@pytest.mark.parametrize("marker", ["nonsense", "x" * 3000, "a b", "<>&"])
def test_a_bookmark_that_storage_never_gave(client: Client, marker: str) -> None:
    """It may find a place to go on from or be refused, but nothing fails."""
    answer = client.history(cursor=module.cursor_of(marker, ""))
    assert answer.status == 200 or answer.code == "bad_parameter"
