"""The web app's server with one route more, by which a test offers an upload as the page would."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import streamlit as st
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import frontend
from frontend import upload_proxy
from frontend.api import Upload


async def offer(request: Request) -> PlainTextResponse:
    upload = Upload(
        id="a.wav",
        url=(await request.body()).decode(),
        headers={"x-ms-blob-type": "BlockBlob"},
        max_bytes=2**30,
        expires=datetime.now(UTC) + timedelta(minutes=5),
    )
    return PlainTextResponse(upload_proxy.uploads_path() + upload_proxy.offer(upload).token)


routes = [*upload_proxy.routes(), Route("/offer", offer, methods=["POST"])]
app = st.App(Path(frontend.__file__).parent / "main.py", routes=routes)
