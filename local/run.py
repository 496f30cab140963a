"""Runs the whole system on this machine: storage, the functions host, the web app. This is what ``make run`` starts.

    python -m local

When all is up, a made-up clip is dropped into ``uploads`` and its result printed; then the system stays up until
Ctrl-C, SIGTERM, or the end of the process that started this one. What ends by itself is restarted. Data and logs are in
``.tonearm/``.
"""

import argparse
import contextlib
import fcntl
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType

from azure.core.exceptions import AzureError

from local import azurite, drop
from local.processes import ADDRESS, STATE_VARIABLE, Child, RunError, end_previous_run, http_status
from tonearm import sample_clip

REPOSITORY = Path(__file__).parents[1]
READY_TIMEOUT_S = 120
CHECK_INTERVAL_S = 0.2
RESTART_DELAY_S = 1.0
RESTART_DELAY_MAX_S = 30.0
"""The delay doubles up to here, and begins anew when nothing ended for as long."""
CHECK_NAME = "check/sample-clip.wav"
BAR_WIDTH = 40
PORTS = azurite.PORTS | {"FUNCTIONS_PORT": 7071, "WEB_PORT": 8501}
"""The variable of each port, and its default."""


class StopRequestedError(Exception):
    """Somebody asked for the end: a signal, or the parent's own end."""


