"""Partners: the persons and organisations the company buys from and sells to."""
