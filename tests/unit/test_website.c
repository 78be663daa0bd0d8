/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The website mode behind an HTTP server, visited over connections in memory. */
#include <sys/stat.h>
#include <time.h>

#include "turn.h"
/* after the preludes of cmocka */
#include "mode/mode.h"
#include "mode/website/website.h"
#include "tests/lib/http_mem.h"

struct fixture {
	uv_loop_t loop;
	struct ev ev;
	char *dir;
	struct mode *mode;
	struct http_server *server;
	uint8_t secret[32];
	uint64_t last_id, responses, bytes, transfers;
	int ready, replaced, stopped, closed, gone;
	bool failed;
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

	(void)id;
	(void)out;
	(void)bytes;
	(void)total;
	assert_null(path);
	f->transfers += phase == MODE_TRANSFER_STARTED;
}

static void host_served(void *ud, uint64_t responses, uint64_t bytes)
{
	struct fixture *f = ud;

	f->responses += responses;
	f->bytes += bytes;
}

static void on_ready(void *ud, const struct error *err)
{
	struct fixture *f = ud;

	f->ready++;
	f->failed = err != NULL;
}

static void on_replaced(void *ud, const struct error *err)
{
	struct fixture *f = ud;

	f->replaced++;
	f->failed = err != NULL;
}

static void on_request(void *ud, struct http_req *req)
{
	mode_website.request(((struct fixture *)ud)->mode, req);
}

static void on_gone(void *ud)
{
	((struct fixture *)ud)->gone++;
}

/* --- files --- */

static char *path_of(struct fixture *f, const char *name)
{
	return xasprintf("%s/%s", f->dir, name);
}

static void make_dir(struct fixture *f, const char *name)
{
	_cleanup_free_ char *path = path_of(f, name);

	assert_int_equal(mkdir(path, 0755), 0);
}

static bool is_young(const char *path)
{
	struct timespec ts;
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	clock_gettime(CLOCK_REALTIME, &ts);
	return (ts.tv_sec - st.st_ctim.tv_sec) * 1000 +
		       (ts.tv_nsec - st.st_ctim.tv_nsec) / 1000000 <
	       80;
}

static void write_file(struct fixture *f, const char *name, const char *text, size_t times)
{
	_cleanup_free_ char *path = path_of(f, name);
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	for (size_t i = 0; i < times; i++) {
		assert_true(fputs(text, file) >= 0);
	}
	assert_int_equal(fclose(file), 0);
}

static void let_grow_old(struct fixture *f, const char *name)
{
	_cleanup_free_ char *path = path_of(f, name);

	turn_until(f, !is_young(path));
}

/* --- life --- */

static struct mode_content *content_of(struct fixture *f, enum mode_layout layout, uid_t owner,
				       const char *const *names)
{
	const char *paths[8] = {NULL};
	uid_t owners[8] = {0};
	size_t n = 0;

	for (; names[n]; n++) {
		paths[n] = path_of(f, names[n]);
		owners[n] = owner;
	}
	struct mode_content *c = mode_content_new(paths, owners, n, layout, on_gone, f);

	for (size_t i = 0; i < n; i++) {
		free((char *)(uintptr_t)paths[i]);
	}
	return c;
}

#define content(f, ...) \
	content_of(f, MODE_LAYOUT_ALONE, MODE_ANY_OWNER, (const char *const[]){__VA_ARGS__, NULL})

static void begin_mode(struct fixture *f, const char *options, struct mode_content *content)
{
	static const struct http_server_ops ops = {.request = on_request};
	const struct mode_host host = {
		.transfer_id = host_transfer_id,
		.transfer = host_transfer,
		.served = host_served,
		.ud = f,
	};
	struct http_server_config config = {.limits = http_limits_default,
					    .csp = "",
					    .peer_uid = (uid_t)-1};
	json_t *json = json_loads(options, 0, NULL);
	const struct mode_spec spec = {.service_name = "test",
				       .options = json,
				       .secret = f->secret,
				       .content = content};

	config.limits.max_connections = 2 * WEBSITE_SLOW_MAX;
	f->mode = mode_website.start(&f->ev, &spec, &host, on_ready, f);
	f->server = http_server_new(&f->ev, &config, &ops, f);
	mode_content_unref(content);
	json_decref(json);
	assert_int_equal(f->ready, 0);
}

