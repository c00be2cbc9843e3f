"""Words and rules of stock; pure, no I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from resolvers.core.errors import Conflict, ErpError, InsufficientStock, Invalid
from resolvers.core.quantities import LARGEST_QUANTITY, QUANTITY_STEP, check_unit

RECEIPT_LINE: Final = "GOODS_RECEIPT_LINE"
"""Source of the moves that a line of a goods receipt made."""

RETURN_LINE: Final = "GOODS_RETURN_LINE"
"""Source of the moves that a line of a return made."""


class LocationKind(StrEnum):
    """What a stock location is; goods leave and enter the company through the virtual ones."""

    INTERNAL = "INTERNAL"
    TRANSIT = "TRANSIT"
    SUPPLIER = "SUPPLIER"
    CUSTOMER = "CUSTOMER"
    LOSS = "LOSS"
    SCRAP = "SCRAP"


class Tracking(StrEnum):
    """Whether units of a product are told apart; the words of the catalog."""

    NONE = "NONE"
    LOT = "LOT"
    SERIAL = "SERIAL"


class MoveKind(StrEnum):
    """Why goods moved."""

    OPENING = "OPENING"
    RECEIPT = "RECEIPT"
    SHIPMENT = "SHIPMENT"
    RETURN = "RETURN"
    TRANSFER = "TRANSFER"
    ADJUSTMENT = "ADJUSTMENT"
    SCRAP = "SCRAP"


class ReservationState(StrEnum):
    """What became of a reservation."""

    ACTIVE = "ACTIVE"
    CONSUMED = "CONSUMED"
    RELEASED = "RELEASED"
    EXPIRED = "EXPIRED"


class ReservationSource(StrEnum):
    """What a reservation is for."""

    SALES_ORDER_LINE = "SALES_ORDER_LINE"
    CART = "CART"


class HoldState(StrEnum):
    """What became of stock that was held for somebody who is still deciding."""

    HELD = "HELD"
    TAKEN = "TAKEN"
    RELEASED = "RELEASED"
    EXPIRED = "EXPIRED"


class IncomingSource(StrEnum):
    """What goods that are on their way come with."""

    PURCHASE_ORDER_LINE = "PURCHASE_ORDER_LINE"
    STOCK_TRANSFER_LINE = "STOCK_TRANSFER_LINE"


class Crossing(StrEnum):
    """Which threshold a change of availability crossed."""

    NONE = "NONE"
    FELL_BELOW = "FELL_BELOW"
    ROSE_ABOVE = "ROSE_ABOVE"
    OUT_OF_STOCK = "OUT_OF_STOCK"
    BACK_IN_STOCK = "BACK_IN_STOCK"


class StockGroup(StrEnum):
    """What a summary of stock can be grouped by."""

    WAREHOUSE = "WAREHOUSE"
    PRODUCT = "PRODUCT"
    CATEGORY = "CATEGORY"


def crossing(previous: Decimal, current: Decimal, threshold: Decimal | None) -> Crossing:
    """Tell what a change of availability crossed; nothing left counts before any threshold."""
    if previous > 0 >= current:
        return Crossing.OUT_OF_STOCK
    if previous <= 0 < current:
        return Crossing.BACK_IN_STOCK
    if threshold is not None:
        if previous >= threshold > current:
            return Crossing.FELL_BELOW
        if previous < threshold <= current:
            return Crossing.ROSE_ABOVE
    return Crossing.NONE


MAX_REASON = 200
MAX_LOT_NUMBER = 100
"""Most characters of a lot's number."""


@dataclass(frozen=True, slots=True)
class AdjustmentLine:
    """One correction as asked for, at a location: by ``delta`` or to ``counted``, never both."""

    sku: str
    location_id: int
    reason: str
    delta: Decimal | None = None
    counted: Decimal | None = None
    expected_version: int | None = None
    lot_number: str | None = None
    uom: str | None = None


@dataclass(frozen=True, slots=True)
class StockPlace:
    """What is known and locked of the place a line corrects: its level and its balances.

    ``serial`` tells that the lot is one unit, ``elsewhere`` that this unit is at another place.
    """

    product_id: int
    warehouse_id: int
    sellable: bool
    level_id: int
    level_on_hand: Decimal
    level_reserved: Decimal
    level_version: int
    allow_negative: bool
    balance_id: int
    balance_on_hand: Decimal
    loss_balance_id: int
    lot_id: int | None = None
    serial: bool = False
    elsewhere: bool = False


@dataclass(frozen=True, slots=True)
class Adjustment:
    """A correction that may be booked: ``delta`` is not 0 and goes to the balance of ``place``."""

    line: AdjustmentLine
    place: StockPlace
    delta: Decimal


