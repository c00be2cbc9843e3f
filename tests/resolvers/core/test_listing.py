"""Lists: every page in both directions, cursors, filters, counts, and pages for many parents."""

import base64
import json
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resolvers.core.errors import Invalid
from resolvers.core.listing import (
    COUNT_CAP,
    DEFAULT_PAGE,
    MAX_PAGE,
    Between,
    Equals,
    Flag,
    Listing,
    OneOf,
    Page,
    Search,
)
from resolvers.core.search import MOST_CHARACTERS, MOST_WORDS
from tests.fixtures.rows import THING, Rows

_thing = THING.columns

THINGS: Final = Listing(
    name="things",
    entity=THING,
    orders={
        "ID": (),
        "NAME": ("name",),
        "RANK": ("rank",),
        "AMOUNT": ("amount",),
        "DOUBLED": ("doubled",),
        "MADE_ON": ("made_on",),
        "MADE_AT": ("made_at",),
        "RANK_NAME": ("rank", "name"),
    },
    default_order="RANK",
    default_descending=True,
    filters={
        "names": OneOf(_thing["name"]),
        "owner": Equals(_thing["owner_id"]),
        "ranks": OneOf(_thing["rank"]),
        "rank": Equals(_thing["rank"]),
        "amount": Between(_thing["amount"]),
        "made_on": Between(_thing["made_on"]),
        "made_at": Between(_thing["made_at"]),
        "hidden": Flag(_thing["hidden"], ~_thing["hidden"]),
        "noted": Flag(_thing["note"].is_not(None), None),
        "search": Search(_thing["search"]),
    },
)
OTHERS: Final = Listing(name="others", entity=THING, orders=THINGS.orders, default_order="ID")

SORTS: Final = {
    "ID": "id {0}",
    "NAME": "name {0}, id {0}",
    "RANK": "rank {0}, id {0}",
    "AMOUNT": "amount {0}, id {0}",
    "DOUBLED": "amount * 2 {0}, id {0}",
    "MADE_ON": "made_on {0}, id {0}",
    "MADE_AT": "made_at {0}, id {0}",
    "RANK_NAME": "rank {0}, name {0}, id {0}",
}
"""Each order as SQL by hand."""

NAMES = ["", "a", "A", "ä", "z", "O'Brien", 'a "quoted" name', "100 %_", "\\", "日本", "😀", "a\nb"]


async def fill(rows: Rows, count: int = 60) -> None:
    """Insert things with many ties, negative numbers, and instants a microsecond apart."""
    start = datetime(2026, 3, 1, tzinfo=UTC)
    await rows.insert(
        *(
            {
                "owner_id": number % 4,
                "name": NAMES[number * 7 % len(NAMES)],
                "rank": number * 5 % 7 - 3,
                "amount": f"{number * 13 % 11 - 5}.{number % 3}000",
                "made_on": date(2026, 1, 1) + timedelta(days=number % 9),
                "made_at": start + timedelta(microseconds=number % 13),
                "note": None if number % 2 else "seen",
                "hidden": number % 5 == 0,
            }
            for number in range(count)
        )
    )


def ids(page: Page) -> list[int]:
    """Return the ids on a page."""
    return [row["id"] for row in page.rows]


async def page(rows: Rows, listing: Listing = THINGS, /, **asked: Any) -> Page:
    """Read one page."""
    return await listing.page(rows, listing.request(**asked), frozenset({"id"}))


async def walk(rows: Rows, size: int, *, backward: bool, **asked: Any) -> list[int]:
    """Read all pages from one end and return the ids in list order, checking both flags."""
    size_name, cursor_name = ("last", "before") if backward else ("first", "after")
    seen: list[int] = []
    cursor = None
    while True:
        request = THINGS.request(**{**asked, size_name: size, cursor_name: cursor})
        found = await THINGS.page(rows, request, frozenset({"id"}))
        assert len(found.rows) <= size
        seen = ids(found) + seen if backward else seen + ids(found)
        ahead, behind = found.has_next, found.has_previous
        if backward:
            ahead, behind = behind, ahead
        assert behind is (cursor is not None)
        if not ahead:
            return seen
        assert len(found.rows) == size
        cursor = THINGS.cursor(request, found.rows[0 if backward else -1])


