"""The goods: a tree of categories, and products with believable names, costs and popularity."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import gcd
from random import Random

from gateway.seeding.amounts import SCALE, half_up
from gateway.seeding.assortment import Category, Leaf, Variant, categories
from gateway.seeding.calendar import NEVER
from gateway.seeding.sizes import Size
from resolvers.catalog.rules import ProductKind, Tracking

DEAD_STOCK = 0.05
"""Share of products that lie in the warehouse and never sell."""
INTRODUCED = 0.10
"""Share of products that came into the catalog during the history."""
DISCONTINUED = 0.03
"""Share of products that are sold off during the history; they end up archived."""
DESCRIBED = 0.6
"""Share of products with a description."""

ZIPF_EXPONENT = 1.05
ZIPF_SHIFT = 2
"""The product of rank r sells like 1 / (r + shift) ^ exponent (Zipf-Mandelbrot)."""

SERIES = ("", "Pro", "Classic", "Eco", "Plus", "Basic")
"""Suffixes that tell the series of a product apart."""
KIND = 0.4
SIZE = 0.3
"""How much the kind and the size of a product decide about its cost; the rest is luck."""

SERVICE_UNIT = "H"
"""What is sold by the hour is a service and never in stock."""


@dataclass(slots=True, eq=False)
class Product:
    """A product; ``cost`` and ``price`` are in EUR, amounts in ten-thousandths.

    ``popularity`` is its share of sales, up to a factor. It is on sale from day ``introduced`` to
    the day before ``discontinued``.
    """

    id: int
    sku: str
    name: str
    description: str | None
    category: Category
    leaf: Leaf
    attributes: tuple[tuple[str, str], ...]
    barcode: str
    tracking: Tracking
    cost: int
    price: int
    weight: int
    supplier: int
    popularity: float
    introduced: int
    discontinued: int
    replaced_by: int | None

    @property
    def kind(self) -> ProductKind:
        """Whether it is stocked at all."""
        return ProductKind.SERVICE if self.leaf.unit == SERVICE_UNIT else ProductKind.GOODS

    def on_sale(self, day: int) -> bool:
        """Tell whether it can be ordered on ``day``."""
        return self.introduced <= day < self.discontinued


def make_products(size: Size, rng: Random) -> list[Product]:
    """Return the whole catalog; ids count from 1."""
    leaves = [node for node in categories() if node.leaf]
    popularity = _popularity(size.products, rng)
    made: list[Product] = []
    for node, count in zip(leaves, _shares(size.products, leaves), strict=True):
        for serial in range(count):
            product = _product(len(made) + 1, node, serial, size, rng)
            product.popularity *= popularity[len(made)]
            previous = made[-1] if serial else None
            if product.discontinued < NEVER and previous and previous.discontinued == NEVER:
                product.replaced_by = previous.id
            made.append(product)
    return made


def _shares(total: int, leaves: Sequence[Category]) -> Iterator[int]:
    """Share ``total`` products out to the leaves by their breadth, exactly."""
    breadths = [node.leaf.breadth if node.leaf else 0 for node in leaves]
    given = passed = 0
    for breadth in breadths:
        passed += breadth
        upto = total * passed // sum(breadths)
        yield upto - given
        given = upto


def _popularity(count: int, rng: Random) -> list[float]:
    """Return a Zipf share for every product, at random places of the catalog."""
    shares = [1 / (rank + ZIPF_SHIFT) ** ZIPF_EXPONENT for rank in range(1, count + 1)]
    for rank in range(count - int(count * DEAD_STOCK), count):
        shares[rank] = 0.0
    rng.shuffle(shares)
    return shares


def _product(id_: int, node: Category, serial: int, size: Size, rng: Random) -> Product:
    """Make the product number ``serial`` of a leaf."""
    leaf = node.leaf
    assert leaf is not None
    variant, brand, _ = _variant(leaf, serial)
    name = _name(leaf, serial)
    cost = _cost(leaf, variant, rng)
    introduced, discontinued = _life(size.days, rng)
    return Product(
        id=id_,
        sku=f"{leaf.prefix}-{serial + 1:05d}",
        name=name,
        description=f"{name}. {leaf.blurb}" if rng.random() < DESCRIBED else None,
        category=node,
        leaf=leaf,
        attributes=(
            ("brand", brand),
            (leaf.measured, variant.size),
            ("finish", variant.finish),
        ),
        barcode=ean13(id_),
        tracking=leaf.tracking,
        cost=cost,
        price=shelf_price(half_up(cost * (100 + leaf.margin + rng.randint(-8, 8)), 100)),
        weight=max(10, int(leaf.weight * rng.uniform(0.6, 1.6))),
        supplier=rng.randrange(size.suppliers),
        popularity=leaf.demand,
        introduced=introduced,
        discontinued=discontinued,
        replaced_by=None,
    )


def _variant(leaf: Leaf, serial: int) -> tuple[Variant, str, str]:
    """Return a variant, a brand and a series, so that no two products of a leaf share all three."""
    total = len(leaf.variants) * len(leaf.brands)
    series, position = divmod(serial, total)
    brand, variant = divmod(position * _stride(total) % total, len(leaf.variants))
    return leaf.variants[variant], leaf.brands[brand], SERIES[series]


def _name(leaf: Leaf, serial: int) -> str:
    """Name a product after its brand, kind, series, size and finish."""
    if serial == 0 and leaf.odd_name:
        return leaf.odd_name
    variant, brand, series = _variant(leaf, serial)
    parts = (brand, variant.kind, series, variant.size)
    return f"{' '.join(part for part in parts if part)}, {variant.finish}"


def _cost(leaf: Leaf, variant: Variant, rng: Random) -> int:
    """Return what a product costs: like others of its kind, more if it is larger, and some luck."""
    level = KIND * variant.kind_level + SIZE * variant.size_level + (1 - KIND - SIZE) * rng.random()
    return max(1, int(leaf.lowest_cost * (leaf.highest_cost / leaf.lowest_cost) ** level))


def _stride(total: int) -> int:
    """Return a step that visits every combination once and never the neighbor next."""
    stride = total * 5 // 8
    while gcd(stride, total) != 1:
        stride += 1
    return stride


def _life(days: int, rng: Random) -> tuple[int, int]:
    """Return the days on which a product enters and leaves the catalog."""
    luck = rng.random()
    if luck < DISCONTINUED:
        return 0, rng.randrange(days * 2 // 5, days * 3 // 4)
    if luck < DISCONTINUED + INTRODUCED:
        return rng.randrange(1, days - 45), NEVER
    return 0, NEVER


def shelf_price(amount: int) -> int:
    """Round a computed price to one that stands on shelves: .90, .50, whole cents or tenths."""
    if amount >= 50 * SCALE:
        return half_up(amount, SCALE) * SCALE - SCALE // 10
    if amount >= 5 * SCALE:
        return half_up(2 * amount, SCALE) * (SCALE // 2)
    if amount >= SCALE // 5:
        return half_up(amount, SCALE // 100) * (SCALE // 100)
    return max(1, half_up(amount, SCALE // 1000)) * (SCALE // 1000)


def ean13(number: int) -> str:
    """Return a barcode of the range that GS1 leaves to shops themselves (20 to 29)."""
    digits = f"20{number:010d}"
    odd, even = sum(map(int, digits[::2])), sum(map(int, digits[1::2]))
    return f"{digits}{-(odd + 3 * even) % 10}"


def gtin14(level: int, barcode: str) -> str:
    """Return the barcode of a pack of what has an EAN: 1 is that of the smallest pack."""
    digits = f"{level}{barcode[:-1]}"
    odd, even = sum(map(int, digits[::2])), sum(map(int, digits[1::2]))
    return f"{digits}{-(3 * odd + even) % 10}"
