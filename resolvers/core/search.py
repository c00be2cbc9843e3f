"""Text search: what a word is, the same for stored rows and for what people type.

PostgreSQL's own parser takes `HAM-00001` for `ham` and the number `-00001`, an e-mail address for
one word and „Torx“ for a word with quotes in it, so none of them is found by what is printed on a
label. Here everything between letters and digits is a space, before either side is parsed.
"""

import re
from typing import Final

from sqlalchemy import ColumnElement, bindparam, func, literal_column

from resolvers.core.errors import Invalid

MOST_CHARACTERS: Final = 200
MOST_WORDS: Final = 10

_BETWEEN: Final = (
    r"[\u0001-/:-@\u005b-\u0060\u007b-\u00a9\u00ab-\u00b1\u00b4\u00b6-\u00b8\u00bb\u00bf"
    r"\u00d7\u00f7\u2000-\u206f\u20a0-\u20cf\u2120-\u2122\u2190-\u2bff\u2e00-\u2e7f"
    r"\u3000-\u3004\u3008-\u3020\u3030\uff00-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65]+"
)
"""Punctuation, symbols and space: the same text is a pattern in Python and in PostgreSQL."""


def search_vector(text: str) -> str:
    """Return the SQL of a generated tsvector column over the SQL expression ``text``."""
    return f"to_tsvector('simple', regexp_replace({text}, '{_BETWEEN}', ' ', 'g'))"


def matches(vector: ColumnElement[object], name: str) -> ColumnElement[bool]:
    """Return the condition that ``vector`` matches the query bound as ``name``."""
    query = func.to_tsquery(literal_column("'simple'"), bindparam(name, type_=None))
    return vector.bool_op("@@")(query)


def prefix_query(text: str, *, path: tuple[str, ...]) -> str:
    """Return the query for rows in which every word of ``text`` begins a word.

    Raises:
        Invalid: there is no word in it, or too much of it.

    """
    words = re.sub(_BETWEEN, " ", text).replace("\0", " ").split()
    if not words:
        raise Invalid("Give at least one letter or digit to search for.", path=path)
    if len(text) > MOST_CHARACTERS or len(words) > MOST_WORDS:
        raise Invalid(
            f"Search for at most {MOST_WORDS} words of {MOST_CHARACTERS} characters.", path=path
        )
    return " & ".join(f"'{word}':*" for word in words)
