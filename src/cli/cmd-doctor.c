/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/doctor.h"

#include <errno.h>

#include "cli/commands.h"
#include "cli/fleet.h"
#include "cli/options.h"
#include "cli/output.h"

static int here(struct cli *cli, bool json)
{
	struct patient patient = { 0 };
	int status;

	doctor_ask_here(&patient);
	doctor_examine(&patient);
	status = doctor_show(cli, &patient, 1, json);
	patient_release(&patient);
	return status;
}

/* A host on which sudo refuses says what anybody there may know. */
static int on_host(struct fleet *fleet, struct remote *remote, size_t index, struct err *err)
{
	struct patient *patient = (struct patient *)fleet->data + index;
	int r = doctor_ask_remote(remote, true, patient, err);

	if (r == -EPERM) {
		err_release(err);
		*err = ERR_INIT;
		r = doctor_ask_remote(remote, false, patient, err);
	}
	return r;
}

static int there(struct cli *cli, const struct arguments *args, const struct inventory *inventory)
{
	struct patient *patients = xcalloc(inventory->n, sizeof(*patients));
	struct fleet fleet = { .cli = cli, .args = args, .inventory = inventory, .each = on_host, .data = patients };
	int status;

	fleet_run(&fleet);
	for (size_t i = 0; i < inventory->n; i++) {
		patients[i].name = xstrdup(inventory->hosts[i].name);
		patients[i].machines = inventory->rows[i] && inventory->rows[i]->xen.item.node;
		if (fleet.results[i].error)
			err_set(&patients[i].err, EIO, "%s", fleet.results[i].error);
		doctor_examine(&patients[i]);
	}
	status = doctor_show(cli, patients, inventory->n, arguments_has(args, "json"));
	for (size_t i = 0; i < inventory->n; i++)
		patient_release(&patients[i]);
	free(patients);
	fleet_release(&fleet);
	return status;
}

static int run(struct cli *cli, const struct arguments *args)
{
	_cleanup_inventory_ struct inventory inventory = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;

	if (!arguments_has(args, "inventory") && !arguments_has(args, "hosts") && !arguments_has(args, "label"))
		return here(cli, arguments_has(args, "json"));
	if (inventory_select(cli, args, &inventory, &err) < 0)
		return err.code ? (int)cli_usage(cli, "%s", err_text(&err)) : STATUS_USAGE;
	return there(cli, args, &inventory);
}

static const struct command_option options[] = {
	OPTIONS_INVENTORY,
	OPTIONS_FLEET,
	OPTION_JSON,
	OPTIONS_END,
};

const struct command cmd_doctor = {
	.name = "doctor",
	.group = GROUP_HOST,
	.summary = N_("Show what a machine lacks to be a host, and what to do"),
	.details = N_("Asks this machine, or those that --hosts and --inventory name, for all that a host needs, "
		      "before anything of "
		      "tepuy is there and after: system, clock, disk, memory, kernel, runtime, Consul, mirror, ports, "
		      "names, agent, "
		      "firewall. Changes nothing. Run it as root here; elsewhere it uses sudo, and sees less where it "
		      "may not. The "
		      "exit status is 1 when something has failed; warnings do not count."),
	.options = options,
	.exec = run,
};
