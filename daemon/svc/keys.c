/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Private keys of a service, one a person or group: made, taken back, shown. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/alloc.h"
#include "proto/base/codec.h"
#include "proto/base/crypto.h"
#include "proto/units.h"
#include "svc/registry.h"

_Static_assert(STORE_KEYS_MAX == ONION_CLIENTS_MAX, "what can be saved can be published");

static json_t *key_json(const struct store_key *key)
{
	char priv[BASE32_LEN(X25519_SIZE) + 1], pub[BASE32_LEN(X25519_SIZE) + 1];

	base32_encode(key->private_key, X25519_SIZE, priv);
	base32_encode(key->public_key, X25519_SIZE, pub);
	json_t *o = json_pack("{s:s, s:s?, s:s}", "label", key->label, "private_key",
			      key->has_private ? priv : NULL, "public_key", pub);

	crypto_wipe(priv, sizeof(priv));
	return o;
}

json_t *service_all_keys_json(const struct service *svc)
{
	json_t *keys = json_array();

	for (size_t i = 0; i < svc->row->n_keys; i++) {
		json_array_append_new(keys, key_json(&svc->row->keys[i]));
	}
	return keys;
}

json_t *manager_keys_json(const struct service *svc)
{
	return service_is_public(svc) ? json_array() : service_all_keys_json(svc);
}

static struct store_key *find_label(const struct service_row *row, const char *label)
{
	for (size_t i = 0; i < row->n_keys; i++) {
		if (strcmp(row->keys[i].label, label) == 0) {
			return &row->keys[i];
		}
	}
	return NULL;
}

static struct store_key *find_public(const struct service_row *row, const uint8_t *public_key)
{
	for (size_t i = 0; i < row->n_keys; i++) {
		if (memcmp(row->keys[i].public_key, public_key, X25519_SIZE) == 0) {
			return &row->keys[i];
		}
	}
	return NULL;
}

/* The array with room for n: what stood in the old one is wiped. */
static void resize(struct service_row *row, size_t n)
{
	struct store_key *keys = xcalloc(n, sizeof(*keys));
	size_t kept = n < row->n_keys ? n : row->n_keys;

	if (row->keys) {
		memcpy(keys, row->keys, kept * sizeof(*keys));
		crypto_wipe(row->keys, row->n_keys * sizeof(*keys));
		free(row->keys);
	}
	row->keys = keys;
	row->n_keys = kept;
}

static struct store_key *append(struct service_row *row, const char *label)
{
	resize(row, row->n_keys + 1);
	struct store_key *key = &row->keys[row->n_keys++];

	key->label = xstrdup(label);
	return key;
}

static void drop(struct service_row *row, struct store_key *key)
{
	size_t at = (size_t)(key - row->keys);

	free(key->label);
	memmove(key, key + 1, (row->n_keys - at - 1) * sizeof(*key));
	memset(&row->keys[row->n_keys - 1], 0, sizeof(*key));
	resize(row, row->n_keys - 1);
}

static void make_pair(struct store_key *key)
{
	key->has_private = true;
	crypto_x25519_keypair(key->private_key, key->public_key);
}

void ensure_client_key(struct service_row *row)
{
	if (row->n_keys == 0) {
		make_pair(append(row, "default"));
	}
}

/* --- what is refused --- */

static int refuse_public(const struct service *svc, struct error *err)
{
	if (!service_is_public(svc)) {
		return 0;
	}
	return error_set_kind(err, EINVAL, ERROR_INVALID_STATE, "public", NULL,
			      "the service %s is public, nobody needs a key; make it private first "
			      "(onionsharectl edit %s --private)",
			      svc->row->name, svc->row->name);
}

static int check_label(const struct service *svc, const char *label, struct error *err)
{
	int r = units_check_label("label", label, err);

	if (r == 0 && find_label(svc->row, label)) {
		r = error_set_kind(err, EEXIST, ERROR_NAME_IN_USE, label, NULL,
				   "the service %s already has a key with the label %s",
				   svc->row->name, label);
	}
	return r;
}

static int check_room(const struct service *svc, struct error *err)
{
	char limit[16];

	if (svc->row->n_keys < STORE_KEYS_MAX) {
		return 0;
	}
	snprintf(limit, sizeof(limit), "%d", STORE_KEYS_MAX);
	return error_set_kind(err, EMFILE, ERROR_LIMIT_EXCEEDED, "keys", limit,
			      "the service %s has %s keys, more do not go into what Tor publishes "
			      "of it; remove one, or make a second service",
			      svc->row->name, limit);
}

static int invalid_key(struct error *err, const char *why)
{
	return error_set_kind(err, EINVAL, ERROR_INVALID_VALUE, "public_key", why, "public_key: %s",
			      why);
}

/* "descriptor:x25519:" stands in front of it in a file for authorized_clients. */
static int parse_public(const struct service *svc, const char *text, uint8_t ret[X25519_SIZE],
			struct error *err)
{
	static const struct span prefix = SPAN("descriptor:x25519:");
	struct span s = span_str(text);
	uint8_t any[X25519_SIZE], unused[X25519_SIZE];

	if (span_starts(s, prefix)) {
		s = span_from(s, prefix.n);
	}
	if (base32_decode(s, ret, X25519_SIZE) < 0) {
		return invalid_key(err, "must be the 52 characters (a-z, 2-7) of a public key");
	}
	crypto_random(any, sizeof(any));
	int r = crypto_x25519_shared(any, ret, unused);

