"""Fulfillment: shipments, what is packed into them, and the steps an order goes through."""
