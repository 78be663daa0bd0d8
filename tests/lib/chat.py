# SPDX-License-Identifier: GPL-3.0-or-later
"""Members of a chat room: by WebSocket, and as a browser without JavaScript."""
import base64
import html
import json
import os
import re
import socket
import struct

from . import http
from .waiting import PATIENCE, TooLate


class Gone(Exception):
    """The connection ended; args[0]: the close code, or None."""


def handshake(host, headers=()):
    fields = {'Upgrade': 'websocket', 'Connection': 'Upgrade', 'Sec-WebSocket-Version': '13',
              'Sec-WebSocket-Key': base64.b64encode(os.urandom(16)).decode(), **dict(headers)}
    return ('GET /ws HTTP/1.1\r\nHost: ' + host + '\r\n'
            + ''.join(f'{k}: {v}\r\n' for k, v in fields.items()) + '\r\n').encode()


class Member:
    """A WebSocket client (RFC 6455): only what the tests need, and nothing is corrected."""

    def __init__(self, backend, headers=(), timeout=PATIENCE, greet=True):
        self.c = http.Connection(backend, timeout=timeout)
        self.response = self._handshake(dict(headers))
        self.name, self.users, self.welcome = None, [], None
        if greet and self.response.status == 101:
            self.welcome = self.receive()
            assert self.welcome['type'] == 'welcome', self.welcome
            self.name, self.users = self.welcome['name'], self.welcome['users']

    def _handshake(self, headers):
        self.c.send(handshake(self.c.host, headers))
        return self.c.read_response()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.c.close()

    def close(self):
        self.c.close()

    def frame(self, opcode, data):
        mask = os.urandom(4)
        n = len(data)
        size = struct.pack('!B', 0x80 | n) if n < 126 else \
            struct.pack('!BH', 0xfe, n) if n < 65536 else struct.pack('!BQ', 0xff, n)
        body = bytes(b ^ mask[i % 4] for i, b in enumerate(data)) if n < 65536 else \
            (int.from_bytes(data, 'big')
             ^ int.from_bytes((mask * (n // 4 + 1))[:n], 'big')).to_bytes(n, 'big')
        return bytes([0x80 | opcode]) + size + mask + body

    def send_raw(self, text):
        data = text if isinstance(text, bytes) else text.encode()
        self.c.send(self.frame(1, data))

    def send(self, **message):
        self.send_raw(json.dumps(message))

    def say(self, text):
        self.send(type='message', text=text)

    def rename(self, name):
        self.send(type='rename', name=name)

    def receive(self):
        """The next message, a ping answered; Gone when there is none any more."""
        for _ in range(2):
            try:
                first, second = self.c.read_exactly(2)
                n = second & 0x7f
                if n == 126:
                    n, = struct.unpack('!H', self.c.read_exactly(2))
                elif n == 127:
                    n, = struct.unpack('!Q', self.c.read_exactly(8))
                data = self.c.read_exactly(n)
            except (http.Closed, ConnectionResetError, BrokenPipeError) as e:
                raise Gone(None) from e
            opcode = first & 0xf
            if opcode == 1:
                return json.loads(data)
            if opcode == 8:
                raise Gone(struct.unpack('!H', data[:2])[0] if data else None)
            if opcode == 9:
                self.c.send(self.frame(10, data))
        raise TooLate('nothing but pings comes')

    def until(self, kind, **wanted):
        """The next message of that kind with these members; others before it are dropped."""
        while True:
            m = self.receive()
            if m['type'] == kind and all(m.get(k) == v for k, v in wanted.items()):
                return m

    def quiet(self, seconds=0.3):
        """Nothing comes for a while; what did otherwise."""
        self.c.sock.settimeout(seconds)
        try:
            return self.receive()
        except socket.timeout:
            return None
        finally:
            self.c.sock.settimeout(PATIENCE)

    def called(self, name):
        self.rename(name)
        self.until('renamed', name=name)
        self.name = name
        return self


class Plain:
    """A member without JavaScript: a response that does not end, and forms."""

    def __init__(self, backend, timeout=PATIENCE):
        self.backend = backend
        self.c = http.Connection(backend, timeout=timeout)
        self.c.send(f'GET /plain/room HTTP/1.1\r\nHost: {self.c.host}\r\n\r\n'.encode())
        self.response = http.Response(self.c.read_head(), b'')
        self.text = ''
        if self.response.status == 200:
            self.name = re.search('You are <b>([^<]+)</b>', self.until('</section>'))[1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.c.close()

    def more(self):
        """One chunk more; False at the end."""
        while b'\r\n' not in self.c.pending:
            self.c._more()
        line, _, self.c.pending = self.c.pending.partition(b'\r\n')
        n = int(line, 16)
        self.text += self.c.read_exactly(n).decode()
        assert self.c.read_exactly(2) == b'\r\n'
        return n > 0

    def until(self, what):
        while what not in self.text:
            if not self.more():
                raise TooLate(f'the stream ended without {what!r}')
        return self.text

    def heard(self):
        """Pairs of name and text, in order."""
        return [(n, html.unescape(t)) for n, t in
                re.findall(r'<p class="msg[^>]*><b>([^<]*)</b> <bdi>(.*?)</bdi></p>', self.text,
                           re.S)]

    @property
    def secret(self):
        return re.findall(r'name="secret" value="([^"]+)"', self.text)[-1]

    def post(self, headers=(), secret=None, **fields):
        return post(self.backend, {'secret': secret or self.secret, **fields}, headers)


def post(backend, fields, headers=()):
    body = b''.join(
        b'--bound\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
        % (k.encode(), v if isinstance(v, bytes) else v.encode()) for k, v in fields.items())
    with http.Connection(backend) as c:
        return c.request('POST', '/plain/say', {
            'Content-Type': 'multipart/form-data; boundary=bound', **dict(headers)},
            body + b'--bound--\r\n')
