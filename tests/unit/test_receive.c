/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Receive mode behind a real HTTP server, visited over socket pairs on the same loop. */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <time.h>

#include "base/list.h"
#include "ev/bufpool.h"
#include "ev/ev.h"
#include "http/server.h"
#include "mode/flash.h"
#include "mode/inbox.h"
#include "mode/mode.h"
#include "proto/base/buf.h"
#include "unit.h"

#define HANG_SECONDS 60
#define B            "----boundary0123"

/* A question to the host, answered from the loop. */
struct question {
	struct list link;
	int64_t id;
	mode_pending_fn *pending;
	mode_intended_fn *intended;
	mode_finished_fn *finished;
	void *ud;
};

struct intent {
	int64_t id;
	struct inbox_place place;
};

struct fixture {
	uv_loop_t loop;
	struct ev ev;
	uv_idle_t idle;
	char *dir;
	struct mode *mode;
	struct http_server *server;
	struct list questions;
	struct intent intents[64];
	size_t n_intents;
	int64_t last_intent;
	bool hold, refuse_intents;
	uint64_t last_id;
	unsigned started, completed, cancelled, submissions, files;
	bool message;
	int ready, stopped, closed;
	char *error;
};

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

#define turn_until(f, condition)                                             \
	do {                                                                 \
		for (double until_ = now() + HANG_SECONDS; !(condition);) {  \
			if (now() > until_) {                                \
				fail_msg("waited too long for " #condition); \
			}                                                    \
			uv_run(&(f)->loop, UV_RUN_NOWAIT);                   \
		}                                                            \
	} while (0)

/* --- the host --- */

static uint64_t host_transfer_id(void *ud)
{
	return ++((struct fixture *)ud)->last_id;
}

static void host_transfer(void *ud, uint64_t id, enum mode_transfer_phase phase, bool out,
			  uint64_t bytes, uint64_t total, const char *path)
{
	struct fixture *f = ud;

	assert_true(id > 0 && !out && !path);
	assert_true(total == HTTP_LENGTH_UNKNOWN || bytes <= total);
	f->started += phase == MODE_TRANSFER_STARTED;
	f->completed += phase == MODE_TRANSFER_COMPLETED;
	f->cancelled += phase == MODE_TRANSFER_CANCELLED;
}

static void answer_pending(struct fixture *f, const struct question *q)
{
	struct mode_intent all[64];

	for (size_t i = 0; i < f->n_intents; i++) {
		all[i] = (struct mode_intent){.id = f->intents[i].id,
					      .staging = f->intents[i].place.staging,
					      .day = f->intents[i].place.day,
					      .stamp = f->intents[i].place.stamp};
	}
	q->pending(q->ud, NULL, all, f->n_intents);
}

static void answer_next(uv_idle_t *idle)
{
	struct fixture *f = idle->data;
	struct question *q = list_entry(f->questions.next, struct question, link);

	if (f->hold) {
		return;
	}
	list_remove(&q->link);
	if (list_empty(&f->questions)) {
		uv_idle_stop(idle);
	}
	if (q->pending) {
		answer_pending(f, q);
	} else if (q->intended && f->refuse_intents) {
		struct error err = {.code = EIO};

		q->intended(q->ud, &err, 0);
	} else if (q->intended) {
		q->intended(q->ud, NULL, q->id);
	} else {
		q->finished(q->ud, NULL);
	}
	free(q);
}

static struct question *ask_host(struct fixture *f, void *ud)
{
	struct question *q = xnew(struct question);

	q->ud = ud;
	list_append(&f->questions, &q->link);
	uv_idle_start(&f->idle, answer_next);
	return q;
}

static void host_pending(void *ud, mode_pending_fn *cb, void *cb_ud)
{
	ask_host(ud, cb_ud)->pending = cb;
}

static void host_intend(void *ud, const struct mode_intent *intent, mode_intended_fn *cb,
			void *cb_ud)
{
	struct fixture *f = ud;
	struct question *q = ask_host(f, cb_ud);

	q->intended = cb;
	q->id = ++f->last_intent;
	if (!f->refuse_intents) {
		struct intent *i = &f->intents[f->n_intents++];

		assert_true(f->n_intents < ARRAY_SIZE(f->intents));
		i->id = q->id;
		snprintf(i->place.staging, sizeof(i->place.staging), "%s", intent->staging);
		snprintf(i->place.day, sizeof(i->place.day), "%s", intent->day);
		snprintf(i->place.stamp, sizeof(i->place.stamp), "%s", intent->stamp);
		assert_true(inbox_place_valid(&i->place));
	}
}

static void host_finish(void *ud, int64_t id, mode_finished_fn *cb, void *cb_ud)
{
	struct fixture *f = ud;

	ask_host(f, cb_ud)->finished = cb;
	for (size_t i = 0; i < f->n_intents; i++) {
		if (f->intents[i].id == id) {
			f->intents[i] = f->intents[--f->n_intents];
		}
	}
}

static void host_submission(void *ud, uint64_t id, unsigned files, bool message)
{
	struct fixture *f = ud;

	uint64_t now_us = (uint64_t)time(NULL) * 1000000;

	assert_in_range(id, now_us - 600000000, now_us + 600000000); /* when it came in */
	f->submissions++;
	f->files = files;
	f->message = message;
}

static void on_ready(void *ud, const struct error *err)
{
	struct fixture *f = ud;

	f->ready++;
	free(f->error);
	f->error = err ? xstrdup(error_text(err)) : NULL;
}

static void on_request(void *ud, struct http_req *req)
{
	mode_receive.request(((struct fixture *)ud)->mode, req);
}

/* --- life --- */

static void begin_mode(struct fixture *f, const char *options)
{
	static const struct http_server_ops server_ops = {.request = on_request};
	static const uint8_t secret[32];
	static const char *const no_paths[] = {NULL};
	json_t *json = json_loads(options, 0, NULL);
	const struct mode_host host = {
		.transfer_id = host_transfer_id,
		.transfer = host_transfer,
		.inbox_pending = host_pending,
		.inbox_intend = host_intend,
		.inbox_finish = host_finish,
		.submission = host_submission,
		.ud = f,
	};
	const struct http_server_config config = {.limits = http_limits_default,
						  .csp = "",
						  .peer_uid = (uid_t)-1};
	const struct mode_spec spec = {
		.service_name = "test",
		.title = json_string_value(json_object_get(json, "title")),
		.options = json,
		.secret = secret,
		.paths = no_paths,
		.data_dir = f->dir,
	};

	assert_non_null(json);
	f->ready = f->stopped = f->closed = 0;
	f->mode = mode_receive.start(&f->ev, &spec, &host, on_ready, f);
	f->server = http_server_new(&f->ev, &config, &server_ops, f);
	json_decref(json);
	assert_int_equal(f->ready, 0);
}

static void start(struct fixture *f, const char *options)
{
	begin_mode(f, options);
	turn_until(f, f->ready);
	if (f->error) {
		fail_msg("%s", f->error);
	}
}

static void on_closed(void *ud)
{
	((struct fixture *)ud)->closed = 1;
}

static void on_stopped(void *ud)
{
	((struct fixture *)ud)->stopped = 1;
}

static void stop(struct fixture *f)
{
	if (!f->mode) {
		return;
	}
	http_server_close(f->server, on_closed, f);
	turn_until(f, f->closed);
	mode_receive.stop(f->mode, on_stopped, f);
	assert_int_equal(f->stopped, 0);
	turn_until(f, f->stopped);
	f->mode = NULL;
	assert_int_equal(bufpool_in_use(f->ev.bufs), 0);
	assert_int_equal(f->started, f->completed + f->cancelled);
}

static int setup(void **state)
{
	struct fixture *f = xnew(struct fixture);

	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(uv_loop_init(&f->loop), 0);
	ev_init(&f->ev, &f->loop, 4 * BUFPOOL_BUFFER_SIZE);
	uv_idle_init(&f->loop, &f->idle);
	f->idle.data = f;
	list_init(&f->questions);
	f->dir = unit_tmpdir();
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	stop(f);
	free(f->error);
	uv_close((uv_handle_t *)&f->idle, NULL);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	ev_done(&f->ev);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	unit_rmtree(f->dir);
	free(f);
	return 0;
}

/* --- the disk --- */

/* Names and contents below dir, times of arrival as T; hidden too. */
static void list_into(struct buf *b, const char *dir, const char *prefix)
{
	struct dirent **names;
	int n = scandir(dir, &names, NULL, alphasort);

	assert_true(n >= 0);
	for (int i = 0; i < n; i++) {
		const char *name = names[i]->d_name;
		char *path = xasprintf("%s/%s", dir, name);
		bool stamp = strspn(name, "0123456789") == 12;
		char *shown =
			xasprintf("%s%s%s", prefix, stamp ? "T" : name, stamp ? name + 12 : "");
		struct stat st;

		if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && lstat(path, &st) == 0) {
			if (S_ISDIR(st.st_mode) && strlen(name) == 10 && name[4] == '-') {
				list_into(b, path, "");
			} else if (S_ISDIR(st.st_mode)) {
				char *below = xasprintf("%s/", shown);

				list_into(b, path, below);
				free(below);
			} else if (st.st_size > 100) {
				buf_printf(b, "%s (%lld)\n", shown, (long long)st.st_size);
			} else {
				char content[101] = "";
				FILE *file = fopen(path, "re");

				assert_non_null(file);
				content[fread(content, 1, 100, file)] = '\0';
				fclose(file);
				buf_printf(b, "%s=%s\n", shown, content);
			}
		}
		free(path);
		free(shown);
		free(names[i]);
	}
	free(names);
}

