"""The process around the schema: transports, identity, pools, relay, metrics, migrations."""

from gateway.memory import collect_rarely

collect_rarely()  # here, before anything else: imports and the schema are half a million objects
