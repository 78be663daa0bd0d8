# SPDX-License-Identifier: GPL-3.0-or-later
"""The package on a Debian with a real systemd: installed, run, killed, rebooted, removed."""
import json
import os
import subprocess
import threading

import pytest

from lib.daemon import TOP
from lib.waiting import until
from machine import CannotRun, Machine, build_packages, need_tools

UNITS = ('onionshared.service', 'onionshared.socket', 'onionshared-tor.service',
         'onionshared-keeper.socket')
FILE = 'canary-file-name.txt'


@pytest.fixture(scope='module')
def packages():
    try:
        need_tools()
    except CannotRun as why:
        pytest.skip(f'no machine to test on: {why}')
    return build_packages()


@pytest.fixture(scope='module')
def booted(tmp_path_factory, packages):
    machine = None
    try:
        machine = Machine(tmp_path_factory.mktemp('machine'), packages)
        machine.boot()
    except CannotRun as why:
        pytest.skip(f'no machine to test on: {why}')
    yield machine
    machine.remove()


@pytest.fixture
def machine(booted, packages):
    """With the package installed, the daemon up and no service in it."""
    if booted.run('dpkg', '-s', 'onionshared').status != 0:
        names = [os.path.basename(p) for p in packages]
        for path, name in zip(packages, names):
            subprocess.run(['cp', path, f'{booted.tree}/root/{name}'], check=True)
        booted.ok('dpkg', '-i', *(f'/root/{name}' for name in names))
    booted.ok('systemctl', 'enable', '--now', 'onionshared')
    for service in ctl(booted, 'list'):
        ctl(booted, 'delete', service['name'], '--yes')
    booted.write(f'/srv/{FILE}', 'what is shared\n')
    yield booted


def ctl(machine, *args, **kwargs):
    return json.loads(machine.ok('onionsharectl', '--json', *args, **kwargs) or 'null')


def publishing(machine, name):
    """A share that tor has been told of; a network is not needed for that."""
    ctl(machine, 'create', 'share', name, f'/srv/{FILE}', '--no-autostop-sharing')
    ctl(machine, 'start', name, '--no-wait')
    until(lambda: ctl(machine, 'show', name)['state'] in ('publishing', 'running'), 'it is up')
    return ctl(machine, 'show', name)


def visit(machine, service, path='/', user='onionshared-tor', group='onionshared', args=()):
    socket = service['backend'].removeprefix('unix:')
    return machine.run('curl', '-sS', '--unix-socket', socket, *args, service['url'] + path,
                       user=user, group=group)


def journal(machine, *args):
    machine.ok('journalctl', '--sync')
    return machine.ok('journalctl', '--no-pager', *args)


def test_installed_it_waits_for_its_admin(booted, machine):
    machine.ok('dpkg', '--purge', 'onionshared', 'onionsharectl')
    machine.ok('dpkg', '-i', *(f'/root/{name}' for name in os.listdir(machine.tree + '/root')
                               if name.endswith('.deb')))
    for unit in UNITS:
        assert machine.property('ActiveState', unit) == 'inactive', unit
    refused = machine.run('onionsharectl', 'list')
    assert refused.status == 6 and 'systemctl' in refused.err, refused
    machine.ok('systemctl', 'enable', '--now', 'onionshared')
    for unit in UNITS:
        until(lambda: machine.property('ActiveState', unit) == 'active', f'{unit} is up')
    until(lambda: 'services running' in machine.property('StatusText'), 'it says how it stands')
    assert machine.property('NRestarts', 'onionshared-tor.service') == '0'


def test_tor_gets_through_to_a_service_and_nobody_else_does(machine):
    service = publishing(machine, 'docs')
    assert visit(machine, service, '/download').out == 'what is shared\n'
    for user in ('nobody', 'debian-tor'):
        refused = visit(machine, service, user=user, group='nogroup')
        assert refused.status == 7 and not refused.out, refused  # curl: cannot connect
    refused = machine.run('onionsharectl', 'list', user='nobody', group='nogroup')
    assert refused.status == 5 and 'onionshare' in refused.err, refused


