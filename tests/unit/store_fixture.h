/* SPDX-License-Identifier: GPL-3.0-or-later */
/* For the tests of store/: a state directory, a loop, and calls that wait for their answer. */
#pragma once

#include "unit.h"

#include <errno.h>
#include <uv.h>

#include "ev/ev.h"
#include "ev/work.h"
#include "store/store.h"

struct fixture {
	char *dir;
	uv_loop_t loop;
	struct ev ev;
	struct store *store;
	struct error err; /* of the last call; code 0: none */
	int exit_status;  /* of the last open */
	bool done;
	int64_t id;
	struct service_row **rows;
	size_t n_rows, n_broken;
	struct store_broken broken[4]; /* the first of them */
	json_t *history;
	void *value;
	size_t value_n;
	int closed;
};

static inline void fixture_forget_rows(struct fixture *f)
{
	for (size_t i = 0; i < f->n_rows; i++) {
		service_row_free(f->rows[i]);
	}
	for (size_t i = 0; i < f->n_broken && i < ARRAY_SIZE(f->broken); i++) {
		free(f->broken[i].name);
		free(f->broken[i].why);
	}
	free(f->rows);
	f->rows = NULL;
	f->n_rows = f->n_broken = 0;
}

static inline void fixture_wait(struct fixture *f)
{
	while (!f->done) {
		uv_run(&f->loop, UV_RUN_ONCE);
	}
}

static inline int fixture_open(struct fixture *f)
{
	const struct store_config config = {.state_dir = f->dir};

	error_done(&f->err);
	f->exit_status = 0;
	return store_open(&f->ev, &config, &f->store, &f->err, &f->exit_status);
}

static inline void fixture_must_open(struct fixture *f)
{
	if (fixture_open(f) < 0) {
		fail_msg("%s", error_text(&f->err));
	}
}

static inline void fixture_on_closed(void *ud)
{
	((struct fixture *)ud)->closed++;
}

static inline void fixture_close(struct fixture *f)
{
	int before = f->closed;

	store_close(f->store, fixture_on_closed, f);
	while (f->closed == before) {
		uv_run(&f->loop, UV_RUN_ONCE);
	}
	f->store = NULL;
}

static inline void fixture_answered(struct fixture *f, const struct error *err)
{
	error_done(&f->err);
	if (err) {
		error_copy(&f->err, err);
	}
	f->done = true;
}

static inline void fixture_on_put(void *ud, const struct error *err, int64_t id)
{
	struct fixture *f = ud;

	f->id = id;
	fixture_answered(f, err);
}

static inline void fixture_on_done(void *ud, const struct error *err)
{
	fixture_answered(ud, err);
}

static inline void fixture_on_load(void *ud, const struct error *err, struct service_row **rows,
				   size_t n, const struct store_broken *broken, size_t n_broken)
{
	struct fixture *f = ud;

	fixture_forget_rows(f);
	f->rows = rows;
	f->n_rows = n;
	f->n_broken = n_broken;
	for (size_t i = 0; i < n_broken && i < ARRAY_SIZE(f->broken); i++) {
		f->broken[i].id = broken[i].id;
		f->broken[i].name = broken[i].name ? xstrdup(broken[i].name) : NULL;
		f->broken[i].why = xstrdup(broken[i].why);
	}
	fixture_answered(f, err);
}

static inline void fixture_on_history(void *ud, const struct error *err, const json_t *rows)
{
	struct fixture *f = ud;

	json_decref(f->history);
	f->history = json_deep_copy(rows);
	fixture_answered(f, err);
}

static inline void fixture_on_cache(void *ud, const void *value, size_t n)
{
	struct fixture *f = ud;

	free(f->value);
	f->value = value ? xmemdup(value, n) : NULL;
	f->value_n = n;
	fixture_answered(f, NULL);
}

/* 0 and the id, or -errno. */
static inline int64_t fixture_put(struct fixture *f, const struct service_row *row)
{
	f->done = false;
	store_service_put(f->store, row, fixture_on_put, f);
	fixture_wait(f);
	return f->err.code ? -f->err.code : f->id;
}

static inline int fixture_delete(struct fixture *f, int64_t id)
{
	f->done = false;
	store_service_delete(f->store, id, fixture_on_done, f);
	fixture_wait(f);
	return -f->err.code;
}

static inline int fixture_load(struct fixture *f)
{
	f->done = false;
	store_services_load(f->store, fixture_on_load, f);
	fixture_wait(f);
	return -f->err.code;
}

static inline json_t *fixture_history(struct fixture *f, const char *service, int64_t before,
				      unsigned limit)
{
	f->done = false;
	store_history_list(f->store, service, before, limit, fixture_on_history, f);
	fixture_wait(f);
	assert_int_equal(f->err.code, 0);
	return f->history;
}

