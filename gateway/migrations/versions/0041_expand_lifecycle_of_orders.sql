create or replace function sales_order_status_changed() returns trigger
language plpgsql security definer set search_path = public as $$
begin
  if tg_op = 'INSERT' then
    insert into outbox_event (company_id, topic, entity, entity_id, payload)
    select n.company_id, 'order.status_changed', 'SalesOrder', n.id,
           
    jsonb_build_object(
        'order_id', n.id, 'partner_id', n.partner_id, 'version', n.version,
        'axis', 'LIFECYCLE', 'from', null, 'to', n.state,
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
        'axis', x.axis, 'from', x.old, 'to', x.new,
        'state', n.state, 'hold', n.hold, 'reservation_status', n.reservation_status, 'shipment_status', n.shipment_status, 'invoice_status', n.invoice_status, 'payment_status', n.payment_status,
        'previous_state', case x.axis when 'LIFECYCLE' then o.state else n.state end, 'previous_hold', case x.axis when 'HOLD' then o.hold else n.hold end, 'previous_reservation_status', case x.axis when 'RESERVATION' then o.reservation_status else n.reservation_status end, 'previous_shipment_status', case x.axis when 'SHIPMENT' then o.shipment_status else n.shipment_status end, 'previous_invoice_status', case x.axis when 'INVOICE' then o.invoice_status else n.invoice_status end, 'previous_payment_status', case x.axis when 'PAYMENT' then o.payment_status else n.payment_status end,
        'cause', coalesce(nullif(current_setting('app.cause', true), ''), 'EXTERNAL'),
        'document', nullif(current_setting('app.document', true), ''))

    from changed n join before o on o.id = n.id
    cross join lateral (values (1, 'LIFECYCLE', o.state, n.state), (2, 'HOLD', o.hold, n.hold), (3, 'RESERVATION', o.reservation_status, n.reservation_status), (4, 'SHIPMENT', o.shipment_status, n.shipment_status), (5, 'INVOICE', o.invoice_status, n.invoice_status), (6, 'PAYMENT', o.payment_status, n.payment_status)) x (place, axis, old, new)
    where x.old is distinct from x.new order by n.id, x.place;
  end if;
  return null;
end $$;
