/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What of src/ssh needs no server: quoting, ssh_config, known_hosts, sudo's gate, fan-out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fs.h"
#include "base/run.h"
#include "ssh/known-hosts.h"
#include "ssh/remote.h"
#include "ssh/ssh-config.h"
#include "ssh/sudo.h"

#define KEY_A "AAAAC3NzaC1lZDI1NTE5AAAAIB4UPsarAiTU4UbuB6uqJ4UMSBbrxvnOxMu7FDyf+CdN"
#define KEY_B "AAAAC3NzaC1lZDI1NTE5AAAAIJ4UPsarAiTU4UbuB6uqJ4UMSBbrxvnOxMu7FDyf+CdN"

/* A real shell reads the words back as they were. */
static void quoting_survives_a_shell(void **state)
{
	_cleanup_strv_ struct strv words = { 0 };
	_cleanup_run_ struct run run = { 0 };
	_cleanup_(freep) char *line = NULL;
	_cleanup_buf_ struct buf output = { 0 };

	(void)state;
	strv_add_all(&words, "printf", "<%s>", "a b", "it's", "$HOME", "`id`", "", "*", "-n", "\\", "new\nline", "\"",
		     "~", "a=b", "'", "!x", "#c", NULL);
	line = remote_quote(&words);
	strv_add_all(&run.argv, "sh", "-c", line, NULL);
	assert_int_equal(run_program(&run, &output, NULL), 0);
	assert_string_equal(buf_text(&output),
			    "<a b><it's><$HOME><`id`><><*><-n><\\><new\nline><\"><~><a=b><'><!x><#c>");
}

static struct ssh_config *parse(const char *text)
{
	struct ssh_config *config;

	assert_int_equal(ssh_config_parse("config", text, strlen(text), &config, NULL), 0);
	return config;
}

static void first_value_wins(void **state)
{
	_cleanup_(ssh_config_freep) struct ssh_config *config =
	    parse("User early\nHost srv1 web*\n  HostName 192.0.2.1 # a comment\n  Port=2222\n  User late\n"
		  "  IdentityFile ~/.ssh/a\nHost *\n  Port 22\n  IdentityFile \"/keys/%h %r\"\n  ConnectTimeout 7\n");
	_cleanup_ssh_settings_ struct ssh_settings s = { 0 };

	(void)state;
	setenv("HOME", "/home/ana", 1);
	ssh_config_resolve(config, "srv1", NULL, 0, &s);
	assert_string_equal(s.hostname, "192.0.2.1");
	assert_string_equal(s.user, "early");
	assert_int_equal(s.port, 2222);
	assert_int_equal(s.identities.n, 2);
	assert_string_equal(s.identities.v[0], "/home/ana/.ssh/a");
	assert_string_equal(s.identities.v[1], "/keys/192.0.2.1 early");
	assert_int_equal(s.connect_ms, 7000);
}

static void given_goes_before_the_file(void **state)
{
	_cleanup_(ssh_config_freep) struct ssh_config *config = parse("Host *\nUser file\nPort 2222\n");
	_cleanup_ssh_settings_ struct ssh_settings s = { 0 };

	(void)state;
	ssh_config_resolve(config, "srv1", "me", 44, &s);
	assert_string_equal(s.user, "me");
	assert_int_equal(s.port, 44);
	assert_string_equal(s.hostname, "srv1");
}

static void negated_patterns_leave_a_host_out(void **state)
{
	_cleanup_(ssh_config_freep) struct ssh_config *config =
	    parse("Host *.example.org !bad.example.org\n ProxyJump gate\nHost *\n ProxyCommand nc %h %p\n");
	_cleanup_ssh_settings_ struct ssh_settings good = { 0 }, bad = { 0 };

	(void)state;
	ssh_config_resolve(config, "a.example.org", NULL, 0, &good);
	assert_string_equal(good.proxy_jump, "gate");
	assert_null(good.proxy_command);
	ssh_config_resolve(config, "bad.example.org", NULL, 0, &bad);
	assert_null(bad.proxy_jump);
	assert_string_equal(bad.proxy_command, "nc %h %p");
}

static void proxy_none_is_none(void **state)
{
	_cleanup_(ssh_config_freep) struct ssh_config *config =
	    parse("Host gate\nProxyJump none\nHost *\nProxyJump gate\n");
	_cleanup_ssh_settings_ struct ssh_settings gate = { 0 };

	(void)state;
	ssh_config_resolve(config, "gate", NULL, 0, &gate);
	assert_null(gate.proxy_jump);
}

