"""Trusted documents: what an operator's file says clients may send by id.

Read are the files that the usual tools write: an object of ids and documents, as by GraphQL Code
Generator and Relay, and the manifest of Apollo's generate-persisted-query-manifest.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import orjson

from schema.core.documents import id_of

_HASH: Final = re.compile(r"(?:sha256:)?([0-9a-f]{64})")
_APOLLO: Final = "apollo-persisted-query-manifest"


class TrustedDocumentsError(Exception):
    """The file of trusted documents cannot be used; the text says where and why."""


def read_trusted_documents(path: Path) -> Mapping[str, str]:
    """Return the documents in a file by the id that clients send; SHA-256 hashes with their prefix.

    Raises:
        TrustedDocumentsError: the file cannot be read, or is of no known form, or a hash is wrong.

    """
    try:
        content = orjson.loads(path.read_bytes())
    except OSError as error:
        raise TrustedDocumentsError(f"{path}: {error.strerror}") from None
    except orjson.JSONDecodeError as error:
        raise TrustedDocumentsError(f"{path}, line {error.lineno}: {error.msg}") from None
    try:
        listed = _listed(content)
    except ValueError as error:
        raise TrustedDocumentsError(f"{path}: {error}") from None
    documents: dict[str, str] = {}
    for id_, text in listed.items():
        digest = _HASH.fullmatch(id_)
        if digest and f"sha256:{digest[1]}" != id_of(text):
            raise TrustedDocumentsError(f"{path}: {id_} is not the SHA-256 hash of its document")
        documents[f"sha256:{digest[1]}" if digest else id_] = text
        # whoever sends the whole document, or its hash, means the same
        documents.setdefault(id_of(text), text)
    return documents


def _listed(content: Any) -> dict[str, str]:
    if isinstance(content, dict) and content.get("format") == _APOLLO:
        if content.get("version") != 1:
            raise ValueError("the version of the manifest is not 1")
        operations = content.get("operations")
        if not isinstance(operations, list):
            raise ValueError("the manifest has no list of operations")
        content = {
            one.get("id"): one.get("body") if isinstance(one, dict) else None for one in operations
        }
    if not isinstance(content, dict) or not content:
        raise ValueError("it must be a JSON object of ids and documents, with at least one")
    for id_, text in content.items():
        if not isinstance(id_, str) or not id_ or not isinstance(text, str):
            raise ValueError(f"{id_!r} must be a string with a document that is one, too")
    return content
