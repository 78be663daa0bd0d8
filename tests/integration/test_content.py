# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies of content; publish, add and remove while a service runs."""
import grp
import hashlib
import io
import os
import random
import shutil
import signal
import subprocess
import tarfile
import threading
import time
import zipfile

import pytest

from lib import http
from lib.daemon import ONIONSHARECTL
from lib.varlink import VarlinkError
from lib.waiting import until


def releases(daemon):
    folder = os.path.join(daemon.state, 'content')
    return sorted(os.listdir(folder)) if os.path.isdir(folder) else []


def copied_files(daemon):
    found = []
    for where, _, names in os.walk(os.path.join(daemon.state, 'content')):
        found += [os.path.join(where, name) for name in names]
    return found


def until_releases(daemon, n):
    until(lambda: len(releases(daemon)) == n, f'{n} releases are left, not {releases(daemon)}')


def stay(daemon, name, *paths, options=()):
    return daemon.share(name, *paths, options=['--no-autostop-sharing', *options])


def names_in_zip(daemon, name):
    body = daemon.get(name, '/download').body
    return sorted(zipfile.ZipFile(io.BytesIO(body)).namelist())


def refused(daemon, method, parameters, fds=()):
    with daemon.varlink() as v, pytest.raises(VarlinkError) as e:
        v.call(method, parameters, fds)
    return e.value.name.rpartition('.')[2], e.value.parameters


# --- copies ---

def test_a_copy_does_not_need_what_it_was_made_of(daemon):
    daemon.file('site/a.txt', b'one\n')
    daemon.file('site/deep/er/b.txt', b'two\n')
    daemon.file(b'site/\xff\xfe', b'three\n')
    os.mkdir(os.path.join(daemon.content, 'site', 'empty'))
    os.symlink('/etc/passwd', os.path.join(daemon.content, 'site', 'link'))
    os.mkfifo(os.path.join(daemon.content, 'site', 'fifo'))
    site = os.path.join(daemon.content, 'site')
    stay(daemon, 's', site, options=['--copy'])
    for name in ['a.txt', 'deep/er/b.txt']:
        os.unlink(os.path.join(site, name))
    assert daemon.get('s', '/a.txt').body == b'one\n'
    assert daemon.get('s', '/deep/er/b.txt').body == b'two\n'
    assert daemon.get('s', '/%ff%fe').body == b'three\n'
    assert daemon.get('s', '/link').status == 404
    assert daemon.get('s', '/empty/').status == 200
    assert daemon.show('s')['paths'] == [site]
    assert daemon.show('s')['options']['copy'] is True
    for path in copied_files(daemon):
        assert os.stat(path).st_mode & 0o777 == 0o600
    daemon.restart()
    daemon.until_state('s', 'running')
    assert daemon.get('s', '/a.txt').body == b'one\n'
    daemon.json('delete', 's', '--yes')
    until_releases(daemon, 0)


def test_twenty_thousand_files_are_copied(daemon):
    site = os.path.join(daemon.content, 'many')
    expected = {}
    for d in range(100):
        os.makedirs(os.path.join(site, f'd{d}'))
        for f in range(200):
            data = b'%d-%d' % (d, f)
            expected[f'd{d}/f{f}'] = data
            with open(os.path.join(site, f'd{d}', f'f{f}'), 'wb') as out:
                out.write(data)
    daemon.ctl('create', 'share', 's', site, '--copy', timeout=300)
    copied = copied_files(daemon)
    assert len(copied) == 20000
    for path in copied:
        with open(path, 'rb') as f:
            assert f.read() == expected['/'.join(path.split('/')[-2:])]


def test_several_copies_of_equal_names_are_told_apart(daemon):
    stay(daemon, 's', daemon.file('x/a.txt', b'x'), daemon.file('y/a.txt', b'y'),
         options=['--copy'])
    assert daemon.get('s', '/a.txt').body == b'x'
    assert daemon.get('s', '/a-1.txt').body == b'y'
    stay(daemon, 'one', daemon.file('x/a.txt', b'x'), options=['--copy'])
    assert daemon.get('one', '/download').body == b'x', 'one file is sent as it is'


