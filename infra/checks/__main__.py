"""``python -m infra.checks``, which is ``make check-infra``: all checks of the cloud part, on this repository."""

import sys
import time

from infra.checks import bicep, containers, pipelines, policies, scan, settings

# In the order in which one would put things right: the later ones build on what the earlier ones have found whole.
CHECKS = (bicep, policies, settings, pipelines, containers, scan)


def main() -> int:
    """Runs every check, whatever the others find; the exit code is 1 if any has found something."""
    found = 0
    for check in CHECKS:
        started_s = time.monotonic()
        problems = check.check(scan.REPOSITORY)
        for problem in problems:
            print(problem)
        found += len(problems)
        count = "1 problem" if len(problems) == 1 else f"{len(problems) or 'no'} problems"
        print(f"{check.__name__.rpartition('.')[2]}: {count} ({time.monotonic() - started_s:.1f} s)", flush=True)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