def test_members_of_the_group_control_it_and_cannot_share_what_they_cannot_read(machine):
    machine.run('adduser', '--system', '--ingroup', 'onionshare', 'alice')
    listed = machine.run('onionsharectl', '--json', 'list', user='alice', group='onionshare')
    assert (listed.status, listed.out) == (0, '[]\n'), listed
    refused = machine.run('onionsharectl', 'create', 'share', 'shadow', '/etc/shadow',
                          user='alice', group='onionshare')
    assert refused.status != 0 and 'shadow' in refused.err, refused
    machine.ok('onionsharectl', 'create', 'share', 'hosts', '/etc/hostname', user='alice',
               group='onionshare')


def test_the_watchdog_ends_a_daemon_that_stands_still(machine):
    dropin = '/run/systemd/system/onionshared.service.d/watchdog.conf'
    service = publishing(machine, 'docs')
    machine.ok('mkdir', '-p', os.path.dirname(dropin))
    machine.ok('sh', '-c', f'printf "[Service]\nWatchdogSec=3s\n" >{dropin}')
    try:
        machine.ok('systemctl', 'daemon-reload')
        machine.ok('systemctl', 'restart', 'onionshared')
        pid = machine.property('MainPID')
        machine.ok('sh', '-c', f'kill -STOP {pid}')
        until(lambda: machine.property('MainPID') not in (pid, '0')
              and machine.property('ActiveState') == 'active', 'it was started again', 60)
        assert 'watchdog' in journal(machine, '-u', 'onionshared', '-o', 'cat')
        # It is fed again: alive after more than one period.
        fresh = machine.property('MainPID')
        machine.ok('sleep', '4')
        assert machine.property('MainPID') == fresh
    finally:
        machine.ok('rm', '-f', dropin)
        machine.ok('systemctl', 'daemon-reload')
        machine.ok('systemctl', 'restart', 'onionshared')
    assert_is_back(machine, service)


def assert_is_back(machine, service):
    def state():
        return ctl(machine, 'show', service['name'])
    until(lambda: state()['state'] in ('publishing', 'running'), 'the service is back')
    assert state()['onion'] == service['onion'] and state()['keys'] == service['keys']
    assert visit(machine, state(), '/download').out == 'what is shared\n'


def test_killed_it_comes_back_with_its_services(machine):
    service = publishing(machine, 'docs')
    for _ in range(7):  # more than systemd bears in ten seconds, if it is not told to
        pid = machine.property('MainPID')
        machine.ok('sh', '-c', f'kill -KILL {pid}')
        until(lambda: machine.property('MainPID') not in (pid, '0')
              and machine.property('ActiveState') == 'active', 'it is started again')
    assert_is_back(machine, service)
    # Tor, too, and what is published follows.
    pid = machine.property('MainPID', 'onionshared-tor')
    machine.ok('sh', '-c', f'kill -KILL {pid}')
    until(lambda: machine.property('MainPID', 'onionshared-tor') not in (pid, '0'),
          'tor is started again')
    assert_is_back(machine, service)


def test_services_come_back_after_a_reboot(machine):
    service = publishing(machine, 'docs')
    machine.reboot()
    until(lambda: machine.property('ActiveState') == 'active', 'the daemon is up')
    assert_is_back(machine, service)


def test_a_reload_is_not_noticed_and_a_bad_one_changes_nothing(machine):
    service = publishing(machine, 'docs')
    pid = machine.property('MainPID')
    conf = '/etc/onionshared/onionshared.conf.d/test.conf'
    machine.write(conf, '[daemon]\ndrain-seconds = 7\n')
    machine.ok('systemctl', 'reload', 'onionshared')
    until(lambda: 'read again' in journal(machine, '-u', 'onionshared', '-b'), 'it is read')
    machine.write(conf, '[daemon]\ndrain-secunds = 7\n')
    machine.ok('systemctl', 'reload', 'onionshared')
    until(lambda: 'drain-secunds' in journal(machine, '-u', 'onionshared', '-b'), 'it is refused')
    machine.ok('rm', conf)
    assert machine.property('MainPID') == pid
    assert machine.property('ActiveState') == 'active'
    assert visit(machine, service, '/download').out == 'what is shared\n'


