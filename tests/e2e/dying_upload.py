"""`python -m tests.e2e.dying_upload serve`: the command line, in a process that dies when it has stored a photo."""

import sys

from likeness.cli.main import main
from likeness.settings import load_settings
from tests.e2e.crashing.points import PUT, after, located, wrapped

STORED = "photo.put:after"  # the name of the place: arm it, and the process dies there once

if __name__ == "__main__":
    owner, attribute = located(PUT)
    point, folder = after(PUT, "AssetKind.PHOTO"), load_settings().data_dir
    setattr(owner, attribute, wrapped(getattr(owner, attribute), name=STORED, point=point, data_dir=folder))
    sys.argv = ["likeness", *sys.argv[1:]]
    main()
