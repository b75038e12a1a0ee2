/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The step `agent`: tepuy's agent with its token and options, running and known to the cluster. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/i18n.h"
#include "consul/consul.h"
#include "host/agent-options.h"
#include "host/identity.h"
#include "host/pki.h"
#include "host/place.h"
#include "host/service.h"
#include "host/stamp.h"
#include "host/step.h"
#include "http/http.h"

#define AGENT_UNIT "tepuy-agent.service"
#define AGENT_SOCKET "unix:/run/tepuy/agent.sock"
#define PERSISTED PLACE_CONSUL_DATA "/acl-tokens.json"
#define JOIN_MS 90000
#define SLOW_MS 30000

struct wish {
	const char *name, *address, *runtime, *sealed; /* borrowed; runtime may be NULL */
	char *options, *token;
};

static void wish_release(struct wish *wish)
{
	free(wish->options);
	pki_wipe(&wish->token);
}

static int open_token(struct wish *wish, struct err *err)
{
	_cleanup_json_ json_t *secrets = NULL;
	int r = sealed_unpack_here(wish->sealed, &secrets, err);

	if (r < 0)
		return r;
	wish->token = xstrdup(json_string_value(json_object_get(secrets, "token")));
	return wish->token ? 0
			   : err_set(err, EBADMSG, _("What was sealed for this host has no token: run 'acl' again"));
}

static int read_wish(const json_t *input, struct wish *wish, struct err *err)
{
	static const char *const keys[] = { "name", "address", "runtime", "labels", "sealed", NULL };
	const json_t *labels = json_object_get(input, "labels");
	int r = input_keys(input, keys, err);

	if (r == 0)
		r = input_name(input, "name", &wish->name, err);
	if (r == 0)
		r = input_address(input, "address", &wish->address, err);
	if (r == 0)
		r = input_text_or_null(input, "runtime", &wish->runtime, err);
	if (r == 0 && wish->runtime)
		r = input_name(input, "runtime", &wish->runtime, err);
	if (r == 0)
		r = input_text(input, "sealed", &wish->sealed, err);
	if (r == 0 && labels && !json_is_object(labels) && !json_is_null(labels))
		r = err_set(err, EINVAL, _("The input's 'labels' must be an object"));
	if (r == 0)
		r = agent_options(wish->name, wish->address, wish->runtime, labels, &wish->options, err);
	return r < 0 ? r : open_token(wish, err);
}

/* Is this the token that Consul's agent itself uses, as it wrote down? */
static bool consul_has_token(const char *token)
{
	_cleanup_buf_ struct buf text = { 0 };
	_cleanup_json_ json_t *persisted = NULL;
	const char *had;

	if (place_read(PERSISTED, &text, NULL) != 0)
		return false;
	persisted = json_loadb(buf_text(&text), text.len, 0, NULL);
	had = json_string_value(json_object_get(persisted, "agent"));
	return had && !strcmp(had, token);
}

/* The token's own rules allow it to; a server that has just made it may not have told the others yet. */
static int give_token_to_consul(struct step *step, const struct wish *wish, struct err *err)
{
	_cleanup_(consul_freep) struct consul *consul = consul_new(NULL, wish->token, NULL);
	_cleanup_json_ json_t *body = json_pack("{s:s}", "Token", wish->token);
	_cleanup_(pki_wipe) char *text = json_dumps(body, JSON_COMPACT);
	int64_t until = clock_monotonic_ms() + JOIN_MS;

	for (;;) {
		_cleanup_err_ struct err why = ERR_INIT;
		_cleanup_(freep) char *what = NULL;
		int r = consul_put(consul, "/v1/agent/token/agent", text, &why);

		if (r == 0)
			return 0;
		what = xasprintf(_("Consul on this host does not take its token: %s"), err_text(&why));
		r = step_pause(step, until, what, err);
		if (r < 0)
			return r;
		step_waiting(step, _("Waiting until Consul knows this host's token"));
	}
}

static int put_token(struct step *step, const struct wish *wish, struct err *err)
{
	_cleanup_(pki_wipe) char *line = xasprintf("%s\n", wish->token);
	int r = 0;

	if (place_is(PLACE_TOKEN, line, 0, 0600) && consul_has_token(wish->token)) {
		step_unchanged(step, "token", _("This host has its token for Consul"));
	} else {
		step_begin(step, "token", _("Writing this host's token for Consul"));
		r = place_write_text(PLACE_TOKEN, line, 0, 0600, NULL, err);
		if (r == 0)
			r = give_token_to_consul(step, wish, err);
		if (r == 0)
			step_done(step, _("This host has its token for Consul"));
	}
	return r;
}

static int put_options(struct step *step, const struct wish *wish, struct err *err)
{
	_cleanup_buf_ struct buf now = { 0 };
	_cleanup_(freep) char *wanted = NULL;
	int r = place_read(PLACE_AGENT_DEFAULTS, &now, err);

	if (r < 0)
		return r;
	wanted = agent_defaults(buf_text(&now), wish->options);
	if (place_is(PLACE_AGENT_DEFAULTS, wanted, 0, 0644)) {
		step_unchanged(step, "options", _("tepuy-agent has its options"));
		return 0;
	}
	step_begin(step, "options", _("Writing %s"), PLACE_AGENT_DEFAULTS);
	r = place_write_text(PLACE_AGENT_DEFAULTS, wanted, 0, 0644, NULL, err);
	if (r == 0)
		step_done(step, _("%s is written"), PLACE_AGENT_DEFAULTS);
	return r;
}

/*
 * All that the agent reads when it starts: of a host with machines also what they are made with. The token counts by
 * its hash only (host/stamp.h).
 */
