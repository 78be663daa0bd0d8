/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The tables. To add a method: its in_X and out_X fields, then its line in
 * METHODS; then regenerate docs/rpc.md (the test of it says how).
 */
#include "proto/base/alloc.h"
#include "proto/base/error.h"
#include "proto/interface_table.h"

/* --- methods --- */

static const struct field in_name[] = {
	F("name", STRING, 0, "The service's name."),
	END,
};
static const struct field out_service[] = {
	T("service", type_service, 0, "The service as it is now."),
	END,
};
static const struct field nothing[] = {END};

static const struct field in_Create[] = {
	T("mode", type_mode, 0, "What it does."),
	F("name", STRING, NULLABLE, "null: the mode and six characters."),
	F("paths", STRING, NULLABLE | ARRAY,
	  "What it serves, absolute. With a descriptor for each, opened by the caller, in their "
	  "order."),
	F("handover", STRING, NULLABLE,
	  "What is served is this copy instead, and paths tell where it came from."),
	F("options", OBJECT, NULLABLE, "By name, as in the section on options."),
	F("ephemeral", BOOL, NULLABLE,
	  "One-off: never saved, and gone with the connection that made it."),
	F("adopt", BOOL, NULLABLE,
	  "receive: take over what an earlier service of this name has received; else that is "
	  "refused."),
	END,
};
static const struct field in_Import[] = {
	T("mode", type_mode, 0, "What it does."),
	F("name", STRING, 0, "What it shall be called."),
	F("paths", STRING, NULLABLE | ARRAY, "As for Create, descriptors too."),
	F("handover", STRING, NULLABLE, "As for Create."),
	F("options", OBJECT, NULLABLE, "By name, as in the section on options."),
	F("adopt", BOOL, NULLABLE, "As for Create."),
	F("onion", STRING, NULLABLE,
	  "Its address, 56 characters. null: made out of the key, by Tor."),
	F("onion_key", STRING, NULLABLE,
	  "What the address is made of: the 64 bytes of an expanded Ed25519 secret key in base64, "
	  "as ADD_ONION has them. null: a new one is made."),
	T("keys", type_key, NULLABLE | ARRAY,
	  "The private keys that open it; none: one is made unless it is public."),
	F("check_only", BOOL, NULLABLE,
	  "Make nothing, only tell what would be refused at once; there is no service in the "
	  "answer."),
	END,
};
static const struct field out_Import[] = {
	T("service", type_service, NULLABLE, "The service as it is now."),
	END,
};
#define in_Export in_name
static const struct field out_Export[] = {
	T("mode", type_mode, 0, "These members are as for Import."),
	F("name", STRING, 0, "Its name here."),
	F("paths", STRING, NULLABLE | ARRAY, "What it serves; null for modes without content."),
	F("options", OBJECT, 0,
	  "Those that are set, without what counts on this machine only (port, times, the "
	  "daemon's own data directory)."),
	F("onion", STRING, NULLABLE, "null: not made yet."),
	F("onion_key", STRING, NULLABLE, "Who has it can take the address over."),
	T("keys", type_key, ARRAY, "Also of a public service, if it has some."),
	F("start", BOOL, 0, "It is started here."),
	END,
};
#define out_Create  out_service
#define in_Start    in_name
#define out_Start   out_service
#define out_Stop    out_service
#define in_Restart  in_name
#define out_Restart out_service
#define in_Show     in_name
#define out_Show    out_service
#define out_Rename  out_service
#define out_Delete  nothing
#define out_Keep    out_service
#define in_List     nothing
#define in_Status   nothing
#define in_Reload   nothing
#define out_Reload  nothing

static const struct field in_Publish[] = {
	F("name", STRING, 0, "The service's name."),
	F("paths", STRING, ARRAY, "As for Create, descriptors too."),
	F("handover", STRING, NULLABLE, "As for Create."),
	F("release", STRING, NULLABLE,
	  "What is handed over, file by file in this order, is handed over to other machines too, "
	  "with these same 64 hex digits: validators (ETag) are then the same on all."),
	END,
};
#define out_Publish       out_service
#define in_AddContent     in_Publish
#define out_AddContent    out_service
#define out_RemoveContent out_service
#define in_HandoverBegin  nothing

