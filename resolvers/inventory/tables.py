"""Tables of stock, and the triggers that let every change of a level tell about itself."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    PrimaryKeyConstraint,
    SmallInteger,
    Text,
    UniqueConstraint,
    text,
)

from resolvers.core.archive import archive_rule
from resolvers.core.database_errors import NOT_AT_ONCE
from resolvers.core.table import (
    archived_at,
    big_id,
    instant,
    money,
    one_of,
    owned,
    quantity,
    required,
    small_id,
    sortable,
    table,
    version,
)
from resolvers.inventory.rules import (
    HoldState,
    IncomingSource,
    LocationKind,
    MoveKind,
    ReservationSource,
    ReservationState,
)

warehouse = table(
    "warehouse",
    small_id(),
    required("company_id", Integer, ForeignKey("company.id")),
    required("code"),
    required("name"),
    required("priority", SmallInteger, server_default="1"),
    Column("region", Text),
    required("negative_stock", Boolean, server_default="false"),
    archived_at(),
    UniqueConstraint("company_id", "code"),
    UniqueConstraint("id", "company_id", name="uq_warehouse_owner"),
    rows=owned(partner="true"),
    comment="A site that holds stock.",
    reference=True,
)

stock_location = table(
    "stock_location",
    small_id(),
    required("company_id", Integer, ForeignKey("company.id")),
    Column("warehouse_id", Integer),
    required("code"),
    required("path"),
    required("kind"),
    required("sellable", Boolean, server_default="true"),
    archived_at(),
    UniqueConstraint("company_id", "code"),
    UniqueConstraint("id", "company_id", name="uq_stock_location_owner"),
    ForeignKeyConstraint(
        ["warehouse_id", "company_id"],
        ["warehouse.id", "warehouse.company_id"],
        name="fk_stock_location_warehouse",
    ),
    CheckConstraint(one_of("kind", LocationKind), name="kind"),
    CheckConstraint("(kind = 'INTERNAL') = (warehouse_id is not null)", name="warehouse"),
    Index("ix_stock_location_warehouse_id", "warehouse_id", "code"),
    rows=owned(),
    comment="A place inside a warehouse, or a virtual place goods come from and go to.",
)

stock_level = table(
    "stock_level",
    big_id(),
    required("company_id", Integer, ForeignKey("company.id")),
    required("product_id", BigInteger, ForeignKey("product.id")),
    required("warehouse_id", Integer),
    required("on_hand", quantity(), server_default="0"),
    required("reserved", quantity(), server_default="0"),
    required("allow_negative", Boolean, server_default="false"),
    required("version", BigInteger, server_default="1"),
    instant("updated_at", now=True),
    sortable("available_steps", "on_hand - reserved"),
    UniqueConstraint("product_id", "warehouse_id"),
    ForeignKeyConstraint(
        ["warehouse_id", "company_id"],
        ["warehouse.id", "warehouse.company_id"],
        name="fk_stock_level_warehouse",
    ),
    CheckConstraint("reserved >= 0", name="reserved"),
    CheckConstraint(
        "allow_negative or (on_hand >= 0 and reserved <= on_hand)", name="never_oversold"
    ),
    Index("ix_stock_level_warehouse", "warehouse_id", "product_id"),
    Index("ix_stock_level_available", "company_id", "available_steps", "id"),
    Index("ix_stock_level_warehouse_available", "warehouse_id", "available_steps", "id"),
    rows=owned("insert", "update", partner="true"),
    comment="Stock of one product in one warehouse: the number that orders are promised from.",
    fillfactor=70,
)

stock_projection = table(
    "stock_projection",
    required("company_id", Integer, ForeignKey("company.id")),
    required("product_id", BigInteger, ForeignKey("product.id")),
    required("warehouse_id", Integer),
    required("incoming", quantity(), server_default="0"),
    required("outgoing", quantity(), server_default="0"),
    PrimaryKeyConstraint("product_id", "warehouse_id"),
    ForeignKeyConstraint(
        ["warehouse_id", "company_id"],
        ["warehouse.id", "warehouse.company_id"],
        name="fk_stock_projection_warehouse",
    ),
    rows=owned("insert", "update", partner="true"),
    comment="What is to come and to go; no column of the level, so that purchases never wait for sales.",
    fillfactor=70,
)

lot = table(
    "lot",
    big_id(),
    required("company_id", Integer, ForeignKey("company.id")),
    required("product_id", BigInteger, ForeignKey("product.id")),
    required("number"),
    required("received_on", Date),
    Column("expires_on", Date),
    instant("created_at", now=True),
    UniqueConstraint("product_id", "company_id", "number"),
    # what moves and balances refer to: a lot cannot be of another company or product
    UniqueConstraint("id", "company_id", "product_id", name="uq_lot_owner"),
    CheckConstraint("number <> ''", name="number"),
    Index("ix_lot_expires_on", "company_id", "expires_on", "id"),
    Index("ix_lot_received_on", "company_id", "received_on", "id"),
    Index("ix_lot_number", "company_id", "number", "id"),
    Index("ix_lot_product", "product_id", "company_id", "received_on", "id"),
    rows=owned("insert", "update"),
    comment="Units of a product that are told apart from others: a batch, or one serial number.",
)

stock_balance = table(
    "stock_balance",
    big_id(),
    required("company_id", Integer, ForeignKey("company.id")),
    required("product_id", BigInteger, ForeignKey("product.id")),
    required("location_id", Integer),
    required("on_hand", quantity(), server_default="0"),
    Column("lot_id", BigInteger),
    required("is_serial", Boolean, server_default="false"),
    UniqueConstraint("product_id", "location_id", "lot_id", postgresql_nulls_not_distinct=True),
    ForeignKeyConstraint(
        ["lot_id", "company_id", "product_id"],
        ["lot.id", "lot.company_id", "lot.product_id"],
        name="fk_stock_balance_lot",
    ),
    CheckConstraint("not is_serial or lot_id is not null and on_hand in (-1, 0, 1)", name="serial"),
    Index(
        "uq_stock_balance_serial",
        "lot_id",
        unique=True,
        postgresql_where=text("is_serial and on_hand > 0"),
    ),
    Index("ix_stock_balance_lot", "lot_id", "id", postgresql_where=text("lot_id is not null")),
    ForeignKeyConstraint(
        ["location_id", "company_id"],
        ["stock_location.id", "stock_location.company_id"],
        name="fk_stock_balance_location",
    ),
    Index("ix_stock_balance_location", "location_id", "product_id"),
    rows=owned("insert", "update"),
    comment="Stock of one product, of one lot if it is tracked, at one location, for picking.",
    fillfactor=70,
)

stock_move = table(
    "stock_move",
    big_id(),
    required("company_id", Integer, ForeignKey("company.id")),
    required("product_id", BigInteger, ForeignKey("product.id")),
    required("from_location_id", Integer),
    required("to_location_id", Integer),
    required("quantity", quantity()),
    required("kind"),
    Column("reason", Text),
    Column("source", Text),
    Column("source_id", BigInteger),
    Column("reversal_of_id", BigInteger, ForeignKey("stock_move.id")),
    required("idempotency"),
    required("effective_on", Date),
    instant("posted_at", now=True),
    required("posted_by"),
    Column("lot_id", BigInteger),
    # what goods that come in cost, in the currency of the books; null: what those there do
    Column("cost", money()),
    UniqueConstraint("company_id", "idempotency"),
    ForeignKeyConstraint(
        ["lot_id", "company_id", "product_id"],
        ["lot.id", "lot.company_id", "lot.product_id"],
        name="fk_stock_move_lot",
    ),
    Index(
        "ix_stock_move_lot",
        "lot_id",
        "posted_at",
        "id",
        postgresql_where=text("lot_id is not null"),
    ),
    ForeignKeyConstraint(
        ["from_location_id", "company_id"],
        ["stock_location.id", "stock_location.company_id"],
        name="fk_stock_move_from",
    ),
    ForeignKeyConstraint(
        ["to_location_id", "company_id"],
        ["stock_location.id", "stock_location.company_id"],
        name="fk_stock_move_to",
    ),
    CheckConstraint("quantity > 0", name="quantity"),
    CheckConstraint("cost >= 0", name="cost"),
    CheckConstraint("from_location_id <> to_location_id", name="moves"),
    CheckConstraint(one_of("kind", MoveKind), name="kind"),
    Index("ix_stock_move_product", "product_id", "company_id", "posted_at", "id"),
    Index("ix_stock_move_posted_at", "company_id", "posted_at", "id"),
    Index("ix_stock_move_kind", "company_id", "kind", "posted_at", "id"),
    Index(
        "ix_stock_move_source", "source", "source_id", postgresql_where=text("source is not null")
    ),
    rows=owned("insert"),
    comment="The ledger: one immutable move of goods from one location to another.",
)

stock_reservation = table(
    "stock_reservation",
    big_id(),
    required("company_id", Integer, ForeignKey("company.id")),
    required("level_id", BigInteger, ForeignKey("stock_level.id")),
    required("source"),
    required("source_id", BigInteger),
    required("quantity", quantity()),
    required("consumed", quantity(), server_default="0"),
    required("state", server_default="ACTIVE"),
    instant("expires_at"),
    instant("created_at", now=True),
    CheckConstraint("quantity > 0", name="quantity"),
    CheckConstraint("consumed between 0 and quantity", name="consumed"),
    CheckConstraint(one_of("source", ReservationSource), name="source"),
    CheckConstraint(one_of("state", ReservationState), name="state"),
    Index(
        "uq_stock_reservation_active",
        "source",
        "source_id",
        "level_id",
        unique=True,
        postgresql_where=text("state = 'ACTIVE'"),
    ),
    Index("ix_stock_reservation_level", "level_id", "id"),
    Index(
        "ix_stock_reservation_expiry",
        "expires_at",
        postgresql_where=text("state = 'ACTIVE' and expires_at is not null"),
    ),
    rows=owned("insert", "update"),
    comment="The row behind what a level has reserved.",
)

stock_hold = table(
    "stock_hold",
    big_id(),
    required("company_id", Integer, ForeignKey("company.id")),
    Column("partner_id", BigInteger, ForeignKey("partner.id")),
    required("state", server_default="HELD"),
    Column("reference", Text),
    required("expires_at", DateTime(timezone=True)),
    instant("created_at", now=True),
    required("created_by"),
    version(),
    UniqueConstraint("id", "company_id", name="uq_stock_hold_owner"),
    CheckConstraint(one_of("state", HoldState), name="state"),
    CheckConstraint("expires_at > created_at", name="expires_at"),
    Index("ix_stock_hold_expires_at", "company_id", "expires_at", "id"),
    Index("ix_stock_hold_state", "company_id", "state", "expires_at", "id"),
    Index("ix_stock_hold_partner", "partner_id", "company_id", "expires_at", "id"),
    Index("ix_stock_hold_due", "expires_at", "id", postgresql_where=text("state = 'HELD'")),
    rows=owned("insert", "update", partner="partner_id = {partner}"),
    comment="Stock kept for a while for somebody who is still deciding, such as a cart.",
)

stock_hold_line = table(
    "stock_hold_line",
    big_id(),
    required("company_id", Integer),
    Column("partner_id", BigInteger, ForeignKey("partner.id")),
    required("hold_id", BigInteger),
    required("position", Integer),
    required("product_id", BigInteger, ForeignKey("product.id")),
    required("warehouse_id", Integer),
    required("quantity", quantity()),
    UniqueConstraint("hold_id", "position"),
    ForeignKeyConstraint(
        ["hold_id", "company_id"],
        ["stock_hold.id", "stock_hold.company_id"],
        name="fk_stock_hold_line_hold",
    ),
    ForeignKeyConstraint(
        ["warehouse_id", "company_id"],
        ["warehouse.id", "warehouse.company_id"],
        name="fk_stock_hold_line_warehouse",
    ),
    CheckConstraint("quantity > 0", name="quantity"),
    rows=owned("insert", partner="partner_id = {partner}"),
    comment="So much of a product in a warehouse that is held.",
)

incoming_stock = table(
    "incoming_stock",
    big_id(),
    required("company_id", Integer, ForeignKey("company.id")),
    required("product_id", BigInteger, ForeignKey("product.id")),
    required("warehouse_id", Integer),
    required("expected_on", Date),
    required("quantity", quantity()),
    required("source"),
    required("source_id", BigInteger),
    UniqueConstraint("source", "source_id", "product_id", "warehouse_id"),
    ForeignKeyConstraint(
        ["warehouse_id", "company_id"],
        ["warehouse.id", "warehouse.company_id"],
        name="fk_incoming_stock_warehouse",
    ),
    CheckConstraint("quantity > 0", name="quantity"),
    CheckConstraint(one_of("source", IncomingSource), name="source"),
    Index("ix_incoming_stock_expected_on", "company_id", "expected_on", "id"),
    Index("ix_incoming_stock_product", "product_id", "company_id", "expected_on", "id"),
    Index("ix_incoming_stock_warehouse", "warehouse_id", "expected_on", "id"),
    # says which line it comes with and nothing of it, so that customers may see it
    rows=owned(partner="true"),
    comment="The row behind what is incoming: how much of a product comes to a warehouse, and when.",
    fillfactor=70,
)

reorder_rule = table(
    "reorder_rule",
    big_id(),
    required("company_id", Integer, ForeignKey("company.id")),
    required("product_id", BigInteger, ForeignKey("product.id")),
    required("warehouse_id", Integer),
    required("min_quantity", quantity()),
    required("target_quantity", quantity()),
    required("multiple", quantity(), server_default="1"),
    archived_at(),
    ForeignKeyConstraint(
        ["warehouse_id", "company_id"],
        ["warehouse.id", "warehouse.company_id"],
        name="fk_reorder_rule_warehouse",
    ),
    CheckConstraint("min_quantity >= 0", name="min_quantity"),
    CheckConstraint("target_quantity >= min_quantity", name="target_quantity"),
    CheckConstraint("multiple > 0", name="multiple"),
    Index(
        "uq_reorder_rule_active",
        "product_id",
        "warehouse_id",
        unique=True,
        postgresql_where=text("archived_at is null"),
    ),
    Index(
        "ix_reorder_rule_company",
        "company_id",
        "id",
        postgresql_where=text("archived_at is null"),
    ),
    Index(
        "ix_reorder_rule_warehouse",
        "warehouse_id",
        "id",
        postgresql_where=text("archived_at is null"),
    ),
    rows=owned("insert", "update"),
    comment="From which stock a product is to be ordered again for a warehouse, and how much.",
)

# Triggers, so that a change made by plain SQL counts versions and tells about itself like any other.
LEVEL_VERSION = """
create function stock_level_version() returns trigger language plpgsql as $$
begin
  new.version := old.version + 1;
  new.updated_at := now();
  return new;
