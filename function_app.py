"""The function app: registers every blueprint."""

import os
import sys

# Clips are classified side by side, one thread each. NumPy's own threads would compete with them and cost three
# quarters of the throughput. NumPy reads this when it is first imported, which is later.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import azure.functions as func

from functions import classify, feedback, health, history, limits, model_info, openapi, process_upload, results, uploads
from functions.settings import settings

# Threads that wait for storage and clients get their turn after 1 ms of another's computing, not after Python's 5 ms.
sys.setswitchinterval(0.001)

settings()  # a wrong setting ends the start with its name, not the first request

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)

for module in (
    classify,
    uploads,
    process_upload,
    results,
    history,
    feedback,
    limits,
    model_info,
    health,
    openapi,
):
    app.register_functions(module.blueprint)
