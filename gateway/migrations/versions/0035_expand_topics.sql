-- the outbox in partitions: what is published becomes the partition of the day this ran on, where it
-- is; what waits, which is little, is moved to where it waits from now on
lock table outbox_event in access exclusive mode;
create sequence outbox_event_written;
select setval('outbox_event_written', last_value, is_called) from outbox_event_written_seq_seq;
alter table outbox_event rename to outbox_event_before;
alter table outbox_event_before drop constraint pk_outbox_event;
alter table outbox_event_before drop constraint uq_outbox_event_pub_seq;
drop index ix_outbox_event_company_log;
drop index ix_outbox_event_unpublished;
alter table outbox_event_before alter column written_seq drop identity;
CREATE TABLE outbox_event (
	id UUID DEFAULT erp_uuid7() NOT NULL,
	company_id INTEGER NOT NULL,
	topic TEXT NOT NULL,
	entity TEXT NOT NULL,
	entity_id BIGINT NOT NULL,
	payload JSONB NOT NULL,
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	written_seq BIGINT DEFAULT nextval('outbox_event_written') NOT NULL,
	pub_seq BIGINT,
	published_at TIMESTAMP WITH TIME ZONE DEFAULT 'infinity' NOT NULL,
	CONSTRAINT pk_outbox_event PRIMARY KEY (written_seq, published_at),
	CONSTRAINT ck_outbox_event_published CHECK ((pub_seq is null) = (published_at = 'infinity'))
)
 PARTITION BY range (published_at);
CREATE INDEX ix_outbox_event_company_log ON outbox_event (company_id, topic, pub_seq) WHERE pub_seq is not null;
CREATE INDEX ix_outbox_event_pub_seq ON outbox_event (pub_seq) WHERE pub_seq is not null;
COMMENT ON TABLE outbox_event IS 'One event, born in the transaction that changed what it tells of.';
create table outbox_event_waiting partition of outbox_event
  for values from ('infinity') to (maxvalue);
create table outbox_event_rest partition of outbox_event default;
alter sequence outbox_event_written owned by outbox_event.written_seq;
alter table outbox_event_waiting enable row level security;
alter table outbox_event_rest enable row level security;
alter table outbox_event enable row level security;
insert into outbox_event
  (id, company_id, topic, entity, entity_id, payload, created_at, written_seq)
select id, company_id, topic, entity, entity_id, payload, created_at, written_seq
from outbox_event_before where pub_seq is null;
delete from outbox_event_before where pub_seq is null;
do $$
declare
  last_day date;
  name text;
begin
  select (greatest(max(published_at), clock_timestamp()) at time zone 'utc')::date into last_day
  from outbox_event_before having count(*) > 0;
  if last_day is null then
    drop table outbox_event_before;
    return;
  end if;
  name := 'outbox_event_' || to_char(last_day, 'YYYYMMDD');
  alter table outbox_event_before
    alter column published_at set not null,
    alter column published_at set default 'infinity',
    alter column written_seq set default nextval('outbox_event_written'),
    add constraint ck_outbox_event_published
      check ((pub_seq is null) = (published_at = 'infinity'));
  comment on table outbox_event_before is null;
  execute format('alter table outbox_event_before rename to %I', name);
  execute format('alter table outbox_event attach partition %I for values from (minvalue) to (%L)',
                 name, (last_day + 1)::timestamp at time zone 'utc');
end $$;

-- events of stock tell more; shipments and jobs tell of themselves
create or replace function outbox_waiting(longer interval)
returns table (events bigint, oldest timestamptz)
language sql stable security definer set search_path = public as $$
  select count(*), min(created_at) from (
    select created_at from outbox_event
    where published_at = 'infinity' and created_at < clock_timestamp() - longer
    order by written_seq limit 100000) waiting
$$;
create or replace function log_position(out last_seq bigint, out unpublished text[])
language sql stable security definer set search_path = public as $$
  select counter.last_seq, array(
           select event.id::text from outbox_event event
           where event.published_at = 'infinity'
             and event.company_id = nullif(current_setting('app.company_id', true), '')::integer)
  from outbox_counter counter