static void start(struct fixture *f, const char *options, struct mode_content *content)
{
	begin_mode(f, options, content);
	turn_until(f, f->ready);
	assert_false(f->failed);
}

static void replace(struct fixture *f, struct mode_content *content)
{
	int before = f->replaced;

	mode_website.replace(f->mode, content, on_replaced, f);
	mode_content_unref(content);
	assert_int_equal(f->replaced, before);
	turn_until(f, f->replaced > before);
}

static void on_closed(void *ud)
{
	((struct fixture *)ud)->closed = 1;
}

static void on_stopped(void *ud)
{
	((struct fixture *)ud)->stopped = 1;
}

static int begin(void **state)
{
	struct fixture *f = xnew(struct fixture);

	turn_begin(&f->loop, &f->ev, 16 * BUFPOOL_BUFFER_SIZE);
	f->dir = unit_tmpdir();
	memset(f->secret, 7, sizeof(f->secret));
	*state = f;
	return 0;
}

static void stop(struct fixture *f)
{
	mode_website.stop(f->mode, on_stopped, f);
	turn_until(f, f->stopped);
	f->mode = NULL;
}

static int end(void **state)
{
	struct fixture *f = *state;

	if (f->mode) {
		http_server_close(f->server, on_closed, f);
		turn_until(f, f->closed);
		stop(f);
	}
	turn_end(&f->loop, &f->ev);
	unit_rmtree(f->dir);
	free(f);
	return 0;
}

/* --- visitors --- */

/* room: what the visitor takes before he stops reading; SIZE_MAX: all. */
static void visit_slowly(struct fixture *f, struct mem_io *m, size_t room, const char *target,
			 const char *fields)
{
	_cleanup_free_ char *text =
		xasprintf("GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%s\r\n",
			  target, fields);

	mem_open(m, f->server);
	m->room = room;
	mem_send(m, &f->loop, span_str(text));
}

static void visit(struct fixture *f, struct mem_io *m, const char *target, const char *fields)
{
	visit_slowly(f, m, SIZE_MAX, target, fields);
}

/* Until the server has said all; the answer is in m->out. */
static void finish(struct fixture *f, struct mem_io *m)
{
	m->in_end = true;
	turn_until(f, (mem_run(m, &f->loop), m->gone));
}

static int status_of(const struct mem_io *m)
{
	int status = 0;

	assert_int_equal(sscanf(m->out.p, "HTTP/1.1 %d", &status), 1);
	return status;
}

static bool answer_has(const struct mem_io *m, const char *text)
{
	return memmem(m->out.p, m->out.len, text, strlen(text));
}

static int ask(struct fixture *f, const char *target, const char *text)
{
	struct mem_io m;

	visit(f, &m, target, "");
	finish(f, &m);
	int status = status_of(&m);

	if (text && !answer_has(&m, text)) {
		fail_msg("%s: no %s in %s", target, text, m.out.p);
	}
	mem_done(&m);
	return status;
}

/* --- content --- */

static void replaced_content_is_what_the_next_visitor_gets(void **state)
{
	struct fixture *f = *state;
	struct mem_io m;

	make_dir(f, "old");
	make_dir(f, "new");
	write_file(f, "old/index.html", "old", 1);
	write_file(f, "new/index.html", "new", 1);
	write_file(f, "old/large.bin", "0123456789", 100000);
	let_grow_old(f, "old/large.bin");
	start(f, "{}", content(f, "old"));
	assert_int_equal(ask(f, "/", "old"), 200);
	assert_int_equal(ask(f, "/", "old"), 200);
	/* A visitor is in the middle of a file of the old one. */
	visit_slowly(f, &m, 1000, "/large.bin", "");
	turn_until(f, (mem_run(&m, &f->loop), m.room == 0));
	replace(f, content(f, "new"));
	assert_false(f->failed);
	assert_int_equal(f->gone, 1);
	assert_int_equal(ask(f, "/", "new"), 200);
	assert_int_equal(ask(f, "/large.bin", NULL), 404);
	m.room = SIZE_MAX;
	finish(f, &m);
	assert_true(m.out.len > 1000000 && !m.reset);
	mem_done(&m);
}

