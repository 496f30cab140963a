"""Decoder processes (`tonearm.decoding.decoder`): started, kept for the next recording, limited in time, and replaced.

A recording can at worst end its decoder. Then it is tried once more, in a fresh decoder, so that no other recording and
no kill from outside decides about it.
"""

import atexit
import contextlib
import io
import itertools
import json
import mmap
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from threading import BoundedSemaphore, Lock
from typing import IO, Any, BinaryIO, cast

import numpy as np

from tonearm.classification import Audio, Stated
from tonearm.decoding.audio import AudioReader, AudioSource, Window, open_source, plain_wav
from tonearm.decoding.decoder import NEXT, SLOT_SAMPLES, SLOTS, STOP
from tonearm.errors import AudioError, DecoderError

RECEIVE_BYTES = 65_536
WAIT_S = 0.5
"""Between two calls of ``on_wait``."""
IDLE_S = 60
MESSAGE_TIMEOUT_S = 120
"""For the next message. The decoder's own limit is on processor time, which may be shared by many."""
INHERITED = ("PATH", "LD_LIBRARY_PATH", "PYTHONHOME")
"""All that a decoder gets of the environment, which may hold keys."""
MOST_DECODERS = max(4, 2 + (os.cpu_count() or 1))
"""Their sum bounds the memory that recordings take. More recordings wait."""
CRASHES = {signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL}
TOO_COMPLEX = "Decoding it takes more memory or time than a recording may take. Save it again as WAV, FLAC or MP3."


