// Mercurius with its JIT and one loader per relation, as its documentation recommends.
import Fastify from "fastify";
import mercurius from "mercurius";
import pg from "pg";

const [host, database, user, company, role, poolSize] = process.argv.slice(2);
for (const oid of [20, 1082, 1700]) pg.types.setTypeParser(oid, (text) => text);
pg.types.setTypeParser(20, Number);
const pool = new pg.Pool({
  host,
  database,
  user,
  max: Number(poolSize),
  options: `-c role=${role} -c app.company_id=${company} -c app.partner_id= -c jit=off -c timezone=UTC`,
});
const rows = async (name, text, values) => (await pool.query({ name, text, values })).rows;

const schema = `
  type Subscription { stockChanged(filter: StockChangeFilter): StockChange! }
  input StockChangeFilter { productIds: [ID!] }
  type StockChange {
    seq: String! cause: String! previousAvailable: String! available: String! onHand: String!
  }
  type Query {
    product(id: ID!): Product
    salesOrder(number: String!): SalesOrder
    salesOrders(first: Int, filter: SalesOrderFilter): SalesOrders!
    products(first: Int, after: String): Products!
  }
  scalar Date
  input DateRange { from: Date to: Date }
  input SalesOrderFilter { placedOn: DateRange }
  type SalesOrders { nodes: [SalesOrder!]! }
  type Products { nodes: [Product!]! }
  type Money { amount: String! currency: String! }
  type SalesOrder {
    id: ID! number: String! state: String! placedOn: Date! total: Money!
    partner: Partner lines: [SalesOrderLine!]!
  }
  type Partner { code: String! name: String! }
  type SalesOrderLine { seq: Int! qty: String! unitPrice: Money! net: Money! product: Product }
  type Product {
    id: ID! sku: String! name: String! barcode: String kind: String! tracking: String!
    weightKg: String listPrice: Money! category: Category availability: [StockLevel!]!
  }
  type Category { name: String! }
  type StockLevel { onHand: String! reserved: String! available: String! warehouse: Warehouse }
  type Warehouse { code: String! name: String! }
`;

const key = (id) => Number(Buffer.from(id, "base64url").toString().split(":")[1]);
const gid = (type, id) => Buffer.from(`${type}:${id}`).toString("base64url");
const ORDER = "id, number, state, placed_on, total, currency, partner_id";
const PRODUCT =
  "id, sku, name, barcode, kind, tracking, weight_kg, list_price, list_currency, category_id";
const order = (r) => ({ ...r, placedOn: r.placed_on, total: money(r.total, r.currency) });
const product = (r) => ({
  ...r,
  key: r.id,
  id: gid("Product", r.id),
  weightKg: r.weight_kg,
  listPrice: money(r.list_price, r.list_currency),
});
const money = (amount, currency) => ({ amount, currency });

const resolvers = {
  Query: {
    product: async (_, { id }) => {
      const [found] = await rows("product", `select ${PRODUCT} from product where id = $1`, [key(id)]);
      return found && product(found);
    },
    salesOrder: async (_, { number }) => {
      const text = `select ${ORDER} from sales_order where number = $1`;
      const [found] = await rows("order", text, [number]);
      return found && order(found);
    },
    salesOrders: async (_, { first, filter }) => {
      const text = `select ${ORDER} from sales_order where placed_on <= $1
        order by placed_on desc, id desc limit $2`;
      return { nodes: (await rows("orders", text, [filter.placedOn.to, first])).map(order) };
    },
    products: async (_, { first, after }) => {
      const [, sku, id] = JSON.parse(Buffer.from(after, "base64url"));
      const text = `select ${PRODUCT} from product where archived_at is null
        and (sku, id) > ($1, $2) order by sku, id limit $3`;
      return { nodes: (await rows("products", text, [sku, id, first])).map(product) };
    },
  },
  Subscription: {
    stockChanged: {
      subscribe: mercurius.withFilter(
        (_, __, { pubsub }) => pubsub.subscribe("stock.changed"),
        ({ stockChanged }, { filter }) =>
          !filter?.productIds || filter.productIds.some((id) => key(id) === stockChanged.productId),
      ),
    },
  },
};

// one statement for all parents of a level
const one = (name, text, from, make = (r) => r) => async (queries) => {
  const keys = queries.map(({ obj }) => from(obj));
  const found = new Map((await rows(name, text, [[...new Set(keys)]])).map((r) => [r.id, make(r)]));
  return keys.map((k) => found.get(k) ?? null);
};
const many = (name, text, from, make) => async (queries) => {
  const keys = queries.map(({ obj }) => from(obj));
  const found = new Map(keys.map((k) => [k, []]));
  for (const r of await rows(name, text, [keys])) found.get(r.parent).push(make(r));
  return keys.map((k) => found.get(k));
};
const loaders = {
  SalesOrder: {
    partner: one("partners", "select id, code, name from partner where id = any($1)", (o) => o.partner_id),
    lines: many(
      "lines",
      `select order_id as parent, position as seq, quantity as qty, unit_price, net, currency,
       product_id from sales_order_line where order_id = any($1) order by order_id, position`,
      (o) => o.id,
      (r) => ({ ...r, unitPrice: money(r.unit_price, r.currency), net: money(r.net, r.currency) }),
    ),
  },
  SalesOrderLine: {
    product: one(
      "products of lines",
      `select ${PRODUCT} from product where id = any($1)`,
      (l) => l.product_id,
      product,
    ),
  },
  Product: {
    category: one(
      "categories",
      "select id, name from product_category where id = any($1)",
      (p) => p.category_id,
    ),
    availability: many(
      "levels",
      `select product_id as parent, on_hand as "onHand", reserved, on_hand - reserved as available,
       warehouse_id from stock_level where product_id = any($1) order by product_id, warehouse_id`,
      (p) => p.key,
      (r) => r,
    ),
  },
  StockLevel: {
    warehouse: one(
      "warehouses",
      "select id, code, name from warehouse where id = any($1)",
      (l) => l.warehouse_id,
    ),
  },
};
for (const fields of Object.values(loaders))
  for (const [name, loader] of Object.entries(fields))
    // rows change between requests: batched, never cached beyond one
    fields[name] = { loader, opts: { cache: false } };

const app = Fastify();
app.register(mercurius, {
  schema,
  resolvers,
  loaders,
  jit: 1,
  graphiql: false,
  subscription: true,
});
app.post("/events", (request, reply) => {
  const payload = { stockChanged: request.body };
  app.graphql.pubsub.publish({ topic: "stock.changed", payload }, () => reply.code(204).send());
});
await app.listen({ port: 0, host: "127.0.0.1" });
console.log(app.server.address().port);
process.on("SIGTERM", () => process.exit(0));
