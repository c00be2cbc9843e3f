"""The demo company: names, goods and a simulated history, generated without a database."""
