/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Every file of tests/golden/model is a document with what should be said about it beside it, in NAME.expected; those
 * of `made` are written by the test, as they are too large to be kept or are no files. REGENERATE=1 writes what should
 * be said anew: read the difference before you commit it.
 */
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fs.h"
#include "base/text.h"
#include "model/canonical.h"
#include "model/hosts.h"
#include "model/recipe.h"
#include "model/service.h"

enum { MOST_CASES = 400 };

struct golden {
	char *path; /* of the document, relative to tests/golden/model */
	void (*run)(const char *path, struct buf *out);
	void (*make)(const char *path); /* writes what is not kept there; NULL: it is there */
};

static void add_json(struct buf *out, const json_t *json)
{
	char *text = json_dumps(json, JSON_INDENT(1) | JSON_SORT_KEYS);

	buf_printf(out, "%s\n", text);
	free(text);
}

static void run_recipe(const char *path, struct buf *out)
{
	_cleanup_(recipe_freep) struct recipe *recipe = NULL;
	_cleanup_diag_ struct diag diag = { 0 };
	_cleanup_buf_ struct buf text = { 0 };

	assert_int_equal(fs_read(path, YAML_MOST_BYTES, &text, NULL), 0);
	recipe_parse(path, buf_text(&text), text.len, &diag, &recipe);
	assert_true((recipe != NULL) == (diag.n_errors == 0));
	diag_format(&diag, false, out);
}

/* The directory's recipe with its files; one without errors is shown as JSON. */
static void run_recipe_directory(const char *path, struct buf *out)
{
	_cleanup_(recipe_freep) struct recipe *recipe = NULL;
	_cleanup_diag_ struct diag diag = { 0 };

	recipe_load(path, &diag, &recipe);
	diag_format(&diag, false, out);
	if (recipe) {
		_cleanup_json_ json_t *json = recipe_to_json(recipe);

		add_json(out, json);
	}
}

static void run_service(const char *path, struct buf *out)
{
	_cleanup_(service_freep) struct service *service = NULL;
	_cleanup_strv_ struct strv search = { 0 };
	_cleanup_diag_ struct diag diag = { 0 };

	strv_add(&search, "recipes");
	if (service_load(path, &diag, &service) == 0)
		service_resolve(service, &search, NULL, NULL, &diag, NULL);
	diag_format(&diag, false, out);
}

static int constant_bundle(void *data, const char *recipe_dir, char **ret_sha256, struct err *err)
{
	(void)data, (void)recipe_dir, (void)err;
	*ret_sha256 = xstrdup("0000000000000000000000000000000000000000000000000000000000000000");
	return 0;
}

static int failing_bundle(void *data, const char *recipe_dir, char **ret_sha256, struct err *err)
{
	(void)data, (void)ret_sha256;
	return err_set(err, EFBIG, "%s is too large", recipe_dir);
}

/* The spec of a service without errors; what is said goes to `out`. */
static json_t *spec_of(const char *path, service_bundle_fn bundle, struct buf *out)
{
	_cleanup_(service_freep) struct service *service = NULL;
	_cleanup_strv_ struct strv search = { 0 };
	_cleanup_diag_ struct diag diag = { 0 };
	json_t *spec = NULL;

	strv_add(&search, "recipes");
	assert_int_equal(service_load(path, &diag, &service), 0);
	service_resolve(service, &search, bundle, NULL, &diag, &spec);
	diag_format(&diag, false, out);
	return spec;
}

static void run_spec(const char *path, struct buf *out)
{
	_cleanup_json_ json_t *spec = spec_of(path, constant_bundle, out);

	assert_non_null(spec);
	json_object_del(spec, "document");
	add_json(out, spec);
}

/* A service whose recipes cannot be packed. */
static void run_unpackable(const char *path, struct buf *out)
{
	assert_null(spec_of(path, failing_bundle, out));
}

static void run_hosts(const char *path, struct buf *out)
{
	_cleanup_(hosts_freep) struct hosts *hosts = NULL;
	_cleanup_diag_ struct diag diag = { 0 };

	hosts_load(path, &diag, &hosts);
	assert_true((hosts != NULL) == (diag.n_errors == 0));
	diag_format(&diag, false, out);
}

static int print_key(void *data, const char *path, const struct key *key)
{
	buf_printf(data, "%s: %s%s%s%s\n", path, key_type_name(key->type), key->required ? ", required" : "",
		   key->fallback ? ", default " : "", key->fallback ? key->fallback : "");
	return 0;
}

/* The file's name says which document; its content is not looked at. */
static void run_schema(const char *path, struct buf *out)
{
	_cleanup_(freep) char *name = xstrdup(strrchr(path, '/') + 1);
	_cleanup_json_ json_t *json = NULL;

	name[strcspn(name, ".")] = '\0';
	assert_int_equal(schema_json(name, &json, NULL), 0);
	assert_int_equal(schema_walk(schema_find(name), print_key, out), 0);
	add_json(out, json);
}

