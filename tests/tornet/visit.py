#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Visits an onion address as one of the private network's users.

    visit.py INFO [--key KEY] [--visitor N] ADDRESS [CURL-OPTION…]

INFO is the file with what `tornet.py start` printed. With --key the visitor's tor
is given the service's private key first, and has it from then on; without, it
knows what it knew. The rest is curl's: its output, its exit status.
"""
import argparse
import json
import os
import sys

from tornet import Control, TorNetError, give_key


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n', maxsplit=1)[0])
    parser.add_argument('info')
    parser.add_argument('--key', help='private key of the service, 52 characters')
    parser.add_argument('--visitor', type=int, default=0, help='which user (default: the first)')
    parser.add_argument('address')
    args, curl_options = parser.parse_known_args()
    with open(args.info, encoding='utf-8') as f:
        client = json.load(f)['clients'][args.visitor]
    if args.key:
        with Control(client['control_socket'], client['cookie_file']) as control:
            give_key(control, args.address, args.key)
    os.execvp('curl', ['curl', '--socks5-hostname', f'127.0.0.1:{client["socks_port"]}',
                       '--noproxy', '', *curl_options, args.address])


if __name__ == '__main__':
    try:
        main()
    except (OSError, TorNetError, ValueError) as e:
        sys.exit(f'visit: {e}')
