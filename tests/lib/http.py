# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP as bytes on a socket: nothing is normalised, corrected or followed."""
import socket

TIMEOUT = 30


class Closed(Exception):
    """The connection ended before the response did; args[0]: what had come."""


class Response:
    def __init__(self, head, body):
        self.head = head
        self.body = body
        lines = head.split(b'\r\n')
        self.version, _, rest = lines[0].decode('latin-1').partition(' ')
        code, _, self.reason = rest.partition(' ')
        self.status = int(code)
        # As they came: order, spelling and repetitions matter to the tests.
        self.headers = [tuple(line.decode('latin-1').split(': ', 1)) for line in lines[1:]]

    def __getitem__(self, name):
        values = self.all(name)
        if len(values) != 1:
            raise KeyError(f'{name}: {values}')
        return values[0]

    def all(self, name):
        return [v for n, v in self.headers if n.lower() == name.lower()]

    def get(self, name, default=None):
        return (self.all(name) or [default])[0]

    def names(self):
        return [n.lower() for n, _ in self.headers]

    def __repr__(self):
        return f'<{self.status} {self.reason} {self.headers} {self.body[:80]!r}…>'


def _connect_by_socks(address, timeout):
    _, port, host = address.split(':')
    s = socket.create_connection(('127.0.0.1', int(port)), timeout)
    try:
        s.sendall(b'\5\1\0' + b'\5\1\0\3' + bytes([len(host)]) + host.encode() + b'\0\x50')
        answer = b''
        while len(answer) < 12:
            data = s.recv(12 - len(answer))
            if not data:
                raise ConnectionError('the proxy hung up')
            answer += data
        if answer[:4] != b'\5\0\5\0':
            raise ConnectionError(f'the proxy refused: {answer}')
    except BaseException:
        s.close()
        raise
    return s


def connect(address, timeout=TIMEOUT):
    """address: a service's backend, unix:PATH or tcp:HOST:PORT, or a Unix socket's path; or
    socks:PORT:HOST, port 80 of a host behind a SOCKS proxy on the loopback."""
    if address.startswith('socks:'):
        return _connect_by_socks(address, timeout)
    if address.startswith('tcp:'):
        _, host, port = address.split(':')
        s = socket.create_connection((host, int(port)), timeout)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    else:
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(timeout)
        s.connect(address.removeprefix('unix:'))
    return s


class Connection:
    def __init__(self, address, host=None, timeout=TIMEOUT):
        self.sock = connect(address, timeout)
        self.host = host or (address.removeprefix('tcp:') if address.startswith('tcp:') else 'x')
        self.pending = b''

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data)

    def _more(self):
        data = self.sock.recv(1 << 18)
        if not data:
            raise Closed(self.pending)
        self.pending += data

    def read_head(self):
        """The bytes of the next response's head, without the empty line."""
        while b'\r\n\r\n' not in self.pending:
            self._more()
        head, _, self.pending = self.pending.partition(b'\r\n\r\n')
        return head

    def read_exactly(self, n):
        parts, have = [self.pending], len(self.pending)
        self.pending = b''
        while have < n:
            data = self.sock.recv(min(1 << 20, n - have))
            if not data:
                raise Closed(b''.join(parts))
            parts.append(data)
            have += len(data)
        whole = b''.join(parts)
        self.pending = whole[n:]
        return whole[:n]

    def _read_chunked(self):
        body = b''
        while True:
            while b'\r\n' not in self.pending:
                self._more()
            line, _, self.pending = self.pending.partition(b'\r\n')
            size = int(line.split(b';')[0], 16)
            body += self.read_exactly(size)
            assert self.read_exactly(2) == b'\r\n'
            if size == 0:
                return body

    def read_response(self, head_only=False):
        """The next final or interim response with its body; Closed if it ends early."""
        response = Response(self.read_head(), b'')
        if head_only or response.status in (204, 304) or response.status < 200:
            return response
        if response.get('transfer-encoding') == 'chunked':
            response.body = self._read_chunked()
        elif response.get('content-length') is not None:
            response.body = self.read_exactly(int(response['content-length']))
        else:
            response.body = self.read_to_end()
        return response

    def read_to_end(self):
        """All until the other side closes; a reset counts as the end."""
        while True:
            try:
                self._more()
            except (Closed, ConnectionResetError):
                data, self.pending = self.pending, b''
                return data

    def at_end(self):
        """The other side has closed (waits for it) and nothing more came."""
        return self.read_to_end() == b''

    def request(self, method='GET', target='/', headers=(), body=None, version='HTTP/1.1'):
        lines = [f'{method} {target} {version}', f'Host: {self.host}']
        lines += [f'{name}: {value}' for name, value in dict(headers).items()]
        if body is not None:
            lines.append(f'Content-Length: {len(body)}')
        self.send('\r\n'.join(lines).encode('latin-1', 'surrogateescape') + b'\r\n\r\n'
                  + (body or b''))
        return self.read_response(head_only=method == 'HEAD')


def fetch(address, target='/', headers=(), method='GET', host=None, timeout=TIMEOUT):
    """One request on a connection of its own."""
    with Connection(address, host, timeout) as c:
        return c.request(method, target, headers)


def raw(address, data, timeout=TIMEOUT, shut=False):
    """Sends bytes and returns all that comes until the server closes."""
    with Connection(address, timeout=timeout) as c:
        try:
            c.send(data)
            if shut:
                c.sock.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError):
            pass
        return c.read_to_end()
