/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "receive_world.h"

#include <dirent.h>
#include <errno.h>
#include <sys/socket.h>

#include "ev/bufpool.h"

/* A question to the host, answered from the loop. */
struct question {
	struct list link;
	int64_t id;
	mode_pending_fn *pending;
	mode_intended_fn *intended;
	mode_finished_fn *finished;
	void *ud;
};

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

	assert_in_range(id, 1, now_us + 600000000); /* when it came in */
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

void begin_mode(struct fixture *f, const char *options)
{
	static const struct http_server_ops server_ops = {.request = on_request};
	static const uint8_t secret[32];
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
		.data_dir = f->dir,
		.data_dir_owner = FS_ANY_OWNER,
	};

	assert_non_null(json);
	f->ready = f->stopped = f->closed = 0;
	f->mode = mode_receive.start(&f->ev, &spec, &host, on_ready, f);
	f->server = http_server_new(&f->ev, &config, &server_ops, f);
	json_decref(json);
	assert_int_equal(f->ready, 0);
}

void start(struct fixture *f, const char *options)
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

void stop(struct fixture *f)
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

int setup(void **state)
{
	struct fixture *f = xnew(struct fixture);

	turn_begin(&f->loop, &f->ev, 4 * BUFPOOL_BUFFER_SIZE);
	uv_idle_init(&f->loop, &f->idle);
	f->idle.data = f;
	list_init(&f->questions);
	f->dir = unit_tmpdir();
	*state = f;
	return 0;
}

int teardown(void **state)
{
	struct fixture *f = *state;

	stop(f);
	free(f->error);
	uv_close((uv_handle_t *)&f->idle, NULL);
	turn_end(&f->loop, &f->ev);
	unit_rmtree(f->dir);
	free(f);
	return 0;
}

/* --- the disk --- */

/* Names and contents below dir, times of arrival as T; hidden too. */
void list_into(struct buf *b, const char *dir, const char *prefix)
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

void assert_disk(struct fixture *f, const char *expected)
{
	struct buf b = BUF_INIT;

	/* What was refused is removed behind the answer. */
	turn_until(f, mode_receive.active(f->mode) == 0);
	list_into(&b, f->dir, "");
	assert_string_equal(b.p ? b.p : "", expected);
	buf_done(&b);
}

/* --- visitors --- */

void client_open(struct fixture *f, struct client *c)
{
	int pair[2];

	*c = (struct client){0};
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair),
			 0);
	c->fd = pair[0];
	http_server_adopt(f->server, pair[1]);
}

void client_turn(struct client *c)
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

void client_done(struct client *c)
{
	if (c->fd >= 0) {
		close(c->fd);
	}
	buf_done(&c->out);
	buf_done(&c->got);
}

struct reply finish(struct fixture *f, struct client *c)
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

void reply_done(struct reply *r)
{
	buf_done(&r->text);
}

struct reply ask(struct fixture *f, const char *method, const char *target, const char *fields,
		 struct span body)
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

struct reply post(struct fixture *f, const char *target, struct span body)
{
	return ask(f, "POST", target, FORM, body);
}

void add_part(struct buf *b, const char *disposition, struct span data)
{
	buf_printf(b, "--" B "\r\nContent-Disposition: form-data; %s\r\n\r\n", disposition);
	buf_add_span(b, data);
	buf_add_str(b, "\r\n");
}

void add_end(struct buf *b)
{
	buf_add_str(b, "--" B "--\r\n");
}
