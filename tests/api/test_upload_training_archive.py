"""Mutation.uploadTrainingArchive."""

import io
import zipfile

from models.photo import Photo
from tests.api.schema_stage import Stage
from tests.photos import jpeg_bytes

DOCUMENT = """mutation($input: UploadTrainingArchiveInput!) { uploadTrainingArchive(input: $input) {
  photos { filename width }
  userErrors { __typename code message path ... on PhotoRejectedError { index filename } }
} }"""


def archive(**files: bytes) -> bytes:
    """A ZIP of JPEGs."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for name, content in files.items():
            file.writestr(f"{name}.jpg", content)
    return out.getvalue()


async def test_good_ones_are_kept_when_others_are_refused(stage: Stage) -> None:
    """The errors name the file inside the archive."""
    content = archive(a=jpeg_bytes(600, 600), small=jpeg_bytes(64, 64))
    payload = (await stage.ask(DOCUMENT, input={"archive": stage.file(content, "a.zip")}))["uploadTrainingArchive"]
    assert [{"filename": "a.jpg", "width": 600}] == payload["photos"]
    [error] = payload["userErrors"]
    assert ("PhotoRejectedError", "IMAGE_TOO_SMALL", ["input", "archive"], 1, "small.jpg") == (
        error["__typename"], error["code"], error["path"], error["index"], error["filename"],
    )  # fmt: skip


async def test_not_a_zip(stage: Stage) -> None:
    """The whole archive is refused."""
    payload = (await stage.ask(DOCUMENT, input={"archive": stage.file(b"x", "a.zip")}))["uploadTrainingArchive"]
    error = {
        "__typename": "InvalidInputError", "code": "ARCHIVE_REJECTED", "path": ["input", "archive"],
        "message": "The archive was refused: it is not a ZIP file.",
    }  # fmt: skip
    assert {"photos": [], "userErrors": [error]} == payload
    assert 0 == await Photo.all().count()
