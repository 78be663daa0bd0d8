/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "proto/age/age.h"

#include <errno.h>
#include <time.h>

#include "proto/age/bech32.h"
#include "proto/age/header.h"
#include "proto/age/scrypt.h"
#include "proto/base/buf.h"
#include "proto/base/codec.h"
#include "proto/base/crypto.h"
#include "unit.h"

/* Made by Debian's age-keygen, for these tests. */
#define RECIPIENT       "age1hjt9pj3sf557lu7ymacxwv4rl0vsegddugagdywgtn0vr3guxueqvz6pew"
#define IDENTITY        "AGE-SECRET-KEY-13P249U0LY5VR2LJ9K3HJRNLKVMAYD59H4GRDSMAH3F2EYTXVE4DQADP03P"
#define OTHER_RECIPIENT "age1llt23442luuns23ufm5lgjxxmk0e07k598tfecdr040uthp8mswqkaw8t8"
#define OTHER_IDENTITY  "AGE-SECRET-KEY-1GHFD4JA7JZJL3758SHGQFF36NVPXEUE7UL7QHTJND6QG4TY9T7XS4HZG5D"

static const size_t edges[] = {
	0, 1, 15, 16, 17, 65535, 65536, 65537, 131071, 131072, 131073, 200000,
};

static struct age_recipient recipient(const char *text)
{
	struct age_recipient r;

	assert_int_equal(age_parse_recipient(span_str(text), &r, NULL), 0);
	return r;
}

static struct age_identity identity(const char *text)
{
	struct age_identity i;

	assert_int_equal(age_parse_identity(span_str(text), &i, NULL), 0);
	return i;
}

static int collect(void *ud, struct span bytes)
{
	buf_add_span(ud, bytes);
	return 0;
}

static void fill(struct buf *b, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		buf_add_char(b, (char)(i * 31 + i / 251));
	}
}

static void seal(struct span plain, size_t step, struct buf *sealed)
{
	const struct age_recipient to[] = {recipient(OTHER_RECIPIENT), recipient(RECIPIENT)};
	struct age_seal *s = age_seal_new(to, 2, collect, sealed);

	assert_int_equal(age_seal_begin(s), 0);
	while (plain.n) {
		size_t n = plain.n < step ? plain.n : step;

		assert_int_equal(age_seal_write(s, span_of(plain.p, n)), 0);
		plain = span_from(plain, n);
	}
	assert_int_equal(age_seal_finish(s), 0);
	age_seal_free(s);
}

static int open_sealed(struct span sealed, size_t step, const char *with, struct buf *plain)
{
	struct age_identity id = identity(with);
	struct age_open *o = age_open_new(&id, 1, collect, plain);
	int r = 0;

	while (sealed.n && r == 0) {
		size_t n = sealed.n < step ? sealed.n : step;

		r = age_open_write(o, span_of(sealed.p, n));
		sealed = span_from(sealed, n);
	}
	int verdict = age_open_finish(o);

	assert_true(r == 0 || verdict == r);
	assert_int_equal(verdict < 0 ? age_open_finish(o) : 0, verdict);
	age_open_free(o);
	return verdict;
}

static int verdict_of(struct span sealed)
{
	struct buf plain = BUF_INIT;
	int r = open_sealed(sealed, sealed.n ? sealed.n : 1, IDENTITY, &plain);

	buf_done(&plain);
	return r;
}

/* --- keys --- */

static void keys_of_age_keygen_are_read(void **state)
{
	struct age_identity id = identity(IDENTITY);
	struct age_recipient r = recipient(RECIPIENT);

	(void)state;
	assert_memory_equal(id.recipient.key, r.key, sizeof(r.key));
}

