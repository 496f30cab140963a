"""Runs the whole system on this machine: storage, the functions host, the web app. This is what ``make run`` starts.

    python -m local [--once]

When all is up, a synthesised clip is dropped into ``uploads`` and its result printed; then the system stays up until
Ctrl-C, SIGTERM, or the end of the process that started this one. Data and logs are in ``.tonearm/``.
"""

import argparse
import http.client
import os
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Self

import psutil
from azure.core.exceptions import AzureError

from local import azurite, clip, drop
from local.child import Child, ChildError
from local.host_settings import HOST_STORAGE
from local.ports import ADDRESS, Claim, PortError, check_free
from local.previous_run import AlreadyRunningError, Register

REPOSITORY = Path(__file__).parents[1]
READY_TIMEOUT_S = 120
CHECK_INTERVAL_S = 0.2
PROOF_NAME = "proof/synthesised-clip.wav"
PROOF_PATIENCE_S = 120
BAR_WIDTH = 40


class StopRequestedError(Exception):
    """Somebody asked for the end: a signal, or the parent's own end."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the parts listen."""

    storage: azurite.Ports
    functions: int
    web: int

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Raises PortError for a port that is no number."""
        try:
            return cls(
                storage=azurite.Ports.from_environment(environment),
                functions=int(environment.get("FUNCTIONS_PORT", "7071")),
                web=int(environment.get("WEB_PORT", "8501")),
            )
        except ValueError as error:
            raise PortError(f"A port must be a number: {error}") from error

    @property
    def claims(self) -> list[Claim]:
        """Each port with the variable that changes it."""
        return [
            Claim("storage: blobs", self.storage.blob, "AZURITE_BLOB_PORT"),
            Claim("storage: queues", self.storage.queue, "AZURITE_QUEUE_PORT"),
            Claim("storage: tables", self.storage.table, "AZURITE_TABLE_PORT"),
            Claim("functions", self.functions, "FUNCTIONS_PORT"),
            Claim("web app", self.web, "WEB_PORT"),
        ]


class Watch:
    """Notices when it is time to stop: a signal, the end of the process that started this one, or of a child."""

    def __init__(self) -> None:
        self.children: list[Child] = []
        self._signal: signal.Signals | None = None
        self._parents = _parents()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._note)

    def check(self) -> None:
        """Raises StopRequestedError or ChildError."""
        if self._signal is not None:
            raise StopRequestedError(f"{self._signal.name} received")
        if not all(_is_alive(parent) for parent in self._parents):
            raise StopRequestedError("the process that started this one has ended")
        for child in self.children:
            if not child.alive:
                raise ChildError(f"{child.name} ended (exit code {child.exit_code})\n{child.log_tail()}")

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._signal = signal.Signals(number)


def main() -> int:
    """The command line; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m local", description="Runs Tonearm on this machine.")
    parser.add_argument("--once", action="store_true", help="end after the proof")
    parser.add_argument("--app", type=Path, default=REPOSITORY, help="folder of function_app.py and frontend/app.py")
    parser.add_argument("--state", type=Path, default=REPOSITORY / ".tonearm", help="folder for data and logs")
    arguments = parser.parse_args()
    state: Path = arguments.state.absolute()
    state.mkdir(parents=True, exist_ok=True)
    register = Register(state / "running.json")
    watch = Watch()
    try:
        for name in register.take():
            print(f"Ended what an earlier run had left: {name}")
        ports = Ports.from_environment(os.environ)
        check_free(ports.claims)
    except (AlreadyRunningError, PortError) as error:
        print(error, file=sys.stderr)
        return 1
    try:
        _start(_children(arguments.app.absolute(), state, ports), register, watch)
        proof = _prove(ports, watch)
        print(f"{proof}\n\n{_directions(ports, state)}", flush=True)
        while not arguments.once:
            time.sleep(CHECK_INTERVAL_S)
            watch.check()
    except StopRequestedError as reason:
        print(f"\nStopping: {reason}.", flush=True)
    except (ChildError, ProofError) as error:
        print(f"\n{error}\nStopping everything.", file=sys.stderr, flush=True)
        return 1
    finally:
        # the web app first and storage last, so that nobody misses what they stand on
        for child in reversed(watch.children):
            child.stop()
        register.release()
    return 0


