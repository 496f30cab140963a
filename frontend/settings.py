"""The web app's settings, from the environment.

``TONEARM_API_URL``: the service, default http://127.0.0.1:7071. ``TONEARM_API_KEY``: a function key, where the service
asks for one. ``TONEARM_RESULT_WAIT_S``: how long a result is waited for before the reader is asked, default 600.
"""

import os

from frontend.api import Api

DEFAULT_API_URL = "http://127.0.0.1:7071"
DEFAULT_RESULT_WAIT_S = 600.0


def open_api() -> Api:
    """A client of the service, to be closed by its user. Raises ApiError where address or key can be none."""
    return Api(os.environ.get("TONEARM_API_URL", DEFAULT_API_URL), os.environ.get("TONEARM_API_KEY"))


def result_wait_s() -> float:
    """How long to wait for a result before asking the reader, in seconds."""
    return float(os.environ.get("TONEARM_RESULT_WAIT_S", DEFAULT_RESULT_WAIT_S))
