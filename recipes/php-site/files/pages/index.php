<?php
// SPDX-License-Identifier: GPL-3.0-or-later
// Which node answered, and a counter kept in PostgreSQL.
$settings = require '/srv/site/settings.php';
require '/srv/site/database.php';

header('Content-Type: text/html; charset=utf-8');
header('Cache-Control: no-store');
header('X-Node: ' . $settings['node']);
$visits = null;
try {
	$visits = count_visit(database($settings));
} catch (Exception $e) {
	http_response_code(503);
	error_log('site: the database does not answer: ' . $e->getMessage());
}
$text = fn (string $s): string => htmlspecialchars($s, ENT_QUOTES | ENT_SUBSTITUTE, 'UTF-8');
?>
<!DOCTYPE html>
<html>
<head>
<meta charset="utf-8">
<title><?= $text($settings['title']) ?></title>
<style>body { font-family: sans-serif; max-width: 40em; margin: 4em auto } dt { color: #555 } dd { font-size: 1.5em }</style>
</head>
<body>
<h1><?= $text($settings['title']) ?></h1>
<p><?= $text($settings['greeting']) ?></p>
<dl>
<dt>node</dt><dd id="node"><?= $text($settings['node']) ?></dd>
<dt>host</dt><dd id="host"><?= $text($settings['host']) ?></dd>
<dt>revision</dt><dd id="revision"><?= $text($settings['revision']) ?></dd>
<dt>visits</dt><dd id="visits"><?= $visits ?? 'The database does not answer.' ?></dd>
</dl>
</body>
</html>