@dataclass(frozen=True, slots=True)
class Stock:
    """So much of a product, of one lot if it is tracked, at a location.

    A ``serial`` number is taken as a whole or not at all.
    """

    location_id: int
    lot_id: int | None
    lot_number: str | None
    on_hand: Decimal
    serial: bool = False


class Picker:
    """Takes goods from where they are, in the order given; what is taken is there no more."""

    def __init__(
        self, stock: Mapping[int, Sequence[Stock]], free: Mapping[int, Decimal] | None = None
    ) -> None:
        """Take ``stock`` as what there is of each product, by its id.

        ``free`` is what of it is promised to nobody.
        """
        self._stock = stock
        self.free = dict(free or {})
        self._taken: dict[tuple[int, int, int | None], Decimal] = {}
        self._kept: dict[tuple[int, int, int | None], Decimal] = {}

    def keep(
        self, product_id: int, location_id: int, lot_id: int | None, quantity: Decimal
    ) -> None:
        """Take so much of it at a place last: others are on their way there."""
        key = (product_id, location_id, lot_id)
        self._kept[key] = self._kept.get(key, Decimal(0)) + quantity

    def take(
        self,
        product_id: int,
        quantity: Decimal,
        lot_number: str | None = None,
        *,
        location_id: int | None = None,
        lot_id: int | None = None,
    ) -> list[tuple[Stock, Decimal]]:
        """Return where to take ``quantity`` from, and how much at each; less if it is not there.

        Of the lot and at the location that are named, where any is.
        """
        fitting = [
            stock
            for stock in self._stock.get(product_id, ())
            if lot_number in (None, stock.lot_number)
            and location_id in (None, stock.location_id)
            and lot_id in (None, stock.lot_id)
        ]
        taken = [Decimal(0)] * len(fitting)
        for kept in (self._kept, {}):
            for place, stock in enumerate(fitting):
                key = (product_id, stock.location_id, stock.lot_id)
                gone = self._taken.get(key, Decimal(0)) + kept.get(key, Decimal(0))
                part = min(stock.on_hand - gone, quantity)
                if part <= 0 or (stock.serial and part < stock.on_hand):
                    continue
                self._taken[key] = self._taken.get(key, Decimal(0)) + part
                taken[place] += part
                quantity -= part
        return [(stock, part) for stock, part in zip(fitting, taken, strict=True) if part]


def check_adjustment_lines(
    lines: Sequence[AdjustmentLine], earlier: frozenset[Any] = frozenset()
) -> list[ErpError]:
    """Find what is wrong with the lines by themselves, before anything is read.

    ``earlier`` are SKU, location and lot of lines before these.
    """
    errors: list[ErpError] = []
    seen = set(earlier)
    for position, line in enumerate(lines):
        at = ("lines", str(position))
        errors += _check_quantities(line, at)
        if not 1 <= len(line.reason.strip()) <= MAX_REASON:
            errors.append(
                Invalid(f"reason must have 1 to {MAX_REASON} characters.", path=(*at, "reason"))
            )
        number = line.lot_number
        if number is not None and not 1 <= len(number.strip()) <= MAX_LOT_NUMBER:
            errors.append(
                Invalid(
                    f"lotNumber must have 1 to {MAX_LOT_NUMBER} characters.",
                    path=(*at, "lotNumber"),
                )
            )
        if (line.sku, line.location_id, number) in seen:
            errors.append(
                Invalid("One line per product, location and lot; add differences up.", path=at)
            )
        seen.add((line.sku, line.location_id, number))
    return errors


def _check_quantities(line: AdjustmentLine, at: tuple[str, ...]) -> list[ErpError]:
    if (line.delta is None) == (line.counted is None):
        return [Invalid("Give either delta or countedQty.", path=at)]
    name, value = ("delta", line.delta) if line.delta is not None else ("countedQty", line.counted)
    assert value is not None
    if abs(value) >= LARGEST_QUANTITY or value != value.quantize(QUANTITY_STEP):
        return [
            Invalid(
                f"{name} must be below {LARGEST_QUANTITY:f} with at most 4 decimals.",
                path=(*at, name),
            )
        ]
    if name == "delta" and value == 0:
        return [Invalid("delta must not be 0.", path=(*at, name))]
    if name == "countedQty" and value < 0:
        return [Invalid("countedQty cannot be negative.", path=(*at, name))]
    return []


