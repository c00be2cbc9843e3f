"""Tables of fulfillment."""

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

from resolvers.core.numbering import numbered
from resolvers.core.table import (
    big_id,
    instant,
    later,
    number_prefix,
    one_of,
    owned,
    quantity,
    required,
    table,
    version,
)
from resolvers.fulfillment.rules import OPEN, FulfillmentStepName, ShipmentState, StepState

BEING_PREPARED = "state in ('PLANNED', 'PICKING', 'PACKED')"
"""Condition of shipments that there is work on before they leave."""

shipment = table(
    "shipment",
    big_id(),
    required("company_id", Integer, ForeignKey("company.id")),
    required("number"),
    required("order_id", BigInteger, later("sales_order.id")),
    required("partner_id", BigInteger, ForeignKey("partner.id")),
    required("warehouse_id", Integer, ForeignKey("warehouse.id")),
    Column("ship_to_id", BigInteger, ForeignKey("partner_address.id")),
    required("state", server_default="PLANNED"),
    required("planned_on", Date),
    instant("shipped_at"),
    Column("delivered_on", Date),
    Column("carrier", Text),
    Column("tracking_no", Text),
    version(),
    instant("created_at", now=True),
    UniqueConstraint("company_id", "number"),
    UniqueConstraint("id", "company_id", "partner_id", name="uq_shipment_owner"),
    CheckConstraint(one_of("state", ShipmentState), name="state"),
    CheckConstraint(
        "shipped_at is not null or state <> 'SHIPPED' and state <> 'DELIVERED'", name="shipped_at"
    ),
    CheckConstraint("delivered_on is null or state = 'DELIVERED'", name="delivered_on"),
    Index("ix_shipment_order", "order_id", "id"),
    Index("ix_shipment_planned_on", "company_id", "planned_on", "id"),
    Index("ix_shipment_state", "company_id", "state", "planned_on", "id"),
    Index("ix_shipment_partner", "partner_id", "company_id", "planned_on", "id"),
    Index("ix_shipment_warehouse", "warehouse_id", "planned_on", "id"),
    Index(
        "ix_shipment_tracking_no",
        "company_id",
        "tracking_no",
        postgresql_where=text("tracking_no is not null"),
    ),
    Index(
        "ix_shipment_work",
        "company_id",
        "planned_on",
        "id",
        postgresql_where=text(BEING_PREPARED),
    ),
    # what others are on their way to fetch is looked up whenever goods leave
    Index(
        "ix_shipment_warehouse_work",
        "warehouse_id",
        "id",
        postgresql_where=text("state in ('PLANNED', 'PICKING', 'PACKED')"),
    ),
    number_prefix("shipment"),
    rows=owned("insert", "update", partner="partner_id = {partner}"),
    comment="What leaves a warehouse for an order at once.",
)

shipment_line = table(
    "shipment_line",
    big_id(),
    required("company_id", Integer),
    required("partner_id", BigInteger),
    required("shipment_id", BigInteger),
    required("position", Integer),
    required("order_line_id", BigInteger, later("sales_order_line.id")),
    required("product_id", BigInteger, ForeignKey("product.id")),
    required("quantity", quantity()),
    required("picked", quantity(), server_default="0"),
    # where it is to be taken from while it is prepared, and was taken from once it left
    Column("location_id", Integer),
    Column("lot_id", BigInteger),
    UniqueConstraint("shipment_id", "position"),
    ForeignKeyConstraint(
        ["shipment_id", "company_id", "partner_id"],
        ["shipment.id", "shipment.company_id", "shipment.partner_id"],
        name="fk_shipment_line_shipment",
    ),
    ForeignKeyConstraint(
        ["location_id", "company_id"],
        ["stock_location.id", "stock_location.company_id"],
        name="fk_shipment_line_location",
    ),
    ForeignKeyConstraint(
        ["lot_id", "company_id", "product_id"],
        ["lot.id", "lot.company_id", "lot.product_id"],
        name="fk_shipment_line_lot",
    ),
    CheckConstraint("quantity > 0", name="quantity"),
    CheckConstraint("picked between 0 and quantity", name="picked"),
    Index("ix_shipment_line_order_line", "order_line_id", "id"),
    Index(
        "ix_shipment_line_allocated",
        "product_id",
        "shipment_id",
        postgresql_where=text("location_id is not null"),
    ),
    rows=owned("insert", "update", partner="partner_id = {partner}"),
    comment="How much of an order line is in a shipment, of one lot and from one location.",
)

package = table(
    "package",
    big_id(),
    required("company_id", Integer),
    required("partner_id", BigInteger),
    required("shipment_id", BigInteger),
    required("position", Integer),
    Column("tracking_no", Text),
    UniqueConstraint("shipment_id", "position"),
    UniqueConstraint("id", "company_id", "partner_id", name="uq_package_owner"),
    ForeignKeyConstraint(
        ["shipment_id", "company_id", "partner_id"],
        ["shipment.id", "shipment.company_id", "shipment.partner_id"],
        name="fk_package_shipment",
    ),
    rows=owned("insert", "update", partner="partner_id = {partner}"),
    comment="A parcel of a shipment.",
)

