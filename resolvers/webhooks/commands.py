"""The verbs of webhooks: one function per command.

A client bound to a partner may run them, on its own webhooks: they are the one thing that is made
by partners here, and concern nobody else. Its database role only reads, so the transaction is the
company's, and each command looks first whose webhook it is.
"""

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import func, insert, select, update

from resolvers.core.command import CommandRefused, Outcome, run_command, write_audit
from resolvers.core.context import Context
from resolvers.core.document import (
    Asked,
    Document,
    lock_document,
    naming,
    request_for,
    write_document,
)
from resolvers.core.errors import (
    ErpError,
    Forbidden,
    Invalid,
    InvalidTransition,
    LimitExceeded,
    NotFound,
)
from resolvers.core.stream import Place
from resolvers.core.transaction import Transaction
from resolvers.webhooks.ports import WebhookDesk
from resolvers.webhooks.rules import (
    MAX_DOCUMENT,
    MAX_URL,
    MAX_VARIABLES,
    MOST_WEBHOOKS,
    OVERLAP_SECONDS,
    DeliveryState,
    WebhookState,
)
from resolvers.webhooks.tables import webhook, webhook_delivery

WEBHOOK: Final = Document("Webhook", webhook, "webhook")
_COUNTED: Final = 0x5F
"""Advisory lock of the number of a company's webhooks, beside the company's id."""
_MOST_RETRIED: Final = 10_000
"""Dead letters that one command has sent again."""
_AFRESH: Final[Mapping[str, Any]] = {
    "state": WebhookState.ACTIVE,
    "failures": 0,
    "dead_in_a_row": 0,
    "next_attempt_at": None,
    "last_error": None,
}
"""What makes a webhook go on as if nothing had failed."""

Change = Callable[[Transaction, Any], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True)
class Subscribed:
    """What a webhook is told of: a subscription, and the values of its variables as JSON text."""

    document: str
    operation_name: str | None
    variables: str | None


async def create_webhook(
    context: Context, key: str, url: str, subscribed: Subscribed, after: str | None
) -> Outcome:
    """Make a webhook of the caller, told of what comes after ``after``, by default from now on.

    Returns its ``id``, and the ``salt`` of its secret.

    Raises:
        CommandRefused: URL, document, variables or place are wrong, or there are too many.

    """

    async def body(connection: Transaction) -> Outcome:
        variables = await _checked(context, url, subscribed)
        await _refuse_too_many(context, connection)
        place = await _place(connection, after)
        principal = context.principal
        salt = _desk(context).new_salt()
        made = await connection.execute(
            insert(webhook)
            .values(
                company_id=principal.company_id,
                partner_id=principal.partner_id,
                owner=principal.actor,
                url=url,
                document=subscribed.document,
                operation_name=subscribed.operation_name,
                variables=variables,
                **_told_up_to(place),
                salt=salt,
                created_at=context.clock(),
            )
            .returning(webhook.c.id)
        )
        id_ = int(made.scalar_one())
        await write_audit(
            context,
            connection,
            operation="createWebhook",
            action="create",
            entity=WEBHOOK.entity,
            changes={id_: {"url": url}},
            versions={id_: 1},
        )
        return {"id": id_, "salt": salt}

    return await run_command(
        context,
        operation="createWebhook",
        key=key,
        request={
            "url": url,
            "document": subscribed.document,
            "operationName": subscribed.operation_name,
            "variables": subscribed.variables,
            "after": after,
        },
        cause="createWebhook",
        body=body,
        partners=True,
    )


