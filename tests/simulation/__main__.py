"""`python -m tests.simulation --seeds 100000`: look for a seed that breaks an invariant."""

import argparse
import sys
import time
from collections import Counter

from tests.simulation.mutants import MUTANTS
from tests.simulation.runner import run_everywhere


def main() -> int:
    """Run the seeds and print each that failed with the command that repeats it; 1 when there is one."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=2000, help="how many (2000)")
    parser.add_argument("--from", dest="first", type=int, default=0, help="the first one (0)")
    parser.add_argument("--mutant", choices=sorted(MUTANTS), help="make this rule wrong")
    parser.add_argument("--processes", type=int, default=2, help="how many seeds at once (2)")
    options = parser.parse_args()
    begin, failed, counts = time.monotonic(), 0, Counter[str]()
    chunks = run_everywhere(options.first, options.seeds, processes=options.processes, mutant=options.mutant)
    for outcomes, happened in chunks:
        failed += len(outcomes)
        counts += happened
        for outcome in outcomes:
            sys.stdout.write(f"{outcome}\n")
    reached = "".join(f"{count:9} {name}\n" for name, count in sorted(counts.items(), key=str))
    sys.stdout.write(f"{reached}{options.seeds} seeds in {time.monotonic() - begin:.1f} s: {failed} failed\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
