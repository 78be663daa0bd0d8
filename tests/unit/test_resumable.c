/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Submissions whose body comes in pieces (docs/upload.md). */
#include "ev/bufpool.h"
#include "mode/receive/receive.h"
#include "mode/receive/resumable.h"
#include "receive_world.h"

#define AJAX   "/upload-ajax"
#define FIRST  FORM "Upload-Complete: ?0\r\n"
#define THANKS "{\"info_flashes\":[\"Message submitted, uploaded a.txt\"]}"

/* --- asking --- */

static void assert_field(const struct reply *r, const char *field)
{
	char *line = xasprintf("\r\n%s\r\n", field);

	if (!strstr(r->text.p, line)) {
		fail_msg("no %s in: %s", field, r->text.p);
	}
	free(line);
}

static void assert_reply(struct reply r, int status, const char *field, const char *body)
{
	if (r.status != status) {
		fail_msg("%d expected: %s", status, r.text.p);
	}
	if (field) {
		assert_field(&r, field);
	}
	if (body) {
		assert_string_equal(strstr(r.text.p, "\r\n\r\n") + 4, body);
	}
	reply_done(&r);
}

/* Its path, to be freed. */
static char *create_as(struct fixture *f, const char *fields, struct span body)
{
	struct reply r = ask(f, "POST", AJAX, fields, body);
	char *at;

	assert_int_equal(r.status, 201);
	assert_field(&r, "Upload-Complete: ?0");
	at = strstr(r.text.p, "\r\nLocation: ");
	assert_non_null(at);
	at += strlen("\r\nLocation: ");
	at = xmemdup(at, strcspn(at, "\r"));
	reply_done(&r);
	return at;
}

static char *create(struct fixture *f)
{
	return create_as(f, FIRST, SPAN(""));
}

static struct reply patch(struct fixture *f, const char *path, size_t offset, bool last,
			  struct span body)
{
	char *fields = xasprintf("Content-Type: application/partial-upload\r\n"
				 "Upload-Offset: %zu\r\nUpload-Complete: ?%d\r\n",
				 offset, last);
	struct reply r = ask(f, "PATCH", path, fields, body);

	free(fields);
	return r;
}

static struct reply head(struct fixture *f, const char *path)
{
	return ask(f, "HEAD", path, "", SPAN_NONE);
}

static void assert_offset(struct fixture *f, const char *path, size_t offset)
{
	char *field = xasprintf("Upload-Offset: %zu", offset);

	assert_reply(head(f, path), 204, field, NULL);
	free(field);
}

static struct buf small_body(void)
{
	struct buf b = BUF_INIT;

	add_part(&b, FILE_A, SPAN("alpha\r\n--" B "x\r"));
	add_part(&b, TEXT, SPAN("hello"));
	add_end(&b);
	return b;
}

/* Other limits than the usual ones, before there is any upload. */
static void limit(struct fixture *f, struct resumable_limits limits)
{
	struct receive *r = container_of(f->mode, struct receive, mode);
	struct resumables *usual = r->resumables;

	r->resumables = resumables_new(r, &limits);
	resumables_close(usual);
}

static bool is_gone(struct fixture *f, const char *path)
{
	struct reply r = head(f, path);
	bool gone = r.status == 404;

	assert_true(gone || r.status == 204);
	reply_done(&r);
	return gone;
}

/* --- what it is for --- */

static void every_split_of_a_body_gives_the_same_submission(void **state)
{
	struct fixture *f = *state;
	struct buf b = small_body();

	start(f, "{}");
	for (size_t cut = 0; cut <= b.len; cut++) {
		char *path = create(f);

		assert_reply(patch(f, path, 0, false, span_of(b.p, cut)), 204,
			     "Upload-Complete: ?0", "");
		assert_offset(f, path, cut);
		assert_reply(patch(f, path, cut, true, span_from(buf_span(&b), cut)), 200,
			     "Upload-Complete: ?1", THANKS);
		free(path);
		assert_int_equal(f->submissions, cut + 1);
		assert_int_equal(f->files, 1);
		assert_true(f->message);
	}
	assert_int_equal(f->cancelled, 0);
	buf_done(&b);
}

