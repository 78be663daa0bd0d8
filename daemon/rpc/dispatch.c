/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "rpc/dispatch.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "proto/base/alloc.h"
#include "proto/errors.h"
#include "proto/idl.h"
#include "proto/validate.h"
#include "rpc/server.h"

/* --- the end of a call --- */

static struct rpc_running *running_of(struct rpc_call *call)
{
	return container_of(call, struct rpc_running, call);
}

static void running_free(struct rpc_running *r)
{
	for (unsigned i = 0; i < r->call.n_fds; i++) {
		close_fdp(&r->fds[i]);
	}
	wire_call_done(&r->wire);
	free(r);
}

static void end_call(struct rpc_running *r)
{
	struct rpc_conn *c = r->conn;

	c->running = NULL;
	running_free(r);
	rpc_conn_wake(c);
}

void rpc_dispatch_gone(struct rpc_conn *c)
{
	struct rpc_running *r = take_ptr(c->running);

	if (r) {
		if (r->call.gone) {
			r->call.gone(&r->call);
		}
		running_free(r);
	}
}

void rpc_dispatch_writable(struct rpc_conn *c)
{
	if (c->running && c->running->call.writable) {
		c->running->call.writable(&c->running->call);
	}
}

/* --- answers --- */

/* Takes message; 0, or -EMSGSIZE. */
static int send_message(struct rpc_running *r, json_t *message)
{
	int result = r->wire.oneway ? 0 : wire_add(&r->conn->out, message);

	json_decref(message);
	return result;
}

/* An error of Varlink itself, with one parameter or none. */
static void send_varlink_error(struct rpc_running *r, const char *name, const char *param,
			       const char *value, const char *text)
{
	json_t *params = json_object();
	_cleanup_free_ char *full = xasprintf(INTERFACE_VARLINK ".%s", name);

	if (param) {
		json_object_set_new(params, param, json_string(value));
	}
	if (text) {
		json_object_set_new(params, "message", json_string(text));
	}
	send_message(r, json_pack("{s:s, s:o}", "error", full, "parameters", params));
}

static void send_error(struct rpc_running *r, const struct error *err)
{
	if (send_message(r, errors_to_wire(err)) < 0) {
		struct error internal = ERROR_INIT;

		error_set(&internal, EMSGSIZE, "an error too long to be told");
		send_message(r, errors_to_wire(&internal));
		error_done(&internal);
	}
}

static void send_too_long(struct rpc_running *r)
{
	struct error err = ERROR_INIT;
	char limit[16];

	snprintf(limit, sizeof(limit), "%u", RPC_MAX_MESSAGE);
	error_set_kind(&err, EMSGSIZE, ERROR_LIMIT_EXCEEDED, "bytes of one message", limit,
		       "the answer is longer than the %s bytes of a message; ask for less", limit);
	send_error(r, &err);
	error_done(&err);
}

/*
 * Built for tests, a handler's answer must be what the interface says. Takes
 * result; NULL: it is not, and the caller has been told.
 */
static json_t *checked(struct rpc_running *r, json_t *result)
{
	struct error err = ERROR_INIT;

	if (!result) {
		result = json_object();
	}
	if (RPC_CHECK_REPLIES &&
	    validate_object(r->method->out, result, VALIDATE_EXACT, &err) < 0) {
		log_error("bug: the answer of %s is not what the interface says: %s",
			  r->method->name, error_text(&err));
		error_done(&err);
		error_set(&err, EPROTO, "the daemon's answer is not what its interface says");
		send_error(r, &err);
		error_done(&err);
		json_decref(result);
		return NULL;
	}
	return result;
}

void rpc_reply(struct rpc_call *call, json_t *result)
{
	struct rpc_running *r = running_of(call);

	result = checked(r, result);
	if (result && send_message(r, wire_make_reply(result, false)) < 0) {
		send_too_long(r);
	}
	end_call(r);
}

