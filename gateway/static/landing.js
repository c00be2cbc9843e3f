// Says whether the gateway can serve, and fills in where it is.
"use strict";

document.getElementById("origin").textContent = location.origin;

async function showReadiness() {
  const status = document.getElementById("status");
  try {
    const { ready, reasons } = await (await fetch("/readyz")).json();
    const why = Object.entries(reasons).map(([part, reason]) => `${part} ${reason}`);
    status.className = ready ? "status ready" : "status waiting";
    status.textContent = ready ? "ready to serve" : `not ready: ${why.join("; ")}`;
  } catch {
    status.className = "status waiting";
    status.textContent = "does not answer";
  }
}

showReadiness();
setInterval(showReadiness, 5000);