static const struct field in_RemoveContent[] = {
	F("name", STRING, 0, "The service's name."),
	F("paths", STRING, ARRAY, "Of those that are shown with the service."),
	END,
};
static const struct field out_HandoverBegin[] = {
	F("handover", STRING, 0, "What the other calls know it by."),
	END,
};
static const struct field in_HandoverPut[] = {
	F("handover", STRING, 0, "From HandoverBegin."),
	T("entries", type_entry, ARRAY,
	  "At most 4096, directories before what is in them; with a descriptor for each that is no "
	  "directory, in their order, at most 64."),
	END,
};
static const struct field out_HandoverPut[] = {
	F("bytes", INT, 0, "Copied of this call."),
	F("done", BOOL, 0, "All of it is copied."),
	END,
};

static const struct field in_Stop[] = {
	F("name", STRING, 0, "The service's name."),
	F("now", BOOL, NULLABLE, "Cut running transfers instead of letting them finish."),
	END,
};

static const struct field in_Wait[] = {
	F("name", STRING, 0, "The service's name."),
	T("for", type_goal, 0, "What to wait for."),
	F("timeout_ms", INT, NULLABLE, "null: as long as it takes."),
	END,
};
static const struct field out_Wait[] = {
	T("service", type_service, 0, "The service as it is now."),
	T("tor", type_tor_status, NULLABLE, "null without Tor."),
	F("done", BOOL, 0, "It has come to what was waited for."),
	END,
};

static const struct field out_List[] = {
	T("services", type_service, ARRAY, "By name."),
	END,
};

static const struct field in_Edit[] = {
	F("name", STRING, 0, "The service's name."),
	F("options", OBJECT, NULLABLE, "New values by option name."),
	F("unset", STRING, NULLABLE | ARRAY,
	  "Names of options that shall have their default again."),
	END,
};
static const struct field out_Edit[] = {
	T("service", type_service, 0, "The service as it is now."),
	F("restart_needed", STRING, ARRAY,
	  "Options that count only after a restart of the service."),
	END,
};

static const struct field in_Rename[] = {
	F("name", STRING, 0, "The service's name."),
	F("new_name", STRING, 0, "What it shall be called."),
	END,
};
static const struct field in_Delete[] = {
	F("name", STRING, 0, "The service's name."),
	F("purge", BOOL, NULLABLE | ADMIN, "Delete received files too."),
	END,
};
static const struct field in_Keep[] = {
	F("name", STRING, 0, "The one-off service's name."),
	F("new_name", STRING, 0, "Its name as a saved service."),
	END,
};

static const struct field out_Status[] = {
	F("version", STRING, 0, "Of the daemon."),
	F("uptime", INT, 0, "Of the daemon, in seconds."),
	F("local_only", BOOL, 0, "The daemon serves on loopback, without Tor."),
	T("tor", type_tor_status, 0, "Tor as the daemon sees it."),
	T("services", type_counts, 0, "Numbers of services."),
	END,
};

static const struct field in_Watch[] = {
	F("names", STRING, NULLABLE | ARRAY, "Services to watch; null: all."),
	END,
};
static const struct field out_Watch[] = {
	T("event", type_event_kind, 0, "Which event it is, and so which members there are."),
	T("services", type_service, NULLABLE | ARRAY, "snapshot: the services that are watched."),
	T("tor", type_tor_status, NULLABLE, "snapshot: Tor."),
	F("complete", BOOL, NULLABLE,
	  "snapshot: false: the next one has the services behind these."),
	F("name", STRING, NULLABLE, "state, transfer, submission, members: the service."),
	F("state", STRING, NULLABLE, "state: the service's (State). tor: Tor's."),
	F("reason", STRING, NULLABLE, "state: why, when that is not obvious."),
	F("new_name", STRING, NULLABLE,
	  "state deleted: only the name is gone; the service has this one now, and is watched on."),
	F("start_at", STRING, NULLABLE, "state: when it starts by itself."),
	F("stop_at", STRING, NULLABLE, "state: when it stops by itself."),
	F("id", INT, NULLABLE,
	  "transfer: its number, unique in the daemon's life. submission: its number."),
	T("direction", type_direction, NULLABLE, "transfer: which way."),
	T("phase", type_phase, NULLABLE, "transfer: how far it is."),
	F("bytes", INT, NULLABLE, "transfer: done so far."),
	F("total", INT, NULLABLE, "transfer: in all; null: not known."),
	F("count", INT, NULLABLE,
	  "transfer: so many small answers of a website together, all completed."),
	F("percent", INT, NULLABLE, "tor: how far it is on its way into the network."),
	F("files", INT, NULLABLE, "submission: how many."),
	F("members", INT, NULLABLE, "members: how many are in the room."),
	F("message", BOOL, NULLABLE, "submission: with a message."),
	END,
};

