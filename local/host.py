"""A small Functions host: one app's HTTP functions, blob functions and queue functions, in one process.

    python -m local.host [--app DIR] [--address 127.0.0.1] [--port 7071]

Settings come from the environment and from ``local.settings.json`` in the app's folder.
"""

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import uvicorn
from azure.core.exceptions import AzureError, ResourceExistsError
from azure.storage.blob import BlobServiceClient

from local.blob_listener import POISON_QUEUE, BlobListener, Journal
from local.host_settings import HOST_STORAGE, HostSettings, SettingsError, connection_string, load_local_settings
from local.http_front import HttpFront
from local.queue_listener import Delivery, QueueListener
from local.storage_clients import Outage, blob_service, call, queue_service
from local.worker import AppError, Function, Worker

logger = logging.getLogger(__name__)

CONTAINERS = ("uploads", "results", "feedback")
GRACE_S = 5
BACKLOG = 512
"""Connections that the system holds until they are accepted."""
KNOWN_BINDINGS = {"httpTrigger", "http", "blobTrigger", "queueTrigger"}
PROXIES = {"http_proxy", "https_proxy", "all_proxy"}


def main() -> int:
    """The command line; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m local.host", description="Runs the function app on this machine.")
    parser.add_argument("--app", type=Path, default=Path(__file__).parents[1], help="folder of function_app.py")
    parser.add_argument("--address", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=int(os.environ.get("FUNCTIONS_PORT", "7071")))
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for chatty in ("azure", "azure.functions", "uvicorn"):  # the first logs whole request URLs, signatures included
        logging.getLogger(chatty).setLevel(logging.WARNING)
    # Storage is on this machine, and some of its clients would ask these for the way there.
    for name in [name for name in os.environ if name.lower() in PROXIES]:
        del os.environ[name]
    try:
        load_local_settings(arguments.app)
        asyncio.run(_serve(arguments.app, arguments.address, arguments.port))
    except (AppError, SettingsError, OSError) as error:
        print(f"The functions host cannot run: {error}", file=sys.stderr)
        return 1
    # a synchronous function that outlasted the grace still holds its thread, and a normal exit would wait for it
    logging.shutdown()
    sys.stdout.flush()
    os._exit(0)


async def _serve(app_dir: Path, address: str, port: int) -> None:
    settings = HostSettings.read(app_dir, os.environ)
    listening = socket.create_server((address, port), backlog=BACKLOG)
    # Connections inherit it: without it a small answer waits 40 ms for the client to acknowledge the part before.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    stopping = asyncio.Event()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signal_number, stopping.set)

    worker = await Worker.start(app_dir)
    _check_bindings(worker)
    server = _Server(
        uvicorn.Config(
            HttpFront(worker, settings),
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            server_header=False,
            access_log=False,  # it would log function keys given in the query
            timeout_graceful_shutdown=GRACE_S,
        )
    )
    outage = Outage()
    listeners = _listeners(worker, settings, outage)
    if listeners:
        await _create_containers(blob_service(connection_string(HOST_STORAGE)), outage)
    tasks = [asyncio.create_task(listener.run(stopping)) for listener in listeners]
    tasks.append(asyncio.create_task(server.serve(sockets=[listening])))
    print(f"Functions host ready at http://{address}:{port}/{settings.route_prefix}", flush=True)

    stop = asyncio.create_task(stopping.wait())
    ended, _ = await asyncio.wait([stop, *tasks], return_when=asyncio.FIRST_COMPLETED)
    for task in ended:
        task.result()  # none ends before it is told to, but by a fault
    logger.info("stopping; what is running gets %d s to finish", GRACE_S)
    server.should_exit = True
    await asyncio.wait(tasks, timeout=GRACE_S)
    await worker.stop()


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the host's: it stops the listeners too."""
        yield


def _check_bindings(worker: Worker) -> None:
    for function in worker.functions.values():
        for binding in function.bindings:
            if binding["type"] not in KNOWN_BINDINGS:
                raise AppError(
                    f"function {function.name} uses a binding of type {binding['type']}, which the local host does not"
                    " have; Azure Functions Core Tools (func start) has it"
                )


def _listeners(worker: Worker, settings: HostSettings, outage: Outage) -> list[QueueListener | BlobListener]:
    blob_functions = [function for function in worker.functions.values() if function.trigger["type"] == "blobTrigger"]
    queue_functions = [function for function in worker.functions.values() if function.trigger["type"] == "queueTrigger"]
    listeners: list[QueueListener | BlobListener] = []
    for function in queue_functions:
        queues = queue_service(connection_string(function.trigger["connection"]))
        name: str = function.trigger["queueName"]
        # as in Azure, a poison queue has none of its own: its messages are the last record of what went wrong
        poison_queue = None if name.endswith("-poison") else queues.get_queue_client(f"{name}-poison")
        listeners.append(
            QueueListener(
                queues.get_queue_client(name),
                poison_queue,
                _queue_work(worker, function, settings.function_timeout_s),
                at_once=settings.queue_messages_at_once,
                tries=settings.queue_tries,
                retry_delay_s=settings.queue_retry_delay_s,
                encoding=settings.queue_encoding,
                outage=outage,
            )
        )
    poison_queue = queue_service(connection_string(HOST_STORAGE)).get_queue_client(POISON_QUEUE)
    journals = blob_service(connection_string(HOST_STORAGE))
    blob_listeners = [
        BlobListener(
            worker,
            function,
            blob_service(connection_string(function.trigger["connection"])),
            Journal(journals, function.name, outage),
            poison_queue,
            settings,
            outage,
        )
        for function in blob_functions
    ]
    return [*listeners, *blob_listeners]


def _queue_work(worker: Worker, function: Function, timeout_s: float | None) -> Callable[[Delivery], Awaitable[None]]:
    async def handle(delivery: Delivery) -> None:
        message = delivery.message
        async with asyncio.timeout(timeout_s):
            await worker.invoke_queue(
                function.name,
                delivery.text,
                message_id=message.id,
                dequeue_count=delivery.tries,
                pop_receipt=delivery.pop_receipt,
                inserted_on=message.inserted_on,
                expires_on=message.expires_on,
                next_visible_on=message.next_visible_on,
            )

    return handle


async def _create_containers(service: BlobServiceClient, outage: Outage) -> None:
    """Wait for storage, then make sure that the containers exist which the app takes for granted."""
    for name in CONTAINERS:
        while True:
            try:
                await call(service.create_container, name)
            except ResourceExistsError:
                pass
            except AzureError as error:
                await outage.wait_after(error)
                continue
            break
    outage.over()


if __name__ == "__main__":
    sys.exit(main())