def check_lot(
    line: AdjustmentLine, at: tuple[str, ...], *, tracked: bool, serial: bool
) -> ErpError | None:
    """Tell whether a line names a lot where its product is tracked, and only there."""
    if not tracked and line.lot_number is not None:
        return Invalid(
            f"{line.sku} is not tracked by lots; leave lotNumber out.", path=(*at, "lotNumber")
        )
    if tracked and line.lot_number is None:
        what = "serial number" if serial else "lot"
        return Invalid(f"{line.sku} is tracked; say which {what} it is.", path=(*at, "lotNumber"))
    return None


def check_arrival(
    sku: str,
    tracking: Tracking,
    *,
    quantity: Decimal,
    rejected: Decimal,
    lot_number: str | None,
    at: tuple[str, ...],
) -> list[ErpError]:
    """Tell what is wrong with the lot of goods that come, or with how much of it comes."""
    path = (*at, "lotNumber")
    if tracking is Tracking.NONE:
        if lot_number is None:
            return []
        return [Invalid(f"{sku} is not tracked by lots; leave lotNumber out.", path=path)]
    if lot_number is None:
        return [Invalid(f"{sku} is tracked; say which lot or serial number it is.", path=path)]
    if not 1 <= len(lot_number) <= MAX_LOT_NUMBER:
        return [Invalid(f"lotNumber must have 1 to {MAX_LOT_NUMBER} characters.", path=path)]
    if tracking is Tracking.SERIAL:
        return [
            error
            for name, value in (("qty", quantity), ("qtyRejected", rejected or Decimal(1)))
            for error in check_unit(value, (*at, name))
        ]
    return []


def plan_adjustments(
    lines: Sequence[AdjustmentLine], places: Mapping[int, StockPlace]
) -> tuple[list[Adjustment], list[ErpError]]:
    """Decide what to book, all or nothing; ``places`` maps a line's position to its locked place.

    Counted lines that found what is booked already lead to no adjustment.
    """
    adjustments: list[Adjustment] = []
    errors: list[ErpError] = []
    level_deltas: dict[int, Decimal] = {}
    found: set[int | None] = set()
    for position, line in enumerate(lines):
        place = places[position]
        at = ("lines", str(position))
        if line.expected_version not in (None, place.level_version):
            errors.append(_stale(line, place, at))
            continue
        if line.counted is not None:
            delta = line.counted - place.balance_on_hand
        else:
            assert line.delta is not None
            delta = line.delta
        if delta == 0:
            continue
        change = level_deltas.get(place.level_id, Decimal(0)) + (delta if place.sellable else 0)
        if place.serial and delta > 0:
            # by another line of the same correction, too, it is somewhere else already
            place = replace(place, elsewhere=place.elsewhere or place.lot_id in found)
            found.add(place.lot_id)
        refusal = _refusal(line, place, delta, change, at)
        if refusal is not None:
            errors.append(refusal)
            continue
        level_deltas[place.level_id] = change
        adjustments.append(Adjustment(line, place, delta))
    return adjustments, errors


def _stale(line: AdjustmentLine, place: StockPlace, at: tuple[str, ...]) -> ErpError:
    return Conflict(
        f"Stock of {line.sku} changed since version {line.expected_version}; look again.",
        path=(*at, "expectedVersion"),
        details={
            "sku": line.sku,
            "version": str(place.level_version),
            "onHand": f"{place.level_on_hand:f}",
            "reserved": f"{place.level_reserved:f}",
        },
    )


def _refusal(
    line: AdjustmentLine,
    place: StockPlace,
    delta: Decimal,
    level_change: Decimal,
    at: tuple[str, ...],
) -> ErpError | None:
    """Tell why a difference cannot be booked: more taken than is there, or than is not promised.

    Or one serial number would stand for something else than one unit at one place.
    """
    if place.serial and place.balance_on_hand + delta not in (0, 1):
        return Invalid(f"{line.lot_number} is the serial number of one unit.", path=at)
    if place.serial and place.elsewhere and delta > 0:
        return Invalid(
            f"{line.lot_number} of {line.sku} is at another place; take it away there first.",
            path=(*at, "lotNumber"),
        )
    if place.allow_negative:
        return None
    if place.balance_on_hand + delta < 0:
        return InsufficientStock(
            f"There are only {place.balance_on_hand:f} of {line.sku} at this location.",
            path=at,
            details={"sku": line.sku, "onHand": f"{place.balance_on_hand:f}"},
        )
    if level_change < 0 and place.level_on_hand + level_change < place.level_reserved:
        return InsufficientStock(
            f"{place.level_reserved:f} of {line.sku} are promised to orders; release them first.",
            path=at,
            details={
                "sku": line.sku,
                "onHand": f"{place.level_on_hand:f}",
                "reserved": f"{place.level_reserved:f}",
            },
        )
    return None
