# SPDX-License-Identifier: GPL-3.0-or-later
"""Onion services of OnionShare and tor move in: same address, same private keys."""
import base64
import json
import os
import shutil
import subprocess

import pytest

import shapes
from lib.daemon import Daemon, ONIONSHARED
from lib.waiting import until

PRIVATE = 'UT55HDBA5VSRWOUERMGOHEIBKZCMOOGZAFFNI54GDQFZ6CMCUGIQ'
PUBLIC = 'TPQCMCV26UEDMCWGZCWAWM4FOJSQKZZTVPC5TC3CAGMDWKV255OA'
OTHER_PUBLIC = 'BTTJNHFAXU7BIHVYQBCPHZDBMRSHCNMUQZWVMVQIAXJBRI6RVAZQ'

needs_tor = pytest.mark.skipif(not shutil.which('tor'), reason='there is no tor')


def made_up_key(seed=1):
    return base64.b64encode(bytes((seed + i) % 256 for i in range(64))).decode()


def made_up_address(letter='a'):
    return letter * 54 + 'ad'


def tab(mode, key=None, address=None, **more):
    """A saved tab as OnionShare 2.6 writes it; more: GROUP__NAME=value."""
    all_of_it = {
        'onion': {'private_key': key, 'client_auth_priv_key': PRIVATE,
                  'client_auth_pub_key': PUBLIC},
        'persistent': {'mode': mode, 'enabled': True, 'autostart_on_launch': False},
        'general': {'title': None, 'public': False, 'autostart_timer': False,
                    'autostop_timer': False, 'service_id': address, 'qr': False},
        'share': {'autostop_sharing': True, 'filenames': [], 'log_filenames': False},
        'receive': {'data_dir': '/nonexistent', 'webhook_url': None, 'disable_text': False,
                    'disable_files': False},
        'website': {'disable_csp': False, 'custom_csp': None, 'log_filenames': False,
                    'filenames': []},
        'chat': {}}
    for path, value in more.items():
        group, name = path.split('__')
        all_of_it[group][name] = value
    return all_of_it


def save(daemon, name, value):
    folder = os.path.join(daemon.dir, 'persistent')
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, name)
    with open(path, 'w') as f:
        f.write(value if isinstance(value, str) else json.dumps(value, indent=2))
    return path


def names(daemon):
    return [s['name'] for s in daemon.json('list')]


def refused(daemon, path, *args):
    result = daemon.ctl('import', path, *args)
    assert result.status in (1, 2, 7) and result.err, result
    assert names(daemon) == []
    return result.err


# --- OnionShare ---

def test_every_mode_comes_with_its_settings(daemon):
    data = os.path.join(daemon.dir, 'OnionShare')
    os.mkdir(data)
    save(daemon, 'red-green-blue.json',
         tab('share', made_up_key(1), made_up_address('a'), share__autostop_sharing=False,
             share__filenames=[daemon.file('a'), daemon.file('b')], share__log_filenames=True,
             general__title='Leaks'))
    save(daemon, 'box.json',
         tab('receive', made_up_key(2), made_up_address('b'), receive__data_dir=data,
             receive__disable_text=True, receive__webhook_url='http://127.0.0.1:9/hook'))
    save(daemon, 'site.json',
         tab('website', made_up_key(3), made_up_address('c'), general__public=True,
             website__custom_csp="default-src 'none'", website__disable_csp=True,
             website__filenames=[daemon.content]))
    save(daemon, 'room.json', tab('chat', made_up_key(4), made_up_address('d')))
    made = daemon.json('import', os.path.join(daemon.dir, 'persistent'))
    assert names(daemon) == sorted(s['name'] for s in made) == \
        ['box', 'red-green-blue', 'room', 'site']
    share, box, site = (daemon.show(n) for n in ('red-green-blue', 'box', 'site'))
    assert share['mode'] == 'share' and share['state'] == 'stopped'
    assert share['title'] == 'Leaks' and share['options']['no_autostop_sharing']
    assert share['options']['log_filenames']
    assert share['paths'] == [os.path.join(daemon.content, n) for n in 'ab']
    assert share['keys'] == [{'label': 'default', 'private_key': PRIVATE, 'public_key': PUBLIC}]
    assert box['options']['data_dir'] == data and box['options']['disable_text']
    assert box['options']['webhook_url'] == 'http://127.0.0.1:9/hook'
    assert site['public'] and site['options']['custom_csp'] == "default-src 'none'"
    assert not site['options']['disable_csp']


