"""What must always hold for returns: each statement returns the rows that break it."""

from resolvers.core.module import Invariant

INVARIANTS = (
    Invariant(
        "returned_came_back",
        """
        select l.id as sales_order_line_id, l.returned, coalesce(r.quantity, 0) as in_returns
        from sales_order_line l
        left join (
          select order_line_id, sum(quantity) as quantity from goods_return_line group by 1
        ) r on r.order_line_id = l.id
        where l.returned <> coalesce(r.quantity, 0)
        """,
        "What an order line says came back is not what its returns say.",
    ),
    Invariant(
        "return_of_its_order",
        """
        select x.id as goods_return_line_id, r.number
        from goods_return r join goods_return_line x on x.return_id = r.id
        join sales_order_line l on l.id = x.order_line_id
        where l.order_id <> r.order_id or l.product_id <> x.product_id
           or l.partner_id <> r.partner_id or l.company_id <> r.company_id
        """,
        "A line of a return is of another order, another product or another customer.",
    ),
    Invariant(
        "return_moved",
        """
        select x.id as goods_return_line_id, x.quantity, coalesce(m.moved, 0) as moved
        from goods_return_line x
        left join (
          select source_id, sum(quantity) as moved from stock_move
          where source = 'GOODS_RETURN_LINE' and kind = 'RETURN' group by 1
        ) m on m.source_id = x.id
        where x.quantity <> coalesce(m.moved, 0)
        """,
        "A line of a return says something else than the ledger's moves for it.",
    ),
)
