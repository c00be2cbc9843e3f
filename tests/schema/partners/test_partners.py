"""Partners: shared by all companies, with terms that are each company's own."""

from schema.core.ids import encode_id
from tests.fixtures.gateway import EVERY_PERMISSION, principal
from tests.fixtures.paths import BothPaths

PARTNERS = """query($after: String) {
  partners(first: 100, after: $after, filter: {includeArchived: true}) {
    pageInfo { endCursor hasNextPage }
    nodes { id creditLimit { amount currency }
      terms { creditLimit blockedAt blockReason paymentTerm { code } } } } }"""


async def test_terms_are_those_of_the_company_acted_for(reader: BothPaths) -> None:
    """Two companies see the same partners, each with its own terms and in its own currency."""
    for company_id in (1, 2):
        terms = {
            encode_id("Partner", row["partner_id"]): row
            for row in await reader.owner.fetch(
                "select t.*, c.currency, p.code from partner_company t"
                " join company c on c.id = t.company_id"
                " left join payment_term p on p.id = t.payment_term_id where t.company_id = $1",
                company_id,
            )
        }
        seen, cursor = 0, None
        while True:
            data = await reader.data(PARTNERS, {"after": cursor}, caller=principal(company_id))
            assert reader.statements <= 3
            for partner in data["partners"]["nodes"]:
                seen += 1
                row = terms.get(partner["id"])
                limit = row and row["credit_limit"]
                assert (partner["terms"] is None) is (row is None)
                assert partner["creditLimit"] == (
                    {"amount": str(limit), "currency": row["currency"]}
                    if row is not None and limit is not None
                    else None
                )
                if row is not None:
                    assert partner["terms"]["creditLimit"] == (
                        limit if limit is None else str(limit)
                    )
                    assert partner["terms"]["blockReason"] == row["block_reason"]
                    assert partner["terms"]["paymentTerm"] == (
                        row["code"] and {"code": row["code"]}
                    )
            if not data["partners"]["pageInfo"]["hasNextPage"]:
                break
            cursor = data["partners"]["pageInfo"]["endCursor"]
        assert seen == await reader.owner.fetchval("select count(*) from partner")


async def test_a_credit_limit_is_not_for_everybody(reader: BothPaths) -> None:
    """Without the permission both places of it are null, and each place is one error."""
    answer = await reader.run(
        "{ partners(first: 20) { nodes { creditLimit { amount } terms { creditLimit } } } }",
        caller=principal(permissions=EVERY_PERMISSION - {"partners.credit"}),
    )
    assert [error["extensions"]["code"] for error in answer.errors] == ["FORBIDDEN"] * 2
    assert answer.data is not None
    for partner in answer.data["partners"]["nodes"]:
        assert partner["creditLimit"] is None
        assert partner["terms"] is None or partner["terms"]["creditLimit"] is None


async def test_a_partner_is_found_by_id_archived_or_not(reader: BothPaths) -> None:
    """Addresses come in order of entry, without those that are archived."""
    rows = await reader.owner.fetch(
        "(select id from partner where archived_at is not null limit 3)"
        " union (select partner_id from partner_address group by 1 having count(*) > 1 limit 3)"
    )
    for (key,) in rows:
        data = await reader.data(
            "query($id: ID!) { partner(id: $id) { id archived addresses { id } } }",
            {"id": encode_id("Partner", key)},
        )
        assert data["partner"]["id"] == encode_id("Partner", key)
        assert [address["id"] for address in data["partner"]["addresses"]] == [
            encode_id("Address", id_)
            for id_ in await reader.ids(
                "select id from partner_address where partner_id = $1 and archived_at is null"
                " order by id",
                key,
            )
        ]
    missing = {"id": encode_id("Partner", 2**62)}
    data = await reader.data("query($id: ID!) { partner(id: $id) { id } }", missing)
    assert data == {"partner": None}


async def test_a_bound_client_sees_one_partner_alone(reader: BothPaths) -> None:
    """Its own; by list, by id, by search and with its own orders only."""
    bound = principal(partner_id=31)
    data = await reader.data(
        """query($own: ID!, $other: ID!) {
             partners(filter: {includeArchived: true}) { nodes { id orders { totalCount } } }
             own: partner(id: $own) { id } other: partner(id: $other) { id }
             node(id: $other) { id }
             salesOrders(first: 200) { totalCount nodes { partner { id } } } }""",
        {"own": encode_id("Partner", 31), "other": encode_id("Partner", 32)},
        caller=bound,
    )
    own = encode_id("Partner", 31)
    orders = await reader.owner.fetchval(
        "select count(*) from sales_order where company_id = 1 and partner_id = 31"
    )
    assert data["partners"]["nodes"] == [{"id": own, "orders": {"totalCount": orders}}]
    assert (data["own"], data["other"], data["node"]) == ({"id": own}, None, None)
    assert data["salesOrders"]["totalCount"] == orders > 0
    assert {order["partner"]["id"] for order in data["salesOrders"]["nodes"]} == {own}
