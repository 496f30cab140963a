"""Tries the uploads again that failed five times, once their cause is gone.

    python -m functions.retry_failed [--account NAME]

Each upload is written again as it is. That makes a new version, which sends an event like any upload, and whose result
replaces the failed one. Storage is that of the app settings, or an account in Azure for whoever is signed in to the
Azure CLI. The exit code is 0, or 1 if storage or one of the uploads, such as an archived one, cannot be used.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import AzureError, HttpResponseError, ResourceModifiedError, ResourceNotFoundError
from azure.storage.blob import BlobClient, BlobServiceClient

from functions import result_store, storage
from functions.settings import SettingsError


def main(arguments: list[str] | None = None) -> int:
    """The command line; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m functions.retry_failed", description="Tries failed uploads again.")
    parser.add_argument("--account", help="an account in Azure, for whoever has signed in with `az login`")
    account: str | None = parser.parse_args(arguments).account
    n_written = n_left = n_refused = 0
    try:
        service = storage.for_operator(account)
        for result_id, etag in failed_uploads(service):
            try:
                written = write_again(service.get_blob_client(storage.UPLOADS, result_id), etag)
            except HttpResponseError as error:
                n_refused += 1
                print(f"storage refuses {result_id}: {getattr(error, 'error_code', error.reason)}", file=sys.stderr)
                continue
            n_written, n_left = n_written + written, n_left + (not written)
            print(f"{'tried again' if written else 'deleted or replaced since'}: {result_id}", flush=True)
    except (AzureError, SettingsError) as error:
        print(f"Storage cannot be used: {error}", file=sys.stderr)
        return 1
    print(f"Failed uploads tried again: {n_written}; left alone: {n_left}.")
    if n_refused:
        print(f"{n_refused} could not be read or written; archived ones must be rehydrated first.", file=sys.stderr)
    return 1 if n_refused else 0


def failed_uploads(service: BlobServiceClient) -> Iterator[tuple[str, str]]:
    """Id and ETag of each upload that has the result ``processing_failed``."""
    for blob in service.get_container_client(storage.RESULTS).list_blobs(include=["metadata"]):
        summary, etag = result_store.summary(blob.name, blob.metadata), result_store.source_etag(blob.metadata)
        if summary is not None and summary.problem_code == result_store.PROCESSING_FAILED and etag is not None:
            yield summary.id, etag


def write_again(upload: BlobClient, etag: str) -> bool:
    """Write an upload again, with its properties; False if it is no longer the version with this ETag."""
    unchanged: dict[str, Any] = {"etag": etag, "match_condition": MatchConditions.IfNotModified}
    try:
        with tempfile.TemporaryFile(prefix="tonearm-") as file:
            found = upload.download_blob(**unchanged)
            found.readinto(file)
            file.seek(0)
            metadata, content_settings = found.properties.metadata, found.properties.content_settings
            upload.upload_blob(file, overwrite=True, metadata=metadata, content_settings=content_settings, **unchanged)
    except (ResourceModifiedError, ResourceNotFoundError):
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
