"""A look at a site that lies on this machine."""

from __future__ import annotations

from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from eebench.errors import EEBenchError
from eebench.site.folder import contents


def server(site: Path, port: int) -> ThreadingHTTPServer:
    """A server of a site, for this machine alone; port 0 is any that is free.

    Raises:
        EEBenchError: there is no site there, or the port is taken.
    """
    if contents(site) is None:
        raise EEBenchError(f"there is no site in {site}: `eebench site build {site}` makes one.")
    handler = partial(SimpleHTTPRequestHandler, directory=str(site))
    try:
        return ThreadingHTTPServer(("127.0.0.1", port), handler)
    except OSError as error:
        reason = error.strerror or error
        raise EEBenchError(f"port {port} cannot be served on ({reason}): give another --port.") from None