static void assert_disk(struct fixture *f, const char *expected)
{
	struct buf b = BUF_INIT;

	/* What was refused is removed behind the answer. */
	turn_until(f, mode_receive.active(f->mode) == 0);
	list_into(&b, f->dir, "");
	assert_string_equal(b.p ? b.p : "", expected);
	buf_done(&b);
}

/* --- visitors --- */

struct client {
	int fd;
	struct buf out;
	size_t out_at;
	struct buf got;
	bool eof;
};

static void client_open(struct fixture *f, struct client *c)
{
	int pair[2];

	*c = (struct client){0};
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair),
			 0);
	c->fd = pair[0];
	http_server_adopt(f->server, pair[1]);
}

/* Sends and reads what is possible now. */
static void client_turn(struct client *c)
{
	static char room[65536];
	ssize_t n;

	if (c->out_at < c->out.len) {
		n = write(c->fd, c->out.p + c->out_at, c->out.len - c->out_at);
		if (n < 0 && errno != EAGAIN) {
			c->out_at = c->out.len;
		}
		c->out_at += n > 0 ? (size_t)n : 0;
	}
	n = read(c->fd, room, sizeof(room));
	if (n > 0) {
		buf_add(&c->got, room, (size_t)n);
	} else if (n == 0 || errno != EAGAIN) {
		c->eof = true;
	}
}