static void a_body_may_come_byte_by_byte(void **state)
{
	struct fixture *f = *state;
	struct buf b = small_body();

	start(f, "{}");
	char *path = create_as(f, FIRST, span_of(b.p, 1)); /* the first piece with its creation */

	for (size_t i = 1; i < b.len; i++) {
		assert_reply(patch(f, path, i, false, span_of(b.p + i, 1)), 204, NULL, "");
	}
	assert_reply(patch(f, path, b.len, true, SPAN("")), 200, NULL, THANKS);
	assert_disk(f, "T/a.txt=alpha\r\n--" B "x\r\nT-message.txt=hello\n");
	free(path);
	buf_done(&b);
}

static void large_pieces_arrive_whole_in_little_memory(void **state)
{
	struct fixture *f = *state;
	size_t n = 5000000, step = 700001;
	char *data = xmalloc(n);
	struct buf b = BUF_INIT;

	for (size_t i = 0; i < n; i++) {
		data[i] = (char)(i * 7 + i / 251);
	}
	add_part(&b, FILE_A, span_of(data, n));
	add_end(&b);
	start(f, "{}");
	char *path = create(f);

	for (size_t at = 0; at < b.len; at += step) {
		bool last = at + step >= b.len;

		assert_reply(patch(f, path, at, last, span_of(b.p + at, last ? b.len - at : step)),
			     last ? 200 : 204, NULL, NULL);
		assert_true(bufpool_in_use(f->ev.bufs) <= 2);
	}
	assert_disk(f, "T/a.txt (5000000)\n");
	free(path);
	free(data);
	buf_done(&b);
}

static void begin_piece(struct fixture *f, struct client *c, const char *path, size_t offset,
			bool last, size_t length, struct span sent)
{
	client_open(f, c);
	buf_printf(&c->out,
		   "PATCH %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
		   "Content-Type: application/partial-upload\r\nContent-Length: %zu\r\n"
		   "Upload-Offset: %zu\r\nUpload-Complete: ?%d\r\n\r\n",
		   path, length, offset, last);
	buf_add_span(&c->out, sent);
	turn_until(f, (client_turn(c), c->out_at == c->out.len));
}

static void a_piece_that_breaks_off_keeps_what_came(void **state)
{
	struct fixture *f = *state;
	struct buf b = small_body();
	struct client c;

	start(f, "{}");
	char *path = create(f);

	begin_piece(f, &c, path, 0, true, b.len, span_of(b.p, 100));
	client_done(&c);
	/* It is no longer waited for. */
	turn_until(f, mode_receive.active(f->mode) == 0);
	assert_offset(f, path, 100);
	assert_reply(patch(f, path, 100, true, span_from(buf_span(&b), 100)), 200, NULL, THANKS);
	free(path);
	buf_done(&b);
}

static void who_comes_back_takes_over_from_a_dead_connection(void **state)
{
	struct fixture *f = *state;
	struct buf b = small_body();
	struct client c, d;

	start(f, "{}");
	char *path = create(f);

	begin_piece(f, &c, path, 0, false, b.len, span_of(b.p, 50));
	turn_until(f, f->started && container_of(f->mode, struct receive, mode)->active);
	assert_offset(f, path, 50);
	assert_reply(finish(f, &c), 409, "Upload-Offset: 50", NULL);
	begin_piece(f, &d, path, 50, false, b.len, span_of(b.p + 50, 10));
	assert_offset(f, path, 60);
	assert_reply(patch(f, path, 60, true, span_from(buf_span(&b), 60)), 200, NULL, THANKS);
	assert_reply(finish(f, &d), 409, NULL, NULL);
	free(path);
	buf_done(&b);
}

/* --- the answer --- */

static void an_answer_that_was_lost_is_given_again(void **state)
{
	struct fixture *f = *state;
	struct buf b = small_body();

	start(f, "{}");
	char *path = create(f);

	assert_reply(patch(f, path, 0, true, buf_span(&b)), 200, NULL, THANKS);
	assert_reply(patch(f, path, 0, true, buf_span(&b)), 200, NULL, THANKS);
	assert_reply(head(f, path), 204, "Upload-Complete: ?1", "");
	assert_reply(patch(f, path, b.len, true, SPAN("")), 200, NULL, THANKS);
	assert_disk(f, "T/a.txt=alpha\r\n--" B "x\r\nT-message.txt=hello\n");
	assert_int_equal(f->submissions, 1);
	assert_reply(ask(f, "DELETE", path, "", SPAN_NONE), 204, NULL, "");
	assert_true(is_gone(f, path));
	free(path);
	buf_done(&b);
}

