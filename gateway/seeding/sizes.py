"""How much demo data there is."""

from dataclasses import dataclass
from typing import Literal

SizeName = Literal["small", "medium", "large"]


@dataclass(frozen=True, slots=True)
class Size:
    """One size of the demo: ``warehouses`` per company, and what they deal with in ``days``."""

    warehouses: tuple[int, ...]
    products: int
    partners: int
    suppliers: int
    orders: int
    days: int
    documents: int

    @property
    def companies(self) -> int:
        """Number of companies."""
        return len(self.warehouses)


SIZES: dict[SizeName, Size] = {
    "small": Size((2, 1), 500, 300, 30, 1_000, 365, 24),
    "medium": Size((3, 2, 1), 10_000, 8_000, 250, 100_000, 730, 200),
    "large": Size((4, 3, 2, 2, 1), 100_000, 60_000, 1_500, 1_000_000, 1_095, 1_000),
}
