"""All checks are run, and one problem makes the command fail."""

import pkgutil
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest

import infra.checks
from infra.checks import __main__, bicep
from infra.checks.problem import Problem


def test_every_check_is_run() -> None:
    modules = [import_module(f"infra.checks.{each.name}") for each in pkgutil.iter_modules(infra.checks.__path__)]
    assert {each for each in modules if hasattr(each, "check")} == set(__main__.CHECKS)


@pytest.mark.parametrize(("found", "code"), [([], 0), ([Problem("a.bicep", 7, "it is wrong: put it right")], 1)])
def test_the_exit_code_and_what_is_printed(
    found: list[Problem], code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    check: Callable[[Path], list[Problem]] = lambda _root: found  # noqa: E731 - it stands for a module's function
    monkeypatch.setattr(bicep, "check", check)
    monkeypatch.setattr(__main__, "CHECKS", (bicep,))
    assert __main__.main() == code
    printed = capsys.readouterr().out
    assert ("a.bicep:7: it is wrong: put it right\n" in printed) == bool(code)
    assert f"bicep: {'1 problem' if code else 'no problems'}" in printed
