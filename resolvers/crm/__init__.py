"""Opportunities and activities: what may become an order."""
