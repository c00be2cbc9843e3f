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

const turns = (change) => {
  let made = 0;
  return { next: () => change(addresses[made++ % addresses.length]), made: () => made };
};

const sockets = turns((address) => address.replace('http', 'ws'));
const streams = turns((address) => address);
const shared = turns((address) => address);
await Promise.all([
  follow(
    'ws',
    createSocketClient({
      url: sockets.next,
      webSocketImpl: WebSocket,
      connectionParams: headers,
      retryAttempts: 100,
      retryWait: wait,
      shouldRetry: () => true,
    }),
    sockets.made,
  ),
  follow(
    'sse',
    createSseClient({ url: streams.next, headers, retryAttempts: 100, retry: wait }),
    streams.made,
  ),
  follow(
    'sse, one connection',
    createSseClient({
      url: shared.next,
      headers,
      singleConnection: true,
      retryAttempts: 100,
      retry: wait,
    }),
    shared.made,
  ),
]);