async def update_webhook(
    context: Context,
    key: str,
    asked: Asked,
    *,
    url: str | None,
    document: str | None,
    operation_name: str | None,
    variables: str | None,
) -> Outcome:
    """Change where a webhook sends, or what; the caller becomes its owner. Return its ``id``.

    What is None stays, and with a new document the operation's name and the variables go with the
    old one. So nobody can have another's permissions send to an address of their own.

    Raises:
        CommandRefused: there is no such webhook, it changed, or what it is to be is wrong.

    """

    async def change(connection: Transaction, row: Any) -> Outcome:
        if row.partner_id != context.principal.partner_id:
            raise CommandRefused([_of_the_partner(asked)])
        if document is not None:
            wanted = Subscribed(document, operation_name, variables)
        else:
            kept = json.dumps(row.variables) if variables is None else variables
            wanted = Subscribed(row.document, row.operation_name, kept)
        target = row.url if url is None else url
        values = {
            "owner": context.principal.actor,
            "url": target,
            "document": wanted.document,
            "operation_name": wanted.operation_name,
            "variables": await _checked(context, target, wanted),
        }
        await _write(context, connection, row, values, "updateWebhook")
        return {}

    return await _change(
        context,
        key,
        asked,
        "updateWebhook",
        change,
        request={
            "url": url,
            "document": document,
            "operationName": operation_name,
            "variables": variables,
        },
    )


async def pause_webhook(context: Context, key: str, asked: Asked) -> Outcome:
    """Send nothing to a webhook until it is resumed; return its ``id``.

    Raises:
        CommandRefused: there is no such webhook, it changed, or is stopped already.

    """

    async def change(connection: Transaction, row: Any) -> Outcome:
        if row.state not in (WebhookState.ACTIVE, WebhookState.FAILING):
            raise CommandRefused([_stopped(row, asked)])
        values = {"state": WebhookState.PAUSED, "next_attempt_at": None}
        await _write(context, connection, row, values, "pauseWebhook")
        return {}

    return await _change(context, key, asked, "pauseWebhook", change)


async def resume_webhook(context: Context, key: str, asked: Asked) -> Outcome:
    """Go on with a webhook where it was, at once; return its ``id``.

    Raises:
        CommandRefused: there is no such webhook, it changed, or nothing keeps it.

    """

    async def change(connection: Transaction, row: Any) -> Outcome:
        if row.state == WebhookState.ACTIVE:
            raise CommandRefused([InvalidTransition("The webhook is active.", path=asked.at)])
        await _write(context, connection, row, _AFRESH, "resumeWebhook")
        return {}

    return await _change(context, key, asked, "resumeWebhook", change)


async def rotate_webhook_secret(context: Context, key: str, asked: Asked) -> Outcome:
    """Give a webhook a new secret; the one before signs beside it for a day.

    Returns its ``id``, and the new ``salt``.

    Raises:
        CommandRefused: there is no such webhook, it changed, or is a partner's own.

    """

    async def change(connection: Transaction, row: Any) -> Outcome:
        if row.partner_id != context.principal.partner_id:
            raise CommandRefused([_of_the_partner(asked)])
        salt = _desk(context).new_salt()
        values = {
            "salt": salt,
            "previous_salt": row.salt,
            "previous_until": context.clock() + timedelta(seconds=OVERLAP_SECONDS),
        }
        await _write(context, connection, row, values, "rotateWebhookSecret")
        return {"salt": salt}

    return await _change(context, key, asked, "rotateWebhookSecret", change)


async def replay_webhook(context: Context, key: str, asked: Asked, after: str) -> Outcome:
    """Tell a webhook again of all that comes after a place in the log; return its ``id``.

    One that had stopped itself goes on; one that is paused stays so.

    Raises:
        CommandRefused: there is no such webhook, it changed, or the place is not in the log.

    """

    async def change(connection: Transaction, row: Any) -> Outcome:
        values: dict[str, Any] = {**_AFRESH, **_told_up_to(await _place(connection, after))}
        if row.state == WebhookState.PAUSED:
            values["state"] = WebhookState.PAUSED
        # what failed and comes again anyway is not to be sent before what comes ahead of it
        delivery = webhook_delivery.c
        await connection.execute(
            update(webhook_delivery)
            .where(
                delivery.webhook_id == row.id,
                delivery.state == DeliveryState.RETRYING,
                delivery.seq > values["seq"],
            )
            .values(state=DeliveryState.DEAD)
        )
        await _write(context, connection, row, values, "replayWebhook")
        return {}

    return await _change(context, key, asked, "replayWebhook", change, request={"after": after})


