"""What goes wrong around the app: deliveries twice, a host killed, storage away, work that never succeeds."""

import time
from collections.abc import Iterator
from uuid import uuid4

import pytest

from tests.audio_samples import encode, music
from tests.conftest import REPOSITORY, System
from tests.e2e.conftest import Doors, eventually, open_doors
from tests.e2e.sounds import long_wav

OUTAGE_S = 10


def test_the_same_file_again(doors: Doors, name: str) -> None:
    """Delivered again its answer stays as it is; uploaded again it is a new version, and answered anew."""
    sound = encode("wav", music(3.0))
    doors.drop(name, sound)
    first = doors.wait(name)
    doors.system.stop()
    for receipts in doors.system.receipts.iterdir():
        receipts.unlink()
    doors.system.start()
    doors.wait_for_event("upload_answered_elsewhere", name)
    assert doors.wait(name) == first
    doors.drop(name, sound)
    eventually(lambda: doors.wait(name)["created_at"] > first["created_at"], "no new answer")
    assert doors.wait(name)["probabilities"] == first["probabilities"]


def test_killed_while_it_works(doors: Doors, name: str) -> None:
    doors.drop(name, long_wav(music_s=600))
    doors.wait_for_event("upload_started", name)
    doors.system.kill()
    assert doors.events("upload_answered", name) == []
    doors.system.start()
    result = doors.wait(name)
    assert result["status"] == "done"
    assert result["audio"]["duration_s"] == pytest.approx(600, abs=1)
    # Whatever the host still holds of it, the answer stays this one.
    other = f"{uuid4().hex}.wav"
    doors.drop(other, encode("wav", music(2.0)))
    doors.wait(other)
    assert doors.wait(name) == result
    assert len(doors.events("upload_answered", name)) == 1


def test_storage_away_for_ten_seconds(doors: Doors) -> None:
    names = [f"{uuid4().hex}.wav" for _ in range(6)]
    for name in names:
        doors.drop(name, encode("wav", music(3.0)))
    doors.system.storage.stop()
    away_since_s = time.monotonic()
    try:
        answer = doors.result(names[0])
        assert (answer.status_code, answer.json()["code"]) == (503, "storage_unavailable")
        assert int(answer.headers["retry-after"]) > 0
        assert doors.http.get("/health").status_code in {200, 503}
        assert doors.classify(encode("wav", music(2.0))).status_code == 200
        time.sleep(max(0.0, OUTAGE_S - (time.monotonic() - away_since_s)))
    finally:
        doors.system.storage.start()
    for name in names:
        assert doors.wait(name)["status"] == "done"
    assert doors.system.alive


@pytest.fixture(scope="module")
def failing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    """A system whose models cannot be loaded."""
    system = System(tmp_path_factory.mktemp("failing"), REPOSITORY, {"TONEARM_MODEL": "no-such-version"})
    system.storage.start()
    system.start()
    yield from open_doors(system)
    system.stop()
    system.storage.stop()


def test_work_that_never_succeeds_ends_in_a_failed_result(failing: Doors, name: str) -> None:
    failing.drop(name, encode("wav", music(2.0)))
    result = failing.wait(name)
    assert (result["status"], result["problem"]["code"]) == ("failed", "processing_failed")
    assert len(failing.events("upload_started", name)) == 5
    direct = failing.classify(encode("wav", music(2.0)))
    assert (direct.status_code, direct.json()["code"]) == (503, "model_unavailable")
    health = failing.http.get("/health")
    assert (health.status_code, health.json()["checks"]) == (503, {"storage": "ok", "models": "unavailable"})
