/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Bridges: of a real tor of our own (its network off), and of the unit's as a fake one plays it. */
#include "turn.h"

#include <errno.h>
#include <signal.h>

#include "fake_tor.h"
#include "tor/internal.h"
#include "tor/transports.h"

#define FP        "0123456789ABCDEF0123456789ABCDEF01234567"
#define CERT      "cert=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define PLAIN     "192.0.2.1:443 " FP
#define OBFS4     "obfs4 192.0.2.7:443 " FP " " CERT " iat-mode=0"
#define WEBTUNNEL "webtunnel 192.0.2.8:443 " FP " url=https://a.example/path"

struct fixture {
	uv_loop_t loop;
	struct ev ev;
	char *dir, *data, *run, *bin, *path, *control;
	struct fake fake;
	bool faking;
	struct tor *tor;
	bool stopped;
	unsigned answers;
	struct error answer; /* the last one */
	struct buf said;     /* by a real tor */
	/* What the fake one has in its configuration. */
	bool sandbox, network_off, refuse;
	struct buf bridges; /* lines "250-Bridge=..." */
};

/* Where it stands, for who reads of a failure. */
static const char *situation(const struct fixture *f)
{
	static char text[4096];

	snprintf(text, sizeof(text), "problem: %s; said:\n%s",
		 f->tor ? tor_status(f->tor)->problem : "-",
		 f->faking && f->fake.log.p ? f->fake.log.p : "");
	return text;
}

#define RUN_UNTIL(f, cond) turn_until_or_tell(f, cond, situation(f))

static void on_changed(void *ud, const struct tor_status *status)
{
	(void)ud;
	(void)status;
}

static const struct tor_ops ops = {.changed = on_changed};

static void on_stopped(void *ud)
{
	((struct fixture *)ud)->stopped = true;
}

static void stop(struct fixture *f)
{
	f->stopped = false;
	tor_stop(take_ptr(f->tor), on_stopped, f);
	RUN_UNTIL(f, f->stopped);
}

static int setup(void **state)
{
	struct fixture *f = xnew(struct fixture);

	turn_begin(&f->loop, &f->ev, 1 << 20);
	f->dir = unit_tmpdir();
	f->data = xasprintf("%s/state", f->dir);
	f->run = xasprintf("%s/run", f->dir);
	f->bin = xasprintf("%s/bin", f->dir);
	f->path = xstrdup(getenv("PATH"));
	assert_int_equal(mkdir(f->bin, 0700), 0);
	/* Whatever this machine has installed is not found, tor apart. */
	setenv("PATH", f->bin, 1);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	if (f->tor) {
		stop(f);
	}
	if (f->faking) {
		fake_close(&f->fake);
	}
	turn_end(&f->loop, &f->ev);
	if (f->faking) {
		fake_done(&f->fake);
	}
	setenv("PATH", f->path, 1);
	unit_rmtree(f->dir);
	free(f->data);
	free(f->run);
	free(f->bin);
	free(f->path);
	free(f->control);
	error_done(&f->answer);
	buf_done(&f->said);
	buf_done(&f->bridges);
	free(f);
	return 0;
}

static void install(struct fixture *f, const char *name)
{
	char *path = xasprintf("%s/%s", f->bin, name);

	unit_write(f->bin, name, "#!/bin/sh\nexec sleep 1000\n");
	assert_int_equal(chmod(path, 0700), 0);
	free(path);
}

static struct bridges two(const char *a, const char *b)
{
	struct bridges all = BRIDGES_INIT;

	if (a) {
		assert_int_equal(bridges_add(&all, span_str(a), NULL), 0);
	}
	if (b) {
		assert_int_equal(bridges_add(&all, span_str(b), NULL), 0);
	}
	return all;
}

static void preset(struct fixture *f, const char *a, const char *b)
{
	struct bridges all = two(a, b);

	tor_preset_bridges(f->tor, &all);
	bridges_done(&all);
}

static void on_answer(void *ud, const struct error *err)
{
	struct fixture *f = ud;

	f->answers++;
	error_done(&f->answer);
	if (err) {
		error_copy(&f->answer, err);
	}
}

static void use_without_waiting(struct fixture *f, const char *a, const char *b)
{
	struct bridges all = two(a, b);

	f->answers = 0;
	tor_use_bridges(f->tor, &all, on_answer, f);
	assert_int_equal(f->answers, 0); /* never from within */
	bridges_done(&all);
}