static void wrong_recipients_are_refused_and_told_why(void **state)
{
	static const struct {
		const char *text, *why;
	} wrong[] = {
		{"", "does not begin with age1"},
		{"age", "does not begin with age1"},
		{"age1", "is no age recipient"},
		{"AGE1HJT9PJ3SF557LU7YMACXWV4RL0VSEGDDUGAGDYWGTN0VR3GUXUEQVZ6PEW", "is no age"},
		{"age1hjt9pj3sf557lu7ymacxwv4rl0vsegddugagdywgtn0vr3guxueqvz6peW", "character"},
		{"age1hjt9pj3sf557lu7ymacxwv4rl0vsegddugagdywgtn0vr3guxueqvz6peq", "checksum"},
		{"age1hjt9pj3sf557lu7ymacxwv4rl0vsegddugagdywgtn0vr3guxueqvz6pe", "checksum"},
		{"age1hjt9pj3sf557lu7ymacxwv4rl0vsegddugagdywgtn0vr3guxueqvz6peww", "checksum"},
		{" " RECIPIENT, "does not begin with age1"},
		{RECIPIENT "\n", "character"},
		{"bge1hjt9pj3sf557lu7ymacxwv4rl0vsegddugagdywgtn0vr3guxueqvz6pew", "begin with"},
		{"age1bjt9pj3sf557lu7ymacxwv4rl0vsegddugagdywgtn0vr3guxueqvz6pew", "character"},
		{"age1yubikey1qwt50d05nh5vutpdzmlg5wn80xq5negm4uj9ghv0snvdd3yysf5yw3rhl3t",
		 "plugin"},
		{"AGE-PLUGIN-YUBIKEY-1XQQQQQQQQ", "plugin"},
		{"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKt", "SSH"},
		{IDENTITY, "secret key"},
		{"age-secret-key-13p249", "secret key"},
	};
	struct age_recipient r;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct error err = ERROR_INIT;

		assert_int_equal(age_parse_recipient(span_str(wrong[i].text), &r, &err), -EINVAL);
		if (!strstr(error_text(&err), wrong[i].why)) {
			fail_msg("%s: %s", wrong[i].text, error_text(&err));
		}
		assert_null(strstr(error_text(&err), "3P249")); /* nothing is repeated */
		assert_null(strstr(error_text(&err), "3p249"));
		error_done(&err);
	}
}

static void wrong_identities_are_refused_and_not_repeated(void **state)
{
	static const char lower[] = "age-secret-key-"
				    "13p249u0ly5vr2lj9k3hjrnlkvmayd59h4grdsmah3f2eytxve4dqadp03p";
	struct error err = ERROR_INIT;
	struct age_identity id;

	(void)state;
	assert_int_equal(age_parse_identity(SPAN(RECIPIENT), &id, &err), -EINVAL);
	assert_int_equal(age_parse_identity(span_str(lower), &id, &err), -EINVAL);
	assert_int_equal(age_parse_identity(span_of(IDENTITY, strlen(IDENTITY) - 1), &id, &err),
			 -EINVAL);
	assert_null(strstr(error_text(&err), "13P249"));
	error_done(&err);
}

static void bech32_of_bip_173(void **state)
{
	uint8_t bytes[20];

	(void)state;
	assert_int_equal(bech32_decode(SPAN("A12UEL5L"), SPAN("A"), bytes, 0), 0);
	assert_int_equal(bech32_decode(SPAN("a12uel5l"), SPAN("a"), bytes, 0), 0);
	assert_int_equal(bech32_decode(SPAN("?1ezyfcl"), SPAN("?"), bytes, 0), 0);
	assert_int_equal(bech32_decode(SPAN("abcdef1qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxw"),
				       SPAN("abcdef"), bytes, 20),
			 0);
	assert_int_equal(bytes[1], 0x44);
	/* A bit left over is not zero; a whole symbol is left over. */
	assert_int_equal(bech32_decode(SPAN("A12UEL5L"), SPAN("a"), bytes, 0), -EINVAL);
	assert_int_equal(bech32_decode(SPAN("A1G7SGD8"), SPAN("A"), bytes, 0), -EBADMSG);
	assert_int_equal(bech32_decode(SPAN("x1b4n0q5v"), SPAN("x"), bytes, 0), -EILSEQ);
	assert_int_equal(bech32_decode(SPAN("li1dgmt3"), SPAN("li"), bytes, 0), -EINVAL);
}

