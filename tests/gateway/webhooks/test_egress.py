"""Where webhooks may be sent to, and that they are sent nowhere else."""

import asyncio
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.settings import Settings
from gateway.webhooks.egress import NO_ADDRESS, EgressRefused, EgressRules, Sender
from tests.fixtures.receiver import Receiver, receiving

PUBLIC = "93.184.216.34"


def rules(**settings: Any) -> EgressRules:
    """Return the rules of settings."""
    return EgressRules.of(Settings(**settings))


REFUSED = [
    "127.0.0.1",
    "127.8.8.8",
    "0.0.0.0",  # noqa: S104 - no address is bound
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "169.254.169.254",
    "192.0.0.170",
    "192.0.2.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "fe80::1",
    "fec0::1",
    "fc00::1",
    "fd00:ec2::254",
    "ff02::1",
    "2001:db8::1",
    "2002:7f00:1::1",
    "2002:a00:1::1",
    "2001:0:4136:e378:8000:63bf:80ff:fffe",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::808:808",
]
ALLOWED = [PUBLIC, "8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]


@pytest.mark.parametrize("address", REFUSED)
def test_addresses_that_are_not_public_are_refused(address: str) -> None:
    """However they are written: private, loopback, link-local, metadata, and what leads to them."""
    assert not rules().allows(ip_address(address))


@pytest.mark.parametrize("address", ALLOWED)
def test_public_addresses_are_allowed(address: str) -> None:
    """Of both families, also where one is written as the other."""
    assert rules().allows(ip_address(address))


def test_networks_of_our_own_can_be_allowed() -> None:
    """Those named, and no others beside them."""
    own = rules(webhook_allowed_networks=("10.1.0.0/16", "fd00::/8"))
    assert own.allows(ip_address("10.1.2.3"))
    assert own.allows(ip_address("::ffff:10.1.2.3"))
    assert own.allows(ip_address("fd00::1"))
    assert not own.allows(ip_address("10.2.0.1"))


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://hooks.example/in?token=1", None),
        ("https://hooks.example:443/in", None),
        ("http://hooks.example/", "https"),
        ("ftp://hooks.example/", "https"),
        ("hooks.example", "https"),
        ("https://", "host"),
        ("https://user:secret@hooks.example/", "user"),
        ("https://hooks.example/#part", "fragment"),
        ("https://hooks.example:8443/", "ports"),
        ("https://hooks.example:22/", "ports"),
        ("https://hooks.example:99999/", "ports"),
        ("https://127.0.0.1/", "address"),
        ("https://[::1]/", "address"),
        ("https://[::ffff:127.0.0.1]/", "address"),
        ("https://169.254.169.254/latest/meta-data/", "address"),
        ("https://8.8.8.8/", None),
        ("https://hooks.example/\n", "URL"),
    ],
)
def test_urls(url: str, told: str | None) -> None:
    """What is wrong with a URL is told before anything is resolved."""
    fault = rules().url_fault(url)
    assert fault is None if told is None else (fault is not None and told in fault)


def test_hosts_can_be_limited() -> None:
    """To those named, and to all below a name that begins with a dot."""
    limited = rules(webhook_allowed_hosts=("Hooks.Example", ".partner.example"))
    for url in ("https://hooks.example./", "https://a.partner.example/", "https://HOOKS.example/"):
        assert limited.url_fault(url) is None, url
    for url in ("https://evil-hooks.example/", "https://partner.example/", "https://x.example/"):
        assert limited.url_fault(url) is not None, url


OPEN = {"webhook_plain_http": True, "webhook_allowed_ports": ()}


async def post(
    url: str,
    addresses: Sequence[str] | None = None,
    *,
    seconds: float = 5.0,
    context: ssl.SSLContext | None = None,
    **settings: Any,
) -> int:
    """Send to a URL whose host has these addresses; return the status that came."""
    asked = []

    async def resolve(host: str, _port: int) -> Sequence[str]:
        asked.append(host)
        assert addresses is not None
        return addresses

    trusted = context or await asyncio.to_thread(httpx2.create_ssl_context)
    assert trusted is not None
    sender = Sender(
        rules(**{**OPEN, **settings}),
        trusted,
        seconds=seconds,
        resolve=None if addresses is None else resolve,
    )
    try:
        return (await sender.post(url, b"{}", {"webhook-id": "msg_1_1"})).status
    finally:
        await sender.aclose()
        assert len(asked) <= 1, "a name that is asked for twice may mean another address then"


