"""Tables of accounting, the guard that entries balance, and its reports as SQL functions."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import CHAR

from resolvers.accounting.posting import EXCHANGED
from resolvers.accounting.rules import (
    AccountKind,
    AccountRole,
    EntrySource,
    InvoiceKind,
    Journal,
    PaymentDirection,
    PaymentMethod,
    PaymentStatus,
    PeriodState,
)
from resolvers.core.database_errors import PERIOD_CLOSED
from resolvers.core.table import (
    big_id,
    instant,
    later,
    money,
    number_prefix,
    one_of,
    owned,
    percentage,
    quantity,
    rate,
    required,
    small_id,
    table,
    unit_price,
    version,
)

account = table(
    "account",
    small_id(),
    required("company_id", Integer, ForeignKey("company.id")),
    required("code"),
    required("name"),
    required("kind"),
    Column("role", Text),
    UniqueConstraint("company_id", "code"),
    UniqueConstraint("id", "company_id", name="uq_account_owner"),
    CheckConstraint(one_of("kind", AccountKind), name="kind"),
    CheckConstraint(one_of("role", AccountRole), name="role"),
    Index(
        "uq_account_role",
        "company_id",
        "role",
        unique=True,
        postgresql_where=text("role is not null"),
    ),
    rows=owned(),
    comment="An account of the general ledger.",
)

fiscal_period = table(
    "fiscal_period",
    small_id(),
    required("company_id", Integer, ForeignKey("company.id")),
    required("code"),
    required("starts_on", Date),
    required("ends_on", Date),
    required("state", server_default="OPEN"),
    UniqueConstraint("company_id", "code"),
    UniqueConstraint("id", "company_id", "ends_on", name="uq_fiscal_period_owner"),
    CheckConstraint(one_of("state", PeriodState), name="state"),
    CheckConstraint("ends_on >= starts_on", name="ends_on"),
    Index("ix_fiscal_period_ends_on", "company_id", "ends_on", "id"),
    rows=owned(),
    comment="A month of the books.",
)

account_balance = table(
    "account_balance",
    required("company_id", Integer),
    required("period_id", Integer),
    required("account_id", Integer),
    required("ends_on", Date),
    required("debit", money()),
    required("credit", money()),
    PrimaryKeyConstraint("period_id", "account_id"),
    ForeignKeyConstraint(
        ["period_id", "company_id", "ends_on"],
        ["fiscal_period.id", "fiscal_period.company_id", "fiscal_period.ends_on"],
        name="fk_account_balance_period",
    ),
    ForeignKeyConstraint(
        ["account_id", "company_id"],
        ["account.id", "account.company_id"],
        name="fk_account_balance_account",
    ),
    Index("ix_account_balance_ends_on", "company_id", "ends_on"),
    rows=owned(),
    comment="All debits and credits of an account up to the end of a closed period.",
)

journal_entry = table(
    "journal_entry",
    big_id(),
    required("company_id", Integer, ForeignKey("company.id")),
    required("number"),
    required("journal"),
    required("posted_on", Date),
    required("description"),
    Column("source", Text),
    Column("source_id", BigInteger),
    required("posted_by"),
    instant("posted_at", now=True),
    UniqueConstraint("company_id", "number"),
    UniqueConstraint("id", "company_id", "posted_on", name="uq_journal_entry_owner"),
    CheckConstraint(one_of("journal", Journal), name="journal"),
    CheckConstraint(one_of("source", EntrySource), name="source"),
    CheckConstraint("(source is null) = (source_id is null)", name="source_id"),
    Index("ix_journal_entry_posted_on", "company_id", "posted_on", "id"),
    Index("ix_journal_entry_journal", "company_id", "journal", "posted_on", "id"),
    Index(
        "uq_journal_entry_source",
        "source_id",
        "source",
        unique=True,
        postgresql_where=text("source_id is not null"),
    ),
    number_prefix("journal_entry"),
    rows=owned("insert"),
    comment="What was posted at once, for one document; it balances.",
)

journal_line = table(
    "journal_line",
    big_id(),
    required("company_id", Integer),
    required("entry_id", BigInteger),
    required("position", Integer),
    required("account_id", Integer),
    required("posted_on", Date),
    Column("partner_id", BigInteger, ForeignKey("partner.id")),
    required("debit", money(), server_default="0"),
    required("credit", money(), server_default="0"),
    UniqueConstraint("entry_id", "position"),
    ForeignKeyConstraint(
        ["entry_id", "company_id", "posted_on"],
        ["journal_entry.id", "journal_entry.company_id", "journal_entry.posted_on"],
        name="fk_journal_line_entry",
    ),
    ForeignKeyConstraint(
        ["account_id", "company_id"],
        ["account.id", "account.company_id"],
        name="fk_journal_line_account",
    ),
    CheckConstraint("debit >= 0 and credit >= 0 and debit * credit = 0", name="one_side"),
    Index("ix_journal_line_account", "account_id", "company_id", "posted_on", "id"),
    Index(
        "ix_journal_line_posted_on",
        "company_id",
        "posted_on",
        "account_id",
        postgresql_include=["debit", "credit"],
    ),
    rows=owned("insert"),
    comment="One debit or credit of an entry, in the currency of the books.",
)

invoice = table(
    "invoice",
    big_id(),
    required("company_id", Integer, ForeignKey("company.id")),
    required("kind"),
    required("number"),
    required("partner_id", BigInteger, ForeignKey("partner.id")),
    Column("sales_order_id", BigInteger, later("sales_order.id")),
    Column("purchase_order_id", BigInteger, later("purchase_order.id")),
    Column("external_ref", Text),
    required("currency", CHAR(3), ForeignKey("currency.code")),
    required("fx_rate", rate(), server_default="1"),
    required("invoiced_on", Date),
    required("due_on", Date),
    required("subtotal", money(), server_default="0"),
    required("tax_total", money(), server_default="0"),
    required("total", money(), server_default="0"),
    required("total_base", money(), server_default="0"),
    required("residual", money(), server_default="0"),
    required("residual_base", money(), server_default="0"),
    required("payment_status", server_default="NOT_PAID"),
    Column("settled_on", Date),
    version(),
    instant("created_at", now=True),
    UniqueConstraint("company_id", "kind", "number"),
    UniqueConstraint("id", "company_id", "partner_id", name="uq_invoice_owner"),
    CheckConstraint(one_of("kind", InvoiceKind), name="kind"),
    CheckConstraint(one_of("payment_status", PaymentStatus), name="payment_status"),
    CheckConstraint("total = subtotal + tax_total", name="total"),
    CheckConstraint("due_on >= invoiced_on", name="due_on"),
    CheckConstraint("residual between 0 and total", name="residual"),
    CheckConstraint("residual_base between 0 and total_base", name="residual_base"),
    CheckConstraint("settled_on is null or residual = 0", name="settled_on"),
    Index("ix_invoice_invoiced_on", "company_id", "invoiced_on", "id"),
    Index("ix_invoice_due_on", "company_id", "due_on", "id"),
    Index("ix_invoice_kind", "company_id", "kind", "invoiced_on", "id"),
    Index("ix_invoice_status", "company_id", "payment_status", "invoiced_on", "id"),
    Index("ix_invoice_partner", "partner_id", "company_id", "invoiced_on", "id"),
    Index("ix_invoice_number", "company_id", "number"),
    Index("ix_invoice_settled_on", "company_id", "kind", "settled_on"),
    Index(
        "ix_invoice_open",
        "company_id",
        "kind",
        "due_on",
        "id",
        postgresql_where=text("settled_on is null"),
    ),
    Index(
        "ix_invoice_sales_order",
        "sales_order_id",
        "id",
        postgresql_where=text("sales_order_id is not null"),
    ),
    Index(
        "ix_invoice_purchase_order",
        "purchase_order_id",
        "id",
        postgresql_where=text("purchase_order_id is not null"),
    ),
    number_prefix("invoice"),
    rows=owned("insert", "update", partner="partner_id = {partner}"),
    comment="An invoice to a customer, or a bill of a supplier.",
)

invoice_line = table(
    "invoice_line",
    big_id(),
    required("company_id", Integer),
    required("partner_id", BigInteger),
    required("invoice_id", BigInteger),
    required("position", Integer),
    Column("sales_order_line_id", BigInteger, later("sales_order_line.id")),
    Column("purchase_order_line_id", BigInteger, later("purchase_order_line.id")),
    required("product_id", BigInteger, ForeignKey("product.id")),
    required("description"),
    required("currency", CHAR(3), ForeignKey("currency.code")),
    required("quantity", quantity()),
    required("unit_price", unit_price()),
    required("discount_percent", percentage(), server_default="0"),
    required("net", money()),
    required("tax", money()),
    UniqueConstraint("invoice_id", "position"),
    ForeignKeyConstraint(
        ["invoice_id", "company_id", "partner_id"],
        ["invoice.id", "invoice.company_id", "invoice.partner_id"],
        name="fk_invoice_line_invoice",
        deferrable=True,
        initially="IMMEDIATE",
    ),
    CheckConstraint("quantity > 0", name="quantity"),
    Index(
        "ix_invoice_line_sales_order_line",
        "sales_order_line_id",
        postgresql_where=text("sales_order_line_id is not null"),
    ),
    Index(
        "ix_invoice_line_purchase_order_line",
        "purchase_order_line_id",
        postgresql_where=text("purchase_order_line_id is not null"),
    ),
    rows=owned("insert", partner="partner_id = {partner}"),
    comment="What an invoice asks money for.",
)

payment = table(
    "payment",
    big_id(),
    required("company_id", Integer, ForeignKey("company.id")),
    required("number"),
    required("direction"),
    required("method"),
    required("partner_id", BigInteger, ForeignKey("partner.id")),
    required("currency", CHAR(3), ForeignKey("currency.code")),
    required("fx_rate", rate(), server_default="1"),
    required("paid_on", Date),
    required("amount", money()),
    required("unallocated", money(), server_default="0"),
    Column("reference", Text),
    instant("created_at", now=True),
    UniqueConstraint("company_id", "number"),
    UniqueConstraint("id", "company_id", "partner_id", name="uq_payment_owner"),
    CheckConstraint(one_of("direction", PaymentDirection), name="direction"),
    CheckConstraint(one_of("method", PaymentMethod), name="method"),
    CheckConstraint("amount > 0", name="amount"),
    CheckConstraint("unallocated between 0 and amount", name="unallocated"),
    Index("ix_payment_paid_on", "company_id", "paid_on", "id"),
    Index("ix_payment_partner", "partner_id", "company_id", "paid_on", "id"),
    Index("ix_payment_direction", "company_id", "direction", "paid_on", "id"),
    number_prefix("payment"),
    rows=owned("insert", "update", partner="partner_id = {partner}"),
    comment="Money that came from a partner or went to one.",
)

payment_allocation = table(
    "payment_allocation",
    big_id(),
    required("company_id", Integer),
    required("partner_id", BigInteger),
    required("payment_id", BigInteger),
    required("invoice_id", BigInteger),
    required("currency", CHAR(3), ForeignKey("currency.code")),
    required("allocated_on", Date),
    required("amount", money()),
    required("settled_base", money()),
    UniqueConstraint("payment_id", "invoice_id"),
    ForeignKeyConstraint(
        ["payment_id", "company_id", "partner_id"],
        ["payment.id", "payment.company_id", "payment.partner_id"],
        name="fk_payment_allocation_payment",
        deferrable=True,
        initially="IMMEDIATE",
    ),
    ForeignKeyConstraint(
        ["invoice_id", "company_id", "partner_id"],
        ["invoice.id", "invoice.company_id", "invoice.partner_id"],
        name="fk_payment_allocation_invoice",
        deferrable=True,
        initially="IMMEDIATE",
    ),
    CheckConstraint("amount > 0 and settled_base >= 0", name="amount"),
    Index("ix_payment_allocation_invoice", "invoice_id", "allocated_on", "id"),
    rows=owned("insert", partner="partner_id = {partner}"),
    comment="How much of a payment pays how much of an invoice.",
)

ENTRY_BALANCES = """
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
"""
"""Checked when the transaction commits, since the lines of an entry come one by one."""

ENTRY_NUMBERED = """
create function journal_entry_numbered() returns trigger language plpgsql as $$
begin
  new.number := new.number || repeat('0', 6 - length(new.id::text)) || new.id;
  return new;
