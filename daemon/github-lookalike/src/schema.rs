//! GitHub's OpenAPI description as a judge: what a call may say and what an answer must look like.
//! OpenAPI 3.0 writes "may be null" its own way; that is rewritten once so that a JSON Schema validator understands it.

use anyhow::Context;
use jsonschema::{Draft, Validator};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// GitHub's description, as far as it is in the fixtures.
#[derive(Debug)]
pub struct Schemas {
    document: Value,
    compiled: Mutex<HashMap<String, Arc<Validator>>>,
}

impl Schemas {
    /// Reads `github-openapi-subset.json` from the folder that `BISECT_FIXTURES` names; `None`, and said so, without it.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn from_environment() -> anyhow::Result<Option<Self>> {
        let Some(folder) = std::env::var_os("BISECT_FIXTURES") else {
            tracing::info!("BISECT_FIXTURES is not set: calls and answers are not checked against GitHub's schemas");
            return Ok(None);
        };
        Self::read(&Path::new(&folder).join("github-openapi-subset.json")).map(Some)
    }

    /// Reads an OpenAPI 3.0 document.
    ///
    /// # Errors
    /// When the file cannot be read or is not JSON.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
        let mut document: Value = serde_json::from_str(&text).context("GitHub's description is not JSON")?;
        allow_null(&mut document);
        Ok(Self { document, compiled: Mutex::default() })
    }

    fn operation(&self, method: &str, template: &str) -> Option<&Value> {
        self.document["paths"].get(template)?.get(method.to_lowercase())
    }

    /// Whether GitHub documents this call.
    #[must_use]
    pub fn documents(&self, method: &str, template: &str) -> bool {
        self.operation(method, template).is_some()
    }

    fn resolved<'a>(&'a self, value: &'a Value) -> &'a Value {
        let target =
            value.get("$ref").and_then(Value::as_str).and_then(|r| self.document.pointer(r.strip_prefix('#')?));
        target.unwrap_or(value)
    }

    /// What is wrong with a call's parameters and body.
    pub(crate) fn request_faults(&self, method: &str, template: &str, call: &RequestParts<'_>) -> Vec<String> {
        let Some(operation) = self.operation(method, template) else {
            return vec![format!("GitHub documents no {method} {template}")];
        };
        let mut faults = Vec::new();
        let parameters: Vec<&Value> =
            operation["parameters"].as_array().into_iter().flatten().map(|p| self.resolved(p)).collect();
        for (name, value) in call.query {
            match parameters.iter().find(|p| p["in"] == "query" && p["name"] == *name) {
                None => faults.push(format!("the query parameter {name} is not documented")),
                Some(parameter) => faults.extend(self.parameter_fault(parameter, name, value)),
            }
        }
        for (name, value) in call.path {
            if let Some(parameter) = parameters.iter().find(|p| p["in"] == "path" && p["name"] == *name) {
                faults.extend(self.parameter_fault(parameter, name, value));
            }
        }
        faults.extend(self.body_faults(operation, template, method, call.body));
        faults
    }

    fn parameter_fault(&self, parameter: &Value, name: &str, value: &str) -> Option<String> {
        let schema = self.resolved(&parameter["schema"]);
        let typed = match schema["type"].as_str() {
            Some("integer") => value.parse::<i64>().map(|n| json!(n)).unwrap_or_else(|_| json!(value)),
            Some("boolean") => value.parse::<bool>().map(|b| json!(b)).unwrap_or_else(|_| json!(value)),
            _ => json!(value),
        };
        let faults = self.check(&format!("parameter {name} {schema}"), schema, &typed);
        faults.first().map(|fault| format!("parameter {name}={value}: {fault}"))
    }

    fn body_faults(&self, operation: &Value, template: &str, method: &str, body: &Value) -> Vec<String> {
        let described = self.resolved(&operation["requestBody"]);
        let schema = &described["content"]["application/json"]["schema"];
        if schema.is_null() {
            let empty = body.is_null() || body.as_object().is_some_and(Map::is_empty);
            return if empty { Vec::new() } else { vec!["a body is sent where none is documented".to_owned()] };
        }
        if body.is_null() {
            let required = described["required"] == true;
            return if required { vec!["the body is missing or not JSON".to_owned()] } else { Vec::new() };
        }
        let mut faults = self.check(&format!("request {method} {template}"), schema, body);
        let known = self.resolved(schema)["properties"].as_object();
        for name in body.as_object().into_iter().flat_map(Map::keys) {
            if known.is_some_and(|known| !known.contains_key(name)) {
                faults.push(format!("the body's {name} is not documented"));
            }
        }
        faults
    }

    /// What is wrong with an answer. Statuses that every call may have (401, 403, 429, …) are errors in GitHub's form.
    pub(crate) fn response_faults(&self, method: &str, template: &str, status: u16, body: &Value) -> Vec<String> {
        let Some(operation) = self.operation(method, template) else { return Vec::new() };
        let described = operation["responses"].get(status.to_string()).map(|r| self.resolved(r));
        let schema = match described {
            Some(response) => &response["content"]["application/json"]["schema"],
            None if status < 300 => return vec![format!("the status {status} is not documented")],
            None => &self.document["components"]["schemas"]["basic-error"],
        };
        if schema.is_null() {
            let empty = body.is_null();
            return if empty { Vec::new() } else { vec!["a body is answered where none is documented".to_owned()] };
        }
        self.check(&format!("response {method} {template} {status}"), schema, body)
    }

    fn check(&self, key: &str, schema: &Value, value: &Value) -> Vec<String> {
        let found = self.compiled.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned();
        let validator = match found {
            Some(validator) => validator,
            None => match self.compile(schema) {
                Ok(validator) => {
                    let validator = Arc::new(validator);
                    let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
                    compiled.insert(key.to_owned(), validator.clone());
                    validator
                }
                Err(error) => return vec![format!("{key}: the schema cannot be used: {error}")],
            },
        };
        validator.iter_errors(value).map(|e| format!("{}: {e}", e.instance_path())).take(5).collect()
    }

    fn compile(&self, schema: &Value) -> anyhow::Result<Validator> {
        let whole = json!({"allOf": [schema], "components": {"schemas": self.document["components"]["schemas"]}});
        let options = jsonschema::options().with_draft(Draft::Draft202012).should_validate_formats(true);
        Ok(options.build(&whole)?)
    }
}