def _children(app_dir: Path, state: Path, ports: Ports) -> list[Child]:
    """The parts in the order in which they are started."""
    logs = state / "logs"
    for log in logs.glob("*.log"):
        log.unlink()
    (state / "storage").mkdir(exist_ok=True)
    web_environment = {"TONEARM_API_URL": f"http://{ADDRESS}:{ports.functions}"}
    if key := os.environ.get("TONEARM_REQUIRE_KEY"):
        web_environment["TONEARM_API_KEY"] = key
    return [
        azurite.azurite(state / "storage", logs / "storage.log", ports.storage),
        Child(
            "Functions host",
            [sys.executable, "-m", "local.host", "--app", str(app_dir), "--port", str(ports.functions)],
            log_path=logs / "functions.log",
            probe=lambda: _status(ports.functions, "/") is not None,
            environment={HOST_STORAGE: ports.storage.connection_string},
            cwd=REPOSITORY,
        ),
        Child(
            "Web app",
            [sys.executable, "-m", "streamlit", "run", str(app_dir / "frontend" / "app.py"), *_streamlit(ports.web)],
            log_path=logs / "web.log",
            probe=lambda: _status(ports.web, "/_stcore/health") == http.HTTPStatus.OK,
            environment=web_environment,
            cwd=REPOSITORY,
        ),
    ]


def _streamlit(port: int) -> list[str]:
    options = {
        "server.address": ADDRESS,
        "server.port": str(port),
        "server.headless": "true",
        "server.fileWatcherType": "none",
        "browser.gatherUsageStats": "false",
    }
    return [f"--{name}={value}" for name, value in options.items()]


def _start(children: list[Child], register: Register, watch: Watch) -> None:
    """Storage alone first, then the others side by side."""
    storage, *others = children
    for group in ([storage], others):
        for child in group:
            print(f"Starting: {child.name}", flush=True)
            child.launch()
            watch.children.append(child)
            register.add(child)
        for child in group:
            child.wait_ready(READY_TIMEOUT_S, watch.check)


class ProofError(Exception):
    """The system is up and does not do what it is for."""


def _prove(ports: Ports, watch: Watch) -> str:
    """Drop a clip, wait for its result, and describe it. Raises ProofError."""
    started_s = time.monotonic()
    service = drop.connect(ports.storage.connection_string)
    try:
        drop.put(service, PROOF_NAME, clip.wav())
        results = dict(drop.results(service, [PROOF_NAME], watch.check, patience_s=PROOF_PATIENCE_S))
    except AzureError as error:
        raise ProofError(f"Storage does not take the clip that should prove the system: {error}") from error
    functions = watch.children[1]
    if PROOF_NAME not in results:
        raise ProofError(f"No result came for the synthesised clip.\n{functions.log_tail()}")
    result = results[PROOF_NAME]
    if result["status"] != "done":
        raise ProofError(f"The synthesised clip: {drop.problem(result)}\n{functions.log_tail()}")
    took_s = time.monotonic() - started_s
    lines = [f"\nProof: a synthesised clip, dropped into `uploads`, came back after {took_s:.1f} s.\n"]
    lines += [f"  {drop.line('genre', result)}\n"]
    for genre, probability in sorted(result["probabilities"].items(), key=lambda item: -item[1]):
        lines.append(f"  {genre:<10} {probability:.2f} {'█' * round(BAR_WIDTH * probability)}")
    return "\n".join(lines)


def _directions(ports: Ports, state: Path) -> str:
    """Where everything is, and the three doors in one line each."""
    api = f"http://{ADDRESS}:{ports.functions}/api"
    python = os.path.relpath(sys.executable)
    port = "" if ports.storage.blob == azurite.Ports().blob else f"AZURITE_BLOB_PORT={ports.storage.blob} "
    key = ' -H "x-functions-key: $TONEARM_REQUIRE_KEY"' if os.environ.get("TONEARM_REQUIRE_KEY") else ""
    rows = {
        "Browser": f"http://{ADDRESS}:{ports.web}",
        "HTTP": f"curl{key} --data-binary @song.mp3 {api}/classify",
        "Storage": f"{port}{python} -m local.drop song.mp3",
        "API": f"{api}/openapi.json",
        "Logs, data": os.path.relpath(state),
    }
    return "\n".join(["Tonearm is up; Ctrl-C ends it.\n", *(f"  {name:<11} {text}" for name, text in rows.items())])


def _status(port: int, path: str) -> int | None:
    """The status of an HTTP GET; None if nobody answers."""
    connection = http.client.HTTPConnection(ADDRESS, port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _parents() -> list[psutil.Process]:
    """The process that started this one, and make, which may have put a shell in between."""
    parents = psutil.Process().parents()
    # without a parent of our own (pid 1, in a container) there is nobody to outlive
    return [
        parent for place, parent in enumerate(parents) if parent.pid != 1 and (place == 0 or "make" in parent.name())
    ]