static void use(struct fixture *f, const char *a, const char *b)
{
	use_without_waiting(f, a, b);
	RUN_UNTIL(f, f->answers == 1);
}

/* --- a tor of our own --- */

static void make_own(struct fixture *f, const char *torrc)
{
	const struct tor_config config = {
		.mode = TOR_MODE_MANAGED,
		.data_dir = f->data,
		.runtime_dir = f->run,
		.binary = access("/usr/sbin/tor", X_OK) == 0 ? "/usr/sbin/tor" : "/usr/bin/tor",
		.torrc = torrc,
	};

	f->tor = tor_new(&f->ev, &config, &ops, f);
}

static char *torrc_of(const struct fixture *f)
{
	char *path = xasprintf("%s/torrc", f->run);
	FILE *file = fopen(path, "re");
	char text[8192];

	assert_non_null(file);
	size_t n = fread(text, 1, sizeof(text), file);

	fclose(file);
	free(path);
	return xmemdup(text, n);
}

static void assert_in_torrc(const struct fixture *f, const char *text, bool is)
{
	char *torrc = torrc_of(f);

	if (!strstr(torrc, text) == is) {
		fail_msg("%s is%s in:\n%s", text, is ? " not" : "", torrc);
	}
	free(torrc);
}

static void on_conf(void *ud, const struct ctl_reply *reply)
{
	struct fixture *f = ud;

	for (size_t i = 0; i < reply->n; i++) {
		buf_add_span(&f->said, reply->lines[i].text);
		buf_add_char(&f->said, '\n');
	}
}

static const char *asked(struct fixture *f, const char *what)
{
	buf_clear(&f->said);
	RUN_UNTIL(f, tor_can_send(f->tor));
	ctl_sendf(f->tor->conn, on_conf, f, "GETCONF %s", what);
	RUN_UNTIL(f, f->said.len);
	return f->said.p;
}

static void our_tor_has_them_before_it_starts_and_takes_others_while_it_runs(void **state)
{
	struct fixture *f = *state;

	install(f, "obfs4proxy");
	make_own(f, "DisableNetwork 1\n");
	preset(f, PLAIN, NULL);
	tor_start(f->tor);
	RUN_UNTIL(f, tor_status(f->tor)->state == TOR_READY);
	assert_in_torrc(f, "UseBridges 1\nBridge " PLAIN "\n", true);
	assert_int_equal(tor_status(f->tor)->bridges, 1);
	assert_string_equal(asked(f, "UseBridges"), "UseBridges=1\n");

	use(f, PLAIN, OBFS4);
	assert_int_equal(f->answer.code, 0);
	assert_int_equal(tor_status(f->tor)->bridges, 2);
	assert_non_null(strstr(asked(f, "Bridge"), "Bridge=" PLAIN "\nBridge=" OBFS4 "\n"));
	assert_non_null(strstr(asked(f, "ClientTransportPlugin"), "=obfs4 exec /"));
	/* The network was off before, and not for us to switch on. */
	assert_string_equal(asked(f, "DisableNetwork"), "DisableNetwork=1\n");
	assert_in_torrc(f, "Bridge " OBFS4, true);
	assert_in_torrc(f, "ClientTransportPlugin obfs4 exec ", true);

	use(f, NULL, NULL);
	assert_int_equal(f->answer.code, 0);
	assert_string_equal(asked(f, "UseBridges"), "UseBridges=0\n");
	assert_in_torrc(f, "Bridge", false);
}

static void our_tor_comes_back_with_what_it_was_told_last(void **state)
{
	struct fixture *f = *state;

	make_own(f, "DisableNetwork 1\n");
	tor_start(f->tor);
	use(f, PLAIN, NULL); /* before there is a tor */
	assert_int_equal(f->answer.code, 0);
	RUN_UNTIL(f, tor_status(f->tor)->state == TOR_READY);
	use(f, "192.0.2.2:443", NULL);
	ctl_fail(f->tor->conn, "as if it had died");
	RUN_UNTIL(f, tor_status(f->tor)->state != TOR_READY);
	RUN_UNTIL(f, tor_status(f->tor)->state == TOR_READY);
	assert_string_equal(asked(f, "Bridge"), "Bridge=192.0.2.2:443\n");
	/* Lost in the middle of it: it counts from the next start on. */
	use_without_waiting(f, "192.0.2.3:443", NULL);
	ctl_fail(f->tor->conn, "as if it had died");
	RUN_UNTIL(f, f->answers == 1);
	assert_int_equal(f->answer.code, 0);
	RUN_UNTIL(f, tor_status(f->tor)->state == TOR_READY);
	assert_string_equal(asked(f, "Bridge"), "Bridge=192.0.2.3:443\n");
	/* And who stops meanwhile is answered. */
	use_without_waiting(f, "192.0.2.4:443", NULL);
	stop(f);
	assert_int_equal(f->answers, 1);
}

