# SPDX-License-Identifier: GPL-3.0-or-later
"""TLS servers for a unit test: tls_server.py DIR

Makes two authorities and certificates in DIR (ca.pem, other-ca.pem), listens on the
loopback and prints a line "NAME PORT" for each server, then "ready 0". Ends
when its stdin does. A server answers 200 to a POST with the body "hello" and Host:
localhost, 400 to others, and with text without end to /endless.
"""
import contextlib
import os
import socket
import ssl
import subprocess
import sys
import threading
import warnings

warnings.simplefilter('ignore', DeprecationWarning)  # of the old versions that are refused
DIR = sys.argv[1]


def at(name):
    return os.path.join(DIR, name)


def openssl(*args):
    subprocess.run(['openssl', *args], check=True, stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def make_key(name):
    openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', at(name + '.key'))


def make_authority(name):
    make_key(name)
    openssl('req', '-x509', '-new', '-key', at(name + '.key'), '-subj', '/CN=' + name,
            '-days', '3', '-addext', 'basicConstraints=critical,CA:TRUE', '-out', at(name + '.pem'))


def make_certificate(name, ca, host, days='2'):
    make_key(name)
    with open(at(name + '.ext'), 'w') as f:
        f.write(f'subjectAltName=DNS:{host}\n')
    openssl('req', '-new', '-key', at(name + '.key'), '-subj', '/CN=' + host, '-out',
            at(name + '.csr'))
    openssl('x509', '-req', '-in', at(name + '.csr'), '-CA', at(ca + '.pem'), '-CAkey',
            at(ca + '.key'), '-CAcreateserial', '-days', days, '-extfile', at(name + '.ext'),
            '-out', at(name + '.pem'))


def context(name, **versions):
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ctx.load_cert_chain(at(name + '.pem'), at(name + '.key'))
    ctx.set_ciphers('DEFAULT@SECLEVEL=0')
    for key, value in versions.items():
        setattr(ctx, key, value)
    return ctx


def answer(conn):
    data = b''
    while b'\r\n\r\n' not in data or not data.endswith(b'hello'):
        piece = conn.recv(4096)
        if not piece:
            return
        data += piece
    if data.startswith(b'POST /endless '):
        conn.sendall(b'HTTP/1.1 200 OK\r\n\r\n')
        while True:
            conn.sendall(b'a' * 16384)
    good = b'\r\nHost: localhost\r\n' in data
    status = b'200 OK' if good else b'400 Bad Request'
    conn.sendall(b'HTTP/1.1 ' + status + b'\r\nContent-Length: 2\r\n\r\nok')


def handle(conn, ctx):
    with contextlib.suppress(OSError), conn:
        if ctx is None:
            conn.recv(4096)
            conn.sendall(b'HTTP/1.0 400 Bad Request\r\n\r\n')
            conn.recv(1)
        elif ctx == 'hang up':
            conn.recv(1)
        else:
            with ctx.wrap_socket(conn, server_side=True) as tls:
                answer(tls)


def serve(listener, ctx):
    while True:
        conn, _ = listener.accept()
        conn.settimeout(20)
        threading.Thread(target=handle, args=(conn, ctx), daemon=True).start()


def main():
    make_authority('ca')
    make_authority('other-ca')
    make_certificate('good', 'ca', 'localhost')
    make_certificate('named', 'ca', 'other.example')
    make_certificate('expired', 'ca', 'localhost', '-1')
    servers = {
        'good': context('good'),
        'tls12': context('good', maximum_version=ssl.TLSVersion.TLSv1_2),
        'tls11': context('good', minimum_version=ssl.TLSVersion.TLSv1,
                         maximum_version=ssl.TLSVersion.TLSv1_1),
        'named': context('named'),
        'expired': context('expired'),
        'plain': None,
        'hangup': 'hang up',
    }
    for name, ctx in servers.items():
        listener = socket.create_server(('127.0.0.1', 0))
        threading.Thread(target=serve, args=(listener, ctx), daemon=True).start()
        print(name, listener.getsockname()[1], flush=True)
    print('ready 0', flush=True)
    sys.stdin.read()


if __name__ == '__main__':
    main()
