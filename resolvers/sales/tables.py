"""Tables of sales orders."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import CHAR

from resolvers.core.archive import archive_rule
from resolvers.core.database_errors import NOT_AT_ONCE
from resolvers.core.numbering import numbered
from resolvers.core.table import (
    as_entered,
    big_id,
    instant,
    money,
    number_prefix,
    one_of,
    owned,
    percentage,
    quantity,
    rate,
    required,
    sortable,
    table,
    unit_price,
    version,
)
from resolvers.sales.rules import (
    AXES,
    FulfillmentPolicy,
    InvoiceStatus,
    OrderAxis,
    OrderHold,
    OrderPaymentStatus,
    OrderState,
    ReservationStatus,
    ShipmentStatus,
)

UNFINISHED = (
    "state <> 'CANCELED' and (state <> 'FULFILLED'"
    " or invoice_status <> 'INVOICED' or payment_status <> 'PAID')"
)
"""Condition of orders of which more is to come: goods, an invoice or a payment."""

sales_order = table(
    "sales_order",
    big_id(),
    required("company_id", Integer, ForeignKey("company.id")),
    required("number"),
    required("state", server_default="DRAFT"),
    Column("hold", Text),
    required("reservation_status", server_default="NONE"),
    required("shipment_status", server_default="NONE"),
    required("channel", server_default="MANUAL"),
    required("partner_id", BigInteger, ForeignKey("partner.id")),
    Column("ship_to_id", BigInteger, ForeignKey("partner_address.id")),
    required("warehouse_id", Integer, ForeignKey("warehouse.id")),
    Column("price_list_id", Integer, ForeignKey("price_list.id")),
    required("currency", CHAR(3), ForeignKey("currency.code")),
    required("fx_rate", rate(), server_default="1"),
    Column("customer_ref", Text),
    Column("external_ref", Text),
    required("placed_on", Date),
    Column("requested_on", Date),
    Column("promised_on", Date),
    required("subtotal", money(), server_default="0"),
    required("tax_total", money(), server_default="0"),
    required("total", money(), server_default="0"),
    sortable("total_steps", "total"),
    version(),
    instant("created_at", now=True),
    instant("confirmed_at"),
    Column("valid_until", Date),
    required("invoice_status", server_default="NONE"),
    required("payment_status", server_default="NOT_PAID"),
    required("fulfillment_policy", server_default="BACKORDER"),
    UniqueConstraint("company_id", "number"),
    # what lines refer to: a line cannot be of another company, partner, currency or date
    UniqueConstraint(
        "id", "company_id", "partner_id", "currency", "placed_on", name="uq_sales_order_owner"
    ),
    CheckConstraint(one_of("state", OrderState), name="state"),
    CheckConstraint(one_of("hold", OrderHold), name="hold"),
    CheckConstraint(one_of("reservation_status", ReservationStatus), name="reservation_status"),
    CheckConstraint(one_of("shipment_status", ShipmentStatus), name="shipment_status"),
    CheckConstraint(one_of("invoice_status", InvoiceStatus), name="invoice_status"),
    CheckConstraint(one_of("payment_status", OrderPaymentStatus), name="payment_status"),
    CheckConstraint(one_of("fulfillment_policy", FulfillmentPolicy), name="fulfillment_policy"),
    CheckConstraint("total = subtotal + tax_total", name="total"),
    CheckConstraint("valid_until >= placed_on", name="valid_until"),
    Index("ix_sales_order_placed_on", "company_id", "placed_on", "id"),
    Index("ix_sales_order_total", "company_id", "total_steps", "id"),
    Index("ix_sales_order_partner", "partner_id", "company_id", "placed_on", "id"),
    Index("ix_sales_order_state", "company_id", "state", "placed_on", "id"),
    Index("ix_sales_order_shipment", "company_id", "shipment_status", "placed_on", "id"),
    Index("ix_sales_order_invoice", "company_id", "invoice_status", "placed_on", "id"),
    Index("ix_sales_order_payment", "company_id", "payment_status", "placed_on", "id"),
    Index(
        "ix_sales_order_hold",
        "company_id",
        "hold",
        "placed_on",
        "id",
        postgresql_where=text("hold is not null"),
    ),
    Index("ix_sales_order_warehouse", "warehouse_id", "placed_on", "id"),
    Index(
        "ix_sales_order_open",
        "company_id",
        "placed_on",
        "id",
        postgresql_where=text("state = 'CONFIRMED' and shipment_status <> 'SHIPPED'"),
    ),
    Index("ix_sales_order_unfinished", "company_id", "id", postgresql_where=text(UNFINISHED)),
    Index(
        "uq_sales_order_external_ref",
        "company_id",
        "channel",
        "external_ref",
        unique=True,
        postgresql_where=text("external_ref is not null"),
    ),
    Index(
        "ix_sales_order_external_ref",
        "company_id",
        "external_ref",
        postgresql_where=text("external_ref is not null"),
    ),
    number_prefix("sales_order"),
    rows=owned("insert", "update", partner="partner_id = {partner}"),
    comment="An order of a customer.",
    fillfactor=80,
)

sales_order_line = table(
    "sales_order_line",
    big_id(),
    required("company_id", Integer),
    required("partner_id", BigInteger),
    required("order_id", BigInteger),
    required("position", Integer),
    required("product_id", BigInteger, ForeignKey("product.id")),
    required("description"),
    required("uom_id", Integer, ForeignKey("unit_of_measure.id")),
    required("currency", CHAR(3), ForeignKey("currency.code")),
    required("quantity", quantity()),
    required("unit_price", unit_price()),
    required("discount_percent", percentage(), server_default="0"),
    required("net", money()),
    required("tax", money(), server_default="0"),
    Column("promised_on", Date),
    required("reserved", quantity(), server_default="0"),
    required("shipped", quantity(), server_default="0"),
    required("canceled", quantity(), server_default="0"),
    required("placed_on", Date),
    Column("tax_id", Integer, ForeignKey("tax.id")),
    required("returned", quantity(), server_default="0"),
    required("invoiced", quantity(), server_default="0"),
    *as_entered(),
    required("warehouse_id", Integer),
    ForeignKeyConstraint(
        ["order_id", "company_id", "partner_id", "currency", "placed_on"],
        [
            "sales_order.id",
            "sales_order.company_id",
            "sales_order.partner_id",
            "sales_order.currency",
            "sales_order.placed_on",
        ],
        name="fk_sales_order_line_order",
        onupdate="CASCADE",
    ),
    ForeignKeyConstraint(
        ["warehouse_id", "company_id"],
        ["warehouse.id", "warehouse.company_id"],
        name="fk_sales_order_line_warehouse",
    ),
    UniqueConstraint("order_id", "position"),
    CheckConstraint("quantity > 0", name="quantity"),
    CheckConstraint("unit_price >= 0", name="unit_price"),
    CheckConstraint("discount_percent between 0 and 100", name="discount"),
    CheckConstraint("shipped >= 0 and canceled >= 0 and reserved >= 0", name="not_negative"),
    CheckConstraint("shipped + canceled <= quantity", name="not_over_shipped"),
    CheckConstraint("reserved <= quantity - shipped - canceled", name="not_over_reserved"),
    CheckConstraint("returned between 0 and shipped", name="not_over_returned"),
    CheckConstraint("invoiced between 0 and quantity", name="not_over_invoiced"),
    Index("ix_sales_order_line_product", "product_id", "company_id", "placed_on", "id"),
    Index("ix_sales_order_line_placed_on", "company_id", "placed_on", "id"),
    Index("ix_sales_order_line_partner", "partner_id", "company_id", "placed_on", "id"),
    Index("ix_sales_order_line_warehouse", "warehouse_id", "placed_on", "id"),
    Index(
        "ix_sales_order_line_open",
        "product_id",
        postgresql_where=text("shipped + canceled < quantity"),
    ),
    rows=owned("insert", "update", partner="partner_id = {partner}"),
    comment="One product on an order: what was ordered, at which price, and how far it got.",
    fillfactor=80,
)

WAREHOUSE_OF_LINES = """
create function sales_order_line_placed() returns trigger language plpgsql as $$
begin
  select o.warehouse_id into new.warehouse_id from sales_order o where o.id = new.order_id;
  return new;
