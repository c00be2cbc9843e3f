"""The rule of taxes."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolvers.reference.rules import line_tax
from tests.fixtures.gateway import Gateway

amounts = st.decimals(-10_000_000, 10_000_000, places=4)


@given(amounts, st.decimals(0, 100, places=4), st.integers(0, 4))
def test_percent_is_within_half_a_step(net: Decimal, rate: Decimal, digits: int) -> None:
    """The tax has the currency's digits and is as near to the exact one as it can be."""
    tax = line_tax(net, Decimal(1), "PERCENT", rate, digits)
    step = Decimal(1).scaleb(-digits)
    assert tax == tax.quantize(step)
    assert abs(tax - net * rate / 100) <= step / 2
    assert line_tax(-net, Decimal(1), "PERCENT", rate, digits) == -tax


@given(amounts, st.decimals(0, 1000, places=4), st.decimals(0, 100, places=4))
def test_a_fixed_tax_is_by_quantity(net: Decimal, quantity: Decimal, rate: Decimal) -> None:
    """What the goods cost does not matter."""
    assert line_tax(net, quantity, "FIXED", rate, 4) == line_tax(
        Decimal(0), quantity, "FIXED", rate, 4
    )


async def test_it_rounds_as_the_database_does(gateway: Gateway) -> None:
    """Halves go away from zero on both sides."""
    for net in ("0.5", "2.5", "-2.5", "0.05", "12.345", "-0.005", "1000000.0005"):
        for digits in range(4):
            [stored] = await gateway.owner.fetchrow(  # type: ignore[misc]
                "select round($1::text::numeric * 100 / 100, $2)", net, digits
            )
            assert line_tax(Decimal(net), Decimal(1), "PERCENT", Decimal(100), digits) == stored


def test_other_kinds_are_none() -> None:
    """A kind nobody knows is an error, not a tax of nothing."""
    with pytest.raises(ValueError, match="GUESS"):
        line_tax(Decimal(1), Decimal(1), "GUESS", Decimal(1), 2)
