/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/docker-json.h"

static void create_says_all_of_a_spec(void **state)
{
	_cleanup_strv_ struct strv labels = { 0 }, argv = { 0 }, env = { 0 };
	struct runtime_mount mount = { .from = (char *)"/srv/db", .to = (char *)"/var/lib/db", .read_only = true };
	struct runtime_port ports[] = {
		{ .name = (char *)"http", .address = (char *)"192.0.2.1", .port = 80 },
		{ .name = (char *)"dns", .address = NULL, .port = 53, .host_port = 5300, .udp = true },
	};
	struct runtime_spec spec = { .name = "n",
				     .host_name = "web-1.portal",
				     .labels = &labels,
				     .image_ref = "tepuy/image:1",
				     .argv = &argv,
				     .env = &env,
				     .mounts = &mount,
				     .n_mounts = 1,
				     .ports = ports,
				     .n_ports = 2,
				     .memory = 64u << 20,
				     .cpus = 0.5,
				     .stop_signal = "QUIT",
				     .log_size = 1024 };
	_cleanup_(freep) char *json = NULL;

	(void)state;
	strv_add_all(&labels, "tepuy.instance=portal/web/1.5", "empty", "eq=a=b", NULL);
	strv_add_all(&argv, "/srv/start", "\"quoted\"", NULL);
	strv_add(&env, "A=b");
	json = docker_encode_create(&spec, true);
	assert_string_equal(
	    json, "{\"Cmd\":[\"/srv/start\",\"\\\"quoted\\\"\"],\"Env\":[\"A=b\"],\"ExposedPorts\":{\"53/udp\":{},\"80/"
		  "tcp\":{}},"
		  "\"HostConfig\":{\"Init\":true,\"LogConfig\":{\"Config\":{\"max-file\":\"3\",\"max-size\":\"1024\"},"
		  "\"Type\":"
		  "\"json-file\"},\"Memory\":67108864,\"MemorySwap\":67108864,\"Mounts\":[{\"ReadOnly\":true,"
		  "\"Source\":\"/srv/db\","
		  "\"Target\":\"/var/lib/db\",\"Type\":\"bind\"}],\"NanoCpus\":500000000,\"PortBindings\":{\"53/"
		  "udp\":[{\"HostIp\":\"\","
		  "\"HostPort\":\"5300\"}],\"80/"
		  "tcp\":[{\"HostIp\":\"192.0.2.1\",\"HostPort\":\"\"}]},\"RestartPolicy\":{\"Name\":"
		  "\"unless-stopped\"}},\"Hostname\":\"web-1.portal\",\"Image\":\"tepuy/"
		  "image:1\",\"Labels\":{\"empty\":\"\",\"eq\":\"a=b\","
		  "\"tepuy.docker.ports\":\"http=80/tcp,dns=53/udp\",\"tepuy.instance\":\"portal/web/"
		  "1.5\"},\"StopSignal\":\"SIGQUIT\"}");
}

static void create_leaves_out_what_is_not_asked(void **state)
{
	struct runtime_spec spec = { .image_ref = "i" };
	_cleanup_(freep) char *json = docker_encode_create(&spec, false);

	(void)state;
	assert_null(strstr(json, "Memory"));
	assert_null(strstr(json, "NanoCpus"));
	assert_null(strstr(json, "Init"));
	assert_null(strstr(json, "Hostname"));
	assert_non_null(strstr(json, "\"SIGTERM\""));
	assert_non_null(strstr(json, "\"10485760\""));
}

static void only_limits_that_change_are_sent(void **state)
{
	struct runtime_limits both = { .memory = 64u << 20, .cpus = 1.5 }, one = { .cpus = 2 };
	_cleanup_(freep) char *a = docker_encode_limits(&both), *b = docker_encode_limits(&one);

	(void)state;
	assert_string_equal(a, "{\"Memory\":67108864,\"MemorySwap\":67108864,\"NanoCpus\":1500000000}");
	assert_string_equal(b, "{\"NanoCpus\":2000000000}");
}

