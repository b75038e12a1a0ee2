/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The Xen driver on a host whose `xl` is a script: what it makes of directories, states and machines that do not fit.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fs.h"
#include "runtime/xen.h"

#define OURS "tepuy.shop.web.1.1"
#define OTHER "tepuy.shop.web.1.2"

/* `xl list` says what `domains` has; all calls are noted in `calls`; `create` fails. */
static const char xl[] =
    "#!/bin/sh\n"
    "dir=$(dirname \"$0\")\n"
    "echo \"$*\" >>\"$dir/calls\"\n"
    "case \"$1 $2\" in\n"
    "'list ') cat \"$dir/domains\" ;;\n"
    "'info ') printf 'xen_version            : 4.17.5\\nfree_memory            : 100\\n' ;;\n"
    "'destroy '*) sed -i \"/^$2 /d\" \"$dir/domains\" ;;\n"
    "'create '*) echo 'libxl: error: this xl cannot create' >&2; echo 'libxl: error: nor clear away' >&2;"
    " exit 3 ;;\n"
    "*) echo \"this xl cannot $1\" >&2; exit 1 ;;\n"
    "esac\n";

struct host {
	char *dir;
	struct runtime *rt;
};

static void write_file(const struct host *host, const char *name, const char *text, mode_t mode)
{
	_cleanup_(freep) char *path = fs_join(host->dir, name);

	assert_int_equal(fs_write(path, text, strlen(text), mode, NULL), 0);
}

static void make_directory(const struct host *host, const char *name)
{
	_cleanup_(freep) char *path = fs_join(host->dir, name);

	assert_int_equal(fs_mkdirs(path, 0700, NULL), 0);
}

#define ROW "%-40s %5d   352     1     %s       1.0\n"

/* Domain-0 and those, NULL at the end: names, each with its state behind a blank if it is another than alive. */
static void domains(const struct host *host, ...)
{
	_cleanup_buf_ struct buf text = { 0 };
	const char *name;
	va_list ap;
	int id = 0;

	buf_adds(&text, "Name                                        ID   Mem VCPUs\tState\tTime(s)\n");
	buf_printf(&text, ROW, "Domain-0", id, "r-----");
	va_start(ap, host);
	while ((name = va_arg(ap, const char *))) {
		_cleanup_(freep) char *one = xstrndup(name, strcspn(name, " "));

		buf_printf(&text, ROW, one, ++id, name[strlen(one)] ? name + strlen(one) + 1 : "-b----");
	}
	va_end(ap);
	write_file(host, "domains", buf_text(&text), 0644);
}

static int host_make(void **state)
{
	struct host *host = xcalloc(1, sizeof(*host));
	const char *tmp = getenv("TMPDIR"), *path = getenv("PATH");
	_cleanup_(freep) char *config = NULL, *file = NULL, *first = NULL;

	host->dir = xasprintf("%s/tt-xen-host.XXXXXX", tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(host->dir));
	config = xasprintf("{\"bridge\":\"xenbr0\",\"addresses\":\"192.0.2.100-192.0.2.120/24\",\"type\":\"pv\","
			   "\"directory\":\"%s\"}",
			   host->dir);
	first = xasprintf("%s:%s", host->dir, path);
	setenv("PATH", first, 1);
	write_file(host, "xen.json", config, 0644);
	write_file(host, "xl", xl, 0755);
	domains(host, NULL);
	write_file(host, "calls", "", 0644);
	write_file(host, "kernel", "", 0644);
	write_file(host, "initrd", "", 0644);
	make_directory(host, "state");
	make_directory(host, "nodes");
	file = fs_join(host->dir, "xen.json");
	assert_int_equal(runtime_open("xen", file, &host->rt, NULL), 0);
	*state = host;
	return 0;
}

