/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A command of tepuy is one constant row: what it is called, what it takes, what it does. The parser, the help, the
 * shell completions and the test of tepuy.1 all read the same row, so that they cannot disagree.
 */
#ifndef TEPUY_CLI_COMMAND_H
#define TEPUY_CLI_COMMAND_H

#include <stddef.h>

struct arguments;
struct cli;

/* Exit statuses. `checks` and `exec` say in their details what else they may return. */
enum status {
	STATUS_DONE = 0,
	STATUS_FAILED = 1,
	STATUS_USAGE = 2,
	STATUS_PARTLY = 3,       /* some of what was asked is done, some failed */
	STATUS_WOULD_CHANGE = 4, /* up --dry-run */
	STATUS_INTERRUPTED = 130,
};

/* The sections of `tepuy --help`, in this order. */
enum command_group { GROUP_SERVICE, GROUP_NODE, GROUP_DOCUMENT, GROUP_HOST, GROUP_OTHER, N_GROUPS };

enum command_flags {
	COMMAND_AGENT = 1 << 0,  /* talks to the agent: cli->api is there when exec runs */
	COMMAND_ARGV = 1 << 1,   /* the words behind the first are another program's: no options are looked for there */
	COMMAND_PROBE = 1 << 2,  /* a monitoring probe: whatever keeps it from an answer is exit status 3, unknown */
	COMMAND_HIDDEN = 1 << 3, /* plumbing: in no list of commands */
};

/* What a word is, for shells to complete it. */
enum word_kind { WORD_ANY, WORD_FILE, WORD_DIRECTORY, WORD_SERVICE, WORD_TARGET, WORD_HOST };

enum option_type {
	OPTION_FLAG,     /* takes nothing */
	OPTION_TEXT,     /* the last one given counts */
	OPTION_LIST,     /* may be given several times */
	OPTION_NUMBER,   /* decimal digits */
	OPTION_DURATION, /* 500ms, 10s, 5m */
};

struct command_option {
	const char *name; /* "dry-run" */
	char letter;      /* 'n', or 0 */
	enum option_type type;
	enum word_kind word;
	const char *argument;       /* "DURATION"; NULL for a flag */
	const char *const *choices; /* the only values it takes, NULL behind the last; or NULL */
	const char *help;           /* marked with N_() */
};

struct command {
	const char *name; /* "up", "recipe lint" */
	enum command_group group;
	unsigned flags;      /* enum command_flags */
	const char *summary; /* marked with N_(), without a full stop */
	const char *details; /* a paragraph for --help, marked with N_(), or NULL */
	const char *usage;   /* "[FILE]", "TARGET -- COMMAND…", or NULL */
	int min, max;        /* number of words; max -1: any */
	enum word_kind word;
	const char *const *choices;           /* values of the first word for completion, or NULL */
	const struct command_option *options; /* ends with a row without name; or NULL */
	int (*exec)(struct cli *cli, const struct arguments *args); /* returns the exit status */
};

#endif
