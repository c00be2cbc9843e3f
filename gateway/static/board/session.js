// Who looks: a demo account or a token, and for which company. Kept for this tab, never in an address.

const config = JSON.parse(document.getElementById("config").textContent);

export const accounts = config.accounts;
export const endpoint = config.url;
/** What is asked of the server, by name. */
export const documents = config.documents;

export const session = {
  account: null,
  token: "",
  company: "",

  /** Take what this tab had; on a demo, who comes for the first time looks as its warehouse. */
  restore() {
    this.company = sessionStorage.getItem("company") ?? "";
    const name = sessionStorage.getItem("account");
    const account = accounts.find((one) => one.name === name);
    if (account) this.use(account.name, account.token);
    else if (sessionStorage.getItem("token")) this.use(null, sessionStorage.getItem("token"));
    else if (name === null && accounts.length) this.choose(first().name);
  },
  choose(name) {
    sessionStorage.setItem("account", name);
    sessionStorage.removeItem("token");
    this.act("");
    this.use(name, accounts.find((one) => one.name === name).token);
  },
  enter(token) {
    sessionStorage.setItem("account", "");
    sessionStorage.setItem("token", token);
    this.act("");
    this.use(null, token);
  },
  leave() {
    sessionStorage.setItem("account", "");
    sessionStorage.removeItem("token");
    this.act("");
    this.use(null, "");
  },
  act(company) {
    this.company = company;
    if (company) sessionStorage.setItem("company", company);
    else sessionStorage.removeItem("company");
  },
  use(account, token) {
    this.account = account;
    this.token = token;
  },

  /** Headers of requests, which are the parameters of a socket too. */
  get headers() {
    const headers = { Authorization: `Bearer ${this.token}` };
    if (this.company) headers["X-Company"] = this.company;
    return headers;
  },
};

function first() {
  return accounts.find(({ name }) => name.startsWith("warehouse")) ?? accounts[0];
}
