"""The listeners on real storage: once, again, poison, and what is left after kills and outages.

Work is dropped first and looked at later, as some of it takes its tries with pauses between them.
"""

import json
import time
import urllib.request
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest
from azure.storage.blob import ContainerSasPermissions, generate_container_sas

from local import azurite
from local.blob_listener import JOURNALS_CONTAINER
from tests.local.conftest import Sample, wait_until

ODD_NAMES = [
    "a b.wav",
    "ünï/日本.wav",
    "100%.wav",
    "a#b?c&d=e.wav",
    "folder//x.wav",
    "..%2Fx.wav",
    ".hidden",
    "x" * 900,
]
OUTAGE_S = 10


@pytest.fixture(scope="module")
def fed(sample: Sample) -> Sample:
    """The sample app with work for it dropped."""
    sample.upload("fail.wav", b"fail")
    upload_unaddressable(sample, "../dotted.wav")
    sample.send("good")
    sample.send("fail")
    sample.queues.get_queue_client("jobs").send_message("*no base64*")
    for name in ODD_NAMES:
        sample.upload(name)
    return sample


def upload_unaddressable(sample: Sample, name: str) -> None:
    """Put a blob under a name that no client library would send."""
    expiry = datetime.now(UTC) + timedelta(hours=1)
    permission = ContainerSasPermissions(create=True, write=True)
    signature = generate_container_sas(
        azurite.ACCOUNT, "uploads", account_key=azurite.ACCOUNT_KEY, permission=permission, expiry=expiry
    )
    url = f"{sample.blobs.url}uploads/{quote(name, safe='')}?{signature}"
    request = urllib.request.Request(url, b"tune", {"x-ms-blob-type": "BlockBlob"}, method="PUT")
    with urllib.request.urlopen(request) as response:
        assert response.status == 201


def test_a_blob_that_was_there_before_the_host_is_worked_on(fed: Sample) -> None:
    assert fed.wait_result("early.wav")["status"] == "done"


@pytest.mark.parametrize("name", ODD_NAMES)
def test_any_name_that_can_be_addressed_works(fed: Sample, name: str) -> None:
    assert fed.wait_result(name)["status"] == "done"
    wait_until(lambda: fed.count("ended", name), "the end of the function")
    assert fed.count("began", name) == 1


def test_queue_messages_are_worked_on_or_become_poison(fed: Sample) -> None:
    wait_until(lambda: fed.count("ended", "job/good"), "the good job")
    wait_until(lambda: len(fed.poisoned("jobs-poison")) == 3, "the poison queue")
    assert set(fed.poisoned("jobs-poison")) == {"ZGVhZGx5", "ZmFpbA==", "*no base64*"}
    assert {body: fed.count("began", f"job/{body}") for body in ("good", "fail", "deadly")} == {
        "good": 1,
        "fail": 2,
        "deadly": 0,
    }


def test_killed_while_working_the_work_is_done_after_the_restart_and_once(fed: Sample) -> None:
    fed.upload("killed.wav", b"slow")
    wait_until(lambda: fed.count("began", "killed.wav"), "the function")
    fed.kill()
    assert fed.result("killed.wav") is None
    fed.start()
    assert fed.wait_result("killed.wav")["status"] == "done"
    wait_until(lambda: fed.count("ended", "killed.wav"), "the end of the function")
    assert (fed.count("began", "killed.wav"), fed.count("ended", "killed.wav")) == (2, 1)


def test_an_overwritten_blob_is_worked_on_again(fed: Sample) -> None:
    fed.upload("twice.wav")
    wait_until(lambda: fed.count("ended", "twice.wav") == 1, "the first version")
    fed.upload("twice.wav")
    wait_until(lambda: fed.count("ended", "twice.wav") == 2, "the second version")


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


def test_a_name_that_no_client_can_address_goes_straight_to_the_poison_queue(fed: Sample) -> None:
    result = fed.wait_result("dots/dotted.wav")
    assert (result["status"], result["message"]["BlobName"]) == ("failed", "../dotted.wav")
    assert fed.count("began", "../dotted.wav") == 0
    # the one that was tried is fail.wav
    assert fed.log_path.read_text().count("uploads/fail.wav: try 1 of 5 failed") == 1
    assert fed.log_path.read_text().count("uploads/../dotted.wav: try") == 0


