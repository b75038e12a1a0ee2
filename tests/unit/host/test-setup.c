/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the steps write, and how they understand what they are given. */
#include <errno.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fs.h"
#include "host/acl.h"
#include "host/agent-options.h"
#include "host/apt.h"
#include "host/consul-config.h"
#include "host/daemon-json.h"
#include "host/kept-file.h"
#include "host/setup.h"
#include "host/step.h"

static void daemon_json_keeps_what_is_there(void **state)
{
	_cleanup_(freep) char *merged = NULL, *again = NULL;
	_cleanup_json_ json_t *json = NULL;

	(void)state;
	assert_int_equal(
	    daemon_json_merge("{\"dns\": [\"192.0.2.1\"], \"log-opts\": {\"max-size\": \"1g\"}}", &merged, NULL), 0);
	json = json_loads(merged, 0, NULL);
	assert_true(json_is_true(json_object_get(json, "live-restore")));
	assert_string_equal(json_string_value(json_array_get(json_object_get(json, "dns"), 0)), "192.0.2.1");
	assert_string_equal(json_string_value(json_object_get(json_object_get(json, "log-opts"), "max-size")), "1g");
	assert_string_equal(json_string_value(json_object_get(json_object_get(json, "log-opts"), "max-file")), "3");
	assert_int_equal(daemon_json_merge(merged, &again, NULL), 0);
	assert_null(again);
}

static void daemon_json_leaves_other_log_drivers_alone(void **state)
{
	_cleanup_(freep) char *merged = NULL, *none = NULL;

	(void)state;
	assert_int_equal(daemon_json_merge("{\"log-driver\": \"journald\"}", &merged, NULL), 0);
	assert_non_null(strstr(merged, "live-restore"));
	assert_null(strstr(merged, "max-size"));
	assert_int_equal(daemon_json_merge(" \n", &none, NULL), 0);
	assert_non_null(strstr(none, "\"max-size\": \"10m\""));
}

static void a_broken_daemon_json_is_not_written_over(void **state)
{
	_cleanup_err_ struct err err = ERR_INIT;
	char *merged = NULL;

	(void)state;
	assert_int_equal(daemon_json_merge("{\n\"a\": }", &merged, &err), -EINVAL);
	assert_non_null(strstr(err_text(&err), "line 2"));
	assert_int_equal(daemon_json_merge("[]", &merged, NULL), -EINVAL);
	assert_null(merged);
}

static void docker_says_whether_it_keeps_containers(void **state)
{
	bool keeps = false;

	(void)state;
	assert_int_equal(daemon_json_keeps("WARNING: no swap limit\ntrue\n", &keeps, NULL), 0);
	assert_true(keeps);
	assert_int_equal(daemon_json_keeps("false\n", &keeps, NULL), 0);
	assert_false(keeps);
	assert_int_equal(daemon_json_keeps("", &keeps, NULL), -EPROTO);
	assert_int_equal(daemon_json_keeps("true\nCannot connect\n", &keeps, NULL), -EPROTO);
}

/* --- a file of the administrator's --- */

struct place {
	char directory[64], *path;
};

static int make_place(void **state)
{
	static struct place place;

	strcpy(place.directory, "/tmp/tt-kept-XXXXXX");
	if (!mkdtemp(place.directory))
		return -1;
	place.path = xasprintf("%s/docker/daemon.json", place.directory);
	*state = &place;
	return 0;
}

static int remove_place(void **state)
{
	struct place *place = *state;

	free(place->path);
	return fs_remove_tree(place->directory, NULL);
}

static void assert_holds(const char *path, const char *text)
{
	_cleanup_buf_ struct buf now = { 0 };

	assert_int_equal(fs_read(path, 1000, &now, NULL), 0);
	assert_string_equal(buf_text(&now), text);
}

static void a_file_that_was_not_there_is_taken_away_again(void **state)
{
	_cleanup_kept_file_ struct kept_file kept = { 0 };
	struct place *place = *state;

	assert_int_equal(kept_file_read(place->path, &kept, NULL), 0);
	assert_string_equal(kept.text, "");
	assert_int_equal(kept_file_put_back(&kept, NULL), 0);
	assert_int_equal(kept_file_write(&kept, "{\"a\": 1}\n", NULL), 0);
	assert_holds(place->path, "{\"a\": 1}\n");
	assert_int_equal(kept_file_put_back(&kept, NULL), 0);
	assert_int_equal(access(place->path, F_OK), -1);
}

