"""Python runs this at its start: gives the process a temporary disk of ``TEST_DISK_BYTES``, which nobody else sees.

That is a tmpfs in a mount namespace of its own. Where the system allows no such thing, temporary files are bounded.
"""

import errno
import io
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, BinaryIO


def mounted(size_bytes: int, folder: str) -> bool:
    """Whether a tmpfs could be mounted."""
    user, group = os.getuid(), os.getgid()
    try:
        os.unshare(os.CLONE_NEWNS | (os.CLONE_NEWUSER if user else 0))
        if user:
            for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
                Path("/proc/self", name).write_text(text)
        subprocess.run(["mount", "--make-rprivate", "/"], check=True, capture_output=True)
        options = ["-o", f"size={size_bytes}", "tmpfs", folder]
        subprocess.run(["mount", "-t", "tmpfs", *options], check=True, capture_output=True)
    except (AttributeError, OSError, subprocess.CalledProcessError) as error:
        print(f"no tmpfs: {error}", file=sys.stderr)
        return False
    return True


def bound(size_bytes: int) -> None:
    """Bound what `tempfile.TemporaryFile` makes."""
    files: list[BinaryIO] = []

    class File(io.FileIO):
        def write(self, content: Any) -> int:
            used = sum(os.fstat(file.fileno()).st_size for file in files if not file.closed)
            if used + len(content) > size_bytes:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return super().write(content)

    def temporary_file(**_: Any) -> BinaryIO:
        descriptor, name = tempfile.mkstemp()
        os.close(descriptor)
        file = io.BufferedRandom(File(name, "w+"))
        Path(name).unlink()
        files.append(file)
        return file

    tempfile.TemporaryFile = temporary_file  # type: ignore[assignment]


if "TEST_DISK_BYTES" in os.environ:
    size_bytes = int(os.environ.pop("TEST_DISK_BYTES"))
    is_tmpfs = mounted(size_bytes, os.environ["TMPDIR"])
    if not is_tmpfs:
        bound(size_bytes)
    print(f"temporary disk: {'tmpfs' if is_tmpfs else 'bounded files'} of {size_bytes} bytes", flush=True)