static void who_leaves_before_the_answer_can_fetch_it(void **state)
{
	struct fixture *f = *state;
	struct buf b = small_body();
	struct client c, d;

	start(f, "{}");
	char *path = create(f);

	f->hold = true;
	begin_piece(f, &c, path, 0, true, b.len, buf_span(&b));
	turn_until(f, !list_empty(&f->questions));
	client_done(&c);
	assert_reply(head(f, path), 204, "Upload-Complete: ?1", "");
	begin_piece(f, &c, path, 0, true, b.len, buf_span(&b));
	begin_piece(f, &d, path, b.len, true, 0, SPAN("")); /* the later one is answered */
	assert_reply(finish(f, &c), 409, NULL, NULL);
	f->hold = false;
	assert_reply(finish(f, &d), 200, NULL, THANKS);
	assert_int_equal(f->submissions, 1);
	free(path);
	buf_done(&b);
}

static void a_refusal_is_the_answer_too(void **state)
{
	struct fixture *f = *state;
	struct buf b = small_body();
	static const char no[] = "{\"error_flashes\":[\"File uploads are not allowed\"]}";

	start(f, "{\"disable_files\": true}");
	char *path = create(f);

	assert_reply(patch(f, path, 0, false, buf_span(&b)), 403, NULL, no);
	assert_reply(head(f, path), 403, NULL, "");
	assert_reply(patch(f, path, 0, true, SPAN("")), 403, NULL, no);
	assert_disk(f, "");
	free(path);
	path = create(f);
	assert_reply(patch(f, path, 0, true, span_of(b.p, 0)), 400, NULL,
		     "{\"error_flashes\":[\"The submission could not be understood\"]}");
	free(path);
	path = create(f);
	assert_reply(patch(f, path, 0, true, SPAN("--" B "--\r\n")), 200, NULL,
		     "{\"error_flashes\":[\"Nothing submitted or message was too long (> 524288 "
		     "characters)\"]}");
	assert_disk(f, "");
	free(path);
	buf_done(&b);
}

/* --- what is asked wrongly --- */

static void a_piece_at_the_wrong_place_is_not_taken(void **state)
{
	struct fixture *f = *state;
	struct buf b = small_body();

	start(f, "{}");
	char *path = create(f);

	assert_reply(patch(f, path, 0, false, span_of(b.p, 20)), 204, NULL, "");
	for (size_t at = 0; at < 40; at += 19) {
		struct reply r = patch(f, path, at, true, span_of(b.p, 20));

		assert_field(&r, "Content-Type: application/problem+json");
		assert_reply(r, 409, "Upload-Offset: 20", NULL);
	}
	assert_reply(patch(f, path, 20, true, span_from(buf_span(&b), 20)), 200, NULL, THANKS);
	free(path);
	buf_done(&b);
}

static void what_is_no_piece_is_refused(void **state)
{
	struct fixture *f = *state;
	static const char part[] = "Content-Type: application/partial-upload\r\n";
	static const char *const bad[] = {
		"",
		"Upload-Offset: 0\r\n",
		"Upload-Complete: ?1\r\n",
		"Upload-Offset: -1\r\nUpload-Complete: ?1\r\n",
		"Upload-Offset: 0\r\nUpload-Offset: 0\r\nUpload-Complete: ?1\r\n",
		"Upload-Offset: 9999999999999999\r\nUpload-Complete: ?1\r\n",
		"Upload-Offset: 0\r\nUpload-Complete: 1\r\n",
	};

	start(f, "{}");
	char *path = create(f);

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		char *fields = xasprintf("%s%s", part, bad[i]);

		assert_reply(ask(f, "PATCH", path, fields, SPAN("x")), 400, NULL, NULL);
		free(fields);
	}
	assert_reply(ask(f, "PATCH", path, "Upload-Offset: 0\r\nUpload-Complete: ?0\r\n",
			 SPAN("x")),
		     415, NULL, NULL);
	assert_reply(ask(f, "GET", path, "", SPAN_NONE), 405, "Allow: HEAD, PATCH, DELETE", NULL);
	assert_reply(ask(f, "POST", path, FIRST, SPAN("")), 405, NULL, NULL);
	assert_offset(f, path, 0);
	path[strlen(path) - 1] ^= 1;
	assert_reply(head(f, path), 404, NULL, "");
	assert_reply(patch(f, AJAX "/", 0, true, SPAN("x")), 404, NULL, NULL);
	assert_reply(ask(f, "POST", AJAX, FIRST "Upload-Length: x\r\n", SPAN("")), 400, NULL, NULL);
	free(path);
}