static inline const void *fixture_cached(struct fixture *f, int64_t id, const char *key)
{
	f->done = false;
	store_cache_get(f->store, id, key, fixture_on_cache, f);
	fixture_wait(f);
	return f->value;
}

/* A row that has something in every member; two keys, one of them without its private half. */
static inline struct service_row *fixture_row(const char *name)
{
	struct service_row *row = xnew(struct service_row);

	row->name = xstrdup(name);
	row->mode = xstrdup("share");
	row->options = json_pack("{s:s, s:b, s:I}", "title", "T\xc3\xa4\xe2\x80\xae", "public", 0,
				 "max_downloads", (json_int_t)INT64_C(9007199254740993));
	row->paths = json_pack("[s, s]", "/srv/a", "/srv/b c");
	row->wanted = true;
	row->reason = xstrdup("completed");
	row->onion = xmalloc(57);
	memset(row->onion, 'a', 56);
	row->onion[56] = '\0';
	row->has_onion_key = true;
	memset(row->onion_key, 0x5a, sizeof(row->onion_key));
	memcpy(row->onion_key, name, strlen(name) < 64 ? strlen(name) : 64);
	memset(row->secret, 0x17, sizeof(row->secret));
	row->port = 65535;
	row->n_keys = 2;
	row->keys = xcalloc(2, sizeof(*row->keys));
	row->keys[0].label = xstrdup("default");
	row->keys[0].has_private = true;
	memset(row->keys[0].private_key, 0x33, 32);
	memset(row->keys[0].public_key, 0x44, 32);
	row->keys[1].label = xstrdup("z\xc3\xb6z");
	memset(row->keys[1].public_key, 0x55, 32);
	row->created_ms = INT64_C(1795000000123);
	row->completed = 7;
	row->bytes_in = 1;
	row->bytes_out = INT64_C(1) << 40;
	return row;
}

static inline void assert_row_equal(const struct service_row *a, const struct service_row *b)
{
	assert_string_equal(a->name, b->name);
	assert_string_equal(a->mode, b->mode);
	assert_true(json_equal(a->options, b->options));
	assert_true(a->paths == b->paths || json_equal(a->paths, b->paths));
	assert_int_equal(a->wanted, b->wanted);
	assert_int_equal(!a->reason, !b->reason);
	if (a->reason) {
		assert_string_equal(a->reason, b->reason);
	}
	assert_int_equal(!a->onion, !b->onion);
	if (a->onion) {
		assert_string_equal(a->onion, b->onion);
	}
	assert_int_equal(a->has_onion_key, b->has_onion_key);
	assert_memory_equal(a->onion_key, b->onion_key, sizeof(a->onion_key));
	assert_memory_equal(a->secret, b->secret, sizeof(a->secret));
	assert_int_equal(a->port, b->port);
	assert_int_equal(a->n_keys, b->n_keys);
	for (size_t i = 0; i < a->n_keys; i++) {
		assert_string_equal(a->keys[i].label, b->keys[i].label);
		assert_int_equal(a->keys[i].has_private, b->keys[i].has_private);
		assert_memory_equal(a->keys[i].private_key, b->keys[i].private_key, 32);
		assert_memory_equal(a->keys[i].public_key, b->keys[i].public_key, 32);
	}
	assert_int_equal(a->created_ms, b->created_ms);
	assert_int_equal(a->completed, b->completed);
	assert_int_equal(a->bytes_in, b->bytes_in);
	assert_int_equal(a->bytes_out, b->bytes_out);
}

/* Puts the row under this name, frees it and returns its id. */
static inline int64_t fixture_add(struct fixture *f, const char *name)
{
	struct service_row *row = fixture_row(name);
	int64_t id = fixture_put(f, row);

	if (id <= 0) {
		fail_msg("%s", error_text(&f->err));
	}
	service_row_free(row);
	return id;
}

static inline char *fixture_path(struct fixture *f, const char *name)
{
	return xasprintf("%s/%s", f->dir, name);
}

static inline int fixture_setup(void **state)
{
	struct fixture *f = xnew(struct fixture);

	f->dir = unit_tmpdir();
	assert_int_equal(uv_loop_init(&f->loop), 0);
	ev_init(&f->ev, &f->loop, 1 << 20);
	*state = f;
	return 0;
}

static inline int fixture_teardown(void **state)
{
	struct fixture *f = *state;

	if (f->store) {
		fixture_close(f);
	}
	while (work_pending(f->ev.work)) {
		uv_run(&f->loop, UV_RUN_ONCE);
	}
	ev_done(&f->ev);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	fixture_forget_rows(f);
	json_decref(f->history);
	free(f->value);
	error_done(&f->err);
	unit_rmtree(f->dir);
	free(f);
	return 0;
}

#define STORE_TEST(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)
