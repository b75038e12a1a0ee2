#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# needs: docker
# lane: hosts
# timeout: 1800
# Two bare hosts that reach no mirror become hosts from a bundle that was made where there is one, and bring a service up whose
# recipe has a base system and packages; prepared again without the bundle, once the mirror is back, they have their own
# apt sources again.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/lab/hosts.sh
. "$(dirname "$0")/../lab/hosts.sh"
# shellcheck source=tests/e2e/lib-apply.sh
. "$(dirname "$0")/lib-apply.sh"

lab=tt-offline-$$
store=${TEPUY_TEST_STORE:-/var/cache/tepuy-tests/store} # bases and images are built once for all tests
at_exit lab_down "$lab"

# Without lists apt names no targets.
sources_of_host() {
	lab_root "$lab" 1 apt-get -q update >"$TMP/update.log" 2>&1
	# shellcheck disable=SC2016 # apt's own variable
	lab_root "$lab" 1 apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | sort -u
}

# A recipe that cannot be made without a mirror, and a service with a node of it on each host.
write_service() {
	mkdir -p "$OPERATOR/recipes/page/templates"
	echo '{{node.name}}' >"$OPERATOR/recipes/page/templates/index.html"
	cat >"$OPERATOR/recipes/page/recipe.yaml" <<-'END'
		recipe: page
		version: "1.0"
		summary: {en: A page, es: Una página}
		base: {suite: bookworm}
		packages: [busybox-static]
		provides: {http: {port: 80, interface: http}}
		templates: [{from: templates/index.html, to: /srv/www/index.html, on_change: none}]
		start: [busybox, httpd, -f, -p, "80", -h, /srv/www]
		stop: {signal: KILL, timeout: 1s}
		checks: [{http: /, port: http, interval: 2s}]
	END
	cat >"$OPERATOR/service.yaml" <<-'END'
		service: offline
		components:
		  web: {recipe: page, nodes: 2, update: {order: start-first, parallel: 2, healthy_for: 1s, deadline: 180s, on_failure: rollback}}
	END
}

node_hosts() {
	tepuy ps --host h1 --json | jq -r '[.nodes[] | select(.health == "passing") | .host] | sort | join(" ")'
}

on_both() {
	[ "$(node_hosts)" = 'h1 h2' ]
}

# That a host made it, by its agent's log; the others would have fetched it.
made_here() {
	lab_root "$lab" "$1" journalctl -u tepuy-agent --no-pager -o cat | grep -E 'this host makes the (base|image)'
}

images_of() {
	lab_root "$lab" "$1" sh -c 'cd /var/lib/tepuy/store && ls bases images layers | sort'
}

check "the package is built" build_package
check "two bare hosts start" lab_up "$lab" auto 2 bare
prepare_operator "$lab" 1
write_service
lab_root "$lab" 1 apt-get -q update >"$TMP/update.log" 2>&1
own=$(sources_of_host)
lab_cutoff "$lab" 1
lab_cutoff "$lab" 2
for i in 1 2; do
	refuse "h$i reaches no mirror" lab_root "$lab" "$i" timeout 60 apt-get -o APT::Update::Error-Mode=any -o Acquire::Retries=0 update
done
check "the bundle is made here, with what the service needs" tepuy host bundle --package "$(deb package)" --service service.yaml \
	--recipes recipes --store "$store" bundle.tar
start=$SECONDS
check "they become hosts from the bundle" tepuy host apply --package "$(deb package)" --offline "$OPERATOR/bundle.tar"
printf '      %d s\n' $((SECONDS - start))
check "the cluster has both" wait_for 120 alive_are 'h1 h2'
equal "their apt knows the bundle and nothing else" file:/var/lib/tepuy/offline/ "$(sources_of_host)"
tepuy host apply --package "$(deb package)" --offline "$OPERATOR/bundle.tar" --json >"$TMP/again.json"
equal "nothing is changed" "unchanged unchanged" "$(statuses "$TMP/again.json")"
equal "both have the same images" "$(images_of 1)" "$(images_of 2)"
check "the service comes up" tepuy up --host h1 service.yaml --recipes recipes --yes
check "a node of it on each host" wait_for 60 on_both
for i in 1 2; do
	refuse "h$i made nothing" made_here "$i"
	refuse "and still reaches no mirror" lab_root "$lab" "$i" timeout 60 apt-get -o Dir::Etc::sourcelist=/etc/apt/sources.list \
		-o Dir::Etc::sourceparts=/etc/apt/sources.list.d -o APT::Update::Error-Mode=any -o Acquire::Retries=0 update
done
# Without a mirror, and without the bundle being given again.
check "another version of tepuy is packed" build_package later --version 99.0
tepuy host upgrade --package "$(deb package)" --json >"$TMP/upgrade.json"
equal "an upgrade to what they have changes nothing" "unchanged unchanged" "$(statuses "$TMP/upgrade.json")"
check "they are upgraded" tepuy host upgrade --package "$(deb later)"
equal "both have it" '99.0 99.0' "$(version_on 1) $(version_on 2)"
check "and back" tepuy host upgrade --package "$(deb package)"
equal "their apt knows the bundle still" file:/var/lib/tepuy/offline/ "$(sources_of_host)"
check "the service runs on" wait_for 60 on_both
# Another text in the recipe is another image, which is not in the bundle.
sed -i 's/version: .*/version: "2.0"/' "$OPERATOR/recipes/page/recipe.yaml"
refuse "a recipe that is not in the bundle" tepuy up --host h1 service.yaml --recipes recipes --yes
check "is rolled back, and what was there runs on" wait_for 60 on_both
lab_heal "$lab"
check "with the mirror back they are prepared without the bundle" tepuy host apply --package "$(deb package)"
equal "their own sources are back" "$own" "$(sources_of_host)"
check "and then there is nothing to do" again_unchanged 2
finish
