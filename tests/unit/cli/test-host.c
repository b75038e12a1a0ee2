/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "cli/host-install.h"
#include "cli/host-package.h"
#include "cli/host-step.h"
#include "cli/host-view.h"
#include "cli/output.h"

static const char facts[] =
    "id=debian version=12\nsystem=Debian GNU/Linux 12 (bookworm)\nsystemd=yes\narchitecture=amd64\n"
    "installed=0.1.0 5b8c\nconsul=yes\nagent=yes\n";

static void release(struct host_self *f)
{
	free(f->system);
	free(f->architecture);
	free(f->installed);
	free(f->build);
}

static void facts_are_read(void **state)
{
	_cleanup_(freep) char *text = xasprintf("%send=yes\n", facts), *room = NULL;
	struct host_self f = { 0 };

	(void)state;
	assert_int_equal(self_parse(text, &f, &room, NULL), 0);
	assert_string_equal(f.architecture, "amd64");
	assert_string_equal(f.installed, "0.1.0");
	assert_string_equal(f.build, "5b8c");
	assert_true(f.consul && f.agent && f.systemd && !f.interrupted);
	assert_null(room);
	release(&f);
}

static void a_package_of_no_build_is_no_reason_to_fall(void **state)
{
	_cleanup_(freep) char *room = NULL;
	struct host_self f = { 0 };

	(void)state;
	assert_int_equal(self_parse("id=debian version=12\ninstalled=0.0.9\nend=yes\n", &f, &room, NULL), 0);
	assert_string_equal(f.installed, "0.0.9");
	assert_null(f.build);
	release(&f);
}

static void little_room_is_said(void **state)
{
	_cleanup_(freep) char *text = xasprintf("%sroom=/var/lib 20480 512000\nend=yes\n", facts), *room = NULL;
	struct host_self f = { 0 };

	(void)state;
	assert_int_equal(self_parse(text, &f, &room, NULL), 0);
	assert_string_equal(room, "/var/lib has 20 MiB of free space, and 500 MiB are needed");
	release(&f);
}

static void another_system_is_refused(void **state)
{
	_cleanup_(freep) char *room = NULL;
	_cleanup_err_ struct err err = ERR_INIT;
	struct host_self f = { 0 };

	(void)state;
	assert_int_equal(self_parse("id=debian version=11\nsystem=Debian 11\nend=yes\n", &f, &room, &err), -ENOTSUP);
	assert_non_null(strstr(err.message, "Debian 11"));
	release(&f);
}

static void an_answer_that_ends_early_is_refused(void **state)
{
	_cleanup_(freep) char *room = NULL;
	struct host_self f = { 0 };

	(void)state;
	assert_int_equal(self_parse(facts, &f, &room, NULL), -EPROTO);
}

static void who_holds_the_lock_is_read(void **state)
{
	_cleanup_(freep) char *one =
	    apt_lock_holder("E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process "
			    "4711 (apt-get)\nN: Be aware\n");
	_cleanup_(freep) char *two = apt_lock_holder("E: Could not get lock /var/lib/apt/lists/lock - open (11)\n");

	(void)state;
	assert_string_equal(one, "process 4711 (apt-get)");
	assert_string_equal(two, "another process");
	assert_null(apt_lock_holder("E: Unable to locate package tepuy\n"));
}

static void feed(struct step_reader *reader, const char *text)
{
	for (; *text; text++) /* byte by byte, as a network may */
		assert_int_equal(step_reader_feed(reader, text, 1), 0);
}

static void a_step_is_read_to_its_result(void **state)
{
	struct cluster cluster = { 0 };
	struct member host = { .host = &(struct host){ .item = { .name = (char *)"h1" } } };
	struct step_reader reader = { .cluster = &cluster, .host = &host };

	(void)state;
	feed(&reader, "{\"step\":\"runtime\",\"item\":\"package\",\"state\":\"unchanged\",\"text\":\"a\"}\n"
		      "{\"step\":\"runtime\",\"item\":\"service\",\"state\":\"begin\",\"text\":\"b\"}\n"
		      "{\"step\":\"runtime\",\"item\":\"service\",\"state\":\"done\",\"text\":\"c\"}\n"
		      "{\"result\":{\"version\":\"20.10\"}}\n");
	assert_true(reader.over);
	assert_int_equal(host.changes, 1);
	assert_string_equal(json_text(reader.result, "version"), "20.10");
	step_reader_release(&reader);
}

static void what_is_signed_for_another_changes_that_one(void **state)
{
	struct host names[] = { { .item = { .name = (char *)"h1" } }, { .item = { .name = (char *)"h2" } } };
	struct member members[] = { { .host = &names[0] }, { .host = &names[1] } };
	struct cluster cluster = { .v = members, .n = 2 };
	struct step_reader reader = { .cluster = &cluster, .host = &members[0] };

	(void)state;
	feed(&reader, "{\"step\":\"sign\",\"item\":\"h2\",\"state\":\"done\",\"text\":\"a\"}\n{\"result\":{}}\n");
	assert_int_equal(members[0].changes, 0);
	assert_int_equal(members[1].changes, 1);
	step_reader_release(&reader);
}

