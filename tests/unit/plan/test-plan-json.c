/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "plan/plan-json.h"

#define BODY "\"body\":{\"recipe\":\"site\",\"config\":{\"title\":\"A\",\"password\":{\"secret\":\"key\"}}}"
#define SPEC(component) "{\"service\":\"portal\",\"revision\":3,\"components\":{\"web\":" component "}}"

static json_t *json(const char *text)
{
	json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);

	assert_non_null(value);
	return value;
}

static int read_spec(const char *text, struct plan_spec *ret, struct err *err)
{
	json_t *value = json(text);
	int r = plan_spec_from_json(value, ret, err);

	json_decref(value);
	return r;
}

static void spec_has_defaults(void **state)
{
	struct plan_spec spec;

	(void)state;
	assert_int_equal(read_spec(SPEC("{" BODY "}"), &spec, NULL), 0);
	assert_int_equal(spec.n_components, 1);
	assert_int_equal(spec.components[0].nodes, 1);
	assert_int_equal(spec.components[0].update.parallel, 1);
	assert_int_equal(spec.components[0].update.deadline_ms, 60000);
	assert_true(spec.components[0].update.rollback);
	assert_false(spec.components[0].update.stop_first);
	plan_spec_release(&spec);
}

static void spec_reads_every_field(void **state)
{
	struct plan_spec spec;

	(void)state;
	assert_int_equal(
	    read_spec(
		SPEC(
		    "{\"nodes\":2,\"exclusive\":true,\"links\":{\"database\":{\"component\":\"db\",\"optional\":true}},"
		    "\"update\":{\"order\":\"stop-first\",\"parallel\":2,\"healthy_for\":3000,\"deadline\":5000,"
		    "\"on_failure\":\"stop\"},\"place\":{\"host\":\"srv1\",\"labels\":{\"disk\":\"ssd\"},\"runtime\":"
		    "null},"
		    "\"body\":{\"memory\":1024,\"ports\":{\"http\":{\"port\":80,\"publish\":8080}}}}"),
		&spec, NULL),
	    0);
	assert_int_equal(spec.components[0].nodes, 2);
	assert_true(spec.components[0].exclusive);
	assert_true(spec.components[0].fixed_ports);
	assert_string_equal(spec.components[0].links[0].component, "db");
	assert_true(spec.components[0].links[0].optional);
	assert_true(spec.components[0].update.stop_first);
	assert_false(spec.components[0].update.rollback);
	assert_int_equal(spec.components[0].update.healthy_for_ms, 3000);
	assert_string_equal(spec.components[0].place.host, "srv1");
	assert_string_equal(spec.components[0].place.labels.v[0], "disk=ssd");
	assert_int_equal(spec.components[0].memory, 1024);
	plan_spec_release(&spec);
}

static void fingerprint_does_not_depend_on_the_order_of_keys(void **state)
{
	json_t *a = json("{\"x\":1,\"y\":2}"), *b = json("{\"y\":2,\"x\":1}"), *c = json("{\"x\":2,\"y\":1}");
	_cleanup_(freep) char *x = plan_fingerprint(a);
	_cleanup_(freep) char *y = plan_fingerprint(b);
	_cleanup_(freep) char *z = plan_fingerprint(c);

	(void)state;
	assert_string_equal(x, y);
	assert_string_not_equal(x, z);
	json_decref(a);
	json_decref(b);
	json_decref(c);
}

static void refuses(const char *text, int code, const char *says)
{
	_cleanup_err_ struct err err = ERR_INIT;
	struct plan_spec spec;

	assert_int_equal(read_spec(text, &spec, &err), code);
	assert_non_null(strstr(err_text(&err), says));
}

static void spec_refuses_what_is_no_spec(void **state)
{
	(void)state;
	refuses("[]", -EINVAL, "not a spec");
	refuses("{\"service\":\"portal\",\"revision\":0}", -EINVAL, "not a spec");
	refuses("{\"service\":\"../x\",\"revision\":1}", -EINVAL, "not a spec");
}

