#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# needs: docker
# lane: xen
# timeout: 10800
# The contract of a runtime's driver (runtime-contract.sh), held against Xen in the emulated host's dom0: the same program
# with the same assertions as against Docker. BASE: the tar of a system that boots, else one is made here.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/lib-service.sh
. "$(dirname "$0")/lib-service.sh"
# shellcheck source=tests/lab/hosts.sh
. "$(dirname "$0")/../lab/hosts.sh"
# shellcheck source=tests/lab/xen.sh
. "$(dirname "$0")/../lab/xen.sh"
# shellcheck source=tests/e2e/lib-xen.sh
. "$(dirname "$0")/lib-xen.sh"

LAB=tt-xen-contract-$$
lab_state=$TMP/lab
BUILD=${BUILD:-$root/build}
at_exit xen_end

# In dom0 it takes long to be made.
make_base() {
	[ -z "${BASE:-}" ] || return 0
	BASE=$TMP/system.tar
	mmdebstrap --quiet --variant=minbase --include=systemd-sysv,udev,openssh-server,iproute2 bookworm "$BASE"
}

bring_contract() {
	local file
	for file in runtime-contract runtime-node; do xen_put "$BUILD/tests/e2e/$file" "/root/build/tests/e2e/$file" 755; done
	for file in runtime-contract.sh lib-runtime-layers.sh; do xen_put "$root/tests/e2e/$file" "/root/e2e/$file" 755; done
	xen_put "$(command -v busybox)" /root/busybox 755
	xen_put "$BASE" /root/system.tar
	xen_configuration >"$TMP/xen.json"
	xen_put "$TMP/xen.json" /etc/tepuy/xen.json
}

# What a foreign machine boots with.
link_kernel() {
	on_xen mkdir -p /var/lib/tepuy/xen
	on_xen ln -sf "$(jq -r .kernel "$TMP/xen.json")" /var/lib/tepuy/xen/kernel
}

check "a lab starts" lab_up "$LAB" "${LAB_SUBNET:-auto}" 1 bare
check "a Xen host joins it" xen_up "$LAB" ready
check "there is a system that boots" make_base
check "it gets the contract" bring_contract
check "and a kernel for what is not tepuy's" link_kernel
on_xen env BASE=/root/system.tar BUSYBOX=/root/busybox "RUNTIME_SLOW=${RUNTIME_SLOW:-8}" TMPDIR=/var/tmp \
	/root/e2e/runtime-contract.sh xen /root/build 2>&1 | tee "$TMP/contract"
count_results "$TMP/contract"
equal "no machine is left" "" "$(domains)"
check "nor a disk" on_xen sh -c '[ -z "$(ls -A /var/lib/tepuy/xen/nodes)" ]'
finish