static void client_done(struct client *c)
{
	if (c->fd >= 0) {
		close(c->fd);
	}
	buf_done(&c->out);
	buf_done(&c->got);
}

struct reply {
	int status;
	struct buf text; /* head and body */
};

static struct reply finish(struct fixture *f, struct client *c)
{
	struct reply r = {0};

	turn_until(f, (client_turn(c), c->eof));
	assert_true(c->got.len > 12);
	r.status = (int)strtol(c->got.p + 9, NULL, 10);
	r.text = c->got;
	c->got = BUF_INIT;
	client_done(c);
	return r;
}

static void reply_done(struct reply *r)
{
	buf_done(&r->text);
}

static struct reply ask(struct fixture *f, const char *method, const char *target,
			const char *fields, struct span body)
{
	struct client c;

	client_open(f, &c);
	buf_printf(&c.out, "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%s", method,
		   target, fields);
	if (body.p) {
		buf_printf(&c.out, "Content-Length: %zu\r\n", body.n);
	}
	buf_add_str(&c.out, "\r\n");
	buf_add_span(&c.out, body);
	return finish(f, &c);
}

#define FORM "Content-Type: multipart/form-data; boundary=" B "\r\n"

static struct reply post(struct fixture *f, const char *target, struct span body)
{
	return ask(f, "POST", target, FORM, body);
}

static void add_part(struct buf *b, const char *disposition, struct span data)
{
	buf_printf(b, "--" B "\r\nContent-Disposition: form-data; %s\r\n\r\n", disposition);
	buf_add_span(b, data);
	buf_add_str(b, "\r\n");
}

static void add_end(struct buf *b)
{
	buf_add_str(b, "--" B "--\r\n");
}

/* What /upload-ajax says to this body. */
static void assert_ajax(struct fixture *f, struct buf *body, int status, const char *json)
{
	struct reply r = post(f, "/upload-ajax", buf_span(body));

	buf_done(body);
	assert_non_null(r.text.p);
	const char *at = strstr(r.text.p, "\r\n\r\n");

	assert_non_null(at);
	assert_string_equal(at + 4, json);
	assert_int_equal(r.status, status);
	assert_non_null(strstr(r.text.p, "\r\nContent-Type: application/json\r\n"));
	reply_done(&r);
}

#define TEXT   "name=\"text\""
#define FILE_A "name=\"file[]\"; filename=\"a.txt\""

/* --- pages --- */

static void assert_page(struct fixture *f, const char *target, int status, const char *holds)
{
	struct reply r = ask(f, "GET", target, "", SPAN_NONE);

	assert_int_equal(r.status, status);
	if (!strstr(r.text.p, holds)) {
		fail_msg("not in the page: %s", holds);
	}
	reply_done(&r);
}

static void the_form_offers_what_is_accepted(void **state)
{
	struct fixture *f = *state;

	start(f, "{\"title\": \"<Box>\"}");
	assert_page(f, "/", 200, "<title>&lt;Box&gt;</title>");
	assert_page(f, "/", 200, "name=\"file[]\" multiple");
	assert_page(f, "/", 200, "<textarea");
	stop(f);
	start(f, "{\"disable_text\": true}");
	assert_page(f, "/", 200, "<h2>Submit Files</h2>");
	stop(f);
	start(f, "{\"disable_files\": true}");
	assert_page(f, "/", 200, "<h2>Submit Messages</h2>");
	assert_page(f, "/favicon.ico", 200, "image/");
	assert_page(f, "/nothing", 404, "404");
}

static void other_methods_are_told_what_is_allowed(void **state)
{
	struct fixture *f = *state;
	struct reply r;

	start(f, "{}");
	r = ask(f, "GET", "/upload", "", SPAN_NONE);
	assert_int_equal(r.status, 405);
	assert_non_null(strstr(r.text.p, "\r\nAllow: POST\r\n"));
	reply_done(&r);
	r = ask(f, "POST", "/", FORM, SPAN("x"));
	assert_int_equal(r.status, 405);
	assert_non_null(strstr(r.text.p, "\r\nAllow: GET, HEAD\r\n"));
	reply_done(&r);
}

/* --- submissions --- */

