/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A crowd in a chat room that costs little, so that the server is what is
 * measured: WebSocket clients over epoll that send messages and count who gets them.
 *
 *   crowd [-j] [-r PER-SECOND] [-w AT-ONCE] [-t SECONDS | -n MESSAGES] [-s SIZE]
 *         [-h HOST] PORT|SOCKET PATH MEMBERS
 *
 * SOCKET, a Unix socket's path, is the way on which tor brings visitors. -j: speaks the chat's
 * JSON, and waits for a welcome. Everybody joins, and a line of JSON tells how long that took. A
 * line on stdin begins: for so many seconds, or until so many are sent, -r messages are sent a
 * second; with -w as many are kept on their way, a new one when one has reached everybody; with
 * both at most so many a second and at once. Who sends is chosen in turn. Another line of JSON:
 * deliveries, latencies, what was lost, how many different orders of messages the members saw, in
 * how many places the first one did not see a sender's in his order, and how many others left.
 * Repeated until stdin ends.
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
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define TEXT_MIN  64 /* of a message, and what is sent unless told otherwise */
#define TEXT_MAX  16384
#define HEAD_MAX  8 /* bytes of a frame before its payload */
#define READ_SIZE (64 * 1024)
#define HELD      (256 * 1024) /* of a frame that is not whole */
#define MAX_SENT  (1u << 20)
#define MAX_TAKEN (1u << 23) /* latencies that are kept */
#define SETTLE    2.0        /* seconds for what is still on its way at the end */
#define GIVE_UP   60.0       /* seconds in which nothing comes */
#define BURST     64         /* messages before the others' are read */
#define MARK      "@@"

struct member {
	int fd;
	bool open, welcome;
	char *held; /* the beginning of a frame, or of the handshake's answer */
	size_t n;
	uint64_t order; /* of all that it heard, in one number */
};

static unsigned n_members, at_once, n_messages, text_size = TEXT_MIN;
static const char *address, *host, *path; /* host: of a Unix socket's service */
static bool speaks_json;
static double per_second, seconds = 5;
static int epoll_fd;
static struct member *members;
static unsigned n_open, n_welcome, n_lost_members;

static double *sent_at;   /* by the message's number */
static unsigned *reached; /* how many have it */
static unsigned n_sent, n_whole, turn;
static unsigned *last_of; /* a sender's message that the first member heard last, from 1 on */
static unsigned n_swapped, n_left;
static double heard_at;
static float *latencies;
static size_t n_latencies;
static uint64_t n_deliveries;
static double clock_now; /* of this turn of the loop */

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void die(const char *what)
{
	fprintf(stderr, "crowd: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* --- joining --- */

static int connected(int domain, const void *to, socklen_t n)
{
	int fd = socket(domain, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, to, n) < 0) {
		die("connect");
	}
	return fd;
}

static int connected_unix(void)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};

	snprintf(un.sun_path, sizeof(un.sun_path), "%s", address);
	return connected(AF_UNIX, &un, sizeof(un));
}

static int connected_tcp(void)
{
	struct sockaddr_in in = {.sin_family = AF_INET};
	int one = 1, fd;

	in.sin_port = htons((uint16_t)strtoul(address, NULL, 10));
	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	fd = connected(AF_INET, &in, sizeof(in));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

static void dial(struct member *m)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = m};
	char text[512];
	int n;

	m->fd = address[0] == '/' ? connected_unix() : connected_tcp();
	n = snprintf(text, sizeof(text),
		     "GET %s HTTP/1.1\r\nHost: %s%s\r\nUpgrade: websocket\r\n"
		     "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
		     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
		     path, host ? host : "127.0.0.1:", host ? "" : address);
	if (write(m->fd, text, (size_t)n) != n) {
		die("write");
	}
	fcntl(m->fd, F_SETFL, O_NONBLOCK);
	epoll_ctl(epoll_fd, EPOLL_CTL_ADD, m->fd, &ev);
}

static void lose(struct member *m)
{
	if (m->fd >= 0) {
		close(m->fd);
		m->fd = -1;
		n_lost_members++;
		n_open -= m->open;
		m->open = false;
	}
}

/* --- what comes --- */

static bool begins(const char *p, size_t n, const char *with)
{
	return n >= strlen(with) && memcmp(p, with, strlen(with)) == 0;
}

static void take_text(struct member *m, const char *p, size_t n)
{
	const char *mark;

	if (!m->welcome) {
		m->welcome = true; /* in the chat it is the first one */
		n_welcome++;
		if (speaks_json) {
			return;
		}
	}
	if (m == members && begins(p, n, "{\"type\":\"left\"")) {
		n_left++;
	}
	mark = memmem(p, n, MARK, 2);
	if (!mark || (size_t)(p + n - mark) < 10) {
		return;
	}
	char digits[9] = {0};

	memcpy(digits, mark + 2, 8);
	unsigned long id = strtoul(digits, NULL, 16);

	if (id >= n_sent) {
		return;
	}
	n_deliveries++;
	heard_at = clock_now;
	m->order = (m->order ^ (id + 1)) * 0x9e3779b97f4a7c15u;
	if (m == members) {
		unsigned *last = &last_of[id % n_members];

		n_swapped += *last > id;
		*last = (unsigned)id + 1;
	}
	if (n_latencies < MAX_TAKEN) {
		latencies[n_latencies++] = (float)(clock_now - sent_at[id]);
	}
	if (++reached[id] == n_members - n_lost_members) {
		n_whole++;
	}
}

