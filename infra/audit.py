"""Checks the locked packages against public advisories: ``python -m infra.audit``, a part of ``make audit``.

pip-audit asks PyPI, and npm its own registry. What was found, and when, is kept in ``infra/audit.json``. Its part
``accepted`` is written by hand: which findings are accepted, why, and until when. The exit code is 1 for any other
finding, and for a lock file that could not be checked: no answer is not the same as no finding.
"""

import hashlib
import json
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULT = "infra/audit.json"
PYPI = ("uv.lock", "requirements.txt", "infra/checks/checkov.txt")
NPM = ("local/package-lock.json", "infra/checks/package-lock.json")
PIP_AUDIT = "pip-audit==2.10.1"
TIMEOUT_S = 900

type Package = tuple[str, str]
"""Name and version."""
type Finding = dict[str, str]
"""``package``, ``version``, ``id`` and ``fixed``: the versions in which it is put right, in words."""


class UnansweredError(Exception):
    """A registry gave no answer about advisories; the message says why."""


def main() -> int:
    """Checks all lock files, writes the result and prints what must be done; the exit code."""
    today = datetime.now(UTC).date()
    path = ROOT / RESULT
    result = check(ROOT, json.loads(path.read_text()), today)
    path.write_text(json.dumps(result, indent=1) + "\n")
    for name, lock in result["locks"].items():
        checked = f"{len(lock['findings'])} findings, checked {lock['checked']}" if lock["checked"] else "never checked"
        print(f"{name}: {lock['packages']} packages, {checked}")
    wrong = list(problems(result, today))
    for problem in wrong:
        print(problem, file=sys.stderr)
    return 1 if wrong else 0


def check(root: Path, before: dict[str, Any], today: date) -> dict[str, Any]:
    """The result of asking about every lock file now.

    A lock file that got no answer keeps its last result, with that date, if it still has the same packages.
    """
    locked = {name: packages(root / name) for name in (*PYPI, *NPM)}
    found: dict[str, list[Finding] | UnansweredError] = {}
    try:
        known = ask_pypi({each for name in PYPI for each in locked[name]})
        found |= {name: [each for each in known if (each["package"], each["version"]) in locked[name]] for name in PYPI}
    except UnansweredError as error:
        found |= dict.fromkeys(PYPI, error)
    for name in NPM:
        try:
            found[name] = ask_npm(root / name)
        except UnansweredError as error:
            found[name] = error
    locks = {}
    for name, answer in found.items():
        entry = {"packages": len(locked[name]), "sha256": fingerprint(locked[name]), "tried": today.isoformat()}
        if isinstance(answer, UnansweredError):
            last = before["locks"].get(name, {})
            same = last.get("sha256") == entry["sha256"]
            entry |= {"error": str(answer), "checked": last["checked"] if same else None}
            entry |= {"findings": last["findings"] if same else []}
        else:
            entry |= {"error": None, "checked": today.isoformat(), "findings": answer}
        locks[name] = entry
    return {"locks": locks, "accepted": before["accepted"]}


def problems(result: dict[str, Any], today: date) -> Iterator[str]:
    """What stands between a result and a release, with what to do."""
    accepted = {(each["package"], each["id"]): each for each in result["accepted"]}
    found = set[tuple[str, str]]()
    for name, lock in result["locks"].items():
        if lock["error"]:
            yield f"{name}: not checked: {lock['error']}"
        for each in lock["findings"]:
            key = (each["package"], each["id"])
            found.add(key)
            what = (
                f"{name}: {each['package']} {each['version']} has {each['id']}, fixed in {each['fixed'] or 'nothing'}"
            )
            if key not in accepted:
                yield f"{what}: upgrade it, or accept it in {RESULT} with a reason and a date"
            elif date.fromisoformat(accepted[key]["until"]) < today:
                yield f"{what}: it was accepted until {accepted[key]['until']}; upgrade it or think again"
    if all(lock["checked"] for lock in result["locks"].values()):
        for package, advisory in sorted(accepted.keys() - found):
            yield f"{RESULT}: {package} has no {advisory} any more; remove it from `accepted`"


