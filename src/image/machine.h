/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What makes a base system one that boots as a machine without anybody's help from inside or from the network: systemd,
 * udev (file systems are found by UUID), sshd for root's keys, ip(8). No kernel, no D-Bus, no logins on a console, no
 * time daemon (who runs the machine sets its clock), no timers, nothing that is done at a first boot, as every boot of
 * a new node is one. At boot ssh.service starts and what a driver adds to multi-user.target; what a recipe's packages
 * enabled does not get into an image.
 *
 * What a driver writes into the node's disk before its first boot, as it has no place in an image that all share:
 * /etc/machine-id, /etc/hostname, /etc/hosts, /etc/resolv.conf, /etc/fstab; /etc/ssh/ssh_host_ed25519_key, without
 * which sshd does not start, and /root/.ssh/authorized_keys; a unit that gives the cards their addresses, before
 * network.target; /var/lib/systemd/random-seed.
 */
#ifndef TEPUY_IMAGE_MACHINE_H
#define TEPUY_IMAGE_MACHINE_H

#include "base/err.h"
#include "base/strv.h"

/* What mmdebstrap is told besides what it is for every base. */
void machine_arguments(struct strv *argv);
/* Puts the unpacked system in `root` in order. -ENOSPC has no message. */
int machine_settle(const char *root, struct err *err);

#endif
