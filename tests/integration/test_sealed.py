# SPDX-License-Identifier: GPL-3.0-or-later
"""Dropboxes with --encrypt-to: what is on the disk and in memory, and that others can open it."""
import glob
import hashlib
import io
import json
import os
import random
import shutil
import stat
import subprocess
import threading
import zipfile

import pytest

from lib.http import Closed, Connection
from lib.waiting import until

BOUNDARY = '----onionshare-sealed'
CANARY = b'canary-4b1fd2a7-plain'
needs_age = pytest.mark.skipif(not shutil.which('age'), reason='age is not installed')
pytestmark = needs_age


def form(files=(), text=None):
    body = b''
    for name, data in files:
        body += (f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file[]"; '
                 f'filename="{name}"\r\n\r\n').encode() + data + b'\r\n'
    if text is not None:
        body += (f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="text"\r\n\r\n'
                 .encode() + text + b'\r\n')
    return body + f'--{BOUNDARY}--\r\n'.encode()


def submit(address, files=(), text=None, target='/upload-ajax'):
    with Connection(address, timeout=60) as c:
        return c.request('POST', target, {
            'Content-Type': f'multipart/form-data; boundary={BOUNDARY}'}, form(files, text))


class Key:
    """Made by age-keygen, outside of the daemon's directories."""

    def __init__(self, directory):
        self.path = os.path.join(directory, f'key{random.randrange(1 << 32)}')
        done = subprocess.run(['age-keygen', '-o', self.path], capture_output=True, text=True,
                              check=True)
        self.recipient = done.stderr.split()[-1]

    def open(self, path):
        """What Debian's age makes of it."""
        return subprocess.run(['age', '-d', '-i', self.path, path], capture_output=True,
                              check=True).stdout

    def entries(self, path):
        with zipfile.ZipFile(io.BytesIO(self.open(path))) as z:
            assert z.testzip() is None
            assert z.namelist()[-1] == '.padding'
            assert all(i.date_time == (1980, 1, 1, 0, 0, 0) for i in z.infolist())
            return {n: z.read(n) for n in z.namelist()[:-1]}


@pytest.fixture
def key(tmp_path):
    return Key(tmp_path)


def dropbox(daemon, key, *options):
    daemon.json('create', 'receive', 'box', '--min-free', '0', '--encrypt-to', key.recipient,
                *options)
    return daemon.json('start', 'box')


def root_of(daemon):
    return daemon.show('box')['options']['data_dir']


def sealed(root):
    return sorted(glob.glob(os.path.join(root, '[0-9]*', '*')))


def padme(n):
    """The paper's definition, apart from the program's."""
    exponent = n.bit_length() - 1
    zeros = exponent - exponent.bit_length()
    return -(-n >> zeros) << zeros if zeros > 0 else n


# --- what others make of it ---

def test_age_unzip_and_bsdtar_give_back_names_and_bytes(daemon, key, tmp_path):
    service = dropbox(daemon, key)
    files = {'a.txt': b'alpha', 'имя ☂.bin': os.urandom(300_000), 'empty': b'',
             'message.txt': b'a file of that name'}
    answer = submit(service['backend'], files.items(), b'hello')
    assert answer.status == 200
    assert json.loads(answer.body) == {'info_flashes': [
        'Message submitted, uploaded a.txt, имя ☂.bin, empty, message-1.txt']}
    expected = {**files, 'message-1.txt': files['message.txt'], 'message.txt': b'hello'}
    path, = sealed(root_of(daemon))
    assert path.endswith('.zip.age')
    st = os.stat(path)
    assert stat.S_IMODE(st.st_mode) == 0o600 and st.st_mtime % 86400 == 0
    assert key.entries(path) == expected

    archive = tmp_path / 'it.zip'
    archive.write_bytes(key.open(path))
    assert archive.stat().st_size == padme(archive.stat().st_size)
    for name, command in (('unzip', ['unzip', '-q', archive, '-d']),
                          ('bsdtar', ['bsdtar', '-xf', archive, '-C'])):
        if not shutil.which(name):
            continue
        where = tmp_path / name
        where.mkdir()
        subprocess.run([*command, where], check=True, env={**os.environ, 'LC_ALL': 'C.UTF-8'})
        assert set((where / '.padding').read_bytes()) <= {0}
        (where / '.padding').unlink()
        assert {p.name: p.read_bytes() for p in where.iterdir()} == expected


