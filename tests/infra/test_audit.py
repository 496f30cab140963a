"""The audit of the lock files, with answers made up, and its stored result. Nothing here asks the network."""

import json
import re
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra import audit
from tests.conftest import REPOSITORY

STORED = json.loads((REPOSITORY / audit.RESULT).read_text())
TODAY = date(2026, 11, 29)
FOUND = {"package": "a", "version": "1", "id": "GHSA-1", "fixed": "2"}
ACCEPTED = {"package": "a", "id": "GHSA-1", "reason": "nothing calls it", "until": "2027-01-01"}


def lock(*findings: dict[str, str], checked: str | None = "2026-11-29", error: str | None = None) -> dict[str, Any]:
    return {
        "packages": 1,
        "sha256": "",
        "tried": "2026-11-29",
        "error": error,
        "checked": checked,
        "findings": findings,
    }


class TestStoredResult:
    def test_every_lock_file_is_in_it(self) -> None:
        done = subprocess.run(["git", "ls-files"], cwd=REPOSITORY, check=True, capture_output=True, text=True)
        pinned = [name for name in done.stdout.split() if re.search(r"(^|[/-])(lock|uv)\.(json|lock)$", name)]
        texts = [name for name in done.stdout.split() if re.fullmatch(r"[^/]+\.txt|infra/.*\.txt|local/.*\.txt", name)]
        pinned += [name for name in texts if audit.packages(REPOSITORY / name)]
        assert set(STORED["locks"]) == {*audit.PYPI, *audit.NPM} == set(pinned)

    @pytest.mark.parametrize("name", STORED["locks"])
    def test_it_is_of_these_packages(self, name: str) -> None:
        locked = audit.packages(REPOSITORY / name)
        entry = STORED["locks"][name]
        stored = (entry["packages"], entry["sha256"])
        assert stored == (len(locked), audit.fingerprint(locked)), "stale: run `make audit`, and commit its result"

    @pytest.mark.parametrize("name", STORED["locks"])
    def test_it_says_when_it_was_checked_or_why_not(self, name: str) -> None:
        entry = STORED["locks"][name]
        assert date.fromisoformat(entry["tried"]) >= date.fromisoformat(entry["checked"] or "2026-11-29")
        assert entry["checked"] or entry["error"]
        assert entry["checked"] or entry["findings"] == []
        assert all(set(found) == set(FOUND) for found in entry["findings"])

    def test_what_was_found_is_accepted_with_reason_and_date(self) -> None:
        for each in STORED["accepted"]:
            assert set(each) == set(ACCEPTED)
            assert len(each["reason"].split()) >= 3
            assert date.fromisoformat(each["until"]) - TODAY < timedelta(days=366)
        tried = min(date.fromisoformat(each["tried"]) for each in STORED["locks"].values())
        assert [each for each in audit.problems(STORED, tried) if "not checked" not in each] == []


class TestProblems:
    @pytest.mark.parametrize(
        ("locks", "accepted", "expected"),
        [
            ([lock()], [], None),
            ([lock(FOUND)], [ACCEPTED], None),
            ([lock(FOUND)], [], "a 1 has GHSA-1, fixed in 2: upgrade it, or accept it"),
            ([lock(FOUND | {"fixed": ""})], [], "fixed in nothing"),
            ([lock(FOUND)], [ACCEPTED | {"package": "b"}], "a 1 has GHSA-1"),
            (
                [lock(FOUND)],
                [ACCEPTED | {"until": "2026-11-28"}],
                "accepted until 2026-11-28; upgrade it or think again",
            ),
            ([lock()], [ACCEPTED], "a has no GHSA-1 any more"),
            ([lock(checked=None, error="nobody")], [ACCEPTED], "not checked: nobody"),
            ([lock(checked="2026-11-01", error="nobody")], [], "not checked: nobody"),
        ],
    )
    def test_each_is_named(self, locks: list[dict[str, Any]], accepted: list[Any], expected: str | None) -> None:
        result = {"locks": {str(number): each for number, each in enumerate(locks)}, "accepted": accepted}
        found = list(audit.problems(result, TODAY))
        assert (expected in found[0]) if expected else (found == [])


class TestPackages:
    @settings(max_examples=50, deadline=None)
    @given(st.dictionaries(st.from_regex(r"[a-z]([a-z0-9.-]{0,8}[a-z0-9])?", fullmatch=True), st.just("1.0rc1")))
    def test_of_requirements(self, tmp_path_factory: pytest.TempPathFactory, pins: dict[str, str]) -> None:
        file = tmp_path_factory.getbasetemp() / "pins.txt"
        lines = [
            f"{name}=={version} ; python_version > '3' \\\n    --hash=sha256:0\n" for name, version in pins.items()
        ]
        file.write_text("# a==2\n" + "".join(lines))
        assert audit.packages(file) == set(pins.items())

    def test_of_every_kind(self) -> None:
        assert ("av", "18.1.0") in audit.packages(REPOSITORY / "uv.lock")  # of a Python that is not this one
        assert "tonearm" not in dict(audit.packages(REPOSITORY / "uv.lock"))
        assert "azurite" in dict(audit.packages(REPOSITORY / "local" / "package-lock.json"))
        assert audit.packages(REPOSITORY / "requirements.txt") <= audit.packages(REPOSITORY / "uv.lock")


