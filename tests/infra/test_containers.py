"""The containers' check finds nothing in the repository, and reports each fault that is put into a copy."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from infra.checks import containers
from local.azurite import ACCOUNT, ACCOUNT_KEY
from tests.conftest import REPOSITORY
from tests.infra.conftest import Copy

FUNCTIONS = "infra/containers/function-app/Dockerfile"
WEB = "infra/containers/web/Dockerfile"
COMPOSE = "infra/containers/compose.yaml"
IGNORE = ".dockerignore"
DIGEST = "sha256:3dd7cc108ec1493442514f5c2a871af6af0ec31d768ff6e378a93340c3b3db5f"


@pytest.fixture(scope="module")
def containers_copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    names = ["infra/containers", "functions", "frontend", ".streamlit", "tonearm", "infra/__init__.py"]
    names += [
        "infra/packages.py",
        "infra/sbom.py",
        "models/default.txt",
        "function_app.py",
        "host.json",
        "pyproject.toml",
    ]
    return Copy(tmp_path_factory.mktemp("containers"), *names, "requirements.txt", "uv.lock", "NOTICE", IGNORE)


@pytest.fixture
def tree(containers_copy: Copy) -> Iterator[Path]:
    """The files that the check reads."""
    yield containers_copy.root
    containers_copy.restore()


def test_nothing_is_wrong(tree: Path) -> None:
    assert containers.check(tree) == []
    assert containers.check(REPOSITORY) == []


@pytest.mark.parametrize(
    ("file", "old", "new", "expected"),
    [
        # images
        (WEB, f"@{DIGEST}\n", "\n", None),  # a tag of a version is a pin too
        (WEB, f":3.13-slim-trixie@{DIGEST}\n", "\n", "python names no version; pin it"),
        (WEB, f":3.13-slim-trixie@{DIGEST}\n", ":latest\n", "python:latest names no version"),
        (WEB, DIGEST + "\n", DIGEST[:-1] + "\n", "has a digest that is none"),
        (COMPOSE, "azurite:3.37.0@sha256:830430c1", "azurite:latest@sha256:830430c", "has a digest that is none"),
        (COMPOSE, re.compile(r"azurite:3\.37\.0@\w+:\w+"), "azurite", "azurite: mcr.microsoft.com/azure-storage/az"),
        # how they run
        (FUNCTIONS, "USER 1654:1654\n", "", "the image runs as root"),
        (FUNCTIONS, "USER 1654:1654\n", "USER 1654:1654\nUSER root\n", "the image runs as root"),
        (WEB, "USER 10001:10001", "USER 0:10001", "the image runs as root"),
        (WEB, re.compile(r"HEALTHCHECK.*\\\n.*\n"), "", "has no HEALTHCHECK"),
        (WEB, re.compile(r"HEALTHCHECK.*\\\n.*\n"), "HEALTHCHECK NONE\n", "has no HEALTHCHECK"),
        (WEB, "USER 10001:10001", "USER 00", "the image runs as root"),
        (FUNCTIONS, "4-python3.13", "4-python3.12", "is not of Python 3.13"),
        (
            FUNCTIONS,
            "    PYTHONPATH=/home/site/wwwroot/",
            "    PYTHONPATH=/home/site/",
            "where no dependencies are copied to",
        ),
        (FUNCTIONS, "http://+:8080", "http://+:8081", "port 8081 is not the one that is exposed"),
        (WEB, "--server.port=8501", "--server.port=8502", "port 8502 is not the one that is exposed"),
        (WEB, "EXPOSE 8501\n", "", "EXPOSE the one port"),
        (WEB, '"run", "frontend/app.py"', '"run", "frontend/page.py"', "there is no frontend/page.py to run"),
        (FUNCTIONS, "/api/health'", "/api/healthy'", "HEALTHCHECK asks for /api/healthy, which nobody answers"),
        (WEB, "/_stcore/health'", "/health'", "HEALTHCHECK asks for /health, which nobody answers"),
        # what hadolint finds
        (WEB, "WORKDIR /app", "WORKDIR app", "hadolint DL3000"),
        (WEB, "WORKDIR /app", "RUN apt-get update && apt-get install -y curl\nWORKDIR /app", "hadolint DL3008"),
        (WEB, "WORKDIR /app", "# hadolint ignore=DL3000\nWORKDIR app", "say why in a comment"),
        (WEB, "WORKDIR /app", "# As it is.\n# hadolint ignore=DL3000\nWORKDIR app", None),
        (WEB, "EXPOSE 8501", "EXPOSES 8501", "hadolint DL1000"),
        # what is copied
        (FUNCTIONS, "COPY tonearm tonearm", "COPY tonarm tonarm", "there is no tonarm to copy"),
        (FUNCTIONS, "COPY tonearm tonearm\n", "", "tonearm belongs to the package; COPY it into the stage"),
        (FUNCTIONS, re.compile(r"COPY --from=package /dist/functions/models.*\n"), "", "models belongs to the package"),
        (FUNCTIONS, "/dist/functions/*.json ", "", "host.json belongs to the package; COPY it into the image"),
        (WEB, re.compile(r"COPY --from=package \S+/\.python_packages.*\n"), "", ".python_packages belongs to the pack"),
        (WEB, "--from=package /dist/web/frontend", "--from=builder /dist/web/frontend", "no stage called builder"),
        (WEB, "-m infra.packages web", "-m infra.package web", "no stage runs `python -m infra.packages`"),
        (IGNORE, "!uv.lock\n", "", "uv.lock is kept out by .dockerignore"),
        (IGNORE, "!models\n", "!models\nmodels\n", "models is kept out by .dockerignore"),
        # the compose file
        (COMPOSE, "    mem_limit: 2g # a", "    memory: 2g # a", "not as the compose schema has it"),
        (COMPOSE, "condition: service_healthy", "condition: healthy", "not as the compose schema has it"),
        (COMPOSE, "services:\n", "services: [\n", "cannot be read"),
        (COMPOSE, "web/Dockerfile", "page/Dockerfile", "web: there is no Dockerfile infra/containers/page/Dockerfile"),
        (COMPOSE, "context: ../..", "context: ..", "functions: images are built from the repository's root"),
        (COMPOSE, re.compile(r"    healthcheck:\n(      .*\n)+"), "", "azurite: nothing says when it is healthy"),
        (COMPOSE, "TONEARM_API_URL:", "TONEARM_URL:", "web: nothing in its image reads TONEARM_URL"),
        (COMPOSE, "TONEARM_BLOB_SOURCE:", "TONEARM_API_URL:", "functions: nothing in its image reads TONEARM_API_URL"),
        (
            COMPOSE,
            "FUNCTIONS_SECRETS_PATH:",
            "FUNCTIONS_SECRET_PATH:",
            "nothing in its image reads FUNCTIONS_SECRET_PA",
        ),
        (COMPOSE, "127.0.0.1:10000:10000", "10000:10000", "azurite: 10000:10000 is open to other machines"),
        (COMPOSE, "127.0.0.1:8501:8501", "127.0.0.1:8501:80", "web: its image listens on 8501, not on 80"),
        (COMPOSE, "      azurite:\n", "      storage:\n", "functions: there is no service called storage"),
        (COMPOSE, "http://functions:8080", "http://function:8080", "web: there is no service called function"),
        (COMPOSE, "http://functions:8080", "http://functions:80", "web: functions listens on 8080, not on 80"),
        (COMPOSE, "LogsAndContainerScan", "EventGrid", "functions: nobody sends events here"),
        (COMPOSE, "wwwroot/models", "wwwroot/model", "functions: its image has nothing at /home/site/wwwroot/model"),
        (
            COMPOSE,
            '"value": "${TONEARM_FUNCTION_KEY}"',
            '"value": "${TONEARM_MASTER_KEY}"',
            "no function key is TONEARM_F",
        ),
        (COMPOSE, '"systemKeys": []', '"systemKeys": [', "must be the JSON of a host's keys"),
        (COMPOSE, "source: function_keys", "source: keys", "functions: there is no config called keys"),
        (COMPOSE, "- storage:/data", "- data:/data", "azurite: there is no volume called data"),
        (COMPOSE, "source: ../../models", "source: ../../model", "functions: there is no ../../model to mount"),
        (
            COMPOSE,
            re.compile(r"\$\{TONEARM_MASTER_KEY.*\}"),
            "${TONEARM_MASTER_KEY}",
            "TONEARM_MASTER_KEY may be missing",
        ),
    ],
)
def test_each_fault_is_named(tree: Path, file: str, old: str | re.Pattern[str], new: str, expected: str | None) -> None:
    text = (tree / file).read_text()
    broken = text.replace(old, new, 1) if isinstance(old, str) else old.sub(lambda _: new, text, count=1)
    assert broken != text
    (tree / file).write_text(broken)
    problems = containers.check(tree)
    if expected is None:
        assert problems == []
        return
    assert [problem for problem in problems if expected in problem.text], problems
    for problem in problems:
        assert problem.path in {FUNCTIONS, WEB, COMPOSE}
        assert 0 <= problem.line <= len((tree / problem.path).read_text().splitlines())


@pytest.mark.parametrize(
    ("file", "old", "new", "line_of"),
    [
        (COMPOSE, "127.0.0.1:8501:8501", "8501:8501", "- 8501:8501"),
        (COMPOSE, "TONEARM_API_URL:", "TONEARM_URL:", "TONEARM_URL:"),
        (COMPOSE, "condition: service_healthy", "condition: healthy", "condition: healthy"),
        (WEB, "USER 10001:10001", "USER root", "USER root"),
        (WEB, f"@{DIGEST}\nLABEL", "@sha256:1\nLABEL", "@sha256:1"),
    ],
)
def test_where_it_is(tree: Path, file: str, old: str, new: str, line_of: str) -> None:
    text = (tree / file).read_text().replace(old, new, 1)
    (tree / file).write_text(text)
    (line,) = {problem.line for problem in containers.check(tree) if not problem.text.startswith("hadolint")}
    assert line_of in text.splitlines()[line - 1]


def test_nothing_to_check_is_a_fault(tree: Path) -> None:
    shutil.rmtree(tree / "infra" / "containers")
    first, second = containers.check(tree)
    assert (first.path, first.text) == (
        "infra/containers",
        "there is no Dockerfile in its folders: nothing was checked",
    )
    assert (second.path, second.text.partition(":")[0]) == (COMPOSE, "cannot be read")


def test_one_stage_is_a_fault(tree: Path) -> None:
    file = tree / WEB
    lines = file.read_text().splitlines(keepends=True)
    start = next(number for number, line in enumerate(lines) if line.startswith("FROM"))
    end = next(number for number, line in enumerate(lines) if line.startswith("RUN"))
    file.write_text("".join(lines[:start] + lines[end + 1 :]))
    assert [problem for problem in containers.check(tree) if "the image is built in one stage" in problem.text]


def test_the_storage_key_is_the_public_one() -> None:
    environment = yaml.safe_load((REPOSITORY / COMPOSE).read_text())["services"]["functions"]["environment"]
    parts = dict(part.split("=", 1) for part in environment["AzureWebJobsStorage"].strip(";").split(";"))
    assert (parts["AccountName"], parts["AccountKey"]) == (ACCOUNT, ACCOUNT_KEY)
    assert {parts[f"{name}Endpoint"] for name in ("Blob", "Queue", "Table")} == {
        f"http://azurite:{port}/{ACCOUNT}" for port in (10000, 10001, 10002)
    }
