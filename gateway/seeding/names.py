"""Where partners live and what they are called; read from `countries.toml`."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("countries.toml")


@dataclass(frozen=True, slots=True)
class City:
    """A city with the region and the postal code of its center."""

    name: str
    region: str
    postal_code: str


@dataclass(frozen=True, slots=True)
class Country:
    """What names and addresses of a country are made of.

    ``firm`` and ``street`` are patterns, ``#`` in ``phone`` and ``tax_id`` is a digit; ``trades``
    are the lines of business a firm is named after.
    """

    code: str
    currency: str
    language: str
    phone: str
    tax_id: str
    firm: str
    legal_forms: tuple[str, ...]
    trades: tuple[str, ...]
    surnames: tuple[str, ...]
    given_names: tuple[str, ...]
    street: str
    streets: tuple[str, ...]
    cities: tuple[City, ...]


@cache
def _content() -> dict[str, Any]:
    return tomllib.loads(FILE.read_text("utf-8"))


@cache
def countries() -> Mapping[str, Country]:
    """Return the countries by their codes."""
    return {entry["code"]: _country(entry) for entry in _content()["country"]}


def _country(entry: Mapping[str, Any]) -> Country:
    fields: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()
    }
    return Country(**fields | {"cities": tuple(City(*city) for city in entry["cities"])})


def odd_firms() -> tuple[str, ...]:
    """Return names that break careless code."""
    return tuple(_content()["odd_names"])
