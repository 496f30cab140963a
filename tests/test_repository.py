"""What must hold of the tree itself."""

import ast
import re
import subprocess
import sys
import tomllib
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
    assert set(facts.files) == {"svm.onnx", "vgg19.onnx"}
    for name in facts.files:
        assert facts.read(name)
    assert (folder / "MODEL_CARD.md").read_text().startswith(f"# Tonearm {facts.version}")
    assert sum(file.stat().st_size for file in folder.iterdir()) < 30 * 2**20


def test_links_in_the_documents_lead_somewhere() -> None:
    documents = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    assert len(documents) >= 5
    for document in documents:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text()):
            if "://" not in target:
                assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_the_readme_names_the_commands_that_are_tested() -> None:
    readme, makefile = (ROOT / "README.md").read_text(), (ROOT / "Makefile").read_text()
    for command in re.findall(r"^    make (\w+)", readme, re.MULTILINE):
        assert f"\n{command}:" in makefile
    assert "make test" in (ROOT / ".ci" / "run").read_text()
    script = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert set(script) == {"tonearm"}
