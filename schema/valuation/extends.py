"""What valuation adds to lower modules' types."""

from resolvers.valuation.loaders import cost_by_product, entries_by_move, layers_by_product
from schema.catalog.types import Product
from schema.core.extend import extend
from schema.core.fields import related
from schema.inventory.types import StockMove
from schema.valuation.types import CostLayer, ProductCost, ValuationEntry


@extend(Product)
class ProductValue:
    """The worth of products."""

    cost: ProductCost | None = related(
        "What the company has of the product and what it cost; null if it never had any.",
        cost_by_product,
        "id",
        requires="cost.read",
    )
    cost_layers: list[CostLayer] | None = related(
        "What is left of each time that goods came, the oldest first; empty at average cost.",
        layers_by_product,
        "id",
        requires="cost.read",
        size=5,
    )


@extend(StockMove)
class MoveValue:
    """The worth of what moved."""

    valuation: list[ValuationEntry] | None = related(
        "What it added to the worth of stock; empty for moves inside the company.",
        entries_by_move,
        "id",
        requires="cost.read",
        size=2,
    )