static void the_error_of_a_step_keeps_its_code(void **state)
{
	struct cluster cluster = { 0 };
	struct member host = { .host = &(struct host){ .item = { .name = (char *)"h1" } } };
	struct step_reader reader = { .cluster = &cluster, .host = &host };

	(void)state;
	feed(&reader, "{\"error\":{\"text\":\"The disk is full\",\"code\":\"ENOSPC\"}}\n");
	assert_true(reader.over);
	assert_int_equal(reader.err.code, ENOSPC);
	assert_string_equal(reader.err.message, "The disk is full");
	step_reader_release(&reader);
}

static void what_is_no_step_is_refused(void **state)
{
	static const char text[] = "Last login: never\n";
	struct cluster cluster = { 0 };
	struct member host = { .host = &(struct host){ .item = { .name = (char *)"h1" } } };
	struct step_reader reader = { .cluster = &cluster, .host = &host };

	(void)state;
	assert_int_equal(step_reader_feed(&reader, text, strlen(text)), -EPROTO);
	step_reader_release(&reader);
}

static void add_member(struct archive *archive, const char *name, const void *data, size_t len)
{
	struct archive_entry *entry = archive_entry_new();

	archive_entry_set_pathname(entry, name);
	archive_entry_set_size(entry, (la_int64_t)len);
	archive_entry_set_filetype(entry, AE_IFREG);
	archive_entry_set_perm(entry, 0644);
	assert_int_equal(archive_write_header(archive, entry), ARCHIVE_OK);
	assert_int_equal(archive_write_data(archive, data, len), (la_ssize_t)len);
	archive_entry_free(entry);
}

/* As dpkg-deb makes it: an ar with a compressed tar. */
static void write_deb(const char *path, const char *control)
{
	struct archive *tar = archive_write_new(), *ar = archive_write_new();
	static char bytes[65536];
	size_t used = 0;

	archive_write_set_format_ustar(tar);
	archive_write_add_filter_xz(tar);
	archive_write_open_memory(tar, bytes, sizeof(bytes), &used);
	add_member(tar, "./md5sums", "", 0);
	add_member(tar, "./control", control, strlen(control));
	archive_write_close(tar);
	archive_write_free(tar);
	archive_write_set_format_ar_bsd(ar);
	assert_int_equal(archive_write_open_filename(ar, path), ARCHIVE_OK);
	add_member(ar, "debian-binary", "2.0\n", 4);
	add_member(ar, "control.tar.xz", bytes, used);
	archive_write_close(ar);
	archive_write_free(ar);
}

static void a_package_says_what_it_is(void **state)
{
	char directory[] = "/tmp/tt-test-host.XXXXXX";
	_cleanup_(freep) char *path = NULL, *other = NULL;
	_cleanup_debs_ struct debs debs = { 0 };
	_cleanup_strv_ struct strv given = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;

	(void)state;
	assert_non_null(mkdtemp(directory));
	path = fs_join(directory, "a.deb");
	other = fs_join(directory, "b.deb");
	write_deb(path, "Package: tepuy\nVersion: 0.2.0\nArchitecture: amd64\nTepuy-Build: 5b8c\n");
	write_deb(other, "Package: nginx\nVersion: 1.22\nArchitecture: amd64\n");
	strv_add(&given, path);
	assert_int_equal(debs_find(&given, &debs, &err), 0);
	assert_string_equal(debs_for(&debs, "amd64")->version, "0.2.0");
	assert_string_equal(debs_for(&debs, "amd64")->build, "5b8c");
	assert_null(debs_for(&debs, "arm64"));
	debs_release(&debs);
	strv_add(&given, other);
	assert_int_equal(debs_find(&given, &debs, &err), -EINVAL);
	assert_non_null(strstr(err.message, "package of nginx"));
	assert_int_equal(fs_write(path, "no archive", 10, 0644, NULL), 0);
	assert_int_equal(debs_find(&given, &debs, &err), -EINVAL);
	fs_remove_tree(directory, NULL);
}

/* --- what an agent says of a host --- */

static void a_host_with_data_is_refused(void **state)
{
	_cleanup_json_ json_t *with = json_pack("{s:s, s:[s, s]}", "name", "srv2", "data", "mail/box/1", "portal/db/1"),
			      *without = json_pack("{s:s, s:[]}", "name", "srv2", "data"),
			      *of_old = json_pack("{s:s}", "name", "srv2");
	_cleanup_err_ struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(host_refuse_data(with, &err), -EBUSY);
	assert_non_null(strstr(err_text(&err), "mail/box/1, portal/db/1 is on srv2"));
	assert_int_equal(host_refuse_data(without, NULL), 0);
	assert_int_equal(host_refuse_data(of_old, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(facts_are_read),
		cmocka_unit_test(a_package_of_no_build_is_no_reason_to_fall),
		cmocka_unit_test(little_room_is_said),
		cmocka_unit_test(another_system_is_refused),
		cmocka_unit_test(an_answer_that_ends_early_is_refused),
		cmocka_unit_test(who_holds_the_lock_is_read),
		cmocka_unit_test(a_step_is_read_to_its_result),
		cmocka_unit_test(what_is_signed_for_another_changes_that_one),
		cmocka_unit_test(the_error_of_a_step_keeps_its_code),
		cmocka_unit_test(what_is_no_step_is_refused),
		cmocka_unit_test(a_package_says_what_it_is),
		cmocka_unit_test(a_host_with_data_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
