# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# For the tests with an emulated Xen host: source it behind lib.sh. Brings in the lab, its Xen host and the operator.

# shellcheck source=tests/lab/hosts.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lab/hosts.sh"
# shellcheck source=tests/lab/xen.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lab/xen.sh"
# shellcheck source=tests/e2e/lib-apply.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib-apply.sh"

# findings FILE CHECK: "LEVEL TEXT" of what `doctor --json` says of xen1.
findings() {
	jq -r --arg check "$2" '.hosts[] | select(.host == "xen1") | .findings[] | select(.check == $check) | "\(.level) \(.text)"' "$1"
}

# status_of FILE HOST: of `host apply --json`.
status_of() {
	jq -r --arg host "$2" '.hosts[] | select(.host == $host) | .status' "$1"
}

error_of() {
	jq -r --arg host "$2" '.hosts[] | select(.host == $host) | .error // ""' "$1"
}
