"""The storage account: its three containers, how it is reached, and the two calls that every upload takes.

The two calls are made with obstore, which is compiled, takes 2 and 0.3 ms where Azure's client takes 5 and 4, and lets
other threads run meanwhile. Everything else uses Azure's client: obstore has no signed URLs and lists no metadata.
"""

from collections.abc import Buffer, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.core.pipeline.transport import RequestsTransport
from azure.storage.blob import BlobServiceClient, ContainerClient, ContentSettings, LinearRetry

from functions.settings import IdentityAccess, KeyAccess, settings

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential
    from obstore.store import AzureBearerToken, AzureStore

UPLOADS = "uploads"
RESULTS = "results"
FEEDBACK = "feedback"
CONTAINERS = (UPLOADS, RESULTS, FEEDBACK)

# Calls give up within seconds: an HTTP client is told to come back, and the host calls a trigger again.
_RETRY_TOTAL = 2
_BACKOFF_S = 1
_BACKOFF_JITTER_S = 1
_CONNECT_TIMEOUT_S = 5
_READ_TIMEOUT_S = 30
_STREAM_TIMEOUT_S = 1_200  # functionTimeout in host.json
_READ_BYTES = 4 * 2**20
"""Largest read by Azure's client, which takes about nine times this in memory; an instance has 2,048 MB."""
_CHUNK_BYTES = 2 * 2**20
"""Smallest chunk of obstore's: a clip is one chunk, as each chunk waits for Python's lock."""


@dataclass(frozen=True, slots=True)
class OpenBlob:
    """One version of a blob, whose content has not been read yet."""

    etag: str
    size_bytes: int
    chunks: Iterable[Buffer]
    """The content, to be iterated once. All of it is of this version, or the iteration fails."""


def open_blob(container_name: str, name: str) -> OpenBlob:
    """Open the current version of a blob.

    Raises:
        FileNotFoundError: There is no such blob.
        azure.core.exceptions.AzureError, obstore.exceptions.BaseError: Storage cannot be reached; reading raises
            these too.
    """
    if not _obstore_can_name(name):
        try:
            download = container(container_name).download_blob(name)
        except ResourceNotFoundError as error:
            raise FileNotFoundError from error
        return OpenBlob(download.properties.etag, download.properties.size, download.chunks())
    import obstore

    found = obstore.get(_store(container_name), name)
    return OpenBlob(str(found.meta["e_tag"]), found.meta["size"], found.stream(min_chunk_size=_CHUNK_BYTES))


def create_blob(container_name: str, name: str, content: bytes, content_type: str, metadata: dict[str, str]) -> bool:
    """Write a new blob with one call.

    Returns:
        False if there is a blob of this name already; it stays as it is.

    Raises:
        FileNotFoundError, azure.core.exceptions.ResourceNotFoundError: There is no such container.
        azure.core.exceptions.AzureError, obstore.exceptions.BaseError: Storage cannot be reached.
    """
    if not _obstore_can_name(name):
        blob = container(container_name).get_blob_client(name)
        try:
            blob.upload_blob(content, content_settings=ContentSettings(content_type=content_type), metadata=metadata)
        except ResourceExistsError:
            return False
        return True
    import obstore
    from obstore.exceptions import AlreadyExistsError

    attributes = {"Content-Type": content_type, **metadata}
    try:
        obstore.put(_store(container_name), name, content, attributes=attributes, mode="create", use_multipart=False)
    except AlreadyExistsError:
        return False
    return True


def _obstore_can_name(name: str) -> bool:
    """Obstore takes names for paths and leaves out empty segments, which would name another blob."""
    return "" not in name.split("/")


@cache
def container(name: str) -> ContainerClient:
    """Azure's client for one of CONTAINERS, cached as it is not cheap to make.

    Raises:
        azure.core.exceptions.AzureError: Storage cannot be reached.
    """
    return service().get_container_client(name)


@cache
def service() -> BlobServiceClient:
    """Azure's client for the account. Creates the containers that are missing.

    Raises:
        azure.core.exceptions.AzureError: Storage cannot be reached.
    """
    client = connect(settings().storage)
    for name in CONTAINERS:
        # Bicep and the local host create them; with `func start` on a fresh account nobody does.
        try:
            client.create_container(name)
        except ResourceExistsError:
            continue
    return client


def connect(access: KeyAccess | IdentityAccess) -> BlobServiceClient:
    """A client for the account. Sends nothing yet."""
    options: dict[str, Any] = {
        "retry_policy": LinearRetry(
            backoff=_BACKOFF_S, retry_total=_RETRY_TOTAL, random_jitter_range=_BACKOFF_JITTER_S
        ),
        "max_single_get_size": _READ_BYTES,
        "max_chunk_get_size": _READ_BYTES,
        # A client with a transport of its own ignores these when they are given to the client.
        "transport": RequestsTransport(
            connection_timeout=_CONNECT_TIMEOUT_S,
            read_timeout=_READ_TIMEOUT_S,
            connection_data_block_size=_READ_BYTES,
            # Azurite runs on this machine: reading proxy settings and ~/.netrc takes a tenth of each call.
            use_env_settings=isinstance(access, IdentityAccess),
        ),
    }
    if isinstance(access, KeyAccess):
        return BlobServiceClient.from_connection_string(access.connection_string, **options)
    from azure.identity import ManagedIdentityCredential

    credential = ManagedIdentityCredential(client_id=access.client_id)
    return BlobServiceClient(access.blob_service_url, credential=credential, **options)


@cache
def _store(name: str) -> "AzureStore":
    """Obstore's client for one of CONTAINERS, with the same account, credential and limits as Azure's client."""
    from obstore.store import AzureStore

    client = service()
    by_key = isinstance(settings().storage, KeyAccess)
    return AzureStore(
        name,
        account_name=client.account_name,
        endpoint=client.url.rstrip("/"),
        **({"account_key": client.credential.account_key} if by_key else {}),
        credential_provider=None if by_key else lambda: _token(client.credential),
        client_options={
            "allow_http": client.url.startswith("http:"),
            "connect_timeout": timedelta(seconds=_CONNECT_TIMEOUT_S),
            "read_timeout": timedelta(seconds=_READ_TIMEOUT_S),
            "timeout": timedelta(seconds=_STREAM_TIMEOUT_S),
        },
        retry_config={"max_retries": _RETRY_TOTAL, "backoff": {"init_backoff": timedelta(seconds=_BACKOFF_S)}},
    )


def _token(credential: "TokenCredential") -> "AzureBearerToken":
    token = credential.get_token("https://storage.azure.com/.default")
    return {"token": token.token, "expires_at": datetime.fromtimestamp(token.expires_on, UTC)}


def forget_clients() -> None:
    """Drop the cached clients, so that the next call reads the settings again."""
    for cached in (service, container, _store):
        cached.cache_clear()
