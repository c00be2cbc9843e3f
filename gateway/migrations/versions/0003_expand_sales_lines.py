"""Sales order lines know the date of their order, so that they can be listed and grouped by it.

Phase: expand

Nothing has written lines but seeding so far, so the column can be filled and required at once.
"""

from pathlib import Path

from gateway.migrations.scripts import run_script

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the script frozen beside this file."""
    run_script(Path(__file__).with_suffix(".sql"))
