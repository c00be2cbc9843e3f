create function sales_order_status_changed() returns trigger
language plpgsql security definer set search_path = public as $$
begin
  if tg_op = 'INSERT' then
    insert into outbox_event (company_id, topic, entity, entity_id, payload)
    select n.company_id, 'order.status_changed', 'SalesOrder', n.id,
           
    jsonb_build_object(
        'order_id', n.id, 'partner_id', n.partner_id, 'version', n.version,
        'state', n.state, 'hold', n.hold, 'reservation_status', n.reservation_status, 'shipment_status', n.shipment_status, 'invoice_status', n.invoice_status, 'payment_status', n.payment_status,
        'previous_state', null, 'previous_hold', null, 'previous_reservation_status', null, 'previous_shipment_status', null, 'previous_invoice_status', null, 'previous_payment_status', null,
        'cause', coalesce(nullif(current_setting('app.cause', true), ''), 'EXTERNAL'),
        'document', nullif(current_setting('app.document', true), ''))

    from changed n order by n.id;
  else
    insert into outbox_event (company_id, topic, entity, entity_id, payload)
    select n.company_id, 'order.status_changed', 'SalesOrder', n.id,
           
    jsonb_build_object(
        'order_id', n.id, 'partner_id', n.partner_id, 'version', n.version,
        'state', n.state, 'hold', n.hold, 'reservation_status', n.reservation_status, 'shipment_status', n.shipment_status, 'invoice_status', n.invoice_status, 'payment_status', n.payment_status,
        'previous_state', o.state, 'previous_hold', o.hold, 'previous_reservation_status', o.reservation_status, 'previous_shipment_status', o.shipment_status, 'previous_invoice_status', o.invoice_status, 'previous_payment_status', o.payment_status,
        'cause', coalesce(nullif(current_setting('app.cause', true), ''), 'EXTERNAL'),
        'document', nullif(current_setting('app.document', true), ''))

    from changed n join before o on o.id = n.id
    where (o.state, o.hold, o.reservation_status, o.shipment_status, o.invoice_status, o.payment_status)
      is distinct from (n.state, n.hold, n.reservation_status, n.shipment_status, n.invoice_status, n.payment_status) order by n.id;
  end if;
  return null;
end $$;
create trigger sales_order_status_inserted after insert on sales_order
  referencing new table as changed for each statement execute function sales_order_status_changed();
create trigger sales_order_status_updated after update on sales_order
  referencing old table as before new table as changed
  for each statement execute function sales_order_status_changed();