static void text_that_is_not_utf8_does_no_harm(void **state)
{
	_cleanup_strv_ struct strv argv = { 0 };
	_cleanup_(freep) char *json = NULL;

	(void)state;
	strv_add(&argv, "a\xff"
			"b");
	json = docker_encode_exec(&argv, NULL, false, false);
	assert_non_null(strstr(json, "\"a?b\""));
}

static void exec_is_encoded(void **state)
{
	_cleanup_strv_ struct strv argv = { 0 };
	_cleanup_(freep) char *json = NULL;

	(void)state;
	strv_add(&argv, "sh");
	json = docker_encode_exec(&argv, "web", true, true);
	assert_string_equal(json, "{\"AttachStderr\":true,\"AttachStdin\":true,\"AttachStdout\":true,\"Cmd\":[\"sh\"],"
				  "\"Env\":[\"TERM=xterm\"],\"Tty\":true,\"User\":\"web\"}");
}

static const char inspected[] =
    "{\"Id\":\"abc\",\"Name\":\"/"
    "tepuy.portal.web.1.5\",\"State\":{\"Status\":\"running\",\"Running\":true,\"OOMKilled\":false,"
    "\"Pid\":4242,\"ExitCode\":0,\"StartedAt\":\"2026-11-22T14:41:54.894366497Z\"},\"HostConfig\":{\"RestartPolicy\":{"
    "\"Name\":"
    "\"unless-stopped\"}},\"Config\":{\"Tty\":false,\"Labels\":{\"tepuy.instance\":\"portal/web/"
    "1.5\",\"tepuy.docker.ports\":"
    "\"http=80/tcp,alt=8080/tcp\"}},\"NetworkSettings\":{\"Ports\":{\"80/"
    "tcp\":[{\"HostIp\":\"0.0.0.0\",\"HostPort\":\"32768\"},"
    "{\"HostIp\":\"::\",\"HostPort\":\"32768\"}],\"8080/tcp\":[{\"HostIp\":\"192.0.2.1\",\"HostPort\":\"90\"}],\"9/"
    "udp\":null},"
    "\"Networks\":{\"bridge\":{\"IPAddress\":\"172.17.0.2\"}}}}";

static void inspect_is_decoded(void **state)
{
	_cleanup_container_ struct docker_container container = { 0 };
	const struct runtime_node *node = &container.node;

	(void)state;
	assert_int_equal(docker_decode_container(inspected, strlen(inspected), &container, NULL), 0);
	assert_true(container.ours);
	assert_true(container.restarts);
	assert_string_equal(node->id, "abc");
	assert_string_equal(node->name, "tepuy.portal.web.1.5");
	assert_int_equal(node->state, RUNTIME_RUNNING);
	assert_int_equal(node->pid, 4242);
	assert_true(node->started_ms == 1795358514894);
	assert_string_equal(node->address, "172.17.0.2");
	assert_int_equal(node->labels.n, 1);
	assert_string_equal(runtime_node_label(node, RUNTIME_LABEL_INSTANCE), "portal/web/1.5");
}

static void ports_are_decoded_once_with_their_names(void **state)
{
	_cleanup_container_ struct docker_container container = { 0 };
	const struct runtime_node *node = &container.node;

	(void)state;
	assert_int_equal(docker_decode_container(inspected, strlen(inspected), &container, NULL), 0);
	assert_int_equal(node->n_ports, 2);
	assert_string_equal(node->ports[0].name, "http");
	assert_int_equal(node->ports[0].port, 80);
	assert_int_equal(node->ports[0].host_port, 32768);
	assert_string_equal(node->ports[0].address, "0.0.0.0");
	assert_string_equal(node->ports[1].name, "alt");
	assert_int_equal(node->ports[1].host_port, 90);
}

static void never_started_is_zero(void **state)
{
	static const char json[] =
	    "{\"Id\":\"a\",\"Name\":\"/b\",\"Config\":{},\"State\":{\"Status\":\"exited\",\"ExitCode\":137,"
	    "\"OOMKilled\":true,\"StartedAt\":\"0001-01-01T00:00:00Z\"}}";
	_cleanup_container_ struct docker_container container = { 0 };

	(void)state;
	assert_int_equal(docker_decode_container(json, strlen(json), &container, NULL), 0);
	assert_true(container.node.started_ms == 0);
	assert_int_equal(container.node.state, RUNTIME_EXITED);
	assert_int_equal(container.node.exit_code, 137);
	assert_true(container.node.out_of_memory);
	assert_false(container.ours);
	assert_false(container.restarts);
}

