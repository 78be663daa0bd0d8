/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What watch shows on a terminal: what it knows by its events, and how that is laid out. */
#include "unit.h"

#include <jansson.h>
#include <stdlib.h>
#include <time.h>

#include "client/out.h"
#include "client/watch/scene.h"
#include "client/watch/screen.h"
#include "proto/wipe.h"

#define ONION "abcdefghijklmnopqrstuvwxyz234567abcdefghijklmnopqrstuvwx"

static struct scene_time at(int64_t ms)
{
	return (struct scene_time){.steady_ms = 1000 + ms, .wall_ms = 1600000000000 + ms};
}

static void tell(struct scene *s, int64_t ms, const char *text)
{
	struct scene_time now = at(ms);
	json_t *event = json_loads(text, 0, NULL);

	assert_non_null(event);
	scene_event(s, event, &now);
	json_decref(event);
}

static void tell_snapshot(struct scene *s)
{
	tell(s, 0,
	     "{\"event\": \"snapshot\", \"tor\": {\"mode\": \"managed\", \"state\": \"ready\","
	     " \"bootstrap\": {\"percent\": 45, \"summary\": \"Loading\"}}, \"services\": ["
	     "{\"name\": \"web\", \"state\": \"failed\", \"reason\": \"its folder is gone\","
	     " \"url\": \"http://" ONION ".onion\", \"transfers\": {\"completed\": 7}},"
	     "{\"name\": \"docs\", \"state\": \"running\", \"url\": \"http://" ONION ".onion\","
	     " \"stop_at\": \"2020-09-13T12:28:10Z\", \"transfers\": {\"completed\": 0}}]}");
}

/* The lines with their ends, checked for their size; the caller's to free. */
static char *show(const struct scene *s, int64_t ms, size_t columns, size_t rows)
{
	struct scene_time now = at(ms);
	struct screen screen;
	struct buf all = BUF_INIT;

	screen_layout(s, &now, columns, rows, &screen);
	assert_int_equal(screen.n, rows);
	for (size_t i = 0; i < screen.n; i++) {
		assert_int_equal(out_width(screen.lines[i].text), screen.lines[i].columns);
		assert_true(screen.lines[i].columns <= columns);
		buf_printf(&all, "%s\n", screen.lines[i].text);
	}
	screen_done(&screen);
	return buf_take(&all);
}

static void assert_shows(const struct scene *s, int64_t ms, size_t columns, size_t rows,
			 const char *what)
{
	char *text = show(s, ms, columns, rows);

	if (!strstr(text, what)) {
		fail_msg("'%s' is not in:\n%s", what, text);
	}
	free(text);
}

static void services_stand_by_name_with_reason_countdown_and_address(void **state)
{
	struct scene s = {0};

	(void)state;
	tell_snapshot(&s);
	assert_int_equal(s.n_services, 2);
	assert_string_equal(s.services[0].name, "docs");
	assert_shows(&s, 0, 120, 24, "Tor: ready, 45% - Loading\n");
	assert_shows(&s, 0, 200, 24, "docs  running     http://" ONION ".onion  stops in 1m30s\n");
	assert_shows(&s, 60000, 200, 24, "stops in 30s\n");
	assert_shows(&s, 0, 80, 24, "web   failed      its folder is gone, 7 done\n");
	assert_shows(&s, 0, 80, 24, "docs  running     abcdefghijklm");
	assert_shows(&s, 0, 80, 24, ".onion  stops in 1m30s\n");
	assert_shows(&s, 0, 40, 12, "stops in 1m30s\n");
	tell(&s, 0, "{\"event\": \"tor\", \"state\": \"ready\", \"percent\": 100}");
	assert_shows(&s, 0, 40, 12, "Tor: ready\n");
	scene_done(&s);
}

static void states_members_and_new_services_are_followed(void **state)
{
	struct scene s = {0};

	(void)state;
	tell_snapshot(&s);
	tell(&s, 0, "{\"event\": \"state\", \"name\": \"web\", \"state\": \"deleted\"}");
	tell(&s, 0, "{\"event\": \"state\", \"name\": \"room\", \"state\": \"running\"}");
	tell(&s, 0, "{\"event\": \"members\", \"name\": \"room\", \"members\": 3}");
	tell(&s, 0, "{\"event\": \"members\", \"name\": \"nobody\", \"members\": 3}");
	assert_int_equal(s.n_services, 2);
	assert_true(scene_lacks_address(&s, "room"));
	assert_false(scene_lacks_address(&s, "docs") || scene_lacks_address(&s, "web"));
	assert_shows(&s, 0, 80, 24, "3 in the room\n");
	tell(&s, 0, "{\"event\": \"state\", \"name\": \"room\", \"state\": \"stopped\"}");
	assert_int_equal(s.services[1].members, 0);
	scene_done(&s);
}

