"""Mutations that write many rows."""

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
        lambda row: row_verdicts(row["rows"]),
        needs=("rows",),
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


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _trimmed(text: str | None) -> str | None:
    return None if text is None else text.strip()


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
        asked = [
            _given(
                sku=row.sku.strip(),
                name=row.name.strip(),
                categoryCode=row.category_code,
                uom=row.uom,
                listPrice=f"{row.list_price:f}",
                listCurrency=row.list_currency,
                description=_trimmed(row.description),
                barcode=_trimmed(row.barcode),
                kind=row.kind,
                tracking=row.tracking,
                attributes=None
                if row.attributes is None
                else {one.name: one.value for one in row.attributes},
            )
            for row in rows
        ]
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
        asked = [
            _given(
                code=row.code.strip(),
                name=row.name.strip(),
                kind=row.kind,
                isCustomer=row.is_customer,
                isSupplier=row.is_supplier,
                taxId=_trimmed(row.tax_id),
                email=_trimmed(row.email),
                phone=_trimmed(row.phone),
                language=_trimmed(row.language),
            )
            for row in rows
        ]
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
            asked.append(
                _given(
                    sku=row.sku,
                    locationId=place,
                    countedQty=f"{row.counted_qty:f}",
                    reason=row.reason,
                    lotNumber=row.lot_number,
                )
            )
        if errors:
            raise CommandRefused(errors)
        return UpsertPayload.done(
            **await upsert(context, idempotency_key, Upsert.STOCK_LEVELS, asked, on_error)
        )
