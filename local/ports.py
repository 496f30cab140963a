"""Checks before anything starts: whether the ports are free and, if one is not, who has it."""

import contextlib
import socket
from dataclasses import dataclass

import psutil

ADDRESS = "127.0.0.1"


class PortError(Exception):
    """A port cannot be used; the message says which, why, and what to do."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A port that one part of the system wants, and the variable that changes it."""

    part: str
    port: int
    variable: str


def check_free(claims: list[Claim]) -> None:
    """Raises PortError for the first port that is taken or claimed twice."""
    owners: dict[int, Claim] = {}
    for claim in claims:
        if not 1 <= claim.port <= 65_535:
            raise PortError(f"{claim.variable} is {claim.port}; a port is a number from 1 to 65535.")
        if other := owners.get(claim.port):
            raise PortError(
                f"{claim.variable} and {other.variable} are both {claim.port}; each needs a port of its own."
            )
        owners[claim.port] = claim
    for claim in claims:
        if not _is_free(claim.port):
            raise PortError(
                f"Port {claim.port} ({claim.part}) is taken{_by(claim.port)}. End that, or choose another port with"
                f" {claim.variable}=..."
            )


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # as servers do it, so that connections of an earlier run that are still winding down do not count
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ADDRESS, port))
            probe.listen()
        except OSError:
            return False
    return True


def _by(port: int) -> str:
    with contextlib.suppress(psutil.Error):  # other users' processes are hidden from us, on macOS all of them
        for connection in psutil.net_connections("tcp"):
            listening = connection.status == psutil.CONN_LISTEN and getattr(connection.laddr, "port", None) == port
            if listening and connection.pid:
                return f" by {psutil.Process(connection.pid).name()} (process {connection.pid})"
    return ""
