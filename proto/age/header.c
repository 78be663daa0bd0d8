/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "proto/age/header.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "proto/age/bech32.h"
#include "proto/age/scrypt.h"
#include "proto/base/alloc.h"
#include "proto/base/codec.h"
#include "proto/base/crypto.h"

#define VERSION_LINE "age-encryption.org/v1\n"
#define X25519_INFO  SPAN("age-encryption.org/v1/X25519")
#define SCRYPT_LABEL SPAN("age-encryption.org/v1/scrypt")
#define SALT_SIZE    16u
#define COLUMNS      64u /* of base64 in a full line */
#define LINE_BYTES   48u /* and what that decodes to */
#define WRAPPED_SIZE (AGE_FILE_KEY_SIZE + AEAD_TAG_SIZE)

static const uint8_t zero_nonce[AEAD_NONCE_SIZE];

static struct span bytes(const void *p, size_t n)
{
	return span_of(p, n);
}

/* --- keys --- */

/* Does it begin so, whatever the case of the letters? */
static bool begins(struct span text, const char *prefix)
{
	size_t n = strlen(prefix);

	return text.n >= n && strncasecmp(text.p, prefix, n) == 0;
}

/* What people take for a recipient; NULL: nothing that is known. */
static const char *mistaken(struct span text)
{
	if (begins(text, "AGE-SECRET-KEY-")) {
		return "is a secret key (an identity), not a recipient: give its public half, "
		       "which begins with age1. Who has seen this command line has the key; make "
		       "a new one";
	}
	if (begins(text, "AGE-PLUGIN-")) {
		return "is an identity of an age plugin, not a recipient; keep it to yourself";
	}
	if (begins(text, "ssh-")) {
		return "is an SSH key: only recipients of age-keygen's kind (age1...) are taken";
	}
	return begins(text, "age1") ? NULL : "does not begin with age1, as recipients do";
}

static const char *damage(struct span text, int r)
{
	/* A plugin's: age1, its name, 1 and the data. */
	if (text.n > 4 && memchr(text.p + 4, '1', text.n - 4)) {
		return "is for an age plugin: only recipients of age-keygen's kind are taken";
	}
	switch (-r) {
	case EILSEQ:
		return "has a character that no recipient has; all letters are small";
	case EMSGSIZE:
		return "is not as long as a recipient (62 characters)";
	case EBADMSG:
		return "is mistyped, cut or has something added: its checksum is wrong";
	default:
		return "is no age recipient (age1 and 58 characters, as age-keygen prints it)";
	}
}

int age_parse_recipient(struct span text, struct age_recipient *ret, struct error *err)
{
	static const uint8_t any_secret[X25519_SIZE] = {8};
	uint8_t key[X25519_SIZE], shared[X25519_SIZE];
	const char *why = mistaken(text);
	int r = why ? -EINVAL : bech32_decode(text, SPAN("age"), key, sizeof(key));

	if (r < 0) {
		return error_set(err, EINVAL, "%s", why ? why : damage(text, r));
	}
	if (crypto_x25519_shared(any_secret, key, shared) < 0) {
		return error_set(err, EINVAL, "is a key that nobody can have");
	}
	memcpy(ret->key, key, sizeof(key));
	return 0;
}

int age_parse_identity(struct span text, struct age_identity *ret, struct error *err)
{
	uint8_t secret[X25519_SIZE];

	if (bech32_decode(text, SPAN("AGE-SECRET-KEY-"), secret, sizeof(secret)) < 0) {
		return error_set(err, EINVAL,
				 "is no age identity (AGE-SECRET-KEY-1 and 58 characters)");
	}
	memcpy(ret->secret, secret, sizeof(secret));
	crypto_x25519_public(secret, ret->recipient.key);
	crypto_wipe(secret, sizeof(secret));
	return 0;
}

/* --- what both ways share --- */

