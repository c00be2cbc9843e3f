"""Rows from a file: CSV and JSON lines, looked at first or written, what is wrong named."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gateway import importing
from gateway.importing import Imported, ImportFileError, import_file, read_rows
from gateway.verify import verify
from resolvers.bulk.rules import OnError
from tests.fixtures.gateway import Gateway, settings_for

HEAD = "sku,name,categoryCode,uom,listPrice,attributes.color\n"


def written(folder: Path, name: str, text: str) -> Path:
    """Write a file."""
    file = folder / name
    file.write_text(text, "utf-8")
    return file


async def test_a_file_is_written(
    own_gateway: Gateway, own_database_url: str, tmp_path: Path
) -> None:
    """Both kinds of files say the same; a dry run writes nothing; a second run changes nothing."""
    category = await own_gateway.owner.fetchval("select min(code) from product_category")
    table = written(
        tmp_path,
        "a.csv",
        f'\ufeff{HEAD}IMP-1,"Bolt, M8",{category},PCE,0.100000,red\nIMP-2,Nut,{category},PCE,2,\n',
    )
    lines = written(
        tmp_path,
        "a.jsonl",
        f'{{"sku": "IMP-1", "name": "Bolt, M8", "categoryCode": "{category}", "uom": "PCE",'
        f' "listPrice": 0.100000, "attributes": {{"color": "red"}}}}\n\n'
        f'{{"sku": "IMP-2", "name": "Nut", "categoryCode": "{category}", "uom": "PCE",'
        ' "listPrice": 2}\n',
    )
    assert list(read_rows(Imported.PRODUCTS, table)) == list(read_rows(Imported.PRODUCTS, lines))
    settings = settings_for(own_database_url)

    async def run(file: Path, **more: Any) -> Any:
        report = await import_file(
            settings,
            Imported.PRODUCTS,
            file,
            company="DE01",
            on_error=OnError.REJECT_FAILED_ROWS,
            **more,
        )
        return report.accepted, report.refused

    count = "select count(*) from product where sku like 'IMP-%'"
    assert await run(table, dry_run=True) == (2, 0)
    assert await own_gateway.owner.fetchval(count) == 0
    told: list[Any] = []
    assert await run(table, progress=lambda *one: told.append(one)) == (2, 0)
    assert told == [("rows", 2, 2)]
    found: Any = await own_gateway.owner.fetchrow(
        "select list_price, attributes, version from product where sku = 'IMP-1'"
    )
    assert tuple(found) == (Decimal("0.1"), '{"color": "red"}', 1)
    assert await run(lines) == (2, 0)
    assert (
        await own_gateway.owner.fetchval("select max(version) from product where sku like 'IMP-%'")
        == 1
    )


async def test_what_is_wrong_is_told(
    own_gateway: Gateway, own_database_url: str, tmp_path: Path
) -> None:
    """Rows that are wrong, by their place; all or the others are written."""
    file = written(tmp_path, "p.csv", "code,name,isCustomer\nIMP,Good,yes\nBAD,Neither,\n")
    settings = settings_for(own_database_url)
    for on_error, accepted, refused, there in (
        (OnError.REJECT_EVERYTHING, 0, 2, 0),
        (OnError.REJECT_FAILED_ROWS, 1, 1, 1),
    ):
        report = await import_file(
            settings, Imported.PARTNERS, file, company="DE01", on_error=on_error
        )
        assert (report.accepted, report.refused) == (accepted, refused)
        assert [row["index"] for row in report.rejected] == [1]
        found = "select count(*) from partner where code in ('IMP', 'BAD')"
        assert await own_gateway.owner.fetchval(found) == there


async def test_the_first_row_of_a_key_is_the_one(
    own_gateway: Gateway, own_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row of a key that stood in an earlier transaction is refused as one in the same."""
    monkeypatch.setattr(importing, "PORTION", 2)
    codes = ["IMP-0", "IMP-1", "IMP-2", "IMP-0", "IMP-0", "IMP-3", "IMP-2"]
    lines = (f"{code},Name {n},yes\n" for n, code in enumerate(codes))
    file = written(tmp_path, "p.csv", "code,name,isCustomer\n" + "".join(lines))
    settings = settings_for(own_database_url)
    for dry_run in (True, False):
        report = await import_file(
            settings,
            Imported.PARTNERS,
            file,
            company="DE01",
            on_error=OnError.REJECT_FAILED_ROWS,
            dry_run=dry_run,
        )
        assert (report.accepted, report.refused) == (4, 3)
        assert [row["index"] for row in report.rejected] == [3, 4, 6]
        errors = [error for row in report.rejected for error in row["errors"]]
        assert {(error["code"], error["message"]) for error in errors} == {
            ("DUPLICATE", "code stands in an earlier row.")
        }
    names = "select name from partner where code like 'IMP-%' order by code"
    found = [row["name"] for row in await own_gateway.owner.fetch(names)]
    assert found == ["Name 0", "Name 1", "Name 2", "Name 5"]


