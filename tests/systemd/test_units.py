# SPDX-License-Identifier: GPL-3.0-or-later
"""The units as files: what systemd thinks of them, without starting any."""
import glob
import os
import re
import subprocess

import pytest

from lib.daemon import BUILD, ONIONSHARED, TOP

UNITS = ('onionshared.service', 'onionshared.socket', 'onionshared-tor.service',
         'onionshared-keeper.socket', 'onionshared-keeper@.service')
# What systemd-analyze may find at most; 10.0 is a service without any protection.
EXPOSURE = {'onionshared.service': 0.5, 'onionshared-tor.service': 2.0,
            'onionshared-keeper@.service': 0.5}


@pytest.fixture(scope='module')
def tree(tmp_path_factory):
    """All that is installed."""
    tree = tmp_path_factory.mktemp('installed')
    subprocess.run(['meson', 'install', '-C', BUILD, '--no-rebuild', '--quiet'], check=True,
                   env={**os.environ, 'DESTDIR': str(tree)}, stdout=subprocess.DEVNULL)
    return tree


def find(tree, name, folder=''):
    found = [os.path.join(at, name) for at, _, names in os.walk(tree) if name in names
             and folder in at]
    assert len(found) == 1, found
    return found[0]


@pytest.fixture
def units(tree, tmp_path):
    """The machine's units with programs that are there, in one folder."""
    for name in UNITS:
        with open(find(tree, name, 'systemd/system')) as f:
            text = f.read()
        text = re.sub(r'(?m)^(ExecStart(?:Pre)?=)\S+', r'\1/bin/true', text)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_systemd_finds_no_fault_with_the_units(units):
    done = subprocess.run(['systemd-analyze', 'verify', '--man=no',
                           *(str(units / name) for name in UNITS)],
                          capture_output=True, text=True,
                          env={**os.environ, 'SYSTEMD_UNIT_PATH': f'{units}:'})
    assert done.returncode == 0, done.stderr
    assert not [line for line in done.stderr.splitlines() if 'onionshared' in line], done.stderr


def test_the_users_unit_has_no_fault(tree, tmp_path):
    with open(find(tree, 'onionshared.service', 'systemd/user')) as f:
        text = re.sub(r'(?m)^(ExecStart=)\S+', r'\1/bin/true', f.read())
    (tmp_path / 'onionshared.service').write_text(text)
    done = subprocess.run(['systemd-analyze', 'verify', '--user', '--man=no',
                           str(tmp_path / 'onionshared.service')], capture_output=True,
                          text=True, env={**os.environ, 'XDG_RUNTIME_DIR': str(tmp_path)})
    assert done.returncode == 0, done.stderr
    assert 'onionshared.service:' not in done.stderr, done.stderr


@pytest.mark.parametrize('name', EXPOSURE)
def test_the_units_leave_little_exposed(units, name):
    done = subprocess.run(['systemd-analyze', 'security', '--offline=true', '--no-pager',
                           f'--threshold={int(EXPOSURE[name] * 10)}', str(units / name)],
                          capture_output=True, text=True)
    assert 'Overall exposure level' in done.stdout, done.stderr
    assert done.returncode == 0, done.stdout


