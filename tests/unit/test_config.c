/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "unit.h"

#include <errno.h>

#include "config.h"
#include "paths.h"

static void expect_refused(const char *text, const char *sentence)
{
	_cleanup_error_ struct error err = ERROR_INIT;
	struct config c;

	config_init(&c);
	assert_true(config_parse(&c, "f.conf", span_str(text), &err) < 0);
	assert_string_equal(error_text(&err), sentence);
	config_done(&c);
}

static void parse(struct config *c, const char *text)
{
	_cleanup_error_ struct error err = ERROR_INIT;

	config_init(c);
	if (config_parse(c, "f.conf", span_str(text), &err) < 0) {
		fail_msg("%s", error_text(&err));
	}
}

static void defaults_are_those_of_the_table(void **state)
{
	struct config c;

	(void)state;
	config_init(&c);
	assert_null(c.state_dir);
	assert_int_equal(c.log_level, LOG_LEVEL_INFO);
	assert_int_equal(c.drain_seconds, 60);
	assert_string_equal(c.control_group, "onionshare");
	assert_int_equal(c.tor_mode, TOR_MODE_AUTO);
	assert_string_equal(c.tor_binary, "tor");
	assert_int_equal(c.tor_listen, CONFIG_LISTEN_AUTO);
	assert_int_equal(c.buffers, 64 << 20);
	assert_int_equal(c.write_seconds, 300);
	assert_int_equal(c.history_max_rows, 10000);
	config_done(&c);
}

static void values_are_taken_whole_and_as_they_stand(void **state)
{
	char text[1024];
	struct config c;

	(void)state;
	/* long values, "; and # in them, white space around: where INI readers differ */
	snprintf(text, sizeof(text), "\t[daemon] \r\n  state-dir=/%0400d ;x #y = z\t \r\n", 7);
	parse(&c, text);
	assert_int_equal(strlen(c.state_dir), 401 + strlen(" ;x #y = z"));
	assert_string_equal(c.state_dir + 400, "7 ;x #y = z");
	config_done(&c);

	parse(&c, "[tor]\nmode = system\nlisten=tcp\ncontrol = [::1]:9051\n[limits]\nbuffers=2g");
	assert_int_equal(c.tor_mode, TOR_MODE_SYSTEM);
	assert_int_equal(c.tor_listen, CONFIG_LISTEN_TCP);
	assert_string_equal(c.tor_control, "[::1]:9051");
	assert_int_equal(c.buffers, UINT64_C(2) << 30);
	config_done(&c);
}

static void an_empty_value_means_the_default(void **state)
{
	_cleanup_error_ struct error err = ERROR_INIT;
	struct config c;

	(void)state;
	parse(&c, "[daemon]\nstate-dir = /x\ndrain-seconds = 5\n[tor]\nmode = managed\n");
	assert_int_equal(config_parse(&c, "g.conf",
				      SPAN("[daemon]\nstate-dir =\ndrain-seconds=\n[tor]\nmode=\n"),
				      &err),
			 0);
	assert_null(c.state_dir);
	assert_int_equal(c.drain_seconds, 60);
	assert_int_equal(c.tor_mode, TOR_MODE_AUTO);
	config_done(&c);
}

static void a_bad_line_is_named_with_file_line_and_reason(void **state)
{
	(void)state;
	expect_refused("[daemon]\n\nfoo = 1\n", "f.conf:3: [daemon] has no key \"foo\"");
	expect_refused("[demon]\n", "f.conf:1: there is no section [demon]");
	expect_refused("# c\nmode = auto\n",
		       "f.conf:2: a [section] has to come before the first key");
	expect_refused("[tor]\nmode\n", "f.conf:2: expected key = value");
	expect_refused("[tor]\n= x\n", "f.conf:2: expected key = value");
	expect_refused("[tor\n", "f.conf:1: a section is written [name]");
	expect_refused("[tor] x\n", "f.conf:1: a section is written [name]");
	expect_refused("[tor]\nmode = auto\nmode = auto\n",
		       "f.conf:3: mode stands here a second time");
	expect_refused("[tor]\nlisten = auto\n[tor]\nlisten = tcp\n",
		       "f.conf:4: listen stands here a second time");
	expect_refused("[tor]\nmode = Auto\n",
		       "f.conf:2: mode is one of auto, managed, system, not \"Auto\"");
	expect_refused("[tor]\nlisten = \x1b[2J\n",
		       "f.conf:2: the line has control characters or is not UTF-8");
	expect_refused("[tor]\n# fine \xff\nlisten = \xff\n",
		       "f.conf:3: the line has control characters or is not UTF-8");
	expect_refused(
		"[daemon]\nlog-level = loud\n",
		"f.conf:2: log-level is one of error, warning, notice, info, debug, not \"loud\"");
}

