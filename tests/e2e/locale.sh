#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# tepuy as it is installed, under a Spanish locale that is generated for this: its messages are Spanish, and documents
# mean what they mean elsewhere, whatever that locale's alphabet and decimal sign.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

root=$(cd "$(dirname "$0")/../.." && pwd)
tepuy=${TEPUY:-$root/build/root/bin/tepuy}

# in_spanish COMMAND…
in_spanish() {
	env -u LC_ALL -u LANGUAGE LOCPATH="$TMP/locales" LANG=es_VE.UTF-8 "$@"
}

# shellcheck disable=SC2317  # it is called through check
# says TEXT COMMAND…: the command's output, of both kinds, has that text.
says() {
	"${@:2}" >"$TMP/said" 2>&1
	cat "$TMP/said"
	grep -qF -- "$1" "$TMP/said"
}

mkdir -p "$TMP/locales" "$TMP/wrong"
check "a Spanish locale is generated" localedef -i es_VE -f UTF-8 "$TMP/locales/es_VE.UTF-8"
equal "it has a decimal comma" , "$(in_spanish locale decimal_point)"

check "help is Spanish" says 'Uso: tepuy ORDEN' in_spanish "$tepuy" --help
check "a recipe is shown in Spanish" says 'PostgreSQL 15 con una base de datos' \
	in_spanish "$tepuy" recipe show "$root/recipes/postgresql"

sed 's/    recipe: haproxy/    recipie: haproxy/' "$root/examples/portal/service.yaml" >"$TMP/wrong/service.yaml"
check "a document's errors are Spanish" says "error: clave desconocida 'recipie'; ¿quiso decir 'recipe'?" \
	in_spanish "$tepuy" service lint "$TMP/wrong" --recipes "$root/recipes"

cat >"$TMP/service.yaml" <<'YAML'
service: tt-locale
components:
  page:
    recipe: static-site
    cpus: 0.5
    checks: [{http: /a/b?c=1, interval: 2s}]
YAML
for recipe in "$root"/recipes/*/; do
	check "the recipe $(basename "$recipe") is right in Spanish too" in_spanish "$tepuy" recipe lint "$recipe"
done
check "paths and decimals are understood" in_spanish "$tepuy" service lint "$TMP/service.yaml" --recipes "$root/recipes"

finish
