"""``GET /api/results``: pages and filters, on real storage."""

import base64
import json
import re
import unicodedata
from dataclasses import replace
from typing import Any, cast
from uuid import uuid4

import pytest
from azure.storage.blob import ContainerClient
from hypothesis import example, given
from hypothesis import settings as budget
from hypothesis import strategies as st

from functions import history as module
from functions import result_store, upload_urls
from functions.history import ResultFilter, after_of, cursor_of
from functions.problems import ProblemError
from functions.result_store import ResultSummary
from tests.functions.client import Client
from tests.functions.test_result_store import classification, failure
from tonearm.classification import Genre, Result
from tonearm.constants import GENRES


@pytest.fixture(scope="module")
def folder(worker: Any, blob_service: Any) -> str:
    """Five results in a folder of their own, one of them failed, and blobs that are no results."""
    folder = f"{uuid4().hex}/"
    for name in ("a.wav", "b ü#.wav", "c.wav", "e/f.wav"):
        result_store.write(classification(folder + name), source_etag="1", replaces=None)
    result_store.write(failure(folder + "d.wav", "corrupt"), source_etag="1", replaces=None)
    blob_service.get_blob_client("results", folder + "c.wav.txt").upload_blob(b"{}")
    for name in ("\x01", "b\x85", "c\ufffe", "d\x1f/"):  # no ids: cursors refuse them
        metadata = {"status": "done", "genre": "rock"}
        blob_service.get_blob_client("results", f"{folder}{name}.json").upload_blob(b"{}", metadata=metadata)
    return folder


def pages(client: Client, **query: object) -> list[list[dict[str, Any]]]:
    """Every page of an answer, to the last."""
    found = []
    while True:
        answer = client.history(**query)
        assert answer.status == 200, answer.body
        page = answer.json
        found.append(page["results"])
        if page["next_cursor"] is None:
            return found
        query["cursor"] = page["next_cursor"]
        assert len(found) < 1_000


class TestPages:
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
            "duration_s": 1.0,
            "model_version": "1",
            "damaged": False,
            "uncertain_because": [],
            "part_genres": [],
        }
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", done["created_at"])
        assert (failed["status"], failed["problem_code"]) == ("failed", "corrupt")
        assert failed["genre"] is failed["confidence"] is failed["uncertain"] is failed["duration_s"] is None

    @pytest.mark.parametrize("limit", [1, 2, 3, 5, 6, 200])
    def test_pages_follow_each_other(self, client: Client, folder: str, limit: int) -> None:
        whole = client.history(prefix=folder).json["results"]
        found = pages(client, prefix=folder, limit=limit)
        assert [each for page in found for each in page] == whole
        assert all(len(page) == limit for page in found[:-1])

    @pytest.mark.parametrize("query", [{"limit": 5}, {"limit": 4, "status": "done"}])
    def test_the_last_page_has_no_cursor(self, client: Client, folder: str, query: dict[str, object]) -> None:
        """Also when it is full."""
        answer = client.history(prefix=folder, **query).json
        assert len(answer["results"]) == query["limit"]
        assert answer["next_cursor"] is None

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

    def test_signed_uploads_come_newest_first(self, worker: Any, client: Client) -> None:
        """Other tests' results have names of digits and letters too, so only these are compared."""
        with pytest.MonkeyPatch.context() as patch:
            ids = []
            for at_ms in (1_900_000_000_000, 1_900_000_000_500, 2_000_000_000_000):
                patch.setattr(upload_urls.time, "time_ns", lambda at_ms=at_ms: at_ms * 1_000_000)
                ids.append(upload_urls.new_id("order.wav"))
        for each in ids:
            result_store.write(classification(each), source_etag="1", replaces=None)
        found = [each["id"] for page in pages(client, search="order.wav") for each in page]
        assert [each for each in found if each in ids] == ids[::-1]


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        *(({"limit": limit}, "limit must be") for limit in ["0", "201", "-1", "", "ten", "1.0", "٣", " 5", "9" * 5000]),
        *(({name: text}, name) for name in ("prefix", "search") for text in ("a\nb", "\ud800", "x" * 1020)),
        *(({"genre": text}, "genre must be blues or classical") for text in ("polka", "Rock", "rock,pop")),
        *(({"uncertain": text}, "uncertain must be true or false") for text in ("yes", "True")),
        ({"status": "pending"}, "status must be done or failed"),
        ({"limt": 5}, "There is no query parameter 'limt'. Did you mean limit?"),
        ({"limit": 5, "x" * 5000: ""}, f"There is no query parameter '{'x' * 40}'. Known here: limit, cursor"),
        *(({"cursor": text}, "cursor") for text in ["x", "!!", "e30", "W10", "W251bGwsIiJd", "ü", "A" * 20_000]),
        *(({"cursor": cursor_of(after, ResultFilter())}, "cursor") for after in ("", "\x00", "a\n", "\ud800")),
    ],
)
def test_bad_parameters(client: Client, query: dict[str, object], detail: str) -> None:
    answer = client.history(**query)
    assert (answer.status, answer.code) == (400, "bad_parameter")
    assert answer.json["detail"].startswith(detail)


