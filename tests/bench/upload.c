/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Visitors that send, and cost little: many uploads over epoll, all from one buffer.
 *
 *	upload ADDRESS HOST TARGET KIND SIZE [-n UPLOADS] [-c AT-ONCE]
 *
 * ADDRESS: tcp:HOST:PORT or unix:PATH. KIND: what the SIZE bytes of each are made of,
 * sent as the multipart field file[]: random, cr, crlf, prefix (beginnings of the boundary);
 * put: random ones by PUT to TARGET and a number. Each upload has a connection of
 * its own. Prints one JSON object; good: answered with 2xx.
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
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define BLOCK    (1u << 20)
#define BOUNDARY "----------------------------bench0123456789"

static const char *address, *host, *target, *kind;
static char block[BLOCK];
static uint64_t body_size;
static int epoll_fd;
static bool is_put;

static const char part[] =
	"--" BOUNDARY "\r\nContent-Disposition: form-data; name=\"file[]\"; "
	"filename=\"upload.bin\"\r\nContent-Type: application/octet-stream\r\n\r\n";
static const char end[] = "\r\n--" BOUNDARY "--\r\n";

struct upload {
	int fd;
	unsigned number;
	double begun;
	char head[1024]; /* request's head and the part's */
	size_t head_len;
	uint64_t sent, total; /* of head, body and end */
	char answer[64];
	size_t answer_len;
};

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void die(const char *what)
{
	fprintf(stderr, "upload: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int dial(void)
{
	struct sockaddr_in in = {.sin_family = AF_INET};
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	bool tcp = strncmp(address, "tcp:", 4) == 0;
	int fd = socket(tcp ? AF_INET : AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int r;

	if (tcp) {
		in.sin_port = htons((uint16_t)strtoul(strrchr(address, ':') + 1, NULL, 10));
		in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		r = connect(fd, (struct sockaddr *)&in, sizeof(in));
	} else {
		snprintf(un.sun_path, sizeof(un.sun_path), "%s", address + 5);
		r = connect(fd, (struct sockaddr *)&un, sizeof(un));
	}
	if (fd < 0 || r < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) < 0) {
		die(address);
	}
	return fd;
}

static void fill(void)
{
	static const char prefix[] = "\r\n--" BOUNDARY;

	for (size_t i = 0; i < BLOCK; i++) {
		block[i] = strcmp(kind, "cr") == 0     ? '\r'
			   : strcmp(kind, "crlf") == 0 ? "\r\n"[i % 2]
			   : strcmp(kind, "prefix") == 0
				   ? prefix[i % (sizeof(prefix) - 2)] /* its last byte is missing */
				   : (char)rand();
	}
}

static void open_upload(struct upload *u, unsigned number)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT, .data.ptr = u};
	uint64_t length = is_put ? body_size : body_size + sizeof(part) - 1 + sizeof(end) - 1;
	char path[512], type[128] = "";

	snprintf(path, sizeof(path), is_put ? "%s%u" : "%s", target, number);
	if (!is_put) {
		snprintf(type, sizeof(type),
			 "Content-Type: multipart/form-data; boundary=" BOUNDARY "\r\n");
	}
	memset(u, 0, sizeof(*u));
	u->number = number;
	u->head_len = (size_t)snprintf(u->head, sizeof(u->head),
				       "%s %s HTTP/1.1\r\nHost: %s\r\n%sContent-Length: "
				       "%llu\r\nConnection: close\r\n\r\n%s",
				       is_put ? "PUT" : "POST", path, host, type,
				       (unsigned long long)length, is_put ? "" : part);
	u->total = u->head_len + body_size + (is_put ? 0 : sizeof(end) - 1);
	u->begun = now();
	u->fd = dial();
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, u->fd, &ev) < 0) {
		die("epoll");
	}
}

