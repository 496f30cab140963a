"""What the host is told: host.json beside the function app, and app settings from the environment."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, Self

HOST_STORAGE = "AzureWebJobsStorage"
"""The app setting that names the host's own storage, and this app's."""

MIB_BYTES = 1024 * 1024


class SettingsError(Exception):
    """A setting is missing or cannot be understood; the message says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSettings:
    """The settings that this host knows; anything else in host.json is left to Azure."""

    route_prefix: str
    function_timeout_s: float | None
    """None: no limit."""
    max_request_bytes: int
    max_outstanding_requests: int | None
    """HTTP requests that are worked on or wait; None: no limit."""
    required_key: str | None
    """None: no function asks for a key."""
    blobs_at_once: int
    blob_tries: int
    queue_messages_at_once: int
    queue_tries: int
    queue_retry_delay_s: int
    queue_encoding: Literal["base64", "none"]

    @classmethod
    def read(cls, app_dir: Path, environment: Mapping[str, str]) -> Self:
        """Azure's own defaults where host.json says nothing. Raises SettingsError."""
        path = app_dir / "host.json"
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise SettingsError(f"{path} cannot be read: {error}") from error
        extensions = content.get("extensions", {})
        http, blobs, queues = (extensions.get(name, {}) for name in ("http", "blobs", "queues"))
        return cls(
            route_prefix=http.get("routePrefix", "api").strip("/"),
            function_timeout_s=_timeout_s(content.get("functionTimeout", "00:30:00")),
            max_request_bytes=_bytes(environment, "TONEARM_MAX_REQUEST_BYTES", 64 * MIB_BYTES),
            max_outstanding_requests=_limit(http.get("maxOutstandingRequests", -1)),
            required_key=environment.get("TONEARM_REQUIRE_KEY") or None,
            blobs_at_once=blobs.get("maxDegreeOfParallelism", 8 * (os.cpu_count() or 1)),
            blob_tries=blobs.get("poisonBlobThreshold", 5),
            queue_messages_at_once=queues.get("batchSize", 16),
            queue_tries=queues.get("maxDequeueCount", 5),
            queue_retry_delay_s=round(_time_span(queues.get("visibilityTimeout", "00:00:00")).total_seconds()),
            queue_encoding=queues.get("messageEncoding", "base64"),
        )


def load_local_settings(app_dir: Path) -> None:
    """Put the ``Values`` of a ``local.settings.json`` into the environment, which wins where both speak."""
    path = app_dir / "local.settings.json"
    if not path.is_file():
        return
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")).get("Values", {})
    except ValueError as error:
        raise SettingsError(f"{path} is not JSON: {error}") from error
    for name, value in values.items():
        os.environ.setdefault(name, str(value))


def connection_string(setting: str) -> str:
    """The storage connection string that a trigger names by its app setting. Raises SettingsError."""
    value = os.environ.get(setting)
    if not value:
        raise SettingsError(f"the app setting {setting} is missing: it takes a storage connection string")
    return value


def _bytes(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name)
    if not text:
        return default
    if not (text.isascii() and text.isdigit()):
        raise SettingsError(f"{name} is {text!r}; it must be a whole number of bytes")
    return int(text)


def _limit(count: int) -> int | None:
    """host.json's way of saying that there is none is -1."""
    return None if count == -1 else count


def _timeout_s(text: str) -> float | None:
    return None if text == "-1" else _time_span(text).total_seconds()


def _time_span(text: str) -> timedelta:
    """.NET's notation, ``[days.]hours:minutes:seconds``."""
    try:
        *days, clock = text.rsplit(".", 1) if "." in text else [text]
        hours, minutes, seconds = (int(part) for part in clock.split(":"))
        return timedelta(days=int(days[0]) if days else 0, hours=hours, minutes=minutes, seconds=seconds)
    except ValueError as error:
        raise SettingsError(f"host.json: {text!r} is no time span (hours:minutes:seconds)") from error