static void numbers_paths_and_addresses_have_their_ranges(void **state)
{
	(void)state;
	expect_refused("[daemon]\ndrain-seconds = 86401\n",
		       "f.conf:2: drain-seconds is from 0 to 86400, not 86401");
	expect_refused("[daemon]\ndrain-seconds = -1\n",
		       "f.conf:2: drain-seconds wants a number, not \"-1\"");
	expect_refused("[daemon]\ndrain-seconds = 99999999999999999999999\n",
		       "f.conf:2: drain-seconds is from 0 to 86400, not 99999999999999999999999");
	expect_refused("[limits]\nhead-seconds = 0\n",
		       "f.conf:2: head-seconds is from 1 to 3600, not 0");
	expect_refused(
		"[limits]\nbuffers = 64X\n",
		"f.conf:2: buffers wants a size (digits and K, M, G, T or nothing), not \"64X\"");
	expect_refused("[daemon]\nstate-dir = var\n",
		       "f.conf:2: state-dir wants an absolute path, not \"var\"");
	expect_refused("[tor]\nbinary = ./tor\n",
		       "f.conf:2: binary wants an absolute path, not \"./tor\"");
	expect_refused("[daemon]\ncontrol-group = a b\n",
		       "f.conf:2: control-group: \"a b\" is not a name");
	for (int i = 0; i < 6; i++) {
		static const char *const bad[] = {"localhost", "1.2.3.4:0", "unix:x",
						  ":9051",     "65536",     "a b:9051"};
		char *text = xasprintf("[tor]\ncontrol = %s\n", bad[i]);
		char *sentence = xasprintf(
			"f.conf:2: control wants unix:/PATH, /PATH, HOST:PORT or PORT, not \"%s\"",
			bad[i]);

		expect_refused(text, sentence);
		free(text);
		free(sentence);
	}
}

static void a_runtime_directory_leaves_room_for_sockets(void **state)
{
	_cleanup_error_ struct error err = ERROR_INIT;
	char dir[128];

	(void)state;
	memset(dir, 'a', sizeof(dir));
	dir[0] = '/';
	dir[PATHS_RUNTIME_MAX] = '\0';
	assert_int_equal(paths_check_runtime(dir, &err), 0);
	dir[PATHS_RUNTIME_MAX] = 'a';
	dir[PATHS_RUNTIME_MAX + 1] = '\0';
	assert_int_equal(paths_check_runtime(dir, &err), -ENAMETOOLONG);
	assert_int_equal(paths_check_runtime("/run/a b", &err), -EINVAL);
	assert_int_equal(paths_check_runtime("/run/\"a", &err), -EINVAL);
	assert_int_equal(paths_check_runtime("/run/\xc3\xa4", &err), -EINVAL);
	assert_int_equal(paths_check_runtime("run", &err), -EINVAL);
	expect_refused("[daemon]\nruntime-dir = run\n",
		       "f.conf:2: runtime-dir: run is not an absolute path");
}

static void the_dumped_file_loads_and_changes_nothing(void **state)
{
	_cleanup_(buf_done) struct buf b = BUF_INIT;
	_cleanup_(buf_done) struct buf on = BUF_INIT;
	struct config c;

	(void)state;
	config_dump(&b);
	assert_non_null(strstr(b.p, "[receive]\n"));
	assert_non_null(strstr(b.p, "\n#drain-seconds = 60\n"));
	parse(&c, b.p);
	config_done(&c);
	/* and with every key switched on it is still the default */
	for (const char *p = b.p; *p; p++) {
		if (*p != '#' || p[1] == ' ') {
			buf_add_char(&on, *p);
		}
	}
	parse(&c, on.p);
	assert_null(c.state_dir);
	assert_null(c.tor_control);
	assert_int_equal(c.buffers, 64 << 20);
	assert_int_equal(c.history_max_days, 90);
	config_done(&c);
	for (struct span rest = buf_span(&b); rest.n;) {
		assert_true(span_cut(&rest, '\n').n <= 80);
	}
}