def packages(lock: Path) -> set[Package]:
    """All that a lock file may install, on any machine."""
    text = lock.read_text()
    if lock.name == "uv.lock":
        listed = tomllib.loads(text)["package"]
        return {(each["name"], each["version"]) for each in listed if "registry" in each["source"]}
    if lock.suffix == ".json":
        named = json.loads(text)["packages"].items()
        return {(path.rpartition("node_modules/")[2], each["version"]) for path, each in named if path}
    return set(re.findall(r"^([\w.-]+)==([^\s;\\]+)", text, re.MULTILINE))


def fingerprint(locked: Iterable[Package]) -> str:
    """A hash of the packages, whatever else stands in the lock file."""
    return hashlib.sha256("\n".join(f"{name}=={version}" for name, version in sorted(locked)).encode()).hexdigest()


def ask_pypi(locked: set[Package]) -> list[Finding]:
    """What PyPI knows against the packages. Raises UnansweredError."""
    findings = list[Finding]()
    waiting = sorted(locked)
    batch = waiting[:1]  # alone: where nobody answers, a few hundred more questions would get no answer either
    while batch:
        waiting = [each for each in waiting if each not in batch]
        findings += pypi_findings(batch, _pip_audit(batch))
        batch = list(dict(waiting).items())  # pip-audit takes one version of a name at a time
    return sorted(findings, key=lambda each: (each["package"], each["version"], each["id"]))


def pypi_findings(batch: list[Package], report: dict[str, Any]) -> list[Finding]:
    """The findings in pip-audit's report. Raises UnansweredError if it leaves out a package of the batch."""
    answered = {each["name"]: each for each in report["dependencies"] if "skip_reason" not in each}
    if missing := [name for name, _ in batch if name not in answered]:
        raise UnansweredError(f"PyPI has answered nothing about {len(missing)} of {len(batch)}, such as {missing[0]}")
    return [
        {
            "package": each["name"],
            "version": dict(batch)[each["name"]],  # as the lock file writes it: the report has 1.1 for 1.01
            "id": found["id"],
            "fixed": ", ".join(found["fix_versions"]),
        }
        for each in answered.values()
        for found in each["vulns"]
    ]


def _pip_audit(batch: list[Package]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "requirements.txt")
        file.write_text("".join(f"{name}=={version}\n" for name, version in batch))
        uv = str(Path(sys.executable).with_name("uv"))
        options = ["--no-deps", "--disable-pip", "--progress-spinner", "off", "--format", "json"]
        return _report([uv, "tool", "run", "--quiet", PIP_AUDIT, *options, "--requirement", str(file)], ROOT)


def ask_npm(lock: Path) -> list[Finding]:
    """What npm's registry knows against the packages of a lock file. Raises UnansweredError."""
    report = _report(["npm", "audit", "--package-lock-only", "--json"], lock.parent)
    return npm_findings(report, json.loads(lock.read_text())["packages"])


def npm_findings(report: dict[str, Any], locked: dict[str, Any]) -> list[Finding]:
    """The findings in npm's report. Raises UnansweredError if it is none.

    Args:
        report: what ``npm audit --json`` prints.
        locked: the part ``packages`` of the lock file.
    """
    if "vulnerabilities" not in report:
        raise UnansweredError(f"npm's registry has answered: {str(report.get('message')).partition(' - ')[0]}")
    findings = [
        {
            "package": name,
            "version": ", ".join(sorted({locked[node]["version"] for node in each["nodes"]})),
            "id": found["url"].rpartition("/")[2],
            "fixed": f"other than {found['range']}",
        }
        for name, each in report["vulnerabilities"].items()
        for found in each["via"]
        if isinstance(found, dict)  # a name stands for what that package has, which is listed there
    ]
    return sorted(findings, key=lambda each: (each["package"], each["version"], each["id"]))


def _report(command: list[str], folder: Path) -> dict[str, Any]:
    """What a command prints as JSON: both auditors end with 1 for findings too. Raises UnansweredError."""
    tool = Path(command[0]).name
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnansweredError(f"{tool} cannot be run to its end: {type(error).__name__}") from None
    try:
        report: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise UnansweredError(f"{tool} ended with {done.returncode} and no report") from None
    return report


if __name__ == "__main__":
    sys.exit(main())