static void content_that_is_not_there_replaces_nothing(void **state)
{
	struct fixture *f = *state;

	make_dir(f, "old");
	write_file(f, "old/index.html", "old", 1);
	start(f, "{}", content(f, "old"));
	replace(f, content(f, "nowhere"));
	assert_true(f->failed);
	assert_int_equal(f->gone, 1); /* the reference to it */
	assert_int_equal(ask(f, "/", "old"), 200);
}

static void what_is_not_there_is_told_at_the_start(void **state)
{
	struct fixture *f = *state;

	begin_mode(f, "{}", content(f, "nowhere"));
	turn_until(f, f->ready);
	assert_true(f->failed);
}

static void each_layout_puts_paths_where_it_says(void **state)
{
	struct fixture *f = *state;
	const char *const names[] = {"a", "b", "c.txt", NULL};
	const char *const one[] = {"a", NULL};

	make_dir(f, "a");
	make_dir(f, "b");
	write_file(f, "a/x.txt", "ax", 1);
	write_file(f, "b/x.txt", "bx", 1);
	write_file(f, "c.txt", "c", 1);
	start(f, "{}", content_of(f, MODE_LAYOUT_FIRST, MODE_ANY_OWNER, names));
	assert_int_equal(ask(f, "/x.txt", "ax"), 200);
	assert_int_equal(ask(f, "/b/x.txt", "bx"), 200);
	assert_int_equal(ask(f, "/c.txt", "\r\n\r\nc"), 200);
	assert_int_equal(ask(f, "/a/x.txt", NULL), 404);
	assert_int_equal(ask(f, "/", "href=\"/b/\""), 200);
	replace(f, content_of(f, MODE_LAYOUT_NAMED, MODE_ANY_OWNER, one));
	assert_int_equal(ask(f, "/x.txt", NULL), 404);
	assert_int_equal(ask(f, "/a/x.txt", "ax"), 200);
	assert_int_equal(ask(f, "/c.txt", NULL), 404);
}

static void what_its_owner_may_not_show_is_not_there(void **state)
{
	struct fixture *f = *state;
	const char *const names[] = {"d", NULL};
	_cleanup_free_ char *closed = path_of(f, "d/closed"), *own = path_of(f, "d/own.txt");

	make_dir(f, "d");
	make_dir(f, "d/closed");
	make_dir(f, "d/open");
	write_file(f, "d/closed/x.txt", "x", 1);
	write_file(f, "d/open/x.txt", "x", 1);
	write_file(f, "d/own.txt", "x", 1);
	assert_int_equal(chmod(closed, 0700), 0);
	assert_int_equal(chmod(own, 0600), 0);
	/* Somebody else chose it. */
	start(f, "{}", content_of(f, MODE_LAYOUT_ALONE, geteuid() + 1, names));
	assert_int_equal(ask(f, "/open/x.txt", NULL), 200);
	assert_int_equal(ask(f, "/own.txt", NULL), 404);
	assert_int_equal(ask(f, "/closed/x.txt", NULL), 404);
	assert_int_equal(ask(f, "/closed/", NULL), 404);
	assert_int_equal(ask(f, "/", "open"), 200);
	struct mem_io m;

	visit(f, &m, "/", "");
	finish(f, &m);
	assert_false(answer_has(&m, "closed") || answer_has(&m, "own.txt"));
	mem_done(&m);
	replace(f, content_of(f, MODE_LAYOUT_ALONE, geteuid(), names));
	assert_int_equal(ask(f, "/closed/x.txt", NULL), 200);
	assert_int_equal(ask(f, "/own.txt", NULL), 200);
}

