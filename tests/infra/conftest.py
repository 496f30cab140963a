"""The Bicep compiler, for the tests that need it."""

from collections.abc import Iterator

import pytest

from infra.policy.compiler import Compiler, find, running

PROGRAM, SAID = find()
needs_compiler = pytest.mark.skipif(PROGRAM is None, reason=SAID)


@pytest.fixture(scope="module")
def compiler() -> Iterator[Compiler]:
    assert PROGRAM is not None
    with running(PROGRAM) as started:
        yield started
