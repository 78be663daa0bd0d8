# SPDX-License-Identifier: GPL-3.0-or-later
"""A daemon of the test's own, its client, and what became of it."""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile

from . import http, proc
from .varlink import Varlink
from .waiting import PATIENCE, until

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
BUILD = os.path.join(TOP, os.environ.get('ONIONSHARED_BUILD', 'build'))
ONIONSHARED = os.path.join(BUILD, 'daemon', 'onionshared')
ONIONSHARECTL = os.path.join(BUILD, 'client', 'onionsharectl')

# What a sanitizer says, wherever it says it.
SANITIZER = re.compile(rb'==\d+==ERROR|runtime error:|Sanitizer:|SUMMARY: \w+Sanitizer')
SANITIZER_EXIT = 99


def environment(**more):
    """Clean: no daemon, directory or locale of the caller's leaks into a test."""
    kept = {k: v for k, v in os.environ.items()
            if not k.startswith(('XDG_', 'ONIONSHARE', 'STATE_DIR', 'NOTIFY_', 'LISTEN_', 'LC_'))}
    kept.update(
        LANG='C.UTF-8', TZ='America/New_York',
        ASAN_OPTIONS=f'detect_leaks=1:exitcode={SANITIZER_EXIT}:detect_stack_use_after_return=1'
                     ':handle_abort=1',
        UBSAN_OPTIONS=f'print_stacktrace=1:halt_on_error=1:exitcode={SANITIZER_EXIT}')
    kept.update(more)
    return kept


def is_sanitized(binary=ONIONSHARED):
    with open(binary, 'rb') as f:
        return b'__asan_init' in f.read()


class Result:
    """How a command of the client ended."""

    def __init__(self, argv, status, out, err):
        self.argv, self.status, self.out, self.err = argv, status, out, err

    @property
    def json(self):
        return json.loads(self.out)

    @property
    def lines(self):
        return [json.loads(line) for line in self.out.splitlines()]

    def __repr__(self):
        return f'<{" ".join(self.argv)}: {self.status}\n{self.out}{self.err}>'


