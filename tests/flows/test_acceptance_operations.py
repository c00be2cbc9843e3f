"""The documented operations of frontends, dashboards and partners, against SQL written by hand.

The SQL runs as the database's owner, whom no row security limits, and says itself whose rows it
means. It builds the whole expected answer, so nothing in an answer goes unchecked.
"""

import json
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from gateway.examples import Example, load_examples
from gateway.settings import Settings
from resolvers.core.clock import system_clock
from resolvers.core.principal import Principal
from schema.core.execution import GraphQLRequest
from schema.core.ids import encode_id
from tests.fixtures.gateway import open_gateway, principal
from tests.fixtures.paths import BothPaths

EXAMPLES = {
    example.slug: example
    for example in load_examples(Path(__file__).resolve().parents[2] / "docs" / "examples")
}
OWN, FOREIGN = 1, 2
"""The company the operations are run for, and the one whose rows must not be seen."""

GLOBAL_ID = """
create or replace function pg_temp.gid(kind text, id bigint) returns text language sql as $$
  select rtrim(translate(encode(convert_to(kind || ':' || id, 'utf8'), 'base64'), '+/', '-_'), '=')
$$;
create or replace function pg_temp.instant(at timestamptz) returns text language sql as $$
  select regexp_replace(to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
                        '[.]000000Z', 'Z')
$$;
"""

ORDER = """
select json_build_object('salesOrder', json_build_object(
  'id', pg_temp.gid('SalesOrder', o.id), 'number', o.number, 'state', o.state,
  'version', o.version,
  'availableActions', (
    select coalesce(json_agg(action order by place), '[]') from unnest(
      case when o.hold is not null and o.state in ('DRAFT', 'QUOTED', 'PLACED', 'CONFIRMED')
             then array['RELEASE_HOLD', 'CANCEL']
           when o.state in ('DRAFT', 'QUOTED', 'PLACED') then array['CONFIRM', 'HOLD', 'CANCEL']
           when o.state = 'CONFIRMED' then
             case when o.reservation_status <> 'NONE' then array['SHIP'] else '{}' end
             || case when o.reservation_status <> 'FULL' then array['RESERVE'] else '{}' end
             || array['HOLD', 'CANCEL']
           else '{}' end
      || case when o.shipment_status <> 'NONE' then array['RETURN_GOODS'] else '{}' end
    ) with ordinality as could (action, place)),
  'fulfillmentSteps', (
    select coalesce(json_agg(json_build_object(
      'step', step, 'state', state, 'attempts', attempts, 'lastError', last_error
    ) order by position), '[]')
    from (
      select step, state, attempts, last_error, position from fulfillment_step
      where order_id = o.id and company_id = $1 and not waits
      union all
      select step, case when step = 'RESERVE' and o.reservation_status = 'FULL' then 'DONE'
                   else 'PENDING' end,
             coalesce((select f.attempts from fulfillment_step f
                       where f.order_id = o.id and f.step = s.step), 0), null, position
      from unnest(array['RESERVE', 'PICK', 'PACK', 'LABEL', 'SHIP'])
           with ordinality s (step, position) where waits) s),
  'shipments', (
    select coalesce(json_agg(json_build_object(
      'number', number, 'state', state, 'carrier', carrier, 'trackingNo', tracking_no
    ) order by id), '[]')
    from shipment where order_id = o.id and company_id = $1),
  'invoices', (
    select coalesce(json_agg(json_build_object(
      'number', number, 'paymentStatus', payment_status,
      'residual', json_build_object('amount', residual::text)
    ) order by id), '[]')
    from invoice where sales_order_id = o.id and company_id = $1),
  'subtotal', json_build_object('amount', o.subtotal::text),
  'taxTotal', json_build_object('amount', o.tax_total::text),
  'total', json_build_object('amount', o.total::text, 'currency', o.currency),
  'partner', json_build_object(
    'name', p.name,
    'creditLimit', case when t.credit_limit is not null then
      json_build_object('amount', t.credit_limit::text, 'currency', c.currency) end,
    'receivables', (
      select json_build_object(
        'open', json_build_object('amount', owed.open::text),
        'available', case when t.credit_limit is not null then
          json_build_object('amount', (t.credit_limit - owed.open - owed.ordered)::text) end)
      from (select
        (select coalesce(sum(i.residual_base), 0) from invoice i where i.partner_id = p.id
         and i.company_id = $1 and i.kind = 'CUSTOMER_INVOICE' and i.residual > 0) as open,
        (select round(coalesce(sum((x.net + x.tax) * y.fx_rate
                      * (x.quantity - x.shipped - x.canceled) / x.quantity), 0), 4)
         from sales_order y join sales_order_line x on x.order_id = y.id
         where y.partner_id = p.id and y.company_id = $1 and y.state = 'CONFIRMED') as ordered
      ) owed),
    'terms', case when t.partner_id is not null then json_build_object(
      'blockedAt', pg_temp.instant(t.blocked_at), 'blockReason', t.block_reason,
      'paymentTerm', case when pt.id is not null then
        json_build_object('code', pt.code, 'netDays', pt.net_days) end) end),
  'lines', (
    select coalesce(json_agg(json_build_object(
      'id', pg_temp.gid('SalesOrderLine', l.id), 'seq', l.position, 'qty', l.quantity::text,
      'qtyReserved', l.reserved::text, 'qtyShipped', l.shipped::text,
      'qtyBackordered', (l.quantity - l.shipped - l.canceled - l.reserved)::text,
      'promisedOn', l.promised_on,
      'unitPrice', json_build_object('amount', l.unit_price::text),
      'net', json_build_object('amount', l.net::text),
      'product', json_build_object(
        'sku', pr.sku, 'name', pr.name, 'tracking', pr.tracking,
        'availability', (
          select coalesce(json_agg(json_build_object(
            'warehouse', json_build_object('code', w.code, 'name', w.name),
            'onHand', s.on_hand::text, 'reserved', s.reserved::text,
            'available', (s.on_hand - s.reserved)::text,
            'incoming', coalesce(e.incoming, 0.0000)::text,
            'outgoing', coalesce(e.outgoing, 0.0000)::text,
            'projected',
            (s.on_hand + coalesce(e.incoming, 0.0000) - coalesce(e.outgoing, 0.0000))::text
          ) order by s.warehouse_id), '[]')
          from stock_level s
          join warehouse w on w.id = s.warehouse_id
          left join stock_projection e
            on e.product_id = s.product_id and e.warehouse_id = s.warehouse_id
          where s.product_id = pr.id and s.company_id = $1),
        'incoming', json_build_object('nodes', (
          select coalesce(json_agg(i.node order by i.expected_on, i.id), '[]') from (
            select i.id, i.expected_on, json_build_object(
              'qtyOutstanding', coalesce(pl.quantity - pl.received - pl.canceled,
                                         tl.quantity - tl.received - tl.returned)::text,
              'expectedOn', coalesce(pl.expected_on, tl.expected_on),
              'order', case when po.id is not null then json_build_object(
                'number', po.number, 'state', po.state,
                'supplier', json_build_object('name', su.name)) end) as node
            from incoming_stock i
            left join purchase_order_line pl
              on i.source = 'PURCHASE_ORDER_LINE' and pl.id = i.source_id
            left join purchase_order po on po.id = pl.order_id
            left join partner su on su.id = po.partner_id
            left join stock_transfer_line tl
              on i.source = 'STOCK_TRANSFER_LINE' and tl.id = i.source_id
            where i.product_id = pr.id and i.company_id = $1
            order by i.expected_on, i.id limit 5) i)),
        'suppliers', (
          select coalesce(json_agg(json_build_object(
            'supplier', json_build_object('name', su.name), 'leadDays', f.lead_days,
            'price', json_build_object('amount', f.price::text, 'currency', f.currency)
          ) order by f.priority, f.min_quantity, f.id), '[]')
          from supplier_offer f join partner su on su.id = f.partner_id
          where f.product_id = pr.id and f.company_id = $1 and f.archived_at is null))
    ) order by l.position), '[]')
    from sales_order_line l join product pr on pr.id = l.product_id
    where l.order_id = o.id and l.company_id = $1)))
from sales_order o
cross join lateral (
  select o.state = 'CONFIRMED' and o.shipment_status <> 'SHIPPED' and not exists (
    select from shipment where order_id = o.id and state in ('PLANNED', 'PICKING', 'PACKED'))
  as waits) left_of_it
join company c on c.id = o.company_id
join partner p on p.id = o.partner_id
left join partner_company t on t.partner_id = p.id and t.company_id = o.company_id
left join payment_term pt on pt.id = t.payment_term_id
where o.company_id = $1 and o.number = $2
"""

