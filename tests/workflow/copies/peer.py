"""A peer of a test: an HTTP server that answers by a function, and remembers what it was asked."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, urlsplit

Reply = tuple[int, Any]  # bytes are sent as they are, everything else as JSON


class Asked:
    def __init__(self, method: str, url: str, body: bytes, headers: Any) -> None:
        parts = urlsplit(url)
        self.method, self.path, self.query = method, parts.path, dict(parse_qsl(parts.query))
        self.body, self.headers = body, headers

    def json(self) -> Any:
        return json.loads(self.body)


@contextmanager
def serving(answer: Callable[[Asked], Reply]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def _any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, reply = answer(Asked(self.command, self.path, body, self.headers))
            sent = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        do_GET = do_POST = do_DELETE = _any

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
