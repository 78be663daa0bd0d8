/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Share mode behind a real HTTP server, visited over socket pairs on the same loop. */
#include <errno.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "ev/bufpool.h"
#include "http/server.h"
#include "mode/assets.h"
#include "mode/files/downloads.h"
#include "mode/mode.h"
#include "mode/share/openfiles.h"
#include "proto/base/buf.h"
#include "turn.h"

struct cached {
	char *key;
	struct buf value;
};

struct event {
	uint64_t id, bytes, total;
	enum mode_transfer_phase phase;
	char path[64];
};

struct fixture {
	uv_loop_t loop;
	struct ev ev;
	char *dir;
	struct mode *mode;
	struct http_server *server;
	uint8_t secret[32];
	/* the host's side */
	struct cached cache[64];
	size_t n_cache;
	uint64_t last_id;
	struct event events[256];
	size_t n_events;
	int ready, completed, failed, stopped, closed;
	char *error;
	/* answers of cache_get */
	uv_idle_t idle;
	void (*get_cb)(void *, struct span);
	void *get_ud;
	struct span get_value;
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
	struct event *e = &f->events[f->n_events];

	assert_true(out);
	if (phase == MODE_TRANSFER_PROGRESS) {
		assert_true(bytes <= 2 * total);
		return;
	}
	assert_true(f->n_events < ARRAY_SIZE(f->events));
	f->n_events++;
	*e = (struct event){.id = id, .bytes = bytes, .total = total, .phase = phase};
	snprintf(e->path, sizeof(e->path), "%s", path ? path : "(none)");
}

static void host_completed(void *ud)
{
	((struct fixture *)ud)->completed++;
}

static void host_failed(void *ud, const struct error *why)
{
	struct fixture *f = ud;

	f->failed++;
	free(f->error);
	f->error = xstrdup(error_text(why));
}

static void host_cache_put(void *ud, const char *key, struct span value)
{
	struct fixture *f = ud;
	size_t i = 0;

	while (i < f->n_cache && strcmp(f->cache[i].key, key) != 0) {
		i++;
	}
	if (i == f->n_cache) {
		assert_true(i < ARRAY_SIZE(f->cache));
		f->cache[f->n_cache++].key = xstrdup(key);
	}
	assert_null(strstr(key, f->dir)); /* no path in a key */
	buf_clear(&f->cache[i].value);
	buf_add_span(&f->cache[i].value, value);
}

static void get_later(uv_idle_t *idle)
{
	struct fixture *f = idle->data;

	uv_idle_stop(idle);
	f->get_cb(f->get_ud, f->get_value);
}

static void host_cache_get(void *ud, const char *key, void (*cb)(void *, struct span), void *cb_ud)
{
	struct fixture *f = ud;

	f->get_cb = cb;
	f->get_ud = cb_ud;
	f->get_value = SPAN_NONE;
	for (size_t i = 0; i < f->n_cache; i++) {
		if (strcmp(f->cache[i].key, key) == 0) {
			f->get_value = buf_span(&f->cache[i].value);
		}
	}
	f->idle.data = f;
	uv_idle_start(&f->idle, get_later);
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
	struct fixture *f = ud;

	mode_share.request(f->mode, req);
}

static const struct http_server_ops server_ops = {.request = on_request};

/* --- life --- */

static void begin_mode(struct fixture *f, const char *options, const char *const *names)
{
	const char *paths[16] = {NULL};
	size_t n = 0;
	json_t *json = json_loads(options, 0, NULL);
	const struct mode_host host = {
		.transfer_id = host_transfer_id,
		.transfer = host_transfer,
		.completed = host_completed,
		.failed = host_failed,
		.cache_put = host_cache_put,
		.cache_get = host_cache_get,
		.ud = f,
	};
	const struct http_server_config config = {.limits = http_limits_default,
						  .csp = "",
						  .peer_uid = (uid_t)-1};

	assert_non_null(json);
	for (; names[n]; n++) {
		paths[n] = *names[n] ? xasprintf("%s/%s", f->dir, names[n]) : xstrdup(f->dir);
	}
	struct mode_content *content =
		mode_content_new(paths, NULL, n, MODE_LAYOUT_ALONE, NULL, NULL);
	const struct mode_spec spec = {
		.service_name = "test",
		.title = json_string_value(json_object_get(json, "title")),
		.options = json,
		.secret = f->secret,
		.content = content,
	};

	f->ready = f->completed = f->failed = f->stopped = f->closed = 0;
	f->n_events = 0;
	f->mode = mode_share.start(&f->ev, &spec, &host, on_ready, f);
	f->server = http_server_new(&f->ev, &config, &server_ops, f);
	mode_content_unref(content);
	for (size_t i = 0; paths[i]; i++) {
		free((char *)(uintptr_t)paths[i]);
	}
	json_decref(json);
	assert_int_equal(f->ready, 0);
}

