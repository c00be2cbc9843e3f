"""Migrations written as SQL: a file of many statements, run in the migration's transaction."""

from pathlib import Path

from alembic import op
from sqlalchemy.util import await_only


def run_script(path: Path) -> None:
    """Run the SQL file at ``path``; the driver itself takes several statements at once."""
    bind = op.get_bind()
    bind.exec_driver_sql("set local lock_timeout = '3s'")  # also begins the driver's transaction
    driver = bind.connection.driver_connection
    await_only(driver.execute(path.read_text(encoding="utf-8")))  # type: ignore[union-attr]