static void spec_refuses_bad_components(void **state)
{
	(void)state;
	refuses(SPEC("{}"), -EINVAL, "component web");
	refuses(SPEC("{\"nodes\":-1," BODY "}"), -ERANGE, "nodes must be");
	refuses(SPEC("{\"nodes\":1000000000," BODY "}"), -ERANGE, "nodes must be");
	refuses(SPEC("{\"update\":{\"order\":\"both\"}," BODY "}"), -EINVAL, "start-first or stop-first");
	refuses(SPEC("{\"update\":{\"parallel\":0}," BODY "}"), -ERANGE, "parallel");
	refuses(SPEC("{\"update\":{\"deadline\":-1}," BODY "}"), -ERANGE, "deadline");
	refuses(SPEC("{\"links\":{\"x\":{}}," BODY "}"), -EINVAL, "link x");
}

static void status_comes_back_as_it_went(void **state)
{
	struct plan_home homes[] = { { (char *)"db", 1, (char *)"srv1" }, { (char *)"db", 2, (char *)"srv2" } };
	struct plan_status status = { .phase = PLAN_ROLLING_BACK,
				      .revision = 5,
				      .good = 4,
				      .step = 17,
				      .since_ms = 1234,
				      .reason = (char *)"why",
				      .homes = homes,
				      .n_homes = 2 };
	json_t *value = plan_status_to_json(&status);
	struct plan_status back;

	(void)state;
	assert_int_equal(plan_status_from_json(value, &back, NULL), 0);
	assert_int_equal(back.phase, PLAN_ROLLING_BACK);
	assert_int_equal(back.revision, 5);
	assert_int_equal(back.good, 4);
	assert_int_equal(back.step, 17);
	assert_int_equal(back.since_ms, 1234);
	assert_string_equal(back.reason, "why");
	assert_null(back.detail);
	assert_int_equal(back.n_homes, 2);
	assert_string_equal(back.homes[1].host, "srv2");
	plan_status_release(&back);
	json_decref(value);
}

static void assignment_comes_back_as_it_went(void **state)
{
	json_t *spec = json(
	    SPEC("{\"checks\":[{\"id\":\"a\"}],\"body\":{\"links\":{\"d\":{\"component\":\"db\"}},\"memory\":7}}"));
	struct plan_action action = { .kind = PLAN_ASSIGN,
				      .component = (char *)"web",
				      .host = (char *)"srv1",
				      .n = 2,
				      .gen = 5,
				      .revision = 3,
				      .fingerprint = (char *)"f",
				      .desired = PLAN_DRAIN,
				      .since_ms = 99,
				      .proven = true };
	_cleanup_(freep) char *key = plan_instance_key("node", "srv1", "portal", "web", 2, 5);
	struct plan_instance it;
	json_t *value;

	(void)state;
	assert_string_equal(key, "tepuy/host/srv1/node/portal/web/2.5");
	assert_int_equal(plan_assignment_to_json(&action, spec, &value, NULL), 0);
	assert_int_equal(plan_instance_from_json(key, value, &it, NULL), 0);
	assert_string_equal(it.host, "srv1");
	assert_int_equal(it.n, 2);
	assert_int_equal(it.gen, 5);
	assert_int_equal(it.desired, PLAN_DRAIN);
	assert_int_equal(it.since_ms, 99);
	assert_true(it.proven);
	assert_int_equal(it.memory, 7);
	assert_string_equal(it.links.v[0], "db");
	plan_instance_release(&it);
	json_decref(value);
	json_decref(spec);
}

static void checks_of_assignment_and_spec_have_one_fingerprint(void **state)
{
	json_t *value = json(SPEC("{\"checks\":[{\"id\":\"a\"}],\"body\":{}}")), *assignment;
	struct plan_action action = {
		.kind = PLAN_ASSIGN, .component = (char *)"web", .revision = 3, .fingerprint = (char *)"f"
	};
	struct plan_instance it;
	struct plan_spec spec;

	(void)state;
	assert_int_equal(plan_spec_from_json(value, &spec, NULL), 0);
	assert_int_equal(plan_assignment_to_json(&action, value, &assignment, NULL), 0);
	assert_int_equal(plan_instance_from_json("tepuy/host/h/node/portal/web/1.3", assignment, &it, NULL), 0);
	assert_string_equal(it.around, spec.components[0].around);
	plan_instance_release(&it);
	plan_spec_release(&spec);
	json_decref(assignment);
	json_decref(value);
}

