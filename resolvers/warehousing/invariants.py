"""What must always hold for transfers and counts: each statement returns the rows that break it."""

from resolvers.core.module import Invariant

INVARIANTS = (
    Invariant(
        "in_transit_is_in_transfers",
        """
        with held as (
            select b.company_id, b.product_id, coalesce(b.lot_id, 0) as lot, sum(b.on_hand) as held
            from stock_balance b join stock_location l on l.id = b.location_id
            where l.kind = 'TRANSIT' group by 1, 2, 3
        ), sent as (
            select company_id, product_id, coalesce(lot_id, 0) as lot,
                   sum(quantity - received - returned) as sent
            from stock_transfer_line group by 1, 2, 3
        )
        select company_id, product_id, lot, coalesce(h.held, 0) as in_transit,
               coalesce(s.sent, 0) as in_transfers
        from held h full join sent s using (company_id, product_id, lot)
        where coalesce(h.held, 0) <> coalesce(s.sent, 0)
        """,
        "What is in transit is not what transfers still have on their way.",
    ),
    Invariant(
        "in_transit_is_incoming",
        """
        select l.id as stock_transfer_line_id, l.quantity - l.received - l.returned as in_transit,
               i.quantity as incoming
        from stock_transfer_line l
        full join (select * from incoming_stock where source = 'STOCK_TRANSFER_LINE') i
          on i.source_id = l.id and i.product_id = l.product_id
         and i.warehouse_id = l.to_warehouse_id and i.expected_on = l.expected_on
        where coalesce(l.quantity - l.received - l.returned, 0) <> coalesce(i.quantity, 0)
        """,
        "What a transfer has on its way is not what is incoming with it: update the line.",
    ),
    Invariant(
        "transfer_state",
        """
        select t.id as stock_transfer_id, t.number, t.state
        from stock_transfer t join (
          select transfer_id, sum(received) as came, sum(quantity - received - returned) as coming
          from stock_transfer_line group by 1) l on l.transfer_id = t.id
        where t.state <> case when l.coming > 0 then 'IN_TRANSIT'
                              when l.came > 0 then 'RECEIVED' else 'CANCELED' end
        """,
        "A transfer's state does not follow from its lines: set it to what does.",
    ),
    Invariant(
        "transfer_moved",
        """
        with moved as (
            select m.source_id as line_id,
                   sum(m.quantity) filter (where t.kind = 'TRANSIT') as sent,
                   sum(m.quantity) filter (where f.kind = 'TRANSIT') as left_transit
            from stock_move m
            join stock_location f on f.id = m.from_location_id
            join stock_location t on t.id = m.to_location_id
            where m.source = 'STOCK_TRANSFER_LINE' group by 1
        )
        select l.id as stock_transfer_line_id, l.quantity, m.sent, l.received + l.returned as ended,
               m.left_transit
        from stock_transfer_line l left join moved m on m.line_id = l.id
        where l.quantity <> coalesce(m.sent, 0)
           or l.received + l.returned <> coalesce(m.left_transit, 0)
        """,
        "A line of a transfer says something else than the ledger's moves for it.",
    ),
    Invariant(
        "count_moved",
        """
        select l.id as stock_count_line_id, c.number, l.expected, l.counted, m.moved
        from stock_count_line l join stock_count c on c.id = l.count_id
        left join (
          select m.source_id as line_id,
                 sum(case when m.to_location_id = x.location_id then m.quantity
                          else -m.quantity end) as moved
          from stock_move m join stock_count_line x on x.id = m.source_id
          where m.source = 'STOCK_COUNT_LINE' group by 1) m on m.line_id = l.id
        where coalesce(m.moved, 0) <> case when c.state = 'POSTED'
                                           then coalesce(l.counted - l.expected, 0) else 0 end
        """,
        "The difference that was counted is not what the ledger was corrected by.",
    ),
)
