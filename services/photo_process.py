"""One photo normalised in a process of its own: `python -m services.photo_process SOURCE TO RULES`.

The answer is one line of JSON: `photo`, or `code` and `reason` of a refusal, or the number of an `os_error`.
"""

import json
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from models.errors import PhotoRejected
from services.images import PhotoRules, normalise_here


def answer(source: str, to: str, rules: str) -> dict[str, Any]:
    """Normalise one photo; `rules` are the fields of `PhotoRules` as JSON."""
    try:
        with suppress(ImportError):
            import pi_heif

            pi_heif.register_heif_opener(thumbnails=False)  # type: ignore[attr-defined]
        photo = normalise_here(Path(source), Path(to), rules=PhotoRules(**json.loads(rules)))
    except PhotoRejected as error:
        return {"code": error.code, "reason": error.reason}
    except OSError as error:
        return {"os_error": error.errno}
    return {"photo": {**asdict(photo), "path": str(photo.path)}}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(answer(*sys.argv[1:])))
