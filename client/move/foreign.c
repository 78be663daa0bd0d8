/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "client/move/foreign.h"

#include <errno.h>
#include <string.h>

#include "proto/base/alloc.h"
#include "proto/base/codec.h"
#include "proto/base/crypto.h"
#include "proto/wire.h"

#define ONION_KEY_SIZE 64
#define ADDRESS_LEN    56
#define DEFAULT_LABEL  "default"

/* A version 2 key is an RSA key: hundreds of characters, as DER begins in base64. */
#define RSA_BEGINS SPAN("MII")

static int no_version_2(struct error *err)
{
	return error_set(err, ENOTSUP,
			 "it has a version 2 address (16 characters), which the Tor network has "
			 "not carried since 2021 and nothing can bring back: make a new service");
}

/* --- members: missing and null are the same --- */

static int wrong_type(struct error *err, const char *group, const char *name, const char *wanted)
{
	return error_set(err, EINVAL, "%s.%s is not %s", group, name, wanted);
}

static const json_t *member(const json_t *all, const char *group, const char *name)
{
	const json_t *value = json_object_get(json_object_get(all, group), name);

	return json_is_null(value) ? NULL : value;
}

static int get_text(const json_t *all, const char *group, const char *name, const char **ret,
		    struct error *err)
{
	const json_t *value = member(all, group, name);

	if (value && !json_is_string(value)) {
		return wrong_type(err, group, name, "a text");
	}
	*ret = json_string_length(value) ? json_string_value(value) : NULL;
	return 0;
}

static int get_bool(const json_t *all, const char *group, const char *name, bool *ret,
		    struct error *err)
{
	const json_t *value = member(all, group, name);

	if (value && !json_is_boolean(value)) {
		return wrong_type(err, group, name, "true or false");
	}
	*ret = value ? json_is_true(value) : *ret;
	return 0;
}

/* --- OnionShare --- */

/* A switch of theirs and the option of ours; negated: true there is false here. */
struct setting {
	const char *mode, *name, *option;
	bool is_text, negated;
};

static const struct setting settings[] = {
	{"share", "autostop_sharing", "no_autostop_sharing", false, true},
	{"share", "log_filenames", "log_filenames", false, false},
	{"receive", "data_dir", "data_dir", true, false},
	{"receive", "webhook_url", "webhook_url", true, false},
	{"receive", "disable_text", "disable_text", false, false},
	{"receive", "disable_files", "disable_files", false, false},
	{"website", "disable_csp", "disable_csp", false, false},
	{"website", "custom_csp", "custom_csp", true, false},
	{"website", "log_filenames", "log_filenames", false, false},
};

static int read_setting(const json_t *all, const struct setting *s, json_t *options,
			struct error *err)
{
	const char *text = NULL;
	bool on = s->negated;
	int r = s->is_text ? get_text(all, s->mode, s->name, &text, err)
			   : get_bool(all, s->mode, s->name, &on, err);

	if (r == 0 && text) {
		json_object_set_new(options, s->option, json_string(text));
	} else if (r == 0 && !s->is_text && on != s->negated) {
		json_object_set_new(options, s->option, json_true());
	}
	return r;
}

static int read_options(const json_t *all, const char *mode, json_t *params, struct error *err)
{
	json_t *options = json_object_get(params, "options");
	const char *title = NULL;
	bool public = false;
	int r = get_text(all, "general", "title", &title, err);

	if (r == 0) {
		r = get_bool(all, "general", "public", &public, err);
	}
	if (title) {
		json_object_set_new(options, "title", json_string(title));
	}
	if (public) {
		json_object_set_new(options, "public", json_true());
	}
	for (size_t i = 0; i < ARRAY_SIZE(settings) && r == 0; i++) {
		if (strcmp(settings[i].mode, mode) == 0) {
			r = read_setting(all, &settings[i], options, err);
		}
	}
	if (json_object_get(options, "custom_csp")) {
		json_object_del(options, "disable_csp"); /* there the policy wins */
	}
	return r;
}

