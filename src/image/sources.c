/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "image/sources.h"

#include <errno.h>
#include <string.h>

#include "base/fs.h"
#include "base/i18n.h"
#include "base/run.h"
#include "base/text.h"
#include "image/deb822.h"

#define MOST_TEXT ((size_t)1 << 20)

static void source_release(struct source *source)
{
	free(source->uri);
	free(source->release);
	strv_release(&source->components);
	free(source->signed_by);
	free(source->trusted);
	free(source->check_valid_until);
}

void sources_release(struct sources *sources)
{
	for (size_t i = 0; i < sources->n; i++)
		source_release(&sources->v[i]);
	free(sources->v);
	*sources = (struct sources){ 0 };
}

static bool same_uri(const char *a, const char *b)
{
	size_t n = strlen(a), m = strlen(b);

	while (n && a[n - 1] == '/')
		n--;
	while (m && b[m - 1] == '/')
		m--;
	return n == m && strncmp(a, b, n) == 0;
}

static struct source *sources_find(const struct sources *sources, const char *uri, const char *release)
{
	for (size_t i = 0; i < sources->n; i++)
		if (same_uri(sources->v[i].uri, uri) && strcmp(sources->v[i].release, release) == 0)
			return &sources->v[i];
	return NULL;
}

static struct source *sources_add(struct sources *sources, const char *uri, const char *release)
{
	struct source *source = sources_find(sources, uri, release);

	if (source)
		return source;
	sources->v = grow_array(sources->v, sources->n, &sources->cap, sizeof(*sources->v));
	source = &sources->v[sources->n++];
	*source = (struct source){ .uri = xstrdup(uri), .release = xstrdup(release) };
	return source;
}

/* "bookworm", "bookworm-updates", "bookworm-security" and the older "buster/updates". */
static bool belongs_to_suite(const char *release, const char *suite)
{
	static const char *const endings[] = { "", "-updates", "-security", "/updates" };

	if (!release || !text_starts(release, suite))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(endings); i++)
		if (strcmp(release + strlen(suite), endings[i]) == 0)
			return true;
	return false;
}

/* A source on the host's own disk cannot be read from inside the image that is being built. */
static bool reachable_from_inside(const char *uri)
{
	return uri && !text_starts(uri, "file:") && !text_starts(uri, "copy:") && !text_starts(uri, "cdrom:");
}

/* Debian's own archive or a mirror of it: others that use the same suite names (Docker's, say) have another origin. */
static bool is_debian(const struct deb822 *target)
{
	const char *origin = deb822_get(target, "Origin");

	return !origin || !*origin || text_starts(origin, "Debian");
}

static void pick_target(const struct deb822 *target, const char *suite, const char *architecture, struct sources *ret,
			struct strv *ret_files)
{
	const char *by = deb822_get(target, "Created-By"), *of = deb822_get(target, "Target-Of");
	const char *uri = deb822_get(target, "Repo-URI"), *release = deb822_get(target, "Release");
	const char *machine = deb822_get(target, "Architecture"), *entry = deb822_get(target, "Sourcesentry");
	const char *component = deb822_get(target, "Component");
	struct source *source;

	if (!by || strcmp(by, "Packages") != 0 || !of || strcmp(of, "deb") != 0 || !is_debian(target))
		return;
	if (!reachable_from_inside(uri) || (machine && strcmp(machine, architecture) != 0))
		return;
	if (!belongs_to_suite(release, suite) && !belongs_to_suite(deb822_get(target, "Codename"), suite))
		return;
	source = sources_add(ret, uri, release);
	if (component && *component && !strv_has(&source->components, component))
		strv_add(&source->components, component);
	if (entry) {
		const char *colon = strrchr(entry, ':');
		_cleanup_(freep) char *file = xstrndup(entry, colon ? (size_t)(colon - entry) : strlen(entry));

		if (!strv_has(ret_files, file))
			strv_add(ret_files, file);
	}
}

void sources_pick(const char *indextargets, const char *suite, const char *architecture, struct sources *ret,
		  struct strv *ret_files)
{
	struct deb822 target;

	while (deb822_next(&indextargets, &target)) {
		pick_target(&target, suite, architecture, ret, ret_files);
		deb822_release(&target);
	}
}

static void set_text(char **to, const char *value)
{
	if (value && *value && !*to)
		*to = xstrdup(value);
}

static void add_paragraph(struct sources *ret, const struct deb822 *p)
{
	_cleanup_strv_ struct strv uris = { 0 }, suites = { 0 }, types = { 0 };
	const char *enabled = deb822_get(p, "Enabled");

	deb822_words(deb822_get(p, "Types"), &types);
	deb822_words(deb822_get(p, "URIs"), &uris);
	deb822_words(deb822_get(p, "Suites"), &suites);
	if (!strv_has(&types, "deb") || (enabled && (strcmp(enabled, "no") == 0 || strcmp(enabled, "false") == 0)))
		return;
	for (size_t i = 0; i < uris.n * suites.n; i++) {
		struct source *source = sources_add(ret, uris.v[i / suites.n], suites.v[i % suites.n]);

		if (!source->components.n)
			deb822_words(deb822_get(p, "Components"), &source->components);
		set_text(&source->signed_by, deb822_get(p, "Signed-By"));
		set_text(&source->trusted, deb822_get(p, "Trusted"));
		set_text(&source->check_valid_until, deb822_get(p, "Check-Valid-Until"));
	}
}

/* One option of "deb [signed-by=/k.gpg trusted=yes] uri suite component…". */
static void take_option(struct source *source, const char *option)
{
	if (text_starts(option, "signed-by="))
		set_text(&source->signed_by, option + strlen("signed-by="));
	else if (text_starts(option, "trusted="))
		set_text(&source->trusted, option + strlen("trusted="));
	else if (text_starts(option, "check-valid-until="))
		set_text(&source->check_valid_until, option + strlen("check-valid-until="));
}