static void transfers_have_bars_speed_and_time_left(void **state)
{
	struct scene s = {0};

	(void)state;
	tell_snapshot(&s);
	tell(&s, 0,
	     "{\"event\": \"transfer\", \"name\": \"docs\", \"id\": 4, \"direction\": \"out\","
	     " \"phase\": \"started\", \"bytes\": 0, \"total\": 1048576}");
	tell(&s, 1000,
	     "{\"event\": \"transfer\", \"name\": \"docs\", \"id\": 4, \"direction\": \"out\","
	     " \"phase\": \"progress\", \"bytes\": 262144, \"total\": 1048576}");
	assert_shows(&s, 1000, 100, 24,
		     "docs  download 4  [====>           ]  25%  256.0 KiB of 1.0 MiB"
		     "  256.0 KiB/s  3s left\n");
	assert_shows(&s, 1000, 80, 24, "25%  256.0 KiB/s  3s left\n");
	assert_shows(&s, 1000, 40, 12, "docs  [=>  ]  25%  256.0 KiB/s  3s\n");
	tell(&s, 2000,
	     "{\"event\": \"transfer\", \"name\": \"docs\", \"id\": 4, \"direction\": \"out\","
	     " \"phase\": \"completed\", \"bytes\": 1048576, \"total\": 1048576}");
	assert_shows(&s, 2000, 80, 24, "12:26:42  docs  download 4 complete: 1.0 MiB\n");
	assert_shows(&s, 2000, 80, 24, "1 done");
	tell(&s, 2000,
	     "{\"event\": \"transfer\", \"name\": \"web\", \"id\": 5, \"count\": 30, \"bytes\": "
	     "1}");
	assert_shows(&s, 2000, 80, 24, "37 done");
	assert_int_equal(s.transfers.n, 0);
	scene_done(&s);
}

static void the_newest_submissions_come_first_and_old_ones_go(void **state)
{
	struct scene s = {0};
	char *text;

	(void)state;
	tell_snapshot(&s);
	for (int i = 1; i <= SCENE_LATEST_MAX + 4; i++) {
		char event[160];

		snprintf(event, sizeof(event),
			 "{\"event\": \"submission\", \"name\": \"docs\", \"id\": %d, \"files\": 2,"
			 " \"message\": true}",
			 i);
		tell(&s, i * 1000, event);
	}
	assert_int_equal(s.submissions.n, SCENE_LATEST_MAX);
	text = show(&s, 0, 80, 12);
	assert_non_null(strstr(text, "docs  submission 20 is kept: 2 files and a message\n"));
	assert_non_null(strstr(text, "and 11 more\nCtrl-C ends it\n"));
	assert_non_null(strstr(text, "submission 16 "));
	assert_null(strstr(text, "submission 15 "));
	free(text);
	scene_done(&s);
}

static void what_does_not_fit_is_counted_and_every_part_keeps_a_place(void **state)
{
	struct scene s = {0};
	char *text;

	(void)state;
	tell_snapshot(&s);
	for (int i = 0; i < 500; i++) {
		char event[200];

		snprintf(event, sizeof(event),
			 "{\"event\": \"state\", \"name\": \"s%03d\", \"state\": \"running\"}", i);
		tell(&s, 0, event);
		snprintf(event, sizeof(event),
			 "{\"event\": \"transfer\", \"name\": \"docs\", \"id\": %d, "
			 "\"direction\": \"in\", \"phase\": \"started\", \"bytes\": 1, "
			 "\"total\": null}",
			 i);
		tell(&s, 0, event);
	}
	text = show(&s, 0, 40, 12);
	assert_non_null(strstr(text, "and 499 more\nTransfers\n"));
	assert_non_null(strstr(text, "and 497 more\nCtrl-C ends it\n"));
	free(text);
	for (size_t rows = 1; rows < 30; rows++) {
		for (size_t columns = 1; columns < 130; columns += 3) {
			free(show(&s, 0, columns, rows)); /* whose size is checked there */
		}
	}
	scene_done(&s);
}