static void files_and_message_are_kept_and_named(void **state)
{
	struct fixture *f = *state;
	struct buf b = BUF_INIT;

	start(f, "{}");
	add_part(&b, FILE_A, SPAN("alpha"));
	add_part(&b, TEXT, SPAN("hello\r\nthere"));
	add_part(&b, FILE_A, SPAN("beta"));
	add_part(&b, "name=\"file[]\"; filename=\"../.secret\"", SPAN(""));
	add_part(&b, "name=\"other\"; filename=\"x\"", SPAN("nobody asked"));
	add_end(&b);
	assert_ajax(f, &b, 200,
		    "{\"info_flashes\":[\"Message submitted, uploaded a.txt, a-1.txt, secret\"]}");
	assert_disk(f, "T/a-1.txt=beta\nT/a.txt=alpha\nT/secret=\nT-message.txt=hello\r\nthere\n");
	assert_int_equal(f->submissions, 1);
	assert_int_equal(f->files, 3);
	assert_true(f->message);
	assert_int_equal(f->completed, 1);
	assert_int_equal(f->n_intents, 0);
	add_part(&b, FILE_A, SPAN("alone"));
	add_end(&b);
	assert_ajax(f, &b, 200, "{\"info_flashes\":[\"Uploaded a.txt\"]}");
	add_part(&b, TEXT, SPAN("alone"));
	add_end(&b);
	assert_ajax(f, &b, 200, "{\"info_flashes\":[\"Message submitted\"]}");
}

static void empty_inputs_are_ignored_and_bytes_without_a_name_are_kept(void **state)
{
	struct fixture *f = *state;
	struct buf b = BUF_INIT;

	start(f, "{}");
	add_part(&b, "name=\"file[]\"; filename=\"\"", SPAN(""));
	add_part(&b, TEXT, SPAN(" \r\n\t"));
	add_end(&b);
	assert_ajax(f, &b, 200,
		    "{\"error_flashes\":[\"Nothing submitted or message was too long (> 524288 "
		    "characters)\"]}");
	assert_disk(f, "");
	add_part(&b, "name=\"file[]\"; filename=\"\"", SPAN("bytes"));
	add_part(&b, "name=\"file[]\"", SPAN("more"));
	add_part(&b, TEXT, SPAN("  "));
	add_end(&b);
	assert_ajax(f, &b, 200, "{\"info_flashes\":[\"Uploaded file, file-1\"]}");
	assert_disk(f, "T/file=bytes\nT/file-1=more\n");
}

static void a_form_is_led_to_a_page_that_tells_once(void **state)
{
	struct fixture *f = *state;
	struct buf b = BUF_INIT;

	start(f, "{}");
	add_part(&b, "name=\"file[]\"; filename=\"<a&b>.txt\"", SPAN("x"));
	add_end(&b);
	struct reply r = post(f, "/upload", buf_span(&b));

	buf_done(&b);
	assert_int_equal(r.status, 303);
	assert_null(strstr(r.text.p, "Set-Cookie"));
	char *at = strstr(r.text.p, "\r\nLocation: /?result=");

	assert_non_null(at);
	char *target = xmemdup(at + 12, strcspn(at + 12, "\r"));

	reply_done(&r);
	r = ask(f, "HEAD", target, "", SPAN_NONE); /* does not use it up */
	assert_int_equal(r.status, 200);
	reply_done(&r);
	assert_page(f, target, 200, "Uploaded &lt;a&amp;b&gt;.txt");
	r = ask(f, "GET", target, "", SPAN_NONE);
	assert_null(strstr(r.text.p, "Uploaded"));
	reply_done(&r);
	free(target);
	/* Nothing submitted is told there too. */
	add_end(&b);
	r = post(f, "/upload", buf_span(&b));
	buf_done(&b);
	assert_int_equal(r.status, 303);
	reply_done(&r);
}

static void every_split_of_a_body_gives_the_same_submission(void **state)
{
	struct fixture *f = *state;
	struct buf b = BUF_INIT;

	start(f, "{}");
	add_part(&b, FILE_A, SPAN("first\r\n--" B "x\r"));
	add_part(&b, TEXT, SPAN("text"));
	add_part(&b, "name=\"file[]\"; filename=b", SPAN("second"));
	add_end(&b);
	for (size_t cut = 0; cut < b.len; cut += 7) {
		struct client c;

		client_open(f, &c);
		buf_printf(&c.out,
			   "POST /upload-ajax HTTP/1.1\r\nHost: localhost\r\n"
			   "Connection: close\r\nContent-Length: %zu\r\n" FORM "\r\n",
			   b.len);
		buf_add(&c.out, b.p, cut);
		turn_until(f, (client_turn(&c), c.out_at == c.out.len));
		for (int i = 0; i < 5; i++) {
			uv_run(&f->loop, UV_RUN_NOWAIT);
		}
		buf_add(&c.out, b.p + cut, b.len - cut);
		struct reply r = finish(f, &c);

		assert_int_equal(r.status, 200);
		assert_non_null(strstr(r.text.p, "Message submitted, uploaded a.txt, b"));
		reply_done(&r);
	}
	buf_done(&b);
}

