/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "runtime/xen-unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/i18n.h"
#include "base/text.h"

#define MIB ((uint64_t)1 << 20)
#define FIRST_METRIC ((size_t)100)

/* Run by systemd when the main process has ended, in its control group; what it writes must be on the disk before the
 * machine goes. */
const char xen_ended_script[] = "#!/bin/sh\n"
				"run=0 killed=0 group=\n"
				"[ ! -r " XEN_RUN_FILE " ] || read -r run <" XEN_RUN_FILE "\n"
				"group=$(sed -n 's/^0:://p' /proc/self/cgroup)\n"
				"events=/sys/fs/cgroup$group/memory.events\n"
				"[ ! -r \"$events\" ] || killed=$(sed -n 's/^oom_kill //p' \"$events\")\n"
				"said=\"${run:-0} ${EXIT_CODE:-killed} ${EXIT_STATUS:-KILL} ${SERVICE_RESULT:-unknown} "
				"${killed:-0}\"\n"
				"mkdir -p /var/lib/tepuy\n"
				"echo \"$said\" >/var/lib/tepuy/exit.new\n"
				"mv -f /var/lib/tepuy/exit.new /var/lib/tepuy/exit\n"
				"sync /var/lib/tepuy/exit /var/lib/tepuy\n"
				"[ ! -w /dev/hvc0 ] || echo \"tepuy: main process ended: $said\" >/dev/hvc0\n"
				"exit 0\n";

const char xen_sshd_conf[] = "# Written by tepuy: only its agent comes in, with its key.\n"
			     "HostKey /etc/ssh/ssh_host_ed25519_key\n"
			     "PermitRootLogin prohibit-password\n"
			     "PasswordAuthentication no\n"
			     "KbdInteractiveAuthentication no\n"
			     "AuthorizedKeysFile .ssh/authorized_keys\n"
			     "AllowStreamLocalForwarding yes\n"
			     "MaxSessions 256\n"
			     "MaxStartups 64\n"
			     "UseDNS no\n"
			     "PrintMotd no\n"
			     "PrintLastLog no\n";

const char xen_target_conf[] = "# Written by tepuy.\n[Unit]\nWants=tepuy-network.service ssh.service\n";

void xen_quote_unit(struct buf *to, const char *word)
{
	buf_addc(to, '"');
	for (const char *p = word; *p; p++)
		switch (*p) {
		case '"':
		case '\\':
			buf_printf(to, "\\%c", *p);
			break;
		case '%':
			buf_adds(to, "%%");
			break;
		case '$':
			buf_adds(to, "$$");
			break;
		default:
			if ((unsigned char)*p < ' ' || *p == 0x7f)
				buf_printf(to, "\\x%02x", (unsigned char)*p);
			else
				buf_addc(to, *p);
		}
	buf_addc(to, '"');
}

/* As a value of Environment=: there '$' has no meaning. */
static void quote_environment(struct buf *to, const char *word)
{
	_cleanup_buf_ struct buf quoted = { 0 };

	xen_quote_unit(&quoted, word);
	for (const char *p = buf_text(&quoted); *p; p++) {
		buf_addc(to, *p);
		p += *p == '$';
	}
}

/* The privileges that Docker leaves to a container, so that a recipe works alike in both. */
static const char hardening[] =
    "CapabilityBoundingSet=CAP_AUDIT_WRITE CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER CAP_FSETID "
    "CAP_KILL CAP_MKNOD CAP_NET_BIND_SERVICE CAP_NET_RAW CAP_SETFCAP CAP_SETGID CAP_SETPCAP "
    "CAP_SETUID CAP_SYS_CHROOT\n"
    "ProtectKernelTunables=yes\n"
    "ProtectKernelModules=yes\n"
    "ProtectKernelLogs=yes\n"
    "ProtectControlGroups=yes\n"
    "ProtectClock=yes\n"
    "ProtectHostname=yes\n"
    "LockPersonality=yes\n"
    "RestrictRealtime=yes\n"
    "SystemCallArchitectures=native\n";

static void add_requirements(struct buf *to, const struct xen_node *node)
{
	for (size_t i = 0; i < node->n_mounts; i++) {
		buf_adds(to, "RequiresMountsFor=");
		xen_quote_unit(to, node->mounts[i].to);
		buf_addc(to, '\n');
	}
}