static const struct field in_History[] = {
	F("name", STRING, NULLABLE,
	  "Of this service only, from before it had this name too; or of one that is gone."),
	F("before", INT, NULLABLE, "Entries older than that id only: for paging back."),
	F("limit", INT, NULLABLE, "How many, 1 to 1000; null: 100."),
	END,
};
static const struct field out_History[] = {
	F("entries", OBJECT, ARRAY,
	  "Newest last: id, at (RFC 3339), name, event, and what that event has besides."),
	END,
};

static const struct field in_KeyAdd[] = {
	F("name", STRING, 0, "The service's name."),
	F("label", STRING, NULLABLE,
	  "Whose key it is, 1 to 64 characters; null: \"key-\" and a number."),
	F("public_key", STRING, NULLABLE,
	  "Of a pair that its owner made, base32; null: a pair is made."),
	END,
};
static const struct field out_KeyAdd[] = {
	T("key", type_key, 0, "The new key."),
	T("service", type_service, 0, "The service as it is now."),
	END,
};
static const struct field in_KeyRemove[] = {
	F("name", STRING, 0, "The service's name."),
	F("label", STRING, 0, "Whose key it is."),
	END,
};
#define in_KeyList    in_name
#define out_KeyRemove out_service
static const struct field out_KeyList[] = {
	T("keys", type_key, ARRAY,
	  "In the order in which they were made; none of a public service."),
	END,
};

static const struct field in_InboxList[] = {
	F("name", STRING, 0, "The service's name."),
	F("after", INT, NULLABLE, "Numbers above that only: for the next page."),
	F("limit", INT, NULLABLE, "How many at most; null, and at most: 500."),
	END,
};
static const struct field out_InboxList[] = {
	T("submissions", type_submission, ARRAY, "The oldest first."),
	F("more", BOOL, 0, "There are others behind the last."),
	END,
};
static const struct field in_submission[] = {
	F("name", STRING, 0, "The service's name."),
	F("id", INT, 0, "The submission's number."),
	END,
};
static const struct field out_InboxShow[] = {
	T("submission", type_submission, 0, "The submission."),
	F("text", STRING, NULLABLE, "Its message; null: none, or not to be read here."),
	F("cut", BOOL, 0, "That is only the beginning of the message; InboxOpen has all of it."),
	END,
};
static const struct field in_InboxOpen[] = {
	F("name", STRING, 0, "The service's name."),
	F("id", INT, 0, "The submission's number."),
	F("first", INT, NULLABLE, "How many parts are left out: for the next ones."),
	END,
};
static const struct field out_InboxOpen[] = {
	T("files", type_part, ARRAY, "With a descriptor of each, in their order."),
	F("more", BOOL, 0, "There are others behind the last."),
	END,
};
#define in_InboxShow    in_submission
#define in_InboxDelete  in_submission
#define out_InboxDelete nothing

#define in_BridgesList  nothing
#define out_BridgesList out_bridges
static const struct field out_bridges[] = {
	T("bridges", type_bridges, 0, "As they are now."),
	END,
};
static const struct field in_BridgesSet[] = {
	F("bridges", STRING, ARRAY,
	  "Lines of obfs4, snowflake, meek_lite, webtunnel or plain bridges; at most 64. None: Tor "
	  "is entered directly."),
	END,
};
#define out_BridgesSet out_bridges
#define in_TorCheck    in_name
static const struct field out_TorCheck[] = {
	T("steps", type_check_step, ARRAY, "Those that were taken."),
	F("done", BOOL, 0, "No other comes."),
	F("good", BOOL, 0, "A visitor gets an answer."),
	END,
};

static const struct field in_BalanceCheck[] = {
	F("frontend", STRING, 0, "The address of the Onionbalance."),
	F("backends", STRING, ARRAY, "Those of its backends; at most 64."),
	F("path", STRING, NULLABLE,
	  "What is asked for, percent-encoded. null: /download, and / where that is not there."),
	END,
};
static const struct field out_BalanceCheck[] = {
	T("visits", type_balance_visit, ARRAY, "Those that are over."),
	F("done", BOOL, 0, "No other comes."),
	T("release", type_balance_release, 0, "Do all serve the same? unknown before done."),
	END,
};

