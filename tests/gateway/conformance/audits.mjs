// Runs the server audits of graphql-http and prints one JSON object per audit.
import { serverAudits } from 'graphql-http';

const [url, authorization] = process.argv.slice(2);

const fetchFn = (target, init = {}) =>
  fetch(target, { ...init, headers: { ...init.headers, authorization } });

for (const audit of serverAudits({ url, fetchFn })) {
  const { id, name, status, reason } = await audit.fn();
  console.log(JSON.stringify({ id, name, status, reason }));
}
