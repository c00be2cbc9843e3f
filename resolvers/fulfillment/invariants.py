"""What must always hold for shipments: each statement returns the rows that break it."""

from resolvers.core.module import Invariant

INVARIANTS = (
    Invariant(
        "shipped_left_in_shipments",
        """
        select l.id as sales_order_line_id, l.shipped, coalesce(s.quantity, 0) as in_shipments
        from sales_order_line l
        left join (
          select x.order_line_id, sum(x.quantity) as quantity
          from shipment_line x join shipment s on s.id = x.shipment_id
          where s.state in ('SHIPPED', 'DELIVERED') group by 1
        ) s on s.order_line_id = l.id
        where l.shipped <> coalesce(s.quantity, 0)
        """,
        "What an order line says was shipped is not what left in its shipments.",
    ),
    Invariant(
        "planned_is_reserved",
        """
        select l.id as sales_order_line_id, l.reserved, sum(x.quantity) as planned
        from sales_order_line l join shipment_line x on x.order_line_id = l.id
        join shipment s on s.id = x.shipment_id
        where s.state in ('PLANNED', 'PICKING', 'PACKED')
        group by l.id having sum(x.quantity) > l.reserved
        """,
        "More is to be shipped than is reserved: cancel the shipment, or reserve what is missing.",
    ),
    Invariant(
        "shipment_of_its_order",
        """
        select s.id as shipment_id, s.number, x.id as shipment_line_id
        from shipment s join shipment_line x on x.shipment_id = s.id
        join sales_order_line l on l.id = x.order_line_id
        join sales_order o on o.id = s.order_id
        where l.order_id <> s.order_id or l.product_id <> x.product_id
           or o.partner_id <> s.partner_id or l.warehouse_id <> s.warehouse_id
        """,
        "A line in a shipment is of another order, product, customer or warehouse.",
    ),
    Invariant(
        "packed_is_picked",
        """
        select x.id as shipment_line_id, s.number, s.state, x.quantity, x.picked
        from shipment s join shipment_line x on x.shipment_id = s.id
        where s.state in ('PACKED', 'SHIPPED', 'DELIVERED') and x.picked <> x.quantity
        """,
        "Something was packed that nobody picked.",
    ),
    Invariant(
        "steps_of_done_orders",
        """
        select t.id as fulfillment_step_id, o.number, t.step, t.state
        from fulfillment_step t join sales_order o on o.id = t.order_id
        where o.state = 'FULFILLED' and t.state <> 'DONE'
        """,
        "An order is fulfilled, and a step of it is not done.",
    ),
)
