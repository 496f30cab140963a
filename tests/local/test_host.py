"""The host's log."""

import logging
import sys

import pytest

from local import host
from local.host import RepeatFilter


def record(name: str, level: int, text: str) -> logging.LogRecord:
    return logging.LogRecord(name, level, "", 0, text, None, None)


def test_trouble_that_stays_is_logged_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 1_000.0
    monkeypatch.setattr(host.time, "monotonic", lambda: now_s)
    passes = RepeatFilter().filter
    trouble = record("local.queue_trigger", logging.WARNING, "storage is away")
    assert [passes(trouble), passes(trouble)] == [True, False]
    assert passes(record("asyncio", logging.ERROR, "out of descriptors"))
    for kept in (record("uvicorn.access", logging.INFO, "GET /"), record("tonearm.edge", logging.ERROR, "event")):
        assert [passes(kept), passes(kept)] == [True, True]
    now_s += host.REPEAT_AFTER_S + 1
    assert passes(trouble)
    for number in range(2 * host.REPEATS_KNOWN):
        passes(record("local.x", logging.ERROR, str(number)))
    assert passes(trouble)


def test_an_exception_that_stays_is_logged_once_a_minute() -> None:
    passes = RepeatFilter().filter

    def failed(error: Exception) -> logging.LogRecord:
        try:
            raise error
        except OSError:
            return logging.LogRecord("asyncio", logging.ERROR, "", 0, "accept failed", None, sys.exc_info())

    full = [failed(OSError(24, "Too many open files")) for _ in range(3)]
    assert [passes(each) for each in (*full, failed(OSError(5, "I/O")))] == [True, False, False, True]