static void a_file_is_put_back_as_it_was(void **state)
{
	_cleanup_kept_file_ struct kept_file empty = { 0 }, kept = { 0 };
	struct place *place = *state;

	assert_int_equal(kept_file_read(place->path, &empty, NULL), 0);
	assert_int_equal(kept_file_write(&empty, "", NULL), 0);
	kept_file_release(&empty);
	assert_int_equal(kept_file_read(place->path, &empty, NULL), 0);
	assert_int_equal(kept_file_write(&empty, "{}\n", NULL), 0);
	assert_int_equal(kept_file_read(place->path, &kept, NULL), 0);
	assert_int_equal(kept_file_write(&kept, "{\"b\": 2}\n", NULL), 0);
	assert_int_equal(kept_file_put_back(&kept, NULL), 0);
	assert_holds(place->path, "{}\n");
	assert_int_equal(kept_file_put_back(&empty, NULL), 0);
	assert_holds(place->path, ""); /* an empty one is one */
}

static void assert_access(const char *path, gid_t group, mode_t mode)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_gid, group);
	assert_int_equal(st.st_mode & 07777, mode);
}

/* A proxy's password may be in it. */
static void who_may_read_a_file_stays(void **state)
{
	_cleanup_kept_file_ struct kept_file none = { 0 }, kept = { 0 };
	struct place *place = *state;

	assert_int_equal(kept_file_read(place->path, &none, NULL), 0);
	assert_int_equal(kept_file_write(&none, "{}\n", NULL), 0);
	assert_access(place->path, 0, 0644);
	assert_int_equal(chown(place->path, 0, 1), 0);
	assert_int_equal(chmod(place->path, 0640), 0);
	assert_int_equal(kept_file_read(place->path, &kept, NULL), 0);
	assert_int_equal(kept_file_write(&kept, "{\"a\": 1}\n", NULL), 0);
	assert_access(place->path, 1, 0640);
	assert_int_equal(kept_file_put_back(&kept, NULL), 0);
	assert_access(place->path, 1, 0640);
}

static char *config_text(bool server, const char *gossip, const char *only_server)
{
	_cleanup_strv_ struct strv servers = { 0 };
	struct consul_config config = { .host = { "srv1", "192.0.2.11", "canaima", server },
					.servers = &servers,
					.bootstrap_expect = 3,
					.gossip = gossip,
					.management = "11111111-2222-4333-8444-555555555555",
					.tls = "/etc/consul.d/tls",
					.data = "/var/lib/consul" };

	strv_add_all(&servers, only_server, "2001:db8::12", NULL);
	return consul_config_text(&config);
}

/* What keeps strangers out; each was taken out once to see what gives way. */
static void consul_listens_to_members_only(void **state)
{
	_cleanup_(freep) char *text = config_text(true, "a2V5", "192.0.2.11");
	_cleanup_json_ json_t *json = json_loads(text, 0, NULL);
	const json_t *acl = json_object_get(json, "acl"), *ports = json_object_get(json, "ports");

	(void)state;
	assert_string_equal(json_string_value(json_object_get(json, "client_addr")), "127.0.0.1");
	assert_string_equal(json_string_value(json_object_get(json, "bind_addr")), "192.0.2.11");
	assert_string_equal(json_string_value(json_object_get(json, "encrypt")), "a2V5");
	assert_true(json_is_true(json_object_get(json, "verify_incoming_rpc")));
	assert_true(json_is_true(json_object_get(json, "verify_outgoing")));
	assert_true(json_is_true(json_object_get(json, "verify_server_hostname")));
	assert_string_equal(json_string_value(json_object_get(acl, "default_policy")), "deny");
	assert_string_equal(json_string_value(json_object_get(acl, "down_policy")), "extend-cache");
	assert_true(json_is_true(json_object_get(acl, "enable_token_persistence")));
	assert_int_equal(json_integer_value(json_object_get(ports, "serf_wan")), -1);
	assert_null(json_object_get(json, "enable_script_checks"));
	assert_string_equal(json_string_value(json_array_get(json_object_get(json, "retry_join"), 1)),
			    "[2001:db8::12]");
}