@pytest.mark.parametrize("name", ["prefix", "search", "genre", "uncertain", "status", "cursor"])
def test_an_empty_parameter_is_none(client: Client, folder: str, name: str) -> None:
    assert client.history(**{"limit": 3, name: ""}).json == client.history(limit=3).json


@pytest.mark.parametrize(
    "other", [{"prefix": "other"}, {"search": "a"}, {"genre": "rock"}, {"uncertain": "false"}, {"status": "done"}]
)
def test_a_cursor_of_another_query(client: Client, folder: str, other: dict[str, str]) -> None:
    cursor = client.history(prefix=folder, limit=1).json["next_cursor"]
    assert client.history(prefix=folder, cursor=cursor, limit=3).status == 200
    assert client.history(**{"prefix": folder, **other}, cursor=cursor).code == "bad_parameter"


ID = "8204000000000" + "0123456789abcdef" * 2
CASES = [
    ("Straße nach Süden.flac", "STRASSE", True),
    ("Straße nach Süden.flac", "nach s", True),
    ("album/track.mp3", "M/TR", True),
    ("album/track.mp3", "album track", False),
    (f"{ID}/Song 02.mp3", "song", True),
    (f"{ID}/Song 02.mp3", "82", False),
    (f"{ID}/Song 02.mp3", "cdef", False),
    (f"{ID}/Song 02.mp3", "0123456", False),
    (f"{ID}/Song 02.mp3", "01234567", True),
    (f"{ID}/Song 02.mp3", ID, True),
    (f"{ID}/Song 02.mp3", f"{ID}/SONG", True),
    (f"{ID}/82.mp3", "82", True),
    (unicodedata.normalize("NFD", "Café.mp3"), unicodedata.normalize("NFC", "café"), True),
    (unicodedata.normalize("NFC", "Café.mp3"), unicodedata.normalize("NFD", "CAFÉ"), True),
    ("ΟΔΟΣ.mp3", "οδος", True),
]


@pytest.mark.parametrize(("result_id", "search", "found"), CASES)
def test_what_a_search_finds(result_id: str, search: str, found: bool) -> None:
    assert ResultFilter(search=search).matches(summary(result_id)) is found


def summary(result_id: str) -> ResultSummary:
    return ResultSummary(
        id=result_id,
        status="done",
        genre="rock",
        confidence=0.5,
        uncertain=False,
        problem_code=None,
        created_at="",
        duration_s=1.0,
        model_version="1",
        damaged=False,
        uncertain_because=[],
        part_genres=[],
    )


# Names in the order in which storage has them, and signs that other orders would put elsewhere.
NAMES = ["!", "10", "9", "A b", "Ab", "a b", "ab", "b/a", "b/a/c", "bü", "c~", "é", "音楽", "🎵", "！"]


def various(folder: str) -> list[Result]:
    """Results of every kind, in the order of their ids."""
    found: list[Result] = []
    for number, name in enumerate(NAMES):
        result_id = f"{folder}{name}/x.wav"
        if number % 4 == 3:
            found.append(failure(result_id))
        else:
            genre = cast("Genre", GENRES[number % 3])
            found.append(replace(classification(result_id), genre=genre, uncertain=number % 2 == 0))
    return found


@pytest.fixture(scope="module")
def mixed(worker: Any, blob_service: Any) -> tuple[str, list[Result]]:
    """A folder, and what is in it; between the results are blobs that are none."""
    folder = f"mixed {uuid4().hex}/"
    written = various(folder)
    for result in written:
        result_store.write(result, source_etag="1", replaces=None)
    for name in NAMES[::3]:
        blob_service.get_blob_client("results", f"{folder}{name}/w.txt").upload_blob(b"{}")
    return folder, written


def is_match(result: Result, query: dict[str, str]) -> bool:
    """The filters, written another way."""
    facts = json.loads(result.to_json())
    return all(
        {
            "search": lambda text: text.lower() in facts["id"].lower(),
            "genre": lambda genre: facts.get("genre") == genre,
            "uncertain": lambda text: facts.get("uncertain") is (text == "true"),
            "status": lambda status: facts["status"] == status,
        }[name](value)
        for name, value in query.items()
    )


QUERIES = st.fixed_dictionaries(
    {},
    optional={
        "search": st.sampled_from(["A", "b/", "/X.WAV", "é", "no such", "wav"]),
        "genre": st.sampled_from(GENRES[:4]),
        "uncertain": st.sampled_from(["true", "false"]),
        "status": st.sampled_from(["done", "failed"]),
    },
)


