"""``python -m infra.policy``, which is ``make check-infra``: all checks of the cloud part, on this repository.

python -m infra.policy          check
python -m infra.policy which    say whether the Bicep compiler takes part
python -m infra.policy update   write the snapshots of infra/bicep/scenarios anew; say which API versions are old
python -m infra.policy fetch    download the pinned Bicep CLI into .tools
"""

import json
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

from infra.policy.compiler import Compiler, CompilerError, fetch, find, running
from infra.policy.deployment import BICEP, ROOT, SCENARIOS, SOURCES_HASH, snapshot_path, sources_hash

TESTS = [f"tests/infra/test_{name}.py" for name in ("policies", "mutants", "pipelines", "containers", "scan")]


def main(arguments: list[str]) -> int:
    """Run one command and return the exit code."""
    match arguments:
        case [] | ["which"]:
            print(f"Bicep: {find()[1]}", flush=True)
            return 0 if arguments else pytest.main(["-q", "--no-cov", "--rootdir", str(ROOT), *TESTS])
        case ["update"]:
            return update()
        case ["fetch"]:
            print(fetch())
            return 0
    print(__doc__)
    return 2


def update() -> int:
    """Write all snapshots. What the compiler finds fault with is printed and not written."""
    program, said = find()
    if program is None:
        print(said, file=sys.stderr)
        return 1
    with running(program) as compiler:
        entries = sorted([*BICEP.glob("*.bicep"), *BICEP.rglob("*.bicepparam")])
        if findings := [each for file in entries for each in compiler.findings(file)]:
            print(*findings, sep="\n", file=sys.stderr)
            return 1
        for file in sorted(SCENARIOS.glob("*.bicepparam")):
            snapshot_path(file.stem).write_text(compiler.snapshot(file))
        SOURCES_HASH.write_text(sources_hash() + "\n")
        for each in old_versions(compiler):
            print(each)
    return 0


def old_versions(compiler: Compiler) -> list[str]:
    """API versions with newer ones. The rule reads the clock, so it is asked here and judges no build."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "bicep")
        shutil.copytree(BICEP, copy)
        rules = {"analyzers": {"core": {"rules": {"use-recent-api-versions": {"level": "warning"}}}}}
        (copy / "bicepconfig.json").write_text(json.dumps(rules))
        found = {each for file in copy.glob("*.bicep") for each in compiler.findings(file)}
    return sorted(each.replace(str(copy), "infra/bicep") for each in found if "use-recent-api-versions" in each)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (CompilerError, OSError) as error:
        sys.exit(f"infra.policy: {error}")
