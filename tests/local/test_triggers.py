"""The blob and queue triggers on real storage: once, again, poison, and what is left after kills and outages.

Work is dropped first and looked at later, as some of it takes its tries with pauses between them.
"""

import asyncio
import shutil
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from azure.core.exceptions import AzureError
from azure.storage.blob import BlobClient
from azure.storage.queue import QueueServiceClient

from local import queue_trigger
from local.blob_trigger import Receipts
from local.host import HOST_CONTAINER
from local.queue_trigger import QueueTrigger, retry
from local.worker import Function, Worker
from tests.conftest import Storage
from tests.local.conftest import Sample, wait_until

pytestmark = pytest.mark.slow

ODD_NAMES = ["a b.wav", "ünï/日本.wav", "100%.wav", "a#b?c&d=e.wav", "f//x.wav", "..%2Fx.wav", ".hidden", "x" * 900]
ODD_NAMES += ["\x01.wav", "a\x0b/b.wav", "z\ufffe", "\uffff"]  # XML, and so a plain listing, cannot hold these
OUTAGE_S = 3


@pytest.fixture(scope="module")
def fed(sample: Sample) -> Sample:
    """The sample app with work for it dropped."""
    sample.upload("fail.wav", b"fail")
    sample.send("good")
    sample.send("fail")
    sample.queues.get_queue_client("jobs").send_message("*no base64*")
    for name in ODD_NAMES:
        sample.upload(name)
    return sample


def receipts_of(sample: Sample) -> Path:
    return next(sample.receipts.glob("*.receipts"))


def finished(sample: Sample, names: list[str]) -> bool:
    receipts = Receipts(receipts_of(sample))
    listed = sample.blobs.get_container_client("uploads").list_blobs()
    return all(receipts.finished((blob.name, blob.etag.strip('"'))) for blob in listed if blob.name in names)


def all_names(sample: Sample) -> list[str]:
    return list(sample.blobs.get_container_client("uploads").list_blob_names())


def runs(sample: Sample) -> set[str]:
    return set(sample.blobs.get_container_client("runs").list_blob_names())


def counts(sample: Sample, moment: str, names: list[str]) -> list[int]:
    return [sample.count(moment, name) for name in names]


def test_each_blob_is_worked_on_once(fed: Sample) -> None:
    names = ["early.wav", *ODD_NAMES]
    wait_until(lambda: 0 not in counts(fed, "ended", names), "the end of all functions")
    assert [(fed.result(name) or {})["status"] for name in names] == ["done"] * len(names)
    assert counts(fed, "began", names) == [1] * len(names)


def test_queue_messages_are_worked_on_or_become_poison(fed: Sample) -> None:
    wait_until(lambda: fed.count("ended", "job/good"), "the good job")
    wait_until(lambda: len(fed.poisoned("jobs-poison")) == 3, "the poison queue")
    assert set(fed.poisoned("jobs-poison")) == {"ZGVhZGx5", "ZmFpbA==", "*no base64*"}
    # "deadly" was received twice already by a process that died of it, and two tries are allowed
    assert counts(fed, "began", ["job/good", "job/fail", "job/deadly"]) == [1, 2, 0]


def test_an_overwritten_blob_is_worked_on_again(fed: Sample) -> None:
    for version in (1, 2):
        fed.upload("twice.wav")
        wait_until(lambda version=version: fed.count("ended", "twice.wav") == version, f"version {version}")


def test_five_tries_then_poison_and_still_an_answer(fed: Sample) -> None:
    result = fed.wait_result("fail.wav")
    assert result["status"] == "failed"
    etag = (fed.blobs.get_blob_client("uploads", "fail.wav").get_blob_properties().etag or "").strip('"')
    assert result["message"] == {
        "Type": "BlobTrigger",
        "FunctionId": "Host.Functions.on_upload",
        "BlobType": "BlockBlob",
        "ContainerName": "uploads",
        "BlobName": "fail.wav",
        "ETag": etag,
    }
    wait_until(lambda: fed.count("ended", "poison/fail.wav"), "the poison function")
    assert (fed.count("began", "fail.wav"), fed.count("ended", "poison/fail.wav")) == (5, 1)


