//! The document of the HTTP surface: what the handlers say of themselves, and what holds for all of them.

use oarlock_api::{REQUEST_HEADER, TOKEN_HEADER, wire};
use utoipa::OpenApi;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Ref, RefOr, Required, ResponseBuilder};

use super::extract::REQUEST_ID_CHARS_MAX;

/// The name of the capability of a run in the document.
const RUN: &str = "run";

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

/// Adds what every operation has: a header that names the wish where something is asked for, a capability where the caller
/// is a run, and the shape of every refusal.
pub(super) fn complete(document: &mut utoipa::openapi::OpenApi) {
    let about = "The token of a run, when the caller is one: it may read, and send to its own session. A person needs none.";
    let token = SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(TOKEN_HEADER, about)));
    document.components.get_or_insert_default().add_security_scheme(RUN, token);
    for (path, item) in &mut document.paths.paths {
        if !path.starts_with("/v1/") {
            continue;
        }
        let operations = [&mut item.get, &mut item.post, &mut item.delete, &mut item.put, &mut item.patch];
        operations.into_iter().flatten().for_each(names);
        let wishes = [&mut item.post, &mut item.delete, &mut item.put, &mut item.patch];
        for operation in wishes.into_iter().flatten() {
            request_id(operation);
            refusals(operation);
        }
        item.get.iter_mut().for_each(refusals);
    }
}

/// Says what a part of the address may be made of: names and ids alike.
fn names(operation: &mut Operation) {
    for part in operation.parameters.iter_mut().flatten() {
        let RefOr::T(part) = part else { continue };
        if part.parameter_in != ParameterIn::Path {
            continue;
        }
        let text =
            ObjectBuilder::new().schema_type(SchemaType::Type(Type::String)).pattern(Some("^[a-z0-9-]+$"));
        part.schema = Some(text.build().into());
    }
}

fn request_id(operation: &mut Operation) {
    let has_body = operation.request_body.is_some();
    let about = "The client's id for the wish: the same id is the same wish, however often it arrives.";
    let else_drawn = if has_body { " One is drawn when it is missing." } else { "" };
    let text = ObjectBuilder::new()
        .schema_type(SchemaType::Type(Type::String))
        .min_length(Some(1))
        .max_length(Some(REQUEST_ID_CHARS_MAX))
        .pattern(Some("^[A-Za-z0-9._-]+$"))
        .build();
    let parameter = ParameterBuilder::new()
        .name(REQUEST_HEADER)
        .parameter_in(ParameterIn::Header)
        // What a page may send by itself names no wish and has no JSON; see the extractor of it.
        .required(if has_body { Required::False } else { Required::True })
        .description(Some(format!("{about}{else_drawn}")))
        .schema(Some(text))
        .build();
    operation.parameters.get_or_insert_default().push(parameter.into());
}

fn refusals(operation: &mut Operation) {
    let nothing = SecurityRequirement::default();
    operation.security = Some(vec![nothing, SecurityRequirement::new(RUN, [""; 0])]);
    let error = ContentBuilder::new().schema(Some(Ref::from_schema_name("Error"))).build();
    let refusal = ResponseBuilder::new()
        .description("Any other answer is a refusal or a failure: a stable code, a sentence, a hint")
        .content("application/json", error)
        .build();
    operation.responses.responses.insert("default".into(), refusal.into());
}
