"""The storage account: how it is reached, and its three containers."""

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import ResourceExistsError
from azure.core.pipeline.transport import RequestsTransport
from azure.storage.blob import BlobServiceClient, ContainerClient, LinearRetry

from functions.settings import IdentityAccess, KeyAccess, settings

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential
    from obstore.store import AzureBearerToken, AzureStore

UPLOADS = "uploads"
RESULTS = "results"
FEEDBACK = "feedback"
CONTAINERS = (UPLOADS, RESULTS, FEEDBACK)

# Tries end within seconds: an HTTP caller is better told to come back, and a trigger is retried by the host anyway.
_RETRY_TOTAL = 2
_BACKOFF_S = 1
_BACKOFF_JITTER_S = 1
_CONNECT_TIMEOUT_S = 5
_READ_TIMEOUT_S = 30
_STREAM_TIMEOUT_S = 1_200  # as long as a function may take
_READ_BYTES = 4 * 2**20
"""Of a blob at once, at most. A read holds about nine times this; the default of 32 MiB is too much for 2,048 MB."""


@cache
def service() -> BlobServiceClient:
    """The account's blob service, with its containers there. Raises AzureError when storage is away."""
    client = connect(settings().storage)
    for name in CONTAINERS:
        # In the cloud they are deployed and the local host makes them; `func start` on a fresh account has neither.
        try:
            client.create_container(name)
        except ResourceExistsError:
            continue
    return client


@cache
def container(name: str) -> ContainerClient:
    """One of CONTAINERS. Kept, as clients are not cheap to make."""
    return service().get_container_client(name)


@cache
def store(name: str) -> "AzureStore":
    """One of CONTAINERS for functions.blob_transfer. Raises AzureError when storage is away."""
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
        retry_config={
            "max_retries": _RETRY_TOTAL,
            "backoff": {"init_backoff": timedelta(seconds=_BACKOFF_S)},
        },
    )


def connect(access: KeyAccess | IdentityAccess) -> BlobServiceClient:
    """A client for the account. Sends nothing yet."""
    options: dict[str, Any] = {
        "retry_policy": LinearRetry(
            backoff=_BACKOFF_S, retry_total=_RETRY_TOTAL, random_jitter_range=_BACKOFF_JITTER_S
        ),
        "max_single_get_size": _READ_BYTES,
        "max_chunk_get_size": _READ_BYTES,
        # Given to the client itself, timeouts and sizes are lost on a transport that is given too.
        "transport": RequestsTransport(
            connection_timeout=_CONNECT_TIMEOUT_S,
            read_timeout=_READ_TIMEOUT_S,
            connection_data_block_size=_READ_BYTES,
            # Azurite is on this machine: no look at proxies and ~/.netrc before every call, a tenth of its time.
            use_env_settings=isinstance(access, IdentityAccess),
        ),
    }
    if isinstance(access, KeyAccess):
        return BlobServiceClient.from_connection_string(access.connection_string, **options)
    from azure.identity import ManagedIdentityCredential

    credential = ManagedIdentityCredential(client_id=access.client_id)
    return BlobServiceClient(access.blob_service_url, credential=credential, **options)


def _token(credential: "TokenCredential") -> "AzureBearerToken":
    token = credential.get_token("https://storage.azure.com/.default")
    return {"token": token.token, "expires_at": datetime.fromtimestamp(token.expires_on, UTC)}
