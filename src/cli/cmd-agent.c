/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "agent/agent.h"
#include "base/i18n.h"
#include "base/log.h"
#include "cli/arguments.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/options.h"

struct level {
	const char *name;
	int level;
};

static const struct level levels[] = {
	{ "error", LOG_LEVEL_ERROR },
	{ "warning", LOG_LEVEL_WARNING },
	{ "info", LOG_LEVEL_INFO },
	{ "debug", LOG_LEVEL_DEBUG },
};

static int find_level(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(levels); i++)
		if (!strcmp(levels[i].name, name))
			return levels[i].level;
	return LOG_LEVEL_INFO;
}

static int run(struct cli *cli, const struct arguments *args)
{
	int64_t peer_port = arguments_number(args, "peer-port", 0);
	struct agent_options options = {
		.socket = arguments_text(args, "socket", cli->socket),
		.state_dir = arguments_text(args, "state-dir", "/var/lib/tepuy"),
		.consul = arguments_text(args, "consul", "http://127.0.0.1:8500"),
		.consul_token_file = arguments_text(args, "consul-token-file", NULL),
		.runtime = arguments_text(args, "runtime", NULL),
		.runtime_endpoint = arguments_text(args, "runtime-endpoint", NULL),
		.address = arguments_text(args, "address", NULL),
		.name = arguments_text(args, "name", NULL),
		.labels = arguments_list(args, "label"),
		.reschedule_ms = arguments_number(args, "reschedule-after", 0),
		.tls_dir = arguments_text(args, "tls-dir", NULL),
		.peer_port = (unsigned)peer_port,
		.log_level = find_level(arguments_text(args, "log-level", "info")),
	};

	if (arguments_has(args, "peer-port") && (peer_port < 1 || peer_port > 65535))
		return cli_usage(cli, _("--peer-port takes a number from 1 to 65535"));
	return agent_main(&options);
}

static const char *const level_names[] = { "error", "warning", "info", "debug", NULL };

static const struct command_option options_table[] = {
	{ .name = "socket",
	  .type = OPTION_TEXT,
	  .word = WORD_FILE,
	  .argument = "PATH",
	  .help = N_("Listen there instead of /run/tepuy/agent.sock") },
	{ .name = "state-dir",
	  .type = OPTION_TEXT,
	  .word = WORD_DIRECTORY,
	  .argument = "DIR",
	  .help = N_("Keep images, volumes and state there instead of /var/lib/tepuy") },
	{ .name = "consul",
	  .type = OPTION_TEXT,
	  .argument = "URL",
	  .help = N_("The host's Consul agent instead of http://127.0.0.1:8500") },
	{ .name = "consul-token-file",
	  .type = OPTION_TEXT,
	  .word = WORD_FILE,
	  .argument = "FILE",
	  .help = N_("Read the Consul ACL token from FILE") },
	{ .name = "runtime",
	  .type = OPTION_TEXT,
	  .argument = "NAME",
	  .help = N_("Run nodes with this; without it, with what the host has") },
	{ .name = "runtime-endpoint",
	  .type = OPTION_TEXT,
	  .argument = "PATH",
	  .help = N_("Where the runtime listens; for docker its socket") },
	{ .name = "address",
	  .type = OPTION_TEXT,
	  .argument = "ADDRESS",
	  .help = N_("The address under which other hosts reach this one's nodes") },
	{ .name = "name",
	  .type = OPTION_TEXT,
	  .argument = "NAME",
	  .help = N_("The host's name, which must be that of its Consul agent") },
	{ .name = "label",
	  .type = OPTION_LIST,
	  .argument = "NAME=VALUE",
	  .help = N_("A label for `place` in services, such as disk=ssd; may be given several times") },
	{ .name = "reschedule-after",
	  .type = OPTION_DURATION,
	  .argument = "DURATION",
	  .help = N_("While this host leads, nodes of a dead host go elsewhere after so long; 60s without it") },
	{ .name = "tls-dir",
	  .type = OPTION_TEXT,
	  .word = WORD_DIRECTORY,
	  .argument = "DIR",
	  .help = N_("Fetch from and give to other hosts with ca.pem, host.pem and host-key.pem of DIR") },
	{ .name = "peer-port",
	  .type = OPTION_NUMBER,
	  .argument = "PORT",
	  .help = N_("Give to other hosts on this port instead of 8470") },
	{ .name = "log-level",
	  .type = OPTION_TEXT,
	  .argument = "LEVEL",
	  .choices = level_names,
	  .help = N_("error, warning, info or debug; info without it") },
	OPTIONS_END,
};

const struct command cmd_agent = {
	.name = "agent",
	.group = GROUP_OTHER,
	.summary = N_("Run this host's agent, in the foreground"),
	.details = N_("The unit tepuy-agent.service runs it; tepuy-agent(8) says what it does."),
	.options = options_table,
	.exec = run,
};