static void add_line(struct sources *ret, const char *line)
{
	_cleanup_strv_ struct strv words = { 0 }, options = { 0 };
	const char *open, *close;
	struct source *source;

	line += strspn(line, " \t");
	if (!text_starts(line, "deb ") && !text_starts(line, "deb\t"))
		return;
	open = line + 4 + strspn(line + 4, " \t");
	close = *open == '[' ? strchr(open, ']') : NULL;
	if (close) {
		_cleanup_(freep) char *inside = xstrndup(open + 1, (size_t)(close - open - 1));

		deb822_words(inside, &options);
	}
	deb822_words(close ? close + 1 : open, &words);
	if (words.n < 2)
		return;
	source = sources_add(ret, words.v[0], words.v[1]);
	for (size_t i = 2; i < words.n; i++)
		if (!strv_has(&source->components, words.v[i]))
			strv_add(&source->components, words.v[i]);
	for (size_t i = 0; i < options.n; i++)
		take_option(source, options.v[i]);
}

void sources_parse_file(const char *text, bool deb822, struct sources *ret)
{
	struct deb822 paragraph;

	while (deb822 && deb822_next(&text, &paragraph)) {
		add_paragraph(ret, &paragraph);
		deb822_release(&paragraph);
	}
	while (!deb822 && *text) {
		size_t len = strcspn(text, "\n");
		_cleanup_(freep) char *line = xstrndup(text, strcspn(text, "#\n"));

		add_line(ret, line);
		text += len + (text[len] == '\n');
	}
}

void sources_take_options(struct sources *to, const struct sources *from)
{
	for (size_t i = 0; i < to->n; i++) {
		const struct source *source = sources_find(from, to->v[i].uri, to->v[i].release);

		if (!source)
			continue;
		set_text(&to->v[i].signed_by, source->signed_by);
		set_text(&to->v[i].trusted, source->trusted);
		set_text(&to->v[i].check_valid_until, source->check_valid_until);
	}
}

static int read_options(struct sources *sources, const struct strv *files, struct err *err)
{
	for (size_t i = 0; i < files->n; i++) {
		_cleanup_sources_ struct sources in_file = { 0 };
		_cleanup_buf_ struct buf text = { 0 };
		int r = fs_read(files->v[i], MOST_TEXT, &text, err);

		if (r < 0) {
			err_wrap(err, _("Cannot see which keys the host's apt sources use"));
			return r;
		}
		sources_parse_file(buf_text(&text), text_ends(files->v[i], ".sources"), &in_file);
		sources_take_options(sources, &in_file);
	}
	return 0;
}

int sources_of_host(const char *suite, const char *architecture, struct sources *ret, struct err *err)
{
	_cleanup_run_ struct run run = { .timeout_ms = 60000, .most_output = MOST_TEXT };
	_cleanup_sources_ struct sources sources = { 0 };
	_cleanup_buf_ struct buf output = { 0 };
	_cleanup_strv_ struct strv files = { 0 };
	int r;

	strv_add_all(&run.argv, "apt-get", "indextargets", NULL);
	strv_add(&run.env, "LC_ALL=C.UTF-8");
	r = run_checked(&run, &output, err);
	if (r < 0) {
		err_wrap(err, _("Cannot ask apt for the host's package sources"));
		return r;
	}
	sources_pick(buf_text(&output), suite, architecture, &sources, &files);
	if (!sources.n)
		return err_set(
		    err, ENOENT,
		    _("This host's apt sources have no Debian suite '%s' that can be reached over the network: "
		      "add it to /etc/apt/sources.list.d and run apt-get update, or name another suite in "
		      "the recipe"),
		    suite);
	r = read_options(&sources, &files, err);
	if (r < 0)
		return r;
	*ret = sources;
	sources = (struct sources){ 0 };
	return 0;
}

int sources_of_text(const char *text, const char *suite, struct sources *ret, struct err *err)
{
	_cleanup_sources_ struct sources all = { 0 };
	struct sources sources = { 0 };

	sources_parse_file(text, true, &all);
	for (size_t i = 0; i < all.n; i++) {
		if (!belongs_to_suite(all.v[i].release, suite))
			continue;
		sources.v = grow_array(sources.v, sources.n, &sources.cap, sizeof(*sources.v));
		sources.v[sources.n++] = all.v[i];
		all.v[i] = (struct source){ 0 };
	}
	if (!sources.n)
		return err_set(err, ENOENT, _("The apt sources given for images have no suite '%s'"), suite);
	*ret = sources;
	return 0;
}

void sources_write(const struct sources *sources, const char *keys, struct buf *to)
{
	for (size_t i = 0; i < sources->n; i++) {
		const struct source *source = &sources->v[i];
		_cleanup_(freep) char *components = strv_join(&source->components, " ");

		buf_printf(to, "Types: deb\nURIs: %s\nSuites: %s\n", source->uri, source->release);
		if (*components)
			buf_printf(to, "Components: %s\n", components);
		if (source->signed_by && source->signed_by[0] == '/')
			buf_printf(to, "Signed-By: %s/%zu%s\n", keys, i,
				   text_ends(source->signed_by, ".asc") ? ".asc" : ".gpg");
		else if (source->signed_by)
			buf_printf(to, "Signed-By: %s\n", source->signed_by);
		if (source->trusted)
			buf_printf(to, "Trusted: %s\n", source->trusted);
		if (source->check_valid_until)
			buf_printf(to, "Check-Valid-Until: %s\n", source->check_valid_until);
		buf_addc(to, '\n');
	}
}
