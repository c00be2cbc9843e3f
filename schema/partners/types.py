"""Partner, Address, PartnerTerms and PaymentTerm."""

from datetime import datetime
from decimal import Decimal

from resolvers.partners.loaders import (
    address,
    addresses_by_partner,
    partner,
    payment_term_by_id,
    terms_by_partner,
)
from schema.core.fields import ID, Money, RowType, column, computed, money, node_id, related
from schema.core.node import Node, node_type, row_type
from schema.partners.enums import AddressKind, PartnerKind


@node_type(address, "An address of a partner.", requires="partners.read")
class Address(RowType, Node):
    """A row of `partner_address`."""

    id: ID = node_id("Address")
    kind: AddressKind = column("What the address is for.")
    line1: str = column("Street and number.")
    line2: str | None = column("Second line, such as a floor.")
    city: str = column("City or town.")
    region: str | None = column("State or region.")
    postal_code: str | None = column("Postal code, as its country writes it.")
    country: str = column("Country by its ISO 3166 alpha-2 code.")
    is_default: bool = column("Used when nothing else is said.")


@row_type("PaymentTerm", "When an invoice is due.")
class PaymentTerm(RowType):
    """A row of `payment_term`."""

    code: str = column("Code, such as NET30.")
    name: str = column("Name, such as 30 days net.")
    net_days: int = column("Days from the invoice to the due date.")


@row_type("PartnerTerms", "The terms the company acted for has with a partner.")
class PartnerTerms(RowType):
    """A row of `partner_company`."""

    credit_limit: Decimal | None = column(
        "Most the partner may owe, in the company's currency; null for no limit.",
        requires="partners.credit",
    )
    payment_term: PaymentTerm | None = related(
        "When the partner's invoices are due.", payment_term_by_id, "payment_term_id"
    )
    blocked_at: datetime | None = column("Since when no new orders are taken.")
    block_reason: str | None = column("Why the partner is blocked.")


@node_type(
    partner, "A person or organisation the company buys from or sells to.", requires="partners.read"
)
class Partner(RowType, Node):
    """A row of `partner`."""

    id: ID = node_id("Partner")
    code: str = column("Code, unique among partners that are not archived.")
    name: str = column("Name of the firm or person.")
    kind: PartnerKind = column("Organisation or person.")
    is_customer: bool = column("The company sells to it.")
    is_supplier: bool = column("The company buys from it.")
    tax_id: str | None = column("Tax number.")
    email: str | None = column("E-mail address.")
    phone: str | None = column("Telephone number.")
    language: str | None = column("Preferred language, as a BCP 47 tag.")
    credit_limit: Money | None = money(
        "Most the partner may owe the company acted for; null for no limit.",
        "credit_limit",
        "company_currency",
        requires="partners.credit",
    )
    version: int = column("Counter of changes; send it back as the expected version of an edit.")
    archived: bool = computed(
        "Archived partners leave lists and still resolve from documents.",
        lambda row: row["archived_at"] is not None,
        needs=("archived_at",),
    )
    archived_at: datetime | None = column("When the partner was archived.")
    created_at: datetime = column("When the partner was entered.")
    updated_at: datetime = column("When the partner was last changed.")
    addresses: list[Address] = related(
        "Addresses that are not archived.", addresses_by_partner, "id", size=3
    )
    terms: PartnerTerms | None = related(
        "Terms of the company acted for; null when there are none.", terms_by_partner, "id"
    )
