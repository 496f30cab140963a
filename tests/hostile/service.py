"""``make hostile``: what a stranger can do to the running service, measured: before, now, and what is allowed.

It starts storage and a functions host of its own. Exit code 1 if a bound is broken.
"""

import argparse
import contextlib
import os
import resource
import signal
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from typing import Self

import httpx
import psutil

from tests.audio_samples import encode, music
from tests.conftest import REPOSITORY, System
from tests.e2e.conftest import Client, open_client
from tests.hostile.cases import Case, drawn, largest
from tests.hostile.fuzz import CODES, OWN_MB, faults
from tests.hostile.grammars.flac import costly
from tests.hostile.runner import Runner

DESCRIPTORS = 1_024
HOSTILE_BODIES_S = 30.0
LIBRARY_S = 30.0
LARGEST_BODY_BYTES = 20 * 2**20
ORDINARY_S = 5.0
"""Within this an ordinary clip is answered on this machine beside hostile requests."""
BUSY_S = 30.0
"""What is not refused as ``busy`` is answered within this."""
ALL_MB = 1_536.0
"""Host and decoders together: three quarters of the smallest instance."""
SERVICE_CODES = CODES | {"busy", "bad_request"}
_FEEDBACK = b'{"result_id": "direct-%s", "genre": "rock", "predicted": "jazz", "model_version": "x"}' % (b"0" * 32)
WORST = [
    *("riff:info_list", "mp4:one_size", "mp4:alac", "mp4:edit_lists", "mp4:packed_movie", "mp4:many_tracks"),
    *("matroska:tracks", "matroska:wide_tracks", "matroska:zlib_blocks", "matroska:left_out_heads", "ogg:serials"),
    *("ogg:tiny_packets", "mpegts:many_streams", "frames:empty_frames", "flac:constant"),
]


@dataclass(frozen=True)
class Row:
    """One figure: before the service had limits, now, and the bound."""

    what: str
    before: str
    now: str
    bound: str
    ok: bool

    def __str__(self) -> str:
        return f"{self.what:64} {self.before:22} {self.now:30} {self.bound:18} {'pass' if self.ok else 'FAIL'}"


def seconds(what: str, before: str, now_s: float, bound_s: float, note: str = "", *, ok: bool = True) -> Row:
    """A row of a time."""
    return Row(what, before, f"{now_s:.1f} s{note}", f"{bound_s:g} s", ok and now_s <= bound_s)


class Ordinary:
    """A client that posts an ordinary clip every second, and what it was answered."""

    def __init__(self, client: Client, clip: bytes, genre: str) -> None:
        self._client, self._clip, self._genre = client, clip, genre
        self._done = Event()
        self._futures: list[Future[tuple[bool, float]]] = []
        self._thread = Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        with ThreadPoolExecutor(200) as pool:
            while True:
                self._futures.append(pool.submit(self._post))
                if self._done.wait(1.0):
                    return

    def _post(self) -> tuple[bool, float]:
        return answered(self._client, self._clip, self._genre)

    def rows(self, what: str, before: str, bound_s: float) -> Iterator[Row]:
        answers = [each.result() for each in self._futures]
        right = sum(ok for ok, _ in answers)
        yield Row(
            f"{what}: ordinary clips answered right", "", f"{right} of {len(answers)}", "all", right == len(answers)
        )
        slowest = max((s for _, s in answers), default=0.0)
        yield seconds(f"{what}: slowest ordinary answer", before, slowest, bound_s)


def answered(client: Client, clip: bytes, genre: str, timeout_s: float = 300.0) -> tuple[bool, float]:
    """Whether a clip is answered as always, and after how many seconds."""
    start_s = time.monotonic()
    try:
        answer = httpx.post(f"{client.system.api_url}/classify", content=clip, timeout=timeout_s)
        ok = answer.status_code == 200 and answer.json()["genre"] == genre
    except httpx.HTTPError:
        ok = False
    return ok, time.monotonic() - start_s