async def retry_dead_letters(
    context: Context, key: str, asked: Asked, after: str | None
) -> Outcome:
    """Send a webhook's dead letters again, those after a place in the log, as they were.

    Returns its ``id``, and how many there are, as ``retried``.

    Raises:
        CommandRefused: there is no such webhook, it changed, or the place is none.

    """
    place = 0 if after is None else _read(after).seq
    delivery = webhook_delivery.c

    async def change(connection: Transaction, row: Any) -> Outcome:
        dead = (
            select(delivery.id)
            .where(
                delivery.webhook_id == row.id,
                delivery.state == DeliveryState.DEAD,
                delivery.seq > place,
                # later ones come again by themselves
                delivery.seq <= row.seq,
            )
            .order_by(delivery.seq)
            .limit(_MOST_RETRIED)
        )
        retried = await connection.execute(
            update(webhook_delivery)
            .where(delivery.id.in_(dead))
            .values(state=DeliveryState.RETRYING, attempts=0)
            .returning(delivery.id)
        )
        values = {"dead_in_a_row": 0}
        await _write(context, connection, row, values, "retryDeadLetters")
        return {"retried": len(retried)}

    return await _change(context, key, asked, "retryDeadLetters", change, request={"after": after})


async def delete_webhook(context: Context, key: str, asked: Asked) -> Outcome:
    """Send nothing to a webhook any more, and forget its secrets; return its ``id``.

    Raises:
        CommandRefused: there is no such webhook, or it changed.

    """

    async def change(connection: Transaction, row: Any) -> Outcome:
        values = {
            "state": WebhookState.DISABLED,
            "archived_at": context.clock(),
            "salt": None,
            "previous_salt": None,
            "previous_until": None,
            "next_attempt_at": None,
        }
        await _write(context, connection, row, values, "deleteWebhook")
        return {}

    return await _change(context, key, asked, "deleteWebhook", change)


async def _change(
    context: Context,
    key: str,
    asked: Asked,
    operation: str,
    change: Change,
    *,
    request: Mapping[str, Any] | None = None,
) -> Outcome:
    """Run ``change`` on a webhook that is the caller's to change; the frame of all verbs."""

    async def body(connection: Transaction) -> Outcome:
        await _refuse_others(context, connection, asked)
        row = await lock_document(connection, WEBHOOK, asked)
        if row.archived_at is not None:
            raise CommandRefused([_unknown(asked)])
        with naming({"id": asked.id}) as it:
            return {**it, **await change(connection, row)}

    return await run_command(
        context,
        operation=operation,
        key=key,
        request=request_for(asked, request),
        cause=operation,
        body=body,
        partners=True,
    )


async def _refuse_others(context: Context, connection: Transaction, asked: Asked) -> None:
    """Show a client that is bound to a partner no webhook but its own, not even in refusals."""
    partner_id = context.principal.partner_id
    if partner_id is None:
        return
    own = select(webhook.c.id).where(webhook.c.id == asked.id, webhook.c.partner_id == partner_id)
    if await connection.scalar(own) is None:
        raise CommandRefused([_unknown(asked)])


async def _write(
    context: Context,
    connection: Transaction,
    row: Any,
    values: Mapping[str, Any],
    operation: str,
) -> None:
    """Change a webhook; the trail calls that by the verb of the ``operation``."""
    action = re.split("[A-Z]", operation, maxsplit=1)[0]
    await write_document(
        context, connection, WEBHOOK, row, values, operation=operation, action=action
    )


async def _checked(context: Context, url: str, subscribed: Subscribed) -> dict[str, Any]:
    """Return the variables, once it is known that the caller can be told of them at a URL.

    Raises:
        CommandRefused: something is wrong; every field at fault is named.

    """
    errors: list[ErpError] = []
    desk = _desk(context)
    fault = _too_long("url", url, MAX_URL) or desk.url_fault(url)
    if fault is not None:
        errors.append(Invalid(fault, path=("url",)))
    variables = _variables(subscribed.variables, errors)
    long = _too_long("document", subscribed.document, MAX_DOCUMENT)
    if long is not None:
        errors.append(Invalid(long, path=("document",)))
    elif variables is not None:
        refusal = await desk.document_fault(
            context, subscribed.document, subscribed.operation_name, variables
        )
        if refusal is not None:
            errors.append(refusal)
    if errors or variables is None:
        raise CommandRefused(errors)
    return variables