static int read_paths(const json_t *all, const char *mode, json_t *params, struct error *err)
{
	const json_t *names = member(all, mode, "filenames");
	size_t i;
	json_t *name;

	if (strcmp(mode, "share") != 0 && strcmp(mode, "website") != 0) {
		return 0;
	}
	if (names && !json_is_array(names)) {
		return wrong_type(err, mode, "filenames", "a list");
	}
	json_array_foreach (names, i, name) {
		if (!json_is_string(name) ||
		    strlen(json_string_value(name)) != json_string_length(name)) {
			return wrong_type(err, mode, "filenames", "a list of paths");
		}
	}
	json_object_set_new(params, "paths", names ? json_deep_copy(names) : json_array());
	return 0;
}

static int read_onion_key(const json_t *all, json_t *params, struct error *err)
{
	uint8_t key[ONION_KEY_SIZE];
	const char *text = NULL, *address = NULL;
	int r = get_text(all, "onion", "private_key", &text, err);

	if (r == 0) {
		r = get_text(all, "general", "service_id", &address, err);
	}
	if (r < 0 || !text) {
		return r; /* one that was never started has none yet */
	}
	if (span_starts(span_str(text), RSA_BEGINS) ||
	    (address && strlen(address) != ADDRESS_LEN)) {
		return no_version_2(err);
	}
	r = base64_decode(span_str(text), key, sizeof(key));
	crypto_wipe(key, sizeof(key));
	if (r < 0) {
		return error_set(err, EINVAL,
				 "onion.private_key is not the key of an onion service (64 bytes "
				 "in base64)");
	}
	json_object_set_new(params, "onion_key", json_string(text));
	if (address) {
		json_object_set_new(params, "onion", json_string(address));
	}
	return 0;
}

static void add_key(json_t *params, const char *label, const char *priv, const char *pub)
{
	json_array_append_new(json_object_get(params, "keys"),
			      json_pack("{s:s, s:s?, s:s}", "label", label, "private_key", priv,
					"public_key", pub));
}

/* The public half can be left out there: it is made of the private one. */
static int read_client_key(const json_t *all, json_t *params, struct error *err)
{
	char made[BASE32_LEN(X25519_SIZE) + 1];
	uint8_t secret[X25519_SIZE], public_half[X25519_SIZE];
	const char *priv = NULL, *pub = NULL;
	int r = get_text(all, "onion", "client_auth_priv_key", &priv, err);

	if (r == 0) {
		r = get_text(all, "onion", "client_auth_pub_key", &pub, err);
	}
	if (r < 0) {
		return r;
	}
	if (priv && base32_decode(span_str(priv), secret, sizeof(secret)) < 0) {
		return error_set(err, EINVAL,
				 "onion.client_auth_priv_key is no private key (52 characters)");
	}
	if (priv && !pub) {
		crypto_x25519_public(secret, public_half);
		base32_encode(public_half, sizeof(public_half), made);
		pub = made;
	}
	crypto_wipe(secret, sizeof(secret));
	if (pub) {
		add_key(params, DEFAULT_LABEL, priv, pub);
	}
	return 0;
}

static int read_mode(const json_t *all, const char **ret, struct error *err)
{
	static const char *const modes[] = {"share", "receive", "website", "chat"};
	int r;

	if (!json_is_object(json_object_get(all, "persistent"))) {
		return error_set(err, EINVAL, "it is no saved tab of OnionShare's");
	}
	r = get_text(all, "persistent", "mode", ret, err);
	for (size_t i = 0; i < ARRAY_SIZE(modes) && r == 0 && *ret; i++) {
		if (strcmp(modes[i], *ret) == 0) {
			return 0;
		}
	}
	return r < 0 ? r
		     : error_set(err, EINVAL,
				 "persistent.mode is none of share, receive, website, chat");
}