static int host_free(void **state)
{
	struct host *host = *state;
	const char *path = strchr(getenv("PATH"), ':');
	_cleanup_(freep) char *rest = xstrdup(path + 1);

	setenv("PATH", rest, 1);
	runtime_free(host->rt);
	fs_remove_tree(host->dir, NULL);
	free(host->dir);
	free(host);
	return 0;
}

/* A node without a network; `volume`: where its disk is, NULL: none. Without `record` it is half made. */
static void node(const struct host *host, const char *name, const char *volume, const struct xen_record *record)
{
	struct strv labels = { 0 }, argv = { 0 }, env = { 0 };
	struct runtime_mount mount = { .from = (char *)volume, .to = (char *)"/data" };
	static const struct image image;
	struct runtime_spec spec = { .name = name,
				     .host_name = "web-1.shop",
				     .labels = &labels,
				     .image = &image,
				     .image_ref = "0123abcd",
				     .argv = &argv,
				     .env = &env,
				     .mounts = &mount,
				     .n_mounts = volume ? 1 : 0,
				     .isolated = true };
	_cleanup_xen_node_ struct xen_node node = { 0 };
	_cleanup_(freep) char *text = NULL, *dir = xasprintf("nodes/%s", name), *file = NULL, *state = NULL;
	_cleanup_(freep) char *record_text = NULL;

	strv_addf(&labels, RUNTIME_LABEL_INSTANCE "=%s", name + strlen("tepuy."));
	strv_add(&argv, "/bin/true");
	xen_node_from_spec(&spec, &node);
	text = xen_node_encode(&node);
	make_directory(host, dir);
	file = xasprintf("%s/node.json", dir);
	write_file(host, file, text, 0600);
	if (record) {
		state = xasprintf("state/%s.json", name);
		record_text = xen_record_encode(record);
		write_file(host, state, record_text, 0600);
	}
	strv_release(&labels);
	strv_release(&argv);
}

static int hold(const struct host *host, const char *name)
{
	_cleanup_(freep) char *path = xasprintf("%s/nodes/%s", host->dir, name);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	return fd;
}

static bool was_called(const struct host *host, const char *what)
{
	_cleanup_(freep) char *path = fs_join(host->dir, "calls");
	_cleanup_buf_ struct buf text = { 0 };

	assert_int_equal(fs_read(path, 1u << 20, &text, NULL), 0);
	return strstr(buf_text(&text), what) != NULL;
}

static struct xen_record record_of(const struct host *host, const char *name)
{
	_cleanup_(freep) char *path = xasprintf("%s/state/%s.json", host->dir, name);
	_cleanup_buf_ struct buf text = { 0 };
	struct xen_record record = { 0 };

	assert_int_equal(fs_read(path, 65536, &text, NULL), 0);
	assert_int_equal(xen_record_decode(buf_text(&text), text.len, &record, NULL), 0);
	return record;
}

static const struct xen_record running = { .phase = XEN_RUNNING,
					   .wanted = true,
					   .run = 1,
					   .sequence = 1,
					   .started_ms = 1 },
			       starting = { .phase = XEN_STARTING, .wanted = true, .run = 1, .sequence = 1 },
			       made = { .phase = XEN_MADE };

static void machines_that_nothing_here_made_are_told(void **state)
{
	const struct host *host = *state;
	struct strv strays = { 0 };
	struct runtime_node *nodes, one;
	_cleanup_err_ struct err err = ERR_INIT;
	size_t n;

	node(host, OURS, NULL, &running);
	domains(host, OURS, "tepuy.shop.web.9.9", "windows", NULL);
	assert_int_equal(host->rt->ops->strays(host->rt, &strays, NULL), 0);
	assert_int_equal(strays.n, 1);
	assert_string_equal(strays.v[0], "tepuy.shop.web.9.9");
	strv_release(&strays);
	assert_int_equal(host->rt->ops->list(host->rt, &nodes, &n, NULL), 0);
	assert_int_equal(n, 1);
	assert_string_equal(nodes[0].id, OURS);
	assert_int_equal(nodes[0].state, RUNTIME_RUNNING);
	runtime_nodes_free(nodes, n);
	/* And left alone. */
	assert_int_equal(host->rt->ops->inspect(host->rt, "windows", &one, NULL), -EPERM);
	assert_int_equal(host->rt->ops->stop(host->rt, "tepuy.shop.web.9.9", 1000, NULL), -EPERM);
	assert_int_equal(host->rt->ops->remove(host->rt, "tepuy.shop.web.9.9", &err), -EPERM);
	assert_non_null(strstr(err_text(&err), "was not made by tepuy"));
	assert_int_equal(host->rt->ops->remove(host->rt, "tepuy.shop.web.8.8", NULL), 0);
	assert_false(was_called(host, "destroy"));
}

