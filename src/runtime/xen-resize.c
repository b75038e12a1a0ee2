/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Other limits for a machine: kept for its next start, and given to one that runs by xl's mem-set, vcpu-set and cap. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/i18n.h"
#include "base/run.h"
#include "base/text.h"
#include "runtime/xen.h"

#define LOCK_MS 240000
#define XL_MS 30000
#define ONLINE_MS 30000
#define MIB ((uint64_t)1 << 20)

struct resize {
	struct runtime *rt;
	struct xen *xen;
	const struct xen_config *config;
	struct xen_node node;
	struct xen_record record;
	struct err *err;
};

static int run_xl(const struct resize *resize, struct run *run, struct buf *output)
{
	run->timeout_ms = xen_patience(resize->config, XL_MS);
	return run_checked(run, output, resize->err);
}

static int xl_number(const struct resize *resize, const char *command, uint64_t number)
{
	_cleanup_run_ struct run run = { 0 };
	_cleanup_buf_ struct buf output = { 0 };

	strv_add_all(&run.argv, "xl", command, resize->node.name, NULL);
	strv_addf(&run.argv, "%llu", (unsigned long long)number);
	return run_xl(resize, &run, &output);
}

/* Xen sets the goal whatever it has left, and the machine would wait for the rest for ever. */
static int has_memory(const struct resize *resize, uint64_t now, uint64_t wanted)
{
	_cleanup_(freep) char *text = NULL;
	uint64_t left;
	int r = wanted <= now ? 0 : xen_info("free_memory", &text, resize->err);

	if (r < 0 || wanted <= now)
		return r;
	if (text_u64(text, &left) < 0)
		return err_set(resize->err, EBADMSG, _("'xl info' does not tell %s"), "free_memory");
	if (left * MIB < wanted - now)
		return err_set(
		    resize->err, ENOMEM,
		    _("the machine is to have %llu MiB more, and Xen has %llu left; stop another one, or give "
		      "this one less"),
		    (unsigned long long)((wanted - now) / MIB), (unsigned long long)left);
	return 0;
}

static int set_memory(const struct resize *resize)
{
	uint64_t wanted = xen_node_memory(resize->config, &resize->node);
	struct runtime_usage usage = { 0 };
	int r = resize->rt->ops->usage(resize->rt, resize->node.name, &usage, resize->err);

	r = r < 0 ? r : has_memory(resize, usage.memory, wanted);
	return r < 0 ? r : xl_number(resize, "mem-set", (wanted + MIB - 1) / MIB);
}

/* New processors of the machine come to nothing by themselves: Debian has no udev rule that takes them into use. */
static int bring_online(const struct resize *resize)
{
	_cleanup_strv_ struct strv argv = { 0 };
	struct remote_command command = { .argv = &argv, .timeout_ms = xen_patience(resize->config, ONLINE_MS) };

	strv_add_all(&argv, "/bin/sh", "-c",
		     "for cpu in /sys/devices/system/cpu/cpu[1-9]*/online; do "
		     "[ ! -e \"$cpu\" ] || echo 1 2>/dev/null >\"$cpu\" || :; done",
		     NULL);
	return xen_repeat_command(resize->xen, &resize->node, &resize->record, &command, NULL, resize->err);
}

static int set_cap(const struct resize *resize)
{
	_cleanup_run_ struct run run = { 0 };
	_cleanup_buf_ struct buf output = { 0 };
	_cleanup_(freep) char *scheduler = NULL;
	int r = xen_info("xen_scheduler", &scheduler, resize->err);

	if (r < 0)
		return r;
	strv_add_all(&run.argv, "xl", !strcmp(scheduler, "credit") ? "sched-credit" : "sched-credit2", "-d",
		     resize->node.name, "-c", NULL);
	strv_addf(&run.argv, "%u", xen_node_cap(&resize->node));
	return run_xl(resize, &run, &output);
}

static int set_cpus(const struct resize *resize)
{
	unsigned vcpus = xen_node_vcpus(&resize->node);
	int r = xl_number(resize, "vcpu-set", vcpus);

	r = r < 0 || vcpus < 2 ? r : bring_online(resize);
	return r < 0 ? r : set_cap(resize);
}

static int check(const struct xen_node *node, const struct runtime_limits *limits, struct err *err)
{
	if (limits->memory && limits->memory > node->memory_max)
		return err_set(err, ERANGE, _("the machine was made for at most %llu MiB"),
			       (unsigned long long)(node->memory_max / MIB));
	if (limits->cpus > node->cpus_max)
		return err_set(err, ERANGE, _("the machine was made for at most %g processors"), node->cpus_max);
	return 0;
}

static int resize_locked(struct resize *resize, const char *id, const struct runtime_limits *limits)
{
	bool has_record, present = false;
	int r = xen_load_node(resize->xen, id, &resize->node, &resize->record, &has_record, resize->err);

	r = r < 0 ? r : check(&resize->node, limits, resize->err);
	if (r < 0)
		return r;
	resize->node.memory = limits->memory ? limits->memory : resize->node.memory;
	resize->node.cpus = limits->cpus > 0 ? limits->cpus : resize->node.cpus;
	if (has_record && resize->record.phase == XEN_RUNNING)
		r = xen_domain_runs(resize->xen, id, &present, resize->err);
	if (r == 0 && present && limits->memory)
		r = set_memory(resize);
	if (r == 0 && present && limits->cpus > 0)
		r = set_cpus(resize);
	return r < 0 ? r : xen_save_node(resize->config, &resize->node, resize->err);
}

int xen_resize(struct runtime *rt, const char *id, const struct runtime_limits *limits, struct err *err)
{
	_cleanup_err_ struct err why = ERR_INIT;
	struct resize resize = { .rt = rt, .xen = xen_of(rt), .err = &why };
	_cleanup_(closep) int lock = -1;
	int r = xen_config_of(resize.xen, &resize.config, err);

	if (r < 0)
		return r;
	lock = r = xen_lock_node(resize.config, id, LOCK_MS, &why);
	r = r < 0 ? r : resize_locked(&resize, id, limits);
	xen_node_release(&resize.node);
	if (r == -ENOENT || r == -EPERM)
		return err_set(err, -r, "%s", err_text(&why));
	return r < 0 ? err_set(err, -r, _("Cannot change the limits of the node %s: %s"), id, err_text(&why)) : 0;
}
