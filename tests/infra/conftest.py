"""The Bicep compiler, for the tests that need it."""

from collections.abc import Iterator

import pytest

from infra.policy.compiler import Compiler, find, running


@pytest.fixture(scope="module")
def compiler() -> Iterator[Compiler]:
    program, said = find()
    if program is None:
        pytest.skip(said)
    with running(program) as started:
        yield started