end $$;
create trigger journal_entry_numbered before insert on journal_entry
  for each row when (right(new.number, 1) = '-') execute function journal_entry_numbered()
"""
"""An entry without a number gets one from its key: nobody waits for a counter."""

_EXCHANGED = ", ".join(f"('{kind}', '{role}')" for kind, role in EXCHANGED.items())
VALUE_POSTED = f"""
create function value_posted() returns trigger
language plpgsql security definer set search_path = public as $$
declare
  x record;
  period record;
  entry bigint;
begin
  for x in
    select n.company_id, n.effective_on, min(n.posted_by) as posted_by, min(n.posted_at) as posted_at,
           initcap(replace(string_agg(distinct n.kind, ', ' order by n.kind), '_', ' ')) as told
    from changed n
    where exists (select from account a
                  where a.company_id = n.company_id and a.role = 'INVENTORY')
    group by 1, 2 order by 1, 2
  loop
    -- a month after all others begins with what is first posted in it, and those between with it
    insert into fiscal_period (company_id, code, starts_on, ends_on)
    select x.company_id, to_char(m.month, 'YYYY-MM'), greatest(m.month::date, last.ends_on + 1),
           (m.month + interval '1 month')::date - 1
    from (select max(p.ends_on) as ends_on from fiscal_period p
          where p.company_id = x.company_id) last
    cross join generate_series(
      date_trunc('month', coalesce(last.ends_on + 1, x.effective_on)::timestamp),
      x.effective_on::timestamp, interval '1 month') m (month)
    where x.effective_on > coalesce(last.ends_on, '-infinity')
    on conflict (company_id, code) do nothing;
    select p.code, p.state into period from fiscal_period p
    where p.company_id = x.company_id and x.effective_on between p.starts_on and p.ends_on
    for share;
    if not found or period.state <> 'OPEN' then
      raise exception using errcode = '{PERIOD_CLOSED}', detail = coalesce(period.code, ''),
        message = case when period.code is null then 'The books have no period for that day.'
                       else 'The books of ' || period.code || ' are closed.' end;
    end if;
    entry := null;
    if exists (select from changed n where n.company_id = x.company_id
               and n.effective_on = x.effective_on group by n.kind having sum(n.amount) <> 0) then
      insert into journal_entry (company_id, number, journal, posted_on, description, posted_by,
        posted_at)
      values (x.company_id, 'JE-' || to_char(x.effective_on, 'YYYY') || '-', 'STOCK',
        x.effective_on, x.told, x.posted_by, x.posted_at)
      returning id into entry;
      insert into journal_line (company_id, entry_id, position, account_id, posted_on, debit, credit)
      select x.company_id, entry, row_number() over (order by v.kind, s.side), a.id, x.effective_on,
             greatest(v.amount * s.side, 0), greatest(-v.amount * s.side, 0)
      from (select n.kind, sum(n.amount) as amount from changed n
            where n.company_id = x.company_id and n.effective_on = x.effective_on
            group by n.kind having sum(n.amount) <> 0) v
      join (values {_EXCHANGED}) e (kind, role) on e.kind = v.kind
      cross join (values (1), (-1)) s (side)
      join account a on a.company_id = x.company_id
        and a.role = case when s.side = 1 then 'INVENTORY' else e.role end;
    end if;
  end loop;
  return null;