end $$;
create trigger stock_level_version before update on stock_level
  for each row when (old.on_hand <> new.on_hand or old.reserved <> new.reserved)
  execute function stock_level_version()
"""

# quantities as text: a JSON number would be read as a float
_EVENTS_OF_LEVELS = """
    insert into outbox_event (company_id, topic, entity, entity_id, payload)
    select c.company_id, 'stock.changed', 'StockLevel', c.id,
           jsonb_build_object(
             'level_id', c.id, 'product_id', c.product_id, 'warehouse_id', c.warehouse_id,
             'version', c.version, 'on_hand', c.on_hand::text, 'reserved', c.reserved::text,
             'previous_on_hand', c.was_on_hand::text, 'previous_reserved', c.was_reserved::text,
             'delta_on_hand', (c.on_hand - c.was_on_hand)::text,
             'delta_reserved', (c.reserved - c.was_reserved)::text,
             'delta_available', (c.available - c.was_available)::text,
             'reorder_point', r.min_quantity::text,
             'crossing', case
               when c.was_available > 0 and c.available <= 0 then 'OUT_OF_STOCK'
               when c.was_available <= 0 and c.available > 0 then 'BACK_IN_STOCK'
               when c.was_available >= r.min_quantity and c.available < r.min_quantity
                 then 'FELL_BELOW'
               when c.was_available < r.min_quantity and c.available >= r.min_quantity
                 then 'ROSE_ABOVE'
               else 'NONE' end,
             'category_ids', (
               select jsonb_agg(a.id order by a.id) from product_category a
               where a.code = any(string_to_array(k.path, '/'))),
             'cause', coalesce(nullif(current_setting('app.cause', true), ''), 'EXTERNAL'),
             'document', nullif(current_setting('app.document', true), ''))
    from ({changes}) c
    join product p on p.id = c.product_id
    join product_category k on k.id = p.category_id
    left join reorder_rule r on r.product_id = c.product_id and r.warehouse_id = c.warehouse_id
      and r.archived_at is null
    order by c.id;
