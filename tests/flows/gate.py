"""A gate before moto's server on loopback: it counts what is asked, and can refuse for a while, as real servers do."""

import threading
from collections.abc import Callable, Iterable
from typing import Any

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

ERRORS = {
    503: ("503 Slow Down", "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"),
    403: ("403 Forbidden", "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"),
}

Refuse = Callable[[str, str], int | None]
"""Given method and path, the status to answer instead of asking the server; None lets it through."""


class Gate:
    """Serves what moto serves, unless `refuse` says otherwise; `asked` holds every method and path."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.refuse: Refuse = lambda _method, _path: None
        self._inside = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        query = environ.get("QUERY_STRING")
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"] + (f"?{query}" if query else "")
        self.asked.append((method, path))
        status = self.refuse(method, path)
        if status is None:
            return self._inside(environ, start_response)
        if environ.get("wsgi.input_terminated") or environ.get("CONTENT_LENGTH"):
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or -1))  # else the answer may be lost
        line, text = ERRORS[status]
        start_response(line, [("Content-Type", "application/xml"), ("Content-Length", str(len(text)))])
        return [text.encode()] if method != "HEAD" else []
