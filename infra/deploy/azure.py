"""The Azure CLI: every call to Azure's management API goes through :func:`az`."""

import json
import shlex
import shutil
import subprocess
import time
from typing import Any

from infra.deploy.errors import DeployError

RETRY_DELAY_S = 30.0
"""Between attempts: a new role takes minutes to take effect everywhere."""


def az(command: str, *, attempts: int = 1, **options: str | list[str]) -> Any:
    """Run the Azure CLI; raises DeployError with its message. Prints the command, so never pass a key as an option.

    Args:
        command: the words after ``az``, without spaces in them.
        attempts: how often to try a command that can fail because a role is still new.
        options: ``resource_group="x"`` becomes ``--resource-group x``; a list gives several values.

    Returns:
        The JSON output, which is not printed; None if there is none.
    """
    arguments = command.split()
    for name, value in options.items():
        arguments += [f"--{name.replace('_', '-')}", *([value] if isinstance(value, str) else value)]
    printed = shlex.join(["az", *arguments])
    for attempts_left in reversed(range(attempts)):
        print(f"$ {printed}", flush=True)
        done = _run(arguments)
        message = done.stderr.strip()
        if done.returncode == 0:
            if message:  # warnings, such as the Bicep linter's
                print(message, flush=True)
            try:
                return json.loads(done.stdout) if done.stdout.strip() else None
            except ValueError:
                raise DeployError(f"`{printed}` returned no JSON. Is `az` on PATH the Azure CLI?") from None
        if "az login" in message:
            raise DeployError(f"Not signed in to Azure. Run `az login`, and `az account set` to choose.\n{message}")
        if attempts_left:
            print(f"{message}\nTrying again in {RETRY_DELAY_S:.0f} s.", flush=True)
            time.sleep(RETRY_DELAY_S)
    raise DeployError(f"`{printed}` failed:\n{message or '(no message)'}")


def _run(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    program = shutil.which("az")
    if program is None:
        raise DeployError("The Azure CLI is not on PATH. Install it (https://aka.ms/azure-cli), then run `az login`.")
    command = [program, *arguments, "--output", "json"]
    # Without input, so that a question does not wait for ever.
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
