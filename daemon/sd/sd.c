/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sd/sd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "proto/base/alloc.h"

/* Without the journal's own socket: it takes "<N>" in front of a line for its level (sd-daemon(3)).
 */
static void to_stream(const struct log_line *line)
{
	_cleanup_free_ char *text = xasprintf("<%d>%s\n", (int)line->level, line->text);

	if (write(STDERR_FILENO, text, strlen(text)) < 0) {
		/* The log is gone; there is nobody to tell. */
	}
}

#ifdef HAVE_SYSTEMD
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-daemon.h>
#include <systemd/sd-journal.h>

static const char *const message_ids[LOG_EVENTS] = {
	[LOG_EVENT_READY] = "dc0bb61d3fe94b5898eefeeb3c7203b6",
	[LOG_EVENT_STOPPING] = "24c70b7619b540059692c2ada4de58ca",
	[LOG_EVENT_RELOADED] = "32b6ec3c79274675b5feff90d9cfef08",
	[LOG_EVENT_RELOAD_REFUSED] = "3cf36ae0c7b541faacd0e524a8f32fbf",
	[LOG_EVENT_SERVICE_RUNNING] = "dcf3ae84982d4fbe81dc8055e12261ea",
	[LOG_EVENT_SERVICE_STOPPED] = "d051db21071b48f5ace0aa4b427a4797",
	[LOG_EVENT_SERVICE_OFFLINE] = "ef160d4bf4cc4517a18ff0a3103dbaf6",
	[LOG_EVENT_SERVICE_FAILED] = "e3b18583d81d4a09bab1ed6e34c6ef28",
	[LOG_EVENT_TOR_CONNECTED] = "6112be91d2ac42d3945cfcceb302a038",
	[LOG_EVENT_TOR_PROBLEM] = "4d99e4f5452c439db26eb45f9534af2f",
};

void sd_tell(const char *state)
{
	/* Nobody listens without NOTIFY_SOCKET, and nothing depends on it. */
	sd_notify(0, state);
}

uint64_t sd_watchdog_ms(void)
{
	uint64_t usec = 0;

	return sd_watchdog_enabled(0, &usec) > 0 ? usec / 1000 : 0;
}

struct sd_fds sd_take_fds(void)
{
	struct sd_fds fds = {0};
	char **names = NULL;
	int n = sd_listen_fds_with_names(1, &names);

	for (int i = 0; i < n; i++) {
		_cleanup_free_ char *forget = xasprintf("FDSTOREREMOVE=1\nFDNAME=%s", names[i]);

		fds.all = xreallocarray(fds.all, fds.n + 1, sizeof(*fds.all));
		fds.all[fds.n++] = (struct sd_fd){SD_LISTEN_FDS_START + i, names[i]};
		/* A copy with systemd would keep open what we close. It knows which ones it keeps.
		 */
		sd_tell(forget);
	}
	free(names);
	return fds;
}

bool sd_keeps_fds(void)
{
	const char *max = getenv("FDSTORE");

	return max && strcmp(max, "0") != 0 && getenv("NOTIFY_SOCKET");
}

void sd_keep_fd(const char *name, int fd)
{
	_cleanup_free_ char *text = xasprintf("FDSTORE=1\nFDNAME=%s", name);

	/* What cannot be kept is made anew by the next process. */
	sd_pid_notify_with_fds(0, 0, text, &fd, 1);
}

void sd_journal_sink(const struct log_line *line)
{
	_cleanup_free_ char *message = xasprintf("MESSAGE=%s", line->text);
	_cleanup_free_ char *id = NULL, *service = NULL;
	char priority[] = "PRIORITY=0";
	struct iovec fields[4] = {{.iov_base = message, .iov_len = strlen(message)},
				  {.iov_base = priority, .iov_len = sizeof(priority) - 1}};
	int n = 2;

	priority[sizeof(priority) - 2] = (char)('0' + line->level);
	if (message_ids[line->event]) {
		id = xasprintf("MESSAGE_ID=%s", message_ids[line->event]);
		fields[n++] = (struct iovec){.iov_base = id, .iov_len = strlen(id)};
	}
	if (line->service) {
		service = xasprintf("ONIONSHARED_SERVICE=%s", line->service);
		fields[n++] = (struct iovec){.iov_base = service, .iov_len = strlen(service)};
	}
	if (sd_journal_sendv(fields, n) < 0) {
		to_stream(line);
	}
}

#else

void sd_tell(const char *state)
{
	(void)state;
}

uint64_t sd_watchdog_ms(void)
{
	return 0;
}

struct sd_fds sd_take_fds(void)
{
	return (struct sd_fds){0};
}

bool sd_keeps_fds(void)
{
	return false;
}

void sd_keep_fd(const char *name, int fd)
{
	(void)name;
	(void)fd;
}

void sd_journal_sink(const struct log_line *line)
{
	to_stream(line);
}

#endif

void sd_fds_free(struct sd_fds *fds)
{
	for (size_t i = 0; i < fds->n; i++) {
		free(fds->all[i].name);
	}
	free(fds->all);
	*fds = (struct sd_fds){0};
}

void sd_tell_reloading(void)
{
	struct timespec now;
	char text[64];

	clock_gettime(CLOCK_MONOTONIC, &now);
	snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%llu",
		 (unsigned long long)now.tv_sec * 1000000 + (unsigned long long)now.tv_nsec / 1000);
	sd_tell(text);
}

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