static void list_is_decoded(void **state)
{
	static const char json[] = "[{\"Id\":\"a\",\"Names\":[\"/one\"],\"State\":\"exited\",\"Status\":\"Exited (137) "
				   "2 minutes ago\",\"Labels\":"
				   "{\"tepuy.instance\":\"p/w/1.1\"}},{\"Id\":\"b\",\"Names\":[\"/"
				   "two\"],\"State\":\"running\",\"Status\":\"Up 3 hours\","
				   "\"Labels\":{\"tepuy.instance\":\"p/w/2.1\",\"tepuy.docker.ports\":\"http=80/"
				   "tcp\"},\"Ports\":[{\"IP\":\"192.0.2.1\","
				   "\"PrivatePort\":80,\"PublicPort\":32769,\"Type\":\"tcp\"},{\"PrivatePort\":443,"
				   "\"Type\":\"tcp\"}],\"NetworkSettings\":"
				   "{\"Networks\":{\"bridge\":{\"IPAddress\":\"172.17.0.3\"}}}},{\"Id\":\"c\","
				   "\"Names\":[\"/other\"],\"Labels\":{}}]";
	struct runtime_node *nodes = NULL;
	size_t n = 0;

	(void)state;
	assert_int_equal(docker_decode_list(json, strlen(json), &nodes, &n, NULL), 0);
	assert_int_equal(n, 2);
	assert_int_equal(nodes[0].state, RUNTIME_EXITED);
	assert_int_equal(nodes[0].exit_code, 137);
	assert_string_equal(nodes[1].name, "two");
	assert_int_equal(nodes[1].n_ports, 1);
	assert_string_equal(nodes[1].ports[0].name, "http");
	assert_int_equal(nodes[1].ports[0].host_port, 32769);
	assert_string_equal(nodes[1].address, "172.17.0.3");
	runtime_nodes_free(nodes, n);
}

static void nonsense_is_refused_with_a_sentence(void **state)
{
	static const char *const bad[] = {
		"", "null", "[", "{}", "[{}]", "{\"Id\":3}", "[3]", "\"x\"", "{\"Id\":\"\"}"
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_err_ struct err err = ERR_INIT;
		struct docker_container container = { 0 };
		struct runtime_node *nodes = NULL;
		struct docker_version version = { 0 };
		struct docker_image image = { 0 };
		char *id = NULL;
		size_t n;

		assert_int_equal(docker_decode_container(bad[i], strlen(bad[i]), &container, &err), -EBADMSG);
		assert_non_null(strstr(err_text(&err), "Docker"));
		assert_int_equal(docker_decode_list(bad[i], strlen(bad[i]), &nodes, &n, NULL), -EBADMSG);
		assert_int_equal(docker_decode_version(bad[i], strlen(bad[i]), &version, NULL), -EBADMSG);
		assert_int_equal(docker_decode_image(bad[i], strlen(bad[i]), &image, NULL), -EBADMSG);
		assert_int_equal(docker_decode_id(bad[i], strlen(bad[i]), &id, NULL), -EBADMSG);
		assert_null(id);
	}
}

static void version_is_decoded(void **state)
{
	static const char json[] =
	    "{\"Version\":\"20.10.24\",\"ApiVersion\":\"1.41\",\"MinAPIVersion\":\"1.12\",\"Components\":"
	    "[{\"Name\":\"docker-init\",\"Version\":\"%s\"}]}";
	_cleanup_(docker_version_release) struct docker_version with = { 0 }, without = { 0 };
	_cleanup_(freep) char *has = xasprintf(json, "0.19.0"), *lacks = xasprintf(json, "N/A");

	(void)state;
	assert_int_equal(docker_decode_version(has, strlen(has), &with, NULL), 0);
	assert_string_equal(with.version, "20.10.24");
	assert_int_equal(with.minor, 41);
	assert_int_equal(with.least, 12);
	assert_true(with.init);
	assert_int_equal(docker_decode_version(lacks, strlen(lacks), &without, NULL), 0);
	assert_false(without.init);
}

