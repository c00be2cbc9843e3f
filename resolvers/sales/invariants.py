"""What must always hold for sales orders: each statement returns the rows that break it."""

from resolvers.core.module import Invariant

_REBUILD_OUTGOING = """
        insert into stock_projection (company_id, product_id, warehouse_id, outgoing)
        select w.company_id, product_id, warehouse_id, coalesce(d.outgoing, 0)
        from stock_projection p
        full join (
            select l.product_id, l.warehouse_id, sum(l.quantity - l.shipped - l.canceled) as outgoing
            from sales_order_line l join sales_order o on o.id = l.order_id
            where o.state = 'CONFIRMED' group by 1, 2
        ) d using (product_id, warehouse_id)
        join warehouse w on w.id = warehouse_id
        where coalesce(p.outgoing, 0) <> coalesce(d.outgoing, 0)
        order by product_id, warehouse_id
        on conflict (product_id, warehouse_id) do update set outgoing = excluded.outgoing
"""

INVARIANTS = (
    Invariant(
        "line_tax",
        """
        select l.id as line_id, l.net, l.tax, t.code,
               round(case t.kind when 'PERCENT' then l.net * t.rate / 100
                     else l.quantity * t.rate end, c.digits) as due
        from sales_order_line l
        join tax t on t.id = l.tax_id
        join currency c on c.code = l.currency
        where t.company_id <> l.company_id or t.use <> 'SALE'
           or l.tax <> round(case t.kind when 'PERCENT' then l.net * t.rate / 100
                             else l.quantity * t.rate end, c.digits)
        """,
        "The tax on a line is not what its tax makes of the net amount.",
    ),
    Invariant(
        "archived_without_sales_lines",
        """
        select l.id as line_id, o.number, p.sku, c.code as partner
        from sales_order_line l join sales_order o on o.id = l.order_id
        join product p on p.id = l.product_id join partner c on c.id = l.partner_id
        where l.shipped + l.canceled < l.quantity and o.state not in ('FULFILLED', 'CANCELED')
          and (p.archived_at is not null or c.archived_at is not null)
        """,
        "An open order line has an archived product or partner: restore it, or cancel the line.",
    ),
    Invariant(
        "order_totals",
        """
        select o.id as order_id, o.number, o.subtotal, o.tax_total, sum(l.net) as lines_net,
               sum(l.tax) as lines_tax
        from sales_order o join sales_order_line l on l.order_id = o.id
        group by o.id
        having o.subtotal <> sum(l.net) or o.tax_total <> sum(l.tax)
        """,
        "An order's totals differ from the sum of its lines: recompute them from the lines.",
    ),
    Invariant(
        "order_shipment_status",
        """
        select o.id as order_id, o.number, o.shipment_status, sum(l.shipped) as shipped
        from sales_order o join sales_order_line l on l.order_id = o.id
        group by o.id
        having o.shipment_status <> case
            when sum(l.shipped) = 0 then 'NONE'
            when sum(l.shipped) >= sum(l.quantity - l.canceled) then 'SHIPPED'
            else 'PARTIAL' end
        """,
        "An order's shipment status is not what its lines say: derive it again.",
    ),
    Invariant(
        "order_reservation_status",
        """
        select o.id as order_id, o.number, o.reservation_status, sum(l.reserved) as reserved
        from sales_order o join sales_order_line l on l.order_id = o.id
        group by o.id
        having o.reservation_status <> case
            when sum(l.reserved) = 0 then 'NONE'
            when sum(l.reserved) >= sum(l.quantity - l.shipped - l.canceled) then 'FULL'
            else 'PARTIAL' end
        """,
        "An order's reservation status is not what its lines say: derive it again.",
    ),
    Invariant(
        "order_invoice_status",
        """
        select o.id as order_id, o.number, o.invoice_status, sum(l.invoiced) as invoiced
        from sales_order o join sales_order_line l on l.order_id = o.id
        group by o.id
        having o.invoice_status <> case
            when sum(l.invoiced) = 0 then 'NONE'
            when sum(greatest(l.quantity - l.canceled - l.invoiced, 0)) > 0 then 'PARTIAL'
            else 'INVOICED' end
        """,
        "An order's invoice status is not what its lines say: derive it again.",
    ),
    Invariant(
        "line_reserved",
        """
        select l.id as line_id, l.reserved, coalesce(r.reserved, 0) as reservations
        from sales_order_line l
        left join (
            select source_id, sum(quantity - consumed) as reserved from stock_reservation
            where source = 'SALES_ORDER_LINE' and state = 'ACTIVE' group by source_id
        ) r on r.source_id = l.id
        where l.reserved <> coalesce(r.reserved, 0)
        """,
        "A line says it has more or less reserved than its reservations hold.",
    ),
    Invariant(
        "line_shipped_was_reserved",
        """
        select l.id as line_id, l.shipped, coalesce(r.consumed, 0) as consumed
        from sales_order_line l
        left join (
            select source_id, sum(consumed) as consumed from stock_reservation
            where source = 'SALES_ORDER_LINE' group by source_id
        ) r on r.source_id = l.id
        where l.shipped <> coalesce(r.consumed, 0)
        """,
        "What left of a line is not what was used up of its reservations.",
    ),
    Invariant(
        "reserved_where_it_leaves",
        """
        select l.id as line_id, r.id as reservation_id, l.warehouse_id, s.warehouse_id as reserved_in
        from stock_reservation r
        join sales_order_line l on r.source = 'SALES_ORDER_LINE' and l.id = r.source_id
        join stock_level s on s.id = r.level_id
        where s.warehouse_id <> l.warehouse_id and (r.state = 'ACTIVE' or r.consumed > 0)
        """,
        "Something is promised to a line from another warehouse than the one it leaves.",
    ),
    Invariant(
        "all_or_nothing",
        """
        select o.id as order_id, o.number, sum(l.reserved) as reserved, sum(l.shipped) as shipped
        from sales_order o join sales_order_line l on l.order_id = o.id
        join product p on p.id = l.product_id
        where o.fulfillment_policy = 'ALL_OR_NOTHING' and p.kind = 'GOODS'
        group by o.id
        having sum(l.reserved) not in (0, sum(l.quantity - l.shipped - l.canceled))
            or sum(l.shipped) not in (0, sum(l.quantity - l.canceled))
        """,
        "An order that is to have all goods at once has a part of them.",
    ),
    Invariant(
        "line_net",
        """
        select l.id as line_id, l.net
        from sales_order_line l
        join sales_order o on o.id = l.order_id
        join currency c on c.code = o.currency
        where l.net <> round(l.quantity * l.unit_price * (100 - l.discount_percent) / 100, c.digits)
        """,
        "A line's net is not quantity x price less discount, rounded half away from zero.",
    ),
    Invariant(
        "projection_outgoing",
        """
        with demand as (
            select l.product_id, l.warehouse_id, sum(l.quantity - l.shipped - l.canceled) as outgoing
            from sales_order_line l join sales_order o on o.id = l.order_id
            where o.state = 'CONFIRMED' group by 1, 2
        )
        select product_id, warehouse_id, coalesce(p.outgoing, 0) as projected,
               coalesce(d.outgoing, 0) as demanded
        from stock_projection p full join demand d using (product_id, warehouse_id)
        where coalesce(p.outgoing, 0) <> coalesce(d.outgoing, 0)
        """,
        "Projected outgoing stock differs from what confirmed orders still need.",
        _REBUILD_OUTGOING,
    ),
    Invariant(
        "line_as_entered",
        """
        select id as line_id, quantity, entered_quantity, entered_uom, entered_factor, stock_factor
        from sales_order_line
        where entered_quantity * entered_factor <> quantity * stock_factor
           or num_nulls(entered_quantity, entered_uom, entered_factor, stock_factor) in (1, 2, 3)
        """,
        "A line's quantity is not what was entered, converted: what was entered is what was asked.",
    ),
)
