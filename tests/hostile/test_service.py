"""The figures of ``make hostile`` say when a bound is broken."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hostile import service
from tests.hostile.service import Row, seconds


def test_a_row_says_whether_it_holds() -> None:
    assert seconds("x", "9 s", 1.0, 3.0).ok
    assert not seconds("x", "9 s", 3.1, 3.0).ok
    assert not seconds("x", "9 s", 1.0, 3.0, ok=False).ok
    assert "FAIL" in str(seconds("x", "9 s", 3.1, 3.0))


def test_a_broken_bound_is_the_exit_code(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def rows(folder: Path, chosen: object) -> Iterator[Row]:
        yield seconds("x", "9 s", 1.0, 3.0)
        yield from broken

    monkeypatch.setattr(service, "rows", rows)
    monkeypatch.setattr("sys.argv", ["service"])
    broken: list[Row] = []
    assert service.main() == 0
    broken.append(seconds("y", "9 s", 5.0, 3.0))
    assert service.main() == 1
    assert "1 failed" in capsys.readouterr().out
