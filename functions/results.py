"""``GET /api/results/{id}``: the answer to one upload."""

import json
from dataclasses import asdict, dataclass
from typing import Literal

import azure.functions as func

from functions import result_store
from functions.json_http import json_answer
from functions.problems import ProblemError, guarded

_PENDING_RETRY_AFTER_S = 1

blueprint = func.Blueprint()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """The upload is there, and its answer is being worked out: ask again after the seconds in ``Retry-After``."""

    id: str
    status: Literal["pending"] = "pending"


@blueprint.function_name("get_result")
@blueprint.route("results/{*id}", methods=["GET"])
@guarded
def get_result(req: func.HttpRequest) -> func.HttpResponse:
    """Answer with the result of an upload."""
    result_id = result_store.checked_id(req.route_params.get("id") or "")
    found = result_store.current(result_id)
    if found is None:
        raise ProblemError("not_found", "There is neither a result nor an upload of this id.")
    if found == "pending":
        return json_answer(
            json.dumps(asdict(Pending(id=result_id))),
            status=202,
            headers={"Retry-After": str(_PENDING_RETRY_AFTER_S)},
        )
    return json_answer(found.result)