void rpc_reply_fds(struct rpc_call *call, json_t *result, const int *fds, unsigned n)
{
	struct rpc_running *r = running_of(call);
	struct rpc_conn *c = r->conn;
	size_t at = c->out.len;

	result = checked(r, result);
	if (result && send_message(r, wire_make_reply(result, false)) < 0) {
		send_too_long(r);
		result = NULL;
	}
	/* No answer at all (oneway): nothing that they could go with. */
	bool told = result && c->out.len > at && n <= RPC_MAX_DESCRIPTORS;

	for (unsigned i = 0; i < n; i++) {
		if (told) {
			c->out_fds[c->n_out_fds++] = fds[i];
		} else {
			close(fds[i]);
		}
	}
	c->out_fds_at = at;
	end_call(r);
}

void rpc_reply_error(struct rpc_call *call, const struct error *err)
{
	struct rpc_running *r = running_of(call);

	send_error(r, err);
	end_call(r);
}

/* Room for what was added since? Those who read get the chance to take some first. */
static bool is_within_bound(struct rpc_conn *c, size_t before)
{
	if (before == 0 || rpc_conn_unwritten(c) <= RPC_MAX_OUTPUT) {
		return true;
	}
	return rpc_conn_flush(c) == 0 && rpc_conn_unwritten(c) <= RPC_MAX_OUTPUT;
}

bool rpc_reply_continue(struct rpc_call *call, json_t *result)
{
	struct rpc_running *r = running_of(call);
	struct rpc_conn *c = r->conn;
	size_t before = rpc_conn_unwritten(c);

	result = checked(r, result);
	if (result && send_message(r, wire_make_reply(result, true)) < 0) {
		send_too_long(r);
		result = NULL;
	}
	if (result && is_within_bound(c, before)) {
		rpc_conn_wake(c);
		return true;
	}
	if (result) {
		log_debug("control: uid %u does not read what it asked for, dropped", c->peer.uid);
		c->broken = true;
	}
	rpc_dispatch_gone(c);
	rpc_conn_wake(c);
	return false;
}

/* --- org.varlink.service --- */

static json_t *info(const struct rpc_server *s)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:[s, s]}", "vendor", "onionshared", "product",
			 "onionshared", "version", s->version, "url", "", "interfaces",
			 INTERFACE_VARLINK, INTERFACE_CONTROL);
}

static void describe(struct rpc_running *r)
{
	const json_t *name = json_object_get(r->call.params, "interface");
	const struct interface *i =
		interface_find(span_of(json_string_value(name), json_string_length(name)));
	struct buf text = BUF_INIT;

	if (!i) {
		send_varlink_error(r, "InterfaceNotFound", "interface", json_string_value(name),
				   NULL);
		end_call(r);
		return;
	}
	idl_write(&text, i);
	rpc_reply(&r->call, json_pack("{s:s}", "description", text.p));
	buf_done(&text);
}

static void varlink_service(struct rpc_running *r)
{
	if (span_eq(r->wire.method, SPAN("GetInfo"))) {
		rpc_reply(&r->call, info(r->conn->server));
	} else {
		describe(r);
	}
}

/* --- calls --- */

/* parameter: which of the method needs it; "": any call does. */
static void deny(struct rpc_running *r, const char *parameter, enum permission permission)
{
	struct error err = ERROR_INIT;
	const char *needs = permission_name(permission);

	error_set_kind(&err, EPERM, ERROR_PERMISSION_DENIED, needs, NULL,
		       "%s%s%s needs the permission \"%s\": %s", r->method->name,
		       parameter[0] ? " with " : "", parameter, needs,
		       permission == PERMISSION_ADMIN
			       ? "be root or the daemon's own user"
			       : "be a member of the daemon's control group");
	send_error(r, &err);
	error_done(&err);
}

static void refuse_parameter(struct rpc_running *r, const struct error *err)
{
	send_varlink_error(r, "InvalidParameter", "parameter", err->param[0] ? err->param[0] : "",
			   error_text(err));
}

