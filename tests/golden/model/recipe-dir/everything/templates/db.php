{{config.title}} {{#links.database.nodes}}{{address}}{{/links.database.nodes}}