/* --- round trips --- */

static void what_was_sealed_opens_again_at_the_edges_of_chunks(void **state)
{
	static const size_t steps[] = {1, 1000, 65536, SIZE_MAX};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(edges); i++) {
		struct buf plain = BUF_INIT;

		fill(&plain, edges[i]);
		for (size_t k = edges[i] > 70000 ? 1 : 0; k < ARRAY_SIZE(steps); k++) {
			struct buf sealed = BUF_INIT, again = BUF_INIT;

			seal(buf_span(&plain), steps[k], &sealed);
			assert_int_equal(sealed.len, age_sealed_size(edges[i], 2));
			assert_int_equal(open_sealed(buf_span(&sealed), steps[3 - k], IDENTITY,
						     &again),
					 0);
			assert_true(span_eq(buf_span(&again), buf_span(&plain)));
			buf_clear(&again);
			assert_int_equal(open_sealed(buf_span(&sealed), steps[k], OTHER_IDENTITY,
						     &again),
					 0);
			assert_true(span_eq(buf_span(&again), buf_span(&plain)));
			buf_done(&again);
			buf_done(&sealed);
		}
		buf_done(&plain);
	}
}

static void two_seals_of_the_same_have_nothing_in_common(void **state)
{
	struct buf a = BUF_INIT, b = BUF_INIT;

	(void)state;
	seal(SPAN("the same"), SIZE_MAX, &a);
	seal(SPAN("the same"), SIZE_MAX, &b);
	assert_int_equal(a.len, b.len);
	assert_memory_not_equal(a.p + 40, b.p + 40, 32);
	assert_memory_not_equal(a.p + a.len - 24, b.p + b.len - 24, 24);
	buf_done(&a);
	buf_done(&b);
}

static bool have_age(void)
{
	return system("command -v age >/dev/null 2>&1") == 0;
}

static void save(const char *dir, const char *name, struct span data)
{
	char *path = xasprintf("%s/%s", dir, name);
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_int_equal(fwrite(data.p, 1, data.n, f), data.n);
	assert_int_equal(fclose(f), 0);
	free(path);
}

static void load(const char *dir, const char *name, struct buf *ret)
{
	char *path = xasprintf("%s/%s", dir, name);
	FILE *f = fopen(path, "re");
	char piece[4096];
	size_t n;

	assert_non_null(f);
	while ((n = fread(piece, 1, sizeof(piece), f)) > 0) {
		buf_add(ret, piece, n);
	}
	fclose(f);
	free(path);
}

static void run_in(const char *dir, const char *command)
{
	char *line = xasprintf("cd '%s' && %s", dir, command);

	assert_int_equal(system(line), 0);
	free(line);
}

/* The independent program, where it is installed. */
static void age_opens_ours_and_we_open_ages(void **state)
{
	(void)state;
	if (!have_age()) {
		printf("# age is not installed: not compared with it\n");
		return;
	}
	char *dir = unit_tmpdir();

	unit_write(dir, "key", IDENTITY "\n");
	for (size_t i = 0; i < ARRAY_SIZE(edges); i++) {
		struct buf plain = BUF_INIT, sealed = BUF_INIT, again = BUF_INIT;

		fill(&plain, edges[i]);
		seal(buf_span(&plain), SIZE_MAX, &sealed);
		save(dir, "plain", plain.len ? buf_span(&plain) : SPAN(""));
		save(dir, "ours.age", buf_span(&sealed));
		run_in(dir, "age -d -i key ours.age > opened && cmp opened plain");
		run_in(dir, "age -r " OTHER_RECIPIENT " -r " RECIPIENT " plain > theirs.age");
		buf_clear(&sealed);
		load(dir, "theirs.age", &sealed);
		assert_int_equal(open_sealed(buf_span(&sealed), 777, IDENTITY, &again), 0);
		assert_true(span_eq(buf_span(&again), buf_span(&plain)));
		buf_done(&plain);
		buf_done(&sealed);
		buf_done(&again);
	}
	unit_rmtree(dir);
}