/* --- small answers --- */

static void small_answers_are_told_together_and_large_ones_alone(void **state)
{
	struct fixture *f = *state;

	make_dir(f, "d");
	write_file(f, "d/small.txt", "0123456789", 10);
	write_file(f, "d/large.bin", "0123456789", 100000);
	start(f, "{}", content(f, "d"));
	for (int i = 0; i < 50; i++) {
		assert_int_equal(ask(f, "/small.txt", NULL), 200);
		assert_int_equal(ask(f, "/nowhere", NULL), 404);
	}
	turn_until(f, f->responses == 50);
	assert_int_equal(f->bytes, 5000);
	assert_int_equal(f->transfers, 0);
	assert_int_equal(ask(f, "/large.bin", NULL), 200);
	assert_int_equal(f->transfers, 1);
	assert_int_equal(f->responses, 50);
}

static void it_can_be_stopped_while_everything_is_on_its_way(void **state)
{
	struct fixture *f = *state;
	static const char *const targets[] = {"/", "/text.txt", "/text.txt", "/large.bin", "/nope"};
	struct mem_io m[ARRAY_SIZE(targets)];

	make_dir(f, "d");
	write_file(f, "d/text.txt", "some text, some text, ", 100000);
	write_file(f, "d/large.bin", "0123456789", 100000);
	let_grow_old(f, "d/large.bin");
	for (unsigned turns = 0; turns < 8; turns++) {
		f->ready = f->stopped = f->closed = 0;
		start(f, "{}", content(f, "d"));
		for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
			visit(f, &m[i], targets[i], "Accept-Encoding: gzip\r\n");
		}
		for (unsigned i = 0; i < turns; i++) {
			uv_run(&f->loop, UV_RUN_NOWAIT);
		}
		http_server_close(f->server, on_closed, f);
		for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
			turn_until(f, (mem_run(&m[i], &f->loop), m[i].gone));
			mem_done(&m[i]);
		}
		turn_until(f, f->closed);
		stop(f);
	}
}

static void a_visitor_who_left_leaves_the_body_to_the_others(void **state)
{
	struct fixture *f = *state;
	struct mem_io m[3];

	make_dir(f, "d");
	write_file(f, "d/text.txt", "some text, some text, ", 100000);
	let_grow_old(f, "d/text.txt");
	start(f, "{}", content(f, "d"));
	for (size_t i = 0; i < ARRAY_SIZE(m); i++) {
		visit(f, &m[i], "/text.txt", "Accept-Encoding: gzip\r\n");
	}
	/* The first, for whom it is made, and the second are gone. */
	for (size_t i = 0; i < 2; i++) {
		m[i].io.ready(m[i].io.ud, HTTP_IO_GONE);
		turn_until(f, (mem_run(&m[i], &f->loop), m[i].gone));
		mem_done(&m[i]);
	}
	finish(f, &m[2]);
	assert_int_equal(status_of(&m[2]), 200);
	assert_true(answer_has(&m[2], "Content-Encoding: gzip"));
	mem_done(&m[2]);
}

/* --- the lane that all have in common --- */

/* Many enough for any pool. */
#define HOLDS 64

struct lane {
	struct hold {
		struct job job;
		struct lane *lane;
	} holds[HOLDS];
	struct job other; /* somebody else's, submitted last */
	uv_sem_t sem;
	unsigned left;
	bool other_done;
};

static void hold_run(struct job *job)
{
	uv_sem_wait(&container_of(job, struct hold, job)->lane->sem);
}

static void hold_done(struct job *job)
{
	container_of(job, struct hold, job)->lane->left--;
}

static void hold_lane(struct fixture *f, struct lane *lane)
{
	*lane = (struct lane){.left = HOLDS};
	assert_int_equal(uv_sem_init(&lane->sem, 0), 0);
	for (size_t i = 0; i < HOLDS; i++) {
		lane->holds[i].lane = lane;
		work_submit(f->ev.work, WORK_SLOW, &lane->holds[i].job, hold_run, hold_done);
	}
}

