import csv
import io
import json
import math
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.audio_samples import encode, music
from tests.tonearm import audioset_version
from tonearm import cli, terminal
from tonearm.classification import ModelAnswer, Models, Part
from tonearm.classifier import Classifier
from tonearm.cli import audio_files, main
from tonearm.constants import GENRES
from tonearm.decoding import audio
from tonearm.errors import AudioError

pytestmark = pytest.mark.slow  # each test starts the program

COMMAND = (sys.executable, "-m", "tonearm.cli", "classify")


@pytest.fixture(scope="module")
def clip() -> bytes:
    """Two seconds of something like music."""
    return encode("wav", music(2.0))


@pytest.fixture(scope="module")
def doubtful_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped model under another name, and never sure of anything."""
    shipped = Classifier.load().manifest.folder
    folder = tmp_path_factory.mktemp("model")
    for file in shipped.iterdir():
        (folder / file.name).symlink_to(file)
    manifest = json.loads((shipped / "manifest.json").read_text())
    (folder / "manifest.json").unlink()
    for numbers in manifest["modes"].values():
        numbers["uncertain_below"] = 1.1
    (folder / "manifest.json").write_text(json.dumps(manifest | {"version": "doubtful"}))
    return folder


@pytest.fixture
def music_folder(tmp_path: Path, clip: bytes) -> Path:
    """Two recordings, one of them deep and in capitals, one broken file, and what is no audio by its name."""
    folder = tmp_path / "music"
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "b.wav").write_bytes(clip)
    (folder / "deep" / "er" / "SHOUT.MP3").write_bytes(encode("mp3", music(3.0)))
    (folder / "broken.mp3").write_bytes(b"no audio at all")
    (folder / "cover.jpg").write_bytes(b"a picture")
    (folder / "readme").write_bytes(b"text")
    return folder


def rows(out: str) -> list[list[str]]:
    """A table's lines, split at two spaces or more."""
    return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in out.splitlines()]


# --- arguments, which need no model


@pytest.mark.parametrize(
    "arguments", [[], ["classify"], ["classify", "--json", "--csv", "a.wav"], ["classify", "--loud", "a.wav"], ["sing"]]
)
def test_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    printed = capsys.readouterr()
    assert not printed.out
    assert "usage: tonearm" in printed.err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"tonearm {version('tonearm')}\n"


def test_help_says_the_exit_statuses(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["classify", "--help"])
    assert ended.value.code == 0
    assert "exit status: 0 all classified, 1 some failed, 2 wrong usage" in capsys.readouterr().out


def test_help_and_version_load_nothing_heavy() -> None:
    program = (
        "import sys\nfrom tonearm.cli import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit:\n    print(*sys.modules, sep='\\n')"
    )
    for arguments in (["classify", "--help"], ["--version"]):
        done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True)
        loaded = set(done.stdout.splitlines())
        assert "tonearm.cli" in loaded
        assert not loaded & {"numpy", "scipy", "av", "onnxruntime", "tonearm.classifier"}


def test_no_audio_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.txt").write_text("no music here")
    assert main(["classify", str(tmp_path)]) == 2
    printed = capsys.readouterr()
    assert not printed.out
    assert printed.err == "tonearm: no audio found in the folders given\n"


def test_no_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["classify", "--model", str(tmp_path / "nowhere"), "a.wav"]) == 2
    printed = capsys.readouterr()
    assert not printed.out
    assert printed.err.startswith("tonearm: ")
    assert "nowhere" in printed.err


def test_folders_are_searched_by_extension(music_folder: Path) -> None:
    found = [path.relative_to(music_folder).as_posix() for path in audio_files([music_folder])]
    assert found == ["b.wav", "broken.mp3", "deep/er/SHOUT.MP3"]


def test_hidden_files_and_folders_are_left_out(music_folder: Path) -> None:
    (music_folder / "._b.wav").write_bytes(b"")
    (music_folder / ".trash").mkdir()
    (music_folder / ".trash" / "c.wav").write_bytes(b"")
    assert len(list(audio_files([music_folder]))) == 3
    assert list(audio_files([music_folder / ".trash"])) == [music_folder / ".trash" / "c.wav"]


