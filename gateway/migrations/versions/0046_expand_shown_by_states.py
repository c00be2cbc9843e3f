"""States name what they show and has no place in the log yet, by the order of writing.

Phase: expand
"""

from pathlib import Path

from gateway.migrations.scripts import run_script

revision = "0046"
down_revision = "0045"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the script frozen beside this file."""
    run_script(Path(__file__).with_suffix(".sql"))