#define start(f, options, ...)                                                    \
	do {                                                                      \
		begin_mode(f, options, (const char *const[]){__VA_ARGS__, NULL}); \
		turn_until(f, (f)->ready);                                        \
		assert_null((f)->error);                                          \
	} while (0)

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
	assert_int_equal(mode_share.active(f->mode), 0);
	mode_share.stop(f->mode, on_stopped, f);
	assert_int_equal(f->stopped, 0);
	turn_until(f, f->stopped);
	assert_int_equal(bufpool_in_use(f->ev.bufs), 0);
	f->mode = NULL;
	/* Every transfer that began has ended, once. */
	for (size_t i = 0; i < f->n_events; i++) {
		unsigned ends = 0;

		for (size_t k = 0; k < f->n_events; k++) {
			ends += f->events[k].id == f->events[i].id &&
				f->events[k].phase != MODE_TRANSFER_STARTED;
		}
		assert_int_equal(ends, 1);
	}
}

static int begin(void **state)
{
	struct fixture *f = xnew(struct fixture);

	turn_begin(&f->loop, &f->ev, 16 * BUFPOOL_BUFFER_SIZE);
	uv_idle_init(&f->loop, &f->idle);
	f->dir = unit_tmpdir();
	memset(f->secret, 7, sizeof(f->secret));
	*state = f;
	return 0;
}

static int end(void **state)
{
	struct fixture *f = *state;

	stop(f);
	for (size_t i = 0; i < f->n_cache; i++) {
		free(f->cache[i].key);
		buf_done(&f->cache[i].value);
	}
	free(f->error);
	uv_close((uv_handle_t *)&f->idle, NULL);
	turn_end(&f->loop, &f->ev);
	unit_rmtree(f->dir);
	free(f);
	return 0;
}

/* --- visitors --- */

struct reply {
	int status;
	char *head; /* lower-case names are not needed: our server's spelling is known */
	struct buf body;
	bool whole; /* as long as Content-Length says, or properly ended chunks */
};

struct client {
	int fd;
	unsigned others; /* connections besides this one when it came */
	struct buf got;
	bool eof;
};

static void client_open(struct fixture *f, struct client *c, const char *method, const char *path,
			const char *fields)
{
	int pair[2];
	char *text = xasprintf("%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%s\r\n",
			       method, path, fields);

	*c = (struct client){.others = http_server_connections(f->server)};
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair),
			 0);
	c->fd = pair[0];
	assert_int_equal(write(c->fd, text, strlen(text)), strlen(text));
	free(text);
	http_server_adopt(f->server, pair[1]);
}

static void client_read(struct client *c)
{
	char room[65536];
	ssize_t n = read(c->fd, room, sizeof(room));

	if (n > 0) {
		buf_add(&c->got, room, (size_t)n);
	} else if (n == 0 || errno != EAGAIN) {
		c->eof = true;
	}
}

static void client_read_until(struct fixture *f, struct client *c, size_t n)
{
	turn_until(f, (client_read(c), c->eof || c->got.len >= n));
}

static void client_close(struct fixture *f, struct client *c)
{
	close(c->fd);
	buf_done(&c->got);
	turn_until(f, http_server_connections(f->server) <= c->others);
}

static char *field(const struct reply *r, const char *name)
{
	char *key = xasprintf("\r\n%s: ", name);
	char *at = strstr(r->head, key), *end;

	if (!at) {
		free(key);
		return NULL;
	}
	at += strlen(key);
	free(key);
	end = strstr(at, "\r\n");
	return end ? (char *)xmemdup(at, (size_t)(end - at)) : xstrdup(at);
}

static void unchunk(struct reply *r)
{
	struct buf plain = BUF_INIT;
	const char *p = r->body.p, *end = p + r->body.len;

	r->whole = false;
	while (p < end) {
		char *line;
		unsigned long n = strtoul(p, &line, 16);

		p = line + 2;
		if (n == 0) {
			r->whole = true;
			break;
		}
		assert_true(p + n + 2 <= end);
		buf_add(&plain, p, n);
		p += n + 2;
	}
	buf_done(&r->body);
	r->body = plain;
}

static struct reply finish(struct fixture *f, struct client *c, bool head)
{
	struct reply r = {0};

	client_read_until(f, c, SIZE_MAX);
	char *blank = c->got.len ? memmem(c->got.p, c->got.len, "\r\n\r\n", 4) : NULL;

	assert_non_null(blank);
	r.head = xmemdup(c->got.p, (size_t)(blank - c->got.p) + 2);
	assert_int_equal(sscanf(r.head, "HTTP/1.1 %d", &r.status), 1);
	buf_add(&r.body, blank + 4, c->got.len - (size_t)(blank + 4 - c->got.p));
	char *length = field(&r, "Content-Length"), *chunked = field(&r, "Transfer-Encoding");

	if (chunked) {
		unchunk(&r);
	} else {
		r.whole = head || !length || r.body.len == strtoull(length, NULL, 10);
	}
	free(length);
	free(chunked);
	client_close(f, c);
	return r;
}

static struct reply ask(struct fixture *f, const char *method, const char *path, const char *fields)
{
	struct client c;