/* --- damage --- */

static void others_cannot_open_it(void **state)
{
	const struct age_recipient to = recipient(OTHER_RECIPIENT);
	struct buf sealed = BUF_INIT, plain = BUF_INIT;
	struct age_seal *s = age_seal_new(&to, 1, collect, &sealed);

	(void)state;
	assert_int_equal(age_seal_begin(s), 0);
	assert_int_equal(age_seal_write(s, SPAN("secret")), 0);
	assert_int_equal(age_seal_finish(s), 0);
	age_seal_free(s);
	assert_int_equal(open_sealed(buf_span(&sealed), SIZE_MAX, IDENTITY, &plain), -ENOKEY);
	assert_int_equal(plain.len, 0);
	buf_done(&sealed);
}

static void a_cut_file_is_never_taken_for_whole(void **state)
{
	struct buf plain = BUF_INIT, sealed = BUF_INIT;

	(void)state;
	fill(&plain, 131072);
	seal(buf_span(&plain), SIZE_MAX, &sealed);
	size_t payload = sealed.len - 16 - 2 * 65552;

	for (size_t n = 0; n < sealed.len; n += n < payload + 40 ? 1 : 4093) {
		int r = verdict_of(span_of(sealed.p, n));

		assert_true(r == -EINVAL || r == -EBADMSG);
	}
	/* At the edges of chunks too. */
	assert_int_equal(verdict_of(span_of(sealed.p, payload + 16)), -EBADMSG);
	assert_int_equal(verdict_of(span_of(sealed.p, payload + 16 + 65552)), -EBADMSG);
	assert_int_equal(verdict_of(span_of(sealed.p, sealed.len - 1)), -EBADMSG);
	assert_int_equal(verdict_of(buf_span(&sealed)), 0);
	buf_add_char(&sealed, 'x');
	assert_int_equal(verdict_of(buf_span(&sealed)), -EBADMSG);
	buf_done(&plain);
	buf_done(&sealed);
}

static void a_flipped_bit_in_any_byte_is_noticed(void **state)
{
	struct buf sealed = BUF_INIT;

	(void)state;
	seal(SPAN("forty characters of text that is sealed."), SIZE_MAX, &sealed);
	for (size_t i = 0; i < sealed.len; i++) {
		struct buf plain = BUF_INIT;

		sealed.p[i] ^= (char)(1 << i % 8);
		int r = open_sealed(buf_span(&sealed), SIZE_MAX, IDENTITY, &plain);

		assert_true(r == -EINVAL || r == -EBADMSG || r == -ENOKEY);
		assert_int_equal(plain.len, 0);
		sealed.p[i] ^= (char)(1 << i % 8);
		buf_done(&plain);
	}
	assert_int_equal(verdict_of(buf_span(&sealed)), 0);
	buf_done(&sealed);
}

static void chunks_cannot_change_places(void **state)
{
	struct buf plain = BUF_INIT, sealed = BUF_INIT;
	static char first[65552];

	(void)state;
	fill(&plain, 3 * 65536);
	seal(buf_span(&plain), SIZE_MAX, &sealed);
	char *chunks = sealed.p + sealed.len - 3 * 65552;

	memcpy(first, chunks, sizeof(first));
	memmove(chunks, chunks + 65552, 65552);
	memcpy(chunks + 65552, first, sizeof(first));
	assert_int_equal(verdict_of(buf_span(&sealed)), -EBADMSG);
	buf_done(&plain);
	buf_done(&sealed);
}