# Every rule of the partner's list that fits, best first; what a person would look up by hand.
PRICE = """
select coalesce(b.fixed_price, round(pr.list_price * (1 - coalesce(b.discount, 0) / 100), 6))::text
         as unit_price,
       case when b.fixed_price is not null then b.currency else pr.list_currency end as currency,
       coalesce(b.discount, 0.0000)::text as discount,
       coalesce(b.scope, 'LIST_PRICE') as rule
from product pr
join product_category own on own.id = pr.category_id
left join lateral (
  select i.scope, i.fixed_price, i.discount_percent as discount, li.currency
  from partner_company t
  join price_list li on li.id = t.price_list_id and li.archived_at is null
  join price_list_item i on i.price_list_id = li.id and i.archived_at is null
  left join product_category above on above.id = i.category_id
  where t.company_id = $1 and t.partner_id = $2
    and i.valid_from <= $5 and $5 < i.valid_to and i.min_quantity <= $4
    and (i.product_id = pr.id or i.scope = 'ALL'
         or left(own.path, length(above.path)) = above.path)
  order by array_position(array['PRODUCT', 'CATEGORY', 'ALL'], i.scope),
           length(above.path) desc nulls last, i.min_quantity desc, i.valid_from desc, i.id
  limit 1
) b on true
where pr.sku = $3 and pr.archived_at is null
"""

LEVELS = """
select json_agg(level) from (
  select json_build_object(
    'id', pg_temp.gid('StockLevel', s.id), 'version', s.version::text,
    'onHand', s.on_hand::text, 'reserved', s.reserved::text,
    'available', (s.on_hand - s.reserved)::text,
    'incoming', coalesce(e.incoming, 0.0000)::text,
    'outgoing', coalesce(e.outgoing, 0.0000)::text,
    'projected',
    (s.on_hand + coalesce(e.incoming, 0.0000) - coalesce(e.outgoing, 0.0000))::text,
    'belowReorderPoint', coalesce(
      s.on_hand + coalesce(e.incoming, 0) - coalesce(e.outgoing, 0) <= r.min_quantity, false),
    'updatedAt', pg_temp.instant(s.updated_at),
    'product', json_build_object('sku', p.sku, 'name', p.name),
    'warehouse', json_build_object('code', w.code)) as level
  from stock_level s
  join product p on p.id = s.product_id
  join warehouse w on w.id = s.warehouse_id
  left join stock_projection e on e.product_id = s.product_id and e.warehouse_id = s.warehouse_id
  left join reorder_rule r on r.product_id = s.product_id and r.warehouse_id = s.warehouse_id
    and r.archived_at is null
  where s.company_id = $1 and s.warehouse_id = any ($2::int[])
    and s.on_hand - s.reserved <= 20 and s.on_hand <> 0
  order by s.on_hand - s.reserved, s.id limit $3) page
"""


