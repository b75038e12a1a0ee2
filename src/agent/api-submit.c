/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/api-submit.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "agent/api-call.h"
#include "agent/api-secrets.h"
#include "base/clock.h"
#include "base/i18n.h"
#include "base/text.h"
#include "model/canonical.h"
#include "plan/plan-json.h"

/* What Consul has of a service before we write. */
struct present {
	json_t *spec, *status;
	uint64_t index;    /* of the spec, 0: none */
	uint64_t revision; /* the highest that was ever given */
	uint64_t good;
	const char *phase; /* of status, "" without */
};

static void present_release(struct present *present)
{
	json_decref(present->spec);
	json_decref(present->status);
}

static uint64_t number(const json_t *object, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(object, key));
}

static int present_read(const struct node_env *env, const char *service, struct present *ret, struct err *err)
{
	_cleanup_(freep) char *spec = xasprintf("tepuy/service/%s/spec", service);
	_cleanup_(freep) char *status = xasprintf("tepuy/service/%s/status", service);
	int r = api_kv_json(env->consul, spec, &ret->spec, &ret->index, err);

	if (r == 0 || r == -ENOENT)
		r = api_kv_json(env->consul, status, &ret->status, NULL, err);
	if (r < 0 && r != -ENOENT)
		return r;
	err_release(err);
	ret->revision = number(ret->spec, "revision");
	if (number(ret->status, "revision") > ret->revision)
		ret->revision = number(ret->status, "revision");
	ret->good = number(ret->status, "good");
	ret->phase = json_string_value(json_object_get(ret->status, "phase"));
	if (!ret->phase)
		ret->phase = "";
	return 0;
}

static bool is_down(const json_t *spec)
{
	return json_is_true(json_object_get(spec, "down"));
}

static bool same_digest(const json_t *a, const json_t *b)
{
	const char *left = json_string_value(json_object_get(a, "digest")),
		   *right = json_string_value(json_object_get(b, "digest"));

	return left && right && !strcmp(left, right);
}

/* The wanted is what is there, and it is on its way or done: a failed attempt may be tried again. */
static bool is_settled(const struct present *present, const json_t *spec)
{
	if (!present->spec || is_down(present->spec) != is_down(spec) || !same_digest(present->spec, spec))
		return false;
	return strcmp(present->phase, "failed") && strcmp(present->phase, "rolled-back") &&
	       strcmp(present->phase, "rolling-back");
}

/* Checks the shape, that it is this service's, and that its bundles are here. */
static int check_spec(const struct node_env *env, const char *service, const json_t *spec, struct err *err)
{
	struct plan_spec parsed;
	const char *name;
	json_t *component;
	int r = plan_spec_from_json(spec, &parsed, err);

	if (r < 0)
		return r;
	if (strcmp(parsed.service, service))
		r = err_set(err, EINVAL, _("The spec is of the service %s, not of %s"), parsed.service, service);
	plan_spec_release(&parsed);
	if (r < 0 || is_down(spec))
		return r;
	json_object_foreach(json_object_get(spec, "components"), name, component)
	{
		const char *bundle = json_string_value(json_object_get(component, "bundle"));

		if (!bundle || !bundle_present(env->store, bundle))
			return err_set(err, EINVAL,
				       _("The recipe bundle of the component %s is not on this host; send it first"),
				       name);
	}
	return 0;
}

/* The oldest revisions go, but never the good one. */
static void drop_old_revisions(const struct node_env *env, const char *service, uint64_t newest, uint64_t good)
{
	_cleanup_(freep) char *prefix = xasprintf("tepuy/revision/%s/", service);
	_cleanup_consul_kvs_ struct consul_kvs kvs = { 0 };

	if (newest <= REVISIONS_KEPT || consul_kv_list(env->consul, prefix, &kvs, NULL) < 0)
		return;
	for (size_t i = 0; i < kvs.n; i++) {
		uint64_t revision;

		if (text_u64(kvs.v[i].key + strlen(prefix), &revision) == 0 && revision + REVISIONS_KEPT <= newest &&
		    revision != good)
			consul_kv_delete(env->consul, kvs.v[i].key, NULL);
	}
}

/* What the event says: who asked for what. */
static char *event_sentence(const char *kind, const char *author, uint64_t revision)
{
	const char *who = author && *author ? author : _("somebody");

	if (!strcmp(kind, "down"))
		return xasprintf(_("%s takes the service down"), who);
	if (!strcmp(kind, "rollback"))
		return xasprintf(_("%s rolls back with revision %llu"), who, (unsigned long long)revision);
	return xasprintf(_("%s wants revision %llu"), who, (unsigned long long)revision);
}

