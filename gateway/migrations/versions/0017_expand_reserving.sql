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