static int check(struct fixture *f, const char *a, struct error *err)
{
	struct bridges all = two(a, NULL);
	int r = tor_check_bridges(f->tor, &all, err);

	bridges_done(&all);
	return r;
}

static void a_transport_without_its_program_is_refused_and_tor_goes_nowhere(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;

	/* Of all transports the one whose programs are installed least. */
	if (access("/usr/bin/webtunnel-client", X_OK) == 0 ||
	    access("/usr/bin/lyrebird", X_OK) == 0) {
		skip();
	}
	make_own(f, "DisableNetwork 1\n");
	assert_int_equal(check(f, WEBTUNNEL, &err), -ENOENT);
	assert_non_null(strstr(error_text(&err), "webtunnel-client"));
	assert_int_equal(err.kind, ERROR_TOR_UNAVAILABLE);
	error_done(&err);
	assert_int_equal(check(f, PLAIN, &err), 0);
	/* It was there once: what was set stays, and is never replaced by the direct way. */
	preset(f, WEBTUNNEL, NULL);
	tor_start(f->tor);
	RUN_UNTIL(f, tor_status(f->tor)->state == TOR_READY);
	assert_in_torrc(f, "UseBridges 1\nBridge webtunnel", true);
	assert_non_null(strstr(tor_status(f->tor)->problem, "cannot be used"));
	assert_non_null(strstr(tor_status(f->tor)->problem, "webtunnel-client"));
	/* A program that is there and may not be run is none. */
	unit_write(f->bin, "webtunnel-client", "");
	assert_int_equal(check(f, WEBTUNNEL, &err), -ENOENT);
	error_done(&err);
	install(f, "lyrebird");
	assert_int_equal(check(f, WEBTUNNEL, &err), 0);
}

static void lines_of_the_admins_own_are_not_fought_with(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;

	assert_true(transports_in_torrc("A 1\n  usebridges\t1\n"));
	assert_true(transports_in_torrc("Bridge 192.0.2.1:1"));
	assert_false(transports_in_torrc("# Bridge x\nBridgeRelay 1\n\nDisableNetwork 1"));
	make_own(f, "DisableNetwork 1\nUseBridges 1\nBridge 192.0.2.9:443\n");
	assert_int_equal(check(f, PLAIN, &err), -EBUSY);
	assert_non_null(strstr(error_text(&err), "torrc"));
	error_done(&err);
}

static void auto_with_bridges_means_a_tor_of_our_own(void **state)
{
	struct fixture *f = *state;
	const struct tor_config config = {
		.mode = TOR_MODE_AUTO,
		.data_dir = f->data,
		.runtime_dir = f->run,
		.binary = "/nonexistent/tor",
	};

	f->tor = tor_new(&f->ev, &config, &ops, f);
	preset(f, PLAIN, NULL);
	tor_start(f->tor);
	assert_int_equal(tor_status(f->tor)->mode, TOR_MODE_MANAGED);
}

/* --- a tor of the system --- */

static bool has_word(const char *line, const char *word)
{
	return strstr(line, word) != NULL;
}

static void fake_resetconf(struct fixture *f, const char *line)
{
	const char *p = line;

	buf_clear(&f->bridges);
	while ((p = strstr(p, " Bridge=\""))) {
		const char *end = strchr(p + 9, '"');

		buf_printf(&f->bridges, "250-Bridge=%.*s\r\n", (int)(end - p - 9), p + 9);
		p = end;
	}
}

