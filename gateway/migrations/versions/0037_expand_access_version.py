"""Access has a version, which moves with every change of who may do what.

Phase: expand
"""

from pathlib import Path

from gateway.migrations.scripts import run_script

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the script frozen beside this file."""
    run_script(Path(__file__).with_suffix(".sql"))
