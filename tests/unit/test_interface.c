/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The tables of proto/interface.h, their text, the checks made from them, errors on the wire. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after those */
#include <cmocka.h>

#include "proto/base/alloc.h"
#include "proto/errors.h"
#include "proto/idl.h"
#include "proto/validate.h"

/* --- a reader of varlink's grammar, to check the text by --- */

struct reader {
	struct span s;
	bool ok;
};

static void skip_space(struct reader *r)
{
	while (r->s.n && (r->s.p[0] == ' ' || r->s.p[0] == '\n' || r->s.p[0] == '#')) {
		if (r->s.p[0] == '#') {
			span_cut(&r->s, '\n');
		} else {
			r->s = span_from(r->s, 1);
		}
	}
}

static bool accept(struct reader *r, const char *token)
{
	skip_space(r);
	if (!r->ok || !span_starts(r->s, span_str(token))) {
		return false;
	}
	r->s = span_from(r->s, strlen(token));
	return true;
}

static void expect(struct reader *r, const char *token)
{
	r->ok = accept(r, token) && r->ok;
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* A field's name: letters, digits and single inner underscores. A type's: no underscores. */
static struct span name(struct reader *r, bool type)
{
	size_t n = 0;

	skip_space(r);
	while (n < r->s.n && (is_letter(r->s.p[n]) || (n && r->s.p[n] >= '0' && r->s.p[n] <= '9') ||
			      (n && !type && r->s.p[n] == '_' && r->s.p[n - 1] != '_'))) {
		n++;
	}
	struct span found = span_of(r->s.p, n);

	if (n == 0 || found.p[n - 1] == '_' || (type && (found.p[0] < 'A' || found.p[0] > 'Z'))) {
		r->ok = false;
	}
	r->s = span_from(r->s, n);
	return found;
}

static void type(struct reader *r)
{
	static const char *const plain[] = {"bool", "int", "float", "string", "object"};

	accept(r, "?");
	while (accept(r, "[]") || accept(r, "[string]")) {
	}
	for (size_t i = 0; i < ARRAY_SIZE(plain); i++) {
		if (accept(r, plain[i])) {
			return;
		}
	}
	struct span n = name(r, true);
	bool known = false;

	for (const struct type_def *const *t = interface_control.types; *t; t++) {
		known |= span_eq(n, span_str((*t)->name));
	}
	r->ok = r->ok && known;
}

/* Struct or enum. */
static void brackets(struct reader *r)
{
	expect(r, "(");
	if (accept(r, ")")) {
		return;
	}
	do {
		name(r, false);
		if (accept(r, ":")) {
			type(r);
		}
	} while (r->ok && accept(r, ","));
	expect(r, ")");
}

static bool is_grammatical(const struct interface *i)
{
	struct buf text = BUF_INIT;

	idl_write(&text, i);
	struct reader r = {.s = buf_span(&text), .ok = true};

	expect(&r, "interface");
	expect(&r, i->name);
	for (skip_space(&r); r.ok && r.s.n; skip_space(&r)) {
		if (accept(&r, "type ") || accept(&r, "error ")) {
			name(&r, true);
			brackets(&r);
		} else {
			expect(&r, "method ");
			name(&r, true);
			brackets(&r);
			expect(&r, "->");
			brackets(&r);
		}
	}
	if (!r.ok) {
		print_error("not varlink from here on:\n" SPAN_FMT "\n", SPAN_ARG(r.s));
	}
	buf_done(&text);
	return r.ok;
}

static void text_is_by_varlinks_grammar(void **state)
{
	struct buf text = BUF_INIT;

	(void)state;
	assert_true(is_grammatical(&interface_control));
	assert_true(is_grammatical(&interface_varlink));
	idl_write(&text, &interface_varlink);
	assert_non_null(strstr(text.p, "\nmethod GetInterfaceDescription(interface: string) -> "
				       "(description: string)\n"));
	assert_non_null(strstr(text.p, "\nerror InvalidParameter (parameter: string)\n"));
	buf_done(&text);
}

static void lines_of_the_text_are_not_long(void **state)
{
	struct buf text = BUF_INIT;

	(void)state;
	idl_write(&text, &interface_control);
	struct span rest = buf_span(&text);

	while (rest.p && rest.n) {
		assert_true(span_cut(&rest, '\n').n <= 100);
	}
	buf_done(&text);
}

/* --- the tables --- */

static void every_method_has_permission_and_text(void **state)
{
	(void)state;
	for (size_t i = 0; i < interface_control.n_methods; i++) {
		const struct method_def *m = &interface_control.methods[i];

		assert_true(m->permission > PERMISSION_NONE);
		assert_true(strlen(m->doc) > 10);
		assert_ptr_equal(interface_method(&interface_control, span_str(m->name)), m);
		for (size_t k = 0; k < i; k++) {
			assert_string_not_equal(m->name, interface_control.methods[k].name);
		}
	}
	assert_int_equal(interface_control.n_methods, 33);
	assert_null(interface_method(&interface_control, SPAN("Star")));
	assert_null(interface_method(&interface_control, SPAN("Starts")));
	assert_ptr_equal(interface_find(SPAN(INTERFACE_CONTROL)), &interface_control);
	assert_ptr_equal(interface_find(SPAN(INTERFACE_VARLINK)), &interface_varlink);
	assert_null(interface_find(SPAN("org.onionshared")));
	assert_non_null(interface_error(&interface_control, SPAN("NoSuchService")));
	assert_null(interface_error(&interface_control, SPAN("Nonsense")));
}

static void permissions_have_names(void **state)
{
	(void)state;
	assert_string_equal(permission_name(PERMISSION_NONE), "none");
	assert_string_equal(permission_name(PERMISSION_READ), "read");
	assert_string_equal(permission_name(PERMISSION_CONTROL), "control");
	assert_string_equal(permission_name(PERMISSION_ADMIN), "admin");
}

/* --- validation --- */

static const char *const colours[] = {"red", "green", NULL};
static const struct type_def colour = {.name = "Colour", .values = colours};
static const struct field point_fields[] = {
	{.name = "x", .kind = TYPE_FLOAT},
	{.name = "y", .kind = TYPE_FLOAT, .flags = FIELD_NULLABLE},
	{.name = NULL},
};
static const struct type_def point = {.name = "Point", .fields = point_fields};
static const struct field everything[] = {
	{.name = "b", .kind = TYPE_BOOL, .flags = FIELD_NULLABLE},
	{.name = "i", .kind = TYPE_INT, .flags = FIELD_NULLABLE},
	{.name = "s", .kind = TYPE_STRING},
	{.name = "o", .kind = TYPE_OBJECT, .flags = FIELD_NULLABLE},
	{.name = "c", .kind = TYPE_NAMED, .flags = FIELD_NULLABLE, .type = &colour},
	{.name = "points",
	 .kind = TYPE_NAMED,
	 .flags = FIELD_NULLABLE | FIELD_ARRAY,
	 .type = &point},
	{.name = "ages", .kind = TYPE_INT, .flags = FIELD_NULLABLE | FIELD_MAP},
	{.name = NULL},
};

static int check(const char *text, enum validate_mode mode, struct error *err)
{
	json_auto_t *value = json_loads(text, 0, NULL);

	assert_non_null(value);
	return validate_object(everything, value, mode, err);
}

static void what_the_table_says_is_taken(void **state)
{
	static const char *const good[] = {
		"{\"s\": \"\"}",
		"{\"s\": \"x\", \"b\": null, \"i\": -5, \"o\": {\"any\": [1, null]}}",
		"{\"s\": \"x\", \"c\": \"green\", \"points\": []}",
		"{\"s\": \"x\", \"points\": [{\"x\": 1}, {\"x\": 1.5, \"y\": null}]}",
		"{\"s\": \"x\", \"ages\": {\"a\": 1, \"b\": 2}}",
	};
	struct error err = ERROR_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(check(good[i], VALIDATE_EXACT, &err), 0);
	}
	assert_null(err.text);
}