end $$;
create trigger value_posted after insert on valuation_entry
  referencing new table as changed for each statement execute function value_posted()
"""
"""Posts what stock is worth more or less, with the statement that values it: one entry for a day.

The period is locked against being closed meanwhile. Companies without an account for inventory keep
no books of it.
"""

PURCHASE_LINES_BILLED = """
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
  referencing new table as changed for each statement execute function purchase_lines_billed()
"""
"""What bills ask for is noted on the lines of orders they are for; lines of bills never change."""

SALES_BILLING = """
create function derive_sales_billing(orders bigint[]) returns void language sql as $$
  update sales_order o set invoice_status = s.invoiced, payment_status = s.paid
  from (
    select l.order_id, l.invoiced,
           case when l.invoiced = 'INVOICED' and i.open = 0 then 'PAID'
                when i.paid > 0 then 'PARTIAL' else 'NOT_PAID' end as paid
    from (
      select order_id, case when sum(invoiced) = 0 then 'NONE'
                            when sum(greatest(quantity - canceled - invoiced, 0)) > 0 then 'PARTIAL'
                            else 'INVOICED' end as invoiced
      from sales_order_line where order_id = any(orders) group by 1
    ) l
    cross join lateral (
      select coalesce(sum(residual), 0) as open, coalesce(sum(total - residual), 0) as paid
      from invoice where sales_order_id = l.order_id and kind = 'CUSTOMER_INVOICE'
    ) i
  ) s
  where o.id = s.order_id
    and (o.invoice_status, o.payment_status) is distinct from (s.invoiced, s.paid)
