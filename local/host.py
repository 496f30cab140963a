"""A small Functions host: one app's HTTP, blob and queue functions, in one process.

    python -m local.host [--app DIR] [--port 7071] [--state DIR]

App settings come from the environment. The blob trigger's receipts are kept in the folder ``--state``.
"""

import argparse
import asyncio
import contextlib
import logging
import math
import os
import re
import signal
import socket
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import cast

import uvicorn
from azure.core.exceptions import ResourceExistsError
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueClient, QueueServiceClient

from local import azurite, connections
from local.blob_trigger import BlobTrigger, Checkpoint, Receipts
from local.host_settings import HostSettings
from local.http_trigger import HttpTriggers
from local.processes import ADDRESS
from local.queue_trigger import CLIENT_OPTIONS, QueueTrigger, create_queue, pause, retry
from local.worker import AppError, Worker
from tonearm.terminal import printable

logger = logging.getLogger(__name__)

REPOSITORY = Path(__file__).parents[1]
CONTAINERS = ("uploads", "results", "feedback", "keys")
HOST_CONTAINER = "azure-webjobs-hosts"
POISON_QUEUE = "webjobs-blobtrigger-poison"
KNOWN_BINDINGS = {"httpTrigger", "http", "blobTrigger", "queueTrigger"}
GRACE_S = 5
REPEAT_AFTER_S, REPEATS_KNOWN = 60.0, 1_000
STORAGE_PATIENCE_S = 1
"""A start waits this long for storage to answer; then HTTP functions are served. Triggers begin when storage comes."""


def main() -> int:
    """The command line; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m local.host", description="Runs the function app on this machine.")
    parser.add_argument("--app", type=Path, default=REPOSITORY, help="folder of function_app.py")
    parser.add_argument("--port", type=int, default=int(os.environ.get("FUNCTIONS_PORT", "7071")))
    parser.add_argument("--state", type=Path, default=REPOSITORY / ".tonearm", help="folder for the receipts of blobs")
    arguments = parser.parse_args()
    log = logging.StreamHandler()
    log.setFormatter(PrintableFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[log])
    logging.getLogger().handlers[0].addFilter(RepeatFilter())
    for name in ("azure", "azure.functions"):  # the first logs whole request URLs, signatures included
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("uvicorn.access").addFilter(_without_query)
    # Storage is on this machine, and some of its clients would take the way through a proxy.
    for name in [name for name in os.environ if name.lower() in {"http_proxy", "https_proxy", "all_proxy"}]:
        del os.environ[name]
    try:
        asyncio.run(_serve(arguments.app.resolve(), arguments.port, arguments.state))
    except (AppError, OSError) as error:
        print(f"The functions host cannot run: {error}", file=sys.stderr)
    return 1  # a stop ends the process elsewhere


class PrintableFormatter(logging.Formatter):
    """Lines that control no terminal and look like no other record's: they hold names that strangers chose."""

    def format(self, record: logging.LogRecord) -> str:
        """The record; its second line and the following ones are indented."""
        return "\n    ".join(printable(line) for line in super().format(record).split("\n"))