@pytest.mark.parametrize("size", [1, 7, MAX_PAGE])
@pytest.mark.parametrize("descending", [False, True], ids=["asc", "desc"])
@pytest.mark.parametrize("order", SORTS)
async def test_all_pages_together_are_the_list(
    rows: Rows, order: str, size: int, *, descending: bool
) -> None:
    """From either end, pages of any size hold every row once, in the order SQL gives them."""
    await fill(rows)
    sort = SORTS[order].format("desc" if descending else "asc")
    expected = await rows.ids(f"select id from thing order by {sort}")
    for backward in (False, True):
        assert await walk(rows, size, backward=backward, order=order, descending=descending) == (
            expected
        )


async def test_every_page_is_one_statement_that_reads_no_more_than_asked(rows: Rows) -> None:
    """A page costs one statement; columns not asked for, and not sorted by, are not read."""
    await fill(rows)
    await page(rows, first=3, order="NAME", filters={"hidden": False})
    [sql] = rows.statements
    assert sql.split("FROM")[0].split() == [
        "SELECT",
        "thing.id",
        "AS",
        "id,",
        "thing.name",
        "AS",
        "name",
    ]


@pytest.mark.parametrize("descending", [False, True])
async def test_rows_inserted_between_pages_move_nothing(rows: Rows, *, descending: bool) -> None:
    """A page goes on behind the last row seen, whatever was inserted meanwhile, at either side."""
    await fill(rows, 30)
    before = set(await rows.ids("select id from thing"))
    seen: list[int] = []
    cursor = None
    for _ in range(10):
        request = THINGS.request(first=3, after=cursor, order="RANK", descending=descending)
        found = await THINGS.page(rows, request, frozenset({"id"}))
        seen += ids(found)
        cursor = THINGS.cursor(request, found.rows[-1])
        await rows.insert(*({"rank": rank} for rank in (-99, -3, 0, 3, 99)))
    assert len(seen) == len(set(seen))
    old = [id_ for id_ in seen if id_ in before]
    sort = "desc" if descending else "asc"
    expected = await rows.ids(f"select id from thing order by rank {sort}, id {sort}")
    assert seen == [id_ for id_ in expected if id_ in set(seen)]
    assert old == [id_ for id_ in expected if id_ in before][: len(old)]


async def test_a_cursor_outlives_its_row(rows: Rows) -> None:
    """A page goes on where a deleted row stood."""
    await fill(rows, 20)
    request = THINGS.request(first=5, order="ID")
    found = await THINGS.page(rows, request, frozenset({"id"}))
    cursor = THINGS.cursor(request, found.rows[-1])
    await rows.connection.execute("delete from thing where id = $1", ids(found)[-1])
    assert ids(await page(rows, first=5, after=cursor, order="ID")) == [6, 7, 8, 9, 10]


async def test_an_empty_list_has_no_neighbours(rows: Rows) -> None:
    """No rows, no next and no previous page, from either end."""
    for asked in ({"first": 5}, {"last": 5}, {"first": 0}, {"last": 0}, {}):
        assert await page(rows, **asked) == Page([], has_next=False, has_previous=False)


async def test_a_page_that_ends_with_the_list_has_no_next(rows: Rows) -> None:
    """A full page is not taken for a page before others."""
    await fill(rows, 7)
    for size, more in ((7, False), (6, True), (0, True)):
        found = await page(rows, first=size)
        assert (found.has_next, found.has_previous) == (more, False)
        found = await page(rows, last=size)
        assert (found.has_next, found.has_previous) == (False, more)


async def test_without_a_size_a_page_has_fifty(rows: Rows) -> None:
    """The default order and page size hold when nothing is asked."""
    await fill(rows)
    expected = await rows.ids(
        f"select id from thing order by rank desc, id desc limit {DEFAULT_PAGE}"
    )
    assert ids(await page(rows)) == expected


