"""What the commands of webhooks ask the process; see `resolvers.webhooks.ports.WebhookDesk`."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from gateway.context import OperationContext
from gateway.webhooks.egress import EgressRules
from gateway.webhooks.signing import Secrets
from resolvers.core.context import Context
from resolvers.core.errors import ErpError, Forbidden, Invalid
from resolvers.core.principal import Principal
from schema.core.execution import Executor, GraphQLRequest, Refused

Open = Callable[[Principal, str], OperationContext]
"""Opens the context of one operation."""

NO_SECRETS: Final = "This installation signs no webhooks: it has no secret to derive theirs from."
OTHER_KEY: Final = (
    "The webhook's secret was made with another key than this process has. "
    "rotateWebhookSecret gives it a new one."
)
_AT: Final = ("document",)


class Desk:
    """Looks at what a webhook is to be, by the rules of this process."""

    def __init__(
        self, executor: Executor, open_context: Open, rules: EgressRules, secrets: Secrets | None
    ) -> None:
        self._executor = executor
        self._open = open_context
        self._rules = rules
        self._secrets = secrets

    def url_fault(self, url: str) -> str | None:
        """Tell why nothing can be sent to a URL, None if something can."""
        return self._rules.url_fault(url)

    async def document_fault(
        self,
        context: Context,
        document: str,
        operation_name: str | None,
        variables: Mapping[str, Any],
    ) -> ErpError | None:
        """Tell why the caller cannot be told what a document subscribes to, None if they can."""
        request = GraphQLRequest(document, operation_name, variables)
        try:
            prepared = self._executor.prepare(request, known_caller=True)
        except Refused as refused:
            return Invalid(refused.errors[0]["message"], path=_AT)
        if prepared.operation_type.value != "subscription":
            return Invalid("document must be a subscription.", path=_AT)
        errors = await self._executor.refuse_stream(
            prepared, lambda: self._open(context.principal, context.request_id)
        )
        if not errors:
            return None
        code, message = errors[0]["extensions"]["code"], errors[0]["message"]
        kind = Forbidden if code == Forbidden.code else Invalid
        return kind(message, path=_AT)

    def new_salt(self) -> str:
        """Return what a new secret is derived from.

        Raises:
            Forbidden: there is nothing to derive secrets from here.

        """
        return self._known().new_salt()

    def secret(self, salt: str) -> str:
        """Return the secret that belongs to a salt.

        Raises:
            Forbidden: it was made with another key, or there is none here.

        """
        known = self._known()
        if not known.knows(salt):
            raise Forbidden(OTHER_KEY)
        return known.secret(salt)

    def _known(self) -> Secrets:
        if self._secrets is None:
            raise Forbidden(NO_SECRETS)
        return self._secrets