static void assignment_needs_its_component(void **state)
{
	json_t *spec = json(SPEC("{" BODY "}")), *value;
	struct plan_action action = { .component = (char *)"db", .fingerprint = (char *)"f" };

	(void)state;
	assert_int_equal(plan_assignment_to_json(&action, spec, &value, NULL), -EINVAL);
	json_decref(spec);
}

static void instance_refuses_bad_keys(void **state)
{
	static const char *const keys[] = {
		"",
		"tepuy/host/h/node/s/c/1",
		"tepuy/host/h/node/s/c/0.1",
		"tepuy/host/h/node/s/c/1.0",
		"tepuy/host/h/node/s/c/x.1",
		"tepuy/host/h/node//c/1.1",
		"tepuy/host/h/state/s/c/1.1",
		"tepuy/host/h/node/s/c/1.1/x",
		"a/b/c/d/e/f/g/h/i/j/k/l",
	};
	json_t *value = json("{\"desired\":\"run\",\"revision\":1,\"body\":{}}");
	struct plan_instance it;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		assert_int_equal(plan_instance_from_json(keys[i], value, &it, NULL), -EINVAL);
	json_decref(value);
}

static void state_says_what_it_answers(void **state)
{
	json_t *value = json("{\"state\":\"failed\",\"why\":\"no disk\",\"log\":\"bye\",\"answers\":42}");
	struct plan_instance it = { 0 };

	(void)state;
	assert_int_equal(plan_state_from_json(value, &it, NULL), 0);
	assert_int_equal(it.state, PLAN_FAILED);
	assert_int_equal(it.answers_ms, 42);
	assert_string_equal(it.why, "no disk");
	assert_string_equal(it.log, "bye");
	plan_instance_release(&it);
	json_decref(value);
}

static void ack_names_both_sides(void **state)
{
	json_t *value = json("{\"sessions\":2,\"since\":7}");
	struct plan_ack ack;

	(void)state;
	assert_int_equal(plan_ack_from_json("tepuy/host/h/ack/s/web/2.5/front.1.4", value, &ack, NULL), 0);
	assert_string_equal(ack.component, "web");
	assert_int_equal(ack.n, 2);
	assert_int_equal(ack.gen, 5);
	assert_string_equal(ack.consumer, "front.1.4");
	assert_int_equal(ack.sessions, 2);
	assert_int_equal(ack.since_ms, 7);
	plan_ack_release(&ack);
	json_decref(value);
}

static void disconnect_is_of_a_component_or_a_node(void **state)
{
	json_t *value = json("{\"stop\":true,\"deadline\":5000}");
	struct plan_disconnect d;

	(void)state;
	assert_int_equal(plan_disconnect_from_json("tepuy/service/s/disconnect/web", value, &d, NULL), 0);
	assert_int_equal(d.n, 0);
	assert_true(d.stop);
	free(d.component);
	assert_int_equal(plan_disconnect_from_json("tepuy/service/s/disconnect/web/2", value, &d, NULL), 0);
	assert_int_equal(d.n, 2);
	free(d.component);
	assert_int_equal(plan_disconnect_from_json("tepuy/service/s/disconnect/web/zero", value, &d, NULL), -EINVAL);
	json_decref(value);
}

static void host_has_labels(void **state)
{
	json_t *value = json("{\"runtime\":\"docker\",\"labels\":{\"disk\":\"ssd\",\"a\":\"b\"},\"memory\":1024}");
	struct plan_host host;

	(void)state;
	assert_int_equal(plan_host_from_json("tepuy/host/srv1/info", value, &host, NULL), 0);
	assert_string_equal(host.name, "srv1");
	assert_string_equal(host.labels.v[0], "a=b");
	assert_string_equal(host.labels.v[1], "disk=ssd");
	plan_host_release(&host);
	json_decref(value);
}

static char *diff_text(const char *from, const char *to)
{
	json_t *a = from ? json(from) : NULL, *b = json(to);
	struct plan_change *changes;
	struct buf text = { 0 };
	size_t n;

	assert_int_equal(plan_diff(a, b, &changes, &n, NULL), 0);
	for (size_t i = 0; i < n; i++) {
		_cleanup_(freep) char *why = strv_join(&changes[i].why, "; ");

		buf_printf(&text, "%s %s%s%s\n", plan_change_name(changes[i].kind), changes[i].node, why[0] ? ": " : "",
			   why);
	}
	plan_changes_free(changes, n);
	json_decref(a);
	json_decref(b);
	return buf_take(&text);
}

