"""The function app: every blueprint, registered."""

import azure.functions as func

from functions import classify, downloads, feedback, health, history, limits, model, openapi, pictures, results, uploads
from functions.settings import settings

settings()  # a wrong setting ends the start, by its name, and not the first request

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)

for module in (classify, uploads, limits, results, history, pictures, downloads, feedback, model, health, openapi):
    app.register_functions(module.blueprint)
