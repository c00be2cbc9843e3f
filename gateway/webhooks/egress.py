"""Requests to addresses that clients chose: only to those allowed, and bounded in every way.

A name is resolved once, every address it has is looked at, and the connection goes to one of those
very addresses, so that a name that means another address a moment later leads nowhere. No redirect
is followed, no proxy used, and of an answer only its status and one header are read.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any, Final, NamedTuple

import httpx2

from gateway.settings import Settings

Address = IPv4Address | IPv6Address
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Returns the addresses of a host."""

_NAT64: Final = IPv6Network("64:ff9b::/96")
"""Addresses that lead to one of IPv4, in their last 32 bits (RFC 6052)."""
_LOCAL_NAT64: Final = IPv6Network("64:ff9b:1::/48")
"""The same inside of somebody's network (RFC 8215), where only they know what it leads to."""
_MOST_READ: Final = 16_384
"""Bytes read of an answer, so that the connection can be used again; longer ones end it."""
_CONNECT_SECONDS: Final = 5.0
_KEPT_SECONDS: Final = 30.0
"""How long a connection without work is kept."""
NO_ADDRESS: Final = "The host has no address, or none that anything may be sent to from here."


class EgressRefused(Exception):
    """Nothing was sent; the message says why, without telling addresses."""


class Answered(NamedTuple):
    """What a receiver answered."""

    status: int
    retry_after: str | None


@dataclass(frozen=True, slots=True)
class EgressRules:
    """Where may be sent to, as the settings say."""

    hosts: tuple[str, ...]
    networks: tuple[Any, ...]
    ports: frozenset[int]
    plain_http: bool

    @classmethod
    def of(cls, settings: Settings) -> "EgressRules":
        """Return what the settings say."""
        return cls(
            hosts=tuple(host.lower().rstrip(".") for host in settings.webhook_allowed_hosts),
            networks=settings.webhook_allowed_networks,
            ports=frozenset(settings.webhook_allowed_ports),
            plain_http=settings.webhook_plain_http,
        )

    def url_fault(self, url: str) -> str | None:
        """Tell why nothing can be sent to a URL, whatever its host resolves to; None if it can."""
        try:
            parsed = httpx2.URL(url)
        except (httpx2.InvalidURL, ValueError):
            return "url is not a URL."
        if parsed.scheme != "https" and not (self.plain_http and parsed.scheme == "http"):
            return "url must begin with https://."
        if not parsed.host or parsed.userinfo or parsed.fragment:
            return "url must have a host, and neither a user nor a fragment."
        if self.ports and _port(parsed) not in self.ports:
            return f"url must have one of these ports: {', '.join(map(str, sorted(self.ports)))}."
        return self._host_fault(_host(parsed))

    def _host_fault(self, host: str) -> str | None:
        if self.hosts and not any(_is_of(host, allowed) for allowed in self.hosts):
            return "url must have a host that is allowed here."
        try:
            literal = ip_address(host)
        except ValueError:
            return None
        return None if self.allows(literal) else "url must have an address that is allowed here."

    def allows(self, address: Address) -> bool:
        """Tell whether an address may be connected to: a public one, or of a network allowed."""
        meant = _meant(address)
        if any(one in network for network in self.networks for one in (address, meant)):
            return True
        if meant in _LOCAL_NAT64 or (isinstance(meant, IPv6Address) and meant.is_site_local):
            return False
        return meant.is_global and not meant.is_multicast and not meant.is_reserved


