"""Introduces the catalog to the registry."""

from resolvers.catalog.invariants import INVARIANTS
from resolvers.catalog.tables import product, product_category, product_company, product_unit
from resolvers.core.module import DataModule

MODULE = DataModule(
    name="catalog",
    tables=(product_category, product, product_unit, product_company),
    invariants=INVARIANTS,
    permissions={
        "catalog.read": "See products and categories.",
        "catalog.write": "Make, change, archive and restore products.",
        "cost.read": "See what products cost the company.",
    },
)
