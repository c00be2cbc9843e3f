"""Lists of categories and products."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, bindparam, func, select

from resolvers.catalog.loaders import category, product
from resolvers.catalog.tables import product_category
from resolvers.core.listing import Condition, Equals, Filter, Flag, Listing, OneOf, Search


@dataclass(frozen=True)
class UnderCategory(Filter):
    """The column refers to the category at a path or to one below it."""

    column: ColumnElement[Any]

    def conditions(self, name: str) -> Mapping[str, Condition]:
        """Return the membership in the subtree, as a range of paths an index can serve."""
        path = product_category.c.path
        start = bindparam(name, type_=path.type)
        end = func.concat(func.rtrim(start, "/"), "0")  # "0" is the character behind "/"
        subtree = select(product_category.c.id).where(
            path.bool_op("~>=~")(start), path.bool_op("~<~")(end)
        )
        return {name: Condition(self.column.in_(subtree), name)}

    def leaves(self, name: str, value: Any) -> dict[str, Any]:
        """Bind the path, with its slashes whether or not they were given."""
        codes = str(value).strip("/")
        return {name: f"/{codes}/" if codes else "/"}


_columns = product.columns

products = Listing(
    name="products",
    entity=product,
    orders={"SKU": ("sku",), "NAME": ("name",), "ID": ()},
    default_order="SKU",
    filters={
        "search": Search(_columns["search"]),
        "skus": OneOf(_columns["sku"]),
        "category_id": Equals(_columns["category_id"], "ProductCategory"),
        "category_path": UnderCategory(_columns["category_id"]),
        "kinds": OneOf(_columns["kind"]),
        "include_archived": Flag(None, _columns["archived_at"].is_(None)),
    },
    defaults={"include_archived": False},
)
categories = Listing(
    name="categories",
    entity=category,
    orders={"PATH": ("path",), "ID": ()},
    default_order="PATH",
    where=(category.columns["archived_at"].is_(None),),
)
