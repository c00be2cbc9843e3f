"""The SQL function that finds and ranks: one statement for all types, served by indexes.

Products and partners are found by the words of their search vector, documents by the beginning of
their number. Row security holds inside: it leaves documents to indexes of whole numbers by company,
because the operators of a vector are not leakproof.
"""

from typing import Final

from resolvers.accounting.loaders import invoice, journal_entry, payment
from resolvers.catalog.loaders import product
from resolvers.core.entity import Entity
from resolvers.fulfillment.loaders import shipment
from resolvers.partners.loaders import partner
from resolvers.purchasing.loaders import goods_receipt, purchase_order
from resolvers.sales.loaders import sales_order
from resolvers.search.rules import SearchMatch, SearchType

MOST_RANKED: Final = 1_000
"""Matches of one type that are ranked; of more the oldest count."""

_NAMED: Final = {
    SearchType.PRODUCT: (product, "sku", "(sku = whole or barcode = whole)"),
    SearchType.PARTNER: (partner, "code", "code = whole"),
}
_NUMBERED: Final = {
    SearchType.SALES_ORDER: sales_order,
    SearchType.PURCHASE_ORDER: purchase_order,
    SearchType.GOODS_RECEIPT: goods_receipt,
    SearchType.SHIPMENT: shipment,
    SearchType.INVOICE: invoice,
    SearchType.PAYMENT: payment,
    SearchType.JOURNAL_ENTRY: journal_entry,
}


def _named(kind: SearchType, entity: Entity, code: str, exact: str) -> str:
    query = "to_tsquery('simple', words)"
    active = f"from {entity.table.name} where '{kind}' = any(kinds) and archived_at is null"
    return f"""
  (select '{kind}', id, {code} || ' ' || name, class, weight,
          row_number() over (order by class, weight desc, name, id) as nth
   from (
     select t.id, {code}, name, ts_rank(search, {query}) as weight,
            case when {exact} or upper({code}) = whole then 1
                 when starts_with(upper({code}), whole) then 2 else 3 end as class
     from ((select id {active} and search @@ {query} order by id limit {MOST_RANKED})
           union select id {active} and {exact}) as found
     join {entity.table.name} t using (id)) as ranked
   order by nth limit most)"""


def _numbered(kind: SearchType, entity: Entity) -> str:
    return f"""
  (select '{kind}', id, number, case when number = whole then 1 else 2 end, 0.0,
          row_number() over (order by number using ~>~) as nth
   from {entity.table.name}
   where '{kind}' = any(kinds) and number ~>=~ whole and number ~<~ (whole || chr(1114111))
   order by number using ~>~ limit most)"""


_BRANCHES: Final = "\n  union all".join(
    [_named(kind, *how) for kind, how in _NAMED.items()]
    + [_numbered(kind, entity) for kind, entity in _NUMBERED.items()]
)
_MATCHES: Final = ", ".join(f"'{match}'" for match in SearchMatch)

SEARCH: Final = f"""
create function erp_search(words text, whole text, kinds text[], most int)
returns table (place int, kind text, item_id bigint, label text, match text)
language sql stable as $$
  select row_number() over (order by class, weight desc, nth, kind)::int, kind, id, label,
         (array[{_MATCHES}])[class]
  from ({_BRANCHES}
  ) as hits (kind, id, label, class, weight, nth)
  order by 1 limit most
$$
"""
"""``words`` is the text as a prefix query, ``whole`` the text itself in capitals."""