@dataclass
class Memory:
    """The most memory of the host, and of it and its decoders together, in MB, while this runs."""

    pid: int
    host_mb: float = 0.0
    all_mb: float = 0.0
    _done: Event = field(default_factory=Event)

    def __enter__(self) -> Self:
        self._thread = Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        host = psutil.Process(self.pid)
        while not self._done.wait(0.05):
            with contextlib.suppress(psutil.Error):
                own_mb = host.memory_info().rss / 2**20
                others_mb = 0.0
                for child in host.children():
                    with contextlib.suppress(psutil.Error):
                        memory = child.memory_info()
                        others_mb += (memory.rss - memory.shared) / 2**20
                self.host_mb, self.all_mb = max(self.host_mb, own_mb), max(self.all_mb, own_mb + others_mb)


class Service:
    """All rows about one running system."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.system = client.system
        self.clip = encode("mp3", music(30))
        answer = client.classify(self.clip)
        answer.raise_for_status()
        self.genre = answer.json()["genre"]
        self.rest_mb = psutil.Process(self.system.pid).memory_info().rss / 2**20

    def hostile_bodies(self) -> Iterator[Row]:
        """Every kind of case, by two clients that never pause."""
        cases = iter([*map(Case.of, WORST), *largest(), *drawn(100_000)])
        codes: dict[str, int] = {}
        broken: list[str] = []
        slowest: list[tuple[float, str]] = []
        until_s = time.monotonic() + HOSTILE_BODIES_S

        def send() -> None:
            while time.monotonic() < until_s and (case := next(cases, None)):
                content = case.content()
                if len(content) > LARGEST_BODY_BYTES:
                    continue
                start_s = time.monotonic()
                try:
                    answer = httpx.post(f"{self.system.api_url}/classify", content=content, timeout=120)
                    code = "ok" if answer.status_code == 200 else str(answer.json()["code"])
                except (httpx.HTTPError, ValueError, KeyError) as error:
                    code = type(error).__name__
                codes[code] = codes.get(code, 0) + 1
                slowest.append((round(time.monotonic() - start_s, 1), f"{case.format}:{case.kind}"))
                if code not in SERVICE_CODES:
                    broken.append(f"{case.name}: {code}")

        with Memory(self.system.pid) as memory, Ordinary(self.client, self.clip, self.genre) as ordinary:
            senders = [Thread(target=send) for _ in range(2)]
            for each in senders:
                each.start()
            for each in senders:
                each.join()
        total = sum(codes.values())
        yield Row(
            "hostile bodies: answers with a known code", "", f"{total - len(broken)} of {total}", "all", not broken
        )
        for each in broken[:5]:
            print(f"  {each}")
        took_s, name = max(slowest)
        yield seconds(f"hostile bodies: slowest answer, {name}", "21 s of CPU", took_s, 120.0)
        yield from ordinary.rows("hostile bodies", "none (out of memory)", ORDINARY_S)
        bound_mb = self.rest_mb + OWN_MB
        now = f"{memory.host_mb:.0f} MB ({self.rest_mb:.0f} at rest)"
        yield Row(
            "hostile bodies: the host's own memory",
            "800 to 5,000 MB",
            now,
            f"{bound_mb:.0f} MB",
            memory.host_mb <= bound_mb,
        )
        now = f"{memory.all_mb:.0f} MB"
        yield Row(
            "hostile bodies: host and decoders", "800 to 5,000 MB", now, f"{ALL_MB:.0f} MB", memory.all_mb <= ALL_MB
        )

    def decoder_back(self) -> Iterator[Row]:
        """An ordinary clip right after a file that ends its decoder."""
        times, codes = [], set()
        for _ in range(5):
            answer = self.client.classify(Case.of("ogg:serials").content())
            codes.add(answer.json().get("code"))
            ok, took_s = answered(self.client, self.clip, self.genre)
            times.append(took_s if ok else float("inf"))
        yield seconds("the next ordinary clip after a decoder's end (median)", "", sorted(times)[2], 1.0, f", {codes}")

    def costly_flacs(self) -> Iterator[Row]:
        """Sixteen at once: 880 s of 8 channels at 655 kHz each, in 315 KB, which do not state how long they are."""
        content = costly(stated=False)
        with Ordinary(self.client, self.clip, self.genre) as ordinary, ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(self.client.classify, [content] * 16))
        codes = {answer.json().get("code", "ok") for answer in answers}
        yield Row(
            "16 costly FLACs: their answers",
            "11 s of CPU each",
            ", ".join(sorted(codes)),
            "known codes",
            codes <= SERVICE_CODES,
        )
        yield from ordinary.rows("16 costly FLACs", "156 s", BUSY_S)

    def long_recordings(self) -> Iterator[Row]:
        """A hundred at once: a quarter of an hour in 19 KB, of which each takes seconds and states no length."""
        content = costly(2, 96_000, 1_300, stated=False, level=64)

        def post(body: bytes) -> tuple[str, float]:
            start_s = time.monotonic()
            answer = httpx.post(f"{self.system.api_url}/classify", content=body, timeout=300)
            return str(answer.json().get("code", "ok")), time.monotonic() - start_s

        beside: list[tuple[str, float]] = []
        with ThreadPoolExecutor(100) as pool:
            long = [pool.submit(post, content) for _ in range(100)]
            while not all(each.done() for each in long):
                time.sleep(1)
                beside.append(post(self.clip))
        codes = Counter(each.result()[0] for each in long)
        yield Row(
            "100 long recordings that state no length: their answers",
            "",
            ", ".join(f"{n} {code}" for code, n in sorted(codes.items())),
            "known codes",
            codes.keys() <= SERVICE_CODES,
        )
        answers = Counter(code for code, _ in beside)
        yield seconds(
            "100 long recordings: slowest ordinary answer",
            "",
            max(took_s for _, took_s in beside),
            BUSY_S,
            "".join(f", {n} {code}" for code, n in sorted(answers.items())),
            ok=answers.keys() <= {"ok", "busy"},
        )

    def forms(self) -> Iterator[Row]:
        """60 MiB of headers, beside 60 MiB of zeros, which only have to be received."""
        form = b'--B\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n'
        form += b"A: b\r\n" * (60 * 2**20 // 6 - 100)
        times = []
        for body, kind in ((bytes(len(form)), "audio/wav"), (form, "multipart/form-data; boundary=B")):
            start_s = time.monotonic()
            status = self.client.classify(body, **{"Content-Type": kind}).status_code
            times.append(time.monotonic() - start_s)
        now_s = max(0.0, times[1] - times[0])
        yield seconds(
            "multipart of nothing but headers, 60 MiB, above receiving it",
            "seconds to minutes",
            now_s,
            1.0,
            f", {status}",
        )

    def origins(self) -> Iterator[Row]:
        """Feedback from a page of another origin, and a request to a name that is not this host's."""
        body = _FEEDBACK
        for kind, origin, allowed in (
            ("text/plain", None, {400, 415}),
            ("application/json", "https://foreign.example", {403}),
        ):
            headers = {"Content-Type": kind} | ({"Origin": origin} if origin else {})
            status = self.client.http.post("/feedback", content=body, headers=headers).status_code
            yield Row(
                f"feedback as {kind}, Origin {origin}", "200", str(status), str(sorted(allowed)), status in allowed
            )
        made_up = self.client.http.post(
            "/feedback", content=body, headers={"Content-Type": "application/json"}
        ).status_code
        yield Row(
            "feedback on a direct id that was never given", "200", str(made_up), "400 to 404", 400 <= made_up <= 404
        )

    def bodiless(self) -> Iterator[Row]:
        """128 requests of which the body never comes."""
        with contextlib.ExitStack() as stack:
            for _ in range(128):
                each = stack.enter_context(self._connection())
                each.sendall(b"POST /api/classify HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n")
            time.sleep(1)
            ok, took_s = answered(self.client, self.clip, self.genre, 60)
            yield seconds(
                "an ordinary clip beside 128 requests without body",
                "503 while they hold",
                took_s,
                10.0,
                "" if ok else ", not right",
                ok=ok,
            )

    def idle(self) -> Iterator[Row]:
        """1,100 connections that say nothing, at 1,024 descriptors."""
        with contextlib.ExitStack() as stack:
            for _ in range(1_100):
                with contextlib.suppress(OSError):
                    stack.enter_context(self._connection())
            time.sleep(1)
            before, watched_s = self.system.log_path.stat().st_size, 5.0
            ok, took_s = answered(self.client, self.clip, self.genre, 60)
            time.sleep(max(0.0, watched_s - took_s))
            grown = (self.system.log_path.stat().st_size - before) / max(watched_s, took_s) / 2**20
            yield Row(
                "1,100 idle connections: the log grows by", "4 MB/s", f"{grown:.3f} MB/s", "0.1 MB/s", grown < 0.1
            )
            yield seconds(
                "1,100 idle connections: an ordinary clip",
                "not answered",
                took_s,
                30.0,
                "" if ok else ", not right",
                ok=ok,
            )

    def _connection(self) -> socket.socket:
        host, _, port = self.system.address.partition(":")
        return socket.create_connection((host, int(port)), timeout=5)

    def names(self) -> Iterator[Row]:
        """Blobs with names that XML cannot hold."""
        for sign in "\x01\x0b\ufffe\uffff":
            self.client.drop(f"odd-{sign}.wav", b"x")
        start_s = time.monotonic()
        self.client.drop("after-odd-names.wav", encode("wav", music(2)))
        ok = self._result("after-odd-names.wav", 60)
        yield seconds(
            "an upload beside names with U+0001, U+000B, U+FFFE, U+FFFF",
            "never",
            time.monotonic() - start_s,
            30.0,
            ok=ok,
        )

    def _result(self, name: str, timeout_s: float) -> bool:
        until_s = time.monotonic() + timeout_s
        while time.monotonic() < until_s:
            with contextlib.suppress(httpx.HTTPError):
                if self.client.result(name).status_code == 200:
                    return True
            time.sleep(0.2)
        return False

    def storage_killed(self) -> Iterator[Row]:
        """SIGKILL of storage while uploads are answered, and storage again."""
        names = [f"killed-{number}.wav" for number in range(60)]
        sound = encode("wav", music(3))
        for name in names:
            self.client.drop(name, sound)
        self._result(names[9], 30)
        os.kill(self.system.storage.pid, signal.SIGKILL)
        time.sleep(3)
        self.system.storage.start()
        for name in names:  # what storage itself has lost is uploaded again
            if not self.client.blobs.get_blob_client("uploads", name).exists():
                self.client.drop(name, sound)
        until_s = time.monotonic() + 90
        pending = sum(not self._result(name, max(0.3, until_s - time.monotonic())) for name in names)
        yield Row(
            "uploads pending after SIGKILL of storage", "9 of 226", f"{pending} of {len(names)}", "0", pending == 0
        )

    def storage_hangs(self) -> Iterator[Row]:
        """SIGSTOP of storage."""
        storage = psutil.Process(self.system.storage.pid)
        storage.suspend()
        try:
            time.sleep(2.5)
            for path, before, status in (("/health", "28 s, 200", 503), ("/limits", "26 s", 200)):
                start_s = time.monotonic()
                got = self.client.http.get(path).status_code
                now_s = time.monotonic() - start_s
                yield seconds(f"storage hangs: {path}", before, now_s, 3.0, f", {got}", ok=got == status)
            ok, took_s = answered(self.client, self.clip, self.genre, 60)
            yield seconds("storage hangs: an ordinary clip", "", took_s, ORDINARY_S, ok=ok)
        finally:
            storage.resume()

    def long_uploads(self) -> Iterator[Row]:
        """Four uploads of four hours and five of some seconds."""
        long = encode("mp3", music(60)) * 240
        small = encode("mp3", music(5))
        for number in range(4):
            self.client.drop(f"long-{number}.mp3", long)
        start_s = time.monotonic()
        names = [f"small-{number}.mp3" for number in range(5)]
        for name in names:
            self.client.drop(name, small)
        ok = sum(self._result(name, 120) for name in names) == len(names)
        yield seconds("five small uploads beside four of four hours", "420 s", time.monotonic() - start_s, 60.0, ok=ok)


