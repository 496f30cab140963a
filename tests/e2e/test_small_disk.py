"""The running system on a temporary disk that holds one large upload: all are answered, and none fails a try."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.audio_samples import encode, music
from tests.conftest import REPOSITORY, System
from tests.e2e.conftest import Client, eventually, open_client

DISK_BYTES = 9 * 2**20


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    disk = tmp_path / "disk"
    disk.mkdir()
    python_path = str(Path(__file__).with_name("small_disk"))
    environment = {"PYTHONPATH": python_path, "TMPDIR": str(disk), "TEST_DISK_BYTES": str(DISK_BYTES)}
    system = System(tmp_path, REPOSITORY, environment)
    system.storage.start()
    system.start()
    yield from open_client(system)
    system.stop()
    system.storage.stop()


@pytest.mark.slow
def test_more_uploads_than_the_disk_holds(client: Client) -> None:
    sound = encode("wav", music(30.0, 44_100), 44_100, channels=2)
    assert DISK_BYTES / 2 < len(sound) < DISK_BYTES
    names = [f"{number}.wav" for number in range(6)]
    for name in names:
        client.drop(name, sound)
    assert [client.wait(name)["status"] for name in names] == ["done"] * len(names)
    log = client.system.log_path.read_text()
    assert "temporary disk: " in log
    assert "upload_waits_for_disk" in log
    assert "failed:" not in log, "a try failed"


def test_a_disk_that_is_too_small_for_a_while(client: Client) -> None:
    """An upload that does not fit is no broken file: it waits."""
    client.drop("large.wav", encode("wav", music(60.0, 44_100), 44_100, channels=2))
    eventually(lambda: bool(client.events("upload_waits_for_disk", "large.wav")), "the wait")
    assert client.result("large.wav").status_code == 202
    client.drop("small.wav", encode("wav", music(30.0, 44_100), 44_100, channels=2))
    assert client.wait("small.wav")["status"] == "done"
    assert client.result("large.wav").status_code == 202
