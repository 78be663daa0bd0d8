/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * onionshared-keeper: run by systemd as the user of onionshared-tor.service, for one connection of
 * the daemon's (tor/keeper.h), which is its standard input.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tor/keeper.h"

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: onionshared-keeper DIRECTORY, with a connection of "
				"onionshared's as standard input\n");
		return 64; /* EX_USAGE of sysexits.h */
	}
	umask(077);
	int r = keeper_serve(STDIN_FILENO, argv[1]);

	if (r < 0) {
		fprintf(stderr, "onionshared-keeper: a request that cannot be served: %s\n",
			strerror(-r));
	}
	return r < 0 ? 1 : 0;
}