static void options_of_new_dropboxes_are_checked_as_those_of_the_command_line(void **state)
{
	struct config c;

	(void)state;
	parse(&c, "[receive]\nquota = 10G\nkeep-days = 30\ndisable-files = yes\n"
		  "webhook-format = json\n");
	assert_int_equal(json_object_size(c.receive), 4);
	assert_int_equal(json_integer_value(json_object_get(c.receive, "quota")), INT64_C(10)
											  << 30);
	assert_true(json_is_true(json_object_get(c.receive, "disable_files")));
	assert_string_equal(json_string_value(json_object_get(c.receive, "webhook_format")),
			    "json");
	config_done(&c);
	parse(&c, "[receive]\nquota = 10G\n[receive]\nkeep-days =\n");
	assert_int_equal(json_object_size(c.receive), 1);
	config_done(&c);
	parse(&c, "[receive]\n"
		  "encrypt-to = age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p\n"
		  "encrypt-to = age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg\n");
	assert_int_equal(json_array_size(json_object_get(c.receive, "encrypt_to")), 2);
	config_done(&c);

	expect_refused("[receive]\nquota = lots\n",
		       "f.conf:2: quota: must be a number of bytes, with K, M, G or T if you like");
	expect_refused("[receive]\nkeep-days = 0\n",
		       "f.conf:2: keep_days: must be a whole number from 1 to 36500");
	expect_refused("[receive]\nencrypt-to = me\n",
		       "f.conf:2: encrypt_to: does not begin with age1, as recipients do");
	expect_refused("[receive]\ndisable-text = yes\ndisable-files = yes\n",
		       "f.conf:3: disable_files: You cannot disable both text and files: nothing "
		       "could be sent");
	expect_refused("[receive]\ndata-dir = /srv\n",
		       "f.conf:2: [receive] has no key \"data-dir\"");
	expect_refused("[receive]\nquota = 1\nquota = 2\n",
		       "f.conf:3: quota stands here a second time");
}

static void later_files_win_and_are_read_in_the_order_of_their_names(void **state)
{
	_cleanup_error_ struct error err = ERROR_INIT;
	char *dir = unit_tmpdir();
	char *file = xasprintf("%s/o.conf", dir);
	char *dropins = xasprintf("%s/o.conf.d", dir);
	char *link = xasprintf("%s/20-link.conf", dropins);
	struct config c;

	(void)state;
	config_init(&c);
	assert_int_equal(config_load(&c, file, false, &err), 0);
	assert_int_equal(config_load(&c, file, true, &err), -ENOENT);
	config_done(&c);

	unit_write(dir, "o.conf", "[daemon]\ndrain-seconds = 1\n[history]\nmax-days = 1\n");
	assert_int_equal(mkdir(dropins, 0700), 0);
	unit_write(dropins, "90-z.conf", "[daemon]\ndrain-seconds = 90\n");
	unit_write(dropins, "10-a.conf", "[daemon]\ndrain-seconds = 10\n");
	unit_write(dropins, "99-not.conf.bak", "broken");
	unit_write(dropins, ".99-hidden.conf", "broken");
	unit_write(dir, "linked", "[history]\nmax-rows = 20\n");
	assert_int_equal(symlink("../linked", link), 0);
	config_init(&c);
	assert_int_equal(config_load(&c, file, true, &err), 0);
	assert_int_equal(c.drain_seconds, 90);
	assert_int_equal(c.history_max_days, 1);
	assert_int_equal(c.history_max_rows, 20);

	unit_write(dropins, "95-bad.conf", "\n[daemon]\ndrain = 1\n");
	assert_int_equal(config_load(&c, file, true, &err), -EINVAL);
	assert_non_null(strstr(error_text(&err), "/o.conf.d/95-bad.conf:3: [daemon] has no key"));
	config_done(&c);
	free(link);
	free(dropins);
	free(file);
	unit_rmtree(dir);
}

static void what_is_no_file_or_too_large_is_refused(void **state)
{
	_cleanup_error_ struct error err = ERROR_INIT;
	char *dir = unit_tmpdir();
	char *fifo = xasprintf("%s/fifo", dir);
	char *large = xasprintf("%s/large", dir);
	struct config c;

	(void)state;
	config_init(&c);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(config_load(&c, fifo, true, &err), -EINVAL);
	unit_write(dir, "large", "");
	assert_int_equal(truncate(large, CONFIG_FILE_MAX + 1), 0);
	assert_int_equal(config_load(&c, large, true, &err), -EFBIG);
	assert_int_equal(config_load(&c, dir, true, &err), -EINVAL);

	/* and no more drop-ins than the limit */
	char *dropins = xasprintf("%s/many.d", dir);
	char *many = xasprintf("%s/many", dir);

	assert_int_equal(mkdir(dropins, 0700), 0);
	for (unsigned i = 0; i <= CONFIG_DROPINS; i++) {
		char name[32];

		assert_int_equal(config_load(&c, many, false, &err), 0);
		snprintf(name, sizeof(name), "%03u.conf", i);
		unit_write(dropins, name, "");
	}
	assert_int_equal(config_load(&c, many, false, &err), -E2BIG);
	config_done(&c);
	free(dropins);
	free(many);
	free(fifo);
	free(large);
	unit_rmtree(dir);
}