def test_what_onionshare_started_by_itself_is_started(daemon):
    path = save(daemon, 'a.json', tab('share', made_up_key(), made_up_address(),
                                      share__filenames=[daemon.file('a')],
                                      persistent__autostart_on_launch=True))
    daemon.json('import', path)
    daemon.until_state('a', 'running')
    assert daemon.get('a').status == 200
    daemon.json('delete', 'a', '--yes')
    assert daemon.json('import', path, '--no-start')['state'] == 'stopped'


def test_a_dry_run_tells_all_but_secrets_and_makes_nothing(daemon):
    key = made_up_key()
    path = save(daemon, 'a.json', tab('chat', key, made_up_address()))
    for args in (['--json'], []):
        result = daemon.ctl(*args, 'import', path, '--dry-run', '--name', 'lounge')
        assert result.status == 0 and 'lounge' in result.out, result
        assert made_up_address() in result.out
        assert key not in result.out + result.err and PRIVATE not in result.out + result.err
    assert names(daemon) == []


def test_all_come_or_none(daemon):
    save(daemon, 'a.json', tab('chat', made_up_key(1), made_up_address('a')))
    save(daemon, 'b.json', tab('share', made_up_key(2), made_up_address('b'),
                               share__filenames=['/nonexistent/file']))
    assert '/nonexistent/file' in refused(daemon, os.path.join(daemon.dir, 'persistent'))


def test_what_fails_late_takes_back_what_was_made_before(daemon):
    # The same identity twice: each alone is fine, so only making the second shows it.
    save(daemon, 'a.json', tab('chat', made_up_key(1), made_up_address('a')))
    save(daemon, 'b.json', tab('chat', made_up_key(1), made_up_address('a')))
    assert 'with this address' in refused(daemon, os.path.join(daemon.dir, 'persistent'))


def test_files_that_are_gone_can_be_left_out(daemon):
    path = save(daemon, 'a.json', tab('share', made_up_key(), made_up_address(),
                                      share__filenames=['/nonexistent/x', daemon.file('a')]))
    refused(daemon, path)
    made = daemon.json('import', path, '--skip-missing')
    assert made['paths'] == [os.path.join(daemon.content, 'a')]


def test_a_name_that_is_taken_is_told_before_anything_changes(daemon):
    daemon.json('create', 'chat', 'b')
    for name in 'ab':
        save(daemon, f'{name}.json', tab('chat', made_up_key(ord(name)), made_up_address(name)))
    result = daemon.ctl('--json', 'import', os.path.join(daemon.dir, 'persistent'))
    shapes.is_error(result, 'NameInUse', 1)
    assert names(daemon) == ['b']


@pytest.mark.parametrize('what, sentence', [
    (tab('share', 'MIICXAIBAAKBgQ' + 'A' * 800, 'expyuzz4wqqyqhjn'), 'version 2'),
    (tab('chat', made_up_key(), 'expyuzz4wqqyqhjn'), 'version 2'),
    (tab('chat', 'AAAA', made_up_address()), '64 bytes'),
    (tab('chat', made_up_key(), 'a' * 56), 'version 3'),
    (tab('chat', made_up_key(), None), 'address is not told'),
    (tab('chat', made_up_key(), made_up_address(), onion__client_auth_priv_key='x'),
     '52 characters'),
    (tab('chat', made_up_key(), made_up_address(), onion__client_auth_pub_key=OTHER_PUBLIC),
     'not that of its public key'),
    (tab('share', made_up_key(), made_up_address(), share__filenames='/etc'), 'not a list'),
    (tab('share', made_up_key(), made_up_address()), 'at least one'),
    (tab('telegram', made_up_key(), made_up_address()), 'persistent.mode'),
    (tab('receive', made_up_key(), made_up_address(), receive__disable_text=True,
         receive__disable_files=True), 'disable'),
    ({'persistent_tabs': []}, 'no saved tab'),
    ('{"persistent": {', 'JSON'),
    ('', 'JSON'),
])
def test_what_cannot_come_is_refused_with_the_reason(daemon, what, sentence):
    path = save(daemon, 'a.json', what)
    said = refused(daemon, path)
    assert sentence in said and made_up_key() not in said