static void only_servers_know_the_management_token(void **state)
{
	_cleanup_(freep) char *server = config_text(true, "a2V5", "192.0.2.11");
	_cleanup_(freep) char *client = config_text(false, "a2V5", "192.0.2.11");

	(void)state;
	assert_non_null(strstr(server, "\"master\": \"11111111"));
	assert_non_null(strstr(server, "\"bootstrap_expect\": 3"));
	assert_null(strstr(client, "11111111"));
	assert_null(strstr(client, "bootstrap_expect"));
}

static void servers_that_come_and_go_restart_no_consul(void **state)
{
	_cleanup_(freep) char *a = config_text(true, "a2V5", "192.0.2.11"),
			      *b = config_text(true, "a2V6", "192.0.2.99");
	_cleanup_(freep) char *c = config_text(false, "a2V5", "192.0.2.11");
	_cleanup_(freep) char *essence_a = consul_config_essence(a), *essence_b = consul_config_essence(b);
	_cleanup_(freep) char *essence_c = consul_config_essence(c), *none = consul_config_essence("no JSON");

	(void)state;
	assert_string_not_equal(a, b);
	assert_string_equal(essence_a, essence_b);
	assert_string_not_equal(essence_a, essence_c);
	assert_null(none);
}

static void a_new_gossip_key_changes_nothing_else(void **state)
{
	_cleanup_(freep) char *a = config_text(true, "a2V5", "192.0.2.11"),
			      *b = config_text(true, "bmV1", "192.0.2.11");
	_cleanup_(freep) char *changed = NULL, *same = NULL;

	(void)state;
	assert_int_equal(consul_config_with_gossip(a, "bmV1", &changed, NULL), 0);
	assert_string_equal(changed, b);
	assert_int_equal(consul_config_with_gossip(b, "bmV1", &same, NULL), 0);
	assert_null(same);
	assert_int_equal(consul_config_with_gossip("", "bmV1", &same, NULL), -EINVAL);
}

static void a_token_is_for_one_host(void **state)
{
	_cleanup_(freep) char *rules = acl_host_rules("srv1");

	(void)state;
	assert_non_null(strstr(rules, "node \"srv1\" { policy = \"write\" }"));
	assert_non_null(strstr(rules, "node_prefix \"\" { policy = \"read\" }"));
	assert_non_null(strstr(rules, "key_prefix \"tepuy/cluster/\" { policy = \"deny\" }"));
	assert_null(strstr(rules, "acl = "));
	assert_null(strstr(rules, "operator = "));
}

static void agent_options_are_one_line_of_words(void **state)
{
	_cleanup_json_ json_t *labels = json_pack("{s:s, s:s}", "disk", "ssd", "rack", "north side");
	_cleanup_(freep) char *options = NULL;

	(void)state;
	assert_int_equal(agent_options("srv1", "192.0.2.11", "xen", labels, &options, NULL), 0);
	assert_string_equal(options,
			    "--name srv1 --address 192.0.2.11 --consul-token-file /etc/tepuy/consul-token "
			    "--tls-dir /etc/tepuy/tls --runtime xen --label disk=ssd --label 'rack=north side'");
}

static void a_label_does_not_reach_the_command_line(void **state)
{
	static const char *const bad[] = { "a\"b", "a'b", "a\\b", "$PATH", "a\nb", "100%" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_json_ json_t *labels = json_pack("{s:s}", "disk", bad[i]);
		char *options = NULL;

		assert_int_equal(agent_options("srv1", "192.0.2.11", "xen", labels, &options, NULL), -EINVAL);
		assert_null(options);
	}
}

static void defaults_keep_other_lines(void **state)
{
	_cleanup_(freep) char *first = agent_defaults("", "--name a"), *second = NULL, *third = NULL;

	(void)state;
	assert_non_null(strstr(first, "\nTEPUY_AGENT_OPTIONS=\"--name a\"\n"));
	second = agent_defaults("A=1\nTEPUY_AGENT_OPTIONS=old\nB=2", "--name b");
	assert_string_equal(second, "A=1\nTEPUY_AGENT_OPTIONS=\"--name b\"\nB=2\n");
	third = agent_defaults(second, "--name b");
	assert_string_equal(third, second);
}

