"""Signed ids of direct results, on real storage and without."""

import asyncio
import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from azure.core.exceptions import ServiceRequestError
from azure.storage.blob import BlobServiceClient
from hypothesis import given
from hypothesis import strategies as st

from functions import direct_ids
from tests.functions.client import Client
from tests.functions.conftest import Events

Start = Callable[[], None]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Start:
    """Forgets the key, as a new process."""

    def start() -> None:
        direct_ids.installation_key.cache_clear()
        for name, value in (("_reading", None), ("_first_s", 0.0), ("_latest_s", 0.0)):
            monkeypatch.setattr(direct_ids, name, value)

    start()
    return start


def new_ids(count: int) -> list[str]:
    async def all_of_them() -> list[str]:
        return await asyncio.gather(*(direct_ids.new_id() for _ in range(count)))

    return asyncio.run(all_of_them())


def test_ids_are_new_and_signed(client: Client, started: Start) -> None:
    ids = new_ids(100)
    assert len(set(ids)) == 100
    assert all(re.fullmatch(r"direct-[0-9a-f]{32}", each) for each in ids)
    assert all(map(direct_ids.is_signed, ids))


@given(st.data())
def test_no_changed_id_is_signed(client: Client, data: st.DataObject) -> None:
    result_id = direct_ids.PREFIX + "0" * 16 + direct_ids._signature(direct_ids.installation_key(), "0" * 16)
    position = data.draw(st.integers(0, len(result_id) - 1))
    sign = data.draw(st.characters(codec="utf-8").filter(lambda sign: sign != result_id[position]))
    assert not direct_ids.is_signed(result_id[:position] + sign + result_id[position + 1 :])


def test_all_instances_share_the_key(client: Client, started: Start) -> None:
    (of_one,) = new_ids(1)
    started()
    (of_another,) = new_ids(1)
    assert direct_ids.is_signed(of_one)
    assert direct_ids.is_signed(of_another)


def test_another_key_signs_nothing_of_ours(client: Client, started: Start, blob_service: BlobServiceClient) -> None:
    (ours,) = new_ids(1)
    blob = blob_service.get_blob_client("keys", "direct-ids")
    key = blob.download_blob().readall()
    assert len(key) == 32
    blob.upload_blob(bytes(32), overwrite=True)
    try:
        started()
        assert not direct_ids.is_signed(ours)
    finally:
        blob.upload_blob(key, overwrite=True)
        started()


@pytest.mark.parametrize("hangs", [False, True])
def test_without_storage_ids_are_not_signed(
    client: Client, started: Start, events: Events, monkeypatch: pytest.MonkeyPatch, hangs: bool
) -> None:
    monkeypatch.setattr(direct_ids, "_WAIT_S", 0.05)
    go = asyncio.Event()

    async def away(_work: Callable[[], Any]) -> Any:
        if hangs:
            await go.wait()
        raise ServiceRequestError("away")

    with monkeypatch.context() as outage:
        outage.setattr(direct_ids.threads, "with_storage", away)
        began_s = time.monotonic()
        ids = new_ids(20)
        assert time.monotonic() - began_s < 10, "together they wait once"
    assert all(re.fullmatch(r"direct-[0-9a-f]{32}", each) for each in ids)
    assert [event["event"] for event in events()] == ["direct_id_unsigned"] * 20
    assert not any(map(direct_ids.is_signed, ids))


def test_the_key_is_read_again_after_an_outage(client: Client, started: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(direct_ids, "_RETRY_S", -1.0)
    monkeypatch.setattr(direct_ids, "_WAIT_S", 60.0)

    def away(_name: str) -> Any:
        raise ServiceRequestError("away")

    async def outage_and_after() -> tuple[str, str]:
        with monkeypatch.context() as outage:
            outage.setattr(direct_ids.storage, "container", away)
            during = await direct_ids.new_id()
        return during, await direct_ids.new_id()

    during, after = asyncio.run(outage_and_after())
    assert not direct_ids.is_signed(during)
    assert direct_ids.is_signed(after)
