# SPDX-License-Identifier: GPL-3.0-or-later
"""What shells offer: commands, options and names, in bash, zsh and fish."""
import os
import re
import shutil
import subprocess

import pytest

from lib.daemon import ONIONSHARECTL


def offered(daemon, *words, options=()):
    done = daemon.ctl('complete-words', '--', *words)
    assert done.status == 0, done
    return [line.split('\t')[0] for line in done.out.splitlines()]


def commands():
    said = subprocess.run([ONIONSHARECTL, '--help'], check=True, capture_output=True, text=True)
    return re.findall(r'(?m)^  (\w+(?: \w+)?)  +\S',
                      said.stdout.split('Commands:')[1].split('\n\n')[0])


def test_all_commands_and_no_other_are_offered(daemon):
    first = offered(daemon, '')
    assert len(first) == len(set(first))
    assert set(first) == {name.split()[0] for name in commands()}
    for word in {name.split()[0] for name in commands() if ' ' in name}:
        assert set(offered(daemon, word, '')) >= {
            name.split()[1] for name in commands() if name.startswith(word + ' ')}


def test_all_options_of_each_command_are_offered(daemon):
    for name in commands():
        said = subprocess.run([ONIONSHARECTL, *name.split(), '--help'], check=True,
                              capture_output=True, text=True).stdout
        options = set(re.findall(r'(?m)^  (?:-\w, )?(--[\w-]+)', said))
        assert set(offered(daemon, *name.split(), '--')) == options, name
    assert '--title' in offered(daemon, 'create', 'share', 'x', '--ti')
    assert offered(daemon, 'list', '--qui') == ['--quiet']


def test_names_are_those_of_now(daemon):
    assert offered(daemon, 'start', '') == []
    daemon.json('create', 'share', 'report', daemon.file('a', b'a'))
    daemon.json('create', 'receive', 'dropbox')
    assert offered(daemon, 'start', '') == ['dropbox', 'report']
    assert offered(daemon, 'stop', 're') == ['report']
    assert offered(daemon, 'stop', 'report', 'd') == ['dropbox']  # NAME...
    assert offered(daemon, 'inbox', 'list', '') == ['dropbox', 'report']
    assert offered(daemon, '--json', 'show', 'd') == ['dropbox']
    # A new name is nobody's to offer; behind NAME ID there is none either.
    assert offered(daemon, 'create', 'share', '') == []
    assert offered(daemon, 'rename', 'report', '') == []


def test_values_of_options(daemon):
    assert offered(daemon, 'create', 'receive', 'x', '--data-dir', '') == [':dir']
    assert offered(daemon, 'create', 'receive', 'x', '--webhook-format', '') == ['text', 'json']
    assert offered(daemon, 'create', 'receive', 'x', '--title', '') == []
    assert offered(daemon, 'create', 'share', 'x', '--public', '') == [':file']
    # As bash cuts it.
    assert offered(daemon, 'create', 'receive', 'x', '--webhook-format', '=', 'j') == ['json']
    assert offered(daemon, 'create', 'receive', 'x', '--webhook-format', '=') == ['text', 'json']
    assert offered(daemon, 'completion', '') == ['bash', 'zsh', 'fish']
    assert 'Status' in offered(daemon, 'call', 'S')


def test_nonsense_offers_nothing_and_says_nothing(daemon):
    for words in (['nonsense', 'more', ''], ['--nonsense', ''], ['start', '--', '-'], ['\xff'], []):
        done = daemon.ctl('complete-words', '--', *words)
        assert done.status == 0 and done.err == '', (words, done)
    daemon.stop()
    done = daemon.ctl('complete-words', '--', 'start', '')
    assert (done.status, done.out, done.err) == (0, '', '')


def shell(name, *argv, **kwargs):
    if not shutil.which(name):
        pytest.skip(f'{name} is not installed')
    env = {**os.environ, **kwargs.pop('env', {})}
    return subprocess.run([name, *argv], capture_output=True, text=True, env=env, timeout=60,
                          stdin=subprocess.DEVNULL, **kwargs)


@pytest.fixture
def path(daemon):
    """An environment in which onionsharectl is ours and asks our daemon."""
    daemon.json('create', 'share', 'report', daemon.file('a', b'a'))
    return {'PATH': os.path.dirname(ONIONSHARECTL) + ':' + os.environ['PATH'],
            'ONIONSHARED_SOCKET': daemon.control, 'HOME': daemon.dir}


def test_bash_completes(daemon, path):
    script = '''
        source <(onionsharectl completion bash)
        complete_line() {
            COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _onionsharectl 2>/dev/null
            printf '%s\\n' "${COMPREPLY[@]}"
        }
        complete_line onionsharectl start re
        complete_line onionsharectl hist
        complete_line onionsharectl create receive x --data-dir /us
    '''
    done = shell('bash', '-c', script, env=path)
    assert done.stdout.split('\n')[:3] == ['report', 'history', '/usr'], done


def test_fish_completes(daemon, path):
    done = shell('fish', '-c', 'onionsharectl completion fish | source; '
                 'complete -C "onionsharectl start re"; complete -C "onionsharectl hist"; '
                 'complete -C "onionsharectl create receive x --data-dir /us"', env=path)
    lines = done.stdout.splitlines()
    assert lines[0] == 'report\tshare, stopped', done
    assert lines[1].startswith('history\t') and lines[2].startswith('/usr/'), done


def test_zsh_completes(daemon, path):
    # Its own machinery needs a terminal: what it would be told is looked at.
    script = '''
        autoload -Uz compinit && compinit -u -D
        source <(onionsharectl completion zsh)
        _describe() { print -l -- "${(@P)2}" }
        _files() { print -l -- "files $*" }
        words=(onionsharectl start re); CURRENT=3; _onionsharectl
        words=(onionsharectl create receive x --data-dir /us); CURRENT=6; _onionsharectl
        print -- ${_comps[onionsharectl]}
    '''
    done = shell('zsh', '-f', '-c', script, env=path)
    assert done.stdout.splitlines() == ['report:share, stopped', 'files -/', '_onionsharectl'], done


def test_an_unknown_shell_is_refused(daemon):
    refused = daemon.ctl('completion', 'tcsh')
    assert refused.status == 2 and 'tcsh' in refused.err
