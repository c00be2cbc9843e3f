"""Goods that customers send back, and what becomes of them."""