class Sender:
    """Sends to one URL at a time, over connections of its own, since they carry one host's name.

    ``context`` verifies certificates; ``seconds`` is the longest one request may take.
    """

    def __init__(
        self,
        rules: EgressRules,
        context: ssl.SSLContext,
        *,
        seconds: float,
        resolve: "Resolve | None" = None,
    ) -> None:
        self._rules = rules
        self._seconds = seconds
        # its own: a name server that does not answer holds a thread, and is to hold nobody else
        self._names = ThreadPoolExecutor(1, thread_name_prefix="webhook name")
        self._resolve = resolve or self._addresses_of
        self._client = httpx2.AsyncClient(
            verify=context,
            trust_env=False,
            follow_redirects=False,
            timeout=httpx2.Timeout(seconds, connect=_CONNECT_SECONDS),
            limits=httpx2.Limits(max_connections=1, keepalive_expiry=_KEPT_SECONDS),
        )

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answered:
        """Send a body and return how it was answered.

        Raises:
            EgressRefused: the address is not allowed, or nothing answers there in time.

        """
        fault = self._rules.url_fault(url)
        if fault is not None:
            raise EgressRefused(fault)
        try:
            async with asyncio.timeout(self._seconds):
                return await self._post(httpx2.URL(url), body, headers)
        except TimeoutError:
            message = f"The receiver did not answer within {self._seconds:g} s."
            raise EgressRefused(message) from None
        except ssl.SSLError:
            raise EgressRefused("The receiver's certificate does not hold.") from None
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            raise EgressRefused(_told(error)) from None

    async def aclose(self) -> None:
        """Close the connections."""
        self._names.shutdown(wait=False, cancel_futures=True)
        await self._client.aclose()

    async def _addresses_of(self, host: str, port: int) -> Sequence[str]:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._names, addresses_of, host, port)

    async def _post(self, url: httpx2.URL, body: bytes, headers: Mapping[str, str]) -> Answered:
        host = _host(url)
        addresses = await self._allowed(host, _port(url))
        for address in addresses[:-1]:
            try:
                return await self._post_to(address, host, url, body, headers)
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                continue  # such as one of IPv6 where there is no such network
        return await self._post_to(addresses[-1], host, url, body, headers)

    async def _allowed(self, host: str, port: int) -> list[str]:
        """Return the addresses of a host, all of which may be connected to."""
        try:
            found = [ip_address(one) for one in await self._resolve(host, port)]
        except (OSError, UnicodeError, ValueError):
            raise EgressRefused(NO_ADDRESS) from None
        if not found or not all(self._rules.allows(one) for one in found):
            raise EgressRefused(NO_ADDRESS)
        return [str(one) for one in dict.fromkeys(found)]

    async def _post_to(
        self, address: str, host: str, url: httpx2.URL, body: bytes, headers: Mapping[str, str]
    ) -> Answered:
        request = self._client.build_request(
            "POST",
            url.copy_with(host=address),
            content=body,
            headers={
                **headers,
                "host": url.netloc.decode("ascii"),
                "accept-encoding": "identity",
                "user-agent": "erp-gateway",
            },
            # the name that the certificate has to be of
            extensions={"sni_hostname": host},
        )
        response = await self._client.send(request, stream=True)
        try:
            read = 0
            async for piece in response.aiter_raw():
                read += len(piece)
                if read > _MOST_READ:
                    break
        finally:
            await response.aclose()
        return Answered(response.status_code, response.headers.get("retry-after"))


def addresses_of(host: str, port: int) -> Sequence[str]:
    """Ask the system for the addresses of a host, which may take long.

    Raises:
        OSError: it has none.

    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    # an address may come with a scope, of which nothing global has one
    return [str(entry[4][0]).partition("%")[0] for entry in found]


def _meant(address: Address) -> Address:
    """Return the address of IPv4 that one of IPv6 leads to, where it leads to one."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if address in _NAT64 or int(address) < 1 << 32:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def _host(url: httpx2.URL) -> str:
    return url.raw_host.decode("ascii").lower().rstrip(".").strip("[]")


def _port(url: httpx2.URL) -> int:
    return url.port or (443 if url.scheme == "https" else 80)


def _is_of(host: str, allowed: str) -> bool:
    """Tell whether a host is the one allowed or, after a dot, below it."""
    return host.endswith(allowed) if allowed.startswith(".") else host == allowed


def _told(error: Exception) -> str:
    """Return what a client is told of a failure of the network."""
    if "CERTIFICATE" in str(error).upper():
        return "The receiver's certificate does not hold."
    if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout):
        return "No connection to the receiver."
    if isinstance(error, httpx2.TimeoutException):
        return "The receiver did not answer in time."
    return "The connection to the receiver was lost."