	client_open(f, &c, method, path, fields);
	return finish(f, &c, strcmp(method, "HEAD") == 0);
}

static struct reply get(struct fixture *f, const char *path)
{
	return ask(f, "GET", path, "");
}

static void done(struct reply *r)
{
	free(r->head);
	buf_done(&r->body);
}

static void assert_status(struct fixture *f, const char *path, int status)
{
	struct reply r = get(f, path);

	if (r.status != status) {
		fail_msg("%s: %d, not %d", path, r.status, status);
	}
	done(&r);
}

static void assert_field(const struct reply *r, const char *name, const char *want)
{
	char *value = field(r, name);

	if (!value || strcmp(value, want) != 0) {
		fail_msg("%s: %s, not %s", name, value ? value : "(none)", want);
	}
	free(value);
}

static void assert_has(const struct reply *r, const char *text)
{
	if (!r->body.len || !strstr(r->body.p, text)) {
		fail_msg("no \"%s\" in: %s", text, r->body.len ? r->body.p : "");
	}
}

static void assert_has_not(const struct reply *r, const char *text)
{
	if (r->body.len && strstr(r->body.p, text)) {
		fail_msg("\"%s\" in: %s", text, r->body.p);
	}
}

/* --- files --- */

static char *in(struct fixture *f, const char *name)
{
	return xasprintf("%s/%s", f->dir, name);
}

static void make_dir(struct fixture *f, const char *name)
{
	char *path = in(f, name);

	assert_int_equal(mkdir(path, 0755), 0);
	free(path);
}

static void make_file(struct fixture *f, const char *name, const char *text)
{
	unit_write(f->dir, name, text);
}

static void make_large(struct fixture *f, const char *name, size_t n, unsigned seed)
{
	char *path = in(f, name);
	FILE *file = fopen(path, "we");

	for (size_t i = 0; i < n; i++) {
		putc((int)((i * 7 + i / 253 + seed) & 0xFF), file);
	}
	assert_int_equal(fclose(file), 0);
	free(path);
}

/* Past the time for which a look at the files is good. */
static void let_look_grow_old(struct fixture *f)
{
	double until = now() + 1.1;

	turn_until(f, now() > until);
}

static void assert_is_zip(struct fixture *f, const struct reply *r, const char *names)
{
	char *zip = in(f, "../onionshared-test-share.zip");
	FILE *file = fopen(zip, "we");

	assert_int_equal(fwrite(r->body.p, 1, r->body.len, file), r->body.len);
	fclose(file);
	char *check = xasprintf("python3 -c 'import sys,zipfile; z=zipfile.ZipFile(sys.argv[1]); "
				"assert z.testzip() is None; "
				"assert \" \".join(z.namelist()) == sys.argv[2], z.namelist()' "
				"'%s' '%s'",
				zip, names);

	assert_int_equal(system(check), 0);
	free(check);
	unlink(zip);
	free(zip);
}

/* --- pages --- */

static void the_page_lists_directories_first_and_escapes_names(void **state)
{
	struct fixture *f = *state;

	make_file(f, "b.txt", "12345");
	make_file(f, "<b>&'\".txt", "");
	make_file(f,
		  "exe.\xe2\x80\xae"
		  "txt",
		  "");
	make_file(f, "\xff", "");
	make_dir(f, "zdir");
	start(f, "{\"title\": \"<i>Title\"}", "");
	struct reply r = get(f, "/");

	assert_int_equal(r.status, 200);
	assert_true(r.whole);
	assert_field(&r, "Content-Type", "text/html; charset=utf-8");
	assert_has(&r, "<html lang=\"en\">");
	assert_has(&r, "<title>&lt;i&gt;Title</title>");
	assert_has(&r, "href=\"/download\"");
	assert_has(&r, "&lt;b&gt;&amp;&#39;&quot;.txt");
	assert_has(&r, "exe.\\u{202e}txt");
	assert_has(&r, "\\xff");
	assert_has(&r, "5.0 B</b> in 4 files");
	assert_has_not(&r, "\xe2\x80\xae");
	assert_has_not(&r, "href=\"/b.txt\"");
	assert_has_not(&r, "<script");
	assert_has_not(&r, "style=");
	assert_has_not(&r, "http:");
	assert_true(strstr(r.body.p, "zdir") < strstr(r.body.p, "b.txt"));
	assert_true(r.body.len < 20 * 1024);
	done(&r);
	/* One at a time they are not to be had. */
	assert_status(f, "/b.txt", 404);
	assert_status(f, "/zdir/", 404);
}

