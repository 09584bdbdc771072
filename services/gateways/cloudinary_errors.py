"""What the Cloudinary SDK raises, as ours: its texts can hold the signed string or whole pages, so few are shown."""

from cloudinary.exceptions import AlreadyExists, AuthorizationRequired, BadRequest, NotAllowed, NotFound

from services.ports import AssetMissing, StoreKeyRefused, StoreRefused, StoreUnavailable

REASON_CHARACTERS = 200
TRY_LATER = frozenset({408, 420, 423, 425, 429})


def store_error(error: Exception) -> StoreUnavailable | StoreRefused:
    """The error of a call: 400, 401, 403, 404, 409 and missing settings are for good, everything else may pass."""
    match error:
        case AuthorizationRequired():
            return StoreKeyRefused("Cloudinary refused our credentials.")
        case NotAllowed():
            return StoreKeyRefused("Cloudinary does not allow this with our account.")
        case NotFound():
            return StoreKeyRefused("Cloudinary has no such cloud or folder.")
        case BadRequest() | AlreadyExists():
            return StoreRefused(f"Cloudinary refused the file: {_plain(error)}")
        case ValueError() | FileNotFoundError():
            return StoreRefused("Cloudinary could not be asked: a setting or the file is missing.")
        case _:
            return StoreUnavailable("Cloudinary did not work this time.")


def read_error(status: int) -> StoreUnavailable | StoreRefused | AssetMissing:
    """The error of a delivery that answered with `status`."""
    if status in {404, 410}:
        return AssetMissing("Cloudinary no longer has the file.")
    if status in TRY_LATER or status >= 500:
        return StoreUnavailable(f"Cloudinary answered with {status}.")
    return StoreRefused(f"Cloudinary does not deliver the file ({status}).")


def _plain(error: Exception) -> str:
    """The text up to the signed string, should there be one."""
    return " ".join(str(error).partition("String to sign")[0].split())[:REASON_CHARACTERS]