int xen_unit_text(const struct xen_node *node, char **ret, struct err *err)
{
	_cleanup_buf_ struct buf to = { 0 };

	if (!node->argv.n || !*node->argv.v[0])
		return err_set(err, EINVAL, _("The node %s has no main process"), node->name);
	buf_adds(&to, "# Written by tepuy when the machine was made.\n[Unit]\nDescription=Main process of ");
	for (const char *p = node->name; *p; p++)
		buf_addc(&to, *p);
	buf_adds(&to, "\nAfter=tepuy-network.service local-fs.target\n");
	add_requirements(&to, node);
	/* Forced: other services of the machine have nothing to say that is worth waiting for. */
	buf_adds(&to, "StartLimitIntervalSec=0\nSuccessAction=poweroff-force\nFailureAction=poweroff-force\n\n"
		      "[Service]\nType=exec\n");
	buf_adds(&to, "ExecStart=/usr/bin/systemd-cat --priority=info --stderr-priority=err --level-prefix=false --");
	for (size_t i = 0; i < node->argv.n; i++) {
		buf_addc(&to, ' ');
		xen_quote_unit(&to, node->argv.v[i]);
	}
	buf_adds(&to, "\nExecStopPost=" XEN_ENDED_SCRIPT "\nWorkingDirectory=/\n");
	for (size_t i = 0; i < node->env.n; i++) {
		buf_adds(&to, "Environment=");
		quote_environment(&to, node->env.v[i]);
		buf_addc(&to, '\n');
	}
	buf_printf(&to, "KillSignal=SIG%s\nKillMode=mixed\nTimeoutStopSec=infinity\nOOMPolicy=continue\n",
		   node->stop_signal);
	/* One whose memory changes has the machine's own bound. */
	if (node->memory && !node->memory_max)
		buf_printf(&to, "MemoryMax=%llu\n", (unsigned long long)node->memory);
	buf_printf(&to, "TasksMax=infinity\nLimitNOFILE=1048576\nLogRateLimitIntervalSec=0\n%s", hardening);
	*ret = buf_take(&to);
	return 0;
}

char *xen_network_unit(const struct xen_node *node)
{
	struct buf to = { 0 };

	buf_adds(&to,
		 "# Written by tepuy: the machine's addresses are given by who made it.\n"
		 "[Unit]\nDescription=Network of the node\nDefaultDependencies=no\n"
		 "After=systemd-remount-fs.service systemd-sysctl.service\nBefore=network-pre.target network.target "
		 "ssh.service\nWants=network.target\n\n"
		 "[Service]\nType=oneshot\nRemainAfterExit=yes\n"
		 "ExecStart=/bin/ip link set lo up\n");
	for (size_t i = 0; i < node->n_networks; i++) {
		const struct runtime_network *network = &node->networks[i];

		/* The card may come a moment after the root file system. */
		buf_printf(
		    &to,
		    "ExecStart=/bin/sh -c 'i=0; until [ -e /sys/class/net/eth%zu ] || [ $$i -gt 100 ]; do i=$$((i+1)); "
		    "sleep 0.2; done'\n"
		    "ExecStart=/bin/ip address replace %s/%u dev eth%zu\nExecStart=/bin/ip link set eth%zu up\n",
		    i, network->address, network->prefix, i, i);
		/* Each with a metric of its own: the first card's is the one that is used. */
		if (network->gateway)
			buf_printf(&to, "ExecStart=/bin/ip route replace default via %s dev eth%zu metric %zu\n",
				   network->gateway, i, FIRST_METRIC + i);
	}
	return buf_take(&to);
}

char *xen_hosts(const struct xen_node *node)
{
	const char *dot = strchr(node->host_name, '.');
	_cleanup_(freep) char *first = xstrndup(node->host_name, dot ? (size_t)(dot - node->host_name) : 0);

	return xasprintf("127.0.0.1 localhost\n::1 localhost ip6-localhost\n%s %s%s%s\n",
			 node->n_networks ? node->networks[0].address : "127.0.1.1", node->host_name, dot ? " " : "",
			 first);
}

char *xen_resolv(const struct xen_node *node)
{
	struct buf to = { 0 };

	buf_adds(&to, "# Written by tepuy.\n");
	for (size_t i = 0; i < node->n_networks; i++)
		for (size_t j = 0; j < node->networks[i].dns.n; j++)
			buf_printf(&to, "nameserver %s\n", node->networks[i].dns.v[j]);
	return buf_take(&to);
}

char *xen_journal_conf(const struct xen_node *node)
{
	uint64_t size = node->log_size ? node->log_size : 10 * MIB;

	/* Journal files are preallocated in pieces of 8 MiB: fewer than four cannot be rotated. */
	return xasprintf(
	    "# Written by tepuy.\n[Journal]\nStorage=persistent\nSystemMaxUse=%llu\nRateLimitIntervalSec=0\n"
	    "ForwardToConsole=no\nSeal=no\nCompress=yes\nSyncIntervalSec=5s\n",
	    (unsigned long long)(3 * size > 32 * MIB ? 3 * size : 32 * MIB));
}

int xen_fstab(const struct xen_fstab_line *lines, size_t n, char **ret, struct err *err)
{
	_cleanup_buf_ struct buf to = { 0 };

	buf_adds(&to, "# Written by tepuy.\n/dev/xvda / ext4 noatime 0 0\n");
	for (size_t i = 0; i < n; i++) {
		if (strpbrk(lines[i].to, " \t\n\\#"))
			return err_set(err, EINVAL,
				       _("A volume cannot be mounted at '%s' in a machine: give a path "
					 "without spaces"),
				       lines[i].to);
		buf_printf(&to, "%s %s ext4 %snoatime,nodev,nosuid,x-systemd.device-timeout=60s 0 0\n", lines[i].device,
			   lines[i].to, lines[i].read_only ? "ro,noload," : "");
	}
	*ret = buf_take(&to);
	return 0;
}