"""
_FIELDS_OF_LEVEL = """
      select n.id, n.company_id, n.product_id, n.warehouse_id, n.version, n.on_hand, n.reserved,
             n.on_hand - n.reserved as available"""
_NEW_LEVELS = f"""{_FIELDS_OF_LEVEL},
             0.0000 as was_on_hand, 0.0000 as was_reserved, 0.0000 as was_available
      from changed n where n.on_hand <> 0 or n.reserved <> 0"""
_CHANGED_LEVELS = f"""{_FIELDS_OF_LEVEL},
             o.on_hand as was_on_hand, o.reserved as was_reserved,
             o.on_hand - o.reserved as was_available
      from changed n join before o on o.id = n.id
      where o.on_hand <> n.on_hand or o.reserved <> n.reserved"""

LEVEL_EVENTS = f"""
create function stock_level_changed() returns trigger
language plpgsql security definer set search_path = public as $$
begin
  if tg_op = 'INSERT' then
{_EVENTS_OF_LEVELS.format(changes=_NEW_LEVELS)}
  else
{_EVENTS_OF_LEVELS.format(changes=_CHANGED_LEVELS)}
  end if;
  return null;
end $$;
create trigger stock_level_inserted after insert on stock_level
  referencing new table as changed for each statement execute function stock_level_changed();
