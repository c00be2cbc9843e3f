create function log_position(out last_seq bigint, out unpublished text[])
language sql stable security definer set search_path = public as $$
  select counter.last_seq, array(
           select event.id::text from outbox_event event
           where event.pub_seq is null
             and event.company_id = nullif(current_setting('app.company_id', true), '')::integer)
  from outbox_counter counter
$$;
revoke execute on function log_position() from public;
grant execute on function log_position() to erp_app, erp_partner;
