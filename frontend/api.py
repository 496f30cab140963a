"""A client of the HTTP API: limits, uploads, results with what belongs to them, and models.

What is about recordings is asked for a `Visitor`. The service does not know who that is: it believes this client.

Settings, from the environment: ``TONEARM_API_URL``, the service (default http://127.0.0.1:7071);
``TONEARM_API_KEY``, a function key where the service asks for one; ``TONEARM_RESULT_WAIT_S``, how long the page waits
for a result (default 600).
"""

import copy
import functools
import hashlib
import logging
import os
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, BinaryIO, Self, cast
from urllib.parse import quote

import httpx

from frontend import api_errors
from frontend.api_errors import ApiError
from frontend.api_types import RESULT_SCHEMA, SPECTROGRAM_SCHEMA, Limits, Model, PreviewSpectrogram, Result, Summary

__all__ = ["EVERYBODY", "Api", "ApiError", "Pending", "Recording", "Upload", "Visitor", "result_wait_s", "service"]

# httpx logs the URL of each request. The URLs of uploads and recordings are signed, so they are secret.
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)

DEFAULT_API_URL = "http://127.0.0.1:7071"
DEFAULT_RESULT_WAIT_S = 600.0
DEFAULT_RETRY_AFTER_S = 1.0
MIN_RETRY_AFTER_S = 0.1
MAX_RETRY_AFTER_S = 30.0
MAX_FOLDER_CHARS = 1024  # the service takes no more
API_TIMEOUT = httpx.Timeout(30.0, connect=5.0)


@dataclass(frozen=True, slots=True)
class Visitor:
    """For whom the client asks."""

    owner: str | None
    """Whose new uploads are, and whose recordings may be deleted; None: nobody's and everybody's."""
    sees: str | None
    """Whose recordings are shown; None: everybody's."""


EVERYBODY = Visitor(owner=None, sees=None)
OWNER_HEADER = "X-Tonearm-Owner"


@dataclass(frozen=True, slots=True)
class Pending:
    """There is no result yet; ask again after ``retry_after_s``."""

    retry_after_s: float


@dataclass(frozen=True, slots=True)
class Upload:
    """A signed URL that accepts one file of at most ``max_bytes`` until ``expires``. ``repr`` omits the URL."""

    id: str
    url: str = field(repr=False)
    headers: dict[str, str]
    max_bytes: int
    expires: datetime


@dataclass(frozen=True, slots=True)
class Recording:
    """A signed URL at which an uploaded file can be read until ``expires``. ``repr`` omits the URL."""

    id: str
    url: str = field(repr=False)
    expires: datetime
    size_bytes: int


@functools.cache
def _tls() -> ssl.SSLContext:
    """The trusted certificates; reading them takes longer than most requests."""
    return httpx.create_ssl_context()


def storage_options() -> dict[str, Any]:
    """Options of an httpx client for the storage. It never gets the service's key."""
    # The local machine is reached directly, whatever proxy the environment names.
    direct = dict.fromkeys(("all://127.0.0.1", "all://localhost", "all://[::1]"))
    return {"timeout": httpx.Timeout(120.0, connect=5.0), "mounts": direct, "verify": _tls()}


def service(visitor: Visitor | None = None) -> "Api":
    """The client of the configured service. Raises ApiError where address or key are malformed.

    Without a visitor it cannot be asked about recordings.
    """
    api = _api(os.environ.get("TONEARM_API_URL", DEFAULT_API_URL), os.environ.get("TONEARM_API_KEY"))
    return api.asking_for(visitor)


def result_wait_s() -> float:
    """How long to wait for a result before giving up, in seconds."""
    return float(os.environ.get("TONEARM_RESULT_WAIT_S", DEFAULT_RESULT_WAIT_S))