create trigger stock_level_updated after update on stock_level
  referencing old table as before new table as changed
  for each statement execute function stock_level_changed()
"""
"""A level tells of itself: before, after and difference, what of its reorder point was crossed, and the
categories of its product, so that whoever listens needs nothing but the event.
"""

_INCOMING = """
    insert into stock_projection as p (company_id, product_id, warehouse_id, incoming)
    select x.company_id, x.product_id, x.warehouse_id, sum(x.amount)
    from ({changes}) x group by 1, 2, 3 having sum(x.amount) <> 0 order by 2, 3
    on conflict (product_id, warehouse_id) do update set incoming = p.incoming + excluded.incoming;
"""
_ARE_NEW = "select *, quantity as amount from changed"
_ARE_GONE = "select *, -quantity as amount from before"
INCOMING_PROJECTED = f"""
create function incoming_stock_changed() returns trigger
language plpgsql security definer set search_path = public as $$
begin
  if tg_op = 'INSERT' then
{_INCOMING.format(changes=_ARE_NEW)}
  elsif tg_op = 'DELETE' then
{_INCOMING.format(changes=_ARE_GONE)}
  else
{_INCOMING.format(changes=f"{_ARE_NEW} union all {_ARE_GONE}")}
  end if;
  return null;
end $$;
create trigger incoming_stock_inserted after insert on incoming_stock
  referencing new table as changed for each statement execute function incoming_stock_changed();
