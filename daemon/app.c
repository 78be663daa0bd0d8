/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Up: lock and database -> Tor -> services -> control socket -> ready.
 * Down, by TERM or INT: services drain -> control socket -> services -> Tor -> database.
 * A second signal cuts what still drains.
 */
#include "app.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <unistd.h>
#include <uv.h>

#include "base/fsutil.h"
#include "base/log.h"
#include "confine.h"
#include "ev/ev.h"
#include "proto/base/alloc.h"
#include "proto/base/crypto.h"
#include "rpc/methods.h"
#include "sd/sd.h"
#include "store/store.h"
#include "svc/bridging.h"
#include "svc/manager.h"
#include "tor/tor.h"
#include "version.h"
#include "vitals.h"

#define FILES_WANTED 65536u
#define TORRC_MAX    (1024u * 1024)
#define TOR_NAME     "tor" /* of its connection, while systemd keeps it */
#define CLOSING_S    30    /* besides the drain time: onions and the database are put away */

struct app {
	const struct app_config *config;
	uv_loop_t loop;
	struct ev ev;
	struct store *store;
	struct tor *tor;
	struct bridging *bridging;
	struct manager *manager;
	struct rpc_server *rpc;
	struct rpc_env env;
	struct vitals vitals;
	int runtime_lock;
	int control_socket; /* of the socket unit; -1: none */
	char *tor_problem;  /* as it was logged; NULL: Tor was reachable since */
	bool tor_reachable;
	uv_signal_t signals[3]; /* TERM, INT, HUP */
	bool stopping;
	int exit_status;
};

/* --- down --- */

static void on_signal_closed(uv_handle_t *handle)
{
	(void)handle;
}

static void store_closed(void *ud)
{
	struct app *app = ud;

	app->store = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(app->signals); i++) {
		uv_close((uv_handle_t *)&app->signals[i], on_signal_closed);
	}
}

static void tor_stopped(void *ud)
{
	struct app *app = ud;

	app->tor = NULL;
	store_close(app->store, store_closed, app);
}

/* What the onions that were left behind hang on. */
static void tor_left(void *ud, int fd)
{
	struct app *app = ud;

	if (fd >= 0) {
		sd_keep_fd(TOR_NAME, fd);
		close(fd);
	}
	tor_stop(app->tor, tor_stopped, app);
}

static void rpc_closed(void *ud)
{
	struct app *app = ud;

	app->rpc = NULL;
	vitals_stop(&app->vitals);
	bridging_free(take_ptr(app->bridging));
	manager_free(take_ptr(app->manager));
	if (!app->tor) {
		tor_stopped(app);
	} else if (!sd_keeps_fds() || !tor_leave(app->tor, tor_left, app)) {
		tor_stop(app->tor, tor_stopped, app);
	}
}

static void manager_stopped(void *ud)
{
	struct app *app = ud;

	if (app->rpc) {
		rpc_server_close(app->rpc, rpc_closed, app);
	} else {
		rpc_closed(app);
	}
}

/* The unit's own limit may be shorter than the drain time of the configuration. */
static void tell_stopping(const struct config *c)
{
	_cleanup_free_ char *text =
		xasprintf("STOPPING=1\nSTATUS=Stopping\nEXTEND_TIMEOUT_USEC=%llu",
			  (unsigned long long)(c->drain_seconds + CLOSING_S) * 1000000);

	sd_tell(text);
}

static void stop(struct app *app, bool cut)
{
	if (!app->stopping) {
		app->stopping = true;
		tell_stopping(app->config->config);
	}
	if (app->manager) {
		manager_stop(app->manager, cut, manager_stopped, app);
	}
}

static void fail(struct app *app, int exit_status, const struct error *err)
{
	log_error("%s", error_text(err));
	app->exit_status = exit_status;
	stop(app, true);
}

/* --- reload --- */

static struct http_limits visitor_limits(const struct config *c)
{
	struct http_limits l = http_limits_default;

	l.head_ms = (unsigned)c->head_seconds * 1000;
	l.idle_ms = (unsigned)c->idle_seconds * 1000;
	l.body_ms = (unsigned)c->body_seconds * 1000;
	l.write_ms = (unsigned)c->write_seconds * 1000;
	l.min_rate = (unsigned)c->min_rate;
	return l;
}

