# SPDX-License-Identifier: GPL-3.0-or-later
"""Bridges: set, kept, used and nothing else used; on a real network, too."""
import json
import os
import re
import sqlite3

import pytest

from lib import proc
from lib.waiting import until
from test_content import Member
from test_onion import KEEP, LONG, reached

FP = '0123456789ABCDEF0123456789ABCDEF01234567'
PLAIN = f'192.0.2.1:443 {FP}'
OBFS4 = f'obfs4 192.0.2.7:443 {FP} cert={"A" * 70} iat-mode=0'
WEBTUNNEL = f'webtunnel 192.0.2.3:80 {FP} url=https://a.example/path'


@pytest.fixture
def off(make_daemon, tmp_path):
    """A daemon whose own tor may not use the network."""
    torrc = tmp_path / 'off.torrc'
    torrc.write_text('DisableNetwork 1\n')
    daemon = make_daemon(['--tor', 'managed', '--torrc', str(torrc)]).start()
    until(lambda: daemon.json('tor', 'status')['state'] == 'ready', 'tor is there', 60)
    return daemon


def lines(daemon):
    return daemon.json('tor', 'bridges', 'list')['bridges']


def torrc(daemon):
    with open(os.path.join(daemon.runtime, 'tor', 'torrc')) as f:
        return f.read()


def test_set_shown_kept_and_taken_back(off, tmp_path):
    daemon = off
    assert lines(daemon) == []
    file = tmp_path / 'bridges'
    file.write_text(f'# from a friend\r\n\r\nBridge {PLAIN}\r\n{OBFS4}\r\n{PLAIN}\r\n')
    done = daemon.ctl('tor', 'bridges', 'set', '--file', str(file))
    assert done.status == 0 and '2 bridges' in done.err
    assert lines(daemon) == [PLAIN, OBFS4]
    assert daemon.json('tor', 'status')['bridges'] == 2
    assert f'Bridge {OBFS4}\n' in torrc(daemon)
    daemon.kill()
    daemon.start()
    assert lines(daemon) == [PLAIN, OBFS4]
    until(lambda: daemon.json('tor', 'status')['state'] == 'ready', 'tor is there', 60)
    assert 'UseBridges 1\n' in torrc(daemon)
    done = daemon.ctl('tor', 'bridges', 'set', PLAIN)
    assert done.status == 0 and lines(daemon) == [PLAIN]
    assert daemon.ctl('tor', 'bridges', 'none').status == 0
    assert lines(daemon) == [] and 'Bridge' not in torrc(daemon)
    assert daemon.ctl('tor', 'bridges', 'list').out == ''


@pytest.mark.parametrize('line, why', [
    ('nonsense', 'transport'), (f'{PLAIN} x=y', 'plain bridge'),
    (f'obfs4 192.0.2.1:443 {FP}', 'cert='), (f'obfs4 bridge.example:443 {FP}', '192.0.2.1:443'),
    (f'{PLAIN}\nControlPort 9051', 'characters'), ('', 'empty')])
def test_what_is_no_bridge_is_refused_by_client_and_daemon(daemon, off, line, why):
    for done in (off.ctl('tor', 'bridges', 'set', line),
                 off.ctl('call', 'BridgesSet', json.dumps({'bridges': [line]}))):
        assert done.status == 2 and why in done.err and FP not in done.err, done
    assert lines(off) == []


def test_no_line_at_all_is_not_none(off):
    off.json('tor', 'bridges', 'set', PLAIN)
    done = off.ctl('tor', 'bridges', 'set', '--file', os.devnull)
    assert done.status == 2 and 'tor bridges none' in done.err
    assert off.ctl('tor', 'bridges', 'set', '-f', '/nonexistent').status != 0
    assert lines(off) == [PLAIN]


def test_a_program_that_is_missing_is_named(off):
    if any(os.path.exists(f'/usr/bin/{name}') for name in ('webtunnel-client', 'lyrebird')):
        pytest.skip('it is installed')
    done = off.ctl('tor', 'bridges', 'set', WEBTUNNEL)
    assert done.status == 7 and 'webtunnel-client' in done.err
    assert lines(off) == []


def test_nobody_else_reads_them(off):
    off.json('tor', 'bridges', 'set', OBFS4)
    off.stop()
    secret = re.search('cert=(.*) ', OBFS4).group(1).encode()
    for directory, _, names in os.walk(off.state):
        for name in names:
            with open(os.path.join(directory, name), 'rb') as f:
                # tor's own state is tor's
                assert secret not in f.read() or '/tor' in directory, name
    assert secret.decode() not in off.log() and '192.0.2.7' not in off.log()


