"""A real web server on this machine for a folder, which can be made to misbehave."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass
class Server:
    """What the server does, and what it has done.

    Attributes:
        folder: the files it has.
        address: of the folder.
        ranges: whether it gives parts of files.
        break_after: bytes of content after which it drops the connection, once for each entry.
        refuse: answers so many requests with 503.
        pages: names for which it sends a web page that says all is well (200).
        sent: bytes of content that went out, by name.
        requests: (name, range header) of every request.
    """

    folder: Path
    address: str = ""
    ranges: bool = True
    break_after: list[int] = field(default_factory=list)
    refuse: int = 0
    pages: set[str] = field(default_factory=set)
    sent: dict[str, int] = field(default_factory=dict)
    requests: list[tuple[str, str | None]] = field(default_factory=list)

    @property
    def total(self) -> int:
        """All bytes of content that went out."""
        return sum(self.sent.values())


@contextmanager
def serve(folder: Path) -> Iterator[Server]:
    """A server until the block ends."""
    state = Server(folder)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            answer(self, state)

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            pass  # a client that hangs up is no news

    httpd = Quiet(("127.0.0.1", 0), Handler)
    state.address = f"http://127.0.0.1:{httpd.server_address[1]}"
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield state
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()


def answer(handler: BaseHTTPRequestHandler, state: Server) -> None:
    """One request."""
    name = handler.path.rpartition("/")[2]
    asked = handler.headers.get("Range")
    state.requests.append((name, asked))
    if state.refuse:
        state.refuse -= 1
        return reply(handler, 503, b"later")
    if name in state.pages:
        return reply(handler, 200, b"<!DOCTYPE html><title>Please sign in</title>", "text/html")
    path = state.folder / name
    if not path.is_file():
        return reply(handler, 404, b"no such file")
    content = path.read_bytes()
    tag = f'"{path.stat().st_mtime_ns}"'
    found = re.fullmatch(r"bytes=(\d+)-(\d*)", asked or "")
    same = handler.headers.get("If-Range", tag) == tag
    headers = {"ETag": tag}
    status, start, end = 200, 0, len(content)
    if found and state.ranges and same:
        start, end = int(found[1]), min(int(found[2] or end) + bool(found[2]), end)
        if start >= len(content):
            headers["Content-Range"] = f"bytes */{len(content)}"
            return reply(handler, 416, b"", headers=headers)
        status = 206
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(content)}"
    body = content[start:end]
    keep = state.break_after.pop(0) if state.break_after else len(body)
    state.sent[name] = state.sent.get(name, 0) + min(keep, len(body))
    reply(handler, status, body, headers=headers, keep=keep)
    return None


def reply(
    handler: BaseHTTPRequestHandler,
    status: int,
    body: bytes,
    kind: str = "application/octet-stream",
    headers: dict[str, str] | None = None,
    keep: int | None = None,
) -> None:
    """An answer, of which only `keep` bytes are sent before the line is cut."""
    handler.send_response(status)
    for key, value in {"Content-Type": kind, **(headers or {})}.items():
        handler.send_header(key, value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body[:keep])
    handler.wfile.flush()
    if keep is not None and keep < len(body):
        handler.close_connection = True
        handler.connection.close()
