"""The two calls to storage that every upload takes, by obstore: its bytes in, and its result out.

Azure's client works 5 and 4 ms on them, in Python, of which two threads cannot run at once: a sixth of what it takes to
name a genre. obstore is compiled, takes 2 and 0.3, and lets other threads run meanwhile. All that is asked for less
often, and what obstore has not (append blobs, signed URLs, metadata in listings), is Azure's client's.
"""

from collections.abc import Buffer, Iterable
from dataclasses import dataclass

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.storage.blob import ContentSettings

from functions import storage

_PIECE_BYTES = 2 * 2**20
"""A clip is one piece: in twenty, each by a turn of Python's lock, it took the emulator of storage longer too."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A blob of which nothing has been read yet but what it is."""

    etag: str
    size_bytes: int
    content: Iterable[Buffer]
    """All of it, of this version or not at all, in pieces; to be gone through once."""


def opened(container: str, name: str) -> Opened:
    """The blob as it is now. Raises FileNotFoundError when there is none.

    This, and to read, raise obstore's BaseError or AzureError when storage is away.
    """
    if not _is_path(name):
        try:
            download = storage.container(container).download_blob(name)
        except ResourceNotFoundError as error:
            raise FileNotFoundError from error
        return Opened(download.properties.etag, download.properties.size, download.chunks())
    import obstore

    found = obstore.get(storage.store(container), name)
    return Opened(str(found.meta["e_tag"]), found.meta["size"], found.stream(min_chunk_size=_PIECE_BYTES))


def create(container: str, name: str, content: bytes, *, content_type: str, metadata: dict[str, str]) -> bool:
    """Write a blob where none is, by one call; False when there is one. Raises as `opened` does, for the container."""
    if not _is_path(name):
        blob = storage.container(container).get_blob_client(name)
        try:
            blob.upload_blob(content, content_settings=ContentSettings(content_type=content_type), metadata=metadata)
        except ResourceExistsError:
            return False
        return True
    import obstore
    from obstore.exceptions import AlreadyExistsError

    attributes = {"Content-Type": content_type, **metadata}
    try:
        obstore.put(storage.store(container), name, content, attributes=attributes, mode="create", use_multipart=False)
    except AlreadyExistsError:
        return False
    return True


def _is_path(name: str) -> bool:
    """Whether obstore can name the blob: it takes names for paths, and would leave empty segments out of them."""
    return "" not in name.split("/")
