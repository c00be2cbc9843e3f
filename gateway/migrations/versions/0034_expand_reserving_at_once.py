"""Orders are reserved by one call, and what reserves lines looks at no demand.

Phase: expand
"""

from pathlib import Path

from gateway.migrations.scripts import run_script

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the script frozen beside this file."""
    run_script(Path(__file__).with_suffix(".sql"))