static void a_half_made_node_is_broken_until_it_is_removed(void **state)
{
	const struct host *host = *state;
	struct runtime_node *nodes;
	_cleanup_(freep) char *dir = fs_join(host->dir, "nodes/" OURS);
	size_t n;
	int lock;

	node(host, OURS, NULL, NULL);
	assert_int_equal(host->rt->ops->list(host->rt, &nodes, &n, NULL), 0);
	assert_int_equal(n, 1);
	assert_int_equal(nodes[0].state, RUNTIME_BROKEN);
	runtime_nodes_free(nodes, n);
	/* While somebody makes it, it is not there yet. */
	lock = hold(host, OURS);
	assert_int_equal(host->rt->ops->list(host->rt, &nodes, &n, NULL), 0);
	assert_int_equal(n, 0);
	runtime_nodes_free(nodes, n);
	close(lock);
	assert_int_equal(host->rt->ops->start(host->rt, OURS, NULL), -EIO);
	assert_int_equal(host->rt->ops->remove(host->rt, OURS, NULL), 0);
	assert_int_equal(access(dir, F_OK), -1);
}

static void a_machine_that_went_without_a_word_was_killed(void **state)
{
	const struct host *host = *state;
	struct runtime_node one;

	node(host, OURS, NULL, &running);
	domains(host, NULL);
	assert_int_equal(host->rt->ops->inspect(host->rt, OURS, &one, NULL), 0);
	assert_int_equal(one.state, RUNTIME_EXITED);
	assert_int_equal(one.exit_code, 137);
	runtime_node_release(&one);
	assert_int_equal(record_of(host, OURS).phase, XEN_ENDED);
	assert_true(record_of(host, OURS).wanted);
}

/* Its guard, if xl left one, died with the agent that had started it. */
static void a_machine_whose_system_has_ended_is_cleared_away(void **state)
{
	static const char *const ends[] = { OURS " ---s--", OURS " ---sc-" };
	const struct host *host = *state;
	struct runtime_node one;

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		node(host, OURS, NULL, &running);
		domains(host, ends[i], NULL);
		write_file(host, "calls", "", 0644);
		assert_int_equal(host->rt->ops->inspect(host->rt, OURS, &one, NULL), 0);
		assert_int_equal(one.state, RUNTIME_EXITED);
		runtime_node_release(&one);
		assert_true(was_called(host, "destroy " OURS));
		assert_int_equal(record_of(host, OURS).phase, XEN_ENDED);
	}
	/* One that an administrator paused runs. */
	node(host, OURS, NULL, &running);
	domains(host, OURS " --p---", NULL);
	assert_int_equal(host->rt->ops->inspect(host->rt, OURS, &one, NULL), 0);
	assert_int_equal(one.state, RUNTIME_RUNNING);
	runtime_node_release(&one);
}

/* Its disk is mounted here only when no domain has it any more. */
static void a_disk_is_written_only_when_its_machine_is_cleared_away(void **state)
{
	const struct host *host = *state;
	struct runtime_file file = { .path = (char *)"/a", .data = "a", .len = 1, .mode = 0644 };

	node(host, OURS, NULL, &running);
	domains(host, OURS " ---s--", NULL);
	assert_true(host->rt->ops->put(host->rt, OURS, &file, 1, NULL) < 0); /* this node has no disk */
	assert_true(was_called(host, "destroy " OURS));
}