/* X(name, permission, flags, documentation) */
#define METHODS(X)                                                                                \
	X(Create, CONTROL, METHOD_DESCRIPTORS,                                                    \
	  "Makes a service, stopped. Its address and private key are made with it and never "     \
	  "change; if no tor answers, the address is made when one does. Paths without "          \
	  "descriptors are taken from root and the daemon's own user only; of the options "       \
	  "data_dir and webhook_secret_file likewise, which have to be the caller's own.")        \
	X(Import, CONTROL, METHOD_DESCRIPTORS,                                                    \
	  "Makes a service, stopped, that was served elsewhere: at its address, with its "        \
	  "private keys. If Tor answers, it tells whether key and address fit together; else "    \
	  "that shows at the first start.")                                                       \
	X(Export, ADMIN, 0,                                                                       \
	  "All that makes a service what it is, secret keys included, as Import takes it on "     \
	  "another machine. What it serves, or has received, is not in it.")                      \
	X(Start, CONTROL, 0,                                                                      \
	  "Starts a service and remembers it: it comes back after a crash or reboot. "            \
	  "Answers when the start is under way; Wait tells when it can be reached.")              \
	X(Stop, CONTROL, 0,                                                                       \
	  "Stops a service and remembers it. Answers when it is down: running transfers are "     \
	  "given time to finish.")                                                                \
	X(Restart, CONTROL, 0, "Stops a service and starts it again.")                            \
	X(Wait, READ, METHOD_MAY_STREAM,                                                          \
	  "Waits for a service's state. With \"more\" each state on the way is told; done is "    \
	  "true in the last reply.")                                                              \
	X(List, READ, METHOD_MAY_STREAM,                                                          \
	  "All services. Above a thousand or so they need several replies (\"more\").")           \
	X(Show, READ, 0, "One service.")                                                          \
	X(Edit, CONTROL, METHOD_DESCRIPTORS,                                                      \
	  "Changes options of a service: all of them or, if one is refused, none. With "          \
	  "descriptors as for Create.")                                                           \
	X(Rename, CONTROL, 0, "Gives a service another name. Its address stays.")                 \
	X(Delete, CONTROL, 0, "Stops a service and deletes it with its address and keys.")        \
	X(Keep, CONTROL, 0, "Makes a one-off service a saved one, at the same address.")          \
	X(Publish, CONTROL, METHOD_DESCRIPTORS,                                                   \
	  "Puts other content into the place of all that a service serves, while it runs or "     \
	  "not: a visitor sees the old or the new, never a mixture. Answers when it is so.")      \
	X(AddContent, CONTROL, METHOD_DESCRIPTORS,                                                \
	  "Adds paths to what a service serves, in its root, as Publish does it. What was there " \
	  "keeps its place.")                                                                     \
	X(RemoveContent, CONTROL, 0,                                                              \
	  "Takes paths out of what a service serves. The files in place stay; a copy is deleted " \
	  "when nobody reads it any more.")                                                       \
	X(HandoverBegin, CONTROL, 0,                                                              \
	  "Begins to hand files over, of which the daemon keeps its own copy. Without a service " \
	  "that takes it (Create, Publish, AddContent), it is gone with the connection.")         \
	X(HandoverPut, CONTROL, METHOD_MAY_STREAM | METHOD_DESCRIPTORS,                           \
	  "Hands over files that the caller opened, and answers when they are copied; with "      \
	  "\"more\" also how far that is. After an error a new one must be begun.")               \
	X(Status, READ, 0, "The daemon, Tor, and how many services there are.")                   \
	X(Watch, READ, METHOD_MUST_STREAM,                                                        \
	  "Tells what happens, an event a reply, until the connection ends. The first is a "      \
	  "snapshot, in several when it is long. Who does not read is dropped.")                  \
	X(History, READ, 0, "What has happened, from the database.")                              \
	X(KeyList, CONTROL, 0, "The private keys of a service.")                                  \
	X(KeyAdd, CONTROL, 0,                                                                     \
	  "Gives a service another private key, at most 256. Those who are connected notice "     \
	  "nothing; the new key works as soon as Tor has published it, a few seconds later.")     \
	X(KeyRemove, CONTROL, 0,                                                                  \
	  "Takes a private key back. Answers when whoever came by it is locked out, open "        \
	  "connections included; others are cut too, and get in again after a moment.")           \
	X(InboxList, READ, 0, "What has come in to a receive service, also while it is stopped.") \
	X(InboxShow, CONTROL, 0, "One submission, with its message.")                             \
	X(InboxOpen, CONTROL, 0,                                                                  \
	  "Hands out the files of a submission: with the answer come descriptors, open for "      \
	  "reading, at most 16 at once.")                                                         \
	X(InboxDelete, CONTROL, 0,                                                                \
	  "Deletes a submission from the disk. Nothing is overwritten: what a disk keeps of "     \
	  "removed files is beyond the daemon.")                                                  \
	X(BridgesList, CONTROL, 0, "By which bridges the daemon's own tor enters the network.")   \
	X(BridgesSet, ADMIN, 0,                                                                   \
	  "Replaces them, and remembers that. Refused for a tor that is not the daemon's own, "   \
	  "and "                                                                                  \
	  "for a transport whose program is not installed. Connections of visitors end and come " \
	  "back by the new way.")                                                                 \
	X(TorCheck, CONTROL, METHOD_MAY_STREAM,                                                   \
	  "Visits a service through Tor and tells where that breaks. With \"more\" each step is " \
	  "told as it is taken.")                                                                 \
	X(BalanceCheck, CONTROL, METHOD_MAY_STREAM,                                               \
	  "Visits the frontend of an Onionbalance and its backends through Tor, on this machine " \
	  "or elsewhere, and compares what they answer. With \"more\" each is told as it is "     \
	  "over.")                                                                                \
	X(Reload, ADMIN, 0, "Reads the configuration again, as SIGHUP does.")