def test_a_one_off_takes_its_copy_with_it(daemon):
    client = daemon.ctl_spawn('--json', 'share', daemon.file('a'), '--copy',
                              '--no-autostop-sharing')
    until(lambda: copied_files(daemon), 'the copy is there')
    until(lambda: [s for s in daemon.json('list') if s['state'] == 'running'], 'it runs')
    client.send_signal(signal.SIGKILL)
    until_releases(daemon, 0)
    client = daemon.ctl_spawn('--json', 'share', daemon.file('a'), '--copy',
                              '--no-autostop-sharing')
    until(lambda: [s for s in daemon.json('list') if s['state'] == 'running'], 'it runs')
    daemon.stop()
    assert not copied_files(daemon)


def test_what_is_handed_over_for_nothing_is_deleted(daemon):
    path = daemon.file('a')
    with daemon.varlink() as v:
        token = v.call('HandoverBegin')['handover']
        fd = os.open(path, os.O_RDONLY)
        v.call('HandoverPut', {'handover': token, 'entries': [
            {'name': '0', 'kind': 'directory'}, {'name': '0/a', 'kind': 'file'}]}, [fd])
        os.close(fd)
        assert copied_files(daemon)
    until_releases(daemon, 0)


BAD_NAMES = ['', '/', '/etc/x', '..', '0/..', '0/../x', '0/./x', '0//x', '0/x/', 'x', 'a/b', '00/x',
             '01/x', '64/x', '100/x', '-1/x', '0/' + 'n' * 256, '0/' + 'd/' * 60 + 'x',
             '0/' + 'dd/' * 1400 + 'x', '+0/x', ' 0/x', '0\n/x']


def test_names_that_lead_out_are_refused(daemon):
    path = daemon.file('a')
    for name in BAD_NAMES:
        for kind in ['file', 'directory', 'more']:
            with daemon.varlink() as v:
                token = v.call('HandoverBegin')['handover']
                fd = os.open(path, os.O_RDONLY)
                with pytest.raises(VarlinkError) as e:
                    v.call('HandoverPut',
                           {'handover': token, 'entries': [{'name': name, 'kind': kind}]},
                           [fd] if kind != 'directory' else [])
                os.close(fd)
                assert e.value.name.endswith(('InvalidValue', 'InvalidParameter')), (name, kind)
    assert not copied_files(daemon)


def test_descriptors_that_prove_nothing_are_refused(daemon):
    path, fifo = daemon.file('a'), os.path.join(daemon.content, 'fifo')
    os.mkfifo(fifo)
    for opened in [(path, os.O_PATH), (path, os.O_WRONLY), (fifo, os.O_RDONLY | os.O_NONBLOCK),
                   (daemon.content, os.O_RDONLY), ('/dev/zero', os.O_RDONLY)]:
        with daemon.varlink() as v:
            token = v.call('HandoverBegin')['handover']
            fd = os.open(*opened)
            with pytest.raises(VarlinkError) as e:
                v.call('HandoverPut', {'handover': token, 'entries': [
                    {'name': '0', 'kind': 'directory'}, {'name': '0/a', 'kind': 'file'}]}, [fd])
            os.close(fd)
            assert e.value.name.endswith('PermissionDenied'), opened


def test_handovers_are_bounded_and_belong_to_their_connection(daemon):
    held = [daemon.varlink() for _ in range(16)]
    tokens = [v.call('HandoverBegin')['handover'] for v in held]
    assert len(set(tokens)) == 16
    assert refused(daemon, 'HandoverBegin', {})[0] == 'LimitExceeded'
    held[0].sock.close()
    until(lambda: refused(daemon, 'HandoverPut', {'handover': tokens[0], 'entries': []})[0] ==
          'InvalidValue', 'it is gone with its connection')
    with daemon.varlink() as v:
        v.call('HandoverBegin')
    for v in held[1:]:
        v.sock.close()


def test_a_copy_without_files_is_refused(daemon):
    path = daemon.file('a')
    name, parameters = refused(daemon, 'Create', {'mode': 'share', 'paths': [path],
                                                  'options': {'copy': True}})
    assert (name, parameters['field']) == ('InvalidValue', 'copy')
    with daemon.varlink() as v:
        token = v.call('HandoverBegin')['handover']
        with pytest.raises(VarlinkError) as e:
            v.call('Create', {'mode': 'share', 'paths': [path], 'handover': token})
        assert e.value.name.endswith('InvalidValue')
    stay(daemon, 's', path)
    assert daemon.ctl('edit', 's', '--copy').status == 2


