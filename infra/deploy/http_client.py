"""HTTP for the smoke tests and the function package: one request, and waiting for an answer."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from infra.deploy.errors import DeployError

POLL_S = 5.0
"""Between questions to something that takes its time."""

TIMEOUT_S = 120.0
_LOOPBACK = ("127.0.0.1", "localhost")


class UnreachableError(DeployError):
    """Nobody answered."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    where: str
    """The request without its query, as that may hold a signature."""
    status: int
    body: bytes

    def expect(self, *statuses: int) -> "Answer":
        """The answer itself, if its status is one of these. Raises DeployError."""
        if self.status not in statuses:
            said = self.body[:500].decode(errors="replace").strip()
            raise DeployError(f"{self.where} answered {self.status}: {said or 'nothing'}")
        return self

    def json(self) -> dict[str, Any]:
        """The body, a JSON object. Raises DeployError."""
        try:
            value = json.loads(self.body)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise DeployError(f"{self.where} answered no JSON object. Is this address Tonearm's?")
        return value


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer: following it would send the key to another host."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


_opener = urllib.request.build_opener(_NoRedirect)


def send(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    timeout_s: float = TIMEOUT_S,
) -> Answer:
    """One request. Any status is an answer; raises UnreachableError for none, DeployError for plain HTTP."""
    address = urlsplit(url)
    if address.scheme != "https" and address.hostname not in _LOOPBACK:
        raise DeployError(f"{address.scheme}://{address.netloc}: only https is used outside this machine.")
    where = f"{method} {address.scheme}://{address.netloc}{address.path}"
    request = urllib.request.Request(url, data=body, headers=dict(headers or {}), method=method)  # noqa: S310 - checked
    try:
        with _opener.open(request, timeout=timeout_s) as response:
            return Answer(where, response.status, response.read())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(where, error.code, error.read())
    except OSError as error:
        raise UnreachableError(f"{where}: nobody answered ({getattr(error, 'reason', None) or error}).") from None


def wait_for(
    ask: Callable[[], Answer], *, status: int, patience_s: float, hint: str, passing: Collection[int] | None = None
) -> Answer:
    """Ask until the answer has ``status``. Raises DeployError, with ``hint`` on what to do, when patience ends.

    No answer passes, as does any of ``passing`` (by default all: an app that is starting answers all sorts of things);
    another one raises DeployError at once.
    """
    deadline = time.monotonic() + patience_s
    while True:
        try:
            answer = ask()
            if answer.status == status:
                return answer
            if passing is not None and answer.status not in passing:
                answer.expect(status)
            last = f"{answer.where} still answers {answer.status}"
        except UnreachableError as error:
            last = str(error)
        if time.monotonic() >= deadline:
            raise DeployError(f"{last} after {patience_s:.0f} s. {hint}")
        time.sleep(POLL_S)
