/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The client's own pieces: the option parser, escaped text, paths, the wiping allocator. */
#include "unit.h"

#include <errno.h>
#include <jansson.h>

#include "client/content/paths.h"
#include "client/opt.h"
#include "client/out.h"
#include "proto/wipe.h"

/* --- options --- */

static const struct opt global[] = {{"json", 'j', NULL, ""}, {"quiet", 'q', NULL, ""}, {0}};
static const struct opt own[] = {{"no-wait", 0, NULL, ""},
				 {"title", 't', "TEXT", ""},
				 {"empty", 0, "TEXT", ""},
				 {0}};

#define PARSE(args, ret_used, err, ...)                                         \
	({                                                                      \
		const char *argv_[] = {__VA_ARGS__};                            \
		char **words_ = (char **)(uintptr_t)argv_;                      \
		opt_parse(args, (int)ARRAY_SIZE(argv_), words_, ret_used, err); \
	})

static struct opt_args both(void)
{
	return (struct opt_args){.tables = {global, own}};
}

static void options_may_stand_behind_positional_arguments(void **state)
{
	struct opt_args args = both();

	(void)state;
	assert_int_equal(PARSE(&args, NULL, NULL, "a", "--no-wait", "b", "-j"), 0);
	assert_int_equal(args.n_words, 2);
	assert_string_equal(args.words[0], "a");
	assert_string_equal(args.words[1], "b");
	assert_true(opt_given(&args, "no-wait") && opt_given(&args, "json"));
	assert_false(opt_given(&args, "quiet"));
	opt_done(&args);
}

static void values_come_behind_a_space_or_an_equals_sign(void **state)
{
	struct opt_args args = both();

	(void)state;
	assert_int_equal(PARSE(&args, NULL, NULL, "--title", "one", "--empty=", "--title=t=w"), 0);
	assert_string_equal(opt_text(&args, "title"), "t=w");
	assert_string_equal(opt_text(&args, "empty"), "");
	assert_int_equal(args.n_values, 3);
	assert_string_equal(args.values[0].text, "one");
	assert_null(opt_text(&args, "no-wait"));
	opt_done(&args);
}

static void a_value_may_look_like_an_option(void **state)
{
	struct opt_args args = both();

	(void)state;
	assert_int_equal(PARSE(&args, NULL, NULL, "--title", "--json"), 0);
	assert_string_equal(opt_text(&args, "title"), "--json");
	assert_false(opt_given(&args, "json"));
	opt_done(&args);
}

static void underscores_are_dashes_in_names_but_not_in_values(void **state)
{
	struct opt_args args = both();

	(void)state;
	assert_int_equal(PARSE(&args, NULL, NULL, "--no_wait", "--title=a_b"), 0);
	assert_true(opt_given(&args, "no-wait"));
	assert_string_equal(opt_text(&args, "title"), "a_b");
	opt_done(&args);
}

static void letters_stand_together_and_the_last_takes_the_rest(void **state)
{
	struct opt_args args = both();

	(void)state;
	assert_int_equal(PARSE(&args, NULL, NULL, "-jqtname", "-t", "other"), 0);
	assert_true(opt_given(&args, "json") && opt_given(&args, "quiet"));
	assert_string_equal(args.values[2].text, "name");
	assert_string_equal(opt_text(&args, "title"), "other");
	opt_done(&args);
}

static void two_dashes_end_the_options_and_one_is_a_word(void **state)
{
	struct opt_args args = both();

	(void)state;
	assert_int_equal(PARSE(&args, NULL, NULL, "-", "--", "--json", "--", "-q"), 0);
	assert_int_equal(args.n_words, 4);
	assert_string_equal(args.words[0], "-");
	assert_string_equal(args.words[1], "--json");
	assert_string_equal(args.words[2], "--");
	assert_int_equal(args.n_values, 0);
	opt_done(&args);
}

