/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The identity of a service that comes from elsewhere: its address, the key that makes
 * it, and the private keys of people. Whether address and key belong together only tor
 * can tell (create.c asks it); all else is checked here.
 */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "proto/base/alloc.h"
#include "proto/base/codec.h"
#include "proto/base/crypto.h"
#include "proto/units.h"
#include "svc/registry.h"

#define ADDRESS_BYTES   35 /* rend-spec-v3, 6: the public key, a checksum, the version */
#define ADDRESS_VERSION 3

static int invalid(struct error *err, const char *field, const char *why)
{
	return error_set_kind(err, EINVAL, ERROR_INVALID_VALUE, field, why, "%s: %s", field, why);
}

static struct span text_of(const json_t *o, const char *member)
{
	const json_t *text = json_object_get(o, member);

	return span_of(json_string_value(text), json_string_length(text));
}

static int read_address(const json_t *from, struct service_row *row, struct error *err)
{
	struct span text = text_of(from, "onion");
	uint8_t raw[ADDRESS_BYTES];

	if (!text.p) {
		return 0;
	}
	if (text.n != ONION_ADDRESS_LEN || base32_decode(text, raw, sizeof(raw)) < 0 ||
	    raw[ADDRESS_BYTES - 1] != ADDRESS_VERSION) {
		return invalid(err, "onion",
			       "is no address of a version 3 onion service (56 characters)");
	}
	row->onion = xmemdup(text.p, text.n);
	for (char *p = row->onion; *p; p++) {
		*p = (char)tolower((unsigned char)*p);
	}
	return 0;
}

static int read_onion_key(const json_t *from, struct service_row *row, struct error *err)
{
	struct span text = text_of(from, "onion_key");

	if (!text.p) {
		return row->onion ? invalid(err, "onion_key", "an address is of no use without it")
				  : 0;
	}
	if (base64_decode(text, row->onion_key, ONION_KEY_SIZE) < 0) {
		return invalid(err, "onion_key", "must be 64 bytes in base64");
	}
	row->has_onion_key = true;
	return 0;
}

/* Of the private half, the public half, or both, which must fit together. */
static int read_halves(const json_t *from, struct store_key *key, struct error *err)
{
	struct span priv = text_of(from, "private_key"), pub = text_of(from, "public_key");
	uint8_t any[X25519_SIZE] = {8}, unused[X25519_SIZE], made[X25519_SIZE];

	if (base32_decode(pub, key->public_key, X25519_SIZE) < 0 ||
	    crypto_x25519_shared(any, key->public_key, unused) < 0) {
		return invalid(err, "keys", "a public key is none");
	}
	if (!priv.p) {
		return 0;
	}
	if (base32_decode(priv, key->private_key, X25519_SIZE) < 0) {
		return invalid(err, "keys", "a private key is none");
	}
	key->has_private = true;
	crypto_x25519_public(key->private_key, made);
	return memcmp(made, key->public_key, X25519_SIZE) == 0
		       ? 0
		       : invalid(err, "keys", "a private key is not that of its public key");
}

static int check_unique(const struct service_row *row, struct error *err)
{
	const struct store_key *last = &row->keys[row->n_keys - 1];

	for (const struct store_key *k = row->keys; k < last; k++) {
		if (strcmp(k->label, last->label) == 0) {
			return invalid(err, "keys", "two have the same label");
		}
		if (memcmp(k->public_key, last->public_key, X25519_SIZE) == 0) {
			return invalid(err, "keys", "one is there twice");
		}
	}
	return 0;
}

static int read_keys(const json_t *from, struct service_row *row, struct error *err)
{
	const json_t *keys = json_object_get(from, "keys");
	size_t i;
	json_t *key;

	if (json_array_size(keys) > STORE_KEYS_MAX) {
		return invalid(err, "keys", "a service has at most 256");
	}
	row->keys = xcalloc(json_array_size(keys), sizeof(*row->keys));
	json_array_foreach (keys, i, key) {
		const char *label = json_string_value(json_object_get(key, "label"));
		int r = units_check_label("label", label, err);

		if (r < 0) {
			return r;
		}
		row->keys[row->n_keys].label = xstrdup(label);
		r = read_halves(key, &row->keys[row->n_keys++], err);
		if (r == 0) {
			r = check_unique(row, err);
		}
		if (r < 0) {
			return r;
		}
	}
	return 0;
}

int import_identity(const struct manager *m, const json_t *from, struct service_row *row,
		    struct error *err)
{
	int r = read_address(from, row, err);

	if (r == 0) {
		r = read_onion_key(from, row, err);
	}
	if (r == 0) {
		r = read_keys(from, row, err);
	}
	if (r == 0 && row->has_onion_key && !row->onion && m->config.local_only) {
		r = error_set_kind(err, EAGAIN, ERROR_TOR_UNAVAILABLE, "local only", NULL,
				   "the address is not told with the key, and without Tor nobody "
				   "can make it out");
	}
	return r;
}

/* --- and back --- */

/* What only this daemon on this machine can do, or is over when it is read again. */
static json_t *portable_options(const struct service *svc)
{
	static const char *const here[] = {"port", "start_at", "stop_at"};
	json_t *options = json_deep_copy(svc->row->options);
	const char *dir = json_string_value(json_object_get(options, "data_dir"));
	const char *state = svc->m->config.state_dir;

	for (size_t i = 0; i < ARRAY_SIZE(here); i++) {
		json_object_del(options, here[i]);
	}
	if (dir && state) {
		_cleanup_free_ char *own = xasprintf("%s/receive/", state);

		if (span_starts(span_str(dir), span_str(own))) {
			json_object_del(options, "data_dir");
		}
	}
	return options;
}

json_t *manager_export_json(const struct service *svc)
{
	const struct service_row *row = svc->row;
	char key[BASE64_LEN(ONION_KEY_SIZE) + 1] = "";

	if (row->has_onion_key) {
		base64_encode(row->onion_key, ONION_KEY_SIZE, key);
	}
	json_t *o = json_pack("{s:s, s:s, s:o, s:s?, s:s?, s:o, s:b}", "name", row->name, "mode",
			      row->mode, "options", portable_options(svc), "onion", row->onion,
			      "onion_key", key[0] ? key : NULL, "keys", service_all_keys_json(svc),
			      "start", row->wanted);

	if (json_array_size(row->paths)) {
		json_object_set_new(o, "paths", json_deep_copy(row->paths));
	}
	crypto_wipe(key, sizeof(key));
	return o;
}