create trigger incoming_stock_updated after update on incoming_stock
  referencing old table as before new table as changed
  for each statement execute function incoming_stock_changed();
create trigger incoming_stock_deleted after delete on incoming_stock
  referencing old table as before for each statement execute function incoming_stock_changed()
"""
"""What is on its way is incoming, whoever changes it; in the order of products."""

RESERVE_STOCK = """
create function reserve_stock(levels bigint[], quantities numeric[], kind text, sources bigint[],
                              partly boolean)
returns table (line_id bigint, promised numeric) language plpgsql as $$
declare
  got numeric[];
begin
  -- in the order of their ids, so that no two reservations wait for one another
  perform from stock_level l where l.id = any(levels) order by l.id for no key update;
  select array_agg(a.given order by a.place) into got from (
    select w.place, case when l.allow_negative then w.quantity else
             greatest(0, least(w.quantity, coalesce(l.on_hand - l.reserved, 0)
               - (sum(w.quantity) over (partition by w.level order by w.place) - w.quantity)))
           end as given
    from unnest(levels, quantities) with ordinality w (level, quantity, place)
    left join stock_level l on l.id = w.level) a;
  if partly or got = quantities then
    update stock_level l set reserved = l.reserved + w.given
    from (select u.level, sum(u.given) as given from unnest(levels, got) u (level, given)
          where u.given > 0 group by u.level) w
    where l.id = w.level;
    insert into stock_reservation as r (company_id, level_id, source, source_id, quantity)
    select l.company_id, l.id, kind, w.source, sum(w.given)
    from unnest(levels, got, sources) w (level, given, source)
    join stock_level l on l.id = w.level
    where w.given > 0 group by l.company_id, l.id, w.source
    on conflict (source, source_id, level_id) where state = 'ACTIVE'
    do update set quantity = r.quantity + excluded.quantity;
  end if;
  return query select w.source, w.given from unnest(sources, got) w (source, given);
