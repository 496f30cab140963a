"""Which part of a file a Range header asks for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontend.byte_range import UnsatisfiableError, requested

SIZE = 1000
HUGE = "9" * 900


@pytest.mark.parametrize(
    ("header", "part"),
    [
        ("bytes=0-9", range(10)),
        ("bytes=5-", range(5, 1000)),
        ("bytes=999-", range(999, 1000)),
        ("bytes=0-99999", range(1000)),
        (f"bytes=0-{HUGE}", range(1000)),
        ("bytes=-10", range(990, 1000)),
        ("bytes=-1000", range(1000)),
        (f"bytes=-{HUGE}", range(1000)),
        ("BYTES=5-9", range(5, 10)),
        ("bytes=, 5-9 ,", range(5, 10)),
        ("bytes=007-0009", range(7, 10)),
    ],
)
def test_one_range(header: str, part: range) -> None:
    assert requested([header], SIZE) == part


NOT_VALID = (
    *("", "bytes", "bytes=", "bytes=-", "bytes=,", "bytes=9-5", "bytes=a-b", "bytes=0x1-5", "bytes=+1-5", "bytes=--5"),
    *("bytes=0-1-2", "bytes=1", "bytes = 0-5", "bytes=0 - 5", "bytes=\u0661-5", "bytes=\xb2-5", "items=0-5", "junk"),
)
SEVERAL = ("bytes=0-1,5-6", "bytes=0-1,junk")
TOO_LONG = (f"bytes={'9' * 9000}-", "bytes=" + "0-0," * 9000)


@pytest.mark.parametrize("header", [*NOT_VALID, *SEVERAL, *TOO_LONG])
def test_the_whole_file(header: str) -> None:
    assert requested([header], SIZE) is None
    assert requested(["bytes=0-1", header], SIZE) is None


@pytest.mark.parametrize("header", ["bytes=1000-", "bytes=1000-2000", f"bytes={HUGE}-", "bytes=-0"])
def test_no_such_bytes(header: str) -> None:
    with pytest.raises(UnsatisfiableError):
        requested([header], SIZE)


def test_an_empty_file() -> None:
    assert requested(["bytes=-10"], 0) is None
    for header in ("bytes=0-", "bytes=-0"):
        with pytest.raises(UnsatisfiableError):
            requested([header], 0)


@given(
    st.text(st.sampled_from("bytes=0123456789-, \t"), max_size=30).map("bytes={}".format) | st.text(),
    st.integers(0, 50),
)
def test_any_header(header: str, size_bytes: int) -> None:
    try:
        part = requested([header], size_bytes)
    except UnsatisfiableError:
        return
    assert part is None or (part and 0 <= part.start < part.stop <= size_bytes)
