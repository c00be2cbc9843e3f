"""What must always hold for stock: each statement returns the rows that break it."""

from resolvers.core.module import Invariant

_MOVED = """
        with moved as (
            select product_id, location_id, coalesce(lot_id, 0) as lot, sum(quantity) as on_hand
            from (
                select product_id, to_location_id as location_id, lot_id, quantity from stock_move
                union all
                select product_id, from_location_id, lot_id, -quantity from stock_move
            ) both_ends
            group by 1, 2, 3
        )
"""
_REBUILD_BALANCES = f"""
        {_MOVED}
        insert into stock_balance (company_id, product_id, location_id, lot_id, is_serial, on_hand)
        select l.company_id, product_id, location_id, nullif(lot, 0), p.tracking = 'SERIAL',
               coalesce(m.on_hand, 0)
        from (select *, coalesce(lot_id, 0) as lot from stock_balance) b
        full join moved m using (product_id, location_id, lot)
        join stock_location l on l.id = location_id
        join product p on p.id = product_id
        where coalesce(b.on_hand, 0) <> coalesce(m.on_hand, 0)
        -- what is nowhere first, so that a serial number is never at two places
        order by coalesce(m.on_hand, 0), product_id, location_id, lot
        on conflict (product_id, location_id, lot_id) do update set on_hand = excluded.on_hand
"""
# both sums at once: a level with one of them right and the other one not may be refused
_REBUILD_LEVELS = """
        with held as (
            select b.product_id, l.warehouse_id, sum(b.on_hand) as on_hand
            from stock_balance b join stock_location l on l.id = b.location_id
            where l.kind = 'INTERNAL' and l.sellable group by 1, 2
        ), promised as (
            select level_id, sum(quantity - consumed) as reserved from stock_reservation
            where state = 'ACTIVE' group by 1
        )
        insert into stock_level (company_id, product_id, warehouse_id, allow_negative, on_hand,
                                 reserved)
        select w.company_id, product_id, warehouse_id, w.negative_stock, coalesce(h.on_hand, 0),
               coalesce(r.reserved, 0)
        from stock_level s
        full join held h using (product_id, warehouse_id)
        join warehouse w on w.id = warehouse_id
        left join promised r on r.level_id = s.id
        where coalesce(s.on_hand, 0) <> coalesce(h.on_hand, 0)
           or coalesce(s.reserved, 0) <> coalesce(r.reserved, 0)
        order by s.id
        on conflict (product_id, warehouse_id)
        do update set on_hand = excluded.on_hand, reserved = excluded.reserved
"""
_REBUILD_INCOMING = """
        insert into stock_projection (company_id, product_id, warehouse_id, incoming)
        select w.company_id, product_id, warehouse_id, coalesce(e.incoming, 0)
        from stock_projection p
        full join (
            select product_id, warehouse_id, sum(quantity) as incoming from incoming_stock
            group by 1, 2
        ) e using (product_id, warehouse_id)
        join warehouse w on w.id = warehouse_id
        where coalesce(p.incoming, 0) <> coalesce(e.incoming, 0)
        order by product_id, warehouse_id
        on conflict (product_id, warehouse_id) do update set incoming = excluded.incoming
"""

