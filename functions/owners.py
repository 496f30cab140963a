"""Whose recordings a request is about: those of the owner in its header ``X-Tonearm-Owner``, or without it everybody's.

A function key opens everything. The page, which has one, states for whom it asks. An upload has its owner in its
metadata, and its result the same.
"""

import re
from collections.abc import Mapping

import azure.functions as func

from functions.problems import ProblemError

HEADER = "X-Tonearm-Owner"
METADATA = "owner"
SCHEMA = {"type": "string", "pattern": "^[0-9A-Za-z_-]{1,64}$"}
_OWNER = re.compile(r"[0-9A-Za-z_-]{1,64}")


def asking(req: func.HttpRequest) -> str | None:
    """The owner that a request is for; None: everybody's. Raises ProblemError ``bad_parameter``."""
    owner = req.headers.get(HEADER)
    # An empty one is refused too: it must not open everybody's.
    if owner is not None and not _OWNER.fullmatch(owner):
        raise ProblemError("bad_parameter", f"{HEADER} must be 1 to 64 letters, digits, '_' and '-'.")
    return owner


def owner_of(metadata: Mapping[str, str] | None) -> str | None:
    """The owner in the metadata of an upload or a result; None: nobody's."""
    owner = (metadata or {}).get(METADATA, "")
    return owner if _OWNER.fullmatch(owner) else None
