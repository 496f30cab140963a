"""The documents: what they link to and name exists, their figures are those that were measured, and they are short."""

import json
import re
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

PAGES = [REPOSITORY / f"{name}.md" for name in ("README", "CONTRIBUTING", "SECURITY")]
DOCUMENTS = [*PAGES, *sorted((REPOSITORY / "docs").rglob("*.md"))]
README = DOCUMENTS[0].read_text()
PATH = re.compile(r"(?<![\w./<>-])(?:bench|docs|frontend|functions|infra|local|models|tests|tonearm|training)/[\w./-]*")


def anchors(document: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub names them, and those that are set by hand."""
    text = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    named = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return named | set(re.findall(r'<a id="([\w-]+)">', text))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.stem)
def test_links_and_paths_exist(document: Path) -> None:
    text = document.read_text()
    missing = []
    for target, anchor in re.findall(r"\]\(([^)#\s]*)#?([^)\s]*)\)", text):
        if "://" in target:
            continue
        file = document.parent / target if target else document
        if not file.exists() or (anchor and anchor not in anchors(file)):
            missing.append(f"{target}#{anchor}")
    # what stands before a placeholder, as in models/<version>/manifest.json, is a path too
    code = re.findall(r"`[^`\n]+`|^    [^\n]+$|^```.*?^```", text, re.MULTILINE | re.DOTALL)
    missing += [path for path in PATH.findall("\n".join(code)) if not (REPOSITORY / path.rstrip(".")).exists()]
    assert missing == []


def test_what_the_guide_points_at_is_there() -> None:
    guide = (REPOSITORY / "docs" / "design.md").read_text()
    pointers = re.findall(r"`([\w/.]+\.(?:py|bicep))`(?::|,) `([\w.]+)`", guide)
    assert len(pointers) >= 12
    for path, name in pointers:
        for part in name.split("."):
            defined = rf"^\s*(?:(?:async )?def|class|var|param) {part}\b|^{part}\b.*="
            assert re.search(defined, (REPOSITORY / path).read_text(), re.MULTILINE), f"{path}: {part}"


def test_every_decision_is_in_the_guide() -> None:
    guide = (REPOSITORY / "docs" / "design.md").read_text()
    for record in sorted((REPOSITORY / "docs" / "decisions").glob("*.md")):
        assert f"(decisions/{record.name})" in guide


def test_commands_exist() -> None:
    assert "make test" in (REPOSITORY / ".ci" / "run").read_text()
    makefile = (REPOSITORY / "Makefile").read_text()
    for document in DOCUMENTS:
        for command in re.findall(r"(?:^    |`)make ([a-z][\w-]*)", document.read_text(), re.MULTILINE):
            assert f"\n{command}:" in makefile, f"{document.name}: make {command}"


def test_the_accuracy_is_the_model_cards() -> None:
    version = (REPOSITORY / "models" / "default.txt").read_text().strip()
    card = (REPOSITORY / "models" / version / "MODEL_CARD.md").read_text()
    figures = re.findall(r"(\d+\.\d %)\W+\((\d+\.\d)–(\d+\.\d)\)", README)
    assert len(figures) == 14
    assert [figure for figure in figures if "{} ({} to {})".format(*figure) not in card] == []


def test_the_speed_is_the_measured_one() -> None:
    speed, load = (json.loads((REPOSITORY / "bench" / f"{name}.json").read_text()) for name in ("results", "load"))
    for mode in ("accurate", "fast"):
        for form in ("wav", "mp3"):
            clip = speed["turns"][mode] if form == "wav" else speed["answers"][mode][form]
            times = round(1 / speed["ratios"][f"{mode}_to_naive"]["median"]) if form == "wav" else "–"
            users = load[mode][form]
            p95_s = users["latency_ms"]["p95"] / 1000
            row = f"| {clip['median_ms']:.0f} | {times} | {users['answered_a_second']:.0f} | {p95_s:.1f} s |"
            assert f"| {mode}, {form.upper()} {row}" in README


def test_the_documents_are_short() -> None:
    texts = {document: document.read_text().split() for document in DOCUMENTS}
    # What has no letter or digit is a table's bar or a list's dash.
    words = {document: sum(any(map(str.isalnum, word)) for word in text) for document, text in texts.items()}
    assert words[DOCUMENTS[0]] <= 700
    assert sum(words.values()) <= 10_000, words
