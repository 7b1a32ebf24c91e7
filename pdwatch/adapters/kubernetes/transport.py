"""The pool of connections to an API server: TLS, proxy, and what it means when a connection fails."""

from __future__ import annotations

import os
import ssl
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp

from pdwatch import __version__
from pdwatch.errors import ClusterUnavailableError, SettingsError

_READ_BUFFER = 4 * 2**20
"""aiohttp takes lines of up to twice as many bytes; an object of etcd's 1.5 MiB is a longer line as JSON."""


def open_pool(configuration: Any, *, trace: aiohttp.TraceConfig) -> aiohttp.ClientSession:
    """Open a pool without limit, since every watch holds a connection.

    It is not kubernetes_asyncio's: that one trusts the whole environment, and a ``~/.netrc`` with a default
    entry would then break every request.

    Raises:
        SettingsError: A certificate can't be loaded.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=_tls(configuration)),
        cookie_jar=aiohttp.DummyCookieJar(),
        trace_configs=[trace],
        headers={"User-Agent": f"pdwatch/{__version__}"},
        read_bufsize=_READ_BUFFER,
    )


def proxy_of(configuration: Any) -> str | None:
    """Return the kubeconfig's ``proxy-url``, else the environment's proxy for the server, as kubectl does."""
    if configuration.proxy:
        return str(configuration.proxy)
    server = urlsplit(configuration.host)
    return None if proxy_bypass(server.hostname or "") else getproxies().get(server.scheme)


def unreachable(error: Exception, server: str, limits: aiohttp.ClientTimeout) -> ClusterUnavailableError:
    """Say how the connection to ``server`` failed, and what to look at."""
    remedy = "check that the cluster runs and that this machine reaches it: kubectl cluster-info"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        said = f"has a certificate that can't be trusted: {error.certificate_error}"
        remedy = "check certificate-authority and server in the kubeconfig"
    elif isinstance(error, aiohttp.ClientSSLError):
        said = f"does not speak TLS as it should: {error}"
        remedy = "check that the kubeconfig's server is the API server's own address"
    elif isinstance(error, aiohttp.ClientConnectorError):
        said = f"can't be reached: {_reason(error.os_error)}"
    elif isinstance(error, TimeoutError):
        connecting = isinstance(error, aiohttp.ConnectionTimeoutError)
        limit = limits.total or (limits.connect if connecting else limits.sock_read)
        said = f"has not answered within {limit:g} s"
    else:
        said = f"broke the connection off: {error or type(error).__name__}"
    return ClusterUnavailableError(f"the API server {server} {said}", remedy=remedy)


def _reason(error: OSError) -> str:
    """Return the system's words for it, which asyncio replaces by its own where it fails to connect."""
    return os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)


def _tls(configuration: Any) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
        if configuration.cert_file:
            context.load_cert_chain(configuration.cert_file, keyfile=configuration.key_file)
    except OSError as error:  # ssl.SSLError is one
        raise SettingsError(
            f"the certificates for {configuration.host} can't be loaded: {error}",
            remedy="have the cluster's tool write the kubeconfig anew",
        ) from error
    if not configuration.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    # kubectl accepts clusters' own authorities that miss an extension (k3s); Python 3.13 does not by default.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context