class Supervisor:
    """Starts processes in order, and restarts those that end."""

    def __init__(self) -> None:
        self.children: list[Child] = []
        self._signal: signal.Signals | None = None
        self._parent = os.getppid()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._note)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._signal = signal.Signals(number)

    def start(self, *group: Child) -> None:
        """Start processes side by side and wait until they are ready. Raises RunError and StopRequestedError."""
        for child in group:
            print(f"Starting: {child.name}", flush=True)
            child.launch()
            self.children.append(child)
        for child in group:
            child.wait_ready(READY_TIMEOUT_S, self.check)

    def check(self) -> None:
        """Raises StopRequestedError when it is time to stop."""
        if self._signal is not None:
            raise StopRequestedError(f"{self._signal.name} received")
        if os.getppid() != self._parent:
            raise StopRequestedError("the process that started this one has ended")

    def keep_running(self) -> None:
        """Restart what ends, after growing delays. Raises StopRequestedError at the end, and RunError."""
        delay_s, restarted_s = RESTART_DELAY_S, 0.0
        while True:
            self._pause(CHECK_INTERVAL_S)
            for child in self.children:
                child.trim_log()
                if not child.alive:
                    if time.monotonic() - restarted_s > RESTART_DELAY_MAX_S:
                        delay_s = RESTART_DELAY_S
                    print(f"{child.name} ended ({child.ending}); restarting it. Log: {child.log_path}", flush=True)
                    self._pause(delay_s)
                    child.kill()  # what is left of its session
                    child.launch()
                    restarted_s = time.monotonic()
                    delay_s = min(2 * delay_s, RESTART_DELAY_MAX_S)

    def _pause(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.check()
            time.sleep(CHECK_INTERVAL_S)


def main() -> int:
    """The command line; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m local", description="Runs Tonearm on this machine.")
    parser.add_argument("--app", type=Path, default=REPOSITORY, help="folder of function_app.py and frontend/app.py")
    parser.add_argument("--state", type=Path, default=REPOSITORY / ".tonearm", help="folder for data and logs")
    arguments = parser.parse_args()
    state: Path = arguments.state.absolute()
    (state / "storage").mkdir(parents=True, exist_ok=True)
    os.environ[STATE_VARIABLE] = str(state)  # children inherit it
    supervisor = Supervisor()
    with (state / "lock").open("w") as lock:  # the lock ends with this process, however it ends
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for process in end_previous_run(state):
                print(f"Ended what an earlier run had left: {process}")
            ports = free_ports(os.environ)
            storage, functions, web = parts(arguments.app.absolute(), state, ports)
            supervisor.start(storage)
            supervisor.start(functions, web)
            print(f"{_check_system(ports, supervisor, functions)}\n\n{_usage(ports, state)}", flush=True)
            supervisor.keep_running()
        except BlockingIOError:
            print(f"Tonearm is already running here (data in {state}). End that first.", file=sys.stderr)
            return 1
        except StopRequestedError as reason:
            print(f"\nStopping: {reason}.", flush=True)
        except RunError as error:
            print(error, file=sys.stderr, flush=True)
            return 1
        finally:
            for child in reversed(supervisor.children):  # so that nothing misses what it depends on
                child.stop()
    return 0


def free_ports(environment: Mapping[str, str]) -> dict[str, int]:
    """The port of each variable in `PORTS`. Raises RunError for what is no port, and for a port that is taken."""
    ports: dict[str, int] = {}
    with contextlib.ExitStack() as held:
        for variable, default in PORTS.items():
            text = environment.get(variable, str(default))
            probe = held.enter_context(socket.socket())
            # As servers do it, so that connections of an earlier run that are still winding down do not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                ports[variable] = int(text)
                probe.bind((ADDRESS, ports[variable]))
                probe.listen()
            except (ValueError, OverflowError):
                raise RunError(f"{variable} is {text}; a port is a number from 1 to 65535.") from None
            except OSError:
                advice = f"End what listens there (`lsof -i :{text}` names it), or choose another with {variable}=..."
                raise RunError(f"Port {text} is taken. {advice}") from None
    return ports


def parts(app_dir: Path, state: Path, ports: Mapping[str, int]) -> tuple[Child, Child, Child]:
    """Storage, the functions host and the web app, not started yet. Logs of an earlier run are deleted."""
    logs = state / "logs"
    for log in logs.glob("*.log*"):
        log.unlink()
    *storage_ports, functions_port, web_port = ports.values()
    web_environment = {"TONEARM_API_URL": f"http://{ADDRESS}:{functions_port}"}
    # Whoever uses this machine sees all that was dropped into storage, too.
    web_environment["TONEARM_HISTORY"] = os.environ.get("TONEARM_HISTORY", "shared")
    if key := os.environ.get("TONEARM_REQUIRE_KEY"):
        web_environment["TONEARM_API_KEY"] = key
    host = ["-m", "local.host", "--app", str(app_dir), "--port", str(functions_port), "--state", str(state)]
    page = ["-m", "streamlit", "run", str(app_dir / "frontend" / "app.py"), f"--server.address={ADDRESS}"]
    page += [f"--server.port={web_port}", "--server.headless=true", "--server.fileWatcherType=none"]
    page += ["--browser.gatherUsageStats=false"]
    return (
        azurite.azurite(state / "storage", logs / "storage.log", storage_ports),
        Child(
            "Functions host",
            [sys.executable, *host],
            log_path=logs / "functions.log",
            probe=lambda: http_status(functions_port, "/") is not None,
            environment={azurite.VARIABLE: azurite.connection_string(storage_ports)},
            cwd=REPOSITORY,
        ),
        Child(
            "Web app",
            [sys.executable, *page],
            log_path=logs / "web.log",
            probe=lambda: http_status(web_port, "/_stcore/health") == 200,
            environment=web_environment,
            cwd=REPOSITORY,
        ),
    )


def _check_system(ports: Mapping[str, int], supervisor: Supervisor, functions: Child) -> str:
    """Drop a clip, wait for its result, and describe it. Raises RunError and StopRequestedError."""
    started_s = time.monotonic()
    try:
        service = drop.connect(azurite.connection_string(list(ports.values())[:3]))
        drop.put(service, CHECK_NAME, sample_clip.wav(channels=2))
        results = dict(drop.results(service, [CHECK_NAME], supervisor.check))
    except AzureError as error:
        raise RunError(f"Storage does not take the test clip: {error}") from error
    took_s = time.monotonic() - started_s
    result = results.get(CHECK_NAME, {"status": "missing"})
    if result["status"] != "done":
        raise RunError(f"No genre after {took_s:.0f} s: {drop.line('made-up clip', result)}\n{functions.log_tail()}")
    lines = [f"\nCheck: a made-up clip, dropped into `uploads`, came back after {took_s:.1f} s.\n"]
    lines += [f"  {drop.line('genre', result)}\n"]
    for genre, probability in sorted(result["probabilities"].items(), key=lambda item: -item[1]):
        lines.append(f"  {genre:<10} {probability:.2f} {'█' * round(BAR_WIDTH * probability)}")
    return "\n".join(lines)


def _usage(ports: Mapping[str, int], state: Path) -> str:
    """Where everything is, and how to try one's own music."""
    api = f"http://{ADDRESS}:{ports['FUNCTIONS_PORT']}/api"
    variable, python = "AZURITE_BLOB_PORT", os.path.relpath(sys.executable)
    port = "" if ports[variable] == PORTS[variable] else f"{variable}={ports[variable]} "
    key = ' -H "x-functions-key: $TONEARM_REQUIRE_KEY"' if os.environ.get("TONEARM_REQUIRE_KEY") else ""
    return f"""Tonearm is up; Ctrl-C ends it. Try your own music:

  Browser     http://{ADDRESS}:{ports["WEB_PORT"]}
  HTTP        curl{key} --data-binary @song.mp3 {api}/classify
  Storage     {port}{python} -m local.drop song.mp3
  API         {api}/openapi.json
  Logs, data  {os.path.relpath(state)}

No music at hand? https://freemusicarchive.org has free recordings of every genre, and
{Path(python).parent}/tonearm sample clip.wav writes a made-up clip."""