static char *event_value(const struct node_env *env, const char *kind, const json_t *spec, uint64_t revision,
			 int64_t now)
{
	const char *author = json_string_value(json_object_get(spec, "author"));
	_cleanup_(freep) char *sentence = event_sentence(kind, author, revision);
	_cleanup_json_ json_t *event =
	    json_pack("{sI ss ss ss ss sI}", "time", (json_int_t)now, "host", env->host, "kind", kind, "text", sentence,
		      "by", author ? author : "", "revision", (json_int_t)revision);

	return json_canonical(event);
}

/* A revision to be written, whole or not at all. */
struct change {
	const char *service;
	const struct present *present;
	json_t *spec;
	uint64_t index;                    /* that the spec must still have */
	const char *event;                 /* "up" */
	const struct api_secrets *secrets; /* NULL: none change */
};

static int write_operations(const struct node_env *env, const struct change *change, uint64_t revision,
			    const char *text, int64_t now, struct err *err)
{
	const char *service = change->service;
	size_t n_secrets = change->secrets ? change->secrets->n : 0;
	_cleanup_(freep) char *spec_key = xasprintf("tepuy/service/%s/spec", service);
	_cleanup_(freep) char *revision_key =
	    xasprintf("tepuy/revision/%s/%llu", service, (unsigned long long)revision);
	_cleanup_(freep) char *event_key =
	    xasprintf("tepuy/event/%s/%013lld-%s", service, (long long)now, change->event);
	_cleanup_(freep) char *event = event_value(env, change->event, change->spec, revision, now);
	_cleanup_(freep) struct consul_op *ops = xcalloc(3 + n_secrets, sizeof(*ops));

	ops[0] = (struct consul_op){
		.verb = CONSUL_CAS, .key = spec_key, .value = text, .len = strlen(text), .index = change->index
	};
	ops[1] = (struct consul_op){ .verb = CONSUL_SET, .key = revision_key, .value = text, .len = strlen(text) };
	ops[2] = (struct consul_op){ .verb = CONSUL_SET, .key = event_key, .value = event, .len = strlen(event) };
	if (n_secrets)
		memcpy(&ops[3], change->secrets->ops, n_secrets * sizeof(*ops));
	return consul_txn(env->consul, ops, 3 + n_secrets, false, NULL, NULL, err);
}

/* The second of two operators learns who was first. */
static int told_who(const struct node_env *env, const char *service, struct err *err)
{
	_cleanup_(freep) char *key = xasprintf("tepuy/service/%s/spec", service);
	_cleanup_json_ json_t *spec = NULL;
	const char *author;
	char when[64] = "";
	struct tm tm;
	time_t time;

	err_release(err);
	if (api_kv_json(env->consul, key, &spec, NULL, NULL) < 0)
		return err_set(err, ESTALE, _("Somebody else has changed %s in the meantime; look at it and try again"),
			       service);
	author = json_string_value(json_object_get(spec, "author"));
	time = (time_t)(json_integer_value(json_object_get(spec, "time")) / 1000);
	if (localtime_r(&time, &tm))
		strftime(when, sizeof(when), "%F %T %z", &tm);
	return err_set(err, ESTALE,
		       _("%s has changed %s in the meantime (revision %llu, %s); look at it and try again"),
		       author && *author ? author : _("Somebody else"), service,
		       (unsigned long long)number(spec, "revision"), when);
}

static int write_revision(const struct node_env *env, const struct change *change, struct api_submitted *ret,
			  struct err *err)
{
	uint64_t revision = change->present->revision + 1;
	int64_t now = clock_realtime_ms();
	_cleanup_(freep) char *text = NULL;
	int r;

	json_object_set_new(change->spec, "revision", json_integer((json_int_t)revision));
	json_object_set_new(change->spec, "time", json_integer(now));
	text = json_canonical(change->spec);
	r = write_operations(env, change, revision, text, now, err);
	if (r == -ESTALE)
		return told_who(env, change->service, err);
	if (r < 0)
		return r;
	drop_old_revisions(env, change->service, revision, change->present->good);
	ret->revision = revision;
	ret->changed = true;
	return 0;
}