static void pages_bring_their_own_style_and_icons(void **state)
{
	struct fixture *f = *state;

	make_dir(f, "static");
	make_file(f, "static/style.css", "theirs");
	start(f, "{\"no_autostop_sharing\": true}", "");
	struct reply r = get(f, ASSETS_PATH "style.css");

	assert_int_equal(r.status, 200);
	assert_field(&r, "Content-Type", "text/css; charset=utf-8");
	assert_has(&r, "prefers-color-scheme: dark");
	char *etag = field(&r, "ETag");

	assert_non_null(etag);
	char *fields = xasprintf("If-None-Match: %s\r\n", etag);

	done(&r);
	r = ask(f, "GET", ASSETS_PATH "style.css", fields);
	assert_int_equal(r.status, 304);
	done(&r);
	free(etag);
	free(fields);
	r = get(f, "/static/style.css");
	assert_has(&r, "theirs");
	done(&r);
	r = get(f, "/favicon.ico");
	assert_int_equal(r.status, 200);
	assert_true(r.body.len > 100);
	done(&r);
	assert_status(f, ASSETS_PATH "icon.svg", 200);
	assert_status(f, ASSETS_PATH, 404);
	assert_status(f, ASSETS_PATH "../style.css", 404);
}

static void other_methods_are_told_which_are_allowed(void **state)
{
	struct fixture *f = *state;

	make_file(f, "a", "");
	start(f, "{}", "a");
	static const char *const paths[] = {"/", "/download", "/nothing"};

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		struct reply r = ask(f, "POST", paths[i], "Content-Length: 0\r\n");

		assert_int_equal(r.status, 405);
		assert_field(&r, "Allow", "GET, HEAD");
		done(&r);
	}
	assert_int_equal(f->n_events, 0);
}

static void files_and_directories_have_addresses_of_their_own_without_autostop(void **state)
{
	struct fixture *f = *state;
	struct reply r;

	make_dir(f, "dir");
	make_dir(f, "dir/in");
	make_file(f, "dir/in/page.html", "<p>");
	make_file(f, "dir/a\nb", "newline");
	make_file(f, "dir/\xff\xfe", "bytes");
	make_file(f, "dir/100% & more?.txt", "odd");
	make_file(f, "download", "file");
	make_file(f, "dir/back\\slash", "in the zip only");
	start(f, "{\"no_autostop_sharing\": true, \"log_filenames\": true}", "");
	r = get(f, "/");
	assert_has(&r, "href=\"/dir/\"");
	assert_has_not(&r, "href=\"/download\"><bdi>");
	done(&r);
	r = get(f, "/dir");
	assert_has(&r, "href=\"/dir/a%0Ab\"");
	assert_has(&r, "href=\"/dir/%FF%FE\"");
	assert_has(&r, "href=\"/dir/100%25%20%26%20more%3F.txt\"");
	assert_has(&r, "href=\"/dir/in/\"");
	assert_has(&r, "<td><bdi>back\\slash</bdi>");
	assert_has(&r, "aria-current=\"page\"><bdi>dir</bdi>");
	done(&r);
	r = get(f, "/dir/in/");
	assert_int_equal(r.status, 200);
	assert_has(&r, "<a href=\"/dir/\"><bdi>dir</bdi></a>");
	done(&r);
	r = get(f, "/dir/in/page.html");
	assert_string_equal(r.body.p, "<p>");
	assert_field(&r, "Content-Type", "text/html; charset=utf-8");
	assert_field(&r, "Content-Disposition",
		     "inline; filename=\"page.html\"; filename*=UTF-8''page.html");
	assert_field(&r, "X-Content-Type-Options", "nosniff");
	done(&r);
	r = get(f, "/dir/a%0Ab");
	assert_string_equal(r.body.p, "newline");
	done(&r);
	r = get(f, "/dir/%FF%FE");
	assert_string_equal(r.body.p, "bytes");
	done(&r);
	r = get(f, "/dir/100%25%20%26%20more%3F.txt");
	assert_string_equal(r.body.p, "odd");
	done(&r);
	assert_status(f, "/dir/in/page.html/", 404);
	assert_status(f, "/dir//in/", 404);
	assert_status(f, "/nothing", 404);
	r = get(f, "/download");
	assert_field(&r, "Content-Type", "application/zip");
	done(&r);
	assert_int_equal(f->completed, 0);
	assert_string_equal(f->events[0].path, "/dir/in/page.html");
}

static void a_large_directory_is_listed_in_pieces(void **state)
{
	struct fixture *f = *state;
	char name[32];

	for (int i = 0; i < 20000; i++) {
		snprintf(name, sizeof(name), "file%d.txt", i);
		make_file(f, name, "");
	}
	start(f, "{}", "");
	double begun = now();
	struct reply r = get(f, "/");

	assert_true(now() - begun < 2);
	assert_int_equal(r.status, 200);
	assert_true(r.whole);
	unsigned rows = 0;

	for (const char *p = r.body.p; (p = strstr(p, "<tr><td>")); p++) {
		rows++;
	}
	assert_int_equal(rows, 20000);
	assert_has(&r, "</html>");
	done(&r);
}

/* --- downloads --- */

