"""Example operations: what GraphiQL offers to open, and what the documentation shows.

Each is one file, ``static/examples/NN-slug.graphql``, in the order they are offered. Its first
lines are comments that say what it is::

    # title: Order page
    # for: frontend
    # as: sales
    # about: One order with its lines, products and stock, in one request.
    # variables: {"number": "SO-000012"}
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gateway.pages import STATIC

AUDIENCES: Final = ("frontend", "dashboard", "partner")
"""The three kinds of users examples are written for."""

_REQUIRED: Final = frozenset({"title", "for", "as", "about"})
_KNOWN: Final = _REQUIRED | {"variables"}


class MalformedExample(ValueError):
    """An example file does not say what it is; the message names the file."""


@dataclass(frozen=True, slots=True)
class Example:
    """One operation to try. ``role`` is the demo role that may run it."""

    slug: str
    title: str
    audience: str
    role: str
    about: str
    query: str
    variables: dict[str, Any]

    @property
    def live(self) -> bool:
        """Whether it is a subscription, which answers for as long as it is left open."""
        return self.query.lstrip().startswith("subscription")


def load_examples(folder: Path = STATIC / "examples") -> tuple[Example, ...]:
    """Return every example of ``folder`` in order.

    Raises:
        MalformedExample: a file lacks what is required, or names something unknown.

    """
    return tuple(read_example(path) for path in sorted(folder.glob("*.graphql")))


def read_example(path: Path) -> Example:
    """Return the example that ``path`` holds.

    Raises:
        MalformedExample: the file lacks what is required, or names something unknown.

    """
    lines = path.read_text(encoding="utf-8").splitlines()
    length = next((n for n, line in enumerate(lines) if not line.startswith("#")), len(lines))
    head = dict(_entry(path, line) for line in lines[:length])
    if missing := sorted(_REQUIRED - head.keys()):
        raise MalformedExample(f"{path.name}: no line '# {missing[0]}: ...'")
    if unknown := sorted(head.keys() - _KNOWN):
        raise MalformedExample(f"{path.name}: '{unknown[0]}' means nothing here")
    if head["for"] not in AUDIENCES:
        raise MalformedExample(f"{path.name}: for must be one of {', '.join(AUDIENCES)}")
    return Example(
        slug=path.stem.partition("-")[2],
        title=head["title"],
        audience=head["for"],
        role=head["as"],
        about=head["about"],
        query="\n".join(lines[length:]).strip() + "\n",
        variables=_variables(path, head.get("variables", "{}")),
    )


def _entry(path: Path, line: str) -> tuple[str, str]:
    name, colon, text = line.removeprefix("#").partition(":")
    if not colon:
        raise MalformedExample(f"{path.name}: '{line}' is not '# name: text'")
    return name.strip(), text.strip()


def _variables(path: Path, text: str) -> dict[str, Any]:
    try:
        variables = json.loads(text)
    except ValueError as error:
        raise MalformedExample(f"{path.name}: variables are not JSON: {error}") from error
    if not isinstance(variables, dict):
        raise MalformedExample(f"{path.name}: variables are not a JSON object")
    return variables
