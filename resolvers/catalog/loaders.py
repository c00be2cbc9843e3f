"""Categories and products as readers know them, and how to get to them."""

from resolvers.catalog.tables import product as product_table
from resolvers.catalog.tables import product_category as category_table
from resolvers.catalog.tables import product_company as product_company_table
from resolvers.catalog.tables import product_unit as product_unit_table
from resolvers.core.entity import entity
from resolvers.core.kept import kept
from resolvers.core.relation import by_key, children

category = entity("ProductCategory", category_table)
product = entity("Product", product_table)
product_unit = entity("ProductUnit", product_unit_table)
product_of_company = entity("ProductOfCompany", product_company_table, key="product_id")

category_by_id = kept(category)
categories_by_parent = children(
    category, "parent_id", order=("code",), where=(category.columns["archived_at"].is_(None),)
)
product_by_id = by_key(product)
# a SKU can be used again once its product is archived; the active product comes last and counts
product_by_sku = by_key(product, "sku", order=("archived_at",))
units_by_product = children(
    product_unit,
    "product_id",
    order=("factor", "id"),
    where=(product_unit.columns["archived_at"].is_(None),),
)
# row security leaves the row of the caller's company, so one per product
product_of_company_by_product = by_key(product_of_company)
