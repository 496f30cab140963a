"""Listings read here say what Azure's own client makes of them."""

from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any

import pytest
from azure.core.exceptions import DecodeError, ResourceNotFoundError
from azure.storage.blob import BlobServiceClient, ContainerClient, ContentSettings

from local.listing import blobs
from tests.conftest import Storage

NAMES = ["a/ü #?%2F&=+<>\"'.mp3", "a/音楽/曲.flac", "a/b", "a/%41", "a/ leading", "a/x" * 300, "b/other", "a"]


@pytest.fixture(scope="module")
def blob_service(azurite: Storage) -> BlobServiceClient:
    return BlobServiceClient.from_connection_string(azurite.connection_string)


@pytest.fixture(scope="module")
def container(blob_service: BlobServiceClient) -> ContainerClient:
    made = blob_service.create_container("listed")
    for size_bytes, name in enumerate(NAMES):
        made.upload_blob(
            name,
            b"x" * size_bytes,
            metadata={"number": str(size_bytes)} if size_bytes % 2 else None,
            content_settings=ContentSettings(content_type="audio/mpeg"),
        )
    return made


@pytest.mark.parametrize("prefix", ["", "a", "a/", "none"])
@pytest.mark.parametrize("a_page", [None, 1, 3])
def test_they_say_what_the_client_says(
    container: ContainerClient, prefix: str, a_page: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs: list[Any] = list(container.list_blobs(name_starts_with=prefix, include=["metadata"]))
    monkeypatch.setattr(container, "list_blobs", partial(container.list_blobs, results_per_page=a_page))
    ours = list(blobs(container, prefix))
    assert [
        (each.name, each.etag, each.size_bytes, each.content_type, each.last_modified, each.metadata) for each in ours
    ] == [
        (
            each.name,
            each.etag.strip('"'),
            each.size,
            each.content_settings.content_type,
            _http(each.last_modified),
            each.metadata or {},
        )
        for each in theirs
    ]
    assert len(ours) == sum(name.startswith(prefix) for name in NAMES)


def test_a_container_that_is_not_there_is_said_to_be_missing(blob_service: BlobServiceClient) -> None:
    with pytest.raises(ResourceNotFoundError):
        list(blobs(blob_service.get_container_client("no-such-container"), ""))


def test_what_xml_cannot_hold_comes_back(container: ContainerClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Azure percent-encodes such names and says so; Azurite refuses them."""
    page = b"""<?xml version="1.0" encoding="utf-8"?><EnumerationResults><Blobs>
        <Blob><Name Encoded="true">a%EF%BF%BEb</Name><Properties><Etag>0x1</Etag></Properties></Blob>
        <Blob><Name>c%20d</Name><Properties /></Blob></Blobs><NextMarker /></EnumerationResults>"""
    monkeypatch.setattr("local.listing._page", lambda *_: page)
    assert [(each.name, each.etag) for each in blobs(container, "")] == [("a\ufffeb", "0x1"), ("c%20d", "")]


def test_a_listing_that_breaks_off_is_an_error_of_storage(
    container: ContainerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The listener waits after those, and asks again."""
    monkeypatch.setattr("local.listing._page", lambda *_: b"<EnumerationResults><Blobs>")
    with pytest.raises(DecodeError):
        list(blobs(container, ""))


def _http(time: Any) -> str:
    text: str = time.strftime("%a, %d %b %Y %H:%M:%S GMT")
    assert parsedate_to_datetime(text) == time
    return text