/* What comes at this place of it, and how much of that is in one piece. */
static const char *piece(const struct upload *u, size_t *ret_n)
{
	uint64_t at = u->sent;

	if (at < u->head_len) {
		*ret_n = u->head_len - at;
		return u->head + at;
	}
	at -= u->head_len;
	if (at < body_size) {
		uint64_t left = body_size - at, in_block = BLOCK - at % BLOCK;

		*ret_n = left < in_block ? left : in_block;
		return block + at % BLOCK;
	}
	at -= body_size;
	*ret_n = sizeof(end) - 1 - at;
	return end + at;
}

/* true: nothing more to send. */
static bool send_more(struct upload *u)
{
	while (u->sent < u->total) {
		size_t n;
		const char *p = piece(u, &n);
		ssize_t r = send(u->fd, p, n, MSG_NOSIGNAL);

		if (r < 0) {
			return errno != EAGAIN;
		}
		u->sent += (uint64_t)r;
	}
	return true;
}

/* true: the answer is there, or will never be. */
static bool read_answer(struct upload *u)
{
	char rest[4096];
	bool room = u->answer_len < sizeof(u->answer) - 1;
	ssize_t n = room ? recv(u->fd, u->answer + u->answer_len,
				sizeof(u->answer) - 1 - u->answer_len, 0)
			 : recv(u->fd, rest, sizeof(rest), 0);

	if (n > 0 && room) {
		u->answer_len += (size_t)n;
	}
	return n == 0 || (n < 0 && errno != EAGAIN);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void run(unsigned total, unsigned at_once)
{
	struct upload *all = calloc(at_once, sizeof(*all));
	double *took = calloc(total, sizeof(*took)), begun = now();
	unsigned begun_n = 0, ended = 0, good = 0;
	struct epoll_event events[256];

	for (; begun_n < at_once && begun_n < total; begun_n++) {
		open_upload(&all[begun_n], begun_n);
	}
	while (ended < total) {
		int n = epoll_wait(epoll_fd, events, 256, 600000);

		if (n <= 0) {
			die("nothing happens");
		}
		for (int i = 0; i < n; i++) {
			struct upload *u = events[i].data.ptr;

			if ((events[i].events & EPOLLOUT) && send_more(u)) {
				struct epoll_event ev = {.events = EPOLLIN, .data.ptr = u};

				epoll_ctl(epoll_fd, EPOLL_CTL_MOD, u->fd, &ev);
			}
			if (!(events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) ||
			    !read_answer(u)) {
				continue;
			}
			close(u->fd);
			took[ended++] = now() - u->begun;
			good += u->sent == u->total && strstr(u->answer, "HTTP/1.1 2") == u->answer;
			if (begun_n < total) {
				open_upload(u, begun_n++);
			}
		}
	}
	double seconds = now() - begun;

	qsort(took, total, sizeof(*took), compare);
	printf("{\"good\": %u, \"bytes\": %llu, \"seconds\": %.6f, \"p50_s\": %.6f, \"p95_s\": "
	       "%.6f, \"max_s\": %.6f}\n",
	       good, (unsigned long long)(body_size * total), seconds, took[total / 2],
	       took[(size_t)((double)total * 0.95)], took[total - 1]);
	free(all);
	free(took);
}

int main(int argc, char **argv)
{
	unsigned total = 1, at_once = 1;

	if (argc < 6) {
		fprintf(stderr, "usage: upload ADDRESS HOST TARGET KIND SIZE [-n N] [-c N]\n");
		return 2;
	}
	address = argv[1];
	host = argv[2];
	target = argv[3];
	kind = argv[4];
	body_size = strtoull(argv[5], NULL, 10);
	for (int i = 6; i + 1 < argc; i += 2) {
		unsigned n = (unsigned)strtoul(argv[i + 1], NULL, 10);

		if (strcmp(argv[i], "-n") == 0) {
			total = n;
		} else if (strcmp(argv[i], "-c") == 0) {
			at_once = n;
		}
	}
	is_put = strcmp(kind, "put") == 0;
	fill();
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_fd < 0) {
		die("epoll");
	}
	run(total, at_once);
	return 0;
}