end $$;
"""
"""Promises stock to lines of documents in one round trip, and returns how much each of them got.

All or nothing unless ``partly``: then as much as there is, in the order given. Levels are locked by id
and looked at once they are, so what was promised by others meanwhile is known: nothing is promised
twice, and no two calls wait for each other.
"""

RESERVE_ALL = """
create function reserve_all(levels bigint[], quantities numeric[], kind text, sources bigint[])
returns void language plpgsql as $$
declare
  promised int;
begin
  -- in the order of their ids, so that no two reservations wait for one another
  perform from stock_level l where l.id = any(levels) order by l.id for no key update;
  with given as (
    update stock_level l set reserved = l.reserved + w.quantity
    from (select u.level, sum(u.quantity) as quantity
          from unnest(levels, quantities) u (level, quantity) group by u.level) w
    where l.id = w.level and (l.allow_negative or l.on_hand - l.reserved >= w.quantity)
    returning l.id, l.company_id)
  insert into stock_reservation as r (company_id, level_id, source, source_id, quantity)
  select g.company_id, g.id, kind, w.source, w.quantity
  from unnest(levels, quantities, sources) w (level, quantity, source) join given g on g.id = w.level
  on conflict (source, source_id, level_id) where state = 'ACTIVE'
  do update set quantity = r.quantity + excluded.quantity;
  get diagnostics promised = row_count;
  if promised < cardinality(sources) then
    raise sqlstate '{not_at_once}' using message = 'somebody else was quicker';
  end if;
end $$;
""".replace("{not_at_once}", NOT_AT_ONCE)
"""Promises stock to lines, each of one level: all of it, or it raises `NOT_AT_ONCE` and nothing is done.

What `reserve_stock` does where all is there, without working out who gets how much: half the time.
"""

RELEASE_STOCK = """
create function release_stock(kind text, sources bigint[]) returns void language plpgsql as $$
begin
  perform from stock_level l where l.id in (
    select r.level_id from stock_reservation r
    where r.source = kind and r.source_id = any(sources) and r.state = 'ACTIVE')
  order by l.id for no key update;
  with gone as (
    update stock_reservation r set state = 'RELEASED'
    where r.source = kind and r.source_id = any(sources) and r.state = 'ACTIVE'
    returning r.level_id, r.quantity - r.consumed as rest)
  update stock_level l set reserved = l.reserved - g.rest
  from (select level_id, sum(rest) as rest from gone group by level_id) g
  where l.id = g.level_id;