class Api:
    """A client of one Tonearm service. Threads may share it; as a context manager it closes its connections.

    Args:
        base_url: Without ``/api``.
        key: Sent as ``x-functions-key``.
        visitor: For whom it asks about recordings; None: it must not.

    Every method raises :class:`ApiError` where the service is away, refuses the key or answers with a problem.
    """

    def __init__(self, base_url: str, key: str | None = None, visitor: Visitor | None = EVERYBODY) -> None:
        self.visitor = visitor
        headers = {"x-functions-key": key} if key else None
        try:
            self._http = httpx.Client(
                base_url=base_url, headers=headers, **storage_options() | {"timeout": API_TIMEOUT}
            )
        except UnicodeError:  # the key has letters that no header can have
            raise ApiError(api_errors.BAD_KEY) from None
        except httpx.InvalidURL:
            raise ApiError(api_errors.BAD_ADDRESS) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def asking_for(self, visitor: Visitor | None) -> "Api":
        """The same client, with the same connections, for another visitor."""
        other = copy.copy(self)
        other.visitor = visitor
        return other

    def limits(self) -> Limits:
        """What the service accepts."""
        return cast("Limits", _checked(self._get("/api/limits"), Limits.__required_keys__))

    def create_upload(self, path: str) -> Upload:
        """A signed URL for the file at ``path``: its name, with or without folders and slashes before it."""
        folder, _, filename = path.rpartition("/")
        document = {"filename": filename} | ({"folder": folder[-MAX_FOLDER_CHARS:]} if folder else {})
        answer = self._request("POST", "/api/uploads", json=document, headers=self._writing())
        body = _object(answer, httpx.codes.CREATED)
        try:
            return Upload(
                id=str(body["id"]),
                url=str(body["upload_url"]),
                headers=dict(body["upload_headers"]),
                max_bytes=int(body["max_bytes"]),
                expires=datetime.fromisoformat(body["expires_at"]),
            )
        except (KeyError, TypeError, ValueError):
            raise ApiError(api_errors.NOT_TONEARM) from None

    def put(self, upload: Upload, source: BinaryIO) -> None:
        """Send ``source``, from its start, to the upload's URL."""
        size_bytes = source.seek(0, 2)
        source.seek(0)
        if size_bytes > upload.max_bytes:
            raise ApiError(api_errors.too_large(size_bytes, upload.max_bytes))
        try:
            with httpx.Client(**storage_options()) as storage:
                # The storage needs a Content-Length, which httpx does not send for an empty file object.
                headers = upload.headers | {"Content-Length": str(size_bytes)}
                answer = storage.put(upload.url, content=source, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL):
            raise ApiError(api_errors.STORAGE_AWAY) from None
        if not answer.is_success:
            raise api_errors.storage_refusal(answer.status_code)

    def result(self, result_id: str) -> Result | Pending:
        """The result as it is now. Raises :class:`ApiError` with status 404 where the service knows no such upload."""
        answer = self._request("GET", f"/api/results/{quote(result_id)}", headers=self._reading())
        if answer.status_code == httpx.codes.ACCEPTED:
            return Pending(_retry_after_s(answer))
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise ApiError(api_errors.UNKNOWN_RESULT, status=404)
        body = _object(answer)
        if body.get("schema") != RESULT_SCHEMA:
            raise ApiError(api_errors.NOT_TONEARM)
        return cast("Result", body)

    def results(
        self, *, cursor: str | None = None, limit: int = 50, **filters: str | bool | None
    ) -> tuple[list[Summary], str | None]:
        """A page of the history, newest first, and the cursor of the next page, None on the last.

        ``filters`` are ``search`` (part of the name), ``genre``, ``uncertain`` and ``status``; None or "" for any.
        """
        parameters = {name: value for name, value in filters.items() if value not in (None, "")}
        if cursor is not None:
            parameters["cursor"] = cursor
        answer = self._request("GET", "/api/results", params={"limit": limit, **parameters}, headers=self._reading())
        body = _checked(_object(answer), {"results", "next_cursor"})
        return body["results"], body["next_cursor"]

    def preview_spectrogram(self, result_id: str) -> PreviewSpectrogram | None:
        """The mel spectrogram of a recording; None where the service has none."""
        body = self._find(f"/api/pictures/{quote(result_id)}")
        if body is not None and body.get("schema") != SPECTROGRAM_SCHEMA:
            raise ApiError(api_errors.NOT_TONEARM)
        return cast("PreviewSpectrogram | None", body)

    def recording(self, result_id: str) -> Recording | None:
        """Where the uploaded file can be read for a while; None once it is deleted."""
        body = self._find(f"/api/recordings/{quote(result_id)}")
        if body is None:
            return None
        try:
            expires = datetime.fromisoformat(body["expires_at"])
            return Recording(str(body["id"]), str(body["url"]), expires, int(body["size_bytes"]))
        except (KeyError, TypeError, ValueError):
            raise ApiError(api_errors.NOT_TONEARM) from None

    def delete(self, result_id: str) -> bool:
        """Delete a recording with its result and feedback; False where the service has none for this visitor."""
        answer = self._request("DELETE", f"/api/recordings/{quote(result_id)}", headers=self._writing())
        if _unknown(answer):
            return False
        if not answer.is_success:
            raise api_errors.refusal(answer)
        return True

    def feedback(self, result_id: str, contributor: str) -> str | None:
        """The genre that the contributor with this secret gave for a result; None where they gave none."""
        # The service answers with the hash, so that no address has the secret.
        hashed = hashlib.sha256(contributor.encode()).hexdigest()[:32]
        body = self._find(f"/api/feedback/{quote(result_id)}", {"contributor": hashed})
        return None if body is None else str(_checked(body, ["genre"])["genre"])

    def give_feedback(self, result_id: str, genre: str | None, contributor: str) -> None:
        """Store ``genre`` as the contributor's feedback on a result; None withdraws it."""
        given = {"result_id": result_id, "genre": genre, "contributor": contributor}
        answer = self._request("POST", "/api/feedback", json=given, headers=self._reading())
        if not answer.is_success:
            raise api_errors.refusal(answer)

    def model(self, version: str | None = None) -> Model:
        """A model version; without a name, the one that answers."""
        body = self._get("/api/model", {} if version is None else {"version": version})
        return cast("Model", _checked(body, Model.__required_keys__))

    def _get(self, path: str, parameters: Mapping[str, Any] | None = None) -> dict[str, Any]:
        return _object(self._request("GET", path, params=parameters))

    def _find(self, path: str, parameters: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
        """The object of a recording at ``path``; None where the service itself says that there is none."""
        answer = self._request("GET", path, params=parameters, headers=self._reading())
        return None if _unknown(answer) else _object(answer)

    def _reading(self) -> dict[str, str]:
        return _headers(self._about().sees)

    def _writing(self) -> dict[str, str]:
        return _headers(self._about().owner)

    def _about(self) -> Visitor:
        if self.visitor is None:
            raise RuntimeError("Say for whom: service(visitor()).")
        return self.visitor

    def _request(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            return self._http.request(method, path, **options)
        except httpx.UnsupportedProtocol:
            raise ApiError(api_errors.BAD_ADDRESS) from None
        except httpx.HTTPError:
            raise ApiError(api_errors.AWAY, temporary=True) from None


_api = functools.lru_cache(maxsize=1)(Api)


def _headers(owner: str | None) -> dict[str, str]:
    return {} if owner is None else {OWNER_HEADER: owner}


def _unknown(answer: httpx.Response) -> bool:
    """Whether the service itself says that it has nothing of this id."""
    return answer.status_code == httpx.codes.NOT_FOUND and api_errors.problem(answer).get("code") == "not_found"


def _object(answer: httpx.Response, status: int = httpx.codes.OK) -> dict[str, Any]:
    if answer.status_code != status:
        raise api_errors.refusal(answer)
    return api_errors.json_object(answer)


def _checked(body: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """``body`` itself. Raises :class:`ApiError` unless it has all of ``names``."""
    if not body.keys() >= set(names):
        raise ApiError(api_errors.NOT_TONEARM)
    return body


def _retry_after_s(answer: httpx.Response) -> float:
    """``Retry-After`` in seconds, within bounds. A date or nonsense counts as none."""
    try:
        wait_s = float(int(answer.headers["Retry-After"]))
    except (KeyError, ValueError):
        wait_s = DEFAULT_RETRY_AFTER_S
    return min(max(wait_s, MIN_RETRY_AFTER_S), MAX_RETRY_AFTER_S)
