"""What a visitor's browser complains of is noticed: all the other tests here rest on that."""

import re

import pytest

from tests.e2e.browser.visit import Visit

PROVOKED = {
    "console.error('oops')": "console error: oops",
    "setTimeout(() => { throw new Error('oops') })": "exception: .*oops",
    "fetch('/tonearm/audio/none')": r"status 404: GET .*/tonearm/audio/none",
    "fetch('http://127.0.0.1:9/').catch(() => null)": r"asks another host: GET http://127\.0\.0\.1:9/",
    "fetch('/', {signal: AbortSignal.timeout(0)}).catch(() => null)": None,
}


@pytest.mark.parametrize("script", PROVOKED)
def test_complaints_are_problems(visit: Visit, script: str) -> None:
    visit.open()
    assert visit.problems == []
    visit.page.evaluate(f"() => {{ {script} }}")
    visit.page.wait_for_load_state("networkidle")
    expected = PROVOKED[script]
    if expected is None:
        assert visit.problems == []
    else:
        assert re.search(expected, "\n".join(visit.problems))
    visit.accept(".")
