"""`python -m tests.e2e.crashing [--at POINT] [--grace SECONDS] serve`: the command line, in a process that dies."""

import argparse
import sys
from datetime import timedelta

import likeness.app
import services.housekeeping
import services.submissions
from likeness.cli.main import main
from likeness.settings import load_settings
from services.submissions import Submissions
from tests.e2e.crashing.points import CRASH_POINTS, arm, install


def hurry(seconds: float) -> None:
    """Shorten the waits of minutes: how long a lost answer is looked for, and what counts as forgotten."""
    grace = timedelta(seconds=seconds)
    Submissions.__init__.__kwdefaults__["grace"] = grace
    services.submissions.LOOK_AGAIN_SECONDS = 0.5
    services.housekeeping.FORGOTTEN_AFTER = grace / 3
    likeness.app.SWEEP_SECONDS = 1.0


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--at", choices=CRASH_POINTS, help="die the first time this place is reached")
parser.add_argument("--grace", type=float, help="seconds after which a lost submit is given up, instead of minutes")
parser.add_argument("command", nargs=argparse.REMAINDER)
given = parser.parse_args()
if given.grace is not None:
    hurry(given.grace)
folder = load_settings().data_dir
if given.at is not None:
    arm(folder, given.at)
install(folder)
sys.argv = ["likeness", *given.command]
main()
