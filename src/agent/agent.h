/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TEPUY_AGENT_AGENT_H
#define TEPUY_AGENT_AGENT_H

struct agent_options {
	const char *socket, *state_dir, *consul, *consul_token_file, *runtime, *runtime_endpoint, *address, *name;
	int log_level;
};

/* Runs the agent until a signal ends it. Returns an exit status. */
int agent_main(const struct agent_options *options);

#endif