static void foreign_pages_can_do_nothing(void **state)
{
	struct fixture *f = *state;
	static const char *const methods[] = {"PATCH", "HEAD", "DELETE"};

	start(f, "{}");
	char *path = create(f);

	assert_reply(ask(f, "POST", AJAX, FIRST "Origin: http://evil.example\r\n", SPAN("")), 403,
		     NULL, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		assert_reply(ask(f, methods[i], path, "Sec-Fetch-Site: cross-site\r\n", SPAN_NONE),
			     403, NULL, NULL);
	}
	assert_offset(f, path, 0);
	free(path);
}

static void the_announced_length_binds(void **state)
{
	struct fixture *f = *state;
	struct buf b = small_body();
	char *fields = xasprintf("%sUpload-Length: %zu\r\n", FIRST, b.len);
	char *path;

	start(f, "{\"max_submission\": 100}");
	path = create_as(f, fields, SPAN(""));
	assert_reply(patch(f, path, 0, true, buf_span(&b)), 200, NULL, THANKS);
	free(path);
	path = create_as(f, fields, SPAN("")); /* less */
	assert_reply(patch(f, path, 0, true, span_of(b.p, b.len - 2)), 400, NULL, NULL);
	free(path);
	path = create_as(f, fields, SPAN("")); /* more */
	assert_reply(patch(f, path, 0, false, buf_span(&b)), 204, NULL, NULL);
	assert_reply(patch(f, path, b.len, true, SPAN("\r\n")), 400, NULL, NULL);
	free(path);
	/* More than is accepted: at once, or with the piece that says so. */
	assert_reply(ask(f, "POST", AJAX, FIRST "Upload-Length: 70000\r\n", SPAN("")), 413, NULL,
		     NULL);
	path = create(f);
	assert_reply(ask(f, "PATCH", path,
			 "Content-Type: application/partial-upload\r\nUpload-Offset: 0\r\n"
			 "Upload-Complete: ?0\r\nContent-Length: 70000\r\n",
			 SPAN_NONE),
		     413, NULL, NULL);
	free(path);
	free(fields);
	buf_done(&b);
}

static void quota_and_size_hold_over_all_pieces(void **state)
{
	struct fixture *f = *state;
	struct buf b = BUF_INIT;

	add_part(&b, FILE_A, SPAN("0123456789"));
	add_end(&b);
	start(f, "{\"max_submission\": 9}");
	for (int i = 0; i < 2; i++) {
		char *path = create(f);
		struct reply r = patch(f, path, 0, false, span_of(b.p, b.len - 40));

		if (r.status == 204) {
			reply_done(&r);
			r = patch(f, path, b.len - 40, true, span_from(buf_span(&b), b.len - 40));
		}
		assert_reply(r, i == 0 ? 413 : 507, NULL, NULL);
		assert_disk(f, "");
		free(path);
		stop(f);
		start(f, "{\"quota\": 9}");
	}
	buf_done(&b);
}

/* --- ends --- */

static void a_cancelled_upload_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	struct buf b = small_body();

	start(f, "{}");
	char *path = create(f);

	assert_reply(patch(f, path, 0, false, span_of(b.p, 150)), 204, NULL, NULL);
	assert_int_equal(mode_receive.active(f->mode), 0); /* nobody waits for it */
	assert_reply(ask(f, "DELETE", path, "", SPAN_NONE), 204, NULL, "");
	assert_reply(patch(f, path, 150, true, SPAN("x")), 404, NULL, NULL);
	assert_disk(f, "");
	assert_int_equal(f->cancelled, 1);
	free(path);
	buf_done(&b);
}

static void a_stopped_service_forgets_what_was_not_finished(void **state)
{
	struct fixture *f = *state;
	struct buf b = small_body();

	start(f, "{}");
	char *path = create(f), *other = create(f);

	assert_reply(patch(f, path, 0, false, span_of(b.p, 150)), 204, NULL, NULL);
	stop(f);
	assert_int_equal(f->cancelled, 2);
	start(f, "{}");
	assert_disk(f, "");
	assert_true(is_gone(f, path));
	free(path);
	free(other);
	buf_done(&b);
}

static void who_does_not_learn_the_address_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	struct client c;

	start(f, "{}");
	client_open(f, &c);
	buf_add_str(&c.out, "POST " AJAX " HTTP/1.1\r\nHost: localhost\r\n" FIRST
			    "Content-Length: 100\r\n\r\n--" B "\r\n");
	turn_until(f, (client_turn(&c), f->started));
	client_done(&c);
	turn_until(f, f->cancelled);
	assert_disk(f, "");
}

