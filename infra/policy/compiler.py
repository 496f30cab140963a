"""The Bicep compiler: where it is found, and one process of it that compiles, lints and predicts."""

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from infra.policy.deployment import ROOT

VERSION = "0.49.2"
SHA256 = "0ab9de90c2493f206f8281bae74f9ee2d5ed3605548dab1adf41fef185e1f7c5"
"""Of the release for x86-64 Linux, which is what `fetch` gets."""
URL = f"https://github.com/Azure/bicep/releases/download/v{VERSION}/bicep-linux-x64"
FETCHED = ROOT / ".tools" / f"bicep-{VERSION}" / "bicep"

# Made up, so that names which depend on them are texts in the snapshots and not expressions.
METADATA = {
    "tenantId": "00000000-0000-0000-0000-000000000002",
    "subscriptionId": "00000000-0000-0000-0000-000000000001",
    "resourceGroup": "rg-tonearm",
    "location": "northeurope",
}


class CompilerError(Exception):
    """The compiler refuses a file, or cannot be had; the message is its own."""


def find() -> tuple[Path | None, str]:
    """The compiler of this version, or None; and a sentence that says which of both it is."""
    named = os.environ.get("BICEP_CLI")
    beside_az = Path(os.environ.get("AZURE_CONFIG_DIR", Path.home() / ".azure"), "bin", "bicep")
    places = [named, shutil.which("bicep"), beside_az, FETCHED, ROOT.parent / "shared" / "bicep" / "bicep"]
    others = []
    for place in places:
        if place and Path(place).is_file():
            version = _version(Path(place))
            if version == VERSION:
                return Path(place), f"compiled, linted and predicted anew by Bicep {VERSION}, {place}"
            others.append(f"{place} is {version or 'no Bicep'}")
    why = f"no Bicep {VERSION} is here" + (f" ({', '.join(others)})" if others else "")
    return None, f"judged by the committed snapshots alone: {why}; python -m infra.policy fetch gets it"


def fetch() -> Path:
    """Download the compiler, unless it is there. Raises CompilerError if it is not the pinned one."""
    if not FETCHED.exists():
        with urllib.request.urlopen(URL, timeout=60) as response:
            content = response.read()
        if hashlib.sha256(content).hexdigest() != SHA256:
            raise CompilerError(f"{URL} does not have the SHA-256 {SHA256}: it is not installed.")
        FETCHED.parent.mkdir(parents=True, exist_ok=True)
        FETCHED.write_bytes(content)
        FETCHED.chmod(0o755)
    return FETCHED


def _version(program: Path) -> str:
    with tempfile.TemporaryDirectory() as home:
        command = [str(program), "--version"]
        done = subprocess.run(command, env=_environment(home), capture_output=True, text=True, check=False)
    words = done.stdout.split()
    return words[3] if words[:3] == ["Bicep", "CLI", "version"] else ""


def _environment(home: str) -> dict[str, str]:
    # It unpacks itself into a writable folder, needs no ICU, and takes half the time when it compiles itself once.
    own = {"BUNDLE_EXTRACT_BASE_DIR": home, "SYSTEM_GLOBALIZATION_INVARIANT": "1", "TieredCompilation": "0"}
    return {**os.environ, **{f"DOTNET_{name}": value for name, value in own.items()}}


@dataclass(frozen=True, slots=True)
class Compiler:
    """A running compiler, asked by JSON-RPC: a call takes a third of a second, where a start takes two."""

    source: IO[bytes]
    sink: IO[bytes]

    def findings(self, file: Path) -> list[str]:
        """All that compiler and linter have against a file and its modules, warnings included."""
        method = "bicep/compileParams" if file.suffix == ".bicepparam" else "bicep/compile"
        more: dict[str, Any] = {"parameterOverrides": {}} if file.suffix == ".bicepparam" else {}
        found = self._ask(method, {"path": str(file), **more})["diagnostics"]
        places = {id(each): f"{each['source']}:{each['range']['start']['line'] + 1}" for each in found}
        return sorted({f"{places[id(each)]}: {each['level']} {each['code']}: {each['message']}" for each in found})

    def template(self, file: Path) -> dict[str, Any]:
        """The ARM template that a Bicep file becomes."""
        content: dict[str, Any] = json.loads(self._ask("bicep/compile", {"path": str(file)})["contents"])
        return content

    def snapshot(self, parameters: Path) -> str:
        """What a deployment with these parameters would make. Raises CompilerError if nothing can be predicted."""
        metadata = {**METADATA, "deploymentName": None}
        answer = self._ask("bicep/getSnapshot", {"path": str(parameters), "metadata": metadata, "externalInputs": None})
        content = json.loads(answer["snapshot"])
        content["outputs"] = dict(sorted(content["outputs"].items()))  # whose order differs from run to run
        return json.dumps(content, indent=2) + "\n"

    def _ask(self, method: str, parameters: dict[str, Any]) -> dict[str, Any]:
        request = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": [parameters]}).encode()
        self.sink.write(b"Content-Length: %d\r\n\r\n" % len(request) + request)
        self.sink.flush()
        length = 0
        while line := self.source.readline().strip():
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        answer = json.loads(self.source.read(length) or "{}")
        if "result" not in answer:
            raise CompilerError(f"{method}: {answer.get('error', {}).get('message', 'The compiler ended.')}")
        result: dict[str, Any] = answer["result"]
        return result


@contextmanager
def running(program: Path) -> Iterator[Compiler]:
    """A compiler that runs as long as the context."""
    with tempfile.TemporaryDirectory() as home:
        pipe, command = subprocess.PIPE, [str(program), "jsonrpc", "--stdio"]
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, env=_environment(home)) as process:
            try:
                yield Compiler(cast("IO[bytes]", process.stdout), cast("IO[bytes]", process.stdin))
            finally:
                process.kill()
