"""Azurite, Microsoft's storage emulator: pinned in package.json beside this file, installed by ``npm ci``."""

import http.client
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from local.child import Child

HOST = "127.0.0.1"
COMMAND = Path(__file__).parent / "node_modules" / ".bin" / "azurite"

# The emulator's account and key are the same on every machine in the world and printed in its manual: no secret.
ACCOUNT = "devstoreaccount1"
ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@dataclass(frozen=True, slots=True)
class Ports:
    """Where Azurite listens; the defaults are its own."""

    blob: int = 10000
    queue: int = 10001
    table: int = 10002

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """As AZURITE_BLOB_PORT, AZURITE_QUEUE_PORT and AZURITE_TABLE_PORT say. Raises ValueError: no number."""
        defaults = cls()
        return cls(
            blob=int(environment.get("AZURITE_BLOB_PORT", defaults.blob)),
            queue=int(environment.get("AZURITE_QUEUE_PORT", defaults.queue)),
            table=int(environment.get("AZURITE_TABLE_PORT", defaults.table)),
        )

    @property
    def connection_string(self) -> str:
        """What the Azure clients need to reach the emulator on these ports."""
        endpoints = {"Blob": self.blob, "Queue": self.queue, "Table": self.table}
        return f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={ACCOUNT_KEY};" + "".join(
            f"{name}Endpoint=http://{HOST}:{port}/{ACCOUNT};" for name, port in endpoints.items()
        )


def azurite(data_dir: Path | None, log_path: Path, ports: Ports) -> Child:
    """Azurite on ``ports`` with its data in ``data_dir``, not started yet. It needs ``node`` on the PATH.

    Ended by `Child.stop` it keeps its data; killed, it loses the last few seconds. Without ``data_dir`` it holds all in
    memory, and nothing is kept.
    """
    command = [str(COMMAND), "--silent", "--disableTelemetry"]
    command += ["--inMemoryPersistence"] if data_dir is None else ["--location", str(data_dir)]
    for service, port in (("blob", ports.blob), ("queue", ports.queue), ("table", ports.table)):
        command += [f"--{service}Host", HOST, f"--{service}Port", str(port)]
    return Child(
        "Azurite",
        command,
        log_path=log_path,
        probe=lambda: all(_answers(port) for port in (ports.blob, ports.queue, ports.table)),
    )


def _answers(port: int) -> bool:
    # any answer will do, a refusal for want of a key too
    connection = http.client.HTTPConnection(HOST, port, timeout=2)
    try:
        connection.request("GET", f"/{ACCOUNT}?comp=list")
        connection.getresponse()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return True
