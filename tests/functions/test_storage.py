"""Access to storage: with the account's key, and with a managed identity as in Azure."""

import base64
import contextlib
import http.client
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trustme
from azure.core.exceptions import ServiceResponseTimeoutError
from azure.storage.blob import BlobServiceClient

from functions import history, storage, upload_urls
from functions.problems import ProblemError
from functions.settings import StorageAccess
from local import azurite as emulator
from local.processes import Child
from tests.conftest import READY_TIMEOUT_S, free_ports
from tests.functions.client import Client
from tests.functions.conftest import Configure

MAX_WAIT_S = 20


class TokenEndpoint(BaseHTTPRequestHandler):
    """Gives tokens of an identity, as in Azure. Azurite reads tokens but checks no signature."""

    asked_for: str = ""

    def do_GET(self) -> None:
        TokenEndpoint.asked_for = self.path
        expires_at = int(time.time()) + 3600
        claims = {
            "aud": "https://storage.azure.com",
            "iss": "https://sts.windows.net/00000000-0000-0000-0000-000000000001/",
            "oid": "00000000-0000-0000-0000-000000000002",
            "tid": "00000000-0000-0000-0000-000000000001",
            "iat": expires_at - 7200,
            "nbf": expires_at - 7200,
            "exp": expires_at,
        }
        parts = [json.dumps(part).encode() for part in ({"alg": "none", "typ": "JWT"}, claims)]
        token = ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in (*parts, b"unsigned"))
        answer = {
            "access_token": token,
            "expires_on": str(expires_at),
            "resource": claims["aud"],
            "token_type": "Bearer",
        }
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


class Refusing(BaseHTTPRequestHandler):
    """Storage that has all containers and refuses every listing."""

    def do_PUT(self) -> None:
        self.answer(409, "ContainerAlreadyExists")

    def do_GET(self) -> None:
        self.answer(400, "OutOfRangeInput")

    def answer(self, status: int, code: str) -> None:
        body = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
        self.send_response(status)
        self.send_header("x-ms-error-code", code)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


def serve(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Yields the address of a running server."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def token_endpoint() -> Iterator[str]:
    yield from serve(TokenEndpoint)


@pytest.fixture
def refusing() -> Iterator[str]:
    yield from serve(Refusing)


@dataclass(frozen=True)
class Cloud:
    """Storage with identities."""

    url: str
    authority: Path
    """The certificate authority."""


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    tmp_path = tmp_path_factory.mktemp("cloud")
    authority = trustme.CA()
    authority_path, issued_path = tmp_path / "authority.pem", tmp_path / "issued.pem"
    authority.cert_pem.write_to_path(authority_path)
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(issued_path)
    trusted = ssl.create_default_context(cafile=str(authority_path))
    (port,) = free_ports(1)

    def answers() -> bool:
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=2, context=trusted)
        try:
            connection.request("GET", f"/{emulator.ACCOUNT}?comp=list")
            connection.getresponse()
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
        return True

    command = [f"{emulator.COMMAND}-blob", "--silent", "--disableTelemetry", "--inMemoryPersistence"]
    command += ["--blobHost", "127.0.0.1", "--blobPort", str(port)]
    command += ["--oauth", "basic", "--cert", str(issued_path), "--key", str(issued_path)]
    azurite = Child("Azurite with identities", command, log_path=tmp_path / "azurite.log", probe=answers)
    azurite.launch()
    azurite.wait_ready(READY_TIMEOUT_S)
    yield Cloud(f"https://127.0.0.1:{port}/{emulator.ACCOUNT}", authority_path)
    azurite.stop()


@pytest.fixture
def with_identity(cloud: Cloud, token_endpoint: str, configure: Configure) -> None:
    """The app with the settings it has in Azure."""
    configure(
        AzureWebJobsStorage=None,
        AzureWebJobsStorage__blobServiceUri=cloud.url,
        AzureWebJobsStorage__queueServiceUri=cloud.url,
        AzureWebJobsStorage__credential="managedidentity",
        AzureWebJobsStorage__clientId="client-7",
        IDENTITY_ENDPOINT=f"{token_endpoint}/token",
        IDENTITY_HEADER="secret",
        REQUESTS_CA_BUNDLE=str(cloud.authority),
        SSL_CERT_FILE=str(cloud.authority),
    )


