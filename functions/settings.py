"""The app settings: the one place where the environment is read, and where each default stands."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import cast

from azure.functions import BlobSource

from tonearm.classification import Mode
from tonearm.constants import ENDINGS, FORMATS, MIN_DURATION_S
from tonearm.errors import TonearmError

HOST_CONNECTION, DATA_CONNECTION = "AzureWebJobsStorage", "TonearmData"
STORAGE_CONNECTION = DATA_CONNECTION if f"{DATA_CONNECTION}__blobServiceUri" in os.environ else HOST_CONNECTION
"""Name of the storage connection of the triggers and these functions. In Azure the host has an account of its own."""


class SettingsError(TonearmError):
    """An app setting is missing or wrong; the message names it and says what it may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageAccess:
    """Access to storage: with a connection string (Azurite), or else with a managed identity (Azure)."""

    connection_string: str | None = field(default=None, repr=False)
    blob_service_url: str = ""
    client_id: str | None = None
    """Which identity; None: the system-assigned one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of this installation."""

    formats: list[str]
    """Formats that are decoded. The content decides, not the file's name."""
    endings: list[str]
    """How the names of those files end that are taken from a folder, whose hidden files are left out."""
    min_duration_s: float
    max_duration_s: int
    """Of an upload."""
    max_upload_bytes: int
    max_request_bytes: int
    """Of the body of ``POST /api/classify``."""
    max_request_duration_s: int
    """Of a recording sent there."""
    upload_url_ttl_s: int
    upload_retention_days: int | None
    """Days until storage's rule deletes an upload; null: no rule."""
    result_retention_days: int | None
    """Days until storage's rule deletes results and feedback; null: they are kept until somebody deletes them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings, checked."""

    storage: StorageAccess
    model_version: str | None
    """None: the default version."""
    mode: Mode
    limits: Limits
    allowed_origins: frozenset[str]
    """Web pages elsewhere that may send writing requests, such as ``https://music.example``."""


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Read and check all settings. Raises SettingsError if one is missing or wrong."""
    limits = Limits(
        formats=list(FORMATS),
        endings=list(ENDINGS),
        min_duration_s=MIN_DURATION_S,
        max_duration_s=_whole_number(environment, "TONEARM_MAX_DURATION_S", 14_400),
        max_upload_bytes=_whole_number(environment, "TONEARM_MAX_UPLOAD_BYTES", 512 * 2**20),
        max_request_bytes=_whole_number(environment, "TONEARM_MAX_REQUEST_BYTES", 64 * 2**20),
        max_request_duration_s=_whole_number(environment, "TONEARM_MAX_REQUEST_DURATION_S", 900),
        # At most a day: a leaked URL must not be valid for long. Azure's signing keys are valid for a week at most.
        upload_url_ttl_s=_whole_number(environment, "TONEARM_UPLOAD_URL_TTL_S", 900, most=86_400),
        upload_retention_days=_whole_number(environment, "TONEARM_UPLOAD_RETENTION_DAYS", None),
        result_retention_days=_whole_number(environment, "TONEARM_RESULT_RETENTION_DAYS", None, least=0) or None,
    )
    return Settings(
        storage=_storage(environment),
        model_version=environment.get("TONEARM_MODEL") or None,
        mode=cast("Mode", _choice(environment, "TONEARM_MODE", ["accurate", "fast"])),
        limits=limits,
        allowed_origins=_origins(environment, "TONEARM_ALLOWED_ORIGINS"),
    )


@cache
def settings() -> Settings:
    """The settings of this process. Raises SettingsError if one is missing or wrong."""
    return read_settings(os.environ)


def blob_source() -> BlobSource:
    """Where the blob trigger's events come from, needed when the functions are declared. Raises SettingsError."""
    return BlobSource(_choice(os.environ, "TONEARM_BLOB_SOURCE", ["LogsAndContainerScan", "EventGrid"]))


def _storage(environment: Mapping[str, str]) -> StorageAccess:
    if connection_string := environment.get(STORAGE_CONNECTION):
        # Signing upload URLs needs the key itself; a connection string with a shared access signature has none.
        if "AccountKey=" not in connection_string:
            raise SettingsError(f"{STORAGE_CONNECTION} must be a whole connection string with an AccountKey.")
        return StorageAccess(connection_string=connection_string)
    blob_service_url = environment.get(f"{STORAGE_CONNECTION}__blobServiceUri")
    if not blob_service_url:
        raise SettingsError(f"Set {STORAGE_CONNECTION}, or {STORAGE_CONNECTION}__blobServiceUri for an identity.")
    client_id = environment.get(f"{STORAGE_CONNECTION}__clientId") or None
    return StorageAccess(blob_service_url=blob_service_url, client_id=client_id)


def _choice(environment: Mapping[str, str], name: str, choices: list[str]) -> str:
    """One of the choices; the first is the default."""
    text = environment.get(name) or choices[0]
    if text not in choices:
        raise SettingsError(f"{name} is {text!r}; it must be {' or '.join(choices)}.")
    return text


def _origins(environment: Mapping[str, str], name: str) -> frozenset[str]:
    """Origins with commas between them, as browsers write them."""
    origins = frozenset(text.strip().lower() for text in environment.get(name, "").split(",") if text.strip())
    for origin in origins:
        if not re.fullmatch(r"https?://[^/?#@,\s]+", origin):
            raise SettingsError(f"{name} holds {origin!r}; an origin is like https://music.example, without a path.")
    return origins


def _whole_number[Default: int | None](
    environment: Mapping[str, str], name: str, default: Default, *, least: int = 1, most: int | None = None
) -> int | Default:
    text = environment.get(name)
    if not text:
        return default
    # isascii + isdigit: int() would also take "1_000", " 7 " and Arabic digits.
    if not (text.isascii() and text.isdigit() and int(text) >= least and (most is None or int(text) <= most)):
        allowed = f"between {least} and {most}" if most is not None else f"of at least {least}"
        raise SettingsError(f"{name} is {text!r}; it must be a whole number {allowed}.")
    return int(text)
