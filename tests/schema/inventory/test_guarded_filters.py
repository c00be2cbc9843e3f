"""Filters that would tell what a caller may not see."""

import pytest

from tests.fixtures.gateway import EVERY_PERMISSION, Gateway, principal


@pytest.mark.parametrize("name", ["hasStock", "belowReorderPoint"])
@pytest.mark.parametrize("value", ["true", "false"])
async def test_a_filter_needs_the_permission_of_what_it_tells(
    gateway: Gateway, name: str, value: str
) -> None:
    """Who may see availability only cannot find out stock on hand or demand by filtering."""
    query = f"{{ stockLevels(first: 1, filter: {{{name}: {value}}}) {{ nodes {{ id }} }} }}"
    caller = principal(permissions=EVERY_PERMISSION - {"stock.read"})
    answer = await gateway.run(query, caller=caller)
    [error] = answer.errors
    assert error["extensions"]["code"] == "FORBIDDEN"
    assert error["extensions"]["details"] == {"permission": "stock.read"}
    assert answer.data == {"stockLevels": None}
    assert not (await gateway.run(query)).errors