$$;
create function sales_lines_invoiced() returns trigger
language plpgsql security definer set search_path = public as $$
begin
  perform from sales_order where id in (
    select l.order_id from changed n join sales_order_line l on l.id = n.sales_order_line_id
    where l.company_id = n.company_id) order by id for no key update;
  update sales_order_line l set invoiced = l.invoiced + b.quantity
  from (
    select n.sales_order_line_id as id, n.company_id, sum(n.quantity) as quantity
    from changed n join invoice i on i.id = n.invoice_id
    where i.kind = 'CUSTOMER_INVOICE' group by 1, 2
  ) b where l.id = b.id and l.company_id = b.company_id;
  return null;
end $$;
create trigger sales_lines_invoiced after insert on invoice_line
  referencing new table as changed for each statement execute function sales_lines_invoiced();
create function sales_billing_of_lines() returns trigger
language plpgsql security definer set search_path = public as $$
declare orders bigint[];
begin
  select array_agg(distinct n.order_id) into orders
  from changed n join before b on b.id = n.id
  where (n.invoiced, n.canceled, n.quantity) is distinct from (b.invoiced, b.canceled, b.quantity);
  if orders is not null then
    perform derive_sales_billing(orders);
  end if;
  return null;
end $$;
create trigger sales_order_line_updated_billing after update on sales_order_line
  referencing old table as before new table as changed
  for each statement execute function sales_billing_of_lines();