static void one_file_is_sent_as_it_is_and_ends_the_share(void **state)
{
	struct fixture *f = *state;

	make_file(f, "r\xc3\xa9sum\xc3\xa9.txt", "hello");
	start(f, "{}", "r\xc3\xa9sum\xc3\xa9.txt");
	struct reply r = get(f, "/download");

	assert_int_equal(r.status, 200);
	assert_string_equal(r.body.p, "hello");
	assert_field(&r, "Content-Length", "5");
	assert_field(&r, "Content-Type", "text/plain; charset=utf-8");
	assert_field(&r, "Content-Disposition",
		     "attachment; filename=\"r_sum_.txt\"; filename*=UTF-8''r%C3%A9sum%C3%A9.txt");
	assert_field(&r, "Accept-Ranges", "bytes");
	done(&r);
	assert_int_equal(f->completed, 1);
	assert_int_equal(f->n_events, 2);
	assert_int_equal(f->events[0].phase, MODE_TRANSFER_STARTED);
	assert_int_equal(f->events[1].phase, MODE_TRANSFER_COMPLETED);
	assert_int_equal(f->events[1].bytes, 5);
	assert_int_equal(f->events[1].total, 5);
	assert_string_equal(f->events[0].path, "(none)");
	assert_status(f, "/download", 503);
	assert_status(f, "/", 503);
}

static void a_directory_is_sent_as_a_zip_that_is_the_same_after_a_restart(void **state)
{
	struct fixture *f = *state;

	make_dir(f, "d");
	make_dir(f, "d/empty");
	make_file(f, "d/one", "1");
	start(f, "{\"no_autostop_sharing\": true}", "d");
	struct reply a = get(f, "/download");
	char *disposition = field(&a, "Content-Disposition"), *etag = field(&a, "ETag");
	char six[7];

	assert_int_equal(a.status, 200);
	assert_true(a.whole);
	assert_int_equal(sscanf(disposition, "attachment; filename=\"onionshare_%6[a-z2-7].zip\"",
				six),
			 1);
	assert_int_equal(strlen(six), 6);
	assert_is_zip(f, &a, "empty/ one");
	stop(f);
	start(f, "{\"no_autostop_sharing\": true}", "d");
	struct reply b = get(f, "/download");

	assert_field(&b, "Content-Disposition", disposition);
	assert_field(&b, "ETag", etag);
	assert_int_equal(a.body.len, b.body.len);
	assert_memory_equal(a.body.p, b.body.p, b.body.len);
	done(&b);
	stop(f);
	/* Another service with the same files shows neither the same name nor the same tag. */
	f->secret[0] ^= 1;
	start(f, "{\"no_autostop_sharing\": true}", "d");
	b = get(f, "/download");
	char *other = field(&b, "ETag");

	assert_string_not_equal(other, etag);
	free(other);
	other = field(&b, "Content-Disposition");
	assert_string_not_equal(other, disposition);
	free(other);
	assert_memory_equal(a.body.p, b.body.p, b.body.len);
	done(&b);
	done(&a);
	free(disposition);
	free(etag);
}

static void a_directory_with_one_file_is_a_zip_all_the_same(void **state)
{
	struct fixture *f = *state;

	make_file(f, "only", "1");
	start(f, "{}", "");
	struct reply r = get(f, "/download");

	assert_is_zip(f, &r, "only");
	done(&r);
	assert_int_equal(f->completed, 1);
}

static void nothing_short_of_every_byte_ends_a_share(void **state)
{
	struct fixture *f = *state;
	struct client c;
	struct reply r;

	make_large(f, "big", 3000000, 1);
	start(f, "{}", "big");
	r = ask(f, "HEAD", "/download", "");
	assert_int_equal(r.status, 200);
	assert_field(&r, "Content-Length", "3000000");
	char *etag = field(&r, "ETag"), *fields;

	done(&r);
	fields = xasprintf("If-None-Match: %s\r\n", etag);
	r = ask(f, "GET", "/download", fields);
	assert_int_equal(r.status, 304);
	done(&r);
	free(fields);
	assert_int_equal(f->n_events, 0);
	/* Cut after a third. */
	client_open(f, &c, "GET", "/download", "");
	client_read_until(f, &c, 1000000);
	client_close(f, &c);
	assert_int_equal(f->n_events, 2);
	assert_int_equal(f->events[1].phase, MODE_TRANSFER_CANCELLED);
	assert_true(f->events[1].bytes < 3000000);
	r = ask(f, "GET", "/download", "Range: bytes=2999990-\r\n");
	assert_int_equal(r.status, 206);
	assert_field(&r, "Content-Range", "bytes 2999990-2999999/3000000");
	assert_int_equal(r.body.len, 10);
	done(&r);
	r = ask(f, "GET", "/download", "Range: bytes=3000000-\r\n");
	assert_int_equal(r.status, 416);
	assert_field(&r, "Content-Range", "bytes */3000000");
	done(&r);
	assert_int_equal(f->completed, 0);
	/* The rest, and then every byte has gone out. */
	fields = xasprintf("Range: bytes=500000-\r\nIf-Range: %s\r\n", etag);
	r = ask(f, "GET", "/download", fields);
	assert_int_equal(r.status, 206);
	assert_int_equal(r.body.len, 2500000);
	assert_int_equal((unsigned char)r.body.p[0], (500000u * 7 + 500000 / 253 + 1) & 0xFF);
	done(&r);
	assert_int_equal(f->completed, 1);
	free(fields);
	free(etag);
}