static void what_makes_no_progress_expires(void **state)
{
	struct fixture *f = *state;
	struct resumable_limits limits = resumable_limits_default;
	struct buf b = small_body();

	limits.life_ms = 40;
	limits.answer_ms = 1;
	limits.tick_ms = 1;
	start(f, "{}");
	limit(f, limits);
	char *path = create(f);

	turn_until(f, is_gone(f, path));
	assert_int_equal(f->cancelled, 1);
	free(path);
	path = create(f);
	/* Either in time or too late for it; the answer is forgotten soon. */
	struct reply r = patch(f, path, 0, true, buf_span(&b));

	reply_done(&r);
	turn_until(f, is_gone(f, path));
	free(path);
	buf_done(&b);
}

static void they_are_bounded_and_idle_ones_give_way(void **state)
{
	struct fixture *f = *state;
	struct resumable_limits limits = resumable_limits_default;
	struct buf b = small_body();
	struct client c;

	limits.max = 2;
	limits.empty_ms = 1;
	start(f, "{}");
	limit(f, limits);
	char *begun = create(f), *done = create(f);

	assert_reply(patch(f, begun, 0, false, span_of(b.p, 10)), 204, NULL, NULL);
	assert_reply(patch(f, done, 0, true, buf_span(&b)), 200, NULL, THANKS);
	char *empty = create(f); /* in the place of the one that is done */

	assert_true(is_gone(f, done));
	assert_false(is_gone(f, begun));
	/* One that a request is at stays. */
	begin_piece(f, &c, empty, 0, false, 10, SPAN(""));
	turn_until(f, mode_receive.active(f->mode) == 1);
	assert_reply(ask(f, "POST", AJAX, FIRST, SPAN("")), 503, "Retry-After: 60", NULL);
	client_done(&c);
	turn_until(f, mode_receive.active(f->mode) == 0);
	uint64_t since = uv_now(&f->loop);

	turn_until(f, uv_now(&f->loop) > since + 1);
	char *next = create(f);

	assert_true(is_gone(f, empty));
	assert_false(is_gone(f, begun));
	assert_reply(patch(f, begun, 10, true, span_from(buf_span(&b), 10)), 200, NULL, THANKS);
	free(begun);
	free(done);
	free(empty);
	free(next);
	buf_done(&b);
}

static void what_stands_still_makes_room(void **state)
{
	struct fixture *f = *state;
	struct resumable_limits limits = resumable_limits_default;
	struct buf b = BUF_INIT;

	char data[1000];

	memset(data, 'x', sizeof(data));
	add_part(&b, FILE_A, span_of(data, sizeof(data)));
	add_end(&b);
	for (int still = 0; still < 2; still++) {
		start(f, "{\"quota\": 1500}");
		limits.patience_ms = still ? 1 : limits.patience_ms;
		limit(f, limits);
		char *path = create(f);

		assert_reply(patch(f, path, 0, false, span_of(b.p, 900)), 204, NULL, NULL);
		uint64_t since = uv_now(&f->loop);

		turn_until(f, uv_now(&f->loop) > since + 1);
		assert_reply(post(f, AJAX, buf_span(&b)), still ? 200 : 507, NULL, NULL);
		assert_int_equal(is_gone(f, path), still);
		free(path);
		if (!still) {
			stop(f);
		}
	}
	assert_disk(f, "T/a.txt (1000)\n");
	buf_done(&b);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(every_split_of_a_body_gives_the_same_submission),
		T(a_body_may_come_byte_by_byte),
		T(large_pieces_arrive_whole_in_little_memory),
		T(a_piece_that_breaks_off_keeps_what_came),
		T(who_comes_back_takes_over_from_a_dead_connection),
		T(an_answer_that_was_lost_is_given_again),
		T(who_leaves_before_the_answer_can_fetch_it),
		T(a_refusal_is_the_answer_too),
		T(a_piece_at_the_wrong_place_is_not_taken),
		T(what_is_no_piece_is_refused),
		T(foreign_pages_can_do_nothing),
		T(the_announced_length_binds),
		T(quota_and_size_hold_over_all_pieces),
		T(a_cancelled_upload_leaves_nothing),
		T(a_stopped_service_forgets_what_was_not_finished),
		T(who_does_not_learn_the_address_leaves_nothing),
		T(what_makes_no_progress_expires),
		T(they_are_bounded_and_idle_ones_give_way),
		T(what_stands_still_makes_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