static void fill(struct buf *b, size_t n)
{
	char *p = buf_reserve(b, n);

	for (size_t i = 0; i < n; i++) {
		p[i] = (char)(i * 7 + i / 251);
	}
	b->len += n;
}

static void large_files_arrive_whole_in_little_memory(void **state)
{
	struct fixture *f = *state;
	struct buf b = BUF_INIT, data = BUF_INIT;
	const size_t n = 9 * 1024 * 1024 + 13;

	start(f, "{}");
	fill(&data, n);
	add_part(&b, FILE_A, buf_span(&data));
	add_part(&b, "name=\"file[]\"; filename=b", SPAN("small"));
	add_end(&b);
	assert_ajax(f, &b, 200, "{\"info_flashes\":[\"Uploaded a.txt, b\"]}");
	assert_disk(f, "T/a.txt (9437197)\nT/b=small\n");
	char *command = xasprintf("cat '%s'/*/*/a.txt", f->dir);
	FILE *out = popen(command, "re");
	char *again = xmalloc(n + 1);

	assert_int_equal(fread(again, 1, n + 1, out), n);
	assert_memory_equal(again, data.p, n);
	pclose(out);
	free(again);
	free(command);
	buf_done(&data);
}

static void uploads_at_once_do_not_mix(void **state)
{
	struct fixture *f = *state;
	struct client clients[24];
	unsigned done = 0;

	start(f, "{}");
	for (size_t i = 0; i < ARRAY_SIZE(clients); i++) {
		struct buf b = BUF_INIT, data = BUF_INIT;

		fill(&data, 300000 + i);
		add_part(&b, FILE_A, buf_span(&data));
		add_end(&b);
		client_open(f, &clients[i]);
		buf_printf(&clients[i].out,
			   "POST /upload-ajax HTTP/1.1\r\nHost: localhost\r\n"
			   "Connection: close\r\nContent-Length: %zu\r\n" FORM "\r\n",
			   b.len);
		buf_add_span(&clients[i].out, buf_span(&b));
		buf_done(&b);
		buf_done(&data);
	}
	turn_until(f, ({
			   done = 0;
			   for (size_t i = 0; i < ARRAY_SIZE(clients); i++) {
				   client_turn(&clients[i]);
				   done += clients[i].eof;
			   }
			   done == ARRAY_SIZE(clients);
		   }));
	for (size_t i = 0; i < ARRAY_SIZE(clients); i++) {
		assert_non_null(strstr(clients[i].got.p, "Uploaded a.txt"));
		client_done(&clients[i]);
	}
	assert_int_equal(f->submissions, ARRAY_SIZE(clients));
	struct buf listing = BUF_INIT;

	list_into(&listing, f->dir, "");
	for (size_t i = 0; i < ARRAY_SIZE(clients); i++) {
		char *line = xasprintf("T/a.txt (%zu)\n", 300000 + i);

		assert_non_null(strstr(listing.p, line));
		free(line);
	}
	buf_done(&listing);
}

/* --- what is refused --- */

#define NOT_UNDERSTOOD "{\"error_flashes\":[\"The submission could not be understood\"]}"
#define TOO_LARGE                                                                            \
	"{\"error_flashes\":[\"The submission is larger than is accepted here. Please send " \
	"less at once.\"]}"
#define FULL                                                                         \
	"{\"error_flashes\":[\"There is no room for this submission at the moment; " \
	"nothing of it was kept. Please try again later, or send less.\"]}"

static void what_is_disabled_never_reaches_the_disk(void **state)
{
	struct fixture *f = *state;
	struct buf b = BUF_INIT, data = BUF_INIT;

	start(f, "{\"disable_files\": true}");
	add_part(&b, TEXT, SPAN("a message"));
	add_part(&b, FILE_A, SPAN("x"));
	add_end(&b);
	assert_ajax(f, &b, 403, "{\"error_flashes\":[\"File uploads are not allowed\"]}");
	add_part(&b, "name=\"file[]\"; filename=\"\"", SPAN("x"));
	add_end(&b);
	assert_ajax(f, &b, 403, "{\"error_flashes\":[\"File uploads are not allowed\"]}");
	/* Not even read, where its length tells. */
	fill(&data, 3 * 1024 * 1024);
	add_part(&b, FILE_A, buf_span(&data));
	add_end(&b);
	assert_ajax(f, &b, 413, TOO_LARGE);
	buf_done(&data);
	add_part(&b, "name=\"file[]\"; filename=\"\"", SPAN(""));
	add_part(&b, TEXT, SPAN("a message"));
	add_end(&b);
	assert_ajax(f, &b, 200, "{\"info_flashes\":[\"Message submitted\"]}");
	assert_disk(f, "T-message.txt=a message\n");
	stop(f);
	start(f, "{\"disable_text\": true}");
	add_part(&b, FILE_A, SPAN("x"));
	add_part(&b, TEXT, SPAN("a message"));
	add_end(&b);
	assert_ajax(f, &b, 403, "{\"error_flashes\":[\"Messages are not allowed\"]}");
	add_part(&b, TEXT, SPAN(" "));
	add_end(&b);
	assert_ajax(f, &b, 200, "{\"error_flashes\":[\"Nothing submitted\"]}");
	assert_disk(f, "T-message.txt=a message\n");
}