@budget(max_examples=25)
@given(QUERIES, st.integers(1, 12), st.integers(1, 9), st.integers(1, 12))
@example({}, 1, 1, 1)
@example({"status": "failed"}, 1, 1, 1)
@example({"status": "failed"}, 3, 2, 200)
@example({"search": "no such"}, 5, 3, 4)
@example({"uncertain": "false"}, 4, 5, 12)
@example({"uncertain": "true", "genre": GENRES[1]}, 2, 3, 5)
def test_nothing_is_lost_and_nothing_comes_twice(
    client: Client, mixed: tuple[str, list[Result]], query: dict[str, str], limit: int, at_once: int, most: int
) -> None:
    """Whatever the filter, and however small storage's pages and one call's maximum."""
    folder, written = mixed
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_LIST_SIZE", at_once)
        patch.setattr(module, "_MAX_LISTED", most)
        found = pages(client, prefix=folder, limit=limit, **query)
    assert all(len(page) <= limit for page in found)
    expected = sorted(result.id for result in written if is_match(result, query))
    assert sorted(each["id"] for page in found for each in page) == expected


class TestConcurrentChanges:
    """Results that are written and deleted between two pages."""

    @pytest.fixture
    def folder(self, worker: Any) -> str:
        folder = f"changes {uuid4().hex}/"
        for name in NAMES:
            result_store.write(classification(folder + name), source_etag="1", replaces=None)
        return folder

    @budget(max_examples=8)
    @given(st.data())
    def test_what_stays_comes_once(self, client: Client, results: ContainerClient, data: Any) -> None:
        folder = f"changes {uuid4().hex}/"
        stayed = {folder + name for name in NAMES}
        for result_id in stayed:
            result_store.write(classification(result_id), source_etag="1", replaces=None)
        found: list[str] = []
        query: dict[str, object] = {"prefix": folder, "limit": 3, "status": "done"}
        while True:
            page = client.history(**query).json
            found += [each["id"] for each in page["results"]]
            if page["next_cursor"] is None:
                break
            query["cursor"] = page["next_cursor"]
            gone = data.draw(st.sampled_from(sorted(stayed)) | st.just(found[-1]))
            if gone in stayed:
                stayed.remove(gone)
                results.delete_blob(f"{gone}.json")
            new = folder + data.draw(st.text(st.sampled_from("!0az~é🎵！"), min_size=2, max_size=3))
            result_store.write(classification(new), source_etag="1", replaces=None)
        assert len(found) == len({*found})
        assert stayed <= {*found}

    def test_the_last_one_seen_is_deleted(self, client: Client, results: ContainerClient, folder: str) -> None:
        first = client.history(prefix=folder, limit=4).json
        results.delete_blob(f"{first['results'][-1]['id']}.json")
        second = client.history(prefix=folder, limit=200, cursor=first["next_cursor"]).json
        assert len(second["results"]) == len(NAMES) - 4
        assert second["next_cursor"] is None

    def test_new_results_shift_nothing(self, client: Client, folder: str) -> None:
        first = client.history(prefix=folder, limit=4, status="done").json
        for name in (" 1", " 2", " 3"):
            result_store.write(classification(folder + name), source_etag="1", replaces=None)
        second = client.history(prefix=folder, limit=200, status="done", cursor=first["next_cursor"]).json
        ids = [each["id"].removeprefix(folder) for each in (*first["results"], *second["results"])]
        assert sorted(ids) == sorted(NAMES)


def test_a_call_lists_no_more_than_its_maximum(
    client: Client, mixed: tuple[str, list[Result]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = mixed
    monkeypatch.setattr(module, "_LIST_SIZE", 4)
    monkeypatch.setattr(module, "_MAX_LISTED", 10)
    listed: list[str] = []
    summarised = result_store.summary

    def counted(name: str, metadata: dict[str, str] | None) -> ResultSummary | None:
        listed.append(name)
        return summarised(name, metadata)

    monkeypatch.setattr(result_store, "summary", counted)
    page = client.history(prefix=folder, search="no such").json
    assert page["results"] == []
    assert page["next_cursor"] is not None
    assert len(listed) == 12


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1).filter(lambda text: text.isprintable()))
@example("🎵" * 1024)
def test_cursors_come_back_and_fit_into_urls(after: str) -> None:
    chosen = ResultFilter(search="é", uncertain=False)
    cursor = cursor_of(after, chosen)
    assert re.fullmatch(r"[A-Za-z0-9_-]+", cursor)
    assert after_of(cursor, chosen) == after


BAD_JSON = st.one_of(st.text(), st.lists(st.text() | st.integers()).filter(lambda v: len(v) != 2), st.none())


@pytest.mark.slow
@given(
    st.text()
    | st.binary().map(lambda raw: base64.urlsafe_b64encode(raw).decode())
    | BAD_JSON.map(lambda value: base64.urlsafe_b64encode(json.dumps(value).encode()).decode())
)
@example(base64.urlsafe_b64encode(b"[" * 9000).decode())
def test_any_other_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(ProblemError) as caught:
        after_of(cursor, ResultFilter())
    assert caught.value.code == "bad_parameter"


@pytest.mark.parametrize("after", ["nonsense", "x" * 3000, "a b", "<>&", "%2e%2e/", "a?b#c", "🎵", "a\\b"])
def test_a_name_that_storage_never_listed(client: Client, after: str) -> None:
    """It may be accepted or refused, but nothing fails."""
    answer = client.history(cursor=cursor_of(after, ResultFilter()))
    assert answer.status == 200 or answer.code == "bad_parameter"
