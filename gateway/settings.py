"""Every setting: name, type, default, meaning. Read once from the environment, then frozen."""

from pathlib import Path
from typing import Literal

from pydantic import Field, IPvAnyNetwork, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Settings of one process, from environment variables with the prefix ``GATEWAY_``."""

    model_config = SettingsConfigDict(env_prefix="GATEWAY_", frozen=True, extra="ignore")

    environment: Literal["production", "demo", "test"] = Field(
        "production",
        description="What kind of installation this is; `demo` and `test` unlock demo tokens and GraphiQL.",
    )
    host: str = Field("127.0.0.1", description="Address the server listens on.")
    port: int = Field(8000, ge=0, le=65535, description="Port the server listens on; 0 picks one.")
    workers: int = Field(1, ge=1, le=64, description="Number of server processes.")

    database_url: SecretStr | None = Field(
        None,
        description="PostgreSQL >= 15 to use, as postgresql://user:password@host:port/name. Unset: the embedded server.",
    )
    serving_database_url: SecretStr | None = Field(
        None,
        description="Login for serving requests when it differs from `database_url`, which then migrates and publishes events.",
    )
    data_dir: Path = Field(
        Path(".data"), description="Folder of the embedded PostgreSQL and of local state."
    )

    read_pool_size: int = Field(
        10, ge=1, le=200, description="Most connections for reads, per process."
    )
    write_pool_size: int = Field(
        5, ge=1, le=200, description="Most connections for commands, per process."
    )
    pool_wait_seconds: float = Field(
        2.0,
        gt=0,
        description="Longest wait for a free connection, or the turn of a large answer, before it is OVERLOADED.",
    )
    verify_every_hours: int = Field(
        24, ge=1, description="Hours between two proofs of all invariants by a worker."
    )
    statement_timeout_seconds: float = Field(
        10.0, gt=0, description="PostgreSQL statement_timeout."
    )
    lock_timeout_seconds: float = Field(3.0, gt=0, description="PostgreSQL lock_timeout.")
    operation_timeout_seconds: float = Field(
        15.0, gt=0, description="Longest a query or mutation may run before it is canceled."
    )

    max_body_bytes: int = Field(
        1_048_576, ge=1024, description="Largest request body; more is 413."
    )
    max_header_bytes: int = Field(
        16_384, ge=1024, description="Largest request header section; more is 431."
    )
    max_url_bytes: int = Field(16_384, ge=1024, description="Longest request target; more is 414.")
    header_timeout_seconds: float = Field(
        10.0, gt=0, description="Time to send the request header."
    )
    body_timeout_seconds: float = Field(10.0, gt=0, description="Time to send the request body.")
    max_json_depth: int = Field(64, ge=8, description="Deepest nesting of a JSON body.")

    max_tokens: int = Field(4_000, ge=100, description="Most tokens in a document.")
    max_depth: int = Field(
        10, ge=1, description="Deepest selection of an operation (introspection: 15)."
    )
    max_aliases: int = Field(30, ge=0, description="Most aliases in an operation.")
    max_directives: int = Field(50, ge=0, description="Most directives in an operation.")
    max_root_fields: int = Field(20, ge=1, description="Most root fields in an operation.")
    max_cost: int = Field(
        20_000,
        ge=1,
        description="Highest cost of an operation: objects it may return, by page sizes.",
    )
    max_operations: int = Field(20, ge=1, description="Most operations in a document.")
    max_variables: int = Field(100, ge=1, description="Most variables of an operation.")
    document_cache_size: int = Field(
        1_000, ge=1, description="Documents kept parsed and validated."
    )

    trusted_documents: Path | None = Field(
        None,
        description="File of the documents that clients may send by id: JSON, ids to documents or Apollo's manifest.",
    )
    document_admission: Literal["any", "audit", "trusted"] = Field(
        "any",
        description="Which documents run: `any`, `audit` to log and count those not trusted, or `trusted` ones only.",
    )

    ws_init_timeout_seconds: float = Field(3.0, gt=0, description="Time to send connection_init.")
    ws_max_message_bytes: int = Field(262_144, ge=1024, description="Largest WebSocket message.")
    ws_max_operations: int = Field(
        100, ge=1, description="Most live operations on one socket, or one shared event stream."
    )
    ws_max_sockets_per_caller: int = Field(
        20,
        ge=1,
        description="Most sockets, and most shared event streams, of one caller, per process.",
    )
    ws_ping_seconds: float = Field(
        15.0, gt=0, description="Time between pings; a peer is dropped after two."
    )
    send_timeout_seconds: float = Field(
        10.0, gt=0, description="Longest a send to a client may block."
    )
    allowed_origins: tuple[str, ...] = Field(
        (), description="Origins besides our own that browsers may connect from (JSON list)."
    )
    shutdown_seconds: float = Field(
        10.0, gt=0, description="Time for running requests at shutdown."
    )

    jwt_secret: SecretStr | None = Field(
        None,
        description="Shared secret (>= 32 bytes) for HS256 tokens. Unset in demo: one is made in the data directory.",
    )
    jwt_jwks_url: str | None = Field(None, description="URL of the key set for asymmetric tokens.")
    jwt_algorithms: tuple[str, ...] = Field(
        ("RS256", "ES256"), description="Algorithms accepted with the key set (JSON list)."
    )
    jwt_issuer: str = Field("erp-gateway", description="Required `iss` of a token.")
    jwt_audience: str = Field("erp-gateway", description="Required `aud` of a token.")
    jwt_leeway_seconds: int = Field(
        30, ge=0, le=300, description="Clock difference tolerated in a token."
    )
    token_notice_seconds: float = Field(
        60.0,
        gt=0,
        description="How long before its token ends a live connection is told; half the rest of a token that ends sooner.",
    )
    anonymous_introspection: bool = Field(
        False, description="Let callers without a token run introspection queries."
    )

    download_link_seconds: int = Field(
        300, ge=1, le=86_400, description="How long a signed link to a file holds."
    )

    reference_cache: bool = Field(
        True,
        description="Keep currencies, units, taxes, categories, warehouses and payment terms in memory; the database tells of every change.",
    )
    compile_queries: bool = Field(
        True,
        description="Run queries by compiled plans; false runs them ordinarily, for comparison.",
    )
    shadow_share: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of the queries that also run ordinarily, unseen, to compare the answers; 0.001 is plenty.",
    )
    relay: bool = Field(
        True, description="Publish the outbox in this process; false where `relay` runs apart."
    )
    event_retention_hours: int = Field(
        24,
        ge=1,
        description="Hours that published events are kept at least: how long a subscriber may be away.",
    )
    webhook_delivery: bool = Field(
        False,
        description="Send webhooks from this process too; workers always do.",
    )
    webhook_secret: SecretStr | None = Field(
        None,
        description="Secret (>= 32 bytes) that those of webhooks are derived from. Unset: the one that signs tokens.",
    )
    webhook_allowed_hosts: tuple[str, ...] = Field(
        (),
        description="Hosts that webhooks may be sent to; `.example.com` is all below it (JSON list). Empty: all.",
    )
    webhook_allowed_networks: tuple[IPvAnyNetwork, ...] = Field(
        (),
        description="Networks that webhooks may be sent to although they are not public, such as 10.1.0.0/16 (JSON list).",
    )
    webhook_allowed_ports: tuple[int, ...] = Field(
        (443,), description="Ports that webhooks may be sent to (JSON list). Empty: all."
    )
    webhook_plain_http: bool = Field(
        False, description="Let webhooks be sent by http, which anybody on the way can read."
    )
    webhook_timeout_seconds: float = Field(
        15.0, gt=0, le=60, description="Longest one attempt to send a webhook may take."
    )
    webhook_retry_hours: float = Field(
        20.0,
        gt=0,
        description="How long one change is tried before it is a dead letter; at most four fifths of `event_retention_hours`.",
    )
    conformance_fields: bool = Field(
        False,
        description="Add fields for conformance tools (a slow query, a firehose). Refused in production.",
    )
    log_format: Literal["json", "console"] = Field(
        "json", description="Format of log lines on stderr."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Lowest level logged."
    )
    log_operations: Literal["all", "notable"] = Field(
        "notable",
        description="Operations that get a line in the log: `all`, or mutations, failures and what took over 0.1 s.",
    )