def test_links_to_folders_are_followed_once(tmp_path: Path) -> None:
    for folder in ("library/albums/b", "music"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "library/albums/b/1.mp3").touch()
    (tmp_path / "music/linked").symlink_to(tmp_path / "library/albums")
    (tmp_path / "music/again").symlink_to(tmp_path / "library/albums/b")
    (tmp_path / "library/albums/up").symlink_to(tmp_path / "music")
    assert list(audio_files([tmp_path / "music"])) == [tmp_path / "music/again/1.mp3"]


def test_named_files_are_taken_as_they_are(music_folder: Path) -> None:
    named = [music_folder / "readme", music_folder / "missing.wav", music_folder / "b.wav"]
    assert list(audio_files(named)) == named


def test_an_unreadable_folder_is_not_passed_over(music_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Permissions do not stop the superuser, as whom tests may run; so the refusal is staged.
    locked = music_folder / "deep"
    scandir = os.scandir

    def refuse(path: Any) -> Iterator[os.DirEntry[str]]:
        if Path(path) == locked:
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert list(audio_files([music_folder])) == [music_folder / "b.wav", music_folder / "broken.mp3", locked]


# --- with the shipped models


def test_table(music_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["classify", str(music_folder)]) == 1
    printed = capsys.readouterr()
    heading, first, broken, deep = rows(printed.out)
    assert heading == ["file", "genre", "confidence", "duration", "notes"]
    assert first[0] == str(music_folder / "b.wav")
    assert first[1] in GENRES
    assert first[2].removesuffix("%").removeprefix(">").isdigit() or first[2] == "not sure"
    assert first[3] == "0:02"
    assert broken[:3] == [str(music_folder / "broken.mp3"), "failed", "unsupported_format"]
    assert broken[3].startswith("This is not an audio file we can read. ")
    assert deep[0] == str(music_folder / "deep" / "er" / "SHOUT.MP3")
    assert deep[3] == "0:03"
    assert not printed.err


def test_all_classified(music_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["classify", str(music_folder / "b.wav"), str(music_folder / "deep")]) == 0
    assert len(rows(capsys.readouterr().out)) == 3


def test_a_file_named_twice_is_classified_once(music_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = str(music_folder / "b.wav")
    assert main(["classify", clip, str(music_folder / "deep"), clip]) == 0
    assert len(rows(capsys.readouterr().out)) == 3


def test_an_extension_does_not_matter_for_a_named_file(
    tmp_path: Path, clip: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "song.txt").write_bytes(clip)
    assert main(["classify", str(tmp_path / "song.txt")]) == 0
    assert "0:02" in capsys.readouterr().out


def test_a_missing_file_fails_and_the_rest_goes_on(music_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = music_folder / "missing.wav"
    assert main(["classify", str(missing), str(music_folder / "b.wav")]) == 1
    _, failed, good = rows(capsys.readouterr().out)
    assert failed[:3] == [str(missing), "failed", "unreadable"]
    assert "No such file" in failed[3]
    assert good[1] in GENRES


def test_json_lines_are_the_results(music_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["classify", "--json", str(music_folder)]) == 1
    first, broken, deep = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    clip = music_folder / "b.wav"
    assert first["file"] == first["id"] == str(clip)
    direct = json.loads(Classifier.load().classify(clip, result_id=str(clip)).to_json())
    passing = {"created_at": "", "timings_ms": {}}
    assert first | passing == {"file": str(clip)} | direct | passing
    assert list(first["probabilities"]) == list(GENRES)
    assert math.isclose(sum(first["probabilities"].values()), 1, abs_tol=1e-6)
    assert deep["status"] == "done"
    assert (broken["status"], broken["problem"]["code"]) == ("failed", "unsupported_format")
    assert broken["file"] == str(music_folder / "broken.mp3")
    assert broken["model_version"] == first["model_version"]


def test_csv(music_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["classify", "--csv", str(music_folder)]) == 1
    out = capsys.readouterr().out
    assert "\r" not in out
    first, broken, _ = csv.DictReader(io.StringIO(out))
    direct = Classifier.load().classify(music_folder / "b.wav")
    assert first == {
        "file": str(music_folder / "b.wav"),
        "id": str(music_folder / "b.wav"),
        "status": "done",
        "genre": direct.genre,
        "confidence": str(direct.confidence),
        "uncertain": str(direct.uncertain).lower(),
        "uncertain_because": " ".join(direct.uncertain_because),
        "svm": direct.models.svm.genre,
        "vgg19": direct.models.vgg19.genre,
        "audioset": direct.models.audioset.genre,
        "music": str(direct.music),
        "duration_s": str(direct.audio.duration_s),
        "codec": "pcm_s16le",
        "sample_rate_hz": "22050",
        "channels": "1",
        "track": "",
        "damaged": "false",
        "problem_code": "",
        "reason": cli._doubt(direct),
        "model_version": direct.model_version,
        "created_at": first["created_at"],
    } | {genre: str(share) for genre, share in direct.probabilities.items()}
    filled = {name: value for name, value in broken.items() if value}
    assert filled == {
        "file": str(music_folder / "broken.mp3"),
        "id": str(music_folder / "broken.mp3"),
        "status": "failed",
        "problem_code": "unsupported_format",
        "reason": filled["reason"],
        "model_version": direct.model_version,
        "created_at": filled["created_at"],
    }
    assert filled["reason"].startswith("This is not an audio file we can read. ")


def test_a_version_with_three_models(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(audioset_version.make(tmp_path / "2026.12.0", fast={"weights": {"audioset": 1}}))
    (tmp_path / "b.wav").write_bytes(encode("wav", music(3)))
    (tmp_path / "c.wav").write_bytes(encode("wav", audioset_version.sound(3, audioset_version.NO_MUSIC)))
    files = [str(tmp_path / name) for name in ("b.wav", "c.wav")]
    assert main(["classify", "--model", folder, *files]) == 1
    _, good, bad = rows(capsys.readouterr().out)
    assert re.fullmatch(r"SVM \w+, VGG19 \w+, AudioSet network \w+", good[4])
    assert bad[1:3] == ["failed", "not_music"]
    assert bad[3].startswith("No music is heard in the recording. ")
    assert main(["classify", "--model", folder, "--csv", "--fast", *files]) == 1
    first, second = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert (first["svm"], first["vgg19"], first["audioset"]) == ("", "", first["genre"])
    assert float(first["music"]) == pytest.approx(1)
    assert (second["problem_code"], second["music"]) == ("not_music", "")


def test_another_model_and_its_doubt(
    music_folder: Path, doubtful_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = str(music_folder / "b.wav")
    assert main(["classify", "--model", str(doubtful_model), clip]) == 0
    table = rows(capsys.readouterr().out)
    assert main(["classify", "--model", str(doubtful_model), "--csv", clip]) == 0
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert main(["classify", "--model", str(doubtful_model), "--json", clip]) == 0
    result = json.loads(capsys.readouterr().out)
    assert table[1][1:3] == [result["genre"], "not sure"]
    assert table[1][4].startswith("no genre stands out")
    assert (row["uncertain"], row["uncertain_because"].split()[0]) == ("true", "low_confidence")
    assert table[1][4].startswith(row["reason"])
    assert row["reason"].startswith("no genre stands out")
    assert result["model_version"] == "doubtful"


@pytest.mark.parametrize(
    ("track", "said"), [(None, ""), (1, ""), (2, "; track 2")], ids=["one track", "the first", "another"]
)
def test_the_notes_name_parts_and_track(
    music_folder: Path, capsys: pytest.CaptureFixture[str], track: int | None, said: str
) -> None:
    direct = Classifier.load().classify(music_folder / "b.wav")
    answer = ModelAnswer(genre="jazz", probabilities=direct.probabilities)
    result = replace(
        direct,
        uncertain=True,
        uncertain_because=["low_confidence", "not_music", "mixed"],
        parts=[Part(start_s=0, end_s=30, genre="jazz"), Part(start_s=30, end_s=60, genre="hiphop")],
        models=Models(svm=answer, vgg19=answer),
        audio=replace(direct.audio, track=track),
    )
    cli._table([Path("b.wav")])(Path("b.wav"), result)
    assert rows(capsys.readouterr().out)[1][4] == f"Jazz → Hip-hop (2 parts); may be no music{said}"


def test_a_broken_model_is_a_sentence(
    music_folder: Path, doubtful_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(doubtful_model, tmp_path / "model")
    (tmp_path / "model" / "svm.onnx").write_bytes(b"not what the manifest names")
    assert main(["classify", "--model", str(tmp_path / "model"), str(music_folder)]) == 2
    printed = capsys.readouterr()
    assert not printed.out
    assert printed.err.startswith("tonearm: ")
    assert "svm.onnx" in printed.err


def test_names_of_any_bytes(tmp_path: Path, clip: bytes) -> None:
    names = [b'a,"b".wav', b"c\nd\x1b[31m.wav", b"\xc3\xa9t\xc3\xa9 \xe9.wav"]
    for name in names:
        (tmp_path / os.fsdecode(name)).write_bytes(clip)
    ran = {
        form: subprocess.run([*COMMAND, *form, str(tmp_path)], capture_output=True, check=True)
        for form in ((), ("--csv",), ("--json",))
    }
    paths = [bytes(tmp_path) + b"/" + name for name in names]
    assert len(ran[()].stdout.splitlines()) == 4
    assert b"\x1b" not in ran[()].stdout
    text = ran["--csv",].stdout.decode(errors="surrogateescape")
    # --csv is for spreadsheets; JSON has the exact path.
    shown = [re.sub(b"[\x1b\n]", "\N{REPLACEMENT CHARACTER}".encode(), path) for path in paths]
    assert [os.fsencode(row["file"]) for row in csv.DictReader(io.StringIO(text))] == shown
    assert [os.fsencode(json.loads(line)["file"]) for line in ran["--json",].stdout.splitlines()] == paths


def test_output_without_a_terminal_has_no_progress(music_folder: Path) -> None:
    ran = subprocess.run([*COMMAND, str(music_folder)], capture_output=True, check=False)
    assert ran.returncode == 1
    assert ran.stderr == b""


def on_terminal(arguments: list[str], *, columns: int = 80) -> tuple[int, bytes, bytes]:
    """Runs the command with a terminal for its stderr; returns its status, its stdout, and what the terminal got."""
    master, slave = pty.openpty()
    try:
        environment = os.environ | {"COLUMNS": str(columns)}
        ran = subprocess.run([*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=slave, check=False, env=environment)
        os.set_blocking(master, False)
        try:
            printed = os.read(master, 65_536)
        except BlockingIOError:
            printed = b""
        return ran.returncode, ran.stdout, printed
    finally:
        os.close(master)
        os.close(slave)


def test_progress_on_a_terminal_leaves_no_trace(music_folder: Path) -> None:
    status, out, printed = on_terminal(["--csv", str(music_folder)], columns=200)
    assert status == 1
    assert len(out.splitlines()) == 4
    for step in (b"1/3 ", b"2/3 ", b"3/3 "):
        assert step + bytes(music_folder) in printed
    assert printed.count(b"\r\x1b[K") >= 3
    assert printed.endswith(b"\r\x1b[K")
    assert b"\n" not in printed


def test_progress_keeps_to_one_line(music_folder: Path) -> None:
    _, _, printed = on_terminal(["--csv", str(music_folder)], columns=20)
    steps = [step for step in printed.replace(b"\r\x1b[K", b"\n").split(b"\n") if step]
    assert steps
    assert all(len(step) <= 19 for step in steps)


def test_no_progress_for_one_file(music_folder: Path) -> None:
    _, _, printed = on_terminal([str(music_folder / "b.wav")])
    assert printed == b""


@pytest.fixture
def halfway(tmp_path: Path, clip: bytes) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """The command, done with a first file and held up by a second: a pipe nobody writes to until a test does."""
    pipe = tmp_path / "pipe.wav"
    (tmp_path / "first.wav").write_bytes(clip)
    os.mkfifo(pipe)
    process = subprocess.Popen(
        [*COMMAND, "--json", str(tmp_path / "first.wav"), str(pipe)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # Buffered as on most machines, or some faults would not show.
        env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"},
        start_new_session=True,
        # A shell that starts tests in the background has them ignore Ctrl-C, and all that they start.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )
    assert process.stdout is not None
    try:
        # Results come as they are done: if they came when all are, this would wait in vain.
        assert select.select([process.stdout], [], [], 60)[0], "no result of the first file"
        assert json.loads(process.stdout.readline())["status"] == "done"
        yield process, pipe
    finally:
        process.kill()
        process.communicate()


def test_ctrl_c_ends_quietly(halfway: tuple[subprocess.Popen[bytes], Path]) -> None:
    process, _ = halfway
    process.send_signal(signal.SIGINT)
    out, printed = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == b""
    assert printed == b""


def test_a_reader_that_goes_away_ends_it_quietly(halfway: tuple[subprocess.Popen[bytes], Path]) -> None:
    process, pipe = halfway
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    pipe.write_bytes(b"")  # the second file: it fails, and its line finds no reader
    printed = process.stderr.read()
    assert process.wait(timeout=60) == 141
    assert printed == b""


def test_sample(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", str(tmp_path / "clip.wav")]) == 0
    assert main(["classify", str(tmp_path / "clip.wav")]) == 0
    assert " rock " in capsys.readouterr().out
    assert main(["sample", str(tmp_path / "nowhere" / "clip.wav")]) == 2
    assert "cannot be written" in capsys.readouterr().err


# --- hostile names, and an output that fails


@pytest.mark.parametrize("form", [[], ["--csv"]])
def test_no_name_controls_a_terminal(form: list[str], tmp_path: Path) -> None:
    names = ["\x1b]0;title\x07.wav", "a\x9b31m.wav", "b\u202e3pm.wav", "c\udc9b31m.wav", "x;=cmd.wav"]
    for name in names:
        (tmp_path / name).write_bytes(b"no audio")
    ran = subprocess.run([*COMMAND, *form, *names, "--\x1b[31m"], capture_output=True, cwd=tmp_path, check=False)
    assert ran.returncode == 2
    ran_too = subprocess.run([*COMMAND, *form, *names], capture_output=True, cwd=tmp_path, check=False)
    assert ran_too.returncode == 1
    printed = (ran.stderr + ran_too.stdout + ran_too.stderr).decode()  # each byte is of a character
    assert "title" in printed
    assert {sign for sign in printed if not sign.isprintable()} == {"\n"}
    assert ("x;'=cmd.wav" in printed) is bool(form)


@given(st.text() | st.text(st.sampled_from("\x1b\x9b\n\r\u202e\u200b\udcff a")))
def test_printable_text_is_printable(text: str) -> None:
    assert terminal.printable(text).isprintable()
    assert len(terminal.printable(text)) == len(text)


@pytest.mark.parametrize("name", ["-", "/dev/stdin"])
def test_standard_input(name: str, clip: bytes) -> None:
    ran = subprocess.run([*COMMAND, "--json", name], input=clip, stdout=subprocess.PIPE, check=False)
    result = json.loads(ran.stdout)
    assert (ran.returncode, result["file"], result["status"]) == (0, name, "done")
    assert result["audio"]["damaged"] is False


def test_standard_input_may_be_closed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert main(["classify", "-"]) == 1
    assert "Standard input is closed." in capsys.readouterr().out


def test_a_pipe_may_bring_too_much() -> None:
    reader, writer = os.pipe()
    with pytest.MonkeyPatch.context() as patch, os.fdopen(reader, "rb") as pipe:
        patch.setattr(audio, "MOST_PIPE_BYTES", 1_000)
        os.write(writer, bytes(2_000))
        os.close(writer)
        with pytest.raises(AudioError) as caught:
            audio.open_source(pipe)
    assert caught.value.code == "too_large"


def test_pipes_in_folders_are_left_out(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "gone.wav").symlink_to(tmp_path / "nowhere")
    assert list(audio_files([tmp_path])) == [tmp_path / "gone.wav"]


@pytest.mark.parametrize("arguments", [["classify", "a.wav"], ["classify", "--csv", "a.wav"], ["--help"]])
def test_a_full_disk_is_a_sentence(arguments: list[str], tmp_path: Path, clip: bytes) -> None:
    (tmp_path / "a.wav").write_bytes(clip)
    # Buffered as on most machines, or some faults would not show.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    command = [*COMMAND[:-1], *arguments]
    with Path("/dev/full").open("wb") as full:
        ran = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, cwd=tmp_path, check=False, env=environment)
    assert (ran.returncode, ran.stderr) == (3, b"tonearm: the output cannot be written: No space left on device\n")


def test_a_closed_output_is_a_sentence() -> None:
    ran = subprocess.run(["sh", "-c", '"$@" >&-', "sh", *COMMAND, "a.wav"], stderr=subprocess.PIPE, check=False)
    assert (ran.returncode, ran.stderr) == (3, b"tonearm: the output cannot be written: it is closed\n")
