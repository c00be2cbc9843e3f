"""The process around the schema: transports, identity, pools, relay, metrics, migrations."""
