"""What must always hold for the catalog: each statement returns the rows that break it."""

from resolvers.core.module import Invariant

INVARIANTS = (
    Invariant(
        "pack_holds_something",
        """
        select u.id as unit_id, p.sku, u.code, u.factor
        from product_unit u join product p on p.id = u.product_id
        where u.factor <= 0
        """,
        "A pack holds nothing of its product: say how many of the product's unit are in it.",
    ),
)