static void check_diff(const char *from, const char *to, const char *expected)
{
	_cleanup_(freep) char *text = diff_text(from, to);

	assert_string_equal(text, expected);
}

static void diff_of_nothing_creates(void **state)
{
	(void)state;
	check_diff(NULL, SPEC("{\"nodes\":2," BODY "}"), "create web/1\ncreate web/2\n");
}

static void a_disks_size_replaces_nothing(void **state)
{
	json_t *small = json("{\"volumes\":{\"data\":{\"path\":\"\",\"size\":1024}}}"),
	       *none = json("{\"volumes\":{\"data\":{\"path\":\"\"}}}"),
	       *moved = json("{\"volumes\":{\"data\":{\"path\":\"/srv\"}}}");
	_cleanup_(freep) char *a = plan_body_fingerprint(small), *b = plan_body_fingerprint(none),
			      *c = plan_fingerprint(none), *d = plan_body_fingerprint(moved);

	(void)state;
	assert_string_equal(a, b);
	assert_string_equal(b, c);
	assert_string_not_equal(b, d);
	assert_non_null(json_object_get(json_object_get(json_object_get(small, "volumes"), "data"), "size"));
	json_decref(small);
	json_decref(none);
	json_decref(moved);
	check_diff(SPEC("{\"body\":{\"volumes\":{\"data\":{\"path\":\"\"}}}}"),
		   SPEC("{\"body\":{\"volumes\":{\"data\":{\"path\":\"\",\"size\":1024}}}}"),
		   "keep web/1: volumes.data.size: counts for disks that are made from now on\n");
}

#define LIMITS(memory, most) "{\"memory\":" memory ",\"cpus\":1" most "}"
#define WITH_LIMITS(memory, most) SPEC("{\"body\":" LIMITS(memory, most) "}")