int api_submit(const struct node_env *env, const struct api_submission *submission, struct api_submitted *ret,
	       struct err *err)
{
	_cleanup_(present_release) struct present present = { 0 };
	_cleanup_(api_secrets_release) struct api_secrets secrets = { 0 };
	_cleanup_json_ json_t *spec = json_copy(submission->spec);
	struct change change = { submission->service, &present, spec, submission->index, "up", &secrets };
	int r = present_read(env, submission->service, &present, err);

	if (r == 0) {
		json_object_set_new(spec, "revision", json_integer((json_int_t)present.revision + 1));
		r = check_spec(env, submission->service, spec, err);
	}
	if (r == 0)
		r = api_secrets_collect(env, submission->service, json_object_get(spec, "secrets"), submission->secrets,
					&secrets, err);
	if (r < 0)
		return r;
	if (is_settled(&present, spec)) {
		*ret = (struct api_submitted){ .revision = number(present.spec, "revision") };
		return secrets.n ? consul_txn(env->consul, secrets.ops, secrets.n, false, NULL, NULL, err) : 0;
	}
	json_object_set_new(spec, "follows", json_integer((json_int_t)present.good));
	return write_revision(env, &change, ret, err);
}

static int present_or_absent(const struct node_env *env, const char *service, struct present *ret, struct err *err)
{
	int r = present_read(env, service, ret, err);

	if (r == 0 && !ret->spec)
		return err_set(err, ENOENT, _("There is no service %s"), service);
	return r;
}

static void set_author(json_t *spec, const char *author)
{
	json_object_set_new(spec, "author", json_string(author ? author : ""));
}

int api_submit_down(const struct node_env *env, const char *service, const char *author, struct api_submitted *ret,
		    struct err *err)
{
	_cleanup_(present_release) struct present present = { 0 };
	_cleanup_json_ json_t *spec = NULL;
	struct change change;
	int r = present_or_absent(env, service, &present, err);

	if (r < 0)
		return r;
	if (is_down(present.spec)) {
		*ret = (struct api_submitted){ .revision = number(present.spec, "revision") };
		return 0;
	}
	spec = json_copy(present.spec);
	json_object_set_new(spec, "down", json_true());
	set_author(spec, author);
	change = (struct change){ service, &present, spec, present.index, "down", NULL };
	return write_revision(env, &change, ret, err);
}

/* The last good revision before the present one: each revision says which one it followed. */
static uint64_t before(const struct present *present)
{
	uint64_t now = number(present->spec, "revision");

	return present->good && present->good != now ? present->good : number(present->spec, "follows");
}

int api_submit_rollback(const struct node_env *env, const char *service, uint64_t revision, const char *author,
			struct api_submitted *ret, struct err *err)
{
	_cleanup_(present_release) struct present present = { 0 };
	_cleanup_json_ json_t *spec = NULL;
	_cleanup_(freep) char *key = NULL;
	struct change change;
	int r = present_or_absent(env, service, &present, err);

	if (r < 0)
		return r;
	if (!revision)
		revision = before(&present);
	if (!revision)
		return err_set(err, ENOENT, _("%s has no earlier good revision to roll back to"), service);
	key = xasprintf("tepuy/revision/%s/%llu", service, (unsigned long long)revision);
	r = api_kv_json(env->consul, key, &spec, NULL, err);
	if (r == -ENOENT)
		return err_set(err, ENOENT,
			       _("Revision %llu of %s is not kept any more; 'tepuy revisions %s' lists those that are"),
			       (unsigned long long)revision, service, service);
	if (r == 0)
		r = check_spec(env, service, spec, err);
	if (r < 0)
		return r;
	set_author(spec, author);
	ret->to = revision;
	change = (struct change){ service, &present, spec, present.index, "rollback", NULL };
	return write_revision(env, &change, ret, err);
}

int api_present_spec(const struct node_env *env, const char *service, const json_t *to, json_t **ret, bool *ret_changed,
		     struct err *err)
{
	_cleanup_(present_release) struct present present = { 0 };
	_cleanup_(freep) char *key = NULL;
	int r = present_read(env, service, &present, err);

	if (r < 0)
		return r;
	*ret_changed = !is_settled(&present, to);
	if (!present.spec || is_down(present.spec))
		return 0;
	if (!strcmp(present.phase, "rolled-back") && present.good) {
		key = xasprintf("tepuy/revision/%s/%llu", service, (unsigned long long)present.good);
		return api_kv_json(env->consul, key, ret, NULL, err);
	}
	*ret = json_incref(present.spec);
	return 0;
}
