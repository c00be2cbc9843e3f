"""The cost of a query grows with its fields, never with its rows: generated for the whole schema.

Every field that leads to objects runs with few and with many parents. Both take the same number of
statements, and exactly those that the plans of the fields say: one per field and level.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Any
from unittest.mock import patch

import pytest
import pytest_asyncio

from resolvers.core.relation import Relation
from schema.core.plan import (
    AggregatesPlan,
    ChoicePlan,
    ConnectionPlan,
    FetchPlan,
    ListedPlan,
    RelationPlan,
)
from schema.engine import pieces
from tests.fixtures.gateway import PATHS, Gateway, open_gateway, principal
from tests.fixtures.recording import Recorded, record
from tests.fixtures.schema_walk import (
    EDGES,
    Edge,
    Known,
    called,
    id_selection,
    known_rows,
    operation,
    plain_selection,
    root_fields,
    ways_to,
)

SIZES = (1, 2, 5, 20, 50, 200)
"""How many objects a way starts from."""

SINGLE = {
    "Company.currencyDetails": "a caller acts for one company, so there is never a second parent",
    "PriceQuote.priceList": "prices are asked for one partner, who has one price list",
    "StockValuationRow.warehouse": "a valuation has all warehouses, whatever is asked for",
    "StockValuationRow.category": "a valuation has all categories, whatever is asked for",
    "TrialBalanceRow.account": "a trial balance has all accounts, whatever is asked for",
    "AgedBalance.partner": "the report has all who owe something, whatever is asked for",
    "Opportunity.owner": "one person looks after all that the demo has",
    "Activity.owner": "one person looks after all that the demo has",
    "Contract.connector": "a company of the demo has one system that brings contracts",
    "ProductPayload.product": "a command concerns one product",
    "PartnerPayload.partner": "a command concerns one partner",
    "ReserveOrderPayload.order": "a command concerns one order",
    "SalesOrderPayload.order": "a command concerns one order",
    "ShipOrderPayload.order": "a command concerns one order",
    "ShipOrderPayload.shipment": "a command makes one shipment",
    "ShipOrderPayload.shipments": "all of it left from one warehouse",
    "ShipOrderPayload.moves": "one line left, from one place",
    "PlanShipmentPayload.order": "a command concerns one order",
    "PlanShipmentPayload.shipment": "a command makes one shipment",
    "PlanShipmentPayload.shipments": "all of it leaves one warehouse",
    "ShipmentPayload.shipment": "a command concerns one shipment",
    "PurchaseOrderPayload.order": "a command concerns one order",
    "ReceiveGoodsPayload.order": "a command concerns one order",
    "ReceiveGoodsPayload.receipt": "a command makes one receipt",
    "AddLandedCostPayload.receipt": "a command concerns one receipt",
    "ReceiveGoodsPayload.moves": "one line came, to one place",
    "ReceiveGoodsPayload.reservedOrders": "one unit came, for one order",
    "ReturnGoodsPayload.goodsReturn": "a command makes one return",
    "ReturnGoodsPayload.order": "a command concerns one order",
    "ReturnGoodsPayload.moves": "one line came back, to one place",
    "ReturnGoodsPayload.reservedOrders": "one unit came back, for one order",
    "StockHoldPayload.hold": "a command concerns one hold",
    "TransferStockPayload.transfer": "a command makes one transfer",
    "TransferStockPayload.moves": "one line left, from one place",
    "ReceiveTransferPayload.transfer": "a command concerns one transfer",
    "ReceiveTransferPayload.moves": "one line came, to one place",
    "ReceiveTransferPayload.reservedOrders": "the goods are for one order",
    "StockCountPayload.count": "a command concerns one count",
    "PostStockCountPayload.count": "a command concerns one count",
    "PostStockCountPayload.moves": "a count corrects the same, however much is asked for",
    "PostStockCountPayload.levels": "a count corrects the same, however much is asked for",
    "RunReplenishmentPayload.orders": "the same is to be ordered, however much is asked for",
    "Webhook.partner": "one partner of the demo has webhooks",
    "WebhookPayload.webhook": "a command concerns one webhook",
    "WebhookSecretPayload.webhook": "a command concerns one webhook",
    "RetryDeadLettersPayload.webhook": "a command concerns one webhook",
    "UpsertPayload.job": "a command asks for one job",
    "StockChange.level": "an event tells of one level, and is an operation of its own",
    "StockSnapshot.levels": "a stream tells one state at a time, and is an operation of its own",
    "Change.node": "an event tells of one object, and is an operation of its own",
    "ChangeGap.node": "always null",
    **{
        f"ChangeGap.{name}": "a stream tells one state at a time, and is an operation of its own"
        for name in ("stockLevels", "salesOrders", "shipments", "jobs")
    },
    "ChangeStreamNotice.node": "always null",
    **{
        f"StockSummaryGroup.{name}": "a summary is told by a stream, whose tests count for it"
        for name in ("warehouse", "product", "category")
    },
    "OrderStatusChange.order": "an event tells of one order, and is an operation of its own",
    "OrderSnapshot.order": "always null",
    "OrderSnapshot.orders": "a stream tells one state at a time, and is an operation of its own",
    "OrderStreamNotice.order": "always null",
}
"""Fields that never have few and many parents with keys of their own, and why."""

STATEMENTS_OF_ROOTS = {
    "Query.me": 0,
    "Query.company": 1,
    "Query.node": 1,
    "Query.partner": 1,
    "Query.product": 1,
    "Query.productsBySku": 1,
    "Query.quotePrices": 2,  # products by SKU, then their prices
    "Query.salesOrder": 1,
    "Query.purchaseOrder": 1,
    "Query.shipment": 1,
    "Query.invoice": 1,
    "Query.fiscalPeriod": 1,
    "Query.trialBalance": 1,
    "Query.agedReceivables": 2,  # what is open, and what the ledger says
    "Query.agedPayables": 2,
    "Query.search": 1,
    "Query.ops": 1,
    "Query.liveSubscriptions": 1,
    "Query.stockValuation": 1,
    "Query.stockTransfer": 1,
    "Query.stockHold": 1,
    "Query.stockCount": 1,
    **{
        f"Mutation.{verb}": 0
        for verb in (
            "createPurchaseOrder",
            "sendPurchaseOrder",
            "approvePurchaseOrder",
            "runReplenishment",
            "addLandedCost",
            "setProductUnits",
            "upsertProducts",
            "upsertPartners",
            "upsertStockLevels",
            "returnGoods",
            "transferStock",
            "receiveTransfer",
            "holdStock",
            "releaseStock",
            "cancelTransfer",
            "startStockCount",
            "recordStockCount",
            "postStockCount",
            "cancelStockCount",
            "endSubscription",
            "createWebhook",
            "updateWebhook",
            "pauseWebhook",
            "resumeWebhook",
            "rotateWebhookSecret",
            "replayWebhook",
            "retryDeadLetters",
            "deleteWebhook",
        )
    },
    "Mutation.adjustStock": 0,  # commands write, and what they read is not counted here
    "Mutation.archiveProduct": 0,
    "Mutation.cancelSalesOrder": 0,
    "Mutation.cancelPurchaseOrder": 0,
    "Mutation.cancelShipment": 0,
    "Mutation.confirmPurchaseOrder": 0,
    "Mutation.receiveGoods": 0,
    "Mutation.confirmDelivery": 0,
    "Mutation.packShipment": 0,
    "Mutation.placeSalesOrder": 1,  # the prices, by the same relation as everywhere
    "Mutation.quoteSalesOrder": 1,  # as above
    "Mutation.planShipment": 0,
    "Mutation.shipShipment": 0,
    "Mutation.startPicking": 0,
    "Mutation.confirmSalesOrder": 0,
    "Mutation.holdSalesOrder": 0,
    "Mutation.releaseHold": 0,
    "Mutation.reserveOrder": 0,
    "Mutation.shipOrder": 0,
    "Mutation.restoreProduct": 0,
    "Mutation.archivePartner": 0,
    "Mutation.restorePartner": 0,
}
"""How many statements the root fields take that are functions and so have no plan."""

PAGE = "edges {{ cursor node {} }} pageInfo {{ hasNextPage hasPreviousPage startCursor endCursor }}"


def planned(path: Sequence[Edge]) -> int:
    """Return how many statements an operation along ``path`` takes, at most if types are mixed."""
    root, *below = path
    own = 1 if root.is_connection else STATEMENTS_OF_ROOTS[str(root)]
    if below and below[0].is_aggregates:
        own = 0  # no page is read of a list of which only groups are shown
    return own + sum(edge.statements for edge in below)


async def run(
    gateway: Gateway, known: Known, path: Sequence[Edge], size: int, *, beside: str = ""
) -> Recorded:
    """Run the operation along ``path``; every plain field is selected at its end."""
    asked = operation(path, plain_selection(path[-1].target), known, size, beside=beside)
    recorded = await record(gateway.runtime, asked.query, asked.variables, principal())
    assert not recorded.answer.errors, (asked.query, recorded.answer.errors)
    return recorded


def parents(recorded: Recorded, since: int = -1) -> int:
    """Return for how many parents the statements ``since`` that one looked, the last by default."""
    return sum(len(set(asked.get("keys", ()))) for asked in recorded.parameters[since:])


async def check_batching(gateway: Gateway, known: Known, way: tuple[Edge, ...], edge: Edge) -> None:
    """Run a field with few and with many parents and compare the statements with the plan."""
    path = (*way, edge)
    runs = [await run(gateway, known, path, size) for size in SIZES]
    reached = [r for r in runs if r.statements > planned(way)]
    assert reached, f"no object of the small data set leads to {edge}"
    if edge.is_mixed:
        assert max(r.statements for r in reached) <= planned(path)
    else:
        assert [r.statements for r in reached] == [planned(path)] * len(reached)
    if str(edge) not in SINGLE:
        few, many = (parents(r, planned(way)) for r in (reached[0], reached[-1]))
        assert 0 < few < many, "too few parents to tell"


def statements_of(level: list[Edge]) -> tuple[int, int]:
    """Return how many statements the fields of one level take at least, and at most."""
    shared: set[object] = set()
    for edge in level:
        match edge.plan:
            case ConnectionPlan(listing=listing, parent=parent):
                shared.add((listing, parent))
            case AggregatesPlan(aggregation=aggregation):
                shared.add(aggregation)
            case RelationPlan(relation=relation) | ListedPlan(relation=relation):
                shared.add(relation)
    return len(shared), len(shared) + sum(edge.statements for edge in level if edge.is_mixed)


CASES = [
    pytest.param(way, edge, id=f"{edge} of {'.'.join(step.name for step in way)}")
    for edge in EDGES
    if not edge.is_held and not edge.is_aggregates
    for way in ways_to(edge.parent)
]
LEVELS = [
    pytest.param(way, level, id=f"{level[0].parent} of {'.'.join(step.name for step in way)}")
    for level in ([e for e in EDGES if e.parent == name] for name in {e.parent: 0 for e in EDGES})
    if not level[0].is_aggregates
    for way in ways_to(level[0].parent)[:1]
]
CONNECTIONS = [
    pytest.param((*way, edge), id=str(edge))
    for edge in (*root_fields("Query"), *EDGES)
    if edge.is_connection
    for way in ([()] if edge.parent == "Query" else ways_to(edge.parent)[:1])
]
AGGREGATED = [
    case
    for case in CONNECTIONS
    if any(str(case.values[0][-1].field.type) == e.parent for e in EDGES if e.is_aggregates)  # type: ignore[index]
]
PAYLOADS = [
    pytest.param(root, edge, id=f"{root}.{edge.name}")
    for root in root_fields("Mutation")
    for edge in EDGES
    if edge.parent == str(root.target)
    and not edge.is_held
    # all that runs out is on drafts in the demo; tests/flows/test_purchasing.py gives these up
    and str(edge) != "RunReplenishmentPayload.orders"
    # a job takes more than a thousand rows; tests/flows/test_upserting.py asks for one
    and str(edge) != "UpsertPayload.job"
    # nobody waits for what is in transit in the demo; tests/flows/test_transfers.py has them wait
    and str(edge) != "ReceiveTransferPayload.reservedOrders"
]


@pytest_asyncio.fixture(scope="module", params=PATHS)
async def gateway(database_url: str, request: pytest.FixtureRequest) -> AsyncIterator[Gateway]:
    """Yield a gateway that compiles queries, and one that runs them field by field.

    Large answers are made as a whole, too; in pieces each of these takes its statements.
    """
    with patch.object(pieces, "ROWS", 1_000_000):
        async with open_gateway(database_url, compile_queries=request.param) as running:
            yield running


@pytest_asyncio.fixture(scope="module")
async def known(gateway: Gateway) -> Known:
    """Return keys that operations can ask for."""
    return await known_rows(gateway.owner)


class TestStatements:
    """The number of statements is the plans', whatever the number of parents."""

    @pytest.mark.parametrize(("way", "edge"), CASES)
    async def test_one_statement_for_all_parents(
        self, gateway: Gateway, known: Known, way: tuple[Edge, ...], edge: Edge
    ) -> None:
        """A field takes one statement for all parents of a level, be they few or many."""
        await check_batching(gateway, known, way, edge)

    @pytest.mark.parametrize(("way", "level"), LEVELS)
    async def test_fields_of_a_level_do_not_multiply(
        self, gateway: Gateway, known: Known, way: tuple[Edge, ...], level: list[Edge]
    ) -> None:
        """All fields of a type together take one statement each, or share one."""
        text = " ".join(called(e, id_selection(e.target), {"first": "3"}) for e in level)
        least, most = statements_of(level)
        for size in (20, 200):
            asked = operation(way, f"{{ __typename {text} }}", known, size)
            recorded = await record(gateway.runtime, asked.query, asked.variables, principal())
            assert not recorded.answer.errors, (asked.query, recorded.answer.errors)
            assert least <= recorded.statements - planned(way) <= most

    @pytest.mark.parametrize("path", CONNECTIONS)
    async def test_counting_a_list_is_one_statement_more(
        self, gateway: Gateway, known: Known, path: tuple[Edge, ...]
    ) -> None:
        """A page with its edges is one statement, totalCount another, for all parents at once."""
        page = PAGE.format(id_selection(path[-1].target))
        for size in (5, 50):
            plain = await run(gateway, known, path, size, beside=page)
            counted = await run(gateway, known, path, size, beside=f"{page} totalCount")
            assert (plain.statements, counted.statements) == (planned(path), planned(path) + 1)

    @pytest.mark.parametrize("path", AGGREGATED)
    async def test_groups_of_a_list_are_one_statement_more(
        self, gateway: Gateway, known: Known, path: tuple[Edge, ...]
    ) -> None:
        """Groups are one statement for all parents at once, and the only one without a page."""
        groups = "aggregates { __typename count sum { __typename } }"
        for size in (5, 50):
            beside = await run(gateway, known, path, size, beside=groups)
            assert beside.statements == planned(path) + 1
            counted = await run(gateway, known, path, size, beside=f"{groups} totalCount")
            assert counted.statements == planned(path) + 2

    @pytest.mark.parametrize(("root", "edge"), PAYLOADS)
    async def test_payloads_read_in_one_statement(
        self, own_gateway: Gateway, root: Edge, edge: Edge
    ) -> None:
        """What a mutation changed is read in one statement per field, however many lines it had."""
        known = await known_rows(own_gateway.owner)
        few, many = [await run(own_gateway, known, (root, edge), size) for size in (5, 50)]
        if str(edge) in SINGLE:
            assert parents(few) == parents(many) > 0
        else:
            assert (parents(few), parents(many)) == (5, 50)
        assert few.statements == many.statements == planned((root, edge))