static void begin_to_let_go(struct lane *lane)
{
	for (size_t i = 0; i < HOLDS; i++) {
		uv_sem_post(&lane->sem);
	}
}

static void let_lane_go(struct fixture *f, struct lane *lane)
{
	begin_to_let_go(lane);
	turn_until(f, lane->left == 0);
	uv_sem_destroy(&lane->sem);
}

static void other_run(struct job *job)
{
	(void)job;
}

static void other_done(struct job *job)
{
	container_of(job, struct lane, other)->other_done = true;
}

static void leave(struct fixture *f, struct mem_io *m)
{
	m->io.ready(m->io.ud, HTTP_IO_GONE);
	turn_until(f, (mem_run(m, &f->loop), m->gone));
	mem_done(m);
}

static void a_crowd_at_one_site_does_not_keep_others_waiting(void **state)
{
	struct fixture *f = *state;
	struct mem_io m[40];
	struct lane lane;
	size_t answered = 0;

	make_dir(f, "d");
	start(f, "{}", content(f, "d"));
	hold_lane(f, &lane);
	for (size_t i = 0; i < ARRAY_SIZE(m); i++) {
		visit(f, &m[i], "/", "");
	}
	work_submit(f->ev.work, WORK_SLOW, &lane.other, other_run, other_done);
	begin_to_let_go(&lane);
	turn_until(f, lane.other_done && lane.left == 0);
	for (size_t i = 0; i < ARRAY_SIZE(m); i++) {
		answered += m[i].out.len > 0;
	}
	uv_sem_destroy(&lane.sem);
	/* One, or a few if that thread was slow; all but one if they stood in line before it. */
	assert_true(answered <= ARRAY_SIZE(m) / 2);
	for (size_t i = 0; i < ARRAY_SIZE(m); i++) {
		finish(f, &m[i]);
		assert_int_equal(status_of(&m[i]), 200);
		mem_done(&m[i]);
	}
}

static void those_who_wait_for_a_listing_are_bounded(void **state)
{
	struct fixture *f = *state;
	size_t n = WEBSITE_SLOW_MAX + 2; /* one is on its way, one too many */
	struct mem_io *m = xcalloc(n, sizeof(*m)), late;
	struct lane lane;

	make_dir(f, "d");
	start(f, "{}", content(f, "d"));
	hold_lane(f, &lane);
	for (size_t i = 0; i < n; i++) {
		visit(f, &m[i], "/", "");
	}
	finish(f, &m[n - 1]);
	assert_int_equal(status_of(&m[n - 1]), 503);
	/* Who has left does not count any more. */
	leave(f, &m[n - 2]);
	leave(f, &m[5]);
	visit(f, &late, "/", "");
	let_lane_go(f, &lane);
	finish(f, &late);
	assert_int_equal(status_of(&late), 200);
	mem_done(&late);
	for (size_t i = 0; i < n; i++) {
		if (i != 5 && i != n - 2) {
			finish(f, &m[i]);
			assert_int_equal(status_of(&m[i]), i == n - 1 ? 503 : 200);
			mem_done(&m[i]);
		}
	}
	free(m);
}

static void visitors_who_leave_at_once_leave_no_work(void **state)
{
	struct fixture *f = *state;
	struct mem_io m;
	struct lane lane;

	make_dir(f, "d");
	start(f, "{}", content(f, "d"));
	hold_lane(f, &lane);
	for (unsigned i = 0; i < 2 * WEBSITE_SLOW_MAX; i++) {
		visit(f, &m, "/", "");
		leave(f, &m);
	}
	assert_int_equal(work_pending(f->ev.work), HOLDS + 1);
	visit(f, &m, "/", "");
	let_lane_go(f, &lane);
	finish(f, &m);
	assert_int_equal(status_of(&m), 200);
	mem_done(&m);
}

