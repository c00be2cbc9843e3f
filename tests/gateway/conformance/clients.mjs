// Subscribes with the reference clients of both streaming protocols and prints what they receive.
import { createClient as createSseClient } from 'graphql-sse';
import { createClient as createSocketClient } from 'graphql-ws';
import WebSocket from 'ws';

const [address, authorization, query, bad] = process.argv.slice(2);

const collect = (client, document) =>
  new Promise((resolve) => {
    const results = [];
    client.subscribe(
      { query: document },
      {
        next: (result) => results.push(result),
        error: (error) => resolve({ results, error: Array.isArray(error) ? error : String(error) }),
        complete: () => resolve({ results, complete: true }),
      },
    );
  });

const report = async (transport, client) => {
  const good = await collect(client, query);
  const refused = await collect(client, bad);
  const again = await collect(client, query);
  await client.dispose();
  console.log(JSON.stringify({ transport, good, refused, again }));
};

await report(
  'ws',
  createSocketClient({
    url: address.replace('http', 'ws'),
    webSocketImpl: WebSocket,
    connectionParams: { Authorization: authorization },
  }),
);
await report(
  'sse',
  createSseClient({ url: address, headers: { authorization }, retryAttempts: 0 }),
);
await report(
  'sse, one connection',
  createSseClient({
    url: address,
    headers: { authorization },
    retryAttempts: 0,
    singleConnection: true,
  }),
);