static char *what_it_reads(const struct wish *wish, const char *certificate)
{
	_cleanup_buf_ struct buf machines = { 0 };

	place_read(PLACE_XEN, &machines, NULL);
	return xasprintf("%s\n%s\n%s\n%s", wish->options, wish->token, certificate, buf_text(&machines));
}

/* For what the agent runs with now, before anything is written. */
static void adopt(const struct wish *wish, const char *certificate)
{
	_cleanup_(pki_wipe) char *text = what_it_reads(wish, certificate);
	_cleanup_strv_ struct strv files = { 0 };
	_cleanup_(pki_wipe) char *token = NULL;
	_cleanup_buf_ struct buf defaults = { 0 };

	strv_add_all(&files, PLACE_TOKEN, PLACE_AGENT_DEFAULTS, PLACE_HOST_CERT, NULL);
	if (access(PLACE_XEN, F_OK) == 0)
		strv_add(&files, PLACE_XEN);
	if (place_read_line(PLACE_TOKEN, &token, NULL) == 0 && !strcmp(token, wish->token) &&
	    place_read(PLACE_AGENT_DEFAULTS, &defaults, NULL) == 0 && strstr(buf_text(&defaults), wish->options))
		stamp_adopt(AGENT_UNIT, "all", text, &files);
}

static int bring_up(struct step *step, const struct wish *wish, bool *ret_started, struct err *err)
{
	_cleanup_(freep) char *certificate = NULL;
	_cleanup_(pki_wipe) char *text = NULL;
	bool active = service_active(AGENT_UNIT);
	int r = place_read_text(PLACE_HOST_CERT, &certificate, err);

	if (r < 0)
		return r;
	if (!service_known(AGENT_UNIT))
		return err_set(err, ENOENT, _("There is no %s on this host: install the tepuy package"), AGENT_UNIT);
	text = what_it_reads(wish, certificate);
	adopt(wish, certificate);
	r = service_bring_up(step, AGENT_UNIT, active && !stamp_is(AGENT_UNIT, "all", text), false, err);
	if (r < 0)
		return r;
	stamp_set(AGENT_UNIT, "all", text);
	stamp_set(AGENT_UNIT, "tls", certificate);
	*ret_started = step->item != NULL;
	if (step->item)
		step_done(step, _("%s runs"), AGENT_UNIT);
	return 0;
}

/* 0: the agent answers, and so does Consul to what it asks. */
static int ask_agent(struct err *err)
{
	struct http_request request = { .method = "GET", .path = "/v1/services", .timeout_ms = 10000 };
	_cleanup_(http_freep) struct http *http = http_new(AGENT_SOCKET, NULL);
	_cleanup_(http_reply_release) struct http_reply reply = { 0 };
	_cleanup_json_ json_t *answer = NULL;
	int r = http_request(http, &request, &reply, err);

	if (r < 0 || reply.status == 200)
		return r;
	answer = json_loadb(buf_text(&reply.body), reply.body.len, 0, NULL);
	return err_set(err, EIO, "%s", json_string_value(json_object_get(answer, "error")) ?: _("it does not say why"));
}

static int read_info(const struct wish *wish, json_t **ret, struct err *err)
{
	_cleanup_(consul_freep) struct consul *consul = consul_new(NULL, wish->token, NULL);
	_cleanup_(freep) char *key = xasprintf("tepuy/host/%s/info", wish->name);
	_cleanup_consul_kv_ struct consul_kv kv = { 0 };
	int r = consul_kv_get(consul, key, &kv, err);

	if (r < 0)
		return r;
	*ret = json_loadb(kv.value, kv.len, 0, NULL);
	return *ret ? 0 : err_set(err, EBADMSG, _("%s in Consul is no JSON"), key);
}

/* That one which runs as it did is slow to answer, as on a busy machine, is no news for a while. */
static int wait_until_joined(struct step *step, const struct wish *wish, bool started, json_t **ret_info,
			     struct err *err)
{
	int64_t begin = clock_monotonic_ms(), until = begin + JOIN_MS;
	bool waited = false;

	for (;;) {
		_cleanup_err_ struct err why = ERR_INIT;
		_cleanup_(freep) char *what = NULL;
		int r = ask_agent(&why);

		if (r == 0)
			r = read_info(wish, ret_info, &why);
		if (r == 0)
			break;
		if (!waited && !started && clock_monotonic_ms() - begin < SLOW_MS) {
			usleep(250000);
			continue;
		}
		if (!waited)
			step_begin(step, "joined", _("Waiting until %s is in Consul"), wish->name);
		waited = true;
		what = xasprintf(_("tepuy-agent runs and does not take part in the cluster: %s. See journalctl -u "
				   "tepuy-agent"),
				 err_text(&why));
		r = step_pause(step, until, what, err);
		if (r < 0)
			return r;
		step_waiting(step, "%s", err_text(&why));
	}
	if (waited)
		step_done(step, _("%s is in the cluster"), wish->name);
	else
		step_unchanged(step, "joined", _("%s is in the cluster"), wish->name);
	return 0;
}

int step_agent(struct step *step, json_t **ret, struct err *err)
{
	_cleanup_(wish_release) struct wish wish = { 0 };
	bool started = false;
	json_t *info = NULL;
	int r = read_wish(step->input, &wish, err);

	if (r == 0)
		r = put_token(step, &wish, err);
	if (r == 0)
		r = put_options(step, &wish, err);
	if (r == 0)
		r = bring_up(step, &wish, &started, err);
	if (r == 0)
		r = wait_until_joined(step, &wish, started, &info, err);
	if (r == 0)
		*ret = json_pack("{s:o}", "info", info);
	return r;
}