static void much_text_at_once_is_sent_as_it_is(void **state)
{
	static const char *const names[] = {"d/0.txt", "d/1.txt", "d/2.txt"};
	struct fixture *f = *state;
	struct mem_io m[ARRAY_SIZE(names)];
	struct lane lane;

	make_dir(f, "d");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		write_file(f, names[i], "some text, some text\n", 190000);
		let_grow_old(f, names[i]);
	}
	start(f, "{}", content(f, "d"));
	hold_lane(f, &lane);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		visit(f, &m[i], names[i] + 1, "Accept-Encoding: gzip\r\n");
	}
	/* A third would be more than WEBSITE_PACKING_BYTES. */
	finish(f, &m[2]);
	assert_false(answer_has(&m[2], "Content-Encoding"));
	let_lane_go(f, &lane);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		finish(f, &m[i]);
		assert_int_equal(status_of(&m[i]), 200);
		assert_true(i == 2 || answer_has(&m[i], "Content-Encoding: gzip"));
		mem_done(&m[i]);
	}
	/* Its turn comes. */
	visit(f, &m[2], "/2.txt", "Accept-Encoding: gzip\r\n");
	finish(f, &m[2]);
	assert_true(answer_has(&m[2], "Content-Encoding: gzip"));
	mem_done(&m[2]);
}

/* Machines that have just taken the same release are to answer alike. */
static void text_of_a_release_is_made_smaller_however_young_it_is(void **state)
{
	struct fixture *f = *state;

	for (int released = 0; released <= 1; released++) {
		_cleanup_free_ char *name = xasprintf("%d", released);
		_cleanup_free_ char *text = xasprintf("%d/text.txt", released);
		_cleanup_free_ char *path = path_of(f, text);
		struct mem_io m = {0};

		make_dir(f, name);
		write_file(f, text, "all work and no play\n", 1000);
		struct mode_content *c = content(f, name);

		c->released = released;
		if (released) {
			replace(f, c);
		} else {
			start(f, "{}", c);
		}
		let_grow_old(f, text);
		assert_int_equal(chmod(path, 0600), 0); /* young again */
		visit(f, &m, "/text.txt", "Accept-Encoding: gzip\r\n");
		finish(f, &m);
		assert_int_equal(status_of(&m), 200);
		assert_true(answer_has(&m, "Content-Encoding: gzip") == released ||
			    !is_young(path));
		mem_done(&m);
	}
}

/* --- validators --- */

static void make_etag(const struct website *w, const struct stat *st, enum http_coding coding,
		      char ret[ETAG_ROOM])
{
	website_make_etag(w, st, coding, ret);
	assert_int_equal(strlen(ret), ETAG_ROOM - 1);
}

static void a_validator_changes_with_all_that_a_file_is_known_by(void **state)
{
	struct website w = {.key = {1}}, other = {.key = {2}};
	const struct stat st = {
		.st_dev = 1, .st_ino = 2, .st_size = 3, .st_mtim = {4, 5}, .st_ctim = {6, 7}};
	struct stat changed[8];
	char seen[ARRAY_SIZE(changed) + 4][ETAG_ROOM];
	size_t n = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(changed); i++) {
		changed[i] = st;
	}
	changed[0].st_dev++; /* as in another image of the same size and time */
	changed[1].st_ino++;
	changed[2].st_size++;
	changed[3].st_mtim.tv_sec++;
	changed[4].st_mtim.tv_nsec++;
	changed[5].st_ctim.tv_sec++;
	changed[6].st_ctim.tv_nsec++;
	clock_gettime(CLOCK_REALTIME, &changed[7].st_ctim); /* young */
	for (size_t i = 0; i < ARRAY_SIZE(changed); i++) {
		make_etag(&w, &changed[i], HTTP_CODING_NONE, seen[n++]);
	}
	make_etag(&w, &st, HTTP_CODING_NONE, seen[n++]);
	make_etag(&w, &st, HTTP_CODING_GZIP, seen[n++]);
	make_etag(&w, &st, HTTP_CODING_BR, seen[n++]);
	make_etag(&other, &st, HTTP_CODING_NONE, seen[n++]);
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < i; k++) {
			assert_string_not_equal(seen[i], seen[k]);
		}
	}
	/* And with nothing else. */
	struct stat same = st;
	char again[ETAG_ROOM];

	same.st_atim.tv_sec = 99;
	same.st_nlink = 7;
	same.st_blocks = 8;
	make_etag(&w, &same, HTTP_CODING_NONE, again);
	assert_string_equal(again, seen[ARRAY_SIZE(changed)]);
}

