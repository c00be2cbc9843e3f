"""Rules of sales orders."""

from collections import Counter
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolvers.sales.rules import (
    Need,
    Places,
    Site,
    SourcingStrategy,
    distance,
    order_actions,
    plan_sources,
)


@pytest.mark.parametrize(
    ("state", "hold", "reservation", "shipment", "expected"),
    [
        ("DRAFT", None, "NONE", "NONE", ["CONFIRM", "HOLD", "CANCEL"]),
        ("PLACED", "CREDIT", "NONE", "NONE", ["RELEASE_HOLD", "CANCEL"]),
        ("CONFIRMED", None, "NONE", "NONE", ["RESERVE", "HOLD", "CANCEL"]),
        ("CONFIRMED", None, "PARTIAL", "NONE", ["SHIP", "RESERVE", "HOLD", "CANCEL"]),
        ("CONFIRMED", None, "FULL", "PARTIAL", ["SHIP", "HOLD", "CANCEL", "RETURN_GOODS"]),
        ("CONFIRMED", "MANUAL", "FULL", "PARTIAL", ["RELEASE_HOLD", "CANCEL", "RETURN_GOODS"]),
        ("FULFILLED", None, "NONE", "SHIPPED", ["RETURN_GOODS"]),
        ("CANCELED", None, "NONE", "NONE", []),
        ("CANCELED", "PAYMENT", "NONE", "NONE", []),
    ],
)
def test_actions(
    state: str, hold: str | None, reservation: str, shipment: str, expected: list[str]
) -> None:
    """What can be done follows from the states; a hold stops all but giving up and going on."""
    assert order_actions(state, hold, reservation, shipment) == expected


SITES = st.lists(
    st.builds(Site, st.integers(1, 5), st.integers(1, 3), st.integers(0, 2), endless=st.booleans()),
    min_size=1,
    max_size=5,
    unique_by=lambda site: site.id,
)
QUANTITIES = st.decimals("0.0001", "20", places=4)
NEEDS = st.lists(
    st.builds(
        Need,
        st.integers(1, 3),
        QUANTITIES,
        home=st.none() | st.integers(1, 5),
        whole=st.booleans(),
    ),
    max_size=6,
)
FREE = st.dictionaries(
    st.tuples(st.integers(1, 3), st.integers(1, 5)), st.decimals("-3", "20", places=4)
)


@given(needs=NEEDS, sites=SITES, free=FREE, strategy=st.sampled_from(SourcingStrategy))
def test_a_plan_takes_what_there_is_and_no_more(
    needs: list[Need], sites: list[Site], free: Places, strategy: SourcingStrategy
) -> None:
    """Each need gets all it wants, from warehouses there are; nothing is planned twice."""
    plans = plan_sources(needs, sites, free, strategy)
    assert plans == plan_sources(needs, sites[::-1], free, strategy), "the order of sites is none"
    used: Counter[tuple[int, int]] = Counter()
    known = {site.id for site in sites}
    for need, plan in zip(needs, plans, strict=True):
        assert sum(source.quantity for source in plan) == need.quantity
        assert len({source.warehouse_id for source in plan}) == len(plan)
        assert {source.warehouse_id for source in plan} <= known | {need.home}
        assert len(plan) == 1 or not need.whole
        assert all(0 <= source.there <= source.quantity for source in plan)
        for source in plan:
            used[need.product_id, source.warehouse_id] += source.there  # type: ignore[assignment]
    for key, much in used.items():
        assert much <= max(free.get(key, Decimal(0)), Decimal(0))


