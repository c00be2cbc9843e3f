// What is asked of the server, and how its answers are read: the state of stock, then every change.

import { documents, endpoint, session } from "./session.js";

/** The part of stock that is all of it; other parts are single warehouses, by their ids. */
const ALL = "";

/** Why the server did not answer what was asked; `signIn` where another credential is needed. */
export class Refusal extends Error {
  constructor(message, { signIn = false, company = false } = {}) {
    super(message);
    this.signIn = signIn;
    this.company = company;
  }
}

/**
 * Ask who the caller is.
 *
 * Throws a Refusal where asking again would not help, any other error where it may.
 */
export async function askWho() {
  const response = await fetch(endpoint, {
    method: "POST",
    headers: { "Content-Type": "application/json", Accept: "application/json", ...session.headers },
    body: JSON.stringify({ query: documents.me }),
    cache: "no-store",
    signal: AbortSignal.timeout(10_000),
  });
  if (response.status >= 500) throw new Error(`the server answers ${response.status}`);
  const { data, errors } = await response.json();
  const code = errors?.[0].extensions?.code;
  if (code === "UNAUTHENTICATED") throw new Refusal(errors[0].message, { signIn: true });
  if (code === "FORBIDDEN") throw new Refusal(errors[0].message, { company: true });
  if (!data) throw new Error(errors?.[0].message ?? "the server gives no answer");
  if (!data.me.permissions.includes("availability.read")) {
    throw new Refusal(`${data.me.name} may not see stock: it takes the permission availability.read.`);
  }
  return { ...data.me, company: data.company };
}

/**
 * Follow stock over the socket of `client`: all there is and what comes, or what came meanwhile.
 *
 * `places` maps each part of stock that was followed before to how far; it is empty at first, and
 * kept up to date here. `told` is called with what comes: `returning()` when the line is there again
 * and what was missed is to come; `state(levels, warehouse)`, which is all there is of a warehouse
 * or, with "", of all; `change(change, missed)`; and `ready()` once nothing is left that was missed.
 * Returns why it ended: `{close}` or `{errors}`.
 */
export async function follow(client, { places, detailed }, told) {
  const end = await followParts(client, places.size ? [...places.keys()] : [ALL], places, detailed, told);
  if (places.size || end.errors?.[0].extensions?.code !== "LIMIT_EXCEEDED") return end;
  // More than the server tells in one message: each warehouse is then told by itself.
  try {
    return await followParts(client, await warehouses(client), places, detailed, told);
  } catch (why) {
    return why.errors ? why : { close: why };
  }
}

function followParts(client, parts, places, detailed, told) {
  const ended = new Promise((end) => {
    const behind = new Set(parts);
    const resumes = parts.every((part) => places.has(part));
    client.on("connected", () => resumes && told.returning());
    for (const part of parts) {
      const take = (item, seq) => {
        places.set(part, seq);
        if (item.__typename === "StockChange") return told.change(item, behind.has(part));
        // The state stands for all that was missed; a notice says that all of it was told.
        if (item.__typename === "StockSnapshot") told.state(item.levels, part);
        behind.delete(part);
        if (!behind.size) told.ready();
      };
      const variables = { after: places.get(part), detailed };
      if (part !== ALL) variables.warehouses = [part];
      client.subscribe(
        { query: documents.stock, variables },
        {
          next: ({ data, errors, extensions }) =>
            data?.stockChanged ? take(data.stockChanged, extensions.seq) : end({ errors }),
          error: (why) => end(Array.isArray(why) ? { errors: why } : { close: why }),
          complete: () => end({ close: null }),
        },
      );
    }
  });
  return ended.finally(() => {
    // Parts that are not all known are read again from the start.
    if (!parts.every((part) => places.has(part))) places.clear();
  });
}

async function warehouses(client) {
  const ids = [];
  let page = { hasNextPage: true };
  while (page.hasNextPage) {
    const answer = await once(client, { query: documents.warehouses, variables: { after: page.endCursor } });
    ids.push(...answer.warehouses.nodes.map(({ id }) => id));
    page = answer.warehouses.pageInfo;
  }
  return ids;
}

function once(client, request) {
  return new Promise((resolve, reject) => {
    client.subscribe(request, {
      next: ({ data, errors }) => (data ? resolve(data) : reject({ errors })),
      error: (why) => reject(Array.isArray(why) ? { errors: why } : why),
      complete: () => {},
    });
  });
}
