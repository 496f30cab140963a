"""The pipeline's check finds nothing in the repository, and reports each fault that is put into a copy."""

import shutil
from pathlib import Path

import pytest

from infra.checks import pipelines
from infra.checks.problem import Problem
from tests.conftest import REPOSITORY

PIPELINE = "azure-pipelines.yml"
RELEASE = "infra/pipelines/release.yml"
SETUP = "infra/pipelines/setup.yml"
STEP = "infra/pipelines/step.yml"
WHAT_IF = "infra/pipelines/what-if.yml"
SONAR = "sonar-project.properties"
NAMED = ("tonearm", "functions", "frontend", "local", "training", "infra", "tests")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the pipeline and of all that it names."""
    for file in (PIPELINE, SONAR, "Makefile", "function_app.py", "infra/packages.py"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / file, tmp_path / file)
    shutil.copytree(REPOSITORY / "infra/pipelines", tmp_path / "infra/pipelines")
    for folder in NAMED:
        (tmp_path / folder).mkdir(exist_ok=True)
    (tmp_path / "infra/checks").mkdir()
    for file in (pipelines.VALIDATOR, pipelines.KNOWN_BAD):
        shutil.copy(REPOSITORY / file, tmp_path / file)
    (tmp_path / pipelines.MODULES).symlink_to(REPOSITORY / pipelines.MODULES)
    return tmp_path


def seed(tree: Path, file: str, old: str, new: str) -> int:
    """Put one fault in, where ``old`` stands once; its line."""
    text = (tree / file).read_text()
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {file}"
    (tree / file).write_text(text.replace(old, new))
    return text[: text.index(old)].count("\n") + 1


def problem_with(problems: list[Problem], words: str) -> Problem:
    found = [problem for problem in problems if words in problem.text]
    assert found, f"{words!r} is in none of {problems}"
    return found[0]


def test_the_pipeline_is_in_order() -> None:
    assert pipelines.check(REPOSITORY) == []


def test_a_copy_of_it_is_in_order_too(tree: Path) -> None:
    assert pipelines.check(tree) == []


def test_the_schema_is_asked(tree: Path) -> None:
    faults = [
        (PIPELINE, "fetchDepth: 0", "fetchdeep: 0", "Unexpected property fetchdeep"),
        (PIPELINE, "trigger:\n", "triger:\n", "Unexpected property triger"),
        (PIPELINE, "testResultsFormat: JUnit", "testResultsFormat: JUnit6", "Value is not accepted"),
        (PIPELINE, "scannerMode: cli", "scannerMode: cmd", "Value is not accepted"),
        (PIPELINE, "SonarQubeAnalyze@8", "SonarQubeAnalyze@99", "Value is not accepted"),
        (PIPELINE, "summaryFileLocation:", "summaryFile:", "Unexpected property summaryFile"),
        (SETUP, "versionSpec:", "version:", "Unexpected property version"),
        (STEP, "scriptType: bash", "scriptType: fish", "Value is not accepted"),
        (RELEASE, "          runOnce:", "          runTwice:", "Unexpected property runTwice"),
        (PIPELINE, "      - job: audit\n", "      - jobb: audit\n", "Unexpected property jobb"),
    ]
    lines = [seed(tree, file, old, new) for file, old, new, _ in faults]
    problems = pipelines.validate(tree)
    for (file, _, _, words), line in zip(faults, lines, strict=True):
        assert any((problem.path, problem.line) == (file, line) and words in problem.text for problem in problems)


@pytest.mark.parametrize(
    ("old", "new", "line"), [("stepz:", "steps:", 6), ("bogusInput: 300", "pollingTimeoutSec: '300'", 12)]
)
def test_a_bad_file_that_is_not_caught_is_noticed(tree: Path, old: str, new: str, line: int) -> None:
    seed(tree, pipelines.KNOWN_BAD, f"{old}\n", f"{new}\n")
    problem = problem_with(pipelines.validate(tree), "schema did not load")
    assert (problem.path, problem.line) == (pipelines.KNOWN_BAD, line)


def test_a_schema_that_does_not_load_is_noticed(tree: Path) -> None:
    """The service itself says "clean" then, of any file."""
    seed(tree, pipelines.VALIDATOR, "async () => schema,", "async () => JSON.stringify(schema),")
    seed(tree, PIPELINE, "trigger:\n", "triger:\n")
    assert {problem.text for problem in pipelines.validate(tree)} == {
        "This is wrong on purpose and was not found: the schema did not load."
    }


def test_a_validator_that_fails_is_a_problem(tree: Path) -> None:
    seed(tree, pipelines.VALIDATOR, "async function main() {", "async function main() { throw new Error('worn out');")
    assert "worn out" in pipelines.validate(tree)[0].text


def test_missing_modules_are_a_problem_that_says_what_to_run(tree: Path) -> None:
    (tree / pipelines.MODULES).unlink()
    assert "python3 local/setup_env.py --infra" in problem_with(pipelines.check(tree), "not installed").text


def test_a_missing_pipeline_is_a_problem(tmp_path: Path) -> None:
    assert "no pipeline" in pipelines.check(tmp_path)[0].text


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        # dependencies
        (PIPELINE, "dependsOn: check", "dependsOn: chekc", "the stage chekc"),
        (PIPELINE, "after: release_dev", "after: release_test", "the stage release_test"),
        (
            RELEASE,
            "dependsOn: plan_${{ parameters.environment }}",
            "dependsOn:\n      - build\n      - planned_${{ parameters.environment }}",
            "the stage planned_dev",
        ),
        (PIPELINE, "      - job: bicep\n", "      - job: bicep\n        dependsOn: lint\n", "the job lint"),
        (PIPELINE, "      - job: bicep\n", "      - job: audit\n", "two jobs of the name audit"),
        (RELEASE, "stage: release_${{ parameters.environment }}", "stage: plan_dev", "two stages of the name"),
        # templates and their parameters
        (
            PIPELINE,
            "infra/pipelines/release.yml\n        parameters:\n          environment: dev",
            "x.yml\n        parameters:\n          environment: dev",
            "x.yml does not exist",
        ),
        (RELEASE, "name: undo\n", "name: undo\n              speed: full\n", "has no parameter speed"),
        (RELEASE, "                    displayName: Release\n", "", "needs the parameter displayName"),
        (
            PIPELINE,
            "environment: prod\n          after",
            "environment: production\n          after",
            "may be dev, prod",
        ),
        (SETUP, "default: true", "default: perhaps", "is a boolean"),
        (WHAT_IF, "run: what-if", "run: [what-if]", "is a string"),
        (STEP, "${{ parameters.run }}", "${{ parameters.walk }}", "The parameter walk is not declared"),
        (STEP, "${{ parameters.displayName }}", "A step", "displayName is declared and not used"),
        (SETUP, "if eq(parameters.packages, true)", "if eq(parameters.package, true)", "The parameter package is not"),
        # variables
        (PIPELINE, "$(containerRegistry)", "$(registry)", "The variable registry is declared nowhere"),
        (PIPELINE, "ne(variables['containerRegistry'], '')", "ne(variables['registry'], '')", "The variable registry"),
        (PIPELINE, "$(Build.SourcesDirectory)", "$(Build.SourceDirectory)", "The variable Build.SourceDirectory"),
        (PIPELINE, "variables['Build.SourceBranch']", "variables['Build.Branch']", "The variable Build.Branch"),
        (SETUP, "path: $(UV_CACHE_DIR)", "path: $(UV_CACHE)", "The variable UV_CACHE "),
        (WHAT_IF, "System.PullRequest.IsFork", "System.PullRequest.Fork", "The variable System.PullRequest.Fork"),
        (PIPELINE, "  # holds: containerRegistry", "", "which variables it has"),
        (
            PIPELINE,
            "# holds: containerRegistry",
            "# holds: other",
            "The variable containerRegistry is declared nowhere",
        ),
        # commands
        (PIPELINE, "make lint types", "make lint typos", "no target typos"),
        (PIPELINE, "make audit", "make -C .. audits", "no target"),
        (PIPELINE, "python -m infra.packages --out dist", "python -m infra.package", "no module infra.package to run"),
        (PIPELINE, "python -m infra.packages --out dist", "python infra/build.py", "infra/build.py does not exist"),
        (PIPELINE, "python -m infra.deploy bicep", "python -m infra.deploy biceps", "invalid choice: 'biceps'"),
        (RELEASE, "run: rollback --unfinished", "run: rollback --unfinnished", "unrecognized arguments: --unfinnished"),
        (RELEASE, "run: release --build $(Build.BuildId)", "run: release", "arguments are required: --build"),
        (PIPELINE, "infra.deploy containers", "infra.deploy container", "invalid choice: 'container'"),
        (STEP, " --environment ${{ parameters.environment }}", "", "arguments are required: --environment"),
        (PIPELINE, "make audit", "curl https://example.com | sh", "call make or python -m infra"),
        (PIPELINE, "make audit", "make 'audit", "is no command line"),
        (
            STEP,
            "inlineScript: python",
            "scriptPath: infra/step.sh\n      inlineScript: python",
            "infra/step.sh does not exist",
        ),
        # the order of a release, and who signs in
        (PIPELINE, "after: release_dev", "after: build", "plan_prod must depend on release_dev"),
        (PIPELINE, "after: release_dev", "after: plan_dev", "plan_prod must depend on release_dev"),
        (PIPELINE, "lockBehavior: sequential", "lockBehavior: runLatest", "Set lockBehavior: sequential"),
        (RELEASE, "dependsOn: plan_${{ parameters.environment }}", "dependsOn: build", "must depend on plan_dev"),
        (WHAT_IF, "run: what-if\n", "run: verify\n", "plan_dev must run what-if, in this order, not verify"),
        (RELEASE, "run: release --build", "run: prepare --build", "release_dev must run release --build"),
        (RELEASE, " --expect-live $(live)", "", "release_dev must run release --build $(Build.BuildId) --expect-live"),
        (RELEASE, "--unfinished --build $(Build.BuildId)", "--unfinished", "rollback --unfinished --build"),
        (
            RELEASE,
            "      # `release` undoes its own switch",
            "  - stage: undo_${{ parameters.environment }}\n    dependsOn: build\n    jobs:\n      # `release`",
            "must have two stages",
        ),
        (
            RELEASE,
            "        environment: tonearm-${{ parameters.environment }}\n",
            "",
            "environment: tonearm-dev`, which",
        ),
        (RELEASE, "'Failed', 'Canceled'", "'Failed'", "A release that is cut off must be undone"),
        (
            STEP,
            "${{ parameters.serviceConnection }}",
            "tonearm-dev",
            "of prod must sign in by tonearm-prod",
        ),
        (
            WHAT_IF,
            "serviceConnection: tonearm-what-if",
            "serviceConnection: tonearm-prod",
            "sign in by tonearm-what-if",
        ),
        (WHAT_IF, "ne(variables['System.PullRequest.IsFork'], 'True')", "always()", "signs in to Azure for a fork's"),
        # triggers
        (PIPELINE, "pr:\n  branches:\n    include: [main]", "pr: none", "pr must include the branch main"),
        # artifacts, reports, SonarQube, the YAML itself
        (PIPELINE, "publish: dist/web.zip", "publish: dist/page.zip", "Nothing builds dist/page.zip"),
        (
            RELEASE,
            "artifact: web\n                    path: dist",
            "artifact: web\n                    path: .",
            "unpack them there",
        ),
        (PIPELINE, "Files: test-results/junit.xml", "Files: junit.xml", "junit.xml, which the tests do not write"),
        (SONAR, "=test-results/coverage.xml", "=coverage.xml", "coverage.xml, which the pipeline's tests do not write"),
        (RELEASE, "artifact: web", "artifact: webb", "The artifact webb is published nowhere"),
        (SONAR, "frontend,local", "front,local", "names front, which does not exist"),
        (PIPELINE, "    displayName: Check\n", "    displayName: Check\n    displayName: Check\n", "stands here twice"),
        (WHAT_IF, "    timeoutInMinutes: 20\n", "    timeoutInMinutes: [20\n", "This is no YAML"),
    ],
)
def test_what_is_named_is_there(tree: Path, file: str, old: str, new: str, words: str) -> None:
    seed(tree, file, old, new)
    assert problem_with(pipelines.resolve(tree), words).line > 0


def test_a_fault_in_a_template_is_told_where_it_stands(tree: Path) -> None:
    line = seed(tree, RELEASE, "run: rollback ", "run: roll-back ")
    found = problem_with(pipelines.resolve(tree), "invalid choice: 'roll-back'")
    assert found.path == STEP  # where the command is put together
    line = seed(tree, RELEASE, "artifact: functions", "artifact: nothing")
    found = problem_with(pipelines.resolve(tree), "The artifact nothing")
    assert (found.path, found.line) == (RELEASE, line)


def test_a_template_that_nobody_uses_is_a_problem(tree: Path) -> None:
    (tree / "infra/pipelines/old.yml").write_text("steps:\n  - script: make test\n")
    assert problem_with(pipelines.resolve(tree), "No pipeline uses this").path == "infra/pipelines/old.yml"


def test_a_template_without_content_is_a_problem(tree: Path) -> None:
    (tree / STEP).write_text("parameters: []\n")
    assert "no stages, jobs or steps" in problem_with(pipelines.resolve(tree), "no stages").text


def test_a_file_that_is_no_mapping_is_a_problem(tree: Path) -> None:
    (tree / PIPELINE).write_text("- script: make test\n")
    assert "a mapping" in problem_with(pipelines.resolve(tree), "a mapping").text


def test_a_gate_that_nobody_waits_for_is_a_problem(tree: Path) -> None:
    seed(tree, SONAR, "sonar.qualitygate.wait=true", "sonar.qualitygate.wait=false")
    assert problem_with(pipelines.resolve(tree), "sonar.qualitygate.wait=true").path == SONAR


def test_missing_sonar_settings_are_a_problem(tree: Path) -> None:
    (tree / SONAR).unlink()
    assert problem_with(pipelines.resolve(tree), "settings are missing").path == SONAR
