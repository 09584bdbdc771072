"""Mutation.uploadPhotos."""

from models.photo import Photo
from services.uploads import UploadedFile
from tests.api.schema_stage import Stage
from tests.photos import jpeg_bytes, png_bytes

DOCUMENT = """mutation($input: UploadPhotosInput!) { uploadPhotos(input: $input) {
  photos { id filename contentType width height }
  userErrors { __typename code message path ... on PhotoRejectedError { index filename } }
} }"""


async def upload(stage: Stage, *files: UploadedFile) -> dict[str, list[dict[str, object]]]:
    """The payload of an upload."""
    payload: dict[str, list[dict[str, object]]] = (await stage.ask(DOCUMENT, input={"photos": list(files)}))[
        "uploadPhotos"
    ]
    return payload


async def test_good_ones_are_kept_when_others_are_refused(stage: Stage) -> None:
    """Photos are in the order of the files; each refused file is an error with its index and name."""
    good, small, text, other = (
        stage.file(jpeg_bytes(600, 700), "a.jpg"),
        stage.file(jpeg_bytes(100, 100), "small.jpg"),
        stage.file(b"hello", "text.jpg"),
        stage.file(png_bytes(512, 512), "b.png"),
    )
    payload = await upload(stage, good, small, text, other)
    kept = [(photo["filename"], photo["contentType"], photo["width"]) for photo in payload["photos"]]
    assert [("a.jpg", "image/jpeg", 600), ("b.png", "image/png", 512)] == kept
    errors = [
        (error["__typename"], error["code"], error["path"], error["index"], error["filename"])
        for error in payload["userErrors"]
    ]
    assert [
        ("PhotoRejectedError", "IMAGE_TOO_SMALL", ["input", "photos", "1"], 1, "small.jpg"),
        ("PhotoRejectedError", "UNSUPPORTED_MEDIA_TYPE", ["input", "photos", "2"], 2, "text.jpg"),
    ] == errors


async def test_a_copy_is_kept_once(stage: Stage) -> None:
    """The same file gives the same photo."""
    content = jpeg_bytes()
    first = await upload(stage, stage.file(content, "a.jpg"))
    second = await upload(stage, stage.file(content, "b.jpg"))
    assert first == second
    assert 1 == await Photo.all().count()


async def test_too_many_files(stage: Stage) -> None:
    """The whole upload is refused."""
    payload = await upload(stage, *(stage.file(jpeg_bytes(), f"{number}.jpg") for number in range(7)))
    error = {
        "__typename": "InvalidInputError", "code": "TOO_MANY_FILES", "path": ["input", "photos"],
        "message": "7 files were sent; at most 6 are taken at once.",
    }  # fmt: skip
    assert {"photos": [], "userErrors": [error]} == payload
    assert 0 == await Photo.all().count()


async def test_no_files(stage: Stage) -> None:
    """An empty list is refused."""
    payload = await upload(stage)
    error = {
        "__typename": "InvalidInputError", "code": "INVALID_INPUT", "path": ["input", "photos"],
        "message": "Send at least one photo.",
    }  # fmt: skip
    assert {"photos": [], "userErrors": [error]} == payload


async def test_text_in_place_of_a_file(stage: Stage) -> None:
    """An Upload that is no file of a multipart request is an error of the request."""
    message, _, _ = await stage.refusal(DOCUMENT, input={"photos": ["a.jpg"]})
    assert message.endswith("An Upload is a file of a multipart request.")