static void ranges_in_any_order_add_up_to_a_download(void **state)
{
	struct fixture *f = *state;
	const unsigned piece = 100000, n = 700000;

	make_dir(f, "d");
	make_large(f, "d/one", n / 2, 1);
	make_large(f, "d/two", n / 2, 2);
	start(f, "{}", "d");
	struct reply r = ask(f, "HEAD", "/download", "");
	char *length = field(&r, "Content-Length");
	unsigned total = (unsigned)strtoul(length, NULL, 10);
	char *whole = xcalloc(1, total);

	free(length);
	done(&r);
	for (unsigned k = 0; k * piece < total; k++) {
		/* 0, 3, 6, ... then 1, 4, ... then 2, 5, ... */
		unsigned pieces = (total + piece - 1) / piece, at = 0;

		for (unsigned i = 0, c = 0; i < 3; i++) {
			for (unsigned j = i; j < pieces; j += 3, c++) {
				at = c == k ? j : at;
			}
		}
		char *fields =
			xasprintf("Range: bytes=%u-%u\r\n", at * piece, at * piece + piece - 1);

		assert_int_equal(f->completed, 0);
		r = ask(f, "GET", "/download", fields);
		assert_int_equal(r.status, 206);
		memcpy(whole + at * piece, r.body.p, r.body.len);
		done(&r);
		free(fields);
	}
	assert_int_equal(f->completed, 1);
	/* All of them were one download to the host. */
	assert_int_equal(f->n_events, 2);
	assert_int_equal(f->events[1].bytes, total);
	r.body = (struct buf){.p = whole, .len = total};
	assert_is_zip(f, &r, "one two");
	free(whole);
}

static void while_one_downloads_others_are_asked_to_wait(void **state)
{
	struct fixture *f = *state;
	struct client c;
	struct reply r;

	make_large(f, "big", 5000000, 1);
	start(f, "{\"title\": \"T\"}", "big");
	client_open(f, &c, "GET", "/download", "");
	client_read_until(f, &c, 100000);
	assert_int_equal(mode_share.active(f->mode), 1);
	static const char *const paths[] = {"/", "/download"};

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		r = get(f, paths[i]);
		assert_int_equal(r.status, 503);
		assert_has(&r, "OnionShare download in progress");
		char *after = field(&r, "Retry-After");

		assert_non_null(after);
		free(after);
		done(&r);
	}
	assert_status(f, ASSETS_PATH "style.css", 200);
	/* Download managers ask for ranges. */
	r = ask(f, "GET", "/download", "Range: bytes=0-9\r\n");
	assert_int_equal(r.status, 206);
	done(&r);
	client_close(f, &c);
	/* The first has given up: now it is somebody else's turn. */
	r = get(f, "/download");
	assert_int_equal(r.status, 200);
	assert_true(r.whole);
	done(&r);
	assert_int_equal(f->completed, 1);
}

static void several_downloads_can_be_wished_for(void **state)
{
	struct fixture *f = *state;
	struct reply r;

	make_file(f, "a", "text");
	start(f, "{\"max_downloads\": 3}", "a");
	for (int i = 0; i < 3; i++) {
		assert_int_equal(f->completed, 0);
		r = get(f, "/download");
		assert_int_equal(r.status, 200);
		done(&r);
	}
	assert_int_equal(f->completed, 1);
}

static void beginnings_of_many_files_stay_bounded(void **state)
{
	struct fixture *f = *state;
	const int n = DOWNLOADS_MAX_LINGERING + 6;
	char name[32];
	unsigned cancelled = 0;

	for (int i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		make_file(f, name, name);
	}
	start(f, "{\"no_autostop_sharing\": true}", "");
	for (int i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "/f%d", i);
		struct reply r = ask(f, "GET", name, "Range: bytes=0-0\r\n");

		assert_int_equal(r.status, 206);
		assert_string_equal(r.body.p, "f");
		done(&r);
	}
	for (size_t i = 0; i < f->n_events; i++) {
		cancelled += f->events[i].phase == MODE_TRANSFER_CANCELLED;
	}
	assert_int_equal(cancelled, n - DOWNLOADS_MAX_LINGERING);
	/* Whose place was taken by others is opened anew. */
	assert_true(n > OPENFILES_MAX);
	struct reply r = get(f, "/f0");

	assert_string_equal(r.body.p, "f0");
	done(&r);
}