/* The key that wraps the file's key for this recipient. */
static int wrap_key(const uint8_t secret[X25519_SIZE], const uint8_t peer[X25519_SIZE],
		    const uint8_t share[X25519_SIZE], const uint8_t recipient[X25519_SIZE],
		    uint8_t ret[AEAD_KEY_SIZE])
{
	uint8_t salt[2 * X25519_SIZE], shared[X25519_SIZE];

	if (crypto_x25519_shared(secret, peer, shared) < 0) {
		return -EINVAL;
	}
	memcpy(salt, share, X25519_SIZE);
	memcpy(salt + X25519_SIZE, recipient, X25519_SIZE);
	crypto_hkdf_sha256(bytes(salt, sizeof(salt)), bytes(shared, sizeof(shared)), X25519_INFO,
			   ret, AEAD_KEY_SIZE);
	crypto_wipe(shared, sizeof(shared));
	return 0;
}

/* Likewise out of a passphrase: 0, or as scrypt. */
static int passphrase_key(struct span passphrase, const uint8_t salt[SALT_SIZE], unsigned log_n,
			  uint8_t ret[AEAD_KEY_SIZE])
{
	struct span label = SCRYPT_LABEL;
	char labelled[sizeof("age-encryption.org/v1/scrypt") - 1 + SALT_SIZE];

	memcpy(labelled, label.p, label.n);
	memcpy(labelled + label.n, salt, SALT_SIZE);
	return scrypt(passphrase, bytes(labelled, sizeof(labelled)),
		      (struct scrypt_cost){.log_n = log_n, .r = 8, .p = 1}, ret, AEAD_KEY_SIZE);
}

/* header: up to and with the three dashes. */
static void header_mac(const uint8_t file_key[AGE_FILE_KEY_SIZE], struct span header,
		       uint8_t ret[SHA256_SIZE])
{
	uint8_t key[SHA256_SIZE];

	crypto_hkdf_sha256(SPAN_NONE, bytes(file_key, AGE_FILE_KEY_SIZE), SPAN("header"), key,
			   sizeof(key));
	crypto_hmac_sha256(key, sizeof(key), &header, 1, ret);
	crypto_wipe(key, sizeof(key));
}

/* --- making --- */

static void add_base64(struct buf *b, const uint8_t *p, size_t n)
{
	char text[BASE64_LEN(X25519_SIZE) + 1];

	base64_encode(p, n, text);
	size_t len = strlen(text);

	while (len && text[len - 1] == '=') {
		len--;
	}
	buf_add(b, text, len);
}

static void add_stanza(struct buf *b, const uint8_t file_key[AGE_FILE_KEY_SIZE],
		       const struct age_recipient *recipient)
{
	uint8_t secret[X25519_SIZE], share[X25519_SIZE], key[AEAD_KEY_SIZE];
	uint8_t wrapped[WRAPPED_SIZE];

	crypto_x25519_keypair(secret, share);
	if (wrap_key(secret, recipient->key, share, recipient->key, key) < 0) {
		abort(); /* age_parse_recipient takes no such key */
	}
	crypto_aead_seal(key, zero_nonce, SPAN_NONE, file_key, AGE_FILE_KEY_SIZE, wrapped);
	buf_add_str(b, "-> X25519 ");
	add_base64(b, share, sizeof(share));
	buf_add_char(b, '\n');
	add_base64(b, wrapped, sizeof(wrapped));
	buf_add_char(b, '\n');
	crypto_wipe(secret, sizeof(secret));
	crypto_wipe(key, sizeof(key));
}

/* from: where in b the header begins. */
static void add_mac(struct buf *b, size_t from, const uint8_t file_key[AGE_FILE_KEY_SIZE])
{
	uint8_t mac[SHA256_SIZE];

	buf_add_str(b, "---");
	header_mac(file_key, span_of(b->p + from, b->len - from), mac);
	buf_add_char(b, ' ');
	add_base64(b, mac, sizeof(mac));
	buf_add_char(b, '\n');
}

int age_header_make_passphrase(struct buf *b, const uint8_t file_key[AGE_FILE_KEY_SIZE],
			       struct span passphrase, unsigned log_n)
{
	uint8_t salt[SALT_SIZE], key[AEAD_KEY_SIZE], wrapped[WRAPPED_SIZE];
	size_t from = b->len;

