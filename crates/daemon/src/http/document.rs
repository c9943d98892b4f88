//! The document of the HTTP surface: what the handlers say of themselves, and what holds for all of them.

use oarlock_api::{REQUEST_HEADER, TOKEN_HEADER, wire};
use utoipa::OpenApi;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{Ref, Required, ResponseBuilder};

use super::extract::REQUEST_ID_CHARS_MAX;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "oarlock",
        description = "The daemon's interface, over its unix socket.",
        license(name = "Apache-2.0")
    ),
    components(schemas(wire::Error, wire::Frame, wire::Check))
)]
pub(super) struct Document;

/// Adds what every operation has: a header that names the wish where something is asked for, a header that names the
/// caller where it is a run, and the shape of every refusal.
pub(super) fn complete(document: &mut utoipa::openapi::OpenApi) {
    for (path, item) in &mut document.paths.paths {
        if !path.starts_with("/v1/") {
            continue;
        }
        let wishes = [&mut item.post, &mut item.delete, &mut item.put, &mut item.patch];
        for operation in wishes.into_iter().flatten() {
            let about = "The client's id for the wish: the same id is the same wish, however often it arrives. One is \
                         drawn when it is missing.";
            header(operation, REQUEST_HEADER, about, Some(REQUEST_ID_CHARS_MAX));
            refusals(operation);
        }
        item.get.iter_mut().for_each(refusals);
    }
}

fn header(operation: &mut Operation, name: &str, about: &str, length_max: Option<usize>) {
    let text = ObjectBuilder::new().schema_type(SchemaType::Type(Type::String)).max_length(length_max);
    let parameter = ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(about))
        .schema(Some(text))
        .build();
    operation.parameters.get_or_insert_default().push(parameter.into());
}

fn refusals(operation: &mut Operation) {
    let about = "The capability of a run, when the caller is one: it may read, and send to its own session.";
    header(operation, TOKEN_HEADER, about, None);
    let error = ContentBuilder::new().schema(Some(Ref::from_schema_name("Error"))).build();
    let refusal = ResponseBuilder::new()
        .description("Any other answer is a refusal or a failure: a stable code, a sentence, a hint")
        .content("application/json", error)
        .build();
    operation.responses.responses.insert("default".into(), refusal.into());
}
