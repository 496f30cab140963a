"""The pipeline's files are what Azure's own language service takes, and their commands are there."""

import contextlib
import io
import json
import re
import shlex
import shutil
import subprocess

import pytest
import yaml
from check_jsonschema.builtin_schemas import get_builtin_schema

from infra.deploy.__main__ import parser
from infra.policy.compiler import VERSION
from tests.conftest import REPOSITORY

CHECKS = REPOSITORY / "infra" / "checks"
FILES = [REPOSITORY / "azure-pipelines.yml", *sorted((REPOSITORY / "infra" / "pipelines").glob("*.yml"))]
TARGETS = set(re.findall(r"^([\w-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
ENVIRONMENT = "${{ parameters.environment }}"


def commands() -> list[str]:
    """All command lines of the pipeline, with something in place of what Azure fills in."""
    text = "\n".join(file.read_text() for file in FILES)
    lines = re.findall(r"^ *(?:- )?(?:script|bash|inlineScript|run): (.+)$", text, re.MULTILINE)
    filled_in = [re.sub(r"\$\{\{.*?\}\}|\$\(.*?\)", "x", line.replace(ENVIRONMENT, "prod")) for line in lines]
    return [command for line in filled_in for command in line.split(" && ")]


def faults(files: dict[str, str]) -> list[str]:
    """What Azure Pipelines' language service says of files."""
    texts = [{"path": path, "text": text} for path, text in files.items()]
    request = {"schema": get_builtin_schema("vendor.azure-pipelines"), "files": texts}
    command = [shutil.which("node") or "node", str(CHECKS / "validate_pipelines.js")]
    done = subprocess.run(command, input=json.dumps(request), capture_output=True, text=True, check=True, timeout=120)
    return [f"{each['path']}:{each['line']}: {each['message']}" for each in json.loads(done.stdout)]


def test_the_language_service_finds_what_is_wrong_alone() -> None:
    wrong = "stages:\n- stage: a\n  jobs:\n  - job: b\n    stepz: []\n"
    found = faults({file.name: file.read_text() for file in FILES} | {"wrong.yml": wrong})
    assert found
    assert all(each.startswith("wrong.yml:") for each in found), found


def test_templates_and_artifacts_are_there() -> None:
    text = "\n".join(file.read_text() for file in FILES)
    templates = {each.rpartition("/")[2] for each in re.findall(r"template: (\S+)", text)}
    assert templates == {file.name for file in FILES[1:]}
    assert set(re.findall(r"artifact: (\S+)", text)) >= {"functions", "web"}


def test_prod_comes_after_dev_a_what_if_and_an_approval() -> None:
    pipeline, release, what_if = (
        yaml.safe_load((REPOSITORY / each).read_text())
        for each in ("azure-pipelines.yml", "infra/pipelines/release.yml", "infra/pipelines/what-if.yml")
    )
    templates = [each for stage in pipeline["stages"] for jobs in stage.values() for each in jobs if "template" in each]
    after = {each["parameters"]["environment"]: each["parameters"]["after"] for each in templates}
    assert after == {"dev": "build", "prod": "release_dev"}
    assert pipeline["lockBehavior"] == "sequential"
    plan, deploy = release["stages"]
    assert (plan["dependsOn"], deploy["dependsOn"]) == ("${{ parameters.after }}", plan["stage"])
    assert [each["template"] for each in plan["jobs"]] == ["what-if.yml"]
    # Azure asks for the approval, and takes the lock, before a stage that uses an environment.
    work, undo = deploy["jobs"]
    assert work["environment"] == f"tonearm-{ENVIRONMENT}"
    assert "in(dependencies.release.result, 'Failed', 'Canceled')" in undo["condition"]
    assert "what-if" in str(what_if["jobs"])
    assert "tonearm-what-if" in str(what_if["jobs"]), "code that nobody has reviewed may only look"
    assert "variables['System.PullRequest.IsFork']" in what_if["jobs"][0]["condition"]


def test_a_step_in_azure_compiles_with_the_pinned_bicep() -> None:
    (task,) = yaml.safe_load((REPOSITORY / "infra" / "pipelines" / "step.yml").read_text())["steps"]
    assert task["inputs"]["inlineScript"].startswith("az bicep install --version ")
    assert task["env"] == {"AZURE_BICEP_USE_BINARY_FROM_PATH": "false"}


@pytest.mark.parametrize("line", commands())
def test_a_step_runs_a_command_of_ours(line: str) -> None:
    match words := shlex.split(line):
        case ["make", *targets]:
            assert {each for each in targets if "=" not in each} <= TARGETS
        case ["az", "bicep", "install", "--version", version]:
            assert version == f"v{VERSION}"
        case ["python", "-m", "infra.deploy", "x", *_]:  # a template's parameter: looked at where it is given
            pass
        case ["python", "-m", "infra.deploy", *arguments]:
            with contextlib.redirect_stderr(io.StringIO()):
                parser().parse_args(arguments)
        case ["python" | ".venv/bin/python", "-m", module, *_]:
            path = REPOSITORY.joinpath(*module.split("."))
            assert path.with_suffix(".py").exists() or (path / "__main__.py").exists()
        case _:  # what is given to step.yml
            with contextlib.redirect_stderr(io.StringIO()):
                parser().parse_args([*words, "--environment", "prod"])
