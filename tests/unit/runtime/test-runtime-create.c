/* SPDX-License-Identifier: GPL-3.0-or-later */
/* runtime_create, on a driver whose images are taken away between two calls. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "runtime/runtime.h"

struct driver {
	unsigned taken_away; /* so many times an image is gone when a node is to be made of it */
	unsigned imports, creates;
};

static int fake_import(struct runtime *rt, const struct image *image, char **ret_ref, struct err *err)
{
	struct driver *driver = rt->priv;

	(void)image;
	(void)err;
	*ret_ref = xasprintf("import %u", ++driver->imports);
	return 0;
}

static int fake_create(struct runtime *rt, const struct runtime_spec *spec, char **ret_id, struct err *err)
{
	struct driver *driver = rt->priv;

	driver->creates++;
	if (driver->taken_away) {
		driver->taken_away--;
		return err_set(err, ENOENT, "There is no %s", spec->image_ref);
	}
	*ret_id = xstrdup(spec->image_ref);
	return 0;
}

static const struct runtime_ops ops = { .import = fake_import, .create = fake_create };

static void image_that_was_taken_away_is_imported_again(void **state)
{
	static const struct {
		unsigned taken_away, imports, creates;
		const char *made_of; /* NULL: -ENOENT, and a message */
	} cases[] = {
		{ 0, 0, 1, "the first" },
		{ 1, 1, 2, "import 1" },
		{ 2, 1, 2, NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct driver driver = { .taken_away = cases[i].taken_away };
		struct runtime rt = { .ops = &ops, .priv = &driver };
		struct runtime_spec spec = { .image_ref = "the first" };
		_cleanup_(freep) char *id = NULL;
		_cleanup_err_ struct err err = ERR_INIT;

		assert_int_equal(runtime_create(&rt, &spec, &id, &err), cases[i].made_of ? 0 : -ENOENT);
		assert_int_equal(driver.imports, cases[i].imports);
		assert_int_equal(driver.creates, cases[i].creates);
		if (cases[i].made_of)
			assert_string_equal(id, cases[i].made_of);
		assert_int_equal(err.code, cases[i].made_of ? 0 : ENOENT);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(image_that_was_taken_away_is_imported_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