static int read_tab(const json_t *all, json_t *params, bool *start, struct error *err)
{
	const char *mode = NULL;
	bool legacy = false;
	int r = read_mode(all, &mode, err);

	if (r == 0) {
		r = get_bool(all, "general", "legacy", &legacy, err);
	}
	if (r == 0 && legacy) {
		r = no_version_2(err);
	}
	if (r < 0 || !mode) {
		return r < 0 ? r : -EINVAL;
	}
	json_object_set_new(params, "mode", json_string(mode));
	r = read_options(all, mode, params, err);
	if (r == 0) {
		r = read_paths(all, mode, params, err);
	}
	if (r == 0) {
		r = read_onion_key(all, params, err);
	}
	if (r == 0) {
		r = read_client_key(all, params, err);
	}
	return r < 0 ? r : get_bool(all, "persistent", "autostart_on_launch", start, err);
}

int foreign_onionshare(struct span text, json_t **ret, bool *ret_start, struct error *err)
{
	json_t *all = wire_parse_json(text, err);
	json_t *params = json_pack("{s:{}, s:[]}", "options", "keys");
	bool start = false;
	int r = all ? read_tab(all, params, &start, err) : -EINVAL;

	if (!all) {
		error_context(err, "this is neither an export nor a saved tab of OnionShare's");
	}
	json_decref(all);
	if (r < 0) {
		json_decref(params);
		return r;
	}
	*ret = params;
	*ret_start = start;
	return 0;
}

/* --- tor --- */

#define TOR_HEADER_SIZE 32 /* a sentence, and zeros behind it */

int foreign_tor_key(struct span bytes, json_t *params, struct error *err)
{
	static const char header[TOR_HEADER_SIZE] = "== ed25519v1-secret: type0 ==";
	char text[BASE64_LEN(ONION_KEY_SIZE) + 1];

	if (bytes.n != TOR_HEADER_SIZE + ONION_KEY_SIZE ||
	    memcmp(bytes.p, header, TOR_HEADER_SIZE) != 0) {
		return error_set(err, EINVAL,
				 "it is not the key of an onion service as tor writes it");
	}
	base64_encode((const uint8_t *)bytes.p + TOR_HEADER_SIZE, ONION_KEY_SIZE, text);
	json_object_set_new(params, "onion_key", json_string(text));
	crypto_wipe(text, sizeof(text));
	return 0;
}

int foreign_tor_hostname(struct span text, json_t *params, struct error *err)
{
	struct span line = span_trim(span_cut(&text, '\n'));
	uint8_t raw[ADDRESS_LEN * 5 / 8];

	if (line.n != ADDRESS_LEN + strlen(".onion") || !span_ends(line, SPAN(".onion")) ||
	    base32_decode(span_of(line.p, ADDRESS_LEN), raw, sizeof(raw)) < 0) {
		return error_set(err, EINVAL,
				 "its first line is no address (56 characters and .onion)");
	}
	json_object_set_new(params, "onion", json_stringn(line.p, ADDRESS_LEN));
	return 0;
}

int foreign_tor_client(struct span text, const char *label, json_t *params, struct error *err)
{
	static const struct span begin = SPAN("descriptor:x25519:");
	struct span line = span_trim(span_cut(&text, '\n'));
	char again[BASE32_LEN(X25519_SIZE) + 1];
	uint8_t key[X25519_SIZE];

	if (span_ends(line, SPAN("\r"))) {
		line.n--;
	}
	if (!span_starts(line, begin) ||
	    base32_decode(span_from(line, begin.n), key, sizeof(key)) < 0) {
		return error_set(err, EINVAL,
				 "its first line is not descriptor:x25519: and a public key of 52 "
				 "characters");
	}
	base32_encode(key, sizeof(key), again);
	add_key(params, label, NULL, again);
	return 0;
}
