"""``POST /api/uploads``: ids, safe file names, and what a signed URL can and cannot do."""

import json
import re
import time
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlsplit

import pytest
from azure.storage.blob import ContainerClient
from hypothesis import example, given
from hypothesis import settings as budget
from hypothesis import strategies as st

from functions import result_store, upload_urls
from tests.functions.client import ORIGIN, Client, fetch, wav
from tests.functions.conftest import Configure, Events

BLOCK_BLOB = {"x-ms-blob-type": "BlockBlob"}
CHANGES = {
    "metadata": ("&comp=metadata", {"x-ms-meta-a": "b"}),
    "properties": ("&comp=properties", {"x-ms-blob-content-type": "text/html"}),
    "tags": ("&comp=tags", {"Content-Type": "application/xml"}),
    "tier": ("&comp=tier", {"x-ms-access-tier": "Archive"}),
    "lease": ("&comp=lease", {"x-ms-lease-action": "acquire", "x-ms-lease-duration": "-1"}),
    "block": ("&comp=block&blockid=QUFB", {}),
    "block list": ("&comp=blocklist", {}),
    "append blob": ("", {"x-ms-blob-type": "AppendBlob"}),
    "page blob": ("", {"x-ms-blob-type": "PageBlob", "x-ms-blob-content-length": "512"}),
    "copy": ("", {"x-ms-copy-source": "http://127.0.0.1:1/a"}),
    "undelete": ("&comp=undelete", {}),
}
"""Requests that would change an upload: query and headers."""


class TestCreateUpload:
    def test_an_upload_leads_to_a_result(self, client: Client) -> None:
        answer = client.create_upload('{"filename": "Mein Lied é#1.wav"}'.encode())
        assert answer.status == 201
        upload = answer.json
        assert set(upload) == {"id", "upload_url", "upload_headers", "expires_at", "result_url", "max_bytes"}
        assert upload["id"].endswith("/Mein Lied é_1.wav")
        assert upload["max_bytes"] == 512 * 2**20
        assert upload["result_url"] == answer.headers["location"] == f"{ORIGIN}/api/results/{quote(upload['id'])}"
        assert fetch("PUT", upload["upload_url"], wav(), upload["upload_headers"]).status == 201
        assert client.result(upload["id"]).status == 202
        client.uploaded(upload["id"])
        assert client.result(upload["id"]).json["status"] == "done"

    @pytest.mark.parametrize("body", [b"", b" \n", b"{}", b'{"filename": null}'])
    def test_the_name_may_be_left_out(self, client: Client, body: bytes) -> None:
        assert client.create_upload(body).json["id"].endswith("/audio")

    def test_an_upload_from_folders(self, client: Client) -> None:
        """Found by its folder's name, and apart from another of its own name."""
        mark = f"disc {time.time_ns()}"
        ids = []
        for folder in (f"live/{mark} a", f"live\\{mark} b/"):
            upload = client.create_upload(json.dumps({"filename": "01.wav", "folder": folder}).encode()).json
            assert fetch("PUT", upload["upload_url"], wav(), upload["upload_headers"]).status == 201
            client.uploaded(upload["id"])
            assert client.result(upload["id"]).json["status"] == "done"
            ids.append(upload["id"])
        assert [upload_urls.own_name(each) for each in ids] == [f"live/{mark} {end}/01.wav" for end in "ab"]
        found = client.history(search=f"{mark} B/01").json["results"]
        assert [each["id"] for each in found] == ids[1:]

    def test_it_expires_and_is_not_logged(
        self, client: Client, configure: Configure, events: Events, caplog: pytest.LogCaptureFixture
    ) -> None:
        configure(TONEARM_UPLOAD_URL_TTL_S=60, TONEARM_MAX_UPLOAD_BYTES=1234)
        upload = client.create_upload().json
        until = datetime.fromisoformat(upload["expires_at"])
        assert timedelta(seconds=0) < until - datetime.now(UTC) <= timedelta(seconds=60)
        assert f"se={quote(upload['expires_at'], safe='')}" in upload["upload_url"]
        assert upload["max_bytes"] == 1234
        assert events()[-1]["result_id"] == upload["id"]
        assert "sig=" not in caplog.text

    @pytest.mark.parametrize(
        ("path", "results"),
        [
            ("api/uploads/?code=k", "api/results/"),
            ("uploads", "results/"),
            ("api/%75ploads", "api/results/"),
        ],
    )
    def test_the_result_is_where_the_request_came_in(self, client: Client, path: str, results: str) -> None:
        answer = client.call("create_upload", f"../{path}", method="POST")
        assert answer.json["result_url"] == f"{ORIGIN}/api/../{results}{answer.json['id']}"

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"filename": 5}, "filename"),
            ({"filename": "x" * 1025}, "filename"),
            ({"folder": "x" * 1025}, "folder"),
            ({"folder": []}, "folder"),
            ({"name": "a"}, "name"),
            ([], "body"),
        ],
    )
    def test_bad_requests(self, client: Client, body: object, field: str) -> None:
        answer = client.create_upload(json.dumps(body).encode())
        assert (answer.status, answer.code) == (400, "bad_request")
        assert answer.json["detail"].startswith(f"{field}: ")

    @budget(max_examples=40)
    @given(
        st.binary(max_size=50)
        | st.text(max_size=100).map(lambda name: json.dumps({"filename": name, "folder": name}).encode())
    )
    def test_any_body_gets_a_clear_answer(self, client: Client, body: bytes) -> None:
        answer = client.create_upload(body)
        assert answer.status == 201 or answer.code == "bad_request"


