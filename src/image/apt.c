/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "image/apt.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fs.h"
#include "base/i18n.h"
#include "base/run.h"
#include "base/text.h"

#define MOST_FILE ((size_t)4 << 20)

/* Copies a small file; 1 when it is not there. */
static int copy_file(const char *from, const char *to, mode_t mode, struct err *err)
{
	_cleanup_buf_ struct buf content = { 0 };
	_cleanup_err_ struct err why = ERR_INIT;
	int r = fs_read(from, MOST_FILE, &content, &why);

	if (r == -ENOENT)
		return 1;
	if (r < 0)
		return err_set(err, -r, "%s", err_text(&why));
	return fs_write(to, content.data ? content.data : "", content.len, mode, err);
}

/* Copies the plain files of a directory such as trusted.gpg.d. */
static int copy_parts(const char *from, const char *to, mode_t mode, struct err *err)
{
	DIR *stream = opendir(from);
	struct dirent *e;
	int r = fs_mkdirs(to, 0755, err);

	while (r >= 0 && stream && (e = readdir(stream))) {
		_cleanup_(freep) char *source = fs_join(from, e->d_name), *target = fs_join(to, e->d_name);
		struct stat st;

		if (stat(source, &st) == 0 && S_ISREG(st.st_mode))
			r = copy_file(source, target, mode, err);
	}
	if (stream)
		closedir(stream);
	return r < 0 ? r : 0;
}

static int copy_keys(const struct sources *sources, const char *dir, struct err *err)
{
	_cleanup_(freep) char *keys = fs_join(dir, "keys"), *trusted = fs_join(dir, "trusted.gpg");
	_cleanup_(freep) char *parts = fs_join(dir, "trusted.gpg.d");
	int r = fs_mkdirs(keys, 0755, err);

	for (size_t i = 0; r >= 0 && i < sources->n; i++) {
		const char *key = sources->v[i].signed_by;
		_cleanup_(freep) char *to = NULL;

		if (!key || key[0] != '/')
			continue;
		to = xasprintf("%s/%zu%s", keys, i, text_ends(key, ".asc") ? ".asc" : ".gpg");
		r = copy_file(key, to, 0644, err);
		if (r == 1)
			r = err_set(err, ENOENT, _("The key %s of the package source %s is missing on this host"), key,
				    sources->v[i].uri);
	}
	if (r >= 0)
		r = copy_file("/etc/apt/trusted.gpg", trusted, 0644, err);
	return r < 0 ? r : copy_parts("/etc/apt/trusted.gpg.d", parts, 0644, err);
}

/* Proxies and the like. Programs and files of the host that an option names do not exist inside, so those stay out. */
static bool option_travels(const char *line)
{
	static const char *const kinds[] = { "Acquire::http::", "Acquire::https::", "Acquire::Retries ",
					     "Acquire::Check-Valid-Until " };
	static const char *const local[] = { "AutoDetect", "Auto-Detect", "CaInfo", "CAInfo",
					     "CaPath",     "SslCert",     "SslKey", "CrlFile" };
	bool travels = false;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		travels |= text_starts(line, kinds[i]);
	for (size_t i = 0; i < ARRAY_SIZE(local); i++)
		travels &= strstr(line, local[i]) == NULL;
	return travels;
}

static int add_host_options(struct buf *conf, struct err *err)
{
	_cleanup_run_ struct run run = { .timeout_ms = 60000, .most_output = MOST_FILE };
	_cleanup_buf_ struct buf output = { 0 };
	int r;

	strv_add_all(&run.argv, "apt-config", "dump", NULL);
	r = run_checked(&run, &output, err);
	if (r < 0) {
		err_wrap(err, _("Cannot read the host's apt configuration"));
		return r;
	}
	for (char *rest = output.data, *line; rest && (line = strsep(&rest, "\n"));)
		if (option_travels(line))
			buf_printf(conf, "%s\n", line);
	return 0;
}