def test_the_journal_tells_events_and_nothing_of_visitors(machine):
    machine.ok('journalctl', '--rotate')
    machine.ok('journalctl', '--vacuum-time=1s')
    service = publishing(machine, 'docs')
    box = ctl(machine, 'create', 'receive', 'dropbox')
    ctl(machine, 'start', 'dropbox', '--no-wait')
    until(lambda: ctl(machine, 'show', 'dropbox')['state'] in ('publishing', 'running'), 'up')
    box = ctl(machine, 'show', 'dropbox')
    sent = visit(machine, box, '/upload', args=('-F', f'file[]=@/srv/{FILE};filename=canary-sent',
                                                '-F', 'text=canary-message'))
    assert sent.status == 0, sent
    assert len(ctl(machine, 'inbox', 'list', 'dropbox')) == 1
    visit(machine, service, '/canary-path?canary-query', args=('-A', 'canary-agent'))
    visit(machine, service, '/download')
    ctl(machine, 'stop', 'docs')
    ctl(machine, 'delete', 'dropbox', '--yes')
    said = journal(machine, '-o', 'export')
    assert 'service docs' in said
    for secret in (service['onion'], box['onion'], service['keys'][0]['private_key'],
                   service['keys'][0]['public_key'], FILE, 'canary'):
        assert secret not in said, secret
    told = journal(machine, 'MESSAGE_ID=d051db21071b48f5ace0aa4b427a4797',
                   'ONIONSHARED_SERVICE=docs', '-o', 'json').strip().splitlines()
    assert len(told) == 1 and json.loads(told[0])['PRIORITY'] == '6'
    explained = journal(machine, '-x', 'MESSAGE_ID=d051db21071b48f5ace0aa4b427a4797',
                        'ONIONSHARED_SERVICE=docs')
    assert 'The service docs has stopped' in explained


def test_the_sealing_key_can_be_a_credential_of_the_machine(machine):
    dropin = '/run/systemd/system/onionshared.service.d/credential.conf'
    made = machine.run('sh', '-c', 'mkdir -p -m 700 /etc/credstore.encrypted && '
                       'head -c 32 /dev/urandom | systemd-creds encrypt --name=onionshared.key - '
                       '/etc/credstore.encrypted/onionshared.key')
    assert made.status == 0, made
    machine.ok('systemctl', 'stop', 'onionshared', 'onionshared.socket')
    machine.ok('sh', '-c', 'rm -rf /var/lib/onionshared/*')
    machine.ok('mkdir', '-p', os.path.dirname(dropin))
    machine.ok('cp', '/usr/share/doc/onionshared/examples/credential.conf', dropin)
    try:
        machine.ok('systemctl', 'daemon-reload')
        machine.ok('systemctl', 'start', 'onionshared')
        service = publishing(machine, 'docs')
        assert 'secret.key' not in machine.ok('ls', '/var/lib/onionshared')
        machine.ok('systemctl', 'restart', 'onionshared')
        assert_is_back(machine, service)
    finally:
        machine.ok('systemctl', 'stop', 'onionshared', 'onionshared.socket')
        machine.ok('sh', '-c', 'rm -rf /var/lib/onionshared/*')
        machine.ok('rm', '-rf', dropin, '/etc/credstore.encrypted')
        machine.ok('systemctl', 'daemon-reload')