end $$;
create trigger sales_order_line_placed before insert on sales_order_line
  for each row when (new.warehouse_id is null) execute function sales_order_line_placed()
"""
"""Lines that name no warehouse leave from that of their order.

Only processes of the release before 0026 write such lines. There for one release: the next one
contracts it away.
"""

_DEMAND = """
  insert into stock_projection as p (company_id, product_id, warehouse_id, outgoing)
  select x.company_id, x.product_id, x.warehouse_id, sum(x.amount)
  from ({changes}) x group by 1, 2, 3 having sum(x.amount) <> 0 order by 2, 3
  on conflict (product_id, warehouse_id) do update set outgoing = p.outgoing + excluded.outgoing;
"""
_OPEN = """
    select l.company_id, l.product_id, l.warehouse_id,
           {sign} (l.quantity - l.shipped - l.canceled) as amount
    from {lines} l join {orders} o on o.id = l.order_id where o.state = 'CONFIRMED'"""
_NEW_LINES = _OPEN.format(sign="", lines="changed", orders="sales_order")
_OLD_LINES = _OPEN.format(sign="-", lines="before", orders="sales_order")
_SAME = " and exists (select from {other} n where n.id = o.id and n.state <> o.state)"

# The orders are locked first, so that of a line and its order changed at once both are seen. What
# changes nothing that is outgoing, as a reservation, is done with at once.
DEMAND_OF_LINES = f"""
create function sales_order_line_changed() returns trigger
language plpgsql security definer set search_path = public as $$
begin
  if tg_op = 'UPDATE' then
    if not exists (
      select from changed n left join before o on o.id = n.id
      where (o.order_id, o.product_id, o.warehouse_id, o.quantity - o.shipped - o.canceled)
        is distinct from (n.order_id, n.product_id, n.warehouse_id, n.quantity - n.shipped - n.canceled)
    ) then
      return null;
    end if;
  end if;
  perform from sales_order where id in (select order_id from changed) order by id for no key update;
  if tg_op = 'INSERT' then
{_DEMAND.format(changes=_NEW_LINES)}
  else
{_DEMAND.format(changes=_NEW_LINES + " union all " + _OLD_LINES)}
  end if;
  return null;