/* A header of these stanzas, properly authenticated, and what it gives. */
static int header_verdict(const char *stanzas)
{
	uint8_t file_key[AGE_FILE_KEY_SIZE] = {1}, opened[AGE_FILE_KEY_SIZE];
	uint8_t key[SHA256_SIZE], mac[SHA256_SIZE];
	struct age_recipient to = recipient(RECIPIENT);
	struct age_identity id = identity(IDENTITY);
	struct buf good = BUF_INIT, b = BUF_INIT;
	char text[BASE64_LEN(SHA256_SIZE) + 1];

	/* Our own stanza stands between the first line and the last. */
	age_header_make(&good, file_key, &to, 1);
	char *own = strchr(good.p, '\n') + 1, *end = strstr(good.p, "---");

	buf_printf(&b, "age-encryption.org/v1\n%s%.*s---", stanzas, (int)(end - own), own);
	crypto_hkdf_sha256(SPAN_NONE, span_of((char *)file_key, sizeof(file_key)), SPAN("header"),
			   key, sizeof(key));
	struct span signed_part = buf_span(&b);

	crypto_hmac_sha256(key, sizeof(key), &signed_part, 1, mac);
	base64_encode(mac, sizeof(mac), text);
	buf_printf(&b, " %.43s\n", text);
	int r = age_header_open(buf_span(&b), &id, 1, opened);

	assert_true(r < 0 || memcmp(opened, file_key, sizeof(opened)) == 0);
	buf_done(&good);
	buf_done(&b);
	return r;
}

#define B43 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define B64 B43 "AAAAAAAAAAAAAAAAAAAAA"
/* A share that is no point of low order: the base point. */
#define NINE "CQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

static void foreign_stanzas_are_passed_by(void **state)
{
	(void)state;
	assert_int_equal(header_verdict(""), 0);
	assert_int_equal(header_verdict("-> grease\n\n"), 0);
	assert_int_equal(header_verdict("-> ssh-ed25519 a b c d\n" B64 "\n" B64 "\nAA\n"), 0);
	assert_int_equal(header_verdict("-> !~\n" B64 "\n\n"), 0);
	assert_int_equal(header_verdict("-> X25519 " NINE "\n" B43 "\n"), 0);
}

static void malformed_headers_are_refused(void **state)
{
	static const char *const stanzas[] = {
		"->\n\n",
		"-> \n\n",
		"->a\n\n",
		"-> a \n\n",
		"-> a  b\n\n",
		"-> a\tb\n\n",
		"-> \xc3\xa4\n\n",
		"-> a\r\n\n",
		"-> a\n" B64 "\n",
		"-> a\n" B64 "A\n\n",
		"-> a\nA\n",
		"-> a\nAA==\n",
		"-> a\nAB\n",
		"-> a\n!!!\n",
		"-> a\n \n",
		"\n",
		"a\n",
		"-> scrypt a b\n" B43 "\n",
		"-> X25519\n" B43 "\n",
		"-> X25519 " NINE " x\n" B43 "\n",
		"-> X25519 " NINE "\nAAAA\n",
		"-> X25519 " NINE "\n" B64 "\n\n",
		"-> X25519 " NINE "=\n" B43 "\n",
		"-> X25519 AAAA\n" B43 "\n",
		"-> X25519 " B43 "\n" B43 "\n", /* low order */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(stanzas); i++) {
		assert_int_equal(header_verdict(stanzas[i]), -EINVAL);
	}
}