@pytest.mark.skipif(os.geteuid() != 0, reason='mounts a small file system')
def test_a_full_disk_refuses_a_copy_and_nothing_is_left(make_daemon):
    daemon = make_daemon()
    os.makedirs(daemon.state)
    subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=100m', 'none', daemon.state], check=True)
    try:
        daemon.start()
        small, large = daemon.file('small', b's' * 1000), daemon.file('large', b'x' * (60 << 20))
        stay(daemon, 's', small, options=['--copy'])
        result = daemon.ctl('publish', 's', large)
        assert result.status == 1 and 'no room' in result.err, result
        assert daemon.get('s', '/small').body == b's' * 1000
        until_releases(daemon, 1)
        many = os.path.join(daemon.content, 'many')
        for i in range(60):
            daemon.file(f'many/{i}', b'y' * (1 << 20))
        assert daemon.ctl('publish', 's', many).status == 1
        until_releases(daemon, 1)
        assert daemon.ctl('publish', 's', small).status == 0
        daemon.stop()
    finally:
        subprocess.run(['umount', '-l', daemon.state], check=True)


# --- publish, add, remove ---

def test_additions_appear_at_the_root_and_nothing_moves(daemon):
    daemon.file('site/a.txt', b'1')
    site = os.path.join(daemon.content, 'site')
    for copy in [[], ['--copy']]:
        name = 'copied' if copy else 'live'
        stay(daemon, name, site, options=copy)
        extra, twin = daemon.file('b.txt', b'2'), daemon.file('twin/a.txt', b'3')
        folder = os.path.dirname(daemon.file('sub/c.txt', b'4'))
        url = daemon.show(name)['url']
        assert daemon.ctl('add', name, extra, twin, folder).status == 0
        assert daemon.show(name)['url'] == url
        assert daemon.get(name, '/a.txt').body == b'1'
        assert daemon.get(name, '/b.txt').body == b'2'
        assert daemon.get(name, '/a-1.txt').body == b'3'
        assert daemon.get(name, '/sub/c.txt').body == b'4'
        assert names_in_zip(daemon, name) == ['a-1.txt', 'a.txt', 'b.txt', 'sub/c.txt']
        assert daemon.ctl('add', name, extra).status == 2, 'it is there already'
        assert daemon.ctl('remove', name, site).status == 0
        assert daemon.get(name, '/sub/c.txt').body == b'4', 'it keeps its place'
        assert daemon.ctl('remove', name, extra, twin).status == 0
        assert daemon.get(name, '/sub/c.txt').body == b'4', 'also alone'
        assert daemon.get(name, '/a.txt').status == 404
        assert daemon.ctl('remove', name, folder).status == 2, 'nothing would be left'
        assert daemon.ctl('remove', name, '/nowhere').status == 2
        daemon.restart()
        daemon.until_state(name, 'running')
        assert daemon.get(name, '/sub/c.txt').body == b'4'
    assert len(copied_files(daemon)) == 1


def test_publish_replaces_what_runs_and_what_is_stopped(daemon):
    old, new = daemon.file('old/x.txt', b'old'), daemon.file('new/y.txt', b'new')
    for copy in [[], ['--copy']]:
        name = 'copied' if copy else 'live'
        stay(daemon, name, os.path.dirname(old), options=copy)
        assert daemon.json('publish', name, os.path.dirname(new))['paths'] == \
            [os.path.dirname(new)]
        assert daemon.get(name, '/y.txt').body == b'new'
        assert daemon.get(name, '/x.txt').status == 404
        daemon.json('stop', name)
        daemon.json('publish', name, old)
        daemon.json('start', name)
        assert daemon.get(name, '/download').body == b'old'
        events = [e['event'] for e in daemon.json('history', name)]
        assert events.count('published') == 2
    until_releases(daemon, 1)


def test_what_cannot_be_published_changes_nothing(daemon):
    stay(daemon, 's', daemon.file('a', b'1'))
    daemon.json('create', 'receive', 'r')
    assert daemon.ctl('publish', 's', '/nowhere').status == 1
    assert refused(daemon, 'Publish', {'name': 's', 'paths': ['/nowhere']})[0] == 'PathNotReadable'
    assert refused(daemon, 'Publish', {'name': 's', 'paths': []})[0] == 'InvalidValue'
    assert refused(daemon, 'Publish', {'name': 'r', 'paths': ['/tmp']})[0] == 'InvalidValue'
    assert refused(daemon, 'Publish', {'name': 'x', 'paths': ['/tmp']})[0] == 'NoSuchService'
    assert refused(daemon, 'AddContent', {'name': 's', 'paths': [daemon.state]})[0] == \
        'PathNotReadable', 'the daemon\'s keys'
    assert daemon.get('s', '/a').body == b'1'
    many = [daemon.file(f'm/{i}') for i in range(64)]
    assert refused(daemon, 'AddContent', {'name': 's', 'paths': many})[0] == 'LimitExceeded'


