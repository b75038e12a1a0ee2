/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <libintl.h>
#include <locale.h>

#include "cli/cli.h"
#include "cli/commands.h"

int main(int argc, char **argv)
{
	struct cli cli;
	int status;

	/*
	 * Messages and letters are the reader's. Numbers and order stay those of C, for a document must mean the same
	 * whoever reads it: under es_VE, [!-~] in a pattern is a range of the Spanish alphabet, which lacks '/'.
	 */
	setlocale(LC_CTYPE, "");
	setlocale(LC_MESSAGES, "");
	bindtextdomain("tepuy", TEPUY_LOCALEDIR);
	textdomain("tepuy");
	cli_init(&cli);
	status = commands_main(&cli, argc - 1, argv + 1);
	cli_release(&cli);
	return status;
}
