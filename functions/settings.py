"""The app settings: the one place where the environment is read, and where each default stands."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import cast, get_args

from azure.functions import BlobSource

from tonearm.classification import Mode
from tonearm.errors import TonearmError

STORAGE_CONNECTION = "AzureWebJobsStorage"
"""Name of the storage connection. The host, the triggers and these functions share one account."""


class SettingsError(TonearmError):
    """An app setting is missing or wrong; the message names it and says what it may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyAccess:
    """Access to storage with the account's key: Azurite."""

    connection_string: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityAccess:
    """Access to storage with a managed identity: Azure."""

    blob_service_url: str
    client_id: str | None
    """None: the system-assigned identity."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings, checked."""

    storage: KeyAccess | IdentityAccess
    model_version: str | None
    """None: the repository's default version."""
    mode: Mode
    max_request_bytes: int
    max_request_duration_s: int
    max_upload_bytes: int
    max_duration_s: int
    upload_url_ttl_s: int
    upload_retention_days: int | None
    """Days until storage's lifecycle rule deletes uploads; None: no rule. `GET /api/limits` reports it."""


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Read and check all settings.

    Raises:
        SettingsError: A setting is missing or wrong.
    """
    return Settings(
        storage=_storage(environment),
        model_version=environment.get("TONEARM_MODEL") or None,
        mode=_mode(environment),
        max_request_bytes=_whole_number(environment, "TONEARM_MAX_REQUEST_BYTES", 64 * 2**20),
        max_request_duration_s=_whole_number(environment, "TONEARM_MAX_REQUEST_DURATION_S", 900),
        max_upload_bytes=_whole_number(environment, "TONEARM_MAX_UPLOAD_BYTES", 512 * 2**20),
        max_duration_s=_whole_number(environment, "TONEARM_MAX_DURATION_S", 14_400),
        # At most a day: a leaked URL must not be valid for long. Azure's signing keys are valid for a week at most.
        upload_url_ttl_s=_whole_number(environment, "TONEARM_UPLOAD_URL_TTL_S", 900, most=86_400),
        upload_retention_days=_whole_number(environment, "TONEARM_UPLOAD_RETENTION_DAYS", None),
    )


@cache
def settings() -> Settings:
    """The settings of this process.

    Raises:
        SettingsError: A setting is missing or wrong.
    """
    return read_settings(os.environ)


def blob_source() -> BlobSource:
    """Where the blob trigger's events come from; needed on import, when the functions are declared.

    Raises:
        SettingsError: The setting is wrong.
    """
    text = os.environ.get("TONEARM_BLOB_SOURCE") or BlobSource.LOGS_AND_CONTAINER_SCAN.value
    try:
        return BlobSource(text)
    except ValueError:
        allowed = " or ".join(source.value for source in BlobSource)
        raise SettingsError(f"TONEARM_BLOB_SOURCE is {text!r}; it must be {allowed}.") from None


def _storage(environment: Mapping[str, str]) -> KeyAccess | IdentityAccess:
    connection_string = environment.get(STORAGE_CONNECTION)
    if connection_string:
        # Signing upload URLs needs the key itself; a connection string with a shared access signature has none.
        if "AccountKey=" not in connection_string:
            raise SettingsError(
                f"{STORAGE_CONNECTION} must be a whole connection string with its AccountKey "
                "(for Azurite too: not UseDevelopmentStorage=true)."
            )
        return KeyAccess(connection_string=connection_string)
    blob_service_url = environment.get(f"{STORAGE_CONNECTION}__blobServiceUri")
    if not blob_service_url:
        raise SettingsError(
            f"Set {STORAGE_CONNECTION} to a storage connection string, "
            f"or {STORAGE_CONNECTION}__blobServiceUri to use a managed identity."
        )
    return IdentityAccess(
        blob_service_url=blob_service_url, client_id=environment.get(f"{STORAGE_CONNECTION}__clientId") or None
    )


def _mode(environment: Mapping[str, str]) -> Mode:
    text = environment.get("TONEARM_MODE") or "accurate"
    if text not in get_args(Mode):
        raise SettingsError(f"TONEARM_MODE is {text!r}; it must be {' or '.join(get_args(Mode))}.")
    return cast("Mode", text)


def _whole_number[Default: int | None](
    environment: Mapping[str, str], name: str, default: Default, *, most: int | None = None
) -> int | Default:
    text = environment.get(name)
    if not text:
        return default
    allowed = f"between 1 and {most}" if most is not None else "of at least 1"
    # isascii + isdigit: int() would also take "1_000", " 7 " and Arabic digits.
    if not (text.isascii() and text.isdigit() and int(text) >= 1 and (most is None or int(text) <= most)):
        raise SettingsError(f"{name} is {text!r}; it must be a whole number {allowed}.")
    return int(text)
