"""The plan of a document as `python -m gateway explain` shows it."""

from gateway.explain import explain_document
from gateway.settings import Settings
from tests.fixtures.gateway import EVERY_PERMISSION

ORDERS = """
query Orders { salesOrders(first: 5) { totalCount nodes { number lines { product { sku } } } } }
"""


def explained(text: str, permissions: frozenset[str] = EVERY_PERMISSION) -> list[str]:
    """Return the explanation of a document."""
    return list(explain_document(text, Settings(), permissions=permissions))


def test_a_query_is_a_tree_of_statements() -> None:
    """Each level says where its rows come from and which columns it reads."""
    assert explained(ORDERS) == [
        "query Orders, cost 56",
        "  4 statements",
        "  salesOrders: page of salesOrders reads id, number, and their number",
        "    lines: SalesOrderLinesByOrderId by id reads product_id",
        "      product: ProductById by product_id reads sku",
    ]


def test_masked_fields_are_named_and_not_read() -> None:
    """What the caller may not see is no column of any statement."""
    text = "{ products(first: 1) { nodes { sku ofCompany { standardCost saleOk } } } }"
    lines = explained(text, EVERY_PERMISSION - {"cost.read"})
    assert "    ofCompany: ProductOfCompanyByProductId by id reads sale_ok" in lines
    assert lines[-1].startswith("  masked: products.nodes.ofCompany.standardCost")


def test_below_root_fields_of_mutations_and_subscriptions() -> None:
    """The root field is a function of its own; what it leads to has a plan."""
    text = """
        mutation Adjust {
          done: adjustStock(idempotencyKey: "k", lines: []) { levels { product { sku } } }
        }
        subscription Watch { stockChanged { ... on StockChange { available level { onHand } } } }
    """
    assert explained(text) == [
        "mutation Adjust, cost 30",
        "  done: its own function",
        "    2 statements",
        "    levels: StockLevelById by level_ids reads product_id",
        "      product: ProductById by product_id reads sku",
        "subscription Watch, cost 2",
        "  stockChanged: its own function",
        "    StockChange:",
        "      1 statement",
        "      level: StockLevelById by level_id reads on_hand",
    ]


def test_what_is_not_compiled_says_why() -> None:
    """Introspection runs ordinarily."""
    assert explained("{ __schema { types { name } } }")[-1].startswith("  not compiled: __schema")


def test_mistakes_and_excesses_are_told() -> None:
    """A document that would be refused is refused here too."""
    assert explained("{ nothing }")[0].startswith("invalid: Cannot query field 'nothing'")
    assert explained("{ " + "me { name } " * 3000 + "}")[0].startswith("refused: ")


def test_the_code_that_runs_a_plan_is_shown() -> None:
    """The source stands behind the levels it fetches and puts together."""
    lines = list(explain_document(ORDERS, Settings(), permissions=EVERY_PERMISSION, source=True))
    assert lines[: len(explained(ORDERS))] == explained(ORDERS)
    source = [line.removeprefix("  ") for line in lines[len(explained(ORDERS)) :]]
    compile("\n".join(source), "<plan>", "exec")
    assert source[0].startswith("async def run(")
