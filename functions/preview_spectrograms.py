"""``GET /api/pictures/{id}``: the mel-spectrogram of an upload."""

import base64
from typing import TYPE_CHECKING

import azure.functions as func

from functions import result_store
from functions.json_http import json_answer
from functions.problems import ProblemError, guarded
from functions.result_store import Picture

if TYPE_CHECKING:
    from tonearm.features.preview_spectrogram import PreviewBuilder

blueprint = func.Blueprint()


@blueprint.function_name("get_picture")
@blueprint.route("pictures/{*id}", methods=["GET"])
@guarded
def get_picture(req: func.HttpRequest) -> func.HttpResponse:
    """Answer with the picture that belongs to the current result."""
    result_id = result_store.checked_id(req.route_params.get("id") or "")
    result = result_store.current(result_id)
    picture = None if result is None or result == "pending" else result.picture
    if picture is None:
        raise ProblemError("not_found", "There is no picture of this id: only results that are done may have one.")
    return json_answer(picture)


def drawn(builder: "PreviewBuilder", result_id: str) -> Picture:
    """What was gathered of a recording, as it is kept and answered."""
    from tonearm.features.preview_spectrogram import MAX_DB, MIN_DB

    picture = builder.spectrogram()
    n_bands, n_columns = picture.levels.shape
    return Picture(
        id=result_id,
        start_s=0.0,
        end_s=round(picture.end_s, 3),
        bands_hz=[round(float(hz), 1) for hz in picture.bands_hz],
        n_bands=n_bands,
        n_columns=n_columns,
        min_db=MIN_DB,
        max_db=MAX_DB,
        levels=base64.b64encode(picture.levels.tobytes()).decode(),
    )