end $$;
"""
"""Gives back what is promised to lines of documents and not used, in one round trip."""

EXPIRE_HOLDS = """
create function expire_holds(most int) returns int language plpgsql as $$
declare due bigint[];
begin
  select array_agg(d.id) into due from (
    select h.id from stock_hold h where h.state = 'HELD' and h.expires_at <= now()
    order by h.expires_at, h.id limit most for update skip locked) d;
  if due is null then
    return 0;
  end if;
  perform set_config('app.cause', 'HOLD_EXPIRED', true);
  perform from stock_level l where l.id in (
    select r.level_id from stock_hold_line x
    join stock_reservation r on r.source = 'CART' and r.source_id = x.id and r.state = 'ACTIVE'
    where x.hold_id = any(due))
  order by l.id for no key update;
  with gone as (
    update stock_reservation r set state = 'EXPIRED' from stock_hold_line x
    where x.hold_id = any(due) and r.source = 'CART' and r.source_id = x.id and r.state = 'ACTIVE'
    returning r.level_id, r.quantity)
  update stock_level l set reserved = l.reserved - g.quantity
  from (select level_id, sum(quantity) as quantity from gone group by level_id) g
  where l.id = g.level_id;
  with ended as (
    update stock_hold h set state = 'EXPIRED', version = h.version + 1 where h.id = any(due)
    returning h.id, h.company_id, h.version)
  insert into audit_log (company_id, actor, operation, entity, entity_id, action, diff, version)
  select company_id, 'worker', 'expireHolds', 'StockHold', id, 'expire',
         jsonb_build_object('state', 'EXPIRED'), version
  from ended order by id;
  return cardinality(due);
end $$;
create function expire_overdue(products bigint[], warehouses int[]) returns int
language plpgsql as $$
declare freed int;
begin
  with gone as (
    update stock_reservation r set state = 'EXPIRED'
    where r.source = 'CART' and r.state = 'ACTIVE' and r.expires_at <= now() and r.level_id in (
      select l.id from stock_level l join unnest(products, warehouses) w (product, warehouse)
        on l.product_id = w.product and l.warehouse_id = w.warehouse)
    returning r.level_id, r.quantity),
  given as (
    update stock_level l set reserved = l.reserved - g.quantity
    from (select level_id, sum(quantity) as quantity from gone group by level_id) g
    where l.id = g.level_id returning l.id)
  select count(*) into freed from given;
  return freed;
end $$;
create function pass_stock(held bigint[], holders bigint[], takers bigint[], quantities numeric[],
                           kind text)
returns table (line_id bigint, passed numeric) language plpgsql as $$
begin
  perform from stock_level l where l.id in (
    select r.level_id from stock_reservation r
    where r.source = 'CART' and r.source_id = any(held) and r.state = 'ACTIVE')
  order by l.id for no key update;
  return query
  with gone as (
    update stock_reservation r set state = 'RELEASED'
    where r.source = 'CART' and r.source_id = any(held) and r.state = 'ACTIVE'
    returning r.company_id, r.level_id, r.source_id, r.quantity),
  given as (
    select g.company_id, g.level_id, w.taker, sum(w.quantity) as quantity
    from unnest(holders, takers, quantities) w (holder, taker, quantity)
    join gone g on g.source_id = w.holder
    group by g.company_id, g.level_id, w.taker),
  freed as (
    update stock_level l set reserved = l.reserved - x.quantity
    from (
      select c.level_id, sum(c.quantity) as quantity from (
        select g.level_id, g.quantity from gone g
        union all
        select v.level_id, -v.quantity from given v) c
      group by c.level_id) x
    where l.id = x.level_id and x.quantity <> 0)
  insert into stock_reservation (company_id, level_id, source, source_id, quantity)
  select v.company_id, v.level_id, kind, v.taker, v.quantity from given v
  returning source_id, quantity;
end $$;
"""
"""Ends holds: those that are due, whoever is about to take or release one left to them; what is due of
levels that the caller has locked, where stock is short; and one that is taken over by lines of a
document, which get what was held for them while what is promised of a level stays what it is.

A hold is due by the database's clock, which all processes share.
"""

_MOVED = """
    from unnest(products, origins, targets, quantities, lots, sources)
      as m (product, origin, target, quantity, lot, source)
    cross join lateral (values (m.origin, -m.quantity), (m.target, m.quantity)) as e (location, amount)
    join stock_location x on x.id = e.location
"""
POST_MOVES = """
create function post_moves(
  company int, products bigint[], origins int[], targets int[], quantities numeric[], lots bigint[],
  sources bigint[], promised boolean, move_kind text, move_source text, key text,
  day date, actor text, moment timestamptz, costs numeric[] default null)