LOOPBACK: dict[str, Any] = {"webhook_allowed_networks": ("127.0.0.0/8",)}


async def test_connects_to_the_very_address_that_was_looked_at() -> None:
    """By the host's name in the header, whatever the name means by then."""
    async with receiving() as receiver:
        url = receiver.url.replace("127.0.0.1", "hooks.example")
        assert await post(url, ["127.0.0.1"], **LOOPBACK) == 204
        [got] = receiver.got
        assert got.headers["host"] == f"hooks.example:{receiver.port}"


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.1"], [PUBLIC, "127.0.0.1"], ["::1"], ["::ffff:127.0.0.1"], [], ["nonsense"]],
)
async def test_names_of_addresses_that_are_not_allowed_are_refused(addresses: list[str]) -> None:
    """One of several is enough, and nothing is sent."""
    async with receiving() as receiver:
        url = receiver.url.replace("127.0.0.1", "hooks.example")
        with pytest.raises(EgressRefused, match=NO_ADDRESS):
            await post(url, addresses)
        assert not receiver.got


@pytest.mark.parametrize("host", ["localhost", "0x7f.1", "2130706433", "127.1", "0"])
async def test_other_ways_to_write_loopback_are_refused(host: str) -> None:
    """As the system resolves them."""
    async with receiving() as receiver:
        with pytest.raises(EgressRefused):
            await post(receiver.url.replace("127.0.0.1", host))
        assert not receiver.got


async def test_the_next_address_is_tried_where_one_does_not_answer() -> None:
    """Such as one of a network that is not there."""
    async with receiving() as receiver:
        url = receiver.url.replace("127.0.0.1", "hooks.example")
        assert await post(url, ["127.0.0.2", "127.0.0.1"], **LOOPBACK) == 204


async def test_redirects_are_not_followed() -> None:
    """The status is told, and nothing goes where it points."""
    async with receiving() as receiver, receiving() as other:

        def redirect(_: object) -> tuple[int, dict[str, str]]:
            return 307, {"location": other.url}

        receiver.answer = redirect
        assert await post(receiver.url, **LOOPBACK) == 307
        assert not other.got


async def test_slow_and_absent_receivers_are_given_up() -> None:
    """With what happened, for people to read."""
    async with receiving() as receiver:
        receiver.delay = 5
        with pytest.raises(EgressRefused, match=r"did not answer within 0\.2 s"):
            await post(receiver.url, seconds=0.2, **LOOPBACK)
        gone = Receiver(port=receiver.port)
    with pytest.raises(EgressRefused, match="No connection"):
        await post(gone.url, **LOOPBACK)


def certified(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return what a server of this name shows, and what trusts it."""
    private = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(private.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2099, 1, 1, tzinfo=UTC))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(private, hashes.SHA256())
    )
    file = folder / "server.pem"
    file.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    shown = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    shown.load_cert_chain(file)
    return shown, ssl.create_default_context(cafile=file)


async def test_certificates_have_to_be_of_the_host(tmp_path: Path) -> None:
    """Of its name, though the connection goes to an address, and of somebody who is trusted."""
    shown, trusts = await asyncio.to_thread(certified, tmp_path, "hooks.example")
    async with receiving(shown) as receiver:
        url = receiver.url.replace("http://127.0.0.1", "https://hooks.example")
        assert await post(url, ["127.0.0.1"], context=trusts, **LOOPBACK) == 204
        assert receiver.got.pop().headers["host"] == f"hooks.example:{receiver.port}"
        for wrong, context in (
            (url.replace("hooks.example", "other.example"), trusts),
            (url, None),
        ):
            with pytest.raises(EgressRefused, match="certificate"):
                await post(wrong, ["127.0.0.1"], context=context, **LOOPBACK)
        assert not receiver.got
