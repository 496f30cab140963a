"""Structured logs: each line is one JSON object. Audio, keys and signed URLs are never logged."""

import json
import logging
import re
import traceback

_logger = logging.getLogger("tonearm.edge")

# Secrets that an error's text may quote: in a signed URL, a connection string, or storage's authentication errors.
_SECRET = re.compile(r"((?:sig=|AccountKey=|SharedAccessSignature=|signature found in the HTTP request '))[^&;'\"\s]+")


def event(name: str, *, level: int = logging.INFO, **fields: object) -> None:
    """Log an event with its fields."""
    _logger.log(level, json.dumps({"event": name, **fields}, default=str))


def failure(name: str, error: BaseException, **fields: object) -> None:
    """Log an event with an error and its stack trace, without secrets."""
    trace = "".join(traceback.format_exception(error))
    event(name, level=logging.ERROR, **fields, error=type(error).__name__, trace=without_secrets(trace))


def without_secrets(text: str) -> str:
    """The text with signatures and account keys replaced by "…"."""
    return _SECRET.sub(r"\1…", text)