create function sales_billing_of_invoices() returns trigger
language plpgsql security definer set search_path = public as $$
declare orders bigint[];
begin
  select array_agg(distinct n.sales_order_id) into orders
  from changed n join before b on b.id = n.id
  where n.sales_order_id is not null and (n.total, n.residual) is distinct from (b.total, b.residual);
  if orders is not null then
    perform from sales_order where id = any(orders) order by id for no key update;
    perform derive_sales_billing(orders);
  end if;
  return null;
end $$;
create trigger sales_billing_of_invoices after update on invoice
  referencing old table as before new table as changed
  for each statement execute function sales_billing_of_invoices()
"""
"""How far orders are invoiced and paid, whoever writes invoices, pays them, or cancels lines.

It is no edit of an order, so its version stays. Lines of invoices never change.
"""

BALANCES_BEFORE = """
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
"""
"""Sums up to a day, its own left out: those kept at the last closed period, and the lines since."""

TRIAL_BALANCE = """
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
"""
"""What was on each account before a period, what was posted in it, and what is there after it."""

AGED_BALANCES = """
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
"""
"""What was open at the end of a day by partner and by how long it had been due."""

PARTNER_RECEIVABLES = """
create function partner_receivables(partners bigint[], day date)
returns table (partner_id bigint, currency char(3), open numeric, overdue numeric,
               ordered numeric, credit_limit numeric, available numeric,
               aging_current numeric, aging_d1_30 numeric, aging_d31_60 numeric,
               aging_d61_90 numeric, aging_over90 numeric)