/* The frames at the front of p: how many bytes they have together. */
static size_t take_frames(struct member *m, const char *bytes, size_t n)
{
	const unsigned char *p = (const unsigned char *)bytes;
	size_t at = 0;

	while (n - at >= 2) {
		size_t head = 2, length = p[at + 1] & 0x7f;

		if (length == 126) {
			head = 4;
		} else if (length == 127) {
			head = 10;
		}
		if (n - at < head) {
			break;
		}
		if (head == 4) {
			length = (size_t)p[at + 2] << 8 | p[at + 3];
		} else if (head == 10) {
			length = 0;
			for (size_t i = 2; i < 10; i++) {
				length = length << 8 | p[at + i];
			}
		}
		if (n - at - head < length) {
			break;
		}
		if (p[at] == 0x81) {
			take_text(m, bytes + at + head, length);
		} else if (p[at] == 0x89) {
			static const char pong[6] = {(char)0x8a, (char)0x80, 0, 0, 0, 0};

			if (write(m->fd, pong, sizeof(pong)) < 0) {
				lose(m);
				return n;
			}
		} else if (p[at] == 0x88) {
			lose(m);
			return n;
		}
		at += head + length;
	}
	return at;
}

static size_t take_bytes(struct member *m, const char *p, size_t n)
{
	const char *end;

	if (m->open) {
		return take_frames(m, p, n);
	}
	end = memmem(p, n, "\r\n\r\n", 4);
	if (!end) {
		return 0;
	}
	if (n < 12 || memcmp(p + 9, "101", 3) != 0) {
		fprintf(stderr, "crowd: refused: %.*s\n", 40, p);
		exit(1);
	}
	m->open = true;
	n_open++;
	size_t head = (size_t)(end + 4 - p);

	return head + take_frames(m, end + 4, n - head);
}

static void hold(struct member *m, const char *p, size_t n)
{
	if (n > HELD) {
		die("a frame too large");
	}
	if (!m->held && n) {
		m->held = malloc(HELD + READ_SIZE);
	}
	if (n) {
		memmove(m->held, p, n);
	} else {
		free(m->held);
		m->held = NULL;
	}
	m->n = n;
}

static void take(struct member *m)
{
	static char fresh[READ_SIZE];
	char *p = m->n ? m->held : fresh;
	ssize_t r = recv(m->fd, p + m->n, READ_SIZE, 0);

	if (r < 0 && errno == EAGAIN) {
		return;
	}
	if (r <= 0) {
		lose(m);
		return;
	}
	size_t n = m->n + (size_t)r, used = take_bytes(m, p, n);

	hold(m, p + used, n - used);
}

static void take_all(int wait_ms)
{
	struct epoll_event ready[256];
	int n = epoll_wait(epoll_fd, ready, 256, wait_ms);

	clock_now = now();
	for (int i = 0; i < n; i++) {
		struct member *m = ready[i].data.ptr;

		if (m->fd >= 0) {
			take(m);
		}
	}
}

/* --- what goes --- */

/* A masked frame's, with a mask that changes nothing. */
static size_t put_head(char *p, size_t n)
{
	memset(p, 0, HEAD_MAX);
	p[0] = (char)0x81;
	if (n < 126) {
		p[1] = (char)(0x80 | n);
		return 6;
	}
	p[1] = (char)(0x80 | 126);
	p[2] = (char)(n >> 8);
	p[3] = (char)n;
	return HEAD_MAX;
}

static void say(void)
{
	static char text[TEXT_MAX + 64];
	const char *begin = speaks_json ? "{\"type\": \"message\", \"text\": \"" : "";
	size_t n, size = strlen(begin) + text_size;
	struct member *m;
	char head[HEAD_MAX];

	do {
		m = &members[turn++ % n_members];
	} while (m->fd < 0);
	n = (size_t)snprintf(text, sizeof(text), "%s%s%08x", begin, MARK, n_sent);
	memset(text + n, 'x', size - n);
	if (speaks_json) {
		text[size++] = '"';
		text[size++] = '}';
	}
	n = put_head(head, size);
	sent_at[n_sent] = now();
	reached[n_sent] = 0;
	n_sent++;
	const struct iovec frame[] = {{head, n}, {text, size}};

	if (writev(m->fd, frame, 2) != (ssize_t)(n + size)) {
		die("write");
	}
}

/* --- phases --- */

static void join(void)
{
	double begun = now(), deadline = begun + 120;

	for (unsigned i = 0; i < n_members; i++) {
		dial(&members[i]);
		if (i % 64 == 63) {
			take_all(0);
		}
	}
	while ((n_open < n_members || (speaks_json && n_welcome < n_members)) && now() < deadline) {
		take_all(100);
	}
	printf("{\"joined\": %u, \"seconds\": %.4f}\n", n_open, now() - begun);
	fflush(stdout);
}