/// A call as far as it is checked.
pub(crate) struct RequestParts<'a> {
    pub path: &'a [(String, String)],
    pub query: &'a [(String, String)],
    pub body: &'a Value,
}

/// `nullable: true` becomes `anyOf: [..., {type: null}]`, everywhere.
fn allow_null(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.values_mut().for_each(allow_null);
            if map.get("nullable") == Some(&Value::Bool(true)) {
                map.remove("nullable");
                let inner = Value::Object(std::mem::take(map));
                map.insert("anyOf".to_owned(), json!([inner, {"type": "null"}]));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(allow_null),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_is_allowed_where_openapi_says_so_and_nowhere_else() {
        let document = json!({"components": {"schemas": {"it": {
            "type": "object", "required": ["a", "b"],
            "properties": {"a": {"type": "string", "nullable": true}, "b": {"type": "string"}},
        }}}});
        let mut rewritten = document;
        allow_null(&mut rewritten);
        let schemas = Schemas { document: rewritten, compiled: Mutex::default() };
        let schema = json!({"$ref": "#/components/schemas/it"});
        assert!(schemas.check("it", &schema, &json!({"a": null, "b": "x"})).is_empty());
        assert_eq!(schemas.check("it", &schema, &json!({"a": "x", "b": null})).len(), 1);
        assert_eq!(schemas.check("it", &schema, &json!({"b": "x"})).len(), 1);
    }
}
