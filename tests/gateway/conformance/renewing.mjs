// Follows a stream past the end of its token with the reference clients, each by the recipe of
// docs/clients/subscriptions.md. Prints `"ready"`, reads both tokens, which may be short-lived, and
// prints what each was told, once it has so many.
import { createInterface } from 'node:readline/promises';
import { createClient as createSseClient } from 'graphql-sse';
import { createClient as createSocketClient } from 'graphql-ws';
import WebSocket from 'ws';

const [address, company, query, count] = process.argv.slice(2);
console.log(JSON.stringify('ready'));
const input = createInterface({ input: process.stdin });
const [first, second] = JSON.parse(await new Promise((resolve) => input.once('line', resolve)));
input.close();
const request = () => ({ query, variables: { after: '0' } });

const follow = (transport, client, found) =>
  new Promise((resolve, reject) => {
    const told = [];
    const asked = request();
    const end = client.subscribe(asked, {
      next: ({ errors, extensions }) => {
        if (errors) return reject(new Error(JSON.stringify(errors)));
        asked.variables.after = extensions.seq;
        if (told.push(extensions.seq) !== Number(count)) return;
        console.log(JSON.stringify({ transport, told, ...found }));
        end();
        resolve(client.dispose());
      },
      error: reject,
      complete: () => reject(new Error(`${transport} completed`)),
    });
  });

const overSocket = () => {
  const found = { connections: 0, renewed: [] };
  let token = first;
  let socket;
  const client = createSocketClient({
    url: address.replace('http', 'ws'),
    webSocketImpl: WebSocket,
    retryAttempts: 0,
    connectionParams: () => ({ Authorization: `Bearer ${token}`, 'X-Company': company }),
    on: {
      opened: (opened) => {
        found.connections += 1;
        socket = opened;
      },
      ping: async (received, payload) => {
        if (!received || !payload?.tokenExpiresAt) return;
        token = await Promise.resolve(second);
        socket.send(JSON.stringify({ type: 'ping', payload: { Authorization: `Bearer ${token}` } }));
      },
      pong: (received, payload) => {
        if (received && payload?.tokenExpiresAt) found.renewed.push(payload);
      },
    },
  });
  return follow('ws', client, found);
};

const overStreams = (transport, options) => {
  const found = { connections: 0 };
  const client = createSseClient({
    url: address,
    headers: () => {
      const token = found.connections ? second : first;
      found.connections += 1;
      return { Authorization: `Bearer ${token}`, 'X-Company': company };
    },
    ...options,
  });
  return follow(transport, client, found);
};

await Promise.all([overSocket(), overStreams('sse', {})]);
