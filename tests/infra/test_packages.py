"""The packages, built as the pipeline builds them and started with nothing else on their path, as in Azure."""

import hashlib
import http.client
import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest
from azure.storage.blob import BlobServiceClient

from infra import packages
from local.processes import Child
from local.setup_env import find_uv
from tests.conftest import REPOSITORY, Storage, free_ports
from tests.infra import dockerfile
from tests.local.conftest import wait_until
from tonearm import sample_clip as clip

READY_TIMEOUT_S = 60
NATIVE = {"av", "cryptography", "numpy", "obstore", "onnxruntime", "pydantic_core", "soxr"}
# The Python under the virtual environment here: with -S it sees its own library and nothing that was installed.
BARE_PYTHON = Path(sys.base_prefix, "bin", "python3.13")

# The packages hold Linux's libraries, so they start nowhere else.
on_azures_platform = pytest.mark.skipif(
    (sys.platform, platform.machine()) != ("linux", "x86_64"), reason="the packages are for Linux on x86-64"
)


def build(out: Path) -> Path:
    """Both packages, by the pipeline's command, side by side."""
    command = [sys.executable, "-m", "infra.packages", "--stored", "--out", str(out)]
    builds = [subprocess.Popen([*command, name], cwd=REPOSITORY) for name in packages.CONTENTS]
    assert [each.wait() for each in builds] == [0, 0]
    return out


def azure_environment(package: Path) -> dict[str, str]:
    """What of the environment the app gets: Azure's one path, and nothing of the checkout's."""
    passed_on = {name: os.environ[name] for name in ("HOME", "PATH", "TMPDIR", "LANG") if name in os.environ}
    return passed_on | {"PYTHONPATH": str(package / packages.SITE_PACKAGES), "PYTHONDONTWRITEBYTECODE": "1"}


