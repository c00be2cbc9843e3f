CREATE TABLE account (
	id INTEGER GENERATED ALWAYS AS IDENTITY, 
	company_id INTEGER NOT NULL, 
	code TEXT NOT NULL, 
	name TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	role TEXT, 
	CONSTRAINT pk_account PRIMARY KEY (id), 
	CONSTRAINT uq_account_company_id_code UNIQUE (company_id, code), 
	CONSTRAINT uq_account_owner UNIQUE (id, company_id), 
	CONSTRAINT ck_account_kind CHECK (kind in ('ASSET', 'EXPENSE', 'LIABILITY', 'EQUITY', 'INCOME')), 
	CONSTRAINT ck_account_role CHECK (role in ('BANK', 'RECEIVABLE', 'INPUT_TAX', 'PAYABLE', 'OUTPUT_TAX', 'CAPITAL', 'SALES', 'PURCHASES', 'EXCHANGE_GAINS', 'EXCHANGE_LOSSES')), 
	CONSTRAINT fk_account_company_id FOREIGN KEY(company_id) REFERENCES company (id)
);
CREATE UNIQUE INDEX uq_account_role ON account (company_id, role) WHERE role is not null;
COMMENT ON TABLE account IS 'An account of the general ledger.';
CREATE TABLE fiscal_period (
	id INTEGER GENERATED ALWAYS AS IDENTITY, 
	company_id INTEGER NOT NULL, 
	code TEXT NOT NULL, 
	starts_on DATE NOT NULL, 
	ends_on DATE NOT NULL, 
	state TEXT DEFAULT 'OPEN' NOT NULL, 
	CONSTRAINT pk_fiscal_period PRIMARY KEY (id), 
	CONSTRAINT uq_fiscal_period_company_id_code UNIQUE (company_id, code), 
	CONSTRAINT uq_fiscal_period_owner UNIQUE (id, company_id, ends_on), 
	CONSTRAINT ck_fiscal_period_state CHECK (state in ('OPEN', 'CLOSED')), 
	CONSTRAINT ck_fiscal_period_ends_on CHECK (ends_on >= starts_on), 
	CONSTRAINT fk_fiscal_period_company_id FOREIGN KEY(company_id) REFERENCES company (id)
);
CREATE INDEX ix_fiscal_period_ends_on ON fiscal_period (company_id, ends_on, id);
COMMENT ON TABLE fiscal_period IS 'A month of the books.';
CREATE TABLE journal_entry (
	id BIGINT GENERATED ALWAYS AS IDENTITY, 
	company_id INTEGER NOT NULL, 
	number TEXT NOT NULL, 
	journal TEXT NOT NULL, 
	posted_on DATE NOT NULL, 
	description TEXT NOT NULL, 
	source TEXT, 
	source_id BIGINT, 
	posted_by TEXT NOT NULL, 
	posted_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT pk_journal_entry PRIMARY KEY (id), 
	CONSTRAINT uq_journal_entry_company_id_number UNIQUE (company_id, number), 
	CONSTRAINT uq_journal_entry_owner UNIQUE (id, company_id, posted_on), 
	CONSTRAINT ck_journal_entry_journal CHECK (journal in ('SALES', 'PURCHASES', 'BANK', 'GENERAL')), 
	CONSTRAINT ck_journal_entry_source CHECK (source in ('INVOICE', 'PAYMENT')), 
	CONSTRAINT ck_journal_entry_source_id CHECK ((source is null) = (source_id is null)), 
	CONSTRAINT fk_journal_entry_company_id FOREIGN KEY(company_id) REFERENCES company (id)
);
CREATE INDEX ix_journal_entry_journal ON journal_entry (company_id, journal, posted_on, id);
CREATE INDEX ix_journal_entry_posted_on ON journal_entry (company_id, posted_on, id);
CREATE UNIQUE INDEX uq_journal_entry_source ON journal_entry (source_id, source) WHERE source_id is not null;
COMMENT ON TABLE journal_entry IS 'What was posted at once, for one document; it balances.';
CREATE TABLE payment (
	id BIGINT GENERATED ALWAYS AS IDENTITY, 
	company_id INTEGER NOT NULL, 
	number TEXT NOT NULL, 
	direction TEXT NOT NULL, 
	method TEXT NOT NULL, 
	partner_id BIGINT NOT NULL, 
	currency CHAR(3) NOT NULL, 
	fx_rate NUMERIC(24, 12) DEFAULT '1' NOT NULL, 
	paid_on DATE NOT NULL, 
	amount NUMERIC(20, 4) NOT NULL, 
	unallocated NUMERIC(20, 4) DEFAULT '0' NOT NULL, 
	reference TEXT, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT pk_payment PRIMARY KEY (id), 
	CONSTRAINT uq_payment_company_id_number UNIQUE (company_id, number), 
	CONSTRAINT uq_payment_owner UNIQUE (id, company_id, partner_id), 
	CONSTRAINT ck_payment_direction CHECK (direction in ('IN', 'OUT')), 
	CONSTRAINT ck_payment_method CHECK (method in ('BANK_TRANSFER', 'CARD', 'DIRECT_DEBIT')), 
	CONSTRAINT ck_payment_amount CHECK (amount > 0), 
	CONSTRAINT ck_payment_unallocated CHECK (unallocated between 0 and amount), 
	CONSTRAINT fk_payment_company_id FOREIGN KEY(company_id) REFERENCES company (id), 
	CONSTRAINT fk_payment_partner_id FOREIGN KEY(partner_id) REFERENCES partner (id), 
	CONSTRAINT fk_payment_currency FOREIGN KEY(currency) REFERENCES currency (code)
);
CREATE INDEX ix_payment_direction ON payment (company_id, direction, paid_on, id);
CREATE INDEX ix_payment_paid_on ON payment (company_id, paid_on, id);
CREATE INDEX ix_payment_partner ON payment (partner_id, company_id, paid_on, id);
COMMENT ON TABLE payment IS 'Money that came from a partner or went to one.';
CREATE TABLE account_balance (
	company_id INTEGER NOT NULL, 
	period_id INTEGER NOT NULL, 
	account_id INTEGER NOT NULL, 
	ends_on DATE NOT NULL, 
	debit NUMERIC(20, 4) NOT NULL, 
	credit NUMERIC(20, 4) NOT NULL, 
	CONSTRAINT pk_account_balance PRIMARY KEY (period_id, account_id), 
	CONSTRAINT fk_account_balance_period FOREIGN KEY(period_id, company_id, ends_on) REFERENCES fiscal_period (id, company_id, ends_on), 
	CONSTRAINT fk_account_balance_account FOREIGN KEY(account_id, company_id) REFERENCES account (id, company_id)
);
CREATE INDEX ix_account_balance_ends_on ON account_balance (company_id, ends_on);
COMMENT ON TABLE account_balance IS 'All debits and credits of an account up to the end of a closed period.';
CREATE TABLE journal_line (
	id BIGINT GENERATED ALWAYS AS IDENTITY, 
	company_id INTEGER NOT NULL, 
	entry_id BIGINT NOT NULL, 
	position INTEGER NOT NULL, 
	account_id INTEGER NOT NULL, 
	posted_on DATE NOT NULL, 
	partner_id BIGINT, 
	debit NUMERIC(20, 4) DEFAULT '0' NOT NULL, 
	credit NUMERIC(20, 4) DEFAULT '0' NOT NULL, 
	CONSTRAINT pk_journal_line PRIMARY KEY (id), 
	CONSTRAINT uq_journal_line_entry_id_position UNIQUE (entry_id, position), 
	CONSTRAINT fk_journal_line_entry FOREIGN KEY(entry_id, company_id, posted_on) REFERENCES journal_entry (id, company_id, posted_on), 
	CONSTRAINT fk_journal_line_account FOREIGN KEY(account_id, company_id) REFERENCES account (id, company_id), 
	CONSTRAINT ck_journal_line_one_side CHECK (debit >= 0 and credit >= 0 and debit * credit = 0), 
	CONSTRAINT fk_journal_line_partner_id FOREIGN KEY(partner_id) REFERENCES partner (id)
);
CREATE INDEX ix_journal_line_account ON journal_line (account_id, company_id, posted_on, id);
CREATE INDEX ix_journal_line_posted_on ON journal_line (company_id, posted_on, account_id) INCLUDE (debit, credit);
COMMENT ON TABLE journal_line IS 'One debit or credit of an entry, in the currency of the books.';
CREATE TABLE invoice (
	id BIGINT GENERATED ALWAYS AS IDENTITY, 
	company_id INTEGER NOT NULL, 
	kind TEXT NOT NULL, 
	number TEXT NOT NULL, 
	partner_id BIGINT NOT NULL, 
	sales_order_id BIGINT, 
	purchase_order_id BIGINT, 
	external_ref TEXT, 
	currency CHAR(3) NOT NULL, 
	fx_rate NUMERIC(24, 12) DEFAULT '1' NOT NULL, 
	invoiced_on DATE NOT NULL, 
	due_on DATE NOT NULL, 
	subtotal NUMERIC(20, 4) DEFAULT '0' NOT NULL, 
	tax_total NUMERIC(20, 4) DEFAULT '0' NOT NULL, 
	total NUMERIC(20, 4) DEFAULT '0' NOT NULL, 
	total_base NUMERIC(20, 4) DEFAULT '0' NOT NULL, 
	residual NUMERIC(20, 4) DEFAULT '0' NOT NULL, 
	residual_base NUMERIC(20, 4) DEFAULT '0' NOT NULL, 
	payment_status TEXT DEFAULT 'NOT_PAID' NOT NULL, 
	settled_on DATE, 
	version INTEGER DEFAULT '1' NOT NULL, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT pk_invoice PRIMARY KEY (id), 
	CONSTRAINT uq_invoice_company_id_kind_number UNIQUE (company_id, kind, number), 
	CONSTRAINT uq_invoice_owner UNIQUE (id, company_id, partner_id), 
	CONSTRAINT ck_invoice_kind CHECK (kind in ('CUSTOMER_INVOICE', 'VENDOR_BILL')), 
	CONSTRAINT ck_invoice_payment_status CHECK (payment_status in ('NOT_PAID', 'PARTIAL', 'PAID')), 
	CONSTRAINT ck_invoice_total CHECK (total = subtotal + tax_total), 
	CONSTRAINT ck_invoice_due_on CHECK (due_on >= invoiced_on), 
	CONSTRAINT ck_invoice_residual CHECK (residual between 0 and total), 
	CONSTRAINT ck_invoice_residual_base CHECK (residual_base between 0 and total_base), 
	CONSTRAINT ck_invoice_settled_on CHECK (settled_on is null or residual = 0), 
	CONSTRAINT fk_invoice_company_id FOREIGN KEY(company_id) REFERENCES company (id), 
	CONSTRAINT fk_invoice_partner_id FOREIGN KEY(partner_id) REFERENCES partner (id), 
	CONSTRAINT fk_invoice_sales_order_id FOREIGN KEY(sales_order_id) REFERENCES sales_order (id) DEFERRABLE INITIALLY IMMEDIATE, 
	CONSTRAINT fk_invoice_purchase_order_id FOREIGN KEY(purchase_order_id) REFERENCES purchase_order (id) DEFERRABLE INITIALLY IMMEDIATE, 
	CONSTRAINT fk_invoice_currency FOREIGN KEY(currency) REFERENCES currency (code)
);
CREATE INDEX ix_invoice_due_on ON invoice (company_id, due_on, id);
CREATE INDEX ix_invoice_invoiced_on ON invoice (company_id, invoiced_on, id);
CREATE INDEX ix_invoice_kind ON invoice (company_id, kind, invoiced_on, id);
CREATE INDEX ix_invoice_number ON invoice (company_id, number);
CREATE INDEX ix_invoice_open ON invoice (company_id, kind, due_on, id) WHERE settled_on is null;
CREATE INDEX ix_invoice_partner ON invoice (partner_id, company_id, invoiced_on, id);
CREATE INDEX ix_invoice_purchase_order ON invoice (purchase_order_id, id) WHERE purchase_order_id is not null;
CREATE INDEX ix_invoice_sales_order ON invoice (sales_order_id, id) WHERE sales_order_id is not null;
CREATE INDEX ix_invoice_settled_on ON invoice (company_id, kind, settled_on);
CREATE INDEX ix_invoice_status ON invoice (company_id, payment_status, invoiced_on, id);
COMMENT ON TABLE invoice IS 'An invoice to a customer, or a bill of a supplier.';
CREATE TABLE invoice_line (
	id BIGINT GENERATED ALWAYS AS IDENTITY, 
	company_id INTEGER NOT NULL, 
	partner_id BIGINT NOT NULL, 
	invoice_id BIGINT NOT NULL, 
	position INTEGER NOT NULL, 
	sales_order_line_id BIGINT, 
	purchase_order_line_id BIGINT, 
	product_id BIGINT NOT NULL, 
	description TEXT NOT NULL, 
	currency CHAR(3) NOT NULL, 
	quantity NUMERIC(18, 4) NOT NULL, 
	unit_price NUMERIC(20, 6) NOT NULL, 
	discount_percent NUMERIC(7, 4) DEFAULT '0' NOT NULL, 
	net NUMERIC(20, 4) NOT NULL, 
	tax NUMERIC(20, 4) NOT NULL, 
	CONSTRAINT pk_invoice_line PRIMARY KEY (id), 
	CONSTRAINT uq_invoice_line_invoice_id_position UNIQUE (invoice_id, position), 
	CONSTRAINT fk_invoice_line_invoice FOREIGN KEY(invoice_id, company_id, partner_id) REFERENCES invoice (id, company_id, partner_id) DEFERRABLE INITIALLY IMMEDIATE, 
	CONSTRAINT ck_invoice_line_quantity CHECK (quantity > 0), 
	CONSTRAINT fk_invoice_line_sales_order_line_id FOREIGN KEY(sales_order_line_id) REFERENCES sales_order_line (id) DEFERRABLE INITIALLY IMMEDIATE, 
	CONSTRAINT fk_invoice_line_purchase_order_line_id FOREIGN KEY(purchase_order_line_id) REFERENCES purchase_order_line (id) DEFERRABLE INITIALLY IMMEDIATE, 
	CONSTRAINT fk_invoice_line_product_id FOREIGN KEY(product_id) REFERENCES product (id), 
	CONSTRAINT fk_invoice_line_currency FOREIGN KEY(currency) REFERENCES currency (code)
);
CREATE INDEX ix_invoice_line_purchase_order_line ON invoice_line (purchase_order_line_id) WHERE purchase_order_line_id is not null;
CREATE INDEX ix_invoice_line_sales_order_line ON invoice_line (sales_order_line_id) WHERE sales_order_line_id is not null;
COMMENT ON TABLE invoice_line IS 'What an invoice asks money for.';
CREATE TABLE payment_allocation (
	id BIGINT GENERATED ALWAYS AS IDENTITY, 
	company_id INTEGER NOT NULL, 
	partner_id BIGINT NOT NULL, 
	payment_id BIGINT NOT NULL, 
	invoice_id BIGINT NOT NULL, 
	currency CHAR(3) NOT NULL, 
	allocated_on DATE NOT NULL, 
	amount NUMERIC(20, 4) NOT NULL, 
	settled_base NUMERIC(20, 4) NOT NULL, 
	CONSTRAINT pk_payment_allocation PRIMARY KEY (id), 
	CONSTRAINT uq_payment_allocation_payment_id_invoice_id UNIQUE (payment_id, invoice_id), 
	CONSTRAINT fk_payment_allocation_payment FOREIGN KEY(payment_id, company_id, partner_id) REFERENCES payment (id, company_id, partner_id) DEFERRABLE INITIALLY IMMEDIATE, 
	CONSTRAINT fk_payment_allocation_invoice FOREIGN KEY(invoice_id, company_id, partner_id) REFERENCES invoice (id, company_id, partner_id) DEFERRABLE INITIALLY IMMEDIATE, 
	CONSTRAINT ck_payment_allocation_amount CHECK (amount > 0 and settled_base >= 0), 
	CONSTRAINT fk_payment_allocation_currency FOREIGN KEY(currency) REFERENCES currency (code)
);
CREATE INDEX ix_payment_allocation_invoice ON payment_allocation (invoice_id, allocated_on, id);
COMMENT ON TABLE payment_allocation IS 'How much of a payment pays how much of an invoice.';
create function entry_balances() returns trigger language plpgsql as $$
declare difference numeric;
begin
  select sum(debit) - sum(credit) into difference
  from journal_line where entry_id = new.entry_id;
  if difference <> 0 then
    raise exception 'journal entry % is out of balance by %', new.entry_id, difference
      using errcode = 'check_violation', constraint = 'journal_entry_balances';
  end if;
  return null;
