# SPDX-License-Identifier: GPL-3.0-or-later
"""The man pages: well formed, and complete, whatever the programs learn."""
import os
import re
import subprocess

import pytest

from lib.daemon import BUILD, ONIONSHARECTL, ONIONSHARED

PAGES = ('onionsharectl.1', 'onionshared.8', 'onionshared.conf.5', 'onionshared-rpc.7')
# scdoc writes a paragraph macro more than needed here and there; nobody sees it.
SCDOC = 'skipping paragraph macro'


def page(name):
    path = os.path.join(BUILD, 'docs', 'man', name)
    assert os.path.exists(path), f'{path} is not built: is scdoc installed?'
    return path


def as_text(name):
    shown = subprocess.run(['mandoc', '-T', 'ascii', '-O', 'width=400', page(name)], check=True,
                           capture_output=True, text=True).stdout
    return re.sub(r'.\x08', '', shown)


@pytest.mark.parametrize('name', PAGES)
def test_it_is_well_formed(name):
    done = subprocess.run(['mandoc', '-T', 'lint', '-W', 'warning', page(name)],
                          capture_output=True, text=True)
    said = [line for line in done.stdout.splitlines() if SCDOC not in line]
    assert not said, said
    text = as_text(name)
    assert '@' not in text.replace('@file', '') and not re.search(r'\\[_*`]', text)


def said_by(*argv):
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def test_each_command_and_option_of_the_client_is_in_it():
    text = as_text('onionsharectl.1')
    commands = re.findall(r'(?m)^  (\w+(?: \w+)*)  +\S',
                          said_by(ONIONSHARECTL, '--help').split('Commands:')[1].split('\n\n')[0])
    assert len(commands) > 20 and 'tor bridges set' in commands
    for command in commands:
        assert re.search(rf'(?m)^ +{command}( |$)', text), command
        for option in re.findall(r'(?m)^  (?:-\w, )?(--[\w-]+)',
                                 said_by(ONIONSHARECTL, *command.split(), '--help')):
            assert re.search(rf'(?m)^ +(-\w, )?{option}( |$)', text), (command, option)


def test_each_key_of_the_configuration_is_in_it():
    text = as_text('onionshared.conf.5')
    keys = re.findall(r'(?m)^#([a-z-]+) =', said_by(ONIONSHARED, '--dump-config'))
    assert len(keys) > 15
    for key in keys:
        assert re.search(rf'(?m)^ +{key}$', text), key
    options = re.findall(r'(?m)^  (--[\w-]+)', said_by(ONIONSHARED, '--help'))
    assert len(options) > 8
    for option in options:
        assert re.search(rf'(?m)^ +{option}( |$)', as_text('onionshared.8')), option
