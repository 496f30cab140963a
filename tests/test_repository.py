"""What must hold of the tree itself."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tonearm import manifest
from tonearm.manifest import MODELS_FOLDER

ROOT = Path(__file__).parents[1]


def imports_of(file: Path) -> set[str]:
    """Top-level names that a module imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


def test_requirements_are_those_of_the_lock() -> None:
    uv = Path(sys.executable).with_name("uv")
    options = ["--locked", "--no-dev", "--no-emit-project", "--no-hashes", "--no-annotate", "--no-header"]
    exported = subprocess.run([uv, "export", "--quiet", *options], cwd=ROOT, check=True, capture_output=True, text=True)
    assert (ROOT / "requirements.txt").read_text() == exported.stdout, "stale: run `make requirements`"


@pytest.mark.parametrize("unwanted", ["tensorflow", "keras", "streamlit", "librosa", "numba", "scikit-learn"])
def test_the_function_app_stays_small(unwanted: str) -> None:
    assert unwanted not in (ROOT / "requirements.txt").read_text()


@pytest.mark.parametrize(
    ("folder", "forbidden"),
    [
        ("tonearm", {"functions", "training", "frontend", "local", "infra", "azure", "streamlit", "keras", "librosa"}),
        ("functions", {"training", "frontend", "local", "infra", "streamlit", "tensorflow", "keras", "librosa"}),
        ("training", {"functions", "frontend", "local", "infra", "azure", "streamlit"}),
        ("frontend", {"tonearm", "functions", "training", "local", "infra", "azure"}),
        ("local", {"functions", "training", "frontend", "tensorflow", "infra"}),
        ("infra", {"functions", "training", "frontend", "local", "function_app", "azure"}),
    ],
)
def test_arrows_run_one_way(folder: str, forbidden: set[str]) -> None:
    files = [file for file in (ROOT / folder).rglob("*.py") if "node_modules" not in file.parts]
    assert files
    for file in files:
        assert not imports_of(file) & forbidden, file


def test_the_shipped_version_is_whole() -> None:
    folder = manifest.default_folder()
    assert folder.parent == MODELS_FOLDER
    facts = manifest.load(folder)
    assert facts.version == folder.name
    assert set(facts.files) == {"audioset.onnx", "svm.onnx", "vgg19.onnx", "filter_banks.npz"}
    for name in facts.files:
        assert facts.read(name)
    assert (folder / "MODEL_CARD.md").read_text().startswith(f"# Tonearm {facts.version}")
    assert sum(file.stat().st_size for file in folder.iterdir()) < 30 * 2**20