static int compare(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return x < y ? -1 : x > y;
}

static double share(double part)
{
	return n_latencies ? (double)latencies[(size_t)((double)(n_latencies - 1) * part)] * 1000
			   : 0;
}

static double due_at(double begun)
{
	return per_second > 0 ? begun + n_sent / per_second : begun;
}

static bool may_say(double begun)
{
	return n_sent < (n_messages ? n_messages : MAX_SENT - 1000) &&
	       (!at_once || n_sent < n_whole + at_once) && now() >= due_at(begun);
}

/* How long others may be listened to before the next message. */
static int wait_ms(double begun)
{
	if (at_once && n_sent >= n_whole + at_once) {
		return 100;
	}
	return due_at(begun) - now() > 0.002 ? 1 : 0;
}

static bool is_over(double begun)
{
	return n_messages ? n_sent == n_messages || clock_now - heard_at > GIVE_UP
			  : clock_now >= begun + seconds;
}

static unsigned count_orders(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < n_members; i++) {
		unsigned k = 0;

		while (k < i && members[k].order != members[i].order) {
			k++;
		}
		n += k == i;
	}
	return n;
}

static void forget(void)
{
	n_sent = n_whole = turn = n_swapped = 0;
	n_latencies = 0;
	n_deliveries = 0;
	memset(last_of, 0, n_members * sizeof(*last_of));
	for (unsigned i = 0; i < n_members; i++) {
		members[i].order = 0;
	}
}

/* What is still on its way. */
static void settle(void)
{
	double end = now() + SETTLE;

	while (n_whole < n_sent && (n_messages ? now() - heard_at < GIVE_UP : now() < end)) {
		take_all(50);
	}
}

static void talk(void)
{
	double begun, busy;

	forget();
	begun = clock_now = heard_at = now();
	while (!is_over(begun)) {
		for (int i = 0; i < BURST && may_say(begun); i++) {
			say();
		}
		take_all(wait_ms(begun));
	}
	busy = now() - begun;
	uint64_t counted = n_deliveries;

	settle();
	qsort(latencies, n_latencies, sizeof(*latencies), compare);
	printf("{\"seconds\": %.4f, \"messages\": %u, \"deliveries\": %llu, \"per_second\": %.1f, "
	       "\"p50_ms\": %.4f, \"p99_ms\": %.4f, \"missing\": %llu, \"lost_members\": %u, "
	       "\"orders\": %u, \"swapped\": %u, \"left\": %u}\n",
	       busy, n_sent, (unsigned long long)n_deliveries, (double)counted / busy, share(0.5),
	       share(0.99), (unsigned long long)n_sent * n_members - n_deliveries, n_lost_members,
	       count_orders(), n_swapped, n_left);
	fflush(stdout);
}

/* Between two phases nobody is left waiting for a pong. */
static bool next_phase(void)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = NULL}, ready[64];
	char line[64];

	epoll_ctl(epoll_fd, EPOLL_CTL_ADD, 0, &ev);
	for (;;) {
		int n = epoll_wait(epoll_fd, ready, 64, 1000);

		for (int i = 0; i < n; i++) {
			struct member *m = ready[i].data.ptr;

			if (!m) {
				epoll_ctl(epoll_fd, EPOLL_CTL_DEL, 0, NULL);
				return fgets(line, sizeof(line), stdin) != NULL;
			}
			if (m->fd >= 0) {
				take(m);
			}
		}
	}
}

int main(int argc, char **argv)
{
	int option;

	while ((option = getopt(argc, argv, "+jr:w:t:n:s:h:")) != -1) {
		switch (option) {
		case 'j':
			speaks_json = true;
			break;
		case 'r':
			per_second = strtod(optarg, NULL);
			break;
		case 'w':
			at_once = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 't':
			seconds = strtod(optarg, NULL);
			break;
		case 'n':
			n_messages = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 's':
			text_size = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'h':
			host = optarg;
			break;
		default:
			return 2;
		}
	}
	if (argc - optind != 3 || (per_second <= 0 && !at_once) || n_messages > MAX_SENT ||
	    text_size < TEXT_MIN || text_size > TEXT_MAX) {
		return 2;
	}
	address = argv[optind];
	path = argv[optind + 1];
	n_members = (unsigned)strtoul(argv[optind + 2], NULL, 10);
	members = calloc(n_members, sizeof(*members));
	sent_at = malloc(MAX_SENT * sizeof(*sent_at));
	reached = malloc(MAX_SENT * sizeof(*reached));
	latencies = malloc(MAX_TAKEN * sizeof(*latencies));
	last_of = malloc(n_members * sizeof(*last_of));
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (!members || !last_of || !sent_at || !reached || !latencies || epoll_fd < 0) {
		die("memory");
	}
	join();
	while (next_phase()) {
		talk();
	}
	return 0;
}
