# SPDX-License-Identifier: GPL-3.0-or-later
"""Services go into a file and come out of it on another daemon, the same."""
import json
import os
import pty
import re
import shutil
import stat
import subprocess

import pytest

from lib.daemon import Daemon, ONIONSHARECTL

IDENTITY = 'AGE-SECRET-KEY-13P249U0LY5VR2LJ9K3HJRNLKVMAYD59H4GRDSMAH3F2EYTXVE4DQADP03P'


@pytest.fixture
def other():
    d = Daemon()
    try:
        yield d.start()
    finally:
        d.end()


@pytest.fixture
def passphrase(tmp_path):
    path = tmp_path / 'passphrase'
    path.write_text('correct horse battery\n')
    return str(path)


def on_terminal(argv, answers, env):
    """Runs it on a terminal of its own; what it said, and its exit status."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execvpe(argv[0], argv, env)
    said = b''
    for prompt, answer in answers:
        while prompt not in said:
            said += os.read(fd, 1024)
        said = said[said.index(prompt) + len(prompt):]
        os.write(fd, answer + b'\n')
    whole = said
    while True:
        try:
            more = os.read(fd, 1024)
        except OSError:
            break
        if not more:
            break
        whole += more
    os.close(fd)
    return whole, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def make_two(daemon):
    daemon.json('create', 'share', 'docs', daemon.file('a'), '--title', 'Leaks',
                '--no-autostop-sharing')
    daemon.json('key', 'add', 'docs', 'anna')
    daemon.json('create', 'receive', 'box', '--disable-text')
    daemon.json('start', 'docs')


def essence(service):
    return {k: service[k] for k in ('name', 'mode', 'public', 'keys', 'title', 'paths')}


def test_everything_goes_to_another_machine(daemon, other, passphrase):
    make_two(daemon)
    path = os.path.join(daemon.dir, 'backup')
    done = daemon.ctl('export', '--all', '-o', path, '--passphrase-file', passphrase)
    assert done.status == 0, done
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert open(path, 'rb').read().startswith(b'age-encryption.org/v1\n-> scrypt ')
    made = other.json('import', path, '--passphrase-file', passphrase)
    assert [s['name'] for s in made] == ['box', 'docs']
    for name in ('box', 'docs'):
        assert essence(other.show(name)) == essence(daemon.show(name))
    assert other.show('docs')['options'] == daemon.show('docs')['options']
    other.until_state('docs', 'running')
    assert other.get('docs').status == 200
    # Its own state, not that of where it comes from.
    assert other.show('box')['options']['data_dir'] == os.path.join(other.state, 'receive', 'box')


def test_what_is_wrong_is_refused_and_changes_nothing(daemon, other, passphrase, tmp_path):
    make_two(daemon)
    path = os.path.join(daemon.dir, 'backup')
    daemon.ctl('export', 'docs', '-o', path, '--passphrase-file', passphrase)
    whole = open(path, 'rb').read()
    wrong = tmp_path / 'wrong'
    wrong.write_text('correct horse batter\n')
    assert 'wrong' in other.ctl('import', path, '--passphrase-file', str(wrong)).err
    cut = tmp_path / 'cut'
    for n in (30, len(whole) - 1):
        cut.write_bytes(whole[:n])
        done = other.ctl('import', str(cut), '--passphrase-file', passphrase)
        assert done.status == 1 and 'damaged or cut' in done.err, done
    cut.write_bytes(whole[:-20] + bytes([whole[-20] ^ 1]) + whole[-19:])
    assert 'damaged' in other.ctl('import', str(cut), '--passphrase-file', passphrase).err
    cut.write_bytes(re.sub(rb'(scrypt \S+) \d+', rb'\1 30', whole))
    assert 'more work' in other.ctl('import', str(cut), '--passphrase-file', passphrase).err
    cut.write_bytes(b'{"onionshared_export": 2, "services": []}')
    assert 'another version' in other.ctl('import', str(cut)).err
    cut.write_bytes(b'{"onionshared_export": 1, "services": [{"name": "x"}]}')
    assert other.ctl('import', str(cut)).status != 0
    assert other.json('list') == []


def test_a_file_is_not_overwritten_unless_that_is_wanted(daemon, passphrase):
    make_two(daemon)
    path = os.path.join(daemon.dir, 'backup')
    open(path, 'w').write('precious')
    done = daemon.ctl('export', 'docs', '-o', path, '--plain')
    assert done.status == 1 and '--force' in done.err and open(path).read() == 'precious'
    assert daemon.ctl('export', 'docs', '-o', path, '--plain', '--force').status == 0
    assert json.load(open(path))['services'][0]['name'] == 'docs'
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert not [n for n in os.listdir(daemon.dir) if n.endswith('.part')]
    empty = os.path.join(daemon.dir, 'empty')
    open(empty, 'w').close()
    assert daemon.ctl('export', 'docs', '-o', path + '2', '--passphrase-file', empty).status == 1
    assert daemon.ctl('export', 'nothing', '-o', path + '2', '--plain').status == 4
    assert not os.path.exists(path + '2')


def test_plain_comes_back_under_another_name(daemon, other):
    make_two(daemon)
    text = daemon.ctl('export', 'docs', '--plain').out
    path = os.path.join(other.dir, 'plain')
    open(path, 'w').write(text)
    assert other.json('import', path, '--name', 'papers', '--no-start')['state'] == 'stopped'
    dry = other.ctl('import', path, '--dry-run')
    private = [k['private_key'] for k in daemon.show('docs')['keys']]
    assert len(private) == 2 and not any(p in dry.out + dry.err for p in private)


@pytest.mark.skipif(not shutil.which('age'), reason='there is no age')
def test_age_opens_it_with_the_passphrase_and_we_open_ages(daemon, other, passphrase):
    make_two(daemon)
    path, out = (os.path.join(daemon.dir, n) for n in ('sealed', 'plain'))
    daemon.ctl('export', 'docs', '-o', path, '--passphrase-file', passphrase)
    secret = b'correct horse battery'
    said, status = on_terminal(['age', '-d', '-o', out, path],
                               [(b'passphrase', secret)], daemon.env)
    assert status == 0, said
    assert json.load(open(out))['services'][0]['options']['title'] == 'Leaks'
    os.unlink(path)
    said, status = on_terminal(['age', '-p', '-o', path, out],
                               [(b'passphrase', secret), (b'onfirm', secret)], daemon.env)
    assert status == 0, said
    assert other.json('import', path, '--no-start', '--passphrase-file',
                      passphrase)['name'] == 'docs'


@pytest.mark.skipif(not shutil.which('age-keygen'), reason='there is no age-keygen')
def test_recipients_open_it_with_their_identity(daemon, other, passphrase):
    make_two(daemon)
    identity, path = (os.path.join(daemon.dir, n) for n in ('identity', 'sealed'))
    open(identity, 'w').write(IDENTITY + '\n')
    recipient = subprocess.run(['age-keygen', '-y', identity], capture_output=True, check=True,
                               text=True).stdout.strip()
    assert daemon.ctl('export', 'docs', '-o', path, '--encrypt-to', recipient).status == 0
    assert other.ctl('import', path, '--passphrase-file', passphrase).status == 1
    assert other.json('import', path, '--no-start', '-i', identity)['name'] == 'docs'


def test_the_passphrase_is_asked_for_twice_and_not_shown(daemon):
    make_two(daemon)
    path = os.path.join(daemon.dir, 'sealed')
    argv = [ONIONSHARECTL, '--socket', daemon.control, 'export', 'docs', '-o', path]
    said, status = on_terminal(argv, [(b'Passphrase: ', b'one'), (b'once more: ', b'two')],
                               daemon.env)
    assert status == 1 and b'two passphrases' in said and not os.path.exists(path)
    said, status = on_terminal(argv, [(b'Passphrase: ', b'geheim'), (b'once more: ', b'geheim')],
                               daemon.env)
    assert status == 0 and b'geheim' not in said and os.path.exists(path), said


def test_without_a_terminal_a_passphrase_must_be_given(daemon):
    make_two(daemon)
    done = daemon.ctl('export', 'docs', wrapper=['setsid'])
    assert done.status == 1 and '--passphrase-file' in done.err and done.out == '', done


def test_what_was_copied_is_copied_again_from_there_or_from_elsewhere(daemon, other):
    path = daemon.file('a', b'what was copied')
    daemon.json('create', 'share', 'docs', path, '--copy', '--no-autostop-sharing')
    backup = os.path.join(daemon.dir, 'backup')
    assert daemon.ctl('export', 'docs', '-o', backup, '--plain').status == 0
    assert b'what was copied' not in open(backup, 'rb').read()
    other.json('import', backup, '--no-start')
    other.json('start', 'docs')
    assert other.get('docs', '/download').body == b'what was copied'
    other.json('delete', 'docs', '--yes')
    os.unlink(path)
    refused = other.ctl('import', backup)
    assert refused.status == 1 and path in refused.err and other.json('list') == []
    other.json('import', backup, '--no-start', '--content', other.file('b', b'elsewhere'))
    other.json('start', 'docs')
    assert other.get('docs', '/download').body == b'elsewhere'