def test_killed_while_it_works_the_work_is_done_after_the_restart_and_once(fed: Sample) -> None:
    fed.upload("killed.wav", b"slow")
    wait_until(lambda: fed.count("began", "killed.wav"), "the function")
    fed.kill()
    assert fed.result("killed.wav") is None
    fed.start()
    assert fed.wait_result("killed.wav")["status"] == "done"
    wait_until(lambda: fed.count("ended", "killed.wav"), "the end of the function")
    assert (fed.count("began", "killed.wav"), fed.count("ended", "killed.wav")) == (2, 1)


def test_what_the_process_dies_of_becomes_poison_and_takes_no_other_blob_with_it(fed: Sample) -> None:
    wait_until(lambda: fed.count("ended", "poison/fail.wav"), "the work that takes longest")
    fed.stop()
    # In the order of their names: three are worked on when it dies, and four more wait.
    beside, behind = [f"death-{number}.wav" for number in range(3)], [f"death-y{number}.wav" for number in range(4)]
    for name in [*beside, *behind]:
        fed.upload(name, b"slow")
    fed.upload("death-x.wav", b"deadly")
    for _ in range(5):
        fed.start()
        wait_until(lambda: not fed.alive, "the process to die")
        fed.kill()
    fed.start()
    assert fed.wait_result("death-x.wav")["status"] == "failed"
    assert [fed.wait_result(name)["status"] for name in [*beside, *behind]] == ["done"] * 7
    wait_until(lambda: 0 not in counts(fed, "ended", behind), "the end of the function")
    assert counts(fed, "began", [*beside, "death-x.wav", *behind]) == [2, 2, 2, 5, 1, 1, 1, 1]


def test_a_stop_lets_work_end_and_the_next_start_repeats_nothing(fed: Sample) -> None:
    wait_until(lambda: fed.count("ended", "poison/fail.wav"), "the work that takes longest")
    fed.upload("stopped.wav", b"slow")
    wait_until(lambda: fed.count("began", "stopped.wav"), "the function")
    fed.stop()
    assert fed.count("ended", "stopped.wav") == 1
    before = runs(fed)
    fed.start()
    fed.upload("after.wav")
    wait_until(lambda: fed.count("ended", "after.wav"), "the end of the function")
    assert {name.rsplit("/", 1)[0] for name in runs(fed) - before} == {"began/after.wav", "ended/after.wav"}


def test_an_outage_of_storage_loses_nothing(fed: Sample) -> None:
    fed.upload("working.wav", b"slow")
    wait_until(lambda: fed.count("began", "working.wav"), "the function")
    names = ["working.wav", *(f"waiting-{number}.wav" for number in range(8))]
    for name in names[1:]:
        fed.upload(name)
    fed.storage.stop()
    time.sleep(OUTAGE_S)
    assert fed.alive
    fed.storage.start()
    wait_until(lambda: 0 not in counts(fed, "ended", names), "the end of all functions")
    # What ended at the last moment may be lost for all the host knows: that is done twice.
    assert max(counts(fed, "ended", names)) <= 2


def number_of(checkpoint: BlobClient) -> int:
    return int(checkpoint.get_blob_properties().metadata["number"])


def test_results_that_storage_has_lost_are_made_again(fed: Sample, tmp_path: Path) -> None:
    """Killed, storage comes back as it was seconds ago: here as it was before the functions ran."""
    names = [f"lost-{number}.wav" for number in range(6)]
    fed.suspend()
    for name in names:
        fed.upload(name)
    fed.storage.stop()
    before = shutil.copytree(fed.storage.folder, tmp_path / "before")
    fed.storage.start()
    fed.resume()
    for name in names:
        fed.wait_result(name)
    wait_until(lambda: finished(fed, names), "the receipts")
    receipts = Receipts(receipts_of(fed))
    # Until then storage that is back before anybody asks it has lost nothing that it was known to have.
    checkpoint = fed.blobs.get_blob_client(HOST_CONTAINER, "receipts/on_upload")
    wait_until(lambda: checkpoint.exists() and number_of(checkpoint) == receipts.last, "the checkpoint")
    fed.storage.kill()
    shutil.rmtree(fed.storage.folder)
    shutil.copytree(before, fed.storage.folder)
    fed.storage.start()
    assert fed.result(names[-1]) is None
    for name in names:
        fed.wait_result(name)
    assert fed.alive
    wait_until(lambda: finished(fed, names), "the receipts")
    assert Receipts(receipts_of(fed)).last > receipts.last


