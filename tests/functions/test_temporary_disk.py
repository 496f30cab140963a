"""Large uploads and a temporary disk that is smaller than all of them together."""

import errno
import io
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO

import pytest
from azure.storage.blob import ContainerClient

from functions import process_upload, temporary_disk
from functions.temporary_disk import FULL, TemporaryDisk
from local.worker import InvocationError
from tests.functions.client import Client, wav
from tests.functions.conftest import Events, Upload
from tests.local.conftest import wait_until

MIB = 2**20


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> TemporaryDisk:
    """One with 800 MiB free, less what is written to it."""
    disk = TemporaryDisk()

    def usage(_: str) -> SimpleNamespace:
        return SimpleNamespace(free=800 * MIB - sum(os.fstat(file.fileno()).st_size for file in disk._files))

    monkeypatch.setattr(shutil, "disk_usage", usage)
    return disk


def refused(disk: TemporaryDisk, size_bytes: int, who: object) -> bool:
    try:
        with disk.file(size_bytes, who):
            return False
    except OSError as error:
        assert error.errno in FULL
        return True


class TestRoom:
    def test_is_shared_by_size(self, disk: TemporaryDisk) -> None:
        with ExitStack() as files:
            files.enter_context(disk.file(512 * MIB, "a"))
            files.enter_context(disk.file(100 * MIB, "b"))
            assert refused(disk, 100 * MIB, "c")
            assert not refused(disk, 28 * MIB, "d")
        assert not refused(disk, 100 * MIB, "c")

    def test_of_a_disk_that_others_have_filled(self, disk: TemporaryDisk, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=200 * MIB))
        with disk.file(100 * MIB, "a"):
            assert refused(disk, 40 * MIB, "b"), "what is still to be written counts"
            assert not refused(disk, 30 * MIB, "c")

    def test_what_is_written_does_not_count_twice(self, disk: TemporaryDisk) -> None:
        with disk.file(400 * MIB, "a") as file:
            file.truncate(400 * MIB)
            assert not refused(disk, 240 * MIB, "b")

    def test_a_file_that_grew_larger_than_stated(self, disk: TemporaryDisk) -> None:
        with disk.file(10 * MIB, "a") as file:
            file.truncate(600 * MIB)
            assert refused(disk, 50 * MIB, "b")
            assert not refused(disk, 40 * MIB, "c")

    def test_one_alone_always_tries(self, disk: TemporaryDisk, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
        assert not refused(disk, 2_000 * MIB, "a")

    def test_who_waits_long_is_next(self, disk: TemporaryDisk, monkeypatch: pytest.MonkeyPatch) -> None:
        with disk.file(300 * MIB, "a"):
            assert refused(disk, 512 * MIB, "large")
            assert not refused(disk, 10 * MIB, "small")
            later = time.monotonic() + temporary_disk.STARVED_S + 1
            monkeypatch.setattr(temporary_disk, "time", SimpleNamespace(monotonic=lambda: later))
            assert refused(disk, 10 * MIB, "small")
            assert refused(disk, 512 * MIB, "large")
        assert refused(disk, 10 * MIB, "small")
        assert not refused(disk, 512 * MIB, "large")
        assert not refused(disk, 10 * MIB, "small")

    def test_who_gives_up_holds_nobody_back(self, disk: TemporaryDisk, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(temporary_disk, "STARVED_S", -1)
        with disk.file(300 * MIB, "a"):
            assert refused(disk, 512 * MIB, "large")
            disk.leave("large")
            disk.leave("unknown")
            assert not refused(disk, 10 * MIB, "small")

    def test_an_error_gives_the_room_back(self, disk: TemporaryDisk) -> None:
        with pytest.raises(ZeroDivisionError), disk.file(512 * MIB, "a"):
            raise ZeroDivisionError
        assert not refused(disk, 512 * MIB, "b")
        assert not disk._files


class SmallDisk:
    """Files of `tempfile.TemporaryFile` that hold ``size_bytes`` together; more is ENOSPC, as of a real disk."""

    def __init__(self, folder: Path, size_bytes: int) -> None:
        self.folder, self.size_bytes = folder, size_bytes
        self.files: list[Any] = []
        self.full = self.most_at_once = 0

    @property
    def used_bytes(self) -> int:
        self.files = [file for file in self.files if not file.closed]
        return sum(os.fstat(file.fileno()).st_size for file in self.files)

    def usage(self, _: str) -> SimpleNamespace:
        return SimpleNamespace(free=max(self.size_bytes - self.used_bytes, 0))

    def open(self, **_: Any) -> BinaryIO:
        disk = self

        class File(io.FileIO):
            def write(self, content: Any) -> int:
                if disk.used_bytes + len(content) > disk.size_bytes:
                    disk.full += 1
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                return super().write(content)

        descriptor, name = tempfile.mkstemp(dir=self.folder)
        os.close(descriptor)
        file = io.BufferedRandom(File(name, "w+"))
        Path(name).unlink()
        self.files.append(file)
        self.most_at_once = max(self.most_at_once, len([each for each in self.files if not each.closed]))
        return file  # type: ignore[return-value]


@pytest.fixture
def small_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallDisk]:
    small = SmallDisk(tmp_path, 2 * MIB)
    monkeypatch.setattr(temporary_disk, "tempfile", SimpleNamespace(TemporaryFile=small.open, gettempdir=str))
    monkeypatch.setattr(temporary_disk, "shutil", SimpleNamespace(disk_usage=small.usage))
    monkeypatch.setattr(temporary_disk, "SPARE_BYTES", 1000)
    monkeypatch.setattr(process_upload, "_disk", TemporaryDisk())
    monkeypatch.setattr(process_upload, "_DISK_RETRY_S", 0.01)
    monkeypatch.setattr(process_upload, "_DISK_RETRY_MAX_S", 0.05)
    yield small
    assert small.used_bytes == 0


LARGE = wav(20)
"""0.9 MB: two of them fit onto the small disk."""


@pytest.mark.usefixtures("large_uploads")
class TestUploads:
    def test_more_than_fit_at_once(
        self, client: Client, uploads: ContainerClient, small_disk: SmallDisk, name: str, events: Events
    ) -> None:
        names = [f"{name}/{number}" for number in range(6)]
        for each in names:
            uploads.upload_blob(each, LARGE)
        calls = [threading.Thread(target=client.uploaded, args=[each]) for each in names]
        with process_upload._disk.file(2 * MIB, "another"):
            for call in calls:
                call.start()
            wait_until(lambda: len(process_upload._disk._waiting) == len(names), "all uploads to wait")
        for call in calls:
            call.join()
        assert [client.result(each).json["status"] for each in names] == ["done"] * 6
        assert small_disk.full == 0
        assert small_disk.most_at_once <= 2
        assert "upload_waits_for_disk" in {event["event"] for event in events()}

    def test_a_disk_that_is_full_for_a_while(self, upload: Upload, small_disk: SmallDisk) -> None:
        """Something else fills it while the upload is written: the upload is tried again, and fails no try."""
        upload.put(LARGE)
        small_disk.size_bytes = MIB // 4

        def freed() -> None:
            while small_disk.full < 3:
                time.sleep(0.01)
            small_disk.size_bytes = 2 * MIB

        freeing = threading.Thread(target=freed)
        freeing.start()
        upload.process()
        freeing.join()
        assert upload.result().json["status"] == "done"
        assert small_disk.full == 3

    def test_a_disk_that_stays_full(
        self, upload: Upload, small_disk: SmallDisk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The host tries again later; it is never said that the file is broken."""
        monkeypatch.setattr(process_upload, "_DISK_PATIENCE_S", 0.1)
        upload.put(LARGE)
        small_disk.size_bytes = MIB // 4
        with pytest.raises(InvocationError, match="No space left"):
            upload.process()
        with process_upload._disk.file(MIB, "another"), pytest.raises(InvocationError, match="Other uploads"):
            upload.process()
        assert not process_upload._disk._waiting, "who has given up holds nobody back"
        assert upload.result().status == 202
        small_disk.size_bytes = 2 * MIB
        upload.process()
        assert upload.result().json["status"] == "done"

    def test_other_errors_of_the_disk_are_raised_at_once(
        self, upload: Upload, small_disk: SmallDisk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(**_: Any) -> BinaryIO:
            small_disk.full += 1
            raise OSError(errno.EIO, "broken")

        monkeypatch.setattr(temporary_disk.tempfile, "TemporaryFile", broken)
        upload.put(LARGE)
        with pytest.raises(InvocationError, match="broken"):
            upload.process()
        assert small_disk.full == 1
