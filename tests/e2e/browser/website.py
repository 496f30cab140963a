"""The web app in a process of its own."""

from pathlib import Path
from urllib.parse import quote

from local.run import PORTS, parts
from tests.conftest import READY_TIMEOUT_S, REPOSITORY, System, free_ports


class Website:
    """The web app of a running system, started as ``make run`` does it, on a free port."""

    def __init__(self, folder: Path, system: System) -> None:
        functions_port = int(system.address.rpartition(":")[2])
        (web_port,) = free_ports(1)
        # Storage and functions run already: of the parts that `make run` starts only the last is wanted.
        ports = PORTS | {"FUNCTIONS_PORT": functions_port, "WEB_PORT": web_port}
        *_, self._child = parts(REPOSITORY, folder, ports)
        self.address = f"http://127.0.0.1:{web_port}"

    def start(self) -> None:
        self._child.launch()
        self._child.wait_ready(READY_TIMEOUT_S)

    def stop(self) -> None:
        self._child.stop()

    @property
    def log(self) -> str:
        """All that it has said so far."""
        return self._child.log_path.read_text(errors="replace")

    def result_address(self, result_id: str) -> str:
        """The link that opens a result."""
        return f"{self.address}/result?id={quote(result_id, safe='')}"