language sql stable as $$
  select partner, home.currency, coalesce(i.open, 0), coalesce(i.overdue, 0),
         coalesce(o.ordered, 0), t.credit_limit,
         t.credit_limit - coalesce(i.open, 0) - coalesce(o.ordered, 0),
         coalesce(i.current, 0), coalesce(i.d1_30, 0), coalesce(i.d31_60, 0),
         coalesce(i.d61_90, 0), coalesce(i.over90, 0)
  from unnest(partners) partner
  cross join (select c.currency from company c
              where c.id = nullif(current_setting('app.company_id', true), '')::int) home
  left join partner_company t on t.partner_id = partner
  left join lateral (
    select sum(residual_base) as open,
           sum(residual_base) filter (where due_on < day) as overdue,
           sum(residual_base) filter (where due_on >= day) as current,
           sum(residual_base) filter (where day - due_on between 1 and 30) as d1_30,
           sum(residual_base) filter (where day - due_on between 31 and 60) as d31_60,
           sum(residual_base) filter (where day - due_on between 61 and 90) as d61_90,
           sum(residual_base) filter (where day - due_on > 90) as over90
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
"""
"""What customers owe and since when, what is ordered besides, and what credit that leaves."""

CONTROL_BALANCE = """
create function control_balance(account_role text, day date)
returns table (currency char(3), balance numeric) language sql stable as $$
  select c.currency, coalesce(b.debit - b.credit, 0)
  from account a join company c on c.id = a.company_id
  left join balances_before(day + 1) b on b.account_id = a.id
  where a.role = account_role
$$;
"""
"""What is on the account that stands for all invoices of a kind, at the end of a day."""

CLOSE_CHECKS = """
create function close_checks(periods int[])
returns table (period_id int, place int, code text, count bigint) language sql stable as $$
  select p.id, c.place, c.code, c.count
  from fiscal_period p
  cross join lateral (
    select 1, 'EARLIER_PERIODS_CLOSED', count(*) from fiscal_period e
    where e.company_id = p.company_id and e.ends_on < p.starts_on and e.state = 'OPEN'
    union all
    select 2, 'ENTRIES_BALANCE', count(*) from (
      select from journal_line l
      where l.company_id = p.company_id and l.posted_on between p.starts_on and p.ends_on
      group by l.entry_id having sum(l.debit) <> sum(l.credit)) x
    union all
    select 3, 'RECEIVABLES_RECONCILE', (
      coalesce((select sum(total) from aged_balances('CUSTOMER_INVOICE', p.ends_on)), 0)
      <> coalesce((select balance from control_balance('RECEIVABLE', p.ends_on)), 0))::int
    union all
    select 4, 'PAYABLES_RECONCILE', (
      coalesce((select sum(total) from aged_balances('VENDOR_BILL', p.ends_on)), 0)
      <> coalesce(-(select balance from control_balance('PAYABLE', p.ends_on)), 0))::int
    union all
    select 5, 'SHIPMENTS_LEFT', count(*) from shipment s
    where s.company_id = p.company_id and s.state in ('PLANNED', 'PICKING', 'PACKED')
      and s.planned_on <= p.ends_on
    union all
    select 6, 'RECEIPTS_BILLED', count(*) from goods_receipt g
    where g.company_id = p.company_id and g.received_on between p.starts_on and p.ends_on
      and not exists (select from invoice i where i.purchase_order_id = g.order_id
                      and i.invoiced_on <= p.ends_on)
    union all
    select 7, 'NUMBERS_WITHOUT_GAPS', coalesce(sum(x.missing), 0)::bigint from (
      select max(n.place) - min(n.place) + 1 - count(*) as missing
      from (select i.kind, regexp_replace(i.number, '[0-9]+$', '') as series,
                   substring(i.number from '[0-9]{1,18}$')::bigint as place
            from invoice i where i.company_id = p.company_id
              and i.invoiced_on between p.starts_on and p.ends_on) n
      group by n.kind, n.series) x
    union all
    select 8, 'INVENTORY_RECONCILES', (
      coalesce((select sum(v.amount) from valuation_entry v
                where v.company_id = p.company_id and v.effective_on <= p.ends_on), 0)
      <> coalesce((select balance from control_balance('INVENTORY', p.ends_on)), 0)
      -- before goods were in the books there is nothing to compare
      and exists (select from journal_line l join account a on a.id = l.account_id
                  where a.company_id = p.company_id and a.role = 'INVENTORY'
                    and l.posted_on <= p.ends_on)
      and not exists (select from journal_entry e
                      where e.company_id = p.company_id and e.journal = 'STOCK'
                        and e.posted_by = 'migration' and e.posted_on > p.ends_on))::int
  ) c (place, code, count)
  where p.id = any(periods)
$$;
"""
"""What is in the way of closing periods: of each check how much, and so 0 where it is met."""
