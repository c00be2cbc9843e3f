"""Global ids: opaque to clients, `base64url("Type:key")` to us."""

from binascii import a2b_base64, b2a_base64
from collections.abc import Sequence

from resolvers.core.errors import Invalid
from resolvers.core.listing import MAX_PAGE

_TO_URL = bytes.maketrans(b"+/", b"-_")
# what is not of the alphabet of RFC 4648 section 5 must not become part of it
_FROM_URL = bytes.maketrans(b"-_+/", b"+/!!")
_LARGEST_KEY = 2**63 - 1
_MOST_DIGITS = len(str(_LARGEST_KEY))


def encode_id(type_name: str, key: int | str) -> str:
    """Return the global id of a row."""
    # in every row of many answers, so the functions below those of the module base64
    encoded = b2a_base64(f"{type_name}:{key}".encode(), newline=False)
    if type(key) is int:  # names and digits have no bits that become + or /
        return encoded.rstrip(b"=").decode()
    return encoded.translate(_TO_URL, b"=").decode()


def split_id(value: str, *, path: tuple[str, ...] = ("id",)) -> tuple[str, str]:
    """Return the type name and the key inside a global id.

    Raises:
        Invalid: the text is not a global id.

    """
    try:
        padded = (value + "=" * (-len(value) % 4)).encode("ascii").translate(_FROM_URL)
        text = a2b_base64(padded, strict_mode=True).decode("ascii")
    except ValueError:
        text = ""
    type_name, colon, key = text.partition(":")
    if not colon or not type_name.isidentifier() or not key:
        raise Invalid(f"{'.'.join(path)} is not an id; ids come from the id field.", path=path)
    return type_name, key


def decode_id(value: str, type_name: str, *, path: tuple[str, ...] = ("id",)) -> int:
    """Return the key inside the global id of a ``type_name``.

    Raises:
        Invalid: the text is not a global id, or one of another type.

    """
    found, key = split_id(value, path=path)
    if found != type_name:
        raise Invalid(f"{'.'.join(path)} is the id of a {found}, not of a {type_name}.", path=path)
    if not key.isdecimal() or len(key) > _MOST_DIGITS or int(key) > _LARGEST_KEY:
        raise Invalid(f"{'.'.join(path)} is not an id; ids come from the id field.", path=path)
    return int(key)


def wanted_keys(values: Sequence[str] | None, type_name: str, *path: str) -> frozenset[int] | None:
    """Return the keys inside the ids that somebody wants; None where nothing narrows it.

    Raises:
        Invalid: as `decode_ids` does.

    """
    return None if values is None else frozenset(decode_ids(values, type_name, path))


def decode_ids(values: Sequence[str], type_name: str, path: tuple[str, ...]) -> list[int]:
    """Return the keys inside a list of global ids.

    Raises:
        Invalid: one is not a global id of a ``type_name``, or there are too many.

    """
    if len(values) > MAX_PAGE:
        raise Invalid(f"{'.'.join(path)} takes at most {MAX_PAGE} values.", path=path)
    return [decode_id(value, type_name, path=(*path, str(i))) for i, value in enumerate(values)]
