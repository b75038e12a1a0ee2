<?php
// SPDX-License-Identifier: GPL-3.0-or-later
header('Content-Type: text/plain; charset=utf-8');
header('Cache-Control: no-store');
$settings = require '/srv/site/settings.php';
echo $settings['node'], "\n";
