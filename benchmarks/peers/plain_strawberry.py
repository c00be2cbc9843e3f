"""Strawberry as its documentation teaches it: ORM models, resolvers, one DataLoader per relation.

What it should have, it has: parser and validation caches, loaders made for each request, a session
for each batch. It knows no caller, no permission and no limit.
``python -m benchmarks.peers.plain_strawberry CORE COMPANY_ID``, with the gateway's settings.
"""

import asyncio
import json
import sys
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import date
from decimal import Decimal
from typing import Annotated, Any

import strawberry
import uvicorn
from sqlalchemy import ForeignKey, Select, make_url, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import WebSocketRoute
from strawberry.asgi import GraphQL
from strawberry.dataloader import DataLoader
from strawberry.extensions import ParserCache, ValidationCache

from benchmarks.serving import announce, pin
from gateway.server import bind
from gateway.settings import Settings
from resolvers.core.principal import STAFF_ROLE


class Base(DeclarativeBase):
    """The tables."""


class ProductRow(Base):
    """A row of `product`."""

    __tablename__ = "product"
    id: Mapped[int] = mapped_column(primary_key=True)
    sku: Mapped[str]
    name: Mapped[str]
    barcode: Mapped[str | None]
    kind: Mapped[str]
    tracking: Mapped[str]
    weight_kg: Mapped[Decimal | None]
    list_price: Mapped[Decimal]
    list_currency: Mapped[str]
    category_id: Mapped[int] = mapped_column(ForeignKey("product_category.id"))
    archived_at: Mapped[str | None]


class CategoryRow(Base):
    """A row of `product_category`."""

    __tablename__ = "product_category"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class PartnerRow(Base):
    """A row of `partner`."""

    __tablename__ = "partner"
    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str]
    name: Mapped[str]


class OrderRow(Base):
    """A row of `sales_order`."""

    __tablename__ = "sales_order"
    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[str]
    state: Mapped[str]
    placed_on: Mapped[date]
    total: Mapped[Decimal]
    currency: Mapped[str]
    partner_id: Mapped[int] = mapped_column(ForeignKey("partner.id"))


class LineRow(Base):
    """A row of `sales_order_line`."""

    __tablename__ = "sales_order_line"
    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("sales_order.id"))
    position: Mapped[int]
    quantity: Mapped[Decimal]
    unit_price: Mapped[Decimal]
    net: Mapped[Decimal]
    currency: Mapped[str]
    product_id: Mapped[int] = mapped_column(ForeignKey("product.id"))


class LevelRow(Base):
    """A row of `stock_level`."""

    __tablename__ = "stock_level"
    id: Mapped[int] = mapped_column(primary_key=True)
    product_id: Mapped[int] = mapped_column(ForeignKey("product.id"))
    warehouse_id: Mapped[int] = mapped_column(ForeignKey("warehouse.id"))
    on_hand: Mapped[Decimal]
    reserved: Mapped[Decimal]


class WarehouseRow(Base):
    """A row of `warehouse`."""

    __tablename__ = "warehouse"
    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str]
    name: Mapped[str]


class Loaders:
    """The loaders of one request; each batch is a session of its own."""

    def __init__(self, sessions: "async_sessionmaker[AsyncSession]") -> None:
        self.sessions = sessions
        self.products = self._one(ProductRow)
        self.categories = self._one(CategoryRow)
        self.partners = self._one(PartnerRow)
        self.warehouses = self._one(WarehouseRow)
        self.lines = self._many(LineRow, LineRow.order_id, LineRow.position)
        self.levels = self._many(LevelRow, LevelRow.product_id, LevelRow.warehouse_id)

    async def all(self, statement: Select[Any]) -> Sequence[Any]:
        """Return what a statement finds."""
        async with self.sessions() as session:
            return (await session.scalars(statement)).all()

    def _one(self, model: Any) -> DataLoader[int, Any]:
        async def load(keys: list[int]) -> list[Any]:
            found = {row.id: row for row in await self.all(select(model).where(model.id.in_(keys)))}
            return [found.get(key) for key in keys]

        return DataLoader(load)

    def _many(self, model: Any, parent: Any, order: Any) -> DataLoader[int, list[Any]]:
        async def load(keys: list[int]) -> list[list[Any]]:
            found: dict[int, list[Any]] = {key: [] for key in keys}
            for row in await self.all(select(model).where(parent.in_(keys)).order_by(order)):
                found[getattr(row, parent.key)].append(row)
            return [found[key] for key in keys]

        return DataLoader(load)


Info = strawberry.Info[dict[str, Any], None]


