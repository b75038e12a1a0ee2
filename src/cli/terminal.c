/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/terminal.h"

#include <errno.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/i18n.h"

static struct termios before;
static volatile sig_atomic_t changed;
static int terminal = STDIN_FILENO; /* the one that was changed */

/* tcsetattr() may be called in a signal handler. */
void terminal_restore(void)
{
	if (changed)
		tcsetattr(terminal, TCSADRAIN, &before);
	changed = 0;
}

static void on_signal(int number)
{
	terminal_restore();
	raise(number); /* SA_RESETHAND: this time it ends the program */
}

int terminal_set(enum terminal_mode mode, struct err *err)
{
	return terminal_set_on(STDIN_FILENO, mode, err);
}

int terminal_set_on(int fd, enum terminal_mode mode, struct err *err)
{
	static const int fatal[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGABRT, SIGSEGV };
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND | SA_NODEFER };
	struct termios now;

	if (tcgetattr(fd, &before) < 0)
		return err_errno(err, ENOTTY, _("The terminal cannot be used"));
	for (size_t i = 0; i < ARRAY_SIZE(fatal); i++)
		sigaction(fatal[i], &action, NULL);
	now = before;
	if (mode == TERMINAL_RAW)
		cfmakeraw(&now);
	else
		now.c_lflag &= ~(tcflag_t)ECHO;
	terminal = fd;
	changed = 1;
	if (tcsetattr(fd, TCSADRAIN, &now) < 0)
		return err_errno(err, errno, _("The terminal cannot be used"));
	return 0;
}

void terminal_size(int *ret_rows, int *ret_columns)
{
	struct winsize size = { 0 };

	if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) < 0 || !size.ws_row || !size.ws_col)
		size = (struct winsize){ .ws_row = 24, .ws_col = 80 };
	*ret_rows = size.ws_row;
	*ret_columns = size.ws_col;
}
