/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A visitor that costs little, so that the server is what is measured: many
 * requests over epoll, bodies thrown away (over TCP in the kernel, by MSG_TRUNC).
 *
 *   load ADDRESS HOST TARGET [-n REQUESTS] [-c AT-ONCE] [-r RANGE-SIZE FILE-SIZE]
 *   load ADDRESS HOST TARGET -i CONNECTIONS      idle ones: see below
 *
 * ADDRESS: tcp:HOST:PORT or unix:PATH. Each request has a connection of its own.
 * Prints one JSON object. With -i: opens so many connections, makes a request on
 * each and prints; a line on stdin makes one more on each and prints again.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define READ_SIZE (1 << 20)

static const char *address, *host, *target;
static uint64_t range_size, file_size;
static bool is_tcp;
static int epoll_fd;

struct visit {
	int fd;
	double begun, first; /* seconds; first byte */
	char head[8192];     /* until its end is seen */
	size_t head_len;
	int64_t left; /* of the body; -1: the head is not over */
	int status;
	bool keep_open;
};

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void die(const char *what)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int dial(void)
{
	int fd, one = 1;

	if (is_tcp) {
		struct sockaddr_in in = {.sin_family = AF_INET};
		const char *colon = strrchr(address, ':');

		in.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
		in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fd < 0 || connect(fd, (struct sockaddr *)&in, sizeof(in)) < 0) {
			die(address);
		}
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	} else {
		struct sockaddr_un un = {.sun_family = AF_UNIX};
		size_t n = strlen(address + 5);

		if (n >= sizeof(un.sun_path)) {
			errno = ENAMETOOLONG;
			die(address);
		}
		memcpy(un.sun_path, address + 5, n + 1);
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fd < 0 || connect(fd, (struct sockaddr *)&un, sizeof(un)) < 0) {
			die(address);
		}
	}
	return fd;
}

static void ask(struct visit *v)
{
	char text[4096], range[96] = "";

	if (range_size) {
		uint64_t blocks = file_size / range_size;
		uint64_t at = ((uint64_t)rand() << 16 ^ (uint64_t)rand()) % blocks * range_size;

		snprintf(range, sizeof(range), "Range: bytes=%llu-%llu\r\n", (unsigned long long)at,
			 (unsigned long long)(at + range_size - 1));
	}
	int n = snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: %s\r\n%s%s\r\n", target,
			 host, range, v->keep_open ? "" : "Connection: close\r\n");

	v->head_len = 0;
	v->left = -1;
	v->first = 0;
	v->begun = now();
	if (write(v->fd, text, (size_t)n) != n) {
		die("write");
	}
}

static void open_visit(struct visit *v, bool keep_open)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = v};

	v->keep_open = keep_open;
	v->begun = now();
	double begun = v->begun;

	v->fd = dial();
	ask(v);
	v->begun = begun;
	fcntl(v->fd, F_SETFL, O_NONBLOCK);
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, v->fd, &ev) < 0) {
		die("epoll");
	}
}

/* The head has come: how much body is still to come. */
static void read_head(struct visit *v)
{
	char *end = memmem(v->head, v->head_len, "\r\n\r\n", 4);

	if (!end) {
		return;
	}
	size_t head = (size_t)(end - v->head) + 4;
	char *length;

	*end = '\0';
	v->status = (int)strtol(v->head + 9, NULL, 10);
	length = strcasestr(v->head, "\r\ncontent-length:");
	v->left = length ? strtoll(length + 17, NULL, 10) - (int64_t)(v->head_len - head) : 0;
}

