"""What webhooks need of the process: where may be sent to, what can be subscribed to, secrets."""

from collections.abc import Mapping
from typing import Any, Protocol

from resolvers.core.context import Context
from resolvers.core.errors import ErpError


class WebhookDesk(Protocol):
    """Looks at what a webhook is to be; `Context.ports` has it where webhooks can be made."""

    def url_fault(self, url: str) -> str | None:
        """Tell why nothing can be sent to a URL, None if something can."""
        ...

    async def document_fault(
        self,
        context: Context,
        document: str,
        operation_name: str | None,
        variables: Mapping[str, Any],
    ) -> ErpError | None:
        """Tell why the caller cannot be told what a document subscribes to, None if they can."""
        ...

    def new_salt(self) -> str:
        """Return what a new secret is derived from."""
        ...

    def secret(self, salt: str) -> str:
        """Return the secret that belongs to a salt, as the receiver is given it."""
        ...