static void apply(struct app *app)
{
	const struct config *c = app->config->config;
	struct history_limits history = {.max_rows = (int64_t)c->history_max_rows,
					 .max_days = (int64_t)c->history_max_days};

	log_set_level(c->log_level);
	app->env.receive_defaults = c->receive;
	store_history_limits(app->store, &history);
	if (app->manager) {
		struct http_limits limits = visitor_limits(c);

		manager_reconfigure(app->manager, (unsigned)c->drain_seconds * 1000, &limits);
	}
	if (app->bridging) {
		bridging_reconfigure(app->bridging, &c->tor_bridges);
	}
}

static int reload_config(struct app *app, struct error *err)
{
	struct config new;

	config_init(&new);
	if (app->config->reload(&new, err) < 0) {
		config_done(&new);
		return -EINVAL;
	}
	config_done(app->config->config);
	*app->config->config = new;
	apply(app);
	return 0;
}

static int reload(void *ud, struct error *err)
{
	sd_tell_reloading();
	int r = reload_config(ud, err);

	if (r == 0) {
		log_tell(LOG_LEVEL_NOTICE, LOG_EVENT_RELOADED, NULL,
			 "the configuration was read again");
	} else {
		log_tell(LOG_LEVEL_ERROR, LOG_EVENT_RELOAD_REFUSED, NULL,
			 "the configuration was not read again, the old one stays: %s",
			 error_text(err));
	}
	sd_tell("READY=1");
	return r;
}

static void on_signal(uv_signal_t *handle, int signum)
{
	struct app *app = handle->data;
	struct error err = ERROR_INIT;

	if (signum != SIGHUP) {
		log_tell(LOG_LEVEL_NOTICE, LOG_EVENT_STOPPING, NULL, "%s",
			 app->stopping ? "stopping at once" : "stopping");
		stop(app, app->stopping);
	} else if (!app->stopping) {
		(void)reload(app, &err);
		error_done(&err);
	}
}

/* --- up --- */

static gid_t control_group(const char *name)
{
	struct group grp, *found = NULL;
	char space[4096];

	if (!name || !*name || getgrnam_r(name, &grp, space, sizeof(space), &found) != 0 ||
	    !found) {
		return (gid_t)-1;
	}
	return found->gr_gid;
}

static int listen_rpc(struct app *app, struct error *err)
{
	struct rpc_config config = {
		.version = ONIONSHARED_VERSION,
		.control_group = control_group(app->config->config->control_group),
	};
	_cleanup_free_ char *path = xasprintf("%s/control.sock", app->config->runtime_dir);
	int fd = app->control_socket;

	app->control_socket = -1;
	app->rpc = rpc_server_new(&app->ev, &config, rpc_methods, &app->env);
	return fd >= 0 ? rpc_server_listen_fd(app->rpc, fd, err)
		       : rpc_server_listen(app->rpc, path, err);
}

static void on_loaded(void *ud, const struct error *err)
{
	struct app *app = ud;
	struct error listen_err = ERROR_INIT;

	if (app->stopping) {
		return;
	}
	if (err) {
		fail(app, EX_OSERR, err);
		return;
	}
	int r = listen_rpc(app, &listen_err);

	if (r < 0) {
		fail(app, r == -EADDRINUSE ? EX_UNAVAILABLE : EX_OSERR, &listen_err);
		error_done(&listen_err);
		return;
	}
	log_tell(LOG_LEVEL_NOTICE, LOG_EVENT_READY, NULL, "onionshared %s is ready",
		 ONIONSHARED_VERSION);
	sd_tell("READY=1");
}

/* A problem comes and goes with each attempt: the same one is told once. */
static void log_tor(struct app *app, const struct tor_status *status)
{
	if (status->problem &&
	    (!app->tor_problem || strcmp(status->problem, app->tor_problem) != 0)) {
		log_tell(LOG_LEVEL_WARNING, LOG_EVENT_TOR_PROBLEM, NULL, "Tor: %s",
			 status->problem);
		free(app->tor_problem);
		app->tor_problem = xstrdup(status->problem);
	}
	if (status->reachable && !app->tor_reachable) {
		log_tell(LOG_LEVEL_NOTICE, LOG_EVENT_TOR_CONNECTED, NULL,
			 "Tor is connected to its network");
		free(take_ptr(app->tor_problem));
	}
	app->tor_reachable = status->reachable;
}