@pytest.mark.parametrize(
    ("asked", "argument"),
    [
        ({"first": -1}, "first"),
        ({"first": MAX_PAGE + 1}, "first"),
        ({"first": 2**31 - 1}, "first"),
        ({"last": -1}, "last"),
        ({"last": MAX_PAGE + 1}, "last"),
        ({"first": 1, "last": 1}, "last"),
        ({"first": 0, "last": 0}, "last"),
        ({"last": 1, "after": "x"}, "after"),
        ({"first": 1, "before": "x"}, "before"),
        ({"before": "x"}, "before"),
        ({"first": 1, "after": ""}, "after"),
        ({"last": 1, "before": ""}, "before"),
    ],
)
async def test_impossible_pages_are_refused_by_name(
    rows: Rows, asked: dict[str, Any], argument: str
) -> None:
    """Sizes out of range and contradicting arguments name the argument, and nothing is read."""
    with pytest.raises(Invalid) as refusal:
        await page(rows, **asked)
    assert refusal.value.path == (argument,)
    assert argument in refusal.value.message
    assert rows.statements == []


class TestCursors:
    """Cursors say where a row stands in one list and one order, to us alone."""

    async def cursor(self, rows: Rows, listing: Listing = THINGS, **asked: Any) -> str:
        """Return the cursor of the first row."""
        request = listing.request(first=1, **asked)
        found = await listing.page(rows, request, frozenset({"id"}))
        return listing.cursor(request, found.rows[0])

    async def test_are_opaque(self, rows: Rows) -> None:
        """A cursor is base64 that shows no column name, and needs no escaping in a URL."""
        await fill(rows, 3)
        cursor = await self.cursor(rows, order="NAME")
        assert cursor.replace("-", "").replace("_", "").isalnum()
        assert b"name" not in base64.urlsafe_b64decode(cursor + "==")

    @pytest.mark.parametrize(
        ("listing", "other"),
        [
            (OTHERS, {"order": "RANK", "descending": False}),
            (THINGS, {"order": "RANK", "descending": True}),
            (THINGS, {"order": "AMOUNT", "descending": False}),
            (THINGS, {"order": "RANK_NAME", "descending": False}),
            (THINGS, {"order": "ID", "descending": False}),
            (THINGS, {}),
        ],
    )
    async def test_of_another_list_order_or_direction_are_refused(
        self, rows: Rows, listing: Listing, other: dict[str, Any]
    ) -> None:
        """A cursor continues the list it was taken from, and nothing else."""
        await fill(rows, 3)
        cursor = await self.cursor(rows, order="RANK", descending=False)
        for asked in ({"first": 1, "after": cursor}, {"last": 1, "before": cursor}):
            with pytest.raises(Invalid, match="is a cursor of another list or order") as refusal:
                await page(rows, listing, **asked, **other)
            assert refusal.value.path == (("after",) if "after" in asked else ("before",))

    @pytest.mark.parametrize("name", [*NAMES, "x" * 3_000])
    async def test_hold_any_text(self, rows: Rows, name: str) -> None:
        """Quotes, line ends, other scripts and long texts go into a cursor and come back."""
        await rows.insert({"name": name}, {"name": name}, {"name": name + "z"})
        assert await walk(rows, 1, backward=False, order="NAME", descending=False) == [1, 2, 3]

    @given(
        st.one_of(
            st.text(max_size=60),
            st.recursive(
                st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
                lambda inner: (
                    st.lists(inner, max_size=4)
                    | st.dictionaries(st.text(max_size=4), inner, max_size=3)
                ),
                max_leaves=8,
            ).map(lambda value: encoded(json.dumps(value))),
            st.binary(max_size=40).map(lambda raw: base64.urlsafe_b64encode(raw).decode()),
        ),
        st.sampled_from(sorted(SORTS)),
    )
    def test_that_are_garbage_are_refused(self, garbage: str, order: str) -> None:
        """Whatever is no cursor is a validation error that names the argument."""
        request = THINGS.request(first=1, after=garbage, order=order, descending=False)
        with pytest.raises(Invalid) as refusal:
            THINGS._window(request)
        assert refusal.value.path == ("after",)

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    @given(
        st.sampled_from(sorted(SORTS)),
        st.lists(
            st.none()
            | st.booleans()
            | st.integers(-(2**70), 2**70)
            | st.floats()
            | st.text(max_size=10)
            | st.text(st.characters(), max_size=5)
            | st.datetimes().map(str)
            | st.dates().map(str)
            | st.decimals().map(str)
            | st.sampled_from(
                [
                    "0001-01-01T00:00:00+23:59",
                    "9999-12-31T23:59:59-23:59",
                    "1e39",
                    "1e-39",
                    "-0",
                    "NaN",
                    "a\0b",
                    "\ud800",
                ]
            ),
            max_size=4,
        ),
    )
    async def test_with_our_tag_and_foreign_values_do_no_harm(
        self, rows: Rows, order: str, values: list[Any]
    ) -> None:
        """A forged cursor is refused by name, or read as the position it claims; it never fails."""
        probe = THINGS.request(first=1, order=order, descending=False)
        forged = encoded(json.dumps([THINGS._tag(probe), *values]))
        path: tuple[str, ...] = ("after",)
        try:
            found = await page(rows, first=1, after=forged, order=order, descending=False)
            assert found.has_previous
        except Invalid as refusal:
            path = refusal.path
        assert path == ("after",)

    async def test_nested_without_end_are_refused(self, rows: Rows) -> None:
        """A cursor cannot exhaust the stack."""
        with pytest.raises(Invalid, match="after is not a cursor"):
            await page(rows, first=1, after=encoded("[" * 100_000))

    @pytest.mark.parametrize("around", ["{} ", " {}", "{}\n", "{}=x", "!{}", "{}Ω", "{}\0"])
    async def test_are_taken_exactly(self, rows: Rows, around: str) -> None:
        """A cursor with something around it is none."""
        await fill(rows, 3)
        cursor = await self.cursor(rows, order="ID")
        with pytest.raises(Invalid, match="after is not a cursor"):
            await page(rows, first=1, after=around.format(cursor), order="ID")


