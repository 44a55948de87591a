"""A folder of pages on this machine's own address, for reading alone."""

import functools
import http.server
from pathlib import Path

from zoo.errors import ZooError

ADDRESS = "127.0.0.1"


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing for each request."""

    def end_headers(self) -> None:
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()


def server(folder: Path, port: int) -> http.server.ThreadingHTTPServer:
    """A server of the folder, reachable from this machine alone; port 0 takes a free one."""
    try:
        return http.server.ThreadingHTTPServer((ADDRESS, port), functools.partial(_Quiet, directory=str(folder)))
    except OSError as error:
        raise ZooError(f"port {port}: {error.strerror}; choose another with --port") from None


def url(running: http.server.ThreadingHTTPServer) -> str:
    return f"http://{ADDRESS}:{running.server_port}/"
