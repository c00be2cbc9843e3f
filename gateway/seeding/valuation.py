"""What the stock of the demo is worth, move by move, by the rules that commands go by."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

from gateway.seeding.amounts import amount_text
from gateway.seeding.catalog import Product
from gateway.seeding.companies import Company, actor, standard_cost
from gateway.seeding.rows import Sheet
from resolvers.valuation.rules import Costing, ProductCost, ValuationKind, share

_UNITS_IN_STEP = 100
"""Millionths, in which costs of a unit are counted, in a ten-thousandth."""


class Valuation:
    """Keeps the worth of all products of all companies; amounts are in ten-thousandths.

    ``post`` is told of each entry whose company it is, its moment, its kind and its amount.
    """

    def __init__(
        self,
        post: Callable[[Company, str, ValuationKind, int], None],
        products: Sequence[Product],
    ) -> None:
        self._post = post
        self._products = products
        self._costs: dict[tuple[int, int], ProductCost] = {}
        self._lots: dict[int, int | None] = {}
        self._moments: dict[int, str] = {}
        """Of each move that made a layer its lot, and its moment."""
        self._sold: dict[int, list[int]] = defaultdict(lambda: [0, 0, 0])
        """Of a line of an order how much left, what that cost, and how much came back."""
        self._entries = 0
        self.entries = Sheet(
            *("valuation_entry", "id", "company_id", "product_id", "move_id", "kind", "quantity"),
            *("amount", "effective_on", "posted_at", "posted_by"),
        )

    def _cost(self, company: Company, product_id: int) -> ProductCost:
        found = self._costs.get((company.id, product_id))
        if found is None:
            unit_cost = standard_cost(self._products[product_id - 1].cost, company)
            found = self._costs[company.id, product_id] = ProductCost(
                company.firm.costing,
                10 ** (4 - company.currency.digits),
                unit_cost * _UNITS_IN_STEP,
            )
        return found

    def came(  # noqa: PLR0917 - what an entry is made of
        self,
        company: Company,
        product_id: int,
        move: int,
        quantity: int,
        lot: int | None,
        kind: ValuationKind,
        moment: str,
        cost: int | None,
    ) -> None:
        """Value what came; without a cost at that of what is there."""
        state = self._cost(company, product_id)
        amount, difference = state.take_in(quantity, cost, lot, move)
        assert not difference, "nothing leaves before it came"
        if company.firm.costing is Costing.FIFO:
            self._moments[move], self._lots[move] = moment, lot
        self._write(company, product_id, move, quantity, amount, kind, moment)

    def left(  # noqa: PLR0917 - what an entry is made of
        self,
        company: Company,
        product_id: int,
        move: int,
        quantity: int,
        lot: int | None,
        kind: ValuationKind,
        moment: str,
        line_id: int | None,
    ) -> None:
        """Value what left, for a line of an order if it was sold."""
        amount = self._cost(company, product_id).give_out(quantity, lot)
        if kind is ValuationKind.SALE and line_id is not None:
            sold = self._sold[line_id]
            sold[0] += quantity
            sold[1] += amount
        self._write(company, product_id, move, -quantity, -amount, kind, moment)

    def cost_of_return(self, company: Company, line_id: int, quantity: int) -> int:
        """Return what goods that come back of an order's line cost when they left."""
        sold = self._sold[line_id]
        step = 10 ** (4 - company.currency.digits)
        cost = share(sold[1], sold[2] + quantity, sold[0], step)
        cost -= share(sold[1], sold[2], sold[0], step)
        sold[2] += quantity
        return cost

    def _write(  # noqa: PLR0917 - a row has many columns
        self,
        company: Company,
        product_id: int,
        move: int,
        quantity: int,
        amount: int,
        kind: ValuationKind,
        moment: str,
    ) -> None:
        self._post(company, moment, kind, amount)
        self._entries += 1
        self.entries.add(
            *(self._entries, company.id, product_id, move, kind, amount_text(quantity)),
            *(amount_text(amount), moment[:10], moment, actor(company.id)),
        )

    def rows(self) -> Iterator[Sheet]:
        """Yield what every product is worth at last, and the layers that are left."""
        costs = Sheet("product_cost", "company_id", "product_id", "quantity", "value", "unit_cost")
        layers = Sheet(
            *("cost_layer", "id", "company_id", "product_id", "lot_id", "move_id"),
            *("received_at", "quantity", "remaining", "value"),
        )
        open_layers = []
        for (company_id, product_id), cost in sorted(self._costs.items()):
            whole, part = divmod(cost.unit_cost, 1_000_000)
            costs.add(
                *(company_id, product_id, amount_text(cost.quantity), amount_text(cost.value)),
                f"{whole}.{part:06d}",
            )
            yield costs
            if cost.costing is Costing.FIFO:
                open_layers += [
                    (layer.move, company_id, product_id, layer)
                    for queue in cost.layers.values()
                    for layer in queue
                ]
        for place, (move, company_id, product_id, layer) in enumerate(
            sorted(open_layers, key=lambda one: one[0]), 1
        ):
            layers.add(
                *(place, company_id, product_id, self._lots[move], move, self._moments[move]),
                *(amount_text(layer.came), amount_text(layer.quantity), amount_text(layer.value)),
            )
            yield layers