@given(needs=NEEDS, sites=SITES, free=FREE, strategy=st.sampled_from(SourcingStrategy))
def test_a_plan_covers_all_it_can(
    needs: list[Need], sites: list[Site], free: Places, strategy: SourcingStrategy
) -> None:
    """Where lines may be divided, nobody waits for what is free anywhere."""
    needs = [replace(need, whole=False) for need in needs]
    plans = plan_sources(needs, sites, free, strategy)
    for product_id in {need.product_id for need in needs}:
        wanted = sum(need.quantity for need in needs if need.product_id == product_id)
        there = sum(
            source.there
            for need, plan in zip(needs, plans, strict=True)
            if need.product_id == product_id
            for source in plan
        )
        stock = sum(max(free.get((product_id, site.id), Decimal(0)), Decimal(0)) for site in sites)
        assert there == min(wanted, stock)


def planned(strategy: SourcingStrategy, *needs: Need, **more: bool) -> list[list[tuple[int, int]]]:
    """Return by need the warehouses and quantities, of three with stock of two products."""
    sites = [Site(1, 1, 2), Site(2, 2, 1), Site(3, 3, 0, **more)]
    free = {(1, 1): 4, (1, 2): 9, (1, 3): 6, (2, 1): 5, (2, 3): 8}
    plans = plan_sources(needs, sites, {k: Decimal(v) for k, v in free.items()}, strategy)
    return [[(one.warehouse_id, int(one.quantity)) for one in plan] for plan in plans]


def test_each_strategy_has_its_order() -> None:
    """The same needs come from other places."""
    needs = Need(1, Decimal(5)), Need(2, Decimal(6))
    assert planned(SourcingStrategy.PRIORITY, *needs) == [[(1, 4), (2, 1)], [(1, 5), (3, 1)]]
    assert planned(SourcingStrategy.NEAREST_REGION, *needs) == [[(3, 5)], [(3, 6)]]
    assert planned(SourcingStrategy.HIGHEST_AVAILABLE, *needs) == [[(2, 5)], [(3, 6)]]
    assert planned(SourcingStrategy.SINGLE_WAREHOUSE_FIRST, *needs) == [[(3, 5)], [(3, 6)]]


def test_one_warehouse_is_first_that_has_everything_then_one_for_each_line() -> None:
    """Two needs of a product count together; what no warehouse has comes from as few as can be."""
    single = SourcingStrategy.SINGLE_WAREHOUSE_FIRST
    assert planned(single, Need(1, Decimal(3)), Need(2, Decimal(5))) == [[(1, 3)], [(1, 5)]]
    assert planned(single, Need(1, Decimal(3)), Need(1, Decimal(3))) == [[(2, 3)], [(2, 3)]]
    assert planned(single, Need(1, Decimal(12)), Need(2, Decimal(5))) == [
        [(2, 9), (3, 3)],
        [(1, 5)],
    ]


def test_what_is_missing_waits_in_one_place() -> None:
    """At home, where a warehouse may promise more than it has, or where the first goods are."""
    priority = SourcingStrategy.PRIORITY
    assert planned(priority, Need(2, Decimal(20))) == [[(1, 12), (3, 8)]]
    assert planned(priority, Need(2, Decimal(20)), endless=True) == [[(1, 5), (3, 15)]]
    assert planned(priority, Need(2, Decimal(20), home=2)) == [[(2, 7), (1, 5), (3, 8)]]
    assert planned(priority, Need(2, Decimal(20), home=2, whole=True)) == [[(2, 20)]]
    assert planned(priority, Need(3, Decimal(2))) == [[(1, 2)]]


def test_without_a_warehouse_there_is_no_plan() -> None:
    """Somebody has to have made one."""
    with pytest.raises(ValueError, match="no warehouse"):
        plan_sources([], [], {}, SourcingStrategy.PRIORITY)


@pytest.mark.parametrize(
    ("site", "expected"),
    [("Bayern", 0), ("BAYERN", 0), ("DE", 1), ("Hessen", 2), ("", 2), (None, 2)],
)
def test_distance(site: str | None, expected: int) -> None:
    """The region itself, its country, anywhere else."""
    assert distance(site, "DE", "Bayern") == expected
    assert distance(site, None, None) == 2
