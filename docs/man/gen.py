#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Man pages as scdoc(5), from texts here and from what the programs say of themselves.

usage: gen.py TEMPLATE PROGRAM > PAGE.scd

A line "@COMMANDS@", "@OPTIONS@", "@KEYS@", "@SERVICE_OPTIONS@" or "@INTERFACE@" in the
template stands for the commands of the client (its --help), the options of the daemon
(its --help), the keys of the configuration (--dump-config), the options of services
(gen-docs), the interface's text (gen-docs --idl). So no page falls behind the tables.
"""
import re
import subprocess
import sys


def ask(program, *args):
    return subprocess.run([program, *args], check=True, capture_output=True, text=True).stdout


def escape(text):
    return re.sub(r'([\\_*`])', r'\\\1', text)


def words(text):
    """A sentence, with options and names of files bold."""
    return re.sub(r"(?<![\w/])(--[a-z][a-z-]*)", lambda m: f'*{m[1]}*', escape(text))


def synopsis(text):
    """"NAME PATH..." with what is to be replaced underlined."""
    return re.sub(r'[A-Z][A-Z_]+', lambda m: f'_{m[0]}_', escape(text).replace('\\_', '_'))


OPTION = re.compile(r'^  (?:(-\w), )?(--[\w-]+)(?: (\S+(?: \S+)*?))?  +(\S.*)$')


def options(lines):
    out = []
    for line in lines:
        m = OPTION.match(line)
        if m:
            letter = f'*{m[1]}*, ' if m[1] else ''
            value = f' {synopsis(m[3])}' if m[3] else ''
            out += [f'{letter}*{m[2]}*{value}', f'\t{words(m[4])}', '']
        elif out and line.startswith('     '):
            out[-2] += ' ' + words(line.strip())
    return out


def sections(help_text):
    """{"Options": lines, …}; "" is what stands before the first heading."""
    found, name = {'': []}, ''
    for line in help_text.split('\n'):
        if re.match(r'^[A-Z][\w ]+:$', line):
            name = line[:-1]
            found[name] = []
        else:
            found[name].append(line)
    return found


def command(client, name):
    parts = sections(ask(client, *name.split(), '--help'))
    usage, *text = parts['']
    out = [f'*{name}* {synopsis(usage.removeprefix(f"usage: onionsharectl {name}").strip())}', '']
    for paragraph in '\n'.join(text).strip().split('\n\n'):
        out += [f'\t{words(" ".join(paragraph.split()))}', '']
    own = options(parts.get('Options', []))
    out += ['\t' + line if line else '' for line in own]
    if 'Options of the service' in parts:
        out += ['\tIt takes options of services, too; see below.', '']
    return out, parts.get('Options of the service', [])


def commands(client):
    general = sections(ask(client, '--help'))
    out, service = [], {}
    for line in general['Commands']:
        m = re.match(r'^  (\S+(?: \S+)*)  +(.+)$', line)
        if not m:
            continue
        text, opts = command(client, m[1])
        out += text
        if m[1].startswith('create '):
            for option in opts:
                service.setdefault(option, []).append(m[1].split()[1])
    out += ['# OPTIONS OF SERVICES', '',
            'For *create*, *edit* and the one-off commands. Behind each stand the modes that it '
            'is for, where it is not for all.', '',
            'A _SIZE_ is bytes, or has K, M, G or T behind it, which count 1024. _SECONDS_ may be '
            'written as 90, 1h30m or 7d. A _TIME_ is RFC 3339, or YYYY-MM-DD HH:MM in your time '
            'zone. _\\__ counts as - in the name of an option.', '']
    modes = {mode for found in service.values() for mode in found}
    for line, found in service.items():
        text = options([line])
        if text:
            only = '' if set(found) == modes else f' ({", ".join(sorted(found))})'
            out += [text[0], text[1] + only, '']
    out += ['# OPTIONS OF EVERY COMMAND', '', *options(general['Options of every command'])]
    return out


def keys(daemon):
    out, comment = [], []  # a comment with nothing behind it is about its section
    for line in ask(daemon, '--dump-config').split('\n'):
        if line.startswith('['):
            out += [f'## {line}', '']
            comment = []
        elif re.match(r'^#[a-z-]+ =', line):
            key, value = line[1:].split(' =', 1)
            out += [f'*{escape(key)}*', f'\t{words(" ".join(comment))}'
                    + (f' Default: *{escape(value.strip())}*.' if value.strip() else ''), '']
            comment = []
        elif line.startswith('# '):
            comment.append(line[2:])
        else:
            out += [words(' '.join(comment)), ''] if out and comment else []
            comment = []
    return out


def service_options(gen_docs):
    """The table of docs/rpc.md as a list."""
    table = ask(gen_docs).split('## Options of services')[1].split('\n## ')[0]
    out = ['Members of _options_ in Create and Edit; null stands for the default.', '']
    for line in table.split('\n'):
        cells = [cell.strip() for cell in line.strip('|').split('|')]
        if len(cells) == 4 and cells[0] not in ('name', '---'):
            name, kind, default, meaning = cells
            out += [f'*{escape(name)}* ({escape(kind)})',
                    f'\t{escape(meaning)}; default: {escape(default)}', '']
    return out


def main():
    template, program = sys.argv[1:]
    fill = {'@COMMANDS@': commands, '@KEYS@': keys,
            '@OPTIONS@': lambda p: options(ask(p, '--help').split('\n')),
            '@SERVICE_OPTIONS@': service_options,
            '@INTERFACE@': lambda p: ['```', *ask(p, '--idl').rstrip().split('\n'), '```']}
    with open(template, encoding='utf-8') as f:
        for line in f:
            line = line.rstrip('\n')
            if line.startswith('; SPDX'):
                continue
            if line in fill:
                text = '\n'.join(fill[line](program)).rstrip()
                print(re.sub(r'\n{3,}', '\n\n', text))
            else:
                print(line)


main()