static void parsing_stops_before_the_command(void **state)
{
	struct opt_args args = both();
	int used = -1;

	(void)state;
	args.stop_at_word = true;
	assert_int_equal(PARSE(&args, &used, NULL, "-j", "start", "--no-wait"), 0);
	assert_int_equal(used, 1);
	assert_int_equal(args.n_words, 0);
	assert_false(opt_given(&args, "no-wait"));
	opt_done(&args);
}

static void what_is_wrong_is_said_in_a_sentence(void **state)
{
	char longest[200];
	static const struct {
		const char *arg, *sentence;
	} bad[] = {
		{"--bogus", "there is no option --bogus"},
		{"--bogus=1", "there is no option --bogus"},
		{"--", NULL},
		{"--=x", "there is no option --"},
		{"--titl", "there is no option --titl"},
		{"--titles", "there is no option --titles"},
		{"-jx", "there is no option -x"},
		{"--json=1", "--json takes no value"},
		{"--json=", "--json takes no value"},
		{"--title", "--title needs a value: --title TEXT"},
		{"-t", "--title needs a value: --title TEXT"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_error_ struct error err = ERROR_INIT;
		struct opt_args args = both();
		int r = PARSE(&args, NULL, &err, bad[i].arg);

		assert_int_equal(r, bad[i].sentence ? -EINVAL : 0);
		if (bad[i].sentence) {
			assert_string_equal(error_text(&err), bad[i].sentence);
		}
		opt_done(&args);
	}
	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	memcpy(longest, "--", 2);
	struct opt_args args = both();

	assert_int_equal(PARSE(&args, NULL, NULL, longest), -EINVAL);
	opt_done(&args);
}

static void more_options_than_there_is_room_for_are_refused(void **state)
{
	_cleanup_error_ struct error err = ERROR_INIT;
	struct opt_args args = both();

	(void)state;
	for (int i = 0; i < OPT_VALUES_MAX; i++) {
		assert_int_equal(PARSE(&args, NULL, &err, "-j"), 0);
	}
	assert_int_equal(PARSE(&args, NULL, &err, "-j"), -EINVAL);
	assert_string_equal(error_text(&err), "more than 256 options");
	opt_done(&args);
}

/* --- text --- */

static void deceptive_text_is_made_visible(void **state)
{
	(void)state;
	assert_string_equal(out_esc("a\033[2Jb\n"), "a\\x1b[2Jb\\x0a");
	assert_string_equal(out_esc("x\u202egpj.exe"), "x\\u{202e}gpj.exe");
	assert_string_equal(out_esc("gr\u00fc\u00df"), "gr\u00fc\u00df");
	assert_string_equal(out_esc("\xff"), "\\xff");
	out_done();
}

static void text_is_cut_by_columns_not_bytes(void **state)
{
	(void)state;
	assert_int_equal(out_width("abc"), 3);
	assert_int_equal(out_width("\u00fc\u00df"), 2);
	assert_int_equal(out_width("\u4e2d\u6587"), 4);
	assert_int_equal(out_width("e\u0301"), 1);
	assert_string_equal(out_esc_cut("abcdef", 6), "abcdef");
	assert_string_equal(out_esc_cut("abcdefg", 6), "abc...");
	assert_string_equal(out_esc_cut("\u4e2d\u6587\u4e2d\u6587", 6), "\u4e2d...");
	assert_string_equal(out_esc_cut("\033abcdef", 7), "\\x1b...");
	out_done();
}

/* --- paths --- */

static int open_words(struct rpc_fds *fds, json_t **ret, struct error *err, const char *word)
{
	char *words[] = {(char *)(uintptr_t)word};

	return paths_open(words, 1, ret, fds, err);
}

static void paths_are_made_absolute_and_opened(void **state)
{
	char *dir = unit_tmpdir();
	_cleanup_free_ char *real = realpath(dir, NULL);
	_cleanup_free_ char *link = xasprintf("%s/link", dir);
	_cleanup_free_ char *target = xasprintf("%s/file", real);
	struct rpc_fds fds;
	json_t *paths = NULL;
	struct stat by_fd, by_path;

	(void)state;
	unit_write(dir, "file", "x");
	assert_int_equal(symlink("file", link), 0);
	assert_int_equal(open_words(&fds, &paths, NULL, link), 0);
	assert_int_equal(fds.n, 1);
	assert_string_equal(json_string_value(json_array_get(paths, 0)), target);
	assert_int_equal(fstat(fds.fd[0], &by_fd), 0);
	assert_int_equal(stat(target, &by_path), 0);
	assert_int_equal(by_fd.st_ino, by_path.st_ino);
	assert_true(fcntl(fds.fd[0], F_GETFD) & FD_CLOEXEC);
	rpc_fds_close(&fds);
	json_decref(paths);
	unit_rmtree(dir);
}

static void what_cannot_be_shared_is_named_and_nothing_stays_open(void **state)
{
	char *dir = unit_tmpdir();
	_cleanup_free_ char *fifo = xasprintf("%s/fifo", dir);
	_cleanup_free_ char *odd = xasprintf("%s/\xff", dir);
	_cleanup_free_ char *gone = xasprintf("%s/gone", dir);
	const char *bad[] = {fifo, odd, gone, "/dev/null"};
	int before = unit_open_fds();

	(void)state;
	assert_int_equal(mkfifo(fifo, 0600), 0);
	unit_write(dir, "\xff", "x");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_error_ struct error err = ERROR_INIT;
		char *words[] = {dir, (char *)(uintptr_t)bad[i]};
		struct rpc_fds fds;
		json_t *paths = NULL;

		assert_true(paths_open(words, 2, &paths, &fds, &err) < 0);
		assert_int_equal(err.kind, ERROR_PATH_NOT_READABLE);
		assert_string_equal(err.param[0], bad[i]);
		assert_int_equal(fds.n, 0);
	}
	assert_int_equal(unit_open_fds(), before);
	unit_rmtree(dir);
}