def test_an_identity_outlives_the_daemon_and_is_in_no_log(daemon):
    key = made_up_key()
    daemon.json('import', save(daemon, 'a.json', tab('chat', key, made_up_address())))
    daemon.kill()
    daemon.start()
    assert daemon.show('a')['keys'][0]['private_key'] == PRIVATE
    assert key not in daemon.log() and PRIVATE not in daemon.log()
    raw = base64.b64decode(key)
    for folder, _, files in os.walk(daemon.state):
        for name in files:
            with open(os.path.join(folder, name), 'rb') as f:
                assert raw not in f.read(), name


# The sample of OnionShare's documentation (Advanced Usage, "Configuration file parameters
# for persistent onions"): its key and its address belong together.
SAMPLE = tab(
    'share',
    '0HGxILDDwYhxAB2Zq8mM3Wu3MirBgK7Fw2/tVrTw1XraElH7MWbVn3lzKbcJEapVWz2TFjaoCAVN48hGqraiRg==',
    'hvsufvk2anyadehahfqiacy4wbrjt2atpnagk4itlkh4mdfsg6vhd5ad',
    share__filenames=['/home/user/git/onionshare/desktop/org.onionshare.OnionShare.svg'],
    receive__data_dir='/home/user/OnionShare')


def test_the_sample_of_the_documentation_comes(daemon):
    path = save(daemon, 'sample.json', SAMPLE)
    assert 'org.onionshare.OnionShare.svg' in refused(daemon, path)  # that is not here
    made = daemon.json('import', path, '--content', daemon.file('logo.svg'))
    assert made['paths'] == [os.path.join(daemon.content, 'logo.svg')]
    assert made['keys'] == [{'label': 'default', 'private_key': PRIVATE, 'public_key': PUBLIC}]


def test_content_is_of_one_service(daemon):
    for name in 'ab':
        save(daemon, f'{name}.json', tab('chat', made_up_key(ord(name)), made_up_address(name)))
    said = refused(daemon, os.path.join(daemon.dir, 'persistent'), '--content', daemon.file('x'))
    assert 'one service' in said


# --- OnionShare's settings ---

def settings(daemon, **more):
    path = os.path.join(daemon.dir, 'onionshare.json')
    with open(path, 'w') as f:
        json.dump({'version': '2.6', 'connection_type': 'bundled', 'auth_type': 'no_auth',
                   'auth_password': 'geheim', 'bridges_enabled': False, 'locale': 'en',
                   'persistent_tabs': [], **more}, f)
    return path


BRIDGE = f'obfs4 192.0.2.1:443 {"AB" * 20} cert={"a" * 70} iat-mode=0'


@pytest.mark.parametrize('there, here', [
    ({}, ['[tor]', 'mode = managed']),
    ({'connection_type': 'automatic'}, ['[tor]', 'mode = auto']),
    ({'connection_type': 'control_port', 'control_port_port': 9151},
     ['[tor]', 'mode = system', 'control = 127.0.0.1:9151']),
    ({'connection_type': 'socket_file', 'socket_file_path': '/run/tor/control',
      'auth_type': 'password'},
     ['[tor]', 'mode = system', 'control = unix:/run/tor/control',
      'password-file = /etc/onionshared/tor-password']),
])
def test_the_way_to_tor_is_printed_as_the_daemon_reads_it(daemon, tmp_path, there, here):
    path = settings(daemon, **there)
    said = daemon.ctl('import', path)
    assert said.status == 0 and said.out.splitlines() == here, said
    assert 'geheim' not in said.out + said.err
    conf = tmp_path / 'onionshared.conf'
    conf.write_text(said.out)
    subprocess.run([ONIONSHARED, '--check-config', '--config', conf], check=True, env=daemon.env)
    as_json = daemon.json('import', path)
    assert as_json == {'configuration': said.out, 'bridges': 0}


