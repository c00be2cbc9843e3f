alter table purchase_order add column bill_status text not null default 'NONE';
alter table purchase_order add constraint ck_purchase_order_bill_status
  check (bill_status in ('NONE', 'PARTIAL', 'BILLED'));
alter table purchase_order_line add column billed numeric(18, 4) not null default '0';
alter table purchase_order_line drop constraint ck_purchase_order_line_not_negative;
alter table purchase_order_line add constraint ck_purchase_order_line_not_negative
  check (received >= 0 and canceled >= 0 and billed >= 0);
comment on table purchase_order_line is
  'One product on an order to a supplier: how much, at which price, what came, what was billed.';
update purchase_order_line l set billed = b.quantity
from (
  select n.purchase_order_line_id as id, sum(n.quantity) as quantity
  from invoice_line n join invoice i on i.id = n.invoice_id
  where i.kind = 'VENDOR_BILL' and n.purchase_order_line_id is not null group by 1
) b where l.id = b.id;
update purchase_order o set bill_status = s.status
from (
  select order_id, case when sum(greatest(quantity - canceled - billed, 0)) > 0 then 'PARTIAL'
                        else 'BILLED' end as status
  from purchase_order_line group by 1 having sum(billed) > 0
) s where o.id = s.order_id;
create index ix_purchase_order_bill on purchase_order (company_id, bill_status, ordered_on, id);
create function purchase_lines_billed() returns trigger
language plpgsql security definer set search_path = public as $$
declare orders bigint[];
begin
  select array_agg(distinct l.order_id) into orders
  from changed n join purchase_order_line l on l.id = n.purchase_order_line_id
  where l.company_id = n.company_id;
  if orders is null then
    return null;
  end if;
  perform from purchase_order where id = any(orders) order by id for no key update;
  update purchase_order_line l set billed = l.billed + b.quantity
  from (
    select n.purchase_order_line_id as id, n.company_id, sum(n.quantity) as quantity
    from changed n join invoice i on i.id = n.invoice_id
    where i.kind = 'VENDOR_BILL' group by 1, 2
  ) b where l.id = b.id and l.company_id = b.company_id;
  update purchase_order o set bill_status = s.status, version = o.version + 1
  from (
    select order_id, case when sum(billed) = 0 then 'NONE'
                          when sum(greatest(quantity - canceled - billed, 0)) > 0 then 'PARTIAL'
                          else 'BILLED' end as status
    from purchase_order_line where order_id = any(orders) group by 1
  ) s where o.id = s.order_id;
  return null;
end $$;
create trigger purchase_lines_billed after insert on invoice_line
  referencing new table as changed for each statement execute function purchase_lines_billed();
alter table package add constraint uq_package_owner unique (id, company_id, partner_id);
alter table document drop column storage_key;
alter table document add column partner_id bigint constraint fk_document_partner_id references partner (id);
alter table document add column invoice_id bigint;
alter table document add column package_id bigint;
alter table document add constraint fk_document_invoice foreign key (invoice_id, company_id, partner_id)
  references invoice (id, company_id, partner_id);
alter table document add constraint fk_document_package foreign key (package_id, company_id, partner_id)
  references package (id, company_id, partner_id);
alter table document drop constraint ck_document_kind;
alter table document add constraint ck_document_kind check (kind in ('BILL', 'INVOICE', 'LABEL', 'OTHER'));
alter table document add constraint ck_document_partner_id
  check (partner_id is not null or invoice_id is null and package_id is null);
create index ix_document_kind on document (company_id, kind, id);
create index ix_document_partner on document (partner_id, company_id, id);
create unique index uq_document_invoice on document (invoice_id)
  where invoice_id is not null and archived_at is null;
create unique index uq_document_package on document (package_id)
  where package_id is not null and archived_at is null;
comment on table document is
  'A file that came in or was made, without its content; none is taken twice.';
create policy partner on document for select to erp_partner using (company_id = (select nullif(current_setting('app.company_id', true), '')::int) and partner_id = (select nullif(current_setting('app.partner_id', true), '')::bigint));
CREATE TABLE document_content (
	document_id BIGINT NOT NULL, 
	company_id INTEGER NOT NULL, 
	content BYTEA NOT NULL, 
	CONSTRAINT pk_document_content PRIMARY KEY (document_id), 
	CONSTRAINT fk_document_content_document FOREIGN KEY(document_id, company_id) REFERENCES document (id, company_id), 
	CONSTRAINT ck_document_content_content CHECK (octet_length(content) between 1 and 26214400)
);
COMMENT ON TABLE document_content IS 'The bytes of a document''s file, apart from what lists read; never changed.';
alter table document_content alter column content set storage external;
alter table document_content enable row level security;
create policy staff on document_content to erp_app using (company_id = (select nullif(current_setting('app.company_id', true), '')::int));
grant select, insert on document_content to erp_app;
grant select on document_content to erp_partner;
create policy partner on document_content for select to erp_partner using (company_id = (select nullif(current_setting('app.company_id', true), '')::int) and document_id in (select id from document where partner_id = (select nullif(current_setting('app.partner_id', true), '')::bigint)));
