"""Fetching a picture from an address that a workflow names: public hosts only, in bounds of size and time."""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any

from dw_lsp.workflow.resolved import InvalidInput

LARGEST_DOWNLOAD = 64 * 1024 * 1024
TIMEOUT_SECONDS = 30.0
_CHUNK = 1 << 16

#: Whether a host at this address may be spoken to.
AddressRule = Callable[[str], bool]


def is_public(address: str) -> bool:
    """Whether an address is one of the open internet: not this machine, its network or a cloud's inner service."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(parsed, "ipv4_mapped", None)
    return bool((mapped or parsed).is_global) and not (mapped or parsed).is_multicast


def is_address(text: str) -> bool:
    """Whether the text is an http(s) address."""
    return text.lower().startswith(("http://", "https://"))


def download(
    url: str,
    rule: AddressRule = is_public,
    largest: int = LARGEST_DOWNLOAD,
    check: Callable[[], None] = lambda: None,
) -> bytes:
    """The bytes at an address.

    Arguments: `rule` judges the numeric address of each host that is connected to, redirections included; `largest`
    is the most that is read, in bytes; `check` is called for each chunk and may raise to stop.
    Raises `InvalidInput` when it cannot be fetched, or may not be.
    """
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.UnknownHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPErrorProcessor(),
        _handler(rule),
    ):
        opener.add_handler(handler)
    request = urllib.request.Request(url, headers={"User-Agent": "dw-lsp"})
    try:
        with opener.open(request, timeout=TIMEOUT_SECONDS) as response:
            return _read(response, url, largest, check)
    except _Refused as error:
        raise InvalidInput(f"{url} is refused: {error}", hint="Only public addresses may be read.") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        if isinstance(reason, _Refused):
            raise InvalidInput(f"{url} is refused: {reason}", hint="Only public addresses may be read.") from error
        raise InvalidInput(f"{url} cannot be downloaded: {reason}") from error


class _Refused(OSError):
    """The host may not be spoken to."""


def _read(response: Any, url: str, largest: int, check: Callable[[], None]) -> bytes:
    data = bytearray()
    while part := response.read1(_CHUNK):
        check()
        data += part
        if len(data) > largest:
            raise InvalidInput(f"{url} is larger than {largest // (1024 * 1024)} MB, the most that is downloaded")
    return bytes(data)


def _connect(host: str, port: int, timeout: float | None, rule: AddressRule) -> socket.socket:
    """A connection to the host; the address is judged after its name is resolved, so that no name can hide another."""
    problem: OSError | None = None
    for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        if not rule(str(address[0])):
            shown = host if host == address[0] else f"{host} ({address[0]})"
            raise _Refused(f"{shown} is an address inside a machine or network")
        connection = socket.socket(family, kind, protocol)
        connection.settimeout(timeout)
        try:
            connection.connect(address)
        except OSError as error:
            connection.close()
            problem = error
        else:
            return connection
    raise problem or OSError(f"{host} has no address")


def _handler(rule: AddressRule) -> urllib.request.BaseHandler:
    """Opens http and https with connections that obey the rule. No proxy is used: it would hide who is spoken to."""

    class PlainConnection(http.client.HTTPConnection):
        def connect(self) -> None:
            self.sock = _connect(self.host, self.port, self.timeout, rule)

    class SecureConnection(http.client.HTTPSConnection):
        def connect(self) -> None:
            plain = _connect(self.host, self.port, self.timeout, rule)
            self.sock = ssl.create_default_context().wrap_socket(plain, server_hostname=self.host)

    class Handler(urllib.request.AbstractHTTPHandler):
        def http_open(self, request: urllib.request.Request) -> Any:
            return self.do_open(PlainConnection, request)

        def https_open(self, request: urllib.request.Request) -> Any:
            return self.do_open(SecureConnection, request)

        http_request = urllib.request.AbstractHTTPHandler.do_request_
        https_request = urllib.request.AbstractHTTPHandler.do_request_

    return Handler()
