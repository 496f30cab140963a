"""Structured logs: one JSON object a line, with result id, durations and sizes; never audio, keys or signed URLs."""

import json
import logging
import re
import traceback

_logger = logging.getLogger("tonearm.edge")

# Secrets that the text of an error may quote: a signed URL, a connection string, storage's own authentication errors.
_SECRET = re.compile(r"((?:sig=|AccountKey=|SharedAccessSignature=|signature found in the HTTP request '))[^&;'\"\s]+")


def event(name: str, *, level: int = logging.INFO, **fields: object) -> None:
    """Log that ``name`` happened, with what is known of it."""
    _logger.log(level, json.dumps({"event": name, **fields}, default=str))


def failure(name: str, error: BaseException, *, level: int = logging.ERROR, **fields: object) -> None:
    """Log that ``name`` failed with ``error``, and its trace."""
    trace = "".join(traceback.format_exception(error))
    event(name, level=level, **fields, error=type(error).__name__, trace=without_secrets(trace))


def without_secrets(text: str) -> str:
    """``text`` with signatures and account keys struck out."""
    return _SECRET.sub(r"\1…", text)
