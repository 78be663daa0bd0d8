# SPDX-License-Identifier: GPL-3.0-or-later
"""What the daemon must not tell: in its log, its process, or on the network."""
import os
import re
import shutil
import subprocess

import pytest

from lib import proc
from lib.daemon import ONIONSHARECTL, ONIONSHARED
from lib.http import fetch, raw
from lib.waiting import until

KEEP = ['--no-autostop-sharing']
CANARY = 'Kanarienvogel'


def visit(backend):
    fetch(backend, '/')
    fetch(backend, f'/{CANARY}-missing', {'User-Agent': f'{CANARY}-agent',
                                          'Referer': f'http://{CANARY}.example/',
                                          'Cookie': f'x={CANARY}'})
    fetch(backend, f'/{CANARY}.txt')
    fetch(backend, '/download')
    raw(backend, f'GET /{CANARY} HTTP/1.1\r\nbroken {CANARY}\r\n\r\n'.encode())


def test_the_log_at_its_default_level_tells_nothing_of_visitors(daemon):
    daemon.file(f'd/{CANARY}.txt', b'x')
    service = daemon.share('docs', os.path.join(daemon.content, 'd'), options=KEEP)
    for _ in range(20):
        visit(service['backend'])
    daemon.json('stop', 'docs')
    daemon.json('restart', 'docs')
    daemon.stop()
    log = daemon.log()
    assert CANARY not in log
    for key in service['keys']:
        assert key['private_key'] not in log and key['public_key'] not in log


def test_requested_paths_are_in_the_history_only_if_asked_for(daemon):
    for name, options in (('quiet', []), ('loud', ['--log-filenames'])):
        daemon.file(f'{name}/{CANARY}.txt', b'x')
        service = daemon.share(name, os.path.join(daemon.content, name), options=[*KEEP, *options])
        fetch(service['backend'], f'/{CANARY}.txt')
        until(lambda: daemon.show(name)['transfers']['active'] == 0, 'it has ended')
    until(lambda: CANARY in daemon.ctl('--json', 'history', 'loud').out, 'it is written down')
    assert CANARY not in daemon.ctl('--json', 'history', 'quiet').out


def test_hostile_text_from_visitors_is_printed_escaped(daemon):
    daemon.file('d/x', b'x')
    service = daemon.share('docs', os.path.join(daemon.content, 'd'),
                           options=[*KEEP, '--log-filenames'])
    fetch(service['backend'], '/%1b%5d0;owned%07%c2%9b31m%e2%80%aexyz')
    daemon.file('d/\x1b]0;owned\x07\u202e', b'x')
    until(lambda: b'owned' in fetch(service['backend']).body, 'the new file is listed')
    fetch(service['backend'], '/%1b%5d0;owned%07%e2%80%ae')
    for args in (['history'], ['show', 'docs'], ['list'], ['--json', 'history'],
                 ['--json', 'show', 'docs']):
        out = daemon.ctl(*args).out
        assert not re.search('[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]', out), args


def test_secrets_are_not_in_arguments_or_environment(daemon):
    service = daemon.share('docs', daemon.file('a'))
    key = service['keys'][0]['private_key'].encode()
    for name in ('cmdline', 'environ'):
        with open(f'/proc/{daemon.pid}/{name}', 'rb') as f:
            assert key not in f.read()


def test_the_process_leaves_no_core(daemon):
    """Not dumpable and no core file, so that keys in memory stay there."""
    limits = open(f'/proc/{daemon.pid}/limits').read()
    core = re.search(r'Max core file size\s+(\d+|unlimited)', limits)
    assert core[1] == '0', core


def test_nothing_is_written_to_tmp(daemon):
    service = daemon.share('docs', daemon.file('d/a', b'x' * 1_000_000), options=KEEP)
    before = set(os.listdir('/tmp')) | set(os.listdir('/var/tmp'))
    fetch(service['backend'], '/download')
    new = (set(os.listdir('/tmp')) | set(os.listdir('/var/tmp'))) - before
    assert not [n for n in new if 'onionshare' in n]
    inside = [t for t in proc.fds(daemon.pid).values()
              if t.startswith(('/tmp', '/var/tmp')) and not t.startswith(daemon.dir)]
    assert inside == []


@pytest.mark.parametrize('binary', [ONIONSHARED, ONIONSHARECTL])
def test_no_function_that_looks_up_names_is_linked(binary, sanitized):
    if sanitized:
        pytest.skip('sanitizers link an interceptor for each of them')
    symbols = subprocess.run(['nm', '-D', '--undefined-only', binary], capture_output=True,
                             text=True, check=True).stdout
    for name in ('gethostbyname', 'gethostbyaddr', 'res_query', 'getnameinfo'):
        assert name not in symbols


SOCKET_CALL = re.compile(r'socket\((AF_\w+)')


def test_without_local_only_no_internet_socket_is_ever_made(make_daemon):
    """With Tor on Unix sockets the daemon never touches the network, even when tor is not there."""
    if not shutil.which('strace'):
        pytest.skip('needs strace')
    daemon = make_daemon(['--tor', 'system'])
    trace = os.path.join(daemon.dir, 'trace')
    daemon.wrapper = ['strace', '-f', '-qq', '-e', 'trace=socket,connect,openat', '-o', trace]
    conf = os.path.join(daemon.dir, 'tor.conf')
    with open(conf, 'w') as f:
        f.write(f'[tor]\ncontrol = unix:{daemon.dir}/no-tor\n')
    daemon.args += ['--config', conf]
    # Under strace a leak checker cannot attach.
    daemon.env['ASAN_OPTIONS'] += ':detect_leaks=0'
    daemon.start()
    daemon.ctl('create', 'share', 'docs', daemon.file('a'), '--timeout', '5')
    daemon.ctl('--timeout', '2', 'start', 'docs')
    assert daemon.stop() == 0
    with open(trace) as f:
        said = f.read()
    families = set(SOCKET_CALL.findall(said))
    assert families <= {'AF_UNIX', 'AF_LOCAL'}, families
    assert 'AF_UNIX' in families
    assert 'resolv.conf' not in said
