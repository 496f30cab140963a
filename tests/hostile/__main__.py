"""``python -m tests.hostile``: files that state what is not there; one of them, or very many and what they cost."""

import argparse
import os
import sys
from pathlib import Path
from typing import get_args

from tests.hostile import fuzz
from tests.hostile.cases import Case, drawn, largest
from tests.hostile.runner import Way


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=__doc__)
    parser.add_argument("--case", metavar="FORMAT:SEED", help="write this case to OUT and say what it is")
    parser.add_argument("out", nargs="?", type=Path, help="where --case writes; open it with a memory limit only")
    parser.add_argument("--count", type=int, default=0, help="cases to draw and read, of all formats in turn")
    parser.add_argument("--first", type=int, default=0, help="the number of the first of them, to go on with a run")
    parser.add_argument("--largest", action="store_true", help="read the largest case of each kind too")
    parser.add_argument("--by-kind", action="store_true", help="one row for each kind")
    parser.add_argument("--small", action="store_true", help="draw cases in which nothing is repeated often")
    parser.add_argument("--by", choices=get_args(Way), default="decoders", help="in-process: without decoder processes")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="children that read at the same time")
    options = parser.parse_args()
    if options.case:
        if options.out is None:
            parser.error("--case needs a file to write")
        try:
            case = Case.of(options.case)
        except ValueError as error:
            parser.error(str(error))
        options.out.write_bytes(case.content())
        print(f"{case.name} is {case.format}/{case.kind}, {options.out.stat().st_size:,} bytes")
        return 0
    cases = [*(largest() if options.largest else ()), *drawn(options.count, options.first, small=options.small)]
    if not cases:
        parser.error("give --case, --count or --largest")
    return 0 if fuzz.report(cases, jobs=options.jobs, by_kind=options.by_kind, by=options.by) else 1


if __name__ == "__main__":
    sys.exit(main())
