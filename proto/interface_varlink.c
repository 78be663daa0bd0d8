/* SPDX-License-Identifier: GPL-3.0-or-later */
/* org.varlink.service, which every Varlink server answers. */
#include "proto/base/alloc.h"
#include "proto/interface_table.h"

static const struct field nothing[] = {END};
static const struct field out_GetInfo[] = {
	F("vendor", STRING, 0, ""), F("product", STRING, 0, ""),        F("version", STRING, 0, ""),
	F("url", STRING, 0, ""),    F("interfaces", STRING, ARRAY, ""), END,
};
static const struct field in_GetInterfaceDescription[] = {F("interface", STRING, 0, ""), END};
static const struct field out_GetInterfaceDescription[] = {F("description", STRING, 0, ""), END};

static const struct method_def varlink_methods[] = {
	{"GetInfo", PERMISSION_READ, 0, nothing, out_GetInfo,
	 "The program that answers and the interfaces that it has."},
	{"GetInterfaceDescription", PERMISSION_READ, 0, in_GetInterfaceDescription,
	 out_GetInterfaceDescription, "The text of an interface."},
};

static const struct field error_interface[] = {F("interface", STRING, 0, ""), END};
static const struct field error_method[] = {F("method", STRING, 0, ""), END};
static const struct field error_parameter[] = {F("parameter", STRING, 0, ""), END};

static const struct error_def varlink_errors[] = {
	{"InterfaceNotFound", error_interface, "There is no such interface."},
	{"MethodNotFound", error_method, "The interface has no such method."},
	{"MethodNotImplemented", error_method, "The method cannot be called in this way."},
	{"InvalidParameter", error_parameter, "A parameter is not what the interface says."},
	{"ExpectedMore", nothing, "The method must be called with \"more\"."},
};

static const struct type_def *const varlink_types[] = {NULL};

const struct interface interface_varlink = {
	.name = INTERFACE_VARLINK,
	.doc = "What every Varlink server has: who it is and what can be asked.",
	.types = varlink_types,
	.methods = varlink_methods,
	.n_methods = ARRAY_SIZE(varlink_methods),
	.errors = varlink_errors,
	.n_errors = ARRAY_SIZE(varlink_errors),
};
