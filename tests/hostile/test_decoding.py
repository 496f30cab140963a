"""Two thousand files that state what is not there, read as everybody is served."""

import pytest

from tests.hostile.cases import FORMATS, drawn
from tests.hostile.fuzz import Fuzz
from tests.hostile.table import rows, text


@pytest.mark.slow
def test_every_file_is_answered_within_bounds() -> None:
    """``make fuzz`` reads more of them, and larger ones, and bounds the time of each."""
    fuzz = Fuzz(jobs=1, timed=False)
    table = rows(fuzz.run(drawn(2_000, small=True)))
    report = "\n".join(map(text, table))
    assert fuzz.broken == {}, report
    assert [row.cases for row in table] == [200] * len(FORMATS)
    # Some of each format are opened and decoded, and not refused for their first bytes.
    assert all(row.codes.keys() & {"ok", "too_short"} for row in table), report
