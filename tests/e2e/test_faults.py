"""What goes wrong around the app: deliveries twice, a host killed, storage away, work that never succeeds."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import psutil
import pytest

from tests.audio_samples import encode, music
from tests.conftest import REPOSITORY, System
from tests.e2e.conftest import Client, eventually, open_client
from tests.e2e.sounds import long_wav

OUTAGE_S = 5
PROMPT_S = 5
"""What needs no storage answers within this time on a busy machine too; what waits for storage does not."""
FAILING = "failing.wav"


@pytest.fixture(scope="module", autouse=True)
def failing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A system whose models cannot be loaded. Its tries, with their pauses, begin before the other tests."""
    system = System(tmp_path_factory.mktemp("failing"), REPOSITORY, {"TONEARM_MODEL": "no-such-version"})
    system.storage.start()
    system.start()
    for client in open_client(system):
        client.drop(FAILING, encode("wav", music(2.0)))
        yield client
    system.stop()
    system.storage.stop()


def test_the_same_file_again(client: Client, name: str) -> None:
    """Delivered again its answer stays as it is; uploaded again it is a new version, and answered anew."""
    sound = encode("wav", music(3.0))
    client.drop(name, sound)
    first = client.wait(name)
    client.system.stop()
    for receipts in client.system.receipts.iterdir():
        receipts.unlink()
    client.system.start()
    client.wait_for_event("upload_answered_elsewhere", name)
    assert client.wait(name) == first
    client.drop(name, sound)
    eventually(lambda: client.wait(name)["created_at"] > first["created_at"], "no new answer")
    assert client.wait(name)["probabilities"] == first["probabilities"]


def test_erased_while_it_works(client: Client, name: str) -> None:
    log = client.system.log_path
    before = len(log.read_text())
    client.drop(name, long_wav(music_s=120))
    client.wait_for_event("upload_started", name)
    assert client.http.delete(f"/recordings/{quote(name)}").status_code == 204
    assert client.result(name).status_code == 404
    # Its result is written meanwhile, and deleted; or it is not written.
    ended = ('"event": "result_erased"', '"event": "upload_gone"')
    eventually(lambda: any(event in log.read_text()[before:] for event in ended), "the end of the work")
    assert client.result(name).status_code == 404
    assert client.http.delete(f"/recordings/{quote(name)}").status_code == 204


def test_killed_while_it_works(client: Client, name: str) -> None:
    client.drop(name, long_wav(music_s=600))
    client.wait_for_event("upload_started", name)
    client.system.kill()
    assert client.events("upload_answered", name) == []
    client.system.start()
    result = client.wait(name)
    assert result["status"] == "done"
    assert result["audio"]["duration_s"] == pytest.approx(600, abs=1)
    # Whatever the host still holds of it, the answer stays this one.
    other = f"{uuid4().hex}.wav"
    client.drop(other, encode("wav", music(2.0)))
    client.wait(other)
    assert client.wait(name) == result
    assert len(client.events("upload_answered", name)) == 1


def test_an_outage_of_storage_loses_nothing(client: Client) -> None:
    names = [f"{uuid4().hex}.wav" for _ in range(6)]
    for name in names:
        client.drop(name, encode("wav", music(3.0)))
    client.system.storage.stop()
    away_since_s = time.monotonic()
    try:
        answer = client.result(names[0])
        assert (answer.status_code, answer.json()["code"]) == (503, "storage_unavailable")
        assert int(answer.headers["retry-after"]) > 0
        assert client.http.get("/health").status_code in {200, 503}
        assert client.classify(encode("wav", music(2.0))).status_code == 200
        time.sleep(max(0.0, OUTAGE_S - (time.monotonic() - away_since_s)))
    finally:
        client.system.storage.start()
    for name in names:
        assert client.wait(name)["status"] == "done"
    assert client.system.alive


def test_storage_that_hangs_holds_only_what_needs_it(client: Client) -> None:
    storage = psutil.Process(client.system.storage.pid)
    eventually(lambda: client.http.get("/health").status_code == 200, "the models are not loaded")
    storage.suspend()
    try:
        with ThreadPoolExecutor(24) as pool:
            waiting = [pool.submit(client.result, f"{number}.wav") for number in range(24)]
            time.sleep(2.5)  # no answer is cached any more, and all threads have hung for a while
            for path, status in [("/limits", 200), ("/model", 200), ("/openapi.json", 200), ("/health", 503)]:
                answer = client.http.get(path, timeout=PROMPT_S)
                assert answer.status_code == status
            sound = encode("wav", music(2.0))
            assert client.http.post("/classify", content=sound, timeout=PROMPT_S).status_code == 200
            answer = client.http.get("/results/other.wav", timeout=PROMPT_S)
            assert (answer.status_code, answer.json()["code"]) == (503, "storage_unavailable")
            storage.resume()
            assert {each.result().status_code for each in waiting} <= {404, 503}
    finally:
        storage.resume()
    eventually(lambda: client.http.get("/health").status_code == 200, "storage is not there again")
    assert client.result("other.wav").status_code == 404


def test_a_start_without_storage(tmp_path: Path) -> None:
    system = System(tmp_path, REPOSITORY)
    system.start()
    try:
        for client in open_client(system):
            assert client.classify(encode("wav", music(2.0))).status_code == 200
            answer = client.http.get("/health", timeout=PROMPT_S)
            assert (answer.status_code, answer.json()["checks"]) == (503, {"storage": "unavailable", "models": "ok"})
            system.storage.start()
            eventually(lambda client=client: client.http.get("/health").status_code == 200, "health is not 200")
            client.drop("late.wav", encode("wav", music(2.0)))
            assert client.wait("late.wav")["status"] == "done"
    finally:
        system.stop()
        system.storage.stop()


def test_work_that_never_succeeds_ends_in_a_failed_result(failing: Client) -> None:
    result = failing.wait(FAILING)
    assert (result["status"], result["problem"]["code"]) == ("failed", "processing_failed")
    # More where storage was slow meanwhile: what fails in an outage is no try.
    assert len(failing.events("upload_started", FAILING)) >= 5
    direct = failing.classify(encode("wav", music(2.0)))
    assert (direct.status_code, direct.json()["code"]) == (503, "model_unavailable")
    health = failing.http.get("/health")
    assert (health.status_code, health.json()["checks"]) == (503, {"storage": "ok", "models": "unavailable"})


def test_failed_uploads_are_answered_by_one_command_when_the_cause_is_gone(failing: Client) -> None:
    assert failing.wait(FAILING)["status"] == "failed"
    failing.system.stop()
    # In the same folder, where the receipts say that nothing is left to do.
    healed = System(failing.system.log_path.parent, REPOSITORY, storage=failing.system.storage)
    healed.start()
    try:
        environment = os.environ | {"AzureWebJobsStorage": failing.system.connection_string}
        command = [sys.executable, "-m", "functions.retry_failed"]
        printed = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=True)
        assert printed.stdout.splitlines()[-1] == "Failed uploads tried again: 1; left alone: 0."
        for client in open_client(healed):
            eventually(lambda client=client: client.result(FAILING).json()["status"] == "done", "no new answer")
    finally:
        healed.stop()