static void a_whole_download_counts_though_the_files_changed_meanwhile(void **state)
{
	struct fixture *f = *state;
	struct client c;

	make_dir(f, "d");
	make_large(f, "d/big", 4000000, 1);
	start(f, "{}", "d");
	client_open(f, &c, "GET", "/download", "");
	client_read_until(f, &c, 100000);
	make_file(f, "d/more", "text");
	let_look_grow_old(f);
	/* Of the new content; it does not take the old one's place. */
	struct reply r = ask(f, "GET", "/download", "Range: bytes=0-0\r\n");

	assert_int_equal(r.status, 206);
	done(&r);
	assert_int_equal(f->completed, 0);
	r = finish(f, &c, false);
	assert_true(r.whole);
	assert_is_zip(f, &r, "big");
	done(&r);
	assert_int_equal(f->completed, 1);
}

static void a_share_of_no_bytes_ends_when_they_have_been_sent(void **state)
{
	struct fixture *f = *state;
	struct reply r;

	make_file(f, "none", "");
	make_dir(f, "empty");
	start(f, "{}", "none");
	r = ask(f, "HEAD", "/download", "");
	assert_int_equal(r.status, 200);
	done(&r);
	r = ask(f, "GET", "/download", "Range: bytes=0-0\r\n");
	assert_int_equal(r.status, 416);
	done(&r);
	assert_int_equal(f->completed, 0);
	r = get(f, "/download");
	assert_int_equal(r.status, 200);
	assert_field(&r, "Content-Length", "0");
	done(&r);
	assert_int_equal(f->completed, 1);
	stop(f);
	start(f, "{}", "empty");
	r = get(f, "/");
	assert_has(&r, "This folder is empty");
	done(&r);
	r = get(f, "/download");
	assert_int_equal(r.body.len, 22);
	done(&r);
	assert_int_equal(f->completed, 1);
}

static void what_was_delivered_counts_after_a_restart(void **state)
{
	struct fixture *f = *state;
	struct client c;
	struct reply r;

	make_dir(f, "d");
	make_large(f, "d/big", 4000000, 1);
	start(f, "{}", "d");
	client_open(f, &c, "GET", "/download", "");
	client_read_until(f, &c, 3000000);
	char *fields = xasprintf("Range: bytes=%zu-\r\n", (size_t)2500000);

	client_close(f, &c);
	stop(f);
	start(f, "{}", "d");
	r = ask(f, "GET", "/download", fields);
	assert_int_equal(r.status, 206);
	done(&r);
	assert_int_equal(f->completed, 1);
	stop(f);
	/* Started once more it begins anew. */
	start(f, "{}", "d");
	r = ask(f, "GET", "/download", fields);
	done(&r);
	assert_int_equal(f->completed, 0);
	free(fields);
}

static void a_file_beyond_four_gigabytes_is_served_at_once(void **state)
{
	struct fixture *f = *state;
	const uint64_t size = UINT64_C(6) << 30;
	struct reply r;

	make_dir(f, "d");
	make_file(f, "d/sparse", "begin");
	char *path = in(f, "d/sparse");

	assert_int_equal(truncate(path, (off_t)size), 0);
	free(path);
	double begun = now();

	start(f, "{\"no_autostop_sharing\": true}", "d");
	r = ask(f, "HEAD", "/download", "");
	/* headers with ZIP64 fields, name, data, descriptor, records of the end */
	assert_field(&r, "Content-Length", "6442451194");
	done(&r);
	r = ask(f, "GET", "/download", "Range: bytes=5000000000-5000000099\r\n");
	assert_int_equal(r.status, 206);
	assert_int_equal(r.body.len, 100);
	done(&r);
	r = ask(f, "GET", "/d/sparse", "");
	assert_int_equal(r.status, 404); /* flattened: there is no d */
	done(&r);
	r = ask(f, "GET", "/sparse", "Range: bytes=-3\r\n");
	assert_field(&r, "Content-Range", "bytes 6442450941-6442450943/6442450944");
	done(&r);
	assert_true(now() - begun < 2);
}

/* --- changes --- */

static void the_files_are_looked_at_again_when_they_change(void **state)
{
	struct fixture *f = *state;
	struct reply r;

	make_dir(f, "d");
	make_file(f, "d/a", "1");
	start(f, "{\"no_autostop_sharing\": true}", "d");
	r = get(f, "/");
	assert_has_not(&r, "later");
	done(&r);
	make_file(f, "d/later", "22");
	make_file(f, "d/a", "333");
	let_look_grow_old(f);
	r = get(f, "/");
	assert_has(&r, "<bdi>later</bdi>");
	assert_has(&r, "3.0 B");
	done(&r);
	r = get(f, "/download");
	assert_is_zip(f, &r, "a later");
	done(&r);
	r = get(f, "/a");
	assert_string_equal(r.body.p, "333");
	done(&r);
	/* Noticed at once when it is asked for, not only after a while. */
	make_file(f, "d/a", "4444");
	r = get(f, "/a");
	assert_string_equal(r.body.p, "4444");
	done(&r);
	char *path = in(f, "d/a");

	unlink(path);
	let_look_grow_old(f);
	assert_status(f, "/a", 404);
	assert_int_equal(mkfifo(path, 0644), 0);
	let_look_grow_old(f);
	assert_status(f, "/a", 404);
	assert_int_equal(f->failed, 0);
	assert_non_null(mode_share.notice(f->mode));
	assert_string_equal(mode_share.notice(f->mode), "left out: 1 special file");
	free(path);
}

