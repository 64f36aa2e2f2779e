"""A receiver of notices: a real HTTP server that answers as it is told and keeps what it got."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Receiver:
    """`answers` are used up in order, then 200: a status, a status with headers, "slow", "trickle" or "close"."""

    url: str = ""
    answers: list[int | tuple[int, dict[str, str]] | str] = field(default_factory=list)
    got: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)


class Handler(BaseHTTPRequestHandler):
    receiver: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.receiver.got.append((self.path, dict(self.headers), body))
        answer = self.receiver.answers.pop(0) if self.receiver.answers else 200
        if answer == "close":
            self.close_connection = True
            return
        if answer == "slow":
            time.sleep(8)
            answer = 200
        if answer == "trickle":
            self.trickle()
            return
        status, headers = answer if isinstance(answer, tuple) else (answer, {})
        self.send_response(int(status))
        for name, value in {"Content-Length": "0", **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def trickle(self) -> None:
        try:
            for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 60:
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
                time.sleep(0.1)
        except OSError:
            pass

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def started() -> Iterator[Receiver]:
    """A receiver on a port of its own, while the block runs."""
    receiver = Receiver()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"receiver": receiver}))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    receiver.url = f"http://127.0.0.1:{server.server_port}/hook/secret-part"
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