def test_the_inbox_shows_saves_and_deletes_it(daemon, key):
    service = dropbox(daemon, key)
    assert submit(service['backend'], [('a.txt', b'alpha')], b'hello').status == 200
    sub, = daemon.json('inbox', 'list', 'box')
    assert sub['encrypted'] is True and sub['message'] is False
    assert [f['name'] for f in sub['files']] == [os.path.basename(sub['path'])]
    where = os.path.join(daemon.dir, 'out')
    saved = daemon.ctl('inbox', 'save', 'box', str(sub['id']), where, '--identity', key.path)
    assert saved.status == 0, saved
    assert sorted(os.listdir(where)) == ['a.txt', 'message.txt']
    assert open(os.path.join(where, 'message.txt'), 'rb').read() == b'hello'
    daemon.json('inbox', 'delete', 'box', str(sub['id']))
    assert daemon.json('inbox', 'list', 'box') == []
    assert not os.path.exists(sub['path'])


def test_what_is_inside_is_shown_to_who_has_the_key(daemon, key, tmp_path):
    service = dropbox(daemon, key)
    data = os.urandom(300_000)
    assert submit(service['backend'], [('a b.txt', data), ('empty', b'')],
                  'grüße\x1b[2J'.encode()).status == 200
    sub, = daemon.json('inbox', 'list', 'box')
    show = ('inbox', 'show', 'box', str(sub['id']))
    assert daemon.json(*show)['text'] is None
    shown = daemon.json(*show, '--identity', key.path)
    assert shown['files'] == [{'name': 'a b.txt', 'size': 300_000}, {'name': 'empty', 'size': 0}]
    assert shown['message'] is True and shown['encrypted'] is True
    assert shown['text'] == 'grüße\x1b[2J'
    human = daemon.ctl(*show, '--identity', key.path)
    assert 'a b.txt' in human.out and 'grüße' in human.out and '\x1b' not in human.out
    with open(sub['path'], 'r+b') as f:
        f.truncate(os.path.getsize(sub['path']) - 1)
    damaged = daemon.ctl(*show, '--identity', key.path)
    assert damaged.status == 1 and 'damaged or cut' in damaged.err and 'a b' not in damaged.out
    other = daemon.ctl(*show, '--identity', Key(tmp_path).path)
    assert other.status == 1 and 'encrypted to others' in other.err


def test_each_recipient_opens_it_alone(daemon, key, tmp_path):
    other = Key(tmp_path)
    service = dropbox(daemon, key, '--encrypt-to', other.recipient)
    assert service['options']['encrypt_to'] == [key.recipient, other.recipient]
    assert submit(service['backend'], [('a.txt', b'alpha')]).status == 200
    path, = sealed(root_of(daemon))
    for one in (key, other):
        assert one.entries(path) == {'a.txt': b'alpha'}


def test_a_blank_message_is_none(daemon, key):
    service = dropbox(daemon, key)
    answer = submit(service['backend'], [('a.txt', b'alpha')], b' \r\n ')
    assert json.loads(answer.body) == {'info_flashes': ['Uploaded a.txt']}
    path, = sealed(root_of(daemon))
    assert key.entries(path) == {'a.txt': b'alpha'}
    assert submit(service['backend'], (), b' ').status == 200
    assert sealed(root_of(daemon)) == [path]


def test_submissions_of_similar_size_look_alike(daemon, key):
    service = dropbox(daemon, key)
    for n in range(0, 2000, 400):
        assert submit(service['backend'], [('a', os.urandom(100_000 + n))]).status == 200
    assert len({os.path.getsize(p) for p in sealed(root_of(daemon))}) <= 2


def test_the_age_of_javascript_opens_it(daemon, key, tmp_path):
    """With ONIONSHARED_AGE_MODULES=DIR/node_modules, after: npm install age-encryption."""
    modules = os.environ.get('ONIONSHARED_AGE_MODULES')
    if not modules or not shutil.which('node'):
        pytest.skip('needs node, and npm\'s age-encryption in $ONIONSHARED_AGE_MODULES')
    service = dropbox(daemon, key)
    data = os.urandom(200_000)
    assert submit(service['backend'], [('a.bin', data)], b'hello').status == 200
    path, = sealed(root_of(daemon))
    script = tmp_path / 'open.mjs'
    script.write_text('''
        import { readFileSync, writeFileSync } from "node:fs";
        const [module, key, from, to] = process.argv.slice(2);
        const age = await import(module);
        const d = new age.Decrypter();
        d.addIdentity(readFileSync(key, "utf8").split("\\n").find(l => l.startsWith("AGE-")));
        writeFileSync(to, await d.decrypt(readFileSync(from)));
    ''')
    entry = os.path.join(modules, 'age-encryption', 'dist', 'index.js')
    subprocess.run(['node', script, entry, key.path, path, tmp_path / 'zip'], check=True)
    with zipfile.ZipFile(tmp_path / 'zip') as z:
        assert z.read('a.bin') == data and z.read('message.txt') == b'hello'


# --- what people set ---

def test_what_is_no_recipient_is_refused_and_told_why(daemon, key):
    with open(key.path) as f:
        secret = f.read().split()[-1]
    wrong = {secret: 'secret key', key.recipient[:-1] + 'q': 'checksum',
             'bge' + key.recipient[3:]: 'age1', 'age1yubikey1qwt50d05nh': 'plugin',
             'ssh-ed25519 AAAA': 'SSH', '': 'age1'}
    for text, why in wrong.items():
        result = daemon.ctl('create', 'receive', 'box', '--encrypt-to', text)
        assert result.status == 2 and result.err.count('\n') == 1 and why in result.err, result
        assert secret[20:] not in result.err
        with daemon.varlink() as v:
            v.send('Create', {'mode': 'receive', 'name': 'box',
                              'options': {'encrypt_to': [text]}})
            reply = v.receive()
            assert reply['error'].endswith('.InvalidValue') and why in json.dumps(reply), reply
            assert secret[20:] not in json.dumps(reply)
    assert daemon.json('list') == []
    many = [w for _ in range(65) for w in ('--encrypt-to', key.recipient)]
    assert daemon.ctl('create', 'receive', 'box', *many).status == 2
    dropbox(daemon, key)
    assert daemon.ctl('edit', 'box', '--encrypt-to', secret).status == 2
    assert daemon.show('box')['options']['encrypt_to'] == [key.recipient]
    assert secret[20:] not in daemon.log()


def test_recipients_change_with_a_restart(daemon, key, tmp_path):
    other = Key(tmp_path)
    service = dropbox(daemon, key)
    edited = daemon.ctl('edit', 'box', '--encrypt-to', other.recipient)
    assert edited.status == 0 and 'encrypt_to' in edited.err
    daemon.json('restart', 'box')
    daemon.until_state('box', 'running')
    assert submit(service['backend'], [('a.txt', b'1')]).status == 200
    path, = sealed(root_of(daemon))
    assert other.entries(path) == {'a.txt': b'1'}
    daemon.json('edit', 'box', '--unset', 'encrypt-to')
    daemon.json('restart', 'box')
    daemon.until_state('box', 'running')
    assert submit(service['backend'], [('a.txt', b'1')]).status == 200
    assert [s['encrypted'] for s in daemon.json('inbox', 'list', 'box')] == [True, False]


# --- nothing in the clear ---

def memory(pid):
    """All that the process can write to, as far as it can be read."""
    with open(f'/proc/{pid}/maps') as maps, open(f'/proc/{pid}/mem', 'rb', 0) as mem:
        for line in maps:
            where, mode = line.split()[:2]
            low, high = (int(x, 16) for x in where.split('-'))
            # A sanitizer's shadow has no bytes of its own, and is huge.
            if not mode.startswith('rw') or high - low > 1 << 32:
                continue
            for at in range(low, high, 1 << 24):
                try:
                    mem.seek(at)
                    yield at, mem.read(min(high - at, (1 << 24) + len(CANARY)))
                except OSError:
                    pass


def places_of_canary(daemon):
    found = []
    for folder in (daemon.dir, '/dev/shm'):
        for path, _, names in os.walk(folder):
            for name in names:
                file = os.path.join(path, name)
                if CANARY in os.fsencode(file):
                    found.append(file)
                if not os.path.isfile(file):
                    continue
                with open(file, 'rb') as f:
                    if CANARY in f.read():
                        found.append(file)
    return found


def open_and_deleted(pid):
    """Files without a name that the process holds."""
    for fd in os.listdir(f'/proc/{pid}/fd'):
        try:
            if '(deleted)' in os.readlink(f'/proc/{pid}/fd/{fd}'):
                with open(f'/proc/{pid}/fd/{fd}', 'rb') as f:
                    yield f.read()
        except OSError:
            pass


def test_a_canary_is_found_nowhere(make_daemon, key):
    daemon = make_daemon(args=('--local-only', '--log-level', 'debug')).start()
    service = dropbox(daemon, key)
    plain = CANARY * 20_000
    names = [(CANARY.decode() + f'-{i}.txt', plain) for i in range(3)]
    body = form(names, CANARY)
    # One that is under way: already its staging file has nothing plain.
    with Connection(service['backend'], timeout=60) as c:
        c.send(f'POST /upload HTTP/1.1\r\nHost: {c.host}\r\nContent-Length: {len(body)}\r\n'
               f'Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n\r\n'.encode()
               + body[:-1000])
        until(lambda: any(os.path.getsize(p) > len(body) // 2 for p in glob.glob(os.path.join(
            root_of(daemon), '.incoming', '*', '*', 'sealed'))), 'it is written as it comes')
        assert places_of_canary(daemon) == []
        assert not any(CANARY in data for data in open_and_deleted(daemon.pid))
        c.send(body[-1000:])
        answer = c.read_response()
    assert answer.status == 303
    with Connection(service['backend'], timeout=60) as c:
        assert CANARY in c.request('GET', answer['location']).body
    assert submit(service['backend'], names, CANARY).status == 200
    until(lambda: (t := daemon.show('box')['transfers'])['completed'] == 2 and not t['active'],
          'both are over')
    assert places_of_canary(daemon) == []
    assert len(sealed(root_of(daemon))) == 2
    try:
        # With a little of what stands around it: that tells whose it is.
        found = [piece[max(0, i - 120):i + 120] for _, piece in memory(daemon.pid)
                 if (i := piece.find(CANARY)) >= 0]
    except PermissionError:
        found = []
        print('its memory cannot be read here: that part needs root')
    assert not found, found
    daemon.stop()
    assert places_of_canary(daemon) == []


# --- accidents ---

def submission(number):
    rand = random.Random(number)
    files = {f'{number}-{i}.bin': rand.randbytes(rand.choice((0, 10, 70_000, 400_000)))
             for i in range(2)}
    digest = hashlib.sha256(b''.join(files[n] for n in sorted(files))).hexdigest()
    return files, f'{number} {digest}'.encode()


def check_whole(root, key):
    """Whatever can be seen opens and is whole; the numbers of the submissions."""
    numbers = set()
    for path in sealed(root):
        entries = key.entries(path)
        message = entries.pop('message.txt')
        number = int(message.split()[0])
        assert (entries, message) == submission(number), number
        numbers.add(number)
    return numbers


def uploader(address, start, acknowledged, stop):
    number = start
    while not stop.is_set():
        files, message = submission(number)
        try:
            if submit(address, files.items(), message).status == 200:
                acknowledged.add(number)
        except (Closed, OSError):
            return
        number += 3


def test_kill_9_loses_nothing_that_was_acknowledged(daemon, key):
    service = dropbox(daemon, key)
    root, address = service['options']['data_dir'], service['backend']
    acknowledged = set()
    for i in range(int(os.environ.get('ONIONSHARED_KILL_ROUNDS', '8'))):
        stop = threading.Event()
        threads = [threading.Thread(target=uploader, args=(
            address, i * 3_000_000 + k, acknowledged, stop)) for k in range(3)]
        for t in threads:
            t.start()
        stop.wait(random.uniform(0.05, 0.6))
        daemon.kill()
        stop.set()
        for t in threads:
            t.join()
        daemon.start()
        daemon.until_state('box', 'running')
        assert acknowledged <= check_whole(root, key), f'round {i}'
        run, = os.listdir(os.path.join(root, '.incoming'))
        assert os.listdir(os.path.join(root, '.incoming', run)) == []
    assert acknowledged, 'no upload came to its end before a kill'


