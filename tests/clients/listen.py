"""Listen to a stream with gql, Python's GraphQL client, and resume it; prints what it was told.

Runs with the Python that gql was installed for: `listen.py ADDRESS TOKEN COUNT`.
"""

import asyncio
import json
import sys
from typing import Any

from gql import Client, gql  # type: ignore[import-not-found]
from gql.transport.exceptions import TransportQueryError  # type: ignore[import-not-found]
from gql.transport.websockets import WebsocketsTransport  # type: ignore[import-not-found]

CHANGES = """
subscription Changes($after: String) {
  stockChanged(after: $after) { ... on StockChange { seq } }
}
"""


async def main() -> None:
    """Listen twice, the second time after the place the first time came to."""
    address, token, count = sys.argv[1:]
    told: dict[str, Any] = {"seqs": [], "sessions": 0}
    after = "0"
    while len(told["seqs"]) < int(count):
        # a session for each half
        half = min(int(count), len(told["seqs"]) + int(count) // 2)
        transport = WebsocketsTransport(
            url=address, init_payload={"Authorization": f"Bearer {token}"}
        )
        told["sessions"] += 1
        async with Client(transport=transport) as session:
            request = gql(CHANGES)
            request.variable_values = {"after": after}
            async for result in session.subscribe(request, get_execution_result=True):
                told["seqs"].append(result.data["stockChanged"]["seq"])
                after = result.extensions["seq"]
                if len(told["seqs"]) == half:
                    break
            try:
                async for _ in session.subscribe(gql("subscription { nothing }")):
                    pass
            except TransportQueryError as refused:
                told["refused"] = refused.errors[0]["extensions"]["code"]
    sys.stdout.write(json.dumps(told))


asyncio.run(main())
