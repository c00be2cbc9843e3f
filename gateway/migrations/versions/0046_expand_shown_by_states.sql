create function log_position(topics text[], most integer,
                             out last_seq bigint, out last_written bigint, out waiting bigint[])
language sql stable security definer set search_path = public as $$
  select counter.last_seq, written.last_value, array(
           select event.written_seq from outbox_event event
           where event.published_at = 'infinity' and event.topic = any(topics)
             and event.company_id = nullif(current_setting('app.company_id', true), '')::integer
           order by event.written_seq limit most)
  from outbox_counter counter, outbox_event_written written
$$;
revoke execute on function log_position(text[], integer) from public;
grant execute on function log_position(text[], integer) to erp_app, erp_partner;
