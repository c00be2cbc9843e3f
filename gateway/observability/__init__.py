"""How a process shows what it does: logs, metrics, the state of its event loop."""
