"""Events of sales orders call their first axis LIFECYCLE, as clients do.

Events that were written before say STATE, and are told as well.

Phase: expand
"""

from pathlib import Path

from gateway.migrations.scripts import run_script

revision = "0041"
down_revision = "0040"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the script frozen beside this file."""
    run_script(Path(__file__).with_suffix(".sql"))
