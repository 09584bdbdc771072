"""`python -m tests.e2e.quick_stop serve`: the command line, in a process with little patience when it is to end."""

import sys

import likeness.app
import likeness.cli.serve
from likeness.cli.main import main

if __name__ == "__main__":
    likeness.cli.serve.GRACE_SECONDS = 1
    likeness.cli.serve.STOP_SECONDS = int(sys.argv.pop(1))
    likeness.app.TASK_SECONDS, likeness.app.STOP_SECONDS = 0.5, 1.5
    main()
