/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <libintl.h>
#include <locale.h>

#include "cli/cli.h"
#include "cli/commands.h"

int main(int argc, char **argv)
{
	struct cli cli;
	int status;

	setlocale(LC_ALL, "");
	bindtextdomain("tepuy", TEPUY_LOCALEDIR);
	textdomain("tepuy");
	cli_init(&cli);
	status = commands_main(&cli, argc - 1, argv + 1);
	cli_release(&cli);
	return status;
}
