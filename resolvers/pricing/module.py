"""Introduces price lists to the registry."""

from resolvers.core.module import DataModule
from resolvers.pricing.tables import price_list, price_list_item

MODULE = DataModule(
    name="pricing",
    tables=(price_list, price_list_item),
    permissions={"prices.read": "See prices and price lists."},
)