def without_storage(folder: Path) -> Iterator[Row]:
    """A host whose storage is not there."""
    system = System(folder, REPOSITORY)
    system.start()
    try:
        for client in open_client(system):
            start_s = time.monotonic()
            ok = client.classify(encode("wav", music(2))).status_code == 200
            yield seconds("a start without storage: classify", "26 s", time.monotonic() - start_s, ORDINARY_S, ok=ok)
            start_s = time.monotonic()
            status = client.http.get("/health").status_code
            yield seconds(
                "a start without storage: /health",
                "28 s",
                time.monotonic() - start_s,
                3.0,
                f", {status}",
                ok=status == 503,
            )
    finally:
        system.stop()


def library() -> Iterator[Row]:
    """`tonearm.Classifier` in a process of its own."""
    until_s = time.monotonic() + LIBRARY_S
    most_mb, n, broken = 0.0, 0, []
    with Runner(by="classifier") as runner:
        for case in (*map(Case.of, WORST), *largest()):
            if time.monotonic() > until_s:
                break
            outcome = runner.run(case)
            most_mb, n = max(most_mb, outcome.own_mb), n + 1
            broken += [f"{case.name}: {each}" for each in faults(outcome)]
    for each in broken:
        print(f"  {each}")
    yield Row(
        "the library: memory above rest, over hostile files",
        "800 to 5,000 MB",
        f"{most_mb:.0f} MB",
        f"{OWN_MB:.0f} MB",
        most_mb <= OWN_MB,
    )
    yield Row("the library: hostile files answered within bounds", "", f"{n - len(broken)} of {n}", "all", not broken)


