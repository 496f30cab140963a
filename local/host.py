"""A small Functions host: one app's HTTP, blob and queue functions, in one process.

    python -m local.host [--app DIR] [--address 127.0.0.1] [--port 7071] [--state DIR]

App settings come from the environment. The blob trigger's receipts are kept in the folder ``--state``.
"""

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import uvicorn
from azure.core.exceptions import ResourceExistsError
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueServiceClient

from local.blob_trigger import POISON_QUEUE, BlobTrigger, Receipts
from local.host_settings import HOST_STORAGE, HostSettings, SettingsError, connection_string
from local.http_trigger import HttpTriggers
from local.queue_trigger import QueueTrigger
from local.triggers import CLIENT_OPTIONS, Outage
from local.worker import AppError, Worker

logger = logging.getLogger(__name__)

REPOSITORY = Path(__file__).parents[1]
CONTAINERS = ("uploads", "results", "feedback")
GRACE_S = 5
BACKLOG = 512
"""Connections that the system holds until they are accepted."""
PROXIES = {"http_proxy", "https_proxy", "all_proxy"}


def main() -> int:
    """The command line; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m local.host", description="Runs the function app on this machine.")
    parser.add_argument("--app", type=Path, default=REPOSITORY, help="folder of function_app.py")
    parser.add_argument("--address", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=int(os.environ.get("FUNCTIONS_PORT", "7071")))
    parser.add_argument("--state", type=Path, default=REPOSITORY / ".tonearm", help="folder for the receipts of blobs")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for name in ("azure", "azure.functions", "uvicorn"):  # the first logs whole request URLs, signatures included
        logging.getLogger(name).setLevel(logging.WARNING)
    # Storage is on this machine, and some of its clients would take the way through a proxy.
    for name in [name for name in os.environ if name.lower() in PROXIES]:
        del os.environ[name]
    try:
        asyncio.run(_serve(arguments.app.resolve(), arguments.address, arguments.port, arguments.state))
    except (AppError, SettingsError, OSError) as error:
        print(f"The functions host cannot run: {error}", file=sys.stderr)
        return 1
    return 0


async def _serve(app_dir: Path, address: str, port: int, state: Path) -> None:
    """Run everything until SIGTERM or SIGINT, which end this process. Raises AppError, SettingsError and OSError."""
    settings = HostSettings.read(app_dir, os.environ)
    listening = socket.create_server((address, port), backlog=BACKLOG)
    # Connections inherit it: without it a small answer waits 40 ms for the client to acknowledge the part before.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    stopping = asyncio.Event()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signal_number, stopping.set)

    worker = await Worker.start(app_dir)
    outage = Outage()
    triggers = _triggers(worker, settings, state, outage)
    config = uvicorn.Config(
        HttpTriggers(worker, settings).application(),
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        server_header=False,
        access_log=False,  # it would log function keys given in the query
        timeout_graceful_shutdown=GRACE_S,
    )
    server = _Server(config)
    if triggers:
        await _create_containers(outage)
    async with asyncio.TaskGroup() as tasks:
        for trigger in triggers:
            tasks.create_task(trigger.run(stopping))
        tasks.create_task(server.serve(sockets=[listening]))
        print(f"Functions host ready at http://{address}:{port}/{settings.route_prefix}", flush=True)
        await stopping.wait()
        logger.info("stopping; what is running gets %d s to finish", GRACE_S)
        server.should_exit = True
        # A synchronous function cannot be stopped from outside, and a normal exit would wait for its thread.
        asyncio.get_running_loop().call_later(GRACE_S, os._exit, 0)
    os._exit(0)


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the host's: it stops the triggers too."""
        yield


def _triggers(worker: Worker, settings: HostSettings, state: Path, outage: Outage) -> list[QueueTrigger | BlobTrigger]:
    """The blob and queue triggers of the app. Raises AppError for a binding that this host does not have."""
    triggers: list[QueueTrigger | BlobTrigger] = []
    for function in worker.functions.values():
        for binding in function.bindings:
            if binding["type"] not in {"httpTrigger", "http", "blobTrigger", "queueTrigger"}:
                raise AppError(
                    f"function {function.name} uses a binding of type {binding['type']}, which the local host does not"
                    " have; Azure Functions Core Tools (func start) has it"
                )
        trigger = function.trigger
        if trigger["type"] == "httpTrigger":
            continue
        storage = connection_string(trigger["connection"])
        queues = QueueServiceClient.from_connection_string(storage, **CLIENT_OPTIONS)
        if trigger["type"] == "queueTrigger":
            queue_name: str = trigger["queueName"]
            # As in Azure, a poison queue has none of its own: its messages are the last record of what went wrong.
            poison_queue = None if queue_name.endswith("-poison") else queues.get_queue_client(f"{queue_name}-poison")
            queue = queues.get_queue_client(queue_name)
            triggers.append(QueueTrigger(worker, function, queue, poison_queue, settings, outage))
        else:
            blobs = BlobServiceClient.from_connection_string(storage, **CLIENT_OPTIONS)
            container = blobs.get_container_client(trigger["path"].partition("/")[0])
            state.mkdir(parents=True, exist_ok=True)
            receipts = Receipts(state / f"{function.name}.receipts")
            poison_queue = queues.get_queue_client(POISON_QUEUE)
            triggers.append(BlobTrigger(worker, function, container, poison_queue, receipts, settings, outage))
    return triggers


async def _create_containers(outage: Outage) -> None:
    """Wait for storage, then create the containers that the app takes for granted, as Bicep does in Azure."""
    service = BlobServiceClient.from_connection_string(connection_string(HOST_STORAGE), **CLIENT_OPTIONS)

    def create() -> None:
        for name in CONTAINERS:
            with contextlib.suppress(ResourceExistsError):
                service.create_container(name)

    await outage.retry(create)


if __name__ == "__main__":
    sys.exit(main())