static void on_tor_changed(void *ud, const struct tor_status *status)
{
	struct app *app = ud;

	if (!app->manager) {
		return; /* on the way down */
	}
	log_tor(app, status);
	manager_tor_changed(app->manager, status);
	vitals_changed(&app->vitals);
}

static void on_service_changed(void *ud)
{
	struct app *app = ud;

	vitals_changed(&app->vitals);
}

/* 0, or the exit status. */
static int open_store(struct app *app, struct error *err)
{
	const char *credentials = getenv("CREDENTIALS_DIRECTORY");
	_cleanup_free_ char *path =
		credentials ? xasprintf("%s/onionshared.key", credentials) : NULL;
	uint8_t secret[STORE_SECRET_SIZE];
	struct confine confine = {
		.config = app->config->config,
		.is_unit = app->config->is_system && getenv("NOTIFY_SOCKET"),
		.state_dir = app->config->state_dir,
		.runtime_dir = app->config->runtime_dir,
	};
	struct store_config config = {.state_dir = app->config->state_dir,
				      .opened = confine_writes,
				      .opened_ud = &confine};
	int exit_status = EX_OSERR, r;

	if (path && (access(path, F_OK) == 0 || errno != ENOENT)) {
		r = store_secret_read(path, secret, err);
		if (r < 0) {
			return r == -EACCES || r == -EPERM ? EX_NOPERM : EX_CONFIG;
		}
		config.secret = secret;
	}
	r = store_open(&app->ev, &config, &app->store, err, &exit_status);

	crypto_wipe(secret, sizeof(secret));
	return r < 0 ? exit_status : 0;
}

/* 0, or the exit status. */
static int make_tor(struct app *app, struct error *err)
{
	static const struct tor_ops ops = {.changed = on_tor_changed};
	const struct config *c = app->config->config;
	_cleanup_free_ char *data = xasprintf("%s/tor", app->config->state_dir);
	_cleanup_free_ char *runtime = xasprintf("%s/tor", app->config->runtime_dir);
	_cleanup_free_ char *onions = xasprintf("%s/onions", app->config->runtime_dir);
	_cleanup_free_ char *torrc = NULL;
	ssize_t n = c->tor_torrc ? fs_read_file(c->tor_torrc, TORRC_MAX, &torrc) : 0;

	if (n < 0) {
		error_set(err, (int)-n, "cannot read tor's extra lines in %s: %s", c->tor_torrc,
			  strerror((int)-n));
		return EX_CONFIG;
	}
	struct tor_config config = {
		.mode = c->tor_mode,
		.control = c->tor_control,
		.password_file = c->tor_password_file,
		.socks = c->tor_socks,
		.binary = c->tor_binary,
		.torrc = torrc,
		.data_dir = data,
		.runtime_dir = runtime,
		.onion_dir = onions,
	};

	app->tor = tor_new(&app->ev, &config, &ops, app);
	app->bridging = bridging_new(app->store, app->tor, &c->tor_bridges);
	return 0;
}

static void keep(void *ud, const char *name, int fd)
{
	(void)ud;
	sd_keep_fd(name, fd);
}

/* The socket unit's socket, and what a daemon before this one has left. */
static void take_fds(struct app *app)
{
	struct sd_fds fds = sd_take_fds();

	for (size_t i = 0; i < fds.n; i++) {
		const char *name = fds.all[i].name;
		int fd = fds.all[i].fd;

		if (strcmp(name, TOR_NAME) == 0) {
			if (app->tor) {
				tor_inherit(app->tor, fd);
			} else {
				close(fd);
			}
		} else if (!manager_inherit(app->manager, name, fd)) {
			close_fdp(&app->control_socket);
			app->control_socket = fd;
		}
	}
	sd_fds_free(&fds);
}

