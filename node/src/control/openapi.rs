//! The OpenAPI 3.1 document, made from the table of routes and the types of the API.

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::model::Problem;
use super::routes::{Answer, Route, routes};

/// The document.
#[must_use]
pub fn document() -> Value {
    let mut generator = SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = "/components/schemas".into())
        .into_generator();
    let mut paths: Map<String, Value> = Map::new();
    for route in routes() {
        let method = route.method.as_str().to_lowercase();
        let operation = operation(&route, &mut generator);
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[method] = operation;
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Dunlin control API",
            "version": super::model::VERSION,
            "summary": "What a running node tells and does",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "security": [{ "token": [] }],
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The content of the file api.token in the data folder. Not needed over the Unix socket.",
                },
            },
        },
    })
}

fn operation(route: &Route, generator: &mut SchemaGenerator) -> Value {
    let problem = generator.subschema_for::<Problem>();
    let good = match &route.answer {
        Answer::Json(schema) => json!({ "application/json": { "schema": schema(generator) } }),
        Answer::Other(content_type) => {
            let mut content = Map::new();
            content.insert((*content_type).to_owned(), json!({}));
            Value::Object(content)
        }
    };
    let mut operation = json!({
        "operationId": route.id,
        "summary": route.about,
        "responses": {
            "200": { "description": "Done", "content": good },
            "default": {
                "description": "Not done",
                "content": { "application/problem+json": { "schema": problem } },
            },
        },
    });
    let parameters = parameters(route, generator);
    if !parameters.is_empty() {
        operation["parameters"] = Value::Array(parameters);
    }
    if let Some(schema) = route.takes {
        operation["requestBody"] = json!({
            "required": true,
            "content": { "application/json": { "schema": schema(generator) } },
        });
    }
    operation
}

fn parameters(route: &Route, generator: &mut SchemaGenerator) -> Vec<Value> {
    let in_path = route.path.split('/').filter_map(|segment| {
        let name = segment.strip_prefix('{')?.strip_suffix('}')?;
        Some(json!({
            "name": name,
            "in": "path",
            "required": true,
            "description": "An ID, the beginning of one while it is unique, or an address",
            "schema": { "type": "string" },
        }))
    });
    let mut found: Vec<Value> = in_path.collect();
    for parameter in &route.parameters {
        found.push(json!({
            "name": parameter.name,
            "in": "query",
            "description": parameter.about,
            "schema": (parameter.schema)(generator),
        }));
    }
    found
}
