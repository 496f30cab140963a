"""The storage account: its containers, how it is reached, and the three calls that every upload takes.

These use obstore, which is compiled: it takes 2 and 0.3 ms where Azure's client takes 5 and 4, and lets threads run
meanwhile. Everything else uses Azure's client, as obstore has no signed URLs and lists no metadata. When storage cannot
be reached, all calls raise `azure.core.exceptions.AzureError`; the three raise `obstore.exceptions.BaseError` too.
"""

from collections.abc import Buffer, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.core.pipeline.transport import RequestsTransport
from azure.storage.blob import BlobServiceClient, ContainerClient, ContentSettings, LinearRetry

from functions.settings import StorageAccess, settings

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential
    from obstore.store import AzureBearerToken, AzureStore

UPLOADS = "uploads"
RESULTS = "results"
FEEDBACK = "feedback"
KEYS = "keys"
CONTAINERS = (UPLOADS, RESULTS, FEEDBACK, KEYS)
JSON_CONTENT = ContentSettings(content_type="application/json")
# Calls give up within seconds: an HTTP client is told to come back, and the host calls a trigger again.
_RETRIES = 2
_BACKOFF_S = 1
_CONNECT_TIMEOUT_S = 5
_READ_TIMEOUT_S = 10
_STREAM_TIMEOUT_S = 1_200  # functionTimeout in host.json
_READ_BYTES = 4 * 2**20
"""Largest read by Azure's client, which takes nine times this in memory; an instance has 2,048 MB."""
_CHUNK_BYTES = 2 * 2**20
"""Smallest chunk of obstore's: a clip is one chunk, as each chunk waits for Python's lock."""


@dataclass(frozen=True, slots=True)
class OpenBlob:
    """One version of a blob, whose content has not been read yet."""

    etag: str
    size_bytes: int
    chunks: Iterable[Buffer]
    """The content, to be iterated once. All of it is of this version, or the iteration fails."""
    encoding: str | None
    """Its ``Content-Encoding``, in which the chunks are."""
    metadata: Mapping[str, str]


class ArchivedBlobError(Exception):
    """The blob is in the archive tier, from which nothing can be read."""


def open_blob(container_name: str, name: str) -> OpenBlob:
    """Open the current version of a blob. Raises FileNotFoundError if there is no such blob, and ArchivedBlobError."""
    if not obstore_can_name(name):
        try:
            download = container(container_name).download_blob(name, decompress=False)
        except ResourceNotFoundError as error:
            raise FileNotFoundError from error
        except ResourceExistsError as error:
            raise ArchivedBlobError from error
        found, encoding = download.properties, download.properties.content_settings.content_encoding
        return OpenBlob(found.etag, found.size, download.chunks(), encoding, found.metadata)
    import obstore
    from obstore.exceptions import AlreadyExistsError

    try:
        got = obstore.get(_store(container_name), name)
    except AlreadyExistsError as error:  # obstore's reading of the status 409
        raise ArchivedBlobError from error
    encoding, chunks = got.attributes.get("Content-Encoding"), got.stream(min_chunk_size=_CHUNK_BYTES)
    metadata = {str(name): str(value) for name, value in got.attributes.items()}
    return OpenBlob(str(got.meta["e_tag"]), got.meta["size"], chunks, encoding, metadata)


def is_folder(metadata: Mapping[str, str]) -> bool:
    """Whether a blob's metadata say that it stands for a folder, as Data Lake tools and AzCopy write them."""
    return any(name.lower() == "hdi_isfolder" and value.lower() == "true" for name, value in metadata.items())


def exists(container_name: str, name: str) -> bool:
    """Whether there is such a blob."""
    if not obstore_can_name(name):
        return container(container_name).get_blob_client(name).exists()
    import obstore

    try:
        obstore.head(_store(container_name), name)
    except FileNotFoundError:
        return False
    return True


def create_blob(container_name: str, name: str, content: bytes, attributes: dict[str, str]) -> bool:
    """Write a new blob with one call; False if there is a blob of this name already, which stays as it is."""
    import obstore
    from obstore.exceptions import AlreadyExistsError

    try:
        obstore.put(_store(container_name), name, content, attributes=attributes, mode="create", use_multipart=False)
    except AlreadyExistsError:
        return False
    return True


def obstore_can_name(name: str) -> bool:
    """Whether obstore can name a blob: it leaves empty path segments out, which would name another one."""
    return "" not in name.split("/")


@cache
def container(name: str) -> ContainerClient:
    """Azure's client for one of CONTAINERS."""
    return service().get_container_client(name)


@cache
def service() -> BlobServiceClient:
    """Azure's client for the account. The first call creates the containers that are missing."""
    client = connect(settings().storage)
    for name in CONTAINERS:
        # Bicep and the local host create them; with `func start` on a fresh account nobody does.
        with suppress(ResourceExistsError):
            client.create_container(name, **one_try(_CONNECT_TIMEOUT_S))
    return client


def one_try(timeout_s: float) -> dict[str, Any]:
    """Options of a call that does not wait long for storage and does not try again."""
    return {"retry_total": 0, "connection_timeout": timeout_s, "read_timeout": timeout_s}


def connect(access: StorageAccess) -> BlobServiceClient:
    """A client for the account. Sends nothing yet."""
    options: dict[str, Any] = {
        "retry_policy": LinearRetry(backoff=_BACKOFF_S, retry_total=_RETRIES, random_jitter_range=_BACKOFF_S),
        "max_single_get_size": _READ_BYTES,
        "max_chunk_get_size": _READ_BYTES,
        # A client with a transport of its own ignores these when they are given to the client.
        "transport": RequestsTransport(
            connection_timeout=_CONNECT_TIMEOUT_S,
            read_timeout=_READ_TIMEOUT_S,
            connection_data_block_size=_READ_BYTES,
            # Azurite runs on this machine: reading proxy settings and ~/.netrc takes a tenth of each call.
            use_env_settings=access.connection_string is None,
        ),
    }
    if access.connection_string is not None:
        return BlobServiceClient.from_connection_string(access.connection_string, **options)
    from azure.identity import ManagedIdentityCredential

    return BlobServiceClient(access.blob_service_url, ManagedIdentityCredential(client_id=access.client_id), **options)


def for_operator(account: str | None) -> BlobServiceClient:
    """A client for a command: of this account, for whoever is signed in to the Azure CLI, or else of the app settings.

    Raises AzureError for who is not signed in, and SettingsError.
    """
    if account is None:
        return connect(settings().storage)
    from azure.identity import AzureCliCredential

    credential = AzureCliCredential()
    credential.get_token("https://storage.azure.com/.default")  # says at once who is not signed in
    return BlobServiceClient(f"https://{account}.blob.core.windows.net", credential)


@cache
def _store(name: str) -> "AzureStore":
    """Obstore's client for one of CONTAINERS, with the same account, credential and limits as Azure's client."""
    from obstore.store import AzureStore

    client = service()
    by_key = settings().storage.connection_string is not None
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
        retry_config={"max_retries": _RETRIES, "backoff": {"init_backoff": timedelta(seconds=_BACKOFF_S)}},
    )


def _token(credential: "TokenCredential") -> "AzureBearerToken":
    token = credential.get_token("https://storage.azure.com/.default")
    return {"token": token.token, "expires_at": datetime.fromtimestamp(token.expires_on, UTC)}