class RepeatFilter(logging.Filter):
    """Lets each warning of the host itself pass once a minute, so that trouble that stays does not fill the disk."""

    def __init__(self) -> None:
        super().__init__()
        self._logged_s: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to log it."""
        if record.levelno < logging.WARNING or not record.name.startswith(("local.", "uvicorn.", "asyncio")):
            return True
        # The exception alone: its traceback is another object each time.
        error = record.exc_info and record.exc_info[1]
        text, now_s = f"{record.getMessage()} {error!r}", time.monotonic()
        if now_s < self._logged_s.get(text, -math.inf) + REPEAT_AFTER_S:
            return False
        if len(self._logged_s) >= REPEATS_KNOWN:
            self._logged_s.clear()
        self._logged_s[text] = now_s
        return True


def _without_query(record: logging.LogRecord) -> bool:
    """Log a request without its query, which may hold a function key."""
    client, method, path, *rest = cast("tuple[str, ...]", record.args)
    record.args = (client, method, path.partition("?")[0], *rest)
    return True


async def _serve(app_dir: Path, port: int, state: Path) -> None:
    """Run everything until SIGTERM or SIGINT, which end this process. Raises AppError and OSError."""
    settings = HostSettings.read(app_dir, os.environ)
    listening = socket.create_server((ADDRESS, port))
    # Connections inherit it: without it a small answer waits 40 ms for the client to acknowledge the part before.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    stopping = asyncio.Event()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signal_number, stopping.set)

    worker = await Worker.start(app_dir)
    triggers = _triggers(worker, settings, state)
    config = uvicorn.Config(
        HttpTriggers(worker, settings).application(),
        http=connections.Connection,
        backlog=connections.ACCEPTED_AT_ONCE,
        ws="none",
        lifespan="off",
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
    )
    server = connections.Server(config)
    tried, loop = asyncio.Event(), asyncio.get_running_loop()

    def try_storage() -> None:
        try:
            _create_containers()
        finally:
            loop.call_soon_threadsafe(tried.set)

    async with asyncio.TaskGroup() as tasks:
        containers = tasks.create_task(retry(try_storage) if triggers else asyncio.sleep(0))
        tasks.create_task(_run_triggers(triggers, containers, stopping))
        if triggers:
            await pause(tried, STORAGE_PATIENCE_S)
        tasks.create_task(server.serve(sockets=[listening]))
        print(f"Functions host ready at http://{ADDRESS}:{port}/{settings.route_prefix}", flush=True)
        await stopping.wait()
        logger.info("stopping; what is running gets %d s to finish", GRACE_S)
        server.should_exit = True
        # A synchronous function cannot be stopped from outside, and a normal exit would wait for its thread.
        asyncio.get_running_loop().call_later(GRACE_S, os._exit, 0)
    os._exit(0)


async def _run_triggers(
    triggers: Sequence[QueueTrigger | BlobTrigger], containers: asyncio.Task[None], stopping: asyncio.Event
) -> None:
    """Begin when storage has the containers."""
    await containers
    async with asyncio.TaskGroup() as tasks:
        for trigger in triggers:
            tasks.create_task(trigger.run(stopping))


def _triggers(worker: Worker, settings: HostSettings, state: Path) -> list[QueueTrigger | BlobTrigger]:
    """The blob and queue triggers of the app. Raises AppError for a binding that this host does not have."""
    triggers: list[QueueTrigger | BlobTrigger] = []
    for function in worker.functions.values():
        trigger = function.trigger
        unknown = {each["type"] for each in function.bindings} - KNOWN_BINDINGS
        if unknown or not re.fullmatch(r"[^/]+/\{\w+\}", trigger.get("path", "container/{name}")):
            raise AppError(f"function {function.name} has a binding that only `func start` has: {trigger}")
        if trigger["type"] == "httpTrigger":
            continue
        storage = os.environ.get(trigger["connection"])
        if not storage:
            raise AppError(f"the app setting {trigger['connection']} is missing: it takes a connection string")
        queues = QueueServiceClient.from_connection_string(storage, **CLIENT_OPTIONS)
        if trigger["type"] == "queueTrigger":
            name: str = trigger["queueName"]
            # As in Azure, a poison queue has none of its own: its messages are the last record of what went wrong.
            poison_queue = None if name.endswith("-poison") else queues.get_queue_client(f"{name}-poison")
            queue = queues.get_queue_client(name)
            triggers.append(QueueTrigger(worker, function, queue, poison_queue, settings))
        else:
            blobs = BlobServiceClient.from_connection_string(storage, **CLIENT_OPTIONS)
            container = blobs.get_container_client(trigger["path"].partition("/")[0])
            poison_queue = queues.get_queue_client(POISON_QUEUE)
            receipts = Receipts(state / f"{function.name}.receipts")
            checkpoint = Checkpoint(blobs.get_blob_client(HOST_CONTAINER, f"receipts/{function.name}"))
            prepare = partial(_prepare, poison_queue)
            triggers.append(
                BlobTrigger(worker, function, container, poison_queue, receipts, checkpoint, prepare, settings)
            )
    return triggers


def _create_containers() -> None:
    """Create the containers that the app takes for granted, as Bicep does in Azure."""
    service = BlobServiceClient.from_connection_string(os.environ[azurite.VARIABLE], **CLIENT_OPTIONS)
    for name in (*CONTAINERS, HOST_CONTAINER):
        with contextlib.suppress(ResourceExistsError):
            service.create_container(name)


def _prepare(poison_queue: QueueClient) -> None:
    """Create what a blob trigger and the app take for granted. Raises AzureError."""
    _create_containers()
    create_queue(poison_queue)


if __name__ == "__main__":
    sys.exit(main())