static void a_share_whose_files_are_gone_has_failed(void **state)
{
	struct fixture *f = *state;

	make_dir(f, "d");
	start(f, "{}", "d");
	char *path = in(f, "d");

	rmdir(path);
	let_look_grow_old(f);
	assert_status(f, "/", 503);
	assert_int_equal(f->failed, 1);
	assert_non_null(strstr(f->error, "does not exist"));
	assert_status(f, "/", 503);
	assert_int_equal(f->failed, 1);
	free(path);
}

static void a_download_whose_file_changes_is_cut(void **state)
{
	struct fixture *f = *state;
	static const char *const shares[] = {"d", "d/big"};

	make_dir(f, "d");
	char *path = in(f, "d/big");

	for (size_t i = 0; i < 2 * ARRAY_SIZE(shares); i++) {
		struct client c;

		make_large(f, "d/big", 8000000, 1);
		start(f, "{}", shares[i / 2]);
		client_open(f, &c, "GET", "/download", "");
		client_read_until(f, &c, 100000);
		if (i % 2) {
			assert_int_equal(truncate(path, 7000000), 0);
		} else {
			make_large(f, "d/big", 8000000, 2);
		}
		struct reply r = finish(f, &c, false);

		assert_int_equal(r.status, 200);
		assert_false(r.whole);
		done(&r);
		assert_int_equal(f->completed, 0);
		assert_int_equal(f->events[f->n_events - 1].phase, MODE_TRANSFER_CANCELLED);
		stop(f);
	}
	free(path);
}

/* --- beginnings and ends --- */

static void a_share_of_what_cannot_be_read_does_not_start(void **state)
{
	struct fixture *f = *state;

	begin_mode(f, "{}", (const char *const[]){"missing", NULL});
	turn_until(f, f->ready);
	assert_non_null(f->error);
	assert_non_null(strstr(f->error, "missing does not exist"));
}

static void it_can_be_stopped_before_it_is_ready(void **state)
{
	struct fixture *f = *state;

	make_file(f, "a", "");
	begin_mode(f, "{}", (const char *const[]){"a", NULL});
	stop(f);
	assert_int_equal(f->ready, 0);
}

static void it_can_be_stopped_while_everything_is_on_its_way(void **state)
{
	struct fixture *f = *state;
	struct client c[6];

	make_dir(f, "d");
	make_large(f, "d/big", 4000000, 1);
	start(f, "{\"no_autostop_sharing\": true}", "d");
	for (unsigned turns = 0; turns < 40; turns += 3) {
		let_look_grow_old(f);
		client_open(f, &c[0], "GET", "/download", "");
		client_open(f, &c[1], "GET", "/download", "Range: bytes=2000000-\r\n");
		client_open(f, &c[2], "GET", "/big", "");
		client_open(f, &c[3], "GET", "/", "");
		client_open(f, &c[4], "GET", "/big", "Range: bytes=1-2\r\n");
		client_open(f, &c[5], "HEAD", "/download", "");
		for (unsigned i = 0; i < turns; i++) {
			uv_run(&f->loop, UV_RUN_NOWAIT);
		}
		stop(f);
		for (size_t i = 0; i < ARRAY_SIZE(c); i++) {
			close(c[i].fd);
		}
		start(f, "{\"no_autostop_sharing\": true}", "d");
	}
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(the_page_lists_directories_first_and_escapes_names),
		TEST(pages_bring_their_own_style_and_icons),
		TEST(other_methods_are_told_which_are_allowed),
		TEST(files_and_directories_have_addresses_of_their_own_without_autostop),
		TEST(a_large_directory_is_listed_in_pieces),
		TEST(one_file_is_sent_as_it_is_and_ends_the_share),
		TEST(a_directory_is_sent_as_a_zip_that_is_the_same_after_a_restart),
		TEST(a_directory_with_one_file_is_a_zip_all_the_same),
		TEST(nothing_short_of_every_byte_ends_a_share),
		TEST(ranges_in_any_order_add_up_to_a_download),
		TEST(while_one_downloads_others_are_asked_to_wait),
		TEST(several_downloads_can_be_wished_for),
		TEST(beginnings_of_many_files_stay_bounded),
		TEST(a_whole_download_counts_though_the_files_changed_meanwhile),
		TEST(a_share_of_no_bytes_ends_when_they_have_been_sent),
		TEST(what_was_delivered_counts_after_a_restart),
		TEST(a_file_beyond_four_gigabytes_is_served_at_once),
		TEST(the_files_are_looked_at_again_when_they_change),
		TEST(a_share_whose_files_are_gone_has_failed),
		TEST(a_download_whose_file_changes_is_cut),
		TEST(a_share_of_what_cannot_be_read_does_not_start),
		TEST(it_can_be_stopped_before_it_is_ready),
		TEST(it_can_be_stopped_while_everything_is_on_its_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