def test_the_configuration_comes_first(make_daemon, tmp_path):
    config, off = tmp_path / 'conf', tmp_path / 'torrc'
    off.write_text('DisableNetwork 1\n')
    config.write_text(f'[tor]\nmode = managed\ntorrc = {off}\nbridge = {PLAIN}\n'
                      'bridge = 192.0.2.2:443\n')
    daemon = make_daemon(['--config', str(config)]).start()
    until(lambda: daemon.json('tor', 'status')['state'] == 'ready', 'tor is there', 60)
    answer = daemon.json('tor', 'bridges', 'list')
    assert answer == {'bridges': [PLAIN, '192.0.2.2:443'], 'source': 'configuration'}
    done = daemon.ctl('tor', 'bridges', 'none')
    assert done.status == 7 and 'configuration' in done.err
    config.write_text(f'[tor]\nmode = managed\ntorrc = {off}\nbridge = 192.0.2.3:443\n')
    daemon.json('reload')
    until(lambda: 'Bridge 192.0.2.3:443\n' in torrc(daemon), 'the new one is told')
    assert lines(daemon) == ['192.0.2.3:443'] and '192.0.2.2' not in torrc(daemon)
    config.write_text(f'[tor]\ntorrc = {off}\nbridge = {PLAIN} odd\n')
    done = daemon.ctl('reload')
    assert done.status != 0 and f'{config}:3' in done.err and FP not in done.err
    assert lines(daemon) == ['192.0.2.3:443']


def test_without_tor_there_is_nothing_to_set(daemon):
    done = daemon.ctl('tor', 'bridges', 'set', PLAIN)
    assert done.status == 7 and '--local-only' in done.err
    assert daemon.ctl('tor', 'bridges', 'list').status == 7


def test_they_are_the_admins_to_set(make_daemon, tmp_path):
    if os.geteuid() != 0:
        pytest.skip('needs root to be somebody else')
    member = Member(make_daemon, tmp_path)
    assert member.ctl('tor', 'bridges', 'set', PLAIN).returncode == 5


def test_kept_bridges_that_cannot_be_read_keep_tor_down(off):
    off.json('tor', 'bridges', 'set', PLAIN)
    off.stop()
    with sqlite3.connect(os.path.join(off.state, 'onionshared.db')) as db:
        db.execute("UPDATE settings SET value = x'00112233' WHERE name = 'bridges'")
    db.close()
    off.start()
    status = off.json('tor', 'status')
    assert status['state'] == 'down' and 'nobody knows by which bridges' in status['problem']
    assert [p for p in proc.descendants(off.process.pid)] == []
    off.json('tor', 'bridges', 'set', PLAIN)
    until(lambda: off.json('tor', 'status')['state'] == 'ready', 'tor is started', 60)
    assert f'Bridge {PLAIN}' in torrc(off)


def tor_pid(daemon):
    return next(p for p in proc.descendants(daemon.process.pid)
                if open(f'/proc/{p}/comm').read() == 'tor\n')


def outgoing(pid):
    """Ports of the loopback that a process has connections to."""
    with open(f'/proc/{pid}/net/tcp') as f:
        rows = [line.split() for line in f.readlines()[1:]]
    inodes = set()
    for fd in os.listdir(f'/proc/{pid}/fd'):
        try:
            found = re.fullmatch(r'socket:\[(\d+)\]', os.readlink(f'/proc/{pid}/fd/{fd}'))
        except FileNotFoundError:
            continue
        if found:
            inodes.add(found.group(1))
    return {int(r[2].split(':')[1], 16) for r in rows if r[9] in inodes and r[3] == '01'}


@pytest.mark.parametrize('obfs4', [False, True])
def test_a_visitor_comes_while_tor_goes_by_the_bridge_alone(make_daemon, tornet, obfs4):
    line, port = tornet.add_bridge(obfs4)
    daemon = make_daemon(['--tor', 'managed', '--torrc', tornet.torrc_file]).start()
    service = daemon.json('create', 'share', 'docs', daemon.file('a', b'data'), *KEEP, '--public')
    if not obfs4:  # from a network that it has entered already
        until(lambda: daemon.json('tor', 'status')['reachable'], 'Tor is reached directly', 150)
    daemon.json('tor', 'bridges', 'set', line)
    service = daemon.json('start', 'docs', timeout=LONG * 2)
    assert reached(tornet.clients[0], service, '/download') == b'data'
    status = daemon.json('tor', 'status')
    assert status['reachable'] and status['bridges'] == 1 and status['problem'] is None
    if obfs4:
        pt = next(p for p in proc.descendants(daemon.process.pid)
                  if open(f'/proc/{p}/comm').read() == 'obfs4proxy\n')
        assert outgoing(pt) - outgoing(tor_pid(daemon)) >= {port}
    else:
        assert outgoing(tor_pid(daemon)) == {port}
    assert FP not in daemon.log() and line.split()[-1] not in daemon.log()