def test_removed_it_leaves_what_is_kept_and_purged_nothing(machine):
    service = publishing(machine, 'docs')
    names = [name for name in os.listdir(machine.tree + '/root') if name.endswith('.deb')]
    machine.ok('dpkg', '--remove', 'onionsharectl', 'onionshared')
    for user in ('onionshared', 'onionshared-tor'):
        assert machine.ok('find', '/proc', '-maxdepth', '1', '-user', user) == ''
    assert 'onionshared.db' in machine.ok('ls', '/var/lib/onionshared')
    machine.ok('dpkg', '-i', *(f'/root/{name}' for name in names))
    machine.ok('systemctl', 'enable', '--now', 'onionshared')
    assert_is_back(machine, service)
    machine.ok('dpkg', '--purge', 'onionsharectl', 'onionshared')
    for path in ('/var/lib/onionshared', '/var/lib/onionshared-tor', '/etc/onionshared',
                 '/run/onionshared', '/usr/share/onionshared'):
        assert not os.path.lexists(machine.tree + path), path


def restart_turns_nobody_away(machine, service):
    """Who comes in between waits; the socket is the same, and tor does not notice."""
    pids = [machine.property('MainPID', unit) for unit in ('onionshared', 'onionshared-tor')]
    socket = service['backend'].removeprefix('unix:')
    visits = (f'while [ ! -e /run/enough ]; do curl -sSf -o /dev/null --unix-socket {socket} '
              f'{service["url"]}/ || echo failed; done; echo enough')
    said = []
    visitors = threading.Thread(
        target=lambda: said.append(machine.run('sh', '-c', visits, timeout=120)))
    visitors.start()
    for _ in range(3):
        machine.ok('systemctl', 'restart', 'onionshared')
    assert ctl(machine, 'show', service['name'])['backend'] == service['backend']
    machine.ok('touch', '/run/enough')
    visitors.join()
    assert said[0].out == 'enough\n', said
    after = [machine.property('MainPID', unit) for unit in ('onionshared', 'onionshared-tor')]
    assert after[0] != pids[0] and after[1] == pids[1]
    assert machine.property('NFileDescriptorStore') == '0'  # all of it is in use again


def readme_commands():
    """What README has people type on a server, a line each."""
    with open(os.path.join(TOP, 'README.md')) as f:
        part = f.read().split('\n## On a server')[1].split('\n\n')
    block = next(text for text in part if text.startswith('    '))
    return [line.strip() for line in block.splitlines()]


def test_what_the_readme_says_is_enough_and_visitors_come_by_tor(machine, packages, tornet):
    machine.ok('dpkg', '--purge', 'onionshared', 'onionsharectl')
    machine.ok('sh', '-c', 'rm -rf /root/* /var/lib/onionshared*')
    build, *commands = readme_commands()
    assert build == './quickstart package' and len(commands) == 4  # which packages() ran
    os.mkdir(f'{machine.tree}/root/build-package')
    for path in packages:
        subprocess.run(['cp', path, f'{machine.tree}/root/build-package/'], check=True)
    with open(tornet.torrc_file) as f:
        machine.write('/etc/onionshared/torrc.d/network.conf', f.read())
    try:
        for command in commands:
            said = machine.ok('sh', '-c', f'cd /root && {command}', input='y\n', timeout=300)
        box = ctl(machine, 'show', 'dropbox')
        assert box['state'] == 'running' and box['url'] in said and '█' in said
        assert machine.property('UnitFileState') == 'enabled'
        client = tornet.clients[0]
        assert 'Submit' in got(client, box['url'] + '/')
        sent = got(client, box['url'] + '/upload-ajax', '-F', f'file[]=@{__file__};filename=a.py')
        assert 'Uploaded a.py' in sent
        kept = ctl(machine, 'inbox', 'list', 'dropbox')
        assert kept and all(s['files'][0]['name'] == 'a.py' for s in kept)
        # With a key, too.
        ctl(machine, 'create', 'share', 'docs', f'/srv/{FILE}', '--no-autostop-sharing')
        share = ctl(machine, 'start', 'docs', timeout=240)
        client.auth_add(share['onion'], share['keys'][0]['private_key'])
        assert got(client, share['url'] + '/download') == 'what is shared\n'
        until(lambda: machine.property('StatusText')
              == 'Tor connected; 2 of 2 services running', 'it says how it stands')
        restart_turns_nobody_away(machine, share)
    finally:
        machine.run('rm', '/etc/onionshared/torrc.d/network.conf')
        machine.run('systemctl', 'stop', 'onionshared', 'onionshared-tor')
        machine.run('sh', '-c', 'rm -rf /var/lib/onionshared-tor/* /root/build-package')


