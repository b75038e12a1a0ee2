<?php
// SPDX-License-Identifier: GPL-3.0-or-later
// /big?mb=N: N megabytes (1 to 256) at one megabyte a second. A long download to hold against drains and updates; its
// length is announced, so a cut is seen.
$megabytes = filter_input(INPUT_GET, 'mb', FILTER_VALIDATE_INT, ['options' => ['min_range' => 1, 'max_range' => 256]]);
if (!$megabytes) {
	http_response_code(400);
	header('Content-Type: text/plain; charset=utf-8');
	exit("mb must be a number from 1 to 256\n");
}
header('Content-Type: application/octet-stream');
header('Content-Length: ' . $megabytes * 1024 * 1024);
header('Cache-Control: no-store');
set_time_limit(0);
$piece = str_repeat("0123456789abcdef", 4096);
$start = microtime(true);
for ($sent = 1; $sent <= $megabytes * 16; $sent++) {
	echo $piece;
	flush();
	$wait = $start + $sent / 16 - microtime(true);
	if ($wait > 0)
		usleep((int)($wait * 1e6));
}