static void exec_state_is_decoded(void **state)
{
	static const char ended[] = "{\"Running\":false,\"ExitCode\":3,\"Pid\":77}",
			  runs[] = "{\"Running\":true,\"ExitCode\":null}";
	struct docker_exec_state exec;

	(void)state;
	assert_int_equal(docker_decode_exec(ended, strlen(ended), &exec, NULL), 0);
	assert_false(exec.running);
	assert_int_equal(exec.exit_code, 3);
	assert_int_equal(exec.pid, 77);
	assert_int_equal(docker_decode_exec(runs, strlen(runs), &exec, NULL), 0);
	assert_true(exec.running);
}

static void a_missing_program_is_127(void **state)
{
	static const char said[] =
	    "OCI runtime exec failed: exec failed: unable to start container process: exec: \"x\": "
	    "executable file not found in $PATH: unknown\r\n";

	(void)state;
	assert_int_equal(docker_exec_code(126, said), 127);
	assert_int_equal(docker_exec_code(126, "OCI runtime exec failed: permission denied"), 126);
	assert_int_equal(docker_exec_code(126, "x: executable file not found"), 126);
	assert_int_equal(docker_exec_code(1, said), 1);
	assert_int_equal(docker_exec_code(-ETIMEDOUT, said), -ETIMEDOUT);
}

static void an_image_inherits_its_base(void **state)
{
	static const char json[] =
	    "{\"RootFS\":{\"Layers\":[\"sha256:a\"]},\"Config\":{\"Env\":[\"PATH=/x\"],\"User\":\"web\","
	    "\"WorkingDir\":\"/srv\",\"Entrypoint\":[\"/e\"],\"Volumes\":{\"/v\":{}}}}";
	_cleanup_(docker_image_release) struct docker_image base = { 0 };
	_cleanup_strv_ struct strv layers = { 0 };
	_cleanup_(freep) char *config = NULL, *manifest = NULL;
	struct image image = { .architecture = (char *)"arm64" };

	(void)state;
	assert_int_equal(docker_decode_image(json, strlen(json), &base, NULL), 0);
	strv_add_all(&layers, "sha256:a", "sha256:b", NULL);
	config = docker_encode_image(&image, &base, &layers);
	manifest = docker_encode_manifest("tepuy/image:1", &layers);
	assert_string_equal(
	    config, "{\"architecture\":\"arm64\",\"config\":{\"Env\":[\"PATH=/x\"],\"User\":\"web\",\"WorkingDir\":"
		    "\"/srv\"},\"created\":\"1970-01-01T00:00:00Z\",\"os\":\"linux\",\"rootfs\":{\"diff_ids\":"
		    "[\"sha256:a\",\"sha256:b\"],\"type\":\"layers\"}}");
	assert_string_equal(
	    manifest,
	    "[{\"Config\":\"config.json\",\"Layers\":[\"a.tar\",\"b.tar\"],\"RepoTags\":[\"tepuy/image:1\"]}]");
}

static void a_load_that_failed_is_seen(void **state)
{
	static const char good[] = "{\"stream\":\"Loaded image: x\\n\"}\n";
	static const char bad[] = "{\"stream\":\"x\"}\n{\"errorDetail\":{\"message\":\"m\"},\"error\":\"write /x: no "
				  "space left on device\"}\n";
	_cleanup_err_ struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(docker_decode_load(good, strlen(good), &err), 0);
	assert_int_equal(docker_decode_load(bad, strlen(bad), &err), -ENOSPC);
	assert_int_equal(docker_decode_load(NULL, 0, &err), 0);
}

