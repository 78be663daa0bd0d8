# SPDX-License-Identifier: GPL-3.0-or-later
"""Services that move, seen by a visitor: the address and the key he has open them where they are."""
import json
import os
import shutil
import subprocess

import pytest

from lib.daemon import Daemon
from lib.waiting import until
from test_onion import KEEP, LONG, give_key, reached, started

DATA = os.urandom(100_000)


@pytest.fixture(scope='module')
def machines(tornet):
    """Two machines, each with a daemon and a tor of its own."""
    both = [Daemon(['--tor', 'managed', '--torrc', tornet.torrc_file]).start() for _ in 'ab']
    for daemon in both:
        until(lambda d=daemon: d.json('tor', 'status')['bootstrap']['percent'] == 100,
              f'tor has bootstrapped: {daemon.log()}', 150)
    yield both
    for daemon in both:
        daemon.end()


@pytest.fixture(autouse=True)
def shown(request, machines):
    request.node.daemons = machines


@pytest.fixture
def passphrase(tmp_path):
    path = tmp_path / 'passphrase'
    path.write_text('correct horse battery\n')
    return path


@pytest.mark.skipif(not shutil.which('onionshare-cli'), reason='there is no onionshare-cli')
def test_what_onionshare_cli_has_served_answers_here(machines, tornet, tmp_path):
    settings, saved = tmp_path / 'settings.json', tmp_path / 'tab.json'
    settings.write_text(json.dumps({'connection_type': 'socket_file', 'auth_type': 'no_auth',
                                    'socket_file_path': tornet.clients[1].control_socket}))
    (tmp_path / 'file').write_bytes(DATA)
    peer = subprocess.Popen(
        ['onionshare-cli', '--config', settings, '--persistent', saved, '--title', 'Leaks',
         tmp_path / 'file'], env={**os.environ, 'HOME': str(tmp_path)},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        for line in peer.stdout:  # until it serves, for else it has not saved all of it
            if b'Ctrl+C' in line:
                break
    finally:
        peer.kill()  # asked by SIGINT it was seen to hang
        peer.communicate()
    tab = json.loads(saved.read_text())
    made = machines[0].json('import', saved, '--name', 'moved')
    assert made['onion'] == tab['general']['service_id'] and made['title'] == 'Leaks'
    assert made['keys'][0]['private_key'] == tab['onion']['client_auth_priv_key']
    machines[0].json('start', 'moved', timeout=LONG * 2)
    visitor = tornet.clients[0]
    visitor.auth_add(tab['general']['service_id'], tab['onion']['client_auth_priv_key'])
    assert reached(visitor, made, '/download') == DATA
    machines[0].json('delete', 'moved', '--yes')


def test_an_exported_service_answers_on_the_machine_that_imports_it(machines, tornet, tmp_path,
                                                                    passphrase):
    old, new = machines
    service = started(old, 'docs', old.file('a', DATA), options=KEEP)
    visitor = tornet.clients[0]
    give_key(visitor, service)
    assert reached(visitor, service, '/download') == DATA
    backup = tmp_path / 'backup'
    assert old.ctl('export', '--all', '-o', backup, '--passphrase-file', passphrase).status == 0
    old.json('stop', 'docs')
    moved = new.json('import', backup, '--passphrase-file', passphrase)
    assert (moved['url'], moved['keys']) == (service['url'], service['keys'])
    new.until_state('docs', 'running', seconds=LONG)
    assert reached(visitor, moved, '/download') == DATA
    for daemon in machines:
        daemon.json('delete', 'docs', '--yes')
