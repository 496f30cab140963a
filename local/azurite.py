"""Azurite, Microsoft's storage emulator: pinned in package.json beside this file, installed by ``npm ci``.

    python -m local.azurite

prints the connection string of the storage that ``make run`` uses.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from local.processes import ADDRESS, Child, http_status

COMMAND = Path(__file__).parent / "node_modules" / ".bin" / "azurite"
BROWSER_GUARD = Path(__file__).with_name("browser_guard.js")
WORKAROUNDS = Path(__file__).with_name("workarounds.js")

# The emulator's account and key are the same on every machine in the world and printed in its manual: no secret.
ACCOUNT = "devstoreaccount1"
ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
VARIABLE = "AzureWebJobsStorage"
"""The app setting that names the storage of the host and of the app, by a connection string."""
PORTS = {"AZURITE_BLOB_PORT": 10000, "AZURITE_QUEUE_PORT": 10001, "AZURITE_TABLE_PORT": 10002}
"""The variable of each port, and its default."""
SERVICES = ("blob", "queue", "table")


def connection_string(ports: Sequence[int]) -> str:
    """What the Azure clients need to reach the emulator on these ports of blobs, queues and tables."""
    text = f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={ACCOUNT_KEY};"
    for service, port in zip(SERVICES, ports, strict=True):
        text += f"{service.title()}Endpoint=http://{ADDRESS}:{port}/{ACCOUNT};"
    return text


def connection_of(environment: Mapping[str, str]) -> str:
    """The connection string in AzureWebJobsStorage, or else that of ``make run``, whose ports may be set there.

    Raises ValueError, which names the variable, for what is no port.
    """
    ports = []
    for variable, default in PORTS.items():
        text = environment.get(variable) or str(default)
        if not (text.isascii() and text.isdigit()):
            raise ValueError(f"{variable} is {text!r}, which is no port.")
        ports.append(int(text))
    return environment.get(VARIABLE) or connection_string(ports)


def azurite(data_dir: Path | None, log_path: Path, ports: Sequence[int]) -> Child:
    """Azurite on ``ports`` with its data in ``data_dir``, not started yet. It needs ``node`` on the PATH.

    Ended by `Child.stop` it keeps its data; killed, it loses the last few seconds. Without ``data_dir`` it holds
    everything in memory.
    """
    command = [str(COMMAND), "--silent", "--disableTelemetry"]
    command += ["--inMemoryPersistence"] if data_dir is None else ["--location", str(data_dir)]
    for service, port in zip(SERVICES, ports, strict=True):
        command += [f"--{service}Host", ADDRESS, f"--{service}Port", str(port)]
    required = [f"--require {json.dumps(str(module))}" for module in (BROWSER_GUARD, WORKAROUNDS)]
    return Child(
        "Azurite",
        command,
        log_path=log_path,
        environment={"NODE_OPTIONS": " ".join([os.environ.get("NODE_OPTIONS", ""), *required])},
        # Any answer will do, a refusal for want of a key too.
        probe=lambda: all(http_status(port, f"/{ACCOUNT}?comp=list") for port in ports),
    )


if __name__ == "__main__":
    print(connection_of(os.environ))
