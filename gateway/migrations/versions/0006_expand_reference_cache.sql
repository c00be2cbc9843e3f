create function erp_reference_changed() returns trigger language plpgsql as $$
begin
  perform pg_notify('erp_reference_changed', tg_table_name);
  return null;
end $$;
create trigger reference_changed after insert or update or delete or truncate on currency for each statement execute function erp_reference_changed();
create trigger reference_changed after insert or update or delete or truncate on payment_term for each statement execute function erp_reference_changed();
create trigger reference_changed after insert or update or delete or truncate on product_category for each statement execute function erp_reference_changed();
create trigger reference_changed after insert or update or delete or truncate on unit_of_measure for each statement execute function erp_reference_changed();
create trigger reference_changed after insert or update or delete or truncate on warehouse for each statement execute function erp_reference_changed();