static bool unit_script(struct fake_conn *c, const char *line, void *ud)
{
	struct fixture *f = ud;
	struct buf b = BUF_INIT;

	if (fake_begins(line, "GETCONF Sandbox")) {
		buf_printf(&b, "250-Sandbox=%d\r\n250-DisableNetwork=%d\r\n250-UseBridges=%d\r\n",
			   f->sandbox, f->network_off, f->bridges.len > 0);
		buf_add_str(&b, f->bridges.len ? f->bridges.p : "250-Bridge\r\n");
		buf_add_str(&b, "250 OK\r\n");
		fake_say(c, b.p);
		buf_done(&b);
		return true;
	}
	if (fake_begins(line, "RESETCONF") && f->refuse) {
		fake_say(c, "513 Unacceptable option value: Bridge " PLAIN "\r\n");
		return true;
	}
	if (fake_begins(line, "RESETCONF")) {
		fake_resetconf(f, line);
	}
	if (fake_begins(line, "SETCONF DisableNetwork=")) {
		f->network_off = has_word(line, "=1");
	}
	return false;
}

/* is_unit: as if systemd's unit ran it for us. */
static void make_system(struct fixture *f, bool is_unit)
{
	fake_init(&f->fake, &f->loop, f->dir);
	f->faking = true;
	f->fake.script = unit_script;
	f->fake.script_ud = f;
	f->control = xasprintf("unix:%s", f->fake.path);

	const struct tor_config config = {.mode = TOR_MODE_SYSTEM, .control = f->control};

	f->tor = tor_new(&f->ev, &config, &ops, f);
	f->tor->times.backoff_min = 10;
	f->tor->times.backoff_max = 40;
	if (is_unit) {
		f->tor->unit_dir = f->dir;
	}
}

static bool said(const struct fixture *f, const char *what)
{
	return f->fake.log.p && strstr(f->fake.log.p, what);
}

static void go(struct fixture *f)
{
	tor_start(f->tor);
	RUN_UNTIL(f, tor_status(f->tor)->state == TOR_READY &&
			     f->tor->bridge_step == BRIDGES_SETTLED && tor_can_send(f->tor));
}

static void another_programs_tor_is_left_alone_with_the_way_out(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;

	make_system(f, false);
	preset(f, PLAIN, NULL);
	go(f);
	assert_int_equal(check(f, PLAIN, &err), -EPERM);
	assert_non_null(strstr(error_text(&err), "/etc/tor/torrc"));
	assert_non_null(strstr(error_text(&err), "mode = managed"));
	error_done(&err);
	assert_int_equal(check(f, NULL, &err), 0); /* without is always possible */
	assert_non_null(strstr(tor_status(f->tor)->problem, "cannot be used"));
	use(f, NULL, NULL);
	assert_false(said(f, "Bridge"));
	assert_false(said(f, "DisableNetwork="));
}

static void the_units_tor_is_let_into_the_network_when_it_has_its_bridges(void **state)
{
	struct fixture *f = *state;

	install(f, "obfs4proxy");
	make_system(f, true);
	f->network_off = true;
	preset(f, OBFS4, NULL);
	go(f);
	assert_true(said(f, "RESETCONF UseBridges=\"1\" ClientTransportPlugin=\"obfs4 exec /"));
	assert_true(said(f, "Bridge=\"" OBFS4 "\"\nSETCONF DisableNetwork=0"));
	assert_false(f->network_off);
	assert_false(said(f, "ADD_ONION"));

	/* A tor that was told by an earlier daemon is not disturbed. */
	buf_clear(&f->fake.log);
	fake_hang_up_all(&f->fake);
	RUN_UNTIL(f, said(f, "GETCONF") && tor_can_send(f->tor));
	assert_false(said(f, "RESETCONF"));
	assert_false(said(f, "DisableNetwork="));

	/* While they change nothing goes out. */
	buf_clear(&f->fake.log);
	use(f, PLAIN, NULL);
	assert_int_equal(f->answer.code, 0);
	assert_true(said(f, "SETCONF DisableNetwork=1\nRESETCONF UseBridges=\"1\" "
			    "Bridge=\"" PLAIN "\"\nSETCONF DisableNetwork=0"));
	use(f, NULL, NULL);
	assert_true(said(f, "RESETCONF UseBridges Bridge ClientTransportPlugin\n"));
	assert_false(f->network_off);
}