def loaders(info: Info) -> Loaders:
    """Return the loaders of the request."""
    found: Loaders = info.context["loaders"]
    return found


@strawberry.type
class Money:
    """An amount."""

    amount: Decimal
    currency: str


@strawberry.type
class Category:
    """A category."""

    name: str


@strawberry.type
class Warehouse:
    """A warehouse."""

    code: str
    name: str


@strawberry.type
class StockLevel:
    """A stock level."""

    row: strawberry.Private[LevelRow]

    @strawberry.field
    def on_hand(self) -> Decimal:
        """On hand."""
        return self.row.on_hand

    @strawberry.field
    def reserved(self) -> Decimal:
        """Reserved."""
        return self.row.reserved

    @strawberry.field
    def available(self) -> Decimal:
        """On hand and not reserved."""
        return self.row.on_hand - self.row.reserved

    @strawberry.field
    async def warehouse(self, info: Info) -> Warehouse:
        """The warehouse."""
        row = await loaders(info).warehouses.load(self.row.warehouse_id)
        return Warehouse(code=row.code, name=row.name)


@strawberry.type
class Product:
    """A product."""

    row: strawberry.Private[ProductRow]
    sku: str
    name: str
    barcode: str | None
    kind: str
    tracking: str
    weight_kg: Decimal | None

    @strawberry.field
    def id(self) -> strawberry.ID:
        """The global id."""
        encoded = urlsafe_b64encode(f"Product:{self.row.id}".encode()).decode()
        return strawberry.ID(encoded.rstrip("="))

    @strawberry.field
    def list_price(self) -> Money:
        """The price."""
        return Money(amount=self.row.list_price, currency=self.row.list_currency)

    @strawberry.field
    async def category(self, info: Info) -> Category:
        """The category."""
        return Category(name=(await loaders(info).categories.load(self.row.category_id)).name)

    @strawberry.field
    async def availability(self, info: Info) -> list[StockLevel]:
        """The stock in each warehouse."""
        return [StockLevel(row=row) for row in await loaders(info).levels.load(self.row.id)]


def product(row: ProductRow) -> Product:
    """Return a product of a row."""
    return Product(
        row=row,
        sku=row.sku,
        name=row.name,
        barcode=row.barcode,
        kind=row.kind,
        tracking=row.tracking,
        weight_kg=row.weight_kg,
    )


@strawberry.type
class Partner:
    """A partner."""

    code: str
    name: str


@strawberry.type
class SalesOrderLine:
    """A line."""

    row: strawberry.Private[LineRow]

    @strawberry.field
    def seq(self) -> int:
        """The position."""
        return self.row.position

    @strawberry.field
    def qty(self) -> Decimal:
        """The quantity."""
        return self.row.quantity

    @strawberry.field
    def unit_price(self) -> Money:
        """The price of one."""
        return Money(amount=self.row.unit_price, currency=self.row.currency)

    @strawberry.field
    def net(self) -> Money:
        """The amount."""
        return Money(amount=self.row.net, currency=self.row.currency)

    @strawberry.field
    async def product(self, info: Info) -> Product:
        """The product."""
        return product(await loaders(info).products.load(self.row.product_id))


@strawberry.type
class SalesOrder:
    """An order."""

    row: strawberry.Private[OrderRow]
    number: str
    state: str
    placed_on: date

    @strawberry.field
    def total(self) -> Money:
        """The amount to pay."""
        return Money(amount=self.row.total, currency=self.row.currency)

    @strawberry.field
    async def partner(self, info: Info) -> Partner:
        """The customer."""
        row = await loaders(info).partners.load(self.row.partner_id)
        return Partner(code=row.code, name=row.name)

    @strawberry.field
    async def lines(self, info: Info) -> list[SalesOrderLine]:
        """The lines."""
        return [SalesOrderLine(row=row) for row in await loaders(info).lines.load(self.row.id)]


def order(row: OrderRow) -> SalesOrder:
    """Return an order of a row."""
    return SalesOrder(row=row, number=row.number, state=row.state, placed_on=row.placed_on)


@strawberry.type
class SalesOrders:
    """A page of orders."""

    nodes: list[SalesOrder]


@strawberry.type
class Products:
    """A page of products."""

    nodes: list[Product]


@strawberry.input
class DateRange:
    """A range of dates."""

    to: date


@strawberry.input
class SalesOrderFilter:
    """A filter."""

    placed_on: DateRange


