"""What became of many rows, one by one."""

from collections.abc import Mapping, Sequence
from typing import Any

import strawberry

from resolvers.core.bulk import LETTERS, RowResult
from resolvers.core.errors import ErrorCode
from schema.core.enums import describe_enum
from schema.core.payload import UserError
from schema.core.scalars import error_details

describe_enum(
    RowResult,
    "What became of one row.",
    {
        "INSERTED": "There was nothing of its key; now there is.",
        "UPDATED": "What there was is now as the row says.",
        "UNCHANGED": "It was as the row says already.",
        "REJECTED": "It was not written; errors say why.",
    },
)


@strawberry.type(description="What became of one row of an upsert.")
class RowVerdict:
    """A `resolvers.core.bulk.Verdict` that was told."""

    index: int = strawberry.field(description="Place of the row in the input, from 0.")
    key: str = strawberry.field(description="Key of the row: the SKU, or the code.")
    result: RowResult = strawberry.field(description="What became of it.")
    errors: list[UserError] = strawberry.field(description="Why it was rejected; else empty.")


_RESULTS = {letter: result for result, letter in LETTERS.items()}


def row_verdicts(
    told: Sequence[Mapping[str, Any]] | None, keys: Sequence[str] = (), results: str = ""
) -> list[RowVerdict]:
    """Return verdicts that were told as JSON; with ``results`` among those on all ``keys``."""
    verdicts = [
        RowVerdict(index=index, key=key, result=_RESULTS[letter], errors=[])
        for index, (key, letter) in enumerate(zip(keys, results, strict=False))
    ]
    if not verdicts:
        return [_verdict(one) for one in told or ()]
    for one in told or ():
        verdicts[one["index"]] = _verdict(one)
    return verdicts


def _verdict(told: Mapping[str, Any]) -> RowVerdict:
    return RowVerdict(
        index=told["index"],
        key=told["key"],
        result=RowResult(told["result"]),
        errors=[
            UserError(
                code=ErrorCode(error["code"]),
                message=error["message"],
                path=error["path"],
                # an answer that was stored before they were told has none
                details=error_details(error.get("details", {})),
            )
            for error in told["errors"]
        ],
    )