static void what_it_does_not_say_is_refused_by_name(void **state)
{
	static const struct {
		const char *json, *text;
	} bad[] = {
		{"{}", "s: is missing"},
		{"{\"s\": null}", "s: must not be null"},
		{"{\"s\": 5}", "s: must be a string, not a whole number"},
		{"{\"s\": \"\", \"b\": 0}", "b: must be true or false, not a whole number"},
		{"{\"s\": \"\", \"i\": 1.5}", "i: must be a whole number, not a number"},
		{"{\"s\": \"\", \"i\": true}", "i: must be a whole number, not true or false"},
		{"{\"s\": \"\", \"o\": []}", "o: must be an object, not an array"},
		{"{\"s\": \"\", \"c\": \"blue\"}", "c: must be one of \"red\", \"green\""},
		{"{\"s\": \"\", \"c\": 1}", "c: must be a string, not a whole number"},
		{"{\"s\": \"\", \"points\": {}}", "points: must be an array, not an object"},
		{"{\"s\": \"\", \"points\": [null]}", "points[0]: must be an object, not null"},
		{"{\"s\": \"\", \"points\": [{\"x\": 1}, {\"y\": 1}]}", "points[1].x: is missing"},
		{"{\"s\": \"\", \"points\": [{\"x\": 1, \"z\": 1}]}",
		 "points[0].z: is not known here"},
		{"{\"s\": \"\", \"ages\": [1]}", "ages: must be an object, not an array"},
		{"{\"s\": \"\", \"ages\": {\"a\": \"b\"}}",
		 "ages.a: must be a whole number, not a string"},
		{"{\"s\": \"\", \"e\\u001b[m\": 1}", "e\\x1b[m: is not known here"},
		{"[]", "parameters: must be an object"},
	};
	struct error err = ERROR_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(check(bad[i].json, VALIDATE_EXACT, &err), -EINVAL);
		assert_int_equal(err.kind, ERROR_INVALID_VALUE);
		assert_string_equal(err.text, bad[i].text);
	}
	assert_int_equal(validate_object(everything, NULL, VALIDATE_EXACT, &err), -EINVAL);
	assert_string_equal(err.param[0], "s");
	assert_string_equal(err.param[1], "is missing");
	error_done(&err);
}