def test_a_download_ends_with_the_old_content(daemon):
    old = os.path.dirname(daemon.file('old/big', b'a' * (24 << 20)))
    stay(daemon, 's', old, options=['--copy'])
    s = http.connect(daemon.backend('s'))
    host = daemon.backend('s').removeprefix('tcp:')
    s.sendall(f'GET /download HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n'.encode())
    first = s.recv(1 << 16)
    assert first.startswith(b'HTTP/1.1 200')
    daemon.json('publish', 's', daemon.file('new/small', b'b'))
    assert daemon.get('s', '/download').body == b'b'
    assert len(releases(daemon)) == 2, 'it is still read'
    data = first
    while chunk := s.recv(1 << 20):
        data += chunk
    s.close()
    packed = zipfile.ZipFile(io.BytesIO(data.partition(b'\r\n\r\n')[2]))
    assert packed.read('big') == b'a' * (24 << 20)
    until_releases(daemon, 1)


def versions(daemon, n, files=12):
    """Folders whose files all tell the same version."""
    folders = []
    for i in range(n):
        for f in range(files):
            daemon.file(f'v{i}/f{f}', b'%d\n' % i * (1000 + 37 * f))
        folders.append(os.path.join(daemon.content, f'v{i}'))
    return folders


def is_one_version(packed):
    contents = {packed.read(n).split(b'\n')[0] for n in packed.namelist()}
    return len(contents) == 1 and len(packed.namelist()) == 12


@pytest.mark.parametrize('copy', [[], ['--copy']], ids=['live', 'copied'])
@pytest.mark.parametrize('mode', ['share', 'website'])
def test_a_hundred_replacements_while_sixteen_read(daemon, mode, copy):
    folders = versions(daemon, 4)
    options = ['--no-autostop-sharing'] if mode == 'share' else []
    daemon.json('create', mode, 's', folders[0], *options, *copy)
    daemon.json('start', 's')
    address = daemon.backend('s')
    over, faults, counts = threading.Event(), [], []

    def look(rng):
        if mode == 'share' and rng.random() < 0.5:
            reply = http.fetch(address, '/download')
            if reply.status != 200 or not is_one_version(
                    zipfile.ZipFile(io.BytesIO(reply.body))):
                faults.append(('zip', reply))
        else:
            f = rng.randrange(12)
            reply = http.fetch(address, f'/f{f}')
            lines = reply.body.split(b'\n')[:-1]
            if reply.status != 200 or len(lines) != 1000 + 37 * f or len(set(lines)) != 1:
                faults.append((f, reply))

    def read(seed):
        rng, n = random.Random(seed), 0
        while not over.is_set() and not faults:
            try:
                look(rng)
            except Exception as e:  # told below, whatever it is
                faults.append(e)
            n += 1
        counts.append(n)

    readers = [threading.Thread(target=read, args=(i,)) for i in range(16)]
    for reader in readers:
        reader.start()
    try:
        for i in range(100):
            daemon.json('publish', 's', folders[(i + 1) % 4])
            if faults:
                break
    finally:
        over.set()
        for reader in readers:
            reader.join()
    assert not faults, faults[:3]
    assert sum(counts) > 100
    if copy:
        until_releases(daemon, 1)


# --- crashes ---