static void malformed_bodies_leave_nothing(void **state)
{
	struct fixture *f = *state;
	struct buf b = BUF_INIT;
	struct reply r;

	start(f, "{}");
	add_part(&b, FILE_A, SPAN("no last boundary"));
	assert_ajax(f, &b, 400, NOT_UNDERSTOOD);
	add_part(&b, "name=\"file[]", SPAN("open quote"));
	add_end(&b);
	assert_ajax(f, &b, 400, NOT_UNDERSTOOD);
	add_part(&b, TEXT, SPAN("one"));
	add_part(&b, TEXT, SPAN("two"));
	add_end(&b);
	assert_ajax(f, &b, 400, NOT_UNDERSTOOD);
	for (unsigned i = 0; i < 1001; i++) {
		add_part(&b, "name=x", SPAN(""));
	}
	add_end(&b);
	assert_ajax(f, &b, 413,
		    "{\"error_flashes\":[\"Too many files at once. Please send them in several "
		    "submissions, or in one archive.\"]}");
	r = ask(f, "POST", "/upload", "Content-Type: text/plain\r\n", SPAN("x"));
	assert_int_equal(r.status, 400);
	assert_non_null(strstr(r.text.p, "could not be understood"));
	assert_non_null(strstr(r.text.p, "<form"));
	reply_done(&r);
	assert_disk(f, "");
	assert_int_equal(f->submissions, 0);
}

static void foreign_pages_cannot_submit(void **state)
{
	struct fixture *f = *state;
	struct buf b = BUF_INIT;
	struct reply r;

	start(f, "{}");
	add_part(&b, TEXT, SPAN("x"));
	add_end(&b);
	r = ask(f, "POST", "/upload", FORM "Origin: http://evil.example\r\n", buf_span(&b));
	assert_int_equal(r.status, 403);
	reply_done(&r);
	r = ask(f, "POST", "/upload", FORM "Sec-Fetch-Site: cross-site\r\n", buf_span(&b));
	assert_int_equal(r.status, 403);
	reply_done(&r);
	r = ask(f, "POST", "/upload", FORM "Origin: null\r\n", buf_span(&b));
	assert_int_equal(r.status, 303);
	reply_done(&r);
	buf_done(&b);
}

static void a_message_has_so_many_characters_and_no_more(void **state)
{
	struct fixture *f = *state;
	struct buf b = BUF_INIT, text = BUF_INIT;
	static const char *const units[] = {"a", "\xf0\x9f\x98\x80", "\r\n"};

	start(f, "{}");
	for (size_t k = 0; k < 3; k++) {
		buf_clear(&text);
		for (unsigned i = 0; i < 524287; i++) {
			buf_add_str(&text, units[k]);
		}
		buf_add_char(&text, '.');
		add_part(&b, TEXT, buf_span(&text));
		add_end(&b);
		assert_ajax(f, &b, 200, "{\"info_flashes\":[\"Message submitted\"]}");
		buf_add_char(&text, '.');
		add_part(&b, TEXT, buf_span(&text));
		add_end(&b);
		assert_ajax(f, &b, 200,
			    "{\"error_flashes\":[\"Nothing submitted or message was too long (> "
			    "524288 characters)\"]}");
	}
	/* Bytes that are no characters at all do not get around it. */
	buf_clear(&text);
	for (unsigned i = 0; i < 4 * 524288 + 1; i++) {
		buf_add_char(&text, (char)0x80);
	}
	add_part(&b, TEXT, buf_span(&text));
	add_end(&b);
	assert_ajax(f, &b, 200,
		    "{\"error_flashes\":[\"Nothing submitted or message was too long (> 524288 "
		    "characters)\"]}");
	buf_done(&text);
	assert_disk(f, "T-message.txt (524288)\nT-message.txt (2097149)\n"
		       "T-message.txt (1048575)\n");
}

static void a_submission_is_as_large_as_it_may_be_and_no_larger(void **state)
{
	struct fixture *f = *state;
	struct buf b = BUF_INIT, data = BUF_INIT;

	start(f, "{\"max_submission\": 100000}");
	fill(&data, 99990);
	add_part(&b, FILE_A, buf_span(&data));
	add_part(&b, TEXT, SPAN("0123456789"));
	add_end(&b);
	assert_ajax(f, &b, 200, "{\"info_flashes\":[\"Message submitted, uploaded a.txt\"]}");
	add_part(&b, FILE_A, buf_span(&data));
	add_part(&b, TEXT, SPAN("0123456789+"));
	add_end(&b);
	assert_ajax(f, &b, 413, TOO_LARGE);
	buf_clear(&data);
	fill(&data, 400000);
	add_part(&b, FILE_A, buf_span(&data));
	add_end(&b);
	assert_ajax(f, &b, 413, TOO_LARGE);
	buf_done(&data);
	assert_disk(f, "T/a.txt (99990)\nT-message.txt=0123456789\n");
}