static void newer_members_are_ignored_where_asked(void **state)
{
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(check("{\"s\": \"\", \"new\": 1}", VALIDATE_LENIENT, &err), 0);
	assert_int_equal(check("{\"s\": \"\", \"points\": [{\"x\": 1, \"z\": 1}]}",
			       VALIDATE_LENIENT, &err),
			 0);
	assert_int_equal(check("{\"new\": 1}", VALIDATE_LENIENT, &err), -EINVAL);
	error_done(&err);
}

static void free_objects_are_bounded_in_depth(void **state)
{
	struct error err = ERROR_INIT;

	(void)state;
	for (unsigned depth = VALIDATE_MAX_DEPTH; depth <= VALIDATE_MAX_DEPTH + 1; depth++) {
		json_t *inner = json_object();

		for (unsigned i = 1; i < depth; i++) {
			json_t *outer = json_object();

			json_object_set_new(outer, "a", inner);
			inner = outer;
		}
		json_auto_t *value = json_pack("{s:s, s:o}", "s", "", "o", inner);

		assert_int_equal(validate_object(everything, value, VALIDATE_EXACT, &err),
				 depth > VALIDATE_MAX_DEPTH ? -EINVAL : 0);
	}
	assert_string_equal(err.text, "o: is nested deeper than 32 levels");
	error_done(&err);
}

/* --- errors --- */

static void errors_come_back_as_they_were(void **state)
{
	static const enum error_kind kinds[] = {
#define X(symbol, wire_name, status, p1, p2, text) ERROR_##symbol,
		ERROR_KINDS(X)
#undef X
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct error err = ERROR_INIT, back = ERROR_INIT;

		error_set_kind(&err, EINVAL, kinds[i], "first", "second", "a sentence");
		json_auto_t *wire = errors_to_wire(&err);
		const char *full = json_string_value(json_object_get(wire, "error"));
		const json_t *params = json_object_get(wire, "parameters");
		const struct error_def *def =
			interface_error(&interface_control, span_str(errors_name(kinds[i])));

		/* What is sent is what the interface declares. */
		assert_non_null(def);
		assert_int_equal(validate_object(def->fields, params, VALIDATE_EXACT, NULL), 0);
		errors_from_wire(full, params, &back);
		assert_int_equal(back.kind, kinds[i]);
		assert_string_equal(back.text, "a sentence");
		assert_true(back.code != 0);
		error_done(&err);
		error_done(&back);
	}
}