SUGGESTIONS = """
with suggested as (
  select r.*,
         coalesce(s.on_hand, 0) + coalesce(e.incoming, 0) - coalesce(e.outgoing, 0) as projected
  from reorder_rule r
  left join stock_level s on s.product_id = r.product_id and s.warehouse_id = r.warehouse_id
  left join stock_projection e on e.product_id = r.product_id and e.warehouse_id = r.warehouse_id
  where r.company_id = $1 and r.warehouse_id = $2 and r.archived_at is null
)
select json_agg(json_build_object(
  'minQty', r.min_quantity::text, 'targetQty', r.target_quantity::text,
  'multiple', r.multiple::text, 'suggestedQty', q.suggested::text,
  'supplier', (
    select json_build_object('name', su.name)
    from supplier_offer f join partner su on su.id = f.partner_id
    where f.product_id = r.product_id and f.company_id = $1 and f.archived_at is null
    order by f.min_quantity > q.suggested, f.priority, f.price, f.id limit 1),
  'product', json_build_object(
    'sku', p.sku, 'name', p.name,
    'totals', (
      select json_build_object(
        'available', sum(s.on_hand - s.reserved)::text,
        'incoming', sum(coalesce(e.incoming, 0.0000))::text,
        'outgoing', sum(coalesce(e.outgoing, 0.0000))::text,
        'projected',
        sum(s.on_hand + coalesce(e.incoming, 0.0000) - coalesce(e.outgoing, 0.0000))::text)
      from stock_level s
      left join stock_projection e
        on e.product_id = s.product_id and e.warehouse_id = s.warehouse_id
      where s.product_id = p.id and s.company_id = $1),
    'suppliers', (
      select coalesce(json_agg(json_build_object(
        'supplier', json_build_object('name', su.name),
        'price', json_build_object('amount', f.price::text, 'currency', f.currency),
        'minQty', f.min_quantity::text, 'leadDays', f.lead_days, 'priority', f.priority
      ) order by f.priority, f.min_quantity, f.id), '[]')
      from supplier_offer f join partner su on su.id = f.partner_id
      where f.product_id = p.id and f.company_id = $1 and f.archived_at is null),
    'incoming', json_build_object('nodes', (
      select coalesce(json_agg(i.node order by i.expected_on, i.id), '[]') from (
        select i.id, i.expected_on, json_build_object(
          'qtyOutstanding', i.quantity::text, 'expectedOn', i.expected_on,
          'order', case when po.id is not null then json_build_object('number', po.number) end
        ) as node
        from incoming_stock i
        left join purchase_order_line pl
          on i.source = 'PURCHASE_ORDER_LINE' and pl.id = i.source_id
        left join purchase_order po on po.id = pl.order_id
        where i.product_id = p.id and i.company_id = $1
        order by i.expected_on, i.id limit 3) i)))
  ) order by r.id)
from suggested r
join product p on p.id = r.product_id
cross join lateral (
  select ceil((greatest(r.target_quantity, r.min_quantity) - r.projected) / r.multiple) * r.multiple
           as suggested) q
where r.projected <= r.min_quantity and q.suggested > 0
"""


@pytest_asyncio.fixture(scope="module")
async def owner(reader: BothPaths) -> "asyncpg.Connection[Any]":
    """Return the owner's connection, with the functions the SQL uses."""
    await reader.owner.execute(GLOBAL_ID)
    return reader.owner


async def own_warehouses(owner: "asyncpg.Connection[Any]") -> set[int]:
    """Return the ids of the company's warehouses."""
    return {
        row[0] for row in await owner.fetch(f"select id from warehouse where company_id = {OWN}")
    }


async def price_by_hand(
    owner: "asyncpg.Connection[Any]", partner_id: int | None, sku: str, quantity: int
) -> dict[str, Any] | None:
    """Look up a price of the own company today."""
    row = await owner.fetchrow(PRICE, OWN, partner_id, sku, quantity, system_clock().date())
    return None if row is None else dict(row)


async def test_examples_are_for_all_three_audiences_and_within_the_limits(
    reader: BothPaths,
) -> None:
    """Each documented operation may be run as it is, on a server with default settings."""
    assert {example.audience for example in EXAMPLES.values()} == {
        "frontend",
        "dashboard",
        "partner",
    }
    for example in EXAMPLES.values():
        request = GraphQLRequest(example.query, None, example.variables)
        prepared = reader.compiled.runtime.executor.prepare(request, known_caller=True)
        assert prepared.cost <= Settings().max_cost, example.slug


@pytest.mark.parametrize(
    "which",
    [
        "state = 'CONFIRMED'",
        "state = 'DRAFT'",
        "state = 'CANCELED'",
        "hold is not null",
        "shipment_status = 'PARTIAL'",
        "id in (select order_id from sales_order_line group by 1 order by count(*) desc limit 2)",
        "id in (select order_id from sales_order_line where reserved < quantity - shipped)",
        "partner_id in (select partner_id from partner_company where blocked_at is not null)",
        "partner_id in (select id from partner where archived_at is not null)",
    ],
)
async def test_order_page(reader: BothPaths, owner: "asyncpg.Connection[Any]", which: str) -> None:
    """An order with all that belongs to it takes seventeen statements at most.

    That is with nothing kept: of a warm process's reference data it asks nothing.
    """
    example = EXAMPLES["order-page"]
    numbers = await owner.fetch(
        f"select number from sales_order where company_id = {OWN} and {which}"
        " order by id desc limit 5"
    )
    assert numbers, "the demo data has no such order"
    for (number,) in numbers:
        data = await reader.data(example.query, {"number": number})
        expected = json.loads(await owner.fetchval(ORDER, OWN, number))
        assert data == expected
        products = [line["product"] for line in data["salesOrder"]["lines"]]
        offering = {f["supplier"]["name"] for p in products for f in p["suppliers"]}
        with_orders = [n["order"] for p in products for n in p["incoming"]["nodes"] if n["order"]]
        coming = {order["supplier"]["name"] for order in with_orders}
        # who supplies an order is looked up only where that is nobody who makes an offer
        further = bool(offering) + bool(coming) + bool(coming - offering)
        assert reader.compiled.statements == 14 + further
        # loaders of one key from several places may ask in one batch or in two
        assert reader.ordinary.statements <= 17


async def test_order_page_is_within_its_budget(database_url: str) -> None:
    """With reference data kept, as gateways do, the page takes fifteen statements at most."""
    async with open_gateway(database_url, reference_cache=True) as gateway:
        assert gateway.runtime.reference is not None
        gateway.runtime.reference.trust(60)
        for (number,) in await gateway.owner.fetch(
            f"select number from sales_order where company_id = {OWN} order by id desc limit 40"
        ):
            await gateway.data(EXAMPLES["order-page"].query, {"number": number})
            answer = await gateway.data(EXAMPLES["order-page"].query, {"number": number})
            assert gateway.statements <= 15
            expected = json.loads(await _by_hand(gateway.owner, number))
            assert answer == expected


async def _by_hand(owner: "asyncpg.Connection[Any]", number: str) -> str:
    await owner.execute(GLOBAL_ID)
    return str(await owner.fetchval(ORDER, OWN, number))


