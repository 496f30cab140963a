"""Deletes all that is stored of recordings: upload, result, preview spectrogram and feedback.

    python -m functions.erase [--account NAME] [ID...] [--owner OWNER]

Storage is that of the app settings, or an account in Azure for whoever is signed in to the Azure CLI. The exit code is
0, or 1 if storage cannot be used or there is nothing of one of the ids.

The order of the calls in `erase` makes sure that nothing comes back. A worker that has read the upload before may write
its result at any time. Then it looks for the upload, and deletes the result if that is gone and marked as erased. Its
retries and the poison queue do the same.
"""

import argparse
import hashlib
import sys
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain

from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.storage.blob import BlobClient, BlobProperties, BlobServiceClient

from functions import feedback, logs, owners, result_store, storage
from functions.settings import SettingsError
from tonearm.terminal import printable


def erase(service: BlobServiceClient, result_id: str, owner: str | None = None) -> bool:
    """Delete all that is stored under an id.

    Args:
        service: the storage account.
        result_id: an id that `result_store.checked_id` accepts.
        owner: whose it must be; None: anybody's.

    Returns:
        False if there is nothing of this id for this owner. True also for what was erased before.
    """
    upload = service.get_blob_client(storage.UPLOADS, result_id)
    result = service.get_blob_client(storage.RESULTS, result_store.blob_name(result_id))
    marker = service.get_blob_client(storage.RESULTS, result_store.erased_name(result_id))
    found = _properties(upload) or _properties(result) or _properties(marker)
    stated = owners.owner_of(found.metadata) if found is not None else None
    if owner not in (None, stated):
        return False
    if found is None and next(feedback.stored(service, result_id), None) is None:
        return False
    marker.upload_blob(b"", overwrite=True, metadata={owners.METADATA: stated} if stated is not None else {})
    for blob in (upload, result):
        _delete(blob)
    # Last: feedback that comes from now on finds no result, and goes.
    for blob in feedback.stored(service, result_id):
        _delete(blob)
    # No id in the log, as it has the file's name; the same hash is in the marker's name.
    logs.event("recording_erased", id_sha256=hashlib.sha256(result_id.encode()).hexdigest())
    return True


def of_owner(service: BlobServiceClient, owner: str) -> Iterator[str]:
    """The ids of all recordings of an owner; those that are erased meanwhile come once."""
    for name in (storage.UPLOADS, storage.RESULTS):
        for blob in service.get_container_client(name).list_blobs(include=["metadata"]):
            result_id = blob.name if name == storage.UPLOADS else result_store.id_of(blob.name)
            if result_id is not None and owners.owner_of(blob.metadata) == owner:
                yield result_id


def main(arguments: list[str] | None = None) -> int:
    """The command line; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m functions.erase", description="Deletes recordings for good.")
    parser.add_argument("--account", help="an account in Azure, for whoever has signed in with `az login`")
    parser.add_argument("--owner", help="all recordings with this owner in their metadata")
    parser.add_argument("ids", metavar="ID", nargs="*", help="an upload's path in the container")
    chosen = parser.parse_args(arguments)
    if not chosen.ids and not chosen.owner:
        parser.error("say which recordings: an ID or --owner")
    unknown = 0
    try:
        service = storage.for_operator(chosen.account)
        for result_id in chain(chosen.ids, of_owner(service, chosen.owner) if chosen.owner else ()):
            erased = result_store.id_fault(result_id) is None and erase(service, result_id)
            unknown += not erased
            print(printable(f"{'erased' if erased else 'nothing stored of'}: {result_id}"), flush=True)
    except (AzureError, SettingsError) as error:
        print(f"Storage cannot be used: {error}", file=sys.stderr)
        return 1
    return 1 if unknown else 0


def _properties(blob: BlobClient) -> BlobProperties | None:
    try:
        return blob.get_blob_properties()
    except ResourceNotFoundError:
        return None


def _delete(blob: BlobClient) -> None:
    with suppress(ResourceNotFoundError):
        blob.delete_blob(delete_snapshots="include")


if __name__ == "__main__":
    sys.exit(main())