def encoded(text: str) -> str:
    """Return text as base64 the way cursors are."""
    return base64.urlsafe_b64encode(text.encode("utf-8", "surrogatepass")).decode().rstrip("=")


class TestFilters:
    """Each kind of filter, against the condition written by hand."""

    @pytest.mark.parametrize(
        ("filters", "condition"),
        [
            ({}, "true"),
            ({"names": ["a", "ä", "nothing"]}, "name in ('a', 'ä')"),
            ({"names": ["O'Brien", "100 %_", "\\"]}, "name in ('O''Brien', '100 %_', E'\\\\')"),
            ({"names": ["a", "a"]}, "name = 'a'"),
            ({"names": []}, "false"),
            ({"owner": 2}, "owner_id = 2"),
            ({"owner": 2**63 - 1}, "false"),
            ({"ranks": [-3, 0, 2**40]}, "rank in (-3, 0)"),
            ({"rank": 2**40}, "false"),
            ({"amount": ("-1.1", None)}, "amount >= -1.1"),
            ({"amount": (None, "2")}, "amount <= 2"),
            ({"amount": ("-2", "3.2")}, "amount between -2 and 3.2"),
            ({"amount": ("3", "-3")}, "false"),
            ({"amount": (None, None)}, "true"),
            ({"amount": ("0.00004", None)}, "amount > 0"),
            ({"amount": ("9" * 28, None)}, "false"),
            ({"amount": (None, "9" * 28)}, "true"),
            ({"made_on": (date(2026, 1, 3), date(2026, 1, 3))}, "made_on = '2026-01-03'"),
            ({"made_on": (date.min, date.max)}, "true"),
            (
                {"made_at": (datetime(2026, 3, 1, 0, 0, 0, 5, UTC), None)},
                "made_at >= '2026-03-01 00:00:00.000005Z'",
            ),
            ({"hidden": True}, "hidden"),
            ({"hidden": False}, "not hidden"),
            ({"noted": True}, "note is not null"),
            ({"noted": False}, "true"),
            (
                {"hidden": False, "names": ["a", "z"], "amount": ("0", None), "owner": 1},
                "not hidden and name in ('a', 'z') and amount >= 0 and owner_id = 1",
            ),
        ],
    )
    async def test_find_what_sql_finds(
        self, rows: Rows, filters: dict[str, Any], condition: str
    ) -> None:
        """Pages and counts hold the rows of the condition, and no others."""
        await fill(rows)
        expected = await rows.ids(f"select id from thing where {condition} order by id")
        assert ids(await page(rows, first=MAX_PAGE, order="ID", filters=filters)) == expected
        request = THINGS.request(filters=filters)
        assert await THINGS.counts(rows, None, (), request) == [len(expected)]

    async def test_the_same_filters_share_a_statement(self, rows: Rows) -> None:
        """Values are bound, so lists of any length are one statement, compiled once."""
        await fill(rows)
        for names in ([], ["a"], ["a", "z", "ä"]):
            await page(rows, filters={"names": names})
        assert len(set(rows.statements)) == 1
        assert len({id(statement) for statement in rows.statements}) == 1