def rows(folder: Path, chosen: Callable[[str], bool]) -> Iterator[Row]:
    """All chosen rows, one after another."""
    if chosen("library"):
        yield from library()
    if chosen("without_storage"):
        yield from without_storage(folder / "alone")
    steps = [
        *(
            "hostile_bodies",
            "decoder_back",
            "costly_flacs",
            "long_recordings",
            "forms",
            "origins",
            "bodiless",
            "idle",
            "names",
        ),
        *("storage_killed", "storage_hangs", "long_uploads"),
    ]
    if not any(map(chosen, steps)):
        return
    system = System(folder, REPOSITORY)
    system.storage.start()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, hard))
    system.start()
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4 * DESCRIPTORS, hard), hard))
    try:
        for client in open_client(system):
            service = Service(client)
            for step in filter(chosen, steps):
                try:
                    yield from getattr(service, step)()
                except Exception as error:
                    yield Row(step, "", f"{type(error).__name__}: {str(error)[:60]}", "an answer", ok=False)
    finally:
        system.kill()
        system.storage.stop()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.hostile.service", description=__doc__)
    parser.add_argument("--step", action="append", help="only these (default: all)")
    options = parser.parse_args()
    start_s, failed = time.monotonic(), 0
    print(Row("what", "before", "now", "bound", ok=True))
    with tempfile.TemporaryDirectory() as name:
        for row in rows(Path(name), lambda step: options.step is None or step in options.step):
            print(row, flush=True)
            failed += not row.ok
    minutes = (time.monotonic() - start_s) / 60
    # What else runs on these cores makes every time longer.
    print(f"{failed} failed, in {minutes:.1f} minutes; load average {os.getloadavg()[1]:.1f} on {os.cpu_count()} cores")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