$$;
create or replace function stock_level_changed() returns trigger
language plpgsql security definer set search_path = public as $$
begin
  if tg_op = 'INSERT' then

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
    from (
      select n.id, n.company_id, n.product_id, n.warehouse_id, n.version, n.on_hand, n.reserved,
             n.on_hand - n.reserved as available,
             0.0000 as was_on_hand, 0.0000 as was_reserved, 0.0000 as was_available
      from changed n where n.on_hand <> 0 or n.reserved <> 0) c
    join product p on p.id = c.product_id
    join product_category k on k.id = p.category_id
    left join reorder_rule r on r.product_id = c.product_id and r.warehouse_id = c.warehouse_id
      and r.archived_at is null
    order by c.id;

  else

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
    from (
      select n.id, n.company_id, n.product_id, n.warehouse_id, n.version, n.on_hand, n.reserved,
             n.on_hand - n.reserved as available,
             o.on_hand as was_on_hand, o.reserved as was_reserved,
             o.on_hand - o.reserved as was_available
      from changed n join before o on o.id = n.id
      where o.on_hand <> n.on_hand or o.reserved <> n.reserved) c
    join product p on p.id = c.product_id
    join product_category k on k.id = p.category_id
    left join reorder_rule r on r.product_id = c.product_id and r.warehouse_id = c.warehouse_id
      and r.archived_at is null
    order by c.id;

  end if;
  return null;
end $$;
create function shipment_work_changed() returns trigger
language plpgsql security definer set search_path = public as $$
begin
  if tg_op = 'INSERT' then

    insert into outbox_event (company_id, topic, entity, entity_id, payload)
    select n.company_id, 'shipment.work_changed', 'Shipment', n.id,
           jsonb_build_object(
             'shipment_id', n.id, 'order_id', n.order_id, 'partner_id', n.partner_id,
             'warehouse_id', n.warehouse_id, 'version', n.version,
             'state', n.state, 'previous_state', null,
             'cause', coalesce(nullif(current_setting('app.cause', true), ''), 'EXTERNAL'),
             'document', nullif(current_setting('app.document', true), ''))
    from changed n order by n.id;

  else

    insert into outbox_event (company_id, topic, entity, entity_id, payload)
    select n.company_id, 'shipment.work_changed', 'Shipment', n.id,
           jsonb_build_object(
             'shipment_id', n.id, 'order_id', n.order_id, 'partner_id', n.partner_id,
             'warehouse_id', n.warehouse_id, 'version', n.version,
             'state', n.state, 'previous_state', o.state,
             'cause', coalesce(nullif(current_setting('app.cause', true), ''), 'EXTERNAL'),
             'document', nullif(current_setting('app.document', true), ''))
    from changed n join before o on o.id = n.id
    where (o.state, o.planned_on, o.carrier, o.tracking_no) is distinct from (n.state, n.planned_on, n.carrier, n.tracking_no) order by n.id;

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

    insert into outbox_event (company_id, topic, entity, entity_id, payload)
    select n.company_id, 'shipment.work_changed', 'Shipment', n.id,
           jsonb_build_object(
             'shipment_id', n.id, 'order_id', n.order_id, 'partner_id', n.partner_id,
             'warehouse_id', n.warehouse_id, 'version', n.version,
             'state', n.state, 'previous_state', n.state,
             'cause', coalesce(nullif(current_setting('app.cause', true), ''), 'EXTERNAL'),
             'document', nullif(current_setting('app.document', true), ''))
    from shipment n where n.id in (
      select l.shipment_id from changed l join before o on o.id = l.id
      where (o.picked, o.quantity) <> (l.picked, l.quantity)) order by n.id;

  return null;
end $$;
create trigger shipment_line_updated after update on shipment_line
  referencing old table as before new table as changed
  for each statement execute function shipment_line_work_changed();
create function job_changed() returns trigger
language plpgsql security definer set search_path = public as $$
begin
  if tg_op = 'INSERT' then

    insert into outbox_event (company_id, topic, entity, entity_id, payload)
    select n.company_id, 'job.changed', 'Job', n.id,
           jsonb_build_object(
             'job_id', n.id, 'kind', n.kind, 'state', n.state, 'previous_state', null,
             'progress_done', n.progress_done, 'progress_total', n.progress_total,
             'attempts', n.attempts, 'created_by', n.created_by)
    from changed n order by n.id;

  else

    insert into outbox_event (company_id, topic, entity, entity_id, payload)
    select n.company_id, 'job.changed', 'Job', n.id,
           jsonb_build_object(
             'job_id', n.id, 'kind', n.kind, 'state', n.state, 'previous_state', o.state,
             'progress_done', n.progress_done, 'progress_total', n.progress_total,
             'attempts', n.attempts, 'created_by', n.created_by)
    from changed n join before o on o.id = n.id
    where (o.state, o.progress_done, o.progress_total, o.attempts) is distinct from (n.state, n.progress_done, n.progress_total, n.attempts) order by n.id;

  end if;
  return null;
end $$;
create trigger job_inserted after insert on job
  referencing new table as changed for each statement execute function job_changed();
create trigger job_updated after update on job
  referencing old table as before new table as changed
  for each statement execute function job_changed();
