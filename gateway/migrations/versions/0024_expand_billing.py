"""How far sales orders are invoiced and paid.

Phase: expand
"""

from pathlib import Path

from gateway.migrations.scripts import run_script

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the script frozen beside this file."""
    run_script(Path(__file__).with_suffix(".sql"))
