"""A statement that takes as long as it is told: for tools that test time limits and hang-ups."""

from sqlalchemy import Float, bindparam, func, select

from resolvers.core.context import Context
from resolvers.core.statement import compile_statement

_PAUSE = compile_statement(select(func.pg_sleep(bindparam("seconds", type_=Float))), "pause")


async def pause_in_database(context: Context, seconds: float) -> None:
    """Let PostgreSQL sleep on the operation's connection."""
    await context.reads.fetch(_PAUSE, {"seconds": seconds})