/* With a maximum, `memory` is no part of what a node is, but of what is around it; without, it is. */
static void limits_with_a_maximum_replace_nothing(void **state)
{
	static const struct {
		const char *a, *b;
		bool same_body, same_around;
	} rows[] = {
		{ LIMITS("1", ""), LIMITS("2", ""), false, true },
		{ LIMITS("1", ",\"memory_max\":4"), LIMITS("2", ",\"memory_max\":4"), true, false },
		{ LIMITS("1", ",\"memory_max\":4"), LIMITS("1", ",\"memory_max\":8"), false, true },
		{ LIMITS("1", ",\"cpus_max\":4"), LIMITS("2", ",\"cpus_max\":4"), false, true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		json_t *a = json(rows[i].a), *b = json(rows[i].b), *checks = json("[]");
		_cleanup_(freep) char *body_a = plan_body_fingerprint(a), *body_b = plan_body_fingerprint(b);
		_cleanup_(freep) char *around_a = plan_around_fingerprint(checks, a),
				      *around_b = plan_around_fingerprint(checks, b);

		assert_int_equal(!strcmp(body_a, body_b), rows[i].same_body);
		assert_int_equal(!strcmp(around_a, around_b), rows[i].same_around);
		json_decref(a);
		json_decref(b);
		json_decref(checks);
	}
	check_diff(WITH_LIMITS("1", ",\"memory_max\":4"), WITH_LIMITS("2", ",\"memory_max\":4"),
		   "keep web/1: memory: 1 → 2\n");
	check_diff(WITH_LIMITS("1", ""), WITH_LIMITS("2", ""), "replace web/1: memory: 1 → 2\n");
	check_diff(WITH_LIMITS("1", ""), WITH_LIMITS("1", ",\"memory_max\":4"),
		   "replace web/1: memory: 1 → –; memory_max: – → 4\n");
}

static void another_place_may_move_a_node(void **state)
{
	(void)state;
	check_diff(SPEC("{\"place\":{\"runtime\":\"docker\"}," BODY "}"),
		   SPEC("{\"place\":{\"runtime\":\"xen\"}," BODY "}"),
		   "keep web/1: place.runtime: 'docker' → 'xen'; "
		   "a node whose host does not fit any more moves to one that does\n");
}

static void diff_of_the_same_keeps(void **state)
{
	(void)state;
	check_diff(SPEC("{" BODY "}"), SPEC("{" BODY "}"), "keep web/1\n");
}

static void diff_says_what_changed(void **state)
{
	(void)state;
	check_diff(SPEC("{\"body\":{\"config\":{\"title\":\"A\",\"old\":1},\"bundle\":\"x\"}}"),
		   SPEC("{\"body\":{\"config\":{\"title\":\"B\",\"new\":true},\"bundle\":\"y\"}}"),
		   "replace web/1: the recipe's files changed; config.new: – → true; config.old: 1 → –; config.title: "
		   "'A' → 'B'\n");
}

static void diff_scales(void **state)
{
	(void)state;
	check_diff(SPEC("{\"nodes\":1," BODY "}"), SPEC("{\"nodes\":2," BODY "}"),
		   "keep web/1\ncreate web/2: nodes: 1 → 2\n");
	check_diff(SPEC("{\"nodes\":2," BODY "}"), SPEC("{\"nodes\":1," BODY "}"),
		   "keep web/1\nremove web/2: nodes: 2 → 1\n");
}

static void diff_of_checks_keeps_the_node(void **state)
{
	(void)state;
	check_diff(SPEC("{\"checks\":[]," BODY "}"), SPEC("{\"checks\":[1]," BODY "}"),
		   "keep web/1: checks: [] → [1]\n");
}

static void diff_of_down_removes(void **state)
{
	(void)state;
	check_diff(SPEC("{" BODY "}"), "{\"service\":\"portal\",\"revision\":4,\"down\":true}", "remove web/1\n");
}

static void diff_shows_a_secret_by_name_only(void **state)
{
	(void)state;
	check_diff(SPEC("{\"body\":{\"password\":{\"secret\":\"a\"}}}"),
		   SPEC("{\"body\":{\"password\":{\"secret\":\"b\"}}}"),
		   "replace web/1: password: {\"secret\":\"a\"} → {\"secret\":\"b\"}\n");
}

static void diff_cuts_long_values_between_characters(void **state)
{
	_cleanup_(freep) char *text = NULL;

	(void)state;
	text = diff_text(SPEC("{\"body\":{\"t\":\"\"}}"),
			 SPEC("{\"body\":{\"t\":\"xñññññññññññññññññññññññññññññññññññññññññññññññññññññ\"}}"));
	assert_non_null(strstr(text, "ñ…\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(spec_has_defaults),
		cmocka_unit_test(spec_reads_every_field),
		cmocka_unit_test(fingerprint_does_not_depend_on_the_order_of_keys),
		cmocka_unit_test(spec_refuses_what_is_no_spec),
		cmocka_unit_test(spec_refuses_bad_components),
		cmocka_unit_test(status_comes_back_as_it_went),
		cmocka_unit_test(assignment_comes_back_as_it_went),
		cmocka_unit_test(checks_of_assignment_and_spec_have_one_fingerprint),
		cmocka_unit_test(assignment_needs_its_component),
		cmocka_unit_test(instance_refuses_bad_keys),
		cmocka_unit_test(state_says_what_it_answers),
		cmocka_unit_test(ack_names_both_sides),
		cmocka_unit_test(disconnect_is_of_a_component_or_a_node),
		cmocka_unit_test(host_has_labels),
		cmocka_unit_test(diff_of_nothing_creates),
		cmocka_unit_test(a_disks_size_replaces_nothing),
		cmocka_unit_test(limits_with_a_maximum_replace_nothing),
		cmocka_unit_test(another_place_may_move_a_node),
		cmocka_unit_test(diff_of_the_same_keeps),
		cmocka_unit_test(diff_says_what_changed),
		cmocka_unit_test(diff_scales),
		cmocka_unit_test(diff_of_checks_keeps_the_node),
		cmocka_unit_test(diff_of_down_removes),
		cmocka_unit_test(diff_shows_a_secret_by_name_only),
		cmocka_unit_test(diff_cuts_long_values_between_characters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
