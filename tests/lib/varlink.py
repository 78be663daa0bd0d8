# SPDX-License-Identifier: GPL-3.0-or-later
"""Varlink by hand: JSON objects that end in NUL, over a Unix socket."""
import array
import json
import socket

CONTROL = 'org.onionshared.Control'


class Ended(Exception):
    """The daemon closed the connection."""


class VarlinkError(Exception):
    def __init__(self, reply):
        super().__init__(reply)
        self.name = reply['error']
        self.parameters = reply.get('parameters') or {}


class Varlink:
    def __init__(self, path, timeout=30):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(timeout)
        self.sock.connect(path)
        self.pending = b''

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def send_raw(self, data, fds=()):
        if fds:
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', fds))]
            sent = self.sock.sendmsg([data], rights)
            data = data[sent:]
        self.sock.sendall(data)

    def send(self, method, parameters=None, fds=(), **flags):
        method = method if '.' in method else f'{CONTROL}.{method}'
        message = {'method': method, 'parameters': parameters or {}, **flags}
        self.send_raw(json.dumps(message).encode() + b'\0', fds)

    def receive(self):
        while b'\0' not in self.pending:
            data = self.sock.recv(1 << 16)
            if not data:
                raise Ended(self.pending)
            self.pending += data
        message, _, self.pending = self.pending.partition(b'\0')
        return json.loads(message)

    def call(self, method, parameters=None, fds=(), **flags):
        """The parameters of the one reply; VarlinkError if it is an error."""
        self.send(method, parameters, fds, **flags)
        reply = self.receive()
        if 'error' in reply:
            raise VarlinkError(reply)
        return reply.get('parameters', {})

    def ended(self):
        """The daemon has closed (waits for it)."""
        try:
            while True:
                if not self.sock.recv(1 << 16):
                    return True
        except ConnectionResetError:
            return True