end $$;
create constraint trigger entry_balances after insert on journal_line
  deferrable initially deferred for each row execute function entry_balances();
create function balances_before(day date)
returns table (account_id int, debit numeric, credit numeric) language sql stable as $$
  with kept as (
    select max(ends_on) as ends_on from fiscal_period where state = 'CLOSED' and ends_on < day
  )
  select found.account_id, sum(found.debit), sum(found.credit) from (
    select b.account_id, b.debit, b.credit
    from account_balance b join kept on b.ends_on = kept.ends_on
    union all
    select l.account_id, l.debit, l.credit from journal_line l
    where l.posted_on < day
      and l.posted_on > coalesce((select ends_on from kept), '-infinity'::date)
  ) found group by 1
$$;
create function trial_balance(starts_on date, ends_on date)
returns table (account_id int, code text, opening numeric, debit numeric, credit numeric,
               closing numeric) language sql stable as $$
  select a.id, a.code,
         coalesce(o.debit - o.credit, 0),
         coalesce(c.debit, 0) - coalesce(o.debit, 0),
         coalesce(c.credit, 0) - coalesce(o.credit, 0),
         coalesce(c.debit - c.credit, 0)
  from account a
  left join balances_before(starts_on) o on o.account_id = a.id
  left join balances_before(ends_on + 1) c on c.account_id = a.id
  where c.account_id is not null
