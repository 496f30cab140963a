"""A copy of what the checks look at, to break one thing in."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.checks.problem import Problem
from tests.conftest import REPOSITORY

FILES = ("infra/bicep", "infra/bicepconfig.json", "functions", "frontend", "tonearm", "docs")

type Seed = Callable[[str, str, str], Path]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The files that the Bicep, policy and settings checks read, and nothing else."""
    for name in FILES:
        source, target = REPOSITORY / name, tmp_path / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "images"))
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
    return tmp_path


@pytest.fixture
def seed(tree: Path) -> Seed:
    """Puts one fault into a file of the copy: the first ``old`` becomes ``new``."""

    def put(path: str, old: str, new: str) -> Path:
        file = tree / path
        text = file.read_text()
        assert old in text, f"{path} has no {old!r} any more: seed the fault in another way"
        file.write_text(text.replace(old, new, 1))
        return tree

    return put


def told(problems: list[Problem], path: str, words: str) -> bool:
    """Whether a problem in ``path`` says ``words``."""
    return any(problem.path == path and words in problem.text for problem in problems)
