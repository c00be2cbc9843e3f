"""Everything that moves goods, in any order, against a plain model of what it does.

A machine of Hypothesis draws commands and runs each of them over GraphQL, on PostgreSQL. After
every one the database holds what the model does; what is refused, rehearsed or asked for again
changed nothing. What fails is made as short as it can be, and printed as a program.
"""

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, Phase, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from gateway.verify import verify
from schema.core.ids import decode_id, encode_id
from tests.fixtures.gateway import Gateway, open_gateway
from tests.fixtures.goods import (
    CUSTOMER,
    LOSS,
    SCRAP,
    SUPPLIER,
    TRANSIT,
    Correction,
    Goods,
    Line,
    Move,
    No,
    Paper,
    Place,
)
from tests.fixtures.replay import balances, replayed

EXAMPLES: Final = int(os.environ.get("GOODS_EXAMPLES", "8"))
"""How many programs are run."""
STEPS: Final = int(os.environ.get("GOODS_STEPS", "30"))
"""How many commands one has at most."""

TRACKING: Final = ("NONE", "LOT", "SERIAL")
WAREHOUSES: Final = {"MA": "false", "MB": "false", "MN": "true"}
"""Warehouses of the machine, and whether their stock may be negative; MB puts nothing aside."""
PLACES: Final = {
    "MA-1": ("MA", True),
    "MA-2": ("MA", True),
    "MA-Q": ("MA", False),
    "MB-1": ("MB", True),
    "MN-1": ("MN", True),
    "MN-Q": ("MN", False),
}
PACK: Final = "PAIR"
"""Two of any product of the machine."""
UNITS: Final = {
    PACK: (Decimal(2), Decimal("0.5")),
    "PCE": (Decimal(1), Decimal(1)),
    "DZN": (Decimal(12), Decimal(1)),
}
"""What one of a unit is, and what quantities in it are multiples of: there are whole pieces."""
VIRTUAL: Final = (CUSTOMER, SUPPLIER, LOSS, SCRAP, TRANSIT)
DAYS: Final = [date(2031, 1, 1), date(2030, 1, 1), None]

quantities = st.sampled_from(["1", "2", "3", "1", "5", "0.5", "2.2500"]).map(Decimal)
products = st.sampled_from([0, 0, 1, 1, 2])
warehouses = st.sampled_from(["MA", "MA", "MB", "MN"])
units = st.sampled_from([None] * 8 + [PACK, PACK, "DZN", "PCE", "KG", "NO"])

_LANDED: Final = """
select coalesce(sum(e.amount) filter (where e.kind = 'LANDED_COST'), 0),
       coalesce(-sum(e.amount) filter (where e.kind = 'PRICE_DIFFERENCE'), 0)
from valuation_entry e join stock_move m on m.id = e.move_id
join goods_receipt_line l on m.source = 'GOODS_RECEIPT_LINE' and l.id = m.source_id
where e.id > $1 and l.receipt_id = $2
"""
MOVES = """moves { id qty product { sku } lot { number }
                  fromLocation { code kind } toLocation { code kind } }"""
ERRORS = "userErrors { code }"


@dataclass
class World:
    """A gateway and its database, with places of the machine in it; other programs leave theirs."""

    url: str
    run: Callable[[Any], Any]
    gateway: Gateway
    places: dict[str, Place]
    warehouses: dict[str, int]
    partner: int
    supplier: int
    programs: int = 0

    @classmethod
    async def open(cls, url: str, run: Callable[[Any], Any], stack: AsyncExitStack) -> "World":
        """Make warehouses and choose a customer and a supplier."""
        gateway = await stack.enter_async_context(open_gateway(url, relay=False))
        owner = gateway.owner
        await owner.execute("update partner_company set credit_limit = null, blocked_at = null")
        await owner.execute("update company set purchase_approval_from = null")
        ids = {}
        for code, negative in WAREHOUSES.items():
            ids[code] = await owner.fetchval(
                "insert into warehouse (company_id, code, name, priority, negative_stock)"
                f" values (1, $1, $1, 99, {negative}) returning id",
                code,
            )
        places = {}
        for code, (warehouse, sellable) in PLACES.items():
            id_ = await owner.fetchval(
                "insert into stock_location (company_id, warehouse_id, code, path, kind, sellable)"
                " values (1, $1, $2, $2, 'INTERNAL', $3) returning id",
                ids[warehouse],
                code,
                sellable,
            )
            places[code] = Place(id_, code, warehouse, sellable)
        for kind in VIRTUAL:
            id_ = await owner.fetchval(
                "select min(id) from stock_location where company_id = 1 and kind = $1", kind
            )
            places[kind] = Place(id_, kind)
        partner = await owner.fetchval(
            """select o.partner_id from sales_order o join partner p on p.id = o.partner_id
               where o.company_id = 1 and p.archived_at is null group by 1
               order by count(*) desc, 1 limit 1"""
        )
        supplier = await owner.fetchval(
            """select o.partner_id from purchase_order o join partner p on p.id = o.partner_id
               where o.company_id = 1 and p.archived_at is null group by 1
               order by count(*) desc, 1 limit 1"""
        )
        return cls(url, run, gateway, places, ids, partner, supplier)

    async def products(self) -> list[int]:
        """Make products of which there is nothing yet, one of each kind of tracking."""
        self.programs += 1
        made = [
            await self.gateway.owner.fetchval(
                """insert into product (sku, name, tracking, category_id, uom_id, list_price,
                                        list_currency)
                   select $1, $1, $2, min(c.id), min(u.id), 1, 'EUR'
                   from product_category c, unit_of_measure u where u.code = 'PCE' returning id""",
                f"MACHINE-{self.programs}-{tracking}",
                tracking,
            )
            for tracking in TRACKING
        ]
        await self.gateway.owner.execute(
            """insert into product_unit (product_id, code, name, factor)
               select unnest($1::bigint[]), $2, $2, $3""",
            made,
            PACK,
            UNITS[PACK][0],
        )
        return made


@pytest.fixture
def world(own_database_url: str) -> Iterator[World]:
    """Yield the world, in a loop of its own: Hypothesis does not wait for coroutines."""
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        try:
            yield runner.run(World.open(own_database_url, runner.run, stack))
        finally:
            runner.run(stack.aclose())