def kill_at_random(daemon, argv, rng, longest):
    client = subprocess.Popen([ONIONSHARECTL, '--socket', daemon.control, *argv], env=daemon.env,
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
    time.sleep(rng.random() * longest)  # the moment is what is tried, nothing is waited for
    daemon.kill()
    client.wait()


def test_a_kill_during_copies_leaves_nothing_half(daemon):
    rng = random.Random(4)
    old, new = versions(daemon, 2, files=12)
    stay(daemon, 's', old, options=['--copy'])
    seen = set()
    for i in range(25):
        kill_at_random(daemon, ['publish', 's', [new, old][i % 2]], rng, 0.25)
        daemon.start()
        daemon.until_state('s', 'running')
        packed = zipfile.ZipFile(io.BytesIO(daemon.get('s', '/download').body))
        assert is_one_version(packed)
        seen.add(packed.read('f0')[:1])
        until_releases(daemon, 1)
    for i in range(10):
        kill_at_random(daemon, ['create', 'share', f'n{i}', old, '--copy'], rng, 0.25)
        daemon.start()
        made = [s for s in daemon.json('list') if s['name'] == f'n{i}']
        until_releases(daemon, 1 + len(made))
        if made:
            daemon.json('start', f'n{i}')
            daemon.ctl('delete', f'n{i}', '--yes')
            until_releases(daemon, 1)


# --- archives ---

def archive(path, entries, kind='zip'):
    if kind == 'zip':
        with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as z:
            for name, data in entries:
                z.writestr(name, data)
    else:
        with tarfile.open(path, 'w:' + kind) as t:
            for name, data in entries:
                info = tarfile.TarInfo(name)
                info.size = len(data)
                t.addfile(info, io.BytesIO(data))
    return path


SITE = [('site/index.html', b'<h1>hello</h1>'), ('site/css/a.css', b'p{}'),
        ('site/\u00e4.txt', b'umlaut'), ('site/big.bin', os.urandom(1 << 20) * 40)]


@pytest.mark.parametrize('ending,kind', [('zip', 'zip'), ('tar', ''), ('tar.gz', 'gz'),
                                         ('tar.xz', 'xz')])
def test_an_archive_becomes_a_website(daemon, ending, kind):
    path = archive(os.path.join(daemon.content, f'site.{ending}'), SITE, kind)
    assert daemon.ctl('create', 'website', 'w', path).status == 0
    daemon.json('start', 'w')
    os.unlink(path)
    assert daemon.get('w', '/').body == b'<h1>hello</h1>'
    assert daemon.get('w', '/css/a.css').body == b'p{}'
    assert daemon.get('w', '/%c3%a4.txt').body == b'umlaut'
    assert hashlib.sha256(daemon.get('w', '/big.bin').body).digest() == \
        hashlib.sha256(SITE[3][1]).digest()
    flat = archive(os.path.join(daemon.content, f'flat.{ending}'),
                   [('./index.html', b'two'), ('x//y.txt', b'y'), ('z.txt', b'z')], kind)
    assert daemon.ctl('publish', 'w', flat).status == 0
    assert daemon.get('w', '/').body == b'two'
    assert daemon.get('w', '/x/y.txt').body == b'y'
    until_releases(daemon, 1)


def test_zstd_too(daemon):
    path = archive(os.path.join(daemon.content, 'site.tar'), SITE[:1], '')
    subprocess.run(['bsdtar', '--zstd', '-cf', path + '.zst', '@' + path], check=True)
    daemon.json('create', 'website', 'w', path + '.zst')
    daemon.json('start', 'w')
    assert daemon.get('w', '/').body == b'<h1>hello</h1>'


def special_tar(path):
    with tarfile.open(path, 'w') as t:
        for kind, name, target in [(tarfile.SYMTYPE, 'link', '/etc'),
                                   (tarfile.SYMTYPE, 'up', '..'),
                                   (tarfile.LNKTYPE, 'hard', '/etc/passwd'),
                                   (tarfile.FIFOTYPE, 'fifo', ''), (tarfile.CHRTYPE, 'null', ''),
                                   (tarfile.BLKTYPE, 'disk', '')]:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            t.addfile(info)
        for name in ['link/passwd', 'index.html', 'up/x']:
            info = tarfile.TarInfo(name)
            info.size = 2
            info.mode = 0o4777
            t.addfile(info, io.BytesIO(b'ok'))


def test_links_and_special_files_of_an_archive_are_left_out(daemon):
    path = os.path.join(daemon.content, 'odd.tar')
    special_tar(path)
    result = daemon.ctl('create', 'website', 'w', path)
    assert result.status == 0 and '6 links and special files' in result.err, result
    daemon.json('start', 'w')
    assert daemon.get('w', '/link/passwd').body == b'ok', 'a folder of its own'
    assert daemon.get('w', '/hard').status == 404
    for where, folders, names in os.walk(os.path.join(daemon.state, 'content')):
        for name in folders + names:
            mode = os.lstat(os.path.join(where, name)).st_mode
            assert mode & 0o7777 in (0o600, 0o700) and (mode >> 12) in (0o04, 0o10)


@pytest.mark.parametrize('kind', ['zip', ''])
@pytest.mark.parametrize('name', ['../x', 'a/../../x', '/etc/x', 'a/..', '..', '/', 'a/../b'])
def test_an_archive_that_leads_out_changes_nothing(daemon, name, kind):
    stay_site = os.path.dirname(daemon.file('site/index.html', b'old'))
    daemon.json('create', 'website', 'w', stay_site)
    daemon.json('start', 'w')
    path = archive(os.path.join(daemon.content, 'bad.' + (kind or 'tar')),
                   [('index.html', b'new'), (name, b'x')], kind)
    assert daemon.ctl('publish', 'w', path).status == 2
    assert daemon.get('w', '/').body == b'old'
    until_releases(daemon, 0)


def test_archives_that_are_none_or_bombs_change_nothing(daemon):
    daemon.json('create', 'website', 'w', os.path.dirname(daemon.file('site/index.html', b'old')))
    bad = {'noise.zip': os.urandom(5000), 'empty.zip': b'', 'text.tar.gz': b'hello' * 1000}
    for name, data in bad.items():
        assert daemon.ctl('publish', 'w', daemon.file(name, data)).status == 2, name
    twice = os.path.join(daemon.content, 'twice.tar')
    archive(twice, [('d/a', b'1'), ('d/a', b'2')], '')
    result = daemon.ctl('publish', 'w', twice)
    assert result.status == 2 and ' d/a is there twice' in result.err, result
    both = archive(os.path.join(daemon.content, 'both.tar'), [('a', b'1'), ('a/b', b'2')], '')
    result = daemon.ctl('publish', 'w', both)
    assert result.status == 2 and ' a is there twice' in result.err, result
    deep = archive(os.path.join(daemon.content, 'deep.tar'), [('d/' * 100 + 'x', b'1')], '')
    assert daemon.ctl('publish', 'w', deep).status == 2
    bomb = os.path.join(daemon.content, 'bomb.zip')
    with zipfile.ZipFile(bomb, 'w', zipfile.ZIP_DEFLATED) as z, \
            z.open('zeros', 'w', force_zip64=True) as f:
        for _ in range(1300):
            f.write(bytes(1 << 20))
    result = daemon.ctl('publish', 'w', bomb, timeout=300)
    assert result.status == 2 and '200 times' in result.err, result
    cut = os.path.join(daemon.content, 'cut.tar')
    archive(cut, SITE, '')
    os.truncate(cut, 20 << 20)
    assert daemon.ctl('publish', 'w', cut).status == 2
    until_releases(daemon, 0)
    assert daemon.show('w')['paths'] == [os.path.join(daemon.content, 'site')]


# --- somebody else's files ---

class Member:
    """User 65534, who may control the daemon as a member of the group; the daemon reads all."""

    def __init__(self, make_daemon, tmp_path):
        conf = tmp_path / 'onionshared.conf'
        conf.write_text('[daemon]\ncontrol-group = games\n')
        self.daemon = make_daemon(['--local-only', '--config', str(conf)]).start()
        self.group = str(grp.getgrnam('games').gr_gid)
        # The build may be in a directory that is nobody else's to enter.
        self.client = shutil.copy(ONIONSHARECTL, os.path.join(self.daemon.dir, 'ctl'))
        for path in [self.daemon.dir, self.daemon.content, self.client]:
            os.chmod(path, 0o755)
        self.own = os.path.join(self.daemon.content, 'own')
        os.mkdir(self.own)
        os.chown(self.own, 65534, 65534)

    def ctl(self, *args):
        return subprocess.run(
            ['setpriv', '--reuid=65534', '--regid', self.group, '--clear-groups', self.client,
             '--socket', self.daemon.control, *args], env=self.daemon.env, capture_output=True,
            text=True, timeout=60, stdin=subprocess.DEVNULL, check=False)

    def file(self, name, data, mode, owner=0):
        path = self.daemon.file(name, data)
        os.chmod(path, mode)
        os.chown(path, owner, owner)
        return path


@pytest.fixture
def member(make_daemon, tmp_path):
    if os.geteuid() != 0:
        pytest.skip('needs root to be somebody else')
    return Member(make_daemon, tmp_path)


@pytest.mark.parametrize('mode', ['share', 'website'])
def test_a_folder_does_not_lend_what_is_closed_in_it(member, mode):
    """He can open the folder, but not all that is in it: the daemon, which can, does not."""
    daemon = member.daemon
    member.file('pub/open.txt', b'open', 0o644)
    secret = member.file('pub/secret.txt', b'SECRET', 0o600)
    member.file('pub/closed/inner.txt', b'SECRET', 0o644)
    member.file('pub/mine.txt', b'mine', 0o600, 65534)
    pub = os.path.join(daemon.content, 'pub')
    os.chmod(pub, 0o755)
    os.chmod(os.path.join(pub, 'closed'), 0o700)
    options = ['--no-autostop-sharing'] if mode == 'share' else []
    assert member.ctl('create', mode, 's', pub, *options).returncode == 0
    assert member.ctl('start', 's').returncode == 0
    assert daemon.get('s', '/open.txt').body == b'open'
    assert daemon.get('s', '/mine.txt').body == b'mine'
    for target in ['/secret.txt', '/closed/inner.txt', '/closed/', '/closed']:
        assert b'SECRET' not in daemon.get('s', target).body
        assert daemon.get('s', target).status == 404, target
    if mode == 'share':
        assert names_in_zip(daemon, 's') == ['mine.txt', 'open.txt']
    # Nor later, when it is closed while it is served.
    os.chmod(os.path.join(pub, 'open.txt'), 0o600)
    until(lambda: daemon.get('s', '/open.txt').status == 404, 'it is closed')
    # Nor by an addition, an exchange, or a name of it.
    for command in ['add', 'publish']:
        assert member.ctl(command, 's', secret).returncode == 1
    assert member.ctl('--json', 'show', 's').returncode == 0
    # What root has chosen is root's.
    assert daemon.ctl('add', 's', secret).status == 0
    assert daemon.get('s', '/secret.txt').body == b'SECRET'
    daemon.restart()
    daemon.until_state('s', 'running')
    assert daemon.get('s', '/closed/inner.txt').status == 404


def test_a_link_that_comes_later_is_not_followed(member):
    """The way to the folder is his: he puts a link into it when it has been checked."""
    daemon = member.daemon
    member.file('closed/docs/a.txt', b'SECRET', 0o644)
    os.chmod(os.path.join(daemon.content, 'closed'), 0o700)
    way = os.path.join(member.own, 'way')
    for folder in [way, os.path.join(way, 'docs')]:
        os.mkdir(folder)
        os.chown(folder, 65534, 65534)
    member.file('own/way/docs/a.txt', b'harmless', 0o644, 65534)
    for mode, options in [('share', ['--no-autostop-sharing']), ('website', [])]:
        done = member.ctl('create', mode, mode, os.path.join(way, 'docs'), *options)
        assert done.returncode == 0, done
        assert member.ctl('start', mode).returncode == 0
        assert daemon.get(mode, '/a.txt').body == b'harmless'
    os.rename(way, way + '.old')
    os.symlink(os.path.join(daemon.content, 'closed'), way)

    def asked(mode):
        try:
            return daemon.get(mode, '/a.txt')
        except (OSError, http.Closed):
            return None  # it has failed, and is down

    for mode in ['share', 'website']:
        seen = []
        until(lambda m=mode: seen.append(asked(m)) or not seen[-1] or seen[-1].status != 200,
              'the folder is gone')
        assert all(b'SECRET' not in reply.body for reply in seen if reply)
        daemon.ctl('stop', mode)
        assert daemon.ctl('start', mode).status != 0


def test_a_copy_is_made_with_the_rights_of_the_caller(member):
    """Of what only he can read he hands over a copy; of what he cannot, nothing comes."""
    daemon = member.daemon
    mine = member.file('own/mine.txt', b'mine', 0o600, 65534)
    member.file('own/secret.txt', b'SECRET', 0o600)
    done = member.ctl('create', 'share', 's', member.own, '--copy', '--no-autostop-sharing')
    assert done.returncode == 0 and 'Left out: 1 entry' in done.stderr, done
    assert member.ctl('start', 's').returncode == 0
    os.unlink(mine)
    assert names_in_zip(daemon, 's') == ['mine.txt']
    assert all(os.stat(p).st_uid == 0 for p in copied_files(daemon))
    # Somebody else's handover is not his, even if he knows its name.
    with daemon.varlink() as v:
        token = v.call('HandoverBegin')['handover']
        done = member.ctl('call', 'HandoverPut', '{"handover": "%s", "entries": []}' % token)
        assert done.returncode == 2 and 'nothing is being handed over' in done.stderr, done