static void the_command_line_overrides_by_the_same_rules(void **state)
{
	_cleanup_error_ struct error err = ERROR_INIT;
	char *here = getcwd(NULL, 0);
	struct config c;

	(void)state;
	config_init(&c);
	assert_int_equal(config_set(&c, "tor", "mode", "managed", &err), 0);
	assert_int_equal(c.tor_mode, TOR_MODE_MANAGED);
	assert_int_equal(config_set(&c, "tor", "torrc", "x/torrc", &err), 0);
	assert_int_equal(strncmp(c.tor_torrc, here, strlen(here)), 0);
	assert_string_equal(c.tor_torrc + strlen(here), "/x/torrc");
	assert_int_equal(config_set(&c, "tor", "mode", "sometimes", &err), -EINVAL);
	assert_int_equal(config_set(&c, "tor", "none", "x", &err), -EINVAL);
	config_done(&c);
	free(here);
}

static void expect_path(int (*fn)(const struct paths_env *, char **, struct error *),
			struct paths_env env, const char *want)
{
	_cleanup_error_ struct error err = ERROR_INIT;
	char *path = NULL;
	int r = fn(&env, &path, &err);

	if (want) {
		assert_int_equal(r, 0);
		assert_string_equal(path, want);
	} else {
		assert_int_equal(r, -ENOENT);
		assert_null(path);
		assert_non_null(err.text);
	}
	free(path);
}

static void places_follow_who_asks(void **state)
{
	const struct paths_env root = {.uid = 0, .home = "/root", .xdg_runtime_dir = "/run/user/0"};
	const struct paths_env unit = {.uid = 990, .state_directory = "/var/lib/onionshared"};
	const struct paths_env user = {.uid = 1000,
				       .home = "/home/u",
				       .xdg_runtime_dir = "/run/user/1000"};
	const struct paths_env user_unit = {.uid = 1000,
					    .home = "/home/u",
					    .xdg_runtime_dir = "/run/user/1000",
					    .state_directory = "/home/u/.config/o:/x"};
	const struct paths_env xdg = {.uid = 1000,
				      .xdg_state_home = "/s",
				      .xdg_config_home = "/c",
				      .xdg_runtime_dir = "/r"};
	const struct paths_env relative = {.uid = 1000,
					   .home = "/h",
					   .xdg_state_home = "s",
					   .xdg_config_home = "",
					   .xdg_runtime_dir = "r"};

	(void)state;
	expect_path(paths_state_dir, root, "/var/lib/onionshared");
	expect_path(paths_runtime_dir, root, "/run/onionshared");
	expect_path(paths_config_file, root, "/etc/onionshared/onionshared.conf");
	expect_path(paths_state_dir, unit, "/var/lib/onionshared");
	expect_path(paths_runtime_dir, unit, "/run/onionshared");
	expect_path(paths_config_file, unit, "/etc/onionshared/onionshared.conf");
	expect_path(paths_state_dir, user, "/home/u/.local/state/onionshared");
	expect_path(paths_runtime_dir, user, "/run/user/1000/onionshared");
	expect_path(paths_config_file, user, "/home/u/.config/onionshared/onionshared.conf");
	expect_path(paths_state_dir, user_unit, "/home/u/.config/o");
	expect_path(paths_runtime_dir, user_unit, "/run/user/1000/onionshared");
	expect_path(paths_state_dir, xdg, "/s/onionshared");
	expect_path(paths_runtime_dir, xdg, "/r/onionshared");
	expect_path(paths_config_file, xdg, "/c/onionshared/onionshared.conf");
	expect_path(paths_state_dir, relative, "/h/.local/state/onionshared");
	expect_path(paths_runtime_dir, relative, NULL);
	expect_path(paths_state_dir, (struct paths_env){.uid = 5}, NULL);
	expect_path(paths_config_file, (struct paths_env){.uid = 5}, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_those_of_the_table),
		cmocka_unit_test(values_are_taken_whole_and_as_they_stand),
		cmocka_unit_test(an_empty_value_means_the_default),
		cmocka_unit_test(a_bad_line_is_named_with_file_line_and_reason),
		cmocka_unit_test(numbers_paths_and_addresses_have_their_ranges),
		cmocka_unit_test(a_runtime_directory_leaves_room_for_sockets),
		cmocka_unit_test(the_dumped_file_loads_and_changes_nothing),
		cmocka_unit_test(options_of_new_dropboxes_are_checked_as_those_of_the_command_line),
		cmocka_unit_test(later_files_win_and_are_read_in_the_order_of_their_names),
		cmocka_unit_test(what_is_no_file_or_too_large_is_refused),
		cmocka_unit_test(the_command_line_overrides_by_the_same_rules),
		cmocka_unit_test(places_follow_who_asks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
