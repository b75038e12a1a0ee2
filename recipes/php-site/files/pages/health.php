<?php
// SPDX-License-Identifier: GPL-3.0-or-later
// Healthy means: this node can serve PHP. The database is left out on purpose. If its absence made web nodes unhealthy,
// all of them would leave HAProxy at once, and people would get a bare 503 in place of a page that says what is wrong.
header('Content-Type: text/plain; charset=utf-8');
header('Cache-Control: no-store');
$settings = require '/srv/site/settings.php';
echo "ok {$settings['node']}\n";