returns table (place bigint, move_id bigint) language plpgsql as $$
begin
  insert into stock_level (company_id, product_id, warehouse_id, allow_negative)
  select distinct company, m.product, x.warehouse_id, w.negative_stock
  {moved} join warehouse w on w.id = x.warehouse_id
  order by m.product, x.warehouse_id
  on conflict (product_id, warehouse_id) do nothing;
  perform from stock_level l
  where (l.product_id, l.warehouse_id) in (select m.product, x.warehouse_id {moved})
  order by l.id for no key update;

  insert into stock_balance (company_id, product_id, location_id, lot_id, is_serial)
  select distinct company, m.product, e.location, m.lot, p.tracking = 'SERIAL'
  {moved} join product p on p.id = m.product
  order by m.product, e.location, m.lot
  on conflict (product_id, location_id, lot_id) do nothing;
  perform from stock_balance b
  where (b.product_id, b.location_id, coalesce(b.lot_id, 0)) in (
    select m.product, e.location, coalesce(m.lot, 0) {moved})
  order by b.id for no key update;

  -- what leaves first, so that a serial number is never at two places
  update stock_balance b set on_hand = b.on_hand + d.amount
  from (select m.product, e.location, m.lot, sum(e.amount) as amount {moved} group by 1, 2, 3) d
  where b.product_id = d.product and b.location_id = d.location
    and b.lot_id is not distinct from d.lot and d.amount < 0;
  update stock_balance b set on_hand = b.on_hand + d.amount
  from (select m.product, e.location, m.lot, sum(e.amount) as amount {moved} group by 1, 2, 3) d
  where b.product_id = d.product and b.location_id = d.location
    and b.lot_id is not distinct from d.lot and d.amount > 0;

  -- on hand and promised at once: one change of the level, one event
  update stock_level l set on_hand = l.on_hand + d.amount, reserved = l.reserved - d.used
  from (select m.product, x.warehouse_id,
               coalesce(sum(e.amount) filter (where x.sellable), 0) as amount,
               coalesce(sum(-e.amount) filter (where promised and e.amount < 0), 0) as used
        {moved} where x.warehouse_id is not null group by 1, 2) d
  where l.product_id = d.product and l.warehouse_id = d.warehouse_id
    and (d.amount <> 0 or d.used <> 0);
  update stock_reservation r
  set consumed = r.consumed + d.used,
      state = case when r.consumed + d.used = r.quantity then 'CONSUMED' else r.state end
  from (select m.source, m.product, x.warehouse_id, sum(-e.amount) as used
        {moved} where promised and e.amount < 0 group by 1, 2, 3) d
  join stock_level l on l.product_id = d.product and l.warehouse_id = d.warehouse_id
  where r.source = move_source and r.source_id = d.source and r.level_id = l.id
    and r.state = 'ACTIVE';

  return query
  with made as (
    insert into stock_move (company_id, product_id, from_location_id, to_location_id, quantity, kind,
      source, source_id, idempotency, effective_on, posted_at, posted_by, lot_id, cost)
    select company, m.product, m.origin, m.target, m.quantity, move_kind, move_source, m.source,
           key || ':' || m.place, day, moment, actor, m.lot, costs[m.place]
    from unnest(products, origins, targets, quantities, lots, sources)
      with ordinality as m (product, origin, target, quantity, lot, source, place)
    order by m.place
    returning id, idempotency)
  select substring(made.idempotency from '[0-9]+$')::bigint, made.id from made;
end $$;
""".replace("{moved}", _MOVED)
"""Moves goods: ledger, balances, levels and the promises they were kept for, in one round trip.

Locks levels, then balances, each by id, as everybody does; both are made where they do not exist. What
is moved for a line of a document it was ``promised`` to takes that promise up.
"""

PRODUCT_WITH_STOCK = archive_rule(
    "product",
    "stock",
    while_exists="""stock_balance b join stock_location l on l.id = b.location_id
    where b.product_id = old.id and b.on_hand <> 0 and l.warehouse_id is not null""",
    message="There is still stock of it; adjust that to zero first.",
)
