/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/api-secrets.h"

#include <errno.h>
#include <openssl/rand.h>
#include <string.h>

#include "base/i18n.h"

#define MOST_GENERATED 1024

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

/* Only if it is still not there: another agent may be making it, too. */
static int make(struct consul *consul, const char *key, const json_t *declaration, struct err *err)
{
	json_int_t length = json_integer_value(json_object_get(declaration, "generate"));
	char value[MOST_GENERATED + 1];
	int r;

	if (length < 1 || length > MOST_GENERATED)
		return -ENOENT;
	r = generate((size_t)length, value, err);
	if (r == 0)
		r = consul_kv_cas(consul, key, value, (size_t)length, 0, err);
	explicit_bzero(value, sizeof(value));
	if (r == -ESTALE) {
		err_release(err);
		return 0;
	}
	return r;
}

static int write_one(const struct node_env *env, const char *service, const char *name, const json_t *declaration,
		     const json_t *given, struct err *err)
{
	_cleanup_(freep) char *key = xasprintf("tepuy/secret/%s/%s", service, name);
	_cleanup_consul_kv_ struct consul_kv kv = { 0 };
	const json_t *value = json_object_get(given, name);
	int r;

	if (value && !json_is_string(value))
		return err_set(err, EINVAL, _("The secret %s must be a text"), name);
	if (value)
		return consul_kv_put(env->consul, key, json_string_value(value), json_string_length(value), err);
	r = consul_kv_get(env->consul, key, &kv, err);
	if (r != -ENOENT) {
		explicit_bzero(kv.value, kv.len);
		return r;
	}
	err_release(err);
	r = make(env->consul, key, declaration, err);
	if (r == -ENOENT)
		return err_set(err, EINVAL, _("The secret %s has no value yet; give it with --secret %s=@FILE"), name,
			       name);
	return r;
}

int api_secrets_write(const struct node_env *env, const char *service, const json_t *declared, const json_t *given,
		      struct err *err)
{
	const char *name;
	json_t *declaration;

	json_object_foreach((json_t *)declared, name, declaration)
	{
		int r = write_one(env, service, name, declaration, given, err);

		if (r < 0)
			return r;
	}
	return 0;
}
