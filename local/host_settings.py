"""The settings of the local Functions host: host.json beside the function app, and app settings in the environment."""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from local.worker import AppError

AZURE_REQUEST_BYTES = 104_857_600
"""Azure's default limit for a request's body."""


@dataclass(frozen=True, kw_only=True)
class HostSettings:
    """The settings that this host follows; anything else in host.json is left to Azure. Messages are base64."""

    route_prefix: str
    function_timeout_s: int
    max_request_bytes: int
    max_outstanding_requests: int
    required_key: str | None
    """None: no function asks for a key."""
    allowed_hosts: frozenset[str]
    """Names by which clients may reach this host, besides this machine's own."""
    allowed_origins: tuple[str, ...]
    """Web pages elsewhere whose browsers may call, as App Service's CORS has them."""
    blobs_at_once: int
    blob_tries: int
    queue_messages_at_once: int
    queue_tries: int
    queue_retry_delay_s: int

    @classmethod
    def read(cls, app_dir: Path, environment: Mapping[str, str]) -> Self:
        """Read host.json, with Azure's own defaults where it says nothing. Raises AppError."""
        path = app_dir / "host.json"
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            extensions = content.get("extensions", {})
            http, blobs, queues = (extensions.get(name, {}) for name in ("http", "blobs", "queues"))
            return cls(
                route_prefix=http.get("routePrefix", "api"),
                function_timeout_s=_seconds(content.get("functionTimeout", "00:30:00")),
                max_request_bytes=int(environment.get("FUNCTIONS_REQUEST_BODY_SIZE_LIMIT", AZURE_REQUEST_BYTES)),
                max_outstanding_requests=http.get("maxOutstandingRequests", sys.maxsize),
                required_key=environment.get("TONEARM_REQUIRE_KEY") or None,
                allowed_hosts=frozenset(_words(environment.get("TONEARM_ALLOWED_HOSTS", ""))),
                allowed_origins=_words(environment.get("TONEARM_ALLOWED_ORIGINS", "")),
                blobs_at_once=blobs.get("maxDegreeOfParallelism", 8 * (os.cpu_count() or 1)),
                blob_tries=blobs.get("poisonBlobThreshold", 5),
                queue_messages_at_once=queues.get("batchSize", 16),
                queue_tries=queues.get("maxDequeueCount", 5),
                queue_retry_delay_s=_seconds(queues.get("visibilityTimeout", "00:00:00")),
            )
        except (OSError, ValueError) as error:
            raise AppError(f"{path}, or a setting of the host, cannot be read: {error}") from error


def _words(text: str) -> tuple[str, ...]:
    """What stands between commas or spaces, in lower case."""
    return tuple(text.lower().replace(",", " ").split())


def _seconds(text: str) -> int:
    """Seconds of a time span, ``hours:minutes:seconds``. Raises ValueError."""
    hours, minutes, seconds = map(int, text.split(":"))
    return 3600 * hours + 60 * minutes + seconds
