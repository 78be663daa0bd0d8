# SPDX-License-Identifier: GPL-3.0-or-later
"""A daemon that answers what a test tells it to, also what no daemon should."""
import array
import json
import os
import shutil
import socket
import tempfile
import threading

from .varlink import CONTROL

CLOSE = object()  # as an answer: the connection ends


class Raw(bytes):
    """As an answer: these bytes, whatever they are."""


def service(name='notes', **more):
    """A service object with every member that the interface wants."""
    return {'name': name, 'mode': 'share', 'state': 'running', 'wanted': True, 'reason': None,
            'url': 'http://' + 'a' * 56 + '.onion', 'onion': 'a' * 56, 'backend': 'unix:/x',
            'public': False,
            'keys': [{'label': 'default', 'private_key': 'B' * 52, 'public_key': 'C' * 52}],
            'title': None, 'start_at': None, 'stop_at': None, 'options': {},
            'paths': ['/srv/notes.txt'], 'ephemeral': False,
            'transfers': {'active': 0, 'completed': 0, 'bytes_in': 0, 'bytes_out': 0},
            'created_at': '2026-01-01T00:00:00Z', 'started_at': None, **more}


def tor(**more):
    return {'mode': 'managed', 'state': 'ready', 'version': '0.4.9', 'reachable': True,
            'bootstrap': {'percent': 100, 'summary': 'Done'}, 'problem': None, 'bridges': 0,
            **more}


class FakeDaemon:
    """answers: method -> reply parameters, Raw, CLOSE, a list of those (a stream; the
    connection then stays open), an (error name, parameters) pair, or a function of the call's
    parameters that returns one of them."""

    def __init__(self, **answers):
        self.answers = answers
        self.calls = []  # (method, parameters), in order
        self.fd_targets = []  # what the descriptors pointed at
        self.dir = tempfile.mkdtemp(prefix='os-')
        self.path = os.path.join(self.dir, 'control.sock')
        self.called = threading.Condition()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen(16)
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._open = []
        self._threads[0].start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for s in self._open:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for t in list(self._threads):
            t.join(10)
            assert not t.is_alive()
        for s in self._open:
            s.close()
        shutil.rmtree(self.dir)

    def methods(self):
        return [method for method, _ in self.calls]

    def until_called(self, method, seconds=30):
        with self.called:
            assert self.called.wait_for(lambda: method in self.methods(), seconds), self.calls

    def _accept(self):
        while True:
            try:
                s, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(s)
            t = threading.Thread(target=self._serve, args=(s,), daemon=True)
            self._threads.append(t)
            t.start()

    def _serve(self, s):
        pending = b''
        try:
            while True:
                data, rights, _, _ = s.recvmsg(1 << 16, socket.CMSG_SPACE(4 * 64))
                if not data:
                    return
                self._note_descriptors(rights)
                pending += data
                while b'\0' in pending:
                    message, _, pending = pending.partition(b'\0')
                    if not self._answer(s, json.loads(message)):
                        s.shutdown(socket.SHUT_RDWR)
                        return
        except OSError:
            return

    def _note_descriptors(self, rights):
        for _, _, data in rights:
            fds = array.array('i')
            fds.frombytes(data[:len(data) - len(data) % 4])
            for fd in fds:
                self.fd_targets.append(os.readlink(f'/proc/self/fd/{fd}'))
                os.close(fd)

    def _answer(self, s, call):
        method = call['method'].rsplit('.', 1)[1]
        answer = self.answers.get(method, {})
        with self.called:
            self.calls.append((method, call.get('parameters') or {}))
            self.called.notify_all()
        if callable(answer):
            answer = answer(call.get('parameters') or {})
        stream = answer if isinstance(answer, list) else None
        for one in stream if stream is not None else [answer]:
            if one is CLOSE:
                return False
            s.sendall(self._bytes(one, stream is not None))
        return True

    @staticmethod
    def _bytes(answer, continues):
        if isinstance(answer, Raw):
            return answer
        if isinstance(answer, tuple):
            name, parameters = answer
            name = name if '.' in name else f'{CONTROL}.{name}'
            reply = {'error': name, 'parameters': parameters}
        else:
            reply = {'parameters': answer}
            if continues:
                reply['continues'] = True
        return json.dumps(reply).encode() + b'\0'
