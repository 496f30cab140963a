"""checkov's own rules over Bicep, Dockerfiles and pipelines: no finding without a reason, and no file left out.

It says nothing of a file that it cannot parse, so what it has seen is compared with what there is. It lives in an
environment of its own, as its pins clash with ours, and is kept off the network.
"""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from infra.checks.problem import Problem
from infra.checks.scenarios import BICEP
from infra.checks.syntax import BicepSyntaxError, parse

REPOSITORY = Path(__file__).parents[2]
CHECKOV = REPOSITORY / ".tools" / "checkov" / ("Scripts" if os.name == "nt" else "bin") / "checkov"
FRAMEWORKS = ("bicep", "dockerfile", "azure_pipelines")
NOT_OURS = ("dist/", "models/")
TIMEOUT_S = 300
NO_REASON = "No comment provided"
"""What checkov writes where a skip has no reason."""


def check(root: Path) -> list[Problem]:
    """All findings that nobody has justified, and all that was not looked at."""
    if not CHECKOV.exists():
        return [Problem(".tools/checkov", 0, "checkov is not installed: run python3 local/setup_env.py --infra")]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        options = [f"--skip-path=^/?{each}" for each in NOT_OURS]
        outputs = ["--output", "json", "--output", "cyclonedx_json", "--output-file-path", str(out)]
        ended = subprocess.run(
            [CHECKOV, "--directory", ".", "--framework", *FRAMEWORKS, "--skip-download", *options, *outputs],
            cwd=root,
            env=_offline(),
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
        )
        try:
            reports = json.loads((out / "results_json.json").read_text())
            seen = json.loads((out / "results_cyclonedx.json").read_text())
        except (OSError, ValueError):
            told = (ended.stderr or ended.stdout).strip().rpartition("\n")[2]
            return [Problem(str(BICEP), 0, f"checkov has failed: {told or f'exit code {ended.returncode}'}")]
    problems = list(findings(root, reports if isinstance(reports, list) else [reports]))
    problems += not_seen(root, {each["bom-ref"].partition("@")[0] for each in seen.get("components", [])})
    return sorted(set(problems))


def _offline() -> dict[str, str]:
    """Our environment without the keys of checkov's service, and with a way out that leads nowhere."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("BC_", "PRISMA_", "CKV_"))}
    nowhere = "http://127.0.0.1:9"
    return {**own, "HTTP_PROXY": nowhere, "HTTPS_PROXY": nowhere, "http_proxy": nowhere, "https_proxy": nowhere}


def findings(root: Path, reports: list[dict[str, Any]]) -> Iterator[Problem]:
    """What checkov's reports, one a framework, hold against the files."""
    for report in reports:
        if "results" not in report:  # nothing of this kind was found to look at; `not_seen` tells whether there was
            continue
        results = report["results"]
        for path in results["parsing_errors"]:
            yield Problem(_relative(root, path), 0, "checkov cannot parse this file, and so says nothing of it")
        if report["summary"]["parsing_errors"] != len(results["parsing_errors"]):
            yield Problem(str(BICEP), 0, f"checkov could not parse {report['summary']['parsing_errors']} files")
        for each in results["failed_checks"]:
            what = f"{each['check_id']} {each['check_name']} ({each['resource']})"
            advice = f"put it right, or justify it there by a comment checkov:skip={each['check_id']}:reason"
            yield Problem(_relative(root, each["file_path"]), each["file_line_range"][0], f"{what}: {advice}")
        for each in results["skipped_checks"]:
            reason = each["check_result"].get("suppress_comment") or ""
            if len(reason.split()) < 2 or reason.startswith(NO_REASON):
                text = f"checkov:skip={each['check_id']} ({each['resource']}) gives no reason: write one behind a colon"
                yield Problem(_relative(root, each["file_path"]), each["file_line_range"][0], text)


def not_seen(root: Path, seen: set[str]) -> Iterator[Problem]:
    """Resources and Dockerfiles that are there and are not in checkov's list of what it has looked at."""
    for file in sorted((root / BICEP).rglob("*.bicep")):
        path = str(file.relative_to(root))
        try:
            resources = [each for each in parse(file.read_text()) if each.kind == "resource" and not each.existing]
        except BicepSyntaxError:
            continue  # the Bicep check says where
        for each in resources:
            name = f"{each.target.partition('@')[0]}.{each.name}"
            if not any(one.endswith(f"/{path}/{name}") for one in seen):
                yield Problem(path, each.line, f"checkov has not looked at resource {each.name}")
    for file in sorted((root / "infra" / "containers").rglob("Dockerfile*")):
        path = str(file.relative_to(root))
        if not any(f"/{path}/" in one for one in seen):
            yield Problem(path, 0, "checkov has not looked at this file")


def _relative(root: Path, path: str) -> str:
    """A path of checkov's: whole where it could not parse the file, else with the root as ``/``."""
    whole = Path(path)
    return str(whole.relative_to(root.resolve())) if whole.is_relative_to(root.resolve()) else path.lstrip("/")