/* xl was killed at it: it has memory and a name, and would be in the way for ever. */
static void a_machine_that_is_half_made_is_made_anew(void **state)
{
	const struct host *host = *state;

	node(host, OURS, NULL, &starting);
	domains(host, OURS " --p---", NULL);
	assert_int_equal(host->rt->ops->start(host->rt, OURS, NULL), -EIO); /* this xl cannot create */
	assert_true(was_called(host, "destroy " OURS));
	assert_true(was_called(host, "create"));
	domains(host, OURS " --p---", NULL);
	write_file(host, "calls", "", 0644);
	assert_int_equal(host->rt->ops->remove(host->rt, OURS, NULL), 0);
	assert_true(was_called(host, "destroy " OURS));
}

static void a_disk_is_never_in_two_machines(void **state)
{
	const struct host *host = *state;
	_cleanup_(freep) char *volume = fs_join(host->dir, "volume");
	_cleanup_err_ struct err err = ERR_INIT;
	int lock;

	make_directory(host, "volume");
	write_file(host, "volume/disk.img", "", 0600);
	node(host, OURS, volume, &made);
	node(host, OTHER, volume, &made);
	/* xl cannot create anything, but the disk was taken. */
	assert_int_equal(host->rt->ops->start(host->rt, OURS, &err), -EIO);
	assert_non_null(strstr(err_text(&err), "this xl cannot create"));
	assert_int_equal(record_of(host, OURS).phase, XEN_MADE);

	domains(host, OURS, NULL);
	write_file(host, "calls", "", 0644);
	assert_int_equal(host->rt->ops->start(host->rt, OTHER, &err), -EBUSY);
	assert_non_null(strstr(err_text(&err), OURS));
	assert_false(was_called(host, "create"));
	assert_int_not_equal(record_of(host, OTHER).phase, XEN_STARTING);

	/* Somebody starts the first one: its machine comes in a moment. */
	domains(host, NULL);
	node(host, OURS, volume, &starting);
	lock = hold(host, OURS);
	assert_int_equal(host->rt->ops->start(host->rt, OTHER, &err), -EBUSY);
	assert_false(was_called(host, "create"));
	/* Whoever did that is no more. */
	close(lock);
	assert_int_equal(host->rt->ops->start(host->rt, OTHER, &err), -EIO);
	assert_true(was_called(host, "create"));
}

/* There was a volume group when it was made. */
static void a_disk_goes_with_its_node(void **state)
{
	static const char lvm[] = "#!/bin/sh\necho \"${0##*/} $*\" >>\"$(dirname \"$0\")/calls\"\n";
	const struct host *host = *state;
	_cleanup_(freep) char *disk = fs_join(host->dir, "nodes/" OURS "/disk");

	write_file(host, "lvs", lvm, 0755);
	write_file(host, "lvremove", lvm, 0755);
	node(host, OURS, NULL, &made);
	assert_int_equal(symlink("/dev/vg0/" OURS, disk), 0);
	assert_int_equal(host->rt->ops->remove(host->rt, OURS, NULL), 0);
	assert_true(was_called(host, "lvremove -q -f vg0/" OURS));
}

static void link_to(const struct host *host, const char *name, const char *to)
{
	_cleanup_(freep) char *path = fs_join(host->dir, name);

	unlink(path);
	assert_int_equal(symlink(to, path), 0);
}