ORDERS = """
select coalesce(json_agg(json_build_object(
  'id', pg_temp.gid('SalesOrder', o.id), 'number', o.number, 'placedOn', o.placed_on,
  'hold', o.hold, 'reservationStatus', o.reservation_status,
  'shipmentStatus', o.shipment_status,
  'total', json_build_object('amount', o.total::text, 'currency', o.currency),
  'partner', (
    select json_build_object('name', p.name, 'terms', (
      select json_build_object('paymentTerm', (
        select json_build_object('code', t.code) from payment_term t
        where t.id = c.payment_term_id))
      from partner_company c where c.partner_id = p.id and c.company_id = $1))
    from partner p where p.id = o.partner_id),
  'warehouse', (select json_build_object('code', w.code) from warehouse w
                where w.id = o.warehouse_id),
  'lines', (
    select coalesce(json_agg(json_build_object(
      'qty', l.quantity::text, 'qtyShipped', l.shipped::text,
      'qtyBackordered', (l.quantity - l.shipped - l.canceled - l.reserved)::text,
      'product', (select json_build_object('sku', sku, 'name', name) from product
                  where id = l.product_id)) order by l.position), '[]')
    from sales_order_line l where l.order_id = o.id),
  'shipments', (
    select coalesce(json_agg(json_build_object(
      'number', number, 'state', state, 'trackingNo', tracking_no) order by id), '[]')
    from shipment where order_id = o.id)
  ) order by o.placed_on desc, o.id desc), '[]')
from (select * from sales_order where company_id = $1 and state = 'CONFIRMED'
      and shipment_status in ('NONE', 'PARTIAL') and placed_on >= '2026-01-01'
      order by placed_on desc, id desc limit $2 offset $3) o
"""


async def test_order_list(reader: BothPaths, owner: "asyncpg.Connection[Any]") -> None:
    """Pages of fifty orders with all that is shown of them take nine statements at most.

    With nothing kept: a warm process asks neither for warehouses nor for payment terms.
    """
    open_ = await owner.fetchval(
        f"select count(*) from sales_order where company_id = {OWN} and state = 'CONFIRMED'"
        " and shipment_status in ('NONE', 'PARTIAL') and placed_on >= '2026-01-01'"
    )
    after, seen = None, 0
    while True:
        variables = {"since": "2026-01-01", "after": after}
        data = (await reader.data(EXAMPLES["order-list"].query, variables))["salesOrders"]
        assert reader.statements <= 9
        expected = json.loads(await owner.fetchval(ORDERS, OWN, 50, seen))
        assert data["nodes"] == expected
        assert data["totalCount"] == open_
        seen += len(expected)
        assert data["pageInfo"]["hasNextPage"] is (seen < open_)
        if seen >= min(open_, 150):
            return
        after = data["pageInfo"]["endCursor"]


JOBS = """
select json_build_object(
  'queues', (select coalesce(json_agg(json_build_object(
      'queue', queue, 'depth', n, 'oldestAt', pg_temp.instant(oldest)) order by queue), '[]')
    from (select queue, count(*) as n, min(run_at) as oldest from job
          where company_id = $1 and state = 'QUEUED' group by queue) q),
  'failures', (select coalesce(json_agg(json_build_object('kind', kind, 'count', n)
      order by kind), '[]')
    from (select kind, count(*) as n from job where company_id = $1
          and state in ('FAILED', 'DEAD') and finished_at >= $2 group by kind) f),
  'nodes', (select coalesce(json_agg(json_build_object(
      'id', pg_temp.gid('Job', id), 'kind', kind, 'state', state, 'attempt', attempts,
      'progressDone', progress_done, 'progressTotal', progress_total,
      'startedAt', pg_temp.instant(started_at), 'error', error) order by id desc), '[]')
    from (select * from job where company_id = $1 and state in ('RUNNING', 'FAILED')
          order by id desc limit 20) j))
"""


async def test_operations(reader: BothPaths, owner: "asyncpg.Connection[Any]") -> None:
    """Queues, failures and jobs are the company's, in two statements."""
    data = await reader.data(EXAMPLES["operations"].query)
    assert reader.statements == 2
    yesterday = reader.compiled.runtime.clock() - timedelta(hours=24)
    expected = json.loads(await owner.fetchval(JOBS, OWN, yesterday))
    assert expected["nodes"]
    assert data["jobs"]["nodes"] == expected["nodes"]
    assert data["ops"]["queues"] == expected["queues"]
    assert data["ops"]["failures"] == expected["failures"]
    settings = reader.compiled.runtime.settings
    assert data["ops"]["pools"] == [
        {"pool": "read", "limit": settings.read_pool_size, "inUse": 0, "waiting": 0},
        {"pool": "write", "limit": settings.write_pool_size, "inUse": 0, "waiting": 0},
    ]