@pytest.mark.parametrize('what, sentence', [
    ({'connection_type': 'telepathy'}, 'connection_type'),
    ({'connection_type': 'control_port', 'control_port_port': 70000}, 'no control port'),
    ({'connection_type': 'control_port', 'control_port_address': 'a\nb'}, 'no control port'),
    ({'connection_type': 'socket_file', 'socket_file_path': '/x\n[daemon]'}, 'no path'),
    ({'connection_type': 'socket_file', 'socket_file_path': 'relative'}, 'no path'),
])
def test_settings_that_make_no_sense_are_refused(daemon, what, sentence):
    assert sentence in refused(daemon, settings(daemon, **what))


@needs_tor
def test_its_folder_brings_bridges_and_tabs(tor_daemon):
    path = settings(tor_daemon, bridges_enabled=True, bridges_type='custom',
                    bridges_custom=f'{BRIDGE}\nno bridge at all\n')
    save(tor_daemon, 'room.json', tab('chat'))
    folder = os.path.dirname(path)
    dry = tor_daemon.ctl('import', folder, '--dry-run')
    assert dry.status == 0 and 'room' in dry.out and 'would be set: 1' in dry.err, dry
    assert tor_daemon.json('tor', 'bridges', 'list')['bridges'] == []
    made = tor_daemon.ctl('import', folder)
    assert made.status == 0 and 'left out' in made.err, made
    assert BRIDGE not in made.out + made.err
    assert tor_daemon.json('tor', 'bridges', 'list')['bridges'] == [BRIDGE]
    assert names(tor_daemon) == ['room']


def test_bridges_that_are_not_in_the_file_are_missed(daemon):
    said = daemon.ctl('import', settings(daemon, bridges_enabled=True))
    assert said.status == 0 and 'tor bridges set' in said.err
    builtin = {'obfs4': [BRIDGE], 'snowflake': []}
    dry = daemon.ctl('import', '--dry-run',
                     settings(daemon, bridges_enabled=True, bridges_builtin=builtin))
    assert 'would be set: 1' in dry.err


# --- tor ---