static void the_quota_counts_all_that_is_there(void **state)
{
	struct fixture *f = *state;
	struct buf b = BUF_INIT, data = BUF_INIT;

	unit_write(f->dir, "old", "0123456789");
	start(f, "{\"quota\": 1010}");
	fill(&data, 600);
	add_part(&b, FILE_A, buf_span(&data));
	add_end(&b);
	assert_ajax(f, &b, 200, "{\"info_flashes\":[\"Uploaded a.txt\"]}");
	add_part(&b, FILE_A, buf_span(&data));
	add_end(&b);
	assert_ajax(f, &b, 507, FULL);
	buf_clear(&data);
	fill(&data, 400);
	add_part(&b, FILE_A, buf_span(&data));
	add_end(&b);
	assert_ajax(f, &b, 200, "{\"info_flashes\":[\"Uploaded a.txt\"]}");
	add_part(&b, FILE_A, SPAN("1"));
	add_end(&b);
	assert_ajax(f, &b, 507, FULL);
	/* Its owner takes something out: soon there is room again, without a restart. */
	char *old = xasprintf("%s/old", f->dir);
	bool again = false;

	assert_int_equal(unlink(old), 0);
	free(old);
	for (double until = now() + HANG_SECONDS; !again && now() < until;) {
		add_part(&b, FILE_A, SPAN("1"));
		add_end(&b);
		struct reply r = post(f, "/upload-ajax", buf_span(&b));

		again = r.status == 200;
		assert_true(again || r.status == 507);
		reply_done(&r);
		buf_done(&b);
	}
	assert_true(again);
	buf_done(&data);
}

static void free_space_is_left_to_others(void **state)
{
	struct fixture *f = *state;
	struct buf b = BUF_INIT;

	start(f, "{\"min_free\": 4611686018427387904}");
	add_part(&b, FILE_A, SPAN("1"));
	add_end(&b);
	assert_ajax(f, &b, 507, FULL);
	add_part(&b, FILE_A, SPAN("1"));
	add_end(&b);
	struct reply r = post(f, "/upload", buf_span(&b));

	assert_int_equal(r.status, 507);
	assert_non_null(strstr(r.text.p, "There is no room"));
	assert_non_null(strstr(r.text.p, "<form"));
	reply_done(&r);
	buf_done(&b);
	assert_disk(f, "");
}

static void a_refused_visitor_is_not_asked_for_the_body(void **state)
{
	struct fixture *f = *state;
	struct client c;

	start(f, "{\"max_submission\": 10}");
	client_open(f, &c);
	buf_add_str(&c.out, "POST /upload HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
			    "Expect: 100-continue\r\nContent-Length: 1000000\r\n" FORM "\r\n");
	turn_until(f, (client_turn(&c), c.got.len > 0));
	assert_non_null(strstr(c.got.p, "HTTP/1.1 413 "));
	assert_null(strstr(c.got.p, "100 Continue"));
	client_done(&c);
}

/* --- visitors who leave, daemons that end --- */

static void who_leaves_early_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	struct buf b = BUF_INIT, data = BUF_INIT;

	start(f, "{}");
	fill(&data, 2000000);
	add_part(&b, FILE_A, buf_span(&data));
	add_end(&b);
	static const unsigned percent[] = {0, 1, 50, 99};

	for (size_t i = 0; i < ARRAY_SIZE(percent); i++) {
		struct client c;

		client_open(f, &c);
		buf_printf(&c.out,
			   "POST /upload HTTP/1.1\r\nHost: localhost\r\n"
			   "Content-Length: %zu\r\n" FORM "\r\n",
			   b.len);
		buf_add(&c.out, b.p, b.len * percent[i] / 100);
		turn_until(f, (client_turn(&c), c.out_at == c.out.len));
		client_done(&c);
		turn_until(f, http_server_connections(f->server) == 0);
		turn_until(f, mode_receive.active(f->mode) == 0);
		assert_disk(f, "");
	}
	assert_int_equal(f->submissions, 0);
	assert_int_equal(f->started, f->cancelled);
	buf_done(&b);
	buf_done(&data);
}

static void nothing_is_kept_that_was_not_written_down(void **state)
{
	struct fixture *f = *state;
	struct buf b = BUF_INIT;

	start(f, "{}");
	f->refuse_intents = true;
	add_part(&b, FILE_A, SPAN("x"));
	add_end(&b);
	assert_ajax(f, &b, 500,
		    "{\"error_flashes\":[\"Error uploading, please inform the OnionShare user\"]}");
	turn_until(f, mode_receive.active(f->mode) == 0);
	assert_disk(f, "");
	assert_int_equal(f->submissions, 0);
}

static void who_leaves_late_is_not_forgotten(void **state)
{
	struct fixture *f = *state;
	struct client c;

	start(f, "{}");
	f->hold = true;
	client_open(f, &c);
	struct buf b = BUF_INIT;

	add_part(&b, FILE_A, SPAN("x"));
	add_end(&b);
	buf_printf(&c.out,
		   "POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n" FORM
		   "\r\n",
		   b.len);
	buf_add_span(&c.out, buf_span(&b));
	buf_done(&b);
	turn_until(f, (client_turn(&c), f->n_intents == 1));
	client_done(&c);
	turn_until(f, http_server_connections(f->server) == 0);
	assert_int_equal(f->submissions, 0);
	f->hold = false;
	turn_until(f, mode_receive.active(f->mode) == 0);
	assert_disk(f, "T/a.txt=x\n");
	assert_int_equal(f->submissions, 1);
}

