"""What must always hold for the worth of stock: each statement returns the rows that break it."""

from resolvers.core.module import Invariant
from resolvers.valuation.tables import INSIDE_LISTED

_REBUILD_VALUES = """
        update product_cost c set quantity = e.quantity, value = e.amount
        from (select product_id, company_id, sum(quantity) as quantity, sum(amount) as amount
              from valuation_entry group by 1, 2) e
        where e.product_id = c.product_id and e.company_id = c.company_id
          and (c.quantity, c.value) <> (e.quantity, e.amount)
"""

INVARIANTS = (
    Invariant(
        "value_is_sum_of_entries",
        """
        select product_id, company_id, c.quantity, c.value, e.quantity as of_entries,
               e.amount as worth_of_entries
        from product_cost c
        full join (select product_id, company_id, sum(quantity) as quantity, sum(amount) as amount
                   from valuation_entry group by 1, 2) e using (product_id, company_id)
        where (coalesce(c.quantity, 0), coalesce(c.value, 0))
              <> (coalesce(e.quantity, 0), coalesce(e.amount, 0))
        """,
        "What a product is worth is not the sum of its entries: the entries are right.",
        _REBUILD_VALUES,
    ),
    Invariant(
        "value_is_sum_of_layers",
        """
        select p.product_id, p.company_id, p.quantity, p.value, l.quantity as of_layers,
               l.value as worth_of_layers
        from product_cost p join company c on c.id = p.company_id
        cross join lateral (
            select coalesce(sum(remaining), 0) as quantity, coalesce(sum(value), 0) as value
            from cost_layer l
            where l.product_id = p.product_id and l.company_id = p.company_id and remaining <> 0
        ) l
        where (l.quantity, l.value) <> case when c.costing = 'FIFO' then (p.quantity, p.value)
                                            else (0::numeric, 0::numeric) end
        """,
        "What is left of a product's layers is not what it is worth: rebuild them from its moves.",
    ),
    Invariant(
        "layers_of_lots",
        f"""
        select l.product_id, l.lot_id, l.remaining, coalesce(b.on_hand, 0) as on_hand
        from (select product_id, lot_id, sum(remaining) as remaining from cost_layer
              where lot_id is not null group by 1, 2) l
        left join (
            select b.product_id, b.lot_id, sum(b.on_hand) as on_hand
            from stock_balance b join stock_location p on p.id = b.location_id
            where p.kind in {INSIDE_LISTED} group by 1, 2
        ) b using (product_id, lot_id)
        where l.remaining <> coalesce(b.on_hand, 0)
        """,
        "What is left of the layers of a lot is not what there is of it: rebuild them.",
    ),
    Invariant(
        "valued_is_on_hand",
        f"""
        select product_id, company_id, coalesce(c.quantity, 0) as valued,
               coalesce(b.on_hand, 0) as on_hand
        from product_cost c
        full join (
            select b.product_id, b.company_id, sum(b.on_hand) as on_hand
            from stock_balance b join stock_location l on l.id = b.location_id
            where l.kind in {INSIDE_LISTED} group by 1, 2
        ) b using (product_id, company_id)
        where coalesce(c.quantity, 0) <> coalesce(b.on_hand, 0)
        """,
        "What is valued of a product is not what the company has of it.",
    ),
    Invariant(
        "moves_are_valued",
        f"""
        select m.id as move_id, m.quantity, e.entries, e.quantity as valued
        from stock_move m
        join stock_location o on o.id = m.from_location_id
        join stock_location t on t.id = m.to_location_id
        left join (
            select move_id, count(*) filter (where quantity <> 0) as entries,
                   sum(quantity) as quantity
            from valuation_entry where move_id is not null group by 1
        ) e on e.move_id = m.id
        where coalesce(e.quantity, 0)
              <> m.quantity * ((t.kind in {INSIDE_LISTED})::int - (o.kind in {INSIDE_LISTED})::int)
           or coalesce(e.entries, 0) <> abs((t.kind in {INSIDE_LISTED})::int - (o.kind in {INSIDE_LISTED})::int)
        """,
        "A move into the company or out of it has no entry of its value, or one too many.",
    ),
)