static void errors_are_told_apart(void **state)
{
	static const struct {
		int status, code;
		const char *json, *says;
	} cases[] = {
		{ 404, ENOENT, "{\"message\":\"No such image: x:1\"}", "No such image: x:1" },
		{ 409, EEXIST,
		  "{\"message\":\"Conflict. The container name \\\"/x\\\" is already in use by container \\\"y\\\".\"}",
		  "exists already" },
		{ 409, ESRCH, "{\"message\":\"Container x is not running\"}", "does not run" },
		{ 409, EBUSY, "{\"message\":\"removal of container x is already in progress\"}", "in progress" },
		{ 400, EINVAL, "{\"message\":\"Minimum memory limit allowed is 6MB\"}", "6MB" },
		{ 500, EADDRINUSE,
		  "{\"message\":\"driver failed programming external connectivity on endpoint tepuy.a.1.5 (ab12): Bind "
		  "for "
		  "0.0.0.0:8080 failed: port is already allocated\"}",
		  "port 0.0.0.0:8080 is taken" },
		{ 500, EADDRINUSE,
		  "{\"message\":\"Error starting userland proxy: listen tcp4 192.0.2.1:80: bind: address already in "
		  "use\"}",
		  "port 192.0.2.1:80 is taken" },
		{ 500, EADDRINUSE, "{\"message\":\"failed to bind [::]:443/tcp: address already in use\"}",
		  "port [::]:443 is" },
		{ 500, ENOSPC, "{\"message\":\"mkdir /x: no space left on device\"}", "no space" },
		{ 500, EIO, "not json\x1b[31m", "not json?[31m" },
		{ 502, EIO, "", "502" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_err_ struct err err = ERR_INIT;

		assert_int_equal(docker_error(cases[i].status, cases[i].json, strlen(cases[i].json), &err),
				 -cases[i].code);
		assert_non_null(strstr(err_text(&err), cases[i].says));
	}
}

static void usage_is_read_from_both_kinds_of_cgroups(void **state)
{
	static const char v1[] = "{\"memory_stats\":{\"usage\":5000,\"stats\":{\"total_inactive_file\":2000}},"
				 "\"cpu_stats\":{\"cpu_usage\":{\"total_usage\":3500000000}}}",
			  v2[] = "{\"memory_stats\":{\"usage\":5000,\"stats\":{\"inactive_file\":1000}}}",
			  odd[] = "{\"memory_stats\":{\"usage\":-1,\"stats\":[]},\"cpu_stats\":null}";
	struct runtime_usage usage = { 0 };

	(void)state;
	assert_int_equal(docker_decode_usage(v1, strlen(v1), &usage, NULL), 0);
	assert_int_equal(usage.memory, 3000);
	assert_int_equal(usage.cpu_ms, 3500);
	assert_int_equal(docker_decode_usage(v2, strlen(v2), &usage, NULL), 0);
	assert_int_equal(usage.memory, 4000);
	assert_int_equal(usage.cpu_ms, 0);
	assert_int_equal(docker_decode_usage(odd, strlen(odd), &usage, NULL), 0);
	assert_int_equal(usage.memory, 0);
	assert_int_equal(docker_decode_usage("[]", 2, &usage, NULL), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(usage_is_read_from_both_kinds_of_cgroups),
		cmocka_unit_test(create_says_all_of_a_spec),
		cmocka_unit_test(create_leaves_out_what_is_not_asked),
		cmocka_unit_test(only_limits_that_change_are_sent),
		cmocka_unit_test(text_that_is_not_utf8_does_no_harm),
		cmocka_unit_test(exec_is_encoded),
		cmocka_unit_test(inspect_is_decoded),
		cmocka_unit_test(ports_are_decoded_once_with_their_names),
		cmocka_unit_test(never_started_is_zero),
		cmocka_unit_test(list_is_decoded),
		cmocka_unit_test(nonsense_is_refused_with_a_sentence),
		cmocka_unit_test(version_is_decoded),
		cmocka_unit_test(exec_state_is_decoded),
		cmocka_unit_test(a_missing_program_is_127),
		cmocka_unit_test(an_image_inherits_its_base),
		cmocka_unit_test(a_load_that_failed_is_seen),
		cmocka_unit_test(errors_are_told_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