class GoodsMachine(RuleBasedStateMachine):
    """Draws commands; each is run on the model, and then on the gateway."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.run = world.run
        self.owner = world.gateway.owner
        self.product_ids: list[int] = self.run(world.products())
        self.prefix = f"MACHINE-{world.programs}-"
        self.goods = Goods(
            TRACKING,
            world.places,
            frozenset(code for code, negative in WAREHOUSES.items() if negative == "true"),
            UNITS,
            frozenset({"KG"}),
        )
        self.commands = 0
        self.done: list[tuple[str, dict[str, Any], Any]] = []
        self.levels: dict[tuple[str, int], tuple[Decimal, Decimal, int]] = {}

    # --- asking

    async def _ask(self, document: str, variables: Mapping[str, Any], *, dry: bool) -> Any:
        data = await self.world.gateway.data(document, {**variables, "dry": dry})
        return data["told"]

    async def _traces(self) -> Any:
        """Return what any command leaves behind."""
        return await self.owner.fetchrow(
            """select (select count(*) from stock_move), (select count(*) from audit_log),
                      (select count(*) from idempotency_key), (select count(*) from outbox_event),
                      (select sum(version) from stock_level),
                      (select sum(version) from sales_order),
                      (select sum(version) from stock_hold),
                      (select count(*) from valuation_entry),
                      (select count(*) from stock_balance), (select count(*) from lot)"""
        )

    def command(
        self,
        data: st.DataObject,
        field: str,
        arguments: Mapping[str, tuple[str, Any]],
        selection: str,
        predict: Callable[[Goods], Any],
    ) -> tuple[Any, Any]:
        """Run a command on a copy of the model and on the gateway; both do the same.

        ``arguments`` are types and values. Returns what the model and the gateway tell; None if
        the command was refused.
        """
        after = self.goods.copy()
        try:
            foretold, codes = predict(after), frozenset[str]()
        except No as no:
            foretold, codes = None, no.codes
        event(f"{field}: {', '.join(sorted(codes)) or 'done'}")
        self.commands += 1
        given = {name: value for name, (_, value) in arguments.items()}
        given["key"] = f"{self.prefix}{self.commands}"
        declared = "".join(f", ${name}: {type_}" for name, (type_, _) in arguments.items())
        passed = "".join(f", {name}: ${name}" for name in arguments)
        document = (
            f"mutation($key: String!, $dry: Boolean!{declared}) {{"
            f" told: {field}(idempotencyKey: $key, dryRun: $dry{passed})"
            f" {{ {selection} {ERRORS} }} }}"
        )
        rehearsed = data.draw(st.sampled_from([False, False, True]), label="rehearsed")
        before = self.run(self._traces()) if rehearsed or codes else None
        if rehearsed:
            told = self.run(self._ask(document, given, dry=True))
            assert _judged(told, codes) == bool(codes), (told, codes)
            assert self.run(self._traces()) == before, "a rehearsal leaves nothing"
            self.is_as_the_model_says()
        told = self.run(self._ask(document, given, dry=False))
        assert _judged(told, codes) == bool(codes), (told, codes)
        if codes:
            assert self.run(self._traces()) == before, "what is refused leaves nothing"
            return None, None
        self.goods = after
        self.done.append((document, given, told))
        return foretold, told

    def expected(self, data: st.DataObject, paper: Any) -> tuple[str, Any]:
        """Draw the version a caller has seen, most often none."""
        return "Int", data.draw(st.sampled_from([None, None, paper.version, 0]), label="version")

    def same(self, foretold: list[Move], told: Any) -> None:
        """Compare moves."""
        assert [
            (
                move["product"]["sku"].removeprefix(self.prefix),
                self._place(move["fromLocation"]),
                self._place(move["toLocation"]),
                Decimal(move["qty"]),
                move["lot"] and move["lot"]["number"],
            )
            for move in told["moves"]
        ] == [(TRACKING[product], *rest) for product, *rest in foretold]

    @staticmethod
    def _place(location: Any) -> str:
        kind = location["kind"]
        return str(location["code"] if kind == "INTERNAL" else kind)

    def lot(self, data: st.DataObject, product: int, *, made: bool = False) -> str | None:
        """Draw a lot of a product, now and then none or one that cannot be."""
        if TRACKING[product] == "NONE":
            return data.draw(st.sampled_from([None] * 9 + ["L1"]), label="lot")
        known = [number for one, number in self.goods.lots if one == product]
        if made or not known:
            known += ["L1", "L2", "L3"]
        return data.draw(st.sampled_from([*known, *known, *known, None]), label="lot")

    def sku(self, product: int) -> str:
        """Return the SKU of a product."""
        return f"{self.prefix}{TRACKING[product]}"

    # --- stock

    @initialize(data=st.data())
    def opens(self, data: st.DataObject) -> None:
        """Begin with some stock, so that there is something to promise."""
        self._adjust(
            data,
            [
                Correction((0, "MA-1", None), delta=Decimal(10)),
                Correction((0, "MB-1", None), delta=Decimal(3)),
                Correction((1, "MA-2", "L1"), delta=Decimal(5)),
                Correction((1, "MA-1", "L2"), delta=Decimal(4)),
                Correction((2, "MA-1", "S1"), delta=Decimal(1)),
                Correction((2, "MA-2", "S2"), delta=Decimal(1)),
            ],
        )

    @rule(data=st.data(), count=st.integers(1, 3))
    def adjusts(self, data: st.DataObject, count: int) -> None:
        """Correct stock, by a difference or to what was counted, at a version or at any."""
        lines = []
        for _ in range(count):
            product = data.draw(products)
            place = data.draw(st.sampled_from(list(PLACES)))
            spot = (product, place, self.lot(data, product, made=True))
            amount = Decimal(1) if product == 2 else data.draw(quantities)
            how = data.draw(st.sampled_from(["more", "more", "less", "counted", "gone"]))
            lines.append(
                Correction(
                    spot,
                    delta={"more": amount, "less": -amount}.get(how),
                    counted={"counted": amount, "gone": Decimal(0)}.get(how),
                    stale=data.draw(st.sampled_from([False] * 9 + [True]), label="stale"),
                )
            )
        self._adjust(data, lines)

    def _adjust(self, data: st.DataObject, lines: list[Correction]) -> None:
        asked = [
            {
                "sku": self.sku(line.spot[0]),
                "locationId": encode_id("StockLocation", self.world.places[line.spot[1]].id),
                "delta": None if line.delta is None else f"{line.delta}",
                "countedQty": None if line.counted is None else f"{line.counted}",
                "lotNumber": line.spot[2],
                "expectedVersion": "999999" if line.stale else None,
                "reason": "Machine",
            }
            for line in lines
        ]
        foretold, told = self.command(
            data,
            "adjustStock",
            {"lines": ("[StockAdjustmentInput!]!", asked)},
            MOVES,
            lambda goods: goods.adjust(lines),
        )
        if told:
            self.same(foretold, told)

    # --- carts

    @rule(data=st.data(), warehouse=warehouses, again=st.sampled_from([False, False, True]))
    def works_on_a_cart(self, data: st.DataObject, warehouse: str, again: bool) -> None:  # noqa: FBT001
        """Keep stock for a cart, all of it or none, or let go of one, which may have ended."""
        if again and self.goods.holds:
            self._lets_go(data)
            return
        lines = data.draw(st.lists(st.tuples(products, quantities), min_size=1, max_size=3))
        place = encode_id("Warehouse", self.world.warehouses[warehouse])
        asked = [
            {"sku": self.sku(product), "qty": str(qty), "warehouseId": place}
            for product, qty in lines
        ]
        _, told = self.command(
            data,
            "holdStock",
            {"lines": ("[StockHoldLineInput!]!", asked), "minutes": ("Int!", 1_440)},
            "hold { id }",
            lambda goods: goods.keep(
                Paper(warehouse, [Line(product, qty) for product, qty in lines], "HELD")
            ),
        )
        if told:
            self.goods.holds[-1].id = decode_id(told["hold"]["id"], "StockHold")

    def _lets_go(self, data: st.DataObject) -> None:
        number = data.draw(st.integers(0, len(self.goods.holds) - 1))
        hold = self.goods.holds[number]
        version = self.expected(data, hold)

        def predict(goods: Goods) -> None:
            _check_version(version, hold)
            goods.let_go(goods.holds[number])

        self.command(
            data,
            "releaseStock",
            {"id": ("ID!", encode_id("StockHold", hold.id)), "expectedVersion": version},
            "hold { id }",
            predict,
        )

    # --- sales

    @rule(data=st.data(), confirm=st.sampled_from([True, True, False]), warehouse=warehouses)
    def sells(self, data: st.DataObject, confirm: bool, warehouse: str) -> None:  # noqa: FBT001
        """Place an order, of one product in several lines perhaps, and of a cart perhaps."""
        drawn = data.draw(st.lists(st.tuples(products, quantities), min_size=1, max_size=4))
        everything = list(range(len(self.goods.holds)))
        good = [n for n in everything if self.goods.holds[n].state == "HELD"]
        number = data.draw(st.sampled_from([None, *good * 2, *everything]), label="cart")
        if number is not None:
            hold = self.goods.holds[number]
            warehouse = hold.warehouse
            if data.draw(st.booleans(), label="as it is"):
                drawn = [(line.product, line.quantity) for line in hold.lines]
            event(f"placeSalesOrder of a cart that is {hold.state}")
        lines = self.entered(data, drawn)
        days = data.draw(st.sampled_from([0, 0, 1, 2]), label="due")
        today = self.world.gateway.runtime.clock().date()
        due = today + timedelta(days=days)
        wanted = {
            "partnerId": encode_id("Partner", self.world.partner),
            "warehouseId": encode_id("Warehouse", self.world.warehouses[warehouse]),
            "confirm": confirm,
            "requestedOn": due.isoformat() if days else None,
            "lines": [
                {"sku": self.sku(product), "qty": str(qty), "uom": unit}
                for product, qty, unit in lines
            ],
        }
        if number is not None:
            wanted["holdId"] = encode_id("StockHold", self.goods.holds[number].id)

        def predict(goods: Goods) -> None:
            if number is not None:
                if not confirm:
                    raise No("VALIDATION")
                goods.let_go(goods.holds[number], state="TAKEN")
            new = Paper(warehouse, goods.measured(lines), "PLACED", due=due)
            goods.place(new, confirm=confirm)

        _, told = self.command(
            data,
            "placeSalesOrder",
            {"input": ("PlaceSalesOrderInput!", wanted)},
            "order { id }",
            predict,
        )
        if not told:
            return
        order = self.goods.orders[-1]
        order.id = decode_id(told["order"]["id"], "SalesOrder")
        self._number(order, "sales_order_line", "order_id")

    @staticmethod
    def entered(
        data: st.DataObject, lines: list[tuple[int, Decimal]]
    ) -> list[tuple[int, Decimal, str | None]]:
        """Return lines with units they are entered in: a unit is drawn for the first."""
        unit = data.draw(units, label="unit")
        return [(*line, None if n else unit) for n, line in enumerate(lines)]

    def _number(self, paper: Paper, table: str, parent: str) -> None:
        rows = self.run(
            self.owner.fetch(
                f"select id from {table} where {parent} = $1 order by position", paper.id
            )
        )
        for line, row in zip(paper.lines, rows, strict=True):
            line.id = row["id"]

    def _an_order(self, data: st.DataObject, fit: Callable[[Paper], bool]) -> int:
        """Draw an order, most often one that is fit for what is done with it."""
        everything = list(range(len(self.goods.orders)))
        good = [n for n in everything if fit(self.goods.orders[n])]
        return data.draw(st.sampled_from([*good * 4, *everything]), label="order")

    @precondition(lambda self: self.goods.orders)
    @rule(
        data=st.data(),
        verb=st.sampled_from(["confirm", "reserve", "all", "hold", "release", "release", "cancel"]),
    )
    def works_on_an_order(self, data: st.DataObject, verb: str) -> None:
        """Confirm, reserve, hold, release or cancel an order, in whatever state it is."""
        fit = {"confirm": ("PLACED",), "cancel": ()}.get(verb, ("CONFIRMED",))
        number = self._an_order(
            data,
            lambda order: order.state in fit and bool(order.hold) == (verb == "release"),
        )
        order = self.goods.orders[number]
        verbs: dict[str, tuple[str, Callable[[Goods, Paper], None]]] = {
            "confirm": ("confirmSalesOrder", lambda g, o: g.confirm(o)),
            "reserve": ("reserveOrder", lambda g, o: g.reserve(o, all_or_nothing=False)),
            "all": ("reserveOrder", lambda g, o: g.reserve(o, all_or_nothing=True)),
            "hold": ("holdSalesOrder", lambda g, o: g.hold(o, "MANUAL")),
            "release": ("releaseHold", lambda g, o: g.release(o)),
            "cancel": ("cancelSalesOrder", lambda g, o: g.cancel(o)),
        }
        field, change = verbs[verb]
        version = self.expected(data, order)
        arguments: dict[str, tuple[str, Any]] = {
            "id": ("ID!", encode_id("SalesOrder", order.id)),
            "expectedVersion": version,
        }
        if field == "reserveOrder":
            arguments["allOrNothing"] = ("Boolean!", verb == "all")

        def predict(goods: Goods) -> None:
            _check_version(version, order)
            change(goods, goods.orders[number])

        self.command(data, field, arguments, "order { id }", predict)

    @precondition(lambda self: self.goods.orders)
    @rule(data=st.data(), everything=st.booleans())
    def ships(self, data: st.DataObject, everything: bool) -> None:  # noqa: FBT001
        """Let an order leave: all that is promised, or some lines, of lots perhaps."""
        number = self._an_order(
            data, lambda order: order.reservation != "NONE" and order.hold is None
        )
        order = self.goods.orders[number]
        lines: list[tuple[int, Decimal, str | None]] | None = None
        if not everything:
            lines = []
            for _ in range(data.draw(st.integers(1, 3))):
                n = data.draw(st.integers(0, len(order.lines) - 1))
                named = data.draw(st.booleans(), label="named")
                lot = self.lot(data, order.lines[n].product) if named else None
                lines.append((n, data.draw(quantities), lot))
        version = self.expected(data, order)
        arguments = {
            "orderId": ("ID!", encode_id("SalesOrder", order.id)),
            "expectedVersion": version,
            "lines": (
                "[ShipLineInput!]",
                None
                if lines is None
                else [
                    {
                        "salesOrderLineId": encode_id("SalesOrderLine", order.lines[n].id),
                        "qty": str(qty),
                        "lotNumber": lot,
                    }
                    for n, qty, lot in lines
                ],
            ),
        }

        def predict(goods: Goods) -> list[Move]:
            _check_version(version, order)
            return goods.ship(number, lines)

        foretold, told = self.command(data, "shipOrder", arguments, MOVES, predict)
        if told:
            self.same(foretold, told)

    @precondition(lambda self: any(o.reservation != "NONE" for o in self.goods.orders))
    @rule(data=st.data(), everything=st.booleans())
    def plans_a_shipment(self, data: st.DataObject, everything: bool) -> None:  # noqa: FBT001
        """Have a shipment prepared of what is promised, and of a bit more now and then."""
        number = self._an_order(data, lambda order: order.reservation != "NONE")
        order = self.goods.orders[number]
        lines: list[tuple[int, Decimal]] | None = None
        if not everything:
            lines = []
            for n, line in enumerate(order.lines):
                free = line.reserved - self.goods.planned(number, n)
                if free > 0 and data.draw(st.sampled_from([True, True, True, False])):
                    lines.append((n, data.draw(st.sampled_from([free, free, Decimal(1)]))))
            if not lines:
                return
        version = self.expected(data, order)

        def predict(goods: Goods) -> None:
            _check_version(version, order)
            goods.plan(number, lines)

        _, told = self.command(
            data,
            "planShipment",
            {
                "orderId": ("ID!", encode_id("SalesOrder", order.id)),
                "expectedVersion": version,
                "lines": (
                    "[PlanLineInput!]",
                    lines
                    and [
                        {
                            "salesOrderLineId": encode_id("SalesOrderLine", order.lines[n].id),
                            "qty": str(qty),
                        }
                        for n, qty in lines
                    ],
                ),
            },
            "shipment { id }",
            predict,
        )
        if told:
            self.goods.shipments[-1].id = decode_id(told["shipment"]["id"], "Shipment")

    @precondition(lambda self: self.goods.shipments)
    @rule(data=st.data(), again=st.booleans())
    def prepares_a_shipment(self, data: st.DataObject, again: bool) -> None:  # noqa: FBT001
        """Pick, pack and ship, most often in this order."""
        number = data.draw(st.integers(0, len(self.goods.shipments) - 1))
        shipment = self.goods.shipments[number]
        usual = {"PLANNED": "pick", "PICKING": "pack", "PACKED": "ship", "SHIPPED": "deliver"}
        verb = usual.get(shipment.state, "cancel")
        if again:
            verb = data.draw(st.sampled_from([*usual.values(), "cancel"]))
        field = {
            "pick": "startPicking",
            "pack": "packShipment",
            "ship": "shipShipment",
            "deliver": "confirmDelivery",
            "cancel": "cancelShipment",
        }[verb]
        version = self.expected(data, shipment)
        arguments: dict[str, tuple[str, Any]] = {
            "id": ("ID!", encode_id("Shipment", shipment.id)),
            "expectedVersion": version,
        }
        picked = self._picked(data, shipment) if verb == "pack" else []
        if picked:
            ids = self.run(self._lines_of(shipment))
            arguments["lines"] = (
                "[PickedLineInput!]",
                [
                    {
                        "shipmentLineId": encode_id("ShipmentLine", ids[n]),
                        "qty": str(qty),
                        "lotNumber": lot,
                        "locationId": place
                        and encode_id("StockLocation", self.world.places[place].id),
                    }
                    for n, qty, lot, place in picked
                ],
            )

        def predict(goods: Goods) -> list[Move]:
            _check_version(version, shipment)
            return goods.step(goods.shipments[number], verb, picked)

        foretold, told = self.command(
            data,
            field,
            arguments,
            MOVES if verb == "ship" else "shipment { id }",
            predict,
        )
        if told and verb == "ship":
            self.same(foretold, told)

    def _picked(
        self, data: st.DataObject, shipment: Paper
    ) -> list[tuple[int, Decimal, str | None, str | None]]:
        """Draw what was picked from elsewhere of a line: all of it, or it in two parts, or more."""
        if data.draw(st.booleans(), label="as told"):
            return []
        n = data.draw(st.integers(0, len(shipment.lines) - 1))
        line = shipment.lines[n]
        rest = line.quantity
        parts = [rest]
        if rest > 1:
            parts = data.draw(st.sampled_from([[rest], [Decimal(1), rest - 1], [rest + 1]]))
        places = [
            code for code, (warehouse, _) in PLACES.items() if warehouse == shipment.warehouse
        ]
        return [
            (
                n,
                part,
                self.lot(data, line.product),
                data.draw(st.sampled_from([None, *places]), label="place"),
            )
            for part in parts
        ]

    async def _lines_of(self, shipment: Paper) -> list[int]:
        rows = await self.owner.fetch(
            "select id from shipment_line where shipment_id = $1 order by position", shipment.id
        )
        return [row["id"] for row in rows]

    @precondition(lambda self: any(o.shipment != "NONE" for o in self.goods.orders))
    @rule(data=st.data())
    def takes_back(self, data: st.DataObject) -> None:
        """Take back what left, and a bit more now and then."""
        number = self._an_order(data, lambda order: order.shipment != "NONE")
        order = self.goods.orders[number]
        lines = []
        for _ in range(data.draw(st.integers(1, 3))):
            n = data.draw(st.integers(0, len(order.lines) - 1))
            product = order.lines[n].product
            lot = self.lot(data, product)
            qty = data.draw(quantities)
            what = data.draw(st.sampled_from(["RESTOCK", "RESTOCK", "INSPECT", "SCRAP"]))
            lines.append((n, qty, what, lot))
        left = self.run(self._left(order))

        def predict(goods: Goods) -> Any:
            foretold = goods.give_back(number, lines)
            rest = dict(left)
            for n, qty, _, lot in lines:
                if lot is not None:
                    rest[order.lines[n].id, lot] = rest.get((order.lines[n].id, lot), 0) - qty
                    if rest[order.lines[n].id, lot] < 0:
                        raise No("VALIDATION")
            return foretold

        foretold, told = self.command(
            data,
            "returnGoods",
            {
                "orderId": ("ID!", encode_id("SalesOrder", order.id)),
                "reason": ("String!", "Machine"),
                "lines": (
                    "[ReturnLineInput!]!",
                    [
                        {
                            "salesOrderLineId": encode_id("SalesOrderLine", order.lines[n].id),
                            "qty": str(qty),
                            "disposition": what,
                            "lotNumber": lot,
                        }
                        for n, qty, what, lot in lines
                    ],
                ),
            },
            f"{MOVES} reservedOrders {{ id }}",
            predict,
        )
        if told:
            self.same(foretold[0], told)
            self.promised(foretold[1], told)

    async def _left(self, order: Paper) -> dict[tuple[int, str], Decimal]:
        """Return what of each lot is away of lines of an order, by the answers told before."""
        rows = await self.owner.fetch(
            """select coalesce(r.order_line_id, m.source_id) as line, t.number, sum(
                        case when m.kind = 'SHIPMENT' then m.quantity else -m.quantity end) as away
               from stock_move m left join goods_return_line r
                 on m.source = 'GOODS_RETURN_LINE' and r.id = m.source_id
               join lot t on t.id = m.lot_id
               where m.source in ('SALES_ORDER_LINE', 'GOODS_RETURN_LINE')
                 and coalesce(r.order_line_id, m.source_id) = any($1) group by 1, 2""",
            [line.id for line in order.lines],
        )
        return {(row["line"], row["number"]): row["away"] for row in rows}

    def promised(self, foretold: list[int], told: Any) -> None:
        """Compare which orders got something."""
        assert [decode_id(o["id"], "SalesOrder") for o in told["reservedOrders"]] == foretold

    # --- purchases

    @rule(
        data=st.data(),
        warehouse=warehouses,
        tolerance=st.sampled_from([0, 10]),
        steps=st.sampled_from([2, 2, 1, 0]),
    )
    def buys(self, data: st.DataObject, warehouse: str, tolerance: int, steps: int) -> None:
        """Write a purchase order, and most often have it sent and confirmed."""
        drawn = data.draw(st.lists(st.tuples(products, quantities), min_size=1, max_size=3))
        lines = self.entered(data, drawn)
        _, told = self.command(
            data,
            "createPurchaseOrder",
            {
                "supplierId": ("ID!", encode_id("Partner", self.world.supplier)),
                "warehouseId": (
                    "ID!",
                    encode_id("Warehouse", self.world.warehouses[warehouse]),
                ),
                "lines": (
                    "[PurchaseLineInput!]!",
                    [
                        {"sku": self.sku(product), "qty": str(qty), "uom": unit, "unitPrice": "1"}
                        for product, qty, unit in lines
                    ],
                ),
            },
            "order { id }",
            lambda goods: goods.purchases.append(Paper(warehouse, goods.measured(lines), "DRAFT")),
        )
        if not told:
            return
        purchase = self.goods.purchases[-1]
        purchase.id = decode_id(told["order"]["id"], "PurchaseOrder")
        self._number(purchase, "purchase_order_line", "order_id")
        self.run(
            self.owner.execute(
                "update purchase_order_line set over_receipt_percent = $1 where order_id = $2",
                tolerance,
                purchase.id,
            )
        )
        for line in purchase.lines:
            line.over_percent = Decimal(tolerance)
        for verb in ("send", "confirm")[:steps]:
            self._advance(data, len(self.goods.purchases) - 1, verb, seen=False)
        if steps == 2 and data.draw(st.booleans(), label="comes"):
            self._receives(data, len(self.goods.purchases) - 1)

    @precondition(lambda self: self.goods.purchases)
    @rule(data=st.data(), verb=st.sampled_from([None, None, None, "send", "confirm", "cancel"]))
    def works_on_a_purchase(self, data: st.DataObject, verb: str | None) -> None:
        """Send it, have it confirmed, or give up the rest of it; most often the next thing."""
        number = data.draw(st.integers(0, len(self.goods.purchases) - 1))
        purchase = self.goods.purchases[number]
        verb = verb or {"DRAFT": "send", "SENT": "confirm"}.get(purchase.state, "cancel")
        self._advance(data, number, verb, seen=True)

    def _advance(self, data: st.DataObject, number: int, verb: str, *, seen: bool) -> None:
        purchase = self.goods.purchases[number]
        version = self.expected(data, purchase) if seen else ("Int", None)

        def predict(goods: Goods) -> None:
            _check_version(version, purchase)
            one = goods.purchases[number]
            if verb == "cancel":
                goods.give_up(one)
            else:
                goods.advance(one, verb)

        self.command(
            data,
            f"{verb}PurchaseOrder",
            {"id": ("ID!", encode_id("PurchaseOrder", purchase.id)), "expectedVersion": version},
            "order { id }",
            predict,
        )

    @precondition(lambda self: any(p.state == "CONFIRMED" for p in self.goods.purchases))
    @rule(data=st.data())
    def receives(self, data: st.DataObject) -> None:
        """Take in a delivery, too much or the wrong lots now and then."""
        everything = list(range(len(self.goods.purchases)))
        good = [n for n in everything if self.goods.purchases[n].state == "CONFIRMED"]
        number = data.draw(st.sampled_from([*good * 4, *everything]), label="purchase")
        self._receives(data, number)

    def _receives(self, data: st.DataObject, number: int) -> None:
        purchase = self.goods.purchases[number]
        lines = []
        for _ in range(data.draw(st.sampled_from([1, 1, 2, 3]))):
            n = data.draw(st.integers(0, len(purchase.lines) - 1))
            product, rest = purchase.lines[n].product, purchase.lines[n].outstanding or Decimal(1)
            qty = (
                data.draw(st.sampled_from([rest, data.draw(quantities)]))
                if product < 2
                else data.draw(st.sampled_from([Decimal(1)] * 4 + [Decimal(2)]))
            )
            rejected = data.draw(st.sampled_from([Decimal(0)] * 3 + [Decimal("0.5"), qty]))
            lot = self.lot(data, product, made=True)
            lines.append((n, qty, rejected, lot, data.draw(st.sampled_from(DAYS))))
        version = self.expected(data, purchase)

        def predict(goods: Goods) -> Any:
            if any(rejected > quantity for _, quantity, rejected, _, _ in lines):
                raise No("VALIDATION")
            _check_version(version, purchase)
            return goods.receive(goods.purchases[number], lines)

        foretold, told = self.command(
            data,
            "receiveGoods",
            {
                "orderId": ("ID!", encode_id("PurchaseOrder", purchase.id)),
                "expectedVersion": version,
                "lines": (
                    "[ReceiveLineInput!]!",
                    [
                        {
                            "purchaseOrderLineId": encode_id(
                                "PurchaseOrderLine", purchase.lines[n].id
                            ),
                            "qty": str(qty),
                            "qtyRejected": str(rejected),
                            "lotNumber": lot,
                            "expiresOn": expires and expires.isoformat(),
                        }
                        for n, qty, rejected, lot, expires in lines
                    ],
                ),
            },
            f"receipt {{ id }} {MOVES} reservedOrders {{ id }}",
            predict,
        )
        if told:
            self.same(foretold[0], told)
            self.promised(foretold[1], told)
            self.goods.receipts[-1].id = decode_id(told["receipt"]["id"], "GoodsReceipt")
            if data.draw(st.booleans(), label="freight"):
                self._bears(data, len(self.goods.receipts) - 1)

    @precondition(lambda self: self.goods.receipts)
    @rule(data=st.data())
    def bears_a_cost(self, data: st.DataObject) -> None:
        """Add freight to what came: what is there is worth more, for what has left it is spent."""
        self._bears(data, data.draw(st.integers(0, len(self.goods.receipts) - 1)))

    def _bears(self, data: st.DataObject, number: int) -> None:
        amount = data.draw(st.sampled_from(["10", "7.77", "7.77", "0.01", "0", "0.005"]))
        receipt = self.goods.receipts[number]
        last = self.run(self.owner.fetchval("select max(id) from valuation_entry"))
        foretold, told = self.command(
            data,
            "addLandedCost",
            {
                "receiptId": ("ID!", encode_id("GoodsReceipt", receipt.id)),
                "amount": ("Decimal!", amount),
                "description": ("String!", "Freight"),
            },
            "receipt { id }",
            lambda goods: goods.spent(goods.receipts[number], Decimal(amount)),
        )
        if told:
            assert decode_id(told["receipt"]["id"], "GoodsReceipt") == receipt.id
            landed, spent = self.run(self.owner.fetchrow(_LANDED, last, receipt.id))
            assert landed == Decimal(amount), "all of it, to the last cent"
            assert foretold[0] <= spent <= foretold[1]

    # --- transfers

    @rule(data=st.data(), origin=warehouses, to=warehouses)
    def carries(self, data: st.DataObject, origin: str, to: str) -> None:
        """Send goods to another warehouse, of lots perhaps."""
        lines = []
        for _ in range(data.draw(st.integers(1, 3))):
            product = data.draw(products)
            named = data.draw(st.booleans(), label="named")
            lines.append(
                (product, data.draw(quantities), (named and self.lot(data, product)) or None)
            )
        asked = self.entered(data, [(product, qty) for product, qty, _ in lines])

        def predict(goods: Goods) -> list[Move]:
            if origin == to:  # then it does not come to units
                return goods.transfer(origin, to, lines)
            measured = zip(goods.measured(asked), lines, strict=True)
            return goods.transfer(
                origin, to, [(one.product, one.quantity, lot) for one, (_, _, lot) in measured]
            )

        foretold, told = self.command(
            data,
            "transferStock",
            {
                "fromWarehouseId": ("ID!", encode_id("Warehouse", self.world.warehouses[origin])),
                "toWarehouseId": ("ID!", encode_id("Warehouse", self.world.warehouses[to])),
                "lines": (
                    "[TransferLineInput!]!",
                    [
                        {"sku": self.sku(product), "qty": str(qty), "uom": unit, "lotNumber": lot}
                        for (product, qty, unit), (_, _, lot) in zip(asked, lines, strict=True)
                    ],
                ),
            },
            f"{MOVES} transfer {{ id }}",
            predict,
        )
        if told:
            self.same(foretold, told)
            transfer = self.goods.transfers[-1]
            transfer.id = decode_id(told["transfer"]["id"], "StockTransfer")
            self._number(transfer, "stock_transfer_line", "transfer_id")

    @precondition(lambda self: self.goods.transfers)
    @rule(data=st.data(), how=st.sampled_from(["all", "some", "some", "cancel"]))
    def ends_a_transfer(self, data: st.DataObject, how: str) -> None:
        """Take in a transfer or a part of it, or let the rest go back."""
        number = data.draw(st.integers(0, len(self.goods.transfers) - 1))
        transfer = self.goods.transfers[number]
        lines: list[tuple[int, Decimal]] | None = None
        if how == "some":
            lines = data.draw(
                st.lists(
                    st.tuples(st.integers(0, len(transfer.lines) - 1), quantities),
                    min_size=1,
                    max_size=3,
                )
            )
        version = self.expected(data, transfer)
        arguments: dict[str, tuple[str, Any]] = {
            "id": ("ID!", encode_id("StockTransfer", transfer.id)),
            "expectedVersion": version,
        }
        if how != "cancel":
            arguments["lines"] = (
                "[TransferReceiptInput!]",
                lines
                and [
                    {
                        "transferLineId": encode_id("StockTransferLine", transfer.lines[n].id),
                        "qty": str(qty),
                    }
                    for n, qty in lines
                ],
            )

        def predict(goods: Goods) -> Any:
            _check_version(version, transfer)
            one = goods.transfers[number]
            return goods.turn_back(one) if how == "cancel" else goods.arrive(one, lines)

        back = how == "cancel"
        foretold, told = self.command(
            data,
            "cancelTransfer" if back else "receiveTransfer",
            arguments,
            MOVES if back else f"{MOVES} reservedOrders {{ id }}",
            predict,
        )
        if told:
            self.same(foretold[0], told)
            if not back:
                self.promised(foretold[1], told)

    # --- counts

    @rule(data=st.data(), warehouse=warehouses)
    def begins_to_count(self, data: st.DataObject, warehouse: str) -> None:
        """Count all that the machine has in a warehouse."""
        _, told = self.command(
            data,
            "startStockCount",
            {
                "warehouseId": ("ID!", encode_id("Warehouse", self.world.warehouses[warehouse])),
                "skus": ("[String!]", [self.sku(product) for product in range(3)]),
            },
            "count { id }",
            lambda goods: goods.start_count(warehouse),
        )
        if not told:
            return
        count = self.goods.counts[-1]
        count.id = decode_id(told["count"]["id"], "StockCount")
        rows = self.run(
            self.owner.fetch(
                """select c.id, c.product_id, l.code, t.number, c.expected
                   from stock_count_line c join stock_location l on l.id = c.location_id
                   left join lot t on t.id = c.lot_id where c.count_id = $1""",
                count.id,
            )
        )
        there = {
            (self.product_ids.index(row["product_id"]), row["code"], row["number"]): row
            for row in rows
        }
        assert {spot: row["expected"] for spot, row in there.items()} == {
            line.spot: line.expected for line in count.lines
        }
        for line in count.lines:
            line.id = there[line.spot]["id"]

    @precondition(lambda self: self.goods.counts)
    @rule(data=st.data(), verb=st.sampled_from(["record", "record", "post", "post", "cancel"]))
    def counts(self, data: st.DataObject, verb: str) -> None:
        """Enter what was found, correct stock by it, or give the count up."""
        number = data.draw(st.integers(0, len(self.goods.counts) - 1))
        count = self.goods.counts[number]
        version = self.expected(data, count)
        arguments: dict[str, tuple[str, Any]] = {
            "id": ("ID!", encode_id("StockCount", count.id)),
            "expectedVersion": version,
        }
        found: list[tuple[int, Decimal, bool]] = []
        if verb == "record":
            places = data.draw(
                st.lists(st.integers(0, len(count.lines) - 1), min_size=1, max_size=4, unique=True)
            )
            for n in places:
                right = max(self.goods.on_hand[count.lines[n].spot], Decimal(0))
                qty = data.draw(st.sampled_from([right, right, Decimal(0), Decimal(1), right + 1]))
                found.append((n, qty, data.draw(st.sampled_from([False, True]), label="again")))
            arguments["lines"] = (
                "[CountedLineInput!]!",
                [
                    {
                        "lineId": encode_id("StockCountLine", count.lines[n].id),
                        "countedQty": str(qty),
                        "again": again,
                    }
                    for n, qty, again in found
                ],
            )

        def predict(goods: Goods) -> list[Move]:
            _check_version(version, count)
            one = goods.counts[number]
            if verb == "record":
                goods.record(one, found)
            elif verb == "cancel":
                goods.drop(one)
            else:
                return goods.post(one)
            return []

        foretold, told = self.command(
            data,
            f"{verb}StockCount",
            arguments,
            MOVES if verb == "post" else "count { id }",
            predict,
        )
        if told and verb == "post":
            # by line of the count, whichever way the model looked at them
            told["moves"].sort(key=lambda move: decode_id(move["id"], "StockMove"))
            assert len(told["moves"]) == len(foretold)

    # --- again

    @precondition(lambda self: self.done)
    @rule(data=st.data(), dry=st.booleans())
    def asks_again(self, data: st.DataObject, dry: bool) -> None:  # noqa: FBT001
        """Send a command that was done once more: the same answer, and nothing happens."""
        document, given, told = data.draw(st.sampled_from(self.done), label="again")
        before = self.run(self._traces())
        assert self.run(self._ask(document, given, dry=dry)) == told
        assert self.run(self._traces()) == before

    # --- what is there

    @invariant()
    def is_as_the_model_says(self) -> None:
        """Compare everything."""
        found = self.run(self._found())
        assert found["spots"] == {
            (product, place, lot): amount
            for (product, place, lot), amount in self.goods.on_hand.items()
            if amount
        }
        assert found["moves"] == self.goods.moves
        levels = found["levels"]
        for (warehouse, product), (on_hand, reserved, version) in levels.items():
            assert (on_hand, reserved) == self.goods.level(warehouse, product)
            before = self.levels.get((warehouse, product))
            if before is not None and before[:2] != (on_hand, reserved):
                assert version > before[2], "who saw the level before is told so"
        promised = {k for k in ((w, p) for w in WAREHOUSES for p in range(3)) if k not in levels}
        assert not any(any(self.goods.level(*key)) for key in promised)
        self.levels = levels
        for name in ("orders", "holds", "purchases", "transfers", "shipments", "counts"):
            assert found[name] == {
                paper.id: self._told(name, paper) for paper in getattr(self.goods, name)
            }
        assert found["projections"] == self._projections()
        assert found["lots"] == dict(self.goods.lots)

    @staticmethod
    def _told(name: str, paper: Any) -> tuple[Any, ...]:
        told: tuple[Any, ...] = (paper.state, paper.version)
        if name == "orders":
            sold = [(one.reserved, one.shipped, one.canceled, one.returned) for one in paper.lines]
            return (*told, paper.hold, paper.reservation, paper.shipment, sold)
        if name == "purchases":
            return (*told, paper.receipt, [(one.received, one.canceled) for one in paper.lines])
        if name == "transfers":
            lines = [(one.quantity, one.received, one.returned) for one in paper.lines]
            return (*told, lines)
        if name == "shipments":
            return (*told, [(one.id, one.quantity, one.place, one.lot) for one in paper.lines])
        return told

    def _projections(self) -> dict[tuple[str, int], tuple[Decimal, Decimal]]:
        """Return what is to come and what is to go, by warehouse and product."""
        goods = self.goods
        sums: dict[tuple[str, int], list[Decimal]] = {}
        for paper, side, amount in (
            *((p, 0, "outstanding") for p in goods.purchases if p.state == "CONFIRMED"),
            *((t, 0, "in_transit") for t in goods.transfers),
            *((o, 1, "to_go") for o in goods.orders if o.state == "CONFIRMED"),
        ):
            warehouse = paper.to_warehouse or paper.warehouse
            for line in paper.lines:
                rest = (
                    line.quantity - line.shipped - line.canceled
                    if amount == "to_go"
                    else getattr(line, amount)
                )
                both = sums.setdefault((warehouse, line.product), [Decimal(0), Decimal(0)])
                both[side] += rest
        return {key: (both[0], both[1]) for key, both in sums.items() if any(both)}

    async def _found(self) -> dict[str, Any]:
        """Read what the database says of the machine's products and documents."""
        owner, ids = self.owner, self.product_ids
        codes = {id_: code for code, id_ in self.world.warehouses.items()}
        virtual = {p.id: kind for kind, p in self.world.places.items() if p.warehouse is None}
        found: dict[str, Any] = {}
        found["spots"] = {
            (ids.index(product), virtual.get(location, code), lot): on_hand
            for product, location, code, lot, on_hand in await owner.fetch(
                """select b.product_id, b.location_id, l.code, t.number, b.on_hand
                   from stock_balance b join stock_location l on l.id = b.location_id
                   left join lot t on t.id = b.lot_id
                   where b.product_id = any($1) and b.on_hand <> 0""",
                ids,
            )
        }
        found["moves"] = await owner.fetchval(
            "select count(*) from stock_move where product_id = any($1)", ids
        )
        found["levels"] = {
            (codes[warehouse], ids.index(product)): tuple(rest)
            for warehouse, product, *rest in await owner.fetch(
                """select warehouse_id, product_id, on_hand, reserved, version from stock_level
                   where product_id = any($1)""",
                ids,
            )
        }
        found["projections"] = {
            (codes[warehouse], ids.index(product)): tuple(rest)
            for warehouse, product, *rest in await owner.fetch(
                """select warehouse_id, product_id, incoming, outgoing from stock_projection
                   where product_id = any($1) and (incoming <> 0 or outgoing <> 0)""",
                ids,
            )
        }
        found["lots"] = {
            (ids.index(product), number): expires
            for product, number, expires in await owner.fetch(
                "select product_id, number, expires_on from lot where product_id = any($1)", ids
            )
        }
        for name, table, header, lines in (
            (
                "orders",
                "sales_order",
                "state, version, hold, reservation_status, shipment_status",
                "sales_order_line:order_id:reserved, shipped, canceled, returned",
            ),
            (
                "purchases",
                "purchase_order",
                "state, version, receipt_status",
                "purchase_order_line:order_id:received, canceled",
            ),
            (
                "transfers",
                "stock_transfer",
                "state, version",
                "stock_transfer_line:transfer_id:quantity, received, returned",
            ),
            ("holds", "stock_hold", "state, version", ""),
            (
                "shipments",
                "shipment",
                "state, version",
                (
                    "shipment_line:shipment_id:order_line_id, quantity,"
                    " (select code from stock_location where id = location_id),"
                    " (select number from lot where id = lot_id)"
                ),
            ),
            ("counts", "stock_count", "state, version", ""),
        ):
            known = [paper.id for paper in getattr(self.goods, name)]
            rows = await owner.fetch(f"select id, {header} from {table} where id = any($1)", known)
            found[name] = {row[0]: tuple(row)[1:] for row in rows}
            if lines:
                below, parent, columns = lines.split(":")
                below_rows = await owner.fetch(
                    f"select {parent}, {columns} from {below} where {parent} = any($1)"
                    " order by position",
                    known,
                )
                by_parent: dict[int, list[Any]] = {}
                for row in below_rows:
                    by_parent.setdefault(row[0], []).append(tuple(row)[1:])
                found[name] = {id_: (*row, by_parent[id_]) for id_, row in found[name].items()}
        return found

    def teardown(self) -> None:
        """Prove everything, and replay the ledger."""
        broken = [r for r in self.run(verify(self.world.url)) if not r.holds]
        assert not broken
        assert self.run(balances(self.owner)) == self.run(replayed(self.owner))


def _judged(told: Any, codes: frozenset[str]) -> bool:
    """Tell whether an answer is a refusal, which then has codes that were foretold."""
    given = {error["code"] for error in told["userErrors"]}
    assert given <= codes, (given, codes)
    return bool(given)


def _check_version(version: tuple[str, Any], paper: Any) -> None:
    if version[1] not in (None, paper.version):
        raise No("CONFLICT_VERSION")


def test_goods_are_where_the_model_says(world: World) -> None:
    """Whatever is done in whatever order: balances, promises, documents and projections agree."""
    run_state_machine_as_test(
        lambda: GoodsMachine(world),  # type: ignore[arg-type]
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            phases=[Phase.generate, Phase.shrink],
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