/* In a directory of its own, where the document has the same path. */
static void run_made(const struct golden *golden, struct buf *out)
{
	char dir[] = "/tmp/tt-golden-XXXXXX";

	assert_non_null(mkdtemp(dir));
	assert_int_equal(chdir(dir), 0);
	if (mkdir("made", 0755) == 0) {
		golden->make(golden->path);
		golden->run(golden->path, out);
	}
	assert_int_equal(chdir(GOLDEN_DIRECTORY), 0);
	assert_int_equal(fs_remove_tree(dir, NULL), 0);
}

static void run_case(void **state)
{
	const struct golden *golden = *state;
	_cleanup_(freep) char *file = xasprintf("%s.expected", golden->path);
	_cleanup_buf_ struct buf out = { 0 }, expected = { 0 };

	if (golden->make)
		run_made(golden, &out);
	else
		golden->run(golden->path, &out);
	if (getenv("REGENERATE")) {
		assert_int_equal(fs_write(file, buf_text(&out), out.len, 0644, NULL), 0);
		return;
	}
	assert_int_equal(fs_read(file, 4 << 20, &expected, NULL), 0);
	assert_string_equal(buf_text(&out), buf_text(&expected));
}

/* --- what is made --- */

/* `n` times the part behind what comes first. */
static void make_repeated(const char *path, const char *first, const char *part, size_t n)
{
	_cleanup_buf_ struct buf text = { 0 };

	buf_adds(&text, first);
	for (size_t i = 0; i < n; i++)
		buf_adds(&text, part);
	fs_write(path, buf_text(&text), text.len, 0644, NULL);
}

static void make_values(const char *path)
{
	make_repeated(path, "hosts:\n", "- x\n", YAML_MOST_NODES);
}

static void make_anchors(const char *path)
{
	_cleanup_buf_ struct buf text = { 0 };

	buf_adds(&text, "hosts:\n");
	for (int i = 1; i <= 1001; i++)
		buf_printf(&text, "- &a%d x\n", i);
	fs_write(path, buf_text(&text), text.len, 0644, NULL);
}

static void make_large(const char *path)
{
	make_repeated(path, "#", ".", YAML_MOST_BYTES);
}

/* So much that it is not even read to its end. */
static void make_huge(const char *path)
{
	make_repeated(path, "#", ".", (size_t)2 * YAML_MOST_BYTES);
}

static void make_fifo(const char *path)
{
	_cleanup_(freep) char *file = fs_join(path, "recipe.yaml"), *fifo = fs_join(path, "fifo");

	if (mkdir(path, 0755) < 0 || mkfifo(fifo, 0644) < 0)
		return;
	make_repeated(file,
		      "recipe: fifo\nbase: {suite: bookworm}\nstart: [/bin/true]\nfiles: [{from: fifo, to: /a}]\n"
		      "templates: [{from: fifo, to: /b}]\n",
		      "", 0);
}

static const struct {
	const char *path;
	void (*run)(const char *path, struct buf *out);
	void (*make)(const char *path);
} made[] = {
	{ "made/anchors.yaml", run_hosts, make_anchors }, { "made/fifo", run_recipe_directory, make_fifo },
	{ "made/huge.yaml", run_hosts, make_huge },       { "made/large.yaml", run_hosts, make_large },
	{ "made/values.yaml", run_hosts, make_values },
};

static void add_cases(struct golden *cases, size_t *n, const char *directory,
		      void (*run)(const char *path, struct buf *out))
{
	_cleanup_strv_ struct strv names = { 0 };
	const struct dirent *entry;
	DIR *dir = opendir(directory);

	assert_non_null(dir);
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.' && !text_ends(entry->d_name, ".expected"))
			strv_add(&names, entry->d_name);
	closedir(dir);
	assert_true(names.n > 0);
	strv_sort(&names);
	for (size_t i = 0; i < names.n; i++) {
		assert_true(*n < MOST_CASES);
		cases[(*n)++] = (struct golden){ .path = fs_join(directory, names.v[i]), .run = run };
	}
}

int main(void)
{
	static struct golden cases[MOST_CASES];
	static struct CMUnitTest tests[MOST_CASES];
	size_t n = 0;
	int failed;

	if (chdir(GOLDEN_DIRECTORY) < 0) {
		perror(GOLDEN_DIRECTORY);
		return 1;
	}
	add_cases(cases, &n, "recipe", run_recipe);
	add_cases(cases, &n, "recipe-dir", run_recipe_directory);
	add_cases(cases, &n, "service", run_service);
	add_cases(cases, &n, "spec", run_spec);
	add_cases(cases, &n, "hosts", run_hosts);
	add_cases(cases, &n, "schema", run_schema);
	add_cases(cases, &n, "unpackable", run_unpackable);
	for (size_t i = 0; i < ARRAY_SIZE(made); i++, n++)
		cases[n] = (struct golden){ xstrdup(made[i].path), made[i].run, made[i].make };
	for (size_t i = 0; i < n; i++)
		tests[i] =
		    (struct CMUnitTest){ .name = cases[i].path, .test_func = run_case, .initial_state = &cases[i] };
	failed = _cmocka_run_group_tests("model documents", tests, n, NULL, NULL);
	for (size_t i = 0; i < n; i++)
		free(cases[i].path);
	return failed;
}