def test_the_next_start_believes_storage_too(fed: Sample) -> None:
    wait_until(lambda: finished(fed, all_names(fed)), "the work that takes longest")
    fed.upload("lost.wav")
    wait_until(lambda: finished(fed, ["lost.wav"]), "the receipt")
    fed.stop()
    last = Receipts(receipts_of(fed)).last
    checkpoint = fed.blobs.get_blob_client(HOST_CONTAINER, "receipts/on_upload")
    assert checkpoint.get_blob_properties().metadata == {"number": str(last)}
    checkpoint.set_blob_metadata({"number": str(last - 1)})
    fed.blobs.get_blob_client("results", "lost.wav.json").delete_blob()
    before = runs(fed)
    fed.start()
    fed.wait_result("lost.wav")
    wait_until(lambda: finished(fed, ["lost.wav"]), "the receipt")
    assert counts(fed, "ended", ["lost.wav"]) == [2]
    assert {name.rsplit("/", 1)[0] for name in runs(fed) - before} == {"began/lost.wav", "ended/lost.wav"}


def test_at_the_end_all_is_finished_and_the_next_start_forgets_what_is_gone(fed: Sample) -> None:
    path = receipts_of(fed)
    names = all_names(fed)
    wait_until(lambda: finished(fed, names), "the receipts to say so")
    fed.stop()
    lines = path.read_text().splitlines()
    fed.blobs.get_blob_client("uploads", "early.wav").delete_blob()
    fed.start()
    wait_until(lambda: len(path.read_text().splitlines()) == len(names) - 1, "the file to become shorter")
    assert len(lines) > len(names)
    assert "early.wav" not in path.read_text()


def test_lost_containers_and_queues_are_created_again(fed: Sample) -> None:
    """Killed in its first seconds, storage comes back empty."""
    fed.storage.kill()
    shutil.rmtree(fed.storage.folder)
    fed.storage.start()
    wait_until(lambda: HOST_CONTAINER in {each.name for each in fed.blobs.list_containers()}, "the containers")
    wait_until(lambda: len(list(fed.queues.list_queues())) == 3, "the queues")
    fed.upload("first.wav")
    fed.wait_result("first.wav")


def test_a_message_stays_hidden_while_its_function_runs(azurite: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_trigger, "HIDDEN_S", 1)
    monkeypatch.setattr(queue_trigger, "RENEW_INTERVAL_S", 0.3)
    queue = QueueServiceClient.from_connection_string(azurite.connection_string).create_queue("hidden")
    queue.send_message("d29yaw==")
    runs = 0

    class Slow:
        async def invoke_queue(self, name: str, body: str, **_: Any) -> None:
            nonlocal runs
            runs += 1
            await asyncio.sleep(3)

    async def listen() -> None:
        settings: Any = SimpleNamespace(queue_messages_at_once=2, queue_tries=5, function_timeout_s=None)
        trigger = QueueTrigger(cast("Worker", Slow()), Function("f", "1", ()), queue, None, settings)
        stopping = asyncio.Event()
        task = asyncio.create_task(trigger.run(stopping))
        while queue.get_queue_properties().approximate_message_count:
            await asyncio.sleep(0.1)
        stopping.set()
        await task

    asyncio.run(listen())
    assert runs == 1


def test_an_outage_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_trigger, "OUTAGE_DELAY_S", 0)
    failures: list[Any] = [AzureError("away"), AzureError("away")]

    def call() -> str:
        if failures:
            raise failures.pop()
        return "answer"

    assert asyncio.run(retry(call)) == "answer"


def test_a_line_that_was_cut_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "receipts"
    Receipts(path).note(("a", "1"), 2)
    path.write_text(path.read_text() + '["b", "2"')
    receipts = Receipts(path)
    assert (receipts.tries(("a", "1")), receipts.tries(("b", "2"))) == (2, 0)


def test_receipts_are_forgotten_by_their_number(tmp_path: Path) -> None:
    receipts = Receipts(tmp_path / "receipts")
    receipts.note(("tried", "1"), 2)
    for name in "abc":
        receipts.note_finished((name, "1"))
    assert (receipts.forget(3), receipts.forget(1, 2), receipts.forget(1)) == (0, 1, 1)
    receipts.note_finished(("d", "1"))  # with a number that had none before
    for each in (receipts, Receipts(tmp_path / "receipts")):
        assert [each.finished((name, "1")) for name in ("a", "b", "c", "d", "tried")] == [
            True,
            False,
            False,
            True,
            False,
        ]
        assert ([each.tries((name, "1")) for name in ("a", "b", "tried")], each.last) == ([0, 0, 2], 4)