FRONTEND = '2gzyxa5ihm7nsggfxnu52rck2vv4rvmdlkiu3zzui5du4xyclen53wid'


def guide_commands(heading):
    """What a part of the guide has people type, a line each."""
    with open(os.path.join(TOP, 'docs/guides/several-machines.md')) as f:
        part = f.read().split(f'\n## {heading}')[1].split('\n## ')[0]
    return [line.strip() for line in part.splitlines() if line.startswith('    ')]


def test_the_packaged_tor_takes_backends(machine, tornet):
    folder = '/run/onionshared-tor/onions'
    client = tornet.clients[0]
    setting, restart, create, start = guide_commands('The backends')
    create, start = create.replace('FRONTEND', FRONTEND), f'{start} --timeout 240'
    with open(tornet.torrc_file) as f:
        machine.write('/etc/onionshared/torrc.d/network.conf', f.read())
    machine.write('/srv/site/index.html', 'the site')
    try:
        machine.ok('sh', '-c', restart)
        until(lambda: ctl(machine, 'tor', 'status')['reachable'], 'tor is in its network', 120)
        refused = machine.run('sh', '-c', create)
        assert refused.status == 2 and '/etc/onionshared/torrc.d' in refused.err, refused
        machine.ok('sh', '-c', setting)
        machine.ok('sh', '-c', restart)
        until(lambda: ctl(machine, 'tor', 'status')['reachable'], 'tor is in its network', 120)
        machine.ok('sh', '-c', create)
        machine.ok('sh', '-c', start, timeout=250)
        site = ctl(machine, 'show', 'site')
        assert site['state'] == 'running'
        said = machine.ok('stat', '-c', '%U %a', folder, f'{folder}/{site["onion"]}')
        assert said == 'onionshared-tor 700\n' * 2
        host = ('-H', f'Host: {FRONTEND}.onion')
        assert got(client, site['url'], *host) == 'the site'
        machine.ok('systemctl', 'restart', 'onionshared')
        until(lambda: ctl(machine, 'show', 'site')['state'] == 'running', 'it is back', 120)
        assert got(client, site['url'], *host) == 'the site'
        pid = machine.property('MainPID', 'onionshared-tor')
        machine.ok('sh', '-c', f'kill -KILL {pid}')
        until(lambda: ctl(machine, 'show', 'site')['state'] != 'running', 'tor is missed', 60)
        until(lambda: ctl(machine, 'show', 'site')['state'] == 'running', 'and is back', 120)
        assert ctl(machine, 'show', 'site')['onion'] == site['onion']
        ctl(machine, 'delete', 'site', '--yes')
        assert machine.ok('ls', folder) == ''
        assert machine.ok('systemctl', 'list-units', '--failed', '--no-legend', 'onionshared*') == ''
        machine.ok('systemctl', 'stop', 'onionshared')
        until(lambda: machine.property('ActiveState', 'onionshared-keeper.socket') == 'inactive',
              'nobody can ask any more')
        assert site['onion'] not in journal(machine, '-o', 'export')
    finally:
        machine.run('sh', '-c', 'rm -f /etc/onionshared/torrc.d/*.conf')
        machine.run('systemctl', 'stop', 'onionshared', 'onionshared-tor')
        machine.run('sh', '-c', 'rm -rf /var/lib/onionshared-tor/*')


def got(client, url, *args):
    """The answer, when it comes: fresh descriptors take their time."""
    def attempt():
        done = subprocess.run(['curl', '-sSf', '-m', '45', *client.curl_args(), *args, url],
                              capture_output=True, text=True)
        return done.stdout if done.returncode == 0 else client.forget()
    return until(attempt, f'an answer of {url}', 120, step=1)
