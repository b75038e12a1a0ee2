<?php
// Written by tepuy for {{node.name}}. The texts are in nowdocs, so that quotes and dollars in them mean nothing to PHP.
return [
	'node' => '{{node.name}}',
	'host' => '{{host.name}}',
	'revision' => '{{service.revision}}',
	'title' => <<<'END_OF_TITLE'
{{config.title}}
END_OF_TITLE,
	'greeting' => <<<'END_OF_GREETING'
{{config.greeting}}
END_OF_GREETING,
	'database' => [
{{#links.database.nodes}}
{{#first}}
		'address' => '{{address}}',
		'port' => {{port}},
{{/first}}
{{/links.database.nodes}}
		'name' => '{{config.database}}',
		'user' => '{{config.user}}',
		'password_file' => '{{config.password}}',
	],
];
