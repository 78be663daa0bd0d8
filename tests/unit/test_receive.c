/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Receive mode: the page, and submissions in one request. */
#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <time.h>

#include "ev/bufpool.h"
#include "ev/ev.h"
#include "mode/receive/flash.h"
#include "mode/receive/inbox.h"
#include "mode/receive/receive.h"
#include "receive_world.h"

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
	buf_add_str(&b, "--" B "\r\nContent-Disposition: form-data; name=\"file[]\"; filename=\"");
	for (unsigned i = 0; i < 65536; i++) {
		buf_add_str(&b, "x");
	}
	buf_add_str(&b, "\"\r\n\r\n\r\n");
	add_end(&b);
	assert_ajax(f, &b, 413,
		    "{\"error_flashes\":[\"Something beside the content of the files is too long, "
		    "most likely a name. Please make it shorter.\"]}");
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

static void what_arrives_while_it_is_measured_counts(void **state)
{
	struct fixture *f = *state;
	struct receive r = {.ev = &f->ev, .quota = 1000, .used = 950, .full = true};
	uint64_t before = r.arrived;

	/* It was not there yet when its directory was looked at. */
	receive_count(&r, 600);
	receive_measured(&r, 100, before);
	assert_true(receive_over_quota(&r, 301));
	assert_false(receive_over_quota(&r, 300));
	/* The next one finds it. */
	receive_measured(&r, 700, r.arrived);
	assert_true(receive_over_quota(&r, 301));
	assert_false(receive_over_quota(&r, 300));
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
	/* Whom the page tells people to inform knows why, until one is kept. */
	assert_string_equal(mode_receive.notice(f->mode),
			    "submissions cannot be kept: Input/output error");
	f->refuse_intents = false;
	add_part(&b, FILE_A, SPAN("x"));
	add_end(&b);
	assert_ajax(f, &b, 200, "{\"info_flashes\":[\"Uploaded a.txt\"]}");
	assert_null(mode_receive.notice(f->mode));
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

/* A redirection would lead to a service that is gone. */
static void the_last_ones_are_thanked_at_once(void **state)
{
	struct fixture *f = *state;
	static const char *const targets[] = {"/upload", "/upload-ajax"};

	for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
		struct buf b = BUF_INIT;
		struct client c;

		start(f, "{}");
		add_part(&b, "name=\"file[]\"; filename=\"<a>\"", SPAN("x"));
		add_end(&b);
		client_open(f, &c);
		buf_printf(&c.out,
			   "POST %s HTTP/1.1\r\nHost: localhost\r\n" FORM
			   "Content-Length: %zu\r\n\r\n",
			   targets[i], b.len);
		turn_until(f, (client_turn(&c), mode_receive.active(f->mode)));
		http_server_set_draining(f->server, true);
		buf_add_span(&c.out, buf_span(&b));
		struct reply r = finish(f, &c);

		assert_int_equal(r.status, 200);
		assert_non_null(strstr(r.text.p, "Thank you for using OnionShare"));
		assert_non_null(strstr(r.text.p, "Uploaded &lt;a&gt;"));
		assert_true(i == 0 ||
			    strstr(r.text.p, "{\"info_flashes\":[\"Uploaded <a>\"],\"new_body\":"));
		reply_done(&r);
		buf_done(&b);
		stop(f);
	}
}

static void what_was_written_down_is_completed_at_the_start(void **state)
{
	struct fixture *f = *state;
	struct inbox *inbox;
	struct inbox_place *place = &f->intents[0].place;

	assert_int_equal(inbox_open(f->dir, FS_ANY_OWNER, 0, &inbox, NULL), 0);
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
		T(what_arrives_while_it_is_measured_counts),
		T(free_space_is_left_to_others),
		T(a_refused_visitor_is_not_asked_for_the_body),
		T(who_leaves_early_leaves_nothing),
		T(nothing_is_kept_that_was_not_written_down),
		T(who_leaves_late_is_not_forgotten),
		T(the_last_ones_are_thanked_at_once),
		T(what_was_written_down_is_completed_at_the_start),
		T(a_directory_that_cannot_be_used_is_said),
		cmocka_unit_test(tokens_are_used_up_and_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