fulfillment_step = table(
    "fulfillment_step",
    big_id(),
    required("company_id", Integer, ForeignKey("company.id")),
    required("partner_id", BigInteger, ForeignKey("partner.id")),
    required("order_id", BigInteger, later("sales_order.id")),
    required("step"),
    required("position", Integer),
    required("state", server_default="PENDING"),
    required("attempts", Integer, server_default="0"),
    Column("last_error", Text),
    instant("finished_at"),
    UniqueConstraint("order_id", "step"),
    CheckConstraint(one_of("step", FulfillmentStepName), name="step"),
    CheckConstraint(one_of("state", StepState), name="state"),
    CheckConstraint("attempts >= 0", name="attempts"),
    CheckConstraint("finished_at is null or state = 'DONE'", name="finished_at"),
    Index("ix_fulfillment_step_order", "order_id", "position", "id"),
    rows=owned("insert", "update", partner="partner_id = {partner}"),
    comment="One step of the work on an order; kept for a while after it is done.",
)

_STEPS = ", ".join(f"'{name}'" for name in FulfillmentStepName)
_BEING_PREPARED = ", ".join(f"'{state}'" for state in OPEN)
FULFILLMENT_STEPS = f"""
create function fulfillment_steps(orders bigint[])
returns table (order_id bigint, place int, step text, state text, attempts int, last_error text,
               finished_at timestamptz) language sql stable as $$
  select o.id, w.place::int, w.step,
         case when not o.waits then f.state
              when w.step = '{FulfillmentStepName.RESERVE}' and o.reserved then '{StepState.DONE}'
              else '{StepState.PENDING}' end,
         coalesce(f.attempts, 0),
         case when not o.waits then f.last_error end,
         case when not o.waits then f.finished_at end
  from (select s.id, s.reservation_status = 'FULL' as reserved,
               s.state = 'CONFIRMED' and s.shipment_status <> 'SHIPPED' and p.id is null as waits
        from sales_order s
        left join lateral (select p.id from shipment p where p.order_id = s.id
                           and p.state in ({_BEING_PREPARED}) limit 1) p on true
        where s.id = any(orders)
        offset 0  -- so that it is found once for an order, and not for each step
       ) o
  cross join unnest(array[{_STEPS}]) with ordinality w (step, place)
  left join fulfillment_step f on f.order_id = o.id and f.step = w.step
  where o.waits or f.id is not null
$$;
"""
"""Steps of the work on orders: as written down while a shipment is prepared and when all has left.

Of an order that waits for a shipment they are those of what is left of it, known from its
reservation: nobody writes five rows when an order is confirmed, and again when stock comes.
"""

SHIPMENT_NUMBERS = numbered("shipment")

_EVENT_OF_SHIPMENT = """
    insert into outbox_event (company_id, topic, entity, entity_id, payload)
    select n.company_id, 'shipment.work_changed', 'Shipment', n.id,
           jsonb_build_object(
             'shipment_id', n.id, 'order_id', n.order_id, 'partner_id', n.partner_id,
             'warehouse_id', n.warehouse_id, 'version', n.version,
             'state', n.state, 'previous_state', {previous},
             'cause', coalesce(nullif(current_setting('app.cause', true), ''), 'EXTERNAL'),
             'document', nullif(current_setting('app.document', true), ''))
    from {changes} order by n.id;
"""
_TOLD_OF_SHIPMENT = "({row}.state, {row}.planned_on, {row}.carrier, {row}.tracking_no)"
_CHANGED_SHIPMENTS = f"""changed n join before o on o.id = n.id
    where {_TOLD_OF_SHIPMENT.format(row="o")} is distinct from {_TOLD_OF_SHIPMENT.format(row="n")}"""
_SHIPMENTS_OF_LINES = """shipment n where n.id in (
      select l.shipment_id from changed l join before o on o.id = l.id
      where (o.picked, o.quantity, o.location_id, o.lot_id)
        is distinct from (l.picked, l.quantity, l.location_id, l.lot_id))"""

SHIPMENT_EVENTS = f"""
create function shipment_work_changed() returns trigger
language plpgsql security definer set search_path = public as $$
begin
  if tg_op = 'INSERT' then
{_EVENT_OF_SHIPMENT.format(previous="null", changes="changed n")}
  else
{_EVENT_OF_SHIPMENT.format(previous="o.state", changes=_CHANGED_SHIPMENTS)}
  end if;
  return null;
end $$;
create trigger shipment_inserted after insert on shipment
  referencing new table as changed for each statement execute function shipment_work_changed();
create trigger shipment_updated after update on shipment
  referencing old table as before new table as changed
  for each statement execute function shipment_work_changed();
create function shipment_line_work_changed() returns trigger
language plpgsql security definer set search_path = public as $$
begin
{_EVENT_OF_SHIPMENT.format(previous="n.state", changes=_SHIPMENTS_OF_LINES)}
  return null;
end $$;
create trigger shipment_line_updated after update on shipment_line
  referencing old table as before new table as changed
  for each statement execute function shipment_line_work_changed()
"""
"""A shipment tells of itself: an event when it is new, and when its work or how it goes changed."""