REVIEW = """
select json_agg(json_build_object(
  'id', pg_temp.gid('Extraction', e.id), 'state', e.state, 'extractor', e.extractor,
  'extractorVersion', e.extractor_version,
  'supplier', (select json_build_object('name', p.name) from partner p where p.id = e.supplier_id),
  'issues', e.issues,
  'fields', (select json_agg(json_build_object(
      'name', f->>'name', 'value', f->>'value', 'confidence', f->'confidence',
      'page', f->'page', 'bbox', f->'bbox') order by place)
    from jsonb_array_elements(e.fields) with ordinality as read (f, place)),
  'lines', (select coalesce(json_agg(json_build_object(
      'seq', l.position, 'supplierSku', l.supplier_sku, 'description', l.description,
      'qty', l.quantity::text, 'unitPrice', l.unit_price::text, 'amount', l.amount::text,
      'matchedProduct', (select json_build_object('sku', sku) from product
                         where id = l.product_id),
      'matchedPurchaseOrderLine', (
        select json_build_object('qtyReceived', o.received::text,
          'qtyBilled', (select coalesce(sum(n.quantity), 0.0000)::text
                        from invoice_line n join invoice b on b.id = n.invoice_id
                        where n.purchase_order_line_id = o.id and b.kind = 'VENDOR_BILL'),
          'unitPrice', json_build_object('amount', o.unit_price::text),
          'order', (select json_build_object('number', number) from purchase_order
                    where id = o.order_id))
        from purchase_order_line o where o.id = l.purchase_order_line_id)
    ) order by l.position), '[]') from extraction_line l where l.extraction_id = e.id),
  'document', (select json_build_object('filename', filename,
                 'url', '/downloads/' || pg_temp.gid('Document', id)) from document
               where id = e.document_id),
  'draftBill', (select json_build_object('number', number, 'paymentStatus', payment_status,
                  'total', json_build_object('amount', total::text),
                  'reviewReasons', (select coalesce(json_agg(s.state order by s.place), '[]')
                    from (values (1, 'NO_RECEIPT'), (2, 'QTY_VARIANCE'), (3, 'PRICE_VARIANCE'))
                      s (place, state)
                    where exists (select from invoice_line n
                      join purchase_order_line o on o.id = n.purchase_order_line_id
                      where n.invoice_id = i.id and s.state = case
                        when o.received = 0 then 'NO_RECEIPT'
                        when o.billed > o.received then 'QTY_VARIANCE'
                        when o.unit_price <> n.unit_price then 'PRICE_VARIANCE' end)),
                  'lines', (select json_agg(json_build_object('seq', n.position, 'matchState',
                    case when o.id is null then null when o.received = 0 then 'NO_RECEIPT'
                         when o.billed > o.received then 'QTY_VARIANCE'
                         when o.unit_price <> n.unit_price then 'PRICE_VARIANCE' else 'OK' end
                    ) order by n.position)
                    from invoice_line n
                    left join purchase_order_line o on o.id = n.purchase_order_line_id
                    where n.invoice_id = i.id))
                from invoice i where id = e.invoice_id)) order by e.id desc)
from (select * from extraction where company_id = $1 and state = 'NEEDS_REVIEW'
      order by id desc limit 20) e
"""


async def test_bill_review(reader: BothPaths, owner: "asyncpg.Connection[Any]") -> None:
    """Bills to review with all they were matched with take eight statements."""
    data = await reader.data(EXAMPLES["bill-review"].query)
    assert reader.statements <= 9
    expected = json.loads(await owner.fetchval(REVIEW, OWN))
    assert len(expected) > 3
    assert any(line["matchedPurchaseOrderLine"] for e in expected for line in e["lines"])
    assert data["extractions"]["nodes"] == expected


TRACE = """
select coalesce(json_agg(json_build_object(
  'number', l.number, 'receivedOn', l.received_on, 'expiresOn', l.expires_on,
  'product', (select json_build_object('sku', sku, 'name', name, 'tracking', tracking)
              from product where id = l.product_id),
  'balances', (
    select coalesce(json_agg(json_build_object('onHand', b.on_hand::text, 'location', (
      select json_build_object('code', code, 'kind', kind) from stock_location
      where id = b.location_id)) order by b.id), '[]')
    from stock_balance b where b.lot_id = l.id and b.on_hand > 0),
  'receiptLines', (
    select coalesce(json_agg(json_build_object(
      'qty', r.quantity::text,
      'receipt', (select json_build_object('number', number, 'receivedOn', received_on)
                  from goods_receipt where id = r.receipt_id),
      'orderLine', json_build_object('order', (
        select json_build_object('number', o.number, 'supplier', json_build_object('name', p.name))
        from purchase_order_line x join purchase_order o on o.id = x.order_id
        join partner p on p.id = o.partner_id where x.id = r.order_line_id))
      ) order by r.id), '[]')
    from goods_receipt_line r where exists (
      select from stock_move where lot_id = l.id and source = 'GOODS_RECEIPT_LINE'
      and source_id = r.id)),
  'salesOrderLines', (
    select coalesce(json_agg(json_build_object(
      'qtyShipped', x.shipped::text,
      'order', (select json_build_object('number', o.number, 'placedOn', o.placed_on,
                                         'partner', json_build_object('name', p.name))
                from sales_order o join partner p on p.id = o.partner_id where o.id = x.order_id)
      ) order by x.id), '[]')
    from sales_order_line x where exists (
      select from stock_move where lot_id = l.id and source = 'SALES_ORDER_LINE'
      and source_id = x.id)),
  'moves', json_build_object('nodes', (
    select coalesce(json_agg(json_build_object(
      'qty', m.quantity::text, 'kind', m.kind, 'effectiveOn', m.effective_on,
      'fromLocation', (select json_build_object('code', code) from stock_location
                       where id = m.from_location_id),
      'toLocation', (select json_build_object('code', code) from stock_location
                     where id = m.to_location_id)) order by m.posted_at desc, m.id desc), '[]')
    from (select * from stock_move where lot_id = l.id
          order by posted_at desc, id desc limit 5) m))
  ) order by l.received_on desc, l.id desc), '[]')
from (select * from lot where company_id = $1 and received_on between $2 and $3
      order by received_on desc, id desc limit 20) l
"""


@pytest.mark.parametrize("month", [1, 3, 5])
async def test_lot_trace(reader: BothPaths, owner: "asyncpg.Connection[Any]", month: int) -> None:
    """Lots from their suppliers to their customers take fourteen statements at most."""
    first, last = date(2026, month, 1), date(2026, month, 28)
    variables = {"received": {"from": first.isoformat(), "to": last.isoformat()}}
    data = await reader.data(EXAMPLES["lot-trace"].query, variables)
    expected = json.loads(await owner.fetchval(TRACE, OWN, first, last))
    assert data["lots"]["nodes"] == expected
    assert any(lot["receiptLines"] for lot in expected)
    assert any(lot["salesOrderLines"] for lot in expected)
    assert reader.compiled.statements <= 14


async def test_order_page_of_another_company_is_empty(own_reader: BothPaths) -> None:
    """A number that only another company uses finds nothing."""
    number = await own_reader.owner.fetchval(
        "update sales_order set number = 'SO-ELSEWHERE' where id ="
        " (select min(id) from sales_order where company_id = $1) returning number",
        FOREIGN,
    )
    data = await own_reader.data(EXAMPLES["order-page"].query, {"number": number})
    assert data == {"salesOrder": None}


