# SPDX-License-Identifier: GPL-3.0-or-later
"""A web server that takes reports and remembers them."""
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Receiver:
    """received: (path, headers, body) of each POST; status: what it answers.

    held: answers wait until it is set, the reports being remembered before.
    """

    def __init__(self, port=0):
        self.received = []
        self.status = 200
        self.headers = {}
        self.held = threading.Event()
        self.held.set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers['Content-Length']))
                receiver.received.append((self.path, self.headers, body))
                receiver.held.wait(60)
                self.send_response(receiver.status)
                for name, value in receiver.headers.items():
                    self.send_header(name, value)
                self.send_header('Content-Length', '0')
                self.end_headers()

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass  # who posts may hang up

        self._server = Server(('127.0.0.1', port), Handler)
        self.port = self._server.server_port
        self.url = f'http://127.0.0.1:{self.port}/hook'
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def bodies(self):
        return [body for _, _, body in self.received]

    def close(self):
        self.held.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
