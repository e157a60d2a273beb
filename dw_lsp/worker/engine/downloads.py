"""Fetching what an address gives that a workflow names: public hosts only, in bounds of size and time, once a run."""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from dw_lsp.workflow.identity import bytes_digest
from dw_lsp.workflow.resolved import InvalidInput

LARGEST_DOWNLOAD = 64 * 1024 * 1024
TIMEOUT_SECONDS = 30.0
#: What has been fetched is held in memory up to so many bytes, beside the last.
LARGEST_HELD = 256 * 1024 * 1024
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
        if isinstance(error, urllib.error.HTTPError):
            error.close()  # It is an open answer besides.
        reason = getattr(error, "reason", None) or error
        if isinstance(reason, _Refused):
            raise InvalidInput(f"{url} is refused: {reason}", hint="Only public addresses may be read.") from error
        raise InvalidInput(f"{url} cannot be downloaded: {reason}") from error


class Fetched:
    """What addresses have given in one run, so that a step reads what it is remembered by.

    Arguments: `rule` as for `download`; how many bytes are held.
    """

    def __init__(self, rule: AddressRule = is_public, held: int = LARGEST_HELD):
        self._rule, self._largest = rule, held
        self._held: OrderedDict[str, bytes] = OrderedDict()
        self._digests: dict[str, str] = {}
        self._failed: dict[str, InvalidInput] = {}

    def bytes_of(self, url: str, check: Callable[[], None]) -> bytes:
        """What is at an address. Raises as `download` does, and when it has changed since it was asked for first."""
        if url in self._failed:
            raise self._failed[url]
        if url not in self._held:
            try:
                data = download(url, self._rule, check=check)
            except InvalidInput as error:
                self._failed[url] = error
                raise
            found = bytes_digest(data)
            if self._digests.setdefault(url, found) != found:
                raise InvalidInput(f"{url} has given something else before, in the same run")
            self._held[url] = data
            while len(self._held) > 1 and sum(map(len, self._held.values())) > self._largest:
                self._held.popitem(last=False)
        return self._held[url]

    def digest(self, url: str, check: Callable[[], None]) -> str | None:
        """A digest of what is at an address; `None` where it cannot be fetched, which reading it will tell."""
        if url not in self._digests:
            try:
                self.bytes_of(url, check)
            except InvalidInput:
                return None
        return self._digests[url]


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
