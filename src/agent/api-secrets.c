/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/api-secrets.h"

#include <errno.h>
#include <openssl/rand.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/i18n.h"

#define MOST_GENERATED 1024
#define ADDRESSES "tepuy/address/"
/* An agent looks again after ten seconds at the latest when Consul was away. */
#define HOSTS_MS 12000

/* Letters and digits only: they pass through every configuration file. 64 symbols less two: no bias by rejection. */
static int generate(size_t length, char *to, struct err *err)
{
	static const char symbols[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
	unsigned char byte;

	for (size_t i = 0; i < length;) {
		if (RAND_bytes(&byte, 1) != 1)
			return err_set(err, EIO, _("The system gives no random numbers"));
		byte &= 63;
		if (byte < sizeof(symbols) - 1)
			to[i++] = symbols[byte];
	}
	to[length] = '\0';
	return 0;
}

static void add_op(struct api_secrets *to, enum consul_verb verb, const char *key, char *value, size_t len)
{
	to->ops[to->n++] = (struct consul_op){ .verb = verb, .key = xstrdup(key), .value = value, .len = len };
}

/*
 * After Consul lost its data each host gives back what its nodes have, and then says what it is (tepuy/address/). One
 * that is alive and has not said so may have the very secret that is about to be made anew.
 */
static bool all_have_told(const struct node_env *env)
{
	_cleanup_consul_checks_ struct consul_checks hosts = { 0 };
	_cleanup_consul_kvs_ struct consul_kvs told = { 0 };

	if (consul_health_hosts(env->consul, &hosts, NULL) < 0 ||
	    consul_kv_list(env->consul, ADDRESSES, &told, NULL) < 0)
		return true; /* what comes next says why not */
	for (size_t i = 0; i < hosts.n; i++) {
		bool found = hosts.v[i].status != CONSUL_PASSING || !hosts.v[i].node;

		for (size_t j = 0; !found && j < told.n; j++)
			found = !strcmp(told.v[j].key + strlen(ADDRESSES), hosts.v[i].node);
		if (!found)
			return false;
	}
	return true;
}

/* A member of Consul without an agent of tepuy never says anything. */
static void wait_for_hosts(const struct node_env *env)
{
	int64_t until = clock_monotonic_ms() + HOSTS_MS;
	struct timespec pause = { .tv_nsec = 100 * 1000000L };

	while (!all_have_told(env) && clock_monotonic_ms() < until)
		nanosleep(&pause, NULL);
}

/* Only if it is still not there: another agent may be making it, too. */
static int make(struct api_secrets *to, const char *key, const json_t *declaration, struct err *err)
{
	json_int_t length = json_integer_value(json_object_get(declaration, "generate"));
	char *value;
	int r;

	if (length < 1 || length > MOST_GENERATED)
		return -ENOENT;
	value = xmalloc(MOST_GENERATED + 1);
	r = generate((size_t)length, value, err);
	if (r == 0)
		add_op(to, CONSUL_CAS, key, value, (size_t)length);
	else
		free(value);
	return r;
}

static int collect_one(const struct node_env *env, const char *service, const char *name, const json_t *declaration,
		       const json_t *given, struct api_secrets *to, struct err *err)
{
	_cleanup_(freep) char *key = xasprintf("tepuy/secret/%s/%s", service, name);
	_cleanup_consul_kv_ struct consul_kv kv = { 0 };
	const json_t *value = json_object_get(given, name);
	int r;

	if (value && !json_is_string(value))
		return err_set(err, EINVAL, _("The secret %s must be a text"), name);
	if (json_string_length(value) > NODE_SECRETS_MOST_BYTES)
		return err_set(err, EINVAL, _("The secret %s is larger than 64 KiB"), name);
	if (value) {
		add_op(to, CONSUL_SET, key, xstrndup(json_string_value(value), json_string_length(value)),
		       json_string_length(value));
		return 0;
	}
	r = consul_kv_get(env->consul, key, &kv, err);
	if (r == -ENOENT && !to->waited) {
		wait_for_hosts(env);
		to->waited = true;
		err_release(err);
		r = consul_kv_get(env->consul, key, &kv, err);
	}
	if (r == 0)
		explicit_bzero(kv.value, kv.len);
	if (r != -ENOENT)
		return r;
	err_release(err);
	r = make(to, key, declaration, err);
	if (r == -ENOENT)
		return err_set(err, EINVAL, _("The secret %s has no value yet; give it with --secret %s=@FILE"), name,
			       name);
	return r;
}

int api_secrets_collect(const struct node_env *env, const char *service, const json_t *declared, const json_t *given,
			struct api_secrets *ret, struct err *err)
{
	struct api_secrets secrets = { 0 };
	const char *name;
	json_t *declaration;
	int r = 0;

	if (json_object_size(declared) > API_SECRETS_MOST)
		return err_set(err, EINVAL, _("A service can have %d secrets at most"), API_SECRETS_MOST);
	secrets.ops = xcalloc(json_object_size(declared), sizeof(*secrets.ops));
	json_object_foreach((json_t *)declared, name, declaration)
	{
		if (r == 0)
			r = collect_one(env, service, name, declaration, given, &secrets, err);
	}
	if (r < 0)
		api_secrets_release(&secrets);
	else
		*ret = secrets;
	return r;
}

void api_secrets_release(struct api_secrets *secrets)
{
	for (size_t i = 0; i < secrets->n; i++) {
		explicit_bzero((void *)secrets->ops[i].value, secrets->ops[i].len);
		free((void *)secrets->ops[i].value);
		free((char *)secrets->ops[i].key);
	}
	free(secrets->ops);
	*secrets = (struct api_secrets){ 0 };
}