/* "apt-options": what mmdebstrap passes on; "apt.conf": that, and directories of its own, for APT_CONFIG. */
static int write_configuration(const char *dir, const char *seen_as, struct err *err)
{
	_cleanup_(freep) char *conf_path = fs_join(dir, "apt.conf"), *options_path = fs_join(dir, "apt-options");
	_cleanup_(freep) char *ca = fs_join(dir, "ca.crt");
	_cleanup_buf_ struct buf conf = { 0 };
	int r = add_host_options(&conf, err);

	if (r < 0)
		return r;
	r = copy_file("/etc/ssl/certs/ca-certificates.crt", ca, 0644, err);
	if (r < 0)
		return r;
	if (r == 0)
		buf_printf(&conf, "Acquire::https::CAInfo \"%s/ca.crt\";\n", seen_as);
	buf_printf(&conf, "Dir::Etc::netrc \"%s/auth.conf\";\nDir::Etc::netrcparts \"%s/auth.conf.d\";\n", seen_as,
		   seen_as);
	buf_adds(&conf, "APT::Update::Error-Mode \"any\";\nAcquire::Languages \"none\";\n");
	r = fs_write(options_path, conf.data, conf.len, 0644, err);
	if (r < 0)
		return r;
	buf_printf(&conf, "Dir::Etc::SourceList \"/dev/null\";\nDir::Etc::SourceParts \"%s/sources.list.d\";\n",
		   seen_as);
	buf_printf(&conf, "Dir::Etc::Trusted \"%s/trusted.gpg\";\nDir::Etc::TrustedParts \"%s/trusted.gpg.d\";\n",
		   seen_as, seen_as);
	buf_printf(&conf, "Dir::State::Lists \"%s/lists\";\nDir::Cache \"%s/cache\";\nDir::Log \"%s/log\";\n", seen_as,
		   seen_as, seen_as);
	buf_adds(&conf,
		 "APT::Install-Recommends \"false\";\nAPT::Install-Suggests \"false\";\nDpkg::Use-Pty \"false\";\n");
	return fs_write(conf_path, conf.data, conf.len, 0644, err);
}

int apt_prepare(const struct sources *sources, const char *dir, const char *seen_as, struct err *err)
{
	static const char *const parts[] = { "sources.list.d", "lists/partial", "cache/archives/partial", "log" };
	_cleanup_(freep) char *file = fs_join(dir, "sources.list.d/tepuy.sources"), *keys = fs_join(seen_as, "keys");
	_cleanup_(freep) char *auth = fs_join(dir, "auth.conf"), *auths = fs_join(dir, "auth.conf.d");
	_cleanup_buf_ struct buf text = { 0 };
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(parts); i++) {
		_cleanup_(freep) char *path = fs_join(dir, parts[i]);

		r = fs_mkdirs(path, 0755, err);
	}
	sources_write(sources, keys, &text);
	if (r == 0)
		r = fs_write(file, buf_text(&text), text.len, 0644, err);
	if (r == 0)
		r = copy_keys(sources, dir, err);
	if (r == 0)
		r = copy_file("/etc/apt/auth.conf", auth, 0600, err);
	if (r >= 0)
		r = copy_parts("/etc/apt/auth.conf.d", auths, 0600, err);
	return r < 0 ? r : write_configuration(dir, seen_as, err);
}

/* The first line of `output` that has `mark`, from the mark on; owned by the caller, NULL: none. */
static char *line_with(const char *output, const char *mark)
{
	const char *found = strstr(output, mark);
	char *line = found ? xstrndup(found, strcspn(found, "\n")) : NULL;

	if (line)
		text_printable(line, false);
	return line;
}

static int explain_package(const char *output, const char *recipe, const char *suite, struct err *err)
{
	static const char *const marks[] = { "E: Unable to locate package ", "E: Couldn't find any package by regex ",
					     "E: Couldn't find any package by glob " };
	_cleanup_(freep) char *line = NULL, *rest = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(marks); i++) {
		line = line_with(output, marks[i]);
		if (line)
			return err_set(
			    err, ENOENT,
			    _("The recipe %s wants the package %s, which suite %s does not have: check its name "
			      "in the recipe's `packages`"),
			    recipe, line + strlen(marks[i]), suite);
	}
	rest = line_with(output, "has no installation candidate");
	if (!rest)
		rest = line_with(output, "E: Version '");
	if (!rest)
		return 0;
	line = line_with(output, "E: Package '");
	return err_set(err, ENOENT, _("The recipe %s wants a package that suite %s cannot give: %s"), recipe, suite,
		       line ? line : rest);
}

int apt_explain(const char *output, const char *recipe, const char *suite, struct err *err)
{
	static const char *const unmet = "The following packages have unmet dependencies";
	_cleanup_(freep) char *fetch = NULL;
	int r;

	if (strstr(output, "No space left on device") || strstr(output, "enough free space"))
		return -ENOSPC;
	r = explain_package(output, recipe, suite, err);
	if (r < 0)
		return r;
	fetch = line_with(output, "Failed to fetch ");
	if (!fetch)
		fetch = line_with(output, "Could not resolve ");
	if (fetch)
		return err_set(err, EHOSTUNREACH,
			       _("The package mirror cannot be used (%s): check the network and try apt-get update "
				 "on this host"),
			       fetch);
	if (strstr(output, unmet))
		return err_set(err, EIO, _("The packages of recipe %s cannot be installed together from suite %s"),
			       recipe, suite);
	return 0;
}