end $$;
create trigger sales_order_line_inserted after insert on sales_order_line
  referencing new table as changed for each statement execute function sales_order_line_changed();
create trigger sales_order_line_updated after update on sales_order_line
  referencing old table as before new table as changed
  for each statement execute function sales_order_line_changed()
"""
"""What confirmed orders still need is outgoing, whoever changes a line; in the order of products."""

DEMAND_OF_ORDERS = f"""
create function sales_order_changed() returns trigger
language plpgsql security definer set search_path = public as $$
begin
  if not exists (
    select from changed n left join before o on o.id = n.id where o.state is distinct from n.state
  ) then
    return null;
  end if;
{
    _DEMAND.format(
        changes=_OPEN.format(sign="", lines="sales_order_line", orders="changed")
        + _SAME.format(other="before")
        + " union all "
        + _OPEN.format(sign="-", lines="sales_order_line", orders="before")
        + _SAME.format(other="changed")
    )
}
  return null;
end $$;
create trigger sales_order_updated after update on sales_order
  referencing old table as before new table as changed
  for each statement execute function sales_order_changed()
"""
"""The same when an order is confirmed or given up."""

_STATUSES = tuple(AXES.values())
_EVENT_OF_ORDER = f"""
    jsonb_build_object(
        'order_id', n.id, 'partner_id', n.partner_id, 'version', n.version,
        'axis', {{axis}}, 'from', {{old}}, 'to', {{new}},
        {", ".join(f"'{status}', n.{status}" for status in _STATUSES)},
        {{previous}},
        'cause', coalesce(nullif(current_setting('app.cause', true), ''), 'EXTERNAL'),
        'document', nullif(current_setting('app.document', true), ''))
"""
_OF_NEW_ORDER = _EVENT_OF_ORDER.format(
    axis=f"'{OrderAxis.LIFECYCLE}'",
    old="null",
    new="n.state",
    previous=", ".join(f"'previous_{status}', null" for status in _STATUSES),
)
# what an event is not of stays out of it: there, before is as after
_OF_CHANGE = _EVENT_OF_ORDER.format(
    axis="x.axis",
    old="x.old",
    new="x.new",
    previous=", ".join(
        f"'previous_{status}', case x.axis when '{axis}' then o.{status} else n.{status} end"
        for axis, status in AXES.items()
    ),
)
_EACH_AXIS = ", ".join(
    f"({place}, '{axis}', o.{status}, n.{status})"
    for place, (axis, status) in enumerate(AXES.items(), 1)
)

ORDER_EVENTS = f"""
create function sales_order_status_changed() returns trigger
language plpgsql security definer set search_path = public as $$
begin
  if tg_op = 'INSERT' then
    insert into outbox_event (company_id, topic, entity, entity_id, payload)
    select n.company_id, 'order.status_changed', 'SalesOrder', n.id,
           {_OF_NEW_ORDER}
    from changed n order by n.id;
  else
    insert into outbox_event (company_id, topic, entity, entity_id, payload)
    select n.company_id, 'order.status_changed', 'SalesOrder', n.id,
           {_OF_CHANGE}
    from changed n join before o on o.id = n.id
    cross join lateral (values {_EACH_AXIS}) x (place, axis, old, new)
    where x.old is distinct from x.new order by n.id, x.place;
  end if;
  return null;