static void exit_statuses_are_those_of_the_client(void **state)
{
	(void)state;
	assert_int_equal(errors_exit_status(ERROR_NO_SUCH_SERVICE), 4);
	assert_int_equal(errors_exit_status(ERROR_INVALID_VALUE), 2);
	assert_int_equal(errors_exit_status(ERROR_PERMISSION_DENIED), 5);
	assert_int_equal(errors_exit_status(ERROR_TOR_UNAVAILABLE), 7);
	assert_int_equal(errors_exit_status(ERROR_UNREACHABLE_STATE), 3);
	assert_int_equal(errors_exit_status(ERROR_NAME_IN_USE), 1);
	assert_string_equal(errors_name(ERROR_STORAGE), "StorageFailed");
}

static void errors_with_bytes_that_are_no_text_arrive(void **state)
{
	struct error err = ERROR_INIT;

	(void)state;
	error_set_kind(&err, EACCES, ERROR_PATH_NOT_READABLE, "/a\xff", NULL, "cannot read /a\xff");
	json_auto_t *wire = errors_to_wire(&err);
	const json_t *params = json_object_get(wire, "parameters");

	assert_string_equal(json_string_value(json_object_get(params, "path")), "/a\xef\xbf\xbd");
	assert_string_equal(json_string_value(json_object_get(params, "why")), "");
	assert_string_equal(json_string_value(json_object_get(params, "message")),
			    "cannot read /a\xef\xbf\xbd");
	error_done(&err);
}

static void foreign_errors_are_understood(void **state)
{
	struct error err = ERROR_INIT;
	json_auto_t *params = json_pack("{s:s, s:s}", "parameter", "mode", "message", "mode: bad");

	(void)state;
	errors_from_wire("org.varlink.service.InvalidParameter", params, &err);
	assert_int_equal(err.kind, ERROR_INVALID_VALUE);
	assert_string_equal(err.param[0], "mode");
	assert_string_equal(err.text, "mode: bad");
	errors_from_wire("org.varlink.service.InvalidParameter", NULL, &err);
	assert_string_equal(err.text, "the daemon refuses the parameter of the call");
	errors_from_wire("org.varlink.service.MethodNotFound", NULL, &err);
	assert_int_equal(err.kind, ERROR_INTERNAL);
	errors_from_wire("org.varlink.service.InterfaceNotFound", NULL, &err);
	assert_int_equal(err.kind, ERROR_INTERNAL);
	errors_from_wire("org.varlink.service.ExpectedMore", NULL, &err);
	assert_string_equal(err.text, "the daemon refused the call: ExpectedMore");
	errors_from_wire("org.varlink.service.ExpectedMore", params, &err);
	assert_string_equal(err.text, "the daemon refused the call: mode: bad");
	errors_from_wire("org.onionshared.Control.FromTheFuture", params, &err);
	assert_int_equal(err.kind, ERROR_INTERNAL);
	assert_string_equal(err.text, "mode: bad");
	errors_from_wire("nonsense", NULL, &err);
	assert_string_equal(err.text, "nonsense");
	error_done(&err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_is_by_varlinks_grammar),
		cmocka_unit_test(lines_of_the_text_are_not_long),
		cmocka_unit_test(every_method_has_permission_and_text),
		cmocka_unit_test(permissions_have_names),
		cmocka_unit_test(what_the_table_says_is_taken),
		cmocka_unit_test(what_it_does_not_say_is_refused_by_name),
		cmocka_unit_test(newer_members_are_ignored_where_asked),
		cmocka_unit_test(free_objects_are_bounded_in_depth),
		cmocka_unit_test(errors_come_back_as_they_were),
		cmocka_unit_test(exit_statuses_are_those_of_the_client),
		cmocka_unit_test(errors_with_bytes_that_are_no_text_arrive),
		cmocka_unit_test(foreign_errors_are_understood),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
