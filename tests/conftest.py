"""What tests in several folders share: storage, the function app in this process, and the running system."""

import asyncio
import socket
import sys
import threading
from collections.abc import Coroutine, Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest
from starlette.responses import Response

from local import azurite as emulator
from local.processes import Child, http_status
from local.worker import Function, HttpRequest, Worker

REPOSITORY = Path(__file__).parents[1]
READY_TIMEOUT_S = 60
PROGRAMS = {"azurite", "worker", "system", "storage", "browser"}
"""Fixtures that start programs. A test that asks for one is slow."""
COVERING = {"tonearm", "functions"}
LONGEST = (
    "test_packages",
    "test_commands",
    "test_privacy",
    "test_triggers",
    "test_scan",
    "test_decoding",
    "test_in_browser",
    "test_run",
)
"""Files that take longest: the others fill up what time is left beside them."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as slow what starts programs, and begin with the longest files, then those that have slow tests.

    Coverage is of `tonearm` and `functions`, by their own tests: measuring makes the others a third slower.
    """
    for item in items:
        if PROGRAMS & set(getattr(item, "fixturenames", ())):
            item.add_marker("slow")
        if item.path.relative_to(REPOSITORY / "tests").parts[0] not in COVERING:
            item.add_marker("no_cover")
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    longest = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: (longest.get(item.path.stem, len(LONGEST)), item.path not in slow))


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class Storage:
    """Azurite on ports of its own; data stays over `stop` and `start`, unless it is held in memory."""

    def __init__(self, folder: Path, *, in_memory: bool = False) -> None:
        ports = free_ports(3)
        self.connection_string = emulator.connection_string(ports)
        self.folder = folder / "storage"
        self._child = emulator.azurite(None if in_memory else self.folder, folder / "azurite.log", ports)

    @property
    def pid(self) -> int:
        return self._child.pid

    def start(self) -> None:
        self._child.launch()
        self._child.wait_ready(READY_TIMEOUT_S)

    def stop(self) -> None:
        # its data is safe at once, but it would wait for requests that it leaves unanswered: cut those off
        self._child.stop(grace_s=2)

    def kill(self) -> None:
        """End it at once: what it has not yet written to the disk, the last seconds, is lost."""
        self._child.kill()


class System:
    """The functions host in a process of its own, on a free port, with ``storage``, by default one of its own.

    `kill` is SIGKILL. After `stop` or `kill`, `start` brings the same system back.
    """

    def __init__(
        self,
        folder: Path,
        app_dir: Path,
        environment: Mapping[str, str] | None = None,
        *,
        storage: Storage | None = None,
    ) -> None:
        self.storage = storage or Storage(folder)
        self.connection_string = self.storage.connection_string
        (port,) = free_ports(1)
        self.address = f"127.0.0.1:{port}"
        self.api_url = f"http://{self.address}/api"
        self.log_path = folder / "functions.log"
        self.receipts = folder / "receipts"
        options = ["--app", str(app_dir), "--port", str(port), "--state", str(self.receipts)]
        self._host = Child(
            "Functions host",
            [sys.executable, "-m", "local.host", *options],
            log_path=self.log_path,
            probe=lambda: http_status(port, "/") is not None,
            environment={"AzureWebJobsStorage": self.connection_string, **(environment or {})},
            cwd=REPOSITORY,
        )

    def start(self) -> None:
        self._host.launch()
        self._host.wait_ready(READY_TIMEOUT_S)

    def stop(self) -> None:
        self._host.stop()

    def kill(self) -> None:
        self._host.kill()

    def suspend(self) -> None:
        """Leave every request unanswered until `resume`."""
        psutil.Process(self._host.pid).suspend()

    def resume(self) -> None:
        psutil.Process(self._host.pid).resume()

    @property
    def pid(self) -> int:
        return self._host.pid

    @property
    def alive(self) -> bool:
        return self._host.alive


class SyncWorker:
    """The worker, driven from ordinary test functions: its event loop runs in a thread.

    ``InvocationError`` says that the function raised. One app a process, so there is one of these.
    """

    def __init__(self, app_dir: Path) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="worker", daemon=True)
        self._thread.start()
        self._worker = self._run(Worker.start(app_dir))

    @property
    def functions(self) -> dict[str, Function]:
        return self._worker.functions

    def invoke_http(self, name: str, request: HttpRequest) -> Response:
        return self._run(self._worker.invoke_http(name, request))

    def invoke_blob(self, name: str, *, container: str, blob_name: str) -> None:
        self._run(self._worker.invoke_blob(name, container, blob_name))

    def invoke_queue(self, name: str, body: str, **message: Any) -> None:
        self._run(self._worker.invoke_queue(name, body, **message))

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run[T](self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Storage]:
    """Storage that is up. A test that stops it must start it again."""
    storage = Storage(tmp_path_factory.mktemp("azurite"))
    storage.start()
    yield storage
    storage.stop()


@pytest.fixture(scope="session")
def worker(azurite: Storage) -> Iterator[SyncWorker]:
    """The real function app in this process, on the session's storage (``AzureWebJobsStorage`` is set for it)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AzureWebJobsStorage", azurite.connection_string)
        worker = SyncWorker(REPOSITORY)
        yield worker
        worker.stop()


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """The real function app in a running host. A test that stops or kills a part must start it again."""
    # As with many a firm: a proxy, which leads nowhere from here.
    system = System(tmp_path_factory.mktemp("system"), REPOSITORY, {"HTTP_PROXY": "http://127.0.0.1:9"})
    system.storage.start()
    system.start()
    yield system
    system.stop()
    system.storage.stop()
