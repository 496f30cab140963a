"""Cases can be made again from their names, and the runner notices what they do."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.hostile.cases import FORMATS, SMALL, Case, drawn, largest
from tests.hostile.fuzz import faults
from tests.hostile.runner import Outcome
from tests.hostile.table import rows, text


def test_a_name_makes_the_same_file_again() -> None:
    for case in drawn(60, 7, small=True):
        content = case.content()
        assert Case.of(case.name).content() == content
        assert Case(case.format, case.seed + len(FORMATS[case.format])).content() != content


def test_each_kind_has_a_largest_case() -> None:
    kinds = [(case.format, case.kind) for case in largest()]
    assert len(kinds) == len(set(kinds)) == sum(map(len, FORMATS.values())) - len(FORMATS["mutated"])
    assert Case.of("mp4:alac").name == f"mp4:{list(FORMATS['mp4']).index('alac')}"


def test_small_cases_are_small() -> None:
    assert max(len(case.content()) for case in drawn(200, small=True)) < 2**20
    assert all(case.seed >= SMALL for case in drawn(20, small=True))


@pytest.mark.parametrize("name", ["mp4", "mp4:", "mp4:x", "wav:1", "mp4:-1"])
def test_another_name_is_none(name: str) -> None:
    with pytest.raises(ValueError, match="is no case"):
        Case.of(name)


def test_the_command_writes_a_case(tmp_path: Path) -> None:
    out = tmp_path / "out.bin"
    command = [sys.executable, "-m", "tests.hostile", "--case", f"flac:{SMALL + 1}", str(out)]
    printed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    assert out.read_bytes() == Case.of(f"flac:{SMALL + 1}").content()
    assert f"flac/{Case('flac', SMALL + 1).kind}," in printed


def test_what_breaks_a_bound_is_reported() -> None:
    case = Case("mp4", 1)
    assert faults(Outcome(case, "corrupt", 0.1, own_mb=3.0)) == []
    assert faults(Outcome(case, "MemoryError", 0.1)) == ["MemoryError is no answer"]
    assert faults(Outcome(case, "ok", 600.0, own_mb=2_000.0)) == [
        "the answer took 600.0 s",
        "2000 MB in the process that serves everybody",
    ]


def test_a_table_has_a_row_for_each_format() -> None:
    outcomes = [
        Outcome(Case("mp4", 1), "ok", 1.0),
        Outcome(Case("mp4", 2), "corrupt", 2.0),
        Outcome(Case("ogg", 3), "ok", 3.0),
    ]
    first, second = rows(outcomes)
    assert (first.cases, second.cases) == (2, 1)
    assert "2.00 s mp4:2" in text(first)
    assert "corrupt 1, ok 1" in text(first) or "ok 1, corrupt 1" in text(first)