class _EndedError(Exception):
    """The decoder has ended; ``cause`` is ``memory``, ``time``, ``crash`` or ``killed``."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


class _Decoder:
    """One process. Raises OSError if it cannot be started."""

    def __init__(self) -> None:
        self.used = self.busy = False
        self.idle_since_s = time.monotonic()
        with _temporary_file() as shared:
            shared.truncate(SLOTS * SLOT_SAMPLES * np.dtype(np.float32).itemsize)
            self.slots = np.frombuffer(mmap.mmap(shared.fileno(), 0), np.float32).reshape(SLOTS, SLOT_SAMPLES)
            self._channel, theirs = socket.socketpair()
            self._channel.settimeout(WAIT_S)
            self._received = b""
            path = os.pathsep.join(str(Path(folder).absolute()) for folder in sys.path)
            environment = {name: value for name, value in os.environ.items() if name in INHERITED}
            with theirs:
                descriptors = (theirs.fileno(), shared.fileno())
                self._process = subprocess.Popen(
                    # -P: no modules from the folder in which somebody happens to be.
                    [sys.executable, "-P", "-m", "tonearm.decoding.decoder", *map(str, descriptors)],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env=environment | {"PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"},
                    pass_fds=descriptors,
                )

    @property
    def alive(self) -> bool:
        """Whether the process has not ended."""
        return self._process.poll() is None

    def request(self, descriptor: int, max_duration_s: float | None) -> None:
        """Begin a recording. Raises _EndedError."""
        self.used = self.busy = True
        message = json.dumps({"max_duration_s": max_duration_s}).encode()
        try:
            socket.send_fds(self._channel, [message], [descriptor])
        except OSError:
            raise _EndedError(self._cause()) from None

    def send(self, word: bytes) -> bool:
        """Send NEXT or STOP; whether that could be done. That a decoder has ended is noticed by `receive`, too."""
        try:
            self._channel.sendall(word)
        except OSError:
            return False
        return True

    def receive(self, on_wait: Callable[[], None]) -> Any:
        """The content of the next message. Raises AudioError, _EndedError and what ``on_wait`` raises."""
        asked_s = time.monotonic()
        while b"\n" not in self._received:
            try:
                received = self._channel.recv(RECEIVE_BYTES)
            except TimeoutError:
                if time.monotonic() - asked_s > MESSAGE_TIMEOUT_S:
                    raise _EndedError("killed") from None
                on_wait()
                continue
            except OSError:
                received = b""
            if not received:
                raise _EndedError(self._cause())
            self._received += received
        line, _, self._received = self._received.partition(b"\n")
        ((kind, content),) = json.loads(line).items()
        self.busy = kind in ("stated", "window", "memory")  # after the last of these it ends
        if kind == "error":
            raise AudioError(*content)
        if kind == "unreadable":
            raise OSError(*content)
        if kind == "memory":
            raise _EndedError("memory")
        return content

    def _cause(self) -> str:
        """Why the process, which is ending, has ended."""
        try:
            code = self._process.wait(1)
        except subprocess.TimeoutExpired:
            return "killed"
        if code == -signal.SIGXCPU:
            return "time"
        return "crash" if -code in CRASHES else "killed"  # an exit of its own says nothing about the recording

    def end(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.wait()
        self._channel.close()


class DecoderPool:
    """Decoders at work, and those that wait for the next recording.

    As many wait as there were at work; when a recording is done, those end that have waited for a minute.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._places = BoundedSemaphore(MOST_DECODERS)
        self._idle: list[_Decoder] = []  # the one used last is the last
        self._at_work = 0
        self._least = 1

    def start(self, n: int) -> None:
        """Start decoders, so that the first recordings need not wait for it; ``n`` of them stay from now on."""
        self._least = n
        with contextlib.suppress(OSError):  # then the next recording starts one, or says that it cannot
            while len(self._idle) + self._at_work < n:
                decoder = _Decoder()
                with self._lock:
                    self._idle.append(decoder)

    def take(self, on_wait: Callable[[], None], *, fresh: bool = False) -> _Decoder:
        """A decoder for one recording; a ``fresh`` one has decoded nothing before.

        Raises:
            DecoderError: it cannot be started. Otherwise what ``on_wait`` raises.
        """
        while not self._places.acquire(timeout=WAIT_S):
            on_wait()
        with self._lock:
            found = next((each for each in reversed(self._idle) if each.alive and not (fresh and each.used)), None)
            if found is not None:
                self._idle.remove(found)
        try:
            decoder = found or _Decoder()
        except OSError as error:
            self._places.release()
            raise DecoderError(f"No process to decode it can be started: {error.strerror}.") from error
        with self._lock:
            self._at_work += 1
        return decoder

    def put(self, decoder: _Decoder) -> None:
        """Give back a decoder. One that is busy, as it has not done with its recording, is replaced."""
        decoder.idle_since_s = time.monotonic()
        with self._lock:
            self._at_work -= 1
            self._idle = [each for each in self._idle if each.alive] + ([] if decoder.busy else [decoder])
            surplus = self._idle[: max(len(self._idle) - self._least, 0)]
            ended = [each for each in surplus if each.idle_since_s < decoder.idle_since_s - IDLE_S]
            self._idle = [each for each in self._idle if each not in ended]
        self._places.release()
        for each in [*ended, decoder] if decoder.busy else ended:
            each.end()
        if decoder.busy:
            self.start(self._least)

    def close(self) -> None:
        """End all that wait."""
        while self._idle:
            self._idle.pop().end()


POOL = DecoderPool()
"""The decoders of this process."""
atexit.register(POOL.close)


def _forget_decoders() -> None:
    POOL.__init__()  # type: ignore[misc]


if hasattr(os, "register_at_fork"):
    # A child made by fork has its parent's sockets, and must not use them.
    os.register_at_fork(after_in_child=_forget_decoders)


