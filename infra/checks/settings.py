"""Settings: what the code reads is set by Bicep, and what Bicep sets is read by somebody and is documented."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from infra.checks import code
from infra.checks.deployed import is_function_app, settings_of, sites
from infra.checks.problem import Problem
from infra.checks.scenarios import BICEP, scenarios
from infra.checks.values import Resource

DOCUMENT = Path("docs/deploy.md")


@dataclass(frozen=True, slots=True)
class App:
    """What runs together and has its own settings."""

    name: str
    folders: tuple[str, ...]
    platform: frozenset[str]
    """Settings that not our code but the host, the SDKs or App Service read."""
    never_set: frozenset[str]
    """Settings that the code reads and the cloud must not have."""


FUNCTIONS = App(
    "function app",
    ("functions", "tonearm"),
    frozenset(
        {
            "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
            "APPLICATIONINSIGHTS_CONNECTION_STRING",
            "AzureWebJobsStorage__blobServiceUri",
            "AzureWebJobsStorage__clientId",
            "AzureWebJobsStorage__credential",
            "AzureWebJobsStorage__queueServiceUri",
            "AzureWebJobsStorage__tableServiceUri",
        }
    ),
    # a connection string with the account's key, which is for Azurite: the cloud has an identity
    frozenset({"AzureWebJobsStorage"}),
)
WEB = App(
    "web app",
    ("frontend",),
    frozenset({"PYTHONPATH", "SCM_DO_BUILD_DURING_DEPLOYMENT"}),
    frozenset(),
)


def check(root: Path) -> list[Problem]:
    """What is read and not set, set and not read, or set and not documented."""
    deployed, wrong = scenarios(root)
    if wrong or not deployed:
        return [Problem(str(BICEP), 0, "settings cannot be compared until the Bicep check finds nothing")]
    documented = _documented(root)
    problems = [] if documented else [Problem(str(DOCUMENT), 0, "it must have a table that describes every setting")]
    for app in (FUNCTIONS, WEB):
        read, wrong = _read(root, app)
        problems += wrong
        for scenario in deployed:
            for site in sites(scenario):
                if is_function_app(site) == (app is FUNCTIONS):
                    settings, said_by = settings_of(scenario, site)
                    problems += _compare(app, read, documented, set(settings), said_by)
    return sorted(set(problems))


def _read(root: Path, app: App) -> tuple[dict[str, tuple[str, int]], list[Problem]]:
    """What an app's code reads, and where; and where that cannot be told."""
    read: dict[str, tuple[str, int]] = {}
    problems: list[Problem] = []
    for folder in app.folders:
        names, unclear = code.settings_read(root, folder)
        read |= names
        text = "it cannot be seen which setting is read here: write its name as a string"
        problems += [Problem(path, line, text) for path, line in unclear]
    if not read:
        problems.append(Problem(app.folders[0], 0, f"the {app.name}'s code reads no setting that could be compared"))
    return read, problems


def _compare(
    app: App, read: dict[str, tuple[str, int]], documented: set[str], set_names: set[str], said_by: Resource
) -> Iterator[Problem]:
    """A site's settings with what its code reads and with what the document describes."""
    for name in set_names - documented if documented else set():
        yield Problem(str(DOCUMENT), 0, f"setting {name} of the {app.name} is in no table: describe it as `{name}`")
    for name, (path, line) in read.items():
        if name not in set_names | app.never_set:
            text = f"setting {name} is read here, but {said_by.symbol} in {said_by.path} does not set it"
            yield Problem(path, line, text)
    for name in set_names - read.keys() - app.platform:
        text = f"{said_by.symbol}: nothing in {' or '.join(app.folders)} reads setting {name}: take it out"
        yield Problem(said_by.path, said_by.line, text)
    for name in set_names & app.never_set:
        yield Problem(said_by.path, said_by.line, f"{said_by.symbol}: {name} is for one machine only: take it out")


def _documented(root: Path) -> set[str]:
    """Names in backticks in the document's tables; none if there is no document."""
    try:
        lines = (root / DOCUMENT).read_text().splitlines()
    except OSError:
        return set()
    rows = [line for line in lines if line.lstrip().startswith("|")]
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row)}