/* As /dev/vg0/… leads to another /dev/dm-N after the host was booted. */
static void a_disk_whose_name_was_anothers_is_free(void **state)
{
	const struct host *host = *state;
	_cleanup_(freep) char *first = fs_join(host->dir, "first"), *second = fs_join(host->dir, "second");
	_cleanup_err_ struct err err = ERR_INIT;

	make_directory(host, "dm-0");
	make_directory(host, "dm-1");
	write_file(host, "dm-0/disk.img", "", 0600);
	write_file(host, "dm-1/disk.img", "", 0600);
	link_to(host, "first", "dm-0");
	link_to(host, "second", "dm-1");
	node(host, OURS, first, &made);
	node(host, OTHER, second, &made);
	assert_int_equal(host->rt->ops->start(host->rt, OURS, NULL), -EIO); /* and dm-0 is noted as its */

	link_to(host, "first", "dm-1");
	link_to(host, "second", "dm-0");
	domains(host, OURS, NULL);
	assert_int_equal(host->rt->ops->start(host->rt, OTHER, &err), -EIO);
	assert_non_null(strstr(err_text(&err), "this xl cannot create"));

	/* Where the other's disk is cannot be told now, and its machine runs. */
	link_to(host, "first", "dm-0");
	link_to(host, "second", "dm-1");
	domains(host, NULL);
	assert_int_equal(host->rt->ops->start(host->rt, OURS, NULL), -EIO);
	link_to(host, "first", "gone");
	link_to(host, "second", "dm-0");
	domains(host, OURS, NULL);
	assert_int_equal(host->rt->ops->start(host->rt, OTHER, NULL), -EBUSY);
}

static void what_is_busy_is_not_waited_for_when_it_is_to_run_again(void **state)
{
	const struct host *host = *state;
	int lock;

	node(host, OURS, NULL, &starting);
	lock = hold(host, OURS);
	assert_int_equal(xen_start_wanted(host->rt, OURS, NULL), -EAGAIN);
	close(lock);
	assert_int_equal(xen_start_wanted(host->rt, OURS, NULL), -EIO); /* tried */
	/* It is to run: it stays so, for the next time. */
	assert_true(record_of(host, OURS).wanted);
	assert_int_equal(host->rt->ops->stop(host->rt, OURS, 1000, NULL), 0);
	write_file(host, "calls", "", 0644);
	assert_int_equal(xen_start_wanted(host->rt, OURS, NULL), 0); /* nobody wants it any more */
	assert_false(was_called(host, "create"));
}

static void memory_is_what_is_free_and_what_nodes_have(void **state)
{
	const struct host *host = *state;
	uint64_t memory;

	node(host, OURS, NULL, &running);
	node(host, OTHER, NULL, &made);
	domains(host, OURS, "windows", NULL);
	assert_int_equal(host->rt->ops->capacity(host->rt, &memory, NULL), 0);
	assert_int_equal(memory >> 20, 100 + 512); /* 512 MiB of a node that has no limit */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(machines_that_nothing_here_made_are_told, host_make, host_free),
		cmocka_unit_test_setup_teardown(a_half_made_node_is_broken_until_it_is_removed, host_make, host_free),
		cmocka_unit_test_setup_teardown(a_machine_that_went_without_a_word_was_killed, host_make, host_free),
		cmocka_unit_test_setup_teardown(a_machine_whose_system_has_ended_is_cleared_away, host_make, host_free),
		cmocka_unit_test_setup_teardown(a_disk_is_written_only_when_its_machine_is_cleared_away, host_make,
						host_free),
		cmocka_unit_test_setup_teardown(a_machine_that_is_half_made_is_made_anew, host_make, host_free),
		cmocka_unit_test_setup_teardown(a_disk_is_never_in_two_machines, host_make, host_free),
		cmocka_unit_test_setup_teardown(a_disk_goes_with_its_node, host_make, host_free),
		cmocka_unit_test_setup_teardown(a_disk_whose_name_was_anothers_is_free, host_make, host_free),
		cmocka_unit_test_setup_teardown(what_is_busy_is_not_waited_for_when_it_is_to_run_again, host_make,
						host_free),
		cmocka_unit_test_setup_teardown(memory_is_what_is_free_and_what_nodes_have, host_make, host_free),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
