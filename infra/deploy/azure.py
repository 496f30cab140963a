"""The Azure CLI: every call to Azure's management goes through :func:`az`."""

import json
import shlex
import shutil
import subprocess
import time
from typing import Any

from infra.deploy.errors import DeployError

PAUSE_S = 30.0
"""Between tries of a command that may come too early: a new role takes minutes to be known everywhere."""

_INSTALL = "The Azure CLI is not on PATH. Install it (https://aka.ms/azure-cli), then run `az login`."
_SIGN_IN = "Nobody is signed in to Azure, or the sign-in has expired. Run `az login`, and `az account set` to choose."
_SIGNED_OUT_WORDS = "az login"


def az(*arguments: str, tries: int = 1) -> Any:
    """Run ``az`` and return its JSON answer, None if it has none. Raises DeployError with what az said.

    The command is printed and its answer is not, so keys may be asked for, but never be handed over as an argument.
    """
    program = shutil.which("az")
    if program is None:
        raise DeployError(_INSTALL)
    command = shlex.join(["az", *arguments])
    for left in reversed(range(tries)):
        print(f"$ {command}", flush=True)
        done = subprocess.run(
            [program, *arguments, "--output", "json"],
            stdin=subprocess.DEVNULL,  # a question would wait for ever
            capture_output=True,
            text=True,
            check=False,
        )
        said = done.stderr.strip()
        if done.returncode == 0:
            if said:  # warnings, as of the Bicep linter
                print(said, flush=True)
            return _answer(command, done.stdout)
        if _SIGNED_OUT_WORDS in said:
            raise DeployError(f"{_SIGN_IN}\n{said}")
        if left:
            print(f"{said}\nThat can pass, so it is tried again in {PAUSE_S:.0f} s.", flush=True)
            time.sleep(PAUSE_S)
    raise DeployError(f"`{command}` failed:\n{said or 'it said nothing'}")


def _answer(command: str, text: str) -> Any:
    try:
        return json.loads(text) if text.strip() else None
    except ValueError:
        raise DeployError(f"`{command}` answered no JSON. Is `az` on PATH the Azure CLI?") from None