@pytest.mark.parametrize(
    ("given_name", "safe"),
    [
        ("song.mp3", "song.mp3"),
        ("Für Elise – Op. 59.flac", "Für Elise _ Op. 59.flac"),
        ("音楽/曲.mp3", "曲.mp3"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Music\\song.wav", "song.wav"),
        ("a\x00b\n\u202ec.mp3", "abc.mp3"),
        ("e\u0301.ogg", "\u00e9.ogg"),
        ("e\u202e\u0301.ogg", "\u00e9.ogg"),
        ("what?#100%.mp3", "what__100_.mp3"),
        (".mp3", "mp3"),
        ("  spaced .mp3  ", "spaced.mp3"),
        ("name...", "name"),
        ("x" * 300 + ".flac", "x" * 95 + ".flac"),
        ("x." + "y" * 300, "x." + "y" * 98),
        ("", "audio"),
        ("folder/", "audio"),
        ("🎵.mp3", "_.mp3"),
    ],
)
def test_file_names(given_name: str, safe: str) -> None:
    assert upload_urls.safe_filename(given_name) == safe


@given(st.text(max_size=300))
@example("x" * 99 + ". .y")
@example("." * 200 + "a" * 5)
@example("A\u202e\u0301=\x00\u0338")
def test_any_name_becomes_a_good_one(name: str) -> None:
    safe = upload_urls.safe_filename(name)
    assert 1 <= len(safe) <= upload_urls.MAX_FILENAME_CHARS
    assert not set(safe) & set('/\\?#%"<>|*')
    assert safe == safe.strip(" .")
    assert not any(unicodedata.category(sign)[0] == "C" for sign in safe)
    assert result_store.id_fault(upload_urls.new_id(name)) is None
    assert upload_urls.safe_filename(safe) == safe


@pytest.mark.parametrize(
    ("folder", "safe"),
    [
        ("", []),
        ("live", ["live"]),
        ("/Für Elise//disc: 1/", ["Für Elise", "disc_ 1"]),
        ("C:\\Music\\live", ["C_", "Music", "live"]),
        ("../../.ssh/./a/..", ["ssh", "a"]),
        ("a\x00\n/\u202e/ . /b", ["a", "b"]),
        ("/".join("0123456789"), list("23456789")),
        ("/".join(["x" * 300] * 8), ["x" * 100] * 8),
        ("/".join(["音" * 100, "曲" * 100, "声" * 100, "x"]), ["曲" * 100, "声" * 100, "x"]),
    ],
)
def test_folders(folder: str, safe: list[str]) -> None:
    assert upload_urls.safe_folders(folder) == safe


HOSTILE = st.text(st.sampled_from("./\\ ~%#?*:<>\x00\n\x7f\x85\u202e\u2028\ud800\uffff\u0301eé音🎵aA0")) | st.text()


@given(st.lists(HOSTILE, max_size=12), st.sampled_from("/\\"), HOSTILE)
@example(["x" * 99 + ". .y"] * 9, "/", "x" * 200)
@example(["音" * 300] * 12, "/", "音" * 300)
@example(["0" * 32, "1" * 45], "/", "..")
def test_any_folders_become_good_ones(parts: list[str], separator: str, name: str) -> None:
    folder = separator.join(parts)
    safe = upload_urls.safe_folders(folder)
    result_id = upload_urls.new_id(name, folder)
    assert len(safe) <= upload_urls.MAX_FOLDERS
    assert all(part == upload_urls.safe_filename(part) for part in safe)
    assert result_store.id_fault(result_id) is None
    assert len(quote(result_id)) < 4096
    assert upload_urls.own_name(result_id) == "/".join([*safe, upload_urls.safe_filename(name)])
    assert upload_urls.safe_folders("/".join(safe)) == safe


def id_at(monkeypatch: pytest.MonkeyPatch, at_ms: int, filename: str = "a.mp3") -> str:
    monkeypatch.setattr(time, "time_ns", lambda: at_ms * 1_000_000)
    return upload_urls.new_id(filename)


# From 2020 to the last millisecond of 2200.
MOMENTS_MS = st.integers(1_577_836_800_000, 7_289_654_399_999)


@given(MOMENTS_MS, MOMENTS_MS, st.text(max_size=10))
@example(1_795_392_000_000, 1_795_392_000_001, "")
@example(1_999_999_999_999, 2_000_000_000_000, "b")
def test_newer_ids_sort_first(one_ms: int, other_ms: int, name: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        one, other = id_at(patch, one_ms, name), id_at(patch, other_ms)
    assert re.fullmatch(r"[0-9]{13}[0-9a-f]{32}/a\.mp3", other)
    assert upload_urls.own_name(other) == "a.mp3"
    assert one != other
    if one_ms != other_ms:
        assert (one < other) == (one_ms > other_ms)


def test_ids_cannot_be_guessed_from_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    made = {id_at(monkeypatch, 1_795_392_000_000) for _ in range(500)}
    assert len({each[:13] for each in made}) == 1
    # All characters vary but the one for the version of the UUID.
    assert [index for index in range(13, 45) if len({each[index] for each in made}) == 1] == [13 + 12]


@pytest.mark.parametrize(
    ("result_id", "own"),
    [
        ("albums/a.mp3", "albums/a.mp3"),
        ("0" * 32 + "/a.mp3", "a.mp3"),
        ("1" * 45 + "/b/a.mp3", "b/a.mp3"),
        ("x" + "1" * 45 + "/a.mp3", "x" + "1" * 45 + "/a.mp3"),
        ("1" * 44 + "/a.mp3", "1" * 44 + "/a.mp3"),
    ],
)
def test_the_own_name_in_an_id(result_id: str, own: str) -> None:
    assert upload_urls.own_name(result_id) == own


SIGNERS = {"write": upload_urls.signed_upload_url, "read": upload_urls.signed_download_url}


@pytest.mark.usefixtures("client")
class TestSignedUrls:
    @pytest.fixture
    def result_id(self, uploads: ContainerClient) -> str:
        result_id = upload_urls.new_id("ü 1.mp3")
        uploads.upload_blob(result_id, b"audio")
        return result_id

    def test_one_creates_once(self, uploads: ContainerClient) -> None:
        result_id = upload_urls.new_id("ü 1.mp3")
        url, _ = upload_urls.signed_upload_url(result_id)
        assert fetch("PUT", url, b"audio", BLOCK_BLOB).status == 201
        assert fetch("PUT", url, b"audio, again", BLOCK_BLOB).status == 403
        assert uploads.download_blob(result_id).readall() == b"audio"
        assert {fetch(method, url).status for method in ("GET", "HEAD", "DELETE")} == {403}

    @pytest.mark.parametrize(("query", "headers"), CHANGES.values(), ids=CHANGES)
    def test_what_is_uploaded_stays_as_it_is(
        self, result_id: str, query: str, headers: dict[str, str], uploads: ContainerClient
    ) -> None:
        blob = uploads.get_blob_client(result_id)
        before = blob.get_blob_properties()
        url, _ = upload_urls.signed_upload_url(result_id)
        assert fetch("PUT", url + query, b"", headers).status == 403
        after = blob.get_blob_properties()
        assert (after.etag, after.metadata, after.lease.state) == (before.etag, {}, "available")

    @pytest.mark.parametrize(
        ("headers", "code"),
        [
            ({"x-ms-blob-type": "AppendBlob"}, "empty"),
            ({"x-ms-blob-type": "PageBlob", "x-ms-blob-content-length": "512"}, "unsupported_format"),
            ({"x-ms-blob-type": "PageBlob", "x-ms-blob-content-length": str(2**26)}, "unsupported_format"),
            ({"x-ms-blob-type": "PageBlob", "x-ms-blob-content-length": str(2**43)}, "too_large"),
        ],
    )
    def test_blobs_of_other_types_are_refused(
        self, client: Client, headers: dict[str, str], code: str, uploads: ContainerClient
    ) -> None:
        upload = client.create_upload().json
        assert fetch("PUT", upload["upload_url"], b"", headers).status == 201
        assert fetch("PUT", f"{upload['upload_url']}&comp=appendblock", b"x").status == 403
        page = {"x-ms-page-write": "update", "x-ms-range": "bytes=0-511"}
        assert fetch("PUT", f"{upload['upload_url']}&comp=page", bytes(512), page).status == 403
        client.uploaded(upload["id"])
        problem = client.result(upload["id"]).json["problem"]
        assert problem["code"] == code
        assert ("page blob" in problem["detail"]) is (headers.get("x-ms-blob-content-length") == str(2**26))
        uploads.delete_blob(upload["id"])  # tests that read all blobs would not end

    def test_what_is_stated_with_an_upload_changes_no_answer(self, client: Client) -> None:
        upload = client.create_upload().json
        stated = {"x-ms-meta-status": "done", "x-ms-blob-content-type": "text/html", "x-ms-blob-content-encoding": "br"}
        assert fetch("PUT", upload["upload_url"], wav(), BLOCK_BLOB | stated).status == 201
        assert fetch("PUT", f"{upload['upload_url']}&comp=snapshot").status == 201
        client.uploaded(upload["id"])
        assert client.result(upload["id"]).json["status"] == "done"

    def test_one_reads(self, result_id: str) -> None:
        url, _ = upload_urls.signed_download_url(result_id)
        assert fetch("GET", url).status == fetch("HEAD", url).status == 200
        assert fetch("PUT", url, b"x", BLOCK_BLOB).status == fetch("DELETE", url).status == 403

    def test_a_file_that_storage_does_not_let_read_ends_as_failed(self, client: Client) -> None:
        upload = client.create_upload().json
        assert fetch("PUT", upload["upload_url"], wav(), BLOCK_BLOB | {"x-ms-access-tier": "Archive"}).status == 201
        client.uploaded(upload["id"])
        assert client.result(upload["id"]).json["problem"]["code"] == "processing_failed"

    def test_a_copy_is_answered_like_any_file(self, client: Client, uploads: ContainerClient) -> None:
        source = upload_urls.new_id("a.wav")
        uploads.upload_blob(source, wav())
        upload = client.create_upload().json
        from_ = {"x-ms-copy-source": upload_urls.signed_download_url(source)[0]}
        assert fetch("PUT", upload["upload_url"], b"", from_).status == 202
        client.uploaded(upload["id"])
        assert client.result(upload["id"]).json["status"] == "done"

    @pytest.mark.parametrize("sign", SIGNERS.values(), ids=SIGNERS)
    def test_neither_reaches_another_blob(self, result_id: str, sign: Callable[[str], tuple[str, str]]) -> None:
        url, _ = sign(result_id)
        address, _, signature = url.partition("?")
        container = address.partition("/uploads/")[0] + "/uploads"
        assert fetch("GET", f"{container}?restype=container&comp=list&{urlsplit(url).query}").status == 403
        for other in (f"{address}x", address.replace("/uploads/", "/results/")):
            assert fetch("GET", f"{other}?{signature}").status == 403
            assert fetch("PUT", f"{other}?{signature}", b"x", BLOCK_BLOB).status == 403

    @pytest.mark.parametrize("sign", SIGNERS.values(), ids=SIGNERS)
    def test_both_expire(
        self, result_id: str, sign: Callable[[str], tuple[str, str]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(upload_urls, "_expiry", lambda: datetime.now(UTC) - timedelta(minutes=1))
        url, _ = sign(result_id)
        assert fetch("GET", url).status == fetch("PUT", url, b"x", BLOCK_BLOB).status == 403
