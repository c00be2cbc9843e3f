"""The audit trail of an object is found by a smaller index.

Phase: expand
"""

from pathlib import Path

from gateway.migrations.scripts import run_script

revision = "0043"
down_revision = "0042"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the script frozen beside this file."""
    run_script(Path(__file__).with_suffix(".sql"))
