#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# needs: docker
# lane: xen
# timeout: 10800
# examples/portal with its database as a real Xen machine and its pages in Docker: the data is on a disk of its own, which
# outlives the machine that is replaced; the pages move from Docker to Xen as in any other update.
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

xen_begin xen-portal
url=http://$H1:8080

# document CONNECTIONS RUNTIME-OF-WEB: examples/portal, placed.
document() {
	sed -e "s/^service: portal/service: $SERVICE/" \
		-e "s|^    recipe: postgresql|    recipe: postgresql\n    place: {runtime: xen}\n    memory: 256M\n    update: {deadline: ${SLOW}s}|" \
		-e "s|path: /srv/portal/db|path: /srv/portal/db, size: 1G|" \
		-e "s|^    config: {database: portal, user: portal, |    config: {max_connections: $1, database: portal, user: portal, |" \
		-e "s|^    recipe: php-site|    recipe: php-site\n    place: {runtime: $2}\n    memory: 192M|" \
		-e "s|^    nodes: 2|    nodes: 1|" -e "s|deadline: 60s|deadline: ${SLOW}s|" \
		-e "s|^    recipe: haproxy|    recipe: haproxy\n    place: {runtime: docker}\n    update: {deadline: ${SLOW}s}|" \
		"$root/examples/portal/service.yaml" >"$TMP/service.yaml"
}

# visits: what the page's counter says.
visits() {
	curl -fsS --max-time "$PAGE" "$url/" | sed -n 's|.*id="visits">\([0-9]*\)<.*|\1|p'
}

page_counts() {
	[ "$(visits)" -ge 1 ]
}

# uuid: of the file system of the data's disk.
uuid() {
	on_xen blkid -o value -s UUID /srv/portal/db/disk.img
}

document 50 docker
check "the portal comes up with its database in Xen" up_h1 "$TMP/service.yaml"
xen_keep_store
check "its page counts" wait_for "$SLOW" page_counts
equal "the database is a machine" xen1 "$(node_field db/1 host)"
equal "the pages are in a container" h1 "$(node_field web/1 host)"
visits >/dev/null
before=$(visits) disk=$(uuid) address=$(node_field db/1 address)

# --- the machine is replaced, its disk is not ---

document 60 docker
check "a change of the database's configuration comes up" up_h1 "$TMP/service.yaml"
equal "by another machine" "tepuy.$SERVICE.db.1.2" "$(domains)"
check "the page counts on" wait_for "$SLOW" page_counts
case_begin "from where it was"
after=$(visits)
if [ "$after" -gt "$before" ] && [ "$after" -le $((before + 200)) ]; then ok; else not_ok "$before before, $after after"; fi
equal "on the same disk, never formatted again" "$disk" "$(uuid)"
refuse "at an address of its own" [ "$(node_field db/1 address)" = "$address" ]

# --- the pages move from Docker to Xen ---

document 60 xen
load_start move "$url/" 2
check "a changed place comes up" up_h1 "$TMP/service.yaml"
load_stop
no_failures "no request failed meanwhile"
equal "the pages are a machine now" xen1 "$(node_field web/1 host)"
equal "no container of theirs is left" "" "$(on_h1 docker ps -aq --filter "name=tepuy.$SERVICE.web")"
check "the page counts on there" page_counts
case_begin "with all that was counted"
moved=$(visits)
if [ "$moved" -gt "$after" ]; then ok; else not_ok "$after before, $moved after"; fi

# --- the end ---

check "the service goes down" on_h1 tepuy down "$SERVICE" --yes
equal "no machine is left" "" "$(domains)"
check "the data is" on_xen test -s /srv/portal/db/disk.img
finish
