"""Use the generated client against a running server; prints what it understood, as JSON.

Runs with the Python that ariadne-codegen was installed for: `use.py ADDRESS TOKEN`.
"""

import asyncio
import json
import sys
from typing import Any

from erp_client import Client  # type: ignore[import-not-found]


async def main() -> None:
    """Ask typed questions, and tell what came back."""
    address, token = sys.argv[1:]
    told: dict[str, Any] = {}
    async with Client(url=address, headers={"Authorization": f"Bearer {token}"}) as client:
        page = await client.order_page(number="SO-2026-000001")
        told["order"] = page.sales_order.number
        told["lines"] = [line.product.sku for line in page.sales_order.lines]
        told["total"] = page.sales_order.total.amount
        told["actions"] = [str(action.value) for action in page.sales_order.available_actions]
        review = await client.bill_review()
        told["bills"] = [node.document.filename for node in review.extractions.nodes]
        operations = await client.operations()
        told["pools"] = [pool.pool for pool in operations.ops.pools]
    sys.stdout.write(json.dumps(told))


asyncio.run(main())