static void the_units_tor_is_told_again_when_it_has_read_its_configuration(void **state)
{
	struct fixture *f = *state;

	make_system(f, true);
	f->network_off = true;
	preset(f, PLAIN, NULL);
	go(f);
	buf_clear(&f->fake.log);
	f->network_off = true; /* SIGHUP */
	buf_clear(&f->bridges);
	fake_event(&f->fake, "650-CONF_CHANGED\r\n650-DisableNetwork=1\r\n650 OK\r\n");
	RUN_UNTIL(f, said(f, "SETCONF DisableNetwork=0"));
	assert_true(said(f, "Bridge=\"" PLAIN "\""));
}

static void without_bridges_the_units_own_configuration_counts(void **state)
{
	struct fixture *f = *state;

	make_system(f, true);
	f->network_off = true;
	go(f);
	assert_true(said(f, "SETCONF DisableNetwork=0"));
	assert_false(said(f, "RESETCONF"));
}

static void a_sandbox_is_told_of_and_its_tor_stays_out(void **state)
{
	struct fixture *f = *state;

	install(f, "obfs4proxy");
	make_system(f, true);
	f->network_off = f->sandbox = true;
	preset(f, OBFS4, NULL);
	go(f);
	assert_non_null(strstr(tor_status(f->tor)->problem, "Sandbox 0"));
	assert_true(f->network_off);
	/* A plain bridge needs no program. */
	use(f, PLAIN, NULL);
	assert_int_equal(f->answer.code, 0);
	assert_null(tor_status(f->tor)->problem);
	assert_false(f->network_off);
	use(f, OBFS4, NULL);
	assert_int_equal(f->answer.code, EPERM);
	assert_non_null(strstr(error_text(&f->answer), "Sandbox 0"));
	assert_false(f->network_off);
	assert_string_equal(f->bridges.p, "250-Bridge=" PLAIN "\r\n");
}

static void what_tor_refuses_changes_nothing_and_is_not_repeated(void **state)
{
	struct fixture *f = *state;

	make_system(f, true);
	preset(f, PLAIN, NULL);
	go(f);
	f->refuse = true;
	use(f, "192.0.2.2:443", NULL);
	assert_int_equal(f->answer.code, EINVAL);
	assert_null(strstr(error_text(&f->answer), "192.0.2"));
	assert_false(f->network_off);
	assert_string_equal(f->bridges.p, "250-Bridge=" PLAIN "\r\n");
	assert_int_equal(tor_status(f->tor)->bridges, 1);
}

static void bridges_refused_at_the_start_leave_tor_outside(void **state)
{
	struct fixture *f = *state;

	make_system(f, true);
	f->network_off = f->refuse = true;
	preset(f, PLAIN, NULL);
	go(f);
	assert_true(f->network_off);
	assert_non_null(strstr(tor_status(f->tor)->problem, "tor refuses these bridges"));
	assert_null(strstr(tor_status(f->tor)->problem, "192.0.2"));
}

static void set_while_the_first_ones_are_told_they_come_after_them(void **state)
{
	struct fixture *f = *state;

	make_system(f, true);
	f->network_off = true;
	preset(f, PLAIN, NULL);
	tor_start(f->tor);
	RUN_UNTIL(f,
		  tor_status(f->tor)->state == TOR_READY && f->tor->bridge_step != BRIDGES_SETTLED);
	use(f, "192.0.2.2:443", NULL);
	assert_int_equal(f->answer.code, 0);
	assert_string_equal(f->bridges.p, "250-Bridge=192.0.2.2:443\r\n");
	assert_true(said(f, "Bridge=\"" PLAIN "\""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(our_tor_has_them_before_it_starts_and_takes_others_while_it_runs),
		T(our_tor_comes_back_with_what_it_was_told_last),
		T(a_transport_without_its_program_is_refused_and_tor_goes_nowhere),
		T(lines_of_the_admins_own_are_not_fought_with),
		T(auto_with_bridges_means_a_tor_of_our_own),
		T(another_programs_tor_is_left_alone_with_the_way_out),
		T(the_units_tor_is_let_into_the_network_when_it_has_its_bridges),
		T(the_units_tor_is_told_again_when_it_has_read_its_configuration),
		T(without_bridges_the_units_own_configuration_counts),
		T(a_sandbox_is_told_of_and_its_tor_stays_out),
		T(what_tor_refuses_changes_nothing_and_is_not_repeated),
		T(bridges_refused_at_the_start_leave_tor_outside),
		T(set_while_the_first_ones_are_told_they_come_after_them),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