$$;
create function aged_balances(invoice_kind text, day date)
returns table (partner_id bigint, current numeric, d1_30 numeric, d31_60 numeric,
               d61_90 numeric, over90 numeric, total numeric, oldest_due_on date)
language sql stable as $$
  select x.partner_id,
         coalesce(sum(open) filter (where late <= 0), 0),
         coalesce(sum(open) filter (where late between 1 and 30), 0),
         coalesce(sum(open) filter (where late between 31 and 60), 0),
         coalesce(sum(open) filter (where late between 61 and 90), 0),
         coalesce(sum(open) filter (where late > 90), 0),
         sum(open), min(due_on)
  from (
    select i.partner_id, i.due_on, day - i.due_on as late,
           i.total_base - coalesce((
             select sum(a.settled_base) from payment_allocation a
             where a.invoice_id = i.id and a.allocated_on <= day), 0) as open
    from invoice i
    where i.kind = invoice_kind and i.invoiced_on <= day
      and (i.settled_on is null or i.settled_on > day)
  ) x
  where open <> 0
  group by 1
$$;
create function control_balance(account_role text, day date)
returns table (currency char(3), balance numeric) language sql stable as $$
  select c.currency, coalesce(b.debit - b.credit, 0)
  from account a join company c on c.id = a.company_id
  left join balances_before(day + 1) b on b.account_id = a.id
  where a.role = account_role