INVARIANTS = (
    Invariant(
        "balance_is_sum_of_moves",
        f"""
        {_MOVED}
        select product_id, location_id, lot, coalesce(b.on_hand, 0) as balance,
               coalesce(m.on_hand, 0) as moved
        from (select *, coalesce(lot_id, 0) as lot from stock_balance) b
        full join moved m using (product_id, location_id, lot)
        where coalesce(b.on_hand, 0) <> coalesce(m.on_hand, 0)
        """,
        "A balance differs from what its moves add up to: the ledger is right, rebuild the balance.",
        _REBUILD_BALANCES,
    ),
    Invariant(
        "level_is_sum_of_balances",
        """
        with held as (
            select b.product_id, l.warehouse_id, sum(b.on_hand) as on_hand
            from stock_balance b join stock_location l on l.id = b.location_id
            where l.kind = 'INTERNAL' and l.sellable group by 1, 2
        )
        select product_id, warehouse_id, coalesce(s.on_hand, 0) as level,
               coalesce(h.on_hand, 0) as balances
        from stock_level s full join held h using (product_id, warehouse_id)
        where coalesce(s.on_hand, 0) <> coalesce(h.on_hand, 0)
        """,
        "A level's on hand differs from its sellable balances: set it to their sum.",
        _REBUILD_LEVELS,
    ),
    Invariant(
        "level_reserved_is_sum_of_reservations",
        """
        select s.id as level_id, s.reserved, coalesce(r.reserved, 0) as reservations
        from stock_level s
        left join (
            select level_id, sum(quantity - consumed) as reserved from stock_reservation
            where state = 'ACTIVE' group by level_id
        ) r on r.level_id = s.id
        where s.reserved <> coalesce(r.reserved, 0)
        """,
        "A level says it has more or less reserved than its active reservations hold.",
        _REBUILD_LEVELS,
    ),
    Invariant(
        "reserved_for_hold",
        """
        select r.id as reservation_id, r.quantity, l.quantity as held, h.state
        from stock_reservation r
        left join stock_hold_line l on l.id = r.source_id
        left join stock_hold h on h.id = l.hold_id
        where r.source = 'CART' and r.state = 'ACTIVE'
          and (h.state is distinct from 'HELD' or r.quantity <> l.quantity
               or r.expires_at is distinct from h.expires_at)
        """,
        "Stock is promised to a hold that ended, or not as it was held: release it.",
    ),
    Invariant(
        "hold_is_reserved",
        """
        select h.id as hold_id, h.reference, l.id as line_id, l.quantity
        from stock_hold h join stock_hold_line l on l.hold_id = h.id
        where h.state = 'HELD' and h.expires_at > now() and not exists (
            select from stock_reservation r
            join stock_level s on s.id = r.level_id and s.product_id = l.product_id
              and s.warehouse_id = l.warehouse_id
            where r.source = 'CART' and r.source_id = l.id and r.state = 'ACTIVE')
        """,
        "A hold says that stock is held, and none is: release the hold.",
    ),
    Invariant(
        "never_oversold",
        """
        select id as level_id, on_hand, reserved from stock_level
        where not allow_negative and (on_hand < 0 or reserved > on_hand)
        """,
        "More is promised than is there.",
    ),
    Invariant(
        "tracked_goods_have_lots",
        """
        select m.id as move_id, p.sku, p.tracking, m.lot_id
        from stock_move m join product p on p.id = m.product_id
        where (p.tracking <> 'NONE') <> (m.lot_id is not null)
        """,
        "A tracked product moved without a lot, or another one with a lot: reverse the move.",
    ),
    Invariant(
        "serial_in_one_place",
        """
        select b.lot_id, count(*) filter (where b.on_hand > 0) as places
        from stock_balance b join product p on p.id = b.product_id
        where p.tracking = 'SERIAL'
        group by 1
        having count(*) filter (where b.on_hand > 0) > 1
            or bool_or(b.lot_id is null or not b.is_serial or b.on_hand not in (-1, 0, 1))
        """,
        "One serial number stands for one unit, which is in one place: count it.",
    ),
    Invariant(
        "goods_neither_appear_nor_vanish",
        """
        select product_id, company_id, sum(on_hand) as on_hand from stock_balance
        group by 1, 2 having sum(on_hand) <> 0
        """,
        "Over all locations, virtual ones included, a product must sum to zero.",
    ),
    Invariant(
        "archived_without_stock",
        """
        select p.id as product_id, p.sku, l.code as location, b.on_hand
        from product p join stock_balance b on b.product_id = p.id
        join stock_location l on l.id = b.location_id
        where p.archived_at is not null and b.on_hand <> 0 and l.warehouse_id is not null
        """,
        "There is stock of an archived product: restore it, or adjust the stock to zero.",
    ),
    Invariant(
        "level_negative_flag",
        """
        select s.id as level_id, s.allow_negative, w.negative_stock
        from stock_level s join warehouse w on w.id = s.warehouse_id
        where s.allow_negative <> w.negative_stock
        """,
        "A level's flag for negative stock differs from its warehouse's.",
    ),
    Invariant(
        "projection_incoming",
        """
        with expected as (
            select product_id, warehouse_id, sum(quantity) as incoming
            from incoming_stock group by 1, 2
        )
        select product_id, warehouse_id, coalesce(p.incoming, 0) as projected,
               coalesce(e.incoming, 0) as expected
        from stock_projection p full join expected e using (product_id, warehouse_id)
        where coalesce(p.incoming, 0) <> coalesce(e.incoming, 0)
        """,
        "Projected incoming stock differs from what is on its way: set it to that sum.",
        _REBUILD_INCOMING,
    ),
)
