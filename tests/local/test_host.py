"""The host's log."""

import logging

from hypothesis import given
from hypothesis import strategies as st

from local.host import PrintableFormatter

NAMES = st.text() | st.text(st.sampled_from("\x1b\x9b\r\n\u2028\u202e a"), max_size=12)


@given(NAMES)
def test_a_name_in_the_log_controls_nothing_and_forges_no_line(name: str) -> None:
    record = logging.LogRecord("local", logging.ERROR, "a.py", 1, "uploads/%s: %s", (name, "failed\n2026 INFO a"), None)
    first, *others = PrintableFormatter("%(levelname)s %(message)s").format(record).split("\n")
    assert first.startswith("ERROR uploads/")
    assert all(line.startswith("    ") for line in others)
    assert all(line.isprintable() for line in (first, *others))
