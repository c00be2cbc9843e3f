alter table job add column result jsonb;
alter table company add column purchase_approval_from numeric(20, 4);
alter table company add constraint ck_company_purchase_approval_from check (purchase_approval_from >= 0);
create function purchase_order_numbered() returns trigger language plpgsql as $$
begin
  new.number := new.number || repeat('0', 6 - length(new.id::text)) || new.id;
  return new;
end $$;
create trigger purchase_order_numbered before insert on purchase_order
  for each row when (right(new.number, 1) = '-') execute function purchase_order_numbered();
alter table sales_order add column valid_until date;
alter table sales_order add constraint ck_sales_order_valid_until check (valid_until >= placed_on) not valid;
alter table sales_order validate constraint ck_sales_order_valid_until;
