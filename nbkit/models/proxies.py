"""The proxy for a server, from the same environment variables as in curl and requests."""

import ipaddress
import urllib.request
from urllib.parse import urlsplit

from nbkit.errors import ConnectError
from nbkit.language import say


def proxy_for(base_url: str) -> str | None:
    """The address of the proxy for a server; `None` for a direct connection.

    Reads HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY, or the system settings on macOS and
    Windows. There is no proxy for a server on this machine. Raises ConnectError for a proxy whose
    address is not http://.
    """
    server = urlsplit(base_url)
    host = server.hostname or ""
    if _is_loopback(host) or urllib.request.proxy_bypass(host):
        return None
    proxies = urllib.request.getproxies()
    name = server.scheme if proxies.get(server.scheme) else "all"
    address = proxies.get(name)
    if not address:
        return None
    if not is_http_address(address):
        # Without the address itself, which may contain a password.
        raise ConnectError(
            say(
                "{name}_PROXY is not an http:// address, and {host} cannot be reached through "
                "another kind of proxy",
                name=name.upper(),
                host=host,
            ),
            say("write it as http://host:port, or add {host} to NO_PROXY.", host=host),
        )
    return address


def is_http_address(text: str) -> bool:
    """Whether this is the address of a server: `http://host` or `https://host`, at least."""
    try:
        parts = urlsplit(text)
        named = bool(parts.hostname) and parts.port != 0 and not any(map(str.isspace, text))
    except ValueError:
        return False
    return named and parts.scheme in ("http", "https")


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback
