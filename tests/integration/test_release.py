# SPDX-License-Identifier: GPL-3.0-or-later
"""A release in a file: two machines that take it serve the same bytes under the same validators."""
import gzip
import os
import tarfile

import pytest

from lib.varlink import VarlinkError
from lib.waiting import until

KEEP = ['--public', '--no-autostop-sharing']


def tree(daemon, seed=b'1'):
    """A folder whose times, order and place are this machine's own."""
    for n in (b'one', b'two/three', b'two/\xc3\xbc', b'two/\xff odd', b'empty'):
        daemon.file(os.path.join(b'site', n), b'' if n == b'empty' else seed * 30_000 + n)
    daemon.file(b'site/index.html', b'<!doctype html>' + b'<p>' + seed * 2000)
    return os.path.join(daemon.content, 'site')


@pytest.fixture
def machines(make_daemon):
    return [make_daemon().start() for _ in range(2)]


def published(daemons, mode, file, *options):
    for i, d in enumerate(daemons):
        d.json('create', mode, 'x', d.file(f'other{i}', os.urandom(100)), *KEEP[:1], *options)
        d.json('start', 'x')
        d.json('publish', 'x', '--from', file)
        d.json('restart', 'x')


def all_of(daemon, target, *headers):
    response = daemon.get('x', target, headers)
    return response.status, response.get('ETag'), response.body


def test_two_machines_agree_on_every_byte_and_validator(machines, tmp_path):
    one, two = machines
    file = tmp_path / 'r.release'
    one.json('create', 'website', 'packer', one.file('a'), '--title', 'T', '--no-listing')
    result = one.ctl('publish', 'packer', tree(one), '--to', file)
    assert result.status == 0, result
    assert os.stat(file).st_mode & 0o777 == 0o600
    published(machines, 'website', file)
    for target in ('/', '/one', '/two/three', '/two/%C3%BC', '/two/%FF%20odd', '/empty'):
        for headers in ((), [('Accept-Encoding', 'gzip')], [('Range', 'bytes=5-9')]):
            a, b = all_of(one, target, *headers), all_of(two, target, *headers)
            assert a == b and (a[1] or a[0] == 416), (target, headers, a, b)
    tags = {all_of(one, t)[1] for t in ('/', '/one', '/two/three', '/two/%C3%BC', '/empty')}
    assert len(tags) == 5
    for d in machines:
        shown = d.show('x')
        assert shown['title'] == 'T' and shown['options']['no_listing'] is True
        assert shown['public'] is True  # that is the machine's own
        before = all_of(d, '/one')
        d.restart()
        d.until_state('x', 'running')
        assert all_of(d, '/one') == before


def test_the_same_zip_is_the_same_bytes_and_goes_on_elsewhere(machines, tmp_path):
    one, two = machines
    file = tmp_path / 'r.release'
    one.json('create', 'share', 'packer', one.file('a'), '--no-autostop-sharing')
    assert one.ctl('publish', 'packer', tree(one), one.file('b/more', b'more'), '--to',
                   file).status == 0
    published(machines, 'share', file)
    status, tag, whole = all_of(one, '/download')
    assert status == 200 and all_of(two, '/download') == (200, tag, whole)
    rest = two.get('x', '/download', [('Range', 'bytes=70000-'), ('If-Range', tag)])
    assert rest.status == 206 and whole[:70000] + rest.body == whole


def test_another_release_has_other_validators_and_so_has_what_is_added(machines, tmp_path):
    one, two = machines
    files = [tmp_path / 'a', tmp_path / 'b']
    one.json('create', 'share', 'packer', one.file('a'), '--no-autostop-sharing')
    for file, seed in zip(files, (b'1', b'2')):
        assert one.ctl('publish', 'packer', tree(one, seed), '--to', file).status == 0
    published(machines, 'share', files[0])
    first = all_of(one, '/one')
    one.json('publish', 'x', '--from', files[1])
    second = all_of(one, '/one')
    assert len(first[2]) == len(second[2]) and first[1] != second[1]
    two.json('publish', 'x', '--from', files[1])
    assert all_of(two, '/one') == second
    one.json('add', 'x', one.file('more', b'more'))
    assert all_of(one, '/download')[1] != all_of(two, '/download')[1]


def test_what_is_cut_damaged_or_no_release_changes_nothing(machines, tmp_path):
    one = machines[0]
    file, bad = tmp_path / 'good', tmp_path / 'bad'
    site = tree(one)
    one.json('create', 'website', 'x', site, '--public')
    one.json('start', 'x')
    assert one.ctl('publish', 'x', site, '--to', file).status == 0
    again = one.ctl('publish', 'x', site, '--to', file)
    assert again.status == 1 and 'File exists' in again.err
    assert os.listdir(tmp_path) == ['good']  # no part of it
    good = file.read_bytes()
    plain = gzip.decompress(good)
    until(lambda: all_of(one, '/one') == all_of(one, '/one'), 'the file is not young')
    before = all_of(one, '/one')
    cases = [b'', b'x' * 3000, good[:-1], good[:len(good) // 2], good[:-600] + b'\0' * 600,
             gzip.compress(plain[:-10240]), gzip.compress(plain[:1536]),
             gzip.compress(plain.replace(b'"website"', b'"chat"   ')),
             gzip.compress(plain.replace(b'0/site/one', b'0/../../on'))]
    for data in cases:
        bad.write_bytes(data)
        result = one.ctl('publish', 'x', '--from', bad)
        assert result.status in (1, 2) and result.err, data[:40]
        assert all_of(one, '/one') == before
    one.json('create', 'share', 'y', one.file('a'))
    result = one.ctl('publish', 'y', '--from', file)
    assert result.status == 1 and 'is of a website' in result.err
    with tarfile.open(file) as tar:  # any tar can look into it
        assert 'onionshared-release.json' in tar.getnames() and '0/site/one' in tar.getnames()
    assert one.show('x')['onion'] is None and b'private' not in plain


def test_misuse_is_told(machines):
    one = machines[0]
    for words in (['x'], ['x', '--to', 'f'], ['x', 'a', '--from', 'f'],
                  ['x', 'a', '--from', 'f', '--to', 'g']):
        assert one.ctl('publish', *words).status == 2, words


def test_validators_need_a_handover_and_be_a_key(machines):
    one = machines[0]
    one.json('create', 'share', 'x', one.file('a'))
    with one.varlink() as v:
        with pytest.raises(VarlinkError, match='handed over first'):
            v.call('Publish', {'name': 'x', 'paths': [one.file('a')], 'release': '00' * 32})
        token = v.call('HandoverBegin')['handover']
        with pytest.raises(VarlinkError, match='64 hex'):
            v.call('Publish', {'name': 'x', 'paths': ['/a'], 'handover': token,
                               'release': 'zz'})
