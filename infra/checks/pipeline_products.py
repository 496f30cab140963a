"""What the pipeline makes: packages and reports, handed on from where they are written."""

from collections.abc import Iterator
from pathlib import Path

from infra.checks.pipeline_tree import Branch, Node, Reader, branches, texts
from infra.checks.problem import Problem
from infra.deploy.environments import ROOT
from infra.deploy.publish import DIST, FUNCTIONS_PACKAGE, WEB_PACKAGE

SONAR = "sonar-project.properties"
REPORTS = {
    "sonar.python.coverage.reportPaths": "--cov-report=xml:",
    "sonar.python.xunit.reportPath": "--junitxml=",
}
"""SonarQube's settings of reports, and by which option pytest writes each."""
ZIPS = [file.relative_to(ROOT) for file in (FUNCTIONS_PACKAGE, WEB_PACKAGE)]
PACKAGES = {each.as_posix() for file in ZIPS for each in (file, file.with_suffix(".cdx.json"))}


def check_products(reader: Reader, whole: Branch) -> None:
    """Packages and reports are published from where they are written, and unpacked where they are looked for."""
    published = {each.get("artifact") for each in branches(whole) if "publish" in each}
    options = {word for text in texts(whole) for word in text.split()}
    for step in branches(whole):
        path = step.text("publish")
        if path is not None and path not in PACKAGES:
            reader.note(path, f"Nothing builds {path}; infra.packages writes {' and '.join(sorted(PACKAGES))}.")
        for name in ("testResultsFiles", "summaryFileLocation"):
            report = step.text(name)
            if report is not None and options.isdisjoint(option + report for option in REPORTS.values()):
                reader.note(report, f"{name} names {report}, which the tests do not write.")
        _check_download(reader, step, published)


def _check_download(reader: Reader, step: Branch, published: set[Node | None]) -> None:
    task, inputs = step.text("task") or "", step.get("inputs")
    if task.startswith("DownloadPipelineArtifact@") and isinstance(inputs, Branch):
        name = inputs.text("artifact")
        if name is not None and name not in published:
            reader.note(name, f"The artifact {name} is published nowhere.")
        if inputs.get("path") != DIST.name:
            reader.note(inputs, f"infra.deploy looks for the packages in {DIST.name}; unpack them there.")


def sonar(root: Path, whole: Branch) -> Iterator[Problem]:
    """SonarQube's folders are there, and its reports are written by the tests."""
    file = root / SONAR
    if not file.is_file():
        yield Problem(SONAR, 0, "SonarQube's settings are missing; the pipeline's analysis reads them.")
        return
    gate = False
    for number, line in enumerate(file.read_text().splitlines(), start=1):
        name, _, value = line.partition("=")
        if name == "sonar.qualitygate.wait":
            gate = value == "true"
        if name in REPORTS and not any(f"{REPORTS[name]}{value}" in text.split() for text in texts(whole)):
            yield Problem(SONAR, number, f"{name} names {value}, which the pipeline's tests do not write.")
        if name in ("sonar.sources", "sonar.tests"):
            for path in value.split(","):
                if not (root / path).exists():
                    yield Problem(SONAR, number, f"{name} names {path}, which does not exist.")
    if not gate:
        yield Problem(SONAR, 0, "Set sonar.qualitygate.wait=true: else nothing fails by the quality gate.")