class TestCoverage:
    """No field escapes."""

    @pytest.mark.parametrize("edge", [pytest.param(e, id=str(e)) for e in EDGES])
    def test_every_field_below_the_root_has_a_plan(self, edge: Edge) -> None:
        """Only a field with a plan can be batched, counted and compiled."""
        assert edge.statements >= 1 or edge.is_held

    def test_every_field_is_run_with_several_parents(self) -> None:
        """A field that no list leads to is a case of its own, or listed with a reason."""
        run_here = {str(case.values[1]) for case in (*CASES, *PAYLOADS)}
        run_here |= {str(e) for e in EDGES if e.is_held or e.is_aggregates}
        assert {str(e) for e in EDGES} - run_here <= set(SINGLE)
        assert len(AGGREGATED) > sum(e.is_aggregates for e in EDGES)
        assert set(SINGLE) <= {str(e) for e in EDGES}, "a reason is left over"

    def test_every_root_function_says_what_it_takes(self) -> None:
        """Root fields answered by a function of their own are all listed, and no other."""
        functions = {
            str(root)
            for root in root_fields("Query", "Mutation")
            if root.plan is None or isinstance(root.plan, FetchPlan | ChoicePlan)
        }
        assert functions == set(STATEMENTS_OF_ROOTS)

    async def test_the_law_can_be_broken(
        self, own_gateway: Gateway, known: Known, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A relation that reads once per parent is found out, by a gateway without plans yet."""
        together = Relation.rows

        async def one_by_one(
            self: Relation, reads: Any, keys: Sequence[Any], columns: Any, arguments: Any
        ) -> list[Any]:
            found = [await together(self, reads, [key], columns, arguments) for key in keys]
            return [row for rows in found for row in rows]

        monkeypatch.setattr(Relation, "rows", one_by_one)
        edge = Edge("Product", "availability")
        with pytest.raises(AssertionError):
            await check_batching(own_gateway, known, ways_to("Product")[0], edge)
