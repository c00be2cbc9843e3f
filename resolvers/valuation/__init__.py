"""Valuation: what stock cost, and what it is worth in the books."""