/* --- bodies in memory --- */

static void put(struct bodies *b, uint64_t inode, size_t n)
{
	const struct body_key key = {.inode = inode, .size = n};

	assert_true(bodies_put(b, &key, xcalloc(1, n + 1), n, "\"x\"") != NULL);
	assert_true(b->count <= BODIES_MAX && b->bytes <= BODIES_BYTES);
}

static void memory_for_bodies_is_bounded(void **state)
{
	struct bodies *b = xnew(struct bodies);
	const struct body_key first = {.inode = 1, .size = 10}, third = {.inode = 3, .size = 10};
	struct body *sent[64];
	size_t n = 0;

	(void)state;
	bodies_init(b);
	put(b, 1, 10);
	put(b, 2, 10);
	put(b, 3, 10);
	assert_non_null(bodies_get(b, &first)); /* used later than the second and third */
	for (uint64_t i = 4; i < BODIES_MAX + 3; i++) {
		put(b, i, 10);
	}
	assert_non_null(bodies_get(b, &first));
	assert_null(bodies_get(b, &third));
	/* What is being sent stays until then, and counts. */
	for (uint64_t i = 1; bodies_have_room(b, 4u << 20); i++) {
		const struct body_key key = {.device = 1, .inode = i};

		sent[n++] = body_ref(bodies_put(b, &key, xcalloc(1, 4u << 20), 4u << 20, "\"x\""));
		assert_true(b->bytes_all <= BODIES_BYTES_ALL);
	}
	assert_int_equal(n, BODIES_BYTES_ALL / (4u << 20));
	assert_false(bodies_have_room(b, BODIES_BYTES + 1));
	/* So does what is sent once only. */
	struct body *page = bodies_count(b, xcalloc(1, 1000), 1000);

	assert_int_equal(b->bytes_all, BODIES_BYTES_ALL + 1000);
	body_unref(page);
	while (n) {
		body_unref(sent[--n]);
	}
	assert_true(bodies_have_room(b, 4u << 20));
	bodies_done(b);
	assert_int_equal(b->bytes_all, 0);
	free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(replaced_content_is_what_the_next_visitor_gets,
						begin, end),
		cmocka_unit_test_setup_teardown(content_that_is_not_there_replaces_nothing, begin,
						end),
		cmocka_unit_test_setup_teardown(what_is_not_there_is_told_at_the_start, begin, end),
		cmocka_unit_test_setup_teardown(each_layout_puts_paths_where_it_says, begin, end),
		cmocka_unit_test_setup_teardown(what_its_owner_may_not_show_is_not_there, begin,
						end),
		cmocka_unit_test_setup_teardown(
			small_answers_are_told_together_and_large_ones_alone, begin, end),
		cmocka_unit_test_setup_teardown(it_can_be_stopped_while_everything_is_on_its_way,
						begin, end),
		cmocka_unit_test_setup_teardown(a_visitor_who_left_leaves_the_body_to_the_others,
						begin, end),
		cmocka_unit_test_setup_teardown(a_crowd_at_one_site_does_not_keep_others_waiting,
						begin, end),
		cmocka_unit_test_setup_teardown(those_who_wait_for_a_listing_are_bounded, begin,
						end),
		cmocka_unit_test_setup_teardown(visitors_who_leave_at_once_leave_no_work, begin,
						end),
		cmocka_unit_test_setup_teardown(much_text_at_once_is_sent_as_it_is, begin, end),
		cmocka_unit_test_setup_teardown(
			text_of_a_release_is_made_smaller_however_young_it_is, begin, end),
		cmocka_unit_test(a_validator_changes_with_all_that_a_file_is_known_by),
		cmocka_unit_test(memory_for_bodies_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
