<?php
// SPDX-License-Identifier: GPL-3.0-or-later

// Opens the service's database. The password is read from its file each time: it is in no setting and no environment.
function database(array $settings): PDO
{
	$database = $settings['database'];
	if (!isset($database['address']))
		throw new RuntimeException('no database is connected');
	$password = @file_get_contents($database['password_file']);
	if ($password === false)
		throw new RuntimeException('the password of the database cannot be read');
	$where = "pgsql:host={$database['address']};port={$database['port']};dbname={$database['name']}";
	return new PDO($where, $database['user'], rtrim($password, "\n"), [
		PDO::ATTR_TIMEOUT => 3,
		PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION,
	]);
}

// Counts one visit and returns how many there have been, in one statement: two nodes never get the same number.
function count_visit(PDO $pdo): int
{
	$sql = 'UPDATE visits SET n = n + 1 WHERE id = 1 RETURNING n';
	try {
		return (int)$pdo->query($sql)->fetchColumn();
	} catch (PDOException $e) {
		if ($e->getCode() !== '42P01') // undefined table: the first visit ever
			throw $e;
	}
	// IF NOT EXISTS alone is not safe against a second node doing the same at the same moment; the lock is.
	$pdo->beginTransaction();
	$pdo->exec('SELECT pg_advisory_xact_lock(7365)');
	$pdo->exec('CREATE TABLE IF NOT EXISTS visits (id integer PRIMARY KEY, n bigint NOT NULL)');
	$pdo->exec('INSERT INTO visits VALUES (1, 0) ON CONFLICT DO NOTHING');
	$pdo->commit();
	return (int)$pdo->query($sql)->fetchColumn();
}