/* The first parameter that was given and that the caller may not give; NULL: none. */
static const struct field *forbidden(const struct rpc_running *r)
{
	for (const struct field *f = r->method->in; f->name; f++) {
		const json_t *value = json_object_get(r->wire.params, f->name);

		if (f->flags & FIELD_ADMIN && r->conn->permission < PERMISSION_ADMIN && value &&
		    !json_is_null(value) && !json_is_false(value)) {
			return f;
		}
	}
	return NULL;
}

/* May the call reach its handler? false: it has been answered. */
static bool is_admitted(struct rpc_running *r)
{
	struct error err = ERROR_INIT;

	r->interface = interface_find(r->wire.interface);
	if (!r->interface) {
		_cleanup_free_ char *name = xmemdup(r->wire.interface.p, r->wire.interface.n);

		send_varlink_error(r, "InterfaceNotFound", "interface", name, NULL);
		return false;
	}
	r->method = interface_method(r->interface, r->wire.method);
	if (!r->method) {
		send_varlink_error(r, "MethodNotFound", "method", r->wire.name, NULL);
		return false;
	}
	if (r->conn->permission < r->method->permission) {
		deny(r, "", r->method->permission);
		return false;
	}
	if (r->wire.upgrade) {
		send_varlink_error(r, "MethodNotImplemented", "method", r->wire.name,
				   "no method changes the protocol");
		return false;
	}
	if ((r->method->flags & METHOD_MUST_STREAM) && !r->wire.more) {
		send_varlink_error(r, "ExpectedMore", NULL, NULL,
				   "the method must be called with \"more\"");
		return false;
	}
	if (validate_object(r->method->in, r->wire.params, VALIDATE_EXACT, &err) < 0) {
		refuse_parameter(r, &err);
		error_done(&err);
		return false;
	}
	const struct field *f = forbidden(r);

	if (f) {
		deny(r, f->name, PERMISSION_ADMIN);
	}
	return !f;
}

static void hand_over(struct rpc_running *r)
{
	struct rpc_server *s = r->conn->server;

	if (!r->wire.params) {
		json_object_set_new(r->wire.message, "parameters", json_object());
		r->wire.params = json_object_get(r->wire.message, "parameters");
	}
	r->call.params = r->wire.params;
	r->call.more =
		r->wire.more && (r->method->flags & (METHOD_MAY_STREAM | METHOD_MUST_STREAM)) != 0;
	r->call.peer = &r->conn->peer;
	r->call.fds = r->fds;
	if (r->interface == &interface_varlink) {
		varlink_service(r);
	} else {
		rpc_server_handler(s, r->method)(&r->call, s->ud);
	}
}

/* Descriptors belong to the last message in the reader (conn.h). */
static void take_descriptors(struct rpc_running *r)
{
	struct rpc_conn *c = r->conn;

	if (wire_reader_empty(&c->reader)) {
		memcpy(r->fds, c->fds, c->n_fds * sizeof(c->fds[0]));
		r->call.n_fds = c->n_fds;
		c->n_fds = 0;
	}
}

void rpc_dispatch_message(struct rpc_conn *c, struct span message)
{
	struct rpc_running *r = xnew(struct rpc_running);
	struct error err = ERROR_INIT;

	r->conn = c;
	if (wire_parse_call(message, &r->wire, &err) < 0) {
		log_debug("control: uid %u sent what is no call: %s", c->peer.uid,
			  error_text(&err));
		error_done(&err);
		free(r);
		c->broken = true;
		return;
	}
	c->running = r;
	take_descriptors(r);
	if (is_admitted(r)) {
		hand_over(r);
	} else {
		end_call(r);
	}
}

/* --- bound things --- */

void rpc_bind(struct rpc_call *call, struct rpc_bound *bound)
{
	list_append(&running_of(call)->conn->bound, &bound->link);
}

void rpc_unbind(struct rpc_bound *bound)
{
	list_remove(&bound->link);
}