$$;
create function partner_receivables(partners bigint[], day date)
returns table (partner_id bigint, currency char(3), open numeric, overdue numeric,
               ordered numeric, credit_limit numeric, available numeric)
language sql stable as $$
  select partner, home.currency, coalesce(i.open, 0), coalesce(i.overdue, 0),
         coalesce(o.ordered, 0), t.credit_limit,
         t.credit_limit - coalesce(i.open, 0) - coalesce(o.ordered, 0)
  from unnest(partners) partner
  cross join (select c.currency from company c
              where c.id = nullif(current_setting('app.company_id', true), '')::int) home
  left join partner_company t on t.partner_id = partner
  left join lateral (
    select sum(residual_base) as open,
           sum(residual_base) filter (where due_on < day) as overdue
    from invoice where invoice.partner_id = partner and kind = 'CUSTOMER_INVOICE'
      and settled_on is null
  ) i on true
  left join lateral (
    select round(sum((l.net + l.tax) * s.fx_rate
                     * (l.quantity - l.shipped - l.canceled) / l.quantity), 4) as ordered
    from sales_order s join sales_order_line l on l.order_id = s.id
    where s.partner_id = partner and s.state = 'CONFIRMED' and s.shipment_status <> 'SHIPPED'
  ) o on true
$$;
alter table account enable row level security;
create policy staff on account to erp_app using (company_id = (select nullif(current_setting('app.company_id', true), '')::int));
grant select on account to erp_app;
grant select on account to erp_partner;
alter table fiscal_period enable row level security;
create policy staff on fiscal_period to erp_app using (company_id = (select nullif(current_setting('app.company_id', true), '')::int));
grant select on fiscal_period to erp_app;
grant select on fiscal_period to erp_partner;
alter table journal_entry enable row level security;
create policy staff on journal_entry to erp_app using (company_id = (select nullif(current_setting('app.company_id', true), '')::int));
grant select, insert on journal_entry to erp_app;
grant select on journal_entry to erp_partner;
alter table payment enable row level security;
create policy staff on payment to erp_app using (company_id = (select nullif(current_setting('app.company_id', true), '')::int));
grant select, insert, update on payment to erp_app;
grant select on payment to erp_partner;
create policy partner on payment for select to erp_partner using (company_id = (select nullif(current_setting('app.company_id', true), '')::int) and partner_id = (select nullif(current_setting('app.partner_id', true), '')::bigint));
alter table account_balance enable row level security;
create policy staff on account_balance to erp_app using (company_id = (select nullif(current_setting('app.company_id', true), '')::int));
grant select on account_balance to erp_app;
grant select on account_balance to erp_partner;
alter table journal_line enable row level security;
create policy staff on journal_line to erp_app using (company_id = (select nullif(current_setting('app.company_id', true), '')::int));
grant select, insert on journal_line to erp_app;
grant select on journal_line to erp_partner;
alter table invoice enable row level security;
create policy staff on invoice to erp_app using (company_id = (select nullif(current_setting('app.company_id', true), '')::int));
grant select, insert, update on invoice to erp_app;
grant select on invoice to erp_partner;
create policy partner on invoice for select to erp_partner using (company_id = (select nullif(current_setting('app.company_id', true), '')::int) and partner_id = (select nullif(current_setting('app.partner_id', true), '')::bigint));
alter table invoice_line enable row level security;
create policy staff on invoice_line to erp_app using (company_id = (select nullif(current_setting('app.company_id', true), '')::int));
grant select, insert on invoice_line to erp_app;
grant select on invoice_line to erp_partner;
create policy partner on invoice_line for select to erp_partner using (company_id = (select nullif(current_setting('app.company_id', true), '')::int) and partner_id = (select nullif(current_setting('app.partner_id', true), '')::bigint));
alter table payment_allocation enable row level security;
create policy staff on payment_allocation to erp_app using (company_id = (select nullif(current_setting('app.company_id', true), '')::int));
grant select, insert on payment_allocation to erp_app;
grant select on payment_allocation to erp_partner;
create policy partner on payment_allocation for select to erp_partner using (company_id = (select nullif(current_setting('app.company_id', true), '')::int) and partner_id = (select nullif(current_setting('app.partner_id', true), '')::bigint));
