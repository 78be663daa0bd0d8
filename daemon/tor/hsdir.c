/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Onions that are backends of an Onionbalance. ADD_ONION knows no such; tor takes them as
 * directories with the key and with a file that names the frontend, and only in a list
 * that has all of its directories (SETCONF HiddenServiceDir): also those of others, which
 * are asked for and sent again. The directories belong to us: they are made before tor hears of
 * them, and removed when it has forgotten them.
 *
 * Tor dies of an ob_config without an address, and of addresses without a key; so what goes
 * into it was checked (check_spec), and it is put in its place whole. Whatever else may
 * have happened to the files or the list is looked at, and made good, every half a minute.
 *
 * Unlike others these onions would outlive the connection, with circuits to a socket of a
 * daemon that is gone. So what was there before is taken away first on each connection.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "ev/work.h"
#include "tor/keeper.h"
#include "tor/onion.h"

/* --- where, and may it? --- */

/* A tor of another user's takes only directories of that user: those of the packaged unit's tor
 * are made by its keeper. */
static bool by_keeper(const struct tor *t)
{
	return t->dedicated && t->status.peer_uid != geteuid();
}

static char *root_of(const struct tor *t)
{
	return by_keeper(t) ? xasprintf("%sonions", t->unit_dir) : xstrdup(t->config.onion_dir);
}

/* NULL: nothing is in the way. */
static const char *obstacle(const struct tor *t)
{
	if (!t->config.onion_dir) {
		return "this daemon has no directory for backends of Onionbalance";
	}
	if (t->status.mode == TOR_MODE_SYSTEM && t->status.peer_uid != geteuid() && !t->dedicated) {
		return "this tor runs as another user and reads no keys of ours: backends of "
		       "Onionbalance need the tor of onionshared-tor.service, or one that the "
		       "daemon runs itself (--tor managed)";
	}
	if (t->hsdirs.sandbox) {
		return t->dedicated
			       ? "tor runs with 'Sandbox 1' and takes no backends of Onionbalance: "
				 "write 'Sandbox 0' into /etc/onionshared/torrc.d/backends.conf, "
				 "and systemctl restart onionshared-tor"
			       : "tor runs with 'Sandbox 1' and takes no backends of Onionbalance: "
				 "write 'Sandbox 0' into its configuration and restart it";
	}
	return NULL;
}

int tor_check_backends(const struct tor *t, struct error *err)
{
	const char *why = t->status.state == TOR_READY ? obstacle(t) : NULL;

	return why ? error_set(err, ENOTSUP, "%s", why) : 0;
}

void hsdirs_take_sandbox(struct tor *t, const struct ctl_reply *reply)
{
	t->hsdirs.sandbox = false;
	for (size_t i = 0; i < reply->n; i++) {
		if (span_eq(reply->lines[i].text, SPAN("Sandbox=1"))) {
			t->hsdirs.sandbox = true;
		}
	}
}

/* --- what is to be done --- */

void hsdirs_changed(struct tor *t)
{
	struct hsdirs *h = &t->hsdirs;

	if (h->step == HSDIRS_SETTLED) {
		h->step = HSDIRS_DIRTY;
	} else {
		h->again = true;
	}
	h->not_before = 0;
	tor_wake(t);
}

static bool is_wanted(const struct onion *o)
{
	return o->frontend && !o->invalid && !o->refused;
}

static size_t count_wanted(const struct tor *t)
{
	size_t n = 0;

	list_for_each (it, &t->onions) {
		n += is_wanted(list_entry(it, const struct onion, link));
	}
	return n;
}

void hsdirs_beat(struct tor *t)
{
	if (t->hsdirs.step == HSDIRS_SETTLED && count_wanted(t) > 0) {
		t->hsdirs.step = HSDIRS_DIRTY;
	}
}

void hsdirs_start(struct tor *t)
{
	_cleanup_free_ char *units = xasprintf("%sonions", t->unit_dir);

	t->hsdirs.left = t->config.onion_dir &&
			 (access(t->config.onion_dir, F_OK) == 0 || access(units, F_OK) == 0);
}

void hsdirs_ready(struct tor *t)
{
	if (count_wanted(t) > 0 || t->hsdirs.left) {
		hsdirs_changed(t);
	}
}

/* What it had is gone: all are published anew. */
void hsdirs_reloaded(struct tor *t)
{
	list_for_each (it, &t->onions) {
		struct onion *o = list_entry(it, struct onion, link);

		if (o->frontend && o->with_tor) {
			o->with_tor = o->listed = false;
			onion_set_state(o, ONION_WANTED, NULL);
		}
	}
	if (count_wanted(t) > 0) {
		hsdirs_changed(t);
	}
}

