"""Listen to a stream with gql past the end of its token; prints what it was told.

Runs with the Python that gql was installed for: `renew.py ADDRESS COUNT`, which prints "ready" and
then reads the tokens, the first of which may end soon, as a list on one line.
"""

import asyncio
import json
import sys
from typing import Any

from gql import Client, gql  # type: ignore[import-not-found]
from gql.transport.websockets import WebsocketsTransport  # type: ignore[import-not-found]

CHANGES = """
subscription Changes { stockChanged(after: "0") { ... on StockChange { seq } } }
"""


async def renew(transport: WebsocketsTransport, token: str) -> None:
    """Present a new token whenever the server says that the one before ends."""
    while True:
        await transport.ping_received.wait()
        transport.ping_received.clear()
        if "tokenExpiresAt" in (transport.payloads.get("ping") or {}):
            await transport.send_ping({"Authorization": f"Bearer {token}"})


async def main() -> None:
    """Listen on one connection."""
    address, count = sys.argv[1:]
    sys.stdout.write('"ready"\n')
    sys.stdout.flush()
    first, second = json.loads(await asyncio.to_thread(sys.stdin.readline))
    told: list[Any] = []
    transport = WebsocketsTransport(url=address, init_payload={"Authorization": f"Bearer {first}"})
    async with Client(transport=transport) as session:
        renewing = asyncio.create_task(renew(transport, second))
        async for result in session.subscribe(gql(CHANGES)):
            told.append(result["stockChanged"]["seq"])
            if len(told) == int(count):
                break
        renewing.cancel()
    sys.stdout.write(json.dumps(told) + "\n")


asyncio.run(main())