async def test_quick_entry(reader: BothPaths, owner: "asyncpg.Connection[Any]") -> None:
    """Products, stock and prices for typed SKUs and for a basket take six statements."""
    example = EXAMPLES["quick-entry"]
    skus = [
        sku
        for (sku,) in await owner.fetch(
            "select sku from product where archived_at is null order by id % 97, id limit 40"
        )
    ]
    typed = [*skus, "NO-SUCH-SKU", skus[0]]
    basket = [(sku, quantity) for sku in skus for quantity in (1, 10, 250)] + [("NO-SUCH-SKU", 1)]
    for partner_id in await partners_with_prices(owner):
        variables = {
            "partner": encode_id("Partner", partner_id),
            "skus": typed,
            "items": [{"sku": sku, "qty": str(quantity)} for sku, quantity in basket],
        }
        data = await reader.data(example.query, variables)
        assert reader.statements == 6
        assert data["productsBySku"] == [
            await quick_entry_by_hand(owner, partner_id, sku) for sku in typed
        ]
        prices = [await price_by_hand(owner, partner_id, *line) for line in basket]
        assert data["quotePrices"] == [
            price
            and {"unitPrice": {"amount": price["unit_price"]}, "discountPct": price["discount"]}
            for price in prices
        ]


async def partners_with_prices(owner: "asyncpg.Connection[Any]") -> list[int]:
    """Return partners with an agreement of their own, a common list, and no list."""
    rows = await owner.fetch(
        """
        (select partner_id from partner_company t where company_id = $1 and price_list_id is null
         order by 1 limit 1)
        union
        (select min(partner_id) from partner_company
         where company_id = $1 and price_list_id is not null group by price_list_id)
        """,
        OWN,
    )
    return [partner_id for (partner_id,) in rows]


async def quick_entry_by_hand(
    owner: "asyncpg.Connection[Any]", partner_id: int, sku: str
) -> dict[str, Any] | None:
    """Return what the quick entry shows of one SKU."""
    row = await owner.fetchrow(
        """
        select pg_temp.gid('Product', p.id) as id, p.name, u.code,
               coalesce((select sum(on_hand - reserved) from stock_level
                         where product_id = p.id and company_id = $1), 0.0000)::text as available,
               coalesce((select sum(incoming) from stock_projection
                         where product_id = p.id and company_id = $1), 0.0000)::text as incoming
        from product p join unit_of_measure u on u.id = p.uom_id
        where p.sku = $2 and p.archived_at is null
        """,
        OWN,
        sku,
    )
    price = await price_by_hand(owner, partner_id, sku, 1)
    if row is None or price is None:
        return None
    return {
        "id": row["id"],
        "sku": sku,
        "name": row["name"],
        "uom": {"code": row["code"]},
        "archivedAt": None,
        "totals": {"available": row["available"], "incoming": row["incoming"]},
        "price": {
            "unitPrice": {"amount": price["unit_price"], "currency": price["currency"]},
            "discountPct": price["discount"],
            "rule": price["rule"],
        },
    }


@pytest.mark.parametrize("warehouses", [[1, 2], [1], [2], [3], []])
async def test_stock_snapshot(
    reader: BothPaths, owner: "asyncpg.Connection[Any]", warehouses: list[int]
) -> None:
    """What runs out takes three statements, one where there is none: another company's is none."""
    variables = {"warehouses": [encode_id("Warehouse", id_) for id_ in warehouses]}
    data = await reader.data(EXAMPLES["stock-snapshot"].query, variables)
    expected = json.loads(await owner.fetchval(LEVELS, OWN, warehouses, 200) or "[]")
    assert data["stockLevels"]["nodes"] == expected
    assert reader.statements == (3 if expected else 1)
    assert bool(expected) is bool(await own_warehouses(owner) & set(warehouses))
    assert data["stockLevels"]["pageInfo"]["hasNextPage"] is (len(expected) == 200)


@pytest.mark.parametrize("warehouse", [1, 2, 3])
async def test_replenishment_board(
    reader: BothPaths, owner: "asyncpg.Connection[Any]", warehouse: int
) -> None:
    """What to order again, with offers and what is on its way, takes eight statements at most."""
    variables = {"warehouse": encode_id("Warehouse", warehouse)}
    data = await reader.data(EXAMPLES["replenishment"].query, variables)
    expected = json.loads(await owner.fetchval(SUGGESTIONS, OWN, warehouse) or "[]")
    assert data["reorderSuggestions"]["nodes"] == expected
    own = await own_warehouses(owner)
    assert bool(expected) is (warehouse in own), "another company's has none"
    nothing_comes = not list(values_of(data, "qtyOutstanding"))
    assert reader.statements == (8 - nothing_comes if expected else 1)


@pytest_asyncio.fixture(scope="module")
async def partner_client(owner: "asyncpg.Connection[Any]") -> Principal:
    """Return the demo's API client, with the permissions of its key."""
    row = await owner.fetchrow(
        "select company_id, partner_id, permissions from api_client where code = 'partner-demo'"
    )
    assert row is not None
    assert row["company_id"] == OWN
    return principal(OWN, frozenset(row["permissions"]), partner_id=row["partner_id"])