void hsdirs_lost(struct tor *t)
{
	struct hsdirs *h = &t->hsdirs;

	h->begun = false;
	h->not_before = 0;
	if (h->job) {
		h->again = true; /* its end looks whether there is a tor */
	} else {
		h->step = HSDIRS_SETTLED; /* hsdirs_ready goes on */
		h->again = false;
	}
}

/* --- the directories, on the pool --- */

struct hsdirs_job {
	struct job job;
	struct tor *tor;
	char *keeper; /* its socket; NULL: we are of tor's user */
	enum keeper_op op;
	struct hsfiles files;
	uint64_t *serials; /* of the onions, as in files */
	void (*done)(struct tor *t, struct hsdirs_job *j);
};

static void job_free(struct hsdirs_job *j)
{
	hsfiles_done(&j->files);
	free(j->serials);
	free(j->keeper);
	free(j);
}

/* Of all that are wanted, as far as there is room. */
static struct hsdirs_job *job_new(struct tor *t, enum keeper_op op)
{
	struct hsdirs_job *j = xnew(struct hsdirs_job);
	struct hsfiles *f = &j->files;
	size_t n = count_wanted(t) < HSFILES_MAX ? count_wanted(t) : HSFILES_MAX;

	j->tor = t;
	j->op = op;
	j->keeper = by_keeper(t) ? xasprintf("%skeeper.sock", t->unit_dir) : NULL;
	f->root = root_of(t);
	/* At once: what grows leaves keys behind in freed memory. */
	f->entries = xcalloc(n + 1, sizeof(*f->entries));
	j->serials = xcalloc(n + 1, sizeof(*j->serials));
	list_for_each (it, &t->onions) {
		const struct onion *o = list_entry(it, struct onion, link);

		if (!is_wanted(o) || f->n == n) {
			continue;
		}
		struct hsfiles_entry *e = &f->entries[f->n];

		snprintf(e->address, sizeof(e->address), "%s", o->address);
		snprintf(e->frontend, sizeof(e->frontend), "%.56s", o->frontend);
		memcpy(e->key, o->key, ONION_KEY_SIZE);
		j->serials[f->n++] = o->serial;
	}
	return j;
}

static void job_over(struct job *job)
{
	struct hsdirs_job *j = container_of(job, struct hsdirs_job, job);
	struct tor *t = j->tor;

	t->hsdirs.job = NULL;
	if (t->stopping) {
		job_free(j);
		tor_part_closed(t);
		return;
	}
	t->parts--;
	j->done(t, j);
	job_free(j);
	tor_wake(t);
}

static void run(struct job *job)
{
	struct hsdirs_job *j = container_of(job, struct hsdirs_job, job);

	if (j->keeper) {
		keeper_ask(j->keeper, j->op, &j->files);
	} else if (j->op == KEEPER_WRITE) {
		hsfiles_write(&j->files);
	} else {
		hsfiles_sweep(&j->files);
	}
}

/* Before it is over the tor is not freed. */
static void job_submit(struct hsdirs_job *j, void (*done)(struct tor *t, struct hsdirs_job *j))
{
	j->done = done;
	j->tor->hsdirs.job = j;
	j->tor->parts++;
	work_submit(j->tor->ev->work, WORK_SLOW, &j->job, run, job_over);
}

/* --- tor's list --- */

static void add_value(struct buf *b, const char *name, struct span value)
{
	buf_printf(b, " %s=\"", name);
	for (size_t i = 0; i < value.n; i++) {
		if (value.p[i] == '"' || value.p[i] == '\\') {
			buf_add_char(b, '\\');
		}
		buf_add_char(b, value.p[i]);
	}
	buf_add_char(b, '"');
}

static void add_ours(struct buf *b, const struct onion *o)
{
	_cleanup_free_ char *root = root_of(o->tor);
	_cleanup_free_ char *dir = xasprintf("%s/%s", root, o->address);
	_cleanup_free_ char *port = xasprintf("80 %s", o->target);

	add_value(b, "HiddenServiceDir", span_str(dir));
	add_value(b, "HiddenServicePort", span_str(port));
	add_value(b, "HiddenServiceOnionBalanceInstance", SPAN("1"));
	if (o->max_streams) {
		char streams[16];

		snprintf(streams, sizeof(streams), "%u", o->max_streams);
		add_value(b, "HiddenServiceMaxStreams", span_str(streams));
	}
}

static bool is_ours(const struct tor *t, struct span dir)
{
	_cleanup_free_ char *text = root_of(t);
	struct span root = span_str(text);

	return span_starts(dir, root) && dir.n > root.n && dir.p[root.n] == '/';
}

