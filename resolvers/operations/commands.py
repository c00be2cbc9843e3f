"""Jobs, asked for in the transaction of the command that needs them, and the end of a stream."""

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import func, insert, literal, select, true, update

from resolvers.core.command import CommandRefused, Outcome, run_command, write_audit
from resolvers.core.context import Context
from resolvers.core.errors import NotFound
from resolvers.core.transaction import Transaction
from resolvers.operations.reads import SERVED
from resolvers.operations.tables import job, live_subscription

JOB_CHANNEL: Final = "erp_job"
"""PostgreSQL notification channel that tells workers of jobs that may begin."""

ENDED_CHANNEL: Final = "erp_subscription_ended"
"""PostgreSQL notification channel that tells processes which live subscription is to end."""


class JobFailed(Exception):
    """A job cannot be done, however often it is tried; ``outcome`` tells of what it found."""

    def __init__(self, message: str, outcome: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.outcome = dict(outcome)


async def enqueue(
    context: Context,
    connection: Transaction,
    kind: str,
    arguments: Mapping[str, Any],
    *,
    total: int | None = None,
) -> int:
    """Ask for a job, begun once the transaction commits; return its id.

    ``total`` is how much there is to do, if that is known.
    """
    now = context.clock()
    made = await connection.execute(
        insert(job)
        .values(
            company_id=context.principal.company_id,
            kind=kind,
            arguments=dict(arguments),
            progress_total=total,
            created_by=context.principal.actor,
            created_at=now,
            run_at=now,
        )
        .returning(job.c.id)
    )
    job_id = int(made.scalar_one())
    await connection.execute(select(func.pg_notify(literal(JOB_CHANNEL), literal(""))))
    return job_id


async def end_subscription(context: Context, key: str, id_: int) -> Outcome:
    """End a live subscription of the caller, whichever process serves it; return its ``id``.

    Whoever may ``subscriptions.end`` ends everybody's in the company. The process hears of it with
    the commit, or finds the mark within a second.

    Raises:
        CommandRefused: there is no such subscription that the caller may end.

    """
    row = live_subscription.c
    principal = context.principal
    everybodys = principal.partner_id is None and principal.can("subscriptions.end")
    marking = (
        update(live_subscription)
        .where(
            row.id == id_,
            row.company_id == principal.company_id,
            true() if everybodys else row.actor == principal.actor,
            SERVED,
        )
        .values(end_requested_at=func.coalesce(row.end_requested_at, func.now()))
        .returning(row.actor, row.field, row.transport)
    )

    async def body(connection: Transaction) -> Outcome:
        marked = (await connection.execute(marking)).first()
        if marked is None:
            raise CommandRefused([NotFound("There is no such subscription.", path=("id",))])
        await connection.execute(select(func.pg_notify(literal(ENDED_CHANNEL), literal(str(id_)))))
        await write_audit(
            context,
            connection,
            operation="endSubscription",
            action="end",
            entity="LiveSubscription",
            changes={
                id_: {
                    "actor": marked.actor,
                    "field": marked.field,
                    "transport": marked.transport,
                }
            },
        )
        return {"id": id_}

    return await run_command(
        context,
        operation="endSubscription",
        key=key,
        request={"id": id_},
        cause="endSubscription",
        body=body,
        partners=True,
    )
