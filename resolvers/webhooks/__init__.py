"""Webhooks: subscriptions whose changes are sent to a URL, each once or more, in order."""
