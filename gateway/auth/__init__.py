"""Who calls: bearer tokens and API keys become principals."""

from gateway.auth.authenticator import Authenticator

__all__ = ["Authenticator"]
