"""Taxes of the demo's companies: one on what stays in the country, none on what leaves it."""

from collections.abc import Iterator, Sequence

from gateway.seeding.amounts import amount_text
from gateway.seeding.calendar import Calendar
from gateway.seeding.companies import Company
from gateway.seeding.rows import Sheet
from resolvers.reference.rules import TaxPosition, TaxUse

TAXES = (
    ("S1", "Tax on sales", TaxUse.SALE, TaxPosition.DOMESTIC),
    ("S0", "Export, free of tax", TaxUse.SALE, TaxPosition.EXPORT),
    ("P1", "Input tax", TaxUse.PURCHASE, TaxPosition.DOMESTIC),
    ("P0", "Import, taxed by customs", TaxUse.PURCHASE, TaxPosition.EXPORT),
)


def sales_tax(company_id: int, *, at_home: bool) -> int:
    """Return the id of the tax on what a company sells in its country, or abroad."""
    return (company_id - 1) * len(TAXES) + (1 if at_home else 2)


def tax_rows(companies: Sequence[Company], calendar: Calendar) -> Iterator[Sheet]:
    """Yield the taxes of all companies."""
    sheet = Sheet(
        "tax", "id", "company_id", "code", "name", "use", "position", "rate", "valid_from"
    )
    first_year = calendar.date(0).year
    for company in companies:
        first = sales_tax(company.id, at_home=True)
        for number, (code, name, use, position) in enumerate(TAXES):
            rate = company.firm.tax_percent if position is TaxPosition.DOMESTIC else 0
            sheet.add(
                first + number,
                company.id,
                code,
                name,
                use,
                position,
                amount_text(rate),
                f"{first_year}-01-01",
            )
    yield sheet