	crypto_random(salt, sizeof(salt));
	int r = passphrase_key(passphrase, salt, log_n, key);

	if (r < 0) {
		return r;
	}
	crypto_aead_seal(key, zero_nonce, SPAN_NONE, file_key, AGE_FILE_KEY_SIZE, wrapped);
	crypto_wipe(key, sizeof(key));
	buf_add_str(b, VERSION_LINE "-> scrypt ");
	add_base64(b, salt, sizeof(salt));
	buf_printf(b, " %u\n", log_n);
	add_base64(b, wrapped, sizeof(wrapped));
	buf_add_char(b, '\n');
	add_mac(b, from, file_key);
	return 0;
}

void age_header_make(struct buf *b, const uint8_t file_key[AGE_FILE_KEY_SIZE],
		     const struct age_recipient *recipients, size_t n)
{
	size_t from = b->len;

	buf_add_str(b, VERSION_LINE);
	for (size_t i = 0; i < n; i++) {
		add_stanza(b, file_key, &recipients[i]);
	}
	add_mac(b, from, file_key);
}

/* --- reading --- */

/* n bytes in base64 without padding and without bits left over. */
static int read_base64(struct span text, uint8_t *ret, size_t n)
{
	if (text.n != (n * 4 + 2) / 3 || (text.n && memchr(text.p, '=', text.n))) {
		return -EINVAL;
	}
	return base64_decode(text, ret, n);
}

struct stanza {
	struct span args[3]; /* the type and its first arguments */
	size_t n_args;
	uint8_t body[LINE_BYTES]; /* the first line of it */
	size_t body_n;            /* of all lines */
};

static int read_args(struct span line, struct stanza *st)
{
	st->n_args = 0;
	do {
		struct span arg = span_cut(&line, ' ');

		for (size_t i = 0; i < arg.n; i++) {
			if (arg.p[i] < 33 || arg.p[i] > 126) {
				return -EINVAL;
			}
		}
		if (!arg.n) {
			return -EINVAL;
		}
		if (st->n_args < ARRAY_SIZE(st->args)) {
			st->args[st->n_args] = arg;
		}
		st->n_args++;
	} while (line.p);
	return 0;
}

/* Full lines of base64 and a shorter one, which may be empty. */
static int read_body(struct span *rest, struct stanza *st)
{
	struct span line;

	st->body_n = 0;
	do {
		uint8_t decoded[LINE_BYTES];

		line = span_cut(rest, '\n');
		size_t n = line.n * 3 / 4;

		if (!rest->p || line.n > COLUMNS || read_base64(line, decoded, n) < 0) {
			return -EINVAL;
		}
		if (st->body_n == 0) {
			memcpy(st->body, decoded, n);
		}
		st->body_n += n;
	} while (line.n == COLUMNS);
	return 0;
}

/* What a header is opened with: identities, or a passphrase. */
struct keyring {
	const struct age_identity *identities; /* NULL: none */
	size_t n;
	struct span passphrase;
};

/* As unwrap. */
static int unwrap_passphrase(const struct stanza *st, struct span passphrase,
			     uint8_t file_key[AGE_FILE_KEY_SIZE])
{
	uint8_t salt[SALT_SIZE], key[AEAD_KEY_SIZE];
	uint64_t log_n;

	if (!span_eq(st->args[0], SPAN("scrypt"))) {
		return -ENOKEY;
	}
	if (st->n_args != 3 || read_base64(st->args[1], salt, sizeof(salt)) < 0 ||
	    st->body_n != WRAPPED_SIZE || st->args[2].n > 2 || st->args[2].p[0] == '0' ||
	    span_u64(st->args[2], 99, &log_n) < 0) {
		return -EINVAL;
	}
	if (log_n > AGE_WORK_MAX) {
		return -EOVERFLOW;
	}
	int r = passphrase_key(passphrase, salt, (unsigned)log_n, key);

	if (r == 0 &&
	    crypto_aead_open(key, zero_nonce, SPAN_NONE, st->body, WRAPPED_SIZE, file_key) < 0) {
		r = -ENOKEY;
	}
	crypto_wipe(key, sizeof(key));
	return r;
}

