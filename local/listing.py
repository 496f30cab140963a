"""What is in a container, listed for little.

Azure's client makes an object of some fifty fields of each blob, half a millisecond of the processor. Here a container
is listed up to four times a second, so that this was a good part of a core from some hundred blobs on. So the client
asks, with all that it knows of signing and errors, and what storage answers is read here: an eighth of the work.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

from azure.core.exceptions import DecodeError
from azure.storage.blob import ContainerClient


@dataclass(frozen=True, slots=True)
class ListedBlob:
    """A blob as a listing shows it. ``last_modified`` as HTTP writes times."""

    name: str
    etag: str
    """Bare, without quotes."""
    size_bytes: int
    content_type: str
    last_modified: str
    metadata: dict[str, str]


class _Answered(Exception):  # noqa: N818 - no error: the way past what the client would make of the answer
    def __init__(self, body: bytes) -> None:
        self.body = body


def blobs(container: ContainerClient, prefix: str) -> Iterator[ListedBlob]:
    """The blobs whose names begin with ``prefix``, in the order of their names. Raises AzureError."""
    marker: str | None = None
    while marker != "":
        try:
            page = ElementTree.fromstring(_page(container, prefix, marker))  # noqa: S314 - from our own storage
        except ElementTree.ParseError as error:  # said as the client says it
            raise DecodeError("storage sent a listing that is no XML", error=error) from error
        for blob in page.iterfind("Blobs/Blob"):
            yield _listed(blob)
        marker = page.findtext("NextMarker") or ""


def _page(container: ContainerClient, prefix: str, marker: str | None) -> bytes:
    def take(answer: Any) -> None:
        if answer.http_response.status_code == 200:
            raise _Answered(answer.http_response.content)

    pages = container.list_blobs(name_starts_with=prefix, include=["metadata"], raw_response_hook=take)
    try:
        next(pages.by_page(marker))
    except _Answered as answer:
        return answer.body
    raise AssertionError("a listing without an answer")


def _listed(blob: ElementTree.Element) -> ListedBlob:
    name = blob.find("Name")
    if name is None or not name.text:
        raise ValueError("storage listed a blob without a name")
    properties, metadata = blob.find("Properties"), blob.find("Metadata")
    said = {} if properties is None else {each.tag: each.text or "" for each in properties}
    return ListedBlob(
        # What XML cannot hold is percent-encoded, and said to be.
        name=unquote(name.text) if name.get("Encoded") == "true" else name.text,
        etag=said.get("Etag", "").strip('"'),
        size_bytes=int(said.get("Content-Length") or 0),
        content_type=said.get("Content-Type", ""),
        last_modified=said.get("Last-Modified", ""),
        metadata={} if metadata is None else {each.tag: each.text or "" for each in metadata},
    )