def test_work_in_which_the_process_died_each_time_is_given_up(fed: Sample) -> None:
    wait_until(lambda: fed.count("ended", "poison/fail.wav"), "the work that takes longest")
    fed.stop()
    fed.upload("deadly.wav")
    etag = (fed.blobs.get_blob_client("uploads", "deadly.wav").get_blob_properties().etag or "").strip('"')
    line = json.dumps({"blob": "deadly.wav", "etag": etag, "tries": 5}) + "\n"
    container = fed.blobs.get_container_client(JOURNALS_CONTAINER)
    container.get_blob_client(journals(fed)[-1]).append_block(line.encode())
    container.upload_blob("blobreceipts/on_upload/a-receipt-of-before", b"{}")
    before = journals(fed)
    fed.start()
    assert fed.wait_result("deadly.wav")["status"] == "failed"
    assert fed.count("began", "deadly.wav") == 0
    # written anew, and nothing else is left
    wait_until(lambda: len(journals(fed)) == 1, "the old journals to go")
    assert journals(fed)[0] > before[0]


def test_what_the_process_dies_of_takes_no_other_blob_with_it(fed: Sample) -> None:
    wait_until(lambda: fed.count("ended", "poison/fail.wav"), "the work that takes longest")
    fed.stop()
    # In the order of their names: three are worked on when it dies, and four more have been begun.
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
    wait_until(lambda: all(fed.count("ended", name) for name in behind), "the end of the function")
    assert [fed.count("began", name) for name in [*beside, "death-x.wav", *behind]] == [2, 2, 2, 5, 1, 1, 1, 1]


def test_a_stop_lets_work_end_and_the_next_start_repeats_nothing(fed: Sample) -> None:
    wait_until(lambda: fed.count("ended", "poison/fail.wav"), "the work that takes longest")
    fed.upload("stopped.wav", b"slow")
    wait_until(lambda: fed.count("began", "stopped.wav"), "the function")
    fed.stop()
    assert fed.count("ended", "stopped.wav") == 1
    before = list(fed.blobs.get_container_client("runs").list_blob_names())
    fed.start()
    # dropped after the start and queued behind whatever the first scan finds
    fed.upload("after.wav")
    fed.wait_result("after.wav")
    wait_until(lambda: fed.count("ended", "after.wav"), "the end of the function")
    after = set(fed.blobs.get_container_client("runs").list_blob_names()) - set(before)
    assert {name.rsplit("/", 1)[0] for name in after} == {"began/after.wav", "ended/after.wav"}


def test_storage_away_for_ten_seconds_loses_nothing(fed: Sample) -> None:
    fed.upload("working.wav", b"slow")
    wait_until(lambda: fed.count("began", "working.wav"), "the function")
    waiting = [f"waiting-{number}.wav" for number in range(8)]
    for name in waiting:
        fed.upload(name)
    log_before = fed.log_path.read_text()
    fed.storage.stop()
    time.sleep(OUTAGE_S)
    assert fed.alive
    fed.storage.start()
    for name in ["working.wav", *waiting]:
        assert fed.wait_result(name)["status"] == "done"
        wait_until(lambda name=name: fed.count("ended", name), "the end of the function")
    ended = sorted(fed.count("ended", name) for name in waiting)
    # At most three more were being worked on; what ended just then is done once more, as that could not be noted.
    assert ended in [[1] * (len(waiting) - twice) + [2] * twice for twice in range(4)]
    log = fed.log_path.read_text().removeprefix(log_before)
    assert log.count("storage does not answer") == 1
    assert log.count("storage answers again") == 1


def test_at_the_end_all_is_settled(fed: Sample) -> None:
    container = fed.blobs.get_container_client("uploads")
    there = {(blob.name, blob.etag.strip('"')) for blob in container.list_blobs()}
    wait_until(lambda: there <= settled(fed), "the journal to say so")


def journals(fed: Sample) -> list[str]:
    """The names of the function's journals, and of whatever lies beside them."""
    container = fed.blobs.get_container_client(JOURNALS_CONTAINER)
    return sorted(container.list_blob_names(name_starts_with="blobreceipts/on_upload/"))


def settled(fed: Sample) -> set[tuple[str, str]]:
    """The versions of which the journal says that nothing is left to do."""
    container = fed.blobs.get_container_client(JOURNALS_CONTAINER)
    lines = [line for name in journals(fed) for line in container.download_blob(name).readall().splitlines()]
    entries = [json.loads(line) for line in lines]
    return {(entry["blob"], entry["etag"]) for entry in entries if entry["tries"] is None}