class DecoderReader:
    """As `AudioReader`, by a decoder process. :meth:`close` it.

    Args:
        file: an open seekable binary file.
        max_duration_s: as for `AudioReader`.
        on_wait: called every half second in which nothing comes; it may raise to end the work.

    :meth:`open` and :meth:`windows` raise DecoderError, too.
    """

    def __init__(
        self, file: BinaryIO, *, max_duration_s: float | None = None, on_wait: Callable[[], None] = lambda: None
    ) -> None:
        self._file = file
        self._on_wait = on_wait
        self._max_duration_s = max_duration_s
        self._answers = self._decode()
        self._stated: Stated | None = None
        self._windows = 0  # given so far
        self._audio: Audio | None = None

    def open(self) -> Stated:
        """As `AudioReader.open`."""
        if self._stated is None:
            next(self._answers)
        return cast("Stated", self._stated)

    def windows(self) -> Iterator[Window]:
        """As `AudioReader.windows`. A window's samples are valid until the next one is asked for."""
        self.open()
        return cast("Iterator[Window]", self._answers)

    def facts(self) -> Audio:
        """As `AudioReader.facts`."""
        if self._audio is None:
            raise ValueError("facts() is for after the windows have been read")
        return self._audio

    def close(self) -> None:
        """End what is not finished."""
        self._answers.close()

    def _decode(self) -> Generator[Window | None]:
        """None once the recording is open, then the windows."""
        cause = ""
        with _descriptor(self._file) as descriptor:
            for fresh in (False, True):
                try:
                    yield from self._try(descriptor, fresh=fresh)
                except _EndedError as error:
                    cause = error.cause
                    if cause == "time":
                        break
                else:
                    return
        if cause == "killed":
            raise DecoderError("The process that decodes it was ended twice, or made no progress.")
        if cause == "crash":
            raise AudioError("corrupt", "It is so broken that it ends the decoder. Save or download it again.")
        raise AudioError("too_complex", TOO_COMPLEX)

    def _try(self, descriptor: int, *, fresh: bool) -> Generator[Window | None]:
        """All of it, but for what an earlier try has given already. Raises _EndedError."""
        decoder = POOL.take(self._on_wait, fresh=fresh)
        try:
            decoder.request(descriptor, self._max_duration_s)
            stated = Stated(**decoder.receive(self._on_wait))
            if self._stated is None:
                self._stated = stated
                try:
                    yield None
                except GeneratorExit:
                    decoder.busy = not decoder.send(STOP)
                    raise
            for number in itertools.count():
                decoder.send(NEXT)
                answer = decoder.receive(self._on_wait)
                if isinstance(answer, dict):
                    self._audio = Audio(**answer)
                    return
                start_s, end_s, n_samples = answer
                if number == self._windows:
                    self._windows += 1
                    yield Window(start_s, end_s, decoder.slots[number % SLOTS, :n_samples])
        finally:
            POOL.put(decoder)


@contextlib.contextmanager
def open_reader(
    source: AudioSource, *, max_duration_s: float | None = None, on_wait: Callable[[], None] = lambda: None
) -> Iterator[AudioReader | DecoderReader]:
    """The reader for a source: a decoder process, but for arrays and plain WAV files, which need no FFmpeg.

    Windows, which cannot hand an open file to another process in this way, decodes in this process.

    Args and Raises: as for `AudioReader` and `DecoderReader`.
    """
    if isinstance(source, tuple):
        yield AudioReader(source, max_duration_s=max_duration_s)
        return
    file = open_source(source)
    try:
        if plain_wav(file) is not None or not hasattr(socket, "send_fds"):
            yield AudioReader(file, max_duration_s=max_duration_s)
        else:
            reader = DecoderReader(file, max_duration_s=max_duration_s, on_wait=on_wait)
            with contextlib.closing(reader):
                yield reader
    finally:
        if file is not source:
            file.close()


@contextlib.contextmanager
def _descriptor(file: BinaryIO) -> Iterator[int]:
    """A descriptor of the file's content: its own if it is a file of the system, else a copy's."""
    raw = file.raw if isinstance(file, io.BufferedReader | io.BufferedRandom) else file
    if isinstance(raw, io.FileIO):
        file.seek(0)  # writes what is buffered
        yield raw.fileno()
        return
    with _temporary_file() if isinstance(file, io.BytesIO) else tempfile.TemporaryFile(buffering=0) as copy:
        if isinstance(file, io.BytesIO):
            copy.write(file.getvalue())  # shares the bytes that the file was made of; `getbuffer` copies them
        else:
            file.seek(0)
            shutil.copyfileobj(file, copy)
        yield copy.fileno()


def _temporary_file() -> IO[bytes]:
    """In memory, where the system has such files."""
    if not hasattr(os, "memfd_create"):
        return tempfile.TemporaryFile(buffering=0)
    return os.fdopen(os.memfd_create("tonearm"), "w+b", buffering=0)
