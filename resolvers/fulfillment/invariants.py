"""What must always hold for shipments: each statement returns the rows that break it."""

from resolvers.core.module import Invariant

_MOVED = """
          select source_id as line, from_location_id as location, coalesce(lot_id, 0) as lot,
                 sum(quantity) as quantity
          from stock_move where source = 'SALES_ORDER_LINE' and kind = 'SHIPMENT' group by 1, 2, 3
"""
_LEFT = """
          select x.order_line_id as line, coalesce(x.location_id, 0) as location,
                 coalesce(x.lot_id, 0) as lot, sum(x.quantity) as quantity
          from shipment_line x join shipment s on s.id = x.shipment_id
          where s.state in ('SHIPPED', 'DELIVERED') group by 1, 2, 3
"""
_SHIPPED_AS_MOVED = f"""
        with moved as ({_MOVED}), sent as ({_LEFT})
        select line as sales_order_line_id, location as location_id, lot as lot_id,
               coalesce(s.quantity, 0) as in_shipments, coalesce(m.quantity, 0) as moved
        from moved m full join sent s using (line, location, lot)
        where coalesce(s.quantity, 0) <> coalesce(m.quantity, 0)
          -- what left before the ledger began is known to nobody
          and line in (select k.line from moved k)
"""
# what moved first left in the shipment that left first; a line that moved in parts becomes several
_REBUILD_LINES = f"""
        with broken as (select distinct sales_order_line_id as line from ({_SHIPPED_AS_MOVED}) b),
        moved as (
          select source_id as line, id, from_location_id as location_id, lot_id, quantity,
                 sum(quantity) over (partition by source_id order by id) as upto
          from stock_move where source = 'SALES_ORDER_LINE' and kind = 'SHIPMENT'
            and source_id in (select line from broken)
        ), sent as (
          select x.id, x.order_line_id as line, x.quantity,
                 sum(x.quantity) over (partition by x.order_line_id
                                       order by s.shipped_at, s.id, x.position) as upto
          from shipment_line x join shipment s on s.id = x.shipment_id
          where s.state in ('SHIPPED', 'DELIVERED')
            and x.order_line_id in (select line from broken)
        ), overlap as (
          select s.id, s.quantity as whole, m.location_id, m.lot_id, min(m.id) as first,
                 sum(least(s.upto, m.upto) - greatest(s.upto - s.quantity, m.upto - m.quantity))
                   as quantity
          from sent s join moved m using (line)
          where m.upto > s.upto - s.quantity and m.upto - m.quantity < s.upto
          group by s.id, s.quantity, m.location_id, m.lot_id
        ), part as (
          select o.*, row_number() over (partition by id order by first) as place,
                 sum(quantity) over (partition by id) as found
          from overlap o
        ), filled as (
          update shipment_line x
          set quantity = p.quantity, picked = p.quantity, location_id = p.location_id,
              lot_id = p.lot_id
          from part p where p.id = x.id and p.place = 1 and p.found = p.whole
        )
        insert into shipment_line (company_id, partner_id, shipment_id, position, order_line_id,
          product_id, quantity, picked, location_id, lot_id)
        select x.company_id, x.partner_id, x.shipment_id,
               (select max(y.position) from shipment_line y where y.shipment_id = x.shipment_id)
                 + row_number() over (partition by x.shipment_id order by x.position, p.place),
               x.order_line_id, x.product_id, p.quantity, p.quantity, p.location_id, p.lot_id
        from part p join shipment_line x on x.id = p.id
        where p.place > 1 and p.found = p.whole
"""

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
        left join stock_location p on p.id = x.location_id
        where l.order_id <> s.order_id or l.product_id <> x.product_id
           or o.partner_id <> s.partner_id or l.warehouse_id <> s.warehouse_id
           or p.warehouse_id <> s.warehouse_id
        """,
        "A line in a shipment is of another order, product, customer or warehouse.",
    ),
    Invariant(
        "shipped_as_moved",
        _SHIPPED_AS_MOVED,
        "What shipments say left, of which lot and from where, is not what the ledger says moved.",
        _REBUILD_LINES,
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