class TestAnswers:
    def test_of_pypi(self) -> None:
        vulnerable = {"name": "a", "version": "1", "vulns": [{"id": "GHSA-1", "fix_versions": ["2"], "aliases": []}]}
        report = {"dependencies": [vulnerable, {"name": "b", "version": "1", "vulns": []}]}
        assert audit.pypi_findings([("a", "1"), ("b", "1")], report) == [FOUND]
        assert audit.pypi_findings([("a", "01"), ("b", "1")], report) == [FOUND | {"version": "01"}]

    @pytest.mark.parametrize("dependencies", [[], [{"name": "a", "skip_reason": "not found"}]])
    def test_silence_is_no_answer(self, dependencies: list[dict[str, str]]) -> None:
        with pytest.raises(audit.UnansweredError, match="nothing about 1 of 1, such as a"):
            audit.pypi_findings([("a", "1")], {"dependencies": dependencies})

    def test_of_npm(self) -> None:
        advisory = {"url": "https://github.com/advisories/GHSA-1", "range": "<2"}
        report = {
            "vulnerabilities": {
                "a": {"via": [advisory], "nodes": ["node_modules/a", "node_modules/b/node_modules/a"]},
                "b": {"via": ["a"], "nodes": ["node_modules/b"]},
            }
        }
        locked = {"node_modules/a": {"version": "1"}, "node_modules/b/node_modules/a": {"version": "0"}}
        assert audit.npm_findings(report, locked) == [FOUND | {"version": "0, 1", "fixed": "other than <2"}]

    def test_npms_errors_are_no_answer(self) -> None:
        with pytest.raises(audit.UnansweredError, match=r"405 Method Not Allowed$"):
            audit.npm_findings({"message": "405 Method Not Allowed - POST https://example.org"}, {})

    @pytest.mark.parametrize(
        ("command", "expected"),
        [
            ([sys.executable, "-c", "raise SystemExit(3)"], "ended with 3 and no report"),
            (["no-such-auditor"], "no-such-auditor cannot be run to its end: FileNotFoundError"),
        ],
    )
    def test_a_tool_that_fails(self, tmp_path: Path, command: list[str], expected: str) -> None:
        with pytest.raises(audit.UnansweredError, match=expected):
            audit._report(command, tmp_path)


class Registry:
    """Answers in place of both auditors."""

    def __init__(self) -> None:
        self.silent = False
        self.asked: list[str] = []

    def __call__(self, command: list[str], _folder: Path) -> dict[str, Any]:
        if self.silent:
            raise audit.UnansweredError("nobody is there")
        if command[0] == "npm":
            return {"vulnerabilities": {}}
        self.asked.append(Path(command[-1]).read_text())
        pins = [line.split("==") for line in self.asked[-1].split()]
        assert len(dict(pins)) == len(pins)  # pip-audit refuses a name that is there twice
        advisory = {"id": "GHSA-1", "fix_versions": ["9"]}
        return {
            "dependencies": [{"name": n, "version": v, "vulns": [advisory] if n == "av" else []} for n, v in pins],
        }


class TestCheck:
    @pytest.fixture
    def registry(self, monkeypatch: pytest.MonkeyPatch) -> Registry:
        registry = Registry()
        monkeypatch.setattr(audit, "_report", registry)
        return registry

    def test_every_version_is_asked_for_once(self, registry: Registry) -> None:
        result = audit.check(REPOSITORY, {"locks": {}, "accepted": []}, TODAY)
        asked = [line for text in registry.asked for line in text.split()]
        locked = {each for name in audit.PYPI for each in audit.packages(REPOSITORY / name)}
        assert sorted(asked) == sorted(f"{name}=={version}" for name, version in locked)
        found = [(each["package"], each["version"]) for each in result["locks"]["uv.lock"]["findings"]]
        assert found == sorted(each for each in locked if each[0] == "av")
        assert result["locks"]["infra/checks/checkov.txt"]["findings"] == []
        assert {each["checked"] for each in result["locks"].values()} == {"2026-11-29"}

    def test_without_an_answer_the_last_one_stays_if_it_is_of_these_packages(self, registry: Registry) -> None:
        first = audit.check(REPOSITORY, {"locks": {}, "accepted": [ACCEPTED]}, TODAY)
        registry.silent = True
        first["locks"]["requirements.txt"]["sha256"] = "of others"
        again = audit.check(REPOSITORY, first, TODAY + timedelta(days=1))
        assert again["accepted"] == [ACCEPTED]
        kept, dropped = again["locks"]["uv.lock"], again["locks"]["requirements.txt"]
        assert (kept["tried"], kept["checked"]) == ("2026-11-30", "2026-11-29")
        assert kept["findings"] == first["locks"]["uv.lock"]["findings"] != []
        assert (dropped["checked"], dropped["findings"]) == (None, [])

    @pytest.mark.parametrize("silent", [True, False])
    def test_the_command_fails_on_findings_and_on_silence(
        self, registry: Registry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, silent: bool
    ) -> None:
        for name in (*audit.PYPI, *audit.NPM):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes((REPOSITORY / name).read_bytes())
        (tmp_path / audit.RESULT).write_text(json.dumps({"locks": {}, "accepted": []}))
        monkeypatch.setattr(audit, "ROOT", tmp_path)
        registry.silent = silent
        assert audit.main() == 1
        result = json.loads((tmp_path / audit.RESULT).read_text())
        assert bool(result["locks"]["uv.lock"]["checked"]) != silent
        until = (date.today() + timedelta(days=9)).isoformat()
        result["accepted"] = [ACCEPTED | {"package": "av", "until": until}]
        (tmp_path / audit.RESULT).write_text(json.dumps(result))
        assert audit.main() == silent
