/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sd/sd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/alloc.h"

#ifdef HAVE_SYSTEMD
#include <systemd/sd-daemon.h>

void sd_tell(const char *state)
{
	/* Nobody listens without NOTIFY_SOCKET, and nothing depends on it. */
	sd_notify(0, state);
}

int sd_control_socket(void)
{
	return sd_listen_fds(1) == 1 ? SD_LISTEN_FDS_START : -1;
}

#else

void sd_tell(const char *state)
{
	(void)state;
}

int sd_control_socket(void)
{
	return -1;
}

#endif

/* JOURNAL_STREAM holds device and inode of the stream that systemd connected. */
bool sd_stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	char own[64];
	struct stat st;

	if (!stream || fstat(STDERR_FILENO, &st) < 0) {
		return false;
	}
	snprintf(own, sizeof(own), "%llu:%llu", (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_ino);
	return strcmp(own, stream) == 0;
}

/* The journal takes "<N>" in front of a line for its level (sd-daemon(3)). */
void sd_journal_sink(enum log_level level, const char *text)
{
	_cleanup_free_ char *line = xasprintf("<%d>%s\n", (int)level, text);

	if (write(STDERR_FILENO, line, strlen(line)) < 0) {
		/* The log is gone; there is nobody to tell. */
	}
}