static void what_is_no_age_file_is_refused_at_once(void **state)
{
	struct buf big = BUF_INIT;

	(void)state;
	assert_int_equal(verdict_of(SPAN("")), -EINVAL);
	assert_int_equal(verdict_of(SPAN("PK\3\4")), -EINVAL);
	assert_int_equal(verdict_of(SPAN("age-encryption.org/v2\n---\n")), -EINVAL);
	assert_int_equal(verdict_of(SPAN("age-encryption.org/v1\n--- " B43 "\n")), -EINVAL);
	/* A header without end is not kept for ever. */
	buf_add_str(&big, "age-encryption.org/v1\n");
	while (big.len < AGE_HEADER_MAX + 100) {
		buf_add_str(&big, "-> a\n\n");
	}
	assert_int_equal(verdict_of(buf_span(&big)), -EINVAL);
	buf_done(&big);
}

/* --- the other end --- */

static int full_disk(void *ud, struct span bytes)
{
	size_t *room = ud;

	if (bytes.n > *room) {
		return -ENOSPC;
	}
	*room -= bytes.n;
	return 0;
}

static void an_error_of_the_writer_stays(void **state)
{
	const struct age_recipient to = recipient(RECIPIENT);
	size_t room = 70000;
	struct age_seal *s = age_seal_new(&to, 1, full_disk, &room);
	static char piece[40000];

	(void)state;
	assert_int_equal(age_seal_begin(s), 0);
	assert_int_equal(age_seal_write(s, span_of(piece, sizeof(piece))), 0);
	assert_int_equal(age_seal_write(s, span_of(piece, sizeof(piece))), 0);
	assert_int_equal(age_seal_write(s, span_of(piece, sizeof(piece))), 0);
	assert_int_equal(age_seal_write(s, span_of(piece, sizeof(piece))), -ENOSPC);
	assert_int_equal(age_seal_write(s, SPAN("x")), -ENOSPC);
	assert_int_equal(age_seal_finish(s), -ENOSPC);
	age_seal_free(s);
}

/* --- passphrases --- */

static void scrypt_of_rfc_7914(void **state)
{
	static const struct {
		const char *passphrase, *salt, *hex;
		struct scrypt_cost cost;
	} cases[] = {
		{"",
		 "",
		 "77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442"
		 "fcd0069ded0948f8326a753a0fc81f17e8d3e0fb2e0d3628cf35e20c38d18906",
		 {4, 1, 1}},
		{"password",
		 "NaCl",
		 "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162"
		 "2eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640",
		 {10, 8, 16}},
		{"pleaseletmein",
		 "SodiumChloride",
		 "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"
		 "d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887",
		 {14, 8, 1}},
	};
	uint8_t key[64];
	char hex[129];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(scrypt(span_str(cases[i].passphrase), span_str(cases[i].salt),
					cases[i].cost, key, sizeof(key)),
				 0);
		hex_encode(key, sizeof(key), hex);
		assert_string_equal(hex, cases[i].hex);
	}
	assert_int_equal(scrypt(SPAN("x"), SPAN("y"), (struct scrypt_cost){21, 8, 1}, key, 64),
			 -EINVAL);
	assert_int_equal(scrypt(SPAN("x"), SPAN("y"), (struct scrypt_cost){0, 8, 1}, key, 64),
			 -EINVAL);
}

static void a_passphrase_opens_what_it_has_closed_and_no_other_does(void **state)
{
	static const uint8_t file_key[AGE_FILE_KEY_SIZE] = {1, 2, 3};
	uint8_t got[AGE_FILE_KEY_SIZE];
	struct buf b = BUF_INIT;

	(void)state;
	assert_int_equal(age_header_make_passphrase(&b, file_key, SPAN("correct horse"), 4), 0);
	assert_int_equal(age_header_open_passphrase(buf_span(&b), SPAN("correct horse"), got), 0);
	assert_memory_equal(got, file_key, sizeof(got));
	assert_int_equal(age_header_open_passphrase(buf_span(&b), SPAN("correct hors"), got),
			 -ENOKEY);
	assert_int_equal(age_header_open_passphrase(buf_span(&b), SPAN(""), got), -ENOKEY);
	for (size_t i = 0; i < b.len; i++) {
		b.p[i] ^= 1;
		assert_true(age_header_open_passphrase(buf_span(&b), SPAN("correct horse"), got) <
			    0);
		b.p[i] ^= 1;
	}
	buf_done(&b);
}

