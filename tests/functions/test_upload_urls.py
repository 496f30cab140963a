"""File names made safe, and what a signed URL can do and cannot."""

import http.client
import re
import time
import unicodedata
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
from azure.storage.blob import ContainerClient
from hypothesis import example, given
from hypothesis import strategies as st

from functions import result_store, upload_urls


def send(method: str, url: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> int:
    """Status of a plain HTTP request."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=20)
    try:
        connection.request(method, f"{parts.path}?{parts.query}", body, headers or {})
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


BLOCK_BLOB = {"x-ms-blob-type": "BlockBlob"}


@pytest.mark.parametrize(
    ("given_name", "kept"),
    [
        ("song.mp3", "song.mp3"),
        ("Für Elise – Op. 59.flac", "Für Elise _ Op. 59.flac"),
        ("音楽/曲.mp3", "曲.mp3"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Music\\song.wav", "song.wav"),
        ("a\x00b\n\u202ec.mp3", "abc.mp3"),
        ("e\u0301.ogg", "\u00e9.ogg"),
        ("what?#100%.mp3", "what__100_.mp3"),
        (".mp3", "mp3"),
        ("  spaced .mp3  ", "spaced.mp3"),
        ("name...", "name"),
        ("x" * 300 + ".flac", "x" * 95 + ".flac"),
        ("x." + "y" * 300, "x." + "y" * 98),
        ("", "audio"),
        ("..", "audio"),
        ("folder/", "audio"),
        ("\x00", "audio"),
        ("🎵.mp3", "_.mp3"),
    ],
)
def test_file_names(given_name: str, kept: str) -> None:
    assert upload_urls.safe_filename(given_name) == kept


@given(st.text(max_size=300))
@example("x" * 99 + ". .y")
@example("." * 200 + "a" * 5)
def test_any_name_becomes_a_good_one(name: str) -> None:
    safe = upload_urls.safe_filename(name)
    assert 1 <= len(safe) <= upload_urls.MAX_FILENAME_CHARS
    assert not set(safe) & set('/\\?#%"<>|*')
    assert safe == safe.strip(" .")
    assert not any(unicodedata.category(sign)[0] == "C" for sign in safe)
    assert result_store.id_fault(upload_urls.new_id(name)) is None
    assert upload_urls.safe_filename(safe) == safe


def test_ids_differ_and_keep_the_name() -> None:
    first, second = upload_urls.new_id("a.mp3"), upload_urls.new_id("a.mp3")
    assert first != second
    assert first.endswith("/a.mp3")
    assert upload_urls.new_id(None).endswith("/audio")


def id_at(monkeypatch: pytest.MonkeyPatch, at_ms: int, filename: str = "a.mp3") -> str:
    monkeypatch.setattr(time, "time_ns", lambda: at_ms * 1_000_000)
    return upload_urls.new_id(filename)


# From 2020 to the last millisecond of 2200.
MOMENTS_MS = st.integers(1_577_836_800_000, 7_289_654_399_999)


@given(MOMENTS_MS, MOMENTS_MS, st.text(max_size=10), st.text(max_size=10))
@example(1_795_392_000_000, 1_795_392_000_001, "", "")
@example(1_999_999_999_999, 2_000_000_000_000, "b", "a")
def test_newer_ids_sort_first(one_ms: int, other_ms: int, one_name: str, other_name: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        one, other = id_at(patch, one_ms, one_name), id_at(patch, other_ms, other_name)
    assert one != other
    if one_ms != other_ms:
        assert (one < other) == (one_ms > other_ms)


@given(MOMENTS_MS)
@example(7_289_654_399_999)
def test_all_ids_have_the_same_form_for_centuries(at_ms: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        found = id_at(patch, at_ms)
    assert re.fullmatch(r"[0-9]{13}[0-9a-f]{32}/a\.mp3", found)
    assert upload_urls.own_name(found) == "a.mp3"


def test_the_clock_tells_nothing_of_the_random_part() -> None:
    with pytest.MonkeyPatch.context() as patch:
        made = {id_at(patch, 1_795_392_000_000) for _ in range(500)}
    assert len({each[:13] for each in made}) == 1
    assert len({each[13:45] for each in made}) == 500
    # Every place varies but the one that says which kind of random number it is.
    assert [place for place in range(13, 45) if len({each[place] for each in made}) == 1] == [13 + 12]


def test_an_id_after_the_end_of_its_time_is_still_one() -> None:
    with pytest.MonkeyPatch.context() as patch:
        assert id_at(patch, 10**13 + 5).startswith("0" * 13)


@pytest.mark.parametrize(
    ("result_id", "own"),
    [
        ("albums/a.mp3", "albums/a.mp3"),
        ("0" * 32 + "/a.mp3", "a.mp3"),
        ("1" * 45 + "/b/a.mp3", "b/a.mp3"),
        ("x" + "1" * 45 + "/a.mp3", "x" + "1" * 45 + "/a.mp3"),
        ("1" * 44 + "/a.mp3", "1" * 44 + "/a.mp3"),
        ("1" * 45, "1" * 45),
    ],
)
def test_what_is_left_of_an_id_without_the_ticket(result_id: str, own: str) -> None:
    assert upload_urls.own_name(result_id) == own


@pytest.mark.usefixtures("client")
class TestSignedUrl:
    @pytest.fixture
    def result_id(self) -> str:
        return upload_urls.new_id("ü 1.mp3")

    @pytest.fixture
    def url(self, result_id: str) -> str:
        return upload_urls.upload_url(result_id, datetime.now(UTC) + timedelta(minutes=5))

    def test_it_writes_and_writes_again(self, url: str, result_id: str, uploads: ContainerClient) -> None:
        assert send("PUT", url, b"audio", BLOCK_BLOB) == 201
        assert send("PUT", url, b"audio, again", BLOCK_BLOB) == 201
        assert uploads.download_blob(result_id).readall() == b"audio, again"

    def test_it_does_nothing_else(self, url: str, result_id: str, uploads: ContainerClient) -> None:
        uploads.upload_blob(result_id, b"private")
        assert send("GET", url) == 403
        assert send("HEAD", url) == 403
        assert send("DELETE", url) == 403
        container_url = url.partition("/uploads/")[0] + "/uploads?restype=container&comp=list&" + urlsplit(url).query
        assert send("GET", container_url) == 403
        assert uploads.download_blob(result_id).readall() == b"private"

    def test_it_writes_no_other_blob(self, url: str, uploads: ContainerClient) -> None:
        address, _, signature = url.partition("?")
        for other in (f"{address}x", address.replace("/uploads/", "/results/"), address.rpartition("/")[0] + "/b.mp3"):
            assert send("PUT", f"{other}?{signature}", b"x", BLOCK_BLOB) == 403
        assert not uploads.get_blob_client(upload_urls.new_id("b.mp3")).exists()

    def test_it_ends(self, result_id: str) -> None:
        late = upload_urls.upload_url(result_id, datetime.now(UTC) - timedelta(minutes=1))
        assert send("PUT", late, b"x", BLOCK_BLOB) == 403


@pytest.mark.usefixtures("client")
class TestReadUrl:
    @pytest.fixture
    def result_id(self, uploads: ContainerClient) -> str:
        result_id = upload_urls.new_id("ü 1.mp3")
        uploads.upload_blob(result_id, b"audio")
        return result_id

    @pytest.fixture
    def url(self, result_id: str) -> str:
        return upload_urls.download_url(result_id, datetime.now(UTC) + timedelta(minutes=5))

    def test_it_reads(self, url: str) -> None:
        assert send("GET", url) == send("HEAD", url) == 200

    def test_it_does_nothing_else(self, url: str, result_id: str, uploads: ContainerClient) -> None:
        assert send("PUT", url, b"x", BLOCK_BLOB) == 403
        assert send("DELETE", url) == 403
        container_url = url.partition("/uploads/")[0] + "/uploads?restype=container&comp=list&" + urlsplit(url).query
        assert send("GET", container_url) == 403
        assert uploads.download_blob(result_id).readall() == b"audio"

    def test_it_reads_no_other_blob(self, url: str, result_id: str, uploads: ContainerClient) -> None:
        uploads.upload_blob(f"{result_id}x", b"private")
        address, _, signature = url.partition("?")
        assert send("GET", f"{address}x?{signature}") == 403
        assert send("GET", f"{address.replace('/uploads/', '/results/')}?{signature}") == 403

    def test_it_ends(self, result_id: str) -> None:
        assert send("GET", upload_urls.download_url(result_id, datetime.now(UTC) - timedelta(minutes=1))) == 403
