"""The function app: every blueprint, registered."""

import os
import sys

# Clips are handled side by side, one thread each. NumPy's own threads would only fight with them, which costs three
# quarters of the throughput; it reads this when it is first imported, which no function does before it is needed.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import azure.functions as func

from functions import (
    classify,
    feedback,
    health,
    history,
    limits,
    model_info,
    openapi,
    preview_spectrograms,
    recordings,
    results,
    uploads,
)
from functions.settings import settings

# Threads that compute let those that talk to storage and clients have their turn sooner than after Python's 5 ms.
sys.setswitchinterval(0.001)

settings()  # a wrong setting ends the start, by its name, and not the first request

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)

for module in (
    classify,
    uploads,
    limits,
    results,
    history,
    preview_spectrograms,
    recordings,
    feedback,
    model_info,
    health,
    openapi,
):
    app.register_functions(module.blueprint)