static void match_looks_at_what_was_said(void **state)
{
	_cleanup_(ssh_config_freep) struct ssh_config *config =
	    parse("Match originalhost srv1 user ana\n Port 1\nMatch !host srv1\n Port 2\nMatch all\n Port 3\n"
		  "Match exec true\n HostKeyAlias never\n");
	_cleanup_ssh_settings_ struct ssh_settings a = { 0 }, b = { 0 }, c = { 0 };

	(void)state;
	ssh_config_resolve(config, "srv1", "ana", 0, &a);
	ssh_config_resolve(config, "srv2", "ana", 0, &b);
	ssh_config_resolve(config, "srv1", "eva", 0, &c);
	assert_int_equal(a.port, 1);
	assert_int_equal(b.port, 2);
	assert_int_equal(c.port, 3);
	assert_null(c.host_key_alias);
}

static void include_ends_with_its_block(void **state)
{
	char file[] = "/tmp/tepuy-include-XXXXXX";
	_cleanup_(closep) int fd = mkstemp(file);
	_cleanup_(freep) char *text = xasprintf("Host srv1\n Include %s\n User outer\nHost *\n User all\n", file);
	_cleanup_(ssh_config_freep) struct ssh_config *config = NULL;
	_cleanup_ssh_settings_ struct ssh_settings a = { 0 }, b = { 0 };
	static const char inner[] = "Port 7\nHost other\n Port 8\n";

	(void)state;
	assert_int_equal(fs_write_all(fd, inner, strlen(inner)), 0);
	config = parse(text);
	unlink(file);
	ssh_config_resolve(config, "srv1", NULL, 0, &a);
	ssh_config_resolve(config, "other", NULL, 0, &b);
	assert_int_equal(a.port, 7);
	assert_string_equal(a.user, "outer");
	assert_int_equal(b.port, 22);
	assert_string_equal(b.user, "all");
}

static void wrong_line_is_named(void **state)
{
	_cleanup_err_ struct err err = ERR_INIT;
	static const char text[] = "Host a\n  Port\n";
	struct ssh_config *config;

	(void)state;
	assert_int_equal(ssh_config_parse("config", text, strlen(text), &config, &err), -EINVAL);
	assert_string_equal(err_text(&err), "config:2: the keyword has no value");
}

struct known {
	char path[40];
	struct strv files;
};

static void known_make(struct known *known, const char *text)
{
	int fd;

	strcpy(known->path, "/tmp/tepuy-known-XXXXXX");
	fd = mkstemp(known->path);
	assert_int_equal(fs_write_all(fd, text, strlen(text)), 0);
	close(fd);
	known->files = (struct strv){ 0 };
	strv_add(&known->files, known->path);
}

static enum known_answer ask(struct known *known, const char *name, const char *blob, struct known_place *place)
{
	enum known_answer answer;

	known_place_release(place);
	assert_int_equal(known_hosts_ask(&known->files, name, "ssh-ed25519", blob, &answer, place, NULL), 0);
	return answer;
}

static void known_hosts_answers(void **state)
{
	_cleanup_(known_place_release) struct known_place place = { 0 };
	struct known known;

	(void)state;
	known_make(&known, "# comment\n\nsrv1,192.0.2.1 ssh-ed25519 " KEY_A " ana@host\n[srv2]:2222 ssh-ed25519 " KEY_A
			   "\nsrv3 ecdsa-sha2-nistp256 AAAA\n*.lab,!x.lab ssh-ed25519 " KEY_B "\nbroken line\n"
			   "@revoked * ssh-ed25519 AAAAREVOKED\n@cert-authority * ssh-ed25519 " KEY_B "\n");
	assert_int_equal(ask(&known, "srv1", KEY_A, &place), KNOWN_SAME);
	assert_int_equal(ask(&known, "192.0.2.1", KEY_A, &place), KNOWN_SAME);
	assert_int_equal(ask(&known, "srv1", KEY_B, &place), KNOWN_OTHER);
	assert_string_equal(place.file, known.path);
	assert_int_equal(place.line, 3);
	assert_string_equal(place.type, "ssh-ed25519");
	assert_int_equal(ask(&known, "srv2", KEY_A, &place), KNOWN_NEW);
	assert_int_equal(ask(&known, "[srv2]:2222", KEY_A, &place), KNOWN_SAME);
	assert_int_equal(ask(&known, "srv3", KEY_A, &place), KNOWN_MISSING);
	assert_int_equal(place.line, 5);
	assert_int_equal(ask(&known, "a.lab", KEY_B, &place), KNOWN_SAME);
	assert_int_equal(ask(&known, "x.lab", KEY_B, &place), KNOWN_NEW);
	assert_int_equal(ask(&known, "new", "AAAAREVOKED", &place), KNOWN_REVOKED);
	unlink(known.path);
	strv_release(&known.files);
}

