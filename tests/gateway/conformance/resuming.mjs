// Follows a stream with the reference clients of both protocols, over gateways that end. They
// connect again by themselves, to the next address, and repeat their request: its variables hold
// the last place they were told of. Prints what each was told, once it has so many.
import { createClient as createSseClient } from 'graphql-sse';
import { createClient as createSocketClient } from 'graphql-ws';
import WebSocket from 'ws';

const [addresses, headers, query, count] = process.argv.slice(2).map((text, at) =>
  at === 2 ? text : JSON.parse(text),
);
const wait = () => new Promise((resolve) => setTimeout(resolve, 50));

const follow = (transport, client, connections) =>
  new Promise((resolve, reject) => {
    const told = [];
    const variables = { after: '0' };
    const end = client.subscribe(
      { query, variables },
      {
        next: ({ data, errors }) => {
          if (errors) return reject(new Error(JSON.stringify(errors)));
          variables.after = data.stockChanged.seq;
          if (told.push(variables.after) === count) {
            console.log(JSON.stringify({ transport, told, connections: connections() }));
            end();
            resolve(client.dispose());
          }
        },
        error: reject,
        complete: () => {},
      },
    );
  });

// A client stays where it is until it has to connect again: one connection has several requests.
const turns = (change) => {
  let at = 0;
  return {
    here: () => change(addresses[at % addresses.length]),
    again: () => {
      at += 1;
      return wait();
    },
    made: () => at + 1,
  };
};

const sockets = turns((address) => address.replace('http', 'ws'));
const streams = turns((address) => address);
const shared = turns((address) => address);
await Promise.all([
  follow(
    'ws',
    createSocketClient({
      url: sockets.here,
      webSocketImpl: WebSocket,
      connectionParams: headers,
      retryAttempts: 100,
      retryWait: sockets.again,
      shouldRetry: () => true,
    }),
    sockets.made,
  ),
  follow(
    'sse',
    createSseClient({
      url: streams.here,
      headers: { ...headers },
      retryAttempts: 100,
      retry: streams.again,
    }),
    streams.made,
  ),
  follow(
    'sse, one connection',
    createSseClient({
      url: shared.here,
      headers: { ...headers }, // the client writes the token of its stream into them
      singleConnection: true,
      retryAttempts: 100,
      retry: shared.again,
    }),
    shared.made,
  ),
]);
