/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which of the host's apt sources an image is made from, and what apt's complaints mean. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "image/apt.h"
#include "image/sources.h"

#define TARGET(release, component, origin, uri)                                                                        \
	"MetaKey: " component "/binary-amd64/Packages\nCodename: " release "\nOrigin: " origin                         \
	"\nArchitecture: amd64\nComponent: " component "\nCreated-By: Packages\nRelease: " release "\nRepo-URI: " uri  \
	"\nSourcesentry: /etc/apt/sources.list.d/debian.sources:1\nTarget-Of: deb\n\n"

static const char targets[] = TARGET("bookworm", "main", "Debian", "http://mirror.example.org/debian/")
    TARGET("bookworm", "contrib", "Debian", "http://mirror.example.org/debian/")
	TARGET("bookworm-security", "main", "Debian", "http://mirror.example.org/security/")
	    TARGET("bookworm-backports", "main", "Debian", "http://mirror.example.org/debian/")
		TARGET("bookworm", "stable", "Docker", "http://docker.example.org/")
		    TARGET("bullseye", "main", "Debian", "http://mirror.example.org/debian/")
			TARGET("bookworm", "main", "Debian", "file:/srv/mirror/");

static void pick(const char *suite, struct sources *ret)
{
	_cleanup_strv_ struct strv files = { 0 };

	sources_pick(targets, suite, "amd64", ret, &files);
}

static void takes_debian_of_the_suite_only(void **state)
{
	_cleanup_sources_ struct sources sources = { 0 };
	_cleanup_buf_ struct buf text = { 0 };

	(void)state;
	pick("bookworm", &sources);
	sources_write(&sources, "/keys", &text);
	assert_string_equal(
	    buf_text(&text),
	    "Types: deb\nURIs: http://mirror.example.org/debian/\nSuites: bookworm\nComponents: main contrib\n\n"
	    "Types: deb\nURIs: http://mirror.example.org/security/\nSuites: bookworm-security\n"
	    "Components: main\n\n");
}

static void a_suite_that_the_host_lacks_gives_nothing(void **state)
{
	_cleanup_sources_ struct sources sources = { 0 };

	(void)state;
	pick("sid", &sources);
	assert_int_equal(sources.n, 0);
}

static void another_architecture_is_not_taken(void **state)
{
	_cleanup_sources_ struct sources sources = { 0 };
	_cleanup_strv_ struct strv files = { 0 };

	(void)state;
	sources_pick(targets, "bookworm", "arm64", &sources, &files);
	assert_int_equal(sources.n, 0);
}

static void keys_come_from_a_sources_file(void **state)
{
	static const char file[] =
	    "# comment\nTypes: deb deb-src\nURIs: http://mirror.example.org/debian\n"
	    "Suites: bookworm bookworm-updates\nComponents: main\nSigned-By: /usr/share/keyrings/k.gpg\n";
	_cleanup_sources_ struct sources sources = { 0 }, in_file = { 0 };

	(void)state;
	pick("bookworm", &sources);
	sources_parse_file(file, true, &in_file);
	sources_take_options(&sources, &in_file);
	assert_string_equal(sources.v[0].signed_by, "/usr/share/keyrings/k.gpg");
	assert_null(sources.v[1].signed_by);
}

static void keys_come_from_a_one_line_file(void **state)
{
	static const char file[] =
	    "deb-src http://x.example.org/ a b\n"
	    "deb [arch=amd64 signed-by=/k.asc trusted=yes] http://mirror.example.org/debian bookworm main # x\n";
	_cleanup_sources_ struct sources sources = { 0 }, in_file = { 0 };

	(void)state;
	pick("bookworm", &sources);
	sources_parse_file(file, false, &in_file);
	sources_take_options(&sources, &in_file);
	assert_int_equal(in_file.n, 1);
	assert_string_equal(sources.v[0].signed_by, "/k.asc");
	assert_string_equal(sources.v[0].trusted, "yes");
}

static void a_key_in_armour_is_written_as_it_was(void **state)
{
	static const char file[] = "Types: deb\nURIs: http://m.example.org\nSuites: bookworm\nComponents: main\n"
				   "Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc\n";
	_cleanup_sources_ struct sources sources = { 0 };
	_cleanup_buf_ struct buf text = { 0 };

	(void)state;
	sources_parse_file(file, true, &sources);
	sources_write(&sources, "/keys", &text);
	assert_non_null(strstr(buf_text(&text), "Signed-By: \n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc\n"));
}

static void a_disabled_source_is_not_taken(void **state)
{
	_cleanup_sources_ struct sources sources = { 0 };

	(void)state;
	sources_parse_file("Enabled: no\nTypes: deb\nURIs: http://m.example.org\nSuites: bookworm\n", true, &sources);
	assert_int_equal(sources.n, 0);
}

static void explained(const char *output, int code, const char *part)
{
	_cleanup_err_ struct err err = ERR_INIT;

	assert_int_equal(apt_explain(output, "web", "bookworm", &err), code);
	if (part)
		assert_non_null(strstr(err_text(&err), part));
}

static void says_which_package_is_missing(void **state)
{
	(void)state;
	explained("Reading…\nE: Unable to locate package ngnix-light\n", -ENOENT, "package ngnix-light");
	explained("E: Unable to locate package ngnix-light\n", -ENOENT, "recipe web");
	explained("E: Package 'php7' has no installation candidate\n", -ENOENT, "php7");
	explained("E: Version '9' for 'nginx' was not found\n", -ENOENT, "nginx");
}

static void says_that_the_mirror_is_away(void **state)
{
	(void)state;
	explained("E: Failed to fetch http://192.0.2.1/x  Could not connect\n", -EHOSTUNREACH, "http://192.0.2.1/x");
}

static void says_that_the_disk_is_full(void **state)
{
	(void)state;
	explained("dpkg: error: No space left on device\n", -ENOSPC, NULL);
	explained("E: You don't have enough free space in /var/cache/apt/archives/.\n", -ENOSPC, NULL);
}

static void what_is_not_known_is_not_explained(void **state)
{
	(void)state;
	explained("dpkg: error processing package x\n", 0, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_debian_of_the_suite_only),
		cmocka_unit_test(a_suite_that_the_host_lacks_gives_nothing),
		cmocka_unit_test(another_architecture_is_not_taken),
		cmocka_unit_test(keys_come_from_a_sources_file),
		cmocka_unit_test(keys_come_from_a_one_line_file),
		cmocka_unit_test(a_key_in_armour_is_written_as_it_was),
		cmocka_unit_test(a_disabled_source_is_not_taken),
		cmocka_unit_test(says_which_package_is_missing),
		cmocka_unit_test(says_that_the_mirror_is_away),
		cmocka_unit_test(says_that_the_disk_is_full),
		cmocka_unit_test(what_is_not_known_is_not_explained),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