/* "HiddenServiceX=value" lines, each directory's behind the line that names it. */
static void read_list(struct tor *t, const struct ctl_reply *reply)
{
	struct buf others = BUF_INIT, ours = BUF_INIT, value = BUF_INIT;
	bool of_ours = false;

	for (size_t i = 0; i < reply->n; i++) {
		struct span rest = reply->lines[i].text, name = span_cut(&rest, '=');
		_cleanup_free_ char *text = xmemdup(name.p, name.n);

		buf_clear(&value);
		if (!span_starts(name, SPAN("HiddenService")) || !rest.p ||
		    ctl_decode(rest, &value) < 0) {
			continue;
		}
		if (span_eq(name, SPAN("HiddenServiceDir"))) {
			of_ours = is_ours(t, buf_span(&value));
		}
		add_value(of_ours ? &ours : &others, text, buf_span(&value));
	}
	free(t->hsdirs.others);
	free(t->hsdirs.ours);
	t->hsdirs.others = buf_take(&others);
	t->hsdirs.ours = buf_take(&ours);
	buf_done(&value);
}

static void each_wanted(struct tor *t, void (*f)(struct onion *o, char *reason), const char *reason)
{
	list_for_each (it, &t->onions) {
		struct onion *o = list_entry(it, struct onion, link);

		if (is_wanted(o)) {
			f(o, reason ? xstrdup(reason) : NULL);
		}
	}
}

static void never(struct onion *o, char *reason)
{
	o->refused = true;
	onion_set_state(o, ONION_FAILED, reason);
}

static void not_now(struct onion *o, char *reason)
{
	if (o->with_tor) {
		free(reason); /* it has it still */
	} else {
		onion_set_state(o, ONION_WANTED, reason);
	}
}

/* Those that are deleted are not in the list any more, or it will have to do without them. */
static void forget_removed(struct tor *t)
{
	list_for_each (it, &t->removals) {
		struct onion *o = list_entry(it, struct onion, link);

		if (o->frontend && o->step == ONION_DELETING && o->unlisted) {
			removal_unlisted(o);
		}
	}
}

static void settle(struct tor *t)
{
	struct hsdirs *h = &t->hsdirs;

	h->step = h->again || h->not_before ? HSDIRS_DIRTY : HSDIRS_SETTLED;
	h->again = false;
}

/* Nobody waits for it: who is removed may go. */
static void try_later(struct tor *t, const char *why)
{
	each_wanted(t, not_now, why);
	forget_removed(t);
	t->hsdirs.not_before = ev_now_ms(t->ev) + t->times.slow_retry;
	settle(t);
}

static void swept(struct tor *t, struct hsdirs_job *j)
{
	if (j->files.err.code) {
		log_warning("a directory of a backend that is gone could not be removed: %s",
			    error_text(&j->files.err));
	}
	forget_removed(t);
	settle(t);
}

static void sweep(struct tor *t)
{
	t->hsdirs.begun = true;
	t->hsdirs.step = HSDIRS_SWEEPING;
	job_submit(job_new(t, KEEPER_SWEEP), swept);
}

static void listed(struct onion *o, char *reason)
{
	free(reason);
	if (!o->listed && o->with_tor) {
		onion_down_again(o);
	} else if (o->listed && !o->with_tor) {
		onion_added(o);
	}
}

static void on_set(void *ud, const struct ctl_reply *reply)
{
	struct tor *t = ud;

	if (ctl_is_ok(reply)) {
		each_wanted(t, listed, NULL);
		sweep(t);
	} else {
		_cleanup_free_ char *text = ctl_printable(reply->lines[0].text);
		_cleanup_free_ char *why =
			xasprintf("tor does not take the directories of backends: %s", text);

		t->hsdirs.rewritten = true; /* it may not have read them */
		try_later(t, why);
	}
	tor_pump(t);
}

/* What an earlier connection left is gone; the list with what is wanted follows. */
static void on_cleared(void *ud, const struct ctl_reply *reply)
{
	struct tor *t = ud;

	if (ctl_is_ok(reply)) {
		free(t->hsdirs.ours);
		t->hsdirs.ours = xstrdup("");
		t->hsdirs.begun = true;
		t->hsdirs.step = HSDIRS_WRITTEN;
	} else {
		on_set(ud, reply);
		return;
	}
	tor_pump(t);
}

static void send_list(struct tor *t, const char *ours, ctl_reply_fn *cb)
{
	const char *others = t->hsdirs.others;
	struct buf line = BUF_INIT;

	buf_add_str(&line, "SETCONF");
	buf_add_str(&line, others);
	buf_add_str(&line, ours);
	if (!*others && !*ours) {
		buf_add_str(&line, " HiddenServiceDir");
	}
	t->hsdirs.step = HSDIRS_SENDING;
	ctl_send(t->conn, &line, cb, t);
}