static void work_without_bounds_is_not_begun(void **state)
{
	static const struct {
		const char *work;
		int r;
	} cases[] = {{"21", -EOVERFLOW}, {"64", -EOVERFLOW}, {"100", -EINVAL}, {"04", -EINVAL},
		     {"0", -EINVAL},     {"-1", -EINVAL},    {"", -EINVAL},    {"4 4", -EINVAL}};
	uint8_t got[AGE_FILE_KEY_SIZE];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *header =
			xasprintf("age-encryption.org/v1\n-> scrypt AAAAAAAAAAAAAAAAAAAAAA %s\n"
				  "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n"
				  "--- AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n",
				  cases[i].work);

		assert_int_equal(age_header_open_passphrase(span_str(header), SPAN("x"), got),
				 cases[i].r);
	}
}

static int discard(void *ud, struct span bytes)
{
	*(uint64_t *)ud += bytes.n;
	return 0;
}

static double cpu_seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + 1e-9 * (double)ts.tv_nsec;
}

/* Sealing as a whole, and the cipher alone, which it cannot be faster than. */
static void speed_for_reading(void **state)
{
	const struct age_recipient to = recipient(RECIPIENT);
	static const uint8_t key[AEAD_KEY_SIZE], nonce[AEAD_NONCE_SIZE];
	static uint8_t sealed[AGE_CHUNK + AEAD_TAG_SIZE];
	uint64_t out = 0;
	struct age_seal *s = age_seal_new(&to, 1, discard, &out);
	static char piece[256 * 1024];
	const unsigned n = 256;
	const double mb = n * sizeof(piece) / 1e6;
	double from = cpu_seconds();

	(void)state;
	assert_int_equal(age_seal_begin(s), 0);
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(age_seal_write(s, span_of(piece, sizeof(piece))), 0);
	}
	assert_int_equal(age_seal_finish(s), 0);
	double all = cpu_seconds() - from;

	assert_int_equal(out, age_sealed_size((uint64_t)n * sizeof(piece), 1));
	age_seal_free(s);
	from = cpu_seconds();
	for (unsigned i = 0; i < n * sizeof(piece) / AGE_CHUNK; i++) {
		crypto_aead_seal(key, nonce, SPAN_NONE, sealed, AGE_CHUNK, sealed);
	}
	printf("# sealing %.0f MB/s, the cipher alone %.0f MB/s\n", mb / all,
	       mb / (cpu_seconds() - from));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_of_age_keygen_are_read),
		cmocka_unit_test(wrong_recipients_are_refused_and_told_why),
		cmocka_unit_test(wrong_identities_are_refused_and_not_repeated),
		cmocka_unit_test(bech32_of_bip_173),
		cmocka_unit_test(what_was_sealed_opens_again_at_the_edges_of_chunks),
		cmocka_unit_test(two_seals_of_the_same_have_nothing_in_common),
		cmocka_unit_test(age_opens_ours_and_we_open_ages),
		cmocka_unit_test(others_cannot_open_it),
		cmocka_unit_test(a_cut_file_is_never_taken_for_whole),
		cmocka_unit_test(a_flipped_bit_in_any_byte_is_noticed),
		cmocka_unit_test(chunks_cannot_change_places),
		cmocka_unit_test(foreign_stanzas_are_passed_by),
		cmocka_unit_test(malformed_headers_are_refused),
		cmocka_unit_test(what_is_no_age_file_is_refused_at_once),
		cmocka_unit_test(an_error_of_the_writer_stays),
		cmocka_unit_test(scrypt_of_rfc_7914),
		cmocka_unit_test(a_passphrase_opens_what_it_has_closed_and_no_other_does),
		cmocka_unit_test(work_without_bounds_is_not_begun),
		cmocka_unit_test(speed_for_reading),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