async def test_basket_availability_of_a_partner(
    reader: BothPaths, owner: "asyncpg.Connection[Any]", partner_client: Principal
) -> None:
    """A partner sees what can be promised, its own prices and what comes, in four statements."""
    skus = [
        sku for (sku,) in await owner.fetch("select sku from product where archived_at is null")
    ]
    basket = [*skus[:: len(skus) // 71], "NO-SUCH-SKU"]
    data = await reader.data(
        EXAMPLES["basket-availability"].query, {"skus": basket}, caller=partner_client
    )
    assert reader.statements == 4
    expected = []
    for sku in basket:
        line = await quick_entry_by_hand(owner, partner_client.partner_id or 0, sku)
        expected.append(
            line
            and {
                "sku": sku,
                "name": line["name"],
                "totals": {"available": line["totals"]["available"]},
                "price": {"unitPrice": line["price"]["unitPrice"]},
                "incoming": {"nodes": await first_incoming_by_hand(owner, sku)},
            }
        )
    assert data["productsBySku"] == expected
    own_prices = [line["price"] for line in expected if line]
    at_list = await reader.data(
        "query($skus: [String!]!) { productsBySku(skus: $skus) { listPrice { amount currency } } }",
        {"skus": basket},
        caller=partner_client,
    )
    list_prices = [
        {"unitPrice": line["listPrice"]} for line in at_list["productsBySku"] if line is not None
    ]
    assert own_prices != list_prices, "the demo partner has an agreement of its own"


async def first_incoming_by_hand(
    owner: "asyncpg.Connection[Any]", sku: str
) -> list[dict[str, str]]:
    """Return what is expected first of a product, from the lines it comes with."""
    rows = await owner.fetch(
        """
        select x.expected_on::text as "expectedOn", x.missing::text as "qtyOutstanding"
        from (
          select l.product_id, l.expected_on, l.quantity - l.received - l.canceled as missing,
                 l.id, 'PURCHASE_ORDER_LINE' as source
          from purchase_order_line l join purchase_order o on o.id = l.order_id
          where o.company_id = $1 and o.state = 'CONFIRMED'
          union all
          select l.product_id, l.expected_on, l.quantity - l.received - l.returned, l.id,
                 'STOCK_TRANSFER_LINE'
          from stock_transfer_line l where l.company_id = $1
        ) x join product p on p.id = x.product_id
        join incoming_stock i on i.source = x.source and i.source_id = x.id
        where p.sku = $2 and p.archived_at is null and x.missing > 0
        order by x.expected_on, i.id limit 1
        """,
        OWN,
        sku,
    )
    return [dict(row) for row in rows]


MY_ORDERS = """
select json_agg(json_build_object(
  'number', o.number, 'externalRef', o.external_ref, 'customerRef', o.customer_ref,
  'state', o.state, 'shipmentStatus', o.shipment_status, 'promisedOn', o.promised_on,
  'total', json_build_object('amount', o.total::text, 'currency', o.currency),
  'lines', (
    select json_agg(json_build_object(
      'seq', l.position, 'qty', l.quantity::text, 'qtyShipped', l.shipped::text,
      'qtyBackordered', (l.quantity - l.shipped - l.canceled - l.reserved)::text,
      'promisedOn', l.promised_on,
      'product', json_build_object('sku', (select sku from product where id = l.product_id))
    ) order by l.position) from sales_order_line l where l.order_id = o.id),
  'shipments', (
    select coalesce(json_agg(json_build_object(
      'state', s.state, 'trackingNo', s.tracking_no, 'carrier', s.carrier,
      'shippedAt', pg_temp.instant(s.shipped_at),
      'packages', (
        select coalesce(json_agg(json_build_object('trackingNo', k.tracking_no, 'label', (
          select json_build_object('url', '/downloads/' || pg_temp.gid('Document', d.id))
          from document d where d.package_id = k.id and d.kind = 'LABEL')
        ) order by k.position), '[]') from package k where k.shipment_id = s.id)
    ) order by s.id), '[]') from shipment s where s.order_id = o.id),
  'invoices', (
    select coalesce(json_agg(json_build_object(
      'number', i.number, 'dueOn', i.due_on,
      'residual', json_build_object('amount', i.residual::text), 'document', (
        select json_build_object('url', '/downloads/' || pg_temp.gid('Document', d.id))
        from document d where d.invoice_id = i.id and d.kind = 'INVOICE')
    ) order by i.id), '[]') from invoice i where i.sales_order_id = o.id)
) order by o.placed_on desc, o.id desc)
from (select * from sales_order
      where company_id = $1 and partner_id = $2 and ($3::text[] is null or external_ref = any($3))
        and ($4::text[] is null or state = any($4))
      order by placed_on desc, id desc limit 50) o
"""


@pytest.mark.parametrize("states", [None, ["PLACED", "CONFIRMED"], ["FULFILLED"]])
async def test_orders_of_a_partner(
    reader: BothPaths,
    owner: "asyncpg.Connection[Any]",
    partner_client: Principal,
    states: list[str] | None,
) -> None:
    """A partner's own orders with tracking, invoices and files take eight statements at most."""
    variables: dict[str, Any] = {} if states is None else {"states": states}
    data = await reader.data(EXAMPLES["my-orders"].query, variables, caller=partner_client)
    assert reader.statements <= 8
    partner_id = partner_client.partner_id
    expected = json.loads(await owner.fetchval(MY_ORDERS, OWN, partner_id, None, states))
    assert data["salesOrders"]["nodes"] == expected
    if states != ["PLACED", "CONFIRMED"]:
        assert reader.statements == 8
        for name in ("label", "document"):
            assert sum(file is not None for file in values_of(expected, name)) > 10


async def test_a_partner_finds_its_orders_alone(
    reader: BothPaths, owner: "asyncpg.Connection[Any]", partner_client: Principal
) -> None:
    """Of all references there are it finds those of its own orders; others are as if not there."""
    own, others = [
        [
            ref
            for (ref,) in await owner.fetch(
                f"select external_ref from sales_order where company_id = $1"
                f" and external_ref is not null and partner_id {sign} $2 order by id limit 20",
                OWN,
                partner_client.partner_id,
            )
        ]
        for sign in ("=", "<>")
    ]
    assert len(own) == len(others) == 20
    query = EXAMPLES["my-orders"].query
    data = await reader.data(query, {"refs": own + others}, caller=partner_client)
    expected = await owner.fetchval(MY_ORDERS, OWN, partner_client.partner_id, own, None)
    assert data["salesOrders"]["nodes"] == json.loads(expected)
    assert await reader.data(query, {"refs": others}, caller=partner_client) == {
        "salesOrders": {"nodes": []}
    }
    assert reader.statements == 1


async def test_a_partner_sees_no_file_but_its_own(
    reader: BothPaths, owner: "asyncpg.Connection[Any]", partner_client: Principal
) -> None:
    """Its invoices and labels are all documents there are; bills and what was read are not."""
    query = """{ documents(first: 200) { totalCount nodes { id kind extractions { id } } }
                 extractions { totalCount } }"""
    data = await reader.data(query, caller=partner_client)
    expected = await owner.fetch(
        "select pg_temp.gid('Document', d.id) as id, kind from document d"
        " where company_id = $1 and partner_id = $2 order by d.id desc",
        OWN,
        partner_client.partner_id,
    )
    assert {row["kind"] for row in expected} == {"INVOICE", "LABEL"}
    nodes = [{**row, "extractions": []} for row in expected]
    assert data["documents"] == {"totalCount": len(nodes), "nodes": nodes[:200]}
    assert data["extractions"] == {"totalCount": 0}
    other = await owner.fetchval(
        "select id from document where company_id = $1 and partner_id <> $2 limit 1",
        OWN,
        partner_client.partner_id,
    )
    lookup = "query($id: ID!) { node(id: $id) { ... on Document { url } } }"
    id_ = encode_id("Document", other)
    assert await reader.data(lookup, {"id": id_}, caller=partner_client) == {"node": None}
    assert (await reader.data(lookup, {"id": id_}))["node"] == {"url": f"/downloads/{id_}"}


@pytest.mark.parametrize(
    ("fields", "denied"),
    [
        ("suppliers { price { amount } }", "suppliers"),
        ("totals { onHand }", "onHand"),
        ("totals { reserved }", "reserved"),
        ("totals { outgoing }", "outgoing"),
        ("totals { projected }", "projected"),
        ("availability { onHand }", "onHand"),
        ("availability { reserved }", "reserved"),
        ("availability { belowReorderPoint }", "belowReorderPoint"),
        ("availability { balances { onHand } }", "balances"),
        ("availability { reservations(first: 1) { nodes { qty } } }", "reservations"),
        ("availability { warehouse { locations { code } } }", "locations"),
        ("moves(first: 1) { nodes { qty } }", "moves"),
    ],
)
async def test_a_partner_is_denied_what_is_internal(
    reader: BothPaths, partner_client: Principal, fields: str, denied: str
) -> None:
    """What a partner may not see is null on every row and one error, never a value."""
    answer = await reader.run(
        f'{{ productsBySku(skus: ["HAM-00001", "HAM-00002"]) {{ sku {fields} }} }}',
        caller=partner_client,
    )
    values = list(values_of(answer.data, denied))
    assert values
    assert values == [None] * len(values)
    assert [error["extensions"]["code"] for error in answer.errors] == ["FORBIDDEN"]


def values_of(data: Any, name: str) -> Iterator[Any]:
    """Yield every value of a field, wherever it is in an answer."""
    if isinstance(data, dict):
        for key, value in data.items():
            if key == name:
                yield value
            else:
                yield from values_of(value, name)
    elif isinstance(data, list):
        for value in data:
            yield from values_of(value, name)


async def test_a_partner_sees_nothing_the_company_keeps_for_itself(
    reader: BothPaths, partner_client: Principal
) -> None:
    """Costs are rows of the company, which a partner does not have at all."""
    data = await reader.data(
        '{ productsBySku(skus: ["HAM-00001"]) { ofCompany { standardCost saleOk } } }',
        caller=partner_client,
    )
    assert data == {"productsBySku": [{"ofCompany": None}]}


async def test_a_customer_is_told_when_goods_come_and_never_from_whom(
    reader: BothPaths, owner: "asyncpg.Connection[Any]", partner_client: Principal
) -> None:
    """Dates and quantities are the company's; orders and offers are none of a customer's rows."""
    query = """{
      incomingStock(first: 200) { nodes { id expectedOn qtyOutstanding order { id } } }
      purchaseOrders { totalCount } goodsReceipts { totalCount } supplierOffers { totalCount }
      reorderSuggestions { totalCount }
      productsBySku(skus: ["HAM-00001", "HAM-00002"]) { suppliers { id } } }"""
    staff = await reader.data(query)
    everything = principal(OWN, partner_id=partner_client.partner_id)
    data = await reader.data(query, caller=everything)
    nodes = data["incomingStock"]["nodes"]
    assert nodes == [{**node, "order": None} for node in staff["incomingStock"]["nodes"]]
    with_orders = sum(node["order"] is not None for node in staff["incomingStock"]["nodes"])
    assert with_orders == await owner.fetchval(
        "select count(*) from incoming_stock where company_id = $1 and source = $2",
        OWN,
        "PURCHASE_ORDER_LINE",
    )
    assert len(nodes) == await owner.fetchval(
        "select count(*) from incoming_stock where company_id = $1", OWN
    )
    for name in ("purchaseOrders", "goodsReceipts", "supplierOffers", "reorderSuggestions"):
        assert data[name] == {"totalCount": 0}
        assert staff[name]["totalCount"] > 0
    assert data["productsBySku"] == [{"suppliers": []}] * 2
    assert all(product["suppliers"] for product in staff["productsBySku"])
    answer = await reader.run(query, caller=partner_client)
    assert sorted(".".join(map(str, error["path"])) for error in answer.errors) == [
        "goodsReceipts",
        "incomingStock.nodes.0.order",
        "productsBySku.0.suppliers",
        "purchaseOrders",
        "reorderSuggestions",
        "supplierOffers",
    ]
    assert answer.data is not None
    assert answer.data["incomingStock"]["nodes"] == nodes


async def test_a_partner_cannot_ask_for_anothers_price(
    reader: BothPaths, partner_client: Principal
) -> None:
    """Another partner's id is refused; the own id is the default."""
    query = """
      query($partner: ID!, $items: [QuoteItemInput!]!) {
        product(sku: "HAM-00001") { price(partnerId: $partner) { unitPrice { amount } } }
        quotePrices(partnerId: $partner, items: $items) { unitPrice { amount } }
      }"""
    items = [{"sku": "HAM-00001", "qty": "1"}]
    own = partner_client.partner_id or 0
    others = {"partner": encode_id("Partner", own + 1), "items": items}
    answer = await reader.run(query, others, caller=partner_client)
    assert answer.data == {"product": {"price": None}, "quotePrices": None}
    assert {error["extensions"]["code"] for error in answer.errors} == {"VALIDATION"}
    data = await reader.data(
        query, {"partner": encode_id("Partner", own), "items": items}, caller=partner_client
    )
    assert data["product"]["price"] == data["quotePrices"][0]


ANSWERED_AT_ONCE = [e for e in EXAMPLES.values() if not e.query.startswith("subscription")]


@pytest.mark.parametrize("example", ANSWERED_AT_ONCE, ids=lambda example: example.slug)
async def test_documented_variables_work(reader: BothPaths, example: Example) -> None:
    """The variables printed with an operation give an answer on the demo data."""
    data = await reader.data(example.query, example.variables)
    assert any(data.values())