static void transfers_are_counted_up_to_a_bound_and_that_is_said(void **state)
{
	struct scene s = {0};
	json_t *event = json_pack("{s:s, s:s, s:s, s:s}", "event", "transfer", "name", "docs",
				  "direction", "out", "phase", "started");
	struct scene_time now = at(0);

	(void)state;
	/* the oldest come last, as when one begins to watch */
	for (int id = TRANSFERS_MAX + 5; id > 0; id--) {
		json_object_set_new(event, "id", json_integer(id));
		scene_event(&s, event, &now);
		assert_false(transfers_full(&s.transfers) != (id <= 6));
	}
	assert_int_equal(s.transfers.n, TRANSFERS_MAX);
	assert_shows(&s, 0, 80, 24, "and 9981+ more\n");
	for (size_t i = 1; i < s.transfers.n; i++) {
		assert_true(s.transfers.all[i - 1].id < s.transfers.all[i].id);
	}
	json_object_set_new(event, "phase", json_string("cancelled"));
	scene_event(&s, event, &now); /* one that found no room */
	assert_true(transfers_full(&s.transfers));
	json_object_set_new(event, "id", json_integer(20));
	scene_event(&s, event, &now);
	assert_shows(&s, 0, 80, 1000, "download 19       0.0 B\n   download 21 ");
	assert_shows(&s, 0, 80, 24, " more\n");
	assert_int_equal(s.transfers.n, TRANSFERS_MAX - 1);
	json_object_set_new(event, "phase", json_string("progress"));
	json_object_set_new(event, "id", json_integer(1));
	scene_event(&s, event, &now); /* now it does */
	assert_int_equal(s.transfers.all[0].id, 1);
	json_decref(event);
	scene_done(&s);
}

static void more_services_than_there_is_room_for_are_counted(void **state)
{
	json_t *services = json_array(), *event;
	struct scene_time now = at(0);
	struct scene s = {0};

	(void)state;
	for (int i = 0; i < SCENE_SERVICES_MAX + 10; i++) {
		json_t *name = json_sprintf("s%05d", i);

		json_array_append_new(services,
				      json_pack("{s:o, s:s}", "name", name, "state", "stopped"));
	}
	event = json_pack("{s:s, s:o}", "event", "snapshot", "services", services);
	scene_event(&s, event, &now);
	json_decref(event);
	assert_int_equal(s.n_services, SCENE_SERVICES_MAX);
	assert_shows(&s, 0, 80, 24, "and 4087 more\n");
	assert_shows(&s, 0, 80, 1000, "and 3111 more\n");
	scene_done(&s);
}

static void foreign_text_moves_no_cursor(void **state)
{
	struct scene s = {0};
	char *text;

	(void)state;
	tell(&s, 0,
	     "{\"event\": \"snapshot\", \"tor\": {\"state\": \"\\u001b[2J\"}, \"services\": ["
	     "{\"name\": \"a\\u001b[H\", \"state\": \"\\u009b1m\", \"reason\": \"x\\u202ey\\n\","
	     " \"url\": \"http://\\u001b]0;owned\\u0007\"}]}");
	text = show(&s, 0, 120, 8);
	assert_null(strpbrk(text, "\033\007\r"));
	assert_null(strstr(text, "\u202e"));
	assert_null(strstr(text, "\xc2\x9b"));
	assert_non_null(strstr(text, "x\\u{202e}y"));
	free(text);
	scene_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(services_stand_by_name_with_reason_countdown_and_address),
		cmocka_unit_test(states_members_and_new_services_are_followed),
		cmocka_unit_test(transfers_have_bars_speed_and_time_left),
		cmocka_unit_test(the_newest_submissions_come_first_and_old_ones_go),
		cmocka_unit_test(what_does_not_fit_is_counted_and_every_part_keeps_a_place),
		cmocka_unit_test(transfers_are_counted_up_to_a_bound_and_that_is_said),
		cmocka_unit_test(more_services_than_there_is_room_for_are_counted),
		cmocka_unit_test(foreign_text_moves_no_cursor),
	};

	setenv("TZ", "UTC", 1);
	setenv("NO_COLOR", "1", 1);
	tzset();
	out_init(false, false);
	wipe_json_memory();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