class TestSearch:
    """Search finds rows by the beginnings of words, as people type them."""

    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("HAM-00001", [1]),
            ("ham 00001", [1]),
            ("ham-0", [1]),
            ("00001", [1]),
            ("torx", [1]),
            ("„Torx“", [1]),
            ("schraube TORX", [1]),
            ("purchasing@o-brien.example", [2]),
            ("o'brien", [2]),
            ("obrien", []),
            ("brien & sons", [2]),
            ("purch", [2]),
            ("chasing", []),
            ("möller", [3]),
            ("MÖLL", [3]),
            ("12.5", [3]),
            ("12,5", [3]),
            ("1e5", [3]),
            ("1e", [3]),
            ("4x40", [1]),
            ("4x", [1]),
            ("日本", [4]),
            ("a:* | b", []),
            ("<b>bold</b>", [4]),
            ("https://shop.example/path", [4]),
            ("50%", [4]),
            ("C++ & C#", [4]),
        ],
    )
    async def test_finds_by_what_is_printed(self, rows: Rows, text: str, found: list[int]) -> None:
        """SKUs, addresses, quotes, numbers and punctuation are found as they stand, or without."""
        await rows.insert(
            {"name": 'HAM-00001 Schraube „Torx“ 4x40 mm, 2" Bit'},
            {"name": "O'Brien & Sons purchasing@o-brien.example"},
            {"name": "Möller Kältetechnik 12.5 1e5"},
            {"name": "日本 <b>bold</b> https://shop.example/path 50% C++ C#"},
        )
        assert ids(await page(rows, order="ID", filters={"search": text})) == found

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    @given(st.text(max_size=50), st.data())
    async def test_finds_every_row_by_its_own_words(
        self, rows: Rows, text: str, data: st.DataObject
    ) -> None:
        """A row is found by its text, and by the beginning of any of its words; nothing fails."""
        name = text.encode("utf-8", "ignore").decode().replace("\0", "")
        [id_] = await rows.insert({"name": name})
        for asked in (text, name):
            await self.search(rows, asked)
        words = [w for w in name.split() if w.isalnum() and w.isascii()][:MOST_WORDS]
        if words:
            word = data.draw(st.sampled_from(words))
            start = word[: data.draw(st.integers(1, len(word)))]
            assert id_ in await self.search(rows, start)
            assert id_ in await self.search(rows, " ".join(words))

    async def search(self, rows: Rows, text: str) -> list[int]:
        """Return the ids found; none for a text without words."""
        with suppress(Invalid):
            asked: dict[str, Any] = {"first": MAX_PAGE, "order": "ID", "descending": True}
            return ids(await page(rows, **asked, filters={"search": text}))
        return []

    @pytest.mark.parametrize(
        "text", ["", " ", ":*&|!()", "'", "\0", "-", "„“", "™ ®", "a " * 11, "a" * 201]
    )
    def test_texts_without_words_or_with_too_many_are_refused(self, text: str) -> None:
        """There must be something to search for, and not a book."""
        with pytest.raises(Invalid) as refusal:
            THINGS.request(filters={"search": text})
        assert refusal.value.path == ("filter", "search")

    async def test_takes_as_much_as_it_says(self, rows: Rows) -> None:
        """The longest words and the most of them are fine."""
        await fill(rows, 3)
        assert await self.search(rows, "x" * MOST_CHARACTERS) == []
        assert await self.search(rows, "x " * MOST_WORDS) == []