def launcher(package: Path, python: Path, *arguments: str, **settings: str) -> list[str]:
    """A command for Child, whose processes inherit this one's environment: `env -i` takes it away again."""
    environment = azure_environment(package) | settings
    return ["/usr/bin/env", "-i", *(f"{name}={value}" for name, value in environment.items()), str(python), *arguments]


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def answers(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def loaded_libraries(pid: int) -> set[str]:
    """The shared libraries that a process has mapped."""
    maps = Path(f"/proc/{pid}/maps").read_text()
    return set(re.findall(r"(/\S+\.so[.\d]*)$", maps, re.MULTILINE))


@pytest.fixture(scope="session")
def built() -> Iterator[Path]:
    # pytest's own folders stay for three runs, and this is a gigabyte
    with TemporaryDirectory() as folder:
        yield build(Path(folder))


@pytest.fixture
def scratch() -> Iterator[Path]:
    with TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def host_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment of the local host alone, as the machines in Azure have their host: no dependency of the app's."""
    environment = tmp_path_factory.mktemp("host") / "venv"
    only_host = ["--only-group", "local", "--no-install-project", "--python", str(BARE_PYTHON)]
    subprocess.run(
        [find_uv(), "sync", "--quiet", "--locked", *only_host],
        cwd=REPOSITORY,
        env=os.environ | {"UV_PROJECT_ENVIRONMENT": str(environment)},
        check=True,
    )
    site_packages = environment / "lib" / "python3.13" / "site-packages"
    (site_packages / "local").mkdir()
    for module in (REPOSITORY / "local").glob("*.py"):
        shutil.copy(module, site_packages / "local")
    installed = {each.metadata["Name"] for each in importlib.metadata.distributions(path=[str(site_packages)])}
    assert not installed & {"tonearm", "av", "numpy", "onnxruntime", "azure-storage-blob", "pydantic"}
    return environment / "bin" / "python"


@pytest.fixture(scope="module")
def functions(
    built: Path, host_python: Path, azurite: Storage, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[int, Child]]:
    """The function package, running: its port and its process."""
    package = built / "functions"
    (port,) = free_ports(1)
    log = tmp_path_factory.mktemp("functions") / "log"
    command = launcher(
        package,
        host_python,
        *("-m", "local.host", "--app", str(package), "--port", str(port), "--state", str(log.parent)),
        AzureWebJobsStorage=azurite.connection_string,
    )
    child = Child("The package", command, log_path=log, probe=lambda: answers(port, "/api/openapi.json"), cwd=package)
    child.launch()
    child.wait_ready(READY_TIMEOUT_S)
    yield port, child
    child.stop()


@pytest.fixture(scope="module")
def web(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The web package, running on a Python to which nothing was ever installed: its port."""
    package = built / "web"
    (port,) = free_ports(1)
    options = {"server.port": str(port), "server.address": "127.0.0.1", "server.headless": "true"}
    arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
    command = launcher(package, BARE_PYTHON, "-S", "-m", "streamlit", "run", "frontend/app.py", *arguments)
    log = tmp_path_factory.mktemp("web") / "log"
    child = Child("The page", command, log_path=log, probe=lambda: answers(port, "/_stcore/health"), cwd=package)
    child.launch()
    child.wait_ready(READY_TIMEOUT_S)
    yield port
    child.stop()


@pytest.mark.slow
class TestWhatIsInside:
    def test_azures_layout(self, built: Path) -> None:
        assert {path.name for path in (built / "functions").iterdir()} == {
            *(".python_packages", "NOTICE", "function_app.py", "functions", "host.json", "models"),
            *("requirements.txt", "tonearm"),
        }
        assert {path.name for path in (built / "web").iterdir()} == {".python_packages", ".streamlit", "frontend"}

    def test_only_the_served_models(self, built: Path) -> None:
        models = built / "functions" / "models"
        version = (models / "default.txt").read_text().strip()
        assert {str(path.relative_to(models)) for path in models.rglob("*") if path.is_file()} == {
            "default.txt",
            *(f"{version}/{name}" for name in ("manifest.json", "metrics.json", "MODEL_CARD.md")),
            *(f"{version}/{name}" for name in ("audioset.onnx", "svm.onnx", "vgg19.onnx", "filter_banks.npz")),
        }

    @pytest.mark.parametrize("name", packages.CONTENTS)
    def test_nothing_of_the_builders_machine(self, built: Path, name: str) -> None:
        paths = [path.relative_to(built).as_posix() for path in (built / name).rglob("*")]
        assert len(paths) > 1000
        assert not [path for path in paths if "/tests/" in path]
        for record in (built / name).rglob("RECORD"):
            assert not re.search(r"^bin/|^\.\./", record.read_text(), re.MULTILINE), record

    @pytest.mark.parametrize("name", packages.CONTENTS)
    def test_bytecode_that_is_valid_wherever_the_package_lies(self, built: Path, name: str) -> None:
        """A cold start compiles nothing: of 600 modules, as good as all have theirs, and no date can make it stale."""
        folder = built / name
        sources = list(folder.rglob("*.py"))
        compiled = [
            path for path in map(Path, map(importlib.util.cache_from_source, map(str, sources))) if path.exists()
        ]
        assert len(compiled) > 0.99 * len(sources) > 600
        for path in compiled:
            content = path.read_bytes()
            assert content[:4] == importlib.util.MAGIC_NUMBER, path
            assert content[4:8] == (0b01).to_bytes(4, "little"), path  # by hash, not checked again
            assert str(built).encode() not in content, path

    @pytest.mark.parametrize("name", packages.CONTENTS)
    def test_the_zip_is_the_folder(self, built: Path, name: str) -> None:
        with zipfile.ZipFile(built / f"{name}.zip") as archive:
            packed = {entry.filename: entry.file_size for entry in archive.infolist()}
        folder = built / name
        files = [path for path in folder.rglob("*") if path.is_file()]
        assert packed == {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}

    @pytest.mark.parametrize("name", packages.CONTENTS)
    def test_the_sbom_lists_what_is_installed(self, built: Path, name: str) -> None:
        sbom = json.loads((built / f"{name}.cdx.json").read_text())
        listed = {(each["name"], each["version"]) for each in sbom["components"] if each.get("purl")}
        found = importlib.metadata.distributions(path=[str(built / name / packages.SITE_PACKAGES)])
        assert listed == {(re.sub(r"[-_.]+", "-", each.name).lower(), each.version) for each in found}

    def test_funcignore_says_the_same(self, built: Path) -> None:
        ignored = {line for line in (REPOSITORY / ".funcignore").read_text().splitlines() if not line.startswith("#")}
        packed = {path.name for path in (built / "functions").iterdir()} - {".python_packages"}
        assert not ignored & packed
        listing = subprocess.run(["git", "ls-files"], cwd=REPOSITORY, check=True, capture_output=True, text=True).stdout
        tracked = {line.partition("/")[0] for line in listing.splitlines()} - {".funcignore"}
        assert tracked - packed == tracked & ignored


@pytest.mark.slow
@on_azures_platform
class TestFunctionPackage:
    def test_needs_nothing_but_itself(self, built: Path) -> None:
        # the host brings some of the same packages; a Python without any shows that the app needs none
        package = built / "functions"
        code = "import function_app, tonearm.classifier; print(tonearm.__file__)"
        done = subprocess.run(
            [BARE_PYTHON, "-S", "-c", code],
            cwd=package,
            env=azure_environment(package) | {"AzureWebJobsStorage": "AccountName=a;AccountKey=b"},
            check=True,
            capture_output=True,
            text=True,
        )
        assert done.stdout.strip() == str(package / "tonearm" / "__init__.py")

    def test_classifies_over_http(self, functions: tuple[int, Child]) -> None:
        answer = httpx.post(f"http://127.0.0.1:{functions[0]}/api/classify", content=clip.wav(), timeout=60)
        assert answer.status_code == 200, answer.text
        assert answer.json()["status"] == "done"

    def test_classifies_what_is_dropped(self, functions: tuple[int, Child], azurite: Storage) -> None:
        blobs = BlobServiceClient.from_connection_string(azurite.connection_string)
        blobs.get_blob_client("uploads", "package/clip.wav").upload_blob(clip.wav())
        result = blobs.get_blob_client("results", "package/clip.wav.json")
        wait_until(result.exists, "the result of package/clip.wav")
        content = json.loads(result.download_blob().readall())
        assert (content["id"], content["status"]) == ("package/clip.wav", "done")
        assert sum(content["probabilities"].values()) == pytest.approx(1)

    def test_is_healthy(self, functions: tuple[int, Child]) -> None:
        answer = httpx.get(f"http://127.0.0.1:{functions[0]}/api/health", timeout=60)
        assert (answer.status_code, answer.json()["checks"]) == (200, {"storage": "ok", "models": "ok"})

    def test_tells_of_its_model(self, functions: tuple[int, Child]) -> None:
        answer = httpx.get(f"http://127.0.0.1:{functions[0]}/api/model", timeout=60)
        assert answer.json()["version"] == (REPOSITORY / "models" / "default.txt").read_text().strip()
        assert {file["name"] for file in answer.json()["files"]} == {
            "audioset.onnx",
            "svm.onnx",
            "vgg19.onnx",
            "filter_banks.npz",
        }

    def test_what_runs_is_the_packages(self, built: Path, functions: tuple[int, Child]) -> None:
        libraries = loaded_libraries(functions[1].pid)
        inside = packages.SITE_PACKAGES.as_posix()
        assert {part for part in NATIVE if any(f"{inside}/{part}/" in library for library in libraries)} == NATIVE
        assert not [library for library in libraries if library.startswith(f"{REPOSITORY}/")]
        # the host has some of these as well: what both have comes from the package
        foreign = {library for library in libraries if not library.startswith(f"{built}/")}
        assert not [library for library in foreign if NATIVE & set(library.split("/"))]


@pytest.mark.slow
@on_azures_platform
class TestWebPackage:
    def test_page_and_health(self, web: int) -> None:
        health = httpx.get(f"http://127.0.0.1:{web}/_stcore/health")
        assert (health.status_code, health.text) == (200, "ok")
        page = httpx.get(f"http://127.0.0.1:{web}/")
        assert page.status_code == 200
        assert "<title>Streamlit</title>" in page.text

    def test_a_clip_through_page_and_functions(self, built: Path, functions: tuple[int, Child]) -> None:
        """By the page's own client, then drawn by the page: first as it opens, then with the clip's result."""
        code = """
import io, sys, time
from streamlit.testing.v1 import AppTest
from frontend.api import EVERYBODY, Pending, service

def drawn(page):
    page.run()
    assert not page.exception and not page.error, page
    return page

drawn(AppTest.from_file("frontend/main.py", default_timeout=60))
api = service(EVERYBODY)
upload = api.create_upload("clip.wav")
api.put(upload, io.BytesIO(sys.stdin.buffer.read()))
while isinstance(result := api.result(upload.id), Pending):
    time.sleep(result.retry_after_s)
spectrogram = api.preview_spectrogram(upload.id)
assert spectrogram["n_columns"] > 0, spectrogram
script = f"from frontend.screens import result_page; result_page.show({upload.id!r})"
assert drawn(AppTest.from_string(script, default_timeout=60)).main.children
print(sys.modules["frontend.api"].__file__, result["status"], result["genre"], sep="\\n")
"""
        package = built / "web"
        done = subprocess.run(
            [BARE_PYTHON, "-S", "-c", code],
            cwd=package,
            env=azure_environment(package)
            | {"TONEARM_API_URL": f"http://127.0.0.1:{functions[0]}", "TONEARM_HISTORY": "shared"},
            input=clip.wav(),
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        module, status, genre = done.stdout.decode().splitlines()
        assert (module, status) == (str(package / "frontend" / "api.py"), "done")
        assert genre


@pytest.mark.slow
class TestImages:
    """The images' steps, done by hand for want of an engine."""

    @staticmethod
    def copy(
        stage: list[dockerfile.Instruction],
        context: Path,
        target: Path,
        copy_file: Callable[[Path, Path], object] = shutil.copyfile,
    ) -> None:
        """What the COPY instructions of a stage do; ``target`` stands for where the image has the app."""
        for each in stage:
            if each.word == "COPY":
                folder = target / each.arguments[-1].removeprefix("/home/site/wwwroot").lstrip("/")
                for source in [path for name in each.sources for path in context.glob(name.removeprefix("/dist/"))]:
                    if source.is_dir():
                        shutil.copytree(source, folder, copy_function=copy_file)
                    else:
                        folder.mkdir(parents=True, exist_ok=True)
                        copy_file(source, folder / source.name)

    @staticmethod
    def stages(name: str) -> list[list[dockerfile.Instruction]]:
        return dockerfile.stages(REPOSITORY / "infra" / "containers" / name / "Dockerfile")

    def test_the_build_stage_makes_the_same_package(self, built: Path, scratch: Path) -> None:
        # only of the larger image, for the time it takes
        stage, _ = self.stages("function-app")
        self.copy(stage, REPOSITORY, scratch)
        (command,) = (each.arguments for each in stage if each.word == "RUN")
        python, *arguments = command
        assert (python, arguments[-1]) == ("python", "/dist")
        path = f"{Path(find_uv()).parent}:{os.environ['PATH']}"
        environment = {name: text for name, text in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL"))}
        subprocess.run(
            [BARE_PYTHON, "-S", *arguments[:-1], scratch / "dist", "--stored"],
            cwd=scratch,
            env=environment | {"PATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
            check=True,
        )
        for file in ("functions.zip", "functions.cdx.json"):
            assert digest(scratch / "dist" / file) == digest(built / file)

    @pytest.mark.parametrize(("image", "package"), [("function-app", "functions"), ("web", "web")])
    def test_the_image_holds_the_whole_package(self, built: Path, scratch: Path, image: str, package: str) -> None:
        *_, stage = self.stages(image)
        self.copy(stage, built, scratch, os.link)
        wanted = {path.relative_to(built / package) for path in (built / package).rglob("*")}
        assert {path.relative_to(scratch) for path in scratch.rglob("*")} == wanted


class TestFaults:
    @pytest.mark.parametrize("missing", ["default.txt", "manifest.json"])
    def test_models_that_are_not_whole(self, tmp_path: Path, missing: str) -> None:
        models = tmp_path / "models"
        shutil.copytree(REPOSITORY / "models", models, ignore=shutil.ignore_patterns("*.onnx"))
        for path in models.rglob(missing):
            path.unlink()
        with pytest.raises(packages.PackageError, match=f"cannot be read.*{missing}.*check the repository out"):
            packages.served_model_files(models)

    @pytest.mark.parametrize("text", ["{", "{}"])
    def test_a_manifest_that_is_none(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "default.txt").write_text("1")
        (tmp_path / "1").mkdir()
        (tmp_path / "1" / "manifest.json").write_text(text)
        with pytest.raises(packages.PackageError, match="cannot be read"):
            packages.served_model_files(tmp_path)

    def test_a_file_that_is_missing(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError, match=r"function_app\.py"):
            packages.build("functions", tmp_path / "dist", root=tmp_path)

    def test_an_unknown_package(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit):
            packages.main(["function"])
        assert "no such package: function; there are functions and web" in capsys.readouterr().err


def test_both_packages_are_built_if_none_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(packages, "build", lambda name, _out, *, level: name)
    monkeypatch.setattr(packages, "describe", str)
    assert packages.main([]) == packages.main(["web"]) == 0
    assert capsys.readouterr().out.split() == ["functions", "web", "web"]


def test_the_zip_does_not_depend_on_dates_or_order(tmp_path: Path) -> None:
    archives = []
    for names in (["b/c", "a", "b.d"], ["b.d", "a", "b/c"]):
        folder = tmp_path / str(len(archives))
        for age_s, name in enumerate(names):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)
            os.utime(path, (10**9 + age_s, 10**9 + age_s))
            path.chmod(0o600 if age_s else 0o755)
        archives.append(packages.pack(folder).read_bytes())
    assert archives[0] == archives[1]


def test_without_uv_the_pinned_one_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(subprocess, "run", lambda command, **_: commands.append(command))
    monkeypatch.setattr(shutil, "which", lambda _name, path: None)
    uv = packages._uv(tmp_path, REPOSITORY)
    *_, (python, *_, pinned) = commands
    assert Path(python).parent == Path(uv).parent
    assert f'"{pinned}"' in (REPOSITORY / "pyproject.toml").read_text()


def test_sizes_are_printed(tmp_path: Path) -> None:
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "a").write_bytes(bytes(20_000_000))
    text = packages.describe(packages.pack(tmp_path / "web"))
    assert re.search(r"web\.zip: 20\.0 MB unpacked, 0\.\d MB packed, sha256 [0-9a-f]{64}$", text)