@pytest.mark.parametrize('sealing', [True, False])
def test_what_is_completed_at_the_start_is_told_of(make_daemon, key, sealing):
    if not shutil.which('strace'):
        pytest.skip('strace is not installed')
    daemon = make_daemon().start()
    service = dropbox(daemon, key)
    if not sealing:
        daemon.json('edit', 'box', '--unset', 'encrypt-to')
    daemon.stop()
    daemon.wrapper = ['strace', '-f', '-qq', '-o', '/dev/null', '-e', 'trace=renameat2',
                      '-e', 'inject=renameat2:signal=KILL:when=1']
    daemon.start()
    daemon.until_state('box', 'running')
    with pytest.raises((Closed, OSError)):
        submit(service['backend'], [('a', b'1'), ('b', b'2')], b'hello')
    daemon.process.wait(30)
    daemon.wrapper, daemon.process = [], None
    daemon.start()
    daemon.until_state('box', 'running')
    sub, = daemon.json('inbox', 'list', 'box')
    assert sub['encrypted'] is sealing

    def told():
        return [e for e in daemon.json('history', 'box') if e['event'] == 'submission']
    until(told, 'the history has it')
    entry, = told()
    assert (entry['submission'], entry['files'], entry['message']) == (sub['id'], 2, True)


@pytest.fixture
def small_disk(tmp_path):
    where = tmp_path / 'disk'
    where.mkdir()
    done = subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=4m,mode=0777', 'none', where],
                          capture_output=True)
    if done.returncode:
        pytest.skip('a small disk needs a mount, which is not allowed here')
    yield str(where)
    subprocess.run(['umount', '-l', where], check=True)


def test_a_full_disk_refuses_and_leaves_nothing(daemon, key, small_disk):
    root = os.path.join(small_disk, 'box')
    service = dropbox(daemon, key, '--data-dir', root)
    big = os.urandom(6 << 20)

    def idle():
        return not any(names for folder, _, names in os.walk(root))
    # Told before the first byte, and while it comes.
    assert submit(service['backend'], [('big', big)]).status == 507
    until(idle, 'nothing is left')
    with Connection(service['backend'], timeout=60) as c:
        body = form([('big', big)])
        try:
            c.send(f'POST /upload-ajax HTTP/1.1\r\nHost: {c.host}\r\n'
                   f'Transfer-Encoding: chunked\r\nContent-Type: multipart/form-data; '
                   f'boundary={BOUNDARY}\r\n\r\n'.encode()
                   + b'%x\r\n' % len(body) + body + b'\r\n0\r\n\r\n')
        except OSError:
            pass  # refused while it was sent
        assert c.read_response().status == 507
    until(idle, 'nothing is left')
    assert daemon.json('inbox', 'list', 'box') == []
    assert submit(service['backend'], [('small', b'1')]).status == 200
    path, = sealed(root)
    assert key.entries(path) == {'small': b'1'}


def test_the_quota_counts_what_is_on_the_disk(daemon, key):
    service = dropbox(daemon, key, '--quota', '200K')
    sent = 0
    while True:
        answer = submit(service['backend'], [('a' * 200, b'x' * 10)])
        if answer.status == 507:
            break
        assert answer.status == 200
        sent += 1
        assert sent < 1000
    used = sum(os.path.getsize(p) for p in sealed(root_of(daemon)))
    one = os.path.getsize(sealed(root_of(daemon))[0])
    assert used <= 200 * 1024 < used + one
    assert sent * 10 < 200 * 1024 // 20
    # What is larger when it is sealed is refused before it is read.
    assert submit(service['backend'], [('a', b'x' * 190 * 1024)]).status == 507
    daemon.json('restart', 'box')
    daemon.until_state('box', 'running')
    assert submit(service['backend'], [('a' * 200, b'x' * 10)]).status == 507


def test_the_largest_submission_is_what_visitors_send(daemon, key):
    service = dropbox(daemon, key, '--max-submission', '100K')
    assert submit(service['backend'], [('a', b'x' * 100 * 1024)]).status == 200
    assert submit(service['backend'], [('a', b'x' * 100 * 1024 + b'+')]).status == 413
    assert len(sealed(root_of(daemon))) == 1
