#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# needs: docker
# lane: hosts
# timeout: 1200
# A bare host that reaches no mirror becomes a host from a bundle that was made where there is one; prepared again without
# the bundle, once the mirror is back, it has its own apt sources again.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/lab/hosts.sh
. "$(dirname "$0")/../lab/hosts.sh"
# shellcheck source=tests/e2e/lib-apply.sh
. "$(dirname "$0")/lib-apply.sh"

lab=tt-offline-$$
at_exit lab_down "$lab"

# Without lists apt names no targets.
sources_of_host() {
	lab_root "$lab" 1 apt-get -q update >"$TMP/update.log" 2>&1
	# shellcheck disable=SC2016 # apt's own variable
	lab_root "$lab" 1 apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | sort -u
}

check "the package is built" build_package
check "a bare host starts" lab_up "$lab" auto 1 bare
prepare_operator "$lab" 1
lab_root "$lab" 1 apt-get -q update >"$TMP/update.log" 2>&1
own=$(sources_of_host)
lab_cutoff "$lab" 1
refuse "it reaches no mirror" lab_root "$lab" 1 timeout 60 apt-get -o APT::Update::Error-Mode=any -o Acquire::Retries=0 update
check "the bundle is made here" tepuy host bundle --package "$(deb package)" "$TMP/bundle.tar"
start=$SECONDS
check "it becomes a host from the bundle" tepuy host apply --package "$(deb package)" --offline "$TMP/bundle.tar"
printf '      %d s\n' $((SECONDS - start))
equal "the cluster has it" h1 "$(hosts_in_state alive)"
equal "its apt knows the bundle and nothing else" file:/var/lib/tepuy/offline/ "$(sources_of_host)"
tepuy host apply --package "$(deb package)" --offline "$TMP/bundle.tar" --json >"$TMP/again.json"
equal "nothing is changed" unchanged "$(statuses "$TMP/again.json")"
lab_heal "$lab"
check "with the mirror back it is prepared without the bundle" tepuy host apply --package "$(deb package)"
equal "its own sources are back" "$own" "$(sources_of_host)"
check "and then there is nothing to do" again_unchanged 1
finish
