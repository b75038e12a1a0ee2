/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "host/step.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/i18n.h"
#include "base/text.h"

#define WAITING_EVERY_MS 5000

static void tell(struct step *step, const char *item, enum setup_state state, const char *format, va_list ap)
{
	_cleanup_(freep) char *text = xvasprintf(format, ap);

	text_printable(text, false);
	step->tell(step->data, step->name, item, state, text);
}

void step_begin(struct step *step, const char *item, const char *format, ...)
{
	va_list ap;

	step->item = item;
	va_start(ap, format);
	tell(step, item, SETUP_BEGIN, format, ap);
	va_end(ap);
}

void step_done(struct step *step, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	tell(step, step->item, SETUP_DONE, format, ap);
	va_end(ap);
	step->item = NULL;
}

void step_unchanged(struct step *step, const char *item, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	tell(step, item, SETUP_UNCHANGED, format, ap);
	va_end(ap);
}

void step_pending(struct step *step, const char *item, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	tell(step, item, SETUP_PENDING, format, ap);
	va_end(ap);
}

void step_waiting(struct step *step, const char *format, ...)
{
	int64_t now = clock_monotonic_ms();
	va_list ap;

	if (step->said_wait && now - step->said_wait < WAITING_EVERY_MS)
		return;
	step->said_wait = now;
	va_start(ap, format);
	tell(step, step->item ? step->item : "lock", SETUP_WAITING, format, ap);
	va_end(ap);
}

int step_failed(struct step *step, int r, const struct err *err)
{
	_cleanup_(freep) char *text = xstrdup(err_text(err));

	if (step->item) {
		text_printable(text, false);
		step->tell(step->data, step->name, step->item, SETUP_FAILED, text);
	}
	step->item = NULL;
	return r;
}

int step_pause(struct step *step, int64_t until, const char *what, struct err *err)
{
	int64_t now = clock_monotonic_ms();

	if (now >= step->deadline || now >= until)
		return err_set(err, ETIMEDOUT, "%s", what);
	usleep(250000);
	return 0;
}

int64_t step_left(const struct step *step)
{
	int64_t left = step->deadline - clock_monotonic_ms();

	return left > 1 ? left : 1;
}

int input_keys(const json_t *object, const char *const *keys, struct err *err)
{
	const char *key;
	json_t *value;
	size_t n = 0;

	while (keys[n])
		n++;
	json_object_foreach((json_t *)object, key, value)
	{
		bool known = false;

		for (size_t i = 0; i < n; i++)
			known |= !strcmp(keys[i], key);
		if (!known)
			return err_set(err, EINVAL, _("The input has an unknown key '%s'"), key);
	}
	return 0;
}

static bool absent(const json_t *value)
{
	return !value || json_is_null(value);
}

int input_text_or_null(const json_t *object, const char *key, const char **ret, struct err *err)
{
	const json_t *value = json_object_get(object, key);

	if (!absent(value) && !json_is_string(value))
		return err_set(err, EINVAL, _("The input's '%s' must be a string"), key);
	*ret = absent(value) ? NULL : json_string_value(value);
	return 0;
}

int input_text(const json_t *object, const char *key, const char **ret, struct err *err)
{
	const char *text;
	int r = input_text_or_null(object, key, &text, err);

	if (r < 0)
		return r;
	if (!text || !*text)
		return err_set(err, EINVAL, _("The input lacks '%s'"), key);
	*ret = text;
	return 0;
}

int input_flag(const json_t *object, const char *key, bool otherwise, bool *ret, struct err *err)
{
	const json_t *value = json_object_get(object, key);

	if (!absent(value) && !json_is_boolean(value))
		return err_set(err, EINVAL, _("The input's '%s' must be true or false"), key);
	*ret = absent(value) ? otherwise : json_is_true(value);
	return 0;
}

int input_number(const json_t *object, const char *key, int64_t least, int64_t most, int64_t otherwise, int64_t *ret,
		 struct err *err)
{
	const json_t *value = json_object_get(object, key);
	int64_t number = absent(value) ? otherwise : json_integer_value(value);

	if ((!absent(value) && !json_is_integer(value)) || number < least || number > most)
		return err_set(err, EINVAL, _("The input's '%s' must be a number from %lld to %lld"), key,
			       (long long)least, (long long)most);
	*ret = number;
	return 0;
}

int input_list(const json_t *object, const char *key, const json_t **ret, struct err *err)
{
	const json_t *value = json_object_get(object, key);

	if (!json_is_array(value))
		return err_set(err, EINVAL, _("The input's '%s' must be a list"), key);
	*ret = value;
	return 0;
}

int input_name(const json_t *object, const char *key, const char **ret, struct err *err)
{
	const char *name;
	int r = input_text(object, key, &name, err);

	if (r < 0)
		return r;
	if (!text_is_name(name))
		return err_set(err, EINVAL,
			       _("The input's '%s' is no name: a lower case letter, then letters, digits and '-'"),
			       key);
	*ret = name;
	return 0;
}

bool input_is_address(const char *text)
{
	struct in6_addr bytes;

	return inet_pton(AF_INET, text, &bytes) == 1 || inet_pton(AF_INET6, text, &bytes) == 1;
}

int input_address(const json_t *object, const char *key, const char **ret, struct err *err)
{
	const char *address;
	int r = input_text(object, key, &address, err);

	if (r < 0)
		return r;
	if (!input_is_address(address))
		return err_set(err, EINVAL, _("The input's '%s' must be an IPv4 or IPv6 address, not '%s'"), key,
			       address);
	*ret = address;
	return 0;
}
