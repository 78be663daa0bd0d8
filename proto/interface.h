/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What can be asked of the daemon, defined once: the Varlink interface
 * org.onionshared.Control as tables. The interface's text (proto/idl.h), the
 * checks of what goes in and out (proto/validate.h), docs/rpc.md and the
 * daemon's permissions come from here. A method without permission or
 * documentation does not compile.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "proto/base/span.h"

#define INTERFACE_CONTROL "org.onionshared.Control"
#define INTERFACE_VARLINK "org.varlink.service"

enum type_kind {
	TYPE_BOOL,
	TYPE_INT,
	TYPE_FLOAT,
	TYPE_STRING,
	TYPE_OBJECT, /* any JSON object; its user checks what is in it */
	TYPE_NAMED,  /* struct or enum: field.type */
};

enum field_flags {
	FIELD_NULLABLE = 1, /* may be null or missing */
	FIELD_ARRAY = 2,
	FIELD_MAP = 4, /* object with values of the type */
	/* Of a parameter: who gives it, and not as false, needs PERMISSION_ADMIN. */
	FIELD_ADMIN = 8,
};

struct type_def;

struct field {
	const char *name; /* NULL ends a table */
	enum type_kind kind;
	unsigned flags;
	const struct type_def *type; /* TYPE_NAMED */
	const char *doc;
};

/* A struct has fields, an enum has values; the other is NULL. */
struct type_def {
	const char *name;
	const char *doc;
	const struct field *fields;
	const char *const *values; /* NULL at the end */
};

/* Each includes those before it. */
enum permission {
	PERMISSION_NONE,
	PERMISSION_READ,    /* look */
	PERMISSION_CONTROL, /* make, change, start, stop services */
	PERMISSION_ADMIN,   /* the daemon itself: root and the daemon's own user */
};

enum method_flags {
	METHOD_MAY_STREAM = 1,  /* with "more" there are several replies */
	METHOD_MUST_STREAM = 2, /* only with "more" */
	METHOD_DESCRIPTORS = 4, /* descriptors may come with the call */
};

struct method_def {
	const char *name; /* "Start" */
	enum permission permission;
	unsigned flags;
	const struct field *in;
	const struct field *out;
	const char *doc;
};

struct error_def {
	const char *name; /* "NoSuchService" */
	const struct field *fields;
	const char *doc;
};

struct interface {
	const char *name;
	const char *doc;
	const struct type_def *const *types; /* NULL at the end */
	const struct method_def *methods;
	size_t n_methods;
	const struct error_def *errors;
	size_t n_errors;
};

extern const struct interface interface_control;
extern const struct interface interface_varlink; /* org.varlink.service, as every server has it */

/* NULL if there is none of that name. */
const struct interface *interface_find(struct span name);
const struct method_def *interface_method(const struct interface *i, struct span name);
const struct error_def *interface_error(const struct interface *i, struct span name);

/* "read", "control", "admin", "none" */
const char *permission_name(enum permission p);

/* The types that more than one part of the program looks at. */
extern const struct type_def type_service;
extern const struct type_def type_tor_status;
