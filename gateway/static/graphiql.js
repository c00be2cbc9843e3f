// GraphiQL, signed in, with examples. No build step: React and GraphiQL come as globals.
"use strict";

(() => {
  const h = React.createElement;
  const { useState, useEffect } = React;
  const { useEditorContext, useSchemaContext } = GraphiQL.React;
  const config = JSON.parse(document.getElementById("config").textContent);

  const AUDIENCES = {
    frontend: ["Frontend", "exactly the fields a screen needs, across modules, in one request"],
    dashboard: ["Dashboard", "what is low, and every change as it happens"],
    partner: ["Partner", "the same endpoint with an API key, and only what is theirs"],
  };

  // ---- Who is signed in: a demo account, or a token that lives as long as this tab.

  const session = {
    listeners: new Set(),
    account: null,
    token: "",

    restore() {
      if (config.accounts.length) {
        this.choose(sessionStorage.getItem("account") ?? "");
      } else {
        this.token = sessionStorage.getItem("token") ?? "";
      }
    },
    choose(name) {
      const account = config.accounts.find((a) => a.name === name) ?? config.accounts[0];
      this.account = account.name;
      sessionStorage.setItem("account", account.name);
      this.signIn(account.token);
    },
    enter(token) {
      sessionStorage.setItem("token", token);
      this.signIn(token);
    },
    signIn(token) {
      this.token = token;
      sockets.drop();
      this.listeners.forEach((listener) => listener());
    },
    get headers() {
      return this.token ? { Authorization: `Bearer ${this.token}` } : {};
    },
  };

  function useSession() {
    const [, changed] = useState(0);
    useEffect(() => {
      const listener = () => changed((n) => n + 1);
      session.listeners.add(listener);
      return () => session.listeners.delete(listener);
    }, []);
    return session;
  }

  function accountFor(role) {
    return config.accounts.find((a) => a.name === role || a.name.split(/[@-]/)[0] === role)?.name;
  }

  // ---- Requests: queries and mutations by POST, subscriptions by graphql-transport-ws.

  // One socket for the same caller and headers; another caller ends the streams of the last.
  const sockets = {
    client: null,
    key: "",

    for(headers) {
      const params = { ...session.headers, ...headers };
      const key = JSON.stringify(params);
      if (this.client && this.key === key) return this.client;
      this.drop();
      const url = new URL(config.url, location.href);
      url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
      this.client = graphqlWs.createClient({
        url: url.href,
        connectionParams: params,
        retryAttempts: 2,
      });
      this.key = key;
      return this.client;
    },
    drop() {
      this.client?.dispose();
      this.client = null;
    },
  };

  function isSubscription({ operationName }, document) {
    const operations = document?.definitions.filter((d) => d.kind === "OperationDefinition") ?? [];
    const chosen = operations.find((o) => o.name?.value === operationName) ?? operations[0];
    return chosen?.operation === "subscription";
  }

  async function post(params, headers, signal) {
    const response = await fetch(config.url, {
      method: "POST",
      headers: {
        Accept: "application/graphql-response+json, application/json;q=0.9",
        "Content-Type": "application/json",
        ...session.headers,
        ...headers,
      },
      body: JSON.stringify(params),
      credentials: "same-origin",
      signal,
    });
    const text = await response.text();
    try {
      return JSON.parse(text);
    } catch {
      return { errors: [{ message: `HTTP ${response.status}: ${text.slice(0, 500)}` }] };
    }
  }

  // One answer as an iterable, because GraphiQL's stop button ends iterables only: stopping hangs
  // up, and the server then cancels the statements of the operation.
  function stoppable(start) {
    const controller = new AbortController();
    let answer = null;
    return {
      [Symbol.asyncIterator]() {
        return this;
      },
      async next() {
        if (answer) return { done: true, value: undefined };
        answer = start(controller.signal);
        return { done: false, value: await answer };
      },
      async return() {
        controller.abort(new Error("Stopped."));
        return { done: true, value: undefined };
      },
    };
  }

  function fetcher(params, { documentAST, headers } = {}) {
    if (params.operationName === "IntrospectionQuery") return post(params, headers);
    if (!isSubscription(params, documentAST)) {
      return stoppable((signal) => post(params, headers, signal));
    }
    const live = GraphiQL.createFetcher({ url: config.url, wsClient: sockets.for(headers) });
    return live(params, { documentAST, headers });
  }

  // ---- Examples, in the sidebar.

  function openExample(editors, example) {
    const account = accountFor(example.role);
    if (account && account !== session.account) session.choose(account);
    const open = editors.tabs.findIndex((tab) => tab.query === example.query);
    if (open >= 0) {
      editors.changeTab(open);
      return;
    }
    editors.addTab();
    // The editors show the new tab after this render.
    setTimeout(() => {
      editors.queryEditor?.setValue(example.query);
      editors.variableEditor?.setValue(example.variables);
    });
  }

  function Examples() {
    const editors = useEditorContext({ nonNull: true });
    return h(
      "section",
      { className: "examples", "aria-label": "Examples" },
      h("h1", { className: "examples-title" }, "Examples"),
      h("p", null, "Each one runs as it stands: open it, then press ▶ or Ctrl-Enter."),
      Object.entries(AUDIENCES).map(([audience, [title, promise]]) => {
        const examples = config.examples.filter((e) => e.audience === audience);
        if (!examples.length) return null;
        return h(
          "div",
          { key: audience },
          h("h2", null, title),
          h("p", { className: "examples-promise" }, promise),
          examples.map((example) =>
            h(
              "button",
              {
                key: example.slug,
                type: "button",
                className: "example",
                onClick: () => openExample(editors, example),
              },
              h("strong", null, example.title, example.live && h("em", null, "live")),
              h("span", null, example.about),
              accountFor(example.role) && h("small", null, `as ${accountFor(example.role)}`),
            ),
          ),
        );
      }),
      h("h2", null, "Beside this page"),
      h(
        "ul",
        null,
        [
          ["/schema.graphql", "the schema as text"],
          ["/readyz", "can it serve, or why not"],
          ["/metrics", "what it counts"],
          ["/", "live stock board"],
        ].map(([path, meaning]) =>
          h("li", { key: path }, h("a", { href: path, target: "_blank" }, path), ` ${meaning}`),
        ),
      ),
    );
  }

  const examplesPlugin = {
    title: "Examples",
    icon: () =>
      h(
        "svg",
        { viewBox: "0 0 24 24", fill: "none", stroke: "currentColor", strokeWidth: 1.5 },
        h("path", { d: "M5 4h11l3 3v13H5z M8.5 9.5h7 M8.5 13h7 M8.5 16.5h4" }),
      ),
    content: Examples,
  };

  // ---- Who is asking, where GraphiQL shows its name.

  function DemoAccount() {
    const { account } = useSession();
    const change = (event) => session.choose(event.target.value);
    return h(
      "label",
      { className: "account", title: "Every demo account sees and may do something else." },
      "Signed in as",
      h(
        "select",
        { value: account, onChange: change, "aria-label": "Demo account" },
        config.accounts.map(({ name }) => h("option", { key: name, value: name }, name)),
      ),
    );
  }

  function TokenField() {
    const { introspect } = useSchemaContext({ nonNull: true });
    const [token, setToken] = useState(session.token);
    const submit = (event) => {
      event.preventDefault();
      session.enter(token.trim());
      introspect();
    };
    return h(
      "form",
      { className: "account", onSubmit: submit, autoComplete: "off" },
      h("input", {
        type: "password",
        value: token,
        placeholder: "Token or API key",
        title: "Kept in this tab only; gone when it is closed.",
        "aria-label": "Token or API key",
        autoComplete: "off",
        spellCheck: false,
        onChange: (event) => setToken(event.target.value),
      }),
      h("button", { type: "submit", className: "graphiql-button" }, "Use"),
    );
  }

  function App() {
    return h(
      GraphiQL,
      {
        fetcher,
        plugins: [examplesPlugin, explorerPlugin],
        defaultQuery: "",
        defaultEditorToolsVisibility: "variables",
        inputValueDeprecation: true,
        isHeadersEditorEnabled: true,
        schemaDescription: true,
        shouldPersistHeaders: false,
        showPersistHeadersSettings: false,
        storage,
      },
      h(GraphiQL.Logo, null, config.accounts.length ? h(DemoAccount) : h(TokenField)),
    );
  }

  // Who comes for the first time is met by the examples, the first one open. Later visits find what
  // they left. /graphql#<slug> opens that example in either case.
  function welcome() {
    const linked = config.examples.find((e) => `#${e.slug}` === location.hash);
    const first = storage.getItem("graphiql:tabState") === null;
    const shown = linked ?? (first && config.examples[0]);
    if (first) storage.setItem("graphiql:visiblePlugin", examplesPlugin.title);
    if (!shown) return;
    storage.setItem("graphiql:query", shown.query);
    storage.setItem("graphiql:variables", shown.variables);
    const account = linked && accountFor(linked.role);
    if (account) session.choose(account);
  }

  const explorerPlugin = GraphiQLPluginExplorer.explorerPlugin({ showAttribution: false });
  const storage = GraphiQL.createLocalStorage({ namespace: "erp-gateway" });
  session.restore();
  welcome();
  ReactDOM.createRoot(document.getElementById("graphiql")).render(h(App));
})();
