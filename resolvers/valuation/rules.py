"""Words and rules of valuation; pure, no I/O.

The database values moves by the same rules, many at once: see `resolvers.valuation.tables`. Here
they serve the demo data, and tests compare the two.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import accumulate, pairwise
from typing import Final

STEPS: Final = 10_000
"""Steps in one: quantities and amounts are counted in ten-thousandths here."""
UNIT_STEPS: Final = 1_000_000
"""Costs of one unit have six decimals."""


class Costing(StrEnum):
    """What goods that leave have cost: the average of what is there, or the first that came."""

    AVERAGE = "AVERAGE"
    FIFO = "FIFO"


class ValuationKind(StrEnum):
    """What the value of stock was exchanged for."""

    OPENING = "OPENING"
    PURCHASE = "PURCHASE"
    SALE = "SALE"
    DIFFERENCE = "DIFFERENCE"
    PRICE_DIFFERENCE = "PRICE_DIFFERENCE"
    LANDED_COST = "LANDED_COST"


INSIDE: Final = frozenset({"INTERNAL", "TRANSIT"})
"""Kinds of locations where goods are the company's: moves between such places change no value."""

_EXCHANGED: Final = {
    "SUPPLIER": ValuationKind.PURCHASE,
    "CUSTOMER": ValuationKind.SALE,
    "LOSS": ValuationKind.DIFFERENCE,
    "SCRAP": ValuationKind.DIFFERENCE,
}


def value_kind(move: str, outside: str) -> ValuationKind:
    """Return what goods are exchanged for that a move brings from ``outside``, or takes there."""
    return ValuationKind.OPENING if move == "OPENING" else _EXCHANGED[outside]


def share(value: int, part: int, whole: int, step: int = 1) -> int:
    """Return what ``part`` of a ``whole``, above 0, has of ``value``: in steps, half away from 0.

    Parts taken one after the other as differences of shares add up to the value, to the last step.
    """
    exact = 2 * abs(value * part) + whole * step
    rounded = exact // (2 * whole * step) * step
    return rounded if value * part >= 0 else -rounded


def landed(amount: int, came: Sequence[tuple[int, int]], step: int) -> list[int]:
    """Return what goods that came get of a cost: each is a quantity and what it cost.

    By what they cost, or by quantity where nothing of it cost anything; together all of it.
    """
    weights = [cost for _, cost in came]
    if sum(weights) <= 0:
        weights = [quantity for quantity, _ in came]
    whole = sum(weights)
    shares = [share(amount, upto, whole, step) for upto in accumulate(weights)]
    return [now - before for before, now in pairwise([0, *shares])]


@dataclass(slots=True)
class Layer:
    """Goods that ``came`` by a move at one cost, and what is left; below 0 what is owed."""

    quantity: int
    value: int
    came: int = 0
    move: int = 0


@dataclass(slots=True)
class ProductCost:
    """What a company has of one product and what that is worth, move by move.

    ``step`` is the smallest coin of the books in ten-thousandths, ``unit_cost`` what a unit costs
    in millionths where nothing else is known. At average cost there is one layer into which all is
    poured, else one for each time that goods came, of each lot.
    """

    costing: Costing
    step: int
    unit_cost: int
    quantity: int = 0
    value: int = 0
    layers: dict[int | None, deque[Layer]] = field(default_factory=dict)

    def take_in(
        self, quantity: int, cost: int | None, lot: int | None = None, move: int = 0
    ) -> tuple[int, int]:
        """Value goods that come; return that and what goods that were owed cost more than thought.

        Without a ``cost`` they come at that of the goods that are there. What left before it came
        was valued at the last cost: now that the true one is known, the difference is not stock.
        """
        if cost is None:
            cost = (
                share(self.value, quantity, self.quantity, self.step)
                if self.quantity > 0
                else share(self.unit_cost, quantity, UNIT_STEPS, self.step)
            )
        layers = self._layers(lot)
        rest, value, difference = quantity, cost, 0
        if layers and layers[0].quantity < 0:
            owed = layers[0]
            covered = min(quantity, -owed.quantity)
            thought = share(-owed.value, covered, -owed.quantity, self.step)
            paid = share(cost, covered, quantity, self.step)
            owed.quantity += covered
            owed.value += thought
            rest, value, difference = quantity - covered, cost - paid, paid - thought
            if not owed.quantity:
                layers.popleft()
        if rest:
            if layers and self.costing is Costing.AVERAGE:
                layers[0].quantity += rest
                layers[0].value += value
            else:
                layers.append(Layer(rest, value, rest, move))
        self.quantity += quantity
        self.value += cost - difference
        self._note_unit_cost()
        return cost, difference

    def give_out(self, quantity: int, lot: int | None = None) -> int:
        """Return what goods that leave have cost; what is not there leaves at the last cost."""
        layers = self._layers(lot)
        rest, cost = quantity, 0
        while rest and layers and layers[0].quantity > 0:
            first = layers[0]
            taken = min(rest, first.quantity)
            worth = share(first.value, taken, first.quantity, self.step)
            first.quantity -= taken
            first.value -= worth
            rest, cost = rest - taken, cost + worth
            if not first.quantity:
                layers.popleft()
        if rest:
            owed = share(self.unit_cost, rest, UNIT_STEPS, self.step)
            if not layers:
                layers.append(Layer(0, 0))
            layers[0].quantity -= rest
            layers[0].value -= owed
            cost += owed
        self.quantity -= quantity
        self.value -= cost
        self._note_unit_cost()
        return cost

    def land(self, added: Sequence[tuple[int, int, int]]) -> list[int]:
        """Add costs to what came, each with its move and quantity; return what stock is worth more.

        Goods are there up to what the layer of the move has left; where all is one, up to what is
        there of the product, and what one move is said to have left no other has.
        """
        kept = []
        rest = max(self.quantity, 0)
        for move, quantity, cost in added:
            layer = self._layer_of(move)
            if self.costing is Costing.FIFO:
                there = layer.quantity if layer else 0
            else:
                there = min(quantity, rest)
                rest -= there
            worth = share(cost, there, quantity, self.step)
            if layer:
                layer.value += worth
            self.value += worth
            kept.append(worth)
        self._note_unit_cost()
        return kept

    def _layer_of(self, move: int) -> Layer | None:
        """Return what is left of goods that a move brought, or where all is one, all of it."""
        for layers in self.layers.values():
            for layer in layers:
                one = self.costing is Costing.AVERAGE or layer.move == move
                if one and layer.quantity > 0:
                    return layer
        return None

    def _layers(self, lot: int | None) -> deque[Layer]:
        key = lot if self.costing is Costing.FIFO else None
        return self.layers.setdefault(key, deque())

    def _note_unit_cost(self) -> None:
        if self.quantity > 0:
            self.unit_cost = share(self.value, UNIT_STEPS, self.quantity)