#define X(name, permission, flags, doc) _Static_assert(sizeof("" doc) > 10, #name " has no text");
METHODS(X)
#undef X

static const struct method_def control_methods[] = {
#define X(name, permission, flags, doc) \
	{#name, PERMISSION_##permission, flags, in_##name, out_##name, doc},
	METHODS(X)
#undef X
};

/* --- errors: the kinds of proto/base/error.h --- */

#define ERROR_MESSAGE F("message", STRING, 0, "The sentence for people.")

/* A kind has no parameter, one or two: "" becomes NULL, and so the table's end. */
#define PARAMETER(text) (sizeof(text) > 1 ? text : NULL)

#define X(symbol, wire_name, status, p1, p2, text)            \
	static const struct field error_fields_##symbol[] = { \
		ERROR_MESSAGE,                                \
		F(PARAMETER(p1), STRING, 0, ""),              \
		F(PARAMETER(p2), STRING, 0, ""),              \
		END,                                          \
	};
ERROR_KINDS(X)
#undef X

static const struct error_def control_errors[] = {
#define X(symbol, wire_name, status, p1, p2, text) {wire_name, error_fields_##symbol, text},
	ERROR_KINDS(X)
#undef X
};

const struct interface interface_control = {
	.name = INTERFACE_CONTROL,
	.doc = "Control of onionshared, the daemon that hosts Tor onion services.",
	.types = interface_types,
	.methods = control_methods,
	.n_methods = ARRAY_SIZE(control_methods),
	.errors = control_errors,
	.n_errors = ARRAY_SIZE(control_errors),
};

/* --- finding --- */

const struct interface *interface_find(struct span name)
{
	static const struct interface *const all[] = {&interface_varlink, &interface_control};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		if (span_eq(name, span_str(all[i]->name))) {
			return all[i];
		}
	}
	return NULL;
}

const struct method_def *interface_method(const struct interface *i, struct span name)
{
	for (size_t k = 0; k < i->n_methods; k++) {
		if (span_eq(name, span_str(i->methods[k].name))) {
			return &i->methods[k];
		}
	}
	return NULL;
}

const struct error_def *interface_error(const struct interface *i, struct span name)
{
	for (size_t k = 0; k < i->n_errors; k++) {
		if (span_eq(name, span_str(i->errors[k].name))) {
			return &i->errors[k];
		}
	}
	return NULL;
}

const char *permission_name(enum permission p)
{
	switch (p) {
	case PERMISSION_NONE:
		return "none";
	case PERMISSION_READ:
		return "read";
	case PERMISSION_CONTROL:
		return "control";
	case PERMISSION_ADMIN:
		return "admin";
	}
	return "none";
}
