"""Drops recordings into ``uploads`` and prints their results as they come.

    python -m local.drop FILE...

Storage is that of ``make run`` (its port from AZURITE_BLOB_PORT), or the one that AzureWebJobsStorage names. The exit
code is 0 if every recording got a genre, 1 if one did not, 2 if a file is missing or storage does not answer.
"""

import argparse
import contextlib
import json
import logging
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from azure.core.exceptions import AzureError, ResourceExistsError, ResourceNotFoundError
from azure.storage.blob import BlobServiceClient

from local import azurite
from tonearm.terminal import discard_stdout, printable

POLL_INTERVAL_S = 0.5
PATIENCE_S = 300.0
"""The longest wait for the next result."""
NOT_IN_NAMES = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
"""What no result's id has: the app ignores an upload of such a name."""


def main() -> int:
    """The command line; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m local.drop", description="Names the genre of recordings.")
    parser.add_argument("files", metavar="FILE", nargs="+", type=Path, help="a recording")
    logging.getLogger("azure").setLevel(logging.CRITICAL)  # what it says of errors is said below
    names = {blob_name(path): path for path in parser.parse_args().files}
    done = 0
    variable = azurite.VARIABLE if os.environ.get(azurite.VARIABLE) else "AZURITE_BLOB_PORT"
    try:
        service = connect(azurite.connection_of(os.environ))
        for name, path in names.items():
            with path.open("rb") as content:
                put(service, name, content)
        for name, result in results(service, names):
            print(printable(line(name, result)), flush=True)
            done += result["status"] == "done"
    except (OSError, ValueError) as error:
        print(printable(str(error)), file=sys.stderr)
        if isinstance(error, OSError) and error.filename is None:  # of the output
            discard_stdout()
        return 2
    except AzureError as error:
        where = f"Storage does not answer at {service.primary_hostname}, as {variable} has it ({type(error).__name__})."
        print(f"{where} Is `make run` running? It says which port it has.", file=sys.stderr)
        return 2
    if done < len(names):
        print(f"{len(names) - done} of {len(names)} without a genre", file=sys.stderr)
    return 0 if done == len(names) else 1


def connect(connection_string: str) -> BlobServiceClient:
    """A client that fails at once when storage is not there."""
    return BlobServiceClient.from_connection_string(connection_string, retry_total=0, connection_timeout=5)


def blob_name(path: Path) -> str:
    """A file's path, so that two files of the same name do not overwrite each other; no control characters."""
    name = "/".join(part for part in path.parts if part not in {path.anchor, ".."})
    return NOT_IN_NAMES.sub("?", name)


def put(service: BlobServiceClient, name: str, content: bytes | IO[bytes]) -> None:
    """Drop one recording, and delete the result of an earlier one of the same name. Raises AzureError."""
    with contextlib.suppress(ResourceNotFoundError):
        service.get_blob_client("results", f"{name}.json").delete_blob()
    uploads = service.get_container_client("uploads")
    with contextlib.suppress(ResourceExistsError):
        uploads.create_container()
    uploads.upload_blob(name, content, overwrite=True)


def results(
    service: BlobServiceClient,
    names: Iterable[str],
    check: Callable[[], None] = lambda: None,
    patience_s: float = PATIENCE_S,
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The results of dropped recordings, each as soon as it is there. Raises AzureError.

    Ends early when none came for ``patience_s``; ``check`` is called between polls and may raise to end the wait.
    """
    waiting = list(names)
    deadline = time.monotonic() + patience_s
    while waiting and time.monotonic() < deadline:
        for name in list(waiting):
            with contextlib.suppress(ResourceNotFoundError):
                content = service.get_blob_client("results", f"{name}.json").download_blob().readall()
                waiting.remove(name)
                deadline = time.monotonic() + patience_s
                yield name, json.loads(content)
        check()
        time.sleep(POLL_INTERVAL_S)


def line(name: str, result: dict[str, Any]) -> str:
    """One result in one line."""
    if result["status"] != "done":
        problem = result.get("problem", {})
        return f"{name}: failed ({problem.get('code')}): {problem.get('detail')}"
    return f"{name}: {result['genre']} ({result['confidence']:.2f}{', not sure' if result.get('uncertain') else ''})"


if __name__ == "__main__":
    sys.exit(main())
