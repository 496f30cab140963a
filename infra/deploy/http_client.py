"""HTTP for the smoke tests and the function package, on the standard library alone."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Container, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from infra.deploy.errors import DeployError, PendingError

POLL_INTERVAL_S = 5.0
START_TIMEOUT_S = 600.0  # for an app that was just published to: its instance is new, and its roles may be too
ANY_STATUS = range(1_000)


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP response of any status."""

    request: str
    """Method and URL without the query, which may hold a signature."""
    status: int
    body: bytes

    def expect(self, *statuses: int, pending: Container[int] = ()) -> "Response":
        """Return the response if its status is one of these. Raises PendingError or DeployError for another one."""
        if self.status in statuses:
            return self
        text = self.body[:500].decode(errors="replace").strip()
        error = PendingError if self.status in pending else DeployError
        raise error(f"{self.request} answered {self.status}: {text or '(empty)'}")

    def json(self) -> dict[str, Any]:
        """The body, a JSON object. Raises DeployError for anything else."""
        with suppress(ValueError):
            if isinstance(value := json.loads(self.body), dict):
                return value
        raise DeployError(f"{self.request} answered no JSON object. Is this address Tonearm's?")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Following a redirect would send the key to another host, so 3xx is returned as it is."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


_opener = urllib.request.build_opener(_NoRedirect)


def send(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    timeout_s: float = 120.0,
) -> Response:
    """Send one request. Raises PendingError without a response, DeployError for plain HTTP to another machine."""
    address = urlsplit(url)
    if address.scheme != "https" and address.hostname not in ("127.0.0.1", "localhost"):
        raise DeployError(f"{address.scheme}://{address.netloc}: only https is used outside this machine.")
    description = f"{method} {address.scheme}://{address.netloc}{address.path}"
    request = urllib.request.Request(url, data=body, headers=dict(headers or {}), method=method)  # noqa: S310 - checked
    try:
        with _opener.open(request, timeout=timeout_s) as response:
            return Response(description, response.status, response.read())
    except urllib.error.HTTPError as error:
        with error:
            return Response(description, error.code, error.read())
    except OSError as error:
        raise PendingError(f"{description}: no response ({getattr(error, 'reason', None) or error}).") from None


def wait_for[T](check: Callable[[], T], *, timeout_s: float = 300.0, hint: str = "") -> T:
    """Repeat ``check`` while it raises PendingError. Raises DeployError with ``hint`` when the time is over."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            return check()
        except PendingError as error:
            if time.monotonic() >= deadline:
                raise DeployError(f"{error} This was so for {timeout_s:.0f} s. {hint}".rstrip()) from None
        time.sleep(POLL_INTERVAL_S)


def wait_until_up(url: str, *, hint: str) -> None:
    """:func:`wait_for` 200 from ``url``. Any other status is pending: an app that is starting answers many."""
    wait_for(lambda: send("GET", url).expect(200, pending=ANY_STATUS), timeout_s=START_TIMEOUT_S, hint=hint)