/* true: the response is over (or the connection). */
static bool take(struct visit *v, uint64_t *bytes)
{
	static char trash[READ_SIZE];

	for (;;) {
		ssize_t n;

		if (v->left < 0) {
			n = recv(v->fd, v->head + v->head_len, sizeof(v->head) - 1 - v->head_len,
				 0);
		} else {
			n = recv(v->fd, trash, READ_SIZE, is_tcp ? MSG_TRUNC : 0);
		}
		if (n < 0 && errno == EAGAIN) {
			return false;
		}
		if (n <= 0) {
			return true;
		}
		if (v->first == 0) {
			v->first = now();
		}
		if (v->left < 0) {
			v->head_len += (size_t)n;
			v->head[v->head_len] = '\0';
			read_head(v);
			if (v->left >= 0) {
				*bytes += v->head_len;
			}
		} else {
			v->left -= n;
			*bytes += (uint64_t)n;
		}
		if (v->left == 0) {
			return true;
		}
	}
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double at(const double *sorted, size_t n, double share)
{
	return n ? sorted[(size_t)((double)(n - 1) * share)] * 1000 : 0;
}

static void run_requests(size_t total, size_t at_once)
{
	struct visit *all = calloc(at_once, sizeof(*all));
	double *first = calloc(total, sizeof(double)), *whole = calloc(total, sizeof(double));
	size_t begun = 0, over = 0, good = 0;
	uint64_t bytes = 0;
	double start = now();

	for (; begun < at_once && begun < total; begun++) {
		open_visit(&all[begun], false);
	}
	while (over < total) {
		struct epoll_event ready[64];
		int n = epoll_wait(epoll_fd, ready, 64, 60000);

		if (n <= 0) {
			die("nothing comes any more");
		}
		for (int i = 0; i < n; i++) {
			struct visit *v = ready[i].data.ptr;

			if (!take(v, &bytes)) {
				continue;
			}
			first[over] = v->first - v->begun;
			whole[over] = now() - v->begun;
			over++;
			good += (v->status == 200 || v->status == 206) && v->left == 0;
			close(v->fd);
			if (begun < total) {
				open_visit(v, false);
				begun++;
			}
		}
	}
	double seconds = now() - start;

	qsort(first, total, sizeof(double), compare);
	qsort(whole, total, sizeof(double), compare);
	printf("{\"seconds\": %.6f, \"bytes\": %llu, \"good\": %zu, \"of\": %zu, "
	       "\"first_p50_ms\": %.3f, \"first_max_ms\": %.3f, \"p50_ms\": %.3f, \"p99_ms\": "
	       "%.3f}\n",
	       seconds, (unsigned long long)bytes, good, total, at(first, total, 0.5),
	       at(first, total, 1), at(whole, total, 0.5), at(whole, total, 0.99));
	free(all);
	free(first);
	free(whole);
}

/* One response on each connection; those that end instead are closed. */
static size_t collect(struct visit *all, size_t n, double limit)
{
	size_t good = 0, waiting = 0;
	uint64_t bytes = 0;
	double deadline = now() + limit;

	for (size_t i = 0; i < n; i++) {
		waiting += all[i].fd >= 0;
	}
	while (waiting && now() < deadline) {
		struct epoll_event ready[256];
		int got = epoll_wait(epoll_fd, ready, 256, 1000);

		for (int i = 0; i < got; i++) {
			struct visit *v = ready[i].data.ptr;

			if (!take(v, &bytes)) {
				continue;
			}
			waiting--;
			if (v->status == 200 && v->left == 0) {
				good++;
				/* What comes now would be the end: no longer waited for. */
				epoll_ctl(epoll_fd, EPOLL_CTL_DEL, v->fd, NULL);
			} else {
				close(v->fd);
				v->fd = -1;
			}
		}
	}
	return good;
}

static void run_idle(size_t n)
{
	struct visit *all = calloc(n, sizeof(*all));
	char line[16];
	double start = now();
	size_t good;

	for (size_t i = 0; i < n; i++) {
		open_visit(&all[i], true);
		if (i % 256 == 255) {
			struct epoll_event ready[256];

			/* Lets the server keep up with its backlog; answers are counted later. */
			epoll_wait(epoll_fd, ready, 256, 1);
		}
	}
	good = collect(all, n, 30);
	printf("{\"answered\": %zu, \"of\": %zu, \"seconds\": %.3f}\n", good, n, now() - start);
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin)) {
		return;
	}
	start = now();
	for (size_t i = 0; i < n; i++) {
		struct epoll_event ev = {.events = EPOLLIN, .data.ptr = &all[i]};

		if (all[i].fd >= 0) {
			fcntl(all[i].fd, F_SETFL, 0);
			ask(&all[i]);
			fcntl(all[i].fd, F_SETFL, O_NONBLOCK);
			epoll_ctl(epoll_fd, EPOLL_CTL_ADD, all[i].fd, &ev);
		}
	}
	good = collect(all, n, 30);
	printf("{\"answered\": %zu, \"of\": %zu, \"seconds\": %.3f}\n", good, n, now() - start);
	free(all);
}

int main(int argc, char **argv)
{
	size_t requests = 1, at_once = 1, idle = 0;
	struct rlimit files;
	int c;

	if (argc < 4) {
		fprintf(stderr, "usage: load ADDRESS HOST TARGET [options]\n");
		return 2;
	}
	address = argv[1];
	host = argv[2];
	target = argv[3];
	is_tcp = strncmp(address, "tcp:", 4) == 0;
	optind = 4;
	while ((c = getopt(argc, argv, "n:c:r:i:")) != -1) {
		switch (c) {
		case 'n':
			requests = strtoul(optarg, NULL, 10);
			break;
		case 'c':
			at_once = strtoul(optarg, NULL, 10);
			break;
		case 'r':
			range_size = strtoull(optarg, NULL, 10);
			file_size = strtoull(argv[optind++], NULL, 10);
			break;
		case 'i':
			idle = strtoul(optarg, NULL, 10);
			break;
		default:
			return 2;
		}
	}
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	srand(1);
	if (idle) {
		run_idle(idle);
	} else {
		run_requests(requests, at_once);
	}
	return 0;
}
