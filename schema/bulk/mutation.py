"""Mutations that write many rows."""

from collections.abc import Collection, Mapping
from decimal import Decimal
from operator import attrgetter
from typing import Annotated, Any

import strawberry

from resolvers.bulk.commands import upsert
from resolvers.bulk.rules import MAX_ROWS, OnError, Upsert
from resolvers.core.command import CommandRefused
from resolvers.core.context import Context
from resolvers.core.errors import Invalid
from resolvers.operations.loaders import job_by_id
from schema.bulk.enums import OnError as OnErrorEnum
from schema.bulk.inputs import PartnerUpsertInput, ProductUpsertInput, StockLevelUpsertInput
from schema.core.bulk import RowVerdict, row_verdicts
from schema.core.fields import argument, column, computed, related
from schema.core.ids import decode_id
from schema.core.payload import IdempotencyKey, Payload, UserError, mutation
from schema.operations.types import Job


@strawberry.type(description="What became of the rows, or the job that writes them.")
class UpsertPayload(Payload):
    """Outcome of `resolvers.bulk.commands.upsert`."""

    accepted: int | None = column("Rows that are as asked for now; null when all was refused.")
    rejected: int | None = column("Rows that were not written.")
    rows: list[RowVerdict] = computed(
        "What became of each row, in the order of the input; of those that are wrong alone where "
        "everything was rejected, and none while a job is at it.",
        lambda row: row_verdicts(row["rows"], row["keys"], row["results"]),
        needs=("rows", "keys", "results"),
    )
    job: Job | None = related(
        "The job that writes them, where there are more than 1,000; else null.",
        job_by_id,
        "job_id",
    )
    user_errors: list[UserError] = column("Why it was refused; empty when it was done.")


def _rows_argument(description: str) -> Any:
    return argument(f"{description}, 1 to {MAX_ROWS:,}; more than 1,000 are written by a job.")


OnErrorArgument = Annotated[OnErrorEnum, argument("What becomes of all when some are wrong.")]


class _Optional:
    """How what rows need not have is read: by the names of the API."""

    def __init__(self, names: Mapping[str, str], *, trimmed: Collection[str]) -> None:
        self._names = tuple((name, name in trimmed) for name in names)
        self._read = attrgetter(*names.values())
        self._nothing = (None,) * len(names)

    def add_to(self, given: dict[str, Any], row: Any) -> None:
        """Add what is not null in an input object, without blanks around some of it."""
        values = self._read(row)
        if values == self._nothing:  # as most rows have none of it
            return
        for (name, trimmed), value in zip(self._names, values, strict=True):
            if value is not None:
                given[name] = value.strip() if trimmed else value


_OF_PRODUCT = _Optional(
    {
        "listCurrency": "list_currency",
        "description": "description",
        "barcode": "barcode",
        "kind": "kind",
        "tracking": "tracking",
    },
    trimmed=("description", "barcode"),
)
_OF_PARTNER = _Optional(
    {
        "kind": "kind",
        "isCustomer": "is_customer",
        "isSupplier": "is_supplier",
        "taxId": "tax_id",
        "email": "email",
        "phone": "phone",
        "language": "language",
    },
    trimmed=("taxId", "email", "phone", "language"),
)


def _product(row: ProductUpsertInput) -> dict[str, Any]:
    given: dict[str, Any] = {
        "sku": row.sku.strip(),
        "name": row.name.strip(),
        "categoryCode": row.category_code,
        "uom": row.uom,
        "listPrice": _plain(row.list_price),
    }
    _OF_PRODUCT.add_to(given, row)
    if row.attributes is not None:
        given["attributes"] = {one.name: one.value for one in row.attributes}
    return given


def _partner(row: PartnerUpsertInput) -> dict[str, Any]:
    given = {"code": row.code.strip(), "name": row.name.strip()}
    _OF_PARTNER.add_to(given, row)
    return given


def _plain(number: Decimal) -> str:
    """Return a number as text without an exponent; most have none, and are told faster."""
    text = str(number)
    return f"{number:f}" if "E" in text else text


@strawberry.type
class Mutation:
    """Root fields of this module."""

    @mutation(
        "Make products, or change those that have a row's SKU. Whatever is as a row says already "
        "is left alone.",
        requires="catalog.write",
    )
    async def upsert_products(
        context: Context,
        idempotency_key: IdempotencyKey,
        rows: Annotated[list[ProductUpsertInput], _rows_argument("The products")],
        on_error: OnErrorArgument = OnError.REJECT_EVERYTHING,
    ) -> UpsertPayload | None:
        """Run the command."""
        asked = [_product(row) for row in rows]
        return UpsertPayload.done(
            **await upsert(context, idempotency_key, Upsert.PRODUCTS, asked, on_error)
        )

    @mutation(
        "Make partners, or change those that have a row's code. Whatever is as a row says already "
        "is left alone.",
        requires="partners.write",
    )
    async def upsert_partners(
        context: Context,
        idempotency_key: IdempotencyKey,
        rows: Annotated[list[PartnerUpsertInput], _rows_argument("The partners")],
        on_error: OnErrorArgument = OnError.REJECT_EVERYTHING,
    ) -> UpsertPayload | None:
        """Run the command."""
        asked = [_partner(row) for row in rows]
        return UpsertPayload.done(
            **await upsert(context, idempotency_key, Upsert.PARTNERS, asked, on_error)
        )

    @mutation(
        "Set stock at locations to what was counted; differences are booked as adjustments.",
        requires="stock.adjust",
    )
    async def upsert_stock_levels(
        context: Context,
        idempotency_key: IdempotencyKey,
        rows: Annotated[list[StockLevelUpsertInput], _rows_argument("What was counted")],
        on_error: OnErrorArgument = OnError.REJECT_EVERYTHING,
    ) -> UpsertPayload | None:
        """Run the command."""
        asked, errors = [], []
        for index, row in enumerate(rows):
            try:
                place = decode_id(
                    row.location_id, "StockLocation", path=("rows", str(index), "locationId")
                )
            except Invalid as error:
                errors.append(error)
                continue
            given = {
                "sku": row.sku,
                "locationId": place,
                "countedQty": _plain(row.counted_qty),
                "reason": row.reason,
            }
            if row.lot_number is not None:
                given["lotNumber"] = row.lot_number
            asked.append(given)
        if errors:
            raise CommandRefused(errors)
        return UpsertPayload.done(
            **await upsert(context, idempotency_key, Upsert.STOCK_LEVELS, asked, on_error)
        )