def test_the_drop_in_for_snowflake_opens_netlink_and_nothing_else(units):
    unit = units / 'onionshared-tor.service'
    with open(os.path.join(TOP, 'systemd', 'examples', 'snowflake.conf')) as f:
        dropin = f.read()
    os.makedirs(f'{unit}.d')
    with open(f'{unit}.d/snowflake.conf', 'w') as f:
        f.write(dropin)
    done = subprocess.run(['systemd-analyze', 'verify', '--man=no', str(unit)],
                          capture_output=True, text=True,
                          env={**os.environ, 'SYSTEMD_UNIT_PATH': f'{units}:'})
    assert done.returncode == 0 and 'snowflake' not in done.stderr, done.stderr
    # A list that is allowed, so another line adds to it; a line with ~ would take away.
    allowed = settings(unit)['RestrictAddressFamilies'] + \
        settings(f'{unit}.d/snowflake.conf')['RestrictAddressFamilies']
    assert allowed == ['AF_UNIX AF_INET AF_INET6', 'AF_NETLINK']
    unit.write_text(unit.read_text() + dropin)
    done = subprocess.run(['systemd-analyze', 'security', '--offline=true', '--no-pager',
                           f"--threshold={int(EXPOSURE[unit.name] * 10)}", str(unit)],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def settings(path):
    """{key: [values]} of a unit file."""
    found = {}
    with open(path) as f:
        for line in f:
            if '=' in line and not line.startswith('#'):
                key, value = line.rstrip('\n').split('=', 1)
                found.setdefault(key, []).append(value)
    return found


def test_the_daemon_has_no_network_at_all(units):
    unit = settings(units / 'onionshared.service')
    assert unit['PrivateNetwork'] == ['yes']
    assert unit['RestrictAddressFamilies'] == ['AF_UNIX']
    # Peers are told apart by their user; a user namespace would make nobody of them.
    assert 'PrivateUsers' not in unit
    # With it openat2(2), by which files are opened without links, does not exist.
    assert 'RestrictSUIDSGID' not in unit


def test_users_and_directories_are_understood_by_systemd(tree, tmp_path):
    os.makedirs(tmp_path / 'etc')
    for tool, name, folder in (('systemd-sysusers', 'onionshared.conf', 'sysusers.d'),
                               ('systemd-tmpfiles', 'onionshared.conf', 'tmpfiles.d')):
        argv = [tool, f'--root={tmp_path}', find(tree, name, folder)]
        if tool == 'systemd-tmpfiles':
            argv.insert(1, '--create')
        done = subprocess.run(argv, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    passwd = (tmp_path / 'etc/passwd').read_text()
    users = {line.split(':')[0]: line.split(':') for line in passwd.splitlines()}
    assert users['onionshared'][5] == '/var/lib/onionshared'
    assert users['onionshared-tor'][6].endswith('nologin')
    assert re.search(r'(?m)^onionshare:', (tmp_path / 'etc/group').read_text())
    http = os.stat(tmp_path / 'run/onionshared/http')
    assert http.st_mode & 0o7777 == 0o710
    assert (http.st_uid, http.st_gid) == tuple(map(int, users['onionshared'][2:4]))


def test_the_configuration_that_is_installed_is_good(tree):
    conf = find(tree, 'onionshared.conf', 'etc')
    done = subprocess.run([ONIONSHARED, '--check-config', '--config', conf],
                          capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, 'the configuration is good\n'), done.stderr


def test_tor_understands_its_configuration(tree, tmp_path):
    with open(find(tree, 'torrc')) as f:
        text = f.read()
    os.makedirs(tmp_path / 'torrc.d')
    text = re.sub(r'(?m)^%include \S+/torrc\.d/', f'%include {tmp_path}/torrc.d/', text)
    text = text.replace('/var/lib/onionshared-tor', str(tmp_path / 'data'))
    text = text.replace('/run/onionshared-tor', str(tmp_path))
    (tmp_path / 'torrc').write_text(text)

    def verify():
        done = subprocess.run(['tor', '-f', str(tmp_path / 'torrc'), '--defaults-torrc',
                               '/dev/null', '--verify-config'], capture_output=True, text=True)
        return done.returncode, done.stdout

    status, said = verify()  # without a file in torrc.d
    warned = [line for line in said.splitlines() if '[warn]' in line and 'as root' not in line]
    assert status == 0 and not warned, said
    bridges = os.path.join(TOP, 'systemd', 'examples', 'bridges.conf')
    with open(bridges) as f:
        (tmp_path / 'torrc.d' / 'bridges.conf').write_text(f.read().replace('UseBridges 1', ''))
    status, said = verify()
    assert status == 0, said
    (tmp_path / 'torrc.d' / 'wrong.conf').write_text('NoSuchOption 1\n')
    status, said = verify()
    assert status != 0 and 'NoSuchOption' in said


def test_each_message_id_is_explained_in_the_catalog(tree, tmp_path):
    with open(os.path.join(TOP, 'daemon', 'sd', 'sd.c')) as f:
        ids = set(re.findall(r'"([0-9a-f]{32})"', f.read()))
    catalog = find(tree, 'onionshared.catalog')
    with open(catalog) as f:
        explained = re.findall(r'(?m)^-- ([0-9a-f]{32})$', f.read())
    assert len(ids) >= 10 and set(explained) == ids and len(explained) == len(ids)
    # journalctl reads it without a word of complaint.
    os.makedirs(tmp_path / 'usr/lib/systemd/catalog')
    with open(catalog) as f:
        (tmp_path / 'usr/lib/systemd/catalog/onionshared.catalog').write_text(f.read())
    os.makedirs(tmp_path / 'var/lib/systemd/catalog')
    done = subprocess.run(['journalctl', '--update-catalog', f'--root={tmp_path}'],
                          capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert (tmp_path / 'var/lib/systemd/catalog/database').stat().st_size > 1000


def test_installed_documents_lead_to_each_other(tree, units):
    pages = glob.glob(f'{tree}/**/doc/onionshared/**/*.md', recursive=True)
    assert len(pages) > 10
    for page in pages:
        with open(page) as f:
            text = re.sub(r'`[^`\n]*`', '', f.read())
        for target in re.findall(r'\]\(([^)\s#:]+)(?:#[^)]*)?\)', text):
            assert os.path.exists(os.path.join(os.path.dirname(page), target)), (page, target)
    with open(os.path.join(units, 'onionshared.service')) as f:
        named = re.search(r'file:(\S+)', f.read())[1]
    assert os.path.exists(f'{tree}{named}')