static int make_manager(struct app *app, struct error *err)
{
	const struct config *c = app->config->config;
	struct manager_config config = {
		.local_only = app->config->local_only,
		.listen_tcp = c->tor_listen == CONFIG_LISTEN_TCP,
		.listen_auto = c->tor_listen == CONFIG_LISTEN_AUTO,
		.runtime_dir = app->config->runtime_dir,
		.state_dir = app->config->state_dir,
		.drain_ms = (unsigned)c->drain_seconds * 1000,
		.limits = visitor_limits(c),
		.keep = sd_keeps_fds() ? keep : NULL,
		.service_changed = on_service_changed,
		.service_changed_ud = app,
	};

	return manager_new(&app->ev, &config, app->store, app->tor, &app->manager, err);
}

static void watch_signals(struct app *app)
{
	static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		uv_signal_init(&app->loop, &app->signals[i]);
		app->signals[i].data = app;
		uv_signal_start(&app->signals[i], on_signal, numbers[i]);
	}
}

static void raise_file_limit(void)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) == 0 && lim.rlim_cur < FILES_WANTED) {
		lim.rlim_cur = lim.rlim_max < FILES_WANTED ? lim.rlim_max : FILES_WANTED;
		setrlimit(RLIMIT_NOFILE, &lim);
	}
}

/* What cannot be begun; nothing of it runs yet. */
static void give_up(struct app *app, int exit_status, struct error *err)
{
	log_error("%s", error_text(err));
	error_done(err);
	app->exit_status = exit_status;
	watch_signals(app);
	bridging_free(take_ptr(app->bridging));
	if (app->tor) {
		tor_stop(app->tor, tor_stopped, app);
	} else if (app->store) {
		tor_stopped(app);
	} else {
		store_closed(app);
	}
}

/*
 * Before anything of another daemon's in that directory is touched: tor's control
 * socket and those of services are there too. Released with the process, also when it is killed.
 */
static int lock_runtime_dir(struct app *app, struct error *err)
{
	_cleanup_free_ char *path = xasprintf("%s/lock", app->config->runtime_dir);

	app->runtime_lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (app->runtime_lock < 0) {
		error_set(err, errno, "cannot open %s: %s", path, strerror(errno));
		return EX_CANTCREAT;
	}
	if (flock(app->runtime_lock, LOCK_EX | LOCK_NB) < 0) {
		error_set(err, errno, "another onionshared has its sockets in %s",
			  app->config->runtime_dir);
		return EX_UNAVAILABLE;
	}
	return 0;
}

static void begin(struct app *app)
{
	struct error err = ERROR_INIT;
	int exit_status;

	if (fs_mkdir_p(app->config->runtime_dir, 0711, &err) < 0) {
		give_up(app, EX_CANTCREAT, &err);
		return;
	}
	exit_status = lock_runtime_dir(app, &err);
	if (exit_status) {
		give_up(app, exit_status, &err);
		return;
	}
	exit_status = open_store(app, &err);
	if (exit_status) {
		give_up(app, exit_status, &err);
		return;
	}
	exit_status = app->config->local_only ? 0 : make_tor(app, &err);
	if (exit_status) {
		give_up(app, exit_status, &err);
		return;
	}
	if (make_manager(app, &err) < 0) {
		give_up(app, EX_CANTCREAT, &err);
		return;
	}
	app->env = (struct rpc_env){
		.ev = &app->ev,
		.manager = app->manager,
		.store = app->store,
		.tor = app->tor,
		.bridging = app->bridging,
		.started_ms = ev_now_ms(&app->ev),
		.reload = reload,
		.reload_ud = app,
	};
	take_fds(app);
	apply(app);
	watch_signals(app);
	vitals_start(&app->vitals, &app->loop, app->store, app->manager, app->tor);
	manager_load(app->manager, on_loaded, app);
	if (app->bridging) {
		bridging_start(app->bridging);
	}
}

int app_run(const struct app_config *config)
{
	struct app app = {.config = config, .runtime_lock = -1, .control_socket = -1};

	raise_file_limit();
	signal(SIGPIPE, SIG_IGN);
	uv_loop_init(&app.loop);
	ev_init(&app.ev, &app.loop, config->config->buffers);
	begin(&app);
	uv_run(&app.loop, UV_RUN_DEFAULT);
	ev_done(&app.ev);
	uv_loop_close(&app.loop);
	close_fdp(&app.runtime_lock);
	close_fdp(&app.control_socket);
	free(app.tor_problem);
	return app.exit_status;
}
