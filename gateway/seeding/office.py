"""What an office adds to the goods: what was read on bills, opportunities, fetched contracts.

These follow from rows that are there already, so the database makes them itself. `$1` is how many
a company gets, `$2` the day after the last one of the history.
"""

from typing import Final

OFFICE: Final[dict[str, str]] = {
    "extraction": """
insert into extraction (company_id, document_id, extractor, extractor_version, state, supplier_id,
                        invoice_id, created_at, fields, issues)
select d.company_id, d.id, 'layout', '1.2', s.state, i.partner_id, i.id,
       d.created_at + interval '20 seconds',
       jsonb_build_array(
         jsonb_build_object('name', 'number', 'value', i.number, 'confidence', 99, 'page', 1,
                            'bbox', jsonb_build_array(400, 60, 520, 74)),
         jsonb_build_object('name', 'invoicedOn', 'value', i.invoiced_on::text, 'confidence', 96,
                            'page', 1, 'bbox', jsonb_build_array(400, 80, 470, 94)),
         jsonb_build_object('name', 'total', 'value', i.total::text,
                            'confidence', case when s.state = 'ACCEPTED' then 98 else 61 end,
                            'page', 1, 'bbox', jsonb_build_array(430, 700, 520, 714)),
         jsonb_build_object('name', 'vatId', 'value', null, 'confidence', 0)),
       case when s.state = 'ACCEPTED' then '[]' else jsonb_build_array(jsonb_build_object(
         'code', case i.id % 2 when 0 then 'TOTAL_MISMATCH' else 'PRICE_DIFFERENCE' end,
         'severity', case i.id % 2 when 0 then 'ERROR' else 'WARNING' end,
         'message', case i.id % 2 when 0 then 'The lines do not come to the total.'
                    else 'A price is not the one that was ordered.' end,
         'expected', i.total::text, 'actual', (i.total + 0.10)::text)) end
from document d
join invoice i on i.id = d.invoice_id
cross join lateral (select case when i.id % 3 = 0 then 'NEEDS_REVIEW' else 'ACCEPTED' end) s(state)
where d.kind = 'BILL' and $1::int > 0 and $2::date is not null order by d.id
""",
    "extraction_line": """
insert into extraction_line (company_id, extraction_id, position, supplier_sku, description,
                             quantity, unit_price, amount, product_id, purchase_order_line_id)
select e.company_id, e.id, l.position, p.supplier_sku, l.description, l.quantity, l.unit_price,
       l.net, l.product_id, l.purchase_order_line_id
from extraction e
join invoice_line l on l.invoice_id = e.invoice_id
left join purchase_order_line p on p.id = l.purchase_order_line_id
where $1::int > 0 and $2::date is not null order by e.id, l.position
""",
    "opportunity": """
insert into opportunity (company_id, number, partner_id, title, stage, probability, currency,
                         expected_revenue, expected_close, owner_id, lost_reason, created_at)
select company_id, 'OP-' || lpad(place::text, 5, '0') || '-' || turn, partner_id,
       (array['New shop', 'Yearly order', 'Renovation', 'Second site', 'Spare parts'])[id % 5 + 1]
         || ' for ' || name,
       stage, (array[10, 30, 60, 100, 0])[array_position(stages, stage)], currency,
       500 + partner_id * 7919 % 40000,
       case when stage = 'WON' or stage = 'LOST' then $2::date - 5 - (partner_id * 13 % 90)::int
            else $2::date - 10 + (partner_id * 13 % 90)::int + 9 * turn end,
       case when place % 3 = 0 then null else 1 end,
       case when stage = 'LOST' then 'Somebody else was cheaper.' end,
       $2::date - 60 - (partner_id % 60)::int + time '09:00'
from (select t.company_id, t.partner_id, c.currency, p.id, p.name,
             row_number() over (partition by t.company_id order by t.partner_id) as place
      from partner_company t join company c on c.id = t.company_id
      join partner p on p.id = t.partner_id
      where p.is_customer and p.archived_at is null) customer
cross join (select array['NEW', 'QUALIFIED', 'PROPOSITION', 'WON', 'LOST'] as stages) words
cross join lateral generate_series(1, case when place % 4 = 0 then 4 else 1 end) as turn
cross join lateral (select stages[(customer.partner_id + turn) % 5 + 1]) s(stage)
where place <= 2 * $1::int order by company_id, place, turn
""",
    "activity": """
insert into activity (company_id, opportunity_id, kind, summary, due_on, owner_id, done_at,
                      created_at)
select company_id, id, (array['CALL', 'MEETING', 'EMAIL', 'TASK'])[(id + step) % 4 + 1],
       (array['Ask how it stands', 'Show samples', 'Send the offer', 'Clear up delivery'])
         [(id + step) % 4 + 1],
       expected_close - 20 * step, owner_id,
       case when expected_close - 20 * step < $2::date - 5
         then expected_close - 20 * step + time '15:00' end,
       created_at + interval '1 hour'
from opportunity cross join generate_series(1, 3) as step
where $1::int > 0 order by id, step
""",
    "connector": """
insert into connector (company_id, code, kind, state, max_concurrency)
select c.id, k.code, k.kind, k.state, 10
from company c cross join (values (1, 'billing-main', 'billing', 'ACTIVE'),
                                  (2, 'shop', 'commerce', 'PAUSED')) k(place, code, kind, state)
where $1::int > 0 and $2::date is not null order by c.id, k.place
""",
    "sync_run": """
insert into sync_run (company_id, connector_id, kind, state, fetched, inserted, updated, unchanged,
                      failed, started_at, finished_at)
select company_id, id, 'contracts', case when failed > 0 then 'PARTIAL' else 'SUCCEEDED' end,
       100 + day, 2, day % 7, 90, failed, at, at + interval '3 minutes'
from connector cross join generate_series(1, 14) as day
cross join lateral (select day % 4 as failed, $2::date - day + time '05:00' as at) run
where $1::int > 0 order by id, day desc
""",
    "sync_failure": """
insert into sync_failure (company_id, run_id, entity, external_id, stage, code, message, attempts,
                          retry_state)
select company_id, id, 'contract', 'C-' || id || '-' || place,
       (array['FETCH', 'ENRICH', 'VALIDATE', 'LOAD'])[(id + place) % 4 + 1],
       'UNKNOWN_CUSTOMER', 'There is no customer with this number.', place,
       (array['OPEN', 'RETRIED', 'IGNORED'])[(id + place) % 3 + 1]
from sync_run cross join lateral generate_series(1, failed) as place
where $1::int > 0 and $2::date is not null order by id, place
""",
    "contract": """
insert into contract (company_id, connector_id, external_id, partner_id, number, state, starts_on,
                      ends_on, currency, monthly_revenue, updated_at)
select o.company_id, k.id, 'C-' || o.id, case when o.id % 10 > 0 then o.partner_id end,
       'CT-' || o.number, case when o.id % 4 = 0 then 'ENDED' else 'ACTIVE' end,
       o.expected_close - 400, case when o.id % 4 = 0 then o.expected_close - 60 end,
       o.currency, 20 + o.id * 31 % 900, $2::date - 1 + time '05:00'
from opportunity o join connector k on k.company_id = o.company_id and k.code = 'billing-main'
where $1::int > 0 order by o.id
""",
    "usage_record": """
insert into usage_record (company_id, contract_id, metric, period, quantity)
select company_id, id, 'api_calls',
       (date_trunc('month', $2::date) - month * interval '1 month')::date,
       1000 + id * month * 37 % 9000
from contract cross join generate_series(1, 6) as month
where $1::int > 0 order by id, month
""",
}
"""Statements by the table they fill, in the order they run."""
