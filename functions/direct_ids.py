"""Ids of results that were only sent in the response. They are signed: feedback is taken on ids of this service alone.

The key is a blob in the container ``keys``, which the first instance makes and all share; locally it is in
``.tonearm/storage``. While storage cannot be reached, ids are not signed: clips are classified, but take no feedback.
"""

import asyncio
import hmac
import logging
import re
import secrets
import time
from contextlib import suppress
from functools import cache

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError

from functions import logs, storage, threads

PREFIX = "direct-"
_RANDOM_BYTES = 8
_SIGNATURE_BYTES = 8
_ID = re.compile(rf"{PREFIX}([0-9a-f]{{{2 * _RANDOM_BYTES}}})([0-9a-f]{{{2 * _SIGNATURE_BYTES}}})")
_KEY_NAME = "direct-ids"
_KEY_BYTES = 32
_WAIT_S = 1.0
"""How long the first requests wait for the key. It is read once; for later tries nobody waits."""
_RETRY_S = 10.0

_reading: "asyncio.Task[bytes] | None" = None
_first_s = _latest_s = 0.0  # when the first and the latest try began, by time.monotonic


async def new_id() -> str:
    """A new id: random, with its signature, or with a meaningless one while the key cannot be had."""
    random = secrets.token_hex(_RANDOM_BYTES)
    key = await _key_soon()
    return PREFIX + random + (_signature(key, random) if key is not None else secrets.token_hex(_SIGNATURE_BYTES))


def is_signed(result_id: str) -> bool:
    """Whether `new_id` made this id. Raises AzureError when the key is needed and cannot be read."""
    found = _ID.fullmatch(result_id)
    return found is not None and hmac.compare_digest(_signature(installation_key(), found[1]), found[2])


def _signature(key: bytes, random: str) -> str:
    return hmac.digest(key, random.encode(), "sha256")[:_SIGNATURE_BYTES].hex()


async def _key_soon() -> bytes | None:
    """The key; None while it cannot be had."""
    global _reading, _first_s, _latest_s  # noqa: PLW0603 - one for the process
    if installation_key.cache_info().currsize:
        return installation_key()
    now_s = time.monotonic()
    failed = _reading is not None and _reading.done() and _reading.exception() is not None
    if _reading is None or (failed and now_s - _latest_s > _RETRY_S):
        _first_s, _latest_s = _first_s or now_s, now_s
        _reading = asyncio.create_task(threads.with_storage(installation_key))
    await asyncio.wait({_reading}, timeout=max(0.0, _first_s + _WAIT_S - now_s))
    if _reading.done() and _reading.exception() is None:
        return _reading.result()
    logs.event("direct_id_unsigned", level=logging.WARNING)
    return None


@cache
def installation_key() -> bytes:
    """The key in storage, which is made if there is none. Raises AzureError."""
    blob = storage.container(storage.KEYS).get_blob_client(_KEY_NAME)
    with suppress(ResourceNotFoundError):
        return blob.download_blob().readall()
    with suppress(ResourceExistsError):  # another instance was faster
        blob.upload_blob(secrets.token_bytes(_KEY_BYTES))
    return blob.download_blob().readall()
