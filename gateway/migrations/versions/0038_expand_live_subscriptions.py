"""Live subscriptions, as all processes know them.

Phase: expand
"""

from pathlib import Path

from gateway.migrations.scripts import run_script

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the script frozen beside this file."""
    run_script(Path(__file__).with_suffix(".sql"))
