"""What a visitor's browser complains of is noticed: all the other tests here rest on that."""

import re

import pytest

from tests.e2e.browser.visit import Visit
from tests.local.conftest import wait_until

PROVOKED = {
    "console.error('oops')": "console error: oops",
    "setTimeout(() => { throw new Error('oops') })": "exception: .*oops",
    "fetch('/tonearm/audio/none')": r"status 404: GET .*/tonearm/audio/none",
    "fetch('/', {signal: AbortSignal.timeout(0)}).catch(() => null)": None,
}


@pytest.mark.parametrize("script", PROVOKED)
def test_complaints_are_problems(visit: Visit, script: str) -> None:
    visit.open()
    assert visit.problems == []
    expected = PROVOKED[script]
    if expected is None:
        with visit.page.expect_event("requestfailed"):
            visit.page.evaluate(f"() => {{ {script} }}")
        assert visit.problems == []
    else:
        visit.page.evaluate(f"() => {{ {script} }}")
        complained = re.compile(expected)
        wait_until(
            lambda: visit.page.evaluate("true") and complained.search("\n".join(visit.problems)), "the complaint"
        )
    visit.accept(".")