/* What is added is hashed so that ssh-keygen finds it, and known at once. */
static void added_keys_are_known(void **state)
{
	_cleanup_(known_place_release) struct known_place place = { 0 };
	_cleanup_strv_ struct strv types = { 0 };
	_cleanup_run_ struct run run = { 0 };
	struct known known;

	(void)state;
	known_make(&known, "srv1 ssh-ed25519 " KEY_B);
	assert_int_equal(known_hosts_add(known.path, "srv9", true, "ssh-ed25519", KEY_A, NULL), 0);
	assert_int_equal(ask(&known, "srv9", KEY_A, &place), KNOWN_SAME);
	assert_int_equal(ask(&known, "srv1", KEY_B, &place), KNOWN_SAME);
	assert_int_equal(known_hosts_types(&known.files, "srv9", &types, NULL), 0);
	assert_int_equal(types.n, 1);
	strv_add_all(&run.argv, "ssh-keygen", "-F", "srv9", "-f", known.path, NULL);
	assert_int_equal(run_program(&run, NULL, NULL), 0);
	unlink(known.path);
	strv_release(&known.files);
}

static void fingerprint_is_that_of_ssh_keygen(void **state)
{
	_cleanup_(freep) char *ours = known_hosts_fingerprint(KEY_A), *name = known_hosts_name("Srv1", 22),
			      *port = known_hosts_name("srv1", 2222);

	(void)state;
	assert_string_equal(ours, "SHA256:6fLWoGfydCmO9c8qw2uU/EATmnkY/AX2tXkB99j2104");
	assert_string_equal(name, "srv1");
	assert_string_equal(port, "[srv1]:2222");
}

/* However the bytes are cut. */
static void gate_lets_through_what_is_the_commands(void **state)
{
	(void)state;
	for (size_t piece = 1; piece < 60; piece++) {
		struct sudo_gate gate;
		_cleanup_(freep) char *text = NULL;
		_cleanup_buf_ struct buf command = { 0 };
		unsigned asked = 0;

		sudo_gate_init(&gate);
		text = xasprintf("lecture\n%sSorry.\n%s%serror of its own", gate.ask, gate.ask, gate.go);
		for (size_t at = 0; at < strlen(text); at += piece) {
			size_t n = strlen(text) - at < piece ? strlen(text) - at : piece, len = 0;
			enum sudo_event event = SUDO_MORE;
			const char *rest = NULL;

			if (gate.open) {
				buf_add(&command, text + at, n);
				continue;
			}
			event = sudo_gate_feed(&gate, text + at, n, &rest, &len);
			while (event == SUDO_ASKS) {
				asked++;
				event = sudo_gate_feed(&gate, "", 0, &rest, &len);
			}
			if (event == SUDO_OPEN)
				buf_add(&command, rest, len);
		}
		assert_true(gate.open);
		assert_int_equal(asked, 2);
		assert_string_equal(buf_text(&command), "error of its own");
		sudo_gate_release(&gate);
	}
}

static void touch(void *data, size_t index)
{
	_Atomic int *times = data;

	atomic_fetch_add(&times[index], 1);
}

static void fan_out_does_each_once(void **state)
{
	static _Atomic int times[1000];

	(void)state;
	remote_fan_out(1000, 64, touch, times);
	remote_fan_out(0, 64, touch, times);
	remote_fan_out(1, 0, touch, times);
	for (size_t i = 1; i < 1000; i++)
		assert_int_equal(times[i], 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quoting_survives_a_shell),
		cmocka_unit_test(first_value_wins),
		cmocka_unit_test(given_goes_before_the_file),
		cmocka_unit_test(negated_patterns_leave_a_host_out),
		cmocka_unit_test(proxy_none_is_none),
		cmocka_unit_test(match_looks_at_what_was_said),
		cmocka_unit_test(include_ends_with_its_block),
		cmocka_unit_test(wrong_line_is_named),
		cmocka_unit_test(known_hosts_answers),
		cmocka_unit_test(added_keys_are_known),
		cmocka_unit_test(fingerprint_is_that_of_ssh_keygen),
		cmocka_unit_test(gate_lets_through_what_is_the_commands),
		cmocka_unit_test(fan_out_does_each_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
