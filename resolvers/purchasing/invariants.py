"""What must always hold for purchasing: each statement returns the rows that break it."""

from resolvers.core.module import Invariant

INVARIANTS = (
    Invariant(
        "archived_without_purchase_lines",
        """
        select l.id as line_id, o.number, p.sku, c.code as partner
        from purchase_order_line l join purchase_order o on o.id = l.order_id
        join product p on p.id = l.product_id join partner c on c.id = l.partner_id
        where l.received + l.canceled < l.quantity and o.state not in ('FULFILLED', 'CANCELED')
          and (p.archived_at is not null or c.archived_at is not null)
        """,
        "An open order line has an archived product or partner: restore it, or cancel the line.",
    ),
    Invariant(
        "purchase_totals",
        """
        select o.id as order_id, o.number, o.subtotal, o.tax_total, sum(l.net) as lines_net,
               sum(l.tax) as lines_tax
        from purchase_order o left join purchase_order_line l on l.order_id = o.id
        group by o.id
        having o.subtotal <> coalesce(sum(l.net), 0) or o.tax_total <> coalesce(sum(l.tax), 0)
        """,
        "A purchase order's totals differ from the sum of its lines: recompute them from the lines.",
    ),
    Invariant(
        "purchase_line_net",
        """
        select l.id as line_id, l.net
        from purchase_order_line l join currency c on c.code = l.currency
        where l.net <> round(l.quantity * l.unit_price, c.digits)
        """,
        "A line's net is not quantity x price, rounded half away from zero.",
    ),
    Invariant(
        "purchase_receipt_status",
        """
        select o.id as order_id, o.number, o.receipt_status, sum(l.received) as received,
               sum(greatest(l.quantity - l.received - l.canceled, 0)) as outstanding
        from purchase_order o join purchase_order_line l on l.order_id = o.id
        group by o.id
        having o.receipt_status <> case
            when sum(l.received) = 0 then 'NONE'
            when sum(greatest(l.quantity - l.received - l.canceled, 0)) > 0 then 'PARTIAL'
            else 'RECEIVED' end
        """,
        "A purchase order's receipt status is not what its lines say: derive it again.",
    ),
    Invariant(
        "purchase_bill_status",
        """
        select o.id as order_id, o.number, o.bill_status, sum(l.billed) as billed,
               sum(greatest(l.quantity - l.canceled - l.billed, 0)) as unbilled
        from purchase_order o join purchase_order_line l on l.order_id = o.id
        group by o.id
        having o.bill_status <> case
            when sum(l.billed) = 0 then 'NONE'
            when sum(greatest(l.quantity - l.canceled - l.billed, 0)) > 0 then 'PARTIAL'
            else 'BILLED' end
        """,
        "A purchase order's bill status is not what its lines say: derive it again.",
    ),
    Invariant(
        "purchase_state",
        """
        select o.id as order_id, o.number, o.state, sum(l.received) as received,
               sum(greatest(l.quantity - l.received - l.canceled, 0)) as outstanding
        from purchase_order o join purchase_order_line l on l.order_id = o.id
        group by o.id
        having case o.state
            when 'CONFIRMED' then sum(greatest(l.quantity - l.received - l.canceled, 0)) = 0
            when 'FULFILLED' then sum(greatest(l.quantity - l.received - l.canceled, 0)) > 0
                                  or sum(l.received) = 0
            when 'CANCELED' then sum(l.received) > 0 or sum(l.quantity - l.canceled) > 0
            else sum(l.received + l.canceled) > 0 end
        """,
        "A purchase order is open with nothing to come, or closed with something, or came too soon.",
    ),
    Invariant(
        "purchase_line_received",
        """
        select l.id as line_id, l.received, coalesce(r.received, 0) as receipts
        from purchase_order_line l
        left join (
            select order_line_id, sum(quantity) as received from goods_receipt_line group by 1
        ) r on r.order_line_id = l.id
        where l.received <> coalesce(r.received, 0)
        """,
        "A line says it has received more or less than its goods receipts: the receipts are right.",
    ),
    Invariant(
        "purchase_not_over_received",
        """
        select id as line_id, quantity, received, canceled, over_receipt_percent
        from purchase_order_line
        where received * 100 > (quantity - canceled) * (100 + over_receipt_percent)
        """,
        "More arrived of a line than its tolerance allows.",
    ),
    Invariant(
        "receipt_of_its_order",
        """
        select r.id as receipt_id, r.number, r.order_id, l.order_id as order_of_line
        from goods_receipt_line g
        join goods_receipt r on r.id = g.receipt_id
        join purchase_order_line l on l.id = g.order_line_id
        where r.order_id <> l.order_id
        """,
        "A goods receipt has a line of another order than its own.",
    ),
    Invariant(
        "receipt_is_sum_of_moves",
        """
        select line_id, coalesce(g.quantity, 0) as received, coalesce(m.quantity, 0) as moved
        from (select id as line_id, quantity from goods_receipt_line) g
        full join (
            select source_id as line_id, sum(quantity) as quantity from stock_move
            where source = 'GOODS_RECEIPT_LINE' group by 1
        ) m using (line_id)
        where coalesce(g.quantity, 0) <> coalesce(m.quantity, 0)
        """,
        "What a goods receipt says arrived differs from its moves: the ledger is right.",
    ),
    Invariant(
        "incoming_is_outstanding",
        """
        with outstanding as (
            select l.id as source_id, l.company_id, l.product_id, o.warehouse_id, l.expected_on,
                   l.quantity - l.received - l.canceled as quantity
            from purchase_order_line l join purchase_order o on o.id = l.order_id
            where o.state = 'CONFIRMED' and l.quantity > l.received + l.canceled
        ), incoming as (
            select source_id, company_id, product_id, warehouse_id, expected_on, quantity
            from incoming_stock where source = 'PURCHASE_ORDER_LINE'
        )
        (table outstanding except table incoming) union all
        (table incoming except table outstanding)
        """,
        "Incoming stock is not what lines of confirmed orders have outstanding.",
    ),
    Invariant(
        "purchase_line_as_entered",
        """
        select id as line_id, quantity, entered_quantity, entered_uom, entered_factor, stock_factor
        from purchase_order_line
        where entered_quantity * entered_factor <> quantity * stock_factor
           or num_nulls(entered_quantity, entered_uom, entered_factor, stock_factor) in (1, 2, 3)
        """,
        "A line's quantity is not what was entered, converted: what was entered is what was asked.",
    ),
)