def send(method: str, url: str, authority: Path) -> tuple[int, bytes]:
    parts = urlsplit(url)
    connection = http.client.HTTPSConnection(
        parts.netloc, timeout=20, context=ssl.create_default_context(cafile=str(authority))
    )
    try:
        body = b"audio" if method == "PUT" else None
        connection.request(method, f"{parts.path}?{parts.query}", body, {"x-ms-blob-type": "BlockBlob"})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def put(url: str, authority: Path) -> int:
    return send("PUT", url, authority)[0]


@pytest.mark.usefixtures("with_identity")
class TestIdentity:
    def test_storage_is_used_without_a_key(self, client: Client) -> None:
        assert client.history().json == {"results": [], "next_cursor": None}
        assert {each.name for each in storage.service().list_containers()} == set(storage.CONTAINERS)
        assert "client_id=client-7" in TokenEndpoint.asked_for

    def test_an_upload_is_answered(self, client: Client, cloud: Cloud) -> None:
        upload = client.create_upload(b'{"filename": "a.wav"}').json
        assert put(upload["upload_url"], cloud.authority) == 201
        client.uploaded(upload["id"])
        assert client.result(upload["id"]).json["problem"]["code"] == "unsupported_format"

    def test_upload_urls_are_signed_with_a_delegated_key(self, client: Client, cloud: Cloud) -> None:
        url = client.create_upload(b'{"filename": "a.wav"}').json["upload_url"]
        assert "skoid=" in url
        assert "spr=https&" in url
        assert put(url, cloud.authority) == 201
        address, _, signature = url.partition("?")
        assert put(f"{address}x?{signature}", cloud.authority) == 403

    def test_so_are_urls_to_read(self, client: Client, cloud: Cloud) -> None:
        upload = client.create_upload(b'{"filename": "a.wav"}').json
        assert put(upload["upload_url"], cloud.authority) == 201
        url = client.recording(upload["id"]).json["url"]
        assert "skoid=" in url
        assert "spr=https&" in url
        assert send("GET", url, cloud.authority) == (200, b"audio")
        assert put(url, cloud.authority) == 403

    def test_they_expire(self, cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(upload_urls, "_expiry", lambda: datetime.now(UTC) - timedelta(seconds=30))
        assert put(upload_urls.signed_upload_url("a.wav")[0], cloud.authority) == 403


def test_missing_containers_are_created(client: Client, configure: Configure, blob_service: BlobServiceClient) -> None:
    configure()
    blob_service.delete_container("feedback")
    assert client.feedback("a.wav").code == "not_found"
    assert blob_service.get_container_client("feedback").exists()


@pytest.mark.usefixtures("worker")
def test_a_cursor_that_storage_refuses(refusing: str, configure: Configure) -> None:
    key = base64.b64encode(b"key").decode()
    configure(AzureWebJobsStorage=f"AccountName=a;AccountKey={key};BlobEndpoint={refusing}/a;")
    with pytest.raises(ProblemError) as caught:
        history.page(1, history.ResultFilter(), "made up")
    assert caught.value.code == "bad_parameter"
    # Without a cursor the same refusal is an error of the service.
    with pytest.raises(Exception, match="OutOfRangeInput"):
        history.page(1, history.ResultFilter())


def test_storage_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "_READ_TIMEOUT_S", 0.2)
    monkeypatch.setattr(storage, "_RETRIES", 0)
    key = base64.b64encode(b"key").decode()
    with socket.create_server(("127.0.0.1", 0)) as silent, ThreadPoolExecutor(1) as pool:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/a"
        client = storage.connect(
            StorageAccess(connection_string=f"AccountName=a;AccountKey={key};BlobEndpoint={address};")
        )
        asked = pool.submit(client.get_service_properties)
        connection, _ = silent.accept()
        with connection, contextlib.suppress(TimeoutError):
            asked.exception(MAX_WAIT_S)
    # Not that the connection was cut, as it is in the end.
    assert isinstance(asked.exception(), ServiceResponseTimeoutError)