class TestParents:
    """The same page for many parents at once."""

    @pytest.mark.parametrize("backward", [False, True])
    @pytest.mark.parametrize("size", [0, 1, 3, MAX_PAGE])
    async def test_each_parent_has_its_own_page(
        self, rows: Rows, size: int, *, backward: bool
    ) -> None:
        """Limits, order and flags hold per parent; parents without rows have an empty page."""
        await fill(rows)
        keys = [3, 0, 99, 1, 2]
        asked: dict[str, Any] = {"last" if backward else "first": size}
        request = THINGS.request(order="RANK", **asked)
        pages = await THINGS.pages(rows, "owner_id", keys, request, frozenset({"id"}))
        assert len(rows.statements) == 1
        for key, found in zip(keys, pages, strict=True):
            of_key = await rows.ids(
                "select id from thing where owner_id = $1 order by rank, id", key
            )
            expected = of_key[max(0, len(of_key) - size) :] if backward else of_key[:size]
            assert ids(found) == (expected if size else [])
            more = len(of_key) > size
            assert (found.has_previous if backward else found.has_next) is more

    async def test_a_cursor_goes_on_in_every_parent(self, rows: Rows) -> None:
        """The cursor says where in the order to go on; each parent goes on there."""
        await fill(rows)
        request = THINGS.request(first=2, order="RANK", descending=False)
        [first] = await THINGS.pages(rows, "owner_id", [1], request, frozenset({"id"}))
        cursor = THINGS.cursor(request, first.rows[-1])
        after = THINGS.request(first=5, after=cursor, order="RANK", descending=False)
        pages = await THINGS.pages(rows, "owner_id", [1, 2], after, frozenset({"id"}))
        [(rank, id_)] = await rows.connection.fetch(
            "select rank, id from thing where id = $1", first.rows[-1]["id"]
        )
        for key, found in zip([1, 2], pages, strict=True):
            expected = await rows.ids(
                "select id from thing where owner_id = $1 and (rank, id) > ($2, $3)"
                " order by rank, id limit 5",
                key,
                rank,
                id_,
            )
            assert ids(found) == expected
            assert found.has_previous

    async def test_filters_and_counts_hold_per_parent(self, rows: Rows) -> None:
        """Counts are per parent too, in one statement, 0 where there is nothing."""
        await fill(rows)
        request = THINGS.request(first=1, filters={"hidden": False})
        counts = await THINGS.counts(rows, "owner_id", [2, 99, 0], request)
        assert len(rows.statements) == 1
        expected = [
            await rows.connection.fetchval(
                "select count(*) from thing where owner_id = $1 and not hidden", key
            )
            for key in (2, 99, 0)
        ]
        assert counts == expected


async def test_counting_stops_at_the_cap(rows: Rows) -> None:
    """A long list is not counted to its end, neither alone nor of a parent."""
    await rows.connection.execute(
        "insert into thing (owner_id) select 1 from generate_series(1, $1)", COUNT_CAP + 50
    )
    await rows.insert({"owner_id": 2})
    request = THINGS.request()
    assert await THINGS.counts(rows, None, (), request) == [COUNT_CAP]
    assert await THINGS.counts(rows, "owner_id", [2, 1], request) == [1, COUNT_CAP]
    await rows.connection.execute("delete from thing where id > 100")
    assert await THINGS.counts(rows, None, (), request) == [100]