def _variables(given: str | None, errors: list[ErpError]) -> dict[str, Any] | None:
    """Read variables; None, with an error more, if they are no JSON object."""
    if given is None:
        return {}
    fault = _too_long("variables", given, MAX_VARIABLES)
    if fault is None:
        try:
            read = json.loads(given, parse_constant=_no_number)
        except (ValueError, RecursionError):
            read = None
        if isinstance(read, dict):
            return read
        fault = "variables must be a JSON object, as text."
    errors.append(Invalid(fault, path=("variables",)))
    return None


def _no_number(constant: str) -> None:
    """Refuse what Python takes for numbers and JSON does not: NaN and Infinity."""
    raise ValueError(constant)


def _too_long(name: str, text: str, most: int) -> str | None:
    if 1 <= len(text) <= most:
        return None
    return f"{name} must have 1 to {most} characters."


async def _refuse_too_many(context: Context, connection: Transaction) -> None:
    """Keep the number of webhooks within its bound.

    They are made one after the other, so that two at once cannot both be the last.
    """
    await connection.execute(
        select(func.pg_advisory_xact_lock(_COUNTED, context.principal.company_id))
    )
    partner_id = context.principal.partner_id
    count = select(func.count()).where(webhook.c.archived_at.is_(None))
    most = MOST_WEBHOOKS
    if partner_id is not None:
        count, most = count.where(webhook.c.partner_id == partner_id), MOST_WEBHOOKS // 10
    if await connection.scalar(count) >= most:
        raise CommandRefused([LimitExceeded(f"There are {most} webhooks; delete one first.")])


async def _place(connection: Transaction, after: str | None) -> Place:
    """Return the place in the log to begin after: that of the last event, unless one is given.

    Raises:
        CommandRefused: no event ever had that place, or what comes after it is not kept any more.

    """
    found = await connection.execute(
        select(func.event_log_oldest().label("oldest"), func.event_log_last().label("last"))
    )
    log = found.one()
    if after is None:
        return Place(log.last)
    place = _read(after)
    before, until = place.batch or (place.seq, place.seq)
    if before < log.oldest - 1 or until > log.last:
        raise CommandRefused(
            [
                Invalid(
                    "after is not in the log: changes after it are not kept, or it was not given.",
                    path=("after",),
                    details={"oldest": log.oldest, "last": log.last},
                )
            ]
        )
    return place


def _read(after: str) -> Place:
    """Read a place in the log.

    Raises:
        Invalid: it is none.

    """
    place = Place.read(after)
    if place is None:
        message = "after is not a place in the log; take it from seq or extensions.seq."
        raise Invalid(message, path=("after",))
    return place


def _told_up_to(place: Place) -> dict[str, Any]:
    """Return the columns that say how far a webhook was told."""
    plain = place == Place(place.seq)
    return {"seq": place.seq, "cursor": None if plain else place.text}


def _unknown(asked: Asked) -> NotFound:
    return NotFound(f"There is no such {WEBHOOK.called}.", path=asked.at)


def _of_the_partner(asked: Asked) -> Forbidden:
    return Forbidden(
        "It belongs to a partner's client, which alone can change where it sends and what.",
        path=asked.at,
    )


def _stopped(row: Any, asked: Asked) -> InvalidTransition:
    return InvalidTransition(
        "Nothing is sent to the webhook already.", path=asked.at, details={"state": row.state}
    )


def _desk(context: Context) -> WebhookDesk:
    desk: WebhookDesk = context.ports[WebhookDesk]
    return desk


def secret_of(context: Context, salt: str) -> str:
    """Return the secret that belongs to the ``salt`` of an outcome, which is kept without it."""
    return _desk(context).secret(salt)
