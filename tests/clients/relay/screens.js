import { graphql } from 'relay-runtime';
graphql`
  query OrdersScreenQuery($first: Int!, $after: String) {
    ...Orders_list @arguments(first: $first, after: $after)
  }
`;
graphql`
  fragment Orders_list on Query @argumentDefinitions(first: {type: "Int!"}, after: {type: "String"}) @refetchable(queryName: "OrdersListQuery") {
    salesOrders(first: $first, after: $after, filter: { states: [CONFIRMED] }) @connection(key: "Orders_salesOrders") {
      edges { cursor node { id number total { amount currency } ...Order_lines } }
      pageInfo { hasNextPage endCursor }
    }
  }
`;
graphql`
  fragment Order_lines on SalesOrder @refetchable(queryName: "OrderLinesQuery") {
    id
    lines { seq qty product { id sku } }
  }
`;
graphql`
  fragment Partner_orders on Partner @argumentDefinitions(count: {type: "Int", defaultValue: 10}, cursor: {type: "String"}) @refetchable(queryName: "PartnerOrdersQuery") {
    orders(first: $count, after: $cursor) @connection(key: "Partner_orders") {
      edges { node { id number } }
    }
  }
`;
graphql`
  mutation AdjustStockMutation($key: String!, $lines: [StockAdjustmentInput!]!) {
    adjustStock(idempotencyKey: $key, lines: $lines) {
      levels { id available }
      userErrors { code message path }
    }
  }
`;
graphql`
  subscription StockSubscription($filter: StockChangeFilter) {
    stockChanged(filter: $filter) { ... on StockChange { seq available level { id onHand } } }
  }
`;
