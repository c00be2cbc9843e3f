"""Sales orders tell of themselves: the triggers that write their events.

Phase: expand
"""

from pathlib import Path

from gateway.migrations.scripts import run_script

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the script frozen beside this file."""
    run_script(Path(__file__).with_suffix(".sql"))
