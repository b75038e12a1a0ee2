/* SPDX-License-Identifier: GPL-3.0-or-later */
/* ssh_config as ssh would read it, and two hosts looked up in it. */
#include <stdint.h>
#include <string.h>

#include "ssh/ssh-config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(ssh_config_freep) struct ssh_config *config = NULL;
	_cleanup_ssh_settings_ struct ssh_settings plain = { 0 }, given = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;

	/* What is included lies outside of the input. */
	if (size && memmem(data, size, "nclude", 6))
		return 0;
	if (ssh_config_parse("fuzz", (const char *)data, size, &config, &err) < 0)
		return 0;
	ssh_config_resolve(config, "srv1.example.org", NULL, 0, &plain);
	ssh_config_resolve(config, "192.0.2.1", "ana", 2222, &given);
	if (!plain.hostname || !plain.user || !plain.port || strcmp(given.user, "ana") != 0 || given.port != 2222)
		abort();
	return 0;
}