async def test_stock_is_set_to_what_was_counted(
    own_gateway: Gateway, own_database_url: str, tmp_path: Path
) -> None:
    """By the code of the location; differences are adjustments, and counted again nothing moves."""
    owner = own_gateway.owner
    found: Any = await owner.fetchrow(
        """select p.sku, x.code, b.on_hand, b.product_id, b.location_id
           from stock_balance b join product p on p.id = b.product_id
           join stock_location x on x.id = b.location_id
           join stock_level l on l.product_id = p.id and l.warehouse_id = x.warehouse_id
           where b.company_id = 1 and x.sellable and p.tracking = 'NONE' and p.archived_at is null
             and b.on_hand > 0 order by b.id limit 1"""
    )
    lines = written(
        tmp_path,
        "s.jsonl",
        f'{{"sku": "{found["sku"]}", "location": "{found["code"]}",'
        f' "countedQty": {found["on_hand"] + 2}}}\n',
    )
    table = written(
        tmp_path,
        "s.csv",
        "sku,location,countedQty,reason,lotNumber\n"
        f"{found['sku']},{found['code']},{found['on_hand'] + 5},Shelf,\n"
        f"{found['sku']},NOWHERE,1,,\n"
        f"NO-SUCH,{found['code']},1,,\n"
        f"{found['sku']},{found['code']},1,,LOT-1\n",
    )
    settings = settings_for(own_database_url)

    async def run(file: Path, **more: Any) -> Any:
        report = await import_file(
            settings,
            Imported.STOCK,
            file,
            company="DE01",
            on_error=OnError.REJECT_FAILED_ROWS,
            **more,
        )
        return (report.accepted, report.refused), [row["index"] for row in report.rejected]

    on_hand = "select on_hand from stock_balance where product_id = $1 and location_id = $2"
    moves = "select count(*) from stock_move where product_id = $1 and kind = 'ADJUSTMENT'"
    at = (found["product_id"], found["location_id"])
    before = await owner.fetchval(moves, at[0])
    assert await run(lines, dry_run=True) == ((1, 0), [])
    assert await owner.fetchval(on_hand, *at) == found["on_hand"]
    assert await run(lines) == ((1, 0), [])
    assert await owner.fetchval(on_hand, *at) == found["on_hand"] + 2
    assert await run(lines) == ((1, 0), [])
    assert await owner.fetchval(moves, at[0]) == before + 1
    assert await run(table) == ((1, 3), [1, 2, 3])
    assert await owner.fetchval(on_hand, *at) == found["on_hand"] + 5
    reasons = await owner.fetch(
        "select reason, posted_by from stock_move where product_id = $1 order by id desc limit 2",
        at[0],
    )
    assert [tuple(row) for row in reasons] == [
        ("Shelf", "process:import"),
        ("Import", "process:import"),
    ]
    assert all(result.holds for result in await verify(own_database_url))


@pytest.mark.parametrize(
    "value", ["x", "NaN", "Infinity", "1e999999999", "1e-999999999", "1,5", "1 000"]
)
def test_counted_is_a_plain_number(tmp_path: Path, value: str) -> None:
    """What is none, or could be one of any length, is told with the row."""
    file = written(tmp_path, "s.csv", f'sku,location,countedQty\nA,B,"{value}"\n')
    with pytest.raises(ImportFileError, match="row 1: countedQty is a number"):
        list(read_rows(Imported.STOCK, file))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "", "neither .csv nor .jsonl"),
        ("a.csv", "sku,nam\nA,B\n", "row 1: there is no column 'nam'"),
        ("a.csv", "sku,name\nA,B\n", "row 1: categoryCode, uom, listPrice is missing"),
        ("a.csv", f"{HEAD}A,B,C,PCE,x,\n", "row 1: listPrice is a number, not 'x'"),
        ("a.csv", f"{HEAD}A,B,C,PCE,1,,too,many\n", "row 1: there is no column None"),
        ("a.jsonl", '{"sku": "A"\n', "line 1 is no JSON object"),
        ("a.jsonl", "[]\n", "line 1 is no JSON object"),
        ("a.jsonl", '{"sku": true}\n', "row 1: sku is a text, not True"),
        ("a.jsonl", '{"attributes": "red"}\n', "attributes is an object"),
        ("a.jsonl", '{"kind": "THING"}\n', "kind is one of"),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, name: str, text: str, message: str) -> None:
    """The row and the column are named."""
    with pytest.raises(ImportFileError) as caught:
        list(read_rows(Imported.PRODUCTS, written(tmp_path, name, text)))
    assert message in str(caught.value)


async def test_another_company(own_database_url: str, tmp_path: Path) -> None:
    """There has to be one."""
    with pytest.raises(ImportFileError):
        await import_file(
            settings_for(own_database_url),
            Imported.PARTNERS,
            written(tmp_path, "p.csv", "code,name\n"),
            company="NONE",
            on_error=OnError.REJECT_FAILED_ROWS,
        )