end $$;
create trigger sales_order_status_inserted after insert on sales_order
  referencing new table as changed for each statement execute function sales_order_status_changed();
create trigger sales_order_status_updated after update on sales_order
  referencing old table as before new table as changed
  for each statement execute function sales_order_status_changed()
"""
"""How far an order is is told by whoever changes it: an event for each axis, in their order.

A new order is one event, of its state.
"""

RESERVE_ORDER = """
create function reserve_order(company int, actor text, key text, request_id text, hash bytea,
                              answer jsonb, this bigint, expected int) returns boolean
language plpgsql as $$
declare
  seen record;
begin
  -- a look at everything without a lock: what is unusual is left to others, with nothing written
  select o.version, array_agg(l.id order by l.position) as lines,
         array_agg(s.id order by l.position) as levels,
         array_agg(w.quantity order by l.position) as quantities,
         jsonb_object_agg(l.id, w.quantity::text) as told,
         bool_and(p.kind = 'GOODS' and s.id is not null
                  and (s.allow_negative or s.on_hand - s.reserved >= w.quantity)) as there
  into seen
  from sales_order o join sales_order_line l on l.order_id = o.id
  cross join lateral (select l.quantity - l.shipped - l.canceled - l.reserved as quantity) w
  join product p on p.id = l.product_id
  left join stock_level s on s.product_id = l.product_id and s.warehouse_id = l.warehouse_id
  where o.id = this and o.version = coalesce(expected, o.version) and o.state = 'CONFIRMED'
    and o.hold is null and o.reservation_status <> 'FULL' and w.quantity > 0
  group by o.version;
  if seen.there is not true then
    return false;
  end if;

  perform set_config('app.cause', 'RESERVATION', true),
          set_config('app.document', 'SalesOrder:' || this, true);
  insert into idempotency_key (company_id, actor, key, operation, request_hash, response)
  values (company, actor, key, 'reserveOrder', hash, answer)
  on conflict do nothing;
  if not found then
    return false;
  end if;

  -- whoever changes lines counts the version of their order
  update sales_order o set reservation_status = 'FULL', version = o.version + 1
  where o.id = this and o.version = seen.version;
  if not found then
    raise sqlstate '{not_at_once}' using message = 'the order changed';
  end if;
  update sales_order_line l set reserved = l.reserved + w.quantity
  from unnest(seen.lines, seen.quantities) w (id, quantity) where l.id = w.id;
  insert into audit_log (company_id, actor, request_id, operation, entity, entity_id, action, diff,
                         version)
  values (company, actor, request_id, 'reserveOrder', 'SalesOrder', this, 'reserve',
          jsonb_build_object('reserved', seen.told, 'reservationStatus', 'FULL'), seen.version + 1);

  -- last, as these are what others wait for
  perform reserve_all(seen.levels, seen.quantities, 'SALES_ORDER_LINE', seen.lines);
  return true;
end $$
""".replace("{not_at_once}", NOT_AT_ONCE)
"""The whole of `reserveOrder` where there is enough of everything, in one statement of its own.

Returns false, or raises `NOT_AT_ONCE` where others were quicker, if anything is unusual: the command then runs
in its frame, whose rules explain it. Writes what the frame writes, with the key and its answer; the
same tests run both ways. Keys come first and levels last, as in the frame.
"""

_OPEN_LINES = """sales_order_line l join sales_order o on o.id = l.order_id
    where l.shipped + l.canceled < l.quantity and o.state not in ('FULFILLED', 'CANCELED')"""
PRODUCT_ON_OPEN_SALES_LINES = archive_rule(
    "product",
    "sales_lines",
    while_exists=f"{_OPEN_LINES} and l.product_id = old.id",
    message="It is on open sales orders; fulfill or cancel those lines first.",
)
PARTNER_WITH_OPEN_SALES_ORDERS = archive_rule(
    "partner",
    "sales_orders",
    while_exists=f"{_OPEN_LINES} and l.partner_id = old.id",
    message="There are open sales orders with it; fulfill or cancel those first.",
)

ORDER_NUMBERS = numbered("sales_order")