@strawberry.type
class Query:
    """The root fields that the shapes use."""

    @strawberry.field
    async def product(
        self, info: Info, id_: Annotated[strawberry.ID, strawberry.argument(name="id")]
    ) -> Product | None:
        """One product."""
        key = int(urlsafe_b64decode(id_ + "==").partition(b":")[2])
        row = await loaders(info).products.load(key)
        return product(row) if row else None

    @strawberry.field
    async def sales_order(self, info: Info, number: str) -> SalesOrder | None:
        """One order."""
        rows = await loaders(info).all(select(OrderRow).where(OrderRow.number == number))
        return order(rows[0]) if rows else None

    @strawberry.field
    async def sales_orders(
        self,
        info: Info,
        first: int,
        which: Annotated[SalesOrderFilter, strawberry.argument(name="filter")],
    ) -> SalesOrders:
        """The newest orders."""
        statement = (
            select(OrderRow)
            .where(OrderRow.placed_on <= which.placed_on.to)
            .order_by(OrderRow.placed_on.desc(), OrderRow.id.desc())
            .limit(first)
        )
        return SalesOrders(nodes=[order(row) for row in await loaders(info).all(statement)])

    @strawberry.field
    async def products(self, info: Info, first: int, after: str) -> Products:
        """The products behind one."""
        _, sku, key = json.loads(urlsafe_b64decode(after + "=="))
        statement = (
            select(ProductRow)
            .where(ProductRow.archived_at.is_(None))
            .where(tuple_(ProductRow.sku, ProductRow.id) > tuple_(sku, key))
            .order_by(ProductRow.sku, ProductRow.id)
            .limit(first)
        )
        return Products(nodes=[product(row) for row in await loaders(info).all(statement)])


@strawberry.input
class StockChangeFilter:
    """A filter."""

    product_ids: list[strawberry.ID] | None = None


@strawberry.type
class StockChange:
    """A change of stock."""

    seq: str
    cause: str
    previous_available: str
    available: str
    on_hand: str


LISTENING: set[asyncio.Queue[dict[str, Any]]] = set()
"""What subscribers still have to be told: a queue each."""


@strawberry.type
class Subscription:
    """The root field that streams use."""

    @strawberry.subscription
    async def stock_changed(
        self,
        info: Info,
        which: Annotated[StockChangeFilter | None, strawberry.argument(name="filter")] = None,
    ) -> AsyncGenerator[StockChange, None]:
        """Changes as they are handed over."""
        del info
        ids = which and which.product_ids
        wanted = ids and {int(urlsafe_b64decode(id_ + "==").partition(b":")[2]) for id_ in ids}
        queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        LISTENING.add(queue)
        try:
            while True:
                told = await queue.get()
                if not wanted or told["productId"] in wanted:
                    yield StockChange(
                        seq=told["seq"],
                        cause=told["cause"],
                        previous_available=told["previousAvailable"],
                        available=told["available"],
                        on_hand=told["onHand"],
                    )
        finally:
            LISTENING.discard(queue)


async def take_event(request: Request) -> Response:
    """Tell whoever listens of an event."""
    told = await request.json()
    for queue in LISTENING:
        queue.put_nowait(told)
    return Response(status_code=204)


class Endpoint(GraphQL[dict[str, Any], None]):
    """Strawberry's own view, with loaders for each request."""

    make: Callable[[], Loaders]

    async def get_context(self, request: Any, response: Any) -> dict[str, Any]:
        """Return the context of one request."""
        return {"request": request, "response": response, "loaders": self.make()}


def main(core: int, company_id: int) -> None:
    """Serve until stopped."""
    pin(core)
    settings = Settings()
    assert settings.serving_database_url is not None
    url = make_url(settings.serving_database_url.get_secret_value())
    engine = create_async_engine(
        url.set(drivername="postgresql+asyncpg"),
        pool_size=settings.read_pool_size,
        connect_args={
            "server_settings": {
                "role": STAFF_ROLE,
                "app.company_id": str(company_id),
                "app.partner_id": "",
                "jit": "off",
                "timezone": "UTC",
            }
        },
    )
    sessions = async_sessionmaker(engine, expire_on_commit=False)
    caches = [ParserCache(), ValidationCache()]
    schema = strawberry.Schema(Query, subscription=Subscription, extensions=caches)
    endpoint = Endpoint(schema)
    endpoint.make = lambda: Loaders(sessions)
    app = Starlette(lifespan=_closing(engine.dispose))
    app.add_route("/graphql", endpoint)
    app.routes.append(WebSocketRoute("/graphql", endpoint))
    app.add_route("/events", take_event, methods=["POST"])
    listener = bind(settings)
    announce(listener)
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        ws="websockets-sansio",
        log_config=None,
        access_log=False,
    )
    uvicorn.Server(config).run([listener])


def _closing(close: Callable[[], Any]) -> Any:
    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        await close()

    return lifespan


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
