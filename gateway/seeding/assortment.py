"""What each category sells and how its products are named; read from `assortment.toml`."""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from gateway.seeding.amounts import SCALE
from resolvers.catalog.rules import Tracking

FILE = Path(__file__).with_name("assortment.toml")


@dataclass(frozen=True, slots=True)
class OrderSize:
    """How much is ordered at a time: multiples of ``step``, lognormal around ``median`` of them."""

    step: int
    median: int
    spread: float

    @property
    def usual(self) -> int:
        """The quantity of an ordinary order line, and the pack it is bought in."""
        return self.step * self.median


ORDER_SIZES: Mapping[str, OrderSize] = {
    "single": OrderSize(SCALE, 1, 0.5),
    "few": OrderSize(SCALE, 3, 0.8),
    "sixes": OrderSize(6 * SCALE, 2, 0.7),
    "dozens": OrderSize(12 * SCALE, 2, 0.8),
    "hundreds": OrderSize(100 * SCALE, 3, 0.9),
    "half-meters": OrderSize(SCALE // 2, 20, 0.9),
    "quarter-kilos": OrderSize(SCALE // 4, 10, 0.8),
}


@dataclass(frozen=True, slots=True)
class Variant:
    """What a product can be within its category, apart from its brand.

    ``kind_level`` and ``size_level`` say how dear the kind of thing and the size are compared with
    the others, above 0 and up to 1.
    """

    kind: str
    size: str
    finish: str
    kind_level: float
    size_level: float


@dataclass(frozen=True, slots=True)
class Leaf:
    """A category that holds products.

    ``breadth`` is its share of the catalog and ``demand`` how much better than others it sells;
    costs and ``weight`` (kg) are in ten-thousandths; ``margin`` is the percent put on the cost.
    """

    prefix: str
    breadth: int
    demand: float
    unit: str
    order_size: OrderSize
    lowest_cost: int
    highest_cost: int
    margin: int
    weight: int
    tracking: Tracking
    brands: tuple[str, ...]
    measured: str
    variants: tuple[Variant, ...]
    blurb: str
    odd_name: str | None


@dataclass(frozen=True, slots=True)
class Category:
    """A node of the tree; ``leaf`` says what products of it are like, if it holds any."""

    id: int
    parent_id: int | None
    code: str
    name: str
    path: str
    leaf: Leaf | None


@cache
def categories() -> tuple[Category, ...]:
    """Return the tree, parents before children."""
    content = tomllib.loads(FILE.read_text("utf-8"), parse_float=Decimal)
    nodes: dict[str, Category] = {}
    for entry in content["category"]:
        path: str = entry["path"]
        above, _, code = path.strip("/").rpartition("/")
        parent = nodes[f"/{above}/"].id if above else None
        leaf = _leaf(entry, content["brands"], content["odd_names"]) if "prefix" in entry else None
        nodes[path] = Category(len(nodes) + 1, parent, code, entry["name"], path, leaf)
    return tuple(nodes.values())


def _leaf(
    entry: Mapping[str, Any], brands: Mapping[str, Sequence[str]], odd_names: Mapping[str, str]
) -> Leaf:
    """Read a category that holds products."""
    lowest, highest = entry["cost"]
    return Leaf(
        prefix=entry["prefix"],
        breadth=entry.get("breadth", 10),
        demand=float(entry.get("demand", 1)),
        unit=entry.get("unit", "PCE"),
        order_size=ORDER_SIZES[entry.get("ordered", "few")],
        lowest_cost=int(lowest * SCALE),
        highest_cost=int(highest * SCALE),
        margin=entry["margin"],
        weight=int(entry.get("weight", Decimal("0.5")) * SCALE),
        tracking=Tracking(entry.get("tracking", Tracking.NONE)),
        brands=tuple(brands[entry["brands"]]),
        measured=entry.get("measured", "size"),
        variants=tuple(_variants(entry["goods"], entry.get("finishes", ()))),
        blurb=entry["blurb"],
        odd_name=odd_names.get(entry["prefix"]),
    )


def _variants(goods: Sequence[Mapping[str, Any]], finishes: Sequence[str]) -> Iterator[Variant]:
    """Combine the kinds of each group of goods with their sizes and finishes."""
    count = sum(len(group["kinds"]) for group in goods)
    rank = 0
    for group in goods:
        sizes = group["sizes"]
        for kind in group["kinds"]:
            rank += 1
            yield from (
                Variant(kind, size, finish, rank / count, position / len(sizes))
                for position, size in enumerate(sizes, 1)
                for finish in group.get("finishes", finishes)
            )
