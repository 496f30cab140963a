"""The function app: registers the blueprints with the HTTP functions, the blob trigger and the queue trigger."""

import os
import sys

# Clips are classified side by side, one thread each. NumPy's own threads would compete with them and cost three
# quarters of the throughput. NumPy reads this when it is first imported, which is later.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import azure.functions as func

from functions import openapi, process_upload
from functions.settings import settings

# Threads that wait for storage and clients get their turn after 1 ms of another's computing, not after Python's 5 ms.
sys.setswitchinterval(0.001)

settings()  # a wrong setting ends the start with its name, not the first request

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)

for module in (*openapi.HTTP_MODULES, openapi, process_upload):
    app.register_functions(module.blueprint)
