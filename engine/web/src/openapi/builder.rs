//! How an operation is put into words.

use http::Method;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::shapes::List;
use super::{Answer, Body, Operation, Parameter, Schematic, Shape};

fn operation(method: Method, path: &'static str, tag: &'static str, id: &'static str) -> Operation {
    Operation {
        method,
        path,
        id,
        tag,
        summary: "",
        text: "",
        parameters: Vec::new(),
        headers: Vec::new(),
        body: None,
        answers: Vec::new(),
        errors: Vec::new(),
    }
}

pub fn get(path: &'static str, tag: &'static str, id: &'static str) -> Operation {
    operation(Method::GET, path, tag, id)
}

pub fn post(path: &'static str, tag: &'static str, id: &'static str) -> Operation {
    operation(Method::POST, path, tag, id)
}

pub fn put(path: &'static str, tag: &'static str, id: &'static str) -> Operation {
    operation(Method::PUT, path, tag, id)
}

pub fn delete(path: &'static str, tag: &'static str, id: &'static str) -> Operation {
    operation(Method::DELETE, path, tag, id)
}

impl Operation {
    pub fn says(mut self, summary: &'static str, text: &'static str) -> Self {
        (self.summary, self.text) = (summary, text);
        self
    }

    pub fn takes<T: ToSchema>(mut self, example: Value) -> Self {
        self.body = Some(Body {
            schema: Schematic::One(Shape::of::<T>()),
            example,
            required: true,
            also: Vec::new(),
        });
        self
    }

    pub fn takes_many<T: ToSchema>(mut self, example: Value) -> Self {
        self.body = Some(Body {
            schema: Schematic::Many(Shape::of::<T>()),
            example,
            required: true,
            also: Vec::new(),
        });
        self
    }

    pub fn may_take<T: ToSchema>(mut self, example: Value) -> Self {
        self = self.takes::<T>(example);
        if let Some(body) = &mut self.body {
            body.required = false;
        }
        self
    }

    pub fn also(mut self, media_types: &[&'static str]) -> Self {
        if let Some(body) = &mut self.body {
            body.also = media_types.to_vec();
        }
        self
    }

    /// A page, or a whole list.
    pub fn lists<T: ToSchema>(self) -> Self {
        let mut shape = Shape::of::<List<T>>();
        shape.parts.extend(Shape::of::<T>().parts);
        self.answer(200, Schematic::One(shape), None)
    }

    pub fn gives_many<T: ToSchema>(self, status: u16) -> Self {
        self.answer(status, Schematic::Many(Shape::of::<T>()), None)
    }

    pub fn gives<T: ToSchema>(self, status: u16) -> Self {
        self.answer(status, Schematic::One(Shape::of::<T>()), None)
    }

    pub fn shows_either<T: ToSchema, U: ToSchema>(self, status: u16, example: Value) -> Self {
        let shape = Schematic::Either(Shape::of::<T>(), Shape::of::<U>());
        self.answer(status, shape, Some(example))
    }

    pub fn shows<T: ToSchema>(self, status: u16, example: Value) -> Self {
        self.answer(status, Schematic::One(Shape::of::<T>()), Some(example))
    }

    pub fn answer(mut self, status: u16, shape: Schematic, example: Option<Value>) -> Self {
        self.answers.push(Answer {
            status,
            shape,
            example,
        });
        self
    }

    pub fn or(mut self, errors: &[u16]) -> Self {
        self.errors.extend(errors);
        self
    }

    pub fn query(mut self, name: &'static str, text: &'static str, schema: Value) -> Self {
        self.parameters.push(Parameter {
            name,
            text,
            schema,
            required: false,
        });
        self
    }

    pub fn header(mut self, name: &'static str, text: &'static str, schema: Value) -> Self {
        self.headers.push(Parameter {
            name,
            text,
            schema,
            required: false,
        });
        self
    }

    pub fn paged(self) -> Self {
        self.query(
            "limit",
            "How many records at most.",
            json!({"type": "integer", "minimum": 1, "maximum": 200, "default": 50}),
        )
        .query(
            "cursor",
            "The `next_cursor` of the page before.",
            json!({"type": "string"}),
        )
    }

    pub fn filtered(self) -> Self {
        self.query("event", "Of this name.", json!({"type": "string"}))
            .query("resource", "Of this resource.", json!({"type": "string"}))
            .query("resource_id", "Of this resource's id.", json!({"type": "string"}))
    }

    pub fn of_status(self) -> Self {
        let words = [
            "pending",
            "processing",
            "retrying",
            "completed",
            "failed",
            "canceled",
        ];
        self.query(
            "status",
            "Of this status.",
            json!({"type": "string", "enum": words}),
        )
    }
}
