//! Routes and their description, from one declaration: `GET /api-docs/openapi.json` lists what the router has, since the
//! only way to add a route is to describe it.

mod operation;
mod settings;

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use axum::extract::Request;
use axum::handler::Handler;
use axum::http::Method;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse as _;
use axum::routing::{MethodFilter, on};
use axum::{Extension, Router};
use engine::{Category, Kinds};
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

pub(crate) use operation::Operation;
pub(crate) use settings::{Shape, settings_schema};

use crate::Context;
use crate::dto::status::VERSION;

/// Where the document is.
pub(crate) const PATH: &str = "/api-docs/openapi.json";

/// What is said of a route.
type Describe = Box<dyn FnOnce(&mut Operation<'_>) + Send>;

/// A route that the document has.
struct Described {
    method: Method,
    path: String,
    describe: Describe,
}

/// The routes so far, and what is said of them.
pub(crate) struct Api {
    router: Router<Context>,
    described: Vec<Described>,
    kinds: Kinds,
    /// Given to every handler that is added, if there is one: the handlers of resources are shared by their categories.
    category: Option<Category>,
}

impl Api {
    /// No routes yet.
    pub(crate) fn new(kinds: Kinds) -> Self {
        Self { router: Router::new(), described: Vec::new(), kinds, category: None }
    }

    /// The kinds of connectors there are.
    pub(crate) fn kinds(&self) -> Kinds {
        self.kinds
    }

    /// Which category the handlers that follow are for.
    pub(crate) fn set_category(&mut self, category: Option<Category>) {
        self.category = category;
    }

    /// Adds a route. What `describe` says of it, once somebody asks for the document, is all that the document says.
    pub(crate) fn route<H, T>(
        &mut self,
        method: &Method,
        path: &str,
        handler: H,
        describe: impl FnOnce(&mut Operation<'_>) + Send + 'static,
    ) where
        H: Handler<T, Context>,
        T: 'static,
    {
        let filter = MethodFilter::try_from(method.clone()).unwrap_or(MethodFilter::GET);
        let mut route = on(filter, handler);
        if let Some(category) = self.category {
            route = route.layer(Extension(category));
        }
        self.router = std::mem::take(&mut self.router).route(path, route);
        let (method, path) = (method.clone(), path.to_owned());
        self.described.push(Described { method, path, describe: Box::new(describe) });
    }

    /// Adds the document itself, and gives the router that has everything.
    pub(crate) fn finish(mut self, needs_key: bool) -> Router<Context> {
        let document = Arc::new(Document { needs_key, described: Mutex::default(), text: OnceLock::new() });
        let shown = Arc::clone(&document);
        let answer =
            async move |_: Request| ([(CONTENT_TYPE, "application/json")], shown.text()).into_response();
        self.route(&Method::GET, PATH, answer, |operation| {
            operation.tag("Server").about("This document").answers_schema(
                200,
                "The document.",
                json!({"type": "object"}),
            );
        });
        *document.described.lock().unwrap_or_else(PoisonError::into_inner) = self.described;
        self.router
    }
}

/// The document. Putting it together takes megabytes and some milliseconds, so it is written when it is first asked
/// for, which few servers ever are.
struct Document {
    needs_key: bool,
    described: Mutex<Vec<Described>>,
    text: OnceLock<String>,
}

impl Document {
    fn text(&self) -> String {
        let write = || {
            let described =
                std::mem::take(&mut *self.described.lock().unwrap_or_else(PoisonError::into_inner));
            write(described, self.needs_key)
        };
        self.text.get_or_init(write).clone()
    }
}

fn write(described: Vec<Described>, needs_key: bool) -> String {
    let settings = SchemaSettings::draft2020_12().for_serialize().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut schemas = settings.into_generator();
    // Path → method → operation.
    let mut paths = Map::new();
    for Described { method, path, describe } in described {
        let mut operation = Operation::new(&mut schemas, &method, &path);
        describe(&mut operation);
        let entry = paths.entry(path).or_insert_with(|| json!({}));
        entry[method.as_str().to_ascii_lowercase()] = operation.finish();
    }
    let mut document = frame(&mut schemas, needs_key);
    document["paths"] = paths.into();
    document.to_string()
}

/// The document without its paths.
fn frame(schemas: &mut SchemaGenerator, needs_key: bool) -> Value {
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Sluicegate",
            "version": VERSION,
            "description": "A rule engine for MQTT. Paths, bodies, codes and metric names under `/api/v5` are those of EMQX 5 data integration.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        // Without keys everybody may call; with keys everybody needs one.
        "security": if needs_key { json!([{ "basic": [] }]) } else { json!([{}, { "basic": [] }]) },
        "components": {
            "schemas": schemas.take_definitions(true),
            "securitySchemes": {
                "basic": { "type": "http", "scheme": "basic", "description": "An API key and its secret." },
            },
        },
    })
}