static void more_paths_than_a_message_carries_are_refused(void **state)
{
	_cleanup_error_ struct error err = ERROR_INIT;
	char *words[WIRE_MAX_DESCRIPTORS + 1];
	struct rpc_fds fds;
	json_t *paths = NULL;
	int before = unit_open_fds();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		words[i] = (char *)(uintptr_t) "/";
	}
	assert_int_equal(paths_open(words, WIRE_MAX_DESCRIPTORS, &paths, &fds, &err), 0);
	assert_int_equal(fds.n, WIRE_MAX_DESCRIPTORS);
	rpc_fds_close(&fds);
	json_decref(paths);
	assert_int_equal(paths_open(words, ARRAY_SIZE(words), &paths, &fds, &err), -E2BIG);
	assert_int_equal(err.kind, ERROR_INVALID_VALUE);
	assert_int_equal(unit_open_fds(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_may_stand_behind_positional_arguments),
		cmocka_unit_test(values_come_behind_a_space_or_an_equals_sign),
		cmocka_unit_test(a_value_may_look_like_an_option),
		cmocka_unit_test(underscores_are_dashes_in_names_but_not_in_values),
		cmocka_unit_test(letters_stand_together_and_the_last_takes_the_rest),
		cmocka_unit_test(two_dashes_end_the_options_and_one_is_a_word),
		cmocka_unit_test(parsing_stops_before_the_command),
		cmocka_unit_test(what_is_wrong_is_said_in_a_sentence),
		cmocka_unit_test(more_options_than_there_is_room_for_are_refused),
		cmocka_unit_test(deceptive_text_is_made_visible),
		cmocka_unit_test(text_is_cut_by_columns_not_bytes),
		cmocka_unit_test(paths_are_made_absolute_and_opened),
		cmocka_unit_test(what_cannot_be_shared_is_named_and_nothing_stays_open),
		cmocka_unit_test(more_paths_than_a_message_carries_are_refused),
	};

	wipe_json_memory();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
