"""Sales orders tell of each axis by itself, and those of which more is to come have an index.

Events that were written before stay as they are, and are told as well.

Phase: expand
"""

from pathlib import Path

from gateway.migrations.scripts import run_script

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the script frozen beside this file."""
    run_script(Path(__file__).with_suffix(".sql"))
