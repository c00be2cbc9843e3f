"""Who calls, for which company, and the company's people."""

from tests.fixtures.gateway import EVERY_PERMISSION, principal
from tests.fixtures.paths import BothPaths


async def test_me_describes_the_caller_without_asking_the_database(reader: BothPaths) -> None:
    """Permissions are sorted and are those of the company acted for."""
    data = await reader.data("{ me { name kind permissions companyCodes } }", caller=principal(2))
    assert data["me"] == {
        "name": "Test",
        "kind": "user",
        "permissions": sorted(EVERY_PERMISSION),
        "companyCodes": ["C2"],
    }
    assert reader.statements == 0


async def test_the_company_is_the_one_acted_for(reader: BothPaths) -> None:
    """Each caller has its own, bound clients too."""
    query = "{ company { code currency currencyDetails { code digits } } }"
    for company_id, code, currency in ((1, "DE01", "EUR"), (2, "US01", "USD")):
        for partner_id in (None, 31):
            caller = principal(company_id, partner_id=partner_id)
            data = await reader.data(query, caller=caller)
            assert data["company"]["code"] == code
            assert data["company"]["currencyDetails"]["code"] == data["company"]["currency"]
            assert data["company"]["currency"] == currency


async def test_users_are_those_of_the_company_with_their_roles_there(reader: BothPaths) -> None:
    """Roles held elsewhere are not told, for all users in one statement."""
    for company_id in (1, 2):
        data = await reader.data(
            "{ users { nodes { email roles { code name } } } }", caller=principal(company_id)
        )
        assert reader.statements == 2
        rows = await reader.owner.fetch(
            "select u.email, array_agg(r.code order by r.id) as roles from user_role h"
            " join app_user u on u.id = h.user_id join role r on r.id = h.role_id"
            " where h.company_id = $1 and u.archived_at is null group by u.id order by u.id",
            company_id,
        )
        assert [
            (user["email"], [role["code"] for role in user["roles"]])
            for user in data["users"]["nodes"]
        ] == [(row["email"], row["roles"]) for row in rows]


async def test_keys_of_api_clients_are_not_in_the_api(reader: BothPaths) -> None:
    """What a program may do is told, what it signs in with is not."""
    data = await reader.data("{ apiClients { nodes { code permissions revokedAt } } }")
    assert [client["code"] for client in data["apiClients"]["nodes"]] == ["partner-demo"]
    answer = await reader.run('{ __type(name: "ApiClient") { fields { name } } }')
    assert answer.data is not None
    names = {field["name"].lower() for field in answer.data["__type"]["fields"]}
    assert not any("key" in name or "hash" in name for name in names)
