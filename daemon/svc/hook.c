/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A service's webhook, as its options say. */
#include "base/log.h"
#include "svc/content.h"
#include "svc/service.h"
#include "svc/webhook.h"

static const char *option_text(const struct service *svc, const char *name)
{
	return json_string_value(json_object_get(svc->options, name));
}

/* Told once when it begins to fail: the present state is shown with the service. */
static void on_changed(void *ud, const char *problem)
{
	const struct service *svc = ud;

	if (problem) {
		log_warning("service %s: its webhook fails and is tried again: %s", svc->row->name,
			    problem);
	} else {
		log_info("service %s: its webhook works again", svc->row->name);
	}
}

static void make_webhook(struct service *svc)
{
	struct manager *m = svc->m;
	const struct webhook_env env = {
		.ev = manager_ev(m),
		.store = manager_store(m),
		.local_only = manager_config(m)->local_only,
		.changed = on_changed,
		.ud = svc,
	};

	svc->webhook = webhook_new(&env, svc->row->id);
	if (manager_tor(m)) {
		webhook_tor_changed(svc->webhook, tor_status(manager_tor(m)));
	}
}

int service_check_webhook(const struct manager *m, const json_t *options, struct error *err)
{
	const char *url = json_string_value(json_object_get(options, "webhook_url"));

	return url ? webhook_check_url(url, manager_config(m)->local_only, err) : 0;
}

json_t *service_webhook_json(const struct service *svc)
{
	return svc->webhook && option_text(svc, "webhook_url") ? webhook_json(svc->webhook)
							       : json_null();
}

void service_set_webhook(struct service *svc)
{
	const char *format = option_text(svc, "webhook_format");
	struct webhook_config config = {
		.url = option_text(svc, "webhook_url"),
		.secret_file = option_text(svc, "webhook_secret_file"),
		.secret_owner = content_option_owner(svc->row, "webhook_secret_file"),
	};

	if (!config.url && !svc->webhook) {
		return;
	}
	if (format && webhook_format_parse(format, &config.format) < 0) {
		config.format = WEBHOOK_TEXT; /* the option takes no other word */
	}
	if (!svc->webhook) {
		make_webhook(svc);
	}
	webhook_configure(svc->webhook, &config);
}
