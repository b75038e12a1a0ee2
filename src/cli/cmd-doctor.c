/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/doctor.h"

#include <string.h>

#include "cli/arguments.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/output.h"

static int run(struct cli *cli, const struct arguments *args)
{
	struct patient here = { 0 };
	int status;

	doctor_ask_here(&here);
	doctor_examine(&here);
	status = doctor_show(cli, &here, 1, arguments_has(args, "json"));
	patient_release(&here);
	return status;
}

static const struct command_option options[] = {
	OPTION_JSON,
	OPTIONS_END,
};

const struct command cmd_doctor = {
	.name = "doctor",
	.group = GROUP_OTHER,
	.summary = N_("Show what a machine lacks to be a host, and what to do"),
	.details = N_(
	    "Asks the machine for all that a host needs, before anything of tepuy is there and after: system, clock, "
	    "disk, memory, kernel, runtime, Consul, mirror, ports, names, agent, firewall. Changes nothing. Run it as "
	    "root: others see less. The exit status is 1 when something has failed; warnings do not count."),
	.options = options,
	.exec = run,
};
