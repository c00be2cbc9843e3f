"""What must always hold for the books: each statement returns the rows that break it."""

from resolvers.core.module import Invariant

INVARIANTS = (
    Invariant(
        "entry_balances",
        """
        select e.id as entry_id, e.number, sum(l.debit) as debit, sum(l.credit) as credit
        from journal_entry e left join journal_line l on l.entry_id = e.id
        group by e.id, e.number
        having count(l.id) < 2 or sum(l.debit) <> sum(l.credit)
        """,
        "An entry without two sides, or with two that differ: reverse it and post it again.",
    ),
    Invariant(
        "entry_in_period",
        """
        select e.id as entry_id, e.number, e.posted_on from journal_entry e
        where not exists (select from fiscal_period p where p.company_id = e.company_id
                          and e.posted_on between p.starts_on and p.ends_on)
        """,
        "An entry of a day that no period has: make the period.",
    ),
    Invariant(
        "kept_balances",
        """
        select b.period_id, b.account_id, b.debit, b.credit, l.debit as posted_debit,
               l.credit as posted_credit
        from (select p.id as period_id, p.ends_on, a.id as account_id
              from fiscal_period p join account a on a.company_id = p.company_id
              where p.state = 'CLOSED') wanted
        left join account_balance b using (period_id, account_id)
        cross join lateral (
          select coalesce(sum(debit), 0) as debit, coalesce(sum(credit), 0) as credit
          from journal_line l where l.account_id = wanted.account_id
            and l.posted_on <= wanted.ends_on
        ) l
        where (coalesce(b.debit, 0), coalesce(b.credit, 0)) <> (l.debit, l.credit)
        """,
        "What was kept at the close of a period is not what was posted: close it again.",
    ),
    Invariant(
        "invoice_total",
        """
        select i.id as invoice_id, i.number, i.subtotal, i.tax_total, sum(l.net) as net,
               sum(l.tax) as tax
        from invoice i left join invoice_line l on l.invoice_id = i.id
        group by i.id
        having (i.subtotal, i.tax_total) is distinct from (sum(l.net), sum(l.tax))
        """,
        "An invoice does not add up to its lines.",
    ),
    Invariant(
        "invoice_residual",
        """
        select i.id as invoice_id, i.number, i.residual, i.residual_base
        from invoice i
        left join payment_allocation a on a.invoice_id = i.id
        group by i.id
        having i.residual <> i.total - coalesce(sum(a.amount), 0)
            or i.residual_base <> i.total_base - coalesce(sum(a.settled_base), 0)
            or (i.settled_on is null) <> (i.residual <> 0)
            or i.payment_status <> case when i.residual = 0 then 'PAID'
                                        when i.residual = i.total then 'NOT_PAID'
                                        else 'PARTIAL' end
        """,
        "What is open of an invoice is not what its payments leave.",
    ),
    Invariant(
        "invoice_numbers",
        """
        select company_id, series, count(*) as invoices, min(place) as first, max(place) as last
        from (
          select company_id, regexp_replace(number, '[0-9]+$', '') as series,
                 substring(number from '[0-9]+$')::numeric as place
          from invoice where kind = 'CUSTOMER_INVOICE'
        ) numbered
        group by company_id, series
        having min(place) is distinct from 1 or max(place) is distinct from count(*)
        """,
        "A number of an invoice to a customer is missing in its series: find the invoice.",
    ),
    Invariant(
        "invoice_posted",
        """
        select i.id as invoice_id, i.number, i.total_base, e.id as entry_id, l.amount
        from invoice i
        left join journal_entry e on e.source = 'INVOICE' and e.source_id = i.id
        left join lateral (
          select sum(abs(l.debit - l.credit)) as amount
          from journal_line l join account a on a.id = l.account_id
          where l.entry_id = e.id and a.role in ('RECEIVABLE', 'PAYABLE')
        ) l on true
        where i.total_base <> coalesce(l.amount, 0)
        """,
        "An invoice is in the books with another amount, or not at all.",
    ),
    Invariant(
        "invoiced_was_shipped",
        """
        select l.id as sales_order_line_id, l.shipped, sum(i.quantity) as invoiced
        from sales_order_line l join invoice_line i on i.sales_order_line_id = l.id
        group by l.id having sum(i.quantity) > l.shipped
        """,
        "More was invoiced than was shipped.",
    ),
    Invariant(
        "sales_line_invoiced",
        """
        select l.id as sales_order_line_id, l.invoiced, coalesce(b.invoiced, 0) as invoices
        from sales_order_line l
        left join (
            select i.sales_order_line_id as id, sum(i.quantity) as invoiced
            from invoice_line i join invoice b on b.id = i.invoice_id
            where b.kind = 'CUSTOMER_INVOICE' and i.sales_order_line_id is not null group by 1
        ) b using (id)
        where l.invoiced <> coalesce(b.invoiced, 0)
        """,
        "A sales order line says more or less was invoiced than its invoices do: they are right.",
    ),
    Invariant(
        "sales_payment_status",
        """
        select o.id as order_id, o.number, o.invoice_status, o.payment_status, i.open, i.paid
        from sales_order o
        left join (
            select sales_order_id as id, sum(residual) as open, sum(total - residual) as paid
            from invoice where kind = 'CUSTOMER_INVOICE' and sales_order_id is not null group by 1
        ) i using (id)
        where o.payment_status <> case
            when o.invoice_status = 'INVOICED' and coalesce(i.open, 0) = 0 then 'PAID'
            when coalesce(i.paid, 0) > 0 then 'PARTIAL' else 'NOT_PAID' end
        """,
        "An order's payment status is not what its invoices say: derive it again.",
    ),
    Invariant(
        "purchase_line_billed",
        """
        select l.id as purchase_order_line_id, l.billed, coalesce(b.billed, 0) as bills
        from purchase_order_line l
        left join (
            select i.purchase_order_line_id as id, sum(i.quantity) as billed
            from invoice_line i join invoice b on b.id = i.invoice_id and b.kind = 'VENDOR_BILL'
            where i.purchase_order_line_id is not null group by 1
        ) b using (id)
        where l.billed <> coalesce(b.billed, 0)
        """,
        "A purchase order line says more or less was billed than its bills do: the bills are right.",
    ),
    Invariant(
        "payment_allocated",
        """
        select p.id as payment_id, p.number, p.amount, p.unallocated, sum(a.amount) as allocated
        from payment p left join payment_allocation a on a.payment_id = p.id
        group by p.id having p.amount <> p.unallocated + coalesce(sum(a.amount), 0)
        """,
        "A payment is not what it was used for and what is left of it.",
    ),
    Invariant(
        "ledger_agrees_with_invoices",
        """
        select a.company_id, a.code, sum(l.debit - l.credit) as ledger, i.open
        from account a
        left join journal_line l on l.account_id = a.id
        cross join lateral (
          select coalesce(sum(case when a.role = 'PAYABLE' then -residual_base
                                   else residual_base end), 0) as open
          from invoice where company_id = a.company_id
            and kind = case when a.role = 'PAYABLE' then 'VENDOR_BILL'
                            else 'CUSTOMER_INVOICE' end
        ) i
        where a.role in ('RECEIVABLE', 'PAYABLE')
        group by a.id, i.open having coalesce(sum(l.debit - l.credit), 0) <> i.open
        """,
        "The account that stands for all invoices is not the sum of those that are open.",
    ),
    Invariant(
        "inventory_agrees_with_value",
        """
        select a.company_id, a.code, coalesce(l.amount, 0) as ledger, coalesce(c.value, 0) as value
        from account a
        left join (select account_id, sum(debit - credit) as amount from journal_line group by 1) l
          on l.account_id = a.id
        left join (select company_id, sum(value) as value from product_cost group by 1) c
          on c.company_id = a.company_id
        where a.role = 'INVENTORY' and coalesce(l.amount, 0) <> coalesce(c.value, 0)
        """,
        "The inventory account is not what stock is worth: post the difference.",
    ),
    Invariant(
        "received_is_billed_or_open",
        """
        select a.company_id, a.code, coalesce(l.amount, 0) as ledger, coalesce(r.open, 0) as open
        from account a
        left join (select account_id, sum(credit - debit) as amount from journal_line group by 1) l
          on l.account_id = a.id
        left join (
          select l.company_id, sum(round(l.received * l.unit_price * o.fx_rate, k.digits)
                                   - round(l.billed * l.unit_price * o.fx_rate, k.digits)) as open
          from purchase_order_line l join purchase_order o on o.id = l.order_id
          join company c on c.id = l.company_id join currency k on k.code = c.currency
          group by 1
        ) r on r.company_id = a.company_id
        where a.role = 'GOODS_RECEIVED' and coalesce(l.amount, 0) <> coalesce(r.open, 0)
        """,
        "What is posted as received and not billed is not what orders say: post the difference.",
    ),
)
