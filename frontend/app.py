"""The page: one recording in, its genre out. Run it with ``python -m streamlit run frontend/app.py``.

Settings, from the environment: ``TONEARM_API_URL`` (the service, default http://127.0.0.1:7071), ``TONEARM_API_KEY`` (a
function key, where the service asks for one), ``TONEARM_RESULT_WAIT_S`` (how long to wait before asking the reader).
"""

import os
from typing import TYPE_CHECKING

import streamlit as st

from frontend.api import Api, ApiError
from frontend.views import plain, result_view

if TYPE_CHECKING:
    from streamlit.runtime.uploaded_file_manager import UploadedFile

EXTENSIONS = ["wav", "mp3", "flac", "ogg", "oga", "opus", "m4a", "aac", "webm", "mka", "wma", "au", "aiff", "aif"]
DEFAULT_API_URL = "http://127.0.0.1:7071"
DEFAULT_RESULT_WAIT_S = 600.0


def page() -> None:
    """Draw the page once, as Streamlit does after each thing the reader does."""
    st.set_page_config(page_title="Tonearm", page_icon=":material/album:")
    st.title("Tonearm")
    st.markdown("Names the genre of a recording.")
    uploaded = st.file_uploader("Recording", type=EXTENSIONS)
    if uploaded is None:
        return
    st.audio(uploaded, format=uploaded.type or "application/octet-stream")

    state = st.session_state
    if state.get("file_id") != uploaded.file_id:
        state.update(file_id=uploaded.file_id, result_id=None, result=None)
    if state.result is None:
        try:
            _classify(uploaded)
        except ApiError as error:
            if error.status == 404:  # what was uploaded is gone: the next try uploads again
                state.result_id = None
            st.error(plain(str(error)))
            st.button("Try again")
            return
    if state.result is None:
        st.info("The answer takes longer than usual. The file is with the service, and need not be uploaded again.")
        st.button("Keep waiting")
        return
    result_view(state.result)


def _classify(uploaded: "UploadedFile") -> None:
    """Upload, unless that was done in an earlier run of the page, and wait; what is reached is kept in the session."""
    state = st.session_state
    api_url = os.environ.get("TONEARM_API_URL", DEFAULT_API_URL)
    limit_s = float(os.environ.get("TONEARM_RESULT_WAIT_S", DEFAULT_RESULT_WAIT_S))
    with (
        Api(api_url, os.environ.get("TONEARM_API_KEY")) as api,
        st.status("Uploading", expanded=True) as status,
    ):
        if state.result_id is None:
            bar = st.progress(0.0)
            upload = api.create_upload(uploaded.name)
            api.put(upload, uploaded, bar.progress)
            state.result_id = upload.id
        status.update(label="Waiting for the answer", expanded=False)
        state.result = api.wait(
            state.result_id,
            limit_s=limit_s,
            on_wait=lambda waited_s: status.update(label=f"Waiting for the answer: {waited_s:.0f} s"),
        )
        if state.result is None:
            status.update(label="No answer yet", state="error")
        else:
            status.update(label="Done", state="complete")


page()
