create function sales_order_numbered() returns trigger language plpgsql as $$
begin
  new.number := new.number || repeat('0', 6 - length(new.id::text)) || new.id;
  return new;
end $$;
create trigger sales_order_numbered before insert on sales_order
  for each row when (right(new.number, 1) = '-') execute function sales_order_numbered();