	crypto_wipe(any, sizeof(any));
	crypto_wipe(unused, sizeof(unused));
	if (r < 0) {
		return invalid_key(err, "is one that lets everybody in; have a new one made");
	}
	const struct store_key *same = find_public(svc->row, ret);

	if (same) {
		_cleanup_free_ char *why =
			xasprintf("is the one that is there with the label %s", same->label);

		return invalid_key(err, why);
	}
	return 0;
}

/* "key-1", or the first number that is free. */
static char *free_label(const struct service_row *row)
{
	for (unsigned n = 1;; n++) {
		char *label = xasprintf("key-%u", n);

		if (!find_label(row, label)) {
			return label;
		}
		free(label);
	}
}

static void tell_history(const struct service *svc, const char *what, const char *label)
{
	if (!svc->ephemeral) {
		json_t *details = json_pack("{s:s}", "label", label);

		store_history_add(manager_store(svc->m), svc->row->name, what, details);
		json_decref(details);
	}
}

/* --- adding --- */

struct key_addition {
	uint8_t public_key[X25519_SIZE];
	manager_done_fn *cb;
	void *ud;
};

/* What could not be saved does not open anything either. */
static void added(void *ud, const struct error *err, struct service *svc)
{
	struct key_addition *a = ud;
	struct store_key *key = err && svc ? find_public(svc->row, a->public_key) : NULL;

	if (key) {
		drop(svc->row, key);
		service_republish(svc, true, NULL, NULL);
	}
	a->cb(a->ud, err, svc);
	free(a);
}

int manager_key_add(struct manager *m, struct service *svc, const char *label,
		    const char *public_key, json_t **ret_key, manager_done_fn *cb, void *ud,
		    struct error *err)
{
	_cleanup_free_ char *made = NULL;
	uint8_t public_half[X25519_SIZE];
	int r = refuse_change(svc, err);

	if (r == 0) {
		r = refuse_public(svc, err);
	}
	if (r == 0 && label) {
		r = check_label(svc, label, err);
	}
	if (r == 0 && public_key) {
		r = parse_public(svc, public_key, public_half, err);
	}
	if (r == 0) {
		r = check_room(svc, err);
	}
	if (r < 0) {
		return r;
	}
	struct key_addition *a = xnew(struct key_addition);
	struct store_key *key;

	made = label ? NULL : free_label(svc->row);
	key = append(svc->row, label ? label : made);
	if (public_key) {
		memcpy(key->public_key, public_half, X25519_SIZE);
	} else {
		make_pair(key);
	}
	memcpy(a->public_key, key->public_key, X25519_SIZE);
	a->cb = cb;
	a->ud = ud;
	*ret_key = key_json(key);
	tell_history(svc, "key-added", key->label);
	service_republish(svc, false, NULL, NULL);
	op_save(op_new(m, svc, added, a), svc);
	return 0;
}

/* --- taking back: the row is saved, and the circuits are closed --- */

struct key_removal {
	struct op *waits_cut; /* NULL: they are */
	bool saved;
	struct error err;
	manager_done_fn *cb;
	void *ud;
};

static void removal_check(struct key_removal *k, struct service *svc)
{
	if (!k->saved || k->waits_cut) {
		return;
	}
	k->cb(k->ud, k->err.code ? &k->err : NULL, svc);
	error_done(&k->err);
	free(k);
}

static void removal_failed(struct key_removal *k, const struct error *err)
{
	if (err && !k->err.code) {
		error_copy(&k->err, err);
	}
}

static void removal_saved(void *ud, const struct error *err, struct service *svc)
{
	struct key_removal *k = ud;

	k->saved = true;
	removal_failed(k, err);
	removal_check(k, svc);
}

static void removal_cut(void *ud, const struct error *err, struct service *svc)
{
	struct key_removal *k = ud;

	k->waits_cut = NULL;
	removal_failed(k, err);
	removal_check(k, svc);
}

static void circuits_closed(void *ud)
{
	struct key_removal *k = ud;

	op_finish(k->waits_cut, NULL);
}

int manager_key_remove(struct manager *m, struct service *svc, const char *label,
		       manager_done_fn *cb, void *ud, struct error *err)
{
	int r = refuse_change(svc, err);

	if (r == 0) {
		r = refuse_public(svc, err);
	}
	if (r < 0) {
		return r;
	}
	struct store_key *key = find_label(svc->row, label);

	if (!key) {
		return error_set_kind(err, ENOENT, ERROR_NO_SUCH_KEY, label, NULL,
				      "the service %s has no key with the label %s", svc->row->name,
				      label);
	}
	if (svc->row->n_keys == 1) {
		return error_set_kind(err, EINVAL, ERROR_INVALID_STATE, "last key", NULL,
				      "it is the last key of the service %s; add another one "
				      "first, or stop the service",
				      svc->row->name);
	}
	struct key_removal *k = xnew(struct key_removal);

	k->cb = cb;
	k->ud = ud;
	tell_history(svc, "key-removed", label);
	drop(svc->row, key);
	k->waits_cut = op_new(m, svc, removal_cut, k);
	if (!service_republish(svc, true, circuits_closed, k)) {
		op_finish_later(k->waits_cut);
	}
	op_save(op_new(m, svc, removal_saved, k), svc);
	return 0;
}