static void what_was_written_down_is_completed_at_the_start(void **state)
{
	struct fixture *f = *state;
	struct inbox *inbox;
	struct inbox_place *place = &f->intents[0].place;

	assert_int_equal(inbox_open(f->dir, 0, &inbox, NULL), 0);
	for (int i = 0; i < 2; i++) {
		struct inbox_sub *s = inbox_sub_new(inbox);
		struct buf b = BUF_INIT;
		static const struct inbox_record begin = {INBOX_FILE, 1}, data = {INBOX_DATA, 3},
						 end = {INBOX_END, 0};

		buf_add(&b, &begin, sizeof(begin));
		buf_add_char(&b, 'f');
		buf_add(&b, &data, sizeof(data));
		buf_add_str(&b, i == 0 ? "one" : "two");
		buf_add(&b, &end, sizeof(end));
		assert_int_equal(inbox_sub_write(s, buf_span(&b)), 0);
		struct inbox_place unknown;

		assert_int_equal(inbox_sub_settle(s, 1, i == 0 ? place : &unknown), 0);
		inbox_sub_free(s);
		buf_done(&b);
	}
	inbox_close(inbox);
	f->intents[0].id = 5;
	f->n_intents = 1;
	start(f, "{}");
	turn_until(f, f->n_intents == 0);
	assert_disk(f, "T/f=one\n");
}

static void a_directory_that_cannot_be_used_is_said(void **state)
{
	struct fixture *f = *state;
	char *dir = f->dir;

	unit_write(dir, "file", "");
	f->dir = xasprintf("%s/file", dir);
	begin_mode(f, "{}");
	turn_until(f, f->ready);
	assert_non_null(f->error);
	assert_non_null(strstr(f->error, f->dir));
	stop(f);
	free(f->dir);
	f->dir = dir;
	/* Stopped before it was ready: ready is not called. */
	begin_mode(f, "{}");
	stop(f);
	assert_int_equal(f->ready, 0);
}

/* --- results that are shown once --- */

static void tokens_are_used_up_and_bounded(void **state)
{
	struct flashes *set = flashes_new();
	char tokens[FLASH_MAX + 1][FLASH_TOKEN_LEN + 1];
	struct buf b = BUF_INIT;
	bool is_error;

	(void)state;
	for (unsigned i = 0; i <= FLASH_MAX; i++) {
		flashes_put(set, 0, SPAN("text"), i % 2, tokens[i]);
	}
	assert_false(flashes_take(set, 0, span_str(tokens[0]), &b, &is_error));
	assert_true(flashes_take(set, 0, span_str(tokens[1]), &b, &is_error));
	assert_true(is_error);
	assert_string_equal(b.p, "text");
	assert_false(flashes_take(set, 0, span_str(tokens[1]), &b, &is_error));
	assert_false(flashes_take(set, 0, SPAN(""), &b, &is_error));
	assert_false(flashes_take(set, FLASH_LIFE_MS, span_str(tokens[2]), &b, &is_error));
	buf_clear(&b);
	struct buf text = BUF_INIT;

	while (text.len < 2 * FLASH_TEXT_MAX) {
		buf_add_str(&text, "\xe2\x82\xac");
	}
	flashes_put(set, 0, buf_span(&text), false, tokens[0]);
	assert_true(flashes_take(set, 0, span_str(tokens[0]), &b, &is_error));
	assert_true(b.len <= FLASH_TEXT_MAX + 4);
	assert_true(span_ends(buf_span(&b), SPAN("\xac ...")));
	buf_done(&text);
	buf_done(&b);
	flashes_free(set);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_form_offers_what_is_accepted),
		T(other_methods_are_told_what_is_allowed),
		T(files_and_message_are_kept_and_named),
		T(empty_inputs_are_ignored_and_bytes_without_a_name_are_kept),
		T(a_form_is_led_to_a_page_that_tells_once),
		T(every_split_of_a_body_gives_the_same_submission),
		T(large_files_arrive_whole_in_little_memory),
		T(uploads_at_once_do_not_mix),
		T(what_is_disabled_never_reaches_the_disk),
		T(malformed_bodies_leave_nothing),
		T(foreign_pages_cannot_submit),
		T(a_message_has_so_many_characters_and_no_more),
		T(a_submission_is_as_large_as_it_may_be_and_no_larger),
		T(the_quota_counts_all_that_is_there),
		T(free_space_is_left_to_others),
		T(a_refused_visitor_is_not_asked_for_the_body),
		T(who_leaves_early_leaves_nothing),
		T(nothing_is_kept_that_was_not_written_down),
		T(who_leaves_late_is_not_forgotten),
		T(what_was_written_down_is_completed_at_the_start),
		T(a_directory_that_cannot_be_used_is_said),
		cmocka_unit_test(tokens_are_used_up_and_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
