"""python -m benchmarks [--only LINE …] [--small]; `make bench` and `make bench ONLY=latency SMALL=1` say the same.

All lines at full size go to docs/performance/ and docs/performance.md; anything less to build/benchmarks/.
"""

import argparse
import sys
import time
from pathlib import Path

from benchmarks.harness import ROOT, Figure, Measured, Size, Wrong, say
from benchmarks.measurements import LINES
from benchmarks.report import environment, into_page, table, write


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="What this engine costs, side by side.")
    parser.add_argument("--only", nargs="*", choices=LINES, default=[], help="these lines alone")
    parser.add_argument("--small", action="store_true", help="tiny sizes: do the benchmarks work at all?")
    parser.add_argument("--into", type=Path, help="folder for table, charts and results.json")
    arguments = parser.parse_args()
    whole = not arguments.only and not arguments.small
    machine = environment()
    measured: dict[str, Measured] = {}
    failed = False
    for name in arguments.only or LINES:
        began = time.monotonic()
        say(f"{name} …")
        try:
            measured[name] = LINES[name](Size(tiny=arguments.small))
        except Wrong as wrong:
            say(f"{name}: {wrong}")
            failed = True
            measured[name] = Measured([Figure("all", "", (), note=f"failed: {str(wrong).splitlines()[0]}")])
        say(f"{name}: {time.monotonic() - began:.0f} s")
    machine |= {"load at the end": environment()["load"]}
    default = ROOT / "docs" / "performance" if whole and not failed else ROOT / "build" / "benchmarks"
    write(arguments.into or default, measured, machine)
    if whole and arguments.into is None and not failed:
        into_page(ROOT / "docs" / "performance.md", measured, machine)
    print(table(measured, machine))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
