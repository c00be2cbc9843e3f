"""Partners as readers know them, and how to get to them."""

from sqlalchemy import select

from resolvers.core.entity import entity
from resolvers.core.kept import kept
from resolvers.core.relation import by_key, children
from resolvers.identity.loaders import company
from resolvers.partners.tables import partner as partner_table
from resolvers.partners.tables import partner_address as address_table
from resolvers.partners.tables import partner_company as terms_table
from resolvers.partners.tables import payment_term as payment_term_table

# row security leaves the caller's company, and the terms it has with a partner
_credit_limit = select(terms_table.c.credit_limit).where(
    terms_table.c.partner_id == partner_table.c.id
)
_company_currency = select(company.columns["currency"])

partner = entity(
    "Partner",
    partner_table,
    credit_limit=_credit_limit.scalar_subquery(),
    company_currency=_company_currency.scalar_subquery(),
)
address = entity("Address", address_table)
payment_term = entity("PaymentTerm", payment_term_table)
terms = entity("PartnerTerms", terms_table, key="partner_id")

partner_by_id = by_key(partner)
address_by_id = by_key(address)
payment_term_by_id = kept(payment_term)
# row security leaves the row of the caller's company, so one per partner
terms_by_partner = by_key(terms)
addresses_by_partner = children(
    address, "partner_id", order=("id",), where=(address.columns["archived_at"].is_(None),)
)