static void mark_removals(struct tor *t)
{
	list_for_each (it, &t->removals) {
		list_entry(it, struct onion, link)->unlisted = true;
	}
}

/* All that are wanted and have their directory. */
static void compose(struct tor *t, struct buf *ours)
{
	list_for_each (it, &t->onions) {
		struct onion *o = list_entry(it, struct onion, link);

		o->listed = false;
		if (!o->frontend || !o->written) {
			continue;
		}
		if (removal_holds(t, o->address) || o->again) {
			/* Else it would be the old one, with nothing published of it again. */
			t->hsdirs.again = true;
			continue;
		}
		add_ours(ours, o);
		o->listed = true;
		if (!o->with_tor) {
			o->track = (struct desc_track){0}; /* its events may come at once */
		}
	}
	mark_removals(t);
}

static bool send_written(struct tor *t)
{
	struct hsdirs *h = &t->hsdirs;
	struct buf ours = BUF_INIT;
	bool sent = true;

	if (!h->begun && *h->ours) {
		send_list(t, "", on_cleared);
		return true;
	}
	compose(t, &ours);
	buf_reserve(&ours, 1);
	if (strcmp(h->ours, ours.p) != 0 || h->rewritten) {
		h->rewritten = false;
		send_list(t, ours.p, on_set);
	} else {
		each_wanted(t, listed, NULL);
		sweep(t);
		sent = false;
	}
	buf_done(&ours);
	return sent;
}

static struct onion *find(struct tor *t, const char *address)
{
	list_for_each (it, &t->onions) {
		struct onion *o = list_entry(it, struct onion, link);

		if (o->frontend && !o->invalid && strcmp(o->address, address) == 0) {
			return o;
		}
	}
	return NULL;
}

static bool any_written(const struct hsfiles *f)
{
	for (size_t i = 0; i < f->n; i++) {
		if (f->entries[i].written) {
			return true;
		}
	}
	return false;
}

/*
 * One that has come since then, or another of its address, has to wait for its own turn. If
 * none was written, it is not for their sake (their keeper is being updated): what tor has is
 * then taken for as good as it was half a minute ago.
 */
static void written(struct tor *t, struct hsdirs_job *j)
{
	struct hsdirs *h = &t->hsdirs;
	bool seen = any_written(&j->files);

	if (t->status.state != TOR_READY || !h->others) {
		h->step = HSDIRS_SETTLED;
		h->again = false;
		return;
	}
	for (size_t i = 0; i < j->files.n; i++) {
		const struct hsfiles_entry *e = &j->files.entries[i];
		struct onion *o = find(t, e->address);

		if (o && o->serial == j->serials[i]) {
			o->written = e->written || (!seen && o->with_tor);
		}
		if (o && !e->written) {
			not_now(o, xstrdup(error_text(&j->files.err)));
			h->not_before = ev_now_ms(t->ev) + t->times.slow_retry;
		}
	}
	h->rewritten |= seen && j->files.changed;
	h->step = HSDIRS_WRITTEN;
}

/* The last ones to have come. */
static void refuse_surplus(struct tor *t)
{
	size_t n = 0;

	list_for_each (it, &t->onions) {
		struct onion *o = list_entry(it, struct onion, link);

		if (is_wanted(o) && ++n > HSFILES_MAX) {
			never(o, xasprintf("there are %u backends already, and no room for more",
					   HSFILES_MAX));
		}
	}
}

static void on_asked(void *ud, const struct ctl_reply *reply)
{
	struct tor *t = ud;
	const char *why;

	hsdirs_take_sandbox(t, reply);
	why = obstacle(t);
	if (why) {
		each_wanted(t, never, why);
		mark_removals(t);
		forget_removed(t);
		settle(t);
	} else if (!ctl_is_ok(reply)) {
		mark_removals(t);
		try_later(t, "tor does not tell its onion services");
	} else {
		read_list(t, reply);
		refuse_surplus(t);
		t->hsdirs.step = HSDIRS_WRITING;
		t->hsdirs.again = false;
		t->hsdirs.not_before = 0;
		job_submit(job_new(t, KEEPER_WRITE), written);
	}
	tor_pump(t);
}

bool hsdirs_send(struct tor *t)
{
	struct hsdirs *h = &t->hsdirs;

	if (h->step == HSDIRS_DIRTY && h->not_before <= ev_now_ms(t->ev)) {
		h->step = HSDIRS_ASKING;
		ctl_sendf(t->conn, on_asked, t, "GETCONF Sandbox HiddenServiceOptions");
		return true;
	}
	return h->step == HSDIRS_WRITTEN && send_written(t);
}

void hsdirs_free(struct tor *t)
{
	free(t->hsdirs.others);
	free(t->hsdirs.ours);
}