def hidden_service(folder):
    """A HiddenServiceDir that tor itself has made; its address."""
    path, torrc = os.path.join(folder, 'hs'), os.path.join(folder, 'empty-torrc')
    open(torrc, 'w').close()
    tor = subprocess.Popen(
        ['tor', '-f', torrc, '--DataDirectory', os.path.join(folder, 'tor-data'),
         '--DisableNetwork', '1', '--SocksPort', '0', '--HiddenServiceDir', path,
         '--HiddenServicePort', '80 127.0.0.1:1', '--Log', 'err stderr'],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    hostname = os.path.join(path, 'hostname')
    try:
        until(lambda: os.path.exists(hostname) and open(hostname).read().endswith('\n'),
              'tor makes an onion service')
    finally:
        tor.terminate()
        tor.wait()
    return path, open(hostname).read().strip()[:-len('.onion')]


def onion_key(path):
    with open(os.path.join(path, 'hs_ed25519_secret_key'), 'rb') as f:
        return base64.b64encode(f.read()[32:]).decode()


@pytest.fixture
def tor_daemon(tmp_path):
    """With a tor of its own that stays off the network: it knows addresses all the same."""
    torrc = tmp_path / 'torrc'
    torrc.write_text('DisableNetwork 1\n')
    d = Daemon(args=('--tor', 'managed', '--torrc', str(torrc)))
    try:
        yield d.start()
    finally:
        d.end()


@needs_tor
def test_a_hidden_service_of_tors_keeps_address_and_clients(tor_daemon):
    path, address = hidden_service(tor_daemon.dir)
    with open(os.path.join(path, 'authorized_clients', 'bob.auth'), 'w') as f:
        f.write(f'descriptor:x25519:{PUBLIC}\n')
    assert '--as' in refused(tor_daemon, path)
    made = tor_daemon.json('import', path, '--as', 'website', '--name', 'site', '--content',
                           tor_daemon.content)
    assert made['onion'] == address and not made['public']
    assert made['keys'] == [{'label': 'bob', 'private_key': None, 'public_key': PUBLIC}]
    tor_daemon.json('start', '--no-wait', 'site')
    tor_daemon.until_state('site', 'publishing')
    assert tor_daemon.show('site')['onion'] == address


@needs_tor
def test_one_without_clients_is_public(tor_daemon):
    path, address = hidden_service(tor_daemon.dir)
    os.unlink(os.path.join(path, 'hostname'))  # then tor tells it
    made = tor_daemon.json('import', path, '--as', 'chat')
    assert made['onion'] == address and made['public'] and made['name'] == 'hs'
    again = tor_daemon.ctl('--json', 'import', path, '--as', 'chat', '--name', 'other')
    shapes.is_error(again, 'NameInUse', 1)


@needs_tor
def test_tor_tells_whether_key_and_address_fit(tor_daemon):
    path, address = hidden_service(tor_daemon.dir)
    bad = save(tor_daemon, 'a.json', tab('chat', onion_key(path), made_up_address()))
    assert address in refused(tor_daemon, bad)
    good = save(tor_daemon, 'b.json', tab('chat', onion_key(path), address))
    assert tor_daemon.json('import', good)['onion'] == address
    unknown = tab('chat', onion_key(path), None)
    tor_daemon.json('delete', 'b', '--yes')
    assert tor_daemon.json('import', save(tor_daemon, 'c.json', unknown))['onion'] == address


@needs_tor
def test_tor_agrees_that_the_samples_key_makes_its_address(tor_daemon):
    path = save(tor_daemon, 'sample.json', SAMPLE)
    made = tor_daemon.json('import', path, '--content', tor_daemon.content)
    assert made['onion'] == SAMPLE['general']['service_id']
    without = {**SAMPLE, 'general': {**SAMPLE['general'], 'service_id': None}}
    tor_daemon.json('delete', 'sample', '--yes')
    made = tor_daemon.json('import', save(tor_daemon, 'sample.json', without), '--content',
                           tor_daemon.content)
    assert made['onion'] == SAMPLE['general']['service_id']


@needs_tor
def test_a_tab_that_was_never_started_gets_an_address(tor_daemon):
    made = tor_daemon.json('import', save(tor_daemon, 'a.json', tab('chat')))
    assert len(made['onion']) == 56 and made['keys'][0]['private_key'] == PRIVATE


def test_damaged_files_of_tors_are_refused(daemon):
    path = os.path.join(daemon.dir, 'hs')
    os.makedirs(os.path.join(path, 'authorized_clients'))

    def write(name, data):
        with open(os.path.join(path, name), 'wb') as f:
            f.write(data)

    write('hs_ed25519_secret_key', b'== ed25519v1-secret: type0 ==\0\0\0' + bytes(63))
    assert 'not the key' in refused(daemon, path, '--as', 'chat')
    write('hs_ed25519_secret_key', b'== ed25519v1-secret: type0 ==\0\0\0' + bytes(64))
    write('hostname', b'example.onion\n')
    assert 'no address' in refused(daemon, path, '--as', 'chat')
    write('hostname', made_up_address().encode() + b'.onion\n')
    write('authorized_clients/bob.auth', b'descriptor:x25519:abc\n')
    assert 'bob.auth' in refused(daemon, path, '--as', 'chat')
    os.rename(os.path.join(path, 'hs_ed25519_secret_key'), os.path.join(path, 'private_key'))
    assert 'version 2' in refused(daemon, path, '--as', 'chat')