static void apt_is_understood(void **state)
{
	static const struct {
		const char *output;
		int code;
		const char *says;
	} cases[] = {
		{ "E: You don't have enough free space in /var/cache/apt/archives/.", -ENOSPC, "disk is full" },
		{ "dpkg: error: write: No space left on device\nE: Failed to fetch x", -ENOSPC, "disk is full" },
		{ "E: Release file for http://192.0.2.1/x is not valid yet (invalid for another 3d)", -EPROTO,
		  "clock" },
		{ "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 1 (apt)", -EBUSY,
		  "process 1" },
		{ "E: Failed to fetch http://192.0.2.1/x  Could not connect", -EHOSTUNREACH, "mirror" },
		{ "E: Unable to locate package docker.io", -ENOENT, "docker.io" },
		{ "E: Sub-process /usr/bin/dpkg returned an error code (1)", -EIO, "dpkg" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_err_ struct err err = ERR_INIT;

		assert_int_equal(apt_say_why(cases[i].output, "Installing x", &err), cases[i].code);
		assert_non_null(strstr(err_text(&err), cases[i].says));
	}
}

static void input_is_checked(void **state)
{
	static const char *const keys[] = { "name", "address", NULL };
	_cleanup_json_ json_t *input = json_pack("{s:s, s:s, s:i}", "name", "Srv1", "address", "srv1", "extra", 1);
	_cleanup_err_ struct err err = ERR_INIT;
	const char *text = NULL;
	bool flag;

	(void)state;
	assert_int_equal(input_keys(input, keys, &err), -EINVAL);
	assert_non_null(strstr(err_text(&err), "extra"));
	assert_int_equal(input_name(input, "name", &text, NULL), -EINVAL);
	assert_int_equal(input_address(input, "address", &text, NULL), -EINVAL);
	assert_int_equal(input_text(input, "absent", &text, NULL), -EINVAL);
	assert_int_equal(input_flag(input, "extra", true, &flag, NULL), -EINVAL);
	assert_null(text);
	assert_true(input_is_address("2001:db8::1"));
	assert_false(input_is_address("192.0.2.1/24"));
}

static void ignore(void *data, const char *step, const char *item, enum setup_state said, const char *text)
{
	(void)data, (void)step, (void)item, (void)said, (void)text;
}

static void a_step_that_does_not_exist_is_guessed(void **state)
{
	_cleanup_err_ struct err err = ERR_INIT;
	json_t *result = NULL;

	(void)state;
	assert_int_equal(setup_run("identty", NULL, ignore, NULL, &result, &err), -ENOENT);
	assert_non_null(strstr(err_text(&err), "identity"));
	assert_null(result);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(daemon_json_keeps_what_is_there),
		cmocka_unit_test(daemon_json_leaves_other_log_drivers_alone),
		cmocka_unit_test(a_broken_daemon_json_is_not_written_over),
		cmocka_unit_test(docker_says_whether_it_keeps_containers),
		cmocka_unit_test_setup_teardown(a_file_that_was_not_there_is_taken_away_again, make_place,
						remove_place),
		cmocka_unit_test_setup_teardown(a_file_is_put_back_as_it_was, make_place, remove_place),
		cmocka_unit_test_setup_teardown(who_may_read_a_file_stays, make_place, remove_place),
		cmocka_unit_test(consul_listens_to_members_only),
		cmocka_unit_test(only_servers_know_the_management_token),
		cmocka_unit_test(servers_that_come_and_go_restart_no_consul),
		cmocka_unit_test(a_new_gossip_key_changes_nothing_else),
		cmocka_unit_test(a_token_is_for_one_host),
		cmocka_unit_test(agent_options_are_one_line_of_words),
		cmocka_unit_test(a_label_does_not_reach_the_command_line),
		cmocka_unit_test(defaults_keep_other_lines),
		cmocka_unit_test(apt_is_understood),
		cmocka_unit_test(input_is_checked),
		cmocka_unit_test(a_step_that_does_not_exist_is_guessed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