/* 0: the file's key is known. -ENOKEY: not by these. -EINVAL, and of a passphrase more. */
static int unwrap(const struct stanza *st, const struct keyring *ring,
		  uint8_t file_key[AGE_FILE_KEY_SIZE])
{
	const struct age_identity *identities = ring->identities;
	size_t n = ring->n;
	uint8_t share[X25519_SIZE], key[AEAD_KEY_SIZE];
	int r = -ENOKEY;

	if (!identities) {
		return unwrap_passphrase(st, ring->passphrase, file_key);
	}
	if (!span_eq(st->args[0], SPAN("X25519"))) {
		return -ENOKEY;
	}
	if (st->n_args != 2 || read_base64(st->args[1], share, sizeof(share)) < 0 ||
	    st->body_n != WRAPPED_SIZE) {
		return -EINVAL;
	}
	for (size_t i = 0; i < n && r == -ENOKEY; i++) {
		r = wrap_key(identities[i].secret, share, share, identities[i].recipient.key, key);
		if (r == 0 && crypto_aead_open(key, zero_nonce, SPAN_NONE, st->body, WRAPPED_SIZE,
					       file_key) < 0) {
			r = -ENOKEY;
		}
	}
	crypto_wipe(key, sizeof(key));
	return r;
}

/* All stanzas are read, also behind the one that fits; *ret: the three dashes. */
static int read_stanzas(struct span *rest, const struct keyring *ring,
			uint8_t file_key[AGE_FILE_KEY_SIZE])
{
	int found = -ENOKEY;
	size_t count = 0;

	for (; span_starts(*rest, SPAN("-> ")); count++) {
		struct span line = span_from(span_cut(rest, '\n'), 3);
		struct stanza st;

		if (!rest->p || read_args(line, &st) < 0 || read_body(rest, &st) < 0) {
			return -EINVAL;
		}
		/* A passphrase stands alone. */
		if (span_eq(st.args[0], SPAN("scrypt")) &&
		    (count > 0 || span_starts(*rest, SPAN("-> ")))) {
			return -EINVAL;
		}
		if (found == -ENOKEY) {
			found = unwrap(&st, ring, file_key);
		}
	}
	return count ? found : -EINVAL;
}

static int open_header(struct span header, const struct keyring *ring,
		       uint8_t file_key[AGE_FILE_KEY_SIZE])
{
	struct span rest = span_from(header, strlen(VERSION_LINE));
	uint8_t key[AGE_FILE_KEY_SIZE], mac[SHA256_SIZE], expected[SHA256_SIZE];
	int r;

	if (!span_starts(header, SPAN(VERSION_LINE))) {
		return -EINVAL;
	}
	r = read_stanzas(&rest, ring, key);
	if (r == -EINVAL || !rest.p || !span_starts(rest, SPAN("--- ")) ||
	    !span_ends(rest, SPAN("\n")) ||
	    read_base64(span_of(rest.p + 4, rest.n - 5), mac, sizeof(mac)) < 0) {
		r = -EINVAL;
	}
	if (r == 0) {
		header_mac(key, span_of(header.p, (size_t)(rest.p + 3 - header.p)), expected);
		r = crypto_equal(mac, expected, sizeof(mac)) ? 0 : -EBADMSG;
	}
	if (r == 0) {
		memcpy(file_key, key, sizeof(key));
	}
	crypto_wipe(key, sizeof(key));
	return r;
}

int age_header_open(struct span header, const struct age_identity *identities, size_t n,
		    uint8_t file_key[AGE_FILE_KEY_SIZE])
{
	static const struct age_identity none;
	const struct keyring ring = {.identities = n ? identities : &none, .n = n};

	return open_header(header, &ring, file_key);
}

int age_header_open_passphrase(struct span header, struct span passphrase,
			       uint8_t file_key[AGE_FILE_KEY_SIZE])
{
	const struct keyring ring = {.passphrase = passphrase};

	return open_header(header, &ring, file_key);
}
