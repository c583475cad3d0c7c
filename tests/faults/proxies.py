"""A server on loopback that stands before another one and answers with an error where it is told to."""

import http.client
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

Judge = Callable[[str, str, int], int | None]
"""Takes a request's method and path and how often it has come; returns the error to answer with, None to let it by."""

_OF_THE_CONNECTION = {"connection", "transfer-encoding", "keep-alive", "content-length"}


class Proxy:
    """What came by, and who judges it."""

    def __init__(self, target: str, judge: Judge) -> None:
        self.target, self.judge = target, judge
        self.seen: Counter[tuple[str, str]] = Counter()
        self.lock = threading.Lock()
        self.url = ""

    def status(self, method: str, path: str) -> int | None:
        """Count a request; return the error that it gets, None where it is let by."""
        with self.lock:
            self.seen[method, path] += 1
            return self.judge(method, path, self.seen[method, path])

    def times(self, method: str, ending: str) -> int:
        """Return how often a path that ends so was asked for."""
        return sum(count for (asked, path), count in self.seen.items() if asked == method and path.endswith(ending))


@contextmanager
def proxy_before(target: str, judge: Judge) -> Iterator[Proxy]:
    """Start a proxy before the server at `target`."""
    proxy = Proxy(target, judge)
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(proxy)) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        proxy.url = f"http://127.0.0.1:{server.server_address[1]}"
        yield proxy
        server.shutdown()


def _handler(proxy: Proxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status = proxy.status(self.command, urlsplit(self.path).path)
            if status is not None:
                self.answer(status, {}, b"")
                return
            place = urlsplit(proxy.target)
            connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=60)
            try:
                connection.request(self.command, self.path, body, dict(self.headers))
                reply = connection.getresponse()
                self.answer(reply.status, dict(reply.getheaders()), reply.read())
            except OSError:
                self.answer(502, {}, b"")
            finally:
                connection.close()

        def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response_only(status)
            length = {name.lower(): value for name, value in headers.items()}.get("content-length", str(len(body)))
            for name, value in headers.items():
                if name.lower() not in _OF_THE_CONNECTION:
                    self.send_header(name, value)
            self.send_header("Content-Length", length if self.command == "HEAD" else str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Print nothing."""

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = do_PATCH = handle_one  # noqa: N815 - the names that the library calls

    return Handler
