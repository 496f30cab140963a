"""Copies of what the checks read, to break one thing in."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infra.checks.problem import Problem
from tests.conftest import REPOSITORY

type Seed = Callable[[str, str, str], Path]


class Copy:
    """A copy of some files and folders of the repository that tests share; `restore` undoes what a test changed."""

    def __init__(self, root: Path, *names: str) -> None:
        self.root = root
        self._contents: dict[Path, bytes] = {}
        for name in names:
            source = REPOSITORY / name
            for file in source.rglob("*") if source.is_dir() else [source]:
                if file.is_file() and not {"__pycache__", "images"} & set(file.parts):
                    self._contents[root / file.relative_to(REPOSITORY)] = file.read_bytes()
        self._stamps: dict[Path, tuple[int, int]] = {}
        self.restore()

    def restore(self) -> None:
        found = {path for path in self.root.rglob("*") if not path.is_dir()}
        for path in found - self._contents.keys():
            path.unlink()
        for path, content in self._contents.items():
            if path not in found or self._stamp(path) != self._stamps.get(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
                self._stamps[path] = self._stamp(path)
        for folder in sorted((path for path in self.root.rglob("*") if path.is_dir()), reverse=True):
            if not any(folder.iterdir()):
                folder.rmdir()

    def _stamp(self, path: Path) -> tuple[int, int]:
        facts = path.stat()
        return facts.st_mtime_ns, facts.st_size


@pytest.fixture(scope="session")
def bicep_copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    names = ("infra/bicep", "infra/bicepconfig.json", "functions", "frontend", "tonearm", "docs")
    return Copy(tmp_path_factory.mktemp("bicep"), *names)


@pytest.fixture
def tree(bicep_copy: Copy) -> Iterator[Path]:
    """The files that the Bicep, policy and settings checks read, and nothing else."""
    yield bicep_copy.root
    bicep_copy.restore()


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


def reported(problems: list[Problem], path: str, words: str) -> bool:
    """Whether a problem in ``path`` has ``words`` in its text."""
    return any(problem.path == path and words in problem.text for problem in problems)
