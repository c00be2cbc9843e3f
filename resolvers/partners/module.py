"""Introduces partners to the registry."""

from resolvers.core.module import DataModule
from resolvers.partners.tables import partner, partner_address, partner_company, payment_term

MODULE = DataModule(
    name="partners",
    tables=(partner, partner_address, payment_term, partner_company),
    permissions={
        "partners.read": "See partners, their addresses and terms.",
        "partners.write": "Make, change, archive and restore partners.",
        "partners.credit": "See credit limits.",
    },
)
