"""The registry: the modules of the ERP, lowest first; one line each.

The order is the dependency order: a module imports only modules before it, in both layers.
"""

from importlib import import_module

from resolvers.core.module import DataModule

NAMES: tuple[str, ...] = (
    "reference",
    "identity",
    "partners",
    "catalog",
    "pricing",
    "inventory",
    "valuation",
    "sales",
    "warehousing",
    "returns",
    "purchasing",
    "fulfillment",
    "accounting",
    "order_to_cash",
    "operations",
    "bulk",
    "documents",
    "crm",
    "integrations",
    "search",
    "webhooks",
    "changes",
)


def data_modules() -> tuple[DataModule, ...]:
    """Return every module's half of this layer, in registry order."""
    return tuple(import_module(f"resolvers.{name}.module").MODULE for name in NAMES)