class Daemon:
    """Directories, and a daemon on them that can be killed and started again.

    args: for the daemon, besides its directories. wrapper: a command in front (strace, setpriv).
    """

    def __init__(self, args=('--local-only',), wrapper=(), env=None, directory=None):
        self.dir = directory or tempfile.mkdtemp(prefix='os-')
        self.state = os.path.join(self.dir, 'state')
        self.runtime = os.path.join(self.dir, 'run')
        self.content = os.path.join(self.dir, 'content')
        os.makedirs(self.content, exist_ok=True)
        self.log_file = os.path.join(self.dir, 'stderr')
        self.args, self.wrapper = list(args), list(wrapper)
        self.env = environment(HOME=self.dir, **(env or {}))
        self.process = None
        self._clients = []

    # --- life ---

    @property
    def control(self):
        return os.path.join(self.runtime, 'control.sock')

    def argv(self):
        return [*self.wrapper, ONIONSHARED, '--state-dir', self.state, '--runtime-dir',
                self.runtime, *self.args]

    def spawn(self, **kwargs):
        with open(self.log_file, 'ab') as log:
            self.process = subprocess.Popen(self.argv(), env=self.env, stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, **kwargs)
        return self

    def start(self, **kwargs):
        """Returns when the daemon answers on its control socket."""
        self.spawn(**kwargs)
        until(self._answers, f'the daemon answers; it said: {self.log()[-3000:]}')
        return self

    def _answers(self):
        if self.process.poll() is not None:
            raise AssertionError(
                f'the daemon ended with {self.process.returncode}: {self.log()[-3000:]}')
        s = socket.socket(socket.AF_UNIX)
        try:
            s.connect(self.control)
            return True
        except OSError:
            return False
        finally:
            s.close()

    @property
    def pid(self):
        """Of the daemon itself, also behind a wrapper."""
        if not self.wrapper:
            return self.process.pid
        for pid in [self.process.pid, *proc.descendants(self.process.pid)]:
            try:
                if os.path.realpath(os.readlink(f'/proc/{pid}/exe')) == \
                        os.path.realpath(ONIONSHARED):
                    return pid
            except OSError:
                pass
        raise AssertionError('the daemon is not running')

    def wait(self, seconds=PATIENCE):
        return self.process.wait(seconds)

    def stop(self, number=signal.SIGTERM, seconds=PATIENCE):
        """Asks it to end; its exit status."""
        os.kill(self.pid, number)
        status = self.wait(seconds)
        self.process = None
        return status

    def kill(self):
        """kill -9: no clean-up of any kind, of the daemon alone."""
        os.kill(self.pid, signal.SIGKILL)
        self.wait()
        self.process = None

    def restart(self):
        self.stop()
        return self.start()

    def end(self):
        """After a test: everything is stopped, checked and removed."""
        for client in self._clients:
            if client.poll() is None:
                client.kill()
                client.wait()
        try:
            if self.process is not None and self.process.poll() is None:
                family = proc.descendants(self.process.pid)
                status = self.stop(seconds=90)
                assert status == 0, f'the daemon ended with {status}: {self.log()[-3000:]}'
                left = [p for p in family if proc.alive(p)]
                assert not left, f'processes outlived the daemon: {left}'
            self.check_clean()
        finally:
            self._put_away()

    def _put_away(self):
        if self.process is not None and self.process.poll() is None:
            for pid in [*proc.descendants(self.process.pid), self.process.pid]:
                try:
                    os.kill(pid, signal.SIGKILL)
                except OSError:
                    pass
            self.process.wait()
        # Trees made unreadable by tests included; links are not followed.
        for folder, _, _ in os.walk(self.dir):
            try:
                os.chmod(folder, 0o700)
            except OSError:
                pass
        shutil.rmtree(self.dir, ignore_errors=True)

    def log(self):
        try:
            with open(self.log_file, errors='replace') as f:
                return f.read()
        except OSError:
            return ''

    def check_clean(self):
        if not os.path.exists(self.log_file):
            return  # never started
        with open(self.log_file, 'rb') as f:
            said = f.read()
        assert not SANITIZER.search(said), said.decode(errors='replace')[-6000:]

    # --- the client ---

    def ctl(self, *args, timeout=PATIENCE * 2, input=None, env=None, wrapper=(), cwd=None):
        """Runs onionsharectl to its end."""
        argv = [*wrapper, ONIONSHARECTL, '--socket', self.control, *map(os.fspath, args)]
        done = subprocess.run(argv, env={**self.env, **(env or {})}, capture_output=True,
                              timeout=timeout, input=input, cwd=cwd)
        assert done.returncode != SANITIZER_EXIT and not SANITIZER.search(done.stderr), done.stderr
        return Result([str(a) for a in args], done.returncode,
                      done.stdout.decode('utf-8', 'surrogateescape'),
                      done.stderr.decode('utf-8', 'surrogateescape'))

    def json(self, *args, **kwargs):
        """Runs it with --json; the value, of a command that must succeed."""
        result = self.ctl('--json', *args, **kwargs)
        assert result.status == 0, result
        return result.json

    def ctl_spawn(self, *args, **kwargs):
        """Starts onionsharectl and leaves it running; ended with the test at the latest."""
        process = subprocess.Popen(
            [ONIONSHARECTL, '--socket', self.control, *map(os.fspath, args)], env=self.env,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **kwargs)
        self._clients.append(process)
        return process

    def varlink(self, timeout=PATIENCE):
        return Varlink(self.control, timeout)

    # --- services ---

    def file(self, name, data=b'hello\n', mtime=None):
        """A file below content/; missing directories are made."""
        path = os.path.join(os.fsencode(self.content), os.fsencode(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'wb') as f:
            f.write(data)
        if mtime is not None:
            os.utime(path, (mtime, mtime))
        return os.fsdecode(path)

    def share(self, name, *paths, options=()):
        """Creates and starts a share; the service object."""
        self.json('create', 'share', name, *paths, *options)
        return self.json('start', name)

    def show(self, name):
        return self.json('show', name)

    def until_state(self, name, *states, seconds=PATIENCE):
        def reached():
            service = self.show(name)
            return service if service['state'] in states else None
        return until(reached, f'{name} is {" or ".join(states)}', seconds)

    def backend(self, name):
        return self.show(name)['backend']

    def get(self, name, target='/', headers=(), method='GET'):
        return http.fetch(self.backend(name), target, headers, method)
